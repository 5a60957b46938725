/* SPDX-License-Identifier: Apache-2.0 */
#include "scheduler/share.h"

static const uint64_t lead = TIME_MS(100);
/* More is not counted at once: keys are compared by their difference. */
static const uint64_t step_max = UINT64_C(1) << 60;

/* What ran at this rate until now has had since then. */
static uint64_t since(time_us *at, uint64_t rate, time_us now)
{
    uint64_t passed = now > *at ? now - *at : 0, had;

    *at = now > *at ? now : *at;
    return __builtin_mul_overflow(passed, rate, &had) || had > step_max ? step_max
                                                                        : had;
}

static void contest_advance(struct contest *c, time_us now)
{
    uint64_t had = since(&c->at, c->rate, now);

    if (had)
        c->virtual += had / c->weight;
}

static void advance(struct share *s, time_us now)
{
    uint64_t had = since(&s->at, s->rate, now);

    if (had)
        s->service += had / s->weight;
}

static void set_key(struct share *s)
{
    s->key = s->service + lead * s->rate / s->weight;
}

void share_init(struct share *s, struct contest *contest, uint32_t weight, uint64_t age)
{
    *s =
        (struct share){ .contest = contest, .weight = weight ? weight : 1, .age = age };
}

static bool is_in(const struct share *s)
{
    return s->n_waiting || s->rate;
}

/* Enters the contest, or begins to wait in it: there is no credit for the past. */
void share_wait(struct share *s, time_us now)
{
    struct contest *c = s->contest;

    if (s->n_waiting++)
        return;
    contest_advance(c, now);
    advance(s, now);
    if (s->n_waiting == 1 && !s->rate)
        c->weight += s->weight;
    c->n_waiting++;
    if ((int64_t)(c->virtual - s->service) > 0)
        s->service = c->virtual;
    set_key(s);
}

void share_unwait(struct share *s, time_us now)
{
    struct contest *c = s->contest;

    if (--s->n_waiting)
        return;
    contest_advance(c, now);
    c->n_waiting--;
    if (!is_in(s))
        c->weight -= s->weight;
}

void share_take(struct share *s, uint64_t cost, uint64_t served, time_us now)
{
    struct contest *c = s->contest;

    contest_advance(c, now);
    advance(s, now);
    if (!is_in(s))
        c->weight += s->weight;
    c->virtual = s->service;
    c->rate += cost;
    s->rate += cost;
    s->served = served;
    set_key(s);
}

void share_give(struct share *s, uint64_t cost, time_us now)
{
    struct contest *c = s->contest;

    contest_advance(c, now);
    advance(s, now);
    c->rate -= cost;
    s->rate -= cost;
    if (!is_in(s))
        c->weight -= s->weight;
    set_key(s);
}

bool share_renew(struct share *s, time_us now)
{
    uint64_t before = s->key;

    advance(s, now);
    set_key(s);
    return s->key != before;
}
