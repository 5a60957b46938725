/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of proto/rows.h: what is decoded can be encoded, and is the same bytes from
 * then on. */
#include "proto/replica_state.h"
#include "proto/rows.h"
#include "tests/fuzz/record.h"

#define TRY(kind)                                                                  \
    static void try_##kind(const void *data, size_t len)                           \
    {                                                                              \
        static const struct kind empty;                                            \
        CLEANUP(kind##_release) struct kind row = empty;                           \
        CLEANUP(kind##_release) struct kind again = empty;                         \
        CLEANUP(buffer_release) struct buffer first = BUFFER_INIT;                 \
        CLEANUP(buffer_release) struct buffer second = BUFFER_INIT;                \
                                                                                   \
        if (kind##_decode(data, len, &row) < 0)                                    \
            return;                                                                \
        if (kind##_encode(&row, &first) < 0                                        \
            || kind##_decode(first.data, first.len, &again) < 0                    \
            || kind##_encode(&again, &second) < 0)                                 \
            abort();                                                               \
        if (first.len != second.len || memcmp(first.data, second.data, first.len)) \
            abort();                                                               \
    }

TRY(log_row)
TRY(kept_attempt)
TRY(peer_row)
TRY(register_row)
TRY(replica_state)

static void try_keys(const uint8_t *data, size_t len)
{
    struct kept_attempt kept = { .record_len = 0 };
    struct record_key key;

    if (kept_attempt_key_decode(data, len, &kept) < 0)
        return;
    key = kept_attempt_key(&kept.run, &kept.task, kept.name.boot, kept.name.counter);
    if (key.len != len || memcmp(key.bytes, data, len))
        abort();
}

static void try_all(const void *data, size_t len)
{
    try_log_row(data, len);
    try_kept_attempt(data, len);
    try_peer_row(data, len);
    try_register_row(data, len);
    try_replica_state(data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    try_keys(data, len);
    record_fuzz(data, len, try_all);
    return 0;
}
