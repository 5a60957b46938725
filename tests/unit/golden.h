/* SPDX-License-Identifier: Apache-2.0 */
/* golden - the bytes of tests/wire/. A difference means that what was written before
 * can no longer be read: raise the version or take the change back; do not edit the
 * files. */
#pragma once

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "tests/unit/unit.h"

static inline void golden_read(const char *name, struct buffer *ret)
{
    char path[512], line[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s.hex", WIRE_DIR, name);
    file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file)) {
        line[strcspn(line, "#")] = '\0';
        for (const char *c = line; *c; c++) {
            unsigned byte;

            if (isspace((unsigned char)*c))
                continue;
            if (sscanf(c++, "%2x", &byte) != 1)
                fail_msg("%s: not hexadecimal: %s", path, line);
            buffer_putc(ret, (char)byte);
        }
    }
    if (file)
        fclose(file);
}

/* Whether it is the same; what it is now is told. */
static inline bool golden_is(const char *name, const struct buffer *now)
{
    CLEANUP(buffer_release) struct buffer golden = BUFFER_INIT;

    golden_read(name, &golden);
    if (now->len == golden.len && memcmp(now->data, golden.data, now->len) == 0)
        return true;
    print_message("%s.hex differs; encoded now:\n", name);
    for (size_t i = 0; i < now->len; i++)
        print_message("%02x%s", (uint8_t)now->data[i], i % 24 == 23 ? "\n" : " ");
    print_message("\n");
    return false;
}

static inline void golden_compare(const char *name, const struct buffer *now)
{
    if (!golden_is(name, now))
        fail_msg("the bytes differ from the golden ones");
}
