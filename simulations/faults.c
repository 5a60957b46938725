/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/faults.h"

#include <errno.h>
#include <string.h>

static const char *const names[] = {
    "crash",  "exit",   "signal",     "lost",   "hang",    "stubborn", "refused",
    "choice", "fickle", "full",       "torn",   "slow",    "fsync",    "cancel",
    "late",   "stray",  "remembered", "reboot", "suspend",
};

_Static_assert((1 << ARRAY_SIZE(names)) - 1 == FAULTS_ALL, "a name for each fault");

static unsigned find(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strlen(names[i]) == len && memcmp(names[i], name, len) == 0)
            return 1U << i;
    return 0;
}

int faults_parse(const char *text, unsigned *ret_faults)
{
    unsigned faults = 0;

    if (strcmp(text, "all") == 0) {
        *ret_faults = FAULTS_ALL;
        return 0;
    }
    if (strcmp(text, "none") == 0) {
        *ret_faults = 0;
        return 0;
    }
    for (;;) {
        size_t len = strcspn(text, ",");
        unsigned fault = find(text, len);

        if (!fault)
            return -EINVAL;
        faults |= fault;
        if (!text[len])
            break;
        text += len + 1;
    }
    *ret_faults = faults;
    return 0;
}

int faults_text(unsigned faults, struct buffer *out)
{
    const char *separator = "";

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (!(faults & 1U << i))
            continue;
        buffer_printf(out, "%s%s", separator, names[i]);
        separator = ",";
    }
    return buffer_failed(out);
}
