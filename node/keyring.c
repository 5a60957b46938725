/* SPDX-License-Identifier: Apache-2.0 */
#include "node/keyring.h"

#include <errno.h>
#include <uthash.h>

struct entry {
    struct node_id id;
    struct chain chain;
    UT_hash_handle by_id, by_curve; /* by_curve: chain.leaf.curve_key */
};

struct keyring {
    struct mesh_root root;
    struct revocations revocations;
    struct entry *ids, *curves;
};

struct keyring *keyring_new(const struct mesh_root *root)
{
    struct keyring *k = calloc(1, sizeof(*k));

    if (k)
        k->root = *root;
    return k;
}

static void drop(struct keyring *k, struct entry *e)
{
    HASH_DELETE(by_id, k->ids, e);
    HASH_DELETE(by_curve, k->curves, e);
    free(e);
}

void keyring_free(struct keyring *k)
{
    struct entry *e, *next;

    if (!k)
        return;
    HASH_ITER (by_id, k->ids, e, next) {
        drop(k, e);
    }
    revocations_release(&k->revocations);
    free(k);
}

const struct mesh_root *keyring_root(const struct keyring *k)
{
    return &k->root;
}

const struct revocations *keyring_revocations(const struct keyring *k)
{
    return &k->revocations;
}

size_t keyring_count(const struct keyring *k)
{
    return HASH_CNT(by_id, k->ids);
}

static struct entry *find_id(const struct keyring *k, const struct node_id *id)
{
    struct entry *e;

    HASH_FIND(by_id, k->ids, id->bytes, sizeof(id->bytes), e);
    return e;
}

static struct entry *find_curve(const struct keyring *k, const uint8_t *curve_key)
{
    struct entry *e;

    HASH_FIND(by_curve, k->curves, curve_key, CURVE_KEY_SIZE, e);
    return e;
}

const struct chain *keyring_find(const struct keyring *k, const struct node_id *node)
{
    const struct entry *e = find_id(k, node);

    return e ? &e->chain : NULL;
}

const struct chain *keyring_find_curve(const struct keyring *k,
                                       const uint8_t curve_key[CURVE_KEY_SIZE])
{
    const struct entry *e = find_curve(k, curve_key);

    return e ? &e->chain : NULL;
}

bool keyring_is_revoked(const struct keyring *k, const struct chain *c)
{
    struct node_id node = node_id_of_key(c->leaf.node_key);
    struct node_id issuer;

    if (revocations_has(&k->revocations, &node))
        return true;
    if (!c->has_issuer)
        return false;
    issuer = node_id_of_key(c->issuer.node_key);
    return revocations_has(&k->revocations, &issuer);
}

static void drop_expired(struct keyring *k, time_us wall)
{
    struct entry *e, *next;

    HASH_ITER (by_id, k->ids, e, next) {
        if (wall > e->chain.leaf.not_after + CERTIFICATE_SKEW)
            drop(k, e);
    }
}

static int insert(struct keyring *k, const struct node_id *id, const struct chain *c)
{
    struct entry *e = calloc(1, sizeof(*e));

    if (!e)
        return -ENOMEM;
    e->id = *id;
    e->chain = *c;
    HASH_ADD(by_id, k->ids, id.bytes, sizeof(e->id.bytes), e);
    HASH_ADD(by_curve, k->curves, chain.leaf.curve_key, CURVE_KEY_SIZE, e);
    return 0;
}

int keyring_add(struct keyring *k, const struct chain *c, time_us wall,
                struct error *ret_error)
{
    struct node_id id = node_id_of_key(c->leaf.node_key);
    struct entry *known, *other;
    int r = chain_verify(c, &k->root, wall, ret_error);

    if (r < 0)
        return r;
    if (keyring_is_revoked(k, c))
        return fail(ret_error, -EKEYREVOKED, "the certificate of '%s' was revoked",
                    c->leaf.name);
    known = find_id(k, &id);
    if (known && known->chain.leaf.not_before >= c->leaf.not_before)
        return 0;
    other = find_curve(k, c->leaf.curve_key);
    if (other && other != known)
        return fail(ret_error, -EKEYREJECTED,
                    "the certificate of '%s' has a key that is another node's",
                    c->leaf.name);
    if (known)
        drop(k, known);
    else if (keyring_count(k) >= KEYRING_MAX)
        drop_expired(k, wall);
    return keyring_count(k) < KEYRING_MAX ? insert(k, &id, c) : -ENOSPC;
}

int keyring_revoke(struct keyring *k, const struct revocation *r, time_us wall,
                   struct error *ret_error)
{
    struct entry *e, *next;
    int error;

    if (revocations_has(&k->revocations, &r->node))
        return -EEXIST;
    error = revocation_verify(r, &k->root, wall, ret_error);
    if (error == 0)
        error = revocations_add(&k->revocations, r);
    if (error < 0)
        return error;
    HASH_ITER (by_id, k->ids, e, next) {
        if (keyring_is_revoked(k, &e->chain))
            drop(k, e);
    }
    return 0;
}
