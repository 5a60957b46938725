/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/cluster.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"
#include "simulations/faults.h"

enum {
    START_S = 1000,
    STORM_S = 40,
    DEATHS_S = 45, /* between two of them: to be noticed, given up, and repaired */
    CALM_S = 900,  /* by then all must be over */
    EVENTS_MAX = 2000000,
};

static const char *const fault_names[] = {
    "loss",  "twice", "reorder",   "spike", "cut",  "one-way", "flap", "crash",
    "pause", "death", "slow-disk", "skew",  "fail", "fickle",  "rot",  "deaths",
};

const char *cluster_fault_name(enum cluster_fault f)
{
    for (size_t i = 0; i < ARRAY_SIZE(fault_names); i++)
        if ((unsigned)f == 1u << i)
            return fault_names[i];
    return "unknown";
}

int cluster_faults_parse(const char *text, unsigned *ret_faults)
{
    CLEANUP(freep) char *copy = strdup(text);
    char *rest = copy, *word;
    unsigned faults = 0;

    while (copy && (word = strsep(&rest, ","))) {
        unsigned before = faults;

        for (size_t i = 0; i < ARRAY_SIZE(fault_names); i++)
            if (strcmp(word, fault_names[i]) == 0)
                faults |= 1u << i;
        if (strcmp(word, "all") == 0)
            faults = CLUSTER_FAULTS_ALL;
        else if (strcmp(word, "none") != 0 && faults == before)
            return -EINVAL;
    }
    *ret_faults = faults;
    return 0;
}

void *cluster_grow(void *items, size_t n, size_t *cap, size_t size)
{
    if (n == *cap) {
        *cap = *cap ? 2 * *cap : 16;
        items = reallocarray(items, *cap, size);
        if (!items)
            abort();
    }
    return items;
}

void *cluster_copy(const void *data, size_t len)
{
    void *copy = malloc(len + 1);

    if (!copy)
        abort();
    if (len)
        memcpy(copy, data, len);
    return copy;
}

void trace(struct cluster *c, const char *format, ...)
{
    char text[600];
    va_list args;

    if (!c->config->is_traced)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_printf(&c->result->trace, "[%11.6f] %s\n",
                  (double)(c->now - TIME_S(START_S)) / 1e6, text);
}

unsigned node_of(const struct cluster *c, const struct node_id *id)
{
    for (unsigned i = 0; i < c->n_nodes; i++)
        if (node_id_equal(&c->nodes[i].id, id))
            return i;
    abort();
}

/* ---- what is to happen, in order of time ---- */

static bool is_sooner(const struct incident *a, const struct incident *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct incident *a, struct incident *b)
{
    struct incident x = *a;

    *a = *b;
    *b = x;
}

void later(struct cluster *c, time_us delay, const struct incident *incident)
{
    size_t i = c->n_heap;

    c->heap = cluster_grow(c->heap, c->n_heap, &c->cap_heap, sizeof(*c->heap));
    c->heap[c->n_heap++] = *incident;
    c->heap[i].at = c->now + delay;
    c->heap[i].order = c->order++;
    for (; i && is_sooner(&c->heap[i], &c->heap[(i - 1) / 2]); i = (i - 1) / 2)
        swap(&c->heap[i], &c->heap[(i - 1) / 2]);
}

static struct incident next(struct cluster *c)
{
    struct incident first = c->heap[0];
    size_t i = 0;

    c->heap[0] = c->heap[--c->n_heap];
    for (;;) {
        size_t least = i;

        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < c->n_heap; k++)
            if (is_sooner(&c->heap[k], &c->heap[least]))
                least = k;
        if (least == i)
            return first;
        swap(&c->heap[i], &c->heap[least]);
        i = least;
    }
}

static void incident_release(struct incident *i)
{
    for (size_t k = 0; k < i->n_entries; k++) {
        free(i->entries[k].key);
        free(i->entries[k].value);
    }
    free(i->entries);
    free(i->bytes);
}

/* ---- faults ---- */

static void go_for_good(struct cluster *c, unsigned i)
{
    trace(c, "%u is gone for good", i);
    node_crash(c, i);
    c->nodes[i].is_dead = true;
}

static void strike_in_turn(struct cluster *c, unsigned i)
{
    if (c->now < c->next_death || !check_may_die(c, i))
        return;
    lost_check_copies(c);
    c->next_death = c->now + TIME_S(DEATHS_S);
    c->n_made_before = c->n_made;
    if (!check_failed(c))
        go_for_good(c, i);
}

static void strike_node(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];

    if (!n->mesh)
        return;
    if (may(c, CLUSTER_PAUSE) && chance(c, 15)) {
        n->paused_until = c->now + draw(c, TIME_S(chance(c, 30) ? 40 : 5));
        trace(c, "%u stops for %.1f s", i, (double)(n->paused_until - c->now) / 1e6);
    }
    if (may(c, CLUSTER_DEATHS))
        strike_in_turn(c, i);
    if (may(c, CLUSTER_ROT) && chance(c, 60))
        lost_rot(c, i);
    if (may(c, CLUSTER_DEATH) && chance(c, 10) && check_may_die(c, i)) {
        go_for_good(c, i);
        /* One is enough: outputs are kept in two places. */
        c->faults &= ~(unsigned)CLUSTER_DEATH;
    } else if (may(c, CLUSTER_CRASH) && chance(c, 25)) {
        node_crash(c, i);
        later(c, TIME_MS(100) + draw(c, TIME_S(chance(c, 30) ? 30 : 3)),
              &(struct incident){ .type = INCIDENT_START, .node = i });
    }
}

void stream_begin(struct cluster *c, enum stream stream, uint64_t number)
{
    c->others = c->prng;
    prng_init(&c->prng, c->config->seed ^ (uint64_t)stream << 56 ^ number << 40);
}

void stream_end(struct cluster *c)
{
    c->prng = c->others;
}

static void strike(struct cluster *c)
{
    unsigned number = c->n_strikes;

    if (c->is_calm || number == CLUSTER_STRIKES_MAX)
        return;
    c->result->n_strikes = ++c->n_strikes;
    stream_begin(c, STREAM_STRIKE, number);
    later(c, TIME_MS(200) + draw(c, TIME_S(4)),
          &(struct incident){ .type = INCIDENT_STRIKE });
    if (!c->config->has_no_strike[number]) {
        trace(c, "strike %u", number);
        net_strike(c);
        strike_node(c, (unsigned)draw(c, c->n_nodes));
    }
    stream_end(c);
}

static void become_calm(struct cluster *c)
{
    trace(c, "it is calm");
    c->is_calm = true;
    net_heal(c);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        c->nodes[i].paused_until = 0;
        node_start(c, i);
    }
    later(c, TIME_S(60), &(struct incident){ .type = INCIDENT_GIVE_UP });
}

/* ---- the loop ---- */

static bool is_stale(const struct cluster *c, const struct incident *i)
{
    const struct cluster_node *n = &c->nodes[i->node];

    return !n->mesh || (i->boot && i->boot != n->boot)
           || (i->type == INCIDENT_TICK && i->serial != n->tick_serial);
}

static void happen_to_node(struct cluster *c, struct incident *i)
{
    switch (i->type) {
    case INCIDENT_FRAME:
        net_deliver(c, i);
        break;
    case INCIDENT_EVENT:
        if (i->event.type == MESH_EVENT_ENTRIES
            || i->event.type == MESH_EVENT_RECORDS) {
            i->event.u.entries.entries = i->entries;
            i->event.u.entries.n = i->n_entries;
        }
        if (i->event.type == MESH_EVENT_END_FOUND && i->n_entries) {
            i->event.u.end.value = i->entries[0].value;
            i->event.u.end.value_len = i->entries[0].value_len;
        }
        node_tell(c, i->node, &i->event);
        break;
    case INCIDENT_SYNC:
        node_sync(c, i->node);
        break;
    case INCIDENT_TASK:
        task_end(c, i->node, (uint32_t)i->value, i->serial);
        break;
    case INCIDENT_ASK:
        client_ask(c, i);
        break;
    case INCIDENT_ANSWERED:
        client_answered(c, i);
        break;
    case INCIDENT_GUARD:
        task_guard(c, i->node, (uint32_t)i->value);
        break;
    case INCIDENT_TICK:
        node_tell(c, i->node, &(struct mesh_event){ .type = MESH_EVENT_TICK });
        break;
    case INCIDENT_LOST:
        lost_happen(c, i);
        break;
    default:
        break;
    }
    if (!check_failed(c))
        node_flush(c, i->node);
}

/* False: it was put off. */
static bool happen(struct cluster *c, struct incident *i)
{
    time_us until = c->nodes[i->node].paused_until;

    switch (i->type) {
    case INCIDENT_START:
        node_start(c, i->node);
        break;
    case INCIDENT_STRIKE:
        strike(c);
        break;
    case INCIDENT_SUBMIT:
        users_submit(c, (unsigned)i->value);
        break;
    case INCIDENT_CALM:
        become_calm(c);
        break;
    case INCIDENT_GIVE_UP:
        users_give_up(c);
        break;
    case INCIDENT_CLIENT:
        client_act(c, i->node);
        break;
    default:
        if (is_stale(c, i))
            break;
        if (until > c->now) {
            later(c, until - c->now, i);
            return false;
        }
        happen_to_node(c, i);
        break;
    }
    return true;
}

static void live(struct cluster *c)
{
    uint64_t n = 0;

    while (c->n_heap && !check_failed(c)) {
        struct incident i = next(c);

        c->now = i.at;
        if (happen(c, &i))
            incident_release(&i);
        if (c->is_calm && n++ % 256 == 0 && check_is_over(c))
            break;
        if (c->result->n_events > EVENTS_MAX) {
            check_fail(c, "liveness", "too much happens");
        } else if (c->now > c->calm_at + TIME_S(CALM_S)) {
            break;
        }
    }
    if (!check_failed(c))
        check_end(c);
}

/* ---- the seed ---- */

static void draw_nodes(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        struct cluster_node *n = &c->nodes[i];
        struct disk_config disk = { .seed = prng_next(&c->prng),
                                    .keeps_groups = true,
                                    .lies = c->config->mutant == CLUSTER_MUTANT_FORGET
                                                ? DISK_FORGETS
                                                : 0 };
        char name[2] = { (char)('a' + i), 0 };

        n->index = i;
        memset(n->id.bytes, (int)(i + 1), sizeof(n->id.bytes));
        n->card = (struct member_card){ .name = strdup(name),
                                        .address = strdup("127.0.0.1:1"),
                                        .zone = strdup(""),
                                        .version = strdup("1"),
                                        .roles = ROLE_WORKER | ROLE_HOME,
                                        .slots = SLOTS,
                                        .cpu_milli = 2000 + 500 * draw(c, 7),
                                        .memory_bytes = (uint64_t)1 << 40,
                                        .disk_bytes = (uint64_t)1 << 40,
                                        .n_gpus = 2,
                                        .custom = calloc(1, sizeof(*n->card.custom)),
                                        .n_custom = 1 };
        n->disk = disk_new(&disk);
        if (!n->disk || !n->card.name || !n->card.address || !n->card.custom)
            abort();
        n->card.custom[0] = (struct member_custom){ strdup("licence"), 3000 };
        if (c->faults & CLUSTER_SKEW)
            n->skew = draw(c, TIME_S(100));
        later(c, draw(c, TIME_S(1)),
              &(struct incident){ .type = INCIDENT_START, .node = i });
    }
}

static void draw_all(struct cluster *c)
{
    time_us storm;

    prng_init(&c->prng, c->config->seed);
    c->faults = c->config->faults & (unsigned)prng_next(&c->prng);
    c->result->faults = c->faults;
    c->loss = (unsigned)draw(c, 20);
    c->twice = (unsigned)draw(c, 20);
    c->delay_max = 300 + draw(c, chance(c, 30) ? TIME_MS(100) : TIME_MS(2));
    c->sync_max =
        1 + draw(c, c->faults & CLUSTER_SLOW_DISK ? TIME_MS(500) : TIME_MS(5));
    c->tasks =
        (struct tasks_config){ .seed = prng_next(&c->prng), .failure_in = 1000000 };
    if (c->faults & CLUSTER_FAIL) {
        c->tasks.faults = FAULT_EXIT | FAULT_SIGNAL | FAULT_STUBBORN;
        c->tasks.failure_in = 4 + draw(c, 20);
    }
    c->now = TIME_S(START_S);
    storm = c->faults & CLUSTER_DEATHS ? 4 * TIME_S(DEATHS_S) : TIME_S(STORM_S);
    c->calm_at = c->now + storm;
    for (uint64_t i = 0; i < c->config->vary; i++)
        prng_init(&c->prng, prng_next(&c->prng));
    draw_nodes(c);
    users_draw(c);
    clients_draw(c);
    later(c, draw(c, TIME_S(5)), &(struct incident){ .type = INCIDENT_STRIKE });
    later(c, storm, &(struct incident){ .type = INCIDENT_CALM });
}

static void release(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_nodes; i++) {
        node_release(&c->nodes[i]);
        free(c->blobs[i]);
    }
    for (size_t i = 0; i < c->n_heap; i++)
        incident_release(&c->heap[i]);
    for (unsigned i = 0; i < c->n_runs; i++) {
        buffer_release(&c->runs[i].text);
        flow_unref(c->runs[i].flow);
    }
    free(c->heap);
    free(c->told);
    free(c->fences);
    free(c->made);
    for (size_t i = 0; i < c->n_undone; i++)
        free(c->undone[i].outputs);
    free(c->undone);
    free(c);
}
CLEANUP_POINTER(struct cluster, release);

void cluster_result_release(struct cluster_result *r)
{
    buffer_release(&r->trace);
}

int cluster_run(const struct cluster_config *config, struct cluster_result *ret)
{
    CLEANUP(releasep) struct cluster *c = calloc(1, sizeof(*c));

    *ret = (struct cluster_result){ .n_events = 0 };
    if (!c)
        return -ENOMEM;
    c->config = config;
    c->result = ret;
    c->n_nodes = config->n_nodes;
    draw_all(c);
    live(c);
    ret->virtual_us = c->now - TIME_S(START_S);
    return 0;
}
