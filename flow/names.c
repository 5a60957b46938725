/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/names.h"

#include "flow/nearest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

struct name {
    const char *text;
    uint32_t number;
    UT_hash_handle hh;
};

void names_release(struct names *n)
{
    struct name *name = n->all;

    HASH_CLEAR(hh, n->all);
    while (name) {
        struct name *next = name->hh.next;

        free(name);
        name = next;
    }
}

static struct name *find(const struct names *n, const char *text, size_t len)
{
    struct name *found;

    HASH_FIND(hh, n->all, text, len, found);
    return found;
}

int names_add(struct names *n, const char *text, uint32_t number)
{
    size_t len = strlen(text);
    struct name *name;

    if (find(n, text, len))
        return -EEXIST;
    name = calloc(1, sizeof(*name));
    if (!name)
        return -ENOMEM;
    name->text = text;
    name->number = number;
    HASH_ADD_KEYPTR(hh, n->all, name->text, len, name);
    if (!name->hh.tbl) {
        free(name);
        return -ENOMEM;
    }
    return 0;
}

uint32_t names_find_span(const struct names *n, const char *text, size_t len)
{
    const struct name *name = find(n, text, len);

    return name ? name->number : NAME_NONE;
}

uint32_t names_find(const struct names *n, const char *text)
{
    return names_find_span(n, text, strlen(text));
}

const char *names_nearest(const struct names *n, const char *text)
{
    struct nearest nearest = nearest_to(text);

    for (const struct name *name = n->all; name; name = name->hh.next)
        nearest_offer(&nearest, name->text);
    return nearest.best;
}
