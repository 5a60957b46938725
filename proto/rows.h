/* SPDX-License-Identifier: Apache-2.0 */
/* rows - what a node keeps because it is not alone.
 *
 *     log row   'l' group index, 8 bytes big-endian          struct log_row
 *     replica   'q' group                                    struct replica_state
 *     offered   'o' run_id task_id boot-varint counter-varint
 *                                                            struct kept_attempt
 *     peer      'h' node_id                                  struct peer_row
 *     register  'v' group name                               struct register_row
 *     certificate 'i' node_id              a chain, node/certificate.h, as its own
 * bytes
 *
 * The bytes are a record's (proto/record.h): header, checksum, a protobuf message
 * (rows.proto). No row takes more than MESSAGE_BYTES_MAX.
 *
 * Pure. A decoded row owns what it points to; release it. */
#pragma once

#include "proto/message.h"
#include "proto/record.h"

/* An entry of a group's log. The record of an attempt is not in it, but under its own
 * key; what can be written again has its value here until it is decided. */
struct log_row {
    struct ballot ballot;
    uint8_t *key; /* empty: none, the entry only counts */
    size_t key_len;
    bool is_delete;
    bool has_value;
    uint8_t *value;
    size_t value_len;
    struct node_id homes[HOMES_MAX]; /* of the next generation */
    uint32_t n_homes;
    void *arena;
};
/* Whether it is the record of an attempt, written again. */
static inline bool log_row_is_again(const struct log_row *r)
{
    return r->has_value && r->key_len > 1 && r->key[0] == 'a';
}
struct record_key log_row_key(const struct group_id *group, uint64_t index);
/* The prefix of all rows of a group. */
struct record_key log_rows_of(const struct group_id *group);
/* -EBADMSG unless the bytes are the key of a row. */
int log_row_key_decode(const void *key, size_t len, struct group_id *ret_group,
                       uint64_t *ret_index);

/* An attempt that ended here, until a leader says what became of it. */
struct kept_attempt {
    struct attempt_name name;
    struct run_id run;   /* these two, boot and counter are in the key, */
    struct task_id task; /* not in the bytes */
    struct digest witness;
    uint8_t *record; /* attempt_record_encode() */
    size_t record_len;
    void *arena;
};
struct record_key kept_attempt_key(const struct run_id *run, const struct task_id *task,
                                   uint32_t boot, uint64_t counter);
/* The prefix of all of a run. */
struct record_key kept_attempts_of_run(const struct run_id *run);
/* Fills in run, task, name.boot and name.counter. -EBADMSG */
int kept_attempt_key_decode(const void *key, size_t len, struct kept_attempt *ret);

/* A member that was met: where to knock when this node starts again. Its key has its
 * id. */
struct peer_row {
    struct node_id id;
    uint64_t incarnation;
    time_us heard_wall; /* 0: never, only told of */
    struct member_card card;
};
struct record_key peer_row_key(const struct node_id *id);
int peer_row_key_decode(const void *key, size_t len, struct node_id *ret_id);

/* Of whoever was a member: what it signed is checked with it, also when it has left. */
struct record_key certificate_key(const struct node_id *id);

enum { REGISTER_CLIENTS_MAX = 32, REGISTER_VALUE_MAX = 64 << 10, REGISTER_NAME_MAX = 32 };

/* A register of the mesh group: its value, and the last request of each of the nodes
 * that changed it lately, so that one that comes again changes nothing. */
struct register_client {
    struct node_id node;
    uint64_t request;
    uint64_t sum;    /* the answer of PROPOSE_ADD */
    bool is_refused; /* of PROPOSE_SWAP: it had another value */
};
struct register_row {
    uint8_t *value;
    size_t value_len;
    bool is_none;                    /* it has no value: who asked was refused */
    struct register_client *clients; /* the newest last */
    size_t n_clients;
    void *arena;
};
/* The value of a register that is added to, eight bytes; of another one 0. */
uint64_t register_number(const void *value, size_t len);
void register_put_number(uint64_t number, uint8_t ret_value[8]);
/* `name` has REGISTER_NAME_MAX bytes at most. */
struct record_key register_key(const struct group_id *group, const char *name);
/* The prefix of all of a group. */
struct record_key registers_of(const struct group_id *group);

/* -EINVAL, -E2BIG, -ENOMEM as attempt_record_encode(); nothing was appended. */
int log_row_encode(const struct log_row *r, struct buffer *out);
int kept_attempt_encode(const struct kept_attempt *k, struct buffer *out);
int peer_row_encode(const struct peer_row *p, struct buffer *out);
int register_row_encode(const struct register_row *r, struct buffer *out);

/* -EBADMSG, -EPROTONOSUPPORT, -ENOMEM as attempt_record_decode(). What is in the key is
 * left as it was in *ret, which is unchanged on failure. */
int log_row_decode(const void *data, size_t len, struct log_row *ret);
int kept_attempt_decode(const void *data, size_t len, struct kept_attempt *ret);
int peer_row_decode(const void *data, size_t len, struct peer_row *ret);
int register_row_decode(const void *data, size_t len, struct register_row *ret);

void log_row_release(struct log_row *r);
void kept_attempt_release(struct kept_attempt *k);
void peer_row_release(struct peer_row *p);
void register_row_release(struct register_row *r);
