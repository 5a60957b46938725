/* SPDX-License-Identifier: Apache-2.0 */
/* record - gives a record decoder bytes as they are, and once more as a message under a
 * header that is right: a fuzzer does not guess checksums. */
#pragma once

#include <stddef.h>
#include <stdint.h>
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
