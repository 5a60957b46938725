/* SPDX-License-Identifier: Apache-2.0 */
#include "node/join_token.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "base/version.h"
#include "node/octets.h"

enum { CHECK_SIZE = 4, VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING };

static const char prefix[] = "mesh1-";

void join_token_release(struct join_token *t)
{
    sodium_memzero(t, sizeof(*t));
}

bool contact_address_is_good(const char *address)
{
    const char *colon = strrchr(address, ':');
    char *end;
    unsigned long port;

    if (!colon || colon == address || strlen(address) > MEMBER_ADDRESS_MAX
        || colon[1] < '1' || colon[1] > '9')
        return false;
    if (memchr(address, ':', (size_t)(colon - address))
        && (address[0] != '[' || colon[-1] != ']'))
        return false;
    port = strtoul(colon + 1, &end, 10);
    return !*end && port <= UINT16_MAX
           && strspn(address, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                              "0123456789._-:[]")
                  == strlen(address);
}

/* ---- bytes ---- */

static void check_of(const void *data, size_t len, uint8_t ret[CHECK_SIZE])
{
    uint8_t hash[crypto_generichash_BYTES];

    crypto_generichash(hash, sizeof(hash), data, len, NULL, 0);
    memcpy(ret, hash, CHECK_SIZE);
}

static size_t put(void *to, size_t at, const void *data, size_t len)
{
    memcpy((uint8_t *)to + at, data, len);
    return at + len;
}

static size_t put_number(void *to, size_t at, uint64_t n, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)to)[at + i] = (uint8_t)(n >> (8 * (len - 1 - i)));
    return at + len;
}

/* Into memory of the caller's, which wipes it: a buffer would leave copies as it grows.
 */
static size_t encode(const struct join_token *t, uint8_t out[JOIN_TOKEN_BYTES_MAX])
{
    size_t at = put(out, 0, t->root.mesh, MESH_ID_SIZE);

    at = put(out, at, t->root.authority, NODE_KEY_SIZE);
    at = put(out, at, t->invitation, INVITATION_ID_SIZE);
    at = put(out, at, t->seed, JOIN_SEED_SIZE);
    at = put_number(out, at, t->roles, 4);
    at = put_number(out, at, t->uses, 4);
    at = put_number(out, at, t->expires, 8);
    at = put_number(out, at, t->n_contacts, 1);
    for (size_t i = 0; i < t->n_contacts; i++) {
        const struct join_contact *c = &t->contacts[i];

        at = put_number(out, at, strlen(c->address), 1);
        at = put(out, at, c->address, strlen(c->address));
        at = put(out, at, c->curve_key, CURVE_KEY_SIZE);
    }
    check_of(out, at, out + at);
    return at + CHECK_SIZE;
}

void join_token_text(const struct join_token *t, char ret_text[JOIN_TOKEN_TEXT_SIZE])
{
    uint8_t bytes[JOIN_TOKEN_BYTES_MAX];
    size_t len = encode(t, bytes);

    strcpy(ret_text, prefix);
    sodium_bin2base64(ret_text + sizeof(prefix) - 1,
                      JOIN_TOKEN_TEXT_SIZE - (sizeof(prefix) - 1), bytes, len, VARIANT);
    sodium_memzero(bytes, sizeof(bytes));
}

static int decode(const uint8_t *bytes, size_t len, struct join_token *t)
{
    struct octets o = octets_of(bytes, len - CHECK_SIZE);

    octets_copy(&o, t->root.mesh, MESH_ID_SIZE);
    octets_copy(&o, t->root.authority, NODE_KEY_SIZE);
    octets_copy(&o, t->invitation, INVITATION_ID_SIZE);
    octets_copy(&o, t->seed, JOIN_SEED_SIZE);
    t->roles = (uint32_t)octets_number(&o, 4);
    t->uses = (uint32_t)octets_number(&o, 4);
    t->expires = octets_number(&o, 8);
    t->n_contacts = (size_t)octets_number(&o, 1);
    if (o.is_bad || t->n_contacts == 0 || t->n_contacts > JOIN_CONTACTS_MAX)
        return -EINVAL;
    for (size_t i = 0; i < t->n_contacts; i++) {
        octets_text(&o, t->contacts[i].address, sizeof(t->contacts[i].address));
        octets_copy(&o, t->contacts[i].curve_key, CURVE_KEY_SIZE);
        if (!contact_address_is_good(t->contacts[i].address))
            return -EINVAL;
    }
    return octets_is_whole(&o) ? 0 : -EINVAL;
}

static int damaged(struct error *ret_error)
{
    return fail(ret_error, -EINVAL,
                "the token is damaged: a part of it is missing or was changed");
}

int join_token_parse(const char *text, struct join_token *ret, struct error *ret_error)
{
    CLEANUP(join_token_release) struct join_token t = { .n_contacts = 0 };
    uint8_t bytes[JOIN_TOKEN_BYTES_MAX], check[CHECK_SIZE];
    size_t len;
    int r;

    text += strspn(text, " \t\r\n");
    if (strncmp(text, "mesh", 4) != 0 || text[4] < '0' || text[4] > '9')
        return fail(ret_error, -EINVAL,
                    "this is no token to join a mesh by: it begins with %s", prefix);
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0)
        return fail(ret_error, -EINVAL,
                    "the token is of another version of mesh than this, %s",
                    mesh_version());
    text += sizeof(prefix) - 1;
    r = sodium_base642bin(bytes, sizeof(bytes), text, strcspn(text, " \t\r\n"), NULL,
                          &len, NULL, VARIANT);
    if (r != 0 || len <= CHECK_SIZE)
        return damaged(ret_error);
    check_of(bytes, len - CHECK_SIZE, check);
    r = memcmp(check, bytes + len - CHECK_SIZE, CHECK_SIZE) ? -EINVAL
                                                            : decode(bytes, len, &t);
    sodium_memzero(bytes, sizeof(bytes));
    if (r < 0)
        return damaged(ret_error);
    *ret = t;
    return 0;
}

/* ---- a contact ---- */

int join_contact_parse(const char *text, struct join_contact *ret,
                       struct error *ret_error)
{
    const char *slash = strchr(text, '/');
    struct join_contact c = { .address = "" };
    size_t len = slash ? (size_t)(slash - text) : strlen(text), key_len;

    if (len < sizeof(c.address)) {
        memcpy(c.address, text, len);
        c.address[len] = '\0';
    }
    if (!slash || !contact_address_is_good(c.address))
        return fail(ret_error, -EINVAL,
                    "a contact must be HOST:PORT/KEY, as its node says when it starts, "
                    "not '%.100s'",
                    text);
    if (sodium_base642bin(c.curve_key, sizeof(c.curve_key), slash + 1,
                          strlen(slash + 1), NULL, &key_len, NULL, VARIANT)
            != 0
        || key_len != CURVE_KEY_SIZE)
        return fail(ret_error, -EINVAL, "the key of contact %s is damaged", c.address);
    *ret = c;
    return 0;
}

void join_contact_text(const struct join_contact *c, char ret_text[CONTACT_TEXT_SIZE])
{
    size_t len = strlen(c->address);

    memcpy(ret_text, c->address, len);
    ret_text[len] = '/';
    sodium_bin2base64(ret_text + len + 1, CONTACT_TEXT_SIZE - len - 1, c->curve_key,
                      CURVE_KEY_SIZE, VARIANT);
}
