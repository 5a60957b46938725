/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes whose fingerprints differ for longer than rumours travel compare what they
 * know:
 *
 *     sums of 256 parts ---------> (a small mesh goes on at once)
 *              <--------- its list of each run of parts that differ
 *     what is newer here -------->
 *     the own list, if the other one has what is newer ---->
 *              <--------- that
 *
 * Only those that live are in the fingerprint: the dead are forgotten after a day, at
 * each node when its clock says so, and that is no difference.
 *
 * A member that is dead here and lives there is told as a suspicion by all: when a
 * partition heals each side has the other one dead, and whoever lives must have the
 * time to say so before the other side believes it. */
#include "gossip/internal.h"

#include <errno.h>
#include <string.h>

enum {
    LIST_MAX = 128,     /* members: fewer are listed without sums */
    ENTRIES_MAX = 2000, /* of one message */
    RUNS_OF_PARTS = 16,
    SYNCS_A_ROUND = 64, /* that are answered, of a peer */
};

static const time_us differs_for = TIME_S(3), eager_again = TIME_S(1),
                     catch_up = TIME_S(10), sweep_again = TIME_S(3600);

static const struct node_id no_id;

void gossip_fingerprint(const struct gossip *g, uint8_t ret[16])
{
    for (unsigned i = 0; i < 16; i++)
        ret[i] = g->members ? (uint8_t)(g->members->sum[i / 8] >> (8 * (i % 8))) : 0;
}

/* ---- lists ---- */

static struct sync_entry entry_of(const struct note *n)
{
    struct sync_entry e = { .id = n->member.id,
                            .incarnation = n->member.incarnation,
                            .state = n->member.state };

    /* What is said of it came before its card: as if only the card before were known,
     * so that the other one sends both. */
    if (note_is_live(n) && note_complete(n) < e.incarnation) {
        e.incarnation = note_complete(n);
        e.state = MEMBER_ALIVE;
    }
    return e;
}

static int send_list(struct gossip *g, const struct node_id *peer, size_t begin,
                     size_t end, struct node_id from, struct node_id until,
                     bool is_answer)
{
    int r = 0;

    do {
        size_t n = min_size(end - begin, ENTRIES_MAX);
        struct message m = { .type = MESSAGE_SYNC };
        struct sync_message *s = &m.u.sync;

        s->entries = gossip_scratch(g, n * sizeof(s->entries[0]) + 1);
        if (!s->entries)
            return -ENOMEM;
        s->is_answer = is_answer;
        s->from = from;
        for (; s->n_entries < n; s->n_entries++)
            s->entries[s->n_entries] = entry_of(members_at(g->members, begin++));
        from = begin < end ? members_at(g->members, begin)->member.id : until;
        s->until = from;
        r = gossip_send(g, peer, &m);
    } while (r == 0 && begin < end);
    return r;
}

static int list_range(struct gossip *g, const struct node_id *peer,
                      const struct node_id *from, const struct node_id *until,
                      bool is_answer)
{
    size_t end = node_id_is_none(until) ? members_n(g->members)
                                        : members_rank(g->members, until);
    size_t begin = members_rank(g->members, from);

    return send_list(g, peer, begin, end > begin ? end : begin, *from, *until,
                     is_answer);
}

static int send_sums(struct gossip *g, const struct node_id *peer)
{
    struct message m = { .type = MESSAGE_SYNC };

    m.u.sync.sums = gossip_scratch(g, MEMBERS_PARTS * sizeof(uint64_t));
    if (!m.u.sync.sums)
        return -ENOMEM;
    m.u.sync.n_sums = MEMBERS_PARTS;
    members_sums(g->members, m.u.sync.sums);
    return gossip_send(g, peer, &m);
}

int sync_start(struct gossip *g, const struct node_id *peer)
{
    time_us period = g->timing.sync;

    g->synced = g->now;
    g->sync_next = g->now + period - period / 8 + prng_below(&g->prng, period / 4 + 1);
    if (members_n(g->members) <= LIST_MAX)
        return list_range(g, peer, &no_id, &no_id, false);
    return send_sums(g, peer);
}

/* ---- what comes ---- */

static struct node_id part_begin(unsigned part)
{
    struct node_id id = { .bytes = { (uint8_t)part } };

    return id; /* of part 256 none: to the end */
}

static int on_sums(struct gossip *g, const struct node_id *from, const uint64_t *theirs)
{
    uint64_t ours[MEMBERS_PARTS];
    unsigned first = MEMBERS_PARTS, last = 0, n_runs = 0;
    int r = 0;

    members_sums(g->members, ours);
    for (unsigned i = 0; i < MEMBERS_PARTS; i++) {
        if (ours[i] == theirs[i])
            continue;
        if (first == MEMBERS_PARTS)
            first = i;
        n_runs += i == 0 || ours[i - 1] == theirs[i - 1];
        last = i;
    }
    if (n_runs > RUNS_OF_PARTS) {
        struct node_id begin = part_begin(first), until = part_begin(last + 1);

        return list_range(g, from, &begin, &until, false);
    }
    for (unsigned i = first, end; r == 0 && i <= last && n_runs; i = end) {
        struct node_id begin = part_begin(i), until;

        for (end = i; end <= last && ours[end] != theirs[end];)
            end++;
        until = part_begin(end);
        if (end > i)
            r = list_range(g, from, &begin, &until, false);
        else
            end++;
    }
    return r;
}

struct comparison {
    struct frame frame;
    bool is_behind; /* the other one knows what we do not */
};

/* Told to one that has at most this of it. */
static int tell_newer(struct gossip *g, struct comparison *c, const struct note *n,
                      uint64_t theirs)
{
    struct fact f = note_fact(n);
    struct note *said;
    int r;

    if (n->member.state != MEMBER_DEAD)
        return frame_add(g, &c->frame, n, theirs < n->member.incarnation);
    f.state = MEMBER_SUSPECT;
    f.observers = ALL_OBSERVERS;
    said = note_get(g->pool, &f);
    if (!said)
        return -ENOMEM;
    r = frame_add(g, &c->frame, said, false);
    note_unref(g->pool, said);
    return r;
}

static int compare_entry(struct gossip *g, struct comparison *c, const struct note *n,
                         const struct sync_entry *theirs)
{
    struct sync_entry ours = entry_of(n);
    bool is_newer =
        ours.incarnation > theirs->incarnation
        || (ours.incarnation == theirs->incarnation && ours.state > theirs->state);

    if (!state_is_live(theirs->state) && !note_is_live(n))
        return 0;
    if (is_newer)
        return tell_newer(g, c, n, theirs->incarnation);
    c->is_behind |=
        ours.incarnation < theirs->incarnation || ours.state < theirs->state;
    return 0;
}

/* Both are ascending. What only one has counts if it lives: the other never heard of
 * it, or has buried and forgotten it. */
static int compare_lists(struct gossip *g, struct comparison *c,
                         const struct sync_message *m)
{
    size_t i = members_rank(g->members, &m->from), k = 0;
    size_t end = node_id_is_none(&m->until) ? members_n(g->members)
                                            : members_rank(g->members, &m->until);
    int r = 0;

    while (r == 0 && (i < end || k < m->n_entries)) {
        const struct note *n = i < end ? members_at(g->members, i) : NULL;
        const struct sync_entry *e = k < m->n_entries ? &m->entries[k] : NULL;
        int order = !n ? 1 : !e ? -1 : node_id_compare(&n->member.id, &e->id);

        if (order == 0)
            r = compare_entry(g, c, n, e);
        else if (order < 0 && note_is_live(n))
            r = tell_newer(g, c, n, 0);
        else if (order > 0)
            c->is_behind |= state_is_live(e->state);
        i += order <= 0;
        k += order >= 0;
    }
    return r;
}

static bool is_well_formed(const struct sync_message *m)
{
    const struct node_id *before = NULL;

    if (m->n_sums != 0 && m->n_sums != MEMBERS_PARTS)
        return false;
    if (!node_id_is_none(&m->until) && node_id_compare(&m->from, &m->until) > 0)
        return false;
    for (size_t i = 0; i < m->n_entries; i++) {
        const struct node_id *id = &m->entries[i].id;

        if (node_id_compare(id, before ? before : &m->from) < (before != NULL)
            || (!node_id_is_none(&m->until) && node_id_compare(id, &m->until) >= 0))
            return false;
        before = id;
    }
    return true;
}

int sync_on_message(struct gossip *g, const struct node_id *from,
                    const struct sync_message *m)
{
    struct comparison c = { .frame = { .peer = *from } };
    struct link *l = link_find(g, from);
    int r;

    if (!is_well_formed(m) || (l && ++l->syncs > SYNCS_A_ROUND))
        return 0;
    if (m->n_sums)
        return on_sums(g, from, m->sums);
    r = compare_lists(g, &c, m);
    if (r == 0)
        r = frame_send(g, &c.frame);
    if (r == 0 && c.is_behind && !m->is_answer)
        r = list_range(g, from, &m->from, &m->until, true);
    return r;
}

/* ---- when ---- */

static int on_difference(struct gossip *g, const struct node_id *from, struct watch *w)
{
    if (g->is_catching_up && g->now - g->synced >= eager_again)
        return sync_start(g, from);
    if (g->now < g->sync_next)
        return 0;
    if (node_id_equal(from, &g->guest))
        return sync_start(g, from);
    if (!w || g->now - w->differs < differs_for)
        return 0;
    return sync_start(g, from);
}

int sync_on_fingerprint(struct gossip *g, const struct node_id *from,
                        const uint8_t theirs[16])
{
    struct watch *w = detector_find(g, from);
    uint8_t ours[16];

    gossip_fingerprint(g, ours);
    if (memcmp(ours, theirs, sizeof(ours)) == 0) {
        g->is_catching_up = false;
        if (w)
            w->differs = 0;
        return 0;
    }
    if (w && !w->differs)
        w->differs = g->now;
    return on_difference(g, from, w);
}

int sync_on_return(struct gossip *g, const struct node_id *peer)
{
    if (!link_is_up(g, peer) || g->now - g->synced < eager_again)
        return 0;
    return sync_start(g, peer);
}

static int visit_somebody(struct gossip *g)
{
    const struct note *n;
    size_t n_live = members_live(g->members);

    g->sync_due = g->now + g->timing.sync;
    if (n_live < 2)
        return 0;
    n = members_live_at(g->members, prng_below(&g->prng, n_live));
    return node_id_equal(&n->member.id, &g->self)
               ? 0
               : link_invite(g, &g->guest, &n->member.id);
}

static int redial(struct gossip *g)
{
    time_us period = g->is_full_mesh ? g->timing.redial / 6 : g->timing.redial;
    size_t n_dead = members_n(g->members) - members_live(g->members);
    const struct note *n;

    g->redial_due = g->now + period - period / 4 + prng_below(&g->prng, period / 2 + 1);
    if (n_dead == 0)
        return 0;
    n = members_dead_at(g->members, prng_below(&g->prng, n_dead));
    if (n->member.state != MEMBER_DEAD || !n->card)
        return 0;
    return link_invite(g, &g->redialled, &n->member.id);
}

/* Once an hour, so the walk costs nothing. */
static int bury(struct gossip *g)
{
    struct node_id *ids = gossip_scratch(g, g->ages.n * sizeof(*ids) + 1);
    size_t n = 0;
    int r = 0;

    if (!ids)
        return -ENOMEM;
    g->sweep_due = g->now + min_size(sweep_again, g->timing.tombstone);
    for (const struct age *age = NULL; (age = node_table_next(&g->ages, age));) {
        const struct note *note = members_find(g->members, &age->id);

        if (!note
            || (!note_is_live(note) && g->now - age->since >= g->timing.tombstone))
            ids[n++] = age->id;
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct twig *root;

        r = members_drop(g->pool, g->members, &ids[i], &root);
        if (r == 0) {
            twig_unref(g->pool, g->members);
            g->members = root;
            r = gossip_say(g, GOSSIP_CHANGED, &ids[i]);
        }
        if (r == -ENOENT)
            r = 0;
        node_table_remove(&g->ages, &ids[i]);
    }
    return r;
}

int sync_on_tick(struct gossip *g)
{
    int r = 0;

    if (g->is_catching_up && g->now - g->started >= catch_up)
        g->is_catching_up = false;
    if (g->now >= g->sync_due)
        r = visit_somebody(g);
    if (r == 0 && g->now >= g->redial_due)
        r = redial(g);
    if (r == 0 && g->now >= g->sweep_due)
        r = bury(g);
    return r;
}

time_us sync_deadline(const struct gossip *g)
{
    time_us at = g->sync_due < g->redial_due ? g->sync_due : g->redial_due;

    return at < g->sweep_due ? at : g->sweep_due;
}
