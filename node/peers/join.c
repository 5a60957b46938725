/* SPDX-License-Identifier: Apache-2.0 */
/* Asking to be let in, before there is a loop or a certificate. */
#include "node/join.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "node/peers/peers_internal.h"

enum { ANSWER_MS = 5000, AGAIN_MS = 500 };

struct asking {
    const struct peers_join *join;
    void *context;
    struct buffer frame; /* the JOIN */
    struct error *error;
};

static uint64_t now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void zmq_closep(void **socket)
{
    if (*socket)
        zmq_close(*socket);
}

/* ---- the answer ---- */

static size_t contacts_of(const struct joined_message *j,
                          const struct join_token *token, struct join_contact *ret)
{
    size_t n = 0;

    for (size_t i = 0; i < j->n_contacts && n < CONTACTS_MAX; i++) {
        const struct member_card *card = &j->contacts[i].card;

        if (!j->contacts[i].has_card || !card->address
            || !contact_address_is_good(card->address))
            continue;
        strcpy(ret[n].address, card->address);
        memcpy(ret[n++].curve_key, card->curve_key, CURVE_KEY_SIZE);
    }
    for (size_t i = 0; i < token->n_contacts && n < CONTACTS_MAX; i++)
        ret[n++] = token->contacts[i];
    return n;
}

static int accept_answer(struct asking *a, const struct joined_message *j)
{
    const struct peers_join *join = a->join;
    struct join_contact contacts[CONTACTS_MAX];
    struct mesh_root root;
    struct chain chain;
    int r;

    if (j->status)
        return fail(a->error, j->status < 0 ? j->status : -EPROTO,
                    "the mesh does not let this node in: %.300s",
                    j->text ? j->text : strerror(-j->status));
    if (mesh_root_decode(j->authority, j->authority_len, &root) < 0
        || chain_decode(j->certificate, j->certificate_len, &chain) < 0)
        return fail(a->error, -EBADMSG, "the issuer's answer cannot be read");
    if (memcmp(root.authority, join->token->root.authority, NODE_KEY_SIZE) != 0
        || memcmp(root.mesh, join->token->root.mesh, MESH_ID_SIZE) != 0)
        return fail(a->error, -EKEYREJECTED,
                    "who answered is of another mesh than the token");
    r = identity_adopt(join->identity, &root, &chain, join->wall, a->error);
    return r < 0 ? r
                 : identity_remember(join->identity, contacts,
                                     contacts_of(j, join->token, contacts), a->error);
}

static int read_answer(struct asking *a, void *socket)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    zmq_msg_t part;
    size_t n;
    int r = socket_read(socket, &part, 1, &n);

    if (r < 0)
        return r;
    r = message_decode(zmq_msg_data(&part), zmq_msg_size(&part), &m);
    parts_close(&part, n);
    if (r < 0 || m.type != MESSAGE_JOINED)
        return fail(a->error, -EBADMSG, "the issuer's answer cannot be read");
    return accept_answer(a, &m.u.joined);
}

/* ---- asking ---- */

static void *connect_to(const struct asking *a, const struct join_contact *c)
{
    const struct identity *i = a->join->identity;
    char endpoint[ENDPOINT_SIZE];
    void *socket = socket_new(a->context, ZMQ_DEALER);

    if (!socket)
        return NULL;
    snprintf(endpoint, sizeof(endpoint), "tcp://%s", c->address);
    if (zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, c->curve_key, CURVE_KEY_SIZE) == 0
        && zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, identity_curve_key(i),
                          CURVE_KEY_SIZE)
               == 0
        && zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, identity_curve_secret(i),
                          CURVE_KEY_SIZE)
               == 0
        && zmq_connect(socket, endpoint) == 0)
        return socket;
    zmq_close(socket);
    return NULL;
}

/* -EAGAIN: it did not answer. */
static int ask(struct asking *a, const struct join_contact *c, long patience_ms)
{
    CLEANUP(zmq_closep) void *socket = connect_to(a, c);
    zmq_pollitem_t item = { .socket = socket, .events = ZMQ_POLLIN };

    if (!socket || zmq_send(socket, a->frame.data, a->frame.len, ZMQ_DONTWAIT) < 0)
        return -EAGAIN;
    return zmq_poll(&item, 1, patience_ms) > 0 ? read_answer(a, socket) : -EAGAIN;
}

/* An issuer's refusal is final, but for one that is no issuer, the next may be one, and
 * one whose mesh has no majority now. */
static int ask_all(struct asking *a)
{
    const struct join_token *token = a->join->token;
    uint64_t end = now_ms() + a->join->patience_ms;
    int r = -EAGAIN, best = -EAGAIN;

    for (;;) {
        for (size_t i = 0; i < token->n_contacts; i++) {
            uint64_t now = now_ms();
            long left = now < end ? (long)(end - now) : 0;

            r = ask(a, &token->contacts[i], left < ANSWER_MS ? left : ANSWER_MS);
            if (r != -EAGAIN && r != -ENOENT && r != -EBUSY)
                return r;
            best = r == -EAGAIN ? best : r;
        }
        if (r == -ENOENT)
            return r;
        if (now_ms() + AGAIN_MS >= end)
            return best == -EBUSY
                       ? best
                       : fail(
                           a->error, -ETIMEDOUT,
                           "nobody answers at %s: is the node there, and does nothing "
                           "between keep connections out?",
                           token->contacts[0].address);
        zmq_poll(NULL, 0, AGAIN_MS);
    }
}

int peers_join(const struct peers_join *join, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer proof = BUFFER_INIT;
    struct message m = { .type = MESSAGE_JOIN };
    struct asking a = { .join = join, .error = ret_error };
    int r;

    if (join->wall >= join->token->expires)
        return fail(ret_error, -EKEYEXPIRED,
                    "the token has expired; make another one: mesh invite");
    r = join_ask(join->identity, join->token, join->name, join->zone, &proof, &m.u.join,
                 ret_error);
    if (r == 0)
        r = message_encode(&m, &a.frame);
    if (r == 0) {
        a.context = zmq_ctx_new();
        r = a.context ? ask_all(&a) : -ENOMEM;
        if (a.context)
            zmq_ctx_term(a.context);
    }
    buffer_release(&a.frame);
    return r;
}
