/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/linear.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

enum { WORDS = LINEAR_OPS_MAX / 64 };

struct state {
    uint64_t done[WORDS]; /* a set of operations */
    bool has_value;
    uint64_t value;
};

struct search {
    const struct linear_op *ops;
    size_t n, n_open; /* answered, and not in the set */
    struct state now;
    struct state *tried; /* a hash table; an empty set marks a free place */
    size_t n_tried, cap_tried;
    int error;
};

static void search_release(struct search *s)
{
    free(s->tried);
}

/* ---- what was tried ---- */

static uint64_t state_hash(const struct state *s)
{
    uint64_t hash = s->has_value ? s->value : ~s->value;

    for (size_t i = 0; i < WORDS; i++)
        hash = (hash ^ s->done[i] ^ hash >> 29) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static bool state_equal(const struct state *a, const struct state *b)
{
    return memcmp(a->done, b->done, sizeof(a->done)) == 0
           && a->has_value == b->has_value && a->value == b->value;
}

static bool is_free(const struct state *s)
{
    static const uint64_t none[WORDS];

    return memcmp(s->done, none, sizeof(none)) == 0;
}

static struct state *place_of(struct state *table, size_t cap, const struct state *s)
{
    size_t at = state_hash(s) & (cap - 1);

    while (!is_free(&table[at]) && !state_equal(&table[at], s))
        at = (at + 1) & (cap - 1);
    return &table[at];
}

static int grow(struct search *s)
{
    size_t cap = s->cap_tried ? 2 * s->cap_tried : 1024;
    struct state *table;

    if (2 * s->n_tried < s->cap_tried)
        return 0;
    if (s->n_tried >= LINEAR_STATES_MAX)
        return -E2BIG;
    table = calloc(cap, sizeof(*table));
    if (!table)
        return -ENOMEM;
    for (size_t i = 0; i < s->cap_tried; i++)
        if (!is_free(&s->tried[i]))
            *place_of(table, cap, &s->tried[i]) = s->tried[i];
    free(s->tried);
    s->tried = table;
    s->cap_tried = cap;
    return 0;
}

/* False: it was tried before, or there is an error. */
static bool is_new(struct search *s)
{
    struct state *place;

    s->error = grow(s);
    if (s->error < 0)
        return false;
    place = place_of(s->tried, s->cap_tried, &s->now);
    if (!is_free(place))
        return false;
    *place = s->now;
    s->n_tried++;
    return true;
}

/* ---- the register ---- */

static bool matches(const struct state *s, const struct linear_op *op)
{
    return s->has_value == op->has_expected
           && (!s->has_value || s->value == op->expected);
}

/* False: with this value it would have been answered otherwise. */
static bool apply(struct state *s, const struct linear_op *op)
{
    uint64_t sum = (s->has_value ? s->value : 0) + op->value;

    switch (op->type) {
    case LINEAR_READ:
        return op->end && s->has_value == op->has_found
               && (!s->has_value || s->value == op->found);
    case LINEAR_ADD:
        if (op->end && sum != op->found)
            return false;
        s->has_value = true;
        s->value = sum;
        return true;
    case LINEAR_SWAP:
        if (matches(s, op) == op->is_refused)
            return false;
        if (!op->is_refused) {
            s->has_value = true;
            s->value = op->value;
        }
        return true;
    }
    return false;
}

static bool is_done(const struct search *s, size_t i)
{
    return s->now.done[i / 64] >> i % 64 & 1;
}

/* Whatever began after this cannot be next. */
static uint64_t first_end(const struct search *s)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < s->n; i++)
        if (s->ops[i].end && s->ops[i].end < first && !is_done(s, i))
            first = s->ops[i].end;
    return first;
}

static bool can_go_on(struct search *s)
{
    struct state before = s->now;
    uint64_t first = first_end(s);

    if (!s->n_open)
        return true;
    for (size_t i = 0; i < s->n && !s->error; i++) {
        const struct linear_op *op = &s->ops[i];

        if (is_done(s, i) || op->begin > first || !apply(&s->now, op))
            continue;
        s->now.done[i / 64] |= (uint64_t)1 << i % 64;
        s->n_open -= op->end != 0;
        if (is_new(s) && can_go_on(s))
            return true;
        s->n_open += op->end != 0;
        s->now = before;
    }
    return false;
}

int linear_check(const struct linear_op *ops, size_t n)
{
    CLEANUP(search_release) struct search s = { .ops = ops, .n = n };

    if (n > LINEAR_OPS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < n; i++)
        s.n_open += ops[i].end != 0;
    if (can_go_on(&s))
        return 0;
    return s.error ? s.error : -EILSEQ;
}
