/* References as tokens: a facet mostly lies at an open edge of the facets before it. */
#include "codec/mesh_i.h"

enum { NEAR = 4, AHEAD = 4, BACK = 2, JUMPS = 2, REACH = 64 };

/* What moves along with the facets. It is a local of the loops and goes by value to what is not
 * inlined, so that it stays in registers. */
struct walk {
    uint32_t newest; /* vertices so far */
    uint32_t cursor0, cursor1, jump;
    uint32_t before[3]; /* the facet before */
    uint32_t at[3];
};

/* The arrays, for the same reason. */
struct board {
    struct mesh_link *link;
    uint32_t *across, *start;
};

static bool is_open(const struct mesh_link *l)
{
    return (l->out[0] & l->in[0]) != MESH_NONE;
}

static inline mesh_u4 four(uint32_t v)
{
    return (mesh_u4){v, v, v, v};
}

static inline bool has(mesh_u4 list, uint32_t v)
{
    typedef uint64_t halves __attribute__((vector_size(16)));
    halves hit = (halves)(list == four(v));
    return (hit[0] | hit[1]) != 0;
}

/* Where v is in a list of open edges that has it. */
static inline unsigned find(mesh_u4 list, uint32_t v)
{
    return list[0] == v ? 0 : list[1] == v ? 1 : list[2] == v ? 2 : 3;
}

static inline mesh_u4 without(mesh_u4 list, unsigned at)
{
    mesh_u4 next = __builtin_shufflevector(list, four(MESH_NONE), 1, 2, 3, 4);
    return at == 0 ? next
                   : (mesh_u4){list[0], at > 1 ? list[1] : next[1], at > 2 ? list[2] : next[2],
                               MESH_NONE};
}

static inline mesh_u4 with(mesh_u4 list, uint32_t v)
{
    return __builtin_shufflevector(list, four(v), 4, 0, 1, 2);
}

static inline void close_edge(struct board b, const uint32_t *ref, uint32_t from, uint32_t to,
                              uint32_t facing)
{
    struct mesh_link *l = &b.link[from], *k = &b.link[to];
    unsigned i = find(k->out, from);
    uint32_t other = k->facing[i];
    b.across[facing] = ref[other];
    b.across[other] = ref[facing];
    k->out = without(k->out, i);
    k->facing = without(k->facing, i);
    if (has(l->in, to))
        l->in = without(l->in, find(l->in, to));
}

/* An edge, opposite of corner `facing`: closes the newest open one the other way, else is open
 * itself. */
static inline void add_edge(struct board b, const uint32_t *ref, uint32_t from, uint32_t to,
                            uint32_t facing)
{
    struct mesh_link *l = &b.link[from], *k = &b.link[to];
    if (has(k->out, from)) {
        close_edge(b, ref, from, to, facing);
    } else if ((l->out[MESH_OPEN_MAX - 1] & k->in[MESH_OPEN_MAX - 1]) == MESH_NONE) {
        l->out = with(l->out, to);
        l->facing = with(l->facing, facing);
        k->in = with(k->in, from);
    }
}

static inline void add_facet(struct board b, struct walk *w, const uint32_t *ref, uint32_t corner)
{
    b.across[corner] = b.across[corner + 1] = b.across[corner + 2] = MESH_NONE;
    add_edge(b, ref, w->at[0], w->at[1], corner + 2);
    add_edge(b, ref, w->at[1], w->at[2], corner);
    add_edge(b, ref, w->at[2], w->at[0], corner + 1);
    memcpy(w->before, w->at, sizeof(w->at));
}

static inline void clear(struct mesh_link *l)
{
    l->out = l->in = l->facing = four(MESH_NONE);
}

static inline uint32_t distance(uint32_t a, uint32_t b)
{
    return a > b ? a - b : b - a;
}

/* Takes note of a reference: the mark of jumps, a new vertex, the nearer cursor. */
static inline void noted(struct board b, struct walk *w, unsigned token, uint32_t v)
{
    b.start[v + 2]++;
    w->jump = (token >= TOKEN_JUMP || token == TOKEN_FAR) ? v : w->jump;
    if (v == w->newest) {
        clear(&b.link[v]);
        w->newest++;
        return;
    }
    bool away = w->newest - v > NEAR, second = distance(v, w->cursor1) < distance(v, w->cursor0);
    w->cursor0 = (away & !second) ? v : w->cursor0;
    w->cursor1 = (away & second) ? v : w->cursor1;
}

static struct board begin(struct mesh_coder *c, const struct mesh *m)
{
    clear(&c->link[0]);
    memset(c->start, 0, ((size_t)m->vertices + 2) * sizeof(*c->start));
    return (struct board){c->link, c->across, c->start};
}

/* Which open vertex is v, counted from `from` on (1 is the first), up to `most`; 0: none. */
static unsigned steps_up(const struct mesh_link *link, uint32_t from, uint32_t v, unsigned most)
{
    unsigned n = 0;
    if (v < from || v - from >= REACH || !is_open(&link[v]))
        return 0;
    for (uint32_t q = from; q <= v && n <= most; q++)
        n += is_open(&link[q]);
    return n <= most ? n : 0;
}

/* The same, counted downwards from the vertex below `from`. */
static unsigned steps_down(const struct mesh_link *link, uint32_t from, uint32_t v, unsigned most)
{
    unsigned n = 0;
    if (v >= from || from - v > REACH || !is_open(&link[v]))
        return 0;
    for (uint32_t q = from; q-- > v && n <= most;)
        n += is_open(&link[q]);
    return n <= most ? n : 0;
}

static unsigned distant_token(const struct mesh_link *link, struct walk w, uint32_t v)
{
    unsigned n;
    if (w.newest - v <= NEAR)
        return TOKEN_NEAR + w.newest - v - 1;
    if ((n = steps_up(link, w.cursor0 + 1, v, AHEAD)) != 0)
        return TOKEN_AHEAD + n - 1;
    if ((n = steps_up(link, w.cursor1 + 1, v, AHEAD)) != 0)
        return TOKEN_AHEAD + AHEAD + n - 1;
    if ((n = steps_down(link, w.cursor0, v, BACK)) != 0)
        return TOKEN_BACK + n - 1;
    if ((n = steps_down(link, w.cursor1, v, BACK)) != 0)
        return TOKEN_BACK + BACK + n - 1;
    if ((n = steps_up(link, w.jump, v, JUMPS)) != 0)
        return TOKEN_JUMP + n - 1;
    return mesh_zigzag(v - w.cursor1) < mesh_zigzag(v - w.cursor0) ? TOKEN_FAR1 : TOKEN_FAR;
}

static inline unsigned index_of(const uint32_t before[3], uint32_t v, unsigned token)
{
    return before[0] == v   ? token
           : before[1] == v ? token + 1
           : before[2] == v ? token + 2
                            : TOKENS;
}

static inline unsigned first_token(const struct mesh_link *link, const struct walk *w, uint32_t v)
{
    unsigned t = index_of(w->before, v, TOKEN_BEFORE_A);
    for (unsigned i = 0; i < 3 && t == TOKENS; i++) {
        const struct mesh_link *l = &link[w->before[i]];
        if (l->out[0] == v)
            t = TOKEN_OPEN_A + 2 * i;
        else if (l->in[0] == v)
            t = TOKEN_OPEN_A + 2 * i + 1;
    }
    return t;
}

static inline unsigned next_token(const struct mesh_link *link, const struct walk *w, unsigned k)
{
    uint32_t v = w->at[k];
    mesh_u4 in = link[w->at[k - 1]].in, out = link[w->at[0]].out;
    if (has(in, v))
        return TOKEN_IN + find(in, v);
    return has(out, v) ? TOKEN_OUT + find(out, v) : index_of(w->before, v, TOKEN_BEFORE);
}

static inline bool is_far(unsigned token)
{
    return token == TOKEN_FAR || token == TOKEN_FAR1;
}

static inline unsigned token_for(const struct mesh_link *link, const struct walk *w, unsigned k)
{
    if (w->at[k] == w->newest)
        return TOKEN_NEW;
    unsigned t = k == 0 ? first_token(link, w, w->at[0]) : next_token(link, w, k);
    return t != TOKENS ? t : distant_token(link, *w, w->at[k]);
}

static inline void encode_corner(struct mesh_coder *c, struct board b, struct walk *w, unsigned k,
                                 unsigned char *token)
{
    unsigned t = token_for(b.link, w, k);
    uint32_t number = mesh_zigzag(w->at[k] - (t == TOKEN_FAR1 ? w->cursor1 : w->cursor0));
    if (!c->is_small) {
        *token = (unsigned char)t;
        if (is_far(t))
            mesh_varint_put(&c->number, number);
    } else {
        (void)mesh_small_token(c->small, k, t, &b.link[w->at[0]],
                               &b.link[w->at[k > 0 ? k - 1 : 0]]);
        if (is_far(t))
            (void)mesh_small_number(c->small, number);
    }
    noted(b, w, t, w->at[k]);
}

void mesh_refs_encode(struct mesh_coder *c, const struct mesh *m)
{
    struct board b = begin(c, m);
    struct walk w = {0};
    c->number.p = c->numbers;
    for (uint32_t i = 0; i < 3 * m->facets; i += 3) {
        memcpy(w.at, m->ref + i, sizeof(w.at));
        encode_corner(c, b, &w, 0, c->tokens + i);
        encode_corner(c, b, &w, 1, c->tokens + i + 1);
        encode_corner(c, b, &w, 2, c->tokens + i + 2);
        add_facet(b, &w, m->ref, i);
    }
}

/* The n-th open vertex from `from` on, or MESH_NONE. */
static uint32_t open_up(const struct mesh_link *link, uint32_t newest, uint32_t from, unsigned n)
{
    uint32_t end = from + REACH < newest ? from + REACH : newest;
    for (uint32_t q = from; q < end; q++)
        if (is_open(&link[q]) && --n == 0)
            return q;
    return MESH_NONE;
}

/* The same downwards from the vertex below `from`. */
static uint32_t open_down(const struct mesh_link *link, uint32_t from, unsigned n)
{
    uint32_t end = from > REACH ? from - REACH : 0;
    for (uint32_t q = from; q-- > end;)
        if (is_open(&link[q]) && --n == 0)
            return q;
    return MESH_NONE;
}

static uint32_t far_vertex(struct mesh_coder *c, uint32_t cursor)
{
    uint32_t number = c->is_small ? mesh_small_number(c->small, 0) : mesh_varint_get(&c->number);
    return cursor + mesh_unzigzag(number);
}

static uint32_t distant_vertex(struct mesh_coder *c, struct walk w, unsigned t)
{
    if (is_far(t))
        return far_vertex(c, t == TOKEN_FAR ? w.cursor0 : w.cursor1);
    if (t < TOKEN_AHEAD)
        return w.newest - (t - TOKEN_NEAR + 1);
    if (t < TOKEN_BACK) {
        uint32_t cursor = t < TOKEN_AHEAD + AHEAD ? w.cursor0 : w.cursor1;
        return open_up(c->link, w.newest, cursor + 1, (t - TOKEN_AHEAD) % AHEAD + 1);
    }
    if (t < TOKEN_JUMP) {
        uint32_t cursor = t < TOKEN_BACK + BACK ? w.cursor0 : w.cursor1;
        return open_down(c->link, cursor, (t - TOKEN_BACK) % BACK + 1);
    }
    return t < TOKEN_FAR1 ? open_up(c->link, w.newest, w.jump, t - TOKEN_JUMP + 1) : MESH_NONE;
}

static inline uint32_t first_vertex(const struct mesh_link *link, const struct walk *w, unsigned t)
{
    if (t < TOKEN_OPEN_A)
        return w->before[t - TOKEN_BEFORE_A];
    if (t >= TOKEN_OPEN_A + 6)
        return MESH_NONE;
    const struct mesh_link *l = &link[w->before[(t - TOKEN_OPEN_A) / 2]];
    return (t - TOKEN_OPEN_A) % 2 == 0 ? l->out[0] : l->in[0];
}

static inline uint32_t next_vertex(const struct mesh_link *link, const struct walk *w, unsigned k,
                                   unsigned t)
{
    if (t < TOKEN_OUT)
        return link[w->at[k - 1]].in[t - TOKEN_IN];
    return t < TOKEN_BEFORE ? link[w->at[0]].out[t - TOKEN_OUT] : w->before[t - TOKEN_BEFORE];
}

static inline bool decode_corner(struct mesh_coder *c, struct board b, struct walk *w, unsigned k,
                                 unsigned t, uint32_t vertices, bool small)
{
    uint32_t v = w->newest;
    if (small)
        t = mesh_small_token(c->small, k, 0, &b.link[w->at[0]], &b.link[w->at[k > 0 ? k - 1 : 0]]);
    if (t >= TOKEN_NEAR || t == TOKEN_FAR)
        v = distant_vertex(c, *w, t);
    else if (t != TOKEN_NEW)
        v = k == 0 ? first_vertex(b.link, w, t) : next_vertex(b.link, w, k, t);
    if (v > w->newest || v >= vertices)
        return false;
    w->at[k] = v;
    noted(b, w, t, v);
    return true;
}

/* `small` is known where this is inlined. */
static inline __attribute__((always_inline)) bool decode(struct mesh_coder *c, const struct mesh *m,
                                                         bool small)
{
    struct board b = begin(c, m);
    struct walk w = {0};
    const uint32_t corners = 3 * m->facets, vertices = m->vertices;
    const unsigned char *t = c->tokens;
    uint32_t *ref = m->ref;
    for (uint32_t i = 0; i < corners; i += 3) {
        if (!decode_corner(c, b, &w, 0, t[i], vertices, small) ||
            !decode_corner(c, b, &w, 1, t[i + 1], vertices, small) ||
            !decode_corner(c, b, &w, 2, t[i + 2], vertices, small))
            return false;
        memcpy(ref + i, w.at, sizeof(w.at));
        add_facet(b, &w, ref, i);
    }
    return w.newest == vertices && !c->number.bad;
}

bool mesh_refs_decode(struct mesh_coder *c, const struct mesh *m)
{
    return c->is_small ? decode(c, m, true) : decode(c, m, false);
}
