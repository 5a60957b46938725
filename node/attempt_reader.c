/* SPDX-License-Identifier: Apache-2.0 */
#include "node/attempt_reader.h"

#include <errno.h>

void attempt_reader_init(struct attempt_reader *reader, struct writer *w,
                         const struct record_key *prefix)
{
    reader->writer = w;
    reader->prefix = *prefix;
    reader->next.len = 0;
    reader->n = reader->at = 0;
    reader->is_last_batch = false;
}

static void clear(struct attempt_reader *reader)
{
    for (size_t i = 0; i < reader->n; i++)
        attempt_record_release(&reader->batch[i].record);
    reader->n = reader->at = 0;
}

void attempt_reader_release(struct attempt_reader *reader)
{
    clear(reader);
}

static int keep(void *arg, struct span key, struct span value)
{
    struct attempt_reader *reader = arg;
    struct attempt_record a = { .attempt = 0 };
    int error = attempt_record_decode(value.data, value.len, &a);

    if (error == -ENOMEM)
        return error;
    if (attempt_key_decode(key.data, key.len, &a.run, &a.task, &a.attempt) < 0) {
        attempt_record_release(&a);
        return -EBADMSG;
    }
    reader->next = attempt_key(&a.run, &a.task, a.attempt);
    if (reader->next.len < RECORD_KEY_MAX)
        reader->next.bytes[reader->next.len++] = 0; /* the first key behind it */
    reader->batch[reader->n].record = a;
    reader->batch[reader->n++].error = error;
    return reader->n == ATTEMPT_READER_BATCH;
}

static int read_batch(struct attempt_reader *reader)
{
    int r;

    clear(reader);
    r = writer_scan(reader->writer, STORE_RECORDS,
                    (struct span){ reader->prefix.bytes, reader->prefix.len },
                    (struct span){ reader->next.bytes, reader->next.len }, keep,
                    reader);
    reader->is_last_batch = r <= 0;
    return r;
}

int attempt_reader_next(struct attempt_reader *reader,
                        const struct attempt_record **ret_attempt)
{
    size_t i;

    if (reader->at == reader->n && !reader->is_last_batch) {
        int r = read_batch(reader);

        if (r < 0)
            return r;
    }
    if (reader->at == reader->n)
        return 0;
    i = reader->at++;
    *ret_attempt = &reader->batch[i].record;
    return reader->batch[i].error < 0 ? reader->batch[i].error : 1;
}
