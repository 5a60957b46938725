/* SPDX-License-Identifier: Apache-2.0 */
#include "node/revocation.h"

#include <errno.h>
#include <sodium.h>

#include "node/octets.h"

static const char context[] = "mesh revocation 1\n";
static const uint8_t magic[] = { 'M', 'R', 1, 0 };

/* ---- one ---- */

static int put_signed_part(const struct revocation *r, struct buffer *out)
{
    CLEANUP(buffer_release) struct buffer issuer = BUFFER_INIT;

    if (r->has_issuer && certificate_encode(&r->issuer, &issuer) < 0)
        return buffer_failed(&issuer);
    buffer_append(out, magic, sizeof(magic));
    buffer_append(out, r->mesh, sizeof(r->mesh));
    buffer_append(out, r->node.bytes, sizeof(r->node.bytes));
    octets_put_number(out, r->serial, 8);
    octets_put_number(out, r->time, 8);
    buffer_append(out, r->signer, sizeof(r->signer));
    octets_put_number(out, issuer.len, 2);
    return buffer_append(out, buffer_text(&issuer), issuer.len);
}

int revocation_encode(const struct revocation *r, struct buffer *out)
{
    int error = put_signed_part(r, out);

    return error < 0 ? error : buffer_append(out, r->signature, sizeof(r->signature));
}

int revocation_decode(const void *data, size_t len, struct revocation *ret)
{
    struct octets o = octets_of(data, len);
    const uint8_t *head = octets_take(&o, sizeof(magic)), *issuer;
    struct revocation r = { .has_issuer = false };
    size_t issuer_len;

    if (!head || memcmp(head, magic, sizeof(magic)) != 0)
        return -EBADMSG;
    octets_copy(&o, r.mesh, sizeof(r.mesh));
    octets_copy(&o, r.node.bytes, sizeof(r.node.bytes));
    r.serial = octets_number(&o, 8);
    r.time = octets_number(&o, 8);
    octets_copy(&o, r.signer, sizeof(r.signer));
    issuer_len = (size_t)octets_number(&o, 2);
    issuer = octets_take(&o, issuer_len);
    octets_copy(&o, r.signature, sizeof(r.signature));
    if (!octets_is_whole(&o))
        return -EBADMSG;
    r.has_issuer = issuer_len > 0;
    if (r.has_issuer && certificate_decode(issuer, issuer_len, &r.issuer) < 0)
        return -EBADMSG;
    *ret = r;
    return 0;
}

static int signed_bytes(const struct revocation *r, struct buffer *out)
{
    buffer_puts(out, context);
    return put_signed_part(r, out);
}

int revocation_sign(struct revocation *r, const uint8_t secret[NODE_SECRET_SIZE])
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    crypto_sign_ed25519_sk_to_pk(r->signer, secret);
    error = signed_bytes(r, &bytes);
    if (error < 0)
        return error;
    crypto_sign_detached(r->signature, NULL, (const uint8_t *)bytes.data, bytes.len,
                         secret);
    return 0;
}

static int check_signer(const struct revocation *r, const struct mesh_root *root,
                        struct error *ret_error)
{
    int error;

    if (!r->has_issuer) {
        if (memcmp(r->signer, root->authority, NODE_KEY_SIZE) == 0)
            return 0;
        return fail(ret_error, -EKEYREJECTED,
                    "a revocation is not from the mesh's authority");
    }
    error = certificate_verify(&r->issuer, root, r->time, ret_error);
    if (error < 0)
        return error;
    if (memcmp(r->signer, r->issuer.node_key, NODE_KEY_SIZE) == 0
        && (r->issuer.roles & ROLE_ISSUER))
        return 0;
    return fail(ret_error, -EKEYREJECTED,
                "a revocation is signed by '%s', which is no issuer", r->issuer.name);
}

int revocation_verify(const struct revocation *r, const struct mesh_root *root,
                      time_us wall, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int error;

    if (memcmp(r->mesh, root->mesh, MESH_ID_SIZE) != 0)
        return fail(ret_error, -EXDEV, "a revocation is of another mesh");
    if (r->time > wall && r->time - wall > CERTIFICATE_SKEW)
        return fail(ret_error, -ETIME, "a revocation is from the future");
    error = check_signer(r, root, ret_error);
    if (error == 0)
        error = signed_bytes(r, &bytes);
    if (error < 0)
        return error;
    if (crypto_sign_verify_detached(r->signature, (const uint8_t *)bytes.data,
                                    bytes.len, r->signer)
        != 0)
        return fail(ret_error, -EKEYREJECTED, "a revocation has a bad signature");
    return 0;
}

/* ---- the set ---- */

void revocations_release(struct revocations *s)
{
    free(s->all);
    *s = (struct revocations){ .all = NULL };
}

/* Where it is or would be. */
static size_t place_of(const struct revocations *s, const struct node_id *node)
{
    size_t lo = 0, hi = s->n;

    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;

        if (node_id_compare(&s->all[middle].node, node) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return lo;
}

bool revocations_has(const struct revocations *s, const struct node_id *node)
{
    size_t at = place_of(s, node);

    return at < s->n && node_id_equal(&s->all[at].node, node);
}

int revocations_add(struct revocations *s, const struct revocation *r)
{
    size_t at = place_of(s, &r->node);

    if (at < s->n && node_id_equal(&s->all[at].node, &r->node))
        return -EEXIST;
    if (s->n == REVOCATIONS_MAX)
        return -ENOSPC;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        struct revocation *all = reallocarray(s->all, cap, sizeof(*all));

        if (!all)
            return -ENOMEM;
        s->all = all;
        s->cap = cap;
    }
    memmove(s->all + at + 1, s->all + at, (s->n - at) * sizeof(*s->all));
    s->all[at] = *r;
    s->n++;
    return 0;
}

int revocations_encode(const struct revocations *s, size_t i, size_t bytes_max,
                       struct buffer *out)
{
    size_t start = out->len;

    for (; i < s->n; i++) {
        CLEANUP(buffer_release) struct buffer one = BUFFER_INIT;
        int error = revocation_encode(&s->all[i], &one);

        if (error < 0)
            return error;
        if (out->len - start + 2 + one.len > bytes_max)
            break;
        octets_put_number(out, one.len, 2);
        buffer_append(out, one.data, one.len);
    }
    return buffer_failed(out) ? buffer_failed(out) : (int)i;
}

int revocations_read(const void *data, size_t len,
                     int (*each)(void *arg, const struct revocation *r), void *arg)
{
    struct octets o = octets_of(data, len);

    while (o.left) {
        size_t one_len = (size_t)octets_number(&o, 2);
        const uint8_t *one = octets_take(&o, one_len);
        struct revocation r;
        int error = one ? revocation_decode(one, one_len, &r) : -EBADMSG;

        if (error == 0)
            error = each(arg, &r);
        if (error)
            return error;
    }
    return 0;
}
