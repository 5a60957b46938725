/* SPDX-License-Identifier: Apache-2.0 */
/* format - what the encoders and the decoders of records share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_MAGIC = 'm',
    RECORD_HEADER_SIZE = 1 + 1 + 8,
};

/* XXH3-64 of the message. */
uint64_t record_checksum(const void *message, size_t len);
