/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the mesh group. Each stands beside a node and hears what that one hears,
 * but is none: a node would ask for numbers only. It asks anew until it is answered, of
 * whom it was told to ask or of anybody; sometimes it gives up, as one that crashed. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster_state.h"

static const time_us CLIENT_PATIENCE = TIME_MS(500);
static const char *const names[REGISTERS] = { "one", "two" };

enum { CLIENT_ID = 0x80, OPS_MAX = 120 };

static uint64_t draw_client(struct cluster *c, uint64_t bound)
{
    return prng_below(&c->client_prng, bound);
}

static struct linear_op *op_of(struct cluster *c, const struct cluster_client *client)
{
    return &c->registers[client->reg].ops[client->op];
}

static void act_later(struct cluster *c, unsigned client, time_us delay)
{
    later(c, delay, &(struct incident){ .type = INCIDENT_CLIENT, .node = client });
}

void clients_draw(struct cluster *c)
{
    prng_init(&c->client_prng, ~c->config->seed);
    c->has_registers = draw_client(c, 2) && !c->config->has_no_clients;
    for (unsigned i = 0; c->has_registers && i < c->n_nodes; i++) {
        memset(c->clients[i].id.bytes, (int)(CLIENT_ID + i),
               sizeof(c->clients[i].id.bytes));
        act_later(c, i, TIME_S(1) + draw_client(c, TIME_S(2)));
    }
}

static bool is_late(const struct cluster *c)
{
    return c->now > c->calm_at + TIME_S(2);
}

bool clients_are_idle(const struct cluster *c)
{
    for (unsigned i = 0; c->has_registers && i < c->n_nodes; i++)
        if (c->clients[i].is_waiting && !c->nodes[i].is_dead)
            return false;
    return !c->has_registers || is_late(c);
}

/* ---- asking ---- */

static const char *op_text(const struct linear_op *op)
{
    return op->type == LINEAR_READ  ? "reads"
           : op->type == LINEAR_ADD ? "adds to"
                                    : "swaps";
}

static void send(struct cluster *c, unsigned k)
{
    struct cluster_client *client = &c->clients[k];
    const struct linear_op *op = op_of(c, client);
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    uint8_t value[8], expected[8];
    struct message m = { .type = MESSAGE_PROPOSE,
                         .u.propose = { .request = client->request,
                                        .op = (enum propose_op)op->type,
                                        .key = (char *)names[client->reg] } };

    register_put_number(op->value, value);
    register_put_number(op->expected, expected);
    m.u.propose.add = op->type == LINEAR_ADD ? (int64_t)op->value : 0;
    if (op->type == LINEAR_SWAP) {
        m.u.propose.value = value;
        m.u.propose.value_len = sizeof(value);
        m.u.propose.has_expected = op->has_expected;
        m.u.propose.expected = op->has_expected ? expected : NULL;
        m.u.propose.expected_len = op->has_expected ? sizeof(expected) : 0;
    }
    if (message_encode(&m, &bytes) < 0)
        abort();
    client->asked_at = c->now;
    for (int n = may(c, CLUSTER_TWICE) && chance(c, c->twice) ? 2 : 1; n; n--)
        if (!may(c, CLUSTER_LOSS) || !chance(c, c->loss))
            later(c, net_delay(c),
                  &(struct incident){ .type = INCIDENT_ASK,
                                      .node = client->asked,
                                      .from = k,
                                      .bytes = cluster_copy(bytes.data, bytes.len),
                                      .len = bytes.len });
}

static void draw_op(struct cluster *c, struct cluster_client *client)
{
    struct cluster_register *r = &c->registers[client->reg];
    struct linear_op *op = &r->ops[client->op];

    *op = (struct linear_op){ .type = (enum linear_type)(1 + draw_client(c, 3)),
                              .begin = ++c->moment };
    if (op->type == LINEAR_ADD)
        op->value = 1 + draw_client(c, 3);
    if (op->type == LINEAR_SWAP) {
        op->value = 1000 * (r->n + 1);
        op->has_expected = client->known[client->reg].has_value;
        op->expected = client->known[client->reg].value;
    }
}

static void begin(struct cluster *c, unsigned k)
{
    struct cluster_client *client = &c->clients[k];
    struct cluster_register *r = &c->registers[draw_client(c, REGISTERS)];

    if (r->n == OPS_MAX || is_late(c))
        return;
    client->reg = (unsigned)(r - c->registers);
    client->op = r->n;
    draw_op(c, client);
    r->n++;
    client->request++;
    client->is_waiting = true;
    client->asked = (unsigned)draw_client(c, c->n_nodes);
    trace(c, "client %u %s %s: %" PRIu64 " for %" PRIu64, k, op_text(op_of(c, client)),
          names[client->reg], op_of(c, client)->value, op_of(c, client)->expected);
    send(c, k);
}

void client_act(struct cluster *c, unsigned k)
{
    struct cluster_client *client = &c->clients[k];

    if (client->is_waiting && !c->is_calm && draw_client(c, 100) < 2) {
        trace(c, "client %u gives up", k);
        client->is_waiting = false;
    }
    if (!client->is_waiting) {
        begin(c, k);
    } else if (c->now >= client->asked_at + CLIENT_PATIENCE) {
        client->asked =
            client->has_hint ? client->hint : (unsigned)draw_client(c, c->n_nodes);
        client->has_hint = false;
        client->request += c->config->mutant == CLUSTER_MUTANT_NEW_REQUEST;
        send(c, k);
    }
    if (client->is_waiting || !is_late(c))
        act_later(c, k,
                  TIME_MS(50) + draw_client(c, TIME_MS(chance(c, 80) ? 200 : 3000)));
}

void client_ask(struct cluster *c, const struct incident *i)
{
    CLEANUP(message_release) struct message m = { .type = 0 };
    struct mesh_event e = { .type = MESH_EVENT_MESSAGE,
                            .peer = c->clients[i->from].id,
                            .u.message = &m };

    if (!net_passes(c, i->from, i->node))
        return;
    if (message_decode(i->bytes, i->len, &m) < 0)
        abort();
    node_tell(c, i->node, &e);
}

/* ---- hearing ---- */

bool clients_take(struct cluster *c, unsigned from, const struct node_id *to,
                  const void *bytes, size_t len)
{
    unsigned k = to->bytes[0] - (unsigned)CLIENT_ID;

    if (to->bytes[0] < CLIENT_ID)
        return false;
    if (message_peek(bytes, len) == MESSAGE_PROPOSED
        && (!may(c, CLUSTER_LOSS) || !chance(c, c->loss)))
        later(c, net_delay(c),
              &(struct incident){ .type = INCIDENT_ANSWERED,
                                  .node = k,
                                  .from = from,
                                  .bytes = cluster_copy(bytes, len),
                                  .len = len });
    return true;
}

static void note_found(struct cluster *c, struct cluster_client *client,
                       const struct proposed_message *p)
{
    struct linear_op *op = op_of(c, client);

    op->end = ++c->moment;
    op->is_refused = p->status == -ESTALE;
    op->has_found = p->status == 0;
    op->found = register_number(p->value, p->value_len);
    client->known[client->reg].has_value = p->status != -ENOENT && p->value_len;
    client->known[client->reg].value = op->found;
    client->is_waiting = false;
}

static bool is_answer(const struct linear_op *op, int status)
{
    return status == 0 || (status == -ENOENT && op->type == LINEAR_READ)
           || (status == -ESTALE && op->type == LINEAR_SWAP);
}

void client_answered(struct cluster *c, const struct incident *i)
{
    CLEANUP(message_release) struct message m = { .type = 0 };
    struct cluster_client *client = &c->clients[i->node];
    const struct proposed_message *p = &m.u.proposed;

    if (!net_passes(c, i->from, i->node))
        return;
    if (message_decode(i->bytes, i->len, &m) < 0)
        abort();
    if (!client->is_waiting || p->request != client->request || p->status == -EBUSY)
        return;
    if (p->status == -EAGAIN) {
        if (!node_id_is_none(&p->leader) && node_of(c, &p->leader) != i->from) {
            client->hint = node_of(c, &p->leader);
            client->has_hint = true;
            client->asked_at = c->now - CLIENT_PATIENCE; /* when it acts next */
        }
        return;
    }
    if (!is_answer(op_of(c, client), p->status)) {
        check_fail(c, "registers", "client %u is answered %d", i->node, p->status);
        return;
    }
    note_found(c, client, p);
    trace(c, "client %u hears of %u: %d, %" PRIu64, i->node, i->from, p->status,
          op_of(c, client)->found);
}

/* ---- what must hold ---- */

void numbers_told(struct cluster *c, struct run *r, uint64_t number)
{
    for (unsigned k = 0; k < c->n_runs; k++)
        if (c->runs[k].number == number && &c->runs[k] != r)
            check_fail(c, "numbers", "%" PRIu64 " is the number of two runs", number);
    if (r->number && r->number != number)
        check_fail(c, "numbers", "run %u has the numbers %" PRIu64 " and %" PRIu64,
                   (unsigned)(r - c->runs), r->number, number);
    r->number = number;
}

void registers_check(struct cluster *c)
{
    if (!clients_are_idle(c))
        check_fail(c, "liveness", "a client of the mesh group hears nothing");
    for (unsigned i = 0; c->has_registers && i < REGISTERS; i++) {
        int r = linear_check(c->registers[i].ops, c->registers[i].n);

        if (r < 0)
            check_fail(c, "linear", "%zu operations on '%s' have no order%s",
                       c->registers[i].n, names[i],
                       r == -E2BIG ? " that was found" : "");
    }
}
