/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/run_merge.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

struct merged {
    json_t *run;
    const char *id;
    uint64_t number;
    unsigned place; /* in the order in which they came: the first of equals wins */
};

struct run_merge {
    size_t limit;
    struct merged *all;
    size_t n, cap;
    json_t **pages; /* what `all` points into */
    size_t n_pages;
    uint64_t floor; /* runs of smaller numbers are not shown yet; 0: all are */
};

struct run_merge *run_merge_new(size_t limit)
{
    struct run_merge *m = calloc(1, sizeof(*m));

    if (m)
        m->limit = limit;
    return m;
}

void run_merge_free(struct run_merge *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_pages; i++)
        json_decref(m->pages[i]);
    free(m->pages);
    free(m->all);
    free(m);
}

static int reserve(struct run_merge *m, size_t n)
{
    struct merged *all = realloc(m->all, (m->n + n + 1) * sizeof(*all));
    json_t **pages;

    if (!all)
        return -ENOMEM;
    m->all = all;
    pages = realloc(m->pages, (m->n_pages + 1) * sizeof(json_t *));
    if (!pages)
        return -ENOMEM;
    m->pages = pages;
    return 0;
}

static bool is_page(const json_t *page)
{
    const json_t *runs = json_object_get(page, "runs"), *run;
    size_t i;

    if (!json_is_array(runs))
        return false;
    json_array_foreach(runs, i,
                       run) if (!json_is_string(json_object_get(run, "run"))
                                || !json_is_integer(json_object_get(run, "number"))
                                || !json_is_string(
                                    json_object_get(run, "state"))) return false;
    return true;
}

/* Where this node stopped. */
static void raise_floor(struct run_merge *m, const json_t *page)
{
    const char *before = json_string_value(json_object_get(page, "before"));
    uint64_t number = before ? strtoull(before, NULL, 10) : 0;

    if (number > m->floor)
        m->floor = number;
}

int run_merge_add(struct run_merge *m, const char *text, size_t len)
{
    json_t *page = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    json_t *runs = json_object_get(page, "runs"), *run;
    size_t i;

    if (!is_page(page)) {
        json_decref(page);
        return -EBADMSG;
    }
    if (reserve(m, json_array_size(runs)) < 0) {
        json_decref(page);
        return -ENOMEM;
    }
    json_array_foreach(runs, i, run) m->all[m->n++] = (struct merged){
        .run = run,
        .id = json_string_value(json_object_get(run, "run")),
        .number = (uint64_t)json_integer_value(json_object_get(run, "number")),
        .place = (unsigned)m->n_pages,
    };
    m->pages[m->n_pages++] = page;
    raise_floor(m, page);
    return 0;
}

static int rank(const json_t *run)
{
    const char *state = json_string_value(json_object_get(run, "state"));

    if (strcmp(state, "ended") == 0)
        return 0;
    /* Only who leads it counts its tasks. */
    if (json_integer_value(json_object_get(json_object_get(run, "tasks"), "running")))
        return 1;
    return strcmp(state, "interrupted") == 0 ? 3 : 2;
}

static int by_id(const void *a, const void *b)
{
    const struct merged *x = a, *y = b;
    int c = strcmp(x->id, y->id);

    if (c == 0)
        c = rank(x->run) - rank(y->run);
    return c ? c : (x->place > y->place) - (x->place < y->place);
}

/* A run that has no number yet is the newest of all. */
static int newest_first(const void *a, const void *b)
{
    const struct merged *x = a, *y = b;

    if ((x->number == 0) != (y->number == 0))
        return x->number == 0 ? -1 : 1;
    if (x->number != y->number)
        return x->number > y->number ? -1 : 1;
    return strcmp(x->id, y->id);
}

static void keep_best(struct run_merge *m)
{
    size_t n = 0;

    qsort(m->all, m->n, sizeof(*m->all), by_id);
    for (size_t i = 0; i < m->n; i++)
        if (n == 0 || strcmp(m->all[n - 1].id, m->all[i].id) != 0)
            m->all[n++] = m->all[i];
    m->n = n;
    qsort(m->all, m->n, sizeof(*m->all), newest_first);
}

int run_merge_write(struct run_merge *m, struct buffer *out)
{
    size_t n = 0, shown = 0;
    uint64_t before = m->floor;

    keep_best(m);
    buffer_puts(out, "\"runs\":[");
    for (; n < m->n && shown < m->limit; n++) {
        CLEANUP(freep) char *text = NULL;

        if (m->all[n].number && m->all[n].number < m->floor)
            break;
        text = json_dumps(m->all[n].run, JSON_COMPACT);
        if (!text)
            return -ENOMEM;
        buffer_printf(out, "%s", shown++ ? "," : "");
        buffer_puts(out, text);
    }
    if (n < m->n && n > 0 && m->all[n - 1].number > before)
        before = m->all[n - 1].number;
    if (before)
        buffer_printf(out, "],\"before\":\"%" PRIu64 "\"", before);
    else
        buffer_puts(out, "],\"before\":null");
    return buffer_failed(out);
}
