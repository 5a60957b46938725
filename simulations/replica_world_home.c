/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/replica_world_state.h"

/* ---- logs and images ---- */

static bool log_reserve(struct sim_log *log, size_t n)
{
    size_t cap = log->cap ? log->cap : 32;
    struct sim_row *rows;

    if (n <= log->cap)
        return true;
    while (cap < n)
        cap *= 2;
    rows = realloc(log->rows, cap * sizeof(*rows));
    if (!rows)
        return false;
    log->rows = rows;
    log->cap = cap;
    return true;
}

static int log_write(struct sim_log *log, uint64_t lo, const struct sim_row *rows,
                     size_t n)
{
    if (!log_reserve(log, lo - 1 + n))
        return -ENOMEM;
    if (n)
        memcpy(log->rows + lo - 1, rows, n * sizeof(*rows));
    log->n = lo - 1 + n;
    return 0;
}

static int image_set_state(struct sim_image *image, const struct replica_state *s)
{
    struct replica_state copy;

    if (replica_state_copy(s, &copy) < 0)
        return -ENOMEM;
    replica_state_release(&image->state);
    image->state = copy;
    image->is_there = true;
    return 0;
}

static int image_copy(const struct sim_image *from, struct sim_image *to)
{
    if (image_set_state(to, &from->state) < 0
        || log_write(&to->log, 1, from->log.rows, from->log.n) < 0)
        return -ENOMEM;
    to->rows_from = from->rows_from;
    to->is_there = from->is_there;
    return 0;
}

static void image_release(struct sim_image *image)
{
    replica_state_release(&image->state);
    free(image->log.rows);
    *image = (struct sim_image){ .is_there = false };
}

static int image_apply(struct sim_image *image, const struct sim_write *write)
{
    if (write->has_state && image_set_state(image, &write->state) < 0)
        return -ENOMEM;
    if (!write->has_rows)
        return 0;
    image->rows_from = write->rows_from;
    return log_write(&image->log, write->lo, write->rows, write->n_rows);
}

static void drop_writes(struct sim_home *h, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        replica_state_release(&h->writes[i].state);
        free(h->writes[i].rows);
    }
    memmove(h->writes, h->writes + n, (h->n_writes - n) * sizeof(h->writes[0]));
    h->n_writes -= n;
}

void home_release(struct sim_home *h)
{
    replica_free(h->replica);
    drop_writes(h, h->n_writes);
    image_release(&h->seen);
    image_release(&h->disk);
}

/* ---- the disk ---- */

static time_us sync_delay(struct replica_world *w)
{
    return TIME_MS(1) + sim_draw(w, w->is_calm ? TIME_MS(2) : w->sync_max);
}

/* Each write is a transaction; all that wait are synced together. */
static struct sim_write *queue_write(struct replica_world *w, unsigned node,
                                     uint64_t ticket)
{
    struct sim_home *h = &w->homes[node];
    struct sim_write *write = &h->writes[h->n_writes];

    if (h->n_writes == WRITES) {
        w->error = -ENOMEM;
        write = &h->writes[WRITES - 1];
        return write;
    }
    h->n_writes++;
    *write = (struct sim_write){ .ticket = ticket };
    if (!h->is_syncing) {
        h->is_syncing = true;
        sim_later(w, sync_delay(w), INCIDENT_SYNC, node, h->life);
    }
    return write;
}

static void write_state(struct replica_world *w, unsigned node, struct sim_write *write)
{
    write->has_state = true;
    if (replica_state_copy(replica_state(w->homes[node].replica), &write->state) < 0)
        w->error = -ENOMEM;
}

static void write_rows(struct replica_world *w, unsigned node, struct sim_write *write,
                       uint64_t lo, const struct sim_row *rows, size_t n)
{
    struct sim_home *h = &w->homes[node];

    write->has_rows = true;
    write->lo = lo;
    write->n_rows = n;
    write->rows_from = h->seen.rows_from;
    write->rows = calloc(n ? n : 1, sizeof(*rows));
    if (!write->rows || log_write(&h->seen.log, lo, rows, n) < 0) {
        w->error = -ENOMEM;
        return;
    }
    memcpy(write->rows, rows, n * sizeof(*rows));
}

/* ---- what a replica asks for ---- */

static struct sim_row row_of(const struct log_entry *e)
{
    struct sim_row row = { .ballot = e->ballot,
                           .homes = sim_bits(e->homes, e->n_homes) };

    if (row.homes)
        row.value = (uint64_t)1 << 62 | row.homes;
    else if (e->value_len == sizeof(row.value))
        memcpy(&row.value, e->value, sizeof(row.value));
    return row;
}

static void keep_entries(struct replica_world *w, unsigned node,
                         const struct replica_action *a)
{
    const struct append_message *m = &a->message.u.append;
    struct sim_home *h = &w->homes[node];
    size_t n = a->hi - a->lo + 1;
    struct sim_write *write = queue_write(w, node, a->ticket);
    struct sim_row *rows = calloc(n, sizeof(*rows));

    if (!rows) {
        w->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (m->n_entries)
            rows[i] = row_of(&m->entries[i]);
        else
            rows[i] = (struct sim_row){ .ballot = replica_state(h->replica)->promised,
                                        .value = w->next_value++ };
    }
    if (replica_needs_rows(h->replica))
        write_state(w, node, write);
    else
        h->seen.rows_from = a->hi + 1;
    if (a->lo < h->seen.rows_from && replica_needs_rows(h->replica))
        h->seen.rows_from = a->lo;
    write_rows(w, node, write, a->lo, rows, n);
    for (uint64_t i = a->lo; i <= a->hi; i++)
        group_check_row(w, node, i);
    free(rows);
}

static void keep_install(struct replica_world *w, unsigned node,
                         const struct replica_action *a)
{
    const struct install_message *m = &a->message.u.install;
    struct sim_home *h = &w->homes[node];
    struct sim_write *write = queue_write(w, node, a->ticket);
    struct sim_row rows[INSTALL_ROWS];
    size_t n = m->n_entries < INSTALL_ROWS ? m->n_entries : INSTALL_ROWS;

    for (size_t i = 0; i < n; i++) {
        rows[i] = row_of(&m->entries[i]);
        memcpy(&rows[i].homes, m->entries[i].key, sizeof(rows[i].homes));
        rows[i].ballot = (struct ballot){ .counter = 0 };
    }
    h->seen.rows_from = a->lo * INSTALL_ROWS + n + 1;
    write_state(w, node, write);
    write_rows(w, node, write, a->lo * INSTALL_ROWS + 1, rows, n);
    if (m->is_last) {
        w->result->n_installs++;
        sim_trace(w, "%u has all up to %" PRIu64, node, m->base.index);
        group_check_installed(w, node);
        h->is_damaged = false;
    }
}

static void send_install(struct replica_world *w, unsigned node,
                         const struct replica_action *a)
{
    struct sim_home *h = &w->homes[node];
    struct message m = a->message;
    uint64_t first = a->lo * INSTALL_ROWS + 1, base = m.u.install.base.index;
    struct log_entry entries[INSTALL_ROWS];
    size_t n = 0;

    memset(entries, 0, sizeof(entries));
    for (uint64_t i = first; i <= base && n < INSTALL_ROWS; i++, n++) {
        struct sim_row *row = &h->seen.log.rows[i - 1];

        entries[n].key = (uint8_t *)&row->homes;
        entries[n].key_len = sizeof(row->homes);
        entries[n].value = (uint8_t *)&row->value;
        entries[n].value_len = sizeof(row->value);
    }
    m.u.install.entries = entries;
    m.u.install.n_entries = n;
    m.u.install.is_last = first + n > base;
    sim_post(w, node, sim_node(&a->peer), &m);
}

static void read_later(struct replica_world *w, unsigned node,
                       const struct replica_action *a)
{
    struct packet *p = packet_new(&a->message, 0);
    struct incident *i;

    if (!p) {
        w->error = -ENOMEM;
        return;
    }
    p->lo = a->lo;
    p->hi = a->hi;
    i = sim_later(w, sim_chance(w, 70) ? 0 : sim_draw(w, TIME_MS(20)), INCIDENT_READ,
                  node, w->homes[node].life);
    if (!i) {
        packet_free(p);
        return;
    }
    i->packet = p;
    i->peer = sim_node(&a->peer);
}

static void tell(struct replica_world *w, unsigned node, const struct replica_action *a)
{
    struct sim_home *h = &w->homes[node];

    switch (a->type) {
    case REPLICA_DECIDED:
        sim_trace(w, "%u: up to %" PRIu64 " is decided", node, a->hi);
        for (uint64_t i = a->lo; i <= a->hi && !group_check_failed(w); i++)
            group_check_decided(w, node, i);
        break;
    case REPLICA_LEAD:
        sim_trace(w, "%u leads, ballot %" PRIu64, node,
                  replica_state(h->replica)->promised.counter);
        group_check_lead(w, node);
        break;
    case REPLICA_FOLLOW:
        if (node_id_is_none(&a->peer))
            sim_trace(w, "%u follows nobody", node);
        else
            sim_trace(w, "%u follows %u", node, sim_node(&a->peer));
        break;
    case REPLICA_HOMES:
        sim_trace(w, "%u: generation %" PRIu64 " of %s", node,
                  replica_state(h->replica)->generation,
                  sim_text(sim_bits(replica_state(h->replica)->homes,
                                    replica_state(h->replica)->n_homes)));
        group_check_homes(w, node);
        break;
    default:
        break;
    }
}

static void carry_out(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];
    struct replica_outbox *out = &w->out;
    time_us at;

    for (size_t i = 0; i < out->n && !w->error && !group_check_failed(w); i++) {
        const struct replica_action *a = &out->actions[i];

        switch (a->type) {
        case REPLICA_SAVE:
            write_state(w, node, queue_write(w, node, a->ticket));
            break;
        case REPLICA_APPEND:
            keep_entries(w, node, a);
            break;
        case REPLICA_KEEP_INSTALL:
            keep_install(w, node, a);
            break;
        case REPLICA_SEND:
            group_check_told(w, node, &a->message);
            sim_post(w, node, sim_node(&a->peer), &a->message);
            break;
        case REPLICA_SEND_ENTRIES:
            read_later(w, node, a);
            break;
        case REPLICA_SEND_INSTALL:
            send_install(w, node, a);
            break;
        default:
            tell(w, node, a);
            break;
        }
    }
    replica_outbox_clear(out);
    w->result->hash =
        (w->result->hash ^ replica_hash(h->replica)) * 0x9e3779b97f4a7c15u;
    at = replica_deadline(h->replica);
    h->tick_serial++;
    if (at != TIME_NEVER)
        sim_later(w, at > w->now ? at - w->now : 1, INCIDENT_TICK, node,
                  h->tick_serial);
}

/* ---- what happens to it ---- */

static bool make_replica(struct replica_world *w, unsigned node, bool is_founder)
{
    struct sim_home *h = &w->homes[node];
    struct replica_config config = { .self = h->id,
                                     .state = h->seen.is_there ? &h->seen.state : NULL,
                                     .is_founder = is_founder,
                                     .seed = prng_next(&w->prng) };

    if (w->faults & REPLICA_FAULT_RIVALS)
        config.timing = (struct replica_timing){ .heartbeat = TIME_MS(50),
                                                 .election_min = TIME_MS(60),
                                                 .election_max = TIME_MS(250) };
    h->replica = replica_new(&config, w->now);
    if (!h->replica)
        w->error = -ENOMEM;
    h->generation = h->seen.is_there ? h->seen.state.generation : 0;
    return h->replica;
}

void home_found(struct replica_world *w, unsigned node, unsigned homes)
{
    struct sim_home *h = &w->homes[node];

    h->seen.state.generation = 1;
    h->seen.state.n_homes = sim_list(homes, h->seen.state.homes);
    h->seen.is_there = true;
    h->seen.rows_from = 1;
    if (make_replica(w, node, true))
        carry_out(w, node);
}

/* What a message says, for who reads a trace. */
static void trace_message(struct replica_world *w, unsigned from, unsigned to,
                          const struct message *m)
{
    const struct append_message *a = &m->u.append;
    const struct appended_message *d = &m->u.appended;
    const struct vote_message *v = &m->u.vote;
    const struct voted_message *g = &m->u.voted;

    switch (m->type) {
    case MESSAGE_VOTE:
        sim_trace(w, "%u > %u %s %" PRIu64 ".%" PRIu64 " last %" PRIu64, from, to,
                  v->is_trial ? "trial" : "vote", v->generation, v->ballot.counter,
                  v->last.index);
        break;
    case MESSAGE_VOTED:
        sim_trace(w, "%u > %u %s %" PRIu64 ".%" PRIu64 " homes of %" PRIu64, from, to,
                  g->is_granted ? "granted" : "refused", g->generation,
                  g->ballot.counter, g->homes_generation);
        break;
    case MESSAGE_APPEND:
        sim_trace(w,
                  "%u > %u append %" PRIu64 ".%" PRIu64 " %" PRIu64
                  "+%zu commit %" PRIu64,
                  from, to, a->generation, a->ballot.counter, a->before.index,
                  a->n_entries, a->commit);
        break;
    case MESSAGE_APPENDED:
        sim_trace(w, "%u > %u %s %" PRIu64 ".%" PRIu64 " %" PRIu64, from, to,
                  d->is_refused ? "refused"
                  : d->is_gap   ? "gap"
                                : "has",
                  d->generation, d->ballot.counter, d->last);
        break;
    case MESSAGE_INSTALL:
        sim_trace(w,
                  "%u > %u install %" PRIu64 ".%" PRIu64 " part %" PRIu64
                  "%s up to %" PRIu64,
                  from, to, m->u.install.generation, m->u.install.ballot.counter,
                  m->u.install.part, m->u.install.is_last ? ", the last," : "",
                  m->u.install.base.index);
        break;
    default:
        sim_trace(w, "%u > %u %s %" PRIu64, from, to, message_name(m->type),
                  m->u.installed.part);
        break;
    }
}

void home_deliver(struct replica_world *w, unsigned node, unsigned from,
                  const struct message *m)
{
    struct sim_home *h = &w->homes[node];

    if (w->config->is_verbose)
        trace_message(w, from, node, m);
    if (!h->replica) {
        if (m->type != MESSAGE_VOTE && m->type != MESSAGE_APPEND
            && m->type != MESSAGE_INSTALL)
            return;
        h->seen.rows_from = 1;
        if (!make_replica(w, node, false))
            return;
    }
    if (replica_on_message(h->replica, &w->homes[from].id, m, w->now, &w->out) < 0)
        w->error = -ENOMEM;
    carry_out(w, node);
}

void home_tick(struct replica_world *w, unsigned node)
{
    if (replica_on_tick(w->homes[node].replica, w->now, &w->out) < 0)
        w->error = -ENOMEM;
    carry_out(w, node);
}

void home_sync(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];
    struct ballot before = h->disk.state.promised;
    uint64_t ticket = h->writes[h->n_writes - 1].ticket;

    for (size_t i = 0; i < h->n_writes && !w->error; i++)
        w->error = image_apply(&h->disk, &h->writes[i]);
    drop_writes(h, h->n_writes);
    h->is_syncing = false;
    group_check_disk(w, node, &before);
    if (replica_on_durable(h->replica, ticket, w->now, &w->out) < 0)
        w->error = -ENOMEM;
    carry_out(w, node);
}

void home_read(struct replica_world *w, unsigned node, unsigned peer,
               const struct packet *p)
{
    struct sim_home *h = &w->homes[node];
    size_t n = p->hi - p->lo + 1;
    struct message m = p->message;
    CLEANUP(freep) struct log_entry *entries = NULL;

    if (!replica_may_send(h->replica, &m.u.append))
        return;
    if (p->lo < h->seen.rows_from || p->lo > h->seen.log.n) {
        if (replica_on_missing(h->replica, &w->homes[peer].id, w->now, &w->out) < 0)
            w->error = -ENOMEM;
        carry_out(w, node);
        return;
    }
    if (n > h->seen.log.n - p->lo + 1)
        n = h->seen.log.n - p->lo + 1;
    n -= sim_chance(w, 20) ? sim_draw(w, n) : 0;
    entries = calloc(n, sizeof(*entries));
    if (!entries) {
        w->error = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct sim_row *row = &h->seen.log.rows[p->lo - 1 + i];

        entries[i].ballot = row->ballot;
        entries[i].n_homes = sim_list(row->homes, entries[i].homes);
        entries[i].value = (uint8_t *)&row->value;
        entries[i].value_len = row->value ? sizeof(row->value) : 0;
    }
    m.u.append.entries = entries;
    m.u.append.n_entries = n;
    sim_post(w, node, peer, &m);
}

void home_ask(struct replica_world *w, unsigned node, size_t n)
{
    struct sim_home *h = &w->homes[node];
    uint64_t first;
    int r = replica_append(h->replica, n, w->now, &first, &w->out);

    if (r == -ENOMEM)
        w->error = r;
    if (r == 0)
        sim_trace(w, "%u is asked for %" PRIu64 "..%" PRIu64, node, first,
                  first + n - 1);
    carry_out(w, node);
    if (sim_chance(w, 80) && replica_flush(h->replica, w->now, &w->out) < 0)
        w->error = -ENOMEM;
    carry_out(w, node);
}

void home_move(struct replica_world *w, unsigned node, unsigned homes)
{
    struct sim_home *h = &w->homes[node];
    struct node_id list[HOMES_MAX];
    uint32_t n = sim_list(homes, list);
    int r = replica_move(h->replica, list, n, w->now, &w->out);

    if (r == -ENOMEM)
        w->error = r;
    if (r == 0) {
        sim_trace(w, "%u is asked for the homes %s", node, sim_text(homes));
        w->is_moving = true;
    }
    carry_out(w, node);
}

static bool is_listed_live(void *arg, const struct node_id *id)
{
    return *(unsigned *)arg >> sim_node(id) & 1;
}

void home_hear(struct replica_world *w, unsigned node, unsigned live, bool is_isolated)
{
    if (replica_on_members(w->homes[node].replica, is_listed_live, &live, is_isolated,
                           w->now, &w->out)
        < 0)
        w->error = -ENOMEM;
    carry_out(w, node);
}

/* Of what was not synced a prefix survives. */
void home_crash(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];
    size_t n = h->n_writes ? sim_draw(w, h->n_writes + 1) : 0;
    struct ballot before = h->disk.state.promised;

    sim_trace(w, "%u crashes", node);
    w->result->n_crashes++;
    for (size_t i = 0; i < n && !w->error; i++)
        w->error = image_apply(&h->disk, &h->writes[i]);
    drop_writes(h, h->n_writes);
    group_check_disk(w, node, &before);
    replica_free(h->replica);
    h->replica = NULL;
    h->is_down = true;
    h->is_syncing = false;
    h->life++;
    image_release(&h->seen);
}

void home_start(struct replica_world *w, unsigned node, bool is_damaged)
{
    struct sim_home *h = &w->homes[node];
    struct replica_state *s = &h->seen.state;
    bool is_alone;

    sim_trace(w, "%u starts%s", node, is_damaged ? " without its rows" : "");
    h->is_down = false;
    if (!h->disk.is_there)
        return;
    if (image_copy(&h->disk, &h->seen) < 0) {
        w->error = -ENOMEM;
        return;
    }
    if (is_damaged) {
        s->is_installing = h->disk.state.is_installing = h->is_damaged = true;
        s->n_homes = 0;
        h->seen.log.n = 0; /* the disk's are told no more; what they were is checked */
    }
    /* A group of one home keeps no rows: what it has it has decided. */
    is_alone = s->n_homes == 1 && node_id_equal(&s->homes[0], &h->id);
    if (is_alone && h->seen.log.n > s->last.index) {
        s->n_stretches = 0;
        s->base = s->last = (struct log_position){ .index = h->seen.log.n };
        s->commit = h->seen.log.n;
        h->seen.rows_from = h->seen.log.n + 1;
    }
    if (!make_replica(w, node, false))
        return;
    for (uint64_t i = 1; is_alone && i <= h->seen.log.n; i++)
        group_check_decided(w, node, i);
    carry_out(w, node);
}

void home_trim(struct replica_world *w, unsigned node, uint64_t index)
{
    struct sim_home *h = &w->homes[node];

    if (index >= h->seen.rows_from)
        h->seen.rows_from = index + 1;
}
