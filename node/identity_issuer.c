/* SPDX-License-Identifier: Apache-2.0 */
/* What the founder of a mesh, and its issuers, do: sign for nodes, invite, revoke. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "node/identity_internal.h"

bool identity_is_issuer(const struct identity *i)
{
    return i->has_authority
           || (i->has_chain && !i->chain.has_issuer
               && (i->chain.leaf.roles & ROLE_ISSUER));
}

static int require_issuer(const struct identity *i, struct error *ret_error)
{
    if (identity_is_issuer(i))
        return 0;
    return fail(ret_error, -EACCES,
                "this node may not do that: it is no issuer; ask the node where mesh "
                "init ran, or one that was invited with the role issuer");
}

/* Who has the authority's key signs with that. */
static const uint8_t *signing_key(const struct identity *i)
{
    return i->has_authority ? i->secrets->authority : i->secrets->node;
}

/* ---- founding ---- */

static int make_authority(struct identity *i, const char *mesh_name,
                          struct error *ret_error)
{
    struct mesh_root root = { .name = "" };
    int r;

    strcpy(root.name, mesh_name);
    randombytes_buf(root.mesh, sizeof(root.mesh));
    r = identity_draw_authority(i, root.authority, ret_error);
    return r < 0 ? r : identity_set_root(i, &root, ret_error);
}

/* Goes on where one before it was interrupted. */
static int found(struct identity *i, const char *mesh_name, const char *node_name,
                 time_us wall, struct error *ret_error)
{
    struct certificate wanted = { .roles = ROLE_WORKER | ROLE_HOME | ROLE_ISSUER };
    struct chain chain;
    int r;

    strcpy(wanted.name, node_name);
    memcpy(wanted.node_key, i->node_key, NODE_KEY_SIZE);
    memcpy(wanted.curve_key, i->curve_key, CURVE_KEY_SIZE);
    r = i->keyring ? 0 : make_authority(i, mesh_name, ret_error);
    if (r == 0)
        r = identity_issue(i, &wanted, wall, &chain, ret_error);
    return r < 0 ? r : identity_set_chain(i, &chain, ret_error);
}

int identity_found(const char *dir, const char *mesh_name, const char *node_name,
                   time_us wall, struct identity **ret, struct error *ret_error)
{
    CLEANUP(identity_freep) struct identity *i = NULL;
    int r;

    if (!certificate_name_is_good(mesh_name) || !certificate_name_is_good(node_name))
        return fail(ret_error, -EINVAL,
                    "a name has 1 to %d letters, digits and . _ -, not '%.80s'",
                    MEMBER_NAME_MAX,
                    certificate_name_is_good(mesh_name) ? node_name : mesh_name);
    r = identity_open(dir, wall, &i, NULL);
    if (r == 0 && i->keyring && (i->has_chain || !i->has_authority))
        return fail(ret_error, -EEXIST, "%s is of a mesh already", i->dir);
    if (r == -ENOENT)
        r = identity_create(dir, &i, ret_error);
    else if (r < 0)
        r = fail(ret_error, r, "the keys in %s/identity cannot be read", dir);
    if (r == 0)
        r = found(i, mesh_name, node_name, wall, ret_error);
    if (r < 0)
        return r;
    *ret = TAKE(i);
    return 0;
}

int identity_certify(struct identity *i, const char *name, const char *zone,
                     time_us wall, struct error *ret_error)
{
    struct certificate wanted = i->chain.leaf;
    struct chain chain;
    int r;

    snprintf(wanted.name, sizeof(wanted.name), "%s", name ? name : i->chain.leaf.name);
    snprintf(wanted.zone, sizeof(wanted.zone), "%s", zone ? zone : i->chain.leaf.zone);
    r = identity_issue(i, &wanted, wall, &chain, ret_error);
    return r < 0 ? r : identity_set_chain(i, &chain, ret_error);
}

/* ---- certificates ---- */

int identity_issue(struct identity *i, const struct certificate *wanted, time_us wall,
                   struct chain *ret, struct error *ret_error)
{
    struct chain c = { .leaf = *wanted };
    int r = require_issuer(i, ret_error);

    if (r < 0)
        return r;
    if ((wanted->roles & ROLE_ISSUER) && !i->has_authority)
        return fail(ret_error, -EACCES,
                    "only the node where mesh init ran makes issuers");
    memcpy(c.leaf.mesh, identity_root(i)->mesh, MESH_ID_SIZE);
    c.leaf.not_before = wall;
    c.leaf.not_after = wall + CERTIFICATE_LIFE;
    randombytes_buf(&c.leaf.serial, sizeof(c.leaf.serial));
    if (!i->has_authority) {
        c.has_issuer = true;
        c.issuer = i->chain.leaf;
        if (c.leaf.not_after > c.issuer.not_after)
            c.leaf.not_after = c.issuer.not_after;
    }
    r = certificate_sign(&c.leaf, signing_key(i));
    if (r == -EINVAL)
        return fail(ret_error, r,
                    "a name or zone has other characters than letters, "
                    "digits and . _ -");
    if (r == 0)
        *ret = c;
    return r;
}

/* ---- invitations ---- */

static int check_invite(const struct identity *i, const struct invite *invite,
                        struct error *ret_error)
{
    const uint32_t all = ROLE_WORKER | ROLE_HOME | ROLE_ISSUER;
    int r = require_issuer(i, ret_error);

    if (r < 0)
        return r;
    if (!invite->roles || (invite->roles & ~all))
        return fail(ret_error, -EINVAL, "roles are worker, home and issuer");
    if ((invite->roles & ROLE_ISSUER) && !i->has_authority)
        return fail(ret_error, -EACCES,
                    "only the node where mesh init ran invites issuers");
    if (!invite->uses || invite->uses > INVITATION_USES_MAX)
        return fail(ret_error, -EINVAL, "a token has from 1 to %d uses",
                    INVITATION_USES_MAX);
    if (!invite->expires_in_s || invite->expires_in_s > INVITE_EXPIRES_MAX_S)
        return fail(ret_error, -EINVAL, "a token lasts from a second to 30 days");
    if (!invite->n_contacts || invite->n_contacts > JOIN_CONTACTS_MAX)
        return fail(ret_error, -EINVAL, "a token names from 1 to %d contacts",
                    JOIN_CONTACTS_MAX);
    return 0;
}

static void draw_token(const struct identity *i, const struct invite *invite,
                       time_us wall, struct join_token *t, struct invitation *kept)
{
    uint8_t secret[NODE_SECRET_SIZE];

    *t = (struct join_token){ .roles = invite->roles,
                              .uses = invite->uses,
                              .expires = wall + TIME_S(invite->expires_in_s),
                              .n_contacts = invite->n_contacts };
    t->root = *identity_root(i);
    t->root.name[0] = '\0';
    randombytes_buf(t->invitation, sizeof(t->invitation));
    randombytes_buf(t->seed, sizeof(t->seed));
    memcpy(t->contacts, invite->contacts, invite->n_contacts * sizeof(t->contacts[0]));

    *kept = (struct invitation){ .roles = t->roles,
                                 .uses = t->uses,
                                 .expires = t->expires,
                                 .has_issuer = !i->has_authority };
    memcpy(kept->mesh, t->root.mesh, sizeof(kept->mesh));
    memcpy(kept->id, t->invitation, sizeof(kept->id));
    if (kept->has_issuer)
        kept->issuer = i->chain.leaf;
    crypto_sign_seed_keypair(kept->key, secret, t->seed);
    sodium_memzero(secret, sizeof(secret));
}

int identity_invite(struct identity *i, const struct invite *invite, time_us wall,
                    struct join_token *ret, struct invitation *ret_invitation,
                    struct error *ret_error)
{
    CLEANUP(join_token_release) struct join_token token = { .n_contacts = 0 };
    struct invitation kept;
    int r = check_invite(i, invite, ret_error);

    if (r < 0)
        return r;
    draw_token(i, invite, wall, &token, &kept);
    r = invitation_sign(&kept, signing_key(i));
    if (r < 0)
        return r;
    *ret = token;
    *ret_invitation = kept;
    return 0;
}

/* Whether who invited may still do so. */
static int check_inviter(const struct identity *i, const struct invitation *invitation,
                         time_us wall, struct error *ret_error)
{
    struct chain inviter = { .leaf = invitation->issuer };
    int r = invitation_verify(invitation, identity_root(i), wall, ret_error);

    if (r < 0)
        return r;
    if (invitation->has_issuer && keyring_is_revoked(i->keyring, &inviter))
        return fail(ret_error, -EKEYREVOKED, "'%s', who made the token, was revoked",
                    invitation->issuer.name);
    return 0;
}

int identity_redeem(const struct identity *i, struct invitation *invitation,
                    const struct redemption *r, time_us wall, struct error *ret_error)
{
    int error = check_inviter(i, invitation, wall, ret_error);

    if (error < 0)
        return error;
    if (!signature_is_good(invitation->key, r->data, r->len, r->signature))
        return fail(ret_error, -EKEYREJECTED, "the token is forged");
    if (r->roles & ~invitation->roles)
        return fail(ret_error, -EACCES, "the token does not grant these roles");
    if ((r->roles & ROLE_ISSUER) && !i->has_authority)
        return fail(ret_error, -ENOENT,
                    "only the node where mesh init ran makes issuers");
    return invitation_admit(invitation, &r->node, wall, ret_error);
}

/* ---- revocations ---- */

static int save_revocations(struct identity *i, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;
    int r =
        revocations_encode(keyring_revocations(i->keyring), 0, REVOCATION_FILE_MAX, &b);

    return r < 0 ? r : identity_write(i, "revocations", &b, ret_error);
}

int identity_revoke(struct identity *i, const struct node_id *node, time_us wall,
                    struct error *ret_error)
{
    const struct node_id self = identity_node(i);
    struct revocation record = { .node = *node, .time = wall };
    const struct chain *known;
    int r = require_issuer(i, ret_error);

    if (r < 0)
        return r;
    if (node_id_equal(node, &self))
        return fail(ret_error, -EINVAL, "a node cannot revoke itself");
    memcpy(record.mesh, identity_root(i)->mesh, MESH_ID_SIZE);
    known = keyring_find(i->keyring, node);
    record.serial = known ? known->leaf.serial : 0;
    record.has_issuer = !i->has_authority;
    if (record.has_issuer)
        record.issuer = i->chain.leaf;
    r = revocation_sign(&record, signing_key(i));
    if (r == 0)
        r = keyring_revoke(i->keyring, &record, wall, ret_error);
    if (r == -EEXIST)
        return fail(ret_error, r, "the node is revoked already");
    return r < 0 ? r : save_revocations(i, ret_error);
}

struct learner {
    struct identity *identity;
    time_us wall;
    size_t n_new;
    void (*on_new)(void *arg, const struct node_id *node);
    void *arg;
};

static int on_record(void *arg, const struct revocation *r)
{
    struct learner *l = arg;
    int error = keyring_revoke(l->identity->keyring, r, l->wall, NULL);

    if (error == 0) {
        l->n_new++;
        l->on_new(l->arg, &r->node);
    }
    return error == -ENOMEM ? error : 0;
}

int identity_learn_revocations(struct identity *i, const void *data, size_t len,
                               time_us wall,
                               void (*on_new)(void *arg, const struct node_id *node),
                               void *arg)
{
    struct learner l = { .identity = i, .wall = wall, .on_new = on_new, .arg = arg };
    int r = revocations_read(data, len, on_record, &l);
    int saved = l.n_new ? save_revocations(i, NULL) : 0;

    return r < 0 ? r : saved;
}
