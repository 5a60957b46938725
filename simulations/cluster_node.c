/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"

enum { ACTIONS_MAX = 4096, HELD_MAX = 65536 };
static const time_us WALL = TIME_S(1000000000);

/* ---- the disk ---- */

static void drop_transaction(struct cluster_node *n)
{
    for (size_t k = 0; k < n->n_writes; k++) {
        free((void *)n->writes[k].key.data);
        free((void *)n->writes[k].value.data);
    }
    n->n_writes = 0;
}

static void add_write(struct cluster_node *n, struct span key, struct span value,
                      bool is_delete)
{
    n->writes =
        cluster_grow(n->writes, n->n_writes, &n->cap_writes, sizeof(*n->writes));
    n->writes[n->n_writes++] =
        (struct store_write){ .table = STORE_RECORDS,
                              .key = { cluster_copy(key.data, key.len), key.len },
                              .value = { cluster_copy(value.data, value.len),
                                         value.len },
                              .is_delete = is_delete };
}

static int delete_one(void *arg, struct span key, struct span value)
{
    (void)value;
    add_write(arg, key, (struct span){ NULL, 0 }, true);
    return 0;
}

static void persist(struct cluster *c, unsigned i, const struct action *a)
{
    struct cluster_node *n = &c->nodes[i];
    struct span key = { a->u.persist.key, a->u.persist.key_len };
    struct span value = { a->u.persist.value, a->u.persist.value_len };

    if (a->ticket != n->last_ticket + 1)
        check_fail(c, "tickets", "%u has ticket %" PRIu64 " after %" PRIu64, i,
                   a->ticket, n->last_ticket);
    n->last_ticket = a->ticket;
    if (c->config->mutant == CLUSTER_MUTANT_OTHER_RECORD && i == 1
        && *(const char *)key.data == 'a' && value.len)
        ((uint8_t *)value.data)[value.len - 1] ^= 1;
    if (a->u.persist.is_range)
        read_scan(c, i, key.data, key.len, delete_one, n);
    else
        add_write(n, key, value, a->u.persist.is_delete);
    if (a->u.persist.with_next)
        return;
    if (disk_write(n->disk, n->writes, n->n_writes) < 0)
        abort();
    drop_transaction(n);
}

static void plan_sync(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];

    if (n->is_syncing || n->durable == n->last_ticket)
        return;
    n->is_syncing = true;
    later(c, TIME_MS(1) + (c->is_calm ? 0 : draw(c, c->sync_max)),
          &(struct incident){ .type = INCIDENT_SYNC, .node = i, .boot = n->boot });
}

/* ---- what waits for the disk ---- */

static void hold(struct cluster *c, unsigned i, const struct action *a,
                 const void *bytes, size_t len)
{
    struct cluster_node *n = &c->nodes[i];

    n->held = cluster_grow(n->held, n->n_held, &n->cap_held, sizeof(*n->held));
    n->held[n->n_held++] =
        (struct held){ .action = *a, .bytes = cluster_copy(bytes, len), .len = len };
    if (n->n_held > HELD_MAX)
        check_fail(c, "bounded", "%u has %zu actions waiting", i, n->n_held);
}

static void hear(struct cluster *c, unsigned i, const struct action *a)
{
    struct run *r = run_of(c, &a->run);

    check_told(c, i, a);
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        trace(c, "told by %u: run %u is accepted", i, (unsigned)(r - c->runs));
        users_accepted(c, r);
        break;
    case TELL_TASK_ENDED:
        trace(c, "told by %u: %s#%u %s", i, task_text(c, &a->run, &a->task), a->attempt,
              reason_name(a->u.tell.reason));
        break;
    case TELL_RUN_ENDED:
        trace(c, "told by %u: run %u %s", i, (unsigned)(r - c->runs),
              run_outcome_name(a->u.tell.outcome));
        break;
    case TELL_RUN_REFUSED:
        trace(c, "told by %u: run %u is refused", i, (unsigned)(r - c->runs));
        users_refused(c, r);
        break;
    case TELL_TASK_TORN:
        lost_ask(c, i, LOST_STALE, &a->run, &a->task, 0);
        break;
    case TELL_RUN_TORN:
        lost_ask(c, i, LOST_TORN, &a->run, &a->task, 0);
        break;
    case TELL_RUN_NUMBERED:
        trace(c, "told by %u: run %u has the number %" PRIu64, i,
              (unsigned)(r - c->runs), a->u.tell.number);
        numbers_told(c, r, a->u.tell.number);
        break;
    case TELL_TASK_STARTED:
        break;
    }
}

static void tell_fenced(struct cluster *c, unsigned i, const struct action *a)
{
    struct event e = { .type = EVENT_FENCED, .run = a->run };

    e.u.fenced.slot = a->slot;
    e.u.fenced.fence = a->u.fence;
    later(c, 0,
          &(struct incident){ .type = INCIDENT_EVENT,
                              .node = i,
                              .boot = c->nodes[i].boot,
                              .event = { .type = MESH_EVENT_NODE, .u.node = e } });
}

static void carry_held(struct cluster *c, unsigned i, const struct held *h)
{
    switch (h->action.type) {
    case ACTION_FENCED:
        tell_fenced(c, i, &h->action);
        break;
    case ACTION_TELL:
        hear(c, i, &h->action);
        break;
    case ACTION_SEND:
        if (clients_take(c, i, &h->action.u.mesh.peer, h->bytes, h->len))
            break;
        net_send(c, i, node_of(c, &h->action.u.mesh.peer), h->bytes, h->len);
        break;
    case ACTION_KEEP:
        task_keep(c, i, h);
        break;
    default:
        read_answer(c, i, h);
        break;
    }
}

/* In the order in which they came. What is carried out may bring more. */
static void release_held(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];

    for (size_t k = 0; k < n->n_held && !check_failed(c);) {
        struct held h = n->held[k];

        if (h.action.ticket > n->durable) {
            k++;
            continue;
        }
        memmove(&n->held[k], &n->held[k + 1], (n->n_held - k - 1) * sizeof(h));
        n->n_held--;
        carry_held(c, i, &h);
        free(h.bytes);
        k = 0;
    }
}

/* ---- actions ---- */

static void carry(struct cluster *c, unsigned i, const struct action *a)
{
    switch (a->type) {
    case ACTION_PERSIST:
        persist(c, i, a);
        break;
    case ACTION_START:
        check_start(c, i, a);
        if (!check_failed(c))
            task_start(c, i, a);
        break;
    case ACTION_PERMIT:
        task_permit(c, i, a);
        break;
    case ACTION_KILL:
        task_kill(c, i, a);
        break;
    case ACTION_SEND:
    case ACTION_KEEP:
        hold(c, i, a, a->u.mesh.bytes, a->u.mesh.len);
        break;
    case ACTION_READ_RECORDS:
        hold(c, i, a, a->u.mesh.from, a->u.mesh.from_len);
        break;
    case ACTION_TELL:
    case ACTION_FENCED:
    case ACTION_READ_ENTRIES:
    case ACTION_LOAD_RUN:
    case ACTION_FIND_END:
    case ACTION_WITNESS:
        hold(c, i, a, NULL, 0);
        break;
    case ACTION_CONNECT:
        net_connect(c, i, node_of(c, &a->u.mesh.peer));
        break;
    case ACTION_DISCONNECT:
        c->nodes[i].is_connected[node_of(c, &a->u.mesh.peer)] = false;
        break;
    case ACTION_PREPARE:
        task_prepare(c, i, a);
        break;
    case ACTION_LOOK:
        lost_ask(c, i, LOST_LOOK, &a->run, &a->task, 0);
        break;
    case ACTION_GONE:
        lost_ask(c, i, LOST_GONE, &a->run, &a->task, a->u.mesh.token);
        break;
    default: /* tells of leases, that the mesh handles itself */
        break;
    }
}

void node_tell(struct cluster *c, unsigned i, struct mesh_event *event)
{
    struct cluster_node *n = &c->nodes[i];
    struct outbox out = { .actions = NULL };

    if (check_failed(c))
        return;
    event->now = c->now + n->skew;
    event->wall = WALL + c->now + 60 * n->skew;
    if (event->type == MESH_EVENT_CONNECTED)
        n->is_connected[node_of(c, &event->peer)] = true;
    if (event->type == MESH_EVENT_DISCONNECTED)
        n->is_connected[node_of(c, &event->peer)] = false;
    c->result->n_events++;
    if (mesh_step(n->mesh, event, &out) < 0)
        abort();
    if (out.n > ACTIONS_MAX)
        check_fail(c, "bounded", "%u answers with %zu actions", i, out.n);
    for (size_t k = 0; k < out.n && !check_failed(c); k++)
        carry(c, i, &out.actions[k]);
    outbox_release(&out);
    plan_sync(c, i);
    if (event->type != MESH_EVENT_NODE)
        release_held(c, i);
}

void node_sync(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];
    struct mesh_event e = { .type = MESH_EVENT_DURABLE, .u.ticket = n->last_ticket };

    n->is_syncing = false;
    if (c->config->mutant != CLUSTER_MUTANT_NO_SYNC && disk_sync(n->disk) < 0)
        abort();
    n->durable = n->last_ticket;
    release_held(c, i);
    node_tell(c, i, &e);
}

void node_flush(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];
    time_us now = c->now + n->skew, at;

    node_tell(c, i, &(struct mesh_event){ .type = MESH_EVENT_FLUSH });
    if (check_failed(c))
        return;
    c->result->hash = (c->result->hash ^ mesh_hash(n->mesh)) * 0x9e3779b97f4a7c15u;
    at = mesh_deadline(n->mesh);
    n->tick_serial = ++c->serial;
    if (at != TIME_NEVER)
        later(c, at > now ? at - now : 1,
              &(struct incident){ .type = INCIDENT_TICK,
                                  .node = i,
                                  .boot = n->boot,
                                  .serial = n->tick_serial });
}

/* ---- life ---- */

static void tell_contacts(struct cluster *c, unsigned i)
{
    for (unsigned k = 0; k < c->n_nodes; k++) {
        struct member_note note = { .id = c->nodes[k].id,
                                    .incarnation = (uint64_t)c->nodes[k].boot << 32,
                                    .state = MEMBER_ALIVE,
                                    .has_card = true,
                                    .card = c->nodes[k].card };

        if (k != i && c->nodes[k].boot)
            node_tell(c, i,
                      &(struct mesh_event){ .type = MESH_EVENT_CONTACT,
                                            .u.contact = &note });
    }
}

void node_start(struct cluster *c, unsigned i)
{
    static char licence[] = "licence";
    static char *const custom_names[] = { licence, NULL };
    struct cluster_node *n = &c->nodes[i];
    struct node_config config = {
        .capacity = { .cpu_milli = n->card.cpu_milli,
                      .memory_bytes = n->card.memory_bytes,
                      .disk_bytes = n->card.disk_bytes,
                      .gpu_milli = 1000 * n->card.n_gpus,
                      .custom = { { .name = 0, .milli = 3000 } },
                      .n_custom = 1 },
        .custom_names = custom_names,
        .slots_max = SLOTS,
        .grace_us = TIME_S(1)
    };
    struct mesh_config mesh = { .self = n->id,
                                .boot = n->boot + 1,
                                .card = &n->card,
                                .node = &config,
                                .is_founder = c->has_registers && i == 0,
                                .has_numbers = c->has_registers,
                                .seed = prng_next(&c->prng) };

    if (n->mesh || n->is_dead)
        return;
    if (c->config->mutant == CLUSTER_MUTANT_LOOSE_CPU)
        config.capacity.cpu_milli *= 4;
    trace(c, "%u starts", i);
    n->boot++;
    n->mesh = mesh_new(&mesh, c->now + n->skew);
    if (!n->mesh)
        abort();
    read_back(c, i);
    tell_contacts(c, i);
    node_tell(c, i, &(struct mesh_event){ .type = MESH_EVENT_START });
    if (!check_failed(c))
        node_flush(c, i);
}

void node_crash(struct cluster *c, unsigned i)
{
    struct cluster_node *n = &c->nodes[i];

    trace(c, "%u crashes", i);
    c->result->n_crashes++;
    mesh_free(n->mesh);
    n->mesh = NULL;
    for (size_t k = 0; k < n->n_held; k++)
        free(n->held[k].bytes);
    drop_transaction(n);
    n->n_held = n->n_prepared = 0;
    n->last_ticket = n->durable = 0;
    n->is_syncing = false;
    memcpy(n->lost, n->slots, sizeof(n->lost));
    memset(n->slots, 0, sizeof(n->slots));
    memset(n->is_connected, 0, sizeof(n->is_connected));
    n->paused_until = 0;
    if (disk_crash(n->disk) < 0)
        abort();
    net_gone(c, i);
    users_gone(c, i);
}

void node_release(struct cluster_node *n)
{
    mesh_free(n->mesh);
    for (size_t k = 0; k < n->n_held; k++)
        free(n->held[k].bytes);
    drop_transaction(n);
    free(n->writes);
    free(n->held);
    free(n->prepared);
    disk_free(n->disk);
    member_card_release(&n->card);
}
