/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/mesh_story_disk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

static void *copy(const void *data, size_t len)
{
    void *bytes = malloc(len + 1);

    assert(bytes);
    if (len)
        memcpy(bytes, data, len);
    return bytes;
}

static void free_row(struct disk_row *r)
{
    free(r->key);
    free(r->value);
}

void disk_map_release(struct disk_map *d)
{
    for (size_t i = 0; i < d->n; i++)
        free_row(&d->rows[i]);
    free(d->rows);
    *d = (struct disk_map){ .rows = NULL };
}

static int compare(const struct disk_row *r, const void *key, size_t len)
{
    int order = memcmp(r->key, key, min_size(r->key_len, len));

    return order ? order : (r->key_len > len) - (r->key_len < len);
}

size_t disk_map_find(const struct disk_map *d, const void *key, size_t len)
{
    size_t lo = 0, hi = d->n;

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (compare(&d->rows[mid], key, len) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

const struct disk_row *disk_map_get(const struct disk_map *d, const void *key,
                                    size_t len)
{
    size_t i = disk_map_find(d, key, len);

    return i < d->n && compare(&d->rows[i], key, len) == 0 ? &d->rows[i] : NULL;
}

bool disk_row_begins(const struct disk_row *r, const void *prefix, size_t len)
{
    return r->key_len >= len && memcmp(r->key, prefix, len) == 0;
}

static void insert(struct disk_map *d, size_t i, const struct disk_row *row)
{
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 64;
        d->rows = realloc(d->rows, d->cap * sizeof(d->rows[0]));
        assert(d->rows);
    }
    if (i < d->n)
        memmove(&d->rows[i + 1], &d->rows[i], (d->n - i) * sizeof(d->rows[0]));
    d->n++;
    d->rows[i] = (struct disk_row){ .key = copy(row->key, row->key_len),
                                    .value = copy(row->value, row->value_len),
                                    .key_len = row->key_len,
                                    .value_len = row->value_len };
}

static void remove_rows(struct disk_map *d, size_t from, size_t to)
{
    if (from == to)
        return;
    for (size_t i = from; i < to; i++)
        free_row(&d->rows[i]);
    memmove(&d->rows[from], &d->rows[to], (d->n - to) * sizeof(d->rows[0]));
    d->n -= to - from;
}

void disk_map_apply(struct disk_map *d, const struct disk_write *w)
{
    size_t i = disk_map_find(d, w->row.key, w->row.key_len), to = i;
    bool is_there = i < d->n && compare(&d->rows[i], w->row.key, w->row.key_len) == 0;

    if (w->is_range) {
        while (to < d->n && disk_row_begins(&d->rows[to], w->row.key, w->row.key_len))
            to++;
        remove_rows(d, i, to);
        return;
    }
    if (is_there)
        remove_rows(d, i, i + 1);
    if (!w->is_delete)
        insert(d, i, &w->row);
}

void disk_map_copy(const struct disk_map *from, struct disk_map *to)
{
    disk_map_release(to);
    for (size_t i = 0; i < from->n; i++)
        insert(to, i, &from->rows[i]);
}
