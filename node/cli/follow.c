/* SPDX-License-Identifier: Apache-2.0 */
/* Follows a run of a node behind a socket, as if it ran here. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/order.h"

enum { FOLLOW_ENDED = 1, FOLLOW_LEFT };
enum { SEEN_NOTHING = 1 }; /* 0 would ask for new events only */

struct follow {
    struct client *client;
    const struct options *o;
    struct console *console;
    struct event_lines lines;
    const char *run;       /* its id */
    uint64_t number, seen; /* the last event's number */
    bool is_owner;
    sig_atomic_t signals; /* that were answered */
    enum run_outcome outcome;
};

static volatile sig_atomic_t n_signals;

static void count_signal(int signal)
{
    (void)signal;
    n_signals++;
}

/* Blocked but while something waits with ppoll(), so that none comes in between. */
static void catch_signals(sigset_t *ret_before)
{
    struct sigaction action = { .sa_handler = count_signal };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, ret_before);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static void release_signals(const sigset_t *before)
{
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
}

/* On a connection of its own: the other one is reading events. */
static int ask_cancel(struct follow *f)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(freep) char *path = client_path("/v1/runs/%s/cancel", f->run);
    int r = path ? client_open(f->o, CLIENT_NODE, &c) : -ENOMEM;

    return r ? r : client_json(c, "POST", path, NULL, 0, NULL);
}

static int on_signal(void *arg)
{
    struct follow *f = arg;

    if (f->signals == n_signals)
        return 0;
    f->signals = n_signals;
    console_flush(f->console);
    if (!f->is_owner) {
        cli_say("run %" PRIu64 " goes on", f->number);
        cli_hint("follow it: mesh logs %" PRIu64 " -f", f->number);
        cli_hint("end it:    mesh cancel %" PRIu64, f->number);
        return FOLLOW_LEFT;
    }
    cli_say(n_signals == 1 ? "cancelling run %" PRIu64 "; once more kills it"
                           : "killing run %" PRIu64,
            f->number);
    return ask_cancel(f) && n_signals > 1 ? FOLLOW_LEFT : 0;
}

static int on_event(void *arg, uint64_t id, const char *name, const char *data,
                    size_t len)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
    struct follow *f = arg;
    struct feed_event e;
    const char *task;

    if (id)
        f->seen = id;
    /* At first it is about what happened before this run. */
    if (strcmp(name, "gap") == 0 && f->seen > SEEN_NOTHING) {
        console_flush(f->console);
        cli_say("it was too fast to follow: some lines are left out here");
        cli_hint("all of them: mesh logs %" PRIu64, f->number);
    }
    if (!json || !event_read(name, json, &e, &task) || e.type == FEED_RUN_STARTED)
        return 0;
    if (options_has(f->o, "json"))
        console_json(f->console, name, data, len);
    else
        console_event_of(f->console, &e, task);
    if (e.type != FEED_RUN_ENDED)
        return 0;
    f->outcome = e.outcome;
    return FOLLOW_ENDED;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct follow *f = arg;
    int r = event_lines_feed(&f->lines, data, len, on_event, f);

    /* What came together is shown together. */
    console_flush(f->console);
    return r;
}

static int stream(struct follow *f, struct answer *a, struct error *error)
{
    CLEANUP(freep)
    char *path = client_path("/v1/events?run=%s&since=%u", f->run, f->seen);
    struct request q = { .method = "GET",
                         .path = path,
                         .timeout_ms = -1,
                         .on_body = on_body,
                         .arg = f,
                         .signals = &n_signals,
                         .on_signal = on_signal };

    if (!path)
        return -ENOMEM;
    event_lines_release(&f->lines);
    f->lines = (struct event_lines){ .id = 0 };
    return client_request(f->client, &q, a, error);
}

/* The stream broke: what became of the run is asked, of this node or of the store. */
static int ask_outcome(struct follow *f)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", f->run);
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct feed_event e;
    const char *task, *state;
    int r;

    console_flush(f->console);
    client_close(TAKE(f->client));
    r = client_open(f->o, CLIENT_LOOK, &f->client);
    if (r == 0)
        r = client_get_json(f->client, path, &json);
    if (r)
        return -CLI_NO_NODE;
    state = json_text(json, "state");
    if (strcmp(state, "ended") == 0) {
        json_object_set(json, "time", json_object_get(json, "ended"));
        event_read("run_ended", json, &e, &task);
        run_id_parse(f->run, &e.run);
        console_event(f->console, &e);
        f->outcome = e.outcome;
        return FOLLOW_ENDED;
    }
    if (strcmp(state, "interrupted") != 0)
        return 0;
    cli_say("the node ended; run %" PRIu64 " goes on when one is started again",
            f->number);
    return -CLI_NO_NODE;
}

static int follow(struct follow *f)
{
    for (;;) {
        CLEANUP(answer_release) struct answer a = { .status = 0 };
        struct error error = { .text = "" };
        int r = stream(f, &a, &error);

        if (r == FOLLOW_LEFT)
            return CLI_CANCELLED;
        if (r == 0 && a.status >= 300)
            return client_refused(&a);
        if (r != FOLLOW_ENDED)
            r = ask_outcome(f);
        if (r < 0)
            return -r;
        if (r == FOLLOW_ENDED)
            return f->outcome == RUN_OK          ? CLI_OK
                   : f->outcome == RUN_CANCELLED ? CLI_CANCELLED
                                                 : CLI_FAILED;
    }
}

int remote_follow(struct client *take_client, const struct options *o, const char *run,
                  uint64_t number, bool is_owner)
{
    struct console_config config = console_config_of(o);
    CLEANUP(console_freep) struct console *console = console_new(&config);
    struct follow f = { .client = take_client,
                        .o = o,
                        .console = console,
                        .run = run,
                        .number = number,
                        .is_owner = is_owner,
                        .seen = SEEN_NOTHING };
    struct feed_event start = { .type = FEED_RUN_STARTED,
                                .number = number,
                                .wall = cli_now() };
    sigset_t before;
    int r;

    if (!console) {
        client_close(take_client);
        return cli_failed(-ENOMEM, NULL);
    }
    /* The feed may have told of the start before anybody listened. */
    run_id_parse(run, &start.run);
    console_event(console, &start);
    console_flush(console);
    n_signals = 0;
    catch_signals(&before);
    r = follow(&f);
    release_signals(&before);
    event_lines_release(&f.lines);
    client_close(f.client);
    return r;
}

static int say_adopted(struct client *c, const struct order *order, const char *run)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", run);
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = client_get_json(c, path, &json);

    if (r == 0)
        order_say_adopted(order, json_number(json_object_get(json, "tasks"), "adopted"),
                          strcmp(json_text(json, "state"), "ended") == 0);
    return r;
}

int remote_run(struct client *take_client, struct order *order, const struct options *o)
{
    CLEANUP(client_closep) struct client *c = take_client;
    CLEANUP(json_decrefp) json_t *json = NULL;
    int r = remote_submit(c, order, &json);

    if (r == 0 && order->has_origin)
        r = say_adopted(c, order, json_text(json, "run"));
    if (r)
        return r;
    return remote_follow(TAKE(c), o, json_text(json, "run"),
                         json_number(json, "number"), true);
}
