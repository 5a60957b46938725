/* SPDX-License-Identifier: Apache-2.0 */
/* peers_kit - nodes of a mesh in one process: each an identity in a folder of its own
 * and connections over loopback, all on one loop. A test runs the loop until something
 * is so; that nothing else could be waited for is what the limit of the test is for. */
#pragma once

#include "tests/unit/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/join.h"
#include "node/peers/peers.h"
#include "node/remove.h"

enum { SITES_MAX = 8 };

struct site {
    struct kit *kit;
    char name[32], *dir;
    struct identity *identity;
    struct peers *peers;
    uint32_t boot;
    unsigned n_connected, n_disconnected, n_gone, n_messages, n_bulk, n_room, n_refused,
        n_revoked, n_renewed;
    struct node_id last_from;
    char last[64], refusal[256]; /* the body of the last message, as text */
    const char *address;         /* told in the HELLO; NULL: as it is */
    struct invitation invitation; /* who may come */
};

struct kit {
    char dir[64];
    uv_loop_t loop;
    struct site sites[SITES_MAX];
    size_t n;
};

static time_us kit_ahead; /* how far the wall clock of all is ahead */

UNUSED static time_us kit_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (time_us)t.tv_sec * 1000000 + kit_ahead;
}

/* ---- what a site says and hears ---- */

/* What is waited for may be so now: do not sleep over it. */
UNUSED static void wake(struct site *s)
{
    uv_stop(&s->kit->loop);
}

UNUSED static int say_hello(void *arg, struct buffer *out)
{
    struct site *s = arg;
    CLEANUP(buffer_release) struct buffer chain = BUFFER_INIT;
    struct message m = { .type = MESSAGE_HELLO };
    struct member_card *card = &m.u.hello.self.card;

    assert_int_equal(chain_encode(identity_chain(s->identity), &chain), 0);
    memcpy(m.u.hello.mesh, identity_root(s->identity)->mesh, MESH_ID_SIZE);
    m.u.hello.wall = kit_wall();
    m.u.hello.self = (struct member_note){ .id = identity_node(s->identity),
                                           .incarnation = (uint64_t)s->boot << 32,
                                           .state = MEMBER_ALIVE,
                                           .has_card = true };
    card->name = s->name;
    card->address = (char *)(s->address ? s->address : peers_address(s->peers));
    card->bulk_port = peers_bulk_port(s->peers);
    card->roles = ROLE_WORKER;
    memcpy(card->curve_key, identity_curve_key(s->identity), CURVE_KEY_SIZE);
    card->certificate = (uint8_t *)chain.data;
    card->certificate_len = chain.len;
    return message_encode(&m, out);
}

UNUSED static void on_message(void *arg, const struct node_id *from, const void *data,
                              size_t len, bool is_bulk)
{
    struct site *s = arg;

    wake(s);
    s->n_messages += !is_bulk;
    s->n_bulk += is_bulk;
    s->last_from = *from;
    snprintf(s->last, sizeof(s->last), "%.*s",
             (int)min_size(len - MESSAGE_HEADER_SIZE, sizeof(s->last) - 1),
             (const char *)data + MESSAGE_HEADER_SIZE);
}

UNUSED static void on_connected(void *arg, const struct node_id *peer,
                                const struct hello *hello)
{
    struct site *s = arg;

    wake(s);
    assert_true(node_id_equal(peer, &hello->self.id));
    s->n_connected++;
}

UNUSED static void on_disconnected(void *arg, const struct node_id *peer UNUSED,
                                   bool is_refused)
{
    struct site *s = arg;

    wake(s);
    s->n_disconnected++;
    s->n_gone += is_refused;
}

UNUSED static void on_room(void *arg, const struct node_id *peer UNUSED,
                           bool is_bulk UNUSED)
{
    struct site *s = arg;

    wake(s);
    s->n_room++;
}

/* The answer comes before it returns, which is the hardest. */
UNUSED static int on_join(void *arg, uint64_t asked, const struct join_message *m,
                          const uint8_t *curve_key, struct error *ret_error UNUSED)
{
    struct site *s = arg;
    struct error why = { .text = "" };
    struct chain chain;
    int r = join_decide(s->identity, m, curve_key, kit_wall(), &s->invitation, &chain,
                        &why);

    peers_admit(s->peers, asked, m->name, &chain, r, why.text);
    return 0;
}

UNUSED static void on_refused(void *arg, const char *address UNUSED, int status UNUSED,
                              const char *text)
{
    struct site *s = arg;

    wake(s);
    s->n_refused++;
    snprintf(s->refusal, sizeof(s->refusal), "%s", text);
}

UNUSED static void on_revoked(void *arg, const struct node_id *node UNUSED)
{
    struct site *s = arg;

    wake(s);
    s->n_revoked++;
}

UNUSED static void on_renewed(void *arg)
{
    struct site *s = arg;

    wake(s);
    s->n_renewed++;
}

/* ---- sites ---- */

UNUSED static struct site *site_add(struct kit *k, const char *name)
{
    struct site *s = &k->sites[k->n++];

    assert_true(k->n <= SITES_MAX);
    *s = (struct site){ .kit = k, .boot = 1 };
    snprintf(s->name, sizeof(s->name), "%s", name);
    assert_true(asprintf(&s->dir, "%s/%s", k->dir, name) > 0);
    assert_int_equal(mkdir(s->dir, 0700), 0);
    return s;
}

UNUSED static void site_found(struct site *s)
{
    struct error why = { .text = "" };

    if (identity_found(s->dir, "lab", s->name, kit_wall(), &s->identity, &why) < 0)
        fail_msg("%s", why.text);
}

/* Certified by another site, without a message. */
UNUSED static void site_admit(struct site *s, struct site *issuer, uint32_t roles)
{
    struct certificate wanted = { .roles = roles };
    struct error why = { .text = "" };
    struct chain chain;
    int r = identity_create(s->dir, &s->identity, &why);

    assert_int_equal(r, 0);
    strcpy(wanted.name, s->name);
    memcpy(wanted.node_key, identity_node_key(s->identity), NODE_KEY_SIZE);
    memcpy(wanted.curve_key, identity_curve_key(s->identity), CURVE_KEY_SIZE);
    r = identity_issue(issuer->identity, &wanted, kit_wall(), &chain, &why);
    if (r == 0)
        r = identity_adopt(s->identity, identity_root(issuer->identity), &chain,
                           kit_wall(), &why);
    if (r < 0)
        fail_msg("%s", why.text);
}

UNUSED static void site_start(struct site *s, const char *listen)
{
    const struct peers_config config = {
        .loop = &s->kit->loop,
        .identity = s->identity,
        .listen = listen ? listen : "127.0.0.1:0",
        .wall = kit_wall,
        .callbacks = { .arg = s,
                       .hello = say_hello,
                       .on_message = on_message,
                       .on_connected = on_connected,
                       .on_disconnected = on_disconnected,
                       .on_room = on_room,
                       .on_refused = on_refused,
                       .on_revoked = on_revoked,
                       .on_join = on_join,
                       .on_renewed = on_renewed },
    };
    struct error why = { .text = "" };

    if (peers_start(&config, &s->peers, &why) < 0)
        fail_msg("%s", why.text);
}

UNUSED static void site_stop(struct site *s)
{
    if (s->peers)
        peers_stop(s->peers);
    s->peers = NULL;
}

UNUSED static struct join_contact contact_of(const struct site *s)
{
    struct join_contact c;

    strcpy(c.address, peers_address(s->peers));
    memcpy(c.curve_key, identity_curve_key(s->identity), CURVE_KEY_SIZE);
    return c;
}

UNUSED static void site_dial(struct site *from, const struct site *to)
{
    const struct join_contact c = contact_of(to);

    assert_int_equal(peers_dial(from->peers, &c), 0);
}

UNUSED static int site_send(struct site *from, const struct site *to, const char *text,
                            bool is_bulk)
{
    const struct node_id id = identity_node(to->identity);
    char frame[512] = { 'M', '1', 1, MESSAGE_PING };

    strcpy(frame + MESSAGE_HEADER_SIZE, text);
    return peers_send(from->peers, &id, frame, MESSAGE_HEADER_SIZE + strlen(text),
                      is_bulk);
}

UNUSED static bool is_connected(const struct site *a, const struct site *b)
{
    const struct node_id id = identity_node(b->identity);

    return peers_is_connected(a->peers, &id);
}

/* ---- the loop ---- */

/* Turns the loop until it is so. */
#define UNTIL(k, condition)                  \
    do                                       \
        while (!(condition))                 \
            uv_run(&(k)->loop, UV_RUN_ONCE); \
    while (0)

UNUSED static void kit_open(struct kit *k)
{
    *k = (struct kit){ .dir = "/tmp/mesh-unit-XXXXXX" };
    kit_ahead = 0;
    assert_non_null(mkdtemp(k->dir));
    assert_int_equal(uv_loop_init(&k->loop), 0);
}

UNUSED static void kit_close(struct kit *k)
{
    for (size_t i = 0; i < k->n; i++)
        site_stop(&k->sites[i]);
    uv_run(&k->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&k->loop), 0);
    for (size_t i = 0; i < k->n; i++) {
        identity_free(k->sites[i].identity);
        invitation_release(&k->sites[i].invitation);
        free(k->sites[i].dir);
    }
    assert_int_equal(remove_tree(k->dir), 0);
}

/* Two of one mesh that are connected. */
UNUSED static void kit_pair(struct kit *k, struct site **ret_a, struct site **ret_b)
{
    struct site *a = site_add(k, "a"), *b = site_add(k, "b");

    site_found(a);
    site_admit(b, a, ROLE_WORKER);
    site_start(a, NULL);
    site_start(b, NULL);
    site_dial(b, a);
    UNTIL(k, a->n_connected && b->n_connected);
    *ret_a = a;
    *ret_b = b;
}
