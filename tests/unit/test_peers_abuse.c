/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers and members send that they should not: the sockets of the test speak
 * ZeroMQ themselves, so that they can send anything. */
#include "tests/unit/peers_kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <zmq.h>

struct stranger {
    void *context, *socket;
    uint8_t public[CURVE_KEY_SIZE], secret[CURVE_KEY_SIZE];
};

static void knock_as(struct stranger *s, const struct site *at, uint32_t port,
                     const uint8_t *public, const uint8_t *secret)
{
    char endpoint[64];

    *s = (struct stranger){ .context = zmq_ctx_new() };
    s->socket = zmq_socket(s->context, ZMQ_DEALER);
    zmq_setsockopt(s->socket, ZMQ_LINGER, &(int){ 0 }, sizeof(int));
    zmq_setsockopt(s->socket, ZMQ_SNDHWM, &(int){ 0 }, sizeof(int));
    assert_int_equal(zmq_setsockopt(s->socket, ZMQ_CURVE_SERVERKEY,
                                    identity_curve_key(at->identity), CURVE_KEY_SIZE),
                     0);
    zmq_setsockopt(s->socket, ZMQ_CURVE_PUBLICKEY, public, CURVE_KEY_SIZE);
    zmq_setsockopt(s->socket, ZMQ_CURVE_SECRETKEY, secret, CURVE_KEY_SIZE);
    snprintf(endpoint, sizeof(endpoint), "tcp://127.0.0.1:%u", port);
    assert_int_equal(zmq_connect(s->socket, endpoint), 0);
}

static uint32_t control_port(const struct site *s)
{
    return (uint32_t)atoi(strrchr(peers_address(s->peers), ':') + 1);
}

/* With keys of its own, which nobody knows. */
static void knock(struct stranger *s, const struct site *at)
{
    CLEANUP(identity_freep) struct identity *keys = NULL;
    CLEANUP(freep) char *dir = NULL;
    static unsigned n;

    assert_true(asprintf(&dir, "%s/stranger%u", at->dir, n++) > 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(identity_create(dir, &keys, NULL), 0);
    knock_as(s, at, control_port(at), identity_curve_key(keys),
             identity_curve_secret(keys));
}

static void leave(struct stranger *s)
{
    zmq_close(s->socket);
    zmq_ctx_term(s->context);
}

static void send_bytes(struct stranger *s, const void *data, size_t len)
{
    zmq_send(s->socket, data, len, ZMQ_DONTWAIT);
}

static const struct peers_counters *count(const struct site *s)
{
    return peers_count(s->peers);
}

/* ---- strangers ---- */

/* A few messages that are not for him, and he is out, whatever else he sends. */
static void test_stranger_talks(void **state UNUSED)
{
    static const uint8_t ping[] = { 'M', '1', 1, MESSAGE_PING, 0, 0, 0, 0 };
    struct stranger s;
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    knock(&s, a);
    for (int i = 0; i < 1000; i++)
        send_bytes(&s, ping, sizeof(ping));
    UNTIL(&k, count(a)->dropped == 1);
    assert_in_range(count(a)->strangers, 1, 16);
    assert_int_equal(a->n_messages, 0);
    assert_true(is_connected(a, b));
    leave(&s);
    kit_close(&k);
}

static void test_stranger_sends_garbage(void **state UNUSED)
{
    static uint8_t large[MESSAGE_BYTES_MAX + 4096];
    struct stranger s;
    struct site *a, *b;
    uint8_t bytes[64];
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    knock(&s, a);
    for (unsigned i = 0; i < 100; i++) {
        for (size_t at = 0; at < sizeof(bytes); at++)
            bytes[at] = (uint8_t)(i * 31 + at * 7);
        send_bytes(&s, bytes, i % sizeof(bytes));
    }
    UNTIL(&k, count(a)->dropped == 1);
    leave(&s);

    knock(&s, a); /* a frame that is too large ends the connection below us */
    send_bytes(&s, large, sizeof(large));
    send_bytes(&s, "x", 1);
    site_send(b, a, "hello", false);
    UNTIL(&k, a->n_messages);
    assert_true(is_connected(a, b));
    leave(&s);
    kit_close(&k);
}

/* HELLOs and JOINs that are cut, flipped, or empty: each is told why, and nobody is in.
 */
static void test_stranger_sends_bad_hellos(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer hello = BUFFER_INIT;
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    assert_int_equal(say_hello(b, &hello), 0); /* heard elsewhere */
    for (int what = 0; what < 4; what++) {
        uint64_t before = count(a)->refused;
        struct stranger s;

        knock(&s, a);
        if (what == 0)
            send_bytes(&s, hello.data, hello.len);
        else if (what == 1)
            send_bytes(&s, hello.data, hello.len - 1);
        else if (what == 2)
            send_bytes(&s, "M1\1\1\0\0\0\0", MESSAGE_HEADER_SIZE);
        else
            send_bytes(&s, "M1\1\6\0\0\0\0", MESSAGE_HEADER_SIZE);
        UNTIL(&k, count(a)->refused > before);
        leave(&s);
    }
    assert_int_equal(a->n_connected, 1);
    assert_true(is_connected(a, b));
    kit_close(&k);
}

/* Somebody who connects again and again under new keys is held to a few a second; who
 * is known comes in meanwhile. */
static void test_flood_of_keys(void **state UNUSED)
{
    enum { FLOOD = 120 };
    static struct stranger flood[FLOOD];
    struct site *a, *b, *c;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    assert_int_equal(peers_learn(a->peers, identity_chain(c->identity)), 0);
    for (int i = 0; i < FLOOD; i++) {
        knock(&flood[i], a);
        send_bytes(&flood[i], "M1\1\3\0\0\0\0", MESSAGE_HEADER_SIZE);
    }
    UNTIL(&k, count(a)->refused > 0);
    site_start(c, NULL);
    site_dial(c, a);
    UNTIL(&k, is_connected(c, a));
    assert_int_equal(a->n_messages, 0);
    for (int i = 0; i < FLOOD; i++)
        leave(&flood[i]);
    kit_close(&k);
}

/* Sockets that are opened and then say nothing do not keep others out. */
static void test_silent_sockets(void **state UNUSED)
{
    enum { SILENT = 2 * PEERS_STRANGERS_MAX };
    static int fds[SILENT];
    struct sockaddr_in to = { .sin_family = AF_INET };
    struct site *a, *b, *c;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    to.sin_port = htons((uint16_t)control_port(a));
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    for (int i = 0; i < SILENT; i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(connect(fds[i], (struct sockaddr *)&to, sizeof(to)), 0);
    }
    UNTIL(&k, count(a)->dropped >= SILENT - PEERS_STRANGERS_MAX);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    assert_int_equal(peers_learn(a->peers, identity_chain(c->identity)), 0);
    site_start(c, NULL);
    site_dial(c, a);
    UNTIL(&k, is_connected(c, a));
    for (int i = 0; i < SILENT; i++)
        close(fds[i]);
    kit_close(&k);
}

static void test_bulk_is_for_members(void **state UNUSED)
{
    static const uint8_t data[] = { 'M', '1', 1, MESSAGE_BLOB_DATA, 0, 0, 0, 0 };
    CLEANUP(identity_freep) struct identity *keys = NULL;
    CLEANUP(freep) char *dir = NULL;
    struct stranger s;
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    assert_true(asprintf(&dir, "%s/s", a->dir) > 0);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(identity_create(dir, &keys, NULL), 0);
    knock_as(&s, a, peers_bulk_port(a->peers), identity_curve_key(keys),
             identity_curve_secret(keys));
    for (int i = 0; i < 50; i++)
        send_bytes(&s, data, sizeof(data));
    assert_int_equal(site_send(b, a, "one", true), -EAGAIN);
    UNTIL(&k, b->n_room);
    assert_int_equal(site_send(b, a, "one", true), 0);
    UNTIL(&k, a->n_bulk);
    assert_int_equal(a->n_bulk, 1);
    assert_int_equal(count(a)->strangers, 0); /* nothing of it came as far as here */
    leave(&s);
    kit_close(&k);
}

/* ---- members ---- */

/* A member's own key, but another program: what it sends without a HELLO is not heard.
 */
static void test_member_without_hello(void **state UNUSED)
{
    static const uint8_t ping[] = { 'M', '1', 1, MESSAGE_PING, 0, 0, 0, 0 };
    struct stranger s;
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    knock_as(&s, a, control_port(a), identity_curve_key(b->identity),
             identity_curve_secret(b->identity));
    for (int i = 0; i < 100; i++)
        send_bytes(&s, ping, sizeof(ping));
    UNTIL(&k, count(a)->strangers > 0);
    UNTIL(&k, count(a)->dropped == 1);
    assert_int_equal(a->n_messages, 0);
    assert_true(is_connected(a, b));
    leave(&s);
    kit_close(&k);
}

/* A member that sends what is no frame loses its connection, and comes again. */
static void test_member_sends_garbage(void **state UNUSED)
{
    const uint8_t bad[] = { 'X', 'Y', 1, 2, 3, 4, 5, 6, 7 };
    struct site *a, *b;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    id = identity_node(a->identity);
    for (int i = 0; i < 16; i++)
        assert_int_equal(peers_send(b->peers, &id, bad, sizeof(bad), false), 0);
    UNTIL(&k, a->n_disconnected || b->n_disconnected);
    assert_int_equal(count(a)->garbage, 16);
    UNTIL(&k, is_connected(a, b) && is_connected(b, a));
    assert_int_equal(a->n_messages, 0);
    kit_close(&k);
}

static void test_too_large(void **state UNUSED)
{
    static uint8_t large[MESSAGE_BYTES_MAX + 1];
    struct site *a, *b;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    id = identity_node(b->identity);
    assert_int_equal(peers_send(a->peers, &id, large, sizeof(large), false), -EMSGSIZE);
    assert_int_equal(peers_send(a->peers, &id, large, PEERS_BULK_BYTES_MAX + 1, true),
                     -EMSGSIZE);
    memcpy(large, "M1\1\3\0\0\0\0", MESSAGE_HEADER_SIZE);
    assert_int_equal(peers_send(a->peers, &id, large, MESSAGE_BYTES_MAX, false), 0);
    UNTIL(&k, b->n_messages);
    kit_close(&k);
}

static void test_bad_addresses(void **state UNUSED)
{
    struct site *a, *b;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    id = identity_node(b->identity);
    assert_int_equal(peers_connect(a->peers, &id, "nowhere", 1,
                                   identity_curve_key(b->identity)),
                     -EINVAL);
    assert_int_equal(peers_connect(a->peers, &id, "127.0.0.1:1", 1,
                                   identity_curve_key(a->identity)),
                     -EKEYREJECTED);
    id = identity_node(a->identity);
    assert_int_equal(peers_connect(a->peers, &id, "127.0.0.1:1", 1,
                                   identity_curve_key(a->identity)),
                     -EPERM);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stranger_talks),
        cmocka_unit_test(test_stranger_sends_garbage),
        cmocka_unit_test(test_stranger_sends_bad_hellos),
        cmocka_unit_test(test_flood_of_keys),
        cmocka_unit_test(test_silent_sockets),
        cmocka_unit_test(test_bulk_is_for_members),
        cmocka_unit_test(test_member_without_hello),
        cmocka_unit_test(test_member_sends_garbage),
        cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_bad_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
