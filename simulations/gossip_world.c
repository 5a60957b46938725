/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"
#include "simulations/gossip_world.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/gossip_world_state.h"

static const time_us silence = TIME_S(6), usual_latency = 500;
enum { REMEMBERED = 64 };

void gossip_world_blame(struct gossip_world *w, const char *format, ...)
{
    va_list args;
    int n;

    if (*w->violation)
        return;
    n = snprintf(w->violation, sizeof(w->violation), "%.3f s: ", (double)w->now / 1e6);
    va_start(args, format);
    vsnprintf(w->violation + n, sizeof(w->violation) - (size_t)n, format, args);
    va_end(args);
}

static void set_tick(struct gossip_world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];
    time_us due = gossip_deadline(n->gossip);

    /* It would be taken for being late itself; 0: it has not begun. */
    if (due && due < w->now)
        gossip_world_blame(w, "the deadline of %zu is over", node);
    if (due >= n->tick)
        return;
    n->tick = due > w->now ? due : w->now;
    gossip_world_later(w, n->tick, GOSSIP_EVENT_TICK, node);
}

/* ---- nodes ---- */

uint32_t gossip_world_index(const struct gossip_world *w, const struct node_id *id)
{
    uint32_t index;

    memcpy(&index, id->bytes + NODE_ID_SIZE - sizeof(index), sizeof(index));
    assert(index < w->n_nodes);
    return index;
}

static void name_node(struct gossip_world *w, uint32_t index)
{
    struct sim_node *n = &w->nodes[index];
    struct prng of;
    uint64_t bytes[2];

    prng_init(&of, w->config.seed * 1000003 + index);
    bytes[0] = prng_next(&of);
    bytes[1] = prng_next(&of);
    memcpy(n->id.bytes, bytes, NODE_ID_SIZE);
    memcpy(n->id.bytes + NODE_ID_SIZE - sizeof(index), &index, sizeof(index));
    snprintf(n->name, sizeof(n->name), "n%" PRIu32, index);
    snprintf(n->address, sizeof(n->address), "10.%u.%u.%u:7700", index >> 16 & 255,
             index >> 8 & 255, index & 255);
    n->card = (struct member_card){ .name = n->name,
                                    .address = n->address,
                                    .bulk_port = 7701,
                                    .minor = mesh_minor(),
                                    .roles = ROLE_WORKER | ROLE_HOME,
                                    .slots = 8 };
    n->tick = TIME_NEVER;
}

static bool boot(struct gossip_world *w, size_t node, const struct gossip *like)
{
    struct sim_node *n = &w->nodes[node];
    struct gossip_config config = { .self = n->id,
                                    .card = &n->card,
                                    .incarnation = (uint64_t)++n->boot << 32,
                                    .seed = prng_next(&w->prng),
                                    .pool = w->pool,
                                    .like = like };

    n->persisted = config.incarnation;
    n->gossip = gossip_new(&config);
    if (!n->gossip)
        return false;
    n->life++;
    n->tick = TIME_NEVER;
    n->is_gone = false;
    n->crashed = n->suspected = n->known = 0;
    n->n_know = 0;
    w->n_up++;
    set_tick(w, node);
    return true;
}

static struct member_note note_of(const struct gossip_world *w, size_t node)
{
    const struct sim_node *n = &w->nodes[node];

    return (struct member_note){ .id = n->id,
                                 .incarnation = n->persisted,
                                 .state = MEMBER_ALIVE,
                                 .has_card = true,
                                 .card = n->card };
}

static void add(struct gossip_world *w, size_t node, size_t peer)
{
    struct member_note note = note_of(w, peer);

    if (!w->error && node != peer)
        w->error = gossip_add(w->nodes[node].gossip, &note, w->now, &w->out);
}

/* The first one learns all, the others begin with what it knows. */
static bool boot_all(struct gossip_world *w)
{
    size_t n = w->config.n;

    if (n == 0)
        return true;
    for (size_t i = 1; i < n; i++)
        w->nodes[i].persisted = (uint64_t)1 << 32;
    if (!boot(w, 0, NULL))
        return false;
    for (size_t i = 1; i < n; i++)
        add(w, 0, i);
    for (size_t i = 1; i < n; i++)
        if (!boot(w, i, w->nodes[0].gossip))
            return false;
    gossip_world_act(w, 0);
    return !w->error;
}

static void begin_stalls(struct gossip_world *w)
{
    for (size_t i = 0; i < w->config.n; i++) {
        if (prng_below(&w->prng, 10000) >= w->config.stalling)
            continue;
        w->nodes[i].is_stalling = true;
        gossip_world_later(w, prng_below(&w->prng, TIME_S(4)), GOSSIP_EVENT_STALL, i);
    }
}

struct gossip_world *gossip_world_new(const struct gossip_world_config *config)
{
    CLEANUP(gossip_world_freep) struct gossip_world *w = calloc(1, sizeof(*w));
    size_t n = config->n + config->joins;

    if (!w)
        return NULL;
    w->config = *config;
    if (!w->config.latency)
        w->config.latency = usual_latency;
    prng_init(&w->prng, config->seed);
    w->pool = gossip_pool_new();
    w->nodes = calloc(n, sizeof(w->nodes[0]));
    w->seen = calloc(config->is_traced ? n * n : 1, 1);
    if (!w->pool || !w->nodes || !w->seen)
        return NULL;
    w->n_nodes = n;
    for (size_t i = 0; i < n; i++)
        name_node(w, (uint32_t)i);
    if (!boot_all(w))
        return NULL;
    begin_stalls(w);
    return TAKE(w);
}

void gossip_world_free(struct gossip_world *w)
{
    if (!w)
        return;
    for (size_t i = 0; w->nodes && i < w->n_nodes; i++) {
        gossip_free(w->nodes[i].gossip);
        free(w->nodes[i].links);
    }
    for (size_t i = 0; i < w->n_heap; i++)
        payload_unref(w->happenings[w->heap[i].happening - 1].payload);
    payload_unref(w->last);
    free(w->nodes);
    gossip_pool_unref(w->pool);
    gossip_outbox_release(&w->out);
    buffer_release(&w->trace);
    free(w->notes);
    free(w->cuts);
    free(w->heap);
    free(w->happenings);
    free(w->seen);
    free(w);
}

/* ---- what nodes do ---- */

static const char *state_name(enum member_state s)
{
    static const char *const names[] = { "?", "alive", "suspect", "dead", "left" };

    return names[s];
}

static void tell_trace(struct gossip_world *w, size_t node, size_t peer,
                       enum member_state state)
{
    uint8_t *seen = &w->seen[node * w->n_nodes + peer];
    size_t n_others = w->n_up - (w->nodes[peer].gossip != NULL), n_seeing;

    if (*seen == state || node == peer)
        return;
    *seen = (uint8_t)state;
    n_seeing = gossip_world_seeing(w, peer, state);
    if (n_seeing == 1)
        buffer_printf(&w->trace, "[%6" PRIu64 "] %zu sees %zu %s\n", w->now / 1000,
                      node, peer, state_name(state));
    if (n_seeing == n_others)
        buffer_printf(&w->trace, "[%6" PRIu64 "] all see %zu %s\n", w->now / 1000, peer,
                      state_name(state));
}

static void on_dead(struct gossip_world *w, size_t node, size_t peer)
{
    struct sim_node *of = &w->nodes[peer];

    if (of->crashed) {
        if (of->n_know++ == 0)
            w->stats.deaths++;
        if (!of->known && of->n_know * 100 >= w->n_up * 99)
            of->known = w->now;
        return;
    }
    if (of->is_gone)
        return;
    w->stats.false_deaths++;
    if (!w->config.may_bury
        && !(w->config.may_bury_across
             && w->nodes[node].last_side != w->nodes[peer].last_side))
        gossip_world_blame(w, "I12: %zu takes %zu for dead, which is alive", node,
                           peer);
}

static void on_changed(struct gossip_world *w, size_t node, const struct node_id *id)
{
    uint32_t peer = gossip_world_index(w, id);
    struct sim_node *of = &w->nodes[peer];
    struct member_view v;

    if (!gossip_find(w->nodes[node].gossip, id, &v) || peer == node)
        return;
    if (v.note->incarnation > of->persisted)
        gossip_world_blame(w, "I11: %zu heard of an incarnation that %u never had",
                           node, peer);
    if (v.note->state == MEMBER_SUSPECT
        && of->suspected_incarnation != v.note->incarnation) {
        of->suspected_incarnation = v.note->incarnation;
        w->stats.suspicions++;
        if (of->crashed && !of->suspected)
            of->suspected = w->now;
    }
    if (v.note->state == MEMBER_DEAD)
        on_dead(w, node, peer);
    if (w->config.is_traced)
        tell_trace(w, node, peer, v.note->state);
}

static void carry_out(struct gossip_world *w, uint32_t node,
                      const struct gossip_action *a)
{
    switch (a->type) {
    case GOSSIP_SEND:
        gossip_network_send(w, node, gossip_world_index(w, &a->peer), &a->message);
        return;
    case GOSSIP_CONNECT:
        gossip_network_dial(w, node, gossip_world_index(w, &a->peer));
        return;
    case GOSSIP_DISCONNECT:
        gossip_network_drop(w, node, gossip_world_index(w, &a->peer));
        return;
    case GOSSIP_CHANGED:
        on_changed(w, node, &a->peer);
        return;
    case GOSSIP_INCARNATION:
        w->nodes[node].persisted = a->value;
        w->stats.refutations++;
        return;
    case GOSSIP_TWIN:
        buffer_printf(&w->trace, "[%6" PRIu64 "] %u has a twin\n", w->now / 1000, node);
        return;
    case GOSSIP_RUN:
        return;
    }
}

void gossip_world_act(struct gossip_world *w, size_t node)
{
    for (size_t i = 0; i < w->out.n && !w->error; i++)
        carry_out(w, (uint32_t)node, &w->out.actions[i]);
    gossip_outbox_clear(&w->out);
    payload_unref(TAKE(w->last));
    if (!w->error && w->nodes[node].gossip)
        set_tick(w, node);
}

/* ---- time ---- */

static void tick(struct gossip_world *w, const struct happening *h)
{
    struct sim_node *n = &w->nodes[h->node];

    if (!n->gossip || h->life != n->life || h->at != n->tick)
        return;
    n->tick = TIME_NEVER;
    if (gossip_deadline(n->gossip) <= w->now)
        w->error = gossip_on_tick(n->gossip, w->now, &w->out);
    gossip_world_act(w, h->node);
}

static void stall_again(struct gossip_world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];

    n->stalled = w->now + TIME_MS(100) + prng_below(&w->prng, TIME_MS(1900));
    gossip_world_later(w,
                       n->stalled + TIME_MS(900) + prng_below(&w->prng, TIME_MS(3100)),
                       GOSSIP_EVENT_STALL, node);
}

static void happen(struct gossip_world *w, struct happening *h)
{
    w->stats.events++;
    switch (h->type) {
    case GOSSIP_EVENT_TICK:
        tick(w, h);
        return;
    case GOSSIP_EVENT_MESSAGE:
        gossip_network_deliver(w, h);
        return;
    case GOSSIP_EVENT_CONNECTED:
        if (w->nodes[h->node].life == h->life && w->nodes[h->node].gossip)
            gossip_network_connected(w, h);
        return;
    case GOSSIP_EVENT_BROKEN:
    case GOSSIP_EVENT_REFUSED:
        gossip_network_broken(w, h);
        return;
    case GOSSIP_EVENT_STALL:
        stall_again(w, h->node);
        return;
    }
}

bool gossip_world_run(struct gossip_world *w, time_us until)
{
    while (w->n_heap && w->heap[0].at <= until && !w->error && !*w->violation) {
        struct queued q = gossip_queue_pop(w);
        struct happening h = w->happenings[q.happening - 1];

        w->now = q.at;
        if (w->nodes[h.node].stalled > w->now && h.type != GOSSIP_EVENT_STALL) {
            q.at = w->nodes[h.node].stalled;
            q.order = w->order++;
            gossip_queue_push(w, q); /* into the place of what was popped */
            continue;
        }
        w->happenings[q.happening - 1].payload = NULL;
        w->happenings[q.happening - 1].next_free = w->free_happening;
        w->free_happening = q.happening;
        happen(w, &h);
        payload_unref(h.payload);
    }
    if (w->error)
        gossip_world_blame(w, "%s", strerror(-w->error));
    if (*w->violation)
        return false;
    w->now = until;
    return true;
}

/* ---- what happens ---- */

static void end_node(struct gossip_world *w, size_t node, bool is_refused)
{
    struct sim_node *n = &w->nodes[node];

    gossip_network_end(w, (uint32_t)node, is_refused);
    gossip_free(TAKE(n->gossip));
    n->is_gone = true;
    n->life++;
    w->n_up--;
}

void gossip_world_crash(struct gossip_world *w, size_t node)
{
    end_node(w, node, false);
    w->nodes[node].crashed = w->now;
}

void gossip_world_kill(struct gossip_world *w, size_t node)
{
    end_node(w, node, true);
    w->nodes[node].crashed = w->now;
}

void gossip_world_start(struct gossip_world *w, size_t node, size_t contact)
{
    bool is_new = w->nodes[node].boot == 0;

    if (!boot(w, node, NULL)) {
        w->error = -ENOMEM;
        return;
    }
    add(w, node, contact);
    for (size_t i = 0; i < REMEMBERED && !is_new; i++) {
        size_t peer = prng_below(&w->prng, w->n_nodes);

        if (w->nodes[peer].persisted)
            add(w, node, peer);
    }
    gossip_world_act(w, node);
}

void gossip_world_leave(struct gossip_world *w, size_t node)
{
    struct sim_node *n = &w->nodes[node];

    w->error = gossip_leave(n->gossip, w->now, &w->out);
    n->is_gone = true;
    gossip_world_act(w, node);
    end_node(w, node, true);
}

void gossip_world_stall(struct gossip_world *w, size_t node, time_us length)
{
    w->nodes[node].stalled = w->now + length;
}

void gossip_world_cut(struct gossip_world *w, size_t from, size_t to, bool is_cut)
{
    size_t i = 0;

    while (i < w->n_cuts && (w->cuts[i].from != from || w->cuts[i].to != to))
        i++;
    if (!is_cut) {
        if (i < w->n_cuts)
            w->cuts[i] = w->cuts[--w->n_cuts];
        return;
    }
    if (w->n_cuts == w->cap_cuts) {
        size_t cap = w->cap_cuts ? 2 * w->cap_cuts : 16;
        struct cut *cuts = realloc(w->cuts, cap * sizeof(*cuts));

        if (!cuts) {
            w->error = -ENOMEM;
            return;
        }
        w->cuts = cuts;
        w->cap_cuts = cap;
    }
    w->cuts[w->n_cuts++] = (struct cut){ (uint32_t)from, (uint32_t)to };
    gossip_network_doubt(w, (uint32_t)from, silence);
}

void gossip_world_fray(struct gossip_world *w, uint32_t share)
{
    w->frayed = share;
    for (uint32_t i = 0; i < w->n_nodes; i++)
        gossip_network_doubt(w, i, silence);
}

void gossip_world_side(struct gossip_world *w, size_t node, uint32_t side)
{
    if (side)
        w->nodes[node].last_side = side;
    w->nodes[node].side = side;
    gossip_network_doubt(w, (uint32_t)node, silence);
}

void gossip_world_tell_run(struct gossip_world *w, size_t node,
                           const struct run_note *note)
{
    w->error = gossip_tell_run(w->nodes[node].gossip, note, w->now, &w->out);
    gossip_world_act(w, node);
}

void gossip_world_set_card(struct gossip_world *w, size_t node, uint32_t slots)
{
    struct sim_node *n = &w->nodes[node];

    n->card.slots = slots;
    w->error = gossip_set_card(n->gossip, &n->card, w->now, &w->out);
    gossip_world_act(w, node);
}

void gossip_world_inject(struct gossip_world *w, size_t from, size_t to,
                         const struct message *m)
{
    w->error =
        gossip_on_message(w->nodes[to].gossip, &w->nodes[from].id, m, w->now, &w->out);
    gossip_world_act(w, to);
}
