/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, certificates, tokens and revocations: who vouches for whom, and every way in
 * which somebody does not. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sodium.h>

#include "base/version.h"
#include "node/join.h"
#include "node/remove.h"
#include "tests/unit/unit.h"

static const time_us noon = TIME_S(1795253705);

struct world {
    char dir[64];
    struct identity *founder, *node;
    struct error why;
};

static char *path_in(const struct world *w, const char *name)
{
    char *path;

    assert_true(asprintf(&path, "%s/%s", w->dir, name) > 0);
    return path;
}

static char *folder_in(const struct world *w, const char *name)
{
    char *path = path_in(w, name);

    assert_int_equal(mkdir(path, 0700), 0);
    return path;
}

static void world_open(struct world *w)
{
    CLEANUP(freep) char *a = NULL;
    CLEANUP(freep) char *b = NULL;

    *w = (struct world){ .dir = "/tmp/mesh-unit-XXXXXX" };
    assert_non_null(mkdtemp(w->dir));
    a = folder_in(w, "a");
    b = folder_in(w, "b");
    if (identity_found(a, "lab", "first", noon, &w->founder, &w->why) < 0
        || identity_create(b, &w->node, &w->why) < 0)
        fail_msg("%s", w->why.text);
}

static void world_close(struct world *w)
{
    identity_free(w->founder);
    identity_free(w->node);
    assert_int_equal(remove_tree(w->dir), 0);
}

static struct chain certify(struct identity *issuer, const struct identity *node,
                            const char *name, uint32_t roles)
{
    struct certificate wanted = { .roles = roles };
    struct error why = { .text = "" };
    struct chain chain;

    strcpy(wanted.name, name);
    memcpy(wanted.node_key, identity_node_key(node), NODE_KEY_SIZE);
    memcpy(wanted.curve_key, identity_curve_key(node), CURVE_KEY_SIZE);
    if (identity_issue(issuer, &wanted, noon, &chain, &why) < 0)
        fail_msg("%s", why.text);
    return chain;
}

static void expect(int r, int wanted, const struct error *why, const char *text)
{
    if (r != wanted || strcmp(why->text, text) != 0)
        fail_msg("%d (%s), \"%s\"", r, strerror(-r), why->text);
}

/* ---- folders ---- */

static void test_founding(void **state UNUSED)
{
    CLEANUP(freep) char *a = NULL;
    CLEANUP(freep) char *keys = NULL;
    CLEANUP(identity_freep) struct identity *again = NULL;
    struct node_id before, after;
    struct world w;
    struct stat st;

    world_open(&w);
    a = path_in(&w, "a");
    keys = path_in(&w, "a/identity/authority");
    assert_true(identity_is_issuer(w.founder) && identity_has_authority(w.founder));
    assert_string_equal(identity_root(w.founder)->name, "lab");
    assert_int_equal(stat(keys, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(identity_found(a, "lab", "first", noon, &again, &w.why), -EEXIST);
    assert_int_equal(identity_open(a, noon, &again, &w.why), 0);
    before = identity_node(w.founder);
    after = identity_node(again);
    assert_true(node_id_equal(&before, &after));
    assert_true(identity_has_authority(again));
    assert_int_equal(identity_chain(again)->leaf.serial,
                     identity_chain(w.founder)->leaf.serial);
    world_close(&w);
}

static void test_bad_names(void **state UNUSED)
{
    struct identity *i;
    struct world w;

    world_open(&w);
    expect(identity_found(w.dir, "a b", "x", noon, &i, &w.why), -EINVAL, &w.why,
           "a name has 1 to 64 letters, digits and . _ -, not 'a b'");
    expect(identity_found(w.dir, "ab", "\x1b[31m", noon, &i, &w.why), -EINVAL, &w.why,
           "a name has 1 to 64 letters, digits and . _ -, not '\x1b[31m'");
    world_close(&w);
}

/* A file that others can read is no secret any more. */
static void test_readable_keys(void **state UNUSED)
{
    CLEANUP(freep) char *a = NULL;
    CLEANUP(freep) char *keys = NULL;
    struct identity *i;
    struct world w;

    world_open(&w);
    a = path_in(&w, "a");
    keys = path_in(&w, "a/identity/keys");
    assert_int_equal(chmod(keys, 0640), 0);
    assert_int_equal(identity_open(a, noon, &i, &w.why), -EACCES);
    assert_non_null(strstr(w.why.text, "nobody else can read"));
    assert_int_equal(chmod(keys, 0600), 0);
    assert_int_equal(truncate(keys, 20), 0);
    assert_int_equal(identity_open(a, noon, &i, &w.why), -EBADMSG);
    world_close(&w);
}

static void test_no_identity(void **state UNUSED)
{
    struct identity *i;
    struct world w;

    world_open(&w);
    assert_int_equal(identity_open(w.dir, noon, &i, &w.why), -ENOENT);
    world_close(&w);
}

static void test_boots_count_up(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *again = NULL;
    CLEANUP(freep) char *a = NULL;
    uint32_t boot;
    struct world w;

    world_open(&w);
    a = path_in(&w, "a");
    assert_int_equal(identity_boot(w.founder, &boot, NULL), 0);
    assert_int_equal(boot, 1);
    assert_int_equal(identity_open(a, noon, &again, NULL), 0);
    assert_int_equal(identity_boot(again, &boot, NULL), 0);
    assert_int_equal(boot, 2);
    world_close(&w);
}

static void test_contacts(void **state UNUSED)
{
    const struct join_contact given[] = {
        { .address = "10.0.0.1:8370", .curve_key = { 1, 2 } }, { .address = "[::1]:1" }
    };
    struct join_contact kept[CONTACTS_MAX];
    struct world w;

    world_open(&w);
    assert_int_equal(identity_contacts(w.founder, kept), 0);
    assert_int_equal(identity_remember(w.founder, given, 2, NULL), 0);
    assert_int_equal(identity_contacts(w.founder, kept), 2);
    assert_memory_equal(&kept[0], &given[0], sizeof(given[0]));
    assert_string_equal(kept[1].address, "[::1]:1");
    world_close(&w);
}

/* ---- certificates ---- */

static void test_a_good_chain(void **state UNUSED)
{
    struct world w;
    struct chain c;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(chain_verify(&c, identity_root(w.founder), noon, NULL), 0);
    assert_int_equal(c.leaf.not_after - c.leaf.not_before, CERTIFICATE_LIFE);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    assert_false(identity_is_issuer(w.node));
    assert_false(identity_is_renewal_due(w.node, noon + CERTIFICATE_LIFE / 2));
    assert_true(identity_is_renewal_due(w.node, noon + CERTIFICATE_LIFE / 3 * 2 + 2));
    world_close(&w);
}

static void test_times(void **state UNUSED)
{
    const struct mesh_root *root;
    struct world w;
    struct chain c;

    world_open(&w);
    root = identity_root(w.founder);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(chain_verify(&c, root, noon - CERTIFICATE_SKEW, NULL), 0);
    assert_int_equal(chain_verify(&c, root, noon + CERTIFICATE_LIFE + CERTIFICATE_SKEW,
                                  NULL),
                     0);
    expect(chain_verify(&c, root, noon - CERTIFICATE_SKEW - 1, &w.why), -ETIME, &w.why,
           "the certificate of 'second' is not valid yet: a clock is wrong by more "
           "than 5 minutes");
    expect(chain_verify(&c, root, noon + CERTIFICATE_LIFE + CERTIFICATE_SKEW + 1,
                        &w.why),
           -EKEYEXPIRED, &w.why, "the certificate of 'second' has expired");
    world_close(&w);
}

static void test_another_mesh(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *other = NULL;
    CLEANUP(freep) char *dir = NULL;
    struct mesh_root mixed;
    struct world w;
    struct chain c;

    world_open(&w);
    dir = folder_in(&w, "c");
    assert_int_equal(identity_found(dir, "lab", "first", noon, &other, NULL), 0);
    c = certify(other, w.node, "second", ROLE_WORKER);
    expect(chain_verify(&c, identity_root(w.founder), noon, &w.why), -EXDEV, &w.why,
           "the certificate of 'second' is of another mesh");
    mixed = *identity_root(w.founder); /* the same id, another authority */
    memcpy(mixed.mesh, identity_root(other)->mesh, MESH_ID_SIZE);
    expect(chain_verify(&c, &mixed, noon, &w.why), -EKEYREJECTED, &w.why,
           "the certificate of 'second' is not from the mesh's authority");
    world_close(&w);
}

static void test_every_bit_is_signed(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct world w;
    struct chain c;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(chain_encode(&c, &bytes), 0);
    for (size_t bit = 0; bit < bytes.len * 8; bit++) {
        struct chain bad;

        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
        if (chain_decode(bytes.data, bytes.len, &bad) == 0)
            assert_true(chain_verify(&bad, identity_root(w.founder), noon, NULL) < 0);
        bytes.data[bit / 8] = (char)(bytes.data[bit / 8] ^ 1 << bit % 8);
    }
    world_close(&w);
}

static void test_issuers(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *third = NULL;
    CLEANUP(freep) char *dir = NULL;
    struct certificate wanted = { .roles = ROLE_WORKER | ROLE_ISSUER, .name = "x" };
    const struct mesh_root *root;
    struct chain c, d;
    struct world w;

    world_open(&w);
    root = identity_root(w.founder);
    dir = folder_in(&w, "c");
    assert_int_equal(identity_create(dir, &third, NULL), 0);

    c = certify(w.founder, w.node, "issuer", ROLE_ISSUER);
    assert_int_equal(identity_adopt(w.node, root, &c, noon, NULL), 0);
    d = certify(w.node, third, "third", ROLE_WORKER);
    assert_true(d.has_issuer);
    assert_int_equal(chain_verify(&d, root, noon, NULL), 0);

    expect(identity_issue(w.node, &wanted, noon, &d, &w.why), -EACCES, &w.why,
           "only the node where mesh init ran makes issuers");
    assert_int_equal(identity_adopt(third, root, &d, noon, NULL), 0);
    wanted.roles = ROLE_WORKER;
    assert_int_equal(identity_issue(third, &wanted, noon, &d, &w.why), -EACCES);

    /* What the code does not do, somebody with an issuer's key may try. */
    d = certify(w.node, third, "third", ROLE_WORKER);
    d.issuer.roles = ROLE_WORKER;
    assert_int_equal(chain_verify(&d, root, noon, &w.why), -EKEYREJECTED);
    world_close(&w);
}

/* An issuer's key in other hands: it signs what an issuer may not. */
static void test_a_wicked_issuer(void **state UNUSED)
{
    uint8_t key[NODE_KEY_SIZE], secret[NODE_SECRET_SIZE], seed[32] = { 9 };
    struct certificate issuer = { .roles = ROLE_ISSUER, .name = "wicked" };
    const struct mesh_root *root;
    struct world w;
    struct chain c;

    world_open(&w);
    root = identity_root(w.founder);
    crypto_sign_seed_keypair(key, secret, seed);
    memcpy(issuer.node_key, key, NODE_KEY_SIZE);
    assert_int_equal(identity_issue(w.founder, &issuer, noon, &c, NULL), 0);
    issuer = c.leaf;

    c = certify(w.founder, w.node, "n", ROLE_WORKER);
    c.has_issuer = true;
    c.issuer = issuer;
    assert_int_equal(certificate_sign(&c.leaf, secret), 0);
    assert_int_equal(chain_verify(&c, root, noon, NULL), 0);

    c.leaf.roles = ROLE_ISSUER;
    assert_int_equal(certificate_sign(&c.leaf, secret), 0);
    expect(chain_verify(&c, root, noon, &w.why), -EKEYREJECTED, &w.why,
           "the certificate of 'n' says more than issuer 'wicked' may grant");
    c.leaf.roles = ROLE_WORKER;
    c.leaf.not_after = issuer.not_after + 1;
    assert_int_equal(certificate_sign(&c.leaf, secret), 0);
    assert_int_equal(chain_verify(&c, root, noon, &w.why), -EKEYREJECTED);

    issuer.roles = ROLE_WORKER; /* one of the mesh, but no issuer */
    assert_int_equal(identity_issue(w.founder, &issuer, noon, &c, NULL), 0);
    c = (struct chain){ .leaf = c.leaf, .issuer = c.leaf, .has_issuer = true };
    memcpy(c.leaf.node_key, identity_node_key(w.node), NODE_KEY_SIZE);
    assert_int_equal(certificate_sign(&c.leaf, secret), 0);
    expect(chain_verify(&c, root, noon, &w.why), -EKEYREJECTED, &w.why,
           "the certificate of 'wicked' is signed by 'wicked', which is no issuer");

    c.leaf.not_after = issuer.not_after; /* without its own certificate */
    assert_int_equal(certificate_sign(&c.leaf, secret), 0);
    c.has_issuer = false;
    assert_int_equal(chain_verify(&c, root, noon, &w.why), -EKEYREJECTED);
    world_close(&w);
}

static void test_adopting_another_mesh(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *other = NULL;
    CLEANUP(freep) char *dir = NULL;
    struct world w;
    struct chain c;

    world_open(&w);
    dir = folder_in(&w, "c");
    assert_int_equal(identity_found(dir, "lab", "first", noon, &other, NULL), 0);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    c = certify(other, w.node, "second", ROLE_WORKER);
    expect(identity_adopt(w.node, identity_root(other), &c, noon, &w.why), -EXDEV,
           &w.why, "this node is of another mesh already");
    c = certify(w.founder, w.founder, "first", ROLE_WORKER);
    expect(identity_adopt(w.node, identity_root(w.founder), &c, noon, &w.why),
           -EKEYREJECTED, &w.why, "the certificate is for another node");
    world_close(&w);
}

/* ---- the keyring ---- */

static void test_keyring(void **state UNUSED)
{
    struct keyring *ring;
    struct node_id id;
    struct world w;
    struct chain c, newer;

    world_open(&w);
    ring = identity_keyring(w.founder);
    id = identity_node(w.node);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_null(keyring_find(ring, &id));
    assert_int_equal(keyring_add(ring, &c, noon, NULL), 0);
    assert_non_null(keyring_find(ring, &id));
    assert_non_null(keyring_find_curve(ring, identity_curve_key(w.node)));
    newer = c;
    newer.leaf.serial ^= 1; /* not signed */
    assert_int_equal(keyring_add(ring, &newer, noon, NULL), -EKEYREJECTED);
    assert_int_equal(keyring_find(ring, &id)->leaf.serial, c.leaf.serial);
    assert_int_equal(keyring_count(ring), 1);
    world_close(&w);
}

/* Two nodes cannot have one CURVE key: messages would be of both. */
static void test_a_stolen_curve_key(void **state UNUSED)
{
    struct certificate thief = { .roles = ROLE_WORKER,
                                 .name = "thief",
                                 .node_key = { 1 } };
    struct world w;
    struct chain c;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(keyring_add(identity_keyring(w.founder), &c, noon, NULL), 0);
    memcpy(thief.curve_key, identity_curve_key(w.node), CURVE_KEY_SIZE);
    assert_int_equal(identity_issue(w.founder, &thief, noon, &c, NULL), 0);
    expect(keyring_add(identity_keyring(w.founder), &c, noon, &w.why), -EKEYREJECTED,
           &w.why, "the certificate of 'thief' has a key that is another node's");
    world_close(&w);
}

/* ---- tokens ---- */

static const struct join_contact contact = { .address = "127.0.0.1:8370",
                                             .curve_key = { 3 } };

/* What the mesh keeps of the last token. */
static struct invitation kept;

static struct join_token invite(struct identity *i, uint32_t roles, uint32_t uses)
{
    const struct invite wanted = { .roles = roles,
                                   .uses = uses,
                                   .expires_in_s = 3600,
                                   .contacts = &contact,
                                   .n_contacts = 1 };
    struct error why = { .text = "" };
    struct join_token token;

    invitation_release(&kept);
    if (identity_invite(i, &wanted, noon, &token, &kept, &why) < 0)
        fail_msg("%s", why.text);
    return token;
}

static void test_token_text(void **state UNUSED)
{
    char text[JOIN_TOKEN_TEXT_SIZE], changed[JOIN_TOKEN_TEXT_SIZE + 4];
    struct join_token token, back;
    struct world w;

    world_open(&w);
    token = invite(w.founder, ROLE_WORKER, 1);
    join_token_text(&token, text);
    assert_int_equal(strncmp(text, "mesh1-", 6), 0);
    snprintf(changed, sizeof(changed), " %s\n", text);
    assert_int_equal(join_token_parse(changed, &back, &w.why), 0);
    assert_memory_equal(back.seed, token.seed, sizeof(token.seed));
    assert_int_equal(back.expires, token.expires);
    assert_string_equal(back.contacts[0].address, contact.address);

    for (size_t i = 6; text[i]; i++) {
        strcpy(changed, text);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(join_token_parse(changed, &back, &w.why), -EINVAL);
        strcpy(changed, text);
        changed[i] = '\0';
        expect(join_token_parse(changed, &back, &w.why), -EINVAL, &w.why,
               "the token is damaged: a part of it is missing or was changed");
    }
    expect(join_token_parse("hello", &back, &w.why), -EINVAL, &w.why,
           "this is no token to join a mesh by: it begins with mesh1-");
    snprintf(changed, sizeof(changed),
             "the token is of another version of mesh than this, %s", mesh_version());
    expect(join_token_parse("mesh2-AAAA", &back, &w.why), -EINVAL, &w.why, changed);
    world_close(&w);
}

static void test_contact_text(void **state UNUSED)
{
    static const char *const bad[] = {
        "",        "host",     "host:0/AAAA", "host:1/AAAA", "host:65536/A",
        "::1:5/A", "h st:1/A", ":1/A"
    };
    char text[CONTACT_TEXT_SIZE];
    struct join_contact c;

    join_contact_text(&contact, text);
    assert_string_equal(text,
                        "127.0.0.1:8370/AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(join_contact_parse(text, &c, NULL), 0);
    assert_memory_equal(&c, &contact, sizeof(c));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(join_contact_parse(bad[i], &c, NULL), -EINVAL);
}

/* What the node asks and the issuer decides, with one thing changed between. */
struct asking {
    struct join_token token;
    struct buffer proof;
    struct join_message m;
};

static void ask(struct world *w, struct asking *a)
{
    buffer_release(&a->proof);
    if (join_ask(w->node, &a->token, "second", "rack-1", &a->proof, &a->m, &w->why) < 0)
        fail_msg("%s", w->why.text);
}

static int decide(struct world *w, const struct asking *a, time_us wall)
{
    struct chain chain;

    w->why.text[0] = '\0';
    return join_decide(w->founder, &a->m, identity_curve_key(w->node), wall, &kept,
                       &chain, &w->why);
}

static void test_joining(void **state UNUSED)
{
    struct asking a = { .proof = BUFFER_INIT };
    struct chain chain;
    struct world w;

    world_open(&w);
    a.token = invite(w.founder, ROLE_WORKER | ROLE_HOME, 1);
    ask(&w, &a);
    assert_int_equal(join_decide(w.founder, &a.m, identity_curve_key(w.node), noon,
                                 &kept, &chain, &w.why),
                     0);
    assert_string_equal(chain.leaf.name, "second");
    assert_string_equal(chain.leaf.zone, "rack-1");
    assert_int_equal(chain.leaf.roles, ROLE_WORKER | ROLE_HOME);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &chain, noon,
                                    NULL),
                     0);
    assert_int_equal(decide(&w, &a, noon), 0); /* the answer was lost: again */
    buffer_release(&a.proof);
    world_close(&w);
}

static void test_refusals(void **state UNUSED)
{
    struct asking a = { .proof = BUFFER_INIT };
    struct join_token good;
    struct world w;

    world_open(&w);
    good = a.token = invite(w.founder, ROLE_WORKER, 1);
    ask(&w, &a);
    expect(decide(&w, &a, noon + TIME_S(3600)), -EKEYEXPIRED, &w.why,
           "the token has expired; make another one: mesh invite");

    a.token.seed[0] ^= 1;
    ask(&w, &a);
    expect(decide(&w, &a, noon), -EKEYREJECTED, &w.why, "the token is forged");

    a.token = good;
    a.token.roles = ROLE_WORKER | ROLE_ISSUER; /* more than was granted */
    ask(&w, &a);
    expect(decide(&w, &a, noon), -EACCES, &w.why,
           "the token does not grant these roles");

    a.token = good;
    a.token.invitation[0] ^= 1;
    ask(&w, &a);
    assert_int_equal(decide(&w, &a, noon), -ENOENT);

    a.token = good;
    a.token.root.mesh[0] ^= 1;
    ask(&w, &a);
    expect(decide(&w, &a, noon), -EXDEV, &w.why, "the token is of another mesh");

    a.token = good; /* what was heard on one connection, on another one */
    ask(&w, &a);
    {
        struct chain chain;

        expect(join_decide(w.founder, &a.m, identity_curve_key(w.founder), noon, &kept,
                           &chain, &w.why),
               -EKEYREJECTED, &w.why, "the keys are not those of the node that asks");
        memcpy(a.m.node_key, identity_node_key(w.founder), NODE_KEY_SIZE);
        assert_int_equal(decide(&w, &a, noon), -EKEYREJECTED);
        memcpy(a.m.node_key, identity_node_key(w.node), NODE_KEY_SIZE);
        a.m.name = (char *)"other";
        assert_int_equal(decide(&w, &a, noon), -EKEYREJECTED);
        a.m.proof_len--;
        assert_int_equal(decide(&w, &a, noon), -EBADMSG);
    }
    ask(&w, &a); /* and none of it used it up */
    assert_int_equal(decide(&w, &a, noon), 0);
    buffer_release(&a.proof);
    world_close(&w);
}

static void test_used_up(void **state UNUSED)
{
    CLEANUP(freep) char *dir = NULL;
    struct asking a = { .proof = BUFFER_INIT };
    struct world w;

    world_open(&w);
    a.token = invite(w.founder, ROLE_WORKER, 1);
    ask(&w, &a);
    assert_int_equal(decide(&w, &a, noon), 0);

    identity_free(w.node); /* another node */
    dir = folder_in(&w, "c");
    assert_int_equal(identity_create(dir, &w.node, NULL), 0);
    ask(&w, &a);
    expect(decide(&w, &a, noon), -EDQUOT, &w.why,
           "the token was used already; make another one: mesh invite");
    buffer_release(&a.proof);
    world_close(&w);
}

/* An invitation lies where every member may write. */
static void test_forged_invitations(void **state UNUSED)
{
    struct asking a = { .proof = BUFFER_INIT };
    struct invitation good;
    struct node_id node;
    struct world w;
    struct chain c;

    world_open(&w);
    a.token = invite(w.founder, ROLE_WORKER, 2);
    good = kept;
    kept.uses = 3;
    ask(&w, &a);
    expect(decide(&w, &a, noon), -EKEYREJECTED, &w.why, "the invitation is forged");
    kept = good;
    kept.roles |= ROLE_HOME;
    assert_int_equal(decide(&w, &a, noon), -EKEYREJECTED);
    kept = good;
    kept.signer[0] ^= 1;
    assert_int_equal(decide(&w, &a, noon), -EKEYREJECTED);

    /* An issuer's: it makes no issuers, and falls with who made it. */
    c = certify(w.founder, w.node, "second", ROLE_WORKER | ROLE_ISSUER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    a.token = invite(w.node, ROLE_WORKER, 2);
    ask(&w, &a);
    assert_int_equal(decide(&w, &a, noon), 0);
    good = kept;
    kept.roles |= ROLE_ISSUER;
    expect(decide(&w, &a, noon), -EKEYREJECTED, &w.why,
           "the invitation is from 'second', who may not");
    kept = good;
    node = identity_node(w.node);
    assert_int_equal(identity_revoke(w.founder, &node, noon, NULL), 0);
    assert_int_equal(decide(&w, &a, noon), -EKEYREVOKED);
    buffer_release(&a.proof);
    world_close(&w);
}

static void test_bad_invitations(void **state UNUSED)
{
    struct invite wanted = { .roles = ROLE_WORKER,
                             .uses = 1,
                             .expires_in_s = 60,
                             .contacts = &contact,
                             .n_contacts = 1 };
    struct join_token token;
    struct chain c;
    struct world w;

    world_open(&w);
    wanted.uses = 0;
    assert_int_equal(identity_invite(w.founder, &wanted, noon, &token, &kept,
                                     &w.why),
                     -EINVAL);
    wanted.uses = 1;
    wanted.roles = 8;
    assert_int_equal(identity_invite(w.founder, &wanted, noon, &token, &kept,
                                     &w.why),
                     -EINVAL);
    wanted.roles = ROLE_ISSUER;
    wanted.expires_in_s = INVITE_EXPIRES_MAX_S + 1;
    assert_int_equal(identity_invite(w.founder, &wanted, noon, &token, &kept,
                                     &w.why),
                     -EINVAL);
    wanted.expires_in_s = 60;

    c = certify(w.founder, w.node, "issuer", ROLE_ISSUER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    expect(identity_invite(w.node, &wanted, noon, &token, &kept,
                                     &w.why), -EACCES, &w.why,
           "only the node where mesh init ran invites issuers");
    wanted.roles = ROLE_WORKER;
    assert_int_equal(identity_invite(w.node, &wanted, noon, &token, &kept,
                                     &w.why), 0);
    world_close(&w);
}

static void test_renewing(void **state UNUSED)
{
    const time_us later = noon + CERTIFICATE_LIFE / 4 * 3;
    struct asking a = { .proof = BUFFER_INIT };
    struct node_id id;
    struct world w;
    struct chain c, d;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    assert_int_equal(join_renew(w.node, &a.proof, &a.m), 0);
    assert_int_equal(join_decide(w.founder, &a.m, identity_curve_key(w.node), later,
                                 NULL, &d, &w.why),
                     0);
    assert_int_equal(d.leaf.not_before, later);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &d, later, NULL),
                     0);
    a.m.roles |= ROLE_ISSUER;
    assert_int_equal(decide(&w, &a, later), -EKEYREJECTED);
    a.m.roles = ROLE_WORKER;
    expect(decide(&w, &a, noon + CERTIFICATE_LIFE + CERTIFICATE_SKEW + 1), -EKEYEXPIRED,
           &w.why, "the certificate of 'second' has expired");
    id = identity_node(w.node);
    assert_int_equal(identity_revoke(w.founder, &id, later, NULL), 0);
    expect(decide(&w, &a, later), -EKEYREVOKED, &w.why,
           "the certificate of 'second' was revoked");
    buffer_release(&a.proof);
    world_close(&w);
}

/* ---- revocations ---- */

static void test_revoking(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *again = NULL;
    CLEANUP(freep) char *dir = NULL;
    struct asking a = { .proof = BUFFER_INIT };
    struct node_id id, self;
    struct world w;
    struct chain c;

    world_open(&w);
    id = identity_node(w.node);
    self = identity_node(w.founder);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(keyring_add(identity_keyring(w.founder), &c, noon, NULL), 0);
    assert_int_equal(identity_revoke(w.founder, &id, noon, NULL), 0);
    assert_null(keyring_find(identity_keyring(w.founder), &id));
    expect(keyring_add(identity_keyring(w.founder), &c, noon, &w.why), -EKEYREVOKED,
           &w.why, "the certificate of 'second' was revoked");
    expect(identity_revoke(w.founder, &id, noon, &w.why), -EEXIST, &w.why,
           "the node is revoked already");
    expect(identity_revoke(w.founder, &self, noon, &w.why), -EINVAL, &w.why,
           "a node cannot revoke itself");

    a.token = invite(w.founder, ROLE_WORKER, 1); /* nor does a token help it */
    ask(&w, &a);
    assert_int_equal(decide(&w, &a, noon), -EKEYREVOKED);

    dir = path_in(&w, "a");
    assert_int_equal(identity_open(dir, noon, &again, NULL), 0);
    assert_int_equal(keyring_add(identity_keyring(again), &c, noon, NULL),
                     -EKEYREVOKED);
    buffer_release(&a.proof);
    world_close(&w);
}

static void count(void *arg, const struct node_id *node UNUSED)
{
    ++*(unsigned *)arg;
}

static void test_revocations_travel(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    const struct node_id lost = { { 5 } }, other = { { 6 } };
    unsigned n_new = 0;
    struct world w;
    struct chain c;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    assert_int_equal(identity_revoke(w.founder, &lost, noon, NULL), 0);
    assert_int_equal(identity_revoke(w.founder, &other, noon, NULL), 0);
    assert_int_equal(revocations_encode(keyring_revocations(
                                            identity_keyring(w.founder)),
                                        0, 1 << 20, &bytes),
                     2);
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(identity_learn_revocations(w.node, bytes.data, bytes.len, noon,
                                                    count, &n_new),
                         0);
    assert_int_equal(n_new, 2);
    assert_true(revocations_has(keyring_revocations(identity_keyring(w.node)), &lost));
    assert_int_equal(identity_learn_revocations(w.node, bytes.data, bytes.len - 1, noon,
                                                count, &n_new),
                     -EBADMSG);
    world_close(&w);
}

static void test_forged_revocations(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    const struct node_id lost = { { 5 } };
    struct world w;
    unsigned n_new = 0;
    struct chain c;

    world_open(&w);
    c = certify(w.founder, w.node, "second", ROLE_WORKER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    assert_int_equal(identity_revoke(w.node, &lost, noon, &w.why), -EACCES);
    assert_int_equal(identity_revoke(w.founder, &lost, noon, NULL), 0);
    revocations_encode(keyring_revocations(identity_keyring(w.founder)), 0, 1 << 20,
                       &bytes);
    for (size_t i = 2; i < bytes.len; i++) {
        bytes.data[i] = (char)(bytes.data[i] ^ 0x10);
        identity_learn_revocations(w.node, bytes.data, bytes.len, noon, count, &n_new);
        bytes.data[i] = (char)(bytes.data[i] ^ 0x10);
    }
    identity_learn_revocations(w.node, bytes.data, bytes.len,
                               noon - CERTIFICATE_SKEW - 1, count, &n_new);
    assert_int_equal(n_new, 0);
    world_close(&w);
}

/* With an issuer falls what it signed, but not whom it shut out. */
static void test_revoked_issuer(void **state UNUSED)
{
    CLEANUP(identity_freep) struct identity *third = NULL;
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    CLEANUP(freep) char *dir = NULL;
    const struct node_id lost = { { 5 } };
    struct node_id issuer;
    unsigned n_new = 0;
    struct chain c, d;
    struct world w;

    world_open(&w);
    dir = folder_in(&w, "c");
    assert_int_equal(identity_create(dir, &third, NULL), 0);
    issuer = identity_node(w.node);
    c = certify(w.founder, w.node, "issuer", ROLE_ISSUER);
    assert_int_equal(identity_adopt(w.node, identity_root(w.founder), &c, noon, NULL),
                     0);
    d = certify(w.node, third, "third", ROLE_WORKER);
    assert_int_equal(identity_revoke(w.node, &lost, noon, NULL), 0);
    revocations_encode(keyring_revocations(identity_keyring(w.node)), 0, 1 << 20,
                       &bytes);

    assert_int_equal(keyring_add(identity_keyring(w.founder), &d, noon, NULL), 0);
    assert_int_equal(identity_revoke(w.founder, &issuer, noon, NULL), 0);
    assert_int_equal(keyring_count(identity_keyring(w.founder)), 0);
    assert_int_equal(keyring_add(identity_keyring(w.founder), &d, noon, NULL),
                     -EKEYREVOKED);
    assert_int_equal(identity_learn_revocations(w.founder, bytes.data, bytes.len, noon,
                                                count, &n_new),
                     0);
    assert_int_equal(n_new, 1);
    world_close(&w);
}

static void test_signatures(void **state UNUSED)
{
    uint8_t signature[SIGNATURE_SIZE];
    struct world w;

    world_open(&w);
    identity_sign(w.node, "attempt", 7, signature);
    assert_true(signature_is_good(identity_node_key(w.node), "attempt", 7, signature));
    assert_false(signature_is_good(identity_node_key(w.node), "attempu", 7, signature));
    assert_false(
        signature_is_good(identity_node_key(w.founder), "attempt", 7, signature));
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_founding),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_readable_keys),
        cmocka_unit_test(test_no_identity),
        cmocka_unit_test(test_boots_count_up),
        cmocka_unit_test(test_contacts),
        cmocka_unit_test(test_a_good_chain),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_another_mesh),
        cmocka_unit_test(test_every_bit_is_signed),
        cmocka_unit_test(test_issuers),
        cmocka_unit_test(test_a_wicked_issuer),
        cmocka_unit_test(test_adopting_another_mesh),
        cmocka_unit_test(test_keyring),
        cmocka_unit_test(test_a_stolen_curve_key),
        cmocka_unit_test(test_token_text),
        cmocka_unit_test(test_contact_text),
        cmocka_unit_test(test_joining),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_used_up),
        cmocka_unit_test(test_forged_invitations),
        cmocka_unit_test(test_bad_invitations),
        cmocka_unit_test(test_renewing),
        cmocka_unit_test(test_revoking),
        cmocka_unit_test(test_revocations_travel),
        cmocka_unit_test(test_forged_revocations),
        cmocka_unit_test(test_revoked_issuer),
        cmocka_unit_test(test_signatures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
