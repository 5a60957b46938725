/* SPDX-License-Identifier: Apache-2.0 */
/* A number for each run, from one register for all.
 *
 * The leader of a run adds to the register for all of its runs that wait, and writes
 * each run's record once more, with the number in it, as an entry of the run's log.
 * That entry counts: two leaders may each be given a number for one run, but only the
 * first that is decided is its own, and the other one is nobody's. So numbers have
 * gaps, and no run has two. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "node/mesh_internal.h"

int number_want(struct mesh *m, struct group *g, const struct run_record *record)
{
    int error;

    g->number = record->number;
    if (!m->has_numbers || record->number || g->unnumbered.len)
        return 0;
    error = run_record_encode(record, &g->unnumbered);
    if (error < 0) {
        buffer_clear(&g->unnumbered);
        return error == -ENOMEM ? error : 0;
    }
    DL_APPEND2(m->unnumbered, g, unnumbered_prev, unnumbered_next);
    m->n_unnumbered++;
    m->has_wishes = true;
    return 0;
}

void number_drop(struct mesh *m, struct group *g)
{
    if (!g->unnumbered.len)
        return;
    DL_DELETE2(m->unnumbered, g, unnumbered_prev, unnumbered_next);
    m->n_unnumbered--;
    buffer_release(&g->unnumbered);
    g->number_request = g->number_given = 0;
}

static bool may_have(const struct group *g)
{
    return (g->phase == LEAD_FULL || g->phase == LEAD_ENDED) && !g->is_tentative
           && !g->is_void && (!g->replica || replica_leads(g->replica));
}

/* ---- asking ---- */

static uint64_t count_wishes(const struct mesh *m)
{
    uint64_t n = 0;

    for (const struct group *g = m->unnumbered; g; g = g->unnumbered_next)
        n += g->number_request == 0 && may_have(g);
    return n;
}

static int ask(struct mesh *m, uint64_t n)
{
    int error = propose_add(m, n);

    for (struct group *g = m->unnumbered; g; g = g->unnumbered_next)
        if (g->number_request == 0 && may_have(g))
            g->number_request = m->proposal.request;
    return error;
}

bool numbers_are_due(const struct mesh *m)
{
    return m->has_numbers && (m->has_wishes || m->floor) && !m->proposal.request;
}

int numbers_flush(struct mesh *m)
{
    uint64_t n;

    if (!numbers_are_due(m))
        return 0;
    if (m->floor)
        return propose_add(m, 0);
    m->has_wishes = false;
    n = count_wishes(m);
    return n ? ask(m, n) : 0;
}

/* ---- being answered ---- */

/* The register is below what this node counted when it was alone. */
static int raise(struct mesh *m, const struct proposed_message *answer)
{
    if (register_number(answer->value, answer->value_len) >= m->floor) {
        m->floor = 0;
        return 0;
    }
    return propose_swap(m, answer->value_len == 8 ? answer->value : NULL, m->floor);
}

static int encode(const struct group *g, uint64_t number, struct buffer *out)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int error = run_record_decode(g->unnumbered.data, g->unnumbered.len, &record);

    if (error < 0)
        return error;
    record.run = g->run;
    record.number = number;
    return run_record_encode(&record, out);
}

static int write(struct mesh *m, struct group *g, const struct buffer *record)
{
    struct record_key key = run_key(&g->run);
    const struct mesh_write w = { .key = key.bytes,
                                  .key_len = key.len,
                                  .value = record->data,
                                  .value_len = record->len,
                                  .is_urgent = true };
    const struct log_entry log = { .key = key.bytes,
                                   .key_len = key.len,
                                   .value = (uint8_t *)record->data,
                                   .value_len = record->len };
    struct entry e = { .index = 0 };
    uint64_t ticket;
    int error;

    if (g->replica) {
        error = log_entry_copy(&log, &e.log);
        return error ? error : group_propose(m, g, &e, NULL);
    }
    error = mesh_persist(m, &g->run, &w, &ticket);
    return error ? error : group_wait(m, g, ticket, 0);
}

static int give(struct mesh *m, struct group *g, uint64_t number)
{
    CLEANUP(buffer_release) struct buffer record = BUFFER_INIT;
    int error;

    if (!may_have(g)) {
        g->number_request = 0; /* the number is nobody's: see above */
        return 0;
    }
    error = encode(g, number, &record);
    if (error < 0) {
        number_drop(m, g);
        return error == -ENOMEM ? error : 0;
    }
    g->number_given = number;
    return write(m, g, &record);
}

static int give_all(struct mesh *m, uint64_t request, uint64_t first, uint64_t n)
{
    struct group *g, *next;
    int error = 0;

    DL_FOREACH_SAFE2(m->unnumbered, g, next, unnumbered_next)
    {
        if (g->number_request != request || g->number_given || error)
            continue;
        if (n)
            error = give(m, g, first++);
        else
            g->number_request = 0;
        n -= n > 0;
    }
    return error;
}

int numbers_on_answer(struct mesh *m, const struct proposal *p,
                      const struct proposed_message *answer)
{
    uint64_t n = (uint64_t)p->what.add;
    uint64_t sum = register_number(answer->value, answer->value_len);

    m->has_wishes = true;
    switch (p->what.op) {
    case PROPOSE_READ:
        return raise(m, answer);
    case PROPOSE_SWAP:
        if (answer->status == 0)
            m->floor = 0;
        return answer->status == -ESTALE ? propose_add(m, 0) : 0;
    case PROPOSE_ADD:
        break;
    }
    return answer->status == 0 && sum >= n
               ? give_all(m, answer->request, sum - n + 1, n)
               : give_all(m, answer->request, 0, 0);
}

/* ---- it has one ---- */

static int settle(struct mesh *m, struct group *g, uint64_t ticket)
{
    struct action tell = { .type = ACTION_TELL,
                           .run = g->run,
                           .ticket = ticket,
                           .slot = NODE_SLOT_NONE,
                           .u.tell = { .type = TELL_RUN_NUMBERED,
                                       .number = g->number_given } };
    int error;

    g->number = g->number_given;
    number_drop(m, g);
    node_number_run(m->node, &g->run, g->number);
    error = mesh_emit(m, &tell);
    return error ? error : note_update(m, g, true);
}

int number_on_decided(struct mesh *m, struct group *g, uint64_t ticket)
{
    return g->number_given ? settle(m, g, ticket) : 0;
}
