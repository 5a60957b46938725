/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/flows.h"

#include <stdint.h>
#include <string.h>

enum {
    NONE = UINT32_MAX,
    /* A foreach adds its join, and `end` comes last. */
    STEPS_ALL = 2 * FLOWS_STEPS_MAX + 4,
    PREDECESSORS_MAX = STEPS_ALL,
    DEPTH_MAX = 3,
};

enum feature {
    FEATURE_FOREACH = 1 << 0,
    FEATURE_SWITCH = 1 << 1,
    FEATURE_RECURSION = 1 << 2,
    FEATURE_DOWN = 1 << 3, /* a step waits for one of an enclosing scope */
    FEATURE_RETRY = 1 << 4,
    FEATURE_TIMEOUT = 1 << 5,
    FEATURE_CATCH = 1 << 6,
    FEATURE_CONCURRENCY = 1 << 7,
    FEATURE_RESOURCES = 1 << 8,
    FEATURE_PRIORITY = 1 << 9,
    FEATURE_MAX_WORKERS = 1 << 10,
    FEATURE_RUN_TIMEOUT = 1 << 11,
    FEATURE_HOOKS = 1 << 12,
    FEATURE_EXCLUSIVE = 1 << 13,
    FEATURES_ALL = (1 << 14) - 1,
};

struct sketch_step {
    uint32_t predecessors[PREDECESSORS_MAX], n_predecessors;
    uint32_t joins; /* the opener, or NONE */
    bool is_opener, is_switch;
};

struct sketch {
    struct prng *prng;
    unsigned features;
    bool is_needs;
    uint32_t n_wanted;
    struct sketch_step steps[STEPS_ALL];
    uint32_t n;
};

/* The steps of a scope that later ones may wait for. */
struct exits {
    uint32_t steps[STEPS_ALL], n;
    const struct exits *enclosing;
};

static bool chance(struct sketch *k, uint64_t in)
{
    return prng_below(k->prng, in) == 0;
}

static bool has(struct sketch *k, enum feature f, uint64_t in)
{
    return k->features & f && chance(k, in);
}

static uint32_t add_step(struct sketch *k, uint32_t joins)
{
    k->steps[k->n] = (struct sketch_step){ .joins = joins };
    return k->n++;
}

static void wait_for(struct sketch *k, uint32_t step, uint32_t predecessor)
{
    struct sketch_step *s = &k->steps[step];

    for (uint32_t i = 0; i < s->n_predecessors; i++)
        if (s->predecessors[i] == predecessor)
            return;
    s->predecessors[s->n_predecessors++] = predecessor;
}

static bool has_successor(const struct sketch *k, uint32_t step)
{
    for (uint32_t s = 0; s < k->n; s++)
        for (uint32_t i = 0; i < k->steps[s].n_predecessors; i++)
            if (k->steps[s].predecessors[i] == step)
                return true;
    return false;
}

/* With `next` one step is the start of the flow, and one of each scope. */
static void choose_predecessors(struct sketch *k, uint32_t step, uint32_t opener,
                                const struct exits *exits)
{
    uint64_t n = 1 + prng_below(k->prng, 3);

    if (!exits->n || (k->is_needs && chance(k, 4))) {
        if (opener != NONE)
            wait_for(k, step, opener);
        return;
    }
    for (uint64_t i = 0; i < n; i++)
        wait_for(k, step,
                 chance(k, 2) ? exits->steps[exits->n - 1]
                              : exits->steps[prng_below(k->prng, exits->n)]);
}

static void wait_for_enclosing(struct sketch *k, uint32_t step,
                               const struct exits *enclosing)
{
    for (; k->is_needs && enclosing; enclosing = enclosing->enclosing) {
        uint32_t from;

        if (!enclosing->n || !has(k, FEATURE_DOWN, 4))
            continue;
        from = enclosing->steps[prng_below(k->prng, enclosing->n)];
        if (!k->steps[from].is_switch)
            wait_for(k, step, from);
    }
}

static void grow(struct sketch *k, unsigned depth, uint32_t opener,
                 const struct exits *enclosing);

/* Everything of the newest scope that nothing waits for yet is waited for by `step`. */
static void close_scope(struct sketch *k, uint32_t from, uint32_t step)
{
    for (uint32_t s = from; s < step; s++)
        if (!has_successor(k, s))
            wait_for(k, step, s);
}

static uint32_t open_scope(struct sketch *k, unsigned depth, uint32_t opener,
                           const struct exits *exits)
{
    uint32_t first = k->n, join;

    k->steps[opener].is_opener = true;
    grow(k, depth + 1, opener, exits);
    join = add_step(k, opener);
    close_scope(k, first, join);
    return join;
}

static void grow(struct sketch *k, unsigned depth, uint32_t opener,
                 const struct exits *enclosing)
{
    struct exits exits = { .enclosing = enclosing };
    uint64_t units = depth ? 1 + prng_below(k->prng, 3) : FLOWS_STEPS_MAX;

    for (uint64_t i = 0; i < units && (i == 0 || k->n < k->n_wanted); i++) {
        uint32_t step = add_step(k, NONE);

        choose_predecessors(k, step, opener, &exits);
        wait_for_enclosing(k, step, enclosing);
        while (depth < DEPTH_MAX && k->n < k->n_wanted && has(k, FEATURE_FOREACH, 3))
            step = open_scope(k, depth, step, &exits);
        k->steps[step].is_switch = has(k, FEATURE_SWITCH, 3);
        exits.steps[exits.n++] = step;
    }
}

static bool says_needs(const struct sketch *k)
{
    for (uint32_t s = 0; s < k->n; s++)
        for (uint32_t i = 0; i < k->steps[s].n_predecessors; i++)
            if (!k->steps[k->steps[s].predecessors[i]].is_switch)
                return true;
    return false;
}

static void finish(struct sketch *k)
{
    uint32_t n_sinks = 0, end;

    /* Without a single `needs` it would be read as a flow with `next`. */
    if (k->is_needs && !says_needs(k)) {
        k->steps[0].is_switch = false;
        wait_for(k, 1, 0);
    }

    for (uint32_t s = 0; s < k->n; s++)
        n_sinks += !has_successor(k, s);
    if (!k->is_needs && n_sinks > 1) {
        end = add_step(k, NONE);
        close_scope(k, 0, end);
    }
    for (uint32_t s = 0; s < k->n; s++)
        if (!has_successor(k, s))
            k->steps[s].is_switch = false;
}

static const char *duration(struct sketch *k)
{
    static const char *const durations[] = { "0", "1s", "10s", "1m" };

    return durations[prng_below(k->prng, 4)];
}

static void write_foreach(struct sketch *k, struct buffer *out)
{
    uint64_t width = prng_below(k->prng, FLOWS_WIDTH_MAX + 1);

    switch (prng_below(k->prng, 4)) {
    case 0:
        buffer_printf(out, ", foreach: {range: %u}", (unsigned)width);
        break;
    case 1:
        buffer_puts(out, ", foreach: {items: [");
        for (uint64_t i = 0; i < width; i++)
            buffer_printf(out, "%s%u", i ? ", " : "", (unsigned)i);
        buffer_puts(out, "]}");
        break;
    case 2:
        buffer_puts(out, ", foreach: {matrix: {a: [1, 2], b: [x, y]}}");
        break;
    default:
        buffer_puts(out, ", foreach: things");
        break;
    }
}

static void write_switch(struct sketch *k, uint32_t step, struct buffer *out)
{
    const char *separator = "";
    uint32_t last = step;

    buffer_puts(out, ", switch: {by: verdict, cases: {");
    for (uint32_t s = 0; s < k->n; s++)
        for (uint32_t i = 0; i < k->steps[s].n_predecessors; i++)
            if (k->steps[s].predecessors[i] == step) {
                buffer_printf(out, "%sc%u: s%u", separator, s, s);
                separator = ", ";
                last = s;
            }
    if (has(k, FEATURE_RECURSION, 2))
        buffer_printf(out, ", again: s%u}, max_iterations: %u", step,
                      1 + (unsigned)prng_below(k->prng, 4));
    else
        buffer_putc(out, '}');
    if (chance(k, 3))
        buffer_printf(out, ", default: s%u", last);
    buffer_putc(out, '}');
}

static void write_needs(const struct sketch *k, const struct sketch_step *s,
                        struct buffer *out)
{
    const char *separator = ", needs: [";

    for (uint32_t i = 0; i < s->n_predecessors; i++) {
        if (k->steps[s->predecessors[i]].is_switch)
            continue;
        buffer_printf(out, "%ss%u", separator, s->predecessors[i]);
        separator = ", ";
    }
    if (*separator == ',' && separator[2] == '\0')
        buffer_putc(out, ']');
}

static void write_next(const struct sketch *k, uint32_t step, struct buffer *out)
{
    const char *separator = ", next: [";

    for (uint32_t s = 0; s < k->n; s++)
        for (uint32_t i = 0; i < k->steps[s].n_predecessors; i++)
            if (k->steps[s].predecessors[i] == step) {
                buffer_printf(out, "%ss%u", separator, s);
                separator = ", ";
            }
    if (separator[2] == '\0')
        buffer_putc(out, ']');
}

static void write_retry(struct sketch *k, struct buffer *out)
{
    buffer_printf(out, ", retry: {times: %u, delay: %s",
                  (unsigned)prng_below(k->prng, 4), duration(k));
    if (chance(k, 2))
        buffer_puts(out, ", backoff: 2");
    if (chance(k, 4))
        buffer_puts(out, ", when: [error, timeout]");
    else if (chance(k, 4))
        buffer_puts(out, ", when: [timeout, lost, oom]");
    if (chance(k, 4))
        buffer_puts(out, ", exit_codes: [1, 2]");
    if (chance(k, 3))
        buffer_printf(out, ", lost: %u", 1 + (unsigned)prng_below(k->prng, 3));
    buffer_putc(out, '}');
}

static void write_resources(struct sketch *k, struct buffer *out)
{
    static const char *const cpus[] = { "0.5", "1", "2" };
    static const char *const gpus[] = { "0.5", "1", "1.5" };

    buffer_printf(out, ", resources: {cpu: %s", cpus[prng_below(k->prng, 3)]);
    if (chance(k, 2))
        buffer_printf(out, ", memory: %u",
                      100 * (1 + (unsigned)prng_below(k->prng, 4)));
    if (chance(k, 4))
        buffer_printf(out, ", gpu: %s", gpus[prng_below(k->prng, 3)]);
    if (chance(k, 4))
        buffer_printf(out, ", custom: {licence: %u}",
                      1 + (unsigned)prng_below(k->prng, 2));
    else if (chance(k, 30))
        buffer_puts(out, ", custom: {rig: 1}"); /* no node has one */
    buffer_putc(out, '}');
}

static void write_step(struct sketch *k, uint32_t step, struct buffer *out)
{
    const struct sketch_step *s = &k->steps[step];

    buffer_printf(out, "  s%u: {run: [work]", step);
    if (k->is_needs)
        write_needs(k, s, out);
    else if (!s->is_switch)
        write_next(k, step, out);
    if (s->joins != NONE)
        buffer_printf(out, ", join: s%u", s->joins);
    if (s->is_opener)
        write_foreach(k, out);
    if (s->is_switch)
        write_switch(k, step, out);
    if (has(k, FEATURE_RETRY, 2))
        write_retry(k, out);
    if (has(k, FEATURE_TIMEOUT, 2))
        buffer_printf(out, ", timeout: %u", 5 + (unsigned)prng_below(k->prng, 30));
    if (!s->is_switch && has(k, FEATURE_CATCH, 3)) /* it would choose nothing */
        buffer_puts(out, ", catch: {var: failure}");
    if (has(k, FEATURE_CONCURRENCY, 2))
        buffer_printf(out, ", concurrency: %u", 1 + (unsigned)prng_below(k->prng, 3));
    if (has(k, FEATURE_RESOURCES, 2))
        write_resources(k, out);
    if (has(k, FEATURE_PRIORITY, 2))
        buffer_printf(out, ", priority: %u", (unsigned)prng_below(k->prng, 10));
    if (has(k, FEATURE_EXCLUSIVE, 3))
        buffer_puts(out, ", effect: exclusive");
    buffer_puts(out, "}\n");
}

static void write_limits(struct sketch *k, struct buffer *out)
{
    static const char *const modes[] = { "stop", "finish", "kill" };

    buffer_printf(out, "limits: {on_failure: %s", modes[prng_below(k->prng, 3)]);
    if (has(k, FEATURE_MAX_WORKERS, 1))
        buffer_printf(out, ", max_workers: %u", 1 + (unsigned)prng_below(k->prng, 4));
    if (has(k, FEATURE_RUN_TIMEOUT, 2))
        buffer_printf(out, ", timeout: %u", 20 + (unsigned)prng_below(k->prng, 200));
    buffer_puts(out, "}\n");
}

int flows_write(struct prng *prng, struct buffer *out)
{
    struct sketch k = { .prng = prng };

    k.features = (unsigned)prng_next(prng) & FEATURES_ALL;
    if (chance(&k, 2))
        k.features &= (unsigned)prng_next(prng) | FEATURE_FOREACH | FEATURE_SWITCH;
    k.is_needs = chance(&k, 2);
    k.n_wanted = 3 + (uint32_t)prng_below(prng, FLOWS_STEPS_MAX - 2);
    grow(&k, 0, NONE, NULL);
    finish(&k);

    buffer_puts(out, "mesh: 1\nflow: Random\n");
    write_limits(&k, out);
    if (has(&k, FEATURE_HOOKS, 1)) {
        buffer_puts(out, "on_exit:\n  success: {run: [work]}\n");
        if (chance(&k, 2))
            buffer_puts(out, "  error: {run: [work]}\n");
    }
    buffer_puts(out, "steps:\n");
    for (uint32_t s = 0; s < k.n; s++)
        write_step(&k, s, out);
    return buffer_failed(out);
}
