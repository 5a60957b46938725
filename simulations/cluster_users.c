/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "flow/read.h"
#include "simulations/cluster_state.h"
#include "simulations/flows.h"

struct run *run_of(struct cluster *c, const struct run_id *run)
{
    for (unsigned i = 0; i < c->n_runs; i++)
        if (run_id_equal(&c->runs[i].id, run))
            return &c->runs[i];
    abort();
}

static bool is_small(const struct cluster *c, const struct flow *f)
{
    return !c->config->steps_max || f->n_steps <= c->config->steps_max;
}

/* Of those that were drawn the first that can be read and is as small as it is to be.
 */
static void draw_flow(struct cluster *c, struct run *r)
{
    enum { SMALL_TRIES = 100 }; /* there may be none so small */

    for (unsigned n_tries = 0;; n_tries++) {
        CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };

        buffer_clear(&r->text);
        if (flows_write(&c->prng, &r->text) < 0)
            abort();
        if (flow_read(r->text.data, r->text.len, &r->flow, &d) < 0)
            continue;
        if (is_small(c, r->flow) || n_tries >= SMALL_TRIES)
            return;
        flow_unref(TAKE(r->flow));
    }
}

static unsigned add_run(struct cluster *c, unsigned user)
{
    struct run *r = &c->runs[c->n_runs];
    uint8_t random[10] = { 0, (uint8_t)c->n_runs };

    r->user = user;
    r->id = run_id_make(1000 + c->n_runs, random);
    return c->n_runs++;
}

static void draw_user(struct cluster *c, unsigned i)
{
    struct run *r;

    c->users[i].run = add_run(c, i);
    r = &c->runs[c->users[i].run];
    draw_flow(c, r);
    if (c->config->has_no_user[i]) {
        r->is_abandoned = true;
        return;
    }
    if (c->config->is_traced)
        buffer_printf(&c->result->trace, "--- run %u\n%s", c->users[i].run,
                      buffer_text(&r->text));
    later(c, TIME_S(1) + draw(c, TIME_S(8)),
          &(struct incident){ .type = INCIDENT_SUBMIT, .value = i });
}

void users_draw(struct cluster *c)
{
    stream_begin(c, STREAM_USER, 0);
    c->n_users = c->result->n_users = 1 + (unsigned)draw(c, CLUSTER_USERS_MAX);
    for (unsigned i = 0; i < c->n_users; i++) {
        stream_end(c);
        stream_begin(c, STREAM_USER, i + 1);
        draw_user(c, i);
    }
    stream_end(c);
}

void users_submit(struct cluster *c, unsigned user)
{
    struct run *r = &c->runs[c->users[user].run];
    unsigned i = (unsigned)draw(c, c->n_nodes);
    struct run_record record = { .run = r->id,
                                 .number =
                                     c->has_registers ? 0 : c->users[user].run + 1,
                                 .flow_name = r->flow->name,
                                 .flow_path = (char[]){ "flow.mf" },
                                 .flow_text = r->text.data,
                                 .flow_text_len = r->text.len,
                                 .user = (char[]){ "me" } };
    struct mesh_event e = { .type = MESH_EVENT_NODE,
                            .u.node = {
                                .type = EVENT_SUBMIT,
                                .run = r->id,
                                .u.submit = { .record = &record, .flow = r->flow } } };

    if (!c->nodes[i].mesh || c->nodes[i].paused_until > c->now) {
        later(c, TIME_S(1),
              &(struct incident){ .type = INCIDENT_SUBMIT, .value = user });
        return;
    }
    r->at = i;
    r->boot = c->nodes[i].boot;
    r->is_submitted = true;
    trace(c, "run %u is submitted to %u", c->users[user].run, i);
    node_tell(c, i, &e);
    if (!check_failed(c))
        node_flush(c, i);
}

void users_accepted(struct cluster *c, struct run *r)
{
    c->result->n_runs += !r->is_accepted;
    r->is_accepted = true;
}

/* Who got no answer asks again, for a run of its own. */
static void ask_again(struct cluster *c, unsigned user)
{
    struct cluster_user *u = &c->users[user];
    struct run *r = &c->runs[u->run];

    if (!r->is_submitted || r->is_accepted || ++u->n_tries >= TRIES)
        return;
    r->is_abandoned = true;
    u->run = add_run(c, user);
    c->runs[u->run].flow = flow_ref(r->flow);
    buffer_append(&c->runs[u->run].text, r->text.data, r->text.len);
    later(c, TIME_S(1), &(struct incident){ .type = INCIDENT_SUBMIT, .value = user });
}

void users_refused(struct cluster *c, struct run *r)
{
    r->is_refused = true;
    if (r == &c->runs[c->users[r->user].run])
        ask_again(c, r->user);
}

void users_gone(struct cluster *c, unsigned node)
{
    for (unsigned i = 0; i < c->n_users; i++)
        if (c->runs[c->users[i].run].at == node)
            ask_again(c, i);
}

void users_give_up(struct cluster *c)
{
    for (unsigned i = 0; i < c->n_users; i++)
        ask_again(c, i);
}
