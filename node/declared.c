/* SPDX-License-Identifier: Apache-2.0 */
#include "node/declared.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

enum { LINE_BYTES_MAX = 4096 };

struct reading {
    const uint8_t *at, *end;
    size_t line; /* of JSON, from 1 */
    size_t cap;
    struct declared_list list;
    struct error *why;
};

static int refuse(const struct reading *r, const char *problem)
{
    return fail(r->why, -EINVAL, "$MESH_OUT/" DECLARED_FILE ", entry %zu: %s", r->line,
                problem);
}

void declared_release(struct declared_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->all[i].name);
        free(l->all[i].type);
    }
    free(l->all);
    free(l->choice);
    *l = (struct declared_list){ .all = NULL };
}

/* jansson lets nothing through that is not UTF-8, nor a NUL. */
static bool is_plain(const char *text, size_t max)
{
    size_t len = strlen(text);

    if (!len || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

static bool is_name(const char *text)
{
    return is_plain(text, DECLARED_NAME_MAX) && *text != '.' && !strchr(text, '/');
}

/* Room for one more, which is counted when it is whole. */
static struct declared *next_of(struct reading *r)
{
    struct declared_list *l = &r->list;
    size_t cap = r->cap ? 2 * r->cap : 8;
    struct declared *all;

    if (l->n == r->cap) {
        all = realloc(l->all, cap * sizeof(*all));
        if (!all)
            return NULL;
        l->all = all;
        r->cap = cap;
    }
    l->all[l->n] = (struct declared){ .name = NULL };
    return &l->all[l->n];
}

/* The bytes behind a line, and the newline behind them. */
static int take_bytes(struct reading *r, json_int_t size, struct declared *d)
{
    size_t left = (size_t)(r->end - r->at);

    if (size < 0 || (uint64_t)size >= left || r->at[size] != '\n')
        return refuse(r, "it has fewer or more bytes than 'size' says");
    d->data = r->at;
    d->size = (size_t)size;
    r->at += size + 1;
    return 0;
}

static int take_choice(struct reading *r, const json_t *object)
{
    const char *choice = json_string_value(json_object_get(object, "choice"));

    if (!choice || json_object_size(object) != 1 || r->list.choice)
        return refuse(r, "'choice' is one text, once");
    r->list.choice = strdup(choice);
    return r->list.choice ? 0 : -ENOMEM;
}

static int take_artifact(struct reading *r, json_t *object)
{
    const char *name, *type, *encoding;
    json_int_t size = -1;
    int is_file = 0, error;
    struct declared d = { .name = NULL }, *place;

    if (json_unpack_ex(object, NULL, JSON_STRICT, "{s:s, s:s, s:s, s?I, s?b}", "name",
                       &name, "type", &type, "encoding", &encoding, "size", &size,
                       "file", &is_file)
        < 0)
        return refuse(r, "it must have name, type and encoding, and size or file");
    if (!is_name(name))
        return refuse(r, "this cannot be the name of an artifact");
    if (!is_plain(type, DECLARED_TYPE_MAX))
        return refuse(r, "this cannot be a type");
    d.encoding = encoding_find(encoding);
    if (!d.encoding || d.encoding == ENCODING_TREE)
        return refuse(r, "there is no such encoding");
    if (is_file == (json_object_get(object, "size") != NULL))
        return refuse(r, "it must have either size or file");
    if (r->list.n == DECLARED_MAX)
        return refuse(r, "a task may keep 4096 artifacts at most");
    d.is_file = is_file;
    error = is_file ? 0 : take_bytes(r, size, &d);
    if (error < 0)
        return error;
    place = next_of(r);
    d.name = strdup(name);
    d.type = strdup(type);
    if (!place || !d.name || !d.type) {
        free(d.name);
        free(d.type);
        return -ENOMEM;
    }
    *place = d;
    r->list.n++;
    return 0;
}

static int take_line(struct reading *r)
{
    const uint8_t *newline = memchr(r->at, '\n', (size_t)(r->end - r->at));
    size_t len = newline ? (size_t)(newline - r->at) : 0;
    json_t *object;
    int error;

    r->line++;
    if (!newline || len > LINE_BYTES_MAX)
        return refuse(r, newline ? "the line is too long" : "the last line has no end");
    object = json_loadb((const char *)r->at, len, JSON_REJECT_DUPLICATES, NULL);
    r->at = newline + 1;
    if (!json_is_object(object))
        error = refuse(r, "this is no JSON object");
    else if (json_object_get(object, "choice"))
        error = take_choice(r, object);
    else
        error = take_artifact(r, object);
    json_decref(object);
    return error;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct declared *)a)->name,
                  ((const struct declared *)b)->name);
}

static int sort(struct reading *r)
{
    struct declared_list *l = &r->list;

    if (l->n > 1)
        qsort(l->all, l->n, sizeof(*l->all), by_name);
    for (size_t i = 1; i < l->n; i++)
        if (strcmp(l->all[i - 1].name, l->all[i].name) == 0)
            return fail(r->why, -EINVAL,
                        "$MESH_OUT/" DECLARED_FILE " has the artifact '%s' twice",
                        l->all[i].name);
    return 0;
}

int declared_parse(const void *bytes, size_t len, struct declared_list *ret,
                   struct error *ret_error)
{
    const uint8_t *at = len ? bytes : (const uint8_t *)"";
    struct reading r = { .at = at, .end = at + len, .why = ret_error };
    int error = 0;

    while (error == 0 && r.at < r.end)
        error = take_line(&r);
    if (error == 0)
        error = sort(&r);
    if (error < 0) {
        declared_release(&r.list);
        return error;
    }
    *ret = r.list;
    return 0;
}

const struct declared *declared_find(const struct declared_list *l, const char *name)
{
    const struct declared wanted = { .name = (char *)(uintptr_t)name };

    return l->n ? bsearch(&wanted, l->all, l->n, sizeof(*l->all), by_name) : NULL;
}
