/* One URL: its parts are within the text, its folder is clean, and a request can be made of it; and
 * places as bytes. */
#include "source/place_i.h"
#include "source/source.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int fine)
{
    if (!fine)
        abort();
}

static void check_folder(const struct buf *folder)
{
    for (size_t i = 0; i <= folder->len && folder->len > 0;) {
        const char *s = folder->data + i;
        const char *slash = memchr(s, '/', folder->len - i);
        size_t n = slash == NULL ? folder->len - i : (size_t)(slash - s);
        check(n > 0 && memchr(s, '\0', n) == NULL);
        check(!(n <= 2 && memcmp(s, "..", n) == 0));
        i += n + 1;
    }
}

static void check_request(const struct place_url *p)
{
    char dav[] = "http://h/public.php/webdav/", user[] = "T", none[] = "";
    char *link = strndup(p->link, p->link_len);
    struct source_place place = {
        .link = link, .folder = none, .dav = dav, .user = user, .source = none};
    struct buf text = {0}, bytes = {0};
    struct http_req req = {0};
    check(source_request(&place, p->key, p->key_len, false, &text, &req) == 0);
    check(req.user == NULL || strncmp(req.url, dav, sizeof(dav) - 1) == 0);
    check(req.user == NULL || strchr(req.url + sizeof(dav) - 1, '/') == NULL);
    struct source_place back;
    source_place_encode(&place, &bytes);
    check(source_place_decode(bytes.data, bytes.len, &back) == 0 && strcmp(back.link, link) == 0);
    source_place_free(&back);
    buf_free(&text);
    buf_free(&bytes);
    free(link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct place_url p = PLACE_URL_INIT;
    const char *text = (const char *)data, *why = NULL;
    if (place_parse(&p, text, size, &why) == 0) {
        check(p.link_len + p.key_len <= size && p.key == text + p.link_len && p.key_len > 0);
        check(p.name.len > 0);
        check_folder(&p.folder);
        check_request(&p);
    } else {
        check(why != NULL);
    }
    place_url_free(&p);
    struct source_place place;
    if (source_place_decode(data, size, &place) == 0)
        source_place_free(&place);
    return 0;
}
