/* SPDX-License-Identifier: Apache-2.0 */
#include "node/items.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

void item_list_release(struct item_list *l)
{
    for (uint64_t i = 0; i < l->n; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct item_list){ .items = NULL };
}

void items_release(struct items *c)
{
    for (size_t i = 0; i < ITEMS_CACHED; i++)
        item_list_release(&c->cached[i].list);
}

static bool has_real(const json_t *value)
{
    const char *key;
    json_t *below;
    size_t i;

    json_array_foreach(value, i, below) if (has_real(below)) return true;
    json_object_foreach((json_t *)value, key, below) if (has_real(below)) return true;
    return json_is_real(value);
}

/* 0.1 is written with 17 digits as 0.10000000000000001: the fewest are taken that read
 * back as the same numbers. */
static char *dump_item(const json_t *item)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;

    for (size_t digits = has_real(item) ? 15 : 17; digits < 17; digits++) {
        CLEANUP(freep)
        char *text = json_dumps(item, flags | JSON_REAL_PRECISION(digits));
        json_t *back = text ? json_loads(text, JSON_DECODE_ANY, NULL) : NULL;
        bool same = json_equal(item, back);

        json_decref(back);
        if (same)
            return TAKE(text);
    }
    return json_dumps(item, flags);
}

static int parse_array(const char *data, size_t len, struct item_list *ret,
                       struct error *ret_error)
{
    json_error_t json_error;
    json_t *array = json_loadb(data, len, JSON_DECODE_ANY, &json_error);
    struct item_list l = { .items = NULL };
    int r = 0;

    if (!array)
        return fail(ret_error, -EINVAL, "is no valid JSON: %s", json_error.text);
    if (!json_is_array(array)) {
        json_decref(array);
        return fail(ret_error, -EINVAL, "is JSON but no array");
    }
    l.items = calloc(json_array_size(array) + 1, sizeof(*l.items));
    for (size_t i = 0; l.items && i < json_array_size(array); i++) {
        l.items[i] = dump_item(json_array_get(array, i));
        if (!l.items[i])
            r = -ENOMEM;
        else
            l.n++;
    }
    json_decref(array);
    if (!l.items || r < 0) {
        item_list_release(&l);
        return -ENOMEM;
    }
    *ret = l;
    return 0;
}

static int add_line(struct item_list *l, const char *line, size_t len,
                    struct error *ret_error)
{
    json_t *text = json_stringn(line, len);
    char *item = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;

    json_decref(text);
    if (!item)
        return fail(ret_error, -EINVAL, "line %" PRIu64 " is no UTF-8", l->n + 1);
    l->items[l->n++] = item;
    return 0;
}

static int parse_lines(const char *data, size_t len, struct item_list *ret,
                       struct error *ret_error)
{
    struct item_list l = { .items = NULL };
    size_t lines = 1;

    for (size_t i = 0; i < len; i++)
        lines += data[i] == '\n';
    l.items = calloc(lines, sizeof(*l.items));
    if (!l.items)
        return -ENOMEM;
    for (size_t at = 0; at < len;) {
        const char *end = memchr(data + at, '\n', len - at);
        size_t line = end ? (size_t)(end - (data + at)) : len - at;
        int r = add_line(&l, data + at, line, ret_error);

        if (r < 0) {
            item_list_release(&l);
            return r;
        }
        at += line + 1;
    }
    *ret = l;
    return 0;
}

int items_parse(const char *data, size_t len, struct item_list *ret,
                struct error *ret_error)
{
    size_t at = 0;

    while (at < len && strchr(" \t\r\n", data[at]))
        at++;
    if (at < len && (data[at] == '[' || data[at] == '{'))
        return parse_array(data, len, ret, ret_error);
    return parse_lines(data, len, ret, ret_error);
}

static int read_list(const struct artifacts *a, const struct artifact *artifact,
                     struct item_list *ret, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer data = { .bytes_max = ITEMS_BYTES_MAX };
    int r;

    if (artifact->encoding == ENCODING_TREE)
        return fail(ret_error, -EINVAL, "is a folder");
    r = artifacts_read(a, artifact, 0, artifact->size, &data);
    if (r < 0)
        return fail(ret_error, r, "cannot be read: %s", strerror(-r));
    return items_parse(buffer_text(&data), data.len, ret, ret_error);
}

int items_of_ended(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *opener,
                   const struct attempt_record *ended, struct item_list *ret,
                   struct error *ret_error)
{
    const char *name = flow->steps[opener->step].foreach.artifact;
    CLEANUP(artifact_release) struct artifact passed = { .name = NULL };
    struct task_id maker;
    struct error why = { .text = "" };
    int r;

    for (size_t i = 0; i < ended->n_outputs; i++)
        if (strcmp(ended->outputs[i].name, name) == 0) {
            r = read_list(a, &ended->outputs[i], ret, &why);
            return r < 0 ? fail(ret_error, r, "artifact '%s' %s", name, why.text) : 0;
        }
    r = artifacts_find(a, flow, run, opener, name, false, &passed, &maker);
    if (r < 0)
        return fail(ret_error, r, "foreach: there is no artifact '%s'", name);
    r = read_list(a, &passed, ret, &why);
    return r < 0 ? fail(ret_error, r, "artifact '%s' %s", name, why.text) : 0;
}

void items_remember(struct items *c, const struct run_id *run,
                    const struct task_id *opener, struct item_list *take_list)
{
    size_t oldest = 0;

    for (size_t i = 1; i < ITEMS_CACHED; i++)
        if (c->cached[i].used < c->cached[oldest].used)
            oldest = i;
    item_list_release(&c->cached[oldest].list);
    c->cached[oldest].run = *run;
    c->cached[oldest].opener = *opener;
    c->cached[oldest].list = *take_list;
    c->cached[oldest].used = ++c->clock;
    *take_list = (struct item_list){ .items = NULL };
}

static struct item_list *find_cached(struct items *c, const struct run_id *run,
                                     const struct task_id *opener)
{
    for (size_t i = 0; i < ITEMS_CACHED; i++)
        if (c->cached[i].used && run_id_equal(&c->cached[i].run, run)
            && task_id_equal(&c->cached[i].opener, opener)) {
            c->cached[i].used = ++c->clock;
            return &c->cached[i].list;
        }
    return NULL;
}

static int load(struct items *c, const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *opener)
{
    struct item_list list;
    struct attempt_record ended;
    int r = artifacts_attempt(a, run, opener, &ended);

    if (r < 0)
        return r;
    r = items_of_ended(a, flow, run, opener, &ended, &list, NULL);
    attempt_record_release(&ended);
    if (r == 0)
        items_remember(c, run, opener, &list);
    return r;
}

/* The scope that encloses the step at this level. */
static const struct scope *scope_at(const struct flow *f, uint32_t step, uint32_t level)
{
    const struct scope *s = &f->scopes[f->steps[step].scope];

    while (s->depth > level + 1)
        s = &f->scopes[s->parent];
    return s;
}

int items_get(struct items *c, const struct artifacts *a, const struct flow *flow,
              const struct run_id *run, const struct task_id *task, uint32_t level,
              struct buffer *out)
{
    const struct scope *scope = scope_at(flow, task->step, level);
    const struct foreach *f = &flow->steps[scope->opener].foreach;
    struct task_id opener = { .step = scope->opener, .depth = level };
    struct item_list *list;
    int r;

    if (f->kind == FOREACH_RANGE)
        return buffer_printf(out, "%" PRIu64, task->path[level]);
    if (f->kind != FOREACH_ARTIFACT)
        return buffer_puts(out, f->items[task->path[level]]);
    memcpy(opener.path, task->path, level * sizeof(opener.path[0]));
    list = find_cached(c, run, &opener);
    if (!list) {
        r = load(c, a, flow, run, &opener);
        if (r < 0)
            return r;
        list = find_cached(c, run, &opener);
    }
    if (!list || task->path[level] >= list->n)
        return -ENOENT;
    return buffer_puts(out, list->items[task->path[level]]);
}

int items_width(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task, uint32_t level,
                uint64_t *ret)
{
    const struct scope *scope = scope_at(flow, task->step, level);
    const struct foreach *f = &flow->steps[scope->opener].foreach;
    struct task_id opener = { .step = scope->opener, .depth = level };
    CLEANUP(attempt_record_release) struct attempt_record ended = { .attempt = 0 };
    int r = 0;

    memcpy(opener.path, task->path, level * sizeof(opener.path[0]));
    if (f->kind == FOREACH_ARTIFACT)
        r = artifacts_attempt(a, run, &opener, &ended);
    if (r == 0)
        *ret = f->kind == FOREACH_ARTIFACT ? ended.width : f->width;
    return r;
}
