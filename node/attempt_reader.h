/* SPDX-License-Identifier: Apache-2.0 */
/* attempt_reader - goes through attempts in the order of their keys.
 *
 * A scan of the store must not take longer than a copy does, so a few records are
 * copied at a time and handed out between two scans. Any thread. */
#pragma once

#include "proto/record.h"
#include "store/writer.h"

enum { ATTEMPT_READER_BATCH = 64 };

struct attempt_reader {
    struct writer *writer;
    struct record_key prefix, next; /* next.len 0: from the first one */
    struct {
        struct attempt_record record;
        int error; /* the record is no record; run, task and attempt are right */
    } batch[ATTEMPT_READER_BATCH];
    size_t n, at;
    bool is_last_batch;
};

/* Those whose keys begin with prefix; one byte 'a' is all there are. */
void attempt_reader_init(struct attempt_reader *reader, struct writer *w,
                         const struct record_key *prefix);
void attempt_reader_release(struct attempt_reader *reader);

/* 1 and the next attempt, which is the reader's until the next call; 0 at the end; a
 * negative errno: of this record (-EBADMSG, -EPROTONOSUPPORT: *ret has the names that
 * the key gives, and reading can go on behind it) or of the store. */
int attempt_reader_next(struct attempt_reader *reader,
                        const struct attempt_record **ret_attempt);
