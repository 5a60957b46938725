/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/format.h"
#include "proto/message_schema.h"
#include "proto/replica_state.h"

enum { INDEX_SIZE = 8 };

/* ---- keys ---- */

static void put_id(struct record_key *k, char kind, const uint8_t id[RUN_ID_SIZE])
{
    k->bytes[0] = (uint8_t)kind;
    memcpy(k->bytes + 1, id, RUN_ID_SIZE);
    k->len = 1 + RUN_ID_SIZE;
}

struct record_key log_rows_of(const struct group_id *group)
{
    struct record_key k;

    put_id(&k, 'l', group->bytes);
    return k;
}

struct record_key log_row_key(const struct group_id *group, uint64_t index)
{
    struct record_key k = log_rows_of(group);

    for (int i = 0; i < INDEX_SIZE; i++)
        k.bytes[k.len++] = (uint8_t)(index >> (56 - 8 * i));
    return k;
}

int log_row_key_decode(const void *key, size_t len, struct group_id *ret_group,
                       uint64_t *ret_index)
{
    const uint8_t *bytes = key;
    uint64_t index = 0;

    if (len != 1 + RUN_ID_SIZE + INDEX_SIZE || bytes[0] != 'l')
        return -EBADMSG;
    for (size_t i = 0; i < INDEX_SIZE; i++)
        index = index << 8 | bytes[1 + RUN_ID_SIZE + i];
    memcpy(ret_group->bytes, bytes + 1, RUN_ID_SIZE);
    *ret_index = index;
    return 0;
}

struct record_key replica_state_key(const struct group_id *group)
{
    struct record_key k;

    put_id(&k, 'q', group->bytes);
    return k;
}

struct record_key kept_attempts_of_run(const struct run_id *run)
{
    struct record_key k;

    put_id(&k, 'o', run->bytes);
    return k;
}

struct record_key kept_attempt_key(const struct run_id *run, const struct task_id *task,
                                   uint32_t boot, uint64_t counter)
{
    struct record_key k = kept_attempts_of_run(run);

    k.len += task_id_encode(task, k.bytes + k.len);
    k.len += varint_encode(boot, k.bytes + k.len);
    k.len += varint_encode(counter, k.bytes + k.len);
    return k;
}

int kept_attempt_key_decode(const void *key, size_t len, struct kept_attempt *ret)
{
    const uint8_t *bytes = key;
    size_t at = 1 + RUN_ID_SIZE, n;
    struct task_id task;
    uint64_t boot, counter;

    if (len < at || bytes[0] != 'o')
        return -EBADMSG;
    n = task_id_decode(bytes + at, len - at, &task);
    if (n == 0)
        return -EBADMSG;
    at += n;
    n = varint_decode(bytes + at, len - at, &boot);
    if (n == 0 || boot > UINT32_MAX)
        return -EBADMSG;
    at += n;
    n = varint_decode(bytes + at, len - at, &counter);
    if (n == 0 || at + n != len)
        return -EBADMSG;
    memcpy(ret->run.bytes, bytes + 1, RUN_ID_SIZE);
    ret->task = task;
    ret->name.boot = (uint32_t)boot;
    ret->name.counter = counter;
    return 0;
}

struct record_key peer_row_key(const struct node_id *id)
{
    struct record_key k;

    put_id(&k, 'h', id->bytes);
    return k;
}

int peer_row_key_decode(const void *key, size_t len, struct node_id *ret_id)
{
    const uint8_t *bytes = key;

    if (len != 1 + NODE_ID_SIZE || bytes[0] != 'h')
        return -EBADMSG;
    memcpy(ret_id->bytes, bytes + 1, NODE_ID_SIZE);
    return 0;
}

struct record_key certificate_key(const struct node_id *id)
{
    struct record_key k;

    put_id(&k, 'i', id->bytes);
    return k;
}

struct record_key registers_of(const struct group_id *group)
{
    struct record_key k;

    put_id(&k, 'v', group->bytes);
    return k;
}

struct record_key register_key(const struct group_id *group, const char *name)
{
    struct record_key k = registers_of(group);
    size_t len = strnlen(name, REGISTER_NAME_MAX);

    memcpy(k.bytes + k.len, name, len);
    k.len += len;
    return k;
}

uint64_t register_number(const void *value, size_t len)
{
    const uint8_t *bytes = value;
    uint64_t number = 0;

    for (size_t i = 0; i < len && len == 8; i++)
        number = number << 8 | bytes[i];
    return number;
}

void register_put_number(uint64_t number, uint8_t ret_value[8])
{
    for (int i = 0; i < 8; i++)
        ret_value[i] = (uint8_t)(number >> (56 - 8 * i));
}

/* ---- tables ---- */

static const struct field log_row_fields[] = {
    [1] = F_MESSAGE(log_row, ballot, schema_ballot),
    [2] = F_BYTES(log_row, key, MESSAGE_KEY_MAX),
    [3] = F_BYTES_IF(log_row, value, has_value),
    [4] = F_BOOL(log_row, is_delete),
    [5] = F_HOMES(log_row, homes, n_homes),
};

static bool log_row_is_valid(const void *message)
{
    const struct log_row *r = message;

    return !(r->is_delete && r->has_value)
           && !(r->key_len == 0 && (r->has_value || r->is_delete));
}

const struct schema schema_log_row =
    SCHEMA("LogRow", log_row, log_row_fields, .is_valid = log_row_is_valid);

static const struct field kept_attempt_fields[] = {
    [1] = F_ID(kept_attempt, name.node),
    [2] = F_FIXED(kept_attempt, witness),
    [3] = F_BYTES(kept_attempt, record, MESSAGE_BYTES_MAX),
};
const struct schema schema_kept_attempt =
    SCHEMA("KeptAttempt", kept_attempt, kept_attempt_fields, .has_lists = false);

static const struct field peer_row_fields[] = {
    [1] = F_U64(peer_row, incarnation),
    [2] = F_U64(peer_row, heard_wall),
    [3] = F_NEEDED(peer_row, card, schema_card),
};
const struct schema schema_peer_row =
    SCHEMA("PeerRow", peer_row, peer_row_fields, .has_lists = false);

static const struct field register_client_fields[] = {
    [1] = F_ID(register_client, node),
    [2] = F_U64(register_client, request),
    [3] = F_U64(register_client, sum),
    [4] = F_BOOL(register_client, is_refused),
};
static const struct schema schema_register_client =
    SCHEMA("RegisterClient", register_client, register_client_fields,
           .has_lists = false);

static const struct field register_row_fields[] = {
    [1] = F_BYTES(register_row, value, REGISTER_VALUE_MAX),
    [2] = F_MESSAGES(register_row, clients, n_clients, schema_register_client),
    [3] = F_BOOL(register_row, is_none),
};

static bool register_row_is_valid(const void *message)
{
    return ((const struct register_row *)message)->n_clients <= REGISTER_CLIENTS_MAX;
}

const struct schema schema_register_row =
    SCHEMA("Register", register_row, register_row_fields, .has_lists = true,
           .is_valid = register_row_is_valid);

static const struct field stretch_fields[] = {
    [1] = F_U64(replica_stretch, first),
    [2] = F_MESSAGE(replica_stretch, ballot, schema_ballot),
};
static const struct schema schema_stretch =
    SCHEMA("Stretch", replica_stretch, stretch_fields, .has_lists = false);

static const struct field replica_state_fields[] = {
    [1] = F_U64(replica_state, generation),
    [2] = F_HOMES(replica_state, homes, n_homes),
    [3] = F_MESSAGE(replica_state, promised, schema_ballot),
    [4] = F_MESSAGE(replica_state, base, schema_log_position),
    [5] = F_MESSAGE(replica_state, last, schema_log_position),
    [6] = F_MESSAGES(replica_state, stretches, n_stretches, schema_stretch),
    [7] = F_U64(replica_state, commit),
    [8] = F_U64(replica_state, closing),
    [9] = F_HOMES(replica_state, next_homes, n_next_homes),
    [10] = F_BOOL(replica_state, is_installing),
};
const struct schema schema_replica_state =
    SCHEMA("ReplicaState", replica_state, replica_state_fields, .has_lists = true);

/* ---- bytes ---- */

static int encode(const struct schema *s, const void *row, struct buffer *out)
{
    static const char header[RECORD_HEADER_SIZE];
    size_t start = out->len;
    int r = buffer_append(out, header, sizeof(header));

    if (r == 0)
        r = message_write(s, row, out);
    return record_close(out, start, r);
}

/* Into a struct that is all zero. */
static int decode(const struct schema *s, const void *data, size_t len, void *ret,
                  void **ret_arena)
{
    const uint8_t *body;
    int r = record_open(data, len, &body, &len);

    return r < 0 ? r : message_unpack(s, body, len, ret, ret_arena);
}

int log_row_encode(const struct log_row *r, struct buffer *out)
{
    return encode(&schema_log_row, r, out);
}

int log_row_decode(const void *data, size_t len, struct log_row *ret)
{
    struct log_row row = { .arena = NULL };
    int r = decode(&schema_log_row, data, len, &row, &row.arena);

    if (r == 0)
        *ret = row;
    return r;
}

void log_row_release(struct log_row *r)
{
    message_free_arena(r->arena);
    *r = (struct log_row){ .arena = NULL };
}

int kept_attempt_encode(const struct kept_attempt *k, struct buffer *out)
{
    return encode(&schema_kept_attempt, k, out);
}

int kept_attempt_decode(const void *data, size_t len, struct kept_attempt *ret)
{
    struct kept_attempt kept = { .arena = NULL };
    int r = decode(&schema_kept_attempt, data, len, &kept, &kept.arena);

    if (r < 0)
        return r;
    kept.run = ret->run;
    kept.task = ret->task;
    kept.name.boot = ret->name.boot;
    kept.name.counter = ret->name.counter;
    *ret = kept;
    return 0;
}

void kept_attempt_release(struct kept_attempt *k)
{
    message_free_arena(k->arena);
    *k = (struct kept_attempt){ .arena = NULL };
}

int peer_row_encode(const struct peer_row *p, struct buffer *out)
{
    return encode(&schema_peer_row, p, out);
}

int peer_row_decode(const void *data, size_t len, struct peer_row *ret)
{
    struct peer_row row = { .id = ret->id };
    struct member_card copy;
    void *arena;
    int r = decode(&schema_peer_row, data, len, &row, &arena);

    if (r < 0)
        return r;
    r = member_card_copy(&row.card, &copy);
    message_free_arena(arena);
    if (r < 0)
        return r;
    row.card = copy;
    *ret = row;
    return 0;
}

void peer_row_release(struct peer_row *p)
{
    member_card_release(&p->card);
    *p = (struct peer_row){ .incarnation = 0 };
}

int register_row_encode(const struct register_row *r, struct buffer *out)
{
    return encode(&schema_register_row, r, out);
}

int register_row_decode(const void *data, size_t len, struct register_row *ret)
{
    struct register_row row = { .arena = NULL };
    int r = decode(&schema_register_row, data, len, &row, &row.arena);

    if (r == 0)
        *ret = row;
    return r;
}

void register_row_release(struct register_row *r)
{
    message_free_arena(r->arena);
    *r = (struct register_row){ .arena = NULL };
}

/* ---- the state of a replica ---- */

void replica_state_release(struct replica_state *s)
{
    free(s->stretches);
    *s = (struct replica_state){ .stretches = NULL };
}

int replica_state_copy(const struct replica_state *from, struct replica_state *ret)
{
    struct replica_state copy = *from;
    size_t bytes = from->n_stretches * sizeof(*copy.stretches);

    copy.stretches = bytes ? malloc(bytes) : NULL;
    if (bytes && !copy.stretches)
        return -ENOMEM;
    if (bytes)
        memcpy(copy.stretches, from->stretches, bytes);
    *ret = copy;
    return 0;
}

int replica_state_encode(const struct replica_state *s, struct buffer *out)
{
    return encode(&schema_replica_state, s, out);
}

int replica_state_decode(const void *data, size_t len, struct replica_state *ret)
{
    struct replica_state state = { .stretches = NULL };
    void *arena;
    int r = decode(&schema_replica_state, data, len, &state, &arena);

    if (r < 0)
        return r;
    r = replica_state_copy(&state, ret);
    message_free_arena(arena);
    return r;
}
