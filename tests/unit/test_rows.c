/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/rows.h"

#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <string.h>

#include "proto/format.h"
#include "proto/replica_state.h"
#include "rows.pb-c.h"
#include "tests/unit/golden.h"

static const struct group_id group = { { 0x01, 0x9a, 0x4f, 0x30, 0xc2, 0x11, 0, 1, 2, 3,
                                         4, 5, 6, 7, 8, 9 } };
static const struct run_id run = { { 0x01, 0x9a, 0x4f, 0x30, 0xc2, 0x11, 0, 1, 2, 3, 4,
                                     5, 6, 7, 8, 9 } };
static const struct node_id ada = { { 0xad, 0xa0 } }, bob = { { 0xb0, 0xb0 } };
static const struct digest digest = { { 0xd0, 1, 2, 3 } };
static const struct task_id task = {
    .step = 3, .depth = 2, .path = { 17, 70000 }, .iteration = 1
};

static struct log_row some_row(void)
{
    return (struct log_row){
        .ballot = { .counter = 7, .node = ada },
        .key = (uint8_t *)"key",
        .key_len = 3,
        .has_value = true,
        .value = (uint8_t *)"value",
        .value_len = 5,
        .homes = { ada, bob, { { 0xc0 } } },
        .n_homes = 3,
    };
}

static void log_row(struct buffer *out)
{
    struct log_row r = some_row();

    assert_int_equal(log_row_encode(&r, out), 0);
}

/* An attempt's: its record lies under the key. */
static void log_row_lean(struct buffer *out)
{
    struct log_row r = { .ballot = { .counter = 7, .node = ada },
                         .key = (uint8_t *)"key",
                         .key_len = 3 };

    assert_int_equal(log_row_encode(&r, out), 0);
}

static void log_row_delete(struct buffer *out)
{
    struct log_row r = { .ballot = { .counter = 300, .node = ada },
                         .key = (uint8_t *)"key",
                         .key_len = 3,
                         .is_delete = true };

    assert_int_equal(log_row_encode(&r, out), 0);
}

static void kept_attempt(struct buffer *out)
{
    struct kept_attempt k = { .name = { .node = ada, .boot = 2, .counter = 300 },
                              .run = run,
                              .task = task,
                              .witness = digest,
                              .record = (uint8_t *)"record",
                              .record_len = 6 };

    assert_int_equal(kept_attempt_encode(&k, out), 0);
}

static void peer_row(struct buffer *out)
{
    struct member_custom custom = { .name = (char *)"licence", .milli = 1500 };
    struct peer_row p = {
        .id = bob,
        .incarnation = UINT64_C(3) << 32,
        .heard_wall = 1795253705123456,
        .card = { .name = (char *)"bob",
                  .address = (char *)"10.0.0.2:7600",
                  .bulk_port = 7601,
                  .curve_key = { 0xcc, 1, 2 },
                  .zone = (char *)"b",
                  .roles = ROLE_WORKER | ROLE_HOME,
                  .slots = 8,
                  .custom = &custom,
                  .n_custom = 1,
                  .certificate = (uint8_t *)"cert",
                  .certificate_len = 4 },
    };

    assert_int_equal(peer_row_encode(&p, out), 0);
}

static void register_row(struct buffer *out)
{
    struct register_client clients[] = {
        { .node = ada, .request = 3, .sum = 41 },
        { .node = bob, .request = UINT64_C(2) << 32 | 7, .sum = 42 }
    };
    struct register_row r = { .value = (uint8_t *)"\0\0\0\0\0\0\0\x2a",
                              .value_len = 8,
                              .clients = clients,
                              .n_clients = 2 };

    assert_int_equal(register_row_encode(&r, out), 0);
}

static struct replica_state some_state(struct replica_stretch stretches[2])
{
    stretches[0] = (struct replica_stretch){ .first = 11, .ballot = { 7, ada } };
    stretches[1] = (struct replica_stretch){ .first = 300, .ballot = { 8, bob } };
    return (struct replica_state){
        .generation = 2,
        .homes = { ada, bob, { { 0xc0 } } },
        .n_homes = 3,
        .promised = { 9, bob },
        .base = { .index = 10, .ballot = { 6, ada } },
        .last = { .index = 400, .ballot = { 8, bob } },
        .stretches = stretches,
        .n_stretches = 2,
        .commit = 350,
        .closing = 400,
        .next_homes = { ada, bob, { { 0xe0 } } },
        .n_next_homes = 3,
        .is_installing = true,
    };
}

static void replica_state(struct buffer *out)
{
    struct replica_stretch stretches[2];
    struct replica_state s = some_state(stretches);

    assert_int_equal(replica_state_encode(&s, out), 0);
}

static void put_key(struct buffer *out, struct record_key key)
{
    buffer_append(out, key.bytes, key.len);
}

static void keys(struct buffer *out)
{
    put_key(out, log_row_key(&group, 0x0102030405060708));
    put_key(out, log_rows_of(&group));
    put_key(out, replica_state_key(&group));
    put_key(out, kept_attempt_key(&run, &task, 2, 300));
    put_key(out, kept_attempts_of_run(&run));
    put_key(out, peer_row_key(&bob));
    put_key(out, register_key(&group, "run_number"));
    put_key(out, registers_of(&group));
}

static void certificate_of_bob(struct buffer *out)
{
    put_key(out, certificate_key(&bob));
}

static const struct golden {
    const char *name;
    void (*encode)(struct buffer *out);
    const ProtobufCMessageDescriptor *type;
} golden[] = {
    { "log_row", log_row, &mesh__rows__log_row__descriptor },
    { "log_row_lean", log_row_lean, &mesh__rows__log_row__descriptor },
    { "log_row_delete", log_row_delete, &mesh__rows__log_row__descriptor },
    { "kept_attempt", kept_attempt, &mesh__rows__kept_attempt__descriptor },
    { "peer_row", peer_row, &mesh__rows__peer_row__descriptor },
    { "register_row", register_row, &mesh__rows__register__descriptor },
    { "replica_state", replica_state, &mesh__rows__replica_state__descriptor },
    { "row_keys", keys, NULL },
    { "certificate_key", certificate_of_bob, NULL },
};

static void test_golden_bytes(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
        CLEANUP(buffer_release) struct buffer now = BUFFER_INIT;

        golden[i].encode(&now);
        golden_compare(golden[i].name, &now);
    }
}

/* What protobuf's compiler makes of rows.proto knows every field, and writes the same.
 */
static void test_protobuf_reads_and_writes_the_same(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_SIZE(golden) && golden[i].type; i++) {
        CLEANUP(buffer_release) struct buffer ours = BUFFER_INIT;
        CLEANUP(freep) uint8_t *theirs = NULL;
        ProtobufCMessage *m;
        size_t len;

        golden[i].encode(&ours);
        len = ours.len - RECORD_HEADER_SIZE;
        m = protobuf_c_message_unpack(golden[i].type, NULL, len,
                                      (uint8_t *)ours.data + RECORD_HEADER_SIZE);
        assert_non_null(m);
        assert_int_equal(m->n_unknown_fields, 0);
        assert_int_equal(protobuf_c_message_get_packed_size(m), len);
        theirs = malloc(len);
        protobuf_c_message_pack(m, theirs);
        assert_memory_equal(theirs, ours.data + RECORD_HEADER_SIZE, len);
        protobuf_c_message_free_unpacked(m, NULL);
    }
}

static void test_log_row_is_read(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    CLEANUP(log_row_release) struct log_row r = { .arena = NULL };

    log_row(&b);
    assert_int_equal(log_row_decode(b.data, b.len, &r), 0);
    assert_int_equal(r.ballot.counter, 7);
    assert_memory_equal(r.key, "key", 3);
    assert_true(r.has_value);
    assert_memory_equal(r.value, "value", 5);
    assert_int_equal(r.n_homes, 3);
    assert_true(node_id_equal(&r.homes[1], &bob));
    log_row_release(&r);
    buffer_clear(&b);
    log_row_delete(&b);
    assert_int_equal(log_row_decode(b.data, b.len, &r), 0);
    assert_true(r.is_delete);
    assert_false(r.has_value);
}

static void test_rows_that_make_no_sense(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct log_row r = some_row();
    struct kept_attempt k = { .record_len = 0 };

    r.is_delete = true; /* and a value */
    assert_int_equal(log_row_encode(&r, &b), -EINVAL);
    r = some_row();
    r.key_len = 0; /* a value of what? */
    assert_int_equal(log_row_encode(&r, &b), -EINVAL);
    assert_int_equal(kept_attempt_encode(&k, &b), -EINVAL); /* whose? */
    assert_int_equal(b.len, 0);
}

static void test_kept_attempt_is_read(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    CLEANUP(kept_attempt_release) struct kept_attempt k = { .arena = NULL };
    struct record_key key = kept_attempt_key(&run, &task, 2, 300);

    kept_attempt(&b);
    assert_int_equal(kept_attempt_key_decode(key.bytes, key.len, &k), 0);
    assert_int_equal(kept_attempt_decode(b.data, b.len, &k), 0);
    assert_true(node_id_equal(&k.name.node, &ada));
    assert_int_equal(k.name.boot, 2);
    assert_int_equal(k.name.counter, 300);
    assert_true(task_id_equal(&k.task, &task));
    assert_true(run_id_equal(&k.run, &run));
    assert_true(digest_equal(&k.witness, &digest));
    assert_memory_equal(k.record, "record", 6);
}

static void test_peer_is_read(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    CLEANUP(peer_row_release) struct peer_row p = { .id = bob };

    peer_row(&b);
    assert_int_equal(peer_row_decode(b.data, b.len, &p), 0);
    assert_true(node_id_equal(&p.id, &bob));
    assert_string_equal(p.card.address, "10.0.0.2:7600");
    assert_string_equal(p.card.custom[0].name, "licence");
    assert_string_equal(p.card.version, "");
    assert_int_equal(p.heard_wall, 1795253705123456);
}

static void test_replica_state_is_read(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    CLEANUP(replica_state_release) struct replica_state s = { .stretches = NULL };
    struct replica_stretch stretches[2];
    struct replica_state from = some_state(stretches);

    replica_state(&b);
    assert_int_equal(replica_state_decode(b.data, b.len, &s), 0);
    assert_int_equal(s.n_stretches, 2);
    assert_memory_equal(s.stretches, stretches, sizeof(stretches));
    s.stretches = (free(s.stretches), NULL);
    from.stretches = NULL;
    assert_int_equal(s.generation, from.generation);
    assert_int_equal(s.last.index, 400);
    assert_int_equal(ballot_compare(&s.promised, &from.promised), 0);
    assert_int_equal(s.closing, 400);
    assert_true(s.is_installing);
}

static void test_keys_are_read(void **state UNUSED)
{
    struct record_key key = log_row_key(&group, 300);
    struct kept_attempt k = { .record_len = 0 };
    struct group_id g;
    struct node_id id;
    uint64_t index;

    assert_int_equal(log_row_key_decode(key.bytes, key.len, &g, &index), 0);
    assert_int_equal(index, 300);
    assert_memory_equal(g.bytes, group.bytes, RUN_ID_SIZE);
    assert_int_equal(log_row_key_decode(key.bytes, key.len - 1, &g, &index), -EBADMSG);
    key.bytes[0] = 'a';
    assert_int_equal(log_row_key_decode(key.bytes, key.len, &g, &index), -EBADMSG);
    key = peer_row_key(&bob);
    assert_int_equal(peer_row_key_decode(key.bytes, key.len, &id), 0);
    assert_true(node_id_equal(&id, &bob));
    assert_int_equal(peer_row_key_decode(key.bytes, key.len + 1, &id), -EBADMSG);
    key = kept_attempt_key(&run, &task, UINT32_MAX, UINT64_MAX);
    for (size_t i = 0; i < key.len; i++)
        assert_int_equal(kept_attempt_key_decode(key.bytes, i, &k), -EBADMSG);
    assert_int_equal(kept_attempt_key_decode(key.bytes, key.len, &k), 0);
    assert_int_equal(k.name.counter, UINT64_MAX);
}

/* Rows sort by their index. */
static void test_rows_are_in_order(void **state UNUSED)
{
    struct record_key low = log_row_key(&group, 255), high = log_row_key(&group, 256);

    assert_true(memcmp(low.bytes, high.bytes, low.len) < 0);
    assert_memory_equal(low.bytes, log_rows_of(&group).bytes, log_rows_of(&group).len);
}

/* The checksum tells a flipped bit; the rest is as of messages. */
static void test_damage(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct log_row r = { .arena = NULL };

    log_row(&b);
    for (size_t i = 0; i < b.len; i++) {
        int result;

        assert_int_equal(log_row_decode(b.data, i, &r), -EBADMSG);
        b.data[i] = (char)(b.data[i] ^ 4);
        result = log_row_decode(b.data, b.len, &r);
        assert_true(result == -EBADMSG || result == -EPROTONOSUPPORT);
        b.data[i] = (char)(b.data[i] ^ 4);
    }
    assert_null(r.arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_bytes),
        cmocka_unit_test(test_protobuf_reads_and_writes_the_same),
        cmocka_unit_test(test_log_row_is_read),
        cmocka_unit_test(test_rows_that_make_no_sense),
        cmocka_unit_test(test_kept_attempt_is_read),
        cmocka_unit_test(test_peer_is_read),
        cmocka_unit_test(test_replica_state_is_read),
        cmocka_unit_test(test_keys_are_read),
        cmocka_unit_test(test_rows_are_in_order),
        cmocka_unit_test(test_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
