#include "net/engine_i.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int copy_text(char **to, const char *from)
{
    *to = from != NULL ? strdup(from) : NULL;
    return from != NULL && *to == NULL ? -ENOMEM : 0;
}

static const char *env_text(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static const char *ca_of_env(void)
{
    const char *bundle = env_text("CURL_CA_BUNDLE");
    return bundle != NULL ? bundle : env_text("SSL_CERT_FILE");
}

/* The netrc file where there is one; NULL spares libcurl the search at each request. */
static int copy_netrc(char **to, const char *from)
{
    struct buf path = BUF_INIT;
    const char *home = env_text("HOME");
    if (from == NULL)
        from = env_text("NETRC");
    if (from != NULL)
        buf_str(&path, from);
    else if (home != NULL)
        buf_fmt(&path, "%s/.netrc", home);
    const char *name = buf_cstr(&path);
    int rc = path.err;
    if (rc == 0 && name[0] != '\0' && access(name, R_OK) == 0)
        rc = copy_text(to, name);
    buf_free(&path);
    return rc;
}

static int copy_mirror(struct conf_mirror *to, const struct conf_mirror *from)
{
    int rc = copy_text(&to->from, from->from);
    to->to = calloc(from->to_count + 1, sizeof(*to->to));
    for (size_t i = 0; rc == 0 && to->to != NULL && i < from->to_count; i++) {
        rc = copy_text(&to->to[i], from->to[i]);
        to->to_count = i + 1;
    }
    return to->to == NULL ? -ENOMEM : rc;
}

int settings_copy(struct conf_network *to, const struct conf_network *from)
{
    *to = *from;
    to->proxy = to->ca_file = to->netrc = NULL;
    to->mirror_count = 0;
    to->mirrors = calloc(from->mirror_count + 1, sizeof(*to->mirrors));
    to->connections = from->connections > 0 ? from->connections : 1;
    int rc = to->mirrors != NULL ? copy_text(&to->proxy, from->proxy) : -ENOMEM;
    if (rc == 0)
        rc = copy_text(&to->ca_file, from->ca_file != NULL ? from->ca_file : ca_of_env());
    if (rc == 0)
        rc = copy_netrc(&to->netrc, from->netrc);
    for (size_t i = 0; rc == 0 && i < from->mirror_count; i++) {
        rc = copy_mirror(&to->mirrors[i], &from->mirrors[i]);
        to->mirror_count = i + 1;
    }
    return rc;
}

void settings_free(struct conf_network *net)
{
    for (size_t i = 0; i < net->mirror_count; i++) {
        for (size_t k = 0; k < net->mirrors[i].to_count; k++)
            free(net->mirrors[i].to[k]);
        free(net->mirrors[i].to);
        free(net->mirrors[i].from);
    }
    free(net->mirrors);
    free(net->proxy);
    free(net->ca_file);
    free(net->netrc);
}

char *settings_mirror(const struct conf_network *net, const char *url, unsigned index)
{
    for (size_t i = 0; i < net->mirror_count; i++) {
        const struct conf_mirror *m = &net->mirrors[i];
        size_t prefix = strlen(m->from);
        if (strncmp(url, m->from, prefix) != 0)
            continue;
        if (index >= m->to_count) {
            index -= (unsigned)m->to_count;
            continue;
        }
        struct buf out = BUF_INIT;
        buf_str(&out, m->to[index]);
        buf_str(&out, url + prefix);
        return buf_take(&out);
    }
    return NULL;
}
