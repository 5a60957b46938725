/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/runs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const time_us tell_soon = TIME_S(1), tell_late = TIME_S(5),
                     keep_ended = TIME_S(600), keep_untold = TIME_S(60),
                     keep_each = TIME_MS(100);

static void row_free(struct run_row *row)
{
    if (row)
        free(row->note.user);
    free(row);
}

void runs_release(struct runs *r)
{
    for (size_t i = 0; i < r->n; i++)
        row_free(r->rows[i]);
    free(r->rows);
    *r = (struct runs){ .rows = NULL };
}

/* The first that is not before this one. */
static size_t place_of(const struct runs *r, const struct run_id *run)
{
    size_t lo = 0, hi = r->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (memcmp(r->rows[mid]->note.run.bytes, run->bytes, RUN_ID_SIZE) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct run_row *runs_find(const struct runs *r, const struct run_id *run)
{
    size_t i = place_of(r, run);

    return i < r->n && run_id_equal(&r->rows[i]->note.run, run) ? r->rows[i] : NULL;
}

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static bool is_final(const struct run_note *n)
{
    return n->is_ended && !n->is_tentative;
}

int run_note_compare(const struct run_note *a, const struct run_note *b)
{
    int order = compare(is_final(a), is_final(b));

    if (!order)
        order = compare(a->generation, b->generation);
    if (!order)
        order = compare(a->ballot, b->ballot);
    return order ? order : compare(a->seq, b->seq);
}

static int row_set(struct run_row *row, const struct run_note *note, time_us now)
{
    char *user = strdup(note->user ? note->user : "");

    if (!user)
        return -ENOMEM;
    free(row->note.user);
    row->note = *note;
    row->note.user = user;
    row->heard = now;
    return 0;
}

static void remove_at(struct runs *r, size_t i)
{
    row_free(r->rows[i]);
    r->n--;
    memmove(&r->rows[i], &r->rows[i + 1], (r->n - i) * sizeof(struct run_row *));
}

/* One that ended, if there is one, else the one heard of least lately. */
static void make_room(struct runs *r)
{
    size_t worst = 0;

    for (size_t i = 1; i < r->n; i++) {
        const struct run_row *a = r->rows[i], *b = r->rows[worst];

        if (a->note.is_ended != b->note.is_ended ? a->note.is_ended
                                                 : a->heard < b->heard)
            worst = i;
    }
    remove_at(r, worst);
}

static int insert(struct runs *r, struct run_row *row)
{
    size_t i;

    if (r->n == RUNS_MAX)
        make_room(r);
    if (r->n == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 8;
        struct run_row **rows = realloc(r->rows, cap * sizeof(struct run_row *));

        if (!rows)
            return -ENOMEM;
        r->rows = rows;
        r->cap = cap;
    }
    i = place_of(r, &row->note.run);
    memmove(&r->rows[i + 1], &r->rows[i], (r->n - i) * sizeof(struct run_row *));
    r->rows[i] = row;
    r->n++;
    return 0;
}

int runs_learn(struct runs *r, const struct run_note *note, time_us now,
               struct run_row **ret_row)
{
    struct run_row *row = runs_find(r, &note->run), *made = NULL;
    int error;

    *ret_row = NULL;
    if (row && run_note_compare(note, &row->note) <= 0)
        return 0;
    if (!row) {
        row = made = calloc(1, sizeof(*made));
        if (!made)
            return -ENOMEM;
    }
    error = row_set(row, note, now);
    if (error == 0 && made)
        error = insert(r, made);
    if (error < 0) {
        row_free(made);
        return error;
    }
    row->is_own = false;
    *ret_row = row;
    return 0;
}

static bool is_other(const struct run_note *a, const struct run_note *b)
{
    return !node_id_equal(&a->leader, &b->leader) || a->generation != b->generation
           || a->ballot != b->ballot || a->is_tentative != b->is_tentative
           || a->is_ended != b->is_ended || a->number != b->number
           || a->weight != b->weight || a->n_homes != b->n_homes
           || memcmp(a->homes, b->homes, sizeof(a->homes)) != 0;
}

bool run_is_urgent(const struct run_row *row, const struct run_note *before,
                   time_us now)
{
    uint64_t is = row->note.n_ready, was = row->told_ready;
    uint64_t change = is > was ? is - was : was - is;

    if (is_other(&row->note, before) || (is == 0) != (was == 0))
        return true;
    return change >= was / 10 && change > 0 && now - row->told >= tell_soon;
}

bool run_is_due(const struct run_row *row, time_us now)
{
    return row->is_own && row->is_waiting && now - row->told >= tell_late;
}

/* The more there are, the longer it takes to say them all again. */
void runs_sweep(struct runs *r, time_us now)
{
    time_us extra = r->n * keep_each;

    for (size_t i = r->n; i-- > 0;) {
        const struct run_row *row = r->rows[i];

        if (now - row->heard >= extra + (row->note.is_ended ? keep_ended : keep_untold))
            remove_at(r, i);
    }
}
