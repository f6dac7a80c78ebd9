/* What is to be fetched for a read, and ahead of it. */
#include "blob/blob_i.h"
#include "blob/siblings_i.h"

static bool covered(const struct blob *b, uint32_t piece)
{
    for (const struct blob_flight *f = b->fleet; f != NULL; f = f->next)
        if (!f->dropped && (atomic_load(&f->whole) || (piece >= f->first && piece < f->end)))
            return true;
    return false;
}

static bool is_missing(const struct blob *b, uint32_t piece)
{
    return store_state(b->file, piece) == STORE_ABSENT && !covered(b, piece);
}

/* The same for a block of an object of a pack, which another one's flight may bring. */
static bool is_block_missing(struct blob *b, uint32_t block)
{
    uint32_t piece = block * STORE_BLOCK_PIECES;
    return is_missing(b, piece) && !siblings_await(b) &&
           store_state(b->file, piece) == STORE_ABSENT; /* it may have come just now */
}

/* Starts flights for the absent blocks of a range of an object of a pack. */
static void start_blocks(struct blob *b, uint64_t off, uint64_t end)
{
    uint32_t at = (uint32_t)(off / STORE_BLOCK);
    uint32_t stop = (uint32_t)((end + STORE_BLOCK - 1) / STORE_BLOCK);
    while (at < stop) {
        uint32_t first = at;
        while (at < stop && is_block_missing(b, at))
            at++;
        if (at == first) {
            at++;
            continue;
        }
        at = blob_extent_run(b, first, at);
        uint32_t last = at * STORE_BLOCK_PIECES;
        if (blob_flight_start(b, first * STORE_BLOCK_PIECES,
                              last < store_pieces(b->file) ? last : store_pieces(b->file)) != 0)
            return;
    }
}

void blob_start_missing(struct blob *b, uint64_t off, uint64_t end)
{
    if (b->extents != NULL) {
        start_blocks(b, off, end);
        return;
    }
    const uint32_t longest = BLOB_REQUEST / STORE_PIECE;
    uint32_t p = (uint32_t)(off / STORE_PIECE);
    uint32_t stop = (uint32_t)((end + STORE_PIECE - 1) / STORE_PIECE);
    while (p < stop) {
        uint32_t first = p;
        uint32_t limit = (first / longest + 1) * longest;
        while (p < stop && p < limit && is_missing(b, p))
            p++;
        if (p == first)
            p++;
        else if (blob_flight_start(b, first, p) != 0)
            return;
    }
}

struct blob_waiter *blob_plan_orphans(struct blob *b)
{
    for (struct blob_waiter *w = b->waiters; w != NULL; w = w->next)
        if (!blob_has(b, w->off, w->len))
            blob_start_missing(b, w->off, w->off + w->len);
    /* What came meanwhile by somebody else's flight was no reason to start one, and wakes nobody.
     */
    return blob_take(b, 0, 0, 0);
}

void blob_arrived(struct blob *b)
{
    lock_take(&b->lock);
    struct blob_waiter *done = blob_plan_orphans(b);
    lock_drop(&b->lock);
    blob_answer_all(b, done);
}

/* True where a read goes on from those before: they may have come in another order, and those that
 * found their bytes there were not noted. */
static bool is_sequential(const struct blob *b, uint64_t off)
{
    const uint64_t slack = 1 << 20;
    uint64_t front = b->ra_front > b->ra_next ? b->ra_front : b->ra_next;
    return off + slack >= b->ra_next && off <= front + slack && (b->ra_next > 0 || off == 0);
}

/* Moves the read-ahead window; returns the end of what is to be asked for now. */
static uint64_t window_end(struct blob *b, uint64_t off, uint64_t end)
{
    if (!is_sequential(b, off) || b->ra_next == 0) {
        b->ra_window = 0;
        b->ra_next = b->ra_front = end;
        return end;
    }
    if (end > b->ra_next)
        b->ra_next = end;
    if (b->ra_window != 0 && b->ra_next + b->ra_window / 2 <= b->ra_front)
        return end;
    b->ra_window = b->ra_window == 0 ? BLOB_WINDOW_MIN : b->ra_window * 2;
    const uint64_t most = b->extents != NULL ? BLOB_WINDOW_PACKED : BLOB_WINDOW_MAX;
    if (b->extents != NULL && b->ra_window < STORE_BLOCK)
        b->ra_window = STORE_BLOCK;
    if (b->ra_window > most)
        b->ra_window = most;
    uint64_t front = b->ra_next + b->ra_window;
    if (b->ra_window >= BLOB_REQUEST)
        front = (front + BLOB_REQUEST - 1) / BLOB_REQUEST * BLOB_REQUEST;
    if (front > b->version.size)
        front = b->version.size;
    if (front > b->ra_front)
        b->ra_front = front;
    return b->ra_front;
}

void blob_plan(struct blob *b, uint64_t off, size_t len)
{
    if (b->version.size <= BLOB_SMALL) {
        blob_start_missing(b, 0, b->version.size);
        return;
    }
    uint64_t end = window_end(b, off, off + len);
    bool more = b->ra_window != 0 && b->ra_front < b->version.size;
    atomic_store(&b->ra_edge, more ? b->ra_front - b->ra_window / 2 : UINT64_MAX);
    if (end > off + len)
        atomic_fetch_add(&b->env->readahead, end - off - len);
    blob_start_missing(b, off, end);
}

void blob_read_on(struct blob *b, uint64_t off, size_t len)
{
    lock_take(&b->lock);
    if (is_sequential(b, off) && !atomic_load(&b->spent))
        blob_plan(b, off, len);
    lock_drop(&b->lock);
}
