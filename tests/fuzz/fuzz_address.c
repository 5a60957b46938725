/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses, paths of names and state files, of any bytes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/address.h"
#include "cloud/file_name.h"
#include "cloud/transfer_state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* No part of it leads up or is empty. */
static void check_path(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");

        assert(len && len <= FILE_NAME_PART_MAX);
        assert(!(len == 1 && path[0] == '.'));
        assert(!(len == 2 && memcmp(path, "..", 2) == 0));
        if (!path[len])
            return;
        path += len + 1;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;
    CLEANUP(freep) char *text = strndup((const char *)data, size);
    struct transfer_state state;
    struct store_address a;
    struct error error;

    assert(text);
    if (store_address_parse(text, &a, &error) == 0) {
        assert(a.bucket && *a.bucket && a.key);
        store_address_release(&a);
    } else {
        assert(*error.text);
    }
    if (file_name_path(text, &path) == 0)
        check_path(path.data);
    (void)transfer_state_parse((const char *)data, size, &state);
    return 0;
}
