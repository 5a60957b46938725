/* SPDX-License-Identifier: Apache-2.0 */
/* mesh-sim cluster - lives through seeds of several nodes. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/cluster.h"
#include "simulations/main.h"
#include "simulations/seeds.h"

static const char usage_text[] =
    "usage: mesh-sim cluster --seed N [--messages] | --seeds A:B [--keep-going]\n"
    "  --seed N       live through one seed and show what happens\n"
    "  --messages     show every frame too\n"
    "  --seeds A:B    live through A .. B-1, stop at a violation\n"
    "  --keep-going   do not stop\n"
    "  --nodes N      so many (5)\n"
    "  --faults LIST  draw among these only: names, all, none\n";

struct cluster_options {
    struct seeds seeds;
    uint64_t n_nodes;
    unsigned faults;
    bool has_messages, is_stubborn;
};

static bool take(int option, const char *text, struct cluster_options *o)
{
    switch (option) {
    case 's':
    case 'r':
        return seeds_parse(text, option == 's', &o->seeds);
    case 'n':
        return seeds_number(text, &o->n_nodes) && o->n_nodes >= 2
               && o->n_nodes <= CLUSTER_NODES_MAX;
    case 'f':
        return cluster_faults_parse(text, &o->faults) == 0;
    case 'm':
        o->has_messages = true;
        return true;
    case 'k':
        o->is_stubborn = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct cluster_options *o)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },
        { "seeds", required_argument, NULL, 'r' },
        { "nodes", required_argument, NULL, 'n' },
        { "faults", required_argument, NULL, 'f' },
        { "messages", no_argument, NULL, 'm' },
        { "keep-going", no_argument, NULL, 'k' },
        { NULL, 0, NULL, 0 },
    };
    bool is_good = true;
    int c;

    while (is_good && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
        is_good = take(c, optarg, o);
    return is_good && optind == argc && o->seeds.from < o->seeds.to;
}

static void add(struct cluster_result *total, const struct cluster_result *r)
{
    total->n_events += r->n_events;
    total->n_frames += r->n_frames;
    total->n_crashes += r->n_crashes;
    total->n_runs += r->n_runs;
    total->n_starts += r->n_starts;
    total->n_told += r->n_told;
    total->virtual_us += r->virtual_us;
}

static void print_replay(const struct cluster_config *c, const char *violation)
{
    printf("seed %" PRIu64 ": %s\nreplay: mesh-sim cluster --seed %" PRIu64
           " --nodes %u",
           c->seed, violation, c->seed, c->n_nodes);
    if (c->faults != CLUSTER_FAULTS_ALL) {
        const char *before = " --faults ";

        for (unsigned f = 1; f <= CLUSTER_ROT; f <<= 1)
            if (c->faults & f) {
                printf("%s%s", before, cluster_fault_name((enum cluster_fault)f));
                before = ",";
            }
        if (!c->faults)
            printf("%snone", before);
    }
    putchar('\n');
}

/* One in some is lived through twice: it must be the same history. */
static int live(uint64_t seed, const struct cluster_options *o,
                struct cluster_result *total)
{
    struct cluster_config config = { .seed = seed,
                                     .n_nodes = (unsigned)o->n_nodes,
                                     .faults = o->faults,
                                     .is_traced = o->seeds.is_one,
                                     .is_verbose = o->has_messages };
    CLEANUP(cluster_result_release) struct cluster_result r;
    int error = cluster_run(&config, &r);
    uint64_t hash = r.hash;

    if (error < 0)
        return error;
    fputs(buffer_text(&r.trace), stdout);
    add(total, &r);
    if (*r.violation) {
        print_replay(&config, r.violation);
        return -EPROTO;
    }
    if (seed % 16 || o->seeds.is_one)
        return 0;
    cluster_result_release(&r);
    error = cluster_run(&config, &r);
    if (error == 0 && hash != r.hash) {
        print_replay(&config, "replay: the same seed gave another history");
        return -EPROTO;
    }
    return error;
}

int cluster_main(int argc, char **argv)
{
    struct cluster_options o = { .n_nodes = 5, .faults = CLUSTER_FAULTS_ALL };
    struct cluster_result total = { .n_events = 0 };
    uint64_t n_bad = 0;
    int r = 0;

    if (!parse(argc, argv, &o)) {
        fputs(usage_text, stderr);
        return 2;
    }
    for (uint64_t seed = o.seeds.from; seed < o.seeds.to; seed++) {
        r = live(seed, &o, &total);
        n_bad += r < 0;
        if (r < 0 && (r != -EPROTO || !o.is_stubborn))
            break;
    }
    if (r < 0 && r != -EPROTO)
        fprintf(stderr, "%s\n", strerror(-r));
    fprintf(stderr,
            "%" PRIu64 " runs, %" PRIu64 " events, %" PRIu64 " frames, %" PRIu64
            " crashes, %" PRIu64 " starts, %.0f s of virtual time, %" PRIu64
            " violations\n",
            total.n_runs, total.n_events, total.n_frames, total.n_crashes,
            total.n_starts, (double)total.virtual_us / 1e6, n_bad);
    return n_bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
