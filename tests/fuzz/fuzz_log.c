/* SPDX-License-Identifier: Apache-2.0 */
/* A log has one form too, piece by piece. */
#include <stdlib.h>
#include <string.h>

#include "node/log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct log_piece piece;
    size_t at = 0, n;

    while ((n = log_piece_decode(data + at, len - at, &piece)) > 0) {
        if (log_piece_encode(piece.stream, piece.since_start, piece.data, piece.len,
                             &out)
            < 0)
            abort();
        at += n;
    }
    if (at && (out.len != at || memcmp(out.data, data, at) != 0))
        abort();
    return 0;
}
