/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/replica_world_state.h"

/* What was once in a log at this index under this ballot. */
struct replica_world_entry {
    bool is_used;
    uint64_t index;
    struct ballot ballot;
    uint64_t value, before;
};

void group_check_fail(struct replica_world *w, const char *rule, const char *format,
                      ...)
{
    struct replica_world_result *r = w->result;
    char text[400];
    va_list args;

    if (group_check_failed(w))
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    (void)snprintf(r->violation, sizeof(r->violation), "%s: %s", rule, text);
    sim_trace(w, "VIOLATION %s", r->violation);
}

bool group_check_failed(const struct replica_world *w)
{
    return *w->result->violation;
}

/* ---- logs ---- */

static uint64_t hash_entry(uint64_t index, const struct ballot *b)
{
    uint64_t h = index * 0x9e3779b97f4a7c15u;

    h = (h ^ b->counter) * 0xbf58476d1ce4e5b9u;
    h = (h ^ b->node.bytes[0]) * 0x94d049bb133111ebu;
    return h ^ (h >> 31);
}

static struct replica_world_entry *find_entry(struct replica_world_entry *all,
                                              size_t cap, uint64_t index,
                                              const struct ballot *b)
{
    size_t i = hash_entry(index, b) & (cap - 1);

    while (all[i].is_used
           && (all[i].index != index || ballot_compare(&all[i].ballot, b) != 0))
        i = (i + 1) & (cap - 1);
    return &all[i];
}

static bool grow_entries(struct replica_world *w)
{
    size_t cap = w->cap_entries ? 2 * w->cap_entries : 256;
    struct replica_world_entry *all;

    if (2 * w->n_entries < w->cap_entries)
        return true;
    all = calloc(cap, sizeof(*all));
    if (!all) {
        w->error = -ENOMEM;
        return false;
    }
    for (size_t i = 0; i < w->cap_entries; i++)
        if (w->entries[i].is_used)
            *find_entry(all, cap, w->entries[i].index, &w->entries[i].ballot) =
                w->entries[i];
    free(w->entries);
    w->entries = all;
    w->cap_entries = cap;
    return true;
}

void group_check_row(struct replica_world *w, unsigned node, uint64_t index)
{
    const struct sim_log *log = &w->homes[node].seen.log;
    const struct sim_row *row = &log->rows[index - 1];
    uint64_t before = index > 1 ? log->rows[index - 2].value : 0;
    struct replica_world_entry *e;

    if (!grow_entries(w))
        return;
    e = find_entry(w->entries, w->cap_entries, index, &row->ballot);
    if (e->is_used) {
        if (e->value != row->value || e->before != before)
            group_check_fail(w, "logs",
                             "%u has another entry %" PRIu64 " of one ballot", node,
                             index);
        return;
    }
    *e = (struct replica_world_entry){ .is_used = true,
                                       .index = index,
                                       .ballot = row->ballot,
                                       .value = row->value,
                                       .before = before };
    w->n_entries++;
}

/* ---- what is decided ---- */

static struct truth *truth_at(struct replica_world *w, uint64_t index)
{
    while (w->n_truth <= index) {
        if (w->n_truth == w->cap_truth) {
            size_t cap = w->cap_truth ? 2 * w->cap_truth : 64;
            struct truth *all = realloc(w->truth, cap * sizeof(*all));

            if (!all) {
                w->error = -ENOMEM;
                return NULL;
            }
            w->truth = all;
            w->cap_truth = cap;
        }
        w->truth[w->n_truth++] = (struct truth){ .is_decided = false };
    }
    return &w->truth[index];
}

static bool has_on_disk(const struct sim_home *h, uint64_t index, uint64_t value)
{
    return h->disk.is_there && h->disk.log.n >= index
           && h->disk.log.rows[index - 1].value == value
           && (h->is_damaged || !h->disk.state.is_installing);
}

static void check_majority(struct replica_world *w, unsigned homes, uint64_t index,
                           uint64_t value)
{
    unsigned n = 0, n_homes = 0;

    for (unsigned i = 0; i < NODES; i++) {
        if (!(homes >> i & 1))
            continue;
        n_homes++;
        n += has_on_disk(&w->homes[i], index, value);
    }
    if (2 * n <= n_homes)
        group_check_fail(w, "durable", "%" PRIu64 " is decided and on %u of %u disks",
                         index, n, n_homes);
}

static void first_decided(struct replica_world *w, unsigned node, uint64_t index,
                          const struct sim_row *row)
{
    struct sim_home *h = &w->homes[node];
    const struct replica_state *s = replica_state(h->replica);
    uint64_t generation = h->generation;

    if (!node_id_equal(&s->promised.node, &h->id))
        group_check_fail(w, "told", "%u was told that %" PRIu64 " is decided", node,
                         index);
    if (generation >= GENERATIONS)
        return;
    if (w->closed_at[generation])
        group_check_fail(w, "closed",
                         "%u decides %" PRIu64 " in the closed generation %" PRIu64,
                         node, index, generation);
    check_majority(w, w->homes_of[generation], index, row->value);
    w->result->n_decided++;
    if (!row->homes)
        return;
    w->closed_at[generation] = index;
    if (generation + 1 < GENERATIONS) {
        w->homes_of[generation + 1] = row->homes;
        w->newest = generation + 1;
        w->is_moving = false;
    }
}

void group_check_decided(struct replica_world *w, unsigned node, uint64_t index)
{
    const struct sim_home *h = &w->homes[node];
    const struct sim_row *row;
    struct truth *t = truth_at(w, index);

    if (!t)
        return;
    if (index > h->seen.log.n) {
        group_check_fail(w, "told", "%u is told of %" PRIu64 " and has %zu", node,
                         index, h->seen.log.n);
        return;
    }
    row = &h->seen.log.rows[index - 1];
    if (!t->is_decided) {
        *t = (struct truth){ .is_decided = true,
                             .value = row->value,
                             .homes = row->homes };
        first_decided(w, node, index, row);
    } else if (t->value != row->value) {
        group_check_fail(w, "decided", "%" PRIu64 " is %" PRIu64 " and at %u %" PRIu64,
                         index, t->value, node, row->value);
    }
}

/* ---- leaders, homes ---- */

void group_check_lead(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];
    const struct replica_state *s = replica_state(h->replica);
    struct sim_lead lead = { .ballot = s->promised,
                             .generation = s->generation,
                             .life = h->life,
                             .node = node };

    w->result->n_leads++;
    if (!node_id_equal(&s->promised.node, &h->id))
        group_check_fail(w, "leader", "%u leads with another's ballot", node);
    if (s->generation < GENERATIONS && !(w->homes_of[s->generation] >> node & 1))
        group_check_fail(w, "leader", "%u leads and is no home", node);
    for (size_t i = 0; i < w->n_leads; i++)
        if (ballot_compare(&w->leads[i].ballot, &lead.ballot) == 0)
            group_check_fail(w, "leader", "%u leads twice with one ballot", node);
    if (w->n_leads < LEADS)
        w->leads[w->n_leads++] = lead;
}

void group_check_homes(struct replica_world *w, unsigned node)
{
    struct sim_home *h = &w->homes[node];
    const struct replica_state *s = replica_state(h->replica);

    h->generation = s->generation;
    if (s->generation >= GENERATIONS)
        return;
    if (s->generation > w->newest)
        group_check_fail(w, "closed",
                         "%u begins generation %" PRIu64 " that nobody decided", node,
                         s->generation);
    else if (w->homes_of[s->generation] != sim_bits(s->homes, s->n_homes))
        group_check_fail(w, "closed", "%u has other homes in generation %" PRIu64, node,
                         s->generation);
}

void group_check_installed(struct replica_world *w, unsigned node)
{
    const struct sim_log *log = &w->homes[node].seen.log;

    for (size_t i = 1; i <= log->n; i++) {
        const struct truth *t = truth_at(w, i);

        if (!t || !t->is_decided || t->value != log->rows[i - 1].value) {
            group_check_fail(w, "decided",
                             "%u was given another %zu: %" PRIu64 " for %" PRIu64, node,
                             i, log->rows[i - 1].value, t ? t->value : 0);
            return;
        }
    }
}

/* ---- what is told and on the disk ---- */

void group_check_told(struct replica_world *w, unsigned node, const struct message *m)
{
    const struct sim_image *disk = &w->homes[node].disk;
    const struct ballot *promised = &disk->state.promised;

    if (m->type == MESSAGE_VOTED && m->u.voted.is_granted && !m->u.voted.is_trial
        && ballot_compare(promised, &m->u.voted.ballot) < 0)
        group_check_fail(w, "promise", "%u gives a vote that is not on its disk", node);
    if (m->type == MESSAGE_VOTE && !m->u.vote.is_trial
        && ballot_compare(promised, &m->u.vote.ballot) < 0)
        group_check_fail(w, "promise", "%u stands, and its disk does not know", node);
    if (m->type != MESSAGE_APPENDED || m->u.appended.is_gap || m->u.appended.is_refused)
        return;
    if (ballot_compare(promised, &m->u.appended.ballot) < 0)
        group_check_fail(w, "promise",
                         "%u follows a leader that its disk does not know", node);
    if (disk->log.n < m->u.appended.last)
        group_check_fail(w, "durable",
                         "%u acknowledges %" PRIu64 " and has %zu on its disk", node,
                         m->u.appended.last, disk->log.n);
}

void group_check_disk(struct replica_world *w, unsigned node,
                      const struct ballot *before)
{
    if (ballot_compare(&w->homes[node].disk.state.promised, before) < 0)
        group_check_fail(w, "promise", "%u has promised less than before", node);
}

/* ---- the end ---- */

static void check_home_at_end(struct replica_world *w, unsigned node)
{
    const struct sim_home *h = &w->homes[node];
    const struct replica_state *s;

    if (!h->replica) {
        group_check_fail(w, "liveness", "the home %u knows nothing", node);
        return;
    }
    s = replica_state(h->replica);
    if (s->generation != w->newest || s->is_installing)
        group_check_fail(w, "liveness",
                         "%u is in generation %" PRIu64 " of %" PRIu64 "%s", node,
                         s->generation, w->newest,
                         s->is_installing ? ", installing" : "");
    else if (s->commit + 1 != w->n_truth)
        group_check_fail(w, "liveness",
                         "%u knows of %" PRIu64 " decided entries of %zu", node,
                         s->commit, w->n_truth - 1);
}

void group_check_end(struct replica_world *w)
{
    unsigned homes = w->homes_of[w->newest], n_leaders = 0;

    for (unsigned i = 0; i < NODES && !group_check_failed(w); i++) {
        if (!(homes >> i & 1))
            continue;
        check_home_at_end(w, i);
        n_leaders += w->homes[i].replica && replica_leads(w->homes[i].replica);
    }
    if (n_leaders != 1)
        group_check_fail(w, "liveness", "%u lead", n_leaders);
    for (size_t i = 1; i < w->n_truth; i++)
        if (!w->truth[i].is_decided)
            group_check_fail(w, "decided", "%zu was passed over", i);
    if (w->n_truth < 2 || w->truth[w->n_truth - 1].value < w->next_value - 1)
        group_check_fail(w, "liveness", "what is asked for is not decided");
}
