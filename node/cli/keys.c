/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/keys.h"

/* ESC [ parameters final, or ESC O final: ECMA-48, and what keypads send. */
static int read_sequence(const char *bytes, size_t len, size_t *ret_len)
{
    size_t i = 2;

    while (bytes[1] == '[' && i < len && bytes[i] >= 0x20 && bytes[i] < 0x40)
        i++;
    *ret_len = i < len ? i + 1 : len;
    if (i >= len)
        return KEY_NONE;
    switch (bytes[i]) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'M':
        return bytes[1] == 'O' ? KEY_ENTER : KEY_NONE;
    case '~':
        return bytes[2] == '5'   ? KEY_PAGE_UP
               : bytes[2] == '6' ? KEY_PAGE_DOWN
                                 : KEY_NONE;
    default:
        return KEY_NONE;
    }
}

int key_read(const char *bytes, size_t len, size_t *ret_len)
{
    unsigned char c = (unsigned char)bytes[0];

    *ret_len = 1;
    if (c == '\033' && len > 1 && (bytes[1] == '[' || bytes[1] == 'O'))
        return read_sequence(bytes, len, ret_len);
    if (c == '\033')
        return KEY_ESCAPE;
    if (c == '\r' || c == '\n')
        return KEY_ENTER;
    return c >= 0x20 && c < 0x7f ? c : KEY_NONE;
}
