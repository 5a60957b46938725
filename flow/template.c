/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/template.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

bool template_next(const char *text, struct template *ret)
{
    static const char params[] = "params.";
    const size_t n = sizeof(params) - 1;
    const char *begin = strstr(text, "${{"), *from, *to;

    if (!begin)
        return false;
    *ret = (struct template){ .begin = begin };
    from = begin + 3;
    to = strstr(from, "}}");
    if (!to)
        return true;
    ret->end = to + 2;
    while (from < to && is_space(*from))
        from++;
    while (to > from && is_space(to[-1]))
        to--;
    ret->expression = from;
    ret->len = (size_t)(to - from);
    if (ret->len > n && !memcmp(from, params, n)) {
        ret->parameter = from + n;
        ret->parameter_len = ret->len - n;
    }
    return true;
}
