/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/duration.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

bool duration_parse(const char *text, uint32_t *ret_s)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 24 * 3600 } };
    uint64_t n;
    char *end;

    *ret_s = 0;
    if (strcmp(text, "never") == 0)
        return true;
    errno = 0;
    n = strtoull(text, &end, 10);
    if (text[0] < '1' || text[0] > '9' || errno || !*end || end[1])
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (*end == units[i].letter && n <= UINT32_MAX / units[i].seconds)
            *ret_s = (uint32_t)(n * units[i].seconds);
    return *ret_s > 0;
}
