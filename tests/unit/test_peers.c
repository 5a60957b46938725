/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that talk over loopback: who gets in, who does not, and what each may cost. */
#include "tests/unit/peers_kit.h"

static void test_two_talk(void **state UNUSED)
{
    struct site *a, *b;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    assert_int_equal(site_send(a, b, "to b", false), 0);
    assert_int_equal(site_send(b, a, "to a", false), 0);
    UNTIL(&k, a->n_messages && b->n_messages);
    assert_string_equal(a->last, "to a");
    assert_string_equal(b->last, "to b");
    id = identity_node(b->identity);
    assert_true(node_id_equal(&a->last_from, &id));
    assert_int_equal(a->n_connected, 1);
    assert_int_equal(b->n_connected, 1);
    kit_close(&k);
}

static void test_order_and_number(void **state UNUSED)
{
    struct site *a, *b;
    char text[16];
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    for (unsigned sent = 0; sent < 5000;) {
        snprintf(text, sizeof(text), "%u", sent);
        if (site_send(a, b, text, false) == 0)
            sent++;
        else
            uv_run(&k.loop, UV_RUN_ONCE);
        snprintf(text, sizeof(text), "%u", b->n_messages - 1);
        if (b->n_messages)
            assert_string_equal(b->last, text);
    }
    UNTIL(&k, b->n_messages == 5000);
    kit_close(&k);
}

static void test_bulk_has_its_own(void **state UNUSED)
{
    struct site *a, *b;
    struct kit k;
    int r;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    assert_int_equal(site_send(a, b, "large", true), -EAGAIN);
    UNTIL(&k, a->n_room);
    r = site_send(a, b, "large", true);
    assert_int_equal(r, 0);
    UNTIL(&k, b->n_bulk);
    assert_string_equal(b->last, "large");
    assert_int_equal(b->n_messages, 0);
    kit_close(&k);
}

static void test_three_all_talk(void **state UNUSED)
{
    struct site *a, *b, *c;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    site_start(c, NULL);
    site_dial(c, a);
    site_dial(b, c); /* both ways at once */
    site_dial(c, b);
    UNTIL(&k, is_connected(a, c) && is_connected(b, c) && is_connected(c, a)
                  && is_connected(c, b));
    assert_int_equal(c->n_connected, 2);
    assert_int_equal(a->n_disconnected + b->n_disconnected + c->n_disconnected, 0);
    kit_close(&k);
}

/* ---- who does not get in ---- */

static void test_wrong_server_key(void **state UNUSED)
{
    struct site *a, *b, *c;
    struct join_contact contact;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    site_start(c, NULL);
    contact = contact_of(a);
    contact.curve_key[5] ^= 1;
    assert_int_equal(peers_dial(c->peers, &contact), 0);
    site_dial(c, b);
    UNTIL(&k, is_connected(c, b));
    assert_false(is_connected(a, c));
    kit_close(&k);
}

static void test_another_mesh(void **state UNUSED)
{
    struct site *a, *b, *stranger;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    stranger = site_add(&k, "stranger");
    site_found(stranger);
    site_start(stranger, NULL);
    site_dial(stranger, a);
    UNTIL(&k, stranger->n_refused);
    assert_string_equal(stranger->refusal, "this node is of another mesh");
    assert_int_equal(a->n_connected, 1);
    assert_int_equal(stranger->n_connected, 0);
    kit_close(&k);
}

static void test_expired(void **state UNUSED)
{
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    a = site_add(&k, "a");
    b = site_add(&k, "b");
    site_found(a);
    site_admit(b, a, ROLE_WORKER);
    kit_ahead = CERTIFICATE_LIFE + CERTIFICATE_SKEW + TIME_S(1);
    assert_int_equal(identity_certify(a->identity, NULL, NULL, kit_wall(), NULL), 0);
    site_start(a, NULL);
    site_start(b, NULL);
    site_dial(b, a);
    UNTIL(&k, b->n_refused);
    assert_string_equal(b->refusal, "the certificate of 'b' has expired");
    kit_close(&k);
}

static void test_expires_while_connected(void **state UNUSED)
{
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    kit_ahead = CERTIFICATE_LIFE + CERTIFICATE_SKEW + TIME_S(1);
    UNTIL(&k, a->n_disconnected);
    assert_int_equal(a->n_gone, 0);
    kit_close(&k);
}

static void test_revoked_while_connected(void **state UNUSED)
{
    struct site *a, *b, *c;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    site_start(c, NULL);
    site_dial(c, b); /* b hears of it from a, and c never was at a */
    UNTIL(&k, is_connected(c, b) && is_connected(b, c));
    id = identity_node(c->identity);
    assert_int_equal(peers_revoke(a->peers, &id, NULL), 0);
    UNTIL(&k, b->n_revoked && b->n_disconnected);
    assert_false(is_connected(b, c));
    assert_int_equal(site_send(b, c, "x", false), -ENOTCONN);
    UNTIL(&k, c->n_refused); /* it tries again */
    assert_string_equal(c->refusal, "the certificate of 'c' was revoked");
    assert_int_equal(b->n_connected, 2);
    kit_close(&k);
}

/* Who was away when a node was shut out hears of it when it comes. */
static void test_revoked_meanwhile(void **state UNUSED)
{
    struct site *a, *b, *c;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    c = site_add(&k, "c");
    site_admit(c, a, ROLE_WORKER);
    id = (struct node_id){ { 7 } };
    assert_int_equal(peers_revoke(a->peers, &id, NULL), 0);
    site_start(c, NULL);
    site_dial(c, b);
    UNTIL(&k, c->n_revoked && b->n_revoked);
    assert_true(
        revocations_has(keyring_revocations(identity_keyring(c->identity)), &id));
    kit_close(&k);
}

/* ---- joining ---- */

struct joiner {
    uv_work_t work;
    struct peers_join join;
    struct error why;
    int result;
    bool is_done;
};

static void do_join(uv_work_t *work)
{
    struct joiner *j = work->data;

    j->result = peers_join(&j->join, &j->why);
}

static void on_joined(uv_work_t *work, int status UNUSED)
{
    ((struct joiner *)work->data)->is_done = true;
}

/* The join blocks, so it is on a thread; the loop turns for those who answer. */
static int join_with(struct kit *k, struct site *s, const struct join_token *token,
                     char text[ERROR_TEXT_MAX])
{
    struct joiner j = { .join = { .identity = s->identity,
                                  .token = token,
                                  .name = s->name,
                                  .zone = "rack-1",
                                  .patience_ms = 20000,
                                  .wall = kit_wall() } };

    j.work.data = &j;
    uv_queue_work(&k->loop, &j.work, do_join, on_joined);
    UNTIL(k, j.is_done);
    strcpy(text, j.why.text);
    return j.result;
}

static struct join_token invite(struct site *a, uint32_t uses)
{
    const struct join_contact contact = contact_of(a);
    const struct invite wanted = { .roles = ROLE_WORKER | ROLE_HOME,
                                   .uses = uses,
                                   .expires_in_s = 3600,
                                   .contacts = &contact,
                                   .n_contacts = 1 };
    struct join_token token;

    assert_int_equal(identity_invite(a->identity, &wanted, kit_wall(), &token,
                                     &a->invitation, NULL),
                     0);
    return token;
}

static void test_join(void **state UNUSED)
{
    struct join_contact contacts[CONTACTS_MAX];
    char text[ERROR_TEXT_MAX];
    struct site *a, *b, *c;
    struct join_token token;
    struct kit k;

    kit_open(&k);
    a = site_add(&k, "a");
    site_found(a);
    site_start(a, NULL);
    token = invite(a, 1);
    b = site_add(&k, "b");
    assert_int_equal(identity_create(b->dir, &b->identity, NULL), 0);
    assert_int_equal(join_with(&k, b, &token, text), 0);
    assert_string_equal(identity_chain(b->identity)->leaf.zone, "rack-1");
    assert_int_equal(identity_chain(b->identity)->leaf.roles, ROLE_WORKER | ROLE_HOME);
    assert_int_equal(identity_contacts(b->identity, contacts), 2);
    assert_string_equal(contacts[0].address, peers_address(a->peers));
    site_start(b, NULL);
    assert_int_equal(peers_dial(b->peers, &contacts[0]), 0);
    UNTIL(&k, a->n_connected && b->n_connected);

    c = site_add(&k, "c");
    assert_int_equal(identity_create(c->dir, &c->identity, NULL), 0);
    assert_int_equal(join_with(&k, c, &token, text), -EDQUOT);
    assert_string_equal(text, "the mesh does not let this node in: the token was used "
                              "already; make another one: mesh invite");
    token.seed[0] ^= 1;
    assert_int_equal(join_with(&k, c, &token, text), -EKEYREJECTED);
    assert_string_equal(text,
                        "the mesh does not let this node in: the token is forged");
    kit_close(&k);
}

static void test_renewal(void **state UNUSED)
{
    struct site *a, *b;
    uint64_t serial;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    serial = identity_chain(b->identity)->leaf.serial;
    kit_ahead = CERTIFICATE_LIFE / 4 * 3;
    UNTIL(&k, a->n_renewed && b->n_renewed);
    assert_true(identity_chain(b->identity)->leaf.serial != serial);
    /* a took it in when b said so: past the end of the first they are still together */
    UNTIL(&k, keyring_find_curve(identity_keyring(a->identity),
                                 identity_curve_key(b->identity))
                      ->leaf.serial
                  != serial);
    assert_int_equal(a->n_disconnected + b->n_disconnected, 0);
    kit_close(&k);
}

/* ---- what breaks ---- */

static void test_gone(void **state UNUSED)
{
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    site_stop(b);
    UNTIL(&k, a->n_disconnected);
    assert_int_equal(a->n_gone, 1);
    assert_int_equal(site_send(a, b, "x", false), -ENOTCONN);
    kit_close(&k);
}

static void test_back_again(void **state UNUSED)
{
    struct site *a, *b;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    site_stop(b);
    UNTIL(&k, a->n_disconnected);
    b->boot++;
    site_start(b, NULL); /* at another port */
    site_dial(b, a);
    UNTIL(&k, a->n_connected == 2 && b->n_connected == 2);
    assert_int_equal(site_send(a, b, "again", false), 0);
    UNTIL(&k, b->n_messages);
    kit_close(&k);
}

/* It is dialled until it is there. */
static void test_back_at_the_same_place(void **state UNUSED)
{
    char address[MEMBER_ADDRESS_MAX + 1];
    struct site *a, *b;
    struct node_id id;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    id = identity_node(b->identity);
    strcpy(address, peers_address(b->peers));
    assert_int_equal(peers_connect(a->peers, &id, address, peers_bulk_port(b->peers),
                                   identity_curve_key(b->identity)),
                     0);
    site_stop(b);
    UNTIL(&k, a->n_disconnected);
    b->boot++;
    site_start(b, address);
    UNTIL(&k, a->n_connected == 2 && b->n_connected == 2);
    kit_close(&k);
}

static void test_one_identity_twice(void **state UNUSED)
{
    struct site *a, *b, *twin;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    twin = site_add(&k, "b2");
    twin->boot = 2; /* the same folder, started again elsewhere */
    assert_int_equal(identity_open(b->dir, kit_wall(), &twin->identity, NULL), 0);
    site_start(twin, NULL);
    site_dial(twin, a);
    UNTIL(&k, twin->n_connected);
    UNTIL(&k, b->n_refused);
    assert_non_null(strstr(b->refusal, "another node has the same identity"));
    assert_true(is_connected(twin, a));
    kit_close(&k);
}

static void test_own_identity(void **state UNUSED)
{
    struct site *a, *b, *twin;
    struct kit k;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    twin = site_add(&k, "a2");
    assert_int_equal(identity_open(a->dir, kit_wall(), &twin->identity, NULL), 0);
    site_start(twin, NULL);
    {
        const struct join_contact c = contact_of(a);

        assert_int_equal(peers_dial(twin->peers, &c), -EPERM);
    }
    kit_close(&k);
}

/* ---- who does not read ---- */

static void test_never_reads(void **state UNUSED)
{
    static char frame[256 << 10] = { 'M', '1', 1, MESSAGE_PING };
    const size_t bound = PEERS_QUEUE_BYTES_MAX + sizeof(frame);
    struct site *a, *b;
    uint64_t accepted = 0, before = 0;
    struct node_id id;
    struct kit k;
    int r;

    kit_open(&k);
    kit_pair(&k, &a, &b);
    id = identity_node(b->identity);
    /* The loop does not turn, so b reads nothing; the I/O threads of both have all the
     * time. The other side's takes PEERS_QUEUE_MAX messages, the kernel some; then
     * nothing goes any more. */
    for (unsigned quiet = 0; quiet < 200;) {
        r = peers_send(a->peers, &id, frame, sizeof(frame), false);
        if (r == 0)
            accepted += sizeof(frame);
        else
            usleep(1000);
        quiet = accepted == before ? quiet + 1 : 0;
        before = accepted;
        assert_true(r == 0 || r == -EAGAIN);
        assert_true(accepted < 100u << 20);
    }
    assert_true(accepted >= bound - sizeof(frame));
    assert_true(peers_count(a->peers)->full > 0);
    UNTIL(&k, a->n_room);
    UNTIL(&k, b->n_messages == accepted / sizeof(frame));
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_talk),
        cmocka_unit_test(test_order_and_number),
        cmocka_unit_test(test_bulk_has_its_own),
        cmocka_unit_test(test_three_all_talk),
        cmocka_unit_test(test_wrong_server_key),
        cmocka_unit_test(test_another_mesh),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_expires_while_connected),
        cmocka_unit_test(test_revoked_while_connected),
        cmocka_unit_test(test_revoked_meanwhile),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_renewal),
        cmocka_unit_test(test_gone),
        cmocka_unit_test(test_back_again),
        cmocka_unit_test(test_back_at_the_same_place),
        cmocka_unit_test(test_one_identity_twice),
        cmocka_unit_test(test_own_identity),
        cmocka_unit_test(test_never_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
