#include "catalog/registry_i.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLASSIFY_MAX_RULES = 1000,
    CLASSIFY_MAX_NAME = 1024,   /* a longer name is of no dataset that has rules */
    CLASSIFY_MAX_STEPS = 10000, /* backtracks; the built-in rules need less than ten */
    CLASSIFY_MAX_HEAP_KIB = 256,
    CLASSIFY_MAX_PATTERN = 2000,
};

struct rule {
    struct registry_rule spec;
    size_t number; /* in the order of adding */
    pcre2_code *code;
    uint32_t subject, spelling; /* groups, 0: none */
};

struct classifier {
    struct rule *rules;
    size_t count;
    pcre2_match_context *limits;
    uint32_t pairs; /* of offsets that the largest pattern gives */
};

struct classifier *classifier_new(void)
{
    struct classifier *c = calloc(1, sizeof(*c));
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (c == NULL || limits == NULL) {
        free(c);
        pcre2_match_context_free(limits);
        return NULL;
    }
    (void)pcre2_set_match_limit(limits, CLASSIFY_MAX_STEPS);
    (void)pcre2_set_heap_limit(limits, CLASSIFY_MAX_HEAP_KIB);
    c->limits = limits;
    c->pairs = 1;
    return c;
}

void classifier_free(struct classifier *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        pcre2_code_free(c->rules[i].code);
    pcre2_match_context_free(c->limits);
    free(c->rules);
    free(c);
}

static pcre2_code *compile(const char *pattern, struct err *e)
{
    int number = 0;
    PCRE2_SIZE at = 0;
    size_t len = strlen(pattern);
    if (len > CLASSIFY_MAX_PATTERN) {
        (void)err_set(e, -EINVAL, "the pattern is too long (at most %d bytes)",
                      CLASSIFY_MAX_PATTERN);
        return NULL;
    }
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, len,
                                     PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_UTF | PCRE2_NEVER_UCP |
                                         PCRE2_NEVER_BACKSLASH_C,
                                     &number, &at, NULL);
    if (code == NULL) {
        PCRE2_UCHAR why[160] = "";
        (void)pcre2_get_error_message(number, why, sizeof(why));
        (void)err_set(e, -EINVAL, "%s at byte %zu (a PCRE2 regular expression is wanted)",
                      (const char *)why, (size_t)at + 1);
    }
    return code;
}

/* The number of a named group, 0 where the pattern has none of that name or several. */
static uint32_t group(const pcre2_code *code, const char *name)
{
    int n = pcre2_substring_number_from_name(code, (PCRE2_SPTR)name);
    return n > 0 ? (uint32_t)n : 0;
}

int classifier_add(struct classifier *c, const struct registry_rule *rule, struct err *e)
{
    if (c->count == CLASSIFY_MAX_RULES)
        return err_set(e, -E2BIG, "too many rules (at most %d)", CLASSIFY_MAX_RULES);
    struct rule *rules = reallocarray(c->rules, c->count + 1, sizeof(rules[0]));
    if (rules == NULL)
        return err_set(e, -ENOMEM, "out of memory");
    c->rules = rules;
    struct rule *new = &rules[c->count];
    *new = (struct rule){.spec = *rule, .number = c->count, .code = compile(rule->pattern, e)};
    if (new->code == NULL)
        return -EINVAL;
    uint32_t groups = 0;
    (void)pcre2_pattern_info(new->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    (void)pcre2_jit_compile(new->code, PCRE2_JIT_COMPLETE);
    new->subject = group(new->code, "subject");
    new->spelling = group(new->code, "class");
    if (groups + 1 > c->pairs)
        c->pairs = groups + 1;
    c->count++;
    return 0;
}

static int compare_rules(const void *a, const void *b)
{
    const struct rule *x = a, *y = b;
    if (x->spec.order != y->spec.order)
        return x->spec.order < y->spec.order ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

void classifier_sort(struct classifier *c)
{
    if (c->count > 1)
        qsort(c->rules, c->count, sizeof(c->rules[0]), compare_rules);
}

static void take_group(const char *name, const PCRE2_SIZE *offsets, uint32_t number,
                       const char **text, size_t *len)
{
    PCRE2_SIZE begin = offsets[2 * number], end = offsets[2 * number + 1];
    bool found = number != 0 && begin != PCRE2_UNSET && begin <= end;
    *text = found ? name + begin : NULL;
    *len = found ? end - begin : 0;
}

bool classifier_match(const struct classifier *c, const char *name, size_t len, size_t dataset,
                      struct registry_match *out)
{
    pcre2_match_data *data =
        len <= CLASSIFY_MAX_NAME ? pcre2_match_data_create(c->pairs, NULL) : NULL;
    bool found = false;
    for (size_t i = 0; data != NULL && !found && i < c->count; i++) {
        const struct rule *rule = &c->rules[i];
        if (dataset != SIZE_MAX && rule->spec.dataset != dataset)
            continue;
        found = pcre2_match(rule->code, (PCRE2_SPTR)name, len, 0, 0, data, c->limits) > 0;
        if (!found)
            continue;
        const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(data);
        out->rule = &rule->spec;
        take_group(name, offsets, rule->subject, &out->subject, &out->subject_len);
        take_group(name, offsets, rule->spelling, &out->spelling, &out->spelling_len);
    }
    pcre2_match_data_free(data);
    return found;
}
