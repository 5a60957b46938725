/* SPDX-License-Identifier: Apache-2.0 */
/* What is decoded can be encoded, and is the same bytes from then on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    CLEANUP(message_release) struct message again = { .arena = NULL };
    CLEANUP(buffer_release) struct buffer first = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer second = BUFFER_INIT;

    if (message_decode(data, len, &m) < 0)
        return 0;
    if (message_encode(&m, &first) < 0
        || message_decode(first.data, first.len, &again) < 0
        || message_encode(&again, &second) < 0)
        abort();
    if (first.len != second.len || memcmp(first.data, second.data, first.len))
        abort();
    return 0;
}
