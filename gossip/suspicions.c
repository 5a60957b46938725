/* SPDX-License-Identifier: Apache-2.0 */
#include "gossip/internal.h"

#include <errno.h>
#include <stdlib.h>

static const time_us postponed = TIME_MS(500);
enum { LONELY_TIMES = 3 };

/* ---- the heap ---- */

static void swap(struct deadline *a, struct deadline *b)
{
    struct deadline t = *a;

    *a = *b;
    *b = t;
}

static void sift_up(struct suspicions *s, size_t i)
{
    for (; i > 0 && s->heap[i].due < s->heap[(i - 1) / 2].due; i = (i - 1) / 2)
        swap(&s->heap[i], &s->heap[(i - 1) / 2]);
}

static void sift_down(struct suspicions *s)
{
    for (size_t i = 0, least;; i = least) {
        least = i;
        for (size_t k = 2 * i + 1; k <= 2 * i + 2 && k < s->n; k++)
            if (s->heap[k].due < s->heap[least].due)
                least = k;
        if (least == i)
            return;
        swap(&s->heap[i], &s->heap[least]);
    }
}

static int push(struct suspicions *s, time_us due, const struct node_id *id)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 8;
        struct deadline *heap = realloc(s->heap, cap * sizeof(*heap));

        if (!heap)
            return -ENOMEM;
        s->heap = heap;
        s->cap = cap;
    }
    s->heap[s->n] = (struct deadline){ .due = due, .id = *id };
    sift_up(s, s->n++);
    return 0;
}

static struct deadline pop(struct suspicions *s)
{
    struct deadline first = s->heap[0];

    s->heap[0] = s->heap[--s->n];
    sift_down(s);
    return first;
}

/* ---- how long ---- */

/* How many different members can blame it. */
static unsigned n_observers(const struct gossip *g, const struct note *note)
{
    size_t n_live = members_live(g->members);

    if (n_live - 1 <= WATCHES_MAX)
        return (unsigned)n_live - 1;
    return n_live <= GOSSIP_MESH_MAX ? rings_observers(g->members, note) : GOSSIP_RINGS;
}

/* From the longest time with one observer to the shortest with four, or all there are,
 * by the logarithm of how many agree (Lifeguard, 2018, section IV.B). TIME_NEVER: too
 * few. */
static time_us patience(const struct gossip *g, const struct note *note)
{
    enum { ENOUGH = 4 };
    static const uint32_t shorter[ENOUGH + 1][ENOUGH] = {
        /* 1000 log(c) / log(enough) */
        [3] = { 0, 0, 631 },
        [4] = { 0, 0, 500, 792 }
    };
    unsigned can = n_observers(g, note);
    unsigned enough = can < ENOUGH ? can : ENOUGH;
    unsigned agree = (unsigned)__builtin_popcount(note->member.observers);
    time_us span = g->timing.suspect_max - g->timing.suspect_min;

    if (agree < (members_live(g->members) <= 3 || can < 2 ? 1 : 2))
        return LONELY_TIMES * g->timing.suspect_max;
    if (agree >= enough)
        return g->timing.suspect_min;
    return g->timing.suspect_max - span * shorter[enough][agree] / 1000;
}

int suspicion_arm(struct gossip *g, const struct note *note, struct age *age)
{
    time_us due = age->since + patience(g, note);

    if (due == age->due)
        return 0;
    age->due = due;
    return push(&g->suspicions, due, &note->member.id);
}

int suspicions_arm_all(struct gossip *g)
{
    int r = 0;

    for (struct age *age = NULL; r == 0 && (age = node_table_next(&g->ages, age));) {
        const struct note *note = members_find(g->members, &age->id);

        if (note && note->member.state == MEMBER_SUSPECT)
            r = suspicion_arm(g, note, age);
    }
    return r;
}

static int expire(struct gossip *g, const struct deadline *d)
{
    struct age *age = node_table_find(&g->ages, &d->id);
    const struct note *note = members_find(g->members, &d->id);
    struct fact f = { .id = d->id, .state = MEMBER_DEAD };

    if (!age || age->due != d->due || !note || note->member.state != MEMBER_SUSPECT)
        return 0;
    if (g->is_isolated || g->now < g->judges) {
        age->due = g->now + postponed;
        return push(&g->suspicions, age->due, &d->id);
    }
    f.incarnation = note->member.incarnation;
    return view_learn(g, &f, SOURCE_SELF);
}

int suspicions_on_tick(struct gossip *g)
{
    int r = 0;

    while (r == 0 && g->suspicions.n && g->suspicions.heap[0].due <= g->now) {
        struct deadline d = pop(&g->suspicions);

        r = expire(g, &d);
    }
    return r;
}

time_us suspicions_deadline(const struct gossip *g)
{
    return g->suspicions.n ? g->suspicions.heap[0].due : TIME_NEVER;
}
