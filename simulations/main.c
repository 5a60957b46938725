/* SPDX-License-Identifier: Apache-2.0 */
/* mesh-sim - lives through seeds, or shows one.
 *
 *     mesh-sim --seed 42                 what happens in seed 42, line by line
 *     mesh-sim --seeds 0:500             quietly; stops at the first violation
 *     mesh-sim --crash-everywhere --seeds 0:20
 *     mesh-sim gossip crash --nodes 1000 --seeds 0:20      membership alone
 *     mesh-sim replica --seeds 0:500     the homes of one group
 *     mesh-sim --seeds 0:500 --nodes 5   several nodes; also: mesh-sim cluster
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/gossip_figures.h"
#include "simulations/main.h"
#include "simulations/seeds.h"
#include "simulations/world.h"

struct options {
    struct seeds seeds;
    uint64_t crash_after;
    unsigned faults;
    bool is_everywhere, is_json;
};

struct totals {
    uint64_t n_worlds, n_events, n_crashes, n_runs, n_starts, n_checks;
    double virtual_s;
};

static const char usage_text[] =
    "usage: mesh-sim [replica | cluster] --seed N [--crash-after K] | --seeds A:B\n"
    "       mesh-sim gossip SCENARIO [options]\n"
    "  replica             not a node and its runs, but the homes of one group\n"
    "  cluster             several nodes and their runs; both have options of their "
    "own\n"
    "  --seed N            live through one seed and show what happens\n"
    "  --seeds A:B         live through A .. B-1, each twice; stop at a violation\n"
    "  --crash-everywhere  of each seed: crash after every single event\n"
    "  --crash-after K     crash once, after event K\n"
    "  --faults LIST       draw among these only: names, all, none\n"
    "  --json              a line of JSON for each world\n";

static void print_replay(const struct options *o, const struct world_config *c)
{
    CLEANUP(buffer_release) struct buffer faults = BUFFER_INIT;

    printf("replay: mesh-sim --seed %" PRIu64, c->seed);
    if (c->crash_after)
        printf(" --crash-after %" PRIu64, c->crash_after);
    if (o->faults != FAULTS_ALL && faults_text(o->faults, &faults) == 0)
        printf(" --faults %s", faults.len ? faults.data : "none");
    putchar('\n');
}

static void print_json(const struct world_config *c, const struct world_result *r)
{
    CLEANUP(buffer_release) struct buffer faults = BUFFER_INIT;

    if (faults_text(r->faults, &faults) < 0)
        return;
    printf("{\"seed\": %" PRIu64 ", \"crash_after\": %" PRIu64 ", \"events\": %" PRIu64
           ", \"crashes\": %" PRIu64 ", \"runs\": %" PRIu64 ", \"starts\": %" PRIu64
           ", \"checks\": %" PRIu64 ", \"virtual_us\": %" PRIu64
           ", \"hash\": \"%016" PRIx64 "\", \"faults\": \"%s\", \"violation\": ",
           c->seed, c->crash_after, r->n_events, r->n_crashes, r->n_runs, r->n_starts,
           r->n_checks, r->virtual_us, r->hash, buffer_text(&faults));
    if (*r->violation)
        printf("\"%s\"}\n", r->violation);
    else
        printf("null}\n");
}

static void add(struct totals *t, const struct world_result *r)
{
    t->n_worlds++;
    t->n_events += r->n_events;
    t->n_crashes += r->n_crashes;
    t->n_runs += r->n_runs;
    t->n_starts += r->n_starts;
    t->n_checks += r->n_checks;
    t->virtual_s += (double)r->virtual_us / 1e6;
}

static int live(const struct options *o, const struct world_config *c,
                struct totals *totals, uint64_t *ret_events, uint64_t *ret_hash)
{
    CLEANUP(world_result_release) struct world_result r;
    int error = world_run(c, &r);

    if (error < 0) {
        fprintf(stderr, "seed %" PRIu64 ": %s\n", c->seed, strerror(-error));
        return error;
    }
    add(totals, &r);
    if (c->is_traced)
        fputs(buffer_text(&r.trace), stdout);
    if (o->is_json)
        print_json(c, &r);
    *ret_events = r.n_events;
    *ret_hash = r.hash;
    if (!*r.violation)
        return 0;
    printf("seed %" PRIu64 ": %s\n", c->seed, r.violation);
    print_replay(o, c);
    return -EPROTO;
}

/* The same seed twice must be the same history. */
static int live_twice(const struct options *o, const struct world_config *c,
                      struct totals *totals, uint64_t *ret_events)
{
    struct options quiet = *o;
    uint64_t first, second;
    int r = live(o, c, totals, ret_events, &first);

    quiet.is_json = false;
    if (r == 0)
        r = live(&quiet, c, totals, ret_events, &second);
    if (r == 0 && first != second) {
        printf("seed %" PRIu64 ": replay: the same seed gave another history\n",
               c->seed);
        print_replay(o, c);
        return -EPROTO;
    }
    return r;
}

static int live_everywhere(const struct options *o, struct world_config c,
                           struct totals *totals)
{
    uint64_t n_events, ignored, hash;
    int r;

    c.faults &= ~(unsigned)FAULT_CRASH;
    r = live(o, &c, totals, &n_events, &hash);
    for (uint64_t k = 1; r == 0 && k <= n_events; k++) {
        c.crash_after = k;
        r = live(o, &c, totals, &ignored, &hash);
    }
    return r;
}

static int live_all(const struct options *o)
{
    struct totals t = { .n_worlds = 0 };
    uint64_t n_events, hash;
    int r = 0;

    for (uint64_t seed = o->seeds.from; seed < o->seeds.to && r == 0; seed++) {
        struct world_config c = { .seed = seed,
                                  .faults = o->faults,
                                  .crash_after = o->crash_after,
                                  .is_traced = o->seeds.is_one && !o->is_json
                                               && !o->is_everywhere };

        if (o->is_everywhere)
            r = live_everywhere(o, c, &t);
        else if (o->seeds.is_one)
            r = live(o, &c, &t, &n_events, &hash);
        else
            r = live_twice(o, &c, &t, &n_events);
    }
    fprintf(stderr,
            "%" PRIu64 " worlds, %" PRIu64 " runs, %" PRIu64 " events, %" PRIu64
            " crashes, %" PRIu64 " starts, %" PRIu64
            " checks, %.0f s of virtual time\n",
            t.n_worlds, t.n_runs, t.n_events, t.n_crashes, t.n_starts, t.n_checks,
            t.virtual_s);
    return r;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },
        { "seeds", required_argument, NULL, 'r' },
        { "crash-everywhere", no_argument, NULL, 'e' },
        { "crash-after", required_argument, NULL, 'a' },
        { "faults", required_argument, NULL, 'f' },
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    bool is_good = true;
    int c;

    while (is_good && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
        case 'r':
            is_good = seeds_parse(optarg, c == 's', &o->seeds);
            break;
        case 'e':
            o->is_everywhere = true;
            break;
        case 'a':
            is_good = seeds_number(optarg, &o->crash_after);
            break;
        case 'f':
            is_good = faults_parse(optarg, &o->faults) == 0;
            break;
        case 'j':
            o->is_json = true;
            break;
        default:
            is_good = false;
            break;
        }
    }
    return is_good && optind == argc && o->seeds.from < o->seeds.to;
}

/* Several nodes are a cluster, whether it is said or not. */
static bool has_nodes(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--nodes", strlen("--nodes")) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct options o = { .faults = FAULTS_ALL };

    if (argc > 1 && strcmp(argv[1], "gossip") == 0)
        return gossip_figures(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "replica") == 0)
        return replica_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "cluster") == 0)
        return cluster_main(argc - 1, argv + 1);
    if (has_nodes(argc, argv))
        return cluster_main(argc, argv);
    if (!parse(argc, argv, &o)) {
        fputs(usage_text, stderr);
        return 2;
    }
    return live_all(&o) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
