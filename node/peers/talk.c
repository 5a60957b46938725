/* SPDX-License-Identifier: Apache-2.0 */
/* What arrives, by type. A HELLO makes a connection a member's; a JOIN may come before;
 * what nodes say about certificates and revocations ends here. All else goes up, if a
 * member said it on the connection that its HELLO came by. */
#include <errno.h>
#include <string.h>

#include "base/version.h"
#include "node/join.h"
#include "node/peers/peers_internal.h"

enum { CONTACTS_TOLD = 8, RENEW_MS = 60000 };

/* ---- saying ---- */

void talk_say_hello(struct peers *p, struct peer *peer)
{
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;

    if (p->callbacks.hello(p->callbacks.arg, &frame) == 0)
        link_send(p, &peer->links[CONTROL], CONTROL, frame.data, frame.len);
}

static void say_hello_to_all(struct peers *p)
{
    struct peer *peer, *next;

    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer->links[CONTROL].state == LINK_UP)
            talk_say_hello(p, peer);
    }
}

static void send_message(struct peers *p, struct peer *peer, const struct message *m)
{
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;

    if (message_encode(m, &frame) == 0)
        link_send(p, &peer->links[CONTROL], CONTROL, frame.data, frame.len);
}

void talk_tell_revocations(struct peers *p, struct peer *peer)
{
    const struct revocations *s = keyring_revocations(identity_keyring(p->identity));

    for (size_t i = 0; i < s->n;) {
        CLEANUP(buffer_release) struct buffer records = BUFFER_INIT;
        struct message m = { .type = MESSAGE_REVOKED };
        int next = revocations_encode(s, i, MESSAGE_BATCH_BYTES, &records);

        if (next < 0)
            return;
        i = (size_t)next;
        m.u.revoked = (struct revoked_message){ .records = (uint8_t *)records.data,
                                                .records_len = records.len };
        send_message(p, peer, &m);
    }
}

/* ---- HELLO ---- */

struct claim {
    const struct hello *hello;
    struct chain chain;
    struct node_id id;
};

/* What a HELLO says of itself, if a certificate says so too. */
static int check_hello(struct peers *p, const struct hello *h, const uint8_t *curve_key,
                       struct claim *ret, struct error *why)
{
    const struct member_card *card = &h->self.card;
    struct claim c = { .hello = h };
    int r;

    if (memcmp(h->mesh, identity_root(p->identity)->mesh, MESH_ID_SIZE) != 0)
        return fail(why, -EXDEV, "this node is of another mesh");
    if (!mesh_minor_is_near(card->minor))
        return fail(why, -EPROTONOSUPPORT,
                    "%s of mesh %s (protocol %u) and mesh %s (protocol %u) do not "
                    "understand each other: upgrade one version after the other",
                    card->name ? card->name : "a node",
                    card->version ? card->version : "?", card->minor, mesh_version(),
                    mesh_minor());
    if (!card->certificate_len
        || chain_decode(card->certificate, card->certificate_len, &c.chain) < 0)
        return fail(why, -EKEYREJECTED, "the hello has no certificate");
    r = keyring_add(identity_keyring(p->identity), &c.chain, peers_wall(p), why);
    if (r < 0)
        return r;
    c.id = node_id_of_key(c.chain.leaf.node_key);
    if (memcmp(c.chain.leaf.curve_key, curve_key, CURVE_KEY_SIZE) != 0
        || memcmp(card->curve_key, curve_key, CURVE_KEY_SIZE) != 0
        || !node_id_equal(&c.id, &h->self.id))
        return fail(why, -EKEYREJECTED, "the certificate is another node's");
    if (node_id_equal(&c.id, &p->self))
        return fail(why, -EEXIST, "this node has the same identity: %s",
                    "a folder was copied; give one of the two a folder of its own");
    if (!card->address || !contact_address_is_good(card->address)
        || card->bulk_port > UINT16_MAX)
        return fail(why, -EINVAL, "the hello has no address");
    *ret = c;
    return 0;
}

/* Of two processes with one identity the one that started last counts; if that does not
 * tell, the one with the greater address, so that all peers agree. */
static bool is_older(const struct peer *peer, const struct claim *c)
{
    if (c->hello->self.incarnation >> 32 != peer->incarnation >> 32)
        return c->hello->self.incarnation >> 32 < peer->incarnation >> 32;
    return strcmp(c->hello->self.card.address, peer->address) < 0;
}

/* Takes the message, to whose arena the claim points. */
static void note_hello(struct peers *p, struct peer *peer, const struct claim *c,
                       struct message *take_message)
{
    const struct member_card *card = &c->hello->self.card;

    if (strcmp(peer->address, card->address) != 0) {
        link_close(p, peer, CONTROL);
        link_close(p, peer, BULK);
    }
    if (peer->bulk_port != card->bulk_port)
        link_close(p, peer, BULK);
    strcpy(peer->address, card->address);
    peer->bulk_port = card->bulk_port;
    peer->incarnation = c->hello->self.incarnation;
    message_release(&peer->hello);
    peer->hello = *take_message;
    *take_message = (struct message){ .arena = NULL };
    peer_set_id(p, peer, &c->id);
}

/* Its connection before, if there is one, is over; or it is elsewhere now. */
static void start_anew(struct peers *p, struct peer *peer, const struct guest *g)
{
    if (peer->guest && peer->guest != g)
        guest_drop(p, peer->guest);
    if (!peer->is_up)
        return;
    link_close(p, peer, CONTROL);
    link_close(p, peer, BULK);
    peer_told_down(p, peer, false);
}

static void on_hello(struct peers *p, struct guest *g, const uint8_t *curve_key,
                     zmq_msg_t *body)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    struct error why = { .text = "it is no hello" };
    struct claim claim;
    struct peer *peer;
    int r = message_decode(zmq_msg_data(body), zmq_msg_size(body), &m);

    if (r == 0)
        r = check_hello(p, &m.u.hello, curve_key, &claim, &why);
    if (r < 0) {
        peers_tell(p, "peer.refused", "%s", why.text);
        guest_refuse(p, g, r, why.text);
        return;
    }
    peer = peer_find_curve(p, curve_key);
    if (!peer)
        peer = peer_add(p, curve_key);
    if (!peer) {
        guest_refuse(p, g, -EBUSY, "this node has as many connections as it may");
        return;
    }
    if (peer->guest && peer->guest != g && is_older(peer, &claim)) {
        guest_refuse(p, g, -EEXIST,
                     "another node has the same identity: a folder was copied; give "
                     "one of the two a folder of its own");
        return;
    }
    peer->is_kept = true;
    if (peer->guest != g || strcmp(peer->address, claim.hello->self.card.address) != 0)
        start_anew(p, peer, g);
    guest_join(p, g, peer);
    peer->guest = g;
    peer->is_kept = false;
    note_hello(p, peer, &claim, &m);
    if (peer->links[CONTROL].state == LINK_DOWN) {
        peer->redial_ms = REDIAL_MIN_MS;
        peer_dial(p, peer);
    }
    peer_check_up(p, peer);
}

/* ---- JOIN ---- */

static size_t contacts_told(const struct peers *p, struct message *own,
                            struct member_note *notes)
{
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;
    struct peer *peer, *next;
    size_t n = 0;

    if (p->callbacks.hello(p->callbacks.arg, &frame) == 0
        && message_decode(frame.data, frame.len, own) == 0)
        notes[n++] = own->u.hello.self;
    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer->is_up && n < CONTACTS_TOLD)
            notes[n++] = peer->hello.u.hello.self;
    }
    return n;
}

static void answer_join(struct peers *p, struct guest *g, const struct chain *chain)
{
    CLEANUP(buffer_release) struct buffer certificate = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer root = BUFFER_INIT;
    CLEANUP(message_release) struct message own = { .arena = NULL };
    struct member_note contacts[CONTACTS_TOLD];
    struct message m = { .type = MESSAGE_JOINED };

    chain_encode(chain, &certificate);
    mesh_root_encode(identity_root(p->identity), &root);
    m.u.joined = (struct joined_message){
        .certificate = (uint8_t *)certificate.data,
        .certificate_len = certificate.len,
        .authority = (uint8_t *)root.data,
        .authority_len = root.len,
        .contacts = contacts,
        .n_contacts = contacts_told(p, &own, contacts),
    };
    if (!buffer_failed(&certificate) && !buffer_failed(&root) && guest_send(p, g, &m))
        p->counters.joined++;
}

static void tell_asked(const struct peers *p, const char *name, int status,
                       const char *text)
{
    if (p->callbacks.on_asked)
        p->callbacks.on_asked(p->callbacks.arg, name ? name : "", status, text);
}

static void tell_joined(struct peers *p, struct guest *g, const char *name,
                        const struct chain *chain, int status, const char *text)
{
    if (status == 0)
        peers_tell(p, "peer.joined", "name=%s", name);
    else
        peers_tell(p, "peer.refused", "%s", text);
    tell_asked(p, name, status, text);
    if (g && status == 0)
        answer_join(p, g, chain);
    else if (g)
        guest_deny(p, g, status, text);
}

void peers_admit(struct peers *p, uint64_t asked, const char *name,
                 const struct chain *chain, int status, const char *text)
{
    struct guest *g, *next, *found = NULL;

    HASH_ITER (hh, p->guests, g, next)
        if (g->asked == asked)
            found = g;
    tell_joined(p, found, name, chain, status, text);
}

/* An issuer asks the mesh first; who is none says so itself. */
static int begin_admission(struct peers *p, struct guest *g,
                           const struct join_message *m, const uint8_t *curve_key,
                           struct error *ret_error)
{
    if (!p->callbacks.on_join || !identity_is_issuer(p->identity))
        return fail(ret_error, -ENOENT, "this node is no issuer");
    g->asked = ++p->n_asked;
    return p->callbacks.on_join(p->callbacks.arg, g->asked, m, curve_key, ret_error);
}

static void on_join(struct peers *p, struct guest *g, const uint8_t *curve_key,
                    zmq_msg_t *body)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    struct error why = { .text = "it is no request to join" };
    uint8_t invitation[INVITATION_ID_SIZE];
    struct chain chain;
    int r = message_decode(zmq_msg_data(body), zmq_msg_size(body), &m);

    g->strikes++; /* few are enough */
    if (r == 0 && join_is_by_token(&m.u.join, invitation)) {
        r = begin_admission(p, g, &m.u.join, curve_key, &why);
        if (r == 0)
            return;
    } else if (r == 0) {
        r = join_decide(p->identity, &m.u.join, curve_key, peers_wall(p), NULL, &chain,
                        &why);
    }
    tell_joined(p, g, m.type == MESSAGE_JOIN ? m.u.join.name : "", &chain, r, why.text);
}

/* ---- REVOKED ---- */

static void on_new_revocation(void *arg, const struct node_id *node)
{
    struct peers *p = arg;
    char text[NODE_ID_TEXT_SIZE];

    node_id_text(node, text);
    peers_tell(p, "peer.revoked", "node=%s", text);
    p->has_new_revocations = true;
    if (p->callbacks.on_revoked)
        p->callbacks.on_revoked(p->callbacks.arg, node);
}

static void on_revoked(struct peers *p, const struct peer *from, zmq_msg_t *body)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    struct peer *peer, *next;
    int r = message_decode(zmq_msg_data(body), zmq_msg_size(body), &m);

    p->has_new_revocations = false;
    if (r == 0)
        r = identity_learn_revocations(p->identity, m.u.revoked.records,
                                       m.u.revoked.records_len, peers_wall(p),
                                       on_new_revocation, p);
    if (r < 0)
        p->counters.garbage++;
    if (!p->has_new_revocations)
        return;
    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer != from && peer->is_up)
            link_send(p, &peer->links[CONTROL], CONTROL, zmq_msg_data(body),
                      zmq_msg_size(body));
    }
    peers_drop_revoked(p);
}

/* ---- renewal ---- */

static void on_certificate(struct peers *p, const struct joined_message *j)
{
    struct error why = { .text = "" };
    struct mesh_root root;
    struct chain chain;
    int r = mesh_root_decode(j->authority, j->authority_len, &root);

    if (r == 0)
        r = chain_decode(j->certificate, j->certificate_len, &chain);
    if (r == 0)
        r = identity_adopt(p->identity, &root, &chain, peers_wall(p), &why);
    if (r < 0) {
        peers_tell(p, "peer.renewal_failed", "%s", why.text);
        return;
    }
    peers_tell(p, "peer.renewed", "serial=%016llx",
               (unsigned long long)chain.leaf.serial);
    if (p->callbacks.on_renewed)
        p->callbacks.on_renewed(p->callbacks.arg);
    say_hello_to_all(p);
}

/* By who may sign: the authority's own, or the authority's issuer. */
static bool may_sign(const struct peers *p, const struct peer *peer)
{
    const struct chain *c =
        peer->is_up ? keyring_find(identity_keyring(p->identity), &peer->id) : NULL;

    return c && !c->has_issuer && (c->leaf.roles & ROLE_ISSUER);
}

static void ask_for_renewal(struct peers *p)
{
    CLEANUP(buffer_release) struct buffer proof = BUFFER_INIT;
    struct message m = { .type = MESSAGE_JOIN };
    struct peer *peer, *next;

    if (join_renew(p->identity, &proof, &m.u.join) < 0)
        return;
    HASH_ITER (by_curve, p->curves, peer, next) {
        if (may_sign(p, peer))
            send_message(p, peer, &m);
    }
}

void talk_renew(struct peers *p)
{
    uint64_t now = peers_ms(p);

    if (now < p->renew_ms || !identity_is_renewal_due(p->identity, peers_wall(p)))
        return;
    p->renew_ms = now + RENEW_MS;
    if (!identity_has_authority(p->identity)) {
        ask_for_renewal(p);
        return;
    }
    if (identity_certify(p->identity, NULL, NULL, peers_wall(p), NULL) < 0)
        return;
    if (p->callbacks.on_renewed)
        p->callbacks.on_renewed(p->callbacks.arg);
    say_hello_to_all(p);
}

/* ---- what arrives ---- */

/* Who sends what is not for him is dropped after a while. */
static void strike(struct peers *p, struct guest *g, uint64_t *counter)
{
    ++*counter;
    if (++g->strikes >= STRIKES_MAX)
        guest_drop(p, g);
}

static void deliver(struct peers *p, const struct peer *from, zmq_msg_t *body,
                    bool is_bulk)
{
    p->counters.received++;
    p->counters.received_bytes += zmq_msg_size(body);
    p->callbacks.on_message(p->callbacks.arg, &from->id, zmq_msg_data(body),
                            zmq_msg_size(body), is_bulk);
}

static void on_control(struct peers *p, struct guest *g, const uint8_t *curve_key,
                       zmq_msg_t *body)
{
    enum message_type type = message_peek(zmq_msg_data(body), zmq_msg_size(body));
    bool is_member = g->peer && g->peer->guest == g && g->peer->is_up;

    if (!type || type == MESSAGE_JOINED)
        strike(p, g, &p->counters.garbage);
    else if (type == MESSAGE_HELLO)
        on_hello(p, g, curve_key, body);
    else if (type == MESSAGE_JOIN)
        on_join(p, g, curve_key, body);
    else if (!is_member)
        strike(p, g, &p->counters.strangers);
    else if (type == MESSAGE_REVOKED)
        on_revoked(p, g->peer, body);
    else
        deliver(p, g->peer, body, false);
}

static void on_bulk(struct peers *p, struct guest *g, const uint8_t *curve_key,
                    zmq_msg_t *body)
{
    struct peer *peer = peer_find_curve(p, curve_key);

    if (!peer || !peer->is_up) {
        strike(p, g, &p->counters.strangers);
        return;
    }
    guest_join(p, g, peer);
    if (message_peek(zmq_msg_data(body), zmq_msg_size(body)))
        deliver(p, peer, body, true);
    else
        strike(p, g, &p->counters.garbage);
}

void talk_on_in(struct peers *p, int line, const uint8_t curve_key[CURVE_KEY_SIZE],
                int fd, zmq_msg_t *route, zmq_msg_t *body)
{
    struct guest *g = guest_of(p, fd, line);

    if (!g || g->farewell_ms || zmq_msg_size(route) > GUEST_ROUTE_MAX
        || zmq_msg_size(body)
               > (line == BULK ? (size_t)PEERS_BULK_BYTES_MAX : MESSAGE_BYTES_MAX)) {
        p->counters.garbage++;
        return;
    }
    memcpy(g->route, zmq_msg_data(route), zmq_msg_size(route));
    g->route_len = (uint8_t)zmq_msg_size(route);
    if (line == BULK)
        on_bulk(p, g, curve_key, body);
    else
        on_control(p, g, curve_key, body);
}

static struct peer *peer_by_route(const struct peers *p, int line, zmq_msg_t *route)
{
    struct peer *peer, *next;

    HASH_ITER (by_curve, p->curves, peer, next) {
        if (peer->links[line].state != LINK_DOWN && zmq_msg_size(route) == ROUTE_SIZE
            && memcmp(peer->links[line].route, zmq_msg_data(route), ROUTE_SIZE) == 0)
            return peer;
    }
    return NULL;
}

/* Only answers come this way: of an issuer, or of who refused our HELLO. */
void talk_on_out(struct peers *p, int line, zmq_msg_t *route, zmq_msg_t *body)
{
    CLEANUP(message_release) struct message m = { .arena = NULL };
    struct peer *peer = line == CONTROL ? peer_by_route(p, line, route) : NULL;

    if (!peer || message_peek(zmq_msg_data(body), zmq_msg_size(body)) != MESSAGE_JOINED
        || message_decode(zmq_msg_data(body), zmq_msg_size(body), &m) < 0) {
        p->counters.garbage++;
        return;
    }
    if (m.u.joined.status == 0) {
        on_certificate(p, &m.u.joined);
        return;
    }
    peer->redial_ms = REDIAL_MAX_MS; /* it will not be otherwise soon */
    if (p->callbacks.on_refused)
        p->callbacks.on_refused(p->callbacks.arg, peer->address, m.u.joined.status,
                                m.u.joined.text ? m.u.joined.text : "");
}
