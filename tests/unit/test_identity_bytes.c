/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of certificates, revocations, tokens and invitations, against tests/wire/:
 * what was signed yesterday has to verify tomorrow. */
#include "tests/unit/golden.h"

#include <errno.h>
#include <stdlib.h>

#include <sodium.h>

#include "node/invitation.h"
#include "node/join_token.h"
#include "node/revocation.h"

#define AT 1795253705000000

struct keys {
    uint8_t public[NODE_KEY_SIZE], secret[NODE_SECRET_SIZE];
};

static struct keys keys_of(uint8_t first)
{
    uint8_t seed[crypto_sign_SEEDBYTES] = { first };
    struct keys k;

    crypto_sign_seed_keypair(k.public, k.secret, seed);
    return k;
}

static struct mesh_root root(void)
{
    struct mesh_root r = { .mesh = { 0xaa, 1, 2, 3 }, .name = "lab" };

    memcpy(r.authority, keys_of(1).public, NODE_KEY_SIZE);
    return r;
}

static struct certificate certificate(const char *name, uint8_t key, uint32_t roles,
                                      uint8_t signer)
{
    struct keys by = keys_of(signer);
    struct certificate c = { .mesh = { 0xaa, 1, 2, 3 },
                             .curve_key = { 0xcc, key },
                             .roles = roles,
                             .not_before = AT,
                             .not_after = AT + CERTIFICATE_LIFE,
                             .serial = 0x0102030405060708 };

    strcpy(c.name, name);
    strcpy(c.zone, "rack-1");
    memcpy(c.node_key, keys_of(key).public, NODE_KEY_SIZE);
    assert_int_equal(certificate_sign(&c, by.secret), 0);
    return c;
}

static struct chain chain(void)
{
    return (struct chain){ .has_issuer = true,
                           .issuer = certificate("issuer", 2, ROLE_ISSUER, 1),
                           .leaf = certificate("n7", 3, ROLE_WORKER | ROLE_HOME, 2) };
}

static void test_chain(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    const struct mesh_root trusted = root();
    struct chain c = chain(), back;

    assert_int_equal(chain_encode(&c, &b), 0);
    golden_compare("identity_chain", &b);
    assert_int_equal(chain_decode(b.data, b.len, &back), 0);
    assert_int_equal(chain_verify(&back, &trusted, AT, NULL), 0);
    for (size_t len = 0; len < b.len; len++)
        if (chain_decode(b.data, len, &back) == 0)
            assert_false(back.has_issuer); /* the leaf alone */
    buffer_putc(&b, 0);
    assert_int_equal(chain_decode(b.data, b.len, &back), -EBADMSG);
}

static void test_largest(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct chain c = chain(), back;

    memset(c.leaf.name, 'n', MEMBER_NAME_MAX);
    memset(c.leaf.zone, 'z', MEMBER_NAME_MAX);
    c.issuer = c.leaf;
    assert_int_equal(chain_encode(&c, &b), 0);
    assert_true(b.len <= CHAIN_BYTES_MAX);
    assert_int_equal(chain_decode(b.data, b.len, &back), 0);
}

static void test_root(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct mesh_root r = root(), back;

    assert_int_equal(mesh_root_encode(&r, &b), 0);
    golden_compare("identity_mesh", &b);
    assert_int_equal(mesh_root_decode(b.data, b.len, &back), 0);
    assert_memory_equal(&back.authority, &r.authority, NODE_KEY_SIZE);
    assert_int_equal(mesh_root_decode(b.data, b.len - 1, &back), -EBADMSG);
}

static int take(void *arg, const struct revocation *r)
{
    return revocations_add(arg, r);
}

static void test_revocations(void **state UNUSED)
{
    CLEANUP(revocations_release) struct revocations s = { .n = 0 }, back = { .n = 0 };
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct revocation by_authority = {
        .mesh = { 0xaa, 1, 2, 3 }, .node = { { 9 } }, .serial = 7, .time = AT
    };
    struct revocation by_issuer = by_authority;
    const struct mesh_root trusted = root();
    size_t whole;

    assert_int_equal(revocation_sign(&by_authority, keys_of(1).secret), 0);
    by_issuer.node.bytes[0] = 8;
    by_issuer.has_issuer = true;
    by_issuer.issuer = chain().issuer;
    assert_int_equal(revocation_sign(&by_issuer, keys_of(2).secret), 0);
    assert_int_equal(revocations_add(&s, &by_authority), 0);
    assert_int_equal(revocations_add(&s, &by_issuer), 0);
    assert_int_equal(revocations_encode(&s, 0, 1 << 20, &b), 2);
    golden_compare("identity_revocations", &b);
    assert_int_equal(revocations_read(b.data, b.len, take, &back), 0);
    assert_int_equal(back.n, 2);
    for (size_t i = 0; i < back.n; i++)
        assert_int_equal(revocation_verify(&back.all[i], &trusted, AT, NULL), 0);
    whole = b.len;
    buffer_clear(&b);
    assert_int_equal(revocations_encode(&s, 0, whole - 1, &b), 1);
}

static void test_token(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    struct join_token t = { .root = root(),
                            .invitation = { 1, 2, 3 },
                            .seed = { 4, 5, 6 },
                            .roles = ROLE_WORKER,
                            .uses = 2,
                            .expires = AT,
                            .contacts = { { .address = "node1.example.org:8370",
                                            .curve_key = { 7 } },
                                          { .address = "[fe80::1]:1" } },
                            .n_contacts = 2 };
    char text[JOIN_TOKEN_TEXT_SIZE], again[JOIN_TOKEN_TEXT_SIZE];
    struct join_token back;

    join_token_text(&t, text);
    buffer_puts(&b, text);
    golden_compare("identity_token", &b);
    assert_int_equal(join_token_parse(text, &back, NULL), 0);
    join_token_text(&back, again);
    assert_string_equal(again, text);
    assert_string_equal(back.contacts[1].address, "[fe80::1]:1");
}

static void test_invitation(void **state UNUSED)
{
    CLEANUP(invitation_release) struct invitation i = { .mesh = { 0xaa, 1, 2, 3 },
                                                        .id = { 1 },
                                                        .key = { 3 },
                                                        .roles = ROLE_WORKER,
                                                        .uses = 5,
                                                        .expires = AT,
                                                        .has_issuer = true,
                                                        .issuer = chain().issuer };
    CLEANUP(invitation_release) struct invitation back = { .admitted = NULL };
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    const struct mesh_root trusted = root();
    const struct node_id node = { { 6 } };

    assert_int_equal(invitation_sign(&i, keys_of(2).secret), 0);
    assert_int_equal(invitation_admit(&i, &node, AT - 1, NULL), 0);
    assert_int_equal(invitation_encode(&i, &b), 0);
    golden_compare("identity_invitation", &b);
    assert_int_equal(invitation_decode(b.data, b.len, &back), 0);
    assert_int_equal(back.n_admitted, 1);
    assert_int_equal(invitation_verify(&back, &trusted, AT, NULL), 0);
    for (size_t len = 0; len < b.len; len++) {
        struct invitation cut;

        assert_int_equal(invitation_decode(b.data, len, &cut), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain), cmocka_unit_test(test_largest),
        cmocka_unit_test(test_root),  cmocka_unit_test(test_revocations),
        cmocka_unit_test(test_token), cmocka_unit_test(test_invitation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
