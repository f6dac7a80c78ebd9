#include "cli/cli_i.h"

#include "base/log.h"
#include "base/obj.h"
#include "fs/session.h"

#include <errno.h>

int cmd_unmount(struct args *a)
{
    char *mountpoint CLEANUP_FREE = NULL;
    int rc = cli_absolute(a->operand[0], &mountpoint);
    if (rc != 0) {
        log_error("%s: %s", a->operand[0], err_text(rc));
        return rc == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
    }
    struct err e = {0};
    rc = session_unmount(mountpoint, &e);
    if (rc == 0)
        return CLI_DONE;
    (void)cli_fail(&e, rc, mountpoint);
    return rc == -EINVAL ? CLI_NOT_FOUND : CLI_FAILED;
}
