/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/usage.h"

#include <errno.h>
#include <stdlib.h>

#include "node/api/compare.h"
#include "node/api/measure.h"

#define MEMORY_MIN ((uint64_t)32 << 20) /* an interpreter needs some to start */

enum {
    LONG_ENOUGH_US = 1000000, /* below, starting a program is most of what is seen */
    HANGS_US = 10000000,      /* shorter tasks need no timeout to be found hanging */
    TIMEOUT_MIN_US = 60000000,
    CLOSE_PERCENT = 25, /* what was asked is fine if it is no further off */
};

static void release_series(struct usage_series *s)
{
    free(s->values);
    *s = (struct usage_series){ .n = 0 };
}

void usage_release(struct usage *u)
{
    release_series(&u->memory);
    release_series(&u->cpu);
    release_series(&u->time);
}

static int add(struct usage_series *s, uint64_t value)
{
    if (s->n == USAGE_SAMPLES_MAX)
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 64;
        uint64_t *values = realloc(s->values, cap * sizeof(*values));

        if (!values)
            return -ENOMEM;
        s->values = values;
        s->cap = cap;
    }
    s->values[s->n++] = value;
    return 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t kept_by(const struct attempt_record *a)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < a->n_outputs; i++)
        if (!a->outputs[i].is_inherited)
            sum += a->outputs[i].size;
    return sum;
}

int usage_add(struct usage *u, const struct attempt_record *a)
{
    time_us took =
        a->ended_wall > a->started_wall ? a->ended_wall - a->started_wall : 0;
    bool is_short = took < LONG_ENOUGH_US;
    uint64_t memory = larger(a->max_rss_bytes, a->memory_peak_bytes);
    int error = 0;

    if (attempt_is_taken_over(a)) {
        u->n_adopted++;
        return 0;
    }
    u->n++;
    u->n_short += is_short;
    u->n_oom += a->reason == REASON_OOM;
    u->n_timeout += a->reason == REASON_TIMEOUT;
    u->kept_bytes_max = larger(u->kept_bytes_max, kept_by(a));
    if (memory)
        error = add(&u->memory, memory);
    if (error == 0 && !is_short)
        error = add(&u->cpu, larger(a->cpu_us * 1000 / took, a->cpu_peak_milli));
    return error == 0 && took ? add(&u->time, took) : error;
}

static int by_value(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

struct usage_spread usage_spread(struct usage_series *s)
{
    if (s->n == 0)
        return (struct usage_spread){ .max = 0 };
    qsort(s->values, s->n, sizeof(*s->values), by_value);
    return (struct usage_spread){ .median = s->values[(s->n - 1) / 2],
                                  .p95 = s->values[(s->n * 95 + 99) / 100 - 1],
                                  .max = s->values[s->n - 1] };
}

/* ---- what to ask for ---- */

/* Not worth a change: what is asked is enough, and not much more than that. */
static bool is_close(uint64_t asked, uint64_t wanted)
{
    return asked >= wanted && asked - wanted <= wanted / 100 * CLOSE_PERCENT;
}

static uint64_t advise_memory(const struct usage *u, const struct step *step,
                              uint64_t used)
{
    uint64_t asked = step->resources.memory_bytes, wanted = used + used / 4;

    if (u->n_oom)
        wanted = larger(wanted, 2 * larger(asked, used));
    if (wanted == 0)
        return 0;
    wanted = measure_round_bytes(larger(wanted, MEMORY_MIN));
    return is_close(asked, wanted) ? 0 : wanted;
}

static uint64_t advise_cpu(const struct step *step, const struct usage_series *s,
                           uint64_t p95)
{
    uint64_t wanted = measure_round_cpu(p95);

    return s->n == 0 || wanted == step->resources.cpu_milli ? 0 : wanted;
}

static time_us advise_timeout(const struct usage *u, const struct step *step,
                              time_us longest)
{
    time_us wanted = larger(3 * longest, TIMEOUT_MIN_US);

    if (u->n_timeout)
        wanted = larger(wanted, 2 * step->timeout_us);
    else if (longest < HANGS_US || step->timeout_us >= 2 * longest)
        return 0; /* too short to hang on it, or there is one with room */
    return measure_round_time(wanted);
}

struct usage_advice usage_advise(struct usage *u, const struct step *step)
{
    return (struct usage_advice){
        .memory_bytes = advise_memory(u, step, usage_spread(&u->memory).max),
        .cpu_milli = advise_cpu(step, &u->cpu, usage_spread(&u->cpu).p95),
        .timeout_us = advise_timeout(u, step, usage_spread(&u->time).max),
    };
}

/* ---- as JSON ---- */

static void emit_or_null(struct emit *e, const char *key, uint64_t value)
{
    if (value)
        emit_u64(e, key, value);
    else
        emit_null(e, key);
}

static void emit_spread(struct emit *e, const char *key, struct usage_series *s)
{
    struct usage_spread spread = usage_spread(s);

    if (s->n == 0) {
        emit_null(e, key);
        return;
    }
    emit_open(e, key, '{');
    emit_u64(e, "median", spread.median);
    emit_u64(e, "p95", spread.p95);
    emit_u64(e, "max", spread.max);
    emit_close(e, '}');
}

/* Other resources are as they were asked; they stand in the same mapping. */
static void emit_resources(struct emit *e, const struct flow *flow,
                           const struct step *step, const struct usage_advice *advice)
{
    const struct resources *asked = &step->resources;
    uint64_t cpu = advice->cpu_milli ? advice->cpu_milli : asked->cpu_milli;
    uint64_t memory = advice->memory_bytes ? advice->memory_bytes : asked->memory_bytes;
    CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;

    buffer_puts(&line, "resources: {cpu: ");
    measure_cpu(cpu, &line);
    if (memory) {
        buffer_puts(&line, ", memory: ");
        measure_bytes(memory, &line);
    }
    if (asked->disk_bytes) {
        buffer_puts(&line, ", disk: ");
        measure_bytes(asked->disk_bytes, &line);
    }
    if (asked->gpu_milli) {
        buffer_puts(&line, ", gpu: ");
        measure_cpu(asked->gpu_milli, &line);
    }
    for (uint32_t i = 0; i < asked->n_custom; i++) {
        buffer_printf(&line, "%s%s: ", i ? ", " : ", custom: {",
                      flow->custom_names[asked->custom[i].name]);
        measure_cpu(asked->custom[i].milli, &line);
    }
    buffer_puts(&line, asked->n_custom ? "}}" : "}");
    emit_text(e, NULL, buffer_text(&line));
}

static void emit_lines(struct emit *e, const struct flow *flow, const struct step *step,
                       const struct usage_advice *advice)
{
    CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;

    emit_open(e, "lines", '[');
    if (advice->cpu_milli || advice->memory_bytes)
        emit_resources(e, flow, step, advice);
    if (advice->timeout_us) {
        buffer_puts(&line, "timeout: ");
        measure_time(advice->timeout_us, &line);
        emit_text(e, NULL, buffer_text(&line));
    }
    emit_close(e, ']');
}

void usage_emit(struct emit *e, struct usage *u, const struct flow *flow,
                const struct step *step)
{
    struct usage_advice advice = usage_advise(u, step);

    emit_open(e, NULL, '{');
    emit_text(e, "step", step->name);
    emit_u64(e, "attempts", u->n);
    emit_u64(e, "adopted", u->n_adopted);
    emit_u64(e, "short", u->n_short);
    emit_u64(e, "oom", u->n_oom);
    emit_u64(e, "timeouts", u->n_timeout);
    emit_open(e, "asked", '{');
    emit_u64(e, "cpu_milli", step->resources.cpu_milli);
    emit_or_null(e, "memory_bytes", step->resources.memory_bytes);
    emit_or_null(e, "disk_bytes", step->resources.disk_bytes);
    emit_or_null(e, "timeout_us", step->timeout_us);
    emit_close(e, '}');
    emit_open(e, "used", '{');
    emit_spread(e, "cpu_milli", &u->cpu);
    emit_spread(e, "memory_bytes", &u->memory);
    emit_spread(e, "time_us", &u->time);
    emit_u64(e, "kept_bytes", u->kept_bytes_max);
    emit_close(e, '}');
    emit_open(e, "suggested", '{');
    emit_or_null(e, "cpu_milli", advice.cpu_milli);
    emit_or_null(e, "memory_bytes", advice.memory_bytes);
    emit_or_null(e, "timeout_us", advice.timeout_us);
    emit_close(e, '}');
    emit_lines(e, flow, step, &advice);
    emit_close(e, '}');
}
