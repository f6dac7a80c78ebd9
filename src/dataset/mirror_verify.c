#include "dataset/mirror_i.h"

#include "base/hash.h"
#include "base/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 16, SHOWN = 300 };

/* What all threads share. */
struct check {
    const struct pack_io *io;
    const char *name; /* of the pack at hand */
    unsigned threads;
    struct lock lock;
    void (*bad)(void *arg, const char *line);                 /* with the lock held */
    bool (*progress)(void *arg, uint64_t done, uint64_t all); /* likewise */
    void *arg;
    uint64_t done, all; /* protected by lock */
    bool stopped;       /* likewise */
    unsigned damaged;   /* likewise */
};

/* One thread's share of a pack: every n-th file. */
struct share {
    struct pool_job job;
    struct check *check;
    unsigned first;
    struct err e;
    int r;
};

/* What a thread needs to read files. */
struct tools {
    struct codec *codec;
    struct hash_sha256 *sha;
    struct buf scratch;
    unsigned char *text;
};

/* Counts a block; false where the work is to end. */
static bool go_on(struct check *k, uint64_t bytes)
{
    lock_take(&k->lock);
    k->done += bytes;
    if (!k->stopped && k->progress != NULL)
        k->stopped = !k->progress(k->arg, k->done, k->all);
    bool on = !k->stopped;
    lock_drop(&k->lock);
    return on;
}

static int check_file(struct check *k, struct tools *t, const struct pack_row *row)
{
    unsigned char sum[HASH_SHA256_LEN];
    int r = 0;
    for (size_t i = 0; i < row->blocks && r == 0; i++) {
        const struct pack_block *b = &row->block[i];
        if (!go_on(k, b->packed))
            r = -ECANCELED;
        else if (b->text > CODEC_BLOCK_MAX)
            r = -ENOTSUP;
        else
            r = pack_read_block(k->io, t->codec, b, &t->scratch, t->text);
        if (r == 0)
            hash_sha256_add(t->sha, t->text, (size_t)b->text);
    }
    int ended = hash_sha256_end(t->sha, sum);
    if (r == 0)
        r = ended;
    return r == 0 && memcmp(sum, row->sha256, sizeof(sum)) != 0 ? -EBADMSG : r;
}

static void tell(struct check *k, const struct pack_row *row, int r)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%s: %.*s: %s", k->name,
                   row->path.len < SHOWN ? (int)row->path.len : SHOWN, row->path.s,
                   r == -EBADMSG ? "damaged: its checksum does not match" : err_text(r));
    lock_take(&k->lock);
    k->damaged++;
    k->bad(k->arg, line);
    lock_drop(&k->lock);
}

static int check_rows(struct share *s, struct pack *p, struct tools *t)
{
    struct pack_row row;
    unsigned at = 0;
    int r;
    while ((r = pack_next(p, &row, &s->e)) == 1) {
        if (row.type != PACK_FILE || at++ % s->check->threads != s->first)
            continue;
        r = check_file(s->check, t, &row);
        if (r == -ECANCELED || r == -ENOMEM)
            return r;
        if (r != 0)
            tell(s->check, &row, r);
    }
    return r;
}

static void run(struct pool_job *job)
{
    struct share *s = (struct share *)(void *)job; /* its first member */
    struct pack *p = NULL;
    struct tools t = {
        .codec = codec_new(0), .sha = hash_sha256_new(), .text = malloc(CODEC_BLOCK_MAX)};
    if (t.codec == NULL || t.sha == NULL || t.text == NULL)
        s->r = err_set(&s->e, -ENOMEM, "out of memory");
    else
        s->r = pack_open(s->check->io, &p, &s->e);
    if (s->r == 0)
        s->r = check_rows(s, p, &t);
    pack_close(&p);
    codec_free(&t.codec);
    hash_sha256_free(&t.sha);
    buf_free(&t.scratch);
    free(t.text);
}

static int check_shares(struct check *k, struct err *e)
{
    struct share share[THREADS_MAX] = {0};
    struct pool *pool = pool_create(k->threads);
    int r = 0;
    if (pool == NULL)
        return err_set(e, -ENOMEM, "out of memory or threads");
    for (unsigned i = 0; i < k->threads; i++) {
        share[i] = (struct share){.job.run = run, .check = k, .first = i};
        pool_run(pool, &share[i].job);
    }
    pool_destroy(&pool); /* runs all to the end */
    for (unsigned i = 0; i < k->threads && r == 0; i++)
        if ((r = share[i].r) != 0)
            (void)err_set(e, r, "%s", share[i].e.code != 0 ? share[i].e.text : err_text(r));
    return r;
}

/* One pack; 0 also where files of it are damaged. */
static int check_pack(struct check *k, const struct mirror *m, const struct mirror_pack *pack,
                      struct err *e)
{
    struct pack_io io;
    char *path = NULL;
    struct err why = {0};
    unsigned before = k->damaged;
    int r = mirror_path(m, pack->name, &path);
    k->name = pack->name;
    k->io = &io;
    if (r == 0 && (r = pack_file_open(path, &io, &why)) == 0) {
        r = check_shares(k, &why);
        pack_file_close(&io);
    }
    k->io = NULL;
    free(path);
    if (k->stopped)
        return err_set(e, -ECANCELED, "export: stopped (run it again to verify what is packed)");
    if (r == 0 && k->damaged == before)
        return 0;
    if (r == 0)
        r = -EBADMSG;
    return err_set(e, r, "%s/%s: %s (remove that pack and run it again)", m->dir, pack->name,
                   why.code != 0 ? why.text : "damaged");
}

int mirror_verify(struct mirror *m, void (*bad)(void *arg, const char *line),
                  bool (*progress)(void *arg, uint64_t done, uint64_t all), void *arg,
                  struct err *e)
{
    struct check k = {
        .threads = pool_cpus(THREADS_MAX), .bad = bad, .progress = progress, .arg = arg};
    int worst = 0;
    for (unsigned i = 0; i < m->packs; i++)
        k.all += m->pack[i].published ? 0 : m->pack[i].bytes;
    if (k.all == 0)
        return 0;
    lock_init(&k.lock, LOCK_RANK_LEAF);
    for (unsigned i = 0; i < m->packs && worst != -ECANCELED; i++) {
        struct mirror_pack *p = &m->pack[i];
        int r = p->there && !p->published ? check_pack(&k, m, p, e) : 0;
        p->published = p->there && r == 0;
        worst = r != 0 ? r : worst;
    }
    lock_destroy(&k.lock);
    int r = mirror_index_write(m, e);
    return worst != 0 ? worst : r;
}
