/* SPDX-License-Identifier: Apache-2.0 */
#include "node/attestation.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "proto/statement.h"

enum { TAG_LEAF, TAG_NODE, TAG_RESULT, SIGNATURE_FRONT = 1 + SIGNATURE_SIZE };

static_assert(ATTEMPT_SIGNATURE_MAX == SIGNATURE_FRONT + ATTESTED_DEPTH * DIGEST_SIZE,
              "a record has room for the longest way");

static const char context[] = "mesh attempts 1\n";

/* ---- hashes ---- */

static struct digest hash_of(const void *data, size_t len)
{
    struct digest d;

    crypto_generichash(d.bytes, sizeof(d.bytes), data, len, NULL, 0);
    return d;
}

static struct digest hash_pair(const struct digest *left, const struct digest *right)
{
    uint8_t bytes[1 + 2 * DIGEST_SIZE] = { TAG_NODE };

    memcpy(bytes + 1, left->bytes, DIGEST_SIZE);
    memcpy(bytes + 1 + DIGEST_SIZE, right->bytes, DIGEST_SIZE);
    return hash_of(bytes, sizeof(bytes));
}

static int hash_result(const struct attempt_record *r, struct digest *ret)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    buffer_putc(&bytes, TAG_RESULT);
    if (attempt_result(r, &bytes) < 0)
        return -ENOMEM;
    *ret = hash_of(bytes.data, bytes.len);
    return 0;
}

static int hash_leaf(const struct attempt_record *r, const struct digest *said,
                     struct digest *ret)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    buffer_putc(&bytes, TAG_LEAF);
    attempt_statement(r, &bytes);
    if (buffer_append(&bytes, said->bytes, DIGEST_SIZE) < 0)
        return -ENOMEM;
    *ret = hash_of(bytes.data, bytes.len);
    return 0;
}

struct signed_text {
    char context[sizeof(context) - 1];
    uint8_t root[DIGEST_SIZE];
};

static struct signed_text text_of(const struct digest *root)
{
    struct signed_text t;

    memcpy(t.context, context, sizeof(t.context));
    memcpy(t.root, root->bytes, DIGEST_SIZE);
    return t;
}

/* ---- signing ---- */

/* Node i has its children at 2i and 2i + 1, the root is node 1. */
struct tree {
    struct digest nodes[2 * ATTESTED_MAX];
    size_t depth;
};

static void tree_close(struct tree *t)
{
    for (size_t i = ((size_t)1 << t->depth) - 1; i > 0; i--)
        t->nodes[i] = hash_pair(&t->nodes[2 * i], &t->nodes[2 * i + 1]);
}

static void put_signature(const struct tree *t, size_t index,
                          const uint8_t signature[SIGNATURE_SIZE],
                          struct attempt_record *r)
{
    uint8_t *at = r->signature;

    *at++ = (uint8_t)index;
    memcpy(at, signature, SIGNATURE_SIZE);
    at += SIGNATURE_SIZE;
    for (size_t i = ((size_t)1 << t->depth) + index; i > 1; i /= 2) {
        memcpy(at, t->nodes[i ^ 1].bytes, DIGEST_SIZE);
        at += DIGEST_SIZE;
    }
    r->signature_len = (size_t)(at - r->signature);
    r->is_judged = false;
}

int attestation_sign(const struct identity *i, struct attempt_record *const *records,
                     size_t n)
{
    struct tree t = { .depth = 0 };
    struct digest said[ATTESTED_MAX];
    uint8_t signature[SIGNATURE_SIZE];
    struct signed_text text;

    assert(n >= 1 && n <= ATTESTED_MAX);
    while ((size_t)1 << t.depth < n)
        t.depth++;
    for (size_t k = 0; k < n; k++)
        if (hash_result(records[k], &said[k]) < 0
            || hash_leaf(records[k], &said[k], &t.nodes[((size_t)1 << t.depth) + k])
                   < 0)
            return -ENOMEM;
    tree_close(&t);
    text = text_of(&t.nodes[1]);
    identity_sign(i, &text, sizeof(text), signature);
    for (size_t k = 0; k < n; k++) {
        records[k]->said = said[k];
        put_signature(&t, k, signature, records[k]);
    }
    return 0;
}

/* ---- checking ---- */

static int find_root(const struct attempt_record *r, const struct digest *leaf,
                     struct digest *ret)
{
    size_t index = r->signature[0], way;

    if (r->signature_len < SIGNATURE_FRONT)
        return -EKEYREJECTED;
    way = r->signature_len - SIGNATURE_FRONT;
    if (way % DIGEST_SIZE || index >> (way / DIGEST_SIZE))
        return -EKEYREJECTED;
    *ret = *leaf;
    for (size_t at = SIGNATURE_FRONT; at < r->signature_len; at += DIGEST_SIZE) {
        struct digest neighbour;

        memcpy(neighbour.bytes, r->signature + at, DIGEST_SIZE);
        *ret = index & 1 ? hash_pair(&neighbour, ret) : hash_pair(ret, &neighbour);
        index >>= 1;
    }
    return 0;
}

static bool is_known(const struct attestation_memory *m,
                     const uint8_t node_key[NODE_KEY_SIZE], const struct digest *root,
                     const uint8_t *signature)
{
    for (size_t i = 0; i < ARRAY_SIZE(m->good); i++)
        if (m->good[i].is_used
            && memcmp(m->good[i].signature, signature, SIGNATURE_SIZE) == 0
            && memcmp(m->good[i].root, root->bytes, DIGEST_SIZE) == 0
            && memcmp(m->good[i].node_key, node_key, NODE_KEY_SIZE) == 0)
            return true;
    return false;
}

static void learn(struct attestation_memory *m, const uint8_t node_key[NODE_KEY_SIZE],
                  const struct digest *root, const uint8_t *signature)
{
    size_t i = m->next++ % ARRAY_SIZE(m->good);

    memcpy(m->good[i].node_key, node_key, NODE_KEY_SIZE);
    memcpy(m->good[i].root, root->bytes, DIGEST_SIZE);
    memcpy(m->good[i].signature, signature, SIGNATURE_SIZE);
    m->good[i].is_used = true;
}

static int check_root(const uint8_t node_key[NODE_KEY_SIZE], const struct digest *root,
                      const uint8_t *signature, struct attestation_memory *memory)
{
    struct signed_text text = text_of(root);

    if (memory && is_known(memory, node_key, root, signature))
        return 0;
    if (!signature_is_good(node_key, &text, sizeof(text), signature))
        return -EKEYREJECTED;
    if (memory)
        learn(memory, node_key, root, signature);
    return 0;
}

int attestation_check(const uint8_t node_key[NODE_KEY_SIZE], struct attempt_record *r,
                      struct attestation_memory *memory)
{
    struct node_id node = node_id_of_key(node_key);
    struct digest said = r->said, leaf, root;
    int error = r->signature_len ? 0 : -ENOKEY;

    if (error == 0
        && (!node_id_equal(&node, &r->node)
            || (r->is_judged && r->reason == REASON_OK)))
        error = -EKEYREJECTED;
    if (error == 0 && !r->is_judged)
        error = hash_result(r, &said);
    if (error == 0)
        error = hash_leaf(r, &said, &leaf);
    if (error == 0)
        error = find_root(r, &leaf, &root);
    if (error == 0)
        error = check_root(node_key, &root, r->signature + 1, memory);
    if (error == 0)
        r->said = said;
    return error;
}
