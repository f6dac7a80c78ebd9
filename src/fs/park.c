#include "fs/fs_i.h"

#include <errno.h>
#include <stdlib.h>

/* Two hold it: who issued the request, until it is through, and who answers it. */
struct fs_parked {
    fuse_req_t req;
    struct medshapefs *core;
    uint64_t ino;
    atomic_int refs;
    atomic_bool interrupted; /* an INTERRUPT came that found nothing to take back */
    atomic_bool answered;
};

static void unref(struct fs_parked *p)
{
    if (atomic_fetch_sub(&p->refs, 1) == 1)
        free(p);
}

/* Takes the request back from the core and replies EINTR; false where it is being answered, or is
 * not parked yet. */
static bool take_back(struct fs_parked *p)
{
    if (!medshapefs_cancel(p->core, p->ino, p))
        return false;
    (void)fuse_reply_err(p->req, EINTR);
    unref(p);
    return true;
}

/* Called by libfuse with the request's lock held: it cannot end while this runs. */
static void on_interrupt(fuse_req_t req, void *data)
{
    struct fs_parked *p = data;
    (void)req;
    if (!take_back(p))
        atomic_store(&p->interrupted, true);
}

struct fs_parked *fs_park(fuse_req_t req, uint64_t ino)
{
    const struct fs *fs = fuse_req_userdata(req);
    struct fs_parked *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return NULL;
    }
    p->req = req;
    p->core = fs->core;
    p->ino = ino;
    atomic_store(&p->refs, 2);
    fuse_req_interrupt_func(req, on_interrupt, p);
    return p;
}

void fs_park_issued(struct fs_parked *p)
{
    if (atomic_load(&p->interrupted) && !atomic_load(&p->answered))
        (void)take_back(p);
    unref(p);
}

fuse_req_t fs_park_end(struct fs_parked *p)
{
    fuse_req_t req = p->req;
    atomic_store(&p->answered, true);
    fuse_req_interrupt_func(req, NULL, NULL); /* waits for an interrupt that is running */
    unref(p);
    return req;
}
