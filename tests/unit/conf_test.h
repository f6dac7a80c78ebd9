/* A private home for tests of conf/: its folder, its environment, files in it. */
#ifndef TESTS_UNIT_CONF_TEST_H
#define TESTS_UNIT_CONF_TEST_H

#include "base/fsio.h"
#include "conf/conf.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

struct home {
    char dir[64]; /* also the working folder, $XDG_CONFIG_HOME and $XDG_CACHE_HOME */
    struct conf *conf;
    struct err e;
};

static inline int home_begin(void **state)
{
    struct home *h = calloc(1, sizeof(*h));
    assert_non_null(h);
    (void)snprintf(h->dir, sizeof(h->dir), "/tmp/conf-test-XXXXXX");
    assert_non_null(mkdtemp(h->dir));
    assert_int_equal(chdir(h->dir), 0);
    assert_int_equal(setenv("XDG_CONFIG_HOME", h->dir, 1), 0);
    assert_int_equal(setenv("XDG_CACHE_HOME", h->dir, 1), 0);
    assert_int_equal(setenv("HOME", h->dir, 1), 0);
    assert_int_equal(unsetenv("MEDSHAPEFS_CONFIG"), 0);
    *state = h;
    return 0;
}

static inline int home_end(void **state)
{
    struct home *h = *state;
    conf_free(h->conf);
    (void)chdir("/");
    (void)fsio_remove_tree(h->dir);
    free(h);
    return 0;
}

#define home_test(f) cmocka_unit_test_setup_teardown(f, home_begin, home_end)

/* Writes a file below the home, with its folders. */
static inline void home_write(struct home *h, const char *name, const char *text)
{
    char path[PATH_MAX], folder[PATH_MAX];
    (void)snprintf(path, sizeof(path), "%s/%s", h->dir, name);
    (void)snprintf(folder, sizeof(folder), "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(fsio_mkdirs(folder, 0755), 0);
    assert_int_equal(fsio_write_file(path, text, strlen(text)), 0);
}

/* conf_load() with a fresh error; the result is in h->conf. */
static inline int home_load(struct home *h, const char *config, const char *options)
{
    conf_free(h->conf);
    memset(&h->e, 0, sizeof(h->e));
    int rc = conf_load(config, options, &h->conf, &h->e);
    assert_int_equal(rc == 0, h->conf != NULL);
    assert_int_equal(rc == 0, h->e.text[0] == '\0');
    return rc;
}

/* Loads that text as c.json. */
static inline int home_load_text(struct home *h, const char *text)
{
    home_write(h, "c.json", text);
    return home_load(h, "c.json", NULL);
}

/* The text is refused with exactly that message (after "c.json:"). */
static inline void home_refuses(struct home *h, const char *text, const char *message)
{
    assert_int_equal(home_load_text(h, text), -EBADMSG);
    assert_int_equal(strncmp(h->e.text, "c.json:", 7), 0);
    assert_string_equal(h->e.text + 7, message);
}

#endif
