/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/range.h"

#include <stdbool.h>

#include "node/api/number.h"

static const char unit[] = "bytes=";

/* The last len bytes. */
static int suffix(uint64_t len, uint64_t size, struct range *ret_range)
{
    if (len == 0 || size == 0)
        return -ERANGE;
    if (len > size)
        len = size;
    *ret_range = (struct range){ .offset = size - len, .len = len };
    return RANGE_PART;
}

/* A number too large for us is larger than any blob. */
static bool read_number(const char *text, size_t len, uint64_t *ret_value)
{
    int r = number_parse_span(text, len, UINT64_MAX, ret_value);

    if (r == -ERANGE)
        *ret_value = UINT64_MAX;
    return r != -EINVAL;
}

int range_parse(const char *header, uint64_t size, struct range *ret_range)
{
    const char *first, *dash;
    uint64_t from, to = UINT64_MAX;

    *ret_range = (struct range){ .offset = 0, .len = size };
    if (!header || strncmp(header, unit, sizeof(unit) - 1) != 0)
        return RANGE_WHOLE;
    first = header + sizeof(unit) - 1;
    dash = strchr(first, '-');
    if (!dash)
        return RANGE_WHOLE;
    if (dash[1] && !read_number(dash + 1, strlen(dash + 1), &to))
        return RANGE_WHOLE;
    if (dash == first)
        return dash[1] ? suffix(to, size, ret_range) : RANGE_WHOLE;
    if (!read_number(first, (size_t)(dash - first), &from) || to < from)
        return RANGE_WHOLE;
    if (from >= size)
        return -ERANGE;
    if (to >= size)
        to = size - 1;
    *ret_range = (struct range){ .offset = from, .len = to - from + 1 };
    return RANGE_PART;
}
