/* SPDX-License-Identifier: Apache-2.0 */
#include "node/certificate.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

#include "node/octets.h"

static_assert(NODE_KEY_SIZE == crypto_sign_PUBLICKEYBYTES
                  && NODE_SECRET_SIZE == crypto_sign_SECRETKEYBYTES
                  && SIGNATURE_SIZE == crypto_sign_BYTES,
              "keys are Ed25519");

static const char context[] = "mesh certificate 1\n";
static const uint8_t magic[] = { 'M', 'C', 1, 0 };

struct node_id node_id_of_key(const uint8_t node_key[NODE_KEY_SIZE])
{
    uint8_t hash[32];
    struct node_id id;

    crypto_generichash(hash, sizeof(hash), node_key, NODE_KEY_SIZE, NULL, 0);
    memcpy(id.bytes, hash, sizeof(id.bytes));
    return id;
}

bool certificate_name_is_good(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "0123456789._-";
    size_t len = strlen(name);

    return len && len <= MEMBER_NAME_MAX && strspn(name, good) == len;
}

static bool names_are_good(const struct certificate *c)
{
    return certificate_name_is_good(c->name)
           && (!c->zone[0] || certificate_name_is_good(c->zone));
}

/* ---- bytes ---- */

static int put_signed_part(const struct certificate *c, struct buffer *out)
{
    buffer_append(out, magic, sizeof(magic));
    buffer_append(out, c->mesh, sizeof(c->mesh));
    buffer_append(out, c->node_key, sizeof(c->node_key));
    buffer_append(out, c->curve_key, sizeof(c->curve_key));
    octets_put_number(out, c->roles, 4);
    octets_put_number(out, c->not_before, 8);
    octets_put_number(out, c->not_after, 8);
    octets_put_number(out, c->serial, 8);
    octets_put_text(out, c->name);
    octets_put_text(out, c->zone);
    return buffer_append(out, c->signer, sizeof(c->signer));
}

int certificate_encode(const struct certificate *c, struct buffer *out)
{
    put_signed_part(c, out);
    buffer_append(out, c->signature, sizeof(c->signature));
    return buffer_failed(out);
}

static void take(struct octets *o, struct certificate *c)
{
    const uint8_t *head = octets_take(o, sizeof(magic));

    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        o->is_bad = true;
    octets_copy(o, c->mesh, sizeof(c->mesh));
    octets_copy(o, c->node_key, sizeof(c->node_key));
    octets_copy(o, c->curve_key, sizeof(c->curve_key));
    c->roles = (uint32_t)octets_number(o, 4);
    c->not_before = octets_number(o, 8);
    c->not_after = octets_number(o, 8);
    c->serial = octets_number(o, 8);
    octets_text(o, c->name, sizeof(c->name));
    octets_text(o, c->zone, sizeof(c->zone));
    octets_copy(o, c->signer, sizeof(c->signer));
    octets_copy(o, c->signature, sizeof(c->signature));
    if (!names_are_good(c))
        o->is_bad = true;
}

int certificate_decode(const void *data, size_t len, struct certificate *ret)
{
    struct octets o = octets_of(data, len);
    struct certificate c;

    take(&o, &c);
    if (!octets_is_whole(&o))
        return -EBADMSG;
    *ret = c;
    return 0;
}

int chain_encode(const struct chain *c, struct buffer *out)
{
    certificate_encode(&c->leaf, out);
    return c->has_issuer ? certificate_encode(&c->issuer, out) : buffer_failed(out);
}

int chain_decode(const void *data, size_t len, struct chain *ret)
{
    struct octets o = octets_of(data, len);
    struct chain c = { .has_issuer = false };

    take(&o, &c.leaf);
    if (!o.is_bad && o.left) {
        c.has_issuer = true;
        take(&o, &c.issuer);
    }
    if (!octets_is_whole(&o))
        return -EBADMSG;
    *ret = c;
    return 0;
}

int mesh_root_encode(const struct mesh_root *root, struct buffer *out)
{
    buffer_append(out, root->mesh, sizeof(root->mesh));
    buffer_append(out, root->authority, sizeof(root->authority));
    octets_put_text(out, root->name);
    return buffer_failed(out);
}

int mesh_root_decode(const void *data, size_t len, struct mesh_root *ret)
{
    struct octets o = octets_of(data, len);
    struct mesh_root root;

    octets_copy(&o, root.mesh, sizeof(root.mesh));
    octets_copy(&o, root.authority, sizeof(root.authority));
    octets_text(&o, root.name, sizeof(root.name));
    if (!octets_is_whole(&o))
        return -EBADMSG;
    *ret = root;
    return 0;
}

/* ---- signatures ---- */

static int signed_bytes(const struct certificate *c, struct buffer *out)
{
    buffer_puts(out, context);
    return put_signed_part(c, out);
}

int certificate_sign(struct certificate *c, const uint8_t secret[NODE_SECRET_SIZE])
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    if (!names_are_good(c))
        return -EINVAL;
    crypto_sign_ed25519_sk_to_pk(c->signer, secret);
    signed_bytes(c, &bytes);
    if (buffer_failed(&bytes))
        return buffer_failed(&bytes);
    crypto_sign_detached(c->signature, NULL, (const uint8_t *)bytes.data, bytes.len,
                         secret);
    return 0;
}

static int check_signature(const struct certificate *c, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;

    signed_bytes(c, &bytes);
    if (buffer_failed(&bytes))
        return buffer_failed(&bytes);
    if (crypto_sign_verify_detached(c->signature, (const uint8_t *)bytes.data,
                                    bytes.len, c->signer)
        != 0)
        return fail(ret_error, -EKEYREJECTED,
                    "the certificate of '%s' has a bad signature", c->name);
    return 0;
}

static int check_time(const struct certificate *c, time_us wall,
                      struct error *ret_error)
{
    if (c->not_before > wall && c->not_before - wall > CERTIFICATE_SKEW)
        return fail(ret_error, -ETIME,
                    "the certificate of '%s' is not valid yet: a clock is wrong by "
                    "more than 5 minutes",
                    c->name);
    if (wall > c->not_after && wall - c->not_after > CERTIFICATE_SKEW)
        return fail(ret_error, -EKEYEXPIRED, "the certificate of '%s' has expired",
                    c->name);
    return 0;
}

static int check_mesh(const struct certificate *c, const struct mesh_root *root,
                      struct error *ret_error)
{
    if (memcmp(c->mesh, root->mesh, MESH_ID_SIZE) == 0)
        return 0;
    return fail(ret_error, -EXDEV, "the certificate of '%s' is of another mesh",
                c->name);
}

int certificate_verify(const struct certificate *c, const struct mesh_root *root,
                       time_us wall, struct error *ret_error)
{
    int r = check_mesh(c, root, ret_error);

    if (r == 0 && memcmp(c->signer, root->authority, NODE_KEY_SIZE) != 0)
        return fail(ret_error, -EKEYREJECTED,
                    "the certificate of '%s' is not from the mesh's authority",
                    c->name);
    if (r == 0)
        r = check_signature(c, ret_error);
    return r < 0 ? r : check_time(c, wall, ret_error);
}

static int check_issued(const struct chain *c, struct error *ret_error)
{
    const struct certificate *leaf = &c->leaf, *issuer = &c->issuer;

    if (memcmp(leaf->signer, issuer->node_key, NODE_KEY_SIZE) != 0
        || !(issuer->roles & ROLE_ISSUER))
        return fail(ret_error, -EKEYREJECTED,
                    "the certificate of '%s' is signed by '%s', which is no issuer",
                    leaf->name, issuer->name);
    if ((leaf->roles & ROLE_ISSUER) || leaf->not_after > issuer->not_after)
        return fail(ret_error, -EKEYREJECTED,
                    "the certificate of '%s' says more than issuer '%s' may grant",
                    leaf->name, issuer->name);
    return 0;
}

int chain_verify(const struct chain *c, const struct mesh_root *root, time_us wall,
                 struct error *ret_error)
{
    int r;

    if (!c->has_issuer)
        return certificate_verify(&c->leaf, root, wall, ret_error);
    r = check_mesh(&c->leaf, root, ret_error);
    if (r == 0)
        r = certificate_verify(&c->issuer, root, wall, ret_error);
    if (r == 0)
        r = check_issued(c, ret_error);
    if (r == 0)
        r = check_signature(&c->leaf, ret_error);
    return r < 0 ? r : check_time(&c->leaf, wall, ret_error);
}
