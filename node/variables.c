/* SPDX-License-Identifier: Apache-2.0 */
#include "node/variables.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void variables_release(struct variables *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->all[i]);
    free(v->all);
    *v = (struct variables){ .all = NULL };
}

int variables_copy(const struct variables *v, struct variables *ret)
{
    struct variables copy = { .all = calloc(v->n + 1, sizeof(*copy.all)) };

    if (!copy.all)
        return -ENOMEM;
    for (; copy.n < v->n; copy.n++) {
        copy.all[copy.n] = strdup(v->all[copy.n]);
        if (!copy.all[copy.n]) {
            variables_release(&copy);
            return -ENOMEM;
        }
    }
    *ret = copy;
    return 0;
}

static size_t position(const struct variables *v, const char *name, size_t len)
{
    size_t i = 0;

    while (i < v->n && (strncmp(v->all[i], name, len) != 0 || v->all[i][len] != '='))
        i++;
    return i;
}

const char *variables_find(const struct variables *v, const char *name)
{
    size_t len = strlen(name), at = position(v, name, len);

    return at < v->n ? v->all[at] + len + 1 : NULL;
}

int variables_set(struct variables *v, char *take_text)
{
    size_t at = take_text ? position(v, take_text, strcspn(take_text, "=")) : 0;
    char **grown;

    if (!take_text)
        return -ENOMEM;
    if (at < v->n) {
        free(v->all[at]);
        v->all[at] = take_text;
        return 0;
    }
    grown = realloc(v->all, (v->n + 2) * sizeof(*grown));
    if (!grown) {
        free(take_text);
        return -ENOMEM;
    }
    grown[v->n++] = take_text;
    grown[v->n] = NULL;
    v->all = grown;
    return 0;
}

int variables_printf(struct variables *v, const char *format, ...)
{
    va_list args;
    char *text;
    int len;

    va_start(args, format);
    len = vasprintf(&text, format, args);
    va_end(args);
    return variables_set(v, len < 0 ? NULL : text);
}

void variables_unset(struct variables *v, const char *name)
{
    size_t at = position(v, name, strlen(name));

    if (at == v->n)
        return;
    free(v->all[at]);
    memmove(v->all + at, v->all + at + 1, (v->n - at) * sizeof(*v->all));
    v->n--;
}
