/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/message.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "base/prng.h"
#include "message.pb-c.h"
#include "proto/message_schema.h"
#include "tests/unit/golden.h"
#include "tests/unit/message_sample.h"

enum { HEADER = MESSAGE_HEADER_SIZE };

static void encode(const struct message *m, struct buffer *out)
{
    buffer_clear(out);
    assert_int_equal(message_encode(m, out), 0);
}

static void test_names(void **state UNUSED)
{
    assert_string_equal(message_name(MESSAGE_PING), "ping");
    assert_string_equal(message_name(MESSAGE_BLOB_KEPT), "blob_kept");
    assert_string_equal(message_name(0), "unknown");
    assert_string_equal(message_name(2), "unknown");
    assert_string_equal(message_name(255), "unknown");
}

static void test_golden_bytes(void **state UNUSED)
{
    unsigned n_bad = 0;

    for (const enum message_type *t = message_types; *t; t++) {
        CLEANUP(sample_release) struct message m = sample_make(*t, 2);
        CLEANUP(buffer_release) struct buffer now = BUFFER_INIT;
        char name[64];

        encode(&m, &now);
        snprintf(name, sizeof(name), "message_%s", message_name(*t));
        n_bad += !golden_is(name, &now);
    }
    assert_int_equal(n_bad, 0);
}

/* What is decoded is encoded as it was, also from the golden bytes. */
static void test_round_trip(void **state UNUSED)
{
    for (const enum message_type *t = message_types; *t; t++) {
        CLEANUP(buffer_release) struct buffer golden = BUFFER_INIT;
        CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
        CLEANUP(message_release) struct message m = { .arena = NULL };
        char name[64];

        snprintf(name, sizeof(name), "message_%s", message_name(*t));
        golden_read(name, &golden);
        assert_int_equal(message_peek(golden.data, golden.len), *t);
        assert_int_equal(message_decode(golden.data, golden.len, &m), 0);
        assert_int_equal(m.type, *t);
        encode(&m, &again);
        assert_int_equal(again.len, golden.len);
        assert_memory_equal(again.data, golden.data, golden.len);
    }
}

/* ---- against what the protobuf compiler makes of message.proto ---- */

static const ProtobufCMessageDescriptor *const descriptors[] = {
    [MESSAGE_HELLO] = &mesh__message__hello__descriptor,
    [MESSAGE_PING] = &mesh__message__ping__descriptor,
    [MESSAGE_PONG] = &mesh__message__ping__descriptor,
    [MESSAGE_GOSSIP] = &mesh__message__gossip__descriptor,
    [MESSAGE_JOIN] = &mesh__message__join__descriptor,
    [MESSAGE_JOINED] = &mesh__message__joined__descriptor,
    [MESSAGE_REVOKED] = &mesh__message__revoked__descriptor,
    [MESSAGE_SYNC] = &mesh__message__sync__descriptor,
    [MESSAGE_VOTE] = &mesh__message__vote__descriptor,
    [MESSAGE_VOTED] = &mesh__message__voted__descriptor,
    [MESSAGE_APPEND] = &mesh__message__append__descriptor,
    [MESSAGE_APPENDED] = &mesh__message__appended__descriptor,
    [MESSAGE_INSTALL] = &mesh__message__install__descriptor,
    [MESSAGE_INSTALLED] = &mesh__message__installed__descriptor,
    [MESSAGE_PROPOSE] = &mesh__message__propose__descriptor,
    [MESSAGE_PROPOSED] = &mesh__message__proposed__descriptor,
    [MESSAGE_WANT] = &mesh__message__want__descriptor,
    [MESSAGE_GRANT] = &mesh__message__grant__descriptor,
    [MESSAGE_RECALL] = &mesh__message__recall__descriptor,
    [MESSAGE_RECALLED] = &mesh__message__recalled__descriptor,
    [MESSAGE_COMMIT] = &mesh__message__commit__descriptor,
    [MESSAGE_COMMITTED] = &mesh__message__committed__descriptor,
    [MESSAGE_LEAD] = &mesh__message__lead__descriptor,
    [MESSAGE_REPORT] = &mesh__message__report__descriptor,
    [MESSAGE_RECORDS_GET] = &mesh__message__records_get__descriptor,
    [MESSAGE_RECORDS] = &mesh__message__records__descriptor,
    [MESSAGE_REQUEST] = &mesh__message__request__descriptor,
    [MESSAGE_REPLY] = &mesh__message__reply__descriptor,
    [MESSAGE_BLOB_FIND] = &mesh__message__blob_find__descriptor,
    [MESSAGE_BLOB_HOLDERS] = &mesh__message__blob_holders__descriptor,
    [MESSAGE_BLOB_GET] = &mesh__message__blob_get__descriptor,
    [MESSAGE_BLOB_DATA] = &mesh__message__blob_data__descriptor,
    [MESSAGE_BLOB_KEEP] = &mesh__message__blob_find__descriptor,
    [MESSAGE_BLOB_KEPT] = &mesh__message__blob_find__descriptor,
};

static ProtobufCType type_of(const struct field *f)
{
    static const ProtobufCType types[] = {
        [FIELD_BOOL] = PROTOBUF_C_TYPE_BOOL,
        [FIELD_U8] = PROTOBUF_C_TYPE_UINT32,
        [FIELD_U32] = PROTOBUF_C_TYPE_UINT32,
        [FIELD_U64] = PROTOBUF_C_TYPE_UINT64,
        [FIELD_ENUM] = PROTOBUF_C_TYPE_UINT32,
        [FIELD_S32] = PROTOBUF_C_TYPE_SINT32,
        [FIELD_S64] = PROTOBUF_C_TYPE_SINT64,
        [FIELD_FIXED] = PROTOBUF_C_TYPE_BYTES,
        [FIELD_BYTES] = PROTOBUF_C_TYPE_BYTES,
        [FIELD_TEXT] = PROTOBUF_C_TYPE_STRING,
        [FIELD_TASK] = PROTOBUF_C_TYPE_BYTES,
        [FIELD_MESSAGE] = PROTOBUF_C_TYPE_MESSAGE,
        [FIELD_MESSAGES] = PROTOBUF_C_TYPE_MESSAGE,
        [FIELD_FIXEDS] = PROTOBUF_C_TYPE_BYTES,
        [FIELD_U64S] = PROTOBUF_C_TYPE_UINT64,
        [FIELD_HOMES] = PROTOBUF_C_TYPE_BYTES,
    };

    return types[f->kind];
}

static void compare_schema(const struct schema *s, const ProtobufCMessageDescriptor *d)
{
    unsigned n = 0;

    assert_string_equal(s->name, d->short_name);
    for (unsigned i = 1; i < s->n_fields; i++) {
        const struct field *f = &s->fields[i];
        const ProtobufCFieldDescriptor *fd;

        if (f->kind == FIELD_NONE)
            continue;
        n++;
        fd = protobuf_c_message_descriptor_get_field(d, i);
        if (!fd)
            fail_msg("%s has no field %u", d->name, i);
        if (fd->type != type_of(f)
            || (fd->label == PROTOBUF_C_LABEL_REPEATED) != (f->kind >= FIELD_MESSAGES))
            fail_msg("%s.%s is another type", d->name, fd->name);
        if (f->kind >= FIELD_MESSAGES && f->kind != FIELD_HOMES && !s->has_lists)
            fail_msg("%s does not say that it has lists", s->name);
        if (fd->type == PROTOBUF_C_TYPE_MESSAGE)
            compare_schema(f->schema, fd->descriptor);
    }
    assert_int_equal(n, d->n_fields);
}

static void test_tables_are_the_proto_file(void **state UNUSED)
{
    for (const enum message_type *t = message_types; *t; t++)
        compare_schema(message_schema(*t), descriptors[*t]);
}

static void test_protobuf_reads_and_writes_the_same(void **state UNUSED)
{
    for (const enum message_type *t = message_types; *t; t++) {
        CLEANUP(sample_release) struct message m = sample_make(*t, 3);
        CLEANUP(buffer_release) struct buffer ours = BUFFER_INIT;
        CLEANUP(buffer_release) struct buffer theirs = BUFFER_INIT;
        ProtobufCMessage *p;
        uint8_t *at;

        encode(&m, &ours);
        p = protobuf_c_message_unpack(descriptors[*t], NULL, ours.len - HEADER,
                                      (uint8_t *)ours.data + HEADER);
        if (!p)
            fail_msg("protobuf does not read %s", message_name(*t));
        assert_int_equal(p->n_unknown_fields, 0);
        at = (uint8_t *)buffer_reserve(&theirs, ours.len);
        theirs.len = protobuf_c_message_pack(p, at);
        assert_int_equal(theirs.len, ours.len - HEADER);
        assert_memory_equal(theirs.data, ours.data + HEADER, theirs.len);
        protobuf_c_message_free_unpacked(p, NULL);
    }
}

/* ---- what is refused ---- */

static int decode(const void *data, size_t len)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };

    return message_decode(data, len, &m);
}

static void test_header(void **state UNUSED)
{
    static const struct {
        const char *bytes;
        int result;
    } cases[] = {
        { "M1\x01\x03\0\0\0\0", 0 },
        { "M1\x01\x03\0\0\x09\x09", 0 }, /* reserved */
        { "M2\x01\x03\0\0\0\0", -EBADMSG },
        { "m1\x01\x03\0\0\0\0", -EBADMSG },
        { "M1\x02\x03\0\0\0\0", -EPROTONOSUPPORT },
        { "M1\x01\x02\0\0\0\0", -ENOMSG },
        { "M1\x01\xff\0\0\0\0", -ENOMSG },
        { "M1\x01\x03\x01\0\0\0", -EBADMSG },
        { "M1\x01\x03\0\x80\0\0", -EBADMSG },
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(decode(cases[i].bytes, HEADER), cases[i].result);
    assert_int_equal(decode(cases[0].bytes, HEADER - 1), -EBADMSG);
    assert_int_equal(decode("", 0), -EBADMSG);
    assert_int_equal(message_peek(cases[0].bytes, HEADER), MESSAGE_PING);
    assert_int_equal(message_peek(cases[0].bytes, HEADER - 1), 0);
    assert_int_equal(message_peek(cases[2].bytes, HEADER), 0);
}

/* A frame of a type whose body is given in hexadecimal. */
static int decode_body(enum message_type t, const char *hex, struct message *ret)
{
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;
    const char header[] = { 'M', '1', 1, (char)t, 0, 0, 0, 0 };

    buffer_append(&frame, header, sizeof(header));
    for (; *hex; hex++) {
        unsigned byte;

        if (*hex == ' ')
            continue;
        assert_int_equal(sscanf(hex++, "%2x", &byte), 1);
        buffer_putc(&frame, (char)byte);
    }
    return message_decode(frame.data, frame.len, ret);
}

#define ID "01020304050607080910111213141516"
#define ID2 "0102030405060708091011121314151601020304050607080910111213141516"

#define HOME "42 10 " ID

static void test_bodies_that_break_a_rule(void **state UNUSED)
{
    static const struct {
        enum message_type type;
        const char *body;
        int result;
    } cases[] = {
        { MESSAGE_PING, "08 01", 0 },
        { MESSAGE_PING, "08 01 08 02", -EBADMSG },      /* twice */
        { MESSAGE_PING, "08", -EBADMSG },               /* cut */
        { MESSAGE_PING, "08 ffffffffffffffffff01", 0 }, /* 2^64 - 1 */
        { MESSAGE_PING, "08 ffffffffffffffffff02", -EBADMSG },
        { MESSAGE_PING, "08 80808080808080808080 01", -EBADMSG },
        { MESSAGE_PING, "18 ff01", 0 },
        { MESSAGE_PING, "18 8002", -EBADMSG },  /* no byte */
        { MESSAGE_PING, "0a 01 01", -EBADMSG }, /* bytes for a number */
        { MESSAGE_PING, "20 01", -EBADMSG },    /* a number for bytes */
        { MESSAGE_PING, "22 02 0102", -EBADMSG },
        { MESSAGE_PING, "22 11 " ID "00", -EBADMSG },
        { MESSAGE_PING, "22 10 " ID, 0 },
        { MESSAGE_PING, "28 07 f8ffffff07 05", 0 },             /* unknown numbers */
        { MESSAGE_PING, "2a 03 010203 08 01", 0 },              /* unknown bytes */
        { MESSAGE_PING, "29 0102030405060708 2d 01020304", 0 }, /* fixed ones */
        { MESSAGE_PING, "29 01020304050607", -EBADMSG },
        { MESSAGE_PING, "2b 2c", -EBADMSG }, /* a group */
        { MESSAGE_PING, "00 01", -EBADMSG }, /* field 0 */
        { MESSAGE_PING, "2a 05 01", -EBADMSG },
        { MESSAGE_PING, "2a ffffffffffffffff7f", -EBADMSG },
        { MESSAGE_LEAD, "", -EBADMSG }, /* no run */
        { MESSAGE_LEAD, "0a 10 " ID, 0 },
        { MESSAGE_LEAD, "0a 10 00000000000000000000000000000000", -EBADMSG },
        { MESSAGE_HELLO, "12 14 0a 10 " ID " 18 01", -EBADMSG }, /* without card */
        { MESSAGE_HELLO, "12 16 0a 10 " ID " 18 01 2a 00", 0 },
        { MESSAGE_HELLO, "12 16 0a 10 " ID " 18 00 2a 00", -EBADMSG }, /* no state */
        { MESSAGE_HELLO, "12 16 0a 10 " ID " 18 05 2a 00", -EBADMSG },
        { MESSAGE_HELLO, "12 00", -EBADMSG },
        { MESSAGE_JOINED, "12 02 c3a9", 0 },
        { MESSAGE_JOINED, "12 01 c3", -EBADMSG },
        { MESSAGE_JOINED, "12 03 610062", -EBADMSG }, /* a NUL */
        { MESSAGE_JOINED, "12 02 edb0", -EBADMSG },
        { MESSAGE_PROPOSE, "10 01 1a 01 6b", 0 },
        { MESSAGE_PROPOSE, "10 01 1a 00", -EBADMSG }, /* no key */
        { MESSAGE_PROPOSE, "10 04 1a 01 6b", -EBADMSG },
        { MESSAGE_PROPOSED, "10 ffffffff0f", 0 }, /* INT32_MIN */
        { MESSAGE_PROPOSED, "10 8080808010", -EBADMSG },
        { MESSAGE_RECALL, "22 02 0102 20 03", 0 }, /* packed, then one by one */
        { MESSAGE_RECALL, "22 02 0180", -EBADMSG },
        { MESSAGE_RECALL, "21 0102030405060708", -EBADMSG },
        { MESSAGE_APPEND, "2a 05 12 03 616263", 0 },
        { MESSAGE_APPEND, "2a 02 20 01", -EBADMSG },    /* delete what? */
        { MESSAGE_APPEND, "2a 03 1a 01 61", -EBADMSG }, /* value of what? */
        { MESSAGE_APPEND, "2a 08 12 01 61 1a 01 62 20 01", -EBADMSG },
        { MESSAGE_APPEND, "28 01", -EBADMSG },
        { MESSAGE_VOTED, HOME HOME HOME HOME HOME, 0 },
        { MESSAGE_VOTED, HOME HOME HOME HOME HOME HOME, -EBADMSG },
        { MESSAGE_BLOB_FIND, "12 20 " ID2 " 12 20 " ID2, 0 },
        { MESSAGE_BLOB_FIND, "12 10 " ID, -EBADMSG },
        { MESSAGE_GRANT, "1a 17 12 10 " ID " 1a 03 010000", 0 },
        { MESSAGE_GRANT, "1a 17 12 10 " ID " 1a 03 010001", 0 },
        { MESSAGE_GRANT, "1a 17 12 10 " ID " 1a 03 011000", -EBADMSG }, /* no path */
        { MESSAGE_GRANT, "1a 18 12 10 " ID " 1a 04 01000000", -EBADMSG },
        { MESSAGE_GRANT, "1a 12 12 10 " ID, -EBADMSG }, /* no task */
    };

    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(message_release) struct message m = { .arena = NULL };
        int r = decode_body(cases[i].type, cases[i].body, &m);

        if (r != cases[i].result)
            fail_msg("%s %s: %d", message_name(cases[i].type), cases[i].body, r);
    }
}

static void test_what_is_absent(void **state UNUSED)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };

    assert_int_equal(decode_body(MESSAGE_REQUEST, "08 05", &m), 0);
    assert_int_equal(m.u.request.request, 5);
    assert_string_equal(m.u.request.method, "");
    assert_int_equal(m.u.request.body_len, 0);
    message_release(&m);
    assert_null(m.arena);
    assert_int_equal(decode_body(MESSAGE_PROPOSE, "10 03 1a 01 6b 22 00", &m), 0);
    assert_true(m.u.propose.has_expected);
    assert_int_equal(m.u.propose.expected_len, 0);
}

/* A list of both kinds of number ends up as one. */
static void test_packed_and_not(void **state UNUSED)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };

    assert_int_equal(decode_body(MESSAGE_RECALL, "20 07 22 04 01ac0203 20 09", &m), 0);
    assert_int_equal(m.u.recall.n_leases, 5);
    assert_int_equal(m.u.recall.leases[0], 7);
    assert_int_equal(m.u.recall.leases[2], 300);
    assert_int_equal(m.u.recall.leases[4], 9);
}

static void test_what_is_not_encoded(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    char long_text[MESSAGE_TEXT_MAX + 2];
    struct lease lease = { .run = { { 1 } }, .task = { .depth = SCOPE_DEPTH_MAX + 1 } };
    struct message m = { .type = MESSAGE_LEAD };

    buffer_puts(&out, "before");
    assert_int_equal(message_encode(&m, &out), -EINVAL); /* no run */
    m.type = 0;
    assert_int_equal(message_encode(&m, &out), -EINVAL);
    m = (struct message){ .type = MESSAGE_REPLY };
    m.u.reply.content_type = (char *)"\xff";
    assert_int_equal(message_encode(&m, &out), -EINVAL);
    memset(long_text, 'a', sizeof(long_text));
    long_text[MESSAGE_TEXT_MAX + 1] = '\0';
    m.u.reply.content_type = long_text;
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    long_text[MESSAGE_TEXT_MAX] = '\0';
    assert_string_equal(buffer_text(&out), "before");
    assert_int_equal(message_encode(&m, &out), 0);
    m = (struct message){ .type = MESSAGE_HELLO };
    m.u.hello.self.id.bytes[0] = 1;
    m.u.hello.self.state = MEMBER_ALIVE;
    assert_int_equal(message_encode(&m, &out), -EINVAL); /* no card */
    m.u.hello.self.has_card = true;
    assert_int_equal(message_encode(&m, &out), 0);
    m.u.hello.self.card.n_custom = MEMBER_CUSTOM_MAX + 1;
    assert_int_equal(message_encode(&m, &out), -EINVAL);
    m.u.hello.self.card.n_custom = 0;
    m.u.hello.self.card.certificate = (uint8_t *)long_text;
    m.u.hello.self.card.certificate_len = sizeof(long_text) - 2;
    assert_int_equal(message_encode(&m, &out), 0);
    m.u.hello.self.card.certificate_len++;
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    m = (struct message){ .type = MESSAGE_VOTED };
    m.u.voted.n_homes = HOMES_MAX + 1;
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    m = (struct message){ .type = MESSAGE_GRANT };
    m.u.grant.leases = &lease;
    m.u.grant.n_leases = 1;
    assert_int_equal(message_encode(&m, &out), -EINVAL); /* too deep */
    lease.task.depth = SCOPE_DEPTH_MAX;
    assert_int_equal(message_encode(&m, &out), 0);
}

/* A list of large items is given up before all of it was copied. */
static void test_too_long_is_found_early(void **state UNUSED)
{
    static struct log_entry entries[MESSAGE_ITEMS_MAX];
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(freep) uint8_t *value = calloc(1, MESSAGE_BYTES_MAX / 2);
    struct message m = { .type = MESSAGE_APPEND };

    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        entries[i] = (struct log_entry){ .key = value,
                                         .key_len = 1,
                                         .value = value,
                                         .value_len = MESSAGE_BYTES_MAX / 2 };
    m.u.append.entries = entries;
    m.u.append.n_entries = ARRAY_SIZE(entries);
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    assert_true(out.cap <= 4 * MESSAGE_BYTES_MAX);
}

static void test_bounds_of_a_frame(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(freep) uint8_t *body = calloc(1, MESSAGE_BYTES_MAX);
    struct message m = { .type = MESSAGE_REPLY };

    m.u.reply.body = body;
    m.u.reply.body_len = MESSAGE_BYTES_MAX - HEADER - 4;
    encode(&m, &out);
    assert_int_equal(out.len, MESSAGE_BYTES_MAX);
    assert_int_equal(decode(out.data, out.len), 0);
    m.u.reply.body_len++;
    buffer_clear(&out);
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    assert_int_equal(out.len, 0);
    m.u.reply.body_len = SIZE_MAX;
    assert_int_equal(message_encode(&m, &out), -E2BIG);
    assert_int_equal(decode(body, MESSAGE_BYTES_MAX + 1), -EBADMSG);
}

static void test_bounds_of_lists(void **state UNUSED)
{
    static struct digest ids[MESSAGE_ITEMS_MAX + 1];
    static uint64_t leases[MESSAGE_ITEMS_MAX + 1];
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct message m = { .type = MESSAGE_BLOB_FIND };

    m.u.blob_find.ids = ids;
    m.u.blob_find.n_ids = MESSAGE_ITEMS_MAX;
    encode(&m, &out);
    assert_int_equal(decode(out.data, out.len), 0);
    buffer_append(&out, out.data + HEADER, 2 + DIGEST_SIZE); /* one more */
    assert_int_equal(decode(out.data, out.len), -EBADMSG);
    m.u.blob_find.n_ids++;
    assert_int_equal(message_encode(&m, &out), -E2BIG);

    m = (struct message){ .type = MESSAGE_RECALLED };
    m.u.recalled.leases = leases;
    m.u.recalled.n_leases = MESSAGE_ITEMS_MAX;
    encode(&m, &out);
    assert_int_equal(decode(out.data, out.len), 0);
    buffer_append(&out, "\x10\x01", 2);
    assert_int_equal(decode(out.data, out.len), -EBADMSG);
}

/* Many small items must not make a small frame large. */
static void test_memory_is_bounded(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(message_release) struct message m = { .arena = NULL };
    const char header[] = { 'M', '1', 1, MESSAGE_GOSSIP, 0, 0, 0, 0 };
    const char append[] = { 'M', '1', 1, MESSAGE_APPEND, 0, 0, 0, 0 };
    struct lease leases[MESSAGE_ITEMS_MAX] = { { .id = 0 } };
    struct message grant = { .type = MESSAGE_GRANT };

    buffer_append(&out, header, sizeof(header));
    for (int i = 0; i < MESSAGE_ITEMS_MAX; i++)
        buffer_append(&out, "\x0a\x00", 2);
    assert_int_equal(decode(out.data, out.len), -EBADMSG);

    buffer_clear(&out);
    buffer_append(&out, append, sizeof(append));
    for (int i = 0; i < 100; i++)
        buffer_append(&out, "\x2a\x00", 2); /* an entry that only counts */
    assert_int_equal(decode(out.data, out.len), 0);
    for (int i = 100; i < MESSAGE_ITEMS_MAX; i++)
        buffer_append(&out, "\x2a\x00", 2);
    assert_int_equal(decode(out.data, out.len), -EBADMSG);

    for (size_t i = 0; i < ARRAY_SIZE(leases); i++)
        leases[i] = (struct lease){ .run = { { 1 } }, .id = 1 };
    grant.u.grant.leases = leases;
    grant.u.grant.n_leases = ARRAY_SIZE(leases);
    encode(&grant, &out);
    assert_int_equal(message_decode(out.data, out.len, &m), 0);
    assert_int_equal(m.u.grant.n_leases, MESSAGE_ITEMS_MAX);
    assert_int_equal(m.u.grant.leases[MESSAGE_ITEMS_MAX - 1].id, 1);
}

/* Cut anywhere and with any bit flipped, a frame is decoded or refused, and what was
 * decoded can be encoded. */
static void check_damaged(const uint8_t *data, size_t len)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
    int r = message_decode(data, len, &m);

    if (r == 0)
        encode(&m, &again);
    else
        assert_true(r == -EBADMSG || r == -ENOMSG || r == -EPROTONOSUPPORT);
}

static void test_damage(void **state UNUSED)
{
    for (const enum message_type *t = message_types; *t; t++) {
        CLEANUP(sample_release) struct message m = sample_make(*t, 2);
        CLEANUP(buffer_release) struct buffer good = BUFFER_INIT;

        encode(&m, &good);
        for (size_t i = 0; i < good.len; i++) {
            check_damaged((uint8_t *)good.data, i);
            for (int bit = 0; bit < 8; bit++) {
                good.data[i] = (char)(good.data[i] ^ 1 << bit);
                check_damaged((uint8_t *)good.data, good.len);
                good.data[i] = (char)(good.data[i] ^ 1 << bit);
            }
        }
    }
}

/* ---- the rest ---- */

static void test_order(void **state UNUSED)
{
    struct ballot low = { .counter = 1, .node = { { 9 } } };
    struct ballot high = { .counter = 2, .node = { { 1 } } }, other = high;
    struct rank sealed = { .is_sealed = true, .ballot = low };
    struct rank tentative = { .generation = 7, .ballot = high }, next = sealed;

    other.node.bytes[0] = 2;
    next.generation = 1;
    assert_true(ballot_compare(&low, &high) < 0);
    assert_true(ballot_compare(&other, &high) > 0);
    assert_int_equal(ballot_compare(&high, &high), 0);
    assert_true(rank_compare(&sealed, &tentative) > 0);
    assert_true(rank_compare(&tentative, &sealed) < 0);
    assert_true(rank_compare(&sealed, &next) < 0);
    next = sealed;
    next.ballot = high;
    assert_true(rank_compare(&next, &sealed) > 0);
    assert_int_equal(rank_compare(&next, &next), 0);
}

static void test_cards_are_copied(void **state UNUSED)
{
    CLEANUP(sample_release) struct message m = sample_make(MESSAGE_HELLO, 3);
    CLEANUP(buffer_release) struct buffer first = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer second = BUFFER_INIT;
    CLEANUP(member_card_release) struct member_card copy = { .slots = 0 };
    struct message other = m;

    assert_int_equal(member_card_copy(&m.u.hello.self.card, &copy), 0);
    assert_ptr_not_equal(copy.name, m.u.hello.self.card.name);
    other.u.hello.self.card = copy;
    encode(&m, &first);
    encode(&other, &second);
    assert_int_equal(first.len, second.len);
    assert_memory_equal(first.data, second.data, first.len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_tables_are_the_proto_file),
        cmocka_unit_test(test_protobuf_reads_and_writes_the_same),
        cmocka_unit_test(test_header),
        cmocka_unit_test(test_bodies_that_break_a_rule),
        cmocka_unit_test(test_what_is_absent),
        cmocka_unit_test(test_packed_and_not),
        cmocka_unit_test(test_what_is_not_encoded),
        cmocka_unit_test(test_too_long_is_found_early),
        cmocka_unit_test(test_bounds_of_a_frame),
        cmocka_unit_test(test_bounds_of_lists),
        cmocka_unit_test(test_memory_is_bounded),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_cards_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
