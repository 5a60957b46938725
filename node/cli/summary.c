/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/summary.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/console.h"
#include "node/cli/order.h"
#include "node/cli/terminal.h"

enum {
    TAIL_BYTES = 16 << 10, /* of a log, for its last lines */
    LINE_MAX_SHOWN = 500,  /* bytes of one of them */
    FAILURES_WITH_LOG = 3,
};

/* ---- steps ---- */

static uint64_t count_of(const json_t *step)
{
    return json_number(step, "done") + json_number(step, "failed");
}

/* What a step took in all, about: to choose among many. */
static double weight_of(const json_t *step)
{
    return (double)json_number(step, "median_us") * (double)count_of(step);
}

/* The weight that SUMMARY_STEPS_MAX steps reach. */
static double least_weight(const json_t *steps)
{
    double best[SUMMARY_STEPS_MAX] = { 0 };
    const json_t *step;
    size_t i;

    json_array_foreach(steps, i, step)
    {
        double weight = weight_of(step);

        for (size_t k = 0; k < SUMMARY_STEPS_MAX; k++)
            if (weight > best[k]) {
                double lesser = best[k];

                best[k] = weight;
                weight = lesser;
            }
    }
    return best[SUMMARY_STEPS_MAX - 1];
}

static void add_duration(struct table *t, const json_t *step, const char *key)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t us = json_number(step, key);

    if (us)
        terminal_duration(us, &text);
    else
        buffer_putc(&text, '-');
    table_add(t, us ? NULL : COLOUR_DIM, buffer_text(&text));
}

static void add_number(struct table *t, const char *colour, uint64_t n)
{
    if (n)
        table_printf(t, colour, "%" PRIu64, n);
    else
        table_add(t, COLOUR_DIM, "-");
}

static void add_step(struct table *t, const json_t *step)
{
    table_add(t, NULL, json_text(step, "name"));
    add_number(t, COLOUR_GREEN, json_number(step, "done"));
    add_number(t, COLOUR_RED, json_number(step, "failed"));
    add_duration(t, step, "median_us");
    add_duration(t, step, "max_us");
    add_duration(t, step, "cpu_us");
}

void summary_steps(const json_t *run)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *steps = json_object_get(run, "steps"), *step;
    size_t i, n_left_out = 0;
    bool is_long = json_array_size(steps) > SUMMARY_STEPS_MAX;
    double least = is_long ? least_weight(steps) : 0;

    table_head(&t, "STEP|>DONE|>FAILED|>MEDIAN|>MAX|>CPU");
    json_array_foreach(steps, i, step)
    {
        bool is_over = t.n >= (SUMMARY_STEPS_MAX + 1) * t.n_columns;

        if (is_long && (is_over || weight_of(step) < least))
            n_left_out++;
        else
            add_step(&t, step);
    }
    putchar('\n');
    table_print(&t);
    if (n_left_out)
        printf("and %zu steps that took less: mesh status %" PRIu64 " --json\n",
               n_left_out, json_number(run, "number"));
}

/* ---- totals ---- */

static void print_slowest(const json_t *slowest)
{
    const json_t *task;
    size_t i;

    json_array_foreach(slowest, i, task)
    {
        CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

        terminal_name(json_text(task, "step"), &text);
        buffer_printf(&text, "/%s ", json_text(task, "task"));
        terminal_duration(json_number(task, "span_us"), &text);
        printf("%s%s", i ? ", " : "  slowest    ", buffer_text(&text));
    }
    if (json_array_size(slowest))
        putchar('\n');
}

void summary_totals(const json_t *run)
{
    const json_t *s = json_object_get(run, "summary");
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    uint64_t n = json_number(s, "artifacts");

    if (!s)
        return;
    putchar('\n');
    if (json_number(run, "attempts") > 1)
        print_slowest(json_object_get(s, "slowest"));
    terminal_duration(json_number(s, "cpu_us"), &text);
    printf("  processor  %s\n", buffer_text(&text));
    buffer_clear(&text);
    if (n)
        buffer_printf(&text, "%" PRIu64 " artifact%s of ", n, n == 1 ? "" : "s");
    if (n)
        terminal_bytes(json_number(s, "artifact_bytes"), &text);
    buffer_puts(&text, n ? ", logs of " : "logs of ");
    terminal_bytes(json_number(s, "log_bytes"), &text);
    printf("  kept       %s\n", buffer_text(&text));
}

/* ---- failures ---- */

struct tail {
    struct buffer bytes;
    bool is_cut;
};

static int keep_tail(void *arg, const char *data, size_t len)
{
    struct tail *t = arg;
    struct buffer *b = &t->bytes;

    if (buffer_append(b, data, len) < 0)
        return -ENOMEM;
    if (b->len <= 2 * TAIL_BYTES)
        return 0;
    memmove(b->data, b->data + b->len - TAIL_BYTES, TAIL_BYTES);
    b->len = TAIL_BYTES;
    b->data[b->len] = '\0';
    t->is_cut = true;
    return 0;
}

static void print_last_lines(const struct tail *t)
{
    const char *data = buffer_text(&t->bytes), *end = data + t->bytes.len, *from = end;

    if (end > data && end[-1] == '\n')
        from = --end;
    for (int n = 0; from > data && n < CONSOLE_LAST_LINES; n++)
        from = from > data ? memrchr(data, '\n', (size_t)(from - data)) : NULL;
    for (from = from ? from + (*from == '\n') : data; from < end;) {
        CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;
        size_t len = strcspn(from, "\n");

        len = min_size(len, (size_t)(end - from));
        terminal_escape(from, min_size(len, LINE_MAX_SHOWN), &line);
        printf("    %s\n", buffer_text(&line));
        from += len + 1;
    }
}

/* What cannot be read is left out: it is asked for by people who look at a failure. */
static void print_log(struct client *c, const json_t *run, const json_t *task)
{
    CLEANUP(freep)
    char *path = client_path("/v1/runs/%s/logs/%s/%s?attempt=%u", json_text(run, "run"),
                             json_text(task, "step"), json_text(task, "task"),
                             json_number(task, "attempt"));
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    struct tail tail = { .is_cut = false };
    struct request q = {
        .method = "GET", .path = path, .on_body = keep_tail, .arg = &tail
    };

    if (path && client_request(c, &q, &a, &error) == 0 && a.status == 200)
        print_last_lines(&tail);
    buffer_release(&tail.bytes);
}

static void print_failure(const json_t *run, const json_t *task)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    bool has_colour = terminal_has_colour(STDOUT_FILENO);
    struct feed_event e;
    const char *name;

    event_read("task_ended", task, &e, &name);
    buffer_printf(&text, "%" PRIu64 "/", json_number(run, "number"));
    terminal_name(e.step, &text);
    buffer_printf(&text, "/%s: ", name);
    console_reason(&e, &text);
    printf("  %s%s%s\n", has_colour ? COLOUR_RED : "", buffer_text(&text),
           has_colour ? COLOUR_OFF : "");
}

void summary_failures(struct client *c, const json_t *run)
{
    const json_t *failures =
        json_object_get(json_object_get(run, "summary"), "failures");
    uint64_t n = json_number(json_object_get(run, "tasks"), "failed");
    const json_t *task;
    size_t i;

    if (!json_array_size(failures))
        return;
    printf("\nThe first %s failed:\n",
           json_array_size(failures) == 1 ? "task that" : "tasks that");
    json_array_foreach(failures, i, task)
    {
        print_failure(run, task);
        if (c && i < FAILURES_WITH_LOG)
            print_log(c, run, task);
        if (i < FAILURES_WITH_LOG)
            printf("    all of it: mesh logs %" PRIu64 "/%s/%s\n",
                   json_number(run, "number"), json_text(task, "step"),
                   json_text(task, "task"));
    }
    if (n > json_array_size(failures))
        printf("  and %" PRIu64 " more\n", n - json_array_size(failures));
}

void summary_print(const json_t *run)
{
    /* The first failure was told as it came. */
    bool has_more = json_number(json_object_get(run, "tasks"), "failed") > 1;

    summary_steps(run);
    summary_totals(run);
    if (has_more)
        summary_failures(NULL, run);
    fflush(stdout);
}
