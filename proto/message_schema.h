/* SPDX-License-Identifier: Apache-2.0 */
/* message_schema - where the fields of a message lie in its struct.
 *
 * Messages are read into and written from their structs by tables, one for each message
 * of message.proto; a test compares these with what protobuf's compiler makes of it. So
 * a lease is decoded in one pass into its final place, where generated code would make
 * an object of each nested message first, and memory is counted in one place.
 *
 * A field is at the index of its number. What is zero, false or empty is not written,
 * unless `has` or `is_needed` says so. A field that may come once must not come twice.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "proto/message.h"

enum field_kind {
    FIELD_NONE, /* of this number: unknown, or retired */
    FIELD_BOOL,
    FIELD_U8, /* as all up to FIELD_S64 a varint on the wire */
    FIELD_U32,
    FIELD_U64,
    FIELD_ENUM, /* 1..max, never unset */
    FIELD_S32,  /* zigzag */
    FIELD_S64,
    FIELD_FIXED, /* max bytes, in place */
    FIELD_BYTES, /* up to max; uint8_t *, and its length at `count` */
    FIELD_TEXT,  /* char *, up to MESSAGE_TEXT_MAX */
    FIELD_TASK,  /* struct task_id as its bytes */
    FIELD_MESSAGE,
    FIELD_MESSAGES, /* a list: a pointer, and how many there are at `count` */
    FIELD_FIXEDS,   /* a list of max bytes each */
    FIELD_U64S,     /* a list, packed */
    FIELD_HOMES,    /* a list of node ids in place; its uint32_t length is at `count` */
};

struct field {
    uint8_t kind;
    bool is_needed; /* neither zero nor empty; of FIELD_MESSAGE: it is there */
    bool has_flag;  /* the bool at `flag` says whether it is there */
    uint16_t at, count, flag;
    uint32_t max;
    const struct schema *schema; /* of FIELD_MESSAGE(S) */
};

struct schema {
    const char *name; /* in message.proto */
    uint16_t size;    /* of the struct */
    uint8_t n_fields; /* and one: the greatest number is n_fields - 1 */
    bool has_lists;
    const struct field *fields;
    bool (*is_valid)(const void *message); /* what no single field tells; NULL: true */
};

enum { FIELD_NUMBERS_MAX = 32 };

/* The size is checked here, because the tables know only places. */
#define FIELD_AT(s, m, type)  \
    (uint16_t)(               \
        offsetof(struct s, m) \
        + 0 * sizeof(char[sizeof(((struct s *)0)->m) == sizeof(type) ? 1 : -1]))
#define F_BOOL(s, m)                                   \
    {                                                  \
        .kind = FIELD_BOOL, .at = FIELD_AT(s, m, bool) \
    }
#define F_U8(s, m)                                      \
    {                                                   \
        .kind = FIELD_U8, .at = FIELD_AT(s, m, uint8_t) \
    }
#define F_U32(s, m)                                       \
    {                                                     \
        .kind = FIELD_U32, .at = FIELD_AT(s, m, uint32_t) \
    }
#define F_U64(s, m)                                       \
    {                                                     \
        .kind = FIELD_U64, .at = FIELD_AT(s, m, uint64_t) \
    }
#define F_S32(s, m)                                      \
    {                                                    \
        .kind = FIELD_S32, .at = FIELD_AT(s, m, int32_t) \
    }
#define F_S64(s, m)                                      \
    {                                                    \
        .kind = FIELD_S64, .at = FIELD_AT(s, m, int64_t) \
    }
#define F_ENUM(s, m, last)                                                 \
    {                                                                      \
        .kind = FIELD_ENUM, .at = FIELD_AT(s, m, uint32_t), .max = (last), \
        .is_needed = true                                                  \
    }
#define F_FIXED(s, m)                                     \
    {                                                     \
        .kind = FIELD_FIXED, .at = offsetof(struct s, m), \
        .max = sizeof(((struct s *)0)->m)                 \
    }
#define F_ID(s, m)                                           \
    {                                                        \
        .kind = FIELD_FIXED, .at = offsetof(struct s, m),    \
        .max = sizeof(((struct s *)0)->m), .is_needed = true \
    }
#define F_BYTES(s, m, most)                                   \
    {                                                         \
        .kind = FIELD_BYTES, .at = FIELD_AT(s, m, uint8_t *), \
        .count = FIELD_AT(s, m##_len, size_t), .max = (most)  \
    }
#define F_TEXT(s, m)                                     \
    {                                                    \
        .kind = FIELD_TEXT, .at = FIELD_AT(s, m, char *) \
    }
#define F_NAME(s, m)                                                        \
    {                                                                       \
        .kind = FIELD_TEXT, .at = FIELD_AT(s, m, char *), .is_needed = true \
    }
#define F_TASK(s, m)                                                                \
    {                                                                               \
        .kind = FIELD_TASK, .at = FIELD_AT(s, m, struct task_id), .is_needed = true \
    }
#define F_MESSAGE(s, m, of)                                                 \
    {                                                                       \
        .kind = FIELD_MESSAGE, .at = offsetof(struct s, m), .schema = &(of) \
    }
#define F_MESSAGE_IF(s, m, is, of)                                           \
    {                                                                        \
        .kind = FIELD_MESSAGE, .at = offsetof(struct s, m), .schema = &(of), \
        .has_flag = true, .flag = FIELD_AT(s, is, bool)                      \
    }
#define F_BYTES_IF(s, m, is)                                             \
    {                                                                    \
        .kind = FIELD_BYTES, .at = FIELD_AT(s, m, uint8_t *),            \
        .count = FIELD_AT(s, m##_len, size_t), .max = MESSAGE_BYTES_MAX, \
        .has_flag = true, .flag = FIELD_AT(s, is, bool)                  \
    }
#define F_NEEDED(s, m, of)                                                   \
    {                                                                        \
        .kind = FIELD_MESSAGE, .at = offsetof(struct s, m), .schema = &(of), \
        .is_needed = true                                                    \
    }
#define F_MESSAGES(s, m, n, of)                               \
    {                                                         \
        .kind = FIELD_MESSAGES, .at = FIELD_AT(s, m, void *), \
        .count = FIELD_AT(s, n, size_t), .schema = &(of)      \
    }
#define F_FIXEDS(s, m, n)                                                   \
    {                                                                       \
        .kind = FIELD_FIXEDS, .at = FIELD_AT(s, m, void *),                 \
        .count = FIELD_AT(s, n, size_t), .max = sizeof(*((struct s *)0)->m) \
    }
#define F_U64S(s, m, n)                                       \
    {                                                         \
        .kind = FIELD_U64S, .at = FIELD_AT(s, m, uint64_t *), \
        .count = FIELD_AT(s, n, size_t)                       \
    }
#define F_HOMES(s, m, n)                                       \
    {                                                          \
        .kind = FIELD_HOMES, .at = offsetof(struct s, m),      \
        .count = FIELD_AT(s, n, uint32_t), .max = NODE_ID_SIZE \
    }

#define SCHEMA(called, s, table, ...)                                              \
    {                                                                              \
        .name = (called), .size = sizeof(struct s), .n_fields = ARRAY_SIZE(table), \
        .fields = (table), __VA_ARGS__                                             \
    }

extern const struct schema schema_card, schema_hello, schema_ping, schema_gossip,
    schema_sync, schema_join, schema_joined, schema_revoked;
extern const struct schema schema_ballot, schema_log_position, schema_log_entry;
extern const struct schema schema_vote, schema_voted, schema_append, schema_appended,
    schema_install, schema_installed, schema_propose, schema_proposed;
extern const struct schema schema_want, schema_grant, schema_recall, schema_recalled,
    schema_commit, schema_committed, schema_lead, schema_report;
extern const struct schema schema_records_get, schema_records, schema_request,
    schema_reply, schema_blob_find, schema_blob_holders, schema_blob_get,
    schema_blob_data;

extern const struct schema schema_log_row, schema_kept_attempt, schema_peer_row,
    schema_replica_state;

/* That of a type's body; NULL for an unknown one. */
const struct schema *message_schema(enum message_type t);

/* Append the fields of a struct; -EINVAL, -E2BIG or -ENOMEM, and then what was appended
 * is the caller's to cut off. */
int message_write(const struct schema *s, const void *message, struct buffer *out);

/* Read the fields into a struct that is all zero. What it points to lies in the arena,
 * with a copy of the bytes: texts get their NUL there. -EBADMSG or -ENOMEM: there is no
 * arena, and the struct is of no use. */
int message_unpack(const struct schema *s, const void *data, size_t len, void *ret,
                   void **ret_arena);
void message_free_arena(void *arena);
