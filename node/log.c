/* SPDX-License-Identifier: Apache-2.0 */
#include "node/log.h"

#include <string.h>

int log_piece_encode(enum log_stream stream, time_us since_start, const void *data,
                     size_t len, struct buffer *out)
{
    uint8_t head[1 + 2 * VARINT_SIZE_MAX];
    size_t n = 1;

    head[0] = (uint8_t)stream;
    n += varint_encode(since_start, head + n);
    n += varint_encode(len, head + n);
    if (!buffer_reserve(out, n + len))
        return out->error;
    buffer_append(out, head, n);
    return buffer_append(out, data, len);
}

size_t log_piece_decode(const uint8_t *bytes, size_t len, struct log_piece *ret_piece)
{
    uint64_t since_start, data_len;
    size_t at = 1, n;

    if (len == 0 || (bytes[0] != LOG_STDOUT && bytes[0] != LOG_STDERR))
        return 0;
    n = varint_decode(bytes + at, len - at, &since_start);
    if (n == 0)
        return 0;
    at += n;
    n = varint_decode(bytes + at, len - at, &data_len);
    if (n == 0 || data_len > len - at - n)
        return 0;
    at += n;
    *ret_piece = (struct log_piece){
        .stream = (enum log_stream)bytes[0],
        .since_start = since_start,
        .data = bytes + at,
        .len = (size_t)data_len,
    };
    return at + (size_t)data_len;
}
