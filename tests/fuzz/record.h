/* SPDX-License-Identifier: Apache-2.0 */
/* record - fuzzes the decoder of one kind of record: what is decoded can be encoded,
 * and comes back as the same bytes from then on. It gets the bytes as they are, and
 * once more as a message under a header that is right: a fuzzer does not guess
 * checksums. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "proto/format.h"
#include "proto/record.h"

static inline void record_fuzz(const uint8_t *data, size_t len,
                               void (*decode)(const void *data, size_t len))
{
    CLEANUP(buffer_release) struct buffer record = BUFFER_INIT;
    uint64_t sum = record_checksum(data, len);

    decode(data, len);
    buffer_putc(&record, RECORD_MAGIC);
    buffer_putc(&record, RECORD_VERSION);
    for (int i = 0; i < 8; i++)
        buffer_putc(&record, (char)(sum >> (8 * i)));
    buffer_append(&record, data, len);
    decode(record.data, record.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* `kind` is that of struct <kind>_record. */
#define FUZZ_RECORD(kind)                                                          \
    static void decode(const void *data, size_t len)                               \
    {                                                                              \
        static const struct kind##_record empty;                                   \
        CLEANUP(kind##_record_release) struct kind##_record record = empty;        \
        CLEANUP(kind##_record_release) struct kind##_record again = empty;         \
        CLEANUP(buffer_release) struct buffer first = BUFFER_INIT;                 \
        CLEANUP(buffer_release) struct buffer second = BUFFER_INIT;                \
                                                                                   \
        if (kind##_record_decode(data, len, &record) < 0)                          \
            return;                                                                \
        if (kind##_record_encode(&record, &first) < 0                              \
            || kind##_record_decode(first.data, first.len, &again) < 0             \
            || kind##_record_encode(&again, &second) < 0)                          \
            abort();                                                               \
        if (first.len != second.len || memcmp(first.data, second.data, first.len)) \
            abort();                                                               \
    }                                                                              \
                                                                                   \
    int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)                    \
    {                                                                              \
        record_fuzz(data, len, decode);                                            \
        return 0;                                                                  \
    }
