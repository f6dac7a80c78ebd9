/* JSON through cJSON; the only place that knows cJSON. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

struct json; /* one value; owned by the root that json_parse() or json_new_*() gave */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Parses a whole text (nothing but white space may follow). NULL on a syntax error, and then *line
 * is where it is (1-based; may be NULL). The caller frees the root with json_free(). */
struct json *json_parse(const char *text, size_t len, unsigned *line);

/* Frees a root; NULL is fine. */
void json_free(struct json *root);

/* The type of a value; JSON_NULL for NULL. */
enum json_type json_type(const struct json *v);

/* A member of an object by its exact name; NULL where there is none or `v` is no object. */
const struct json *json_get(const struct json *v, const char *name);

/* First child of an array or object, and the next one after `child`; NULL at the end. */
const struct json *json_first(const struct json *v);
/* The sibling after `child`; NULL at the end. */
const struct json *json_next(const struct json *child);

/* The member name of a child of an object; "" in an array. Lives as long as the root. */
const char *json_name(const struct json *child);

/* The text of a string, else `otherwise`. Lives as long as the root. */
const char *json_string(const struct json *v, const char *otherwise);

/* The value of a boolean, else `otherwise`. */
bool json_bool(const struct json *v, bool otherwise);

/* An exact integer from 0 to 2^53; false where it is none. */
bool json_u64(const struct json *v, uint64_t *value);

/* Appends `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. For
 * writers of JSON text. */
void json_quote(struct buf *out, const char *text, size_t len);

#endif
