/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/gossip_figures.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/prng.h"
#include "simulations/gossip_world.h"

enum { WARM_S = 10, SETTLED_S = 5, NEVER_MS = 600000 };

struct figures_options {
    uint64_t from, to;
    size_t n, crashes;
    uint32_t loss, stalling, one_way; /* in 10,000 */
    uint64_t seconds;
};

struct sample { /* of one seed */
    time_us first, value;
    struct gossip_world_stats stats, late; /* late: when half of the time is over */
    char violation[ERROR_TEXT_MAX];
};

struct scenario {
    const char *name, *what;
    struct figures_options usual;
    void (*live)(const struct figures_options *o, struct gossip_world *w,
                 struct prng *prng, struct sample *s);
    bool is_split, is_empty; /* nodes part; there is one at the start */
};

static void blame(struct sample *s, const char *text)
{
    if (!*s->violation)
        snprintf(s->violation, sizeof(s->violation), "%s", text);
}

/* How long it takes until all agree, in steps; the world goes on from there. */
static void until_agreed(struct gossip_world *w, time_us limit, struct sample *s)
{
    time_us begin = gossip_world_now(w), step = TIME_MS(100);

    while (!gossip_world_agrees(w) && gossip_world_now(w) - begin < limit)
        if (!gossip_world_run(w, gossip_world_now(w) + step))
            return;
    s->value = gossip_world_now(w) - begin;
    if (!gossip_world_agrees(w))
        blame(s, "the nodes do not agree in the end");
}

/* ---- scenarios ---- */

static int by_value(const void *a, const void *b)
{
    const time_us *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static void live_crash(const struct figures_options *o, struct gossip_world *w,
                       struct prng *prng, struct sample *s)
{
    size_t first = prng_below(prng, o->n);

    gossip_world_run(w, TIME_S(WARM_S) + prng_below(prng, TIME_S(1)));
    for (size_t i = 0; i < o->crashes; i++)
        gossip_world_crash(w, (first + i) % o->n);
    gossip_world_run(w, gossip_world_now(w) + TIME_S(o->seconds));
    s->first = TIME_S(NEVER_MS);
    for (size_t i = 0; i < o->crashes; i++) {
        size_t node = (first + i) % o->n;
        time_us known = gossip_world_known_after(w, node);
        time_us suspected = gossip_world_suspected_after(w, node);

        if (!known)
            blame(s, "a death did not become known");
        if (known > s->value)
            s->value = known;
        if (suspected < s->first)
            s->first = suspected;
    }
}

static void live_quiet(const struct figures_options *o, struct gossip_world *w,
                       struct prng *prng, struct sample *s)
{
    (void)prng;
    gossip_world_fray(w, o->one_way);
    gossip_world_run(w, TIME_S(o->seconds / 2));
    s->late = gossip_world_stats(w);
    gossip_world_run(w, TIME_S(o->seconds));
}

static bool is_split(const struct gossip_world *w, size_t n, size_t part)
{
    for (size_t i = 0; i < n; i++)
        if (gossip_world_seeing(w, i, MEMBER_DEAD) != (i < part ? n - part : part))
            return false;
    return true;
}

/* A small part takes long to bury all others. It is healed when it has: a death that is
 * news while the sides meet is believed on both until it is refuted. A part of one or
 * two is isolated and buries nobody. */
static void live_heal(const struct figures_options *o, struct gossip_world *w,
                      struct prng *prng, struct sample *s)
{
    size_t part = 1 + prng_below(prng, o->n / 2);

    gossip_world_run(w, TIME_S(WARM_S));
    for (size_t i = 0; i < part; i++)
        gossip_world_side(w, i, 1);
    gossip_world_run(w, TIME_S(WARM_S + o->seconds));
    while (part > 2 && !is_split(w, o->n, part) && gossip_world_now(w) < TIME_S(900))
        if (!gossip_world_run(w, gossip_world_now(w) + TIME_S(5)))
            return;
    for (size_t i = 0; i < part; i++)
        gossip_world_side(w, i, 0);
    gossip_world_run(w, gossip_world_now(w) + 1);
    until_agreed(w, TIME_S(300), s);
    for (size_t i = 0; i < o->n && !*s->violation; i++)
        if (gossip_world_seeing(w, i, MEMBER_ALIVE) != o->n - 1)
            blame(s, "the halves agree, but not on all");
}

/* One after another goes and comes back; those that stay must not notice each other. */
static void live_churn(const struct figures_options *o, struct gossip_world *w,
                       struct prng *prng, struct sample *s)
{
    size_t contact = o->n - 1;

    gossip_world_run(w, TIME_S(WARM_S));
    for (uint64_t i = 0; i < o->seconds; i++) {
        size_t node = i % (o->n - 1);

        if (prng_below(prng, 2))
            gossip_world_leave(w, node);
        else
            gossip_world_kill(w, node);
        gossip_world_run(w, gossip_world_now(w) + TIME_MS(500));
        gossip_world_start(w, node, contact);
        if (!gossip_world_run(w, gossip_world_now(w) + TIME_MS(500)))
            return;
    }
    until_agreed(w, TIME_S(60), s);
}

/* All but the first come at once and know nothing but their contact. */
static void live_join(const struct figures_options *o, struct gossip_world *w,
                      struct prng *prng, struct sample *s)
{
    size_t n = o->n;

    gossip_world_run(w, TIME_S(1));
    for (size_t i = 1; i <= n; i++) {
        gossip_world_start(w, i, prng_below(prng, i));
        if (!gossip_world_run(w, gossip_world_now(w) + TIME_MS(10)))
            return;
    }
    until_agreed(w, TIME_S(60), s);
    for (size_t i = 0; i <= n && !*s->violation; i++)
        if (gossip_world_seeing(w, i, MEMBER_ALIVE) != n)
            blame(s, "not all know all");
}

static const struct scenario scenarios[] = {
    { "crash",
      "until 99 % know of a machine's death",
      { .n = 100, .crashes = 1, .seconds = 20 },
      live_crash,
      false,
      0 },
    { "quiet",
      "nobody dies, though links and nodes are bad",
      { .n = 100, .seconds = 600 },
      live_quiet,
      false,
      0 },
    { "heal",
      "from the end of a partition until all agree",
      { .n = 100, .seconds = 60 },
      live_heal,
      true,
      0 },
    { "churn",
      "one restart a second, then until all agree",
      { .n = 100, .seconds = 60 },
      live_churn,
      false,
      0 },
    { "join",
      "all come one after another, then until all agree",
      { .n = 100 },
      live_join,
      false,
      SIZE_MAX },
};

/* ---- seeds ---- */

static bool live(const struct scenario *sc, const struct figures_options *o,
                 uint64_t seed, struct sample *ret)
{
    struct gossip_world_config config = { .seed = seed,
                                          .n = sc->is_empty ? 1 : o->n,
                                          .joins = sc->is_empty ? o->n : 0,
                                          .loss = o->loss,
                                          .stalling = o->stalling,
                                          .may_bury_across = sc->is_split };
    CLEANUP(gossip_world_freep) struct gossip_world *w = gossip_world_new(&config);
    struct prng prng;

    if (!w) {
        blame(ret, "no memory");
        return false;
    }
    prng_init(&prng, ~seed);
    sc->live(o, w, &prng, ret);
    if (*gossip_world_violation(w))
        snprintf(ret->violation, sizeof(ret->violation), "%s",
                 gossip_world_violation(w));
    ret->stats = gossip_world_stats(w);
    return !*ret->violation;
}

static void print_replay(const struct scenario *sc, const struct figures_options *o,
                         uint64_t seed, const char *violation)
{
    printf("seed %" PRIu64 ": %s\nreplay: mesh-sim gossip %s --seed %" PRIu64
           " --nodes %zu --seconds %" PRIu64 " --loss %u --stalling %u --one-way %u",
           seed, violation, sc->name, seed, o->n, o->seconds, o->loss, o->stalling,
           o->one_way);
    if (o->crashes)
        printf(" --crashes %zu", o->crashes);
    putchar('\n');
}

static double seconds(time_us t)
{
    return (double)t / 1e6;
}

struct totals {
    struct gossip_world_stats stats;
    uint64_t late_suspicions, early_suspicions;
    time_us *values, *firsts;
    size_t n;
};

static void add(struct totals *t, const struct sample *s)
{
    t->values[t->n] = s->value;
    t->firsts[t->n++] = s->first;
    t->stats.events += s->stats.events;
    t->stats.messages += s->stats.messages;
    t->stats.bytes += s->stats.bytes;
    t->stats.suspicions += s->stats.suspicions;
    t->stats.deaths += s->stats.deaths;
    t->stats.false_deaths += s->stats.false_deaths;
    t->early_suspicions += s->late.suspicions;
    t->late_suspicions += s->stats.suspicions - s->late.suspicions;
}

static void print(const struct scenario *sc, const struct figures_options *o,
                  struct totals *t)
{
    struct rusage use;
    double cpu;

    getrusage(RUSAGE_SELF, &use);
    cpu = (double)use.ru_utime.tv_sec + (double)use.ru_utime.tv_usec / 1e6;
    qsort(t->values, t->n, sizeof(t->values[0]), by_value);
    qsort(t->firsts, t->n, sizeof(t->firsts[0]), by_value);
    printf("%s (%s): %zu nodes, %zu seeds\n", sc->name, sc->what, o->n, t->n);
    if (t->values[t->n - 1])
        printf("  median %.2f s, 99 %% %.2f s, longest %.2f s\n",
               seconds(t->values[t->n / 2]), seconds(t->values[t->n * 99 / 100]),
               seconds(t->values[t->n - 1]));
    if (t->firsts[t->n - 1])
        printf("  first suspected after: median %.2f s\n",
               seconds(t->firsts[t->n / 2]));
    printf("  %" PRIu64 " false deaths, %" PRIu64 " suspicions", t->stats.false_deaths,
           t->stats.suspicions);
    if (t->early_suspicions)
        printf(" (%" PRIu64 " in the first half, %" PRIu64 " in the second)",
               t->early_suspicions, t->late_suspicions);
    printf("\n  %" PRIu64 " events, %.0f a second of CPU, %.1f s, %ld MiB at most\n",
           t->stats.events, (double)t->stats.events / (cpu > 0 ? cpu : 1), cpu,
           use.ru_maxrss >> 10);
}

static int live_all(const struct scenario *sc, const struct figures_options *o)
{
    size_t n = o->to - o->from;
    CLEANUP(freep) time_us *values = calloc(2 * n, sizeof(*values));
    struct totals t = { .values = values };

    if (!values)
        return EXIT_FAILURE;
    t.firsts = values + n;
    for (uint64_t seed = o->from; seed < o->to; seed++) {
        struct sample s = { .value = 0 };

        if (!live(sc, o, seed, &s)) {
            print_replay(sc, o, seed, s.violation);
            return EXIT_FAILURE;
        }
        add(&t, &s);
    }
    print(sc, o, &t);
    return EXIT_SUCCESS;
}

/* ---- options ---- */

static int usage_error(void)
{
    fputs("usage: mesh-sim gossip SCENARIO [options]\n", stderr);
    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
        fprintf(stderr, "  %-8s %s\n", scenarios[i].name, scenarios[i].what);
    fputs("  --nodes N, --seeds A:B, --seed N, --seconds N, --crashes N\n"
          "  --loss N      of segments, in 10,000\n"
          "  --stalling N  of nodes, in 10,000: 30 % of the time, up to 2 s each\n"
          "  --one-way N   of directions between two nodes, in 10,000: they carry "
          "nothing\n",
          stderr);
    return 2;
}

static bool parse_number(const char *text, uint64_t *ret)
{
    char *end;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && !errno && *ret < UINT32_MAX;
}

static bool parse_seeds(char *text, struct figures_options *o)
{
    char *colon = strchr(text, ':');

    if (!colon)
        return false;
    *colon = '\0';
    return parse_number(text, &o->from) && parse_number(colon + 1, &o->to)
           && o->from < o->to;
}

static bool take_option(int c, char *text, struct figures_options *o)
{
    uint64_t number;

    if (c == 'S')
        return parse_seeds(text, o);
    if (!parse_number(text, &number))
        return false;
    switch (c) {
    case 's':
        o->from = number;
        o->to = number + 1;
        return true;
    case 'n':
        o->n = number;
        return number >= 2 && number <= 100000;
    case 't':
        o->seconds = number;
        return number > 0;
    case 'c':
        o->crashes = number;
        return true;
    case 'l':
        o->loss = (uint32_t)number;
        return number <= 10000;
    case 'p':
        o->stalling = (uint32_t)number;
        return number <= 10000;
    case 'w':
        o->one_way = (uint32_t)number;
        return number <= 10000;
    default:
        return false;
    }
}

int gossip_figures(int argc, char **argv)
{
    static const struct option options[] = {
        { "seeds", required_argument, NULL, 'S' },
        { "seed", required_argument, NULL, 's' },
        { "nodes", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 't' },
        { "crashes", required_argument, NULL, 'c' },
        { "loss", required_argument, NULL, 'l' },
        { "stalling", required_argument, NULL, 'p' },
        { "one-way", required_argument, NULL, 'w' },
        { NULL, 0, NULL, 0 },
    };
    const struct scenario *sc = NULL;
    struct figures_options o;
    int c;

    for (size_t i = 0; i < ARRAY_SIZE(scenarios); i++)
        if (argc > 0 && strcmp(argv[0], scenarios[i].name) == 0)
            sc = &scenarios[i];
    if (!sc)
        return usage_error();
    o = sc->usual;
    o.to = 10;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take_option(c, optarg, &o))
            return usage_error();
    return optind == argc && o.crashes < o.n ? live_all(sc, &o) : usage_error();
}
