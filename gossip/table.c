/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MIN = 8 };

static const uint8_t no_id[TABLE_ID_SIZE];

static uint8_t *row_at(const struct table *t, size_t i)
{
    return t->rows + i * t->row_size;
}

static bool is_free(const uint8_t *row)
{
    return memcmp(row, no_id, TABLE_ID_SIZE) == 0;
}

/* Ids are digests, or begin with the time: mixed, so that neither fills one corner. */
static size_t place_of(const struct table *t, const void *id)
{
    uint64_t halves[2];

    memcpy(halves, id, sizeof(halves));
    halves[0] = (halves[0] ^ (halves[1] >> 7)) * 0x9e3779b97f4a7c15u + halves[1];
    halves[0] = (halves[0] ^ (halves[0] >> 31)) * 0xbf58476d1ce4e5b9u;
    return (size_t)(halves[0] >> 20) & (t->cap - 1);
}

void node_table_release(struct table *t)
{
    free(t->rows);
    *t = (struct table){ .row_size = t->row_size };
}

static uint8_t *probe(const struct table *t, const void *id)
{
    size_t i = place_of(t, id);

    while (!is_free(row_at(t, i)) && memcmp(row_at(t, i), id, TABLE_ID_SIZE) != 0)
        i = (i + 1) & (t->cap - 1);
    return row_at(t, i);
}

void *node_table_find(const struct table *t, const void *id)
{
    uint8_t *row;

    if (t->n == 0)
        return NULL;
    row = probe(t, id);
    return is_free(row) ? NULL : row;
}

static bool grow(struct table *t)
{
    struct table bigger = { .row_size = t->row_size,
                            .n = t->n,
                            .cap = t->cap ? 2 * t->cap : ROWS_MIN };

    bigger.rows = calloc(bigger.cap, bigger.row_size);
    if (!bigger.rows)
        return false;
    for (const void *row = NULL; (row = node_table_next(t, row));)
        memcpy(probe(&bigger, row), row, t->row_size);
    free(t->rows);
    *t = bigger;
    return true;
}

void *node_table_add(struct table *t, const void *id)
{
    uint8_t *row = node_table_find(t, id);

    assert(memcmp(id, no_id, TABLE_ID_SIZE) != 0);
    if (row)
        return row;
    if (4 * (t->n + 1) > 3 * t->cap && !grow(t))
        return NULL;
    row = probe(t, id);
    memcpy(row, id, TABLE_ID_SIZE);
    t->n++;
    return row;
}

/* Rows behind the gap move into it when that brings them nearer to their place. */
void node_table_remove(struct table *t, const void *id)
{
    uint8_t *row = node_table_find(t, id);
    size_t mask = t->cap - 1, gap;

    if (!row)
        return;
    gap = (size_t)(row - t->rows) / t->row_size;
    for (size_t i = (gap + 1) & mask; !is_free(row_at(t, i)); i = (i + 1) & mask) {
        if (((i - place_of(t, row_at(t, i))) & mask) < ((i - gap) & mask))
            continue;
        memcpy(row_at(t, gap), row_at(t, i), t->row_size);
        gap = i;
    }
    memset(row_at(t, gap), 0, t->row_size);
    t->n--;
}

void *node_table_next(const struct table *t, const void *row)
{
    size_t i = row ? (size_t)((const uint8_t *)row - t->rows) / t->row_size + 1 : 0;

    for (; i < t->cap; i++)
        if (!is_free(row_at(t, i)))
            return row_at(t, i);
    return NULL;
}
