#include "catalog/registry.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void classify(const struct registry *r, const char *name, size_t len, size_t forced)
{
    struct shape_name got;
    registry_classify(r, name, len, forced, &got);
    if (got.dataset >= registry_count(r) || got.subject < name || got.subject_len > len ||
        (size_t)(got.subject - name) > len - got.subject_len)
        abort();
    size_t n = strlen(got.anatomy);
    if (n > 255 || strspn(got.anatomy, "abcdefghijklmnopqrstuvwxyz0123456789_") != n)
        abort();
}

/* The whole input as a file of further datasets, then as a name for what was loaded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[40];
    int fd = memfd_create("fuzz_registry", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct registry *r = NULL;
    struct err e = {0};
    int rc = registry_load(path, &r, &e);
    (void)close(fd);
    if ((rc == 0) != (r != NULL) || (rc == 0) != (e.text[0] == '\0') ||
        strchr(e.text, '\n') != NULL)
        abort();
    if (rc != 0 && registry_load(NULL, &r, NULL) != 0)
        abort();
    classify(r, (const char *)data, size, SIZE_MAX);
    classify(r, (const char *)data, size, size % registry_count(r));
    registry_free(r);
    return 0;
}
