#include "cli/cli_i.h"
#include "cli/status_i.h"
#include "cli/text_i.h"

#include "base/log.h"
#include "base/obj.h"
#include "fs/session.h"

#include <errno.h>
#include <string.h>

enum { ANSWER_MS = 10000 };

struct report {
    const char *only; /* one mount point, or NULL for all */
    bool json;
    unsigned asked, failed;
    struct buf out;
};

static void no_answer(struct report *r, const char *mountpoint, int rc)
{
    const char *state = rc == -ENOTCONN ? "stale" : (rc == -ETIMEDOUT ? "silent" : "failed");
    r->failed++;
    if (rc == -ENOTCONN)
        log_error("%s: its daemon is gone (mount again, or run 'medshapefs unmount %s')",
                  mountpoint, mountpoint);
    else if (rc == -ETIMEDOUT)
        log_error("%s: its daemon does not answer (see the system log)", mountpoint);
    else
        (void)cli_fail(NULL, rc, mountpoint);
    if (!r->json)
        return;
    buf_str(&r->out, "{");
    text_member(&r->out, "mountpoint", mountpoint);
    text_member(&r->out, "state", state);
    buf_str(&r->out, "}");
}

static void answer(struct report *r, const char *mountpoint, const struct buf *text)
{
    struct json *status = json_parse(text->data, text->len, NULL);
    if (json_type(status) != JSON_OBJECT)
        no_answer(r, mountpoint, -EBADMSG);
    else if (r->json)
        buf_add(&r->out, text->data, text->len);
    else
        status_text(&r->out, status);
    json_free(status);
}

/* A mount of another user, who lets nobody in, is none of ours unless it was asked for by name. */
static bool ask(void *arg, const char *mountpoint)
{
    struct report *r = arg;
    struct buf text CLEANUP_BUF = BUF_INIT;
    if (r->only != NULL && strcmp(r->only, mountpoint) != 0)
        return true;
    int rc = status_read(mountpoint, ANSWER_MS, &text);
    if (rc == -EACCES && r->only == NULL)
        return true;
    if (r->json && r->asked > 0)
        buf_str(&r->out, ",\n");
    r->asked++;
    if (rc == 0)
        answer(r, mountpoint, &text);
    else
        no_answer(r, mountpoint, rc);
    return r->only == NULL;
}

static int ask_all(struct report *r)
{
    buf_str(&r->out, r->json ? "[" : "");
    int rc = session_mounts(ask, r);
    buf_str(&r->out, r->json ? "]\n" : "");
    if (rc != 0)
        return cli_fail(NULL, rc, "mount table");
    if (r->asked == 0 && r->only != NULL)
        log_error("%s: no medshapefs is mounted there", r->only);
    else if (r->asked == 0)
        log_error("status: no medshapefs is mounted (mount one: medshapefs mount MOUNTPOINT)");
    int status = r->asked == 0 ? CLI_NOT_FOUND : CLI_DONE;
    if (r->failed > 0)
        status = r->failed == r->asked ? CLI_FAILED : CLI_PARTLY;
    int printed = r->asked > 0 || r->json ? cli_print(&r->out) : CLI_DONE;
    return printed != CLI_DONE ? printed : status;
}

int cmd_status(struct args *a)
{
    char *mountpoint CLEANUP_FREE = NULL;
    if (a->operands > 0) {
        int rc = cli_absolute(a->operand[0], &mountpoint);
        if (rc != 0) {
            log_error("%s: %s", a->operand[0], err_text(rc));
            return rc == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
        }
    }
    struct report r = {.only = mountpoint, .json = (a->given & OPTION_JSON) != 0};
    int status = ask_all(&r);
    buf_free(&r.out);
    return status;
}
