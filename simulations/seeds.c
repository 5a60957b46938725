/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/seeds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool seeds_number(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno;
}

bool seeds_parse(const char *text, bool is_one, struct seeds *ret)
{
    char part[32];
    const char *colon = strchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    ret->is_one = is_one;
    if (is_one) {
        ret->to = seeds_number(text, &ret->from) ? ret->from + 1 : 0;
        return ret->to;
    }
    if (!colon || len >= sizeof(part))
        return false;
    memcpy(part, text, len);
    part[len] = '\0';
    return seeds_number(part, &ret->from) && seeds_number(colon + 1, &ret->to)
           && ret->from < ret->to;
}
