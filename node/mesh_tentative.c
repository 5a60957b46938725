/* SPDX-License-Identifier: Apache-2.0 */
/* Going on without a majority: the best home that can be reached leads on the records
 * that it has. What it decides is written beside, as rows of a shadow of the group, and
 * goes, with the records, as soon as a majority is back: nothing is merged. What its
 * tasks did is kept by who ran them, this node too, and offered to the sealed leader.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

/* Rows need its id and run alone. */
static struct group shadow_of(const struct group *g)
{
    struct group shadow = { .id = g->id, .run = g->run };

    for (size_t i = 0; i < sizeof(shadow.id.bytes); i++)
        shadow.id.bytes[i] ^= 0xff;
    return shadow;
}

/* ---- beginning ---- */

static bool is_best(const struct mesh *m, const struct group *g)
{
    const struct replica_state *s = replica_state(g->replica);

    for (uint32_t i = 0; i < s->n_homes; i++)
        if (gossip_is_live(m->gossip, &s->homes[i]))
            return node_id_equal(&s->homes[i], &m->self);
    return false;
}

/* Who still listens to the sealed leader forgets it after a while. */
static int ask_again(struct mesh *m, struct group *g)
{
    if (g->phase != LEAD_FULL || m->now < g->ask_until + OFFER_EVERY)
        return 0;
    g->ask_until = m->now;
    return lead_tell_all(m, g);
}

int tentative_on_tick(struct mesh *m, struct group *g)
{
    struct node_id leader;

    if (g->is_tentative)
        return ask_again(m, g);
    if (!g->replica || !g->has_run || g->has_end || g->phase != LEAD_NONE
        || m->now < g->opened + m->degrade)
        return 0;
    leader = replica_leader(g->replica);
    if (!node_id_is_none(&leader) || replica_is_over(g->replica) || !is_best(m, g)
        || replica_without_majority(g->replica, m->now) < m->degrade)
        return 0;
    g->is_tentative = true;
    return lead_take_over(m, g);
}

/* ---- deciding ---- */

int tentative_write(struct mesh *m, struct group *g, const struct action *a,
                    uint64_t *ret_ticket)
{
    struct group shadow = shadow_of(g);
    struct entry e = { .index = g->n_overlay + 1 };
    struct mesh_write w = { .key = a->u.persist.key,
                            .key_len = a->u.persist.key_len,
                            .value = a->u.persist.value,
                            .value_len = a->u.persist.value_len };
    int error;

    *ret_ticket = m->last_ticket;
    if (a->u.persist.is_again) /* it was decided, and is so when a majority is back */
        return 0;
    e.log.key = (uint8_t *)a->u.persist.key;
    e.log.key_len = a->u.persist.key_len;
    if (!entry_is_attempt(&e.log) || e.log.key_len > RECORD_KEY_MAX)
        return 0;
    if (mesh_grow(&g->overlay, g->n_overlay, &g->cap_overlay, sizeof(g->overlay[0]))
        < 0)
        return -ENOMEM;
    g->overlay[g->n_overlay].len = e.log.key_len;
    memcpy(g->overlay[g->n_overlay++].bytes, e.log.key, e.log.key_len);
    error = row_put_entry(m, &shadow, &e, ret_ticket);
    return error ? error : mesh_persist(m, &g->run, &w, ret_ticket);
}

static int compare_keys(const void *a, const void *b)
{
    const struct record_key *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);

    return order ? order : (x->len > y->len) - (x->len < y->len);
}

bool tentative_has(struct group *g, const void *key, size_t len)
{
    struct record_key k = { .len = len };

    if (!g->n_overlay || len > sizeof(k.bytes))
        return false;
    if (g->n_sorted < g->n_overlay)
        qsort(g->overlay, g->n_overlay, sizeof(g->overlay[0]), compare_keys);
    g->n_sorted = g->n_overlay;
    memcpy(k.bytes, key, len);
    return bsearch(&k, g->overlay, g->n_overlay, sizeof(k), compare_keys);
}

/* The run is over, as far as this side knows; what it made can be read until then. */
int tentative_on_end(struct mesh *m, struct group *g)
{
    grants_drop(m, &g->run);
    keep_release(g);
    g->phase = LEAD_NONE;
    return 0;
}

/* ---- what this node itself ran ---- */

int tentative_keep_own(struct mesh *m, struct group *g, const struct task_id *task,
                       const struct attempt_record *record)
{
    struct action ask = { .type = ACTION_WITNESS,
                          .run = g->run,
                          .task = *task,
                          .ticket = m->last_ticket,
                          .slot = NODE_SLOT_NONE };
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct attempt_record copy = *record;
    struct read *r;

    if (!copy.verdict)
        copy.verdict = copy.reason == REASON_OK ? VERDICT_DONE : VERDICT_FAILED;
    if (attempt_record_encode(&copy, &bytes) < 0)
        return buffer_failed(&bytes) == -ENOMEM ? -ENOMEM : 0;
    r = read_add(m, READ_OWN_WITNESS, &g->id);
    if (!r)
        return 0;
    r->offer = (struct offered_attempt){ .name = { record->node, record->boot,
                                                   record->counter },
                                         .run = g->run,
                                         .task = *task,
                                         .record_len = bytes.len };
    r->offer.record = (uint8_t *)buffer_take(&bytes);
    ask.u.mesh.token = r->token;
    return mesh_emit(m, &ask);
}

/* ---- the majority is back ---- */

static int forget_overlay(struct mesh *m, struct group *g)
{
    struct group shadow = shadow_of(g);
    uint64_t ticket;
    int error = g->n_overlay ? row_delete_log(m, &shadow, &ticket) : 0;

    for (size_t i = 0; i < g->n_overlay && error == 0; i++) {
        struct mesh_write w = { .key = g->overlay[i].bytes,
                                .key_len = g->overlay[i].len,
                                .is_delete = true,
                                .with_next = i + 1 < g->n_overlay };

        error = mesh_persist(m, &g->run, &w, &ticket);
    }
    g->n_overlay = g->n_sorted = 0;
    return error;
}

int tentative_end(struct mesh *m, struct group *g)
{
    int error;

    if (!g->is_tentative)
        return 0;
    error = lead_end(m, g);
    g->is_tentative = false;
    return error ? error : forget_overlay(m, g);
}

/* Before anything that the sealed leader says is carried out. Other homes may have
 * taken over: then there is one, though none of this group. */
int tentative_check(struct mesh *m, struct group *g)
{
    struct node_id leader = replica_leader(g->replica);

    if (node_id_is_none(&leader) && !replica_leads(g->replica)
        && !replica_is_over(g->replica))
        return 0;
    return tentative_end(m, g);
}

/* A row of a group that has no state is one of a shadow: the node died meanwhile. */
int tentative_on_restored(struct mesh *m, const struct group_id *id, uint64_t index,
                          const struct log_entry *e)
{
    struct group shadow = { .id = *id };
    struct mesh_write w = { .key = e->key, .key_len = e->key_len, .is_delete = true };
    uint64_t ticket;
    int error = row_delete_entry(m, &shadow, index, &ticket);

    return error ? error : mesh_persist(m, &shadow.run, &w, &ticket);
}

void tentative_release(struct group *g)
{
    free(g->overlay);
}
