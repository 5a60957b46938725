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
#include "simulations/shrink.h"

static const char usage_text[] =
    "usage: mesh-sim cluster --seed N [--messages | --shrink] |\n"
    "                        --seeds A:B [--keep-going] | --corpus FILE\n"
    "  --seed N        live through one seed and show what happens\n"
    "  --messages      show every frame too\n"
    "  --shrink        if it violates a rule: leave out what is not needed for that\n"
    "  --seeds A:B     live through A .. B-1, stop at a violation\n"
    "  --keep-going    do not stop\n"
    "  --corpus FILE   live through the seeds that its lines name, by these options\n"
    "  --nodes N       so many (5)\n"
    "  --faults LIST   draw among these only: names, all, none\n"
    "  --users LIST    only these submit a run, of those that the seed draws: 0,2\n"
    "  --strikes LIST  only these strike: numbers, none\n"
    "  --steps N       flows of no more steps\n"
    "  --vary N        other chances of what is left\n"
    "  --no-clients    nobody asks the mesh group\n";

struct cluster_options {
    struct seeds seeds;
    struct cluster_config config;
    const char *corpus;
    bool is_stubborn, is_shrunk;
};

static bool take_number(const char *text, uint64_t least, uint64_t most, unsigned *ret)
{
    uint64_t n;

    if (!seeds_number(text, &n) || n < least || n > most)
        return false;
    *ret = (unsigned)n;
    return true;
}

/* "1,4": all but these are left out. */
static bool take_list(const char *text, bool *left_out, uint64_t n)
{
    CLEANUP(freep) char *copy = strdup(text);
    char *rest = copy, *word;

    for (uint64_t i = 0; i < n; i++)
        left_out[i] = true;
    while (copy && strcmp(text, "none") != 0 && (word = strsep(&rest, ","))) {
        unsigned i;

        if (!take_number(word, 0, n - 1, &i))
            return false;
        left_out[i] = false;
    }
    return copy;
}

static bool take(int option, const char *text, struct cluster_options *o)
{
    struct cluster_config *c = &o->config;

    switch (option) {
    case 's':
    case 'r':
        return seeds_parse(text, option == 's', &o->seeds);
    case 'n':
        return take_number(text, 2, CLUSTER_NODES_MAX, &c->n_nodes);
    case 'f':
        return cluster_faults_parse(text, &c->faults) == 0;
    case 'u':
        return take_list(text, c->has_no_user, CLUSTER_USERS_MAX);
    case 't':
        return take_list(text, c->has_no_strike, CLUSTER_STRIKES_MAX);
    case 'e':
        return take_number(text, 1, UINT32_MAX, &c->steps_max);
    case 'v':
        return seeds_number(text, &c->vary);
    case 'o':
        o->corpus = text;
        return true;
    default:
        c->is_verbose = c->is_verbose || option == 'm';
        c->has_no_clients = c->has_no_clients || option == 'c';
        o->is_shrunk = o->is_shrunk || option == 'i';
        o->is_stubborn = o->is_stubborn || option == 'k';
        return option != '?';
    }
}

static bool parse(int argc, char **argv, struct cluster_options *o)
{
    static const struct option options[] = {
        { "seed", required_argument, NULL, 's' },
        { "seeds", required_argument, NULL, 'r' },
        { "nodes", required_argument, NULL, 'n' },
        { "faults", required_argument, NULL, 'f' },
        { "users", required_argument, NULL, 'u' },
        { "strikes", required_argument, NULL, 't' },
        { "steps", required_argument, NULL, 'e' },
        { "vary", required_argument, NULL, 'v' },
        { "corpus", required_argument, NULL, 'o' },
        { "messages", no_argument, NULL, 'm' },
        { "shrink", no_argument, NULL, 'i' },
        { "no-clients", no_argument, NULL, 'c' },
        { "keep-going", no_argument, NULL, 'k' },
        { NULL, 0, NULL, 0 },
    };
    bool is_good = true;
    int c;

    optind = 1;
    while (is_good && (c = getopt_long(argc, argv, "", options, NULL)) != -1)
        is_good = take(c, optarg, o);
    return is_good && optind == argc && (o->corpus || o->seeds.from < o->seeds.to);
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

/* ---- what to type to see it again ---- */

static void print_faults(const struct cluster_config *c)
{
    const char *before = " --faults ";

    if (c->faults == CLUSTER_FAULTS_ALL)
        return;
    if (!c->faults)
        printf("%snone", before);
    for (unsigned f = 1; f <= CLUSTER_DEATHS; f <<= 1)
        if (c->faults & f) {
            printf("%s%s", before, cluster_fault_name((enum cluster_fault)f));
            before = ",";
        }
}

static void print_list(const char *option, const bool *left_out, unsigned n)
{
    const char *before = "";
    unsigned n_left = 0;

    for (unsigned i = 0; i < n; i++)
        n_left += !left_out[i];
    if (n_left == n)
        return;
    printf(" %s %s", option, n_left ? "" : "none");
    for (unsigned i = 0; i < n; i++)
        if (!left_out[i]) {
            printf("%s%u", before, i);
            before = ",";
        }
}

static void print_replay(const struct cluster_config *c, const char *violation)
{
    printf("seed %" PRIu64 ": %s\nreplay: mesh-sim cluster --seed %" PRIu64
           " --nodes %u",
           c->seed, violation, c->seed, c->n_nodes);
    print_faults(c);
    print_list("--users", c->has_no_user, CLUSTER_USERS_MAX);
    print_list("--strikes", c->has_no_strike, CLUSTER_STRIKES_MAX);
    if (c->steps_max)
        printf(" --steps %u", c->steps_max);
    if (c->vary)
        printf(" --vary %" PRIu64, c->vary);
    if (c->has_no_clients)
        printf(" --no-clients");
    putchar('\n');
}

/* ---- a seed ---- */

/* One in some is lived through twice: it must be the same history. */
static int live(const struct cluster_config *config, struct cluster_result *total)
{
    CLEANUP(cluster_result_release) struct cluster_result r;
    int error = cluster_run(config, &r);
    uint64_t hash = r.hash;

    if (error < 0)
        return error;
    fputs(buffer_text(&r.trace), stdout);
    add(total, &r);
    if (*r.violation) {
        print_replay(config, r.violation);
        return -EPROTO;
    }
    if (config->seed % 16 || config->is_traced)
        return 0;
    cluster_result_release(&r);
    error = cluster_run(config, &r);
    if (error == 0 && hash != r.hash) {
        print_replay(config, "replay: the same seed gave another history");
        return -EPROTO;
    }
    return error;
}

/* Shows the smallest that is found. */
static int live_small(const struct cluster_config *config, struct cluster_result *total)
{
    struct cluster_config c = *config;
    char rule[ERROR_TEXT_MAX];
    struct cluster_result r;
    uint64_t lives;
    int error;

    c.is_traced = false;
    error = cluster_run(&c, &r);
    (void)snprintf(rule, sizeof(rule), "%.*s", (int)strcspn(r.violation, ":"),
                   r.violation);
    cluster_result_release(&r);
    c.is_traced = true;
    if (error == 0 && *rule)
        error = shrink(&c, rule, &lives);
    if (error < 0)
        return error;
    error = live(&c, total);
    if (*rule)
        printf("the smallest of %" PRIu64 " histories\n", lives);
    return error;
}

static int live_all(const struct cluster_options *o, struct cluster_result *total,
                    uint64_t *n_bad)
{
    int r = 0;

    for (uint64_t seed = o->seeds.from; seed < o->seeds.to; seed++) {
        struct cluster_config c = o->config;

        c.seed = seed;
        c.is_traced = o->seeds.is_one && !o->corpus;
        r = o->is_shrunk ? live_small(&c, total) : live(&c, total);
        *n_bad += r < 0;
        if (r < 0 && (r != -EPROTO || !o->is_stubborn))
            break;
    }
    return r;
}

/* ---- seeds that failed once ---- */

enum { WORDS_MAX = 32 };

/* A line is the options of one seed, then what it found, behind a '#'. */
static int live_line(char *line, const char *path, struct cluster_result *total,
                     uint64_t *n_bad)
{
    struct cluster_options o = {
        .config = { .n_nodes = 5, .faults = CLUSTER_FAULTS_ALL }, .corpus = path
    };
    char *words[WORDS_MAX + 1] = { (char[]){ "corpus" } }, *word;
    int n = 1;

    line[strcspn(line, "#\n")] = '\0';
    while ((word = strsep(&line, " ")) && n < WORDS_MAX)
        if (*word)
            words[n++] = word;
    if (n == 1)
        return 0;
    if (!parse(n, words, &o) || !o.seeds.is_one || o.corpus != path)
        return -EINVAL;
    return live_all(&o, total, n_bad);
}

static int live_corpus(const char *path, struct cluster_result *total, uint64_t *n_bad)
{
    CLEANUP(freep) char *line = NULL;
    FILE *f = fopen(path, "re");
    size_t cap = 0;
    int r = f ? 0 : -errno;

    while (r == 0 && getline(&line, &cap, f) >= 0)
        r = live_line(line, path, total, n_bad);
    if (f)
        (void)fclose(f);
    return r;
}

int cluster_main(int argc, char **argv)
{
    struct cluster_options o = { .config = { .n_nodes = 5,
                                             .faults = CLUSTER_FAULTS_ALL } };
    struct cluster_result total = { .n_events = 0 };
    uint64_t n_bad = 0;
    int r;

    if (!parse(argc, argv, &o)) {
        fputs(usage_text, stderr);
        return 2;
    }
    r = o.corpus ? live_corpus(o.corpus, &total, &n_bad) : live_all(&o, &total, &n_bad);
    if (r < 0 && r != -EPROTO)
        fprintf(stderr, "%s\n", strerror(-r));
    fprintf(stderr,
            "%" PRIu64 " runs, %" PRIu64 " events, %" PRIu64 " frames, %" PRIu64
            " crashes, %" PRIu64 " starts, %.0f s of virtual time, %" PRIu64
            " violations\n",
            total.n_runs, total.n_events, total.n_frames, total.n_crashes,
            total.n_starts, (double)total.virtual_us / 1e6, n_bad);
    return n_bad || r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
