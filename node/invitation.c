/* SPDX-License-Identifier: Apache-2.0 */
#include "node/invitation.h"

#include <errno.h>
#include <sodium.h>

#include "node/octets.h"

#define KEPT_AFTER TIME_S(86400)

static const char context[] = "mesh invitation 1\n";
static const uint8_t magic[] = { 'M', 'I', 2, 0 };

void invitation_release(struct invitation *i)
{
    free(i->admitted);
    i->admitted = NULL;
    i->n_admitted = 0;
}

/* ---- admitting ---- */

int invitation_admit(struct invitation *i, const struct node_id *node, time_us wall,
                     struct error *ret_error)
{
    struct node_id *admitted;

    if (wall >= i->expires)
        return fail(ret_error, -EKEYEXPIRED,
                    "the token has expired; make another one: mesh invite");
    for (uint32_t k = 0; k < i->n_admitted; k++)
        if (node_id_equal(&i->admitted[k], node))
            return -EALREADY;
    if (i->n_admitted >= i->uses)
        return fail(ret_error, -EDQUOT,
                    "the token was used already; make another one: mesh invite");
    admitted = reallocarray(i->admitted, i->n_admitted + 1, sizeof(*admitted));
    if (!admitted)
        return -ENOMEM;
    i->admitted = admitted;
    i->admitted[i->n_admitted++] = *node;
    return 0;
}

bool invitation_is_old(const struct invitation *i, time_us wall)
{
    return wall > i->expires && wall - i->expires > KEPT_AFTER;
}

/* ---- bytes ---- */

static int put_signed_part(const struct invitation *i, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer issuer = BUFFER_INIT;
    int error = i->has_issuer ? certificate_encode(&i->issuer, &issuer) : 0;

    if (error < 0)
        return error;
    buffer_append(out, magic, sizeof(magic));
    buffer_append(out, i->mesh, sizeof(i->mesh));
    buffer_append(out, i->id, sizeof(i->id));
    buffer_append(out, i->key, sizeof(i->key));
    octets_put_number(out, i->roles, 4);
    octets_put_number(out, i->uses, 4);
    octets_put_number(out, i->expires, 8);
    buffer_append(out, i->signer, sizeof(i->signer));
    octets_put_number(out, issuer.len, 2);
    buffer_append(out, issuer.data, issuer.len);
    return buffer_failed(out);
}

int invitation_encode(const struct invitation *i, struct buffer *out)
{
    int error = put_signed_part(i, out);

    if (error < 0)
        return error;
    buffer_append(out, i->signature, sizeof(i->signature));
    octets_put_number(out, i->n_admitted, 4);
    for (uint32_t k = 0; k < i->n_admitted; k++)
        buffer_append(out, i->admitted[k].bytes, NODE_ID_SIZE);
    return buffer_failed(out);
}

static int take_issuer(struct octets *o, struct invitation *i)
{
    size_t len = (size_t)octets_number(o, 2);
    const uint8_t *issuer = octets_take(o, len);

    i->has_issuer = issuer && len > 0;
    return i->has_issuer && certificate_decode(issuer, len, &i->issuer) < 0 ? -EBADMSG
                                                                            : 0;
}

static int take_admitted(struct octets *o, struct invitation *i)
{
    uint32_t n = (uint32_t)octets_number(o, 4);

    if (o->is_bad || i->uses > INVITATION_USES_MAX || n > i->uses
        || o->left != (size_t)n * NODE_ID_SIZE)
        return -EBADMSG;
    i->admitted = calloc(n + (size_t)1, sizeof(*i->admitted));
    if (!i->admitted)
        return -ENOMEM;
    for (; i->n_admitted < n; i->n_admitted++)
        octets_copy(o, i->admitted[i->n_admitted].bytes, NODE_ID_SIZE);
    return 0;
}

int invitation_decode(const void *data, size_t len, struct invitation *ret)
{
    struct octets o = octets_of(data, len);
    const uint8_t *head = octets_take(&o, sizeof(magic));
    struct invitation i = { .admitted = NULL };
    int error;

    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        return -EBADMSG;
    octets_copy(&o, i.mesh, sizeof(i.mesh));
    octets_copy(&o, i.id, sizeof(i.id));
    octets_copy(&o, i.key, sizeof(i.key));
    i.roles = (uint32_t)octets_number(&o, 4);
    i.uses = (uint32_t)octets_number(&o, 4);
    i.expires = octets_number(&o, 8);
    octets_copy(&o, i.signer, sizeof(i.signer));
    error = take_issuer(&o, &i);
    octets_copy(&o, i.signature, sizeof(i.signature));
    if (error == 0)
        error = take_admitted(&o, &i);
    if (error == 0)
        *ret = i;
    return error;
}

/* ---- who signed ---- */

static int signed_bytes(const struct invitation *i, struct buffer *out)
{
    buffer_puts(out, context);
    return put_signed_part(i, out);
}

int invitation_sign(struct invitation *i, const uint8_t secret[NODE_SECRET_SIZE])
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    crypto_sign_ed25519_sk_to_pk(i->signer, secret);
    error = signed_bytes(i, &bytes);
    if (error < 0)
        return error;
    crypto_sign_detached(i->signature, NULL, (const uint8_t *)bytes.data, bytes.len,
                         secret);
    return 0;
}

static int check_signer(const struct invitation *i, const struct mesh_root *root,
                        time_us wall, struct error *ret_error)
{
    int error;

    if (!i->has_issuer) {
        if (memcmp(i->signer, root->authority, NODE_KEY_SIZE) == 0)
            return 0;
        return fail(ret_error, -EKEYREJECTED, "the invitation is forged");
    }
    error = certificate_verify(&i->issuer, root, wall, ret_error);
    if (error < 0)
        return error;
    if (memcmp(i->signer, i->issuer.node_key, NODE_KEY_SIZE) == 0
        && (i->issuer.roles & ROLE_ISSUER) && !(i->roles & ROLE_ISSUER))
        return 0;
    return fail(ret_error, -EKEYREJECTED, "the invitation is from '%s', who may not",
                i->issuer.name);
}

int invitation_verify(const struct invitation *i, const struct mesh_root *root,
                      time_us wall, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    if (memcmp(i->mesh, root->mesh, MESH_ID_SIZE) != 0)
        return fail(ret_error, -EXDEV, "the invitation is of another mesh");
    error = check_signer(i, root, wall, ret_error);
    if (error == 0)
        error = signed_bytes(i, &bytes);
    if (error < 0)
        return error;
    if (crypto_sign_verify_detached(i->signature, (const uint8_t *)bytes.data,
                                    bytes.len, i->signer)
        != 0)
        return fail(ret_error, -EKEYREJECTED, "the invitation is forged");
    return 0;
}
