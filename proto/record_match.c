/* SPDX-License-Identifier: Apache-2.0 */
/* Looks into a run's record for three of its fields: a list of ten thousand runs must
 * not make ten thousand copies of flow files. */
#include <errno.h>
#include <string.h>

#include "proto/format.h"
#include "proto/record.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64, WIRE_BYTES, WIRE_FIXED32 = 5 };
enum { FIELD_FLOW_NAME = 3, FIELD_USER = 7, FIELD_TAG = 13 }; /* record.proto, Run */

struct cursor {
    const uint8_t *at, *end;
};

struct field {
    uint64_t number;
    const uint8_t *bytes; /* NULL: it is a number */
    size_t len;
};

static int read_varint(struct cursor *c, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;

        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *ret = value;
            return 0;
        }
    }
    return -EBADMSG;
}

static int skip(struct cursor *c, uint64_t n)
{
    if (n > (uint64_t)(c->end - c->at))
        return -EBADMSG;
    c->at += n;
    return 0;
}

static int read_field(struct cursor *c, struct field *ret)
{
    uint64_t key, n;
    int r = read_varint(c, &key);

    if (r < 0)
        return r;
    *ret = (struct field){ .number = key >> 3 };
    switch (key & 7) {
    case WIRE_VARINT:
        return read_varint(c, &n);
    case WIRE_FIXED64:
        return skip(c, 8);
    case WIRE_FIXED32:
        return skip(c, 4);
    case WIRE_BYTES:
        r = read_varint(c, &n);
        if (r < 0)
            return r;
        ret->bytes = c->at;
        ret->len = (size_t)n;
        return skip(c, n);
    default:
        return -EBADMSG;
    }
}

static bool is_text(const struct field *f, const char *text)
{
    return f->bytes && strlen(text) == f->len && memcmp(f->bytes, text, f->len) == 0;
}

int run_record_matches(const void *data, size_t len, const struct run_filter *filter)
{
    /* A text that is absent is "". */
    bool has_flow = !filter->flow || !*filter->flow;
    bool has_user = !filter->user || !*filter->user, has_tag = !filter->tag;
    struct cursor c;
    struct field f;
    int r = record_open(data, len, &c.at, &len);

    if (r < 0)
        return r;
    c.end = c.at + len;
    while (c.at < c.end) {
        r = read_field(&c, &f);
        if (r < 0)
            return r;
        if (f.number == FIELD_FLOW_NAME && filter->flow)
            has_flow = is_text(&f, filter->flow);
        else if (f.number == FIELD_USER && filter->user)
            has_user = is_text(&f, filter->user);
        else if (f.number == FIELD_TAG && filter->tag)
            has_tag = has_tag || is_text(&f, filter->tag);
    }
    return has_flow && has_user && has_tag;
}
