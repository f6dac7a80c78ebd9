/* Cleanup of locals at the end of their scope, and helpers on arrays. */
#ifndef BASE_OBJ_H
#define BASE_OBJ_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Frees what a `T *` local holds. */
static inline void obj_free(void *pointer_to_pointer)
{
    free(*(void **)pointer_to_pointer);
}

/* Closes an `int` descriptor that is not negative. */
static inline void obj_close(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
}

/* Closes a `FILE *` that is not NULL. */
static inline void obj_fclose(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

#define CLEANUP_FREE   __attribute__((cleanup(obj_free)))
#define CLEANUP_CLOSE  __attribute__((cleanup(obj_close)))
#define CLEANUP_FCLOSE __attribute__((cleanup(obj_fclose)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
