/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to and from the other nodes, by the module that speaks ZeroMQ. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "node/runtime_audit.h"
#include "node/exchange.h"
#include "node/module.h"
#include "node/runtime_mesh.h"
#include "node/runtime_peer.h"

/* ---- what is sent ---- */

/* A peer that does not take it hears of it again: all that must arrive is repeated by
 * who has something to gain from it. */
static void send_bytes(struct runtime *rt, const struct node_id *peer, const void *data,
                       size_t len)
{
    const struct runtime_mesh *m = rt->mesh;

    if (m->peers)
        m->peers_module->send(m->peers, peer, data, len, false);
}

static bool is_durable(const struct runtime *rt, uint64_t ticket)
{
    return ticket <= rt->tickets.durable;
}

void runtime_mesh_post(struct runtime *rt, const struct action *a)
{
    struct mesh_letters *held = &rt->mesh->held;
    struct mesh_letter *l;

    if (is_durable(rt, a->ticket)) {
        send_bytes(rt, &a->u.mesh.peer, a->u.mesh.bytes, a->u.mesh.len);
        return;
    }
    l = malloc(sizeof(*l) + a->u.mesh.len);
    if (!l) {
        runtime_give_up(rt, -ENOMEM, "out of memory");
        return;
    }
    *l = (struct mesh_letter){ .ticket = a->ticket,
                               .peer = a->u.mesh.peer,
                               .len = a->u.mesh.len };
    memcpy(l->bytes, a->u.mesh.bytes, l->len);
    *held->last = l;
    held->last = &l->next;
    held->bytes += l->len;
}

/* One that waits for less may stand behind one that waits for more: all are looked at,
 * and there are few. */
void runtime_mesh_post_durable(struct runtime *rt, uint64_t ticket)
{
    struct mesh_letters *held = &rt->mesh->held;
    struct mesh_letter **at = &held->first;

    while (*at) {
        struct mesh_letter *l = *at;

        if (l->ticket > ticket) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        if (!*at)
            held->last = at;
        held->bytes -= l->len;
        send_bytes(rt, &l->peer, l->bytes, l->len);
        free(l);
    }
}

static void letters_release(struct mesh_letters *held)
{
    while (held->first) {
        struct mesh_letter *l = held->first;

        held->first = l->next;
        free(l);
    }
    held->last = &held->first;
}

int runtime_mesh_send(struct runtime *rt, const struct node_id *peer,
                      const struct message *message, bool is_bulk)
{
    const struct runtime_mesh *m = rt->mesh;
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    int r = message_encode(message, &bytes);

    if (r < 0)
        return r;
    if (!m->peers)
        return -ENOTCONN;
    return m->peers_module->send(m->peers, peer, bytes.data, bytes.len, is_bulk);
}

bool runtime_mesh_is_connected(const struct runtime *rt, const struct node_id *peer)
{
    const struct runtime_mesh *m = rt->mesh;

    return m->peers && m->peers_module->is_connected(m->peers, peer);
}

/* ---- what arrives ---- */

/* How often an invitation was used is counted by those who may let nodes in. */
static bool may_propose(const struct runtime *rt, const struct node_id *from,
                        const struct propose_message *p)
{
    static const char prefix[] = REGISTER_INVITATION;
    const struct chain *c;

    if (p->op == PROPOSE_READ || !p->key
        || strncmp(p->key, prefix, sizeof(prefix) - 1) != 0)
        return true;
    c = keyring_find(identity_keyring(rt->mesh->identity), from);
    return c && !c->has_issuer && (c->leaf.roles & ROLE_ISSUER);
}

static void on_message(void *arg, const struct node_id *from, const void *data,
                       size_t len, bool is_bulk)
{
    struct runtime *rt = arg;
    struct message m;
    struct mesh_event e = { .type = MESH_EVENT_MESSAGE, .peer = *from };

    (void)is_bulk;
    if (rt->is_stopping || message_decode(data, len, &m) < 0)
        return;
    switch (m.type) {
    case MESSAGE_RECORDS_GET:
        runtime_mesh_serve_records(rt, from, &m.u.records_get);
        break;
    case MESSAGE_RECORDS:
        if (preparer_on_records(rt->mesh->preparer, from, &m.u.records, runtime_now(rt))
            < 0)
            runtime_give_up(rt, -ENOMEM, "out of memory");
        break;
    case MESSAGE_REQUEST:
    case MESSAGE_REPLY:
        runtime_peer_on_message(rt, from, &m);
        break;
    case MESSAGE_BLOB_FIND:
    case MESSAGE_BLOB_HOLDERS:
    case MESSAGE_BLOB_GET:
    case MESSAGE_BLOB_DATA:
        exchange_on_message(rt->mesh->exchange, from, &m);
        break;
    case MESSAGE_PROPOSE:
        if (!may_propose(rt, from, &m.u.propose))
            break;
        e.u.message = &m;
        runtime_mesh_step(rt, &e);
        break;
    default:
        e.u.message = &m;
        runtime_mesh_step(rt, &e);
        break;
    }
    message_release(&m);
    runtime_drain(rt);
}

/* Who is told of a member that has a certificate lets it in when it knocks. */
static void learn(struct runtime *rt, const struct member_note *note)
{
    const struct runtime_mesh *m = rt->mesh;
    struct chain chain;

    if (note->has_card && note->card.certificate_len
        && chain_decode(note->card.certificate, note->card.certificate_len, &chain)
               == 0)
        m->peers_module->learn(m->peers, &chain);
}

static void on_connected(void *arg, const struct node_id *peer,
                         const struct hello *hello)
{
    struct runtime *rt = arg;
    struct mesh_event contact = { .type = MESH_EVENT_CONTACT,
                                  .u.contact = &hello->self };
    struct mesh_event connected = { .type = MESH_EVENT_CONNECTED, .peer = *peer };

    if (rt->is_stopping)
        return;
    runtime_mesh_remember(rt, &hello->self);
    exchange_on_connected(rt->mesh->exchange, peer);
    runtime_mesh_step(rt, &contact);
    runtime_mesh_event(rt, &connected);
}

static void on_disconnected(void *arg, const struct node_id *peer, bool is_refused)
{
    struct runtime *rt = arg;
    struct mesh_event e = { .type = MESH_EVENT_DISCONNECTED,
                            .peer = *peer,
                            .u.is_refused = is_refused };

    if (rt->is_stopping)
        return;
    runtime_peer_on_gone(rt, peer);
    exchange_on_disconnected(rt->mesh->exchange, peer);
    if (preparer_on_gone(rt->mesh->preparer, peer, runtime_now(rt)) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
    runtime_mesh_event(rt, &e);
}

static void on_room(void *arg, const struct node_id *peer, bool is_bulk)
{
    struct runtime *rt = arg;

    (void)is_bulk;
    if (!rt->is_stopping)
        exchange_on_writable(rt->mesh->exchange, peer);
}

static int append_hello(void *arg, struct buffer *out)
{
    const struct runtime *rt = arg;
    const struct runtime_mesh *m = rt->mesh;
    struct message message = { .type = MESSAGE_HELLO,
                               .u.hello = { .wall = runtime_wall() } };
    struct member_note *self = &message.u.hello.self;
    struct member_view view;

    memcpy(message.u.hello.mesh, identity_root(m->identity)->mesh, MESH_ID_SIZE);
    if (m->core && gossip_find(mesh_members(m->core), &m->self, &view))
        *self = *view.note;
    else
        *self = (struct member_note){ .id = m->self,
                                      .incarnation = mesh_incarnation(m->boot, m->term),
                                      .state = MEMBER_ALIVE,
                                      .has_card = true,
                                      .card = m->card };
    return message_encode(&message, out);
}

static void on_refused(void *arg, const char *address, int status, const char *text)
{
    runtime_log(arg, "peer.refused", "address=%s error=%s: %s", address,
                strerror(-status), text);
}

static void on_asked(void *arg, const char *name, int status, const char *text)
{
    struct audit_entry e = { .verb = "join",
                             .way = AUDIT_BY_MESH,
                             .verdict = status < 0 ? AUDIT_REFUSED : AUDIT_DONE,
                             .from = name,
                             .why = text };

    if (status < 0)
        runtime_audit_stranger(arg, &e);
    else
        runtime_audit(arg, &e);
}

static void on_revoked(void *arg, const struct node_id *node)
{
    struct runtime *rt = arg;
    char text[NODE_ID_TEXT_SIZE];
    struct audit_entry e = {
        .verb = "revoked", .way = AUDIT_BY_MESH, .verdict = AUDIT_DONE, .about = text
    };

    node_id_text(node, text);
    runtime_audit(rt, &e);

    if (node_id_equal(node, &rt->mesh->self))
        runtime_log(rt, "mesh.shut_out",
                    "this node was revoked: the others do not talk to it any more");
}

/* The others take the new certificate from the card. */
static void on_renewed(void *arg)
{
    struct runtime *rt = arg;
    struct runtime_mesh *m = rt->mesh;
    CLEANUP(buffer_release) struct buffer certificate = BUFFER_INIT;
    struct mesh_event e = { .type = MESH_EVENT_CARD, .u.card = &m->card };

    if (chain_encode(identity_chain(m->identity), &certificate) < 0)
        return; /* the old one is good for a while, and it is asked for again */
    free(m->card.certificate);
    m->card.certificate_len = certificate.len;
    m->card.certificate = (uint8_t *)buffer_take(&certificate);
    if (m->core && !rt->is_stopping) {
        runtime_mesh_keep_certificate(rt, &m->self);
        runtime_mesh_event(rt, &e);
    }
}

static void on_event(void *arg, const char *event, const char *text)
{
    runtime_log(arg, event, "%s", text);
}

void runtime_mesh_connect(struct runtime *rt, const struct action *a)
{
    const struct runtime_mesh *m = rt->mesh;
    const struct member_card *card = a->u.mesh.card;
    int r;

    if (!m->peers)
        return;
    if (a->type == ACTION_DISCONNECT) {
        m->peers_module->disconnect(m->peers, &a->u.mesh.peer);
        return;
    }
    learn(rt, &(struct member_note){ .has_card = true, .card = *card });
    r = m->peers_module->connect(m->peers, &a->u.mesh.peer, card->address,
                                 card->bulk_port, card->curve_key);
    if (r < 0)
        runtime_log(rt, "peer.unreachable", "address=%s error=%s", card->address,
                    strerror(-r));
}

/* ---- the module ---- */

static int load(struct runtime *rt, struct error *ret_error)
{
    struct runtime_mesh *m = rt->mesh;

    m->peers_module = module_load("mesh-peer.so", "mesh_peers_module", ret_error);
    return m->peers_module ? 0 : -ENOENT;
}

int runtime_mesh_wire_open(struct runtime *rt, struct error *ret_error)
{
    struct runtime_mesh *m = rt->mesh;
    struct peers_config config = {
        .loop = &rt->loop,
        .identity = m->identity,
        .listen = rt->before && rt->before->peer_listen ? rt->before->peer_listen
                                                        : rt->config.peer_listen,
        .bulk_port = rt->before ? rt->before->bulk_port : 0,
        .advertise = rt->config.peer_advertise,
        .callbacks = { .arg = rt,
                       .hello = append_hello,
                       .on_message = on_message,
                       .on_connected = on_connected,
                       .on_disconnected = on_disconnected,
                       .on_room = on_room,
                       .on_refused = on_refused,
                       .on_revoked = on_revoked,
                       .on_join = runtime_admit,
                       .on_asked = on_asked,
                       .on_renewed = on_renewed,
                       .on_event = on_event },
    };
    int r = load(rt, ret_error);

    return r < 0 ? r : m->peers_module->start(&config, &m->peers, ret_error);
}

void runtime_mesh_wire_close(struct runtime *rt)
{
    struct runtime_mesh *m = rt->mesh;

    letters_release(&m->held);
    if (m->peers)
        m->peers_module->stop(TAKE(m->peers));
}
