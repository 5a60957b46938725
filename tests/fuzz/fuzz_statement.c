/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever record there is: it says the same when it is kept once more, and checking
 * its signature ends. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "node/attestation.h"
#include "proto/statement.h"
#include "tests/fuzz/record.h"

static void say(const struct attempt_record *r, struct buffer *out)
{
    if (attempt_statement(r, out) < 0 || attempt_result(r, out) < 0)
        abort();
}

static void decode(const void *data, size_t len)
{
    static const uint8_t key[NODE_KEY_SIZE] = { 1 };
    CLEANUP(attempt_record_release) struct attempt_record first = { .attempt = 0 };
    CLEANUP(attempt_record_release) struct attempt_record again = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer said = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer said_again = BUFFER_INIT;

    if (attempt_record_decode(data, len, &first) < 0)
        return;
    if (attempt_record_encode(&first, &bytes) < 0
        || attempt_record_decode(bytes.data, bytes.len, &again) < 0)
        abort();
    say(&first, &said);
    say(&again, &said_again);
    if (said.len != said_again.len || memcmp(said.data, said_again.data, said.len))
        abort();
    first.node = node_id_of_key(key); /* so that it is looked at */
    if (attestation_check(key, &first, NULL) == 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    record_fuzz(data, len, decode);
    return 0;
}
