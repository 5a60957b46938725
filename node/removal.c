/* SPDX-License-Identifier: Apache-2.0 */
#include "node/removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 2048, MARK_KEY_SIZE = 1 + RUN_ID_SIZE };

/* Of runs that have no end, see runtime_store.c; and of those that are being removed.
 */
enum { MARK_UNFINISHED = 'u', MARK_REMOVED = 'd' };

static struct record_key mark_key(const struct run_id *run, char mark)
{
    struct record_key k = { .len = MARK_KEY_SIZE };

    k.bytes[0] = (uint8_t)mark;
    memcpy(k.bytes + 1, run->bytes, RUN_ID_SIZE);
    return k;
}

static struct store_write delete_of(const struct record_key *key)
{
    return (struct store_write){ .table = STORE_RECORDS,
                                 .key = { key->bytes, key->len },
                                 .is_delete = true };
}

/* 0 when the record cannot be read: then the number leads nowhere, which is harmless.
 */
static int read_number(struct writer *w, const struct run_id *run, uint64_t *ret_number)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_key(run);
    int r = writer_get(w, STORE_RECORDS, (struct span){ key.bytes, key.len }, &value);

    if (r < 0)
        return r;
    r = run_record_decode(value.data, value.len, &record);
    *ret_number = r == 0 ? record.number : 0;
    return r == -ENOMEM ? r : 0;
}

int removal_begin(struct writer *w, const struct run_id *run, uint64_t *ret_ticket)
{
    struct record_key keys[] = { run_key(run),
                                 run_end_key(run),
                                 run_state_key(run),
                                 mark_key(run, MARK_UNFINISHED),
                                 mark_key(run, MARK_REMOVED),
                                 number_key(0) };
    struct store_write writes[ARRAY_SIZE(keys)];
    uint64_t number;
    int r = read_number(w, run, &number);

    if (r < 0)
        return r;
    keys[5] = number_key(number);
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        writes[i] = delete_of(&keys[i]);
    writes[4].is_delete = false;
    writes[4].value = (struct span){ "", 0 };
    *ret_ticket = writer_put(w, writes, ARRAY_SIZE(writes), true);
    return *ret_ticket ? 0 : -ENOMEM;
}

/* ---- the attempts ---- */

struct batch {
    struct buffer bytes; /* of the keys */
    size_t lens[BATCH];
    size_t n;
};

static void batch_free(struct batch *b)
{
    if (b)
        buffer_release(&b->bytes);
    free(b);
}
CLEANUP_POINTER(struct batch, batch_free);

static int collect(void *arg, struct span key, struct span value)
{
    struct batch *b = arg;

    (void)value;
    if (buffer_append(&b->bytes, key.data, key.len) < 0)
        return -ENOMEM;
    b->lens[b->n++] = key.len;
    return b->n == BATCH;
}

static int delete_batch(struct writer *w, const struct batch *b)
{
    CLEANUP(freep) struct store_write *writes = calloc(b->n, sizeof(*writes));
    const char *at = b->bytes.data;
    uint64_t ticket;

    if (!writes)
        return -ENOMEM;
    for (size_t i = 0; i < b->n; at += b->lens[i++])
        writes[i] = (struct store_write){ .table = STORE_RECORDS,
                                          .key = { at, b->lens[i] },
                                          .is_delete = true };
    ticket = writer_put(w, writes, b->n, false);
    return ticket ? writer_wait(w, ticket) : -ENOMEM;
}

static int delete_mark(struct writer *w, const struct run_id *run)
{
    struct record_key key = mark_key(run, MARK_REMOVED);
    struct store_write write = delete_of(&key);

    return writer_put(w, &write, 1, false) ? 0 : -ENOMEM;
}

static int delete_range(struct writer *w, const struct record_key *prefix,
                        const atomic_bool *is_stopping, uint64_t *ret_n)
{
    CLEANUP(batch_freep) struct batch *b = calloc(1, sizeof(*b));
    uint64_t n = 0;
    int more = 1;

    if (!b)
        return -ENOMEM;
    while (more > 0) {
        int r;

        if (is_stopping && atomic_load(is_stopping))
            return -ECANCELED;
        buffer_clear(&b->bytes);
        b->n = 0;
        more =
            writer_scan(w, STORE_RECORDS, (struct span){ prefix->bytes, prefix->len },
                        (struct span){ NULL, 0 }, collect, b);
        r = more < 0 ? more : b->n ? delete_batch(w, b) : 0;
        if (r < 0)
            return r;
        n += b->n;
    }
    *ret_n = n;
    return 0;
}

int removal_finish(struct writer *w, const struct run_id *run,
                   const atomic_bool *is_stopping, uint64_t *ret_n_attempts)
{
    struct record_key attempts = attempts_of_run(run), fences = fences_of_run(run);
    uint64_t n_fences;
    int r = delete_range(w, &attempts, is_stopping, ret_n_attempts);

    if (r == 0)
        r = delete_range(w, &fences, is_stopping, &n_fences);
    return r ? r : delete_mark(w, run);
}

/* ---- what a crash left ---- */

static int find_first(void *arg, struct span key, struct span value)
{
    struct run_id *run = arg;

    (void)value;
    if (key.len != MARK_KEY_SIZE)
        return 0;
    memcpy(run->bytes, (const uint8_t *)key.data + 1, RUN_ID_SIZE);
    return 1;
}

/* 1: *ret_run is one of them. */
static int find_removed(struct writer *w, struct run_id *ret_run)
{
    const char mark = MARK_REMOVED;

    return writer_scan(w, STORE_RECORDS, (struct span){ &mark, 1 },
                       (struct span){ NULL, 0 }, find_first, ret_run);
}

bool removal_is_any(struct writer *w)
{
    struct run_id run;

    return find_removed(w, &run) > 0;
}

int removal_finish_all(struct writer *w, const atomic_bool *is_stopping)
{
    struct run_id run;
    uint64_t n;
    int r;

    while ((r = find_removed(w, &run)) > 0) {
        r = removal_finish(w, &run, is_stopping, &n);
        if (r < 0)
            return r;
    }
    return r;
}
