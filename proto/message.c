/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"

#include <errno.h>
#include <string.h>

#include "proto/message_schema.h"

enum { MAGIC_0 = 'M', MAGIC_1 = '1' };

struct kind {
    const char *name;
    const struct schema *body;
};

static const struct kind kinds[] = {
    [MESSAGE_HELLO] = { "hello", &schema_hello },
    [MESSAGE_PING] = { "ping", &schema_ping },
    [MESSAGE_PONG] = { "pong", &schema_ping },
    [MESSAGE_GOSSIP] = { "gossip", &schema_gossip },
    [MESSAGE_JOIN] = { "join", &schema_join },
    [MESSAGE_JOINED] = { "joined", &schema_joined },
    [MESSAGE_REVOKED] = { "revoked", &schema_revoked },
    [MESSAGE_SYNC] = { "sync", &schema_sync },
    [MESSAGE_VOTE] = { "vote", &schema_vote },
    [MESSAGE_VOTED] = { "voted", &schema_voted },
    [MESSAGE_APPEND] = { "append", &schema_append },
    [MESSAGE_APPENDED] = { "appended", &schema_appended },
    [MESSAGE_INSTALL] = { "install", &schema_install },
    [MESSAGE_INSTALLED] = { "installed", &schema_installed },
    [MESSAGE_PROPOSE] = { "propose", &schema_propose },
    [MESSAGE_PROPOSED] = { "proposed", &schema_proposed },
    [MESSAGE_WANT] = { "want", &schema_want },
    [MESSAGE_GRANT] = { "grant", &schema_grant },
    [MESSAGE_RECALL] = { "recall", &schema_recall },
    [MESSAGE_RECALLED] = { "recalled", &schema_recalled },
    [MESSAGE_COMMIT] = { "commit", &schema_commit },
    [MESSAGE_COMMITTED] = { "committed", &schema_committed },
    [MESSAGE_LEAD] = { "lead", &schema_lead },
    [MESSAGE_REPORT] = { "report", &schema_report },
    [MESSAGE_RECORDS_GET] = { "records_get", &schema_records_get },
    [MESSAGE_RECORDS] = { "records", &schema_records },
    [MESSAGE_REQUEST] = { "request", &schema_request },
    [MESSAGE_REPLY] = { "reply", &schema_reply },
    [MESSAGE_BLOB_FIND] = { "blob_find", &schema_blob_find },
    [MESSAGE_BLOB_HOLDERS] = { "blob_holders", &schema_blob_holders },
    [MESSAGE_BLOB_GET] = { "blob_get", &schema_blob_get },
    [MESSAGE_BLOB_DATA] = { "blob_data", &schema_blob_data },
    [MESSAGE_BLOB_KEEP] = { "blob_keep", &schema_blob_find },
    [MESSAGE_BLOB_KEPT] = { "blob_kept", &schema_blob_find },
};

static const struct kind *kind_of(unsigned t)
{
    return t < ARRAY_SIZE(kinds) && kinds[t].body ? &kinds[t] : NULL;
}

const char *message_name(enum message_type t)
{
    const struct kind *k = kind_of(t);

    return k ? k->name : "unknown";
}

const struct schema *message_schema(enum message_type t)
{
    const struct kind *k = kind_of(t);

    return k ? k->body : NULL;
}

int message_encode(const struct message *m, struct buffer *out)
{
    const uint8_t header[MESSAGE_HEADER_SIZE] = { MAGIC_0, MAGIC_1, MESSAGE_MAJOR,
                                                  (uint8_t)m->type };
    const struct schema *s = message_schema(m->type);
    size_t start = out->len;
    int r;

    if (!s)
        return -EINVAL;
    r = buffer_append(out, header, sizeof(header));
    if (r == 0)
        r = message_write(s, &m->u, out);
    if (r == 0 && out->len - start > MESSAGE_BYTES_MAX)
        r = -E2BIG;
    if (r < 0)
        out->len = start;
    if (out->data)
        out->data[out->len] = '\0';
    return r;
}

enum message_type message_peek(const void *data, size_t len)
{
    const uint8_t *bytes = data;

    if (len < MESSAGE_HEADER_SIZE || bytes[0] != MAGIC_0 || bytes[1] != MAGIC_1
        || bytes[2] != MESSAGE_MAJOR)
        return 0;
    return bytes[3];
}

/* Flags would say that the body is not what it seems; there are none yet. */
static int check_header(const uint8_t *bytes, size_t len)
{
    if (len < MESSAGE_HEADER_SIZE || len > MESSAGE_BYTES_MAX || bytes[0] != MAGIC_0
        || bytes[1] != MAGIC_1)
        return -EBADMSG;
    if (bytes[2] != MESSAGE_MAJOR)
        return -EPROTONOSUPPORT;
    if (!kind_of(bytes[3]))
        return -ENOMSG;
    return bytes[4] || bytes[5] ? -EBADMSG : 0;
}

int message_decode(const void *data, size_t len, struct message *ret)
{
    struct message m;
    int r = check_header(data, len);

    if (r < 0)
        return r;
    memset(&m, 0, sizeof(m));
    m.type = message_peek(data, len);
    r = message_unpack(message_schema(m.type),
                       (const uint8_t *)data + MESSAGE_HEADER_SIZE,
                       len - MESSAGE_HEADER_SIZE, &m.u, &m.arena);
    if (r == 0)
        *ret = m;
    return r;
}

void message_release(struct message *m)
{
    message_free_arena(m->arena);
    memset(m, 0, sizeof(*m));
}
