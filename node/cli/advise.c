/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/client.h"
#include "node/cli/words.h"

static const struct option_spec advise_options[] = {
    OPTION_JSON, OPTION_SOCKET, OPTION_DATA, OPTION_HELP, OPTION_END,
};

/* ---- the table: what was asked, used and is suggested ---- */

typedef void write_fn(uint64_t value, struct buffer *out);

static void write_cpu(uint64_t milli, struct buffer *out)
{
    buffer_printf(out, "%.2g", (double)milli / 1000);
}

static void add_cell(struct table *t, const char *colour, uint64_t value,
                     write_fn *write)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (value)
        write(value, &text);
    table_add(t, value ? colour : COLOUR_DIM, value ? buffer_text(&text) : "-");
}

static const struct {
    const char *word, *asked, *used, *suggested;
    write_fn *write;
} rows[] = {
    { "memory", "memory_bytes", "memory_bytes", "memory_bytes", terminal_bytes },
    { "cpu", "cpu_milli", "cpu_milli", "cpu_milli", write_cpu },
    { "time", "timeout_us", "time_us", "timeout_us", terminal_duration },
};

static void add_step(struct table *t, const json_t *step)
{
    const json_t *asked = json_object_get(step, "asked");
    const json_t *used = json_object_get(step, "used");
    const json_t *suggested = json_object_get(step, "suggested");

    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const json_t *spread = json_object_get(used, rows[i].used);

        table_add(t, NULL, i ? "" : json_text(step, "step"));
        if (i)
            table_add(t, NULL, "");
        else
            table_printf(t, NULL, "%" PRIu64, json_number(step, "attempts"));
        table_add(t, NULL, rows[i].word);
        add_cell(t, NULL, json_number(asked, rows[i].asked), rows[i].write);
        add_cell(t, NULL, json_number(spread, "median"), rows[i].write);
        add_cell(t, NULL, json_number(spread, "p95"), rows[i].write);
        add_cell(t, NULL, json_number(spread, "max"), rows[i].write);
        add_cell(t, COLOUR_GREEN, json_number(suggested, rows[i].suggested),
                 rows[i].write);
    }
}

static void print_table(const json_t *steps)
{
    CLEANUP(table_release) struct table t = { .n = 0 };
    const json_t *step;
    size_t i;

    table_head(&t, "STEP|>ATTEMPTS|WHAT|>ASKED|>MEDIAN|>P95|>MAX|>SUGGESTED");
    json_array_foreach(steps, i, step)
    {
        if (json_number(step, "attempts"))
            add_step(&t, step);
    }
    table_print(&t);
}

/* ---- the lines to paste ---- */

static void print_notes(const json_t *step)
{
    uint64_t n_oom = json_number(step, "oom"),
             n_timeout = json_number(step, "timeouts");
    uint64_t n_short = json_number(step, "short");

    if (n_oom)
        printf("    # %" PRIu64 " killed for memory\n", n_oom);
    if (n_timeout)
        printf("    # %" PRIu64 " ran into the timeout\n", n_timeout);
    if (n_short && n_short == json_number(step, "attempts"))
        printf("    # all took less than a second: nothing is said of cpu\n");
}

static size_t print_lines(const json_t *steps)
{
    const json_t *step, *line;
    size_t i, k, n = 0;

    json_array_foreach(steps, i, step)
    {
        const json_t *lines = json_object_get(step, "lines");

        if (json_array_size(lines) == 0)
            continue;
        if (n++ == 0)
            printf("steps:\n");
        printf("  %s:\n", json_text(step, "step"));
        print_notes(step);
        json_array_foreach(lines, k, line) printf("    %s\n", json_string_value(line));
    }
    return n;
}

static uint64_t count_attempts(const json_t *steps)
{
    const json_t *step;
    uint64_t sum = 0;
    size_t i;

    json_array_foreach(steps, i, step) sum += json_number(step, "attempts");
    return sum;
}

static int print_advice(const json_t *advice)
{
    const json_t *steps = json_object_get(advice, "steps");

    if (count_attempts(steps) == 0) {
        printf("No task of run %" PRIu64 " has ended that ran in it.\n",
               json_number(advice, "number"));
        return CLI_OK;
    }
    print_table(steps);
    printf("\nFor ");
    terminal_print(json_text(advice, "path"));
    printf(":\n\n");
    if (print_lines(steps) == 0)
        printf("# what is asked fits what was used\n");
    return CLI_OK;
}

static int advise(const struct options *o)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/advise", o->operands[0]);
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_open(o, CLIENT_LOOK, &c);

    if (r == 0)
        r = client_get_json(c, path, &json);
    if (r)
        return r;
    return options_has(o, "json") ? json_print(json) : print_advice(json);
}

const struct command command_advise = {
    .name = "advise",
    .synopsis = "RUN",
    .summary = "tell what resources steps should ask for",
    .about = "Compares what each step asked for with what its tasks used, and prints "
             "lines for\n"
             "the flow file: memory for the largest and a quarter more, processors "
             "that all\n"
             "but one in twenty kept busy, a timeout of three times the longest.\n"
             "\n"
             "Memory is that of a task's whole process tree, looked at once a second "
             "and at\n"
             "its end. What is suggested is for like data: larger data may need more.",
    .options = advise_options,
    .examples = "mesh advise 42\nmesh advise 42 --json",
    .exits = EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = advise,
};
