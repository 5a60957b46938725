/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/check.h"

#include "flow/text.h"

#include <string.h>

enum { MATRIX_WIDTH_MAX = 1 << 20, MATRIX_BYTES_MAX = 64 << 20 };

static const int64_t range_max = INT64_C(1) << 53; /* what JSON numbers hold exactly */

static char *take_json(struct check *c, const struct buffer *json)
{
    return buffer_failed(json) ? check_copy(c, "", 0)
                               : check_copy(c, buffer_text(json), json->len);
}

static void read_items(struct check *c, const struct value *v, void *field)
{
    struct foreach *foreach = field;
    char **items;
    size_t n = 0;

    if (!expect(c, v, VALUE_SEQUENCE))
        return;
    items = check_alloc(c, v->n + 1, sizeof(*items));
    for (const struct value *item = v->u.first; item && !c->error; item = item->next) {
        CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;

        value_write_json(item, &json);
        items[n++] = take_json(c, &json);
        if (buffer_failed(&json))
            c->error = buffer_failed(&json);
    }
    *foreach = (struct foreach){ .kind = FOREACH_ITEMS, .items = items, .width = n };
}

static void read_range(struct check *c, const struct value *v, void *field)
{
    struct foreach *foreach = field;
    int64_t width;

    if (expect_integer(c, v, 0, range_max, &width))
        *foreach = (struct foreach){ .kind = FOREACH_RANGE, .width = (uint64_t)width };
}

static void read_glob(struct check *c, const struct value *v, void *field)
{
    struct foreach *foreach = field;

    if (expect_relative(c, v))
        *foreach = (struct foreach){ .kind = FOREACH_GLOB,
                                     .artifact = check_copy(c, v->text, v->n) };
}

/* One combination; the last key changes fastest. */
static void write_combination(const struct value *matrix, const struct value **chosen,
                              struct buffer *out)
{
    const struct value *axis = matrix->u.first;

    buffer_putc(out, '{');
    for (size_t i = 0; axis; i++, axis = axis->next) {
        if (i)
            buffer_putc(out, ',');
        text_write_json(axis->key->text, axis->key->n, out);
        buffer_putc(out, ':');
        value_write_json(chosen[i], out);
    }
    buffer_putc(out, '}');
}

static void next_combination(const struct value *const *axes,
                             const struct value **chosen, size_t n)
{
    while (n--) {
        chosen[n] = chosen[n]->next;
        if (chosen[n])
            return;
        chosen[n] = axes[n]->u.first;
    }
}

static char **combine(struct check *c, const struct value *v, uint64_t width)
{
    char **items = check_alloc(c, width + 1, sizeof(*items));
    const struct value **axes = check_alloc(c, v->n, sizeof(*axes));
    const struct value **chosen = check_alloc(c, v->n, sizeof(*chosen));
    size_t n = 0, bytes = 0;

    if (c->error)
        return NULL;
    for (const struct value *axis = v->u.first; axis; axis = axis->next) {
        axes[n] = axis;
        chosen[n++] = axis->u.first;
    }
    for (uint64_t i = 0; i < width && !c->error; i++) {
        CLEANUP(buffer_release) struct buffer json = BUFFER_INIT;

        write_combination(v, chosen, &json);
        bytes += json.len;
        if (bytes > MATRIX_BYTES_MAX) {
            complain(c, v, NULL,
                     "the combinations of this matrix take more than %d MiB",
                     MATRIX_BYTES_MAX >> 20);
            return NULL;
        }
        items[i] = take_json(c, &json);
        next_combination(axes, chosen, n);
    }
    return items;
}

static void read_matrix(struct check *c, const struct value *v, void *field)
{
    struct foreach *foreach = field;
    bool is_good = true;
    uint64_t width = 1;

    if (!expect(c, v, VALUE_MAPPING))
        return;
    if (!v->n) {
        complain(c, v, NULL, "the matrix in %s has no keys", c->where);
        return;
    }
    for (const struct value *axis = v->u.first; axis; axis = axis->next) {
        is_good = expect(c, axis, VALUE_SEQUENCE) && is_good;
        if (is_good && width <= MATRIX_WIDTH_MAX)
            width *= axis->n;
    }
    if (is_good && width > MATRIX_WIDTH_MAX)
        complain(c, v, "a range of tasks costs no memory: {range: N}",
                 "the matrix in %s has more than %d combinations", c->where,
                 MATRIX_WIDTH_MAX);
    else if (is_good)
        *foreach = (struct foreach){ .kind = FOREACH_MATRIX,
                                     .items = combine(c, v, width),
                                     .width = width };
}

void read_foreach(struct check *c, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "items", read_items, 0, NULL },
        { "range", read_range, 0, NULL },
        { "glob", read_glob, 0, NULL },
        { "matrix", read_matrix, 0, NULL },
    };
    struct foreach *foreach = field;

    if (v->type == VALUE_MAPPING && v->n == 1) {
        READ_MAPPING(c, v, keys, foreach);
    } else if (v->type != VALUE_STRING) {
        complain(
            c, v,
            "write `foreach: numbers`, {items: [...]}, {range: N}, {glob: "
            "'*.csv'} or {matrix: {...}}",
            "'foreach' in %s names an artifact or has one of items, range, glob and "
            "matrix",
            c->where);
    } else if (!is_artifact_name(v->text)) {
        complain(c, v, NULL, "'%.130s' cannot be the name of an artifact", v->text);
    } else {
        *foreach = (struct foreach){ .kind = FOREACH_ARTIFACT,
                                     .artifact = check_copy(c, v->text, v->n) };
    }
}
