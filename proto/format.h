/* SPDX-License-Identifier: Apache-2.0 */
/* format - what the encoders and the decoders of records share. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    RECORD_MAGIC = 'm',
    RECORD_HEADER_SIZE = 1 + 1 + 8,
};

struct buffer;

/* XXH3-64 of the message. */
uint64_t record_checksum(const void *message, size_t len);

/* Where the message is in a record, once its checksum was found right.
 * -EBADMSG, -EPROTONOSUPPORT. */
int record_open(const uint8_t *data, size_t len, const uint8_t **ret_message,
                size_t *ret_len);
/* Fill in the header, for which there is room at `start`; or, when error is set, take
 * back what was appended since. Returns error. */
int record_close(struct buffer *out, size_t start, int error);
