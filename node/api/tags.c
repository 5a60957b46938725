/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/tags.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/record.h"

void tags_release(struct tags *t)
{
    free(t->all);
    *t = (struct tags){ .n = 0 };
}

static bool has(char *const *list, size_t n, const char *tag)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], tag) == 0)
            return true;
    return false;
}

static size_t length(char *const *list)
{
    size_t n = 0;

    while (list && list[n])
        n++;
    return n;
}

static int check(const char *tag, struct error *ret_error)
{
    if (!*tag)
        return fail(ret_error, -EINVAL, "a tag cannot be empty");
    if (strlen(tag) > TAG_BYTES_MAX)
        return fail(ret_error, -EINVAL, "a tag has at most %d bytes: '%.40s...'",
                    TAG_BYTES_MAX, tag);
    for (const char *c = tag; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return fail(ret_error, -EINVAL, "a tag cannot have control characters");
    return 0;
}

static int add_all(struct tags *t, char *const *list, struct error *ret_error)
{
    for (; list && *list; list++) {
        int r = check(*list, ret_error);

        if (r < 0)
            return r;
        if (!has(t->all, t->n, *list))
            t->all[t->n++] = *list;
    }
    return 0;
}

int tags_change(char *const *now, size_t n_now, char *const *add, char *const *remove,
                char *const *set, struct tags *ret, struct error *ret_error)
{
    size_t n_remove = length(remove);
    CLEANUP(tags_release) struct tags t = { .n = 0 };
    int r;

    t.all = calloc(n_now + length(add) + length(set) + 1, sizeof(*t.all));
    if (!t.all)
        return -ENOMEM;
    for (size_t i = 0; !set && i < n_now; i++)
        if (!has(remove, n_remove, now[i]))
            t.all[t.n++] = now[i];
    r = add_all(&t, set ? set : add, ret_error);
    if (r == 0 && t.n > RECORD_TAGS_MAX)
        r = fail(ret_error, -E2BIG, "a run has at most %d tags", RECORD_TAGS_MAX);
    if (r < 0)
        return r;
    *ret = t;
    t = (struct tags){ .n = 0 };
    return 0;
}

bool tags_match(char *const *now, size_t n_now, char *const *list)
{
    size_t n = length(list);

    for (size_t i = 0; i < n; i++)
        if (!has(now, n_now, list[i]))
            return false;
    for (size_t i = 0; i < n_now; i++)
        if (!has(list, n, now[i]))
            return false;
    return true;
}
