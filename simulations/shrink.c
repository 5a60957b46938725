/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/shrink.h"

#include <string.h>

#include "base/macros.h"

enum { VARIATIONS = 4, LIVES_MAX = 600 };

struct shrink {
    struct cluster_config best;
    const char *rule;
    uint64_t lives;
    struct cluster_result last; /* of `best`: what it drew */
    bool is_better;             /* since it was looked */
    int error;
};

static bool is_violated(const struct cluster_result *r, const char *rule)
{
    size_t len = strlen(rule);

    return strncmp(r->violation, rule, len) == 0 && r->violation[len] == ':';
}

static bool fails(struct shrink *s, const struct cluster_config *config)
{
    struct cluster_result r;
    bool is_it;

    if (s->lives == LIVES_MAX)
        return false;
    s->error = cluster_run(config, &r);
    s->lives++;
    is_it = s->error == 0 && is_violated(&r, s->rule);
    cluster_result_release(&r);
    if (!is_it)
        return false;
    s->best = *config;
    s->last = r;
    s->is_better = true;
    return true;
}

/* With its own chances first, then with others. */
static bool take(struct shrink *s, struct cluster_config *config)
{
    if (fails(s, config))
        return true;
    for (uint64_t vary = 0; vary < VARIATIONS && !s->error; vary++) {
        if (vary == s->best.vary)
            continue;
        config->vary = vary;
        if (fails(s, config))
            return true;
    }
    return false;
}

/* ---- a piece at a time ---- */

static void drop_clients(struct shrink *s)
{
    struct cluster_config c = s->best;

    c.has_no_clients = true;
    if (!s->best.has_no_clients)
        (void)take(s, &c);
}

static void drop_users(struct shrink *s)
{
    for (unsigned i = 0; i < s->last.n_users && !s->error; i++) {
        struct cluster_config c = s->best;

        c.has_no_user[i] = true;
        if (!s->best.has_no_user[i])
            (void)take(s, &c);
    }
}

/* Those that the seed drew: without the others it is the same. */
static void drop_faults(struct shrink *s)
{
    s->best.faults &= s->last.faults;
    for (unsigned f = 1; f < CLUSTER_FAULTS_ALL && !s->error; f <<= 1) {
        struct cluster_config c = s->best;

        c.faults &= ~f;
        if (s->best.faults & f)
            (void)take(s, &c);
    }
}

static bool drop_strikes_of(struct shrink *s, unsigned from, unsigned n)
{
    struct cluster_config c = s->best;
    bool is_new = false;

    for (unsigned i = from; i < from + n && i < s->last.n_strikes; i++) {
        is_new = is_new || !c.has_no_strike[i];
        c.has_no_strike[i] = true;
    }
    return is_new && take(s, &c);
}

static void drop_strikes(struct shrink *s)
{
    /* What comes behind the violation is not among them: it never struck. */
    for (unsigned i = s->last.n_strikes; i < CLUSTER_STRIKES_MAX; i++)
        s->best.has_no_strike[i] = true;
    for (unsigned n = CLUSTER_STRIKES_MAX; n && !s->error; n /= 2)
        for (unsigned from = 0; from < s->last.n_strikes && !s->error; from += n)
            (void)drop_strikes_of(s, from, n);
}

static void drop_nodes(struct shrink *s)
{
    for (unsigned n = 2; n < s->best.n_nodes && !s->error; n++) {
        struct cluster_config c = s->best;

        c.n_nodes = n;
        if (take(s, &c))
            return;
    }
}

static void drop_steps(struct shrink *s)
{
    static const unsigned sizes[] = { 1, 2, 3, 4, 6, 8 };

    for (size_t i = 0; i < ARRAY_SIZE(sizes) && !s->error; i++) {
        struct cluster_config c = s->best;

        c.steps_max = sizes[i];
        if (s->best.steps_max && s->best.steps_max <= sizes[i])
            return;
        if (take(s, &c))
            return;
    }
}

int shrink(struct cluster_config *config, const char *rule, uint64_t *ret_lives)
{
    static void (*const drops[])(struct shrink *) = {
        drop_clients, drop_users, drop_faults, drop_strikes, drop_nodes, drop_steps,
    };
    struct shrink s = { .best = *config, .rule = rule };
    struct cluster_config first = *config;

    first.is_traced = first.is_verbose = false;
    (void)fails(&s, &first);
    while (s.is_better && !s.error && s.lives < LIVES_MAX) {
        s.is_better = false;
        for (size_t i = 0; i < ARRAY_SIZE(drops) && !s.error; i++)
            drops[i](&s);
    }
    if (s.error)
        return s.error;
    s.best.is_traced = config->is_traced;
    s.best.is_verbose = config->is_verbose;
    *config = s.best;
    *ret_lives = s.lives;
    return 0;
}
