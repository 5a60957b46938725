/* SPDX-License-Identifier: Apache-2.0 */
/* number - a decimal number, and nothing but one, out of a request. */
#pragma once

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* -EINVAL for anything but digits; -ERANGE above max. */
static inline int number_parse_span(const char *text, size_t len, uint64_t max,
                                    uint64_t *ret_value)
{
    uint64_t value = 0;

    if (len == 0)
        return -EINVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        if (__builtin_mul_overflow(value, (uint64_t)10, &value)
            || __builtin_add_overflow(value, (uint64_t)(text[i] - '0'), &value))
            return -ERANGE;
    }
    if (value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

static inline int number_parse(const char *text, uint64_t max, uint64_t *ret_value)
{
    return number_parse_span(text, strlen(text), max, ret_value);
}
