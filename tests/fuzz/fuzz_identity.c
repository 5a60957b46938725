/* SPDX-License-Identifier: Apache-2.0 */
/* What strangers show to be let in, and what members say about each other: the first
 * byte says which. What is read comes back as the same bytes once it was written. */
#include <stdlib.h>
#include <string.h>

#include "node/invitation.h"
#include "node/join_token.h"
#include "node/revocation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void same(const struct buffer *b, const void *data, size_t len)
{
    check(!buffer_failed(b) && b->len == len && memcmp(b->data, data, len) == 0);
}

static void read_chain(const uint8_t *data, size_t len)
{
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
    static const struct mesh_root nobody = { .name = "" };
    struct error why = { .text = "" };
    struct chain c;

    if (chain_decode(data, len, &c) < 0)
        return;
    check(chain_verify(&c, &nobody, 0, &why) < 0 && why.text[0]);
    chain_encode(&c, &again);
    same(&again, data, len);
}

static int take(void *arg, const struct revocation *r)
{
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
    struct revocations *s = arg;
    int error = revocations_add(s, r);

    check(s->n <= REVOCATIONS_MAX);
    check(revocation_encode(r, &again) == 0);
    return error < 0 && revocations_has(s, &r->node) ? 0 : error;
}

static void read_token(const uint8_t *data, size_t len)
{
    CLEANUP(freep) char *text = strndup((const char *)data, len);
    char again[JOIN_TOKEN_TEXT_SIZE];
    struct error why = { .text = "" };
    struct join_contact contact;
    struct join_token t;

    if (!text)
        abort();
    if (join_token_parse(text, &t, &why) < 0)
        check(why.text[0] != '\0');
    else
        join_token_text(&t, again);
    if (join_contact_parse(text, &contact, &why) == 0)
        check(contact_address_is_good(contact.address));
}

static void read_invitation(const uint8_t *data, size_t len)
{
    CLEANUP(invitation_release) struct invitation i = { .admitted = NULL };
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;

    if (invitation_decode(data, len, &i) < 0)
        return;
    check(i.n_admitted <= i.uses && i.uses <= INVITATION_USES_MAX);
    invitation_encode(&i, &again);
    same(&again, data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(int holds)
{
    if (!holds)
        abort();
}

static void same(const struct buffer *b, const void *data, size_t len)
{
    check(!buffer_failed(b) && b->len == len && memcmp(b->data, data, len) == 0);
}

static void read_chain(const uint8_t *data, size_t len)
{
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
    static const struct mesh_root nobody = { .name = "" };
    struct error why = { .text = "" };
    struct chain c;

    if (chain_decode(data, len, &c) < 0)
        return;
    check(chain_verify(&c, &nobody, 0, &why) < 0 && why.text[0]);
    chain_encode(&c, &again);
    same(&again, data, len);
}

static int take(void *arg, const struct revocation *r)
{
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;
    struct revocations *s = arg;
    int error = revocations_add(s, r);

    check(s->n <= REVOCATIONS_MAX);
    check(revocation_encode(r, &again) == 0);
    return error < 0 && revocations_has(s, &r->node) ? 0 : error;
}

static void read_token(const uint8_t *data, size_t len)
{
    CLEANUP(freep) char *text = strndup((const char *)data, len);
    char again[JOIN_TOKEN_TEXT_SIZE];
    struct error why = { .text = "" };
    struct join_contact contact;
    struct join_token t;

    if (!text)
        abort();
    if (join_token_parse(text, &t, &why) < 0)
        check(why.text[0] != '\0');
    else
        join_token_text(&t, again);
    if (join_contact_parse(text, &contact, &why) == 0)
        check(contact_address_is_good(contact.address));
}

static void read_invitations(const uint8_t *data, size_t len)
{
    CLEANUP(invitations_release) struct invitations s = { .n = 0 };
    CLEANUP(buffer_release) struct buffer again = BUFFER_INIT;

    if (invitations_decode(data, len, &s) < 0)
        return;
    check(s.n <= INVITATIONS_MAX);
    invitations_encode(&s, &again);
    same(&again, data, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    CLEANUP(revocations_release) struct revocations s = { .n = 0 };
    struct mesh_root root;

    if (len == 0)
        return 0;
    switch (data[0] % 5) {
    case 0:
        read_chain(data + 1, len - 1);
        break;
    case 1:
        revocations_read(data + 1, len - 1, take, &s);
        break;
    case 2:
        read_token(data + 1, len - 1);
        break;
    case 3:
        read_invitation(data + 1, len - 1);
        break;
    case 4:
        mesh_root_decode(data + 1, len - 1, &root);
        break;
    }
    return 0;
}
