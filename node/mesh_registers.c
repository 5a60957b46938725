/* SPDX-License-Identifier: Apache-2.0 */
/* The mesh group: few values that are the same for all nodes, such as the last number
 * that a run was given.
 *
 * It is a group as a run's is, of id zero, with up to five homes. Its leader holds the
 * registers as they will be when its log is decided; each change is an entry, and who
 * asked is answered when that is decided. A register's record names the last request
 * of each node that would have changed it: one that comes again, also to a later
 * leader, is answered once more and changes nothing, and so does one that is older.
 * Reading is an entry too, an empty one, so that nobody is told what another leader has
 * changed by now; likewise an exchange that is refused, or it could be refused for a
 * value that is never decided, and carried out when it comes again. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

static_assert(1 + RUN_ID_SIZE + REGISTER_NAME_MAX <= RECORD_KEY_MAX,
              "a register's key is a record's");

static const struct run_id mesh_id;

bool group_is_mesh(const struct group *g)
{
    return run_id_equal(&g->run, &mesh_id);
}

/* ---- founding, and its homes ---- */

int registers_found(struct mesh *m)
{
    struct replica_state state = { .generation = 1, .n_homes = 1 };
    struct group *g = group_find(m, &mesh_id);
    int error;

    if (g || !m->is_founder)
        return 0;
    error = group_add(m, &mesh_id, &g);
    if (error < 0 || !g)
        return error;
    state.homes[0] = m->self;
    return group_open(m, g, &state, true);
}

int registers_on_tick(struct mesh *m, struct group *g)
{
    struct node_id homes[HOMES_MAX];
    uint32_t n;
    int error = 0;

    if (!g->replica || !replica_leads(g->replica)
        || !home_refill(m, g, HOMES_OF_MESH, homes, &n, &error))
        return error;
    return group_move(m, g, homes, n);
}

/* ---- what is known of them ---- */

static void reg_free(struct mesh *m, struct reg *r)
{
    HASH_DEL(m->registers.all, r);
    free(r->value);
    free(r);
}

void registers_release(struct mesh *m)
{
    struct reg *r, *next;

    HASH_ITER (hh, m->registers.all, r, next)
        reg_free(m, r);
    m->registers = (struct registers){ .all = NULL };
}

static struct reg *reg_find(const struct mesh *m, const char *name)
{
    struct reg *r;

    HASH_FIND_STR(m->registers.all, name, r);
    return r;
}

static struct reg *reg_add(struct mesh *m, const char *name, size_t len)
{
    struct reg *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    memcpy(r->name, name, len);
    HASH_ADD_STR(m->registers.all, name, r);
    if (!r->hh.tbl) {
        free(r);
        return NULL;
    }
    return r;
}

static int reg_set(struct reg *r, const void *value, size_t len)
{
    uint8_t *copy = malloc(len + 1);

    if (!copy)
        return -ENOMEM;
    if (len)
        memcpy(copy, value, len);
    free(r->value);
    r->value = copy;
    r->value_len = len;
    return 0;
}

/* ---- leading: they are read back ---- */

static int read_behind(struct mesh *m, const struct group *g,
                       const struct log_entry *last)
{
    struct action ask = { .type = ACTION_READ_RECORDS,
                          .run = g->run,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    struct read *r = read_add(m, READ_REGISTERS, &g->id);

    if (!r) /* the table is full for a moment: see registers_on_propose() */
        return 0;
    m->registers.read = ask.u.mesh.token = r->token;
    ask.u.mesh.group = g->id;
    if (last) {
        ask.u.mesh.from = last->key;
        ask.u.mesh.from_len = last->key_len;
    }
    return mesh_emit(m, &ask);
}

int registers_on_lead(struct mesh *m, struct group *g)
{
    registers_release(m);
    g->leader = m->mesh_leader = m->self;
    group_mark(m, g);
    return read_behind(m, g, NULL);
}

/* What was asked is not answered here any more: it is asked of the next leader. */
void registers_on_follow(struct mesh *m, struct group *g)
{
    entries_drop_new(&g->entries);
    entries_forget_tells(&g->entries);
    registers_release(m);
    if (!node_id_is_none(&g->leader))
        m->mesh_leader = g->leader;
}

static int take_in(struct mesh *m, const struct log_entry *e)
{
    CLEANUP(register_row_release) struct register_row row = { .arena = NULL };
    size_t len = e->key_len - 1 - RUN_ID_SIZE;
    struct reg *r;
    int error;

    if (e->key_len <= 1 + RUN_ID_SIZE || e->key[0] != 'v' || len > REGISTER_NAME_MAX)
        return 0;
    error = register_row_decode(e->value, e->value_len, &row);
    if (error < 0)
        return error == -ENOMEM ? error : 0;
    r = reg_add(m, (const char *)e->key + 1 + RUN_ID_SIZE, len);
    if (!r)
        return -ENOMEM;
    r->n_clients = row.n_clients;
    if (row.n_clients)
        memcpy(r->clients, row.clients, row.n_clients * sizeof(*row.clients));
    if (row.is_none)
        return 0;
    return reg_set(r, row.value, row.value_len);
}

int registers_on_read(struct mesh *m, const struct mesh_event *event)
{
    const struct log_entry *entries = event->u.entries.entries;
    struct group *g = group_find(m, &mesh_id);
    size_t n = event->u.entries.n;
    int error = 0;

    if (event->token != m->registers.read || !g)
        return 0;
    m->registers.read = 0;
    for (size_t i = 0; i < n && event->status == 0 && error == 0; i++)
        error = take_in(m, &entries[i]);
    if (error < 0 || event->status < 0)
        return error;
    if (!event->u.entries.is_last && n)
        return read_behind(m, g, &entries[n - 1]);
    m->registers.is_ready = true;
    return 0;
}

/* ---- what is asked ---- */

static int answer(struct mesh *m, const struct node_id *to,
                  const struct proposed_message *p)
{
    struct message msg = { .type = MESSAGE_PROPOSED, .u.proposed = *p };

    if (node_id_equal(to, &m->self))
        return propose_on_answer(m, &m->self, p);
    return mesh_send(m, to, &msg, 0);
}

static int refuse(struct mesh *m, const struct node_id *to, uint64_t request,
                  int32_t status)
{
    struct proposed_message p = { .request = request, .status = status };

    if (status == -EAGAIN)
        p.leader = m->mesh_leader;
    return answer(m, to, &p);
}

void asked_free(struct asked *a)
{
    if (a)
        free(a->value);
    free(a);
}
CLEANUP_POINTER(struct asked, asked_free);

static int asked_new(const struct node_id *node, uint64_t request, const void *value,
                     size_t len, struct asked **ret)
{
    CLEANUP(asked_freep) struct asked *a = calloc(1, sizeof(*a));

    if (!a)
        return -ENOMEM;
    a->node = *node;
    a->request = request;
    a->value = malloc(len + 1);
    if (!a->value)
        return -ENOMEM;
    if (len)
        memcpy(a->value, value, len);
    a->value_len = len;
    *ret = TAKE(a);
    return 0;
}

static struct register_client *client_of(struct reg *r, const struct node_id *node)
{
    for (size_t i = 0; i < r->n_clients; i++)
        if (node_id_equal(&r->clients[i].node, node))
            return &r->clients[i];
    return NULL;
}

/* As the newest, in the place of what it asked before or of the oldest. */
static void note_client(struct reg *r, const struct register_client *client)
{
    struct register_client *was = client_of(r, &client->node);
    size_t at = was ? (size_t)(was - r->clients) : 0;

    if (was || r->n_clients == REGISTER_CLIENTS_MAX)
        memmove(&r->clients[at], &r->clients[at + 1],
                (--r->n_clients - at) * sizeof(r->clients[0]));
    r->clients[r->n_clients++] = *client;
}

/* Its answer follows when the entry is decided; of an empty one, when all before is. */
static int append(struct mesh *m, struct group *g, const struct log_entry *log,
                  struct asked *take_asked)
{
    CLEANUP(asked_freep) struct asked *asked = take_asked;
    struct entry e = { .index = 0 };
    int error = log_entry_copy(log, &e.log);

    if (error < 0)
        return error;
    e.asked = TAKE(asked);
    m->registers.n_asked++;
    return group_propose(m, g, &e, NULL);
}

static int append_empty(struct mesh *m, struct group *g, const struct node_id *from,
                        uint64_t request, const struct reg *r, int32_t status)
{
    static const struct log_entry none;
    struct asked *asked;
    int error =
        asked_new(from, request, r ? r->value : NULL, r ? r->value_len : 0, &asked);

    if (error < 0)
        return error;
    asked->status = status;
    return append(m, g, &none, asked);
}

/* The register as it is now, and the answer to who asked last. */
static int append_change(struct mesh *m, struct group *g, const struct reg *r)
{
    const struct register_client *last = &r->clients[r->n_clients - 1];
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    const struct register_row row = { .value = r->value,
                                      .value_len = r->value_len,
                                      .is_none = !r->value,
                                      .clients = (struct register_client *)r->clients,
                                      .n_clients = r->n_clients };
    struct record_key key = register_key(&g->id, r->name);
    struct log_entry log = { .key = key.bytes, .key_len = key.len };
    struct asked *asked;
    int error = register_row_encode(&row, &value);

    if (error == 0)
        error = asked_new(&last->node, last->request, r->value, r->value_len, &asked);
    if (error < 0)
        return -ENOMEM;
    asked->status = last->is_refused ? -ESTALE : 0;
    log.value = (uint8_t *)value.data;
    log.value_len = value.len;
    return append(m, g, &log, asked);
}

static bool is_expected(const struct reg *r, const struct propose_message *p)
{
    if (!p->has_expected)
        return !r->value;
    return r->value && r->value_len == p->expected_len
           && (!p->expected_len || memcmp(r->value, p->expected, p->expected_len) == 0);
}

/* Others may ask before the leader has raised the register to what it counted alone. */
static uint64_t number_in(const struct mesh *m, const struct reg *r)
{
    uint64_t number = register_number(r->value, r->value_len);

    return strcmp(r->name, REGISTER_RUN_NUMBER) == 0 && number < m->floor ? m->floor
                                                                          : number;
}

static int set(const struct mesh *m, struct reg *r, const struct propose_message *p,
               uint64_t *ret_sum)
{
    uint8_t sum[8];

    *ret_sum = 0;
    if (p->op == PROPOSE_SWAP)
        return reg_set(r, p->value, p->value_len);
    *ret_sum = number_in(m, r) + (uint64_t)p->add;
    register_put_number(*ret_sum, sum);
    return reg_set(r, sum, sizeof(sum));
}

static int change(struct mesh *m, struct group *g, const struct node_id *from,
                  const struct propose_message *p)
{
    struct register_client client = { .node = *from, .request = p->request };
    struct reg *r = reg_find(m, p->key);
    int error = 0;

    if (!r && HASH_COUNT(m->registers.all) >= REGISTERS_MAX)
        return refuse(m, from, p->request, -EBUSY);
    if (!r)
        r = reg_add(m, p->key, strlen(p->key));
    if (!r)
        return -ENOMEM;
    client.is_refused = p->op == PROPOSE_SWAP && !is_expected(r, p);
    if (!client.is_refused)
        error = set(m, r, p, &client.sum);
    if (error < 0)
        return error;
    note_client(r, &client);
    return append_change(m, g, r);
}

/* It was carried out already: the answer is what it was. */
static int repeat(struct mesh *m, struct group *g, const struct node_id *from,
                  const struct propose_message *p, const struct register_client *was)
{
    uint8_t bytes[8];
    const struct reg then = { .value = bytes,
                              .value_len = p->op == PROPOSE_ADD ? sizeof(bytes) : 0 };

    register_put_number(was->sum, bytes);
    return append_empty(m, g, from, p->request, &then, was->is_refused ? -ESTALE : 0);
}

static bool is_sound(const struct propose_message *p)
{
    size_t len = p->key ? strlen(p->key) : 0;

    return len && len <= REGISTER_NAME_MAX && p->value_len <= REGISTER_VALUE_MAX;
}

int registers_on_propose(struct mesh *m, const struct node_id *from,
                         const struct propose_message *p)
{
    struct group *g = group_find(m, &mesh_id);
    const struct register_client *was;
    struct reg *r;

    if (!is_sound(p))
        return refuse(m, from, p->request, -EINVAL);
    if (!g || !g->replica || !replica_leads(g->replica))
        return refuse(m, from, p->request, -EAGAIN);
    if (!m->registers.is_ready && !read_find(m, m->registers.read)) {
        registers_release(m);
        return read_behind(m, g, NULL); /* it is asked again by then */
    }
    if (!m->registers.is_ready || m->registers.n_asked >= ASKED_MAX)
        return refuse(m, from, p->request, -EBUSY);
    r = reg_find(m, p->key);
    if (p->op == PROPOSE_READ)
        return append_empty(m, g, from, p->request, r, r && r->value ? 0 : -ENOENT);
    was = r ? client_of(r, from) : NULL;
    if (was && p->request < was->request) /* nobody waits for it any more */
        return 0;
    if (was && was->request == p->request)
        return repeat(m, g, from, p, was);
    return change(m, g, from, p);
}

int registers_on_decided(struct mesh *m, struct asked *take_asked)
{
    CLEANUP(asked_freep) struct asked *asked = take_asked;

    m->registers.n_asked -= m->registers.n_asked > 0;
    return answer(m, &asked->node,
                  &(struct proposed_message){ .request = asked->request,
                                              .status = asked->status,
                                              .leader = m->self,
                                              .value = asked->value,
                                              .value_len = asked->value_len });
}
