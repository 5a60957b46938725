/* SPDX-License-Identifier: Apache-2.0 */
/* Who is a home of a run: weighted rendezvous, so that all who know the same members
 * choose alike and a member more or less moves few. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "node/mesh_internal.h"

static const uint64_t DISK_WANTED = 10ULL << 30;

struct candidate {
    struct node_id id;
    const char *zone;
    double score;
    bool is_taken;
};

/* In (0, 1), by the run and the member. */
static double draw(const struct run_id *run, const struct node_id *id)
{
    struct prng p;
    uint64_t a, b, c, d;

    memcpy(&a, run->bytes, 8);
    memcpy(&b, run->bytes + 8, 8);
    memcpy(&c, id->bytes, 8);
    memcpy(&d, id->bytes + 8, 8);
    prng_init(&p, a ^ prng_rotate_(b, 17));
    prng_init(&p, prng_next(&p) ^ c ^ prng_rotate_(d, 31));
    return ((double)(prng_next(&p) >> 11) + 0.5) / 9007199254740992.0;
}

static bool may_be_home(const struct mesh *m, const struct member_view *v)
{
    return v->note->has_card && v->note->card.roles & ROLE_HOME
           && !v->note->card.is_draining && gossip_is_live(m->gossip, &v->note->id);
}

bool home_has_any(const struct mesh *m)
{
    struct member_view v;

    for (size_t i = 0; gossip_at(m->gossip, i, &v); i++)
        if (may_be_home(m, &v))
            return true;
    return false;
}

static size_t list(const struct mesh *m, const struct run_id *run,
                   struct candidate **ret)
{
    size_t n = gossip_members(m->gossip), n_found = 0;
    struct candidate *all = calloc(n + 1, sizeof(*all));

    for (size_t i = 0; i < n && all; i++) {
        struct member_view v;
        double weight;

        if (!gossip_at(m->gossip, i, &v) || !may_be_home(m, &v))
            continue;
        weight = v.note->card.disk_bytes >= DISK_WANTED ? 1 : 0.1;
        all[n_found++] =
            (struct candidate){ .id = v.note->id,
                                .zone = v.note->card.zone ? v.note->card.zone : "",
                                .score = -weight / log(draw(run, &v.note->id)) };
    }
    *ret = all;
    return n_found;
}

static bool is_zone_used(const struct candidate *all, size_t n, const char *zone)
{
    if (!*zone)
        return false;
    for (size_t i = 0; i < n; i++)
        if (all[i].is_taken && strcmp(all[i].zone, zone) == 0)
            return true;
    return false;
}

/* One in a zone of its own goes before any other. */
static struct candidate *best(struct candidate *all, size_t n)
{
    struct candidate *found = NULL;
    bool is_found_new = false;

    for (size_t i = 0; i < n; i++) {
        bool is_new = !is_zone_used(all, n, all[i].zone);

        if (all[i].is_taken)
            continue;
        if (!found || is_new > is_found_new
            || (is_new == is_found_new && all[i].score > found->score)) {
            found = &all[i];
            is_found_new = is_new;
        }
    }
    return found;
}

static bool take(struct candidate *all, size_t n, const struct node_id *id)
{
    for (size_t i = 0; i < n; i++)
        if (node_id_equal(&all[i].id, id)) {
            all[i].is_taken = true;
            return true;
        }
    return false;
}

/* These first, then the best, until there are as many as there shall be. */
static uint32_t fill(struct candidate *all, size_t n, uint32_t most,
                     struct node_id homes[HOMES_MAX], uint32_t n_homes)
{
    uint32_t wanted = n >= most ? most : n >= 3 ? 3 : 1;

    while (n_homes < wanted) {
        struct candidate *c = best(all, n);

        if (!c)
            break;
        c->is_taken = true;
        homes[n_homes++] = c->id;
    }
    return n_homes;
}

uint32_t home_choose(const struct mesh *m, const struct run_id *run,
                     struct node_id ret_homes[HOMES_MAX])
{
    CLEANUP(freep) struct candidate *all = NULL;
    size_t n = list(m, run, &all);
    uint32_t n_homes = 0;

    if (all && take(all, n, &m->self)) {
        ret_homes[n_homes++] = m->self;
        n_homes = fill(all, n, HOMES_OF_RUN, ret_homes, n_homes);
    }
    /* Who may not be a home is one until it has handed the run over. */
    if (n_homes == 0 || (n_homes < HOMES_OF_RUN && n_homes != 1)) {
        ret_homes[0] = m->self;
        n_homes = 1;
    }
    return n_homes;
}

/* ---- changing them ---- */

static bool is_gone(const struct mesh *m, const struct node_id *id)
{
    const struct peer *p = peer_find(m, id);
    struct member_view v;

    if (!p || !gossip_find(m->gossip, id, &v))
        return true;
    if (v.note->state == MEMBER_LEFT
        || (v.note->has_card
            && (v.note->card.is_draining || !(v.note->card.roles & ROLE_HOME))))
        return true;
    return !p->is_live && m->now >= p->gone_since + REPAIR_AFTER;
}

/* A run that began with one home gets more when there are enough for it. */
static int grow(struct mesh *m, struct group *g)
{
    struct replica_state state = { .generation = 1, .n_homes = 1 };
    int error;

    state.homes[0] = m->self;
    state.promised = group_rank(m, g).ballot;
    g->has_run = true; /* decided before there was a log */
    error = group_open(m, g, &state, true);
    /* What was permitted for ever is from now on only as long as this node leads. */
    return error ? error : permits_on_proof(m, g, m->now);
}

static bool is_same_list(const struct node_id *a, uint32_t n_a, const struct node_id *b,
                         uint32_t n_b)
{
    return n_a == n_b && memcmp(a, b, n_a * sizeof(*a)) == 0;
}

/* It goes of its own will: rather one home than none that may go. */
static bool is_leaving(const struct mesh *m, const struct node_id *id)
{
    struct member_view v;

    return gossip_find(m->gossip, id, &v)
           && (v.note->state == MEMBER_LEFT
               || (v.note->has_card && v.note->card.is_draining));
}

bool home_refill(const struct mesh *m, const struct group *g, uint32_t most,
                 struct node_id homes[HOMES_MAX], uint32_t *ret_n, int *ret_error)
{
    CLEANUP(freep) struct candidate *all = NULL;
    struct node_id was[HOMES_MAX];
    uint32_t n_was = group_homes(m, g, was), n = 0;
    size_t n_all = list(m, &g->run, &all);
    bool has_leaving = false;

    *ret_error = all ? 0 : -ENOMEM;
    if (!all)
        return false;
    for (uint32_t i = 0; i < n_was; i++)
        has_leaving = has_leaving || is_leaving(m, &was[i]);
    for (uint32_t i = 0; i < n_was; i++)
        if (!is_gone(m, &was[i]) && (take(all, n_all, &was[i]) || true))
            homes[n++] = was[i];
    n = fill(all, n_all, most, homes, n);
    if (n && n % 2 == 0 && has_leaving && most == HOMES_OF_MESH)
        n--;
    *ret_n = n;
    return n % 2 && !is_same_list(was, n_was, homes, n);
}

/* The leader of a run looks whether it has the homes that it should have. */
int home_on_tick(struct mesh *m, struct group *g)
{
    struct node_id homes[HOMES_MAX];
    uint32_t n;
    int error = 0;

    if (g->phase != LEAD_FULL || g->is_tentative
        || (g->replica && !replica_leads(g->replica))
        || !home_refill(m, g, HOMES_OF_RUN, homes, &n, &error))
        return error;
    if (!g->replica)
        return grow(m, g);
    return group_move(m, g, homes, n);
}
