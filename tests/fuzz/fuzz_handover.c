/* SPDX-License-Identifier: Apache-2.0 */
/* handover_decode: what the program before left. */
#include <stddef.h>
#include <stdint.h>

#include "node/handover.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct handover h;

    handover_decode((const char *)data, size, &h);
    handover_release(&h);
    return 0;
}
