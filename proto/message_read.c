/* SPDX-License-Identifier: Apache-2.0 */
/* The reader. Nothing of what it is given is trusted. Lists are counted before they are
 * read, so that each takes one piece of memory of the right size. */
#include <errno.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message_schema.h"
#include "proto/text.h"

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };
enum { BLOCK_BYTES = 1024, MEMORY_CONSTANT = 64 << 10 };

struct arena {
    void *blocks;      /* each begins with the address of the next */
    uint8_t *at, *end; /* aligned for anything that a message has */
    size_t left;       /* bytes that more blocks may take */
};

struct cursor {
    uint8_t *at, *end;
};

/* A field on the wire: a number in `value`, or `len` bytes. */
struct item {
    unsigned number, wire; /* number 0: one that no table has */
    uint64_t value;
    uint8_t *bytes;
    size_t len;
};

/* ---- memory ---- */

static int add_block(struct arena *a, size_t bytes)
{
    size_t size = sizeof(void *) + (bytes > BLOCK_BYTES ? bytes : BLOCK_BYTES);
    void **block;

    if (size > a->left)
        return -EBADMSG;
    block = malloc(size);
    if (!block)
        return -ENOMEM;
    *block = a->blocks;
    a->blocks = block;
    a->at = (uint8_t *)(block + 1);
    a->end = (uint8_t *)block + size;
    a->left -= size;
    return 0;
}

/* n * size zero bytes; both are bounded by what is called for. */
static int take(struct arena *a, size_t n, size_t size, void **ret)
{
    size_t mask = alignof(uint64_t) - 1, bytes = (n * size + mask) & ~mask;

    if (bytes > (size_t)(a->end - a->at)) {
        int r = add_block(a, bytes);

        if (r < 0)
            return r;
    }
    *ret = memset(a->at, 0, bytes);
    a->at += bytes;
    return 0;
}

/* ---- the wire ---- */

static int read_varint(struct cursor *c, uint64_t *ret)
{
    uint64_t value = 0;

    for (unsigned shift = 0; shift < 64 && c->at < c->end; shift += 7) {
        uint8_t byte = *c->at++;

        if (shift == 63 && byte > 1)
            return -EBADMSG;
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

static int read_item(struct cursor *c, struct item *ret)
{
    uint64_t key, n;
    int r = read_varint(c, &key);

    if (r < 0)
        return r;
    if (key >> 3 == 0 || key > UINT32_MAX)
        return -EBADMSG;
    *ret = (struct item){
        .number = key >> 3 < FIELD_NUMBERS_MAX ? (unsigned)(key >> 3) : 0,
        .wire = key & 7,
    };
    switch (ret->wire) {
    case VARINT:
        return read_varint(c, &ret->value);
    case FIXED64:
        return skip(c, 8);
    case FIXED32:
        return skip(c, 4);
    case BYTES:
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

static const struct field *find_field(const struct schema *s, const struct item *item)
{
    const struct field *f;

    if (item->number == 0 || item->number >= s->n_fields)
        return NULL;
    f = &s->fields[item->number];
    return f->kind == FIELD_NONE ? NULL : f;
}

static bool is_list(const struct field *f)
{
    return f->kind >= FIELD_MESSAGES;
}

static int read_message(const struct schema *s, uint8_t *bytes, size_t len,
                        struct arena *arena, void *ret);

/* ---- single fields ---- */

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ (value & 1 ? UINT64_MAX : 0));
}

static int read_number(const struct field *f, uint64_t value, void *at)
{
    int64_t number = unzigzag(value);

    switch (f->kind) {
    case FIELD_BOOL:
        *(bool *)at = value != 0;
        return 0;
    case FIELD_U8:
        *(uint8_t *)at = (uint8_t)value;
        return value > UINT8_MAX ? -EBADMSG : 0;
    case FIELD_U64:
        *(uint64_t *)at = value;
        return 0;
    case FIELD_S32:
        *(int32_t *)at = (int32_t)number;
        return number < INT32_MIN || number > INT32_MAX ? -EBADMSG : 0;
    case FIELD_S64:
        *(int64_t *)at = number;
        return 0;
    case FIELD_ENUM:
        *(uint32_t *)at = (uint32_t)value;
        return value == 0 || value > f->max ? -EBADMSG : 0;
    default:
        *(uint32_t *)at = (uint32_t)value;
        return value > UINT32_MAX ? -EBADMSG : 0;
    }
}

static int read_fixed(const struct field *f, const struct item *item, uint8_t *at)
{
    if (item->len != f->max)
        return -EBADMSG;
    memcpy(at, item->bytes, item->len);
    if (f->is_needed && at[0] == 0 && memcmp(at, at + 1, item->len - 1) == 0)
        return -EBADMSG;
    return 0;
}

/* The NUL gets its room from the length before the text, which was read. */
static int read_text(const struct field *f, const struct item *item, char **ret)
{
    char *text = (char *)item->bytes - 1;

    if (item->len > MESSAGE_TEXT_MAX || (f->is_needed && item->len == 0)
        || !text_is_valid(item->bytes, item->len))
        return -EBADMSG;
    memmove(text, item->bytes, item->len);
    text[item->len] = '\0';
    *ret = text;
    return 0;
}

static int read_bytes(const struct field *f, const struct item *item, uint8_t *message)
{
    if (item->len > f->max)
        return -EBADMSG;
    *(uint8_t **)(void *)(message + f->at) = item->bytes;
    *(size_t *)(void *)(message + f->count) = item->len;
    return 0;
}

static int read_task(const struct item *item, struct task_id *ret)
{
    size_t n = task_id_decode(item->bytes, item->len, ret);

    return n && n == item->len ? 0 : -EBADMSG;
}

/* ---- lists ---- */

static size_t count_packed(const struct item *item)
{
    size_t n = 0;

    for (size_t i = 0; i < item->len; i++)
        n += item->bytes[i] < 0x80;
    return n;
}

static size_t *count_of(const struct field *f, uint8_t *message)
{
    return (size_t *)(void *)(message + f->count);
}

static size_t item_size(const struct field *f)
{
    return f->kind == FIELD_MESSAGES ? f->schema->size
           : f->kind == FIELD_U64S   ? sizeof(uint64_t)
                                     : f->max;
}

/* Counts what comes and takes the memory; then all counts are 0 again. */
static int make_lists(const struct schema *s, struct cursor c, struct arena *arena,
                      uint8_t *message)
{
    struct item item;
    int r = 0;

    while (c.at < c.end) {
        const struct field *f;

        r = read_item(&c, &item);
        if (r < 0)
            return r;
        f = find_field(s, &item);
        if (!f || !is_list(f) || f->kind == FIELD_HOMES)
            continue;
        *count_of(f, message) +=
            f->kind == FIELD_U64S && item.wire == BYTES ? count_packed(&item) : 1;
        if (*count_of(f, message) > MESSAGE_ITEMS_MAX)
            return -EBADMSG;
    }
    for (unsigned i = 1; r == 0 && i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];

        if (!is_list(f) || f->kind == FIELD_HOMES || *count_of(f, message) == 0)
            continue;
        r = take(arena, *count_of(f, message), item_size(f),
                 (void **)(void *)(message + f->at));
        *count_of(f, message) = 0;
    }
    return r;
}

static int read_home(const struct field *f, const struct item *item, uint8_t *message)
{
    uint32_t *n = (uint32_t *)(void *)(message + f->count);

    if (item->wire != BYTES || item->len != f->max || *n == HOMES_MAX)
        return -EBADMSG;
    memcpy(message + f->at + *n * f->max, item->bytes, item->len);
    *n += 1;
    return 0;
}

/* Packed or one by one: a reader of protobuf takes both. */
static int read_numbers(const struct item *item, uint64_t *values, size_t *n)
{
    struct cursor c;

    if (item->wire == VARINT) {
        values[(*n)++] = item->value;
        return 0;
    }
    if (item->wire != BYTES)
        return -EBADMSG;
    c = (struct cursor){ .at = item->bytes, .end = item->bytes + item->len };
    while (c.at < c.end) {
        uint64_t value;
        int r = read_varint(&c, &value);

        if (r < 0)
            return r;
        values[(*n)++] = value;
    }
    return 0;
}

static int read_listed(const struct field *f, const struct item *item,
                       struct arena *arena, uint8_t *message)
{
    size_t *n;
    uint8_t *items, *at;

    if (f->kind == FIELD_HOMES)
        return read_home(f, item, message);
    n = count_of(f, message);
    items = *(uint8_t **)(void *)(message + f->at);
    if (f->kind == FIELD_U64S)
        return read_numbers(item, (uint64_t *)(void *)items, n);
    if (item->wire != BYTES)
        return -EBADMSG;
    at = items + (*n)++ * item_size(f);
    if (f->kind == FIELD_MESSAGES)
        return read_message(f->schema, item->bytes, item->len, arena, at);
    if (item->len != f->max)
        return -EBADMSG;
    memcpy(at, item->bytes, item->len);
    return 0;
}

/* ---- messages ---- */

static int read_field(const struct field *f, const struct item *item,
                      struct arena *arena, uint8_t *message)
{
    void *at = message + f->at;

    if (item->wire != (f->kind < FIELD_FIXED ? VARINT : BYTES))
        return -EBADMSG;
    if (f->has_flag)
        *(bool *)(message + f->flag) = true;
    switch (f->kind) {
    case FIELD_FIXED:
        return read_fixed(f, item, at);
    case FIELD_BYTES:
        return read_bytes(f, item, message);
    case FIELD_TEXT:
        return read_text(f, item, at);
    case FIELD_TASK:
        return read_task(item, at);
    case FIELD_MESSAGE:
        return read_message(f->schema, item->bytes, item->len, arena, at);
    default:
        return read_number(f, item->value, at);
    }
}

/* What did not come: a text is "", what is needed is an error. */
static int fill_in(const struct schema *s, uint32_t seen, uint8_t *message)
{
    static char nothing[1];

    for (unsigned i = 1; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];

        if (seen & UINT32_C(1) << i)
            continue;
        if (f->is_needed)
            return -EBADMSG;
        if (f->kind == FIELD_TEXT)
            *(char **)(void *)(message + f->at) = nothing;
    }
    return 0;
}

static int read_message(const struct schema *s, uint8_t *bytes, size_t len,
                        struct arena *arena, void *ret)
{
    struct cursor c = { .at = bytes, .end = bytes + len };
    uint32_t seen = 0;
    struct item item;
    int r = s->has_lists ? make_lists(s, c, arena, ret) : 0;

    while (r == 0 && c.at < c.end) {
        const struct field *f;
        uint32_t bit;

        r = read_item(&c, &item);
        if (r < 0)
            return r;
        f = find_field(s, &item);
        if (!f)
            continue;
        bit = UINT32_C(1) << item.number;
        if (seen & bit && !is_list(f))
            return -EBADMSG;
        seen |= bit;
        r = is_list(f) ? read_listed(f, &item, arena, ret)
                       : read_field(f, &item, arena, ret);
    }
    if (r == 0)
        r = fill_in(s, seen, ret);
    return r == 0 && s->is_valid && !s->is_valid(ret) ? -EBADMSG : r;
}

void message_free_arena(void *arena)
{
    while (arena) {
        void *next = *(void **)arena;

        free(arena);
        arena = next;
    }
}

int message_unpack(const struct schema *s, const void *data, size_t len, void *ret,
                   void **ret_arena)
{
    struct arena arena = { .left = MESSAGE_MEMORY_FACTOR * len + MEMORY_CONSTANT };
    uint8_t *body;
    int r = add_block(&arena, len + len / 2 + BLOCK_BYTES); /* small lists fit too */

    if (r < 0)
        return r;
    body = arena.at;
    if (len)
        memcpy(body, data, len);
    arena.at += (len + alignof(uint64_t) - 1) & ~(alignof(uint64_t) - 1);
    r = read_message(s, body, len, &arena, ret);
    if (r < 0)
        message_free_arena(arena.blocks);
    else
        *ret_arena = arena.blocks;
    return r;
}
