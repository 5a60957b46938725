/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/message_sample.h"

#include <stdlib.h>
#include <string.h>

#include "proto/message_schema.h"

const enum message_type message_types[] = {
    MESSAGE_HELLO,
    MESSAGE_PING,
    MESSAGE_PONG,
    MESSAGE_GOSSIP,
    MESSAGE_JOIN,
    MESSAGE_JOINED,
    MESSAGE_REVOKED,
    MESSAGE_SYNC,
    MESSAGE_VOTE,
    MESSAGE_VOTED,
    MESSAGE_APPEND,
    MESSAGE_APPENDED,
    MESSAGE_INSTALL,
    MESSAGE_INSTALLED,
    MESSAGE_PROPOSE,
    MESSAGE_PROPOSED,
    MESSAGE_WANT,
    MESSAGE_GRANT,
    MESSAGE_RECALL,
    MESSAGE_RECALLED,
    MESSAGE_COMMIT,
    MESSAGE_COMMITTED,
    MESSAGE_LEAD,
    MESSAGE_REPORT,
    MESSAGE_RECORDS_GET,
    MESSAGE_RECORDS,
    MESSAGE_REQUEST,
    MESSAGE_REPLY,
    MESSAGE_BLOB_FIND,
    MESSAGE_BLOB_HOLDERS,
    MESSAGE_BLOB_GET,
    MESSAGE_BLOB_DATA,
    MESSAGE_BLOB_KEEP,
    MESSAGE_BLOB_KEPT,
    0,
};

struct sample {
    void *blocks;  /* as message_release() frees them */
    unsigned next; /* no two fields have one value */
    size_t n_items;
};

static void *sample_take(struct sample *s, size_t size)
{
    void **block = calloc(1, sizeof(void *) + size);

    if (!block)
        abort();
    *block = s->blocks;
    s->blocks = block;
    return block + 1;
}

/* Came later: the golden bytes of before have no such field. */
enum { LOG_ENTRY_IS_AGAIN = 6 };

static void fill(struct sample *s, const struct schema *schema, uint8_t *message);

static void fill_bytes(struct sample *s, uint8_t *at, size_t n)
{
    s->next++;
    for (size_t i = 0; i < n; i++)
        at[i] = (uint8_t)(s->next + i);
}

static void *fill_list(struct sample *s, const struct field *f, size_t size)
{
    uint8_t *items = sample_take(s, s->n_items * size);

    for (size_t i = 0; i < s->n_items; i++) {
        if (f->kind == FIELD_MESSAGES)
            fill(s, f->schema, items + i * size);
        else if (f->kind == FIELD_U64S)
            ((uint64_t *)(void *)items)[i] = (uint64_t)s->next++ << 10 * i;
        else
            fill_bytes(s, items + i * size, size);
    }
    return items;
}

static void fill_number(struct sample *s, const struct field *f, uint8_t *at)
{
    unsigned n = ++s->next;

    if (f->kind == FIELD_BOOL)
        *(bool *)at = true;
    else if (f->kind == FIELD_U8)
        *at = (uint8_t)(n | 0x80);
    else if (f->kind == FIELD_U32)
        *(uint32_t *)(void *)at = n * 10;
    else if (f->kind == FIELD_U64)
        *(uint64_t *)(void *)at = (uint64_t)n * 1000000007;
    else if (f->kind == FIELD_ENUM)
        *(uint32_t *)(void *)at = 1 + n % f->max;
    else if (f->kind == FIELD_S32)
        *(int32_t *)(void *)at = -(int32_t)n;
    else if (f->kind == FIELD_S64)
        *(int64_t *)(void *)at = -(int64_t)n * 1000000007;
}

static void fill_field(struct sample *s, const struct field *f, uint8_t *message)
{
    uint8_t *at = message + f->at;
    size_t *count = (size_t *)(void *)(message + f->count);
    struct task_id task = { .step = ++s->next, .depth = 2, .path = { 17, 70000 } };

    if (f->has_flag)
        *(bool *)(message + f->flag) = true;
    switch (f->kind) {
    case FIELD_FIXED:
        fill_bytes(s, at, f->max);
        return;
    case FIELD_BYTES:
        *count = min_size(5, f->max);
        *(void **)(void *)at = sample_take(s, *count);
        fill_bytes(s, *(void **)(void *)at, *count);
        return;
    case FIELD_TEXT:
        *(char **)(void *)at = strcpy(sample_take(s, 16), "caf\xc3\xa9 A");
        (*(char **)(void *)at)[6] = (char)('A' + s->next % 26);
        return;
    case FIELD_TASK:
        *(struct task_id *)(void *)at = task;
        return;
    case FIELD_MESSAGE:
        fill(s, f->schema, at);
        return;
    case FIELD_HOMES:
        *(uint32_t *)(void *)count = 3;
        for (size_t i = 0; i < 3; i++)
            fill_bytes(s, at + i * f->max, f->max);
        return;
    case FIELD_MESSAGES:
    case FIELD_FIXEDS:
    case FIELD_U64S:
        *count = s->n_items;
        *(void **)(void *)at = fill_list(s, f,
                                         f->kind == FIELD_MESSAGES ? f->schema->size
                                         : f->kind == FIELD_U64S   ? sizeof(uint64_t)
                                                                   : f->max);
        return;
    default:
        fill_number(s, f, at);
    }
}

static void fill(struct sample *s, const struct schema *schema, uint8_t *message)
{
    for (unsigned i = 1; i < schema->n_fields; i++)
        if (schema->fields[i].kind != FIELD_NONE
            && (schema != &schema_log_entry || i != LOG_ENTRY_IS_AGAIN))
            fill_field(s, &schema->fields[i], message);
    /* What is deleted has no value; every second one here. */
    if (schema == &schema_log_entry) {
        struct log_entry *e = (void *)message;

        e->is_delete = s->next & 1;
        if (e->is_delete)
            e->value_len = 0;
    }
}

struct message sample_make(enum message_type t, size_t n_items)
{
    struct sample s = { .n_items = n_items };
    struct message m;

    memset(&m, 0, sizeof(m));
    m.type = t;
    fill(&s, message_schema(t), (uint8_t *)&m.u);
    m.arena = s.blocks;
    return m;
}

void sample_release(struct message *m)
{
    message_release(m);
}
