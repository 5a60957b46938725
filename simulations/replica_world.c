/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/replica_world.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/replica_world_state.h"

enum {
    START_S = 1000, /* virtual time at the beginning */
    STORM_S = 25,
    CALM_S = 45,
    EVENTS_MAX = 200000,
};

void sim_trace(struct replica_world *w, const char *format, ...)
{
    char text[512];
    va_list args;

    if (!w->config->is_traced)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_printf(&w->result->trace, "[%10.6f] %s\n",
                  (double)(w->now - TIME_S(START_S)) / 1e6, text);
}

/* ---- names of nodes ---- */

unsigned sim_node(const struct node_id *id)
{
    return id->bytes[0] && id->bytes[0] <= NODES ? id->bytes[0] - 1u : NODES;
}

unsigned sim_bits(const struct node_id *homes, size_t n)
{
    unsigned bits = 0;

    for (size_t i = 0; i < n; i++)
        bits |= 1u << sim_node(&homes[i]);
    return bits;
}

uint32_t sim_list(unsigned bits, struct node_id *ret_homes)
{
    uint32_t n = 0;

    for (unsigned i = 0; i < NODES; i++)
        if (bits >> i & 1)
            ret_homes[n++] = (struct node_id){ .bytes = { (uint8_t)(i + 1) } };
    return n;
}

const char *sim_text(unsigned bits)
{
    static char text[2 * NODES + 1];
    size_t len = 0;

    for (unsigned i = 0; i < NODES; i++)
        if (bits >> i & 1) {
            text[len++] = (char)('0' + i);
            text[len++] = ' ';
        }
    text[len ? len - 1 : 0] = '\0';
    return text;
}

/* ---- what is to happen, in order of time ---- */

static bool is_sooner(const struct incident *a, const struct incident *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct incident *a, struct incident *b)
{
    struct incident c = *a;

    *a = *b;
    *b = c;
}

struct incident *sim_later(struct replica_world *w, time_us delay,
                           enum incident_type type, unsigned node, uint64_t serial)
{
    size_t i = w->n_heap;

    if (w->n_heap == w->cap_heap) {
        size_t cap = w->cap_heap ? 2 * w->cap_heap : 256;
        struct incident *heap = realloc(w->heap, cap * sizeof(*heap));

        if (!heap) {
            w->error = -ENOMEM;
            return NULL;
        }
        w->heap = heap;
        w->cap_heap = cap;
    }
    w->heap[w->n_heap++] = (struct incident){ .at = w->now + delay,
                                              .order = w->order++,
                                              .type = type,
                                              .node = node,
                                              .serial = serial };
    for (; i && is_sooner(&w->heap[i], &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&w->heap[i], &w->heap[(i - 1) / 2]);
    return &w->heap[i];
}

static struct incident next_incident(struct replica_world *w)
{
    struct incident first = w->heap[0];
    size_t i = 0;

    w->heap[0] = w->heap[--w->n_heap];
    for (;;) {
        size_t least = i;

        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < w->n_heap; child++)
            if (is_sooner(&w->heap[child], &w->heap[least]))
                least = child;
        if (least == i)
            return first;
        swap(&w->heap[i], &w->heap[least]);
        i = least;
    }
}

/* ---- the network ---- */

void packet_free(struct packet *p)
{
    if (!p)
        return;
    free(p->entries);
    free(p->bytes);
    free(p);
}

static void copy_bytes(uint8_t **data, size_t len, uint64_t *room)
{
    if (len)
        memcpy(room, *data, len);
    *data = (uint8_t *)room;
}

struct packet *packet_new(const struct message *m, size_t n_entries)
{
    const struct log_entry *entries =
        m->type == MESSAGE_APPEND ? m->u.append.entries : m->u.install.entries;
    struct packet *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->message = *m;
    p->entries = calloc(n_entries + 1, sizeof(*p->entries));
    p->bytes = calloc(2 * n_entries + 1, sizeof(*p->bytes));
    if (!p->entries || !p->bytes) {
        packet_free(p);
        return NULL;
    }
    for (size_t i = 0; i < n_entries; i++) {
        p->entries[i] = entries[i];
        copy_bytes(&p->entries[i].key, entries[i].key_len, &p->bytes[2 * i]);
        copy_bytes(&p->entries[i].value, entries[i].value_len, &p->bytes[2 * i + 1]);
    }
    if (m->type == MESSAGE_APPEND)
        p->message.u.append.entries = p->entries;
    else if (m->type == MESSAGE_INSTALL)
        p->message.u.install.entries = p->entries;
    return p;
}

static size_t count_entries(const struct message *m)
{
    if (m->type == MESSAGE_APPEND)
        return m->u.append.n_entries;
    return m->type == MESSAGE_INSTALL ? m->u.install.n_entries : 0;
}

static time_us draw_delay(struct replica_world *w)
{
    if (w->is_calm)
        return 200 + sim_draw(w, TIME_MS(1));
    if (sim_may(w, REPLICA_FAULT_DELAY) && sim_chance(w, 2))
        return sim_draw(w, TIME_S(8));
    return 200 + sim_draw(w, w->delay_max);
}

static void post(struct replica_world *w, unsigned from, unsigned to,
                 const struct message *m)
{
    struct packet *p = packet_new(m, count_entries(m));
    struct incident *i;

    if (!p) {
        w->error = -ENOMEM;
        return;
    }
    i = sim_later(w, draw_delay(w), INCIDENT_MESSAGE, to, 0);
    if (!i) {
        packet_free(p);
        return;
    }
    i->peer = from;
    i->packet = p;
}

void sim_post(struct replica_world *w, unsigned from, unsigned to,
              const struct message *m)
{
    if (to >= NODES || (sim_may(w, REPLICA_FAULT_LOSS) && sim_chance(w, w->loss)))
        return;
    post(w, from, to, m);
    if (sim_may(w, REPLICA_FAULT_TWICE) && sim_chance(w, w->twice))
        post(w, from, to, m);
}

/* ---- faults ---- */

static unsigned count_bits(unsigned bits)
{
    unsigned n = 0;

    for (; bits; bits &= bits - 1)
        n++;
    return n;
}

static unsigned homes_now(const struct replica_world *w)
{
    return w->homes_of[w->newest];
}

static unsigned dead_bits(const struct replica_world *w)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < NODES; i++)
        bits |= (unsigned)w->homes[i].is_dead << i;
    return bits;
}

/* Those that are to be replaced. */
static unsigned lost_bits(const struct replica_world *w)
{
    unsigned bits = dead_bits(w);

    for (unsigned i = 0; i < NODES; i++)
        bits |= (unsigned)w->homes[i].is_damaged << i;
    return bits;
}

static unsigned lagging_bits(const struct replica_world *w)
{
    unsigned bits = 0;

    for (unsigned i = 0; i < NODES; i++) {
        const struct sim_home *h = &w->homes[i];

        bits |= (unsigned)(h->disk.state.is_installing || !h->disk.is_there
                           || h->disk.state.generation != w->newest)
                << i;
    }
    return bits;
}

/* Whether the newest homes would still have a majority without this one. */
static bool may_lose(const struct replica_world *w, unsigned node)
{
    unsigned homes = homes_now(w);
    unsigned lost = (lost_bits(w) | lagging_bits(w) | 1u << node) & homes;

    return !w->is_moving && count_bits(lost_bits(w)) < NODES / 2
           && 2 * count_bits(lost) < count_bits(homes);
}

static void cut_parts(struct replica_world *w)
{
    unsigned side = (unsigned)sim_draw(w, 1u << NODES);

    sim_trace(w, "cut off: %s", sim_text(side));
    for (unsigned i = 0; i < NODES; i++)
        for (unsigned j = 0; j < NODES; j++)
            w->is_cut[i][j] = (side >> i & 1) != (side >> j & 1);
}

static void cut_one_way(struct replica_world *w)
{
    unsigned from = (unsigned)sim_draw(w, NODES), n = (unsigned)sim_draw(w, NODES) + 1;
    bool is_deaf = sim_chance(w, 50);

    sim_trace(w, "%u is %s", from, is_deaf ? "deaf" : "mute");
    while (n--) {
        unsigned to = (unsigned)sim_draw(w, NODES);

        w->is_cut[is_deaf ? to : from][is_deaf ? from : to] = true;
    }
}

static void crash(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];

    if (h->is_down || !h->replica || (homes_now(w) == 1u << node && !h->disk.is_there))
        return;
    if (node == 0 && !h->disk.is_there)
        return; /* nobody else knows the group yet */
    home_crash(w, node);
    if (sim_may(w, REPLICA_FAULT_DEATH) && sim_chance(w, 30) && may_lose(w, node)) {
        sim_trace(w, "%u is gone for good", node);
        h->is_dead = true;
        return;
    }
    sim_later(w, sim_draw(w, TIME_S(5)), INCIDENT_RESTART, node, 0);
}

static void restart(struct replica_world *w, unsigned node)
{
    bool is_damaged;

    if (!w->homes[node].is_down || w->homes[node].is_dead)
        return;
    is_damaged = sim_may(w, REPLICA_FAULT_DAMAGE) && sim_chance(w, 30)
                 && w->homes[node].disk.is_there && homes_now(w) >> node & 1
                 && may_lose(w, node);
    home_start(w, node, is_damaged);
}

/* What gossip says to one node: mostly who lives. */
static void gossip(struct replica_world *w, unsigned node)
{
    unsigned live = ((1u << NODES) - 1) & ~dead_bits(w);
    bool is_isolated = false;

    if (sim_may(w, REPLICA_FAULT_GOSSIP) && sim_chance(w, 50)) {
        live = (unsigned)sim_draw(w, 1u << NODES);
        is_isolated = sim_chance(w, 10);
    }
    if (w->homes[node].replica)
        home_hear(w, node, live, is_isolated);
    sim_later(w, TIME_MS(500) + sim_draw(w, TIME_S(2)), INCIDENT_GOSSIP, node, 0);
}

static void strike(struct replica_world *w)
{
    unsigned node = (unsigned)sim_draw(w, NODES);

    /* Mostly one that matters. */
    if (sim_chance(w, 70))
        for (unsigned i = 0; i < NODES; i++)
            if (w->homes[i].replica && replica_leads(w->homes[i].replica))
                node = i;
    if (sim_may(w, REPLICA_FAULT_CRASH) && sim_chance(w, 40))
        crash(w, node);
    if (sim_may(w, REPLICA_FAULT_PAUSE) && sim_chance(w, 20)) {
        w->homes[node].paused_until = w->now + sim_draw(w, TIME_S(4));
        sim_trace(w, "%u stops", node);
    }
    if (sim_may(w, REPLICA_FAULT_CUT) && sim_chance(w, 25))
        cut_parts(w);
    if (sim_may(w, REPLICA_FAULT_ONE_WAY) && sim_chance(w, 25))
        cut_one_way(w);
    if (sim_chance(w, 40)) {
        memset(w->is_cut, 0, sizeof(w->is_cut));
        sim_trace(w, "nothing is cut");
    }
    if (sim_may(w, REPLICA_FAULT_TRIM) && w->homes[node].replica && sim_chance(w, 40))
        home_trim(w, node, replica_decided(w->homes[node].replica));
    if (!w->is_calm)
        sim_later(w, TIME_MS(100) + sim_draw(w, TIME_S(3)), INCIDENT_FAULT, 0, 0);
}

/* ---- what is asked for ---- */

static unsigned some_leader(struct replica_world *w)
{
    unsigned first = (unsigned)sim_draw(w, NODES);

    for (unsigned i = 0; i < NODES; i++) {
        unsigned node = (first + i) % NODES;

        if (w->homes[node].replica && replica_leads(w->homes[node].replica)
            && w->homes[node].paused_until <= w->now)
            return node;
    }
    return NODES;
}

static void ask(struct replica_world *w)
{
    unsigned node = some_leader(w);

    if (node < NODES)
        home_ask(w, node, 1 + sim_draw(w, 3));
    if (!w->is_over)
        sim_later(w, sim_draw(w, TIME_MS(w->is_calm ? 2000 : 400)), INCIDENT_ASK, 0, 0);
}

static unsigned draw_homes(struct replica_world *w, unsigned among, unsigned n)
{
    unsigned bits = 0;

    while (count_bits(bits) < n) {
        unsigned node = (unsigned)sim_draw(w, NODES);

        if (among >> node & 1)
            bits |= 1u << node;
    }
    return bits;
}

/* One home is replaced by another, or there are to be more or fewer. */
static unsigned draw_move(struct replica_world *w)
{
    unsigned homes = homes_now(w), dead = lost_bits(w);
    unsigned live = ((1u << NODES) - 1) & ~dead, n = count_bits(homes);

    if (sim_chance(w, 30) && !w->is_calm)
        n = sim_chance(w, 50) ? 3 : sim_chance(w, 50) ? 1 : 5;
    while (n > count_bits(live))
        n -= 2;
    if (n != count_bits(homes) || !sim_may(w, REPLICA_FAULT_MOVE)) {
        homes &= ~dead;
        while (count_bits(homes) < n)
            homes |= draw_homes(w, live, 1);
        while (count_bits(homes) > n)
            homes &= homes - 1;
        return homes;
    }
    homes &= ~(1u << sim_draw(w, NODES)) & ~dead;
    while (count_bits(homes) < n)
        homes |= draw_homes(w, live, 1);
    return homes;
}

static void move(struct replica_world *w)
{
    unsigned node = some_leader(w);
    bool is_wanted = homes_now(w) & lost_bits(w) || sim_may(w, REPLICA_FAULT_MOVE);

    if (node < NODES && is_wanted && w->newest + 1 < GENERATIONS)
        home_move(w, node, draw_move(w));
    if (!w->is_over)
        sim_later(w, TIME_MS(500) + sim_draw(w, TIME_S(3)), INCIDENT_MOVE, 0, 0);
}

static void become_calm(struct replica_world *w)
{
    sim_trace(w, "it is calm");
    w->is_calm = true;
    memset(w->is_cut, 0, sizeof(w->is_cut));
    for (unsigned i = 0; i < NODES; i++) {
        w->homes[i].paused_until = 0;
        restart(w, i);
    }
    sim_later(w, TIME_S(CALM_S) - TIME_S(8), INCIDENT_HEAL, 0, 0);
}

/* ---- the loop ---- */

static void happen_at_home(struct replica_world *w, struct incident *i)
{
    struct sim_home *h = &w->homes[i->node];

    switch (i->type) {
    case INCIDENT_MESSAGE:
        if (!w->is_cut[i->peer][i->node] && !h->is_down)
            home_deliver(w, i->node, i->peer, &i->packet->message);
        break;
    case INCIDENT_READ:
        if (h->replica && i->serial == h->life)
            home_read(w, i->node, i->peer, i->packet);
        break;
    case INCIDENT_TICK:
        if (h->replica && i->serial == h->tick_serial)
            home_tick(w, i->node);
        break;
    case INCIDENT_SYNC:
        if (h->replica && i->serial == h->life && h->n_writes)
            home_sync(w, i->node);
        break;
    default:
        break;
    }
}

static void happen(struct replica_world *w, struct incident *i)
{
    switch (i->type) {
    case INCIDENT_RESTART:
        restart(w, i->node);
        break;
    case INCIDENT_ASK:
        ask(w);
        break;
    case INCIDENT_MOVE:
        move(w);
        break;
    case INCIDENT_FAULT:
        strike(w);
        break;
    case INCIDENT_GOSSIP:
        gossip(w, i->node);
        break;
    case INCIDENT_CALM:
        become_calm(w);
        break;
    case INCIDENT_HEAL:
        sim_trace(w, "nothing is asked for any more");
        w->is_over = true;
        sim_later(w, TIME_S(8), INCIDENT_END, 0, 0);
        break;
    default:
        happen_at_home(w, i);
        break;
    }
}

static bool is_of_home(const struct incident *i)
{
    return i->type == INCIDENT_MESSAGE || i->type == INCIDENT_READ
           || i->type == INCIDENT_TICK || i->type == INCIDENT_SYNC;
}

static void live(struct replica_world *w)
{
    while (w->n_heap && !w->error && !group_check_failed(w)) {
        struct incident i = next_incident(w);
        time_us until = is_of_home(&i) ? w->homes[i.node].paused_until : 0;

        w->now = i.at;
        if (i.type == INCIDENT_END)
            break;
        if (until > w->now) {
            struct incident *later =
                sim_later(w, until - w->now, i.type, i.node, i.serial);

            if (later) {
                later->peer = i.peer;
                later->packet = i.packet;
                continue;
            }
        } else {
            w->result->n_events++;
            happen(w, &i);
        }
        packet_free(i.packet);
        if (w->result->n_events > EVENTS_MAX)
            group_check_fail(w, "liveness", "too much happens");
    }
    if (!w->error && !group_check_failed(w))
        group_check_end(w);
}

static void draw(struct replica_world *w)
{
    static const unsigned sizes[] = { 1, 3, 3, 3, 5 };
    unsigned n = sizes[sim_draw(w, sizeof(sizes) / sizeof(sizes[0]))];

    w->faults = (unsigned)sim_draw(w, REPLICA_FAULTS_ALL + 1);
    w->loss = sim_draw(w, 31);
    w->twice = sim_draw(w, 31);
    w->delay_max = 500 + sim_draw(w, sim_chance(w, 50) ? TIME_MS(3) : TIME_MS(300));
    w->sync_max =
        1 + sim_draw(w, sim_may(w, REPLICA_FAULT_DISK) ? TIME_S(1) : TIME_MS(3));
    w->next_value = 1;
    w->newest = 1;
    w->homes_of[1] = 1u | draw_homes(w, 0xfe, n - 1);
    for (unsigned i = 0; i < NODES; i++) {
        (void)sim_list(1u << i, &w->homes[i].id);
        w->homes[i].disk.rows_from = w->homes[i].seen.rows_from = 1;
        sim_later(w, sim_draw(w, TIME_S(2)), INCIDENT_GOSSIP, i, 0);
    }
    sim_later(w, 0, INCIDENT_ASK, 0, 0);
    sim_later(w, sim_draw(w, TIME_S(3)), INCIDENT_FAULT, 0, 0);
    sim_later(w, sim_draw(w, TIME_S(3)), INCIDENT_MOVE, 0, 0);
    sim_later(w, TIME_S(STORM_S), INCIDENT_CALM, 0, 0);
    w->result->faults = w->faults;
    home_found(w, 0, w->homes_of[1]);
}

static void release(struct replica_world *w)
{
    for (unsigned i = 0; i < NODES; i++)
        home_release(&w->homes[i]);
    for (size_t i = 0; i < w->n_heap; i++)
        packet_free(w->heap[i].packet);
    replica_outbox_release(&w->out);
    free(w->heap);
    free(w->truth);
    free(w->entries);
    free(w);
}
CLEANUP_POINTER(struct replica_world, release);

void replica_world_result_release(struct replica_world_result *r)
{
    buffer_release(&r->trace);
}

int replica_world_run(const struct replica_world_config *config,
                      struct replica_world_result *ret)
{
    CLEANUP(releasep) struct replica_world *w = calloc(1, sizeof(*w));

    *ret = (struct replica_world_result){ .n_events = 0 };
    if (!w)
        return -ENOMEM;
    w->config = config;
    w->result = ret;
    w->now = TIME_S(START_S);
    prng_init(&w->prng, config->seed);
    draw(w);
    live(w);
    ret->n_generations = w->newest;
    ret->virtual_us = w->now - TIME_S(START_S);
    return w->error;
}
