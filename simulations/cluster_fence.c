/* SPDX-License-Identifier: Apache-2.0 */
/* Steps with `effect: exclusive`, as somebody outside sees them: what lives at the same
 * time, and which fences it has. */
#include <inttypes.h>
#include <string.h>

#include "simulations/cluster_state.h"

/* In real time: what a node that stands still does not see happens all the same. */
static bool is_alive(const struct cluster *c, const struct process *p)
{
    return p->is_used && p->is_begun && c->now < p->ends && c->now < p->until;
}

static bool is_same(const struct process *p, const struct process *of)
{
    return p != of && run_id_equal(&p->run, &of->run)
           && task_id_equal(&p->task, &of->task);
}

static struct fence *last_of(struct cluster *c, const struct process *p)
{
    for (size_t k = 0; k < c->n_fences; k++)
        if (run_id_equal(&c->fences[k].run, &p->run)
            && task_id_equal(&c->fences[k].task, &p->task))
            return &c->fences[k];
    c->fences =
        cluster_grow(c->fences, c->n_fences, &c->cap_fences, sizeof(*c->fences));
    c->fences[c->n_fences] = (struct fence){ .run = p->run, .task = p->task };
    return &c->fences[c->n_fences++];
}

/* ---- decided ---- */

struct search {
    struct record_key key;
    uint64_t fence;
    bool is_found;
};

static void look(struct search *s, const void *value, size_t len)
{
    uint64_t fence;

    if (fence_record_decode(value, len, &fence) == 0 && fence >= s->fence)
        s->is_found = true;
}

static int look_at_record(void *arg, struct span key, struct span value)
{
    (void)key;
    look(arg, value.data, value.len);
    return 0;
}

static int look_at_row(void *arg, struct span key, struct span value)
{
    CLEANUP(log_row_release) struct log_row row = { .arena = NULL };
    struct search *s = arg;

    (void)key;
    if (log_row_decode(value.data, value.len, &row) == 0 && row.key_len == s->key.len
        && memcmp(row.key, s->key.bytes, s->key.len) == 0)
        look(s, row.value, row.value_len);
    return 0;
}

static unsigned count_disks(struct cluster *c, const struct process *p)
{
    struct group_id group;
    struct record_key rows;
    unsigned n = 0;

    memcpy(group.bytes, p->run.bytes, RUN_ID_SIZE);
    rows = log_rows_of(&group);
    for (unsigned i = 0; i < c->n_nodes; i++) {
        struct search s = { .key = fence_key(&p->run, &p->task), .fence = p->fence };

        read_scan(c, i, s.key.bytes, s.key.len, look_at_record, &s);
        if (!s.is_found)
            read_scan(c, i, rows.bytes, rows.len, look_at_row, &s);
        n += s.is_found;
    }
    return n;
}

static void check_decided(struct cluster *c, unsigned node, const struct process *p)
{
    struct replica_state homes = { .n_homes = 1 };
    unsigned n = count_disks(c, p);

    check_homes(c, &p->run, &homes);
    if (2 * n <= homes.n_homes)
        check_fail(c, "exclusive",
                   "%u begins %s with fence %" PRIu64 ", which is on %u of %u disks",
                   node, task_text(c, &p->run, &p->task), p->fence, n, homes.n_homes);
}

/* ---- it begins ---- */

void fence_begin(struct cluster *c, unsigned node, const struct process *p)
{
    struct fence *last = last_of(c, p);

    for (unsigned i = 0; i < c->n_nodes; i++)
        for (unsigned k = 0; k < SLOTS; k++)
            if (is_same(&c->nodes[i].slots[k], p) && is_alive(c, &c->nodes[i].slots[k]))
                check_fail(c, "exclusive", "%u begins %s, which runs at %u", node,
                           task_text(c, &p->run, &p->task), i);
    if (p->fence <= last->fence)
        check_fail(c, "exclusive", "%u begins %s with fence %" PRIu64 " after %" PRIu64,
                   node, task_text(c, &p->run, &p->task), p->fence, last->fence);
    last->fence = p->fence;
    check_decided(c, node, p);
}
