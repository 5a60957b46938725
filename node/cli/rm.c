/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/cli/client.h"
#include "node/cli/terminal.h"

enum { PAGE = 500, SHOWN_MAX = 10 };

static const struct option_spec rm_options[] = {
    { "older-than", 0, "AGE", "runs that ended so long ago: 30d, 12h, 45m, 2w" },
    { "flow", 'f', "NAME", "runs of this flow" },
    { "tag", 't', "TAG", "runs with this tag" },
    { "state", 0, "STATE", "ok, failed, cancelled or interrupted" },
    { "keep", 0, "N", "all of these but the newest N" },
    { "dry-run", 'n', NULL, "only tell which would go" },
    { "yes", 'y', NULL, "do not ask" },
    { "gc", 0, NULL, "free what no run names any more, too" },
    OPTION_JSON,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

struct choice {
    const char *flow, *tag, *state;
    uint64_t keep;
    time_us ended_before; /* 0: whenever */
};

struct rm {
    const struct options *o;
    struct client *client;
    json_t *runs; /* those that are to go, as the node tells of them */
    json_t *removed;
    int exit_code; /* of the first that could not be removed */
};

static void rm_release(struct rm *rm)
{
    json_decref(rm->runs);
    json_decref(rm->removed);
    client_close(rm->client);
}

/* ---- which ---- */

static int parse_age(const char *text, time_us *ret)
{
    static const struct {
        char letter;
        uint64_t seconds;
    } units[] = {
        { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 }
    };
    char *end;
    unsigned long long n = strtoull(text, &end, 10);

    if (end == text || text[0] == '-' || n > UINT32_MAX || !end[0] || end[1])
        return -EINVAL;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (units[i].letter == *end) {
            *ret = (time_us)n * units[i].seconds * 1000000;
            return 0;
        }
    return -EINVAL;
}

static bool is_state(const char *state)
{
    static const char *const states[] = { "ok", "failed", "cancelled", "interrupted" };

    for (size_t i = 0; i < ARRAY_SIZE(states); i++)
        if (strcmp(states[i], state) == 0)
            return true;
    return false;
}

static int read_choice(const struct options *o, struct choice *ret)
{
    const char *age = options_text(o, "older-than");
    struct error error = { .text = "" };
    time_us before = 0;

    if (age && parse_age(age, &before) < 0)
        return cli_usage("--older-than must be a number with s, m, h, d or w, as in "
                         "30d, not '%.40s'",
                         age);
    *ret = (struct choice){ .flow = options_text(o, "flow"),
                            .tag = options_text(o, "tag"),
                            .state = options_text(o, "state"),
                            .ended_before = age ? cli_now() - before : 0 };
    if (ret->state && !is_state(ret->state))
        return cli_usage("--state must be ok, failed, cancelled or interrupted, not "
                         "'%.40s'",
                         ret->state);
    if (options_number(o, "keep", UINT32_MAX, &ret->keep, &error) < 0)
        return cli_usage("%s", error.text);
    return 0;
}

static bool has_choice(const struct options *o)
{
    return options_has(o, "older-than") || options_has(o, "flow")
           || options_has(o, "tag") || options_has(o, "state")
           || options_has(o, "keep");
}

static bool is_chosen(const struct choice *c, const json_t *run)
{
    const char *outcome = json_text(run, "outcome"), *ended = json_text(run, "ended");
    const char *state = *outcome ? outcome : json_text(run, "state");

    if (c->state ? strcmp(state, c->state) != 0 : !*outcome)
        return false;
    if (!c->ended_before)
        return true;
    return terminal_parse_time(*ended ? ended : json_text(run, "submitted"))
           < c->ended_before;
}

/* The newest come first. */
static int choose(struct rm *rm, const struct choice *c)
{
    CLEANUP(freep) char *before = NULL;
    uint64_t n_seen = 0;

    for (;;) {
        CLEANUP(freep)
        char *path = runs_path(&(struct runs_wanted){
            .limit = PAGE, .flow = c->flow, .tag = c->tag, .before = before });
        CLEANUP(json_decrefp) json_t *json = NULL;
        const json_t *runs, *run;
        int r = client_get_json(rm->client, path, &json);
        size_t i;

        if (r)
            return r;
        runs = json_object_get(json, "runs");
        json_array_foreach(runs, i, run) if (is_chosen(c, run) && n_seen++ >= c->keep)
            json_array_append(rm->runs, (json_t *)run);
        free(TAKE(before));
        if (!*json_text(json, "before"))
            return 0;
        before = strdup(json_text(json, "before"));
        if (!before)
            return cli_failed(-ENOMEM, NULL);
    }
}

static int look_up(struct rm *rm, const char *name)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", name);
    CLEANUP(json_decrefp) json_t *run = NULL;
    int r = client_get_json(rm->client, path, &run);

    return r ? r : json_array_append(rm->runs, run) < 0 ? CLI_FAILED : 0;
}

static int find_runs(struct rm *rm, const struct choice *c)
{
    if (!rm->o->n_operands)
        return choose(rm, c);
    for (size_t i = 0; i < rm->o->n_operands; i++) {
        int r = look_up(rm, rm->o->operands[i]);

        if (r)
            return r;
    }
    return 0;
}

/* ---- asking ---- */

static void say_which(const struct rm *rm, const char *what, FILE *out)
{
    size_t n = json_array_size(rm->runs);
    const json_t *run;
    size_t i;

    fprintf(out, "%s %zu run%s:", what, n, n == 1 ? "" : "s");
    json_array_foreach(rm->runs, i, run)
    {
        if (i == SHOWN_MAX)
            break;
        fprintf(out, "%s %" PRIu64 " (%s)", i ? "," : "", json_number(run, "number"),
                json_text(run, "flow"));
    }
    if (n > SHOWN_MAX)
        fprintf(out, " and %zu more", n - SHOWN_MAX);
}

static bool is_agreed(const struct rm *rm)
{
    char answer[16] = "";

    if (options_has(rm->o, "yes") || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    say_which(rm, "Remove", stderr);
    fputs("? [y/N] ", stderr);
    return fgets(answer, sizeof(answer), stdin)
           && (answer[0] == 'y' || answer[0] == 'Y');
}

/* ---- removing ---- */

/* One that cannot be removed does not keep the others. */
static void remove_one(struct rm *rm, json_t *run)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", json_text(run, "run"));
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_json(rm->client, "DELETE", path, NULL, -1, &json);

    if (r && !rm->exit_code)
        rm->exit_code = r;
    if (r)
        return;
    json_object_set(json, "number", json_object_get(run, "number"));
    json_object_set(json, "flow", json_object_get(run, "flow"));
    json_array_append(rm->removed, json);
}

static int collect_garbage(struct rm *rm, json_t **ret_report)
{
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:b}", "dry_run", 0);

    return client_json(rm->client, "POST", "/v1/gc", body, -1, ret_report);
}

static void print_removed(const struct rm *rm, const json_t *gc)
{
    CLEANUP(buffer_release) struct buffer freed = BUFFER_INIT;
    size_t n = json_array_size(rm->removed);

    printf("Removed %zu run%s.\n", n, n == 1 ? "" : "s");
    if (!gc)
        return;
    terminal_bytes(json_number(gc, "bytes_freed"), &freed);
    printf("Freed %" PRIu64 " blobs, %s.\n", json_number(gc, "n_freed"),
           buffer_text(&freed));
}

static int print_json(json_t *runs, bool is_dry, json_t *gc)
{
    CLEANUP(json_decrefp)
    json_t *json = json_pack("{s:b, s:O}", "dry_run", is_dry, "runs", runs);

    if (gc)
        json_object_set(json, "gc", gc);
    return json_print(json);
}

static int remove_all(struct rm *rm)
{
    CLEANUP(json_decrefp) json_t *gc = NULL;
    json_t *run;
    size_t i;
    int r = 0;

    json_array_foreach(rm->runs, i, run) remove_one(rm, run);
    if (options_has(rm->o, "gc"))
        r = collect_garbage(rm, &gc);
    if (options_has(rm->o, "json"))
        print_json(rm->removed, false, gc);
    else
        print_removed(rm, gc);
    return rm->exit_code ? rm->exit_code : r;
}

static int go(struct rm *rm)
{
    bool is_json = options_has(rm->o, "json");

    if (options_has(rm->o, "dry-run")) {
        if (is_json)
            return print_json(rm->runs, true, NULL);
        say_which(rm, "Would remove", stdout);
        putchar('\n');
        return CLI_OK;
    }
    if (json_array_size(rm->runs) == 0 && !is_json && !options_has(rm->o, "gc")) {
        printf("There is no such run.\n");
        return CLI_OK;
    }
    if (json_array_size(rm->runs) && !is_agreed(rm)) {
        cli_say("nothing was removed");
        return CLI_FAILED;
    }
    return remove_all(rm);
}

static int rm(const struct options *o)
{
    CLEANUP(rm_release) struct rm rm = { .o = o };
    struct choice choice;
    int r = read_choice(o, &choice);

    if (r)
        return r;
    if (!o->n_operands && !has_choice(o))
        return cli_usage("rm: which runs? Name them, or choose them: mesh rm --help");
    if (o->n_operands && has_choice(o))
        return cli_usage("rm: name runs or choose them by options, not both");
    rm.runs = json_array();
    rm.removed = json_array();
    r = client_open(o, CLIENT_LOOK, &rm.client);
    if (r == 0)
        r = find_runs(&rm, &choice);
    return r ? r : go(&rm);
}

const struct command command_rm = {
    .name = "rm",
    .synopsis = "RUN ...\n[--older-than AGE] [--flow NAME] [--tag TAG] [--state STATE] "
                "[--keep N]",
    .summary = "remove runs from the store",
    .about =
        "Removes what is kept of runs that have ended, or that no node goes on with:\n"
        "their records and logs. Runs are named, or chosen: options together choose\n"
        "those that fit all of them. What they made is freed by the next mesh gc, or "
        "at\n"
        "once with --gc, unless another run has it too: a run that was resumed keeps\n"
        "what it took over.\n"
        "\n"
        "On a terminal it asks first, unless --yes says so. A run that is active is\n"
        "refused. There is no way back.",
    .options = rm_options,
    .examples = "mesh rm 41 42\n"
                "mesh rm --older-than 30d --gc\n"
                "mesh rm --flow Train --keep 10   # but the newest ten\n"
                "mesh rm --state failed --dry-run",
    .exits = EXITS_REFUSED | EXITS_NAMES | EXITS_NODE,
    .operands_max = SIZE_MAX,
    .run = rm,
};
