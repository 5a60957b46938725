/* SPDX-License-Identifier: Apache-2.0 */
#include "node/record_range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ENTRY_OVERHEAD = 32 }; /* of a message, about */

void record_range_release(struct record_range *r)
{
    for (size_t i = 0; i < r->n; i++)
        free(r->entries[i].key); /* the value stands behind it */
    free(r->entries);
    *r = (struct record_range){ .entries = NULL };
}

bool record_range_is_of_run(const void *prefix, size_t len, const struct run_id *run)
{
    const uint8_t *bytes = prefix;

    return len > RUN_ID_SIZE && memchr("aemr", bytes[0], 4)
           && memcmp(bytes + 1, run->bytes, RUN_ID_SIZE) == 0;
}

static int grow(struct record_range *r)
{
    size_t cap = r->cap ? 2 * r->cap : 16;
    struct log_entry *entries = realloc(r->entries, cap * sizeof(*entries));

    if (!entries)
        return -ENOMEM;
    r->entries = entries;
    r->cap = cap;
    return 0;
}

struct reading {
    struct record_range *range;
    size_t bytes_max;
};

/* 1: it is full. */
static int add(void *arg, struct span key, struct span value)
{
    const struct reading *reading = arg;
    struct record_range *r = reading->range;
    size_t bytes = key.len + value.len + ENTRY_OVERHEAD;
    uint8_t *copy;

    if (r->n && (r->bytes + bytes > reading->bytes_max || r->n == MESSAGE_ITEMS_MAX)) {
        r->has_more = true;
        return 1;
    }
    if (r->n == r->cap && grow(r) < 0)
        return -ENOMEM;
    copy = malloc(key.len + value.len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, key.data, key.len);
    if (value.len)
        memcpy(copy + key.len, value.data, value.len);
    r->entries[r->n++] = (struct log_entry){
        .key = copy, .key_len = key.len, .value = copy + key.len, .value_len = value.len
    };
    r->bytes += bytes;
    return 0;
}

int record_range_read(struct writer *w, struct span prefix, struct span from,
                      size_t bytes_max, struct record_range *ret)
{
    struct reading reading = { .range = ret, .bytes_max = bytes_max };
    int r = writer_scan(w, STORE_RECORDS, prefix, from, add, &reading);

    return r < 0 ? r : 0;
}
