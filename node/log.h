/* SPDX-License-Identifier: Apache-2.0 */
/* log - what one attempt wrote, as pieces in the order they were read.
 *
 *     piece = stream u8 (1 stdout, 2 stderr) | time varint | length varint | bytes
 *
 * `time` is microseconds since the attempt started. varint as in base/ids.h. Up to
 * LOG_INLINE_MAX bytes lie in the attempt's record, more in a blob of their own. */
#pragma once

#include "base/buffer.h"
#include "base/time.h"
#include "node/feed.h"

enum { LOG_INLINE_MAX = 4096 };

/* Append a piece. 0, or what buffer_append() says; nothing is appended then. */
int log_piece_encode(enum log_stream stream, time_us since_start, const void *data,
                     size_t len, struct buffer *out);
struct log_piece {
    enum log_stream stream;
    time_us since_start;
    const uint8_t *data;
    size_t len;
};
/* Returns the bytes read, or 0 if they are not a whole piece. `data` lies in bytes. */
size_t log_piece_decode(const uint8_t *bytes, size_t len, struct log_piece *ret_piece);
