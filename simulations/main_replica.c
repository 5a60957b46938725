/* SPDX-License-Identifier: Apache-2.0 */
/* mesh-sim replica - lives through seeds of the homes of one group. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/main.h"
#include "simulations/replica_world.h"
#include "simulations/seeds.h"

static const char usage_text[] =
    "usage: mesh-sim replica --seed N [--messages] | --seeds A:B\n"
    "  --seed N     live through one seed and show what happens\n"
    "  --messages   show every message too\n"
    "  --seeds A:B  live through A .. B-1, stop at a violation\n";

struct replica_options {
    struct seeds seeds;
    bool has_messages;
};

static bool parse(int argc, char **argv, struct replica_options *o)
{
    static const struct option options[] = { { "seed", required_argument, NULL, 's' },
                                             { "seeds", required_argument, NULL, 'r' },
                                             { "messages", no_argument, NULL, 'm' },
                                             { NULL, 0, NULL, 0 } };
    bool is_good = true;
    int c;

    while (is_good && (c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'm')
            o->has_messages = true;
        else if (c == 's' || c == 'r')
            is_good = seeds_parse(optarg, c == 's', &o->seeds);
        else
            is_good = false;
    }
    return is_good && optind == argc && o->seeds.from < o->seeds.to;
}

static void add(struct replica_world_result *total,
                const struct replica_world_result *r)
{
    total->n_events += r->n_events;
    total->n_crashes += r->n_crashes;
    total->n_decided += r->n_decided;
    total->n_leads += r->n_leads;
    total->n_generations += r->n_generations;
    total->n_installs += r->n_installs;
}

/* The same seed twice must be the same history. */
static int live(uint64_t seed, const struct replica_options *o,
                struct replica_world_result *total)
{
    struct replica_world_config config = { .seed = seed,
                                           .is_traced = o->seeds.is_one,
                                           .is_verbose = o->has_messages };
    CLEANUP(replica_world_result_release) struct replica_world_result r;
    struct replica_world_result again;
    int error = replica_world_run(&config, &r);

    if (error < 0) {
        fprintf(stderr, "seed %" PRIu64 ": %s\n", seed, strerror(-error));
        return error;
    }
    fputs(buffer_text(&r.trace), stdout);
    add(total, &r);
    if (*r.violation) {
        printf("seed %" PRIu64 ": %s\nreplay: mesh-sim replica --seed %" PRIu64 "\n",
               seed, r.violation, seed);
        return -EPROTO;
    }
    if (seed % 64 || o->seeds.is_one)
        return 0;
    error = replica_world_run(&config, &again);
    if (error == 0 && again.hash != r.hash) {
        printf("seed %" PRIu64 ": replay: the same seed gave another history\n", seed);
        error = -EPROTO;
    }
    replica_world_result_release(&again);
    return error;
}

int replica_main(int argc, char **argv)
{
    struct replica_options o = { .has_messages = false };
    struct replica_world_result total = { .n_events = 0 };
    int r = 0;

    if (!parse(argc, argv, &o)) {
        fputs(usage_text, stderr);
        return 2;
    }
    for (uint64_t seed = o.seeds.from; seed < o.seeds.to && r == 0; seed++)
        r = live(seed, &o, &total);
    fprintf(stderr,
            "%" PRIu64 " events, %" PRIu64 " crashes, %" PRIu64 " decided, %" PRIu64
            " led, %" PRIu64 " generations, %" PRIu64 " installed\n",
            total.n_events, total.n_crashes, total.n_decided, total.n_leads,
            total.n_generations, total.n_installs);
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
