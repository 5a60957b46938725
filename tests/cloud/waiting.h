/* SPDX-License-Identifier: Apache-2.0 */
/* waiting - the loop turned until what a test asked for has come. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "cloud/object_store.h"

/* It has a macro called fail. */
#include <cmocka.h>

/* What the last operation came to. */
struct waiting {
    uv_loop_t *loop;
    bool is_over;
    int status;
    struct error error;
    struct object_about about;
    struct buffer text; /* of a get: the bytes; of a list: a line a name */
    char next[OBJECT_NAME_MAX + 1];
    char upload[OBJECT_UPLOAD_MAX];
    struct object_part part, parts[64];
    size_t n_parts;
};

static inline void waiting_done(void *arg, int status, const struct object_about *about,
                                const struct error *error)
{
    struct waiting *w = arg;

    w->is_over = true;
    w->status = status;
    if (about)
        w->about = *about;
    if (error)
        w->error = *error;
}

static inline int waiting_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct waiting *w = arg;

    assert_int_equal(offset, w->text.len);
    return buffer_append(&w->text, data, len);
}

static inline void waiting_listed(void *arg, int status,
                                  const struct object_entry *entries, size_t n,
                                  const char *next, const struct error *error)
{
    struct waiting *w = arg;

    waiting_done(w, status, NULL, error);
    for (size_t i = 0; i < n; i++)
        buffer_printf(&w->text, "%s\n", entries[i].name);
    snprintf(w->next, sizeof(w->next), "%s", next ? next : "");
}

static inline void waiting_uploaded(void *arg, int status,
                                    const struct object_uploaded *u,
                                    const struct error *error)
{
    struct waiting *w = arg;

    waiting_done(w, status, u ? &u->about : NULL, error);
    if (!u)
        return;
    snprintf(w->upload, sizeof(w->upload), "%s", u->upload ? u->upload : "");
    w->part = u->part;
    w->n_parts = u->n_parts;
    assert_true(u->n_parts <= 64);
    for (size_t i = 0; i < u->n_parts; i++)
        w->parts[i] = u->parts[i];
}

static inline void waiting_begin(struct waiting *w)
{
    w->is_over = false;
    w->error.text[0] = '\0';
    buffer_clear(&w->text);
}

static inline int waiting_end(struct waiting *w, int started)
{
    assert_int_equal(started, 0);
    assert_false(w->is_over); /* never before the function returned */
    while (!w->is_over)
        assert_true(uv_run(w->loop, UV_RUN_ONCE) || w->is_over);
    return w->status;
}
