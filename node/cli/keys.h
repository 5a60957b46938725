/* SPDX-License-Identifier: Apache-2.0 */
/* keys - what was pressed, from the bytes that a terminal sends.
 *
 * Pure. */
#pragma once

#include <stddef.h>

enum key {
    KEY_NONE = 0, /* something that means nothing here */
    KEY_UP = 256,
    KEY_DOWN,
    KEY_PAGE_UP,
    KEY_PAGE_DOWN,
    KEY_ENTER,
    KEY_ESCAPE,
};

/* The first key of `bytes`: an ASCII character as it is, or one of the above; *ret_len
 * tells how many bytes it took. len > 0. */
int key_read(const char *bytes, size_t len, size_t *ret_len);
