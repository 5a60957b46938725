/* SPDX-License-Identifier: Apache-2.0 */
#include "node/join.h"

#include <errno.h>
#include <sodium.h>

#include "node/octets.h"

enum join_kind { JOIN_TOKEN = 1, JOIN_RENEWAL = 2 };

static const char context[] = "mesh join 1\n";

static int signed_bytes(enum join_kind kind, const struct join_message *m,
                        const char *zone, struct buffer *out)
{
    buffer_puts(out, context);
    octets_put_number(out, kind, 1);
    buffer_append(out, m->mesh, sizeof(m->mesh));
    buffer_append(out, m->node_key, sizeof(m->node_key));
    buffer_append(out, m->curve_key, sizeof(m->curve_key));
    octets_put_number(out, m->roles, 4);
    octets_put_text(out, m->name);
    octets_put_text(out, zone);
    return buffer_failed(out);
}

/* ---- asking ---- */

static void put_node_signature(const struct identity *i, const struct buffer *bytes,
                               struct buffer *proof)
{
    uint8_t signature[SIGNATURE_SIZE];

    identity_sign(i, bytes->data, bytes->len, signature);
    buffer_append(proof, signature, sizeof(signature));
}

static void put_token_signature(const struct join_token *token,
                                const struct buffer *bytes, struct buffer *proof)
{
    uint8_t key[NODE_KEY_SIZE], secret[NODE_SECRET_SIZE], signature[SIGNATURE_SIZE];

    crypto_sign_seed_keypair(key, secret, token->seed);
    crypto_sign_detached(signature, NULL, (const uint8_t *)bytes->data, bytes->len,
                         secret);
    sodium_memzero(secret, sizeof(secret));
    buffer_append(proof, signature, sizeof(signature));
}

static struct join_message message_of(const struct identity *i,
                                      const struct mesh_root *root, const char *name,
                                      uint32_t roles)
{
    struct join_message m = { .name = (char *)name, .roles = roles };

    memcpy(m.mesh, root->mesh, sizeof(m.mesh));
    memcpy(m.node_key, identity_node_key(i), sizeof(m.node_key));
    memcpy(m.curve_key, identity_curve_key(i), sizeof(m.curve_key));
    return m;
}

static int finish(const struct buffer *proof, struct join_message *m,
                  struct join_message *ret)
{
    if (buffer_failed(proof))
        return buffer_failed(proof);
    m->proof = (uint8_t *)proof->data;
    m->proof_len = proof->len;
    *ret = *m;
    return 0;
}

int join_ask(const struct identity *i, const struct join_token *token, const char *name,
             const char *zone, struct buffer *proof, struct join_message *ret,
             struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct join_message m = message_of(i, &token->root, name, token->roles);

    if (!certificate_name_is_good(name) || (*zone && !certificate_name_is_good(zone)))
        return fail(ret_error, -EINVAL,
                    "a name has 1 to %d letters, digits and . _ -, not '%.80s'",
                    MEMBER_NAME_MAX, certificate_name_is_good(name) ? zone : name);
    if (signed_bytes(JOIN_TOKEN, &m, zone, &bytes) < 0)
        return -ENOMEM;
    octets_put_number(proof, JOIN_TOKEN, 1);
    octets_put_text(proof, zone);
    buffer_append(proof, token->invitation, INVITATION_ID_SIZE);
    put_token_signature(token, &bytes, proof);
    put_node_signature(i, &bytes, proof);
    return finish(proof, &m, ret);
}

int join_renew(const struct identity *i, struct buffer *proof, struct join_message *ret)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    const struct chain *chain = identity_chain(i);
    struct join_message m =
        message_of(i, identity_root(i), chain->leaf.name, chain->leaf.roles);

    if (signed_bytes(JOIN_RENEWAL, &m, chain->leaf.zone, &bytes) < 0)
        return -ENOMEM;
    octets_put_number(proof, JOIN_RENEWAL, 1);
    octets_put_text(proof, chain->leaf.zone);
    put_node_signature(i, &bytes, proof);
    chain_encode(chain, proof);
    return finish(proof, &m, ret);
}

/* ---- deciding ---- */

struct proof {
    enum join_kind kind;
    char zone[MEMBER_NAME_MAX + 1];
    const uint8_t *invitation, *token_signature, *node_signature;
    struct chain chain;
};

static int read_proof(const struct join_message *m, struct proof *ret)
{
    struct octets o = octets_of(m->proof, m->proof_len);

    *ret = (struct proof){ .kind = (enum join_kind)octets_number(&o, 1) };
    octets_text(&o, ret->zone, sizeof(ret->zone));
    if (ret->kind == JOIN_TOKEN) {
        ret->invitation = octets_take(&o, INVITATION_ID_SIZE);
        ret->token_signature = octets_take(&o, SIGNATURE_SIZE);
        ret->node_signature = octets_take(&o, SIGNATURE_SIZE);
        return octets_is_whole(&o) ? 0 : -EBADMSG;
    }
    ret->node_signature = octets_take(&o, SIGNATURE_SIZE);
    if (o.is_bad || ret->kind != JOIN_RENEWAL)
        return -EBADMSG;
    return chain_decode(o.at, o.left, &ret->chain);
}

/* Who may be let in by what it shows. */
static int check_renewal(struct identity *i, const struct join_message *m,
                         const struct proof *p, time_us wall, struct error *ret_error)
{
    const struct certificate *c = &p->chain.leaf;
    int r = chain_verify(&p->chain, identity_root(i), wall, ret_error);

    if (r < 0)
        return r;
    if (keyring_is_revoked(identity_keyring(i), &p->chain))
        return fail(ret_error, -EKEYREVOKED, "the certificate of '%s' was revoked",
                    c->name);
    if (memcmp(c->node_key, m->node_key, NODE_KEY_SIZE) != 0 || c->roles != m->roles
        || strcmp(c->name, m->name) != 0 || strcmp(c->zone, p->zone) != 0)
        return fail(ret_error, -EKEYREJECTED,
                    "a certificate is renewed as it is; for another, join again");
    return 0;
}

static int check_token(struct identity *i, const struct join_message *m,
                       const struct proof *p, const struct buffer *bytes, time_us wall,
                       struct invitation *invitation, struct error *ret_error)
{
    const struct redemption redemption = { .signature = p->token_signature,
                                           .data = bytes->data,
                                           .len = bytes->len,
                                           .node = node_id_of_key(m->node_key),
                                           .roles = m->roles };
    int r;

    if (revocations_has(keyring_revocations(identity_keyring(i)), &redemption.node))
        return fail(ret_error, -EKEYREVOKED,
                    "this node was revoked; it can join only with new keys");
    if (!invitation || memcmp(invitation->id, p->invitation, INVITATION_ID_SIZE) != 0)
        return fail(ret_error, -ENOENT,
                    "nobody knows the token: it is over for long, or of before the "
                    "mesh counted them");
    r = identity_redeem(i, invitation, &redemption, wall, ret_error);
    return r == -EALREADY ? 0 : r;
}

static int check(struct identity *i, const struct join_message *m,
                 const struct proof *p, const uint8_t *connection, time_us wall,
                 struct invitation *invitation, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    if (memcmp(m->mesh, identity_root(i)->mesh, MESH_ID_SIZE) != 0)
        return fail(ret_error, -EXDEV, "the token is of another mesh");
    if (signed_bytes(p->kind, m, p->zone, &bytes) < 0)
        return -ENOMEM;
    if (memcmp(m->curve_key, connection, CURVE_KEY_SIZE) != 0
        || !signature_is_good(m->node_key, bytes.data, bytes.len, p->node_signature))
        return fail(ret_error, -EKEYREJECTED,
                    "the keys are not those of the node that asks");
    return p->kind == JOIN_RENEWAL
               ? check_renewal(i, m, p, wall, ret_error)
               : check_token(i, m, p, &bytes, wall, invitation, ret_error);
}

bool join_is_by_token(const struct join_message *m,
                      uint8_t ret_invitation[INVITATION_ID_SIZE])
{
    struct proof p;

    if (read_proof(m, &p) < 0 || p.kind != JOIN_TOKEN)
        return false;
    memcpy(ret_invitation, p.invitation, INVITATION_ID_SIZE);
    return true;
}

int join_decide(struct identity *i, const struct join_message *m,
                const uint8_t connection[CURVE_KEY_SIZE], time_us wall,
                struct invitation *invitation, struct chain *ret,
                struct error *ret_error)
{
    struct certificate wanted = { .roles = m->roles };
    struct proof p;
    int r;

    if (!identity_is_issuer(i))
        return fail(ret_error, -EACCES, "this node is no issuer");
    if (!m->name || !certificate_name_is_good(m->name) || read_proof(m, &p) < 0
        || (p.zone[0] && !certificate_name_is_good(p.zone)) || !m->roles)
        return fail(ret_error, -EBADMSG, "what was sent is no request to join");
    r = check(i, m, &p, connection, wall, invitation, ret_error);
    if (r < 0)
        return r;
    memcpy(wanted.node_key, m->node_key, NODE_KEY_SIZE);
    memcpy(wanted.curve_key, m->curve_key, CURVE_KEY_SIZE);
    strcpy(wanted.name, m->name);
    strcpy(wanted.zone, p.zone);
    return identity_issue(i, &wanted, wall, ret, ret_error);
}
