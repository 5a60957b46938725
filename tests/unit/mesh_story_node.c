/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/mesh_story_internal.h"

unsigned node_index(const struct mesh_story *s, const struct node_id *id)
{
    for (unsigned i = 0; i < s->n_nodes; i++)
        if (node_id_equal(&s->nodes[i].id, id))
            return i;
    abort();
}

/* ---- the disk ---- */

static void *copy_bytes(const void *data, size_t len)
{
    void *bytes = malloc(len + 1);

    assert(bytes);
    if (len)
        memcpy(bytes, data, len);
    return bytes;
}

static void free_write(struct disk_write *w)
{
    free(w->row.key);
    free(w->row.value);
}

static void on_persist(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct story_node *n = &s->nodes[i];
    struct disk_write w = { .ticket = a->ticket,
                            .is_delete = a->u.persist.is_delete,
                            .is_range = a->u.persist.is_range };

    assert(a->ticket == n->last_ticket + 1);
    assert(a->u.persist.key_len);
    n->last_ticket = a->ticket;
    w.row.key = copy_bytes(a->u.persist.key, a->u.persist.key_len);
    w.row.key_len = a->u.persist.key_len;
    w.row.value = copy_bytes(a->u.persist.value, a->u.persist.value_len);
    w.row.value_len = a->u.persist.value_len;
    disk_map_apply(&n->latest, &w);
    if (n->n_writes == n->cap_writes) {
        n->cap_writes = n->cap_writes ? 2 * n->cap_writes : 64;
        n->writes = realloc(n->writes, n->cap_writes * sizeof(n->writes[0]));
        assert(n->writes);
    }
    n->writes[n->n_writes++] = w;
}

static void plan_sync(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];

    if (n->asked == n->last_ticket)
        return;
    n->asked = n->last_ticket;
    queue_push(s, &(struct happening){ .at = s->now + SYNC,
                                       .node = i,
                                       .boot = n->boot,
                                       .what = WHAT_DURABLE,
                                       .value = n->last_ticket });
}

/* ---- what waits for the disk ---- */

static void hold(struct story_node *n, const struct action *a, const void *bytes,
                 size_t len)
{
    if (n->n_held == n->cap_held) {
        n->cap_held = n->cap_held ? 2 * n->cap_held : 64;
        n->held = realloc(n->held, n->cap_held * sizeof(n->held[0]));
        assert(n->held);
    }
    n->held[n->n_held++] = (struct held_action){
        .ticket = a->ticket, .action = *a, .bytes = copy_bytes(bytes, len), .len = len
    };
}

static const char *verdict_text(enum verdict v)
{
    return v == VERDICT_DONE ? "done" : v == VERDICT_LOST ? "lost" : "failed";
}

/* A majority of the homes has it on disk. */
static void check_decided(const struct mesh_story *s, unsigned i,
                          const struct action *a)
{
    struct record_key key = attempt_key(&a->run, &a->task, a->attempt);
    struct run_where where;
    unsigned n = 0;

    mesh_where(s->nodes[i].mesh, &a->run, &where);
    if (where.place == RUN_PLACE_UNKNOWN)
        return;
    for (uint32_t k = 0; k < where.n_homes; k++)
        n += disk_map_get(&s->nodes[node_index(s, &where.homes[k])].disk, key.bytes,
                          key.len)
             != NULL;
    assert(n > where.n_homes / 2);
}

static void note_done(struct mesh_story *s, const struct action *a)
{
    unsigned run = run_number(s, &a->run);

    for (size_t k = 0; k < s->n_told; k++)
        assert(s->told[k].run != run || !task_id_equal(&s->told[k].task, &a->task));
    s->told = realloc(s->told, (s->n_told + 1) * sizeof(s->told[0]));
    assert(s->told);
    s->told[s->n_told++] = (struct told){ run, a->task };
}

static void on_tell(struct mesh_story *s, unsigned i, const struct action *a)
{
    char name[NAME_SIZE];
    unsigned run = run_number(s, &a->run);

    switch (a->u.tell.type) {
    case TELL_TASK_ENDED:
        task_name(s, &a->run, &a->task, name);
        if (!a->u.tell.is_tentative)
            check_decided(s, i, a);
        if (a->u.tell.verdict == VERDICT_DONE && !a->u.tell.is_tentative)
            note_done(s, a);
        story_say(s, "told %c %s#%u %s%s", s->nodes[i].name, name, a->attempt,
                  verdict_text(a->u.tell.verdict),
                  a->u.tell.is_tentative ? ", tentative" : "");
        break;
    case TELL_RUN_ENDED:
        if (a->u.tell.is_tentative) {
            story_say(s, "run %c %u %s, tentative", s->nodes[i].name, run,
                      run_outcome_name(a->u.tell.outcome));
            break;
        }
        assert(!s->outcomes[run - 1] || s->outcomes[run - 1] == a->u.tell.outcome);
        s->outcomes[run - 1] = a->u.tell.outcome;
        story_say(s, "run %c %u %s", s->nodes[i].name, run,
                  run_outcome_name(a->u.tell.outcome));
        break;
    case TELL_RUN_ACCEPTED:
        s->is_accepted[run - 1] = true;
        break;
    case TELL_RUN_REFUSED:
        story_say(s, "run %c %u is refused", s->nodes[i].name, run);
        break;
    case TELL_TASK_STARTED:
        break;
    case TELL_TASK_TORN:
    case TELL_RUN_TORN:
        break;
    case TELL_RUN_NUMBERED:
        story_numbered(s, i, run, a->u.tell.number);
        break;
    }
}

/* No run has two numbers, and no two have one. */
void story_numbered(struct mesh_story *s, unsigned i, unsigned run, uint64_t number)
{
    assert(number > s->floors[i] && !s->numbers[run - 1]);
    for (unsigned k = 0; k < s->n_runs; k++)
        assert(s->numbers[k] != number);
    s->numbers[run - 1] = number;
    story_say(s, "number %c %u is %llu", s->nodes[i].name, run,
              (unsigned long long)number);
}

static void on_witness(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct happening h = { .at = s->now + 100,
                           .node = i,
                           .boot = s->nodes[i].boot,
                           .what = WHAT_EVENT,
                           .event = { .type = MESH_EVENT_WITNESS,
                                      .token = a->u.mesh.token } };

    if (!task_witness(s, &s->nodes[i].disk, &a->run, &a->task, &h.event.u.witness))
        h.event.status = -ENOENT;
    queue_push(s, &h);
}

/* From that node, or from any that has it. */
static int keep_one(struct mesh_story *s, unsigned i, unsigned from,
                    const struct digest *id)
{
    if (blob_has(s, i, id))
        return 0;
    for (unsigned k = 0; k < s->n_nodes; k++) {
        unsigned at = (from + k) % s->n_nodes;

        if (!network_passes(s, i, at) || !blob_has(s, at, id))
            continue;
        blob_add(s, i, id);
        story_say(s, "keep %c from %c", s->nodes[i].name, s->nodes[at].name);
        return 0;
    }
    return -EHOSTUNREACH;
}

static void on_keep(struct mesh_story *s, unsigned i, const struct held_action *held)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    unsigned from = node_index(s, &held->action.u.mesh.peer);
    struct happening h = { .at = s->now + TIME_MS(5),
                           .node = i,
                           .boot = s->nodes[i].boot,
                           .what = WHAT_EVENT,
                           .event = { .type = MESH_EVENT_KEPT,
                                      .token = held->action.u.mesh.token } };

    assert(attempt_record_decode(held->bytes, held->len, &r) == 0);
    for (size_t k = 0; k < r.n_outputs && h.event.status == 0; k++)
        h.event.status = keep_one(s, i, from, &r.outputs[k].id);
    queue_push(s, &h);
}

static void on_send(struct mesh_story *s, unsigned i, const struct held_action *h)
{
    CLEANUP(buffer_release) struct buffer lie = BUFFER_INIT;
    unsigned to = node_index(s, &h->action.u.mesh.peer);

    if (sign_lie(s, i, h->bytes, h->len, &lie))
        network_send(s, i, to, lie.data, lie.len);
    else
        network_send(s, i, to, h->bytes, h->len);
}

static const char *fault_text(int status)
{
    return status == -ENOKEY  ? "it is not signed"
           : status == -EXDEV ? "it is another's"
                              : "it was changed";
}

static void on_refused(struct mesh_story *s, unsigned i, const struct action *a)
{
    char name[NAME_SIZE];

    task_name(s, &a->run, &a->task, name);
    story_say(s, "refused %c %s of %c: %s", s->nodes[i].name, name,
              s->nodes[node_index(s, &a->u.mesh.peer)].name,
              fault_text(a->u.mesh.status));
}

static void on_asked(struct mesh_story *s, unsigned i, const struct action *a)
{
    const char *instead = a->u.mesh.status == -ENOENT      ? "none"
                          : a->u.mesh.status == -ESTALE    ? "no"
                          : a->u.mesh.status == -ETIMEDOUT ? "nobody"
                          : a->u.mesh.status < 0           ? "refused"
                                                           : NULL;

    story_say(s, "asked %c %s: %.*s", s->nodes[i].name,
              a->u.mesh.token == 1 ? "reads" : "swaps",
              instead ? (int)strlen(instead) : (int)a->u.mesh.len,
              instead ? instead : (const char *)a->u.mesh.bytes);
}

static void on_fenced(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct event e = { .type = EVENT_FENCED, .run = a->run };

    e.u.fenced.slot = a->slot;
    e.u.fenced.fence = a->u.fence;
    queue_push(s, &(struct happening){
                      .at = s->now,
                      .node = i,
                      .boot = s->nodes[i].boot,
                      .what = WHAT_EVENT,
                      .event = { .type = MESH_EVENT_NODE, .u.node = e } });
}

static void carry_held(struct mesh_story *s, unsigned i, const struct held_action *h)
{
    const struct action *a = &h->action;

    switch (a->type) {
    case ACTION_TELL:
        on_tell(s, i, a);
        break;
    case ACTION_FENCED:
        on_fenced(s, i, a);
        break;
    case ACTION_SEND:
        on_send(s, i, h);
        break;
    case ACTION_READ_ENTRIES:
        read_entries(s, i, a);
        break;
    case ACTION_READ_RECORDS:
        read_records(s, i, a, h->bytes, h->len);
        break;
    case ACTION_LOAD_RUN:
        read_run(s, i, a);
        break;
    case ACTION_FIND_END:
        read_end(s, i, a);
        break;
    case ACTION_WITNESS:
        on_witness(s, i, a);
        break;
    case ACTION_KEEP:
        on_keep(s, i, h);
        break;
    default:
        break;
    }
}

/* In the order in which they came; what is carried out may bring more. */
static void release_held(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];

    for (size_t k = 0; k < n->n_held;) {
        struct held_action h = n->held[k];

        if (h.ticket > n->durable) {
            k++;
            continue;
        }
        memmove(&n->held[k], &n->held[k + 1], (n->n_held - k - 1) * sizeof(h));
        n->n_held--;
        carry_held(s, i, &h);
        free(h.bytes);
        k = 0;
    }
}

/* ---- actions ---- */

static void on_connect(struct mesh_story *s, unsigned i, unsigned to)
{
    struct happening h = { .at = s->now + TIME_MS(1),
                           .node = i,
                           .boot = s->nodes[i].boot,
                           .what = WHAT_EVENT,
                           .event = { .type = MESH_EVENT_CONNECTED,
                                      .peer = s->nodes[to].id } };

    s->nodes[i].is_dialling[to] = true;
    if (!network_passes(s, i, to)) {
        h.at = s->now + TIME_MS(200);
        h.event.type = MESH_EVENT_DISCONNECTED;
        h.event.u.is_refused = !s->nodes[to].is_up && s->is_cut[i] == s->is_cut[to];
    }
    queue_push(s, &h);
}

static void carry(struct mesh_story *s, unsigned i, const struct action *a)
{
    struct story_node *n = &s->nodes[i];

    switch (a->type) {
    case ACTION_PERSIST:
        on_persist(s, i, a);
        break;
    case ACTION_START:
        task_start(s, i, a);
        break;
    case ACTION_PERMIT:
        task_permit(s, i, a);
        break;
    case ACTION_KILL:
        task_kill(s, i, a);
        break;
    case ACTION_SEND:
    case ACTION_KEEP:
        hold(n, a, a->u.mesh.bytes, a->u.mesh.len);
        break;
    case ACTION_READ_RECORDS:
        hold(n, a, a->u.mesh.from, a->u.mesh.from_len);
        break;
    case ACTION_TELL:
    case ACTION_FENCED:
    case ACTION_READ_ENTRIES:
    case ACTION_LOAD_RUN:
    case ACTION_FIND_END:
    case ACTION_WITNESS:
        hold(n, a, NULL, 0);
        break;
    case ACTION_CONNECT:
        on_connect(s, i, node_index(s, &a->u.mesh.peer));
        break;
    case ACTION_DISCONNECT:
        n->is_connected[node_index(s, &a->u.mesh.peer)] = false;
        n->is_dialling[node_index(s, &a->u.mesh.peer)] = false;
        break;
    case ACTION_PREPARE:
        task_prepare(s, i, a);
        break;
    case ACTION_REFUSED:
        on_refused(s, i, a);
        break;
    case ACTION_ASKED:
        on_asked(s, i, a);
        break;
    default:
        break;
    }
}

void node_tell(struct mesh_story *s, unsigned i, struct mesh_event *event)
{
    struct story_node *n = &s->nodes[i];
    struct outbox out = { .actions = NULL };

    event->now = s->now;
    event->wall = WALL + s->now;
    if (event->type == MESH_EVENT_CONNECTED)
        n->is_connected[node_index(s, &event->peer)] = true;
    if (event->type == MESH_EVENT_DISCONNECTED)
        n->is_connected[node_index(s, &event->peer)] = false;
    assert(mesh_step(n->mesh, event, &out) == 0);
    for (size_t k = 0; k < out.n; k++)
        carry(s, i, &out.actions[k]);
    outbox_release(&out);
    plan_sync(s, i);
    if (event->type != MESH_EVENT_NODE)
        release_held(s, i);
}

void node_on_durable(struct mesh_story *s, unsigned i, uint64_t ticket)
{
    struct story_node *n = &s->nodes[i];
    struct mesh_event e = { .type = MESH_EVENT_DURABLE, .u.ticket = ticket };
    size_t done = 0;

    while (done < n->n_writes && n->writes[done].ticket <= ticket) {
        disk_map_apply(&n->disk, &n->writes[done]);
        free_write(&n->writes[done++]);
    }
    n->n_writes -= done;
    if (done)
        memmove(n->writes, n->writes + done, n->n_writes * sizeof(n->writes[0]));
    n->durable = ticket;
    release_held(s, i);
    node_tell(s, i, &e);
}

void node_plan(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];
    time_us at = mesh_deadline(n->mesh);

    if (at == TIME_NEVER)
        return;
    at = at > s->now ? at : s->now + 1;
    queue_push(s, &(struct happening){ .at = at,
                                       .node = i,
                                       .boot = n->boot,
                                       .what = WHAT_TICK,
                                       .serial = ++n->serial });
}

/* ---- life ---- */

static struct member_note note_of(struct mesh_story *s, unsigned i)
{
    return (struct member_note){ .id = s->nodes[i].id,
                                 .incarnation = (uint64_t)s->nodes[i].boot << 32,
                                 .state = MEMBER_ALIVE,
                                 .has_card = true,
                                 .card = s->card[i] };
}

void node_boot(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];
    struct node_config config = { .capacity = { .cpu_milli = 1000000,
                                                .memory_bytes = 1ULL << 40 },
                                  .slots_max = s->n_slots,
                                  .grace_us = TIME_S(1) };
    struct mesh_signer signer = sign_signer(n);
    struct mesh_config c = { .self = n->id,
                             .boot = ++n->boot,
                             .card = &s->card[i],
                             .node = &config,
                             .has_numbers = s->has_numbers,
                             .is_founder = s->has_numbers && i == 0,
                             .last_number = s->floors[i],
                             .signer = s->signs[i] ? &signer : NULL,
                             .seed = prng_next(&s->prng) };

    n->mesh = mesh_new(&c, s->now);
    assert(n->mesh);
    n->is_up = true;
    disk_map_copy(&n->disk, &n->latest);
    read_back(s, i);
    for (unsigned k = 0; k < s->n_nodes; k++) {
        struct member_note note = note_of(s, k);
        struct mesh_event e = { .type = MESH_EVENT_CONTACT, .u.contact = &note };

        if (k != i && s->nodes[k].boot)
            node_tell(s, i, &e);
    }
    node_tell(s, i, &(struct mesh_event){ .type = MESH_EVENT_START });
    node_plan(s, i);
    for (unsigned k = 0; k < s->n_nodes; k++)
        if (s->nodes[k].is_up && s->nodes[k].is_dialling[i])
            on_connect(s, k, i);
}

static void tell_gone(struct mesh_story *s, unsigned i)
{
    for (unsigned k = 0; k < s->n_nodes; k++) {
        if (k == i || !s->nodes[k].is_connected[i])
            continue;
        queue_push(s, &(struct happening){ .at = s->now + TIME_MS(1),
                                           .node = k,
                                           .boot = s->nodes[k].boot,
                                           .what = WHAT_EVENT,
                                           .event = { .type = MESH_EVENT_DISCONNECTED,
                                                      .peer = s->nodes[i].id } });
    }
}

void node_down(struct mesh_story *s, unsigned i)
{
    struct story_node *n = &s->nodes[i];

    if (!n->is_up)
        return;
    n->is_up = n->is_paused = false;
    for (size_t k = 0; k < n->n_paused; k++)
        happening_release(&n->paused[k]);
    n->n_paused = 0;
    mesh_free(n->mesh);
    n->mesh = NULL;
    for (size_t k = 0; k < n->n_writes; k++)
        free_write(&n->writes[k]);
    for (size_t k = 0; k < n->n_held; k++)
        free(n->held[k].bytes);
    n->n_writes = n->n_held = 0;
    n->last_ticket = n->durable = n->asked = 0;
    free(n->lost);
    n->lost = n->slots;
    n->n_lost = s->n_slots;
    n->slots = calloc(s->n_slots, sizeof(n->slots[0]));
    assert(n->slots);
    memset(n->is_connected, 0, sizeof(n->is_connected));
    memset(n->is_dialling, 0, sizeof(n->is_dialling));
    tell_gone(s, i);
}
