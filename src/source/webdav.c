#include "source/webdav_i.h"

#include "base/hash.h"
#include "base/str.h"
#include "source/davtext_i.h"

#include <errno.h>
#include <expat.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 16384, WORD_SLOTS = 4 * WEBDAV_WORDS_MAX };

enum element {
    EL_OTHER,
    EL_DOCUMENT,
    EL_MULTISTATUS,
    EL_RESPONSE,
    EL_PROPSTAT,
    EL_PROP,
    EL_TYPE,
    EL_COLLECTION,
    EL_HREF, /* from here on: elements whose text is wanted */
    EL_ERROR,
    EL_STATUS,
    EL_LENGTH,
    EL_MODIFIED,
    EL_ETAG,
};

/* Which element is which, inside of what. Names are namespace, '|', local name, as expat gives
 * them. */
static const struct {
    const char *name;
    enum element parent, self;
} elements[] = {
    {"DAV:|multistatus", EL_DOCUMENT, EL_MULTISTATUS},
    {"DAV:|response", EL_MULTISTATUS, EL_RESPONSE},
    {"DAV:|href", EL_RESPONSE, EL_HREF},
    {"DAV:|status", EL_RESPONSE, EL_ERROR},
    {"DAV:|propstat", EL_RESPONSE, EL_PROPSTAT},
    {"DAV:|status", EL_PROPSTAT, EL_STATUS},
    {"DAV:|prop", EL_PROPSTAT, EL_PROP},
    {"DAV:|resourcetype", EL_PROP, EL_TYPE},
    {"DAV:|collection", EL_TYPE, EL_COLLECTION},
    {"DAV:|getcontentlength", EL_PROP, EL_LENGTH},
    {"DAV:|getlastmodified", EL_PROP, EL_MODIFIED},
    {"DAV:|getetag", EL_PROP, EL_ETAG},
};

/* Values of a propstat while its status is not known, and of a response. */
struct values {
    bool folder, sized, bad_size;
    uint64_t size;
    int64_t mtime;
    char etag[WEBDAV_ETAG_MAX];
};

struct webdav {
    XML_Parser parser;
    webdav_file_fn *file;
    void *arg;
    struct buf folder; /* decoded path that was asked for */
    struct buf text, href, path;
    unsigned char stack[WEBDAV_DEPTH_MAX + 1];
    unsigned depth;
    unsigned hrefs;
    bool status_ok, any_ok,
        failed; /* of the propstat; of the response: some propstat, the response itself */
    struct values prop, found;
    struct webdav_counts counts;
    uint64_t fed;
    uint64_t words[WORD_SLOTS]; /* hashes of the names seen; 0 is free */
    unsigned word_count;
    int err;
    const char *why;
};

static void fail(struct webdav *w, int err, const char *why)
{
    if (w->err != 0)
        return;
    w->err = err;
    w->why = why;
    (void)XML_StopParser(w->parser, XML_FALSE);
}

/* expat keeps each different name for ever, so their number is bounded. */
static void note_word(struct webdav *w, const char *word)
{
    uint64_t h = hash64(word, strlen(word), 0) | 1;
    size_t at = (size_t)(h >> 32) % WORD_SLOTS;
    while (w->words[at] != 0 && w->words[at] != h)
        at = (at + 1) % WORD_SLOTS;
    if (w->words[at] == h)
        return;
    if (w->word_count == WEBDAV_WORDS_MAX) {
        fail(w, -EBADMSG, "too many different names");
        return;
    }
    w->word_count++;
    w->words[at] = h;
}

static void on_namespace(void *arg, const XML_Char *prefix, const XML_Char *uri)
{
    struct webdav *w = arg;
    note_word(w, prefix == NULL ? "" : prefix);
    note_word(w, uri == NULL ? "" : uri);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
                       const XML_Char *pubid, int internal)
{
    (void)name;
    (void)sysid;
    (void)pubid;
    (void)internal;
    fail(arg, -EBADMSG, "a DOCTYPE");
}

static enum element find_element(enum element parent, const char *name)
{
    for (size_t i = 0; parent != EL_OTHER && i < sizeof(elements) / sizeof(elements[0]); i++)
        if (elements[i].parent == parent && strcmp(elements[i].name, name) == 0)
            return elements[i].self;
    return EL_OTHER;
}

static void clear_values(struct values *v)
{
    *v = (struct values){.mtime = -1};
}

static void begin_response(struct webdav *w)
{
    if (++w->counts.entries > WEBDAV_ENTRIES_MAX)
        fail(w, -EBADMSG, "over 10 million entries");
    w->hrefs = 0;
    w->any_ok = w->failed = false;
    buf_clear(&w->href);
    clear_values(&w->found);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    struct webdav *w = arg;
    if (w->err != 0)
        return;
    enum element e = find_element(w->stack[w->depth], name);
    if (e == EL_OTHER)
        note_word(w, name);
    for (size_t i = 0; attributes[i] != NULL; i += 2)
        note_word(w, attributes[i]);
    if (w->depth == WEBDAV_DEPTH_MAX) {
        fail(w, -EBADMSG, "elements nested too deep");
        return;
    }
    if (w->depth == 0 && e != EL_MULTISTATUS)
        fail(w, -EBADMSG, "no multistatus");
    w->stack[++w->depth] = (unsigned char)e;
    if (e >= EL_HREF)
        buf_clear(&w->text);
    if (e == EL_RESPONSE)
        begin_response(w);
    if (e == EL_PROPSTAT) {
        clear_values(&w->prop);
        w->status_ok = false;
    }
    if (e == EL_COLLECTION)
        w->prop.folder = true;
}

static void on_text(void *arg, const XML_Char *s, int len)
{
    struct webdav *w = arg;
    if (w->err != 0 || w->stack[w->depth] < EL_HREF)
        return;
    if (w->text.len + (size_t)len > WEBDAV_TEXT_MAX) {
        fail(w, -EBADMSG, "a value over 64 KiB");
        return;
    }
    buf_add(&w->text, s, (size_t)len);
    if (w->text.err != 0)
        fail(w, -ENOMEM, "out of memory");
}

static bool status_is_ok(const char *s, size_t len)
{
    davtext_trim(&s, &len);
    const char *blank = memchr(s, ' ', len);
    size_t left = blank == NULL ? 0 : len - (size_t)(blank - s);
    return left >= 4 && memcmp(blank, " 200", 4) == 0 && (left == 4 || blank[4] == ' ');
}

static void take_length(struct values *v, const char *s, size_t len)
{
    davtext_trim(&s, &len);
    v->sized = str_u64(s, len, &v->size) == 0;
    v->bad_size = !v->sized;
}

static void take_value(struct webdav *w, enum element e)
{
    const char *s = w->text.len == 0 ? "" : w->text.data;
    size_t len = w->text.len;
    if (e == EL_HREF && w->hrefs++ == 0)
        buf_add(&w->href, s, len);
    else if (e == EL_ERROR)
        w->failed = true;
    else if (e == EL_STATUS)
        w->status_ok = status_is_ok(s, len);
    else if (e == EL_LENGTH)
        take_length(&w->prop, s, len);
    else if (e == EL_MODIFIED)
        w->prop.mtime = davtext_date(s, len);
    else if (e == EL_ETAG)
        davtext_etag(s, len, w->prop.etag, sizeof(w->prop.etag));
    if (w->href.err != 0)
        fail(w, -ENOMEM, "out of memory");
}

static void end_propstat(struct webdav *w)
{
    const struct values *p = &w->prop;
    struct values *f = &w->found;
    if (!w->status_ok)
        return;
    w->any_ok = true;
    f->folder = f->folder || p->folder;
    f->bad_size = f->bad_size || p->bad_size;
    if (p->sized && !f->sized) {
        f->sized = true;
        f->size = p->size;
    }
    if (p->mtime >= 0)
        f->mtime = p->mtime;
    if (p->etag[0] != '\0')
        memcpy(f->etag, p->etag, sizeof(f->etag));
}

static void give_file(struct webdav *w, const char *name, size_t len)
{
    const struct values *f = &w->found;
    struct webdav_file file = {.name = name,
                               .name_len = len,
                               .size = f->sized && !f->bad_size ? f->size : UINT64_MAX,
                               .mtime = f->mtime,
                               .etag = f->etag};
    w->counts.bad_sizes += f->bad_size ? 1 : 0;
    int r = w->file == NULL ? 0 : w->file(w->arg, &file);
    if (r != 0)
        fail(w, r, "stopped");
}

static void end_response(struct webdav *w)
{
    const char *s = w->href.len == 0 ? "" : w->href.data, *name = "";
    size_t len = w->href.len, name_len = 0;
    davtext_trim(&s, &len);
    buf_clear(&w->path);
    enum davtext_place at = DAVTEXT_OUTSIDE;
    if (davtext_path(&w->path, s, len))
        at = davtext_place(w->folder.data, w->folder.len, w->path.data, w->path.len, &name,
                           &name_len);
    if (w->path.err != 0)
        fail(w, -ENOMEM, "out of memory");
    if (at == DAVTEXT_OUTSIDE)
        w->counts.refused++;
    bool folder = w->found.folder || (len > 0 && s[len - 1] == '/');
    if (at == DAVTEXT_CHILD && !folder && w->any_ok && !w->failed && w->hrefs == 1)
        give_file(w, name, name_len);
}

static void on_end(void *arg, const XML_Char *name)
{
    struct webdav *w = arg;
    (void)name;
    if (w->err != 0)
        return;
    enum element e = w->stack[w->depth--];
    if (e >= EL_HREF)
        take_value(w, e);
    else if (e == EL_PROPSTAT)
        end_propstat(w);
    else if (e == EL_RESPONSE)
        end_response(w);
}

struct webdav *webdav_create(const char *url, webdav_file_fn *file, void *arg)
{
    struct webdav *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    w->file = file;
    w->arg = arg;
    w->why = "";
    w->stack[0] = EL_DOCUMENT;
    w->parser = XML_ParserCreateNS(NULL, '|');
    if (w->parser == NULL || !davtext_path(&w->folder, url, strlen(url))) {
        webdav_destroy(&w);
        return NULL;
    }
    XML_SetUserData(w->parser, w);
    XML_SetElementHandler(w->parser, on_start, on_end);
    XML_SetCharacterDataHandler(w->parser, on_text);
    XML_SetNamespaceDeclHandler(w->parser, on_namespace, NULL);
    XML_SetStartDoctypeDeclHandler(w->parser, on_doctype);
    return w;
}

/* A tag, comment or the like that does not end is kept whole by expat. */
static bool token_too_long(const struct webdav *w)
{
    XML_Index at = XML_GetCurrentByteIndex(w->parser);
    return at >= 0 && w->fed - (uint64_t)at > WEBDAV_TEXT_MAX + CHUNK;
}

static int parse(struct webdav *w, const char *data, int len, int last)
{
    w->fed += (uint64_t)len;
    enum XML_Status status = XML_Parse(w->parser, data, len, last);
    if (status != XML_STATUS_OK)
        fail(w, XML_GetErrorCode(w->parser) == XML_ERROR_NO_MEMORY ? -ENOMEM : -EBADMSG,
             last ? "cut short" : "malformed XML");
    else if (!last && token_too_long(w))
        fail(w, -EBADMSG, "a tag over 64 KiB");
    return w->err;
}

int webdav_feed(struct webdav *w, const void *data, size_t len)
{
    const char *s = data;
    while (len > 0 && w->err == 0) {
        size_t n = len < CHUNK ? len : CHUNK;
        (void)parse(w, s, (int)n, 0);
        s += n;
        len -= n;
    }
    return w->err;
}

int webdav_end(struct webdav *w)
{
    if (w->err == 0)
        (void)parse(w, "", 0, 1);
    if (w->err == 0 && w->counts.entries > 0 && w->counts.refused == w->counts.entries)
        fail(w, -EBADMSG, "it is about another folder");
    return w->err;
}

struct webdav_counts webdav_counts(const struct webdav *w)
{
    return w->counts;
}

const char *webdav_why(const struct webdav *w)
{
    return w->why;
}

void webdav_destroy(struct webdav **wp)
{
    struct webdav *w = *wp;
    *wp = NULL;
    if (w == NULL)
        return;
    if (w->parser != NULL)
        XML_ParserFree(w->parser);
    buf_free(&w->folder);
    buf_free(&w->text);
    buf_free(&w->href);
    buf_free(&w->path);
    free(w);
}
