/* The state of a pack that is being written. */
#ifndef PACK_WRITER_I_H
#define PACK_WRITER_I_H

#include "pack/pack_i.h"
#include "pack/pipe_i.h"

/* A file whose blocks are on their way. */
struct pack_pending {
    struct pack_row row; /* its slices point into `text` */
    struct buf text;
    struct buf blocks; /* struct pack_block */
    unsigned outstanding;
    bool closed; /* all of it was read */
    bool shape;  /* facts are wanted */
};

struct pack_dataset {
    char *id, *json;
};

struct pack_writer {
    struct pack_writer_options o;
    char *path, *partial; /* partial: NULL where the pack itself is written, behind its old end */
    int fd;
    bool locked;           /* fd is ours alone */
    uint64_t pos, old_end; /* old_end: bytes of the file that is appended to */
    uint64_t packed_text;  /* for the progress */
    struct sort *rows;     /* key: pack_path_key(); value: type, size, row */
    struct pack_pipe *pipe;
    struct facts_sum *facts; /* of the file whose blocks come out now */
    struct pack_dataset *dataset;
    size_t datasets;
    int err; /* the first failure: the pack cannot be ended */
};

/* Adds a row's bytes to the catalogue to come. 0 or -errno. */
int pack_writer_row(struct pack_writer *w, struct pack_slice path, uint8_t type, uint64_t size,
                    const void *bytes, size_t len);

/* Writes catalogue and trailer behind the blocks. 0 or -errno with `e`. */
int pack_writer_catalogue(struct pack_writer *w, struct err *e);

/* Takes the rows and datasets of the pack that is appended to. 0 or -errno with `e`. */
int pack_writer_take_over(struct pack_writer *w, struct err *e);

#endif
