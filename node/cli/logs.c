/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/live.h"
#include "node/cli/order.h"

enum { LOGS_ENDED = 1 };

static const struct option_spec logs_options[] = {
    { "follow", 'f', NULL, "go on until the run ends" },
    { "stdout", 0, NULL, "only standard output" },
    { "stderr", 0, NULL, "only standard error" },
    { "attempt", 0, "N", "only this attempt, counted from 0" },
    OPTION_TIMESTAMPS,
    OPTION_COLOUR,
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

struct logs {
    const struct options *o;
    struct task_name name;
    const char *stream;  /* NULL: both */
    const char *attempt; /* NULL: all */
    struct client *client;
    struct console *console;
    struct event_lines lines;
    struct buffer line; /* of NDJSON */
    struct live *live;  /* NULL: the run has ended */
    bool is_raw;        /* the bytes of one task */
    uint64_t number;
};

static char *query(const struct logs *l)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    const char *const pairs[][2] = { { "step", l->name.step },
                                     { "task", l->name.task },
                                     { "attempt", l->attempt },
                                     { "stream", l->stream } };

    buffer_puts(&out, "");
    for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
        CLEANUP(freep)
        char *value = pairs[i][1] ? client_path("%s", pairs[i][1]) : NULL;

        if (value)
            buffer_printf(&out, "%s%s=%s", out.len ? "&" : "?", pairs[i][0], value);
    }
    return buffer_take(&out);
}

/* ---- what is kept ---- */

static int print_raw(void *arg, const char *data, size_t len)
{
    (void)arg;
    return fwrite(data, 1, len, stdout) == len ? 0 : -EPIPE;
}

static bool is_wanted(const struct logs *l, const struct feed_event *e,
                      const char *task)
{
    bool is_stderr = e->stream == LOG_STDERR;

    return (!l->name.step || strcmp(l->name.step, e->step) == 0)
           && (!l->name.task || strcmp(l->name.task, task) == 0)
           && (!l->attempt || strtoull(l->attempt, NULL, 10) == e->attempt)
           && (!l->stream || e->type != FEED_LOG
               || strcmp(l->stream, is_stderr ? "stderr" : "stdout") == 0);
}

static void print_piece(struct logs *l, const json_t *json)
{
    struct feed_event e;
    const char *task;

    if (!event_read("log", json, &e, &task) || !is_wanted(l, &e, task))
        return;
    e.number = l->number;
    if (l->is_raw)
        print_raw(NULL, e.data, e.len);
    else
        console_event_of(l->console, &e, task);
}

static void print_live(void *arg, const json_t *event)
{
    print_piece(arg, event);
}

/* A line of the answer is a piece of a log. */
static void print_line(struct logs *l)
{
    CLEANUP(json_decrefp)
    json_t *json = json_loadb(l->line.data, l->line.len, JSON_ALLOW_NUL, NULL);

    if (!json)
        return;
    if (l->live)
        live_forget(l->live, json_text(json, "step"), json_text(json, "task"),
                    json_number(json, "attempt"));
    print_piece(l, json);
}

static int print_lines(void *arg, const char *data, size_t len)
{
    struct logs *l = arg;

    for (size_t at = 0; at < len;) {
        const char *newline = memchr(data + at, '\n', len - at);
        size_t n = newline ? (size_t)(newline - data) - at : len - at;

        if (buffer_append(&l->line, data + at, n) < 0)
            return -ENOMEM;
        at += n + (newline != NULL);
        if (newline) {
            print_line(l);
            buffer_clear(&l->line);
        }
    }
    return 0;
}

static int ask(struct logs *l, char *take_front, client_body_fn *on_body)
{
    CLEANUP(freep) char *front = take_front;
    CLEANUP(freep) char *rest = query(l);
    CLEANUP(freep) char *path = NULL;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    int r;

    if (!front || !rest || asprintf(&path, "%s%s", front, rest) < 0) {
        path = NULL;
        return cli_failed(-ENOMEM, NULL);
    }
    r = client_request(l->client,
                       &(struct request){ .method = "GET",
                                          .path = path,
                                          .on_body = on_body,
                                          .arg = l },
                       &a, &error);
    if (r == -EPIPE)
        return CLI_OK;
    if (r < 0)
        return client_lost(r, &error);
    return a.status >= 300 ? client_refused(&a) : CLI_OK;
}

/* The bytes as they were written, which the lines of JSON are not quite. */
static int print_raw_log(struct logs *l)
{
    struct task_name name = l->name;
    char *path = client_path("/v1/runs/%s/logs/%s/%s", name.run, name.step, name.task);
    int r;

    l->name.step = l->name.task = NULL; /* the path says these */
    r = ask(l, path, print_raw);
    l->name = name;
    return r;
}

static int print_kept(struct logs *l)
{
    int r;

    if (options_has(l->o, "json"))
        return ask(l, client_path("/v1/runs/%s/logs", l->name.run), print_raw);
    if (l->is_raw && !l->live)
        return print_raw_log(l);
    r = ask(l, client_path("/v1/runs/%s/logs", l->name.run), print_lines);
    if (l->live)
        live_each(l->live, print_live, l);
    console_end_lines(l->console);
    console_flush(l->console);
    return r;
}

/* ---- what comes ---- */

static int on_event(void *arg, uint64_t id, const char *name, const char *data,
                    size_t len)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
    struct logs *l = arg;
    struct feed_event e;
    const char *task;

    (void)id;
    if (!json || !event_read(name, json, &e, &task))
        return 0;
    if (!task || is_wanted(l, &e, task))
        console_event_of(l->console, &e, task);
    return e.type == FEED_RUN_ENDED ? LOGS_ENDED : 0;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct logs *l = arg;
    int r = event_lines_feed(&l->lines, data, len, on_event, l);

    return console_flush(l->console) < 0 ? LOGS_ENDED : r;
}

/* The feed still has what was written of late: for a run that is not very long, all. */
static int print_coming(struct logs *l)
{
    CLEANUP(freep) char *path = client_path("/v1/events?run=%s&since=1", l->name.run);
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct error error = { .text = "" };
    int r = path ? client_request(l->client,
                                  &(struct request){ .method = "GET",
                                                     .path = path,
                                                     .timeout_ms = -1,
                                                     .on_body = on_body,
                                                     .arg = l },
                                  &a, &error)
                 : -ENOMEM;

    if (r == LOGS_ENDED)
        return CLI_OK;
    if (r < 0)
        return client_lost(r, &error);
    if (a.status >= 300)
        return client_refused(&a);
    cli_say("the node ended");
    return CLI_NO_NODE;
}

static int print_all(struct logs *l)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", l->name.run);
    CLEANUP(json_decrefp) json_t *json = NULL;
    const char *state;
    int r = client_get_json(l->client, path, &json);

    if (r)
        return r;
    l->number = json_number(json, "number");
    state = json_text(json, "state");
    l->is_raw = l->name.task && !options_has(l->o, "timestamps");
    if (strcmp(state, "running") != 0 && strcmp(state, "stopping") != 0)
        return print_kept(l);
    if (options_has(l->o, "follow"))
        return print_coming(l);
    r = live_read(l->client, json_text(json, "run"), &l->live);
    return r ? r : print_kept(l);
}

static int logs(const struct options *o)
{
    struct console_config config = console_config_of(o);
    struct error error = { .text = "" };
    struct logs l = { .o = o, .attempt = options_text(o, "attempt") };
    uint64_t attempt;
    int r;

    if (options_number(o, "attempt", UINT32_MAX, &attempt, &error) < 0
        || task_name_parse(o->operands[0], &l.name, &error) < 0)
        return cli_usage("%s", error.text);
    if (options_has(o, "stdout") != options_has(o, "stderr"))
        l.stream = options_has(o, "stdout") ? "stdout" : "stderr";
    config.is_plain = true;
    l.console = console_new(&config);
    r = l.console ? client_open(o, CLIENT_LOOK, &l.client) : cli_failed(-ENOMEM, NULL);
    if (r == 0)
        r = print_all(&l);
    console_free(l.console);
    live_free(l.live);
    client_close(l.client);
    event_lines_release(&l.lines);
    buffer_release(&l.line);
    task_name_release(&l.name);
    return r;
}

const struct command command_logs = {
    .name = "logs",
    .synopsis = "RUN[/STEP[/TASK]]",
    .summary = "print what tasks wrote",
    .about =
        "Prints what the tasks of RUN wrote to standard output and standard error; of\n"
        "one step, or of one task. Of several tasks each line names its own; of one\n"
        "task the bytes are printed as they are. No node has to be there.",
    .options = logs_options,
    .examples = "mesh logs 42\n"
                "mesh logs 42/fit/3 --stderr\n"
                "mesh logs 42 -f                  # until the run ends",
    .exits = EXITS_NAMES | EXITS_NODE,
    .operands_min = 1,
    .operands_max = 1,
    .run = logs,
};
