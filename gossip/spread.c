/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/internal.h"

#include <errno.h>

static const time_us confront_again = TIME_S(1), runs_again = TIME_S(1);
enum { RUN_BYTES = 160, ANSWER_BYTES = MESSAGE_BATCH_BYTES };

/* ---- notes to one peer ---- */

static struct member_note note_as_said(const struct note *n, bool with_card)
{
    struct member_note said = n->member;

    said.has_card = with_card && n->card_incarnation == n->member.incarnation;
    if (!said.has_card)
        said.card = (struct member_card){ .name = NULL };
    return said;
}

int frame_send(struct gossip *g, struct frame *f)
{
    struct message m = { .type = MESSAGE_GOSSIP };

    if (f->n == 0)
        return 0;
    m.u.gossip = (struct gossip_message){ .members = f->notes, .n_members = f->n };
    f->notes = NULL;
    f->n = f->cap = f->bytes = 0;
    return gossip_send(g, &f->peer, &m);
}

int frame_add(struct gossip *g, struct frame *f, const struct note *n, bool with_card)
{
    size_t bytes = note_bytes(n, with_card);

    if (f->n && (f->n == f->cap || f->bytes + bytes > ANSWER_BYTES)) {
        int r = frame_send(g, f);

        if (r < 0)
            return r;
    }
    if (!f->notes) {
        f->cap = f->cap ? f->cap : FRAME_NOTES;
        f->notes = gossip_scratch(g, f->cap * sizeof(f->notes[0]));
        if (!f->notes)
            return -ENOMEM;
    }
    f->notes[f->n++] = note_as_said(n, with_card);
    f->bytes += bytes;
    return 0;
}

int spread_tell(struct gossip *g, const struct node_id *peer, const struct note *n,
                bool with_card)
{
    struct frame f = { .peer = *peer, .cap = 1 };
    int r = frame_add(g, &f, n, with_card);

    return r < 0 ? r : frame_send(g, &f);
}

int spread_confront(struct gossip *g, const struct note *n)
{
    struct age *age = view_age(g, &n->member.id);

    if (!age)
        return -ENOMEM;
    if (age->told && g->now - age->told < confront_again)
        return 0;
    age->told = g->now;
    return spread_tell(g, &n->member.id, n, false);
}

/* ---- runs ---- */

int spread_runs(struct gossip *g, const struct node_id *peer)
{
    size_t batch = ANSWER_BYTES / RUN_BYTES;
    int r = 0;

    for (size_t i = 0; r == 0 && i < g->runs.n; i += batch) {
        size_t n = min_size(batch, g->runs.n - i);
        struct run_note *runs = gossip_scratch(g, n * sizeof(*runs));
        struct message m = { .type = MESSAGE_GOSSIP };

        if (!runs)
            return -ENOMEM;
        for (size_t k = 0; k < n; k++)
            runs[k] = g->runs.rows[i + k]->note;
        m.u.gossip = (struct gossip_message){ .runs = runs, .n_runs = n };
        r = gossip_send(g, peer, &m);
    }
    return r;
}

static int say_run(struct gossip *g, const struct run_id *run)
{
    struct gossip_action *a = gossip_act(g, GOSSIP_RUN, &g->self);

    if (!a)
        return -ENOMEM;
    a->run = *run;
    return 0;
}

int spread_hear_run(struct gossip *g, const struct run_note *note)
{
    static const struct run_id none;
    struct run_row *row;
    int r;

    if (run_id_equal(&note->run, &none) || note->n_homes > HOMES_MAX)
        return 0;
    r = runs_learn(&g->runs, note, g->now, &row);
    if (r < 0 || !row)
        return r;
    r = say_run(g, &note->run);
    if (r == 0 && !g->is_catching_up)
        r = rumours_add(&g->run_rumours, note->run.bytes, 0);
    return r;
}

static int tell_now(struct gossip *g, struct run_row *row)
{
    row->told = g->now;
    row->told_ready = row->note.n_ready;
    row->is_waiting = false;
    return rumours_add(&g->run_rumours, row->note.run.bytes, 0);
}

/* The boot makes it greater than all that an earlier life of this leader said. */
static uint64_t next_seq(struct gossip *g, const struct run_note *before)
{
    uint64_t seq = (g->incarnation >> 32 << 32) + ++g->runs.seq;

    return before && before->seq >= seq ? before->seq + 1 : seq;
}

int spread_tell_run(struct gossip *g, const struct run_note *note)
{
    const struct run_row *known = runs_find(&g->runs, &note->run);
    struct run_note said = *note, before = { .n_homes = 0 };
    struct run_row *row;
    bool is_first = !known || !known->is_own;
    int r;

    if (known)
        before = known->note;
    before.user = NULL; /* it may go */
    said.seq = next_seq(g, known ? &known->note : NULL);
    r = runs_learn(&g->runs, &said, g->now, &row);
    if (r < 0 || !row)
        return r;
    row->is_own = true;
    r = say_run(g, &note->run);
    if (r < 0)
        return r;
    if (is_first || run_is_urgent(row, &before, g->now))
        return tell_now(g, row);
    row->is_waiting = true;
    return 0;
}

int spread_on_tick(struct gossip *g)
{
    int r = 0;

    if (g->runs.n == 0 || g->now < g->runs_due)
        return 0;
    g->runs_due = g->now + runs_again;
    runs_sweep(&g->runs, g->now);
    for (size_t i = 0; r == 0 && i < g->runs.n; i++) {
        struct run_row *row = g->runs.rows[i];

        if (run_is_due(row, g->now))
            r = tell_now(g, row);
    }
    return r;
}

/* ---- rumours ---- */

struct batch { /* the same for all that get it */
    struct member_note *members;
    struct run_note *runs;
    struct sent {
        uint8_t id[TABLE_ID_SIZE];
        uint32_t sends;
    } * sent;
    size_t n_members, n_runs, n_sent, bytes;
    uint32_t n_targets;
};

static int send_again(struct rumours *rumours, const struct batch *b)
{
    int r = 0;

    for (size_t i = b->n_sent; r == 0 && i-- > 0;)
        if (b->sent[i].sends + b->n_targets < RUMOUR_SENDS)
            r = rumours_add(rumours, b->sent[i].id, b->sent[i].sends + b->n_targets);
    return r;
}

static int gather_members(struct gossip *g, struct batch *b)
{
    size_t max = min_size(rumours_n(&g->rumours), FRAME_NOTES);
    struct sent *s;

    b->members = gossip_scratch(g, max * sizeof(b->members[0]) + 1);
    b->sent = gossip_scratch(g, max * sizeof(b->sent[0]) + 1);
    if (!b->members || !b->sent)
        return -ENOMEM;
    while (b->n_sent < max && b->bytes < FRAME_BYTES) {
        const struct note *note;

        s = &b->sent[b->n_sent];
        if (!rumours_pop(&g->rumours, s->id, &s->sends))
            break;
        note = members_find(g->members, (const struct node_id *)(const void *)s->id);
        if (!note)
            continue;
        b->n_sent++;
        b->members[b->n_members++] =
            note_as_said(note, note->member.state == MEMBER_ALIVE);
        b->bytes += note_bytes(note, note->member.state == MEMBER_ALIVE);
    }
    return send_again(&g->rumours, b);
}

static int gather_runs(struct gossip *g, struct batch *b)
{
    size_t max = min_size(rumours_n(&g->run_rumours), FRAME_NOTES);

    b->runs = gossip_scratch(g, max * sizeof(b->runs[0]) + 1);
    b->sent = gossip_scratch(g, max * sizeof(b->sent[0]) + 1);
    b->n_sent = 0;
    if (!b->runs || !b->sent)
        return -ENOMEM;
    while (b->n_sent < max && b->bytes < FRAME_BYTES) {
        struct sent *s = &b->sent[b->n_sent];
        const struct run_row *row;

        if (!rumours_pop(&g->run_rumours, s->id, &s->sends))
            break;
        row = runs_find(&g->runs, (const struct run_id *)(const void *)s->id);
        if (!row)
            continue;
        b->n_sent++;
        b->runs[b->n_runs++] = row->note;
        b->bytes += RUN_BYTES;
    }
    return send_again(&g->run_rumours, b);
}

static bool is_ready(const struct gossip *g, const struct link *l)
{
    bool is_early = l->framed && g->now - l->framed < g->timing.rumour;

    /* Who leaves has no time to wait. */
    return l->is_connected && (!is_early || g->state == MEMBER_LEFT)
           && gossip_is_live(g, &l->id);
}

/* Connected members that live and had no frame for a period; of more than `max` a
 * random choice (reservoir sampling, Vitter 1985). How many there are. */
static size_t choose_targets(struct gossip *g, struct link **links, size_t max)
{
    size_t n = 0;

    for (struct link *l = NULL; (l = node_table_next(&g->links, l));) {
        size_t place = n;

        if (!is_ready(g, l))
            continue;
        if (n >= max)
            place = prng_below(&g->prng, n + 1);
        if (place < max)
            links[place] = l;
        n++;
    }
    return n;
}

/* How many frames the bucket has: a burst leaves at once, a flood at an even rate, with
 * little waiting at each hop. */
static size_t take_frames(struct gossip *g)
{
    time_us step = g->timing.rumour / FANOUT, full = g->now - g->timing.rumour;
    size_t n;

    if (g->now < g->timing.rumour)
        full = 0;
    if (g->spent < full)
        g->spent = full;
    n = min_size((size_t)((g->now - g->spent) / step), FANOUT);
    g->spent += n * step;
    return n;
}

static int send_batch(struct gossip *g, struct link **links, size_t n,
                      const struct batch *b)
{
    struct message m = { .type = MESSAGE_GOSSIP };
    int r = 0;

    if (b->n_members + b->n_runs == 0)
        return 0;
    m.u.gossip = (struct gossip_message){ .members = b->members,
                                          .n_members = b->n_members,
                                          .runs = b->runs,
                                          .n_runs = b->n_runs };
    for (size_t i = 0; r == 0 && i < n; i++) {
        links[i]->framed = g->now;
        r = gossip_send(g, &links[i]->id, &m);
    }
    return r;
}

int spread_flush(struct gossip *g, bool to_all)
{
    size_t max = to_all ? g->n_connected : take_frames(g), n, n_ready;
    struct link **links = gossip_scratch(g, max * sizeof(struct link *) + 1);
    struct batch b = { .members = NULL };
    int r;

    if (!links)
        return -ENOMEM;
    n_ready = choose_targets(g, links, max);
    n = min_size(n_ready, max);
    if (n == 0)
        return 0;
    /* When all there are get it, that is a round. */
    b.n_targets = n == g->n_connected ? FANOUT : (uint32_t)n;
    r = gather_members(g, &b);
    if (r == 0)
        r = gather_runs(g, &b);
    return r < 0 ? r : send_batch(g, links, n, &b);
}

static bool has_rumours(const struct gossip *g)
{
    return g->n_connected && (rumours_n(&g->rumours) || rumours_n(&g->run_rumours));
}

time_us spread_deadline(const struct gossip *g)
{
    time_us at = g->runs.n ? g->runs_due : TIME_NEVER;
    time_us next = g->spent + 2 * (g->timing.rumour / FANOUT);

    return has_rumours(g) && next < at ? next : at;
}
