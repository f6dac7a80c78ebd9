#include "base/json.h"

#include "base/str.h"

#include <cjson/cJSON.h>
#include <string.h>

/* struct json is cJSON under another name, so that no other file needs cJSON's header. */
static const cJSON *item(const struct json *v)
{
    return (const cJSON *)(const void *)v;
}

static const struct json *value(const cJSON *v)
{
    return (const struct json *)(const void *)v;
}

static unsigned line_of(const char *text, const char *at, const char *end)
{
    unsigned line = 1;
    for (const char *p = text; p < at && p < end; p++)
        line += *p == '\n';
    return line;
}

struct json *json_parse(const char *text, size_t len, unsigned *line)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, 0);
    const char *stop = end != NULL ? end : text;
    while (root != NULL && stop < text + len && strchr(" \t\r\n", *stop) != NULL && *stop != '\0')
        stop++;
    if (root != NULL && stop < text + len) {
        cJSON_Delete(root);
        root = NULL;
    }
    if (root == NULL && line != NULL)
        *line = line_of(text, stop, text + len);
    return (struct json *)(void *)root;
}

void json_free(struct json *root)
{
    cJSON_Delete((cJSON *)(void *)root);
}

enum json_type json_type(const struct json *v)
{
    const cJSON *i = item(v);
    if (cJSON_IsBool(i))
        return JSON_BOOL;
    if (cJSON_IsNumber(i))
        return JSON_NUMBER;
    if (cJSON_IsString(i))
        return JSON_STRING;
    if (cJSON_IsArray(i))
        return JSON_ARRAY;
    return cJSON_IsObject(i) ? JSON_OBJECT : JSON_NULL;
}

const struct json *json_get(const struct json *v, const char *name)
{
    return cJSON_IsObject(item(v)) ? value(cJSON_GetObjectItemCaseSensitive(item(v), name)) : NULL;
}

const struct json *json_first(const struct json *v)
{
    return v != NULL ? value(item(v)->child) : NULL;
}

const struct json *json_next(const struct json *child)
{
    return child != NULL ? value(item(child)->next) : NULL;
}

const char *json_name(const struct json *child)
{
    return child != NULL && item(child)->string != NULL ? item(child)->string : "";
}

const char *json_string(const struct json *v, const char *otherwise)
{
    return cJSON_IsString(item(v)) ? item(v)->valuestring : otherwise;
}

bool json_bool(const struct json *v, bool otherwise)
{
    return cJSON_IsBool(item(v)) ? cJSON_IsTrue(item(v)) : otherwise;
}

bool json_u64(const struct json *v, uint64_t *out)
{
    if (!cJSON_IsNumber(item(v)))
        return false;
    double d = item(v)->valuedouble;
    if (!(d >= 0 && d <= 9007199254740992.0) || d != (double)(uint64_t)d)
        return false;
    *out = (uint64_t)d;
    return true;
}

static void quote_byte(struct buf *out, char c)
{
    unsigned char u = (unsigned char)c;
    if (c == '"' || c == '\\') {
        char raw[2] = {'\\', c};
        buf_add(out, raw, 2);
    } else if (c == '\n') {
        buf_str(out, "\\n");
    } else if (u < 0x20 || u == 0x7F) {
        buf_fmt(out, "\\u%04x", u);
    } else {
        buf_add(out, &c, 1);
    }
}

void json_quote(struct buf *out, const char *text, size_t len)
{
    bool clean = str_is_utf8(text, len);
    buf_str(out, "\"");
    for (size_t i = 0; i < len; i++) {
        if (!clean && (unsigned char)text[i] >= 0x80)
            buf_str(out, "\\ufffd");
        else
            quote_byte(out, text[i]);
    }
    buf_str(out, "\"");
}
