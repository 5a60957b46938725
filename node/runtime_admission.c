/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_admission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/join.h"
#include "node/runtime_identity.h"
#include "node/runtime_members.h"
#include "node/runtime_mesh.h"
#include "node/runtime_register.h"
#include "proto/rows.h"

/* Invitations lie in as many registers, by the first byte of their id: registers are
 * never taken away, but one whose invitation is long over is used again. */
enum {
    DRAWS_MAX = 64,      /* until one is free: more than 9 of 10 are taken then */
    ADMISSIONS_MAX = 64, /* strangers who wait for their answer */
};

struct admission {
    struct admission *next;
    struct runtime *rt;
    uint64_t exchange;
    struct error why;

    /* an invitation that is made */
    struct inviting inviting;
    uint64_t id;
    struct join_contact contacts[JOIN_CONTACTS_MAX];
    struct join_token token;
    struct invitation invitation;
    unsigned n_draws;

    /* a node that asks to be let in */
    uint64_t asked;
    struct message m;
    uint8_t curve_key[CURVE_KEY_SIZE];
    struct chain chain;
};

static void admission_free(struct admission *a)
{
    if (!a)
        return;
    join_token_release(&a->token);
    message_release(&a->m);
    free(a);
}
CLEANUP_POINTER(struct admission, admission_free);

static struct admission *add(struct runtime *rt)
{
    struct admission *a = calloc(1, sizeof(*a));

    if (!a)
        return NULL;
    a->rt = rt;
    a->next = rt->mesh->admissions;
    rt->mesh->admissions = a;
    rt->mesh->n_admissions++;
    return a;
}

static void take_out(struct admission *a)
{
    struct admission **at = &a->rt->mesh->admissions;

    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    a->rt->mesh->n_admissions--;
}

void runtime_admissions_release(struct runtime *rt)
{
    while (rt->mesh->admissions) {
        struct admission *a = rt->mesh->admissions;

        take_out(a);
        admission_free(a);
    }
}

int runtime_register_failed(int status, struct error *ret_error)
{
    if (status == -ETIMEDOUT)
        return fail(ret_error, -EHOSTUNREACH,
                    "a majority of the nodes that keep what the whole mesh shares "
                    "cannot be reached from here; try again when it can");
    if (status == -EBUSY)
        return fail(ret_error, -EBUSY, "too much is asked of the mesh at once");
    return status;
}

static void register_name(const uint8_t id[INVITATION_ID_SIZE], char *ret, size_t size)
{
    snprintf(ret, size, REGISTER_INVITATION "%u", id[0]);
}

/* ---- inviting ---- */

static int draw(struct admission *a);

static bool is_taken(const void *value, size_t len)
{
    struct invitation there = { .admitted = NULL };
    bool is_old;

    if (!value)
        return false;
    if (invitation_decode(value, len, &there) < 0)
        return true; /* a later version's, or there was no memory */
    is_old = invitation_is_old(&there, runtime_wall());
    invitation_release(&there);
    return !is_old;
}

static int put_invitation(void *arg, const void *value, size_t len, struct buffer *ret)
{
    struct admission *a = arg;

    return is_taken(value, len) ? -EEXIST : invitation_encode(&a->invitation, ret);
}

static void end_inviting(struct admission *take_admission, int status)
{
    CLEANUP(admission_freep) struct admission *a = take_admission;

    take_out(a);
    a->inviting.done(a->inviting.arg, status, &a->token, &a->why);
}

static void on_put(void *arg, int status, const void *value, size_t len)
{
    struct admission *a = arg;

    (void)value, (void)len;
    if (status == -EEXIST)
        status = ++a->n_draws < DRAWS_MAX
                     ? draw(a)
                     : fail(&a->why, -ENOSPC,
                            "the mesh has as many invitations as it can have");
    else if (status == 0)
        end_inviting(a, 0);
    if (status < 0)
        end_inviting(a, runtime_register_failed(status, &a->why));
}

static int draw(struct admission *a)
{
    char name[REGISTER_NAME_MAX + 1];
    const struct register_exchange x = {
        .name = name, .change = put_invitation, .done = on_put, .arg = a
    };
    int r = identity_invite(a->rt->mesh->identity, &a->inviting.invite, runtime_wall(),
                            &a->token, &a->invitation, &a->why);

    if (r < 0)
        return r;
    register_name(a->token.invitation, name, sizeof(name));
    return runtime_register_exchange(a->rt, &x, &a->exchange);
}

/* This node first, then other issuers, by any of which the token is good. */
static int find_contacts(struct admission *a)
{
    struct invite *invite = &a->inviting.invite;
    struct member_view m;
    int r = runtime_contact(a->rt, &a->contacts[0]);

    if (r < 0)
        return fail(&a->why, r,
                    "this node is of no mesh: see mesh init, and mesh node "
                    "--help");
    invite->contacts = a->contacts;
    invite->n_contacts = 1;
    for (size_t i = 0; runtime_member_at(a->rt, i, &m); i++) {
        const struct member_card *card = &m.note->card;
        struct join_contact *c = &a->contacts[invite->n_contacts];

        if (invite->n_contacts == JOIN_CONTACTS_MAX)
            break;
        if (m.is_self || m.note->state != MEMBER_ALIVE || !m.note->has_card
            || !(card->roles & ROLE_ISSUER) || !card->address
            || !contact_address_is_good(card->address))
            continue;
        strcpy(c->address, card->address);
        memcpy(c->curve_key, card->curve_key, CURVE_KEY_SIZE);
        invite->n_contacts++;
    }
    return 0;
}

int runtime_invite(struct runtime *rt, const struct inviting *inviting,
                   uint64_t *ret_id, struct error *ret_error)
{
    struct admission *a;
    int r;

    if (!runtime_has_registers(rt))
        return fail(ret_error, -ENOTSUP,
                    "this node is of no mesh: see mesh init, and mesh node --help");
    a = add(rt);
    if (!a)
        return -ENOMEM;
    a->inviting = *inviting;
    *ret_id = a->id = ++rt->mesh->n_invited;
    r = find_contacts(a);
    if (r == 0)
        r = draw(a);
    if (r < 0) {
        *ret_error = a->why;
        take_out(a);
        admission_free(a);
    }
    return r;
}

void runtime_invite_cancel(struct runtime *rt, uint64_t id)
{
    for (struct admission *a = rt->mesh ? rt->mesh->admissions : NULL; a; a = a->next) {
        if (a->id != id)
            continue;
        runtime_register_cancel(rt, a->exchange);
        take_out(a);
        admission_free(a);
        return;
    }
}

/* ---- letting in ---- */

static int decide(struct admission *a, struct invitation *invitation,
                  struct buffer *ret_value)
{
    uint32_t n = invitation ? invitation->n_admitted : 0;
    int r = join_decide(a->rt->mesh->identity, &a->m.u.join, a->curve_key,
                        runtime_wall(), invitation, &a->chain, &a->why);

    if (r < 0)
        return r;
    return invitation->n_admitted == n ? REGISTER_AS_IS
                                       : invitation_encode(invitation, ret_value);
}

static int admit(void *arg, const void *value, size_t len, struct buffer *ret_value)
{
    struct invitation invitation = { .admitted = NULL };
    bool is_there = value && invitation_decode(value, len, &invitation) == 0;
    int r = decide(arg, is_there ? &invitation : NULL, ret_value);

    invitation_release(&invitation);
    return r;
}

/* Who asks may come again when the mesh cannot answer now. */
static void on_admitted(void *arg, int status, const void *value, size_t len)
{
    CLEANUP(admission_freep) struct admission *a = arg;
    struct runtime_mesh *m = a->rt->mesh;

    (void)value, (void)len;
    take_out(a);
    if (status == -ETIMEDOUT || status == -EBUSY) {
        runtime_register_failed(status, &a->why);
        status = -EBUSY;
    }
    if (m->peers)
        m->peers_module->admit(m->peers, a->asked, a->m.u.join.name, &a->chain, status,
                               a->why.text);
}

static int copy_join(const struct join_message *join, struct message *ret)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int r = message_encode(&(struct message){ .type = MESSAGE_JOIN, .u.join = *join },
                           &bytes);

    return r < 0 ? r : message_decode(bytes.data, bytes.len, ret);
}

static int begin(struct admission *a, const struct join_message *join,
                 const uint8_t curve_key[CURVE_KEY_SIZE])
{
    uint8_t id[INVITATION_ID_SIZE];
    char name[REGISTER_NAME_MAX + 1];
    const struct register_exchange x = {
        .name = name, .change = admit, .done = on_admitted, .arg = a
    };
    int r = copy_join(join, &a->m);

    if (r < 0)
        return r;
    memcpy(a->curve_key, curve_key, CURVE_KEY_SIZE);
    if (!a->m.u.join.name || !join_is_by_token(&a->m.u.join, id))
        return -EBADMSG;
    register_name(id, name, sizeof(name));
    return runtime_register_exchange(a->rt, &x, &a->exchange);
}

int runtime_admit(void *arg, uint64_t asked, const struct join_message *join,
                  const uint8_t curve_key[CURVE_KEY_SIZE], struct error *ret_error)
{
    struct runtime *rt = arg;
    struct admission *a;
    int r;

    if (rt->is_stopping || !runtime_has_registers(rt)
        || rt->mesh->n_admissions >= ADMISSIONS_MAX)
        return fail(ret_error, -EBUSY, "the node cannot let anybody in just now");
    a = add(rt);
    if (!a)
        return -ENOMEM;
    a->asked = asked;
    r = begin(a, join, curve_key);
    if (r < 0) {
        take_out(a);
        admission_free(a);
        return fail(ret_error, r, "what was sent is no request to join");
    }
    return 0;
}
