/* SPDX-License-Identifier: Apache-2.0 */
/* Follows a run of a node behind a socket, as if it ran here. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "node/cli/order.h"
#include "node/cli/poller.h"
#include "node/cli/progress_json.h"
#include "node/cli/summary.h"
#include "node/cli/watch.h"

enum { FOLLOW_ENDED = 1, FOLLOW_LEFT };
enum { SEEN_NOTHING = 1 }; /* 0 would ask for new events only */

struct follow {
    struct client *client;
    const struct options *o;
    struct watch *watch;
    struct poller *poller; /* of a live view */
    struct event_lines lines;
    const char *run;       /* its id */
    uint64_t number, seen; /* the last event's number */
    bool is_owner, was_live;
    int interrupts; /* that were answered */
    enum run_outcome outcome;
};

static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH };

static volatile sig_atomic_t n_signals, n_of[ARRAY_SIZE(caught)];

static void count_signal(int signal)
{
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        if (caught[i] == signal)
            n_of[i]++;
    n_signals++;
}

static bool take_signal(int signal)
{
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        if (caught[i] == signal && n_of[i]) {
            n_of[i] = 0;
            return true;
        }
    return false;
}

/* Blocked but while something waits with ppoll(), so that none comes in between. One
 * that nohup ignores stays so. */
static void catch_signals(sigset_t *ret_before, bool with_terminal)
{
    struct sigaction action = { .sa_handler = count_signal }, now;
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++) {
        n_of[i] = 0;
        if (!with_terminal && i > 2)
            break;
        if (caught[i] == SIGHUP && sigaction(SIGHUP, NULL, &now) == 0
            && now.sa_handler == SIG_IGN)
            continue;
        sigaddset(&set, caught[i]);
    }
    n_signals = 0;
    sigprocmask(SIG_BLOCK, &set, ret_before);
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        if (sigismember(&set, caught[i]))
            sigaction(caught[i], &action, NULL);
}

static void release_signals(const sigset_t *before)
{
    struct sigaction now;

    for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
        if (sigaction(caught[i], NULL, &now) == 0 && now.sa_handler == count_signal)
            signal(caught[i], SIG_DFL);
    sigprocmask(SIG_SETMASK, before, NULL);
}

/* ---- what the node says of the run, for the live view ---- */

/* Who runs since before the events that the feed still has. Without an answer the view
 * has counts and no names. */
static void ask_who_runs(struct follow *f)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(freep) char *run = client_path("/v1/runs/%s", f->run);
    CLEANUP(freep)
    char *tasks = client_path("/v1/runs/%s/tasks?state=running&limit=1000", f->run);
    CLEANUP(json_decrefp) json_t *about = NULL;
    CLEANUP(json_decrefp) json_t *running = NULL;
    int r = run && tasks ? client_open(f->o, CLIENT_NODE, &c) : -ENOMEM;

    if (r == 0)
        r = client_get_json(c, run, &about);
    if (r == 0)
        r = client_get_json(c, tasks, &running);
    if (r == 0 && progress_read(watch_progress(f->watch), about) == 0)
        progress_read_tasks(watch_progress(f->watch), running);
}

static void count(void *arg, struct progress *p)
{
    struct follow *f = arg;
    CLEANUP(json_decrefp) json_t *run = f->poller ? poller_take(f->poller) : NULL;

    if (run)
        progress_read(p, run);
}

/* ---- Ctrl-C and keys ---- */

/* On a connection of its own: the other one is reading events. */
static int ask(struct follow *f, const char *format)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(freep) char *path = client_path(format, f->run);
    int r = path ? client_open(f->o, CLIENT_NODE, &c) : -ENOMEM;

    return r ? r : client_json(c, "POST", path, NULL, 0, NULL);
}

static int leave(struct follow *f)
{
    char name[RUN_NAME_SIZE];

    run_name_of(f->number, f->run, name);
    watch_end(f->watch);
    cli_say("run %s goes on", name);
    cli_hint("follow it: mesh follow %s", name);
    cli_hint("end it:    mesh cancel %s", name);
    return FOLLOW_LEFT;
}

static int interrupt(struct follow *f)
{
    char name[RUN_NAME_SIZE];

    watch_hide(f->watch);
    f->interrupts++;
    cli_say(f->interrupts == 1 ? "cancelling run %s; once more kills it"
                               : "killing run %s",
            run_name_of(f->number, f->run, name));
    return ask(f, "/v1/runs/%s/cancel") && f->interrupts > 1 ? FOLLOW_LEFT : 0;
}

static int on_signal(void *arg)
{
    struct follow *f = arg;

    if (take_signal(SIGTSTP))
        watch_stop(f->watch);
    if (take_signal(SIGCONT))
        watch_continue(f->watch);
    if (take_signal(SIGWINCH))
        watch_frame(f->watch, cli_now());
    /* The node is another process and does not need our terminal. */
    if (take_signal(SIGHUP))
        return leave(f);
    if (take_signal(SIGINT) || take_signal(SIGTERM))
        return f->is_owner ? interrupt(f) : leave(f);
    return 0;
}

/* What refuses it is said above the block. */
static void suspend(struct follow *f)
{
    bool is_suspended = watch_progress(f->watch)->is_suspended;

    watch_hide(f->watch);
    ask(f, is_suspended ? "/v1/runs/%s/unsuspend" : "/v1/runs/%s/suspend");
}

static int keys_fd(void *arg)
{
    return watch_keys_fd(((struct follow *)arg)->watch);
}

static int due_ms(void *arg)
{
    time_us due = watch_due(((struct follow *)arg)->watch), now = cli_now();

    return due == TIME_NEVER ? -1 : due <= now ? 0 : (int)((due - now + 999) / 1000);
}

static int on_wake(void *arg)
{
    struct follow *f = arg;
    enum watch_asks asks = WATCH_NOTHING;

    if (watch_keys_fd(f->watch) >= 0)
        asks = watch_keys(f->watch, cli_now());
    if (asks == WATCH_SUSPEND)
        suspend(f);
    if (watch_due(f->watch) <= cli_now())
        watch_frame(f->watch, cli_now());
    return asks == WATCH_LEAVE ? leave(f) : asks == WATCH_CANCEL ? interrupt(f) : 0;
}

/* ---- events ---- */

static int on_event(void *arg, uint64_t id, const char *name, const char *data,
                    size_t len)
{
    CLEANUP(json_decrefp) json_t *json = json_loadb(data, len, JSON_ALLOW_NUL, NULL);
    struct follow *f = arg;
    struct feed_event e;
    char name_text[RUN_NAME_SIZE];
    const char *task;

    if (id)
        f->seen = id;
    /* At first it is about what happened before this run. */
    if (strcmp(name, "gap") == 0 && f->seen > SEEN_NOTHING) {
        watch_hide(f->watch);
        cli_say(
            "it was too fast to follow, or its node restarted: some lines may be left "
            "out here");
        cli_hint("all of them: mesh logs %s",
                 run_name_of(f->number, f->run, name_text));
        if (watch_is_live(f->watch))
            ask_who_runs(f);
    }
    if (!json || !event_read(name, json, &e, &task) || e.type == FEED_RUN_STARTED)
        return 0;
    if (e.type == FEED_RUN_NUMBERED)
        watch_progress(f->watch)->number = f->number = e.number;
    if (options_has(f->o, "json"))
        watch_json(f->watch, name, data, len);
    else
        watch_event_of(f->watch, &e, task);
    if (e.type != FEED_RUN_ENDED)
        return 0;
    f->outcome = e.outcome;
    f->was_live = watch_is_live(f->watch) && !watch_is_quiet(f->watch);
    watch_end(f->watch);
    return FOLLOW_ENDED;
}

static int on_body(void *arg, const char *data, size_t len)
{
    struct follow *f = arg;
    int r = event_lines_feed(&f->lines, data, len, on_event, f);

    /* What came together is shown together. */
    if (!watch_is_live(f->watch))
        watch_frame(f->watch, cli_now());
    return r;
}

static int stream(struct follow *f, struct answer *a, struct error *error)
{
    CLEANUP(freep)
    char *path = client_path("/v1/events?run=%s&since=%u", f->run, f->seen);
    static const struct client_beside beside = { .fd = keys_fd,
                                                 .due_ms = due_ms,
                                                 .on_wake = on_wake };
    struct request q = { .method = "GET",
                         .path = path,
                         .timeout_ms = -1,
                         .beside = &beside,
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
    char name[RUN_NAME_SIZE];
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", f->run);
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct feed_event e;
    const char *task, *state;
    int r;

    watch_end(f->watch);
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
        watch_event(f->watch, &e);
        f->outcome = e.outcome;
        return FOLLOW_ENDED;
    }
    if (strcmp(state, "interrupted") != 0)
        return 0;
    run_name_of(f->number, f->run, name);
    cli_say("the node ended; run %s goes on when one is started again", name);
    cli_hint("here: mesh resume %s", name);
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

/* The feed may have told of the start before anybody listened. Only programs are told
 * the flow's name, so only they wait for it. */
static void say_start(struct follow *f)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", f->run);
    CLEANUP(json_decrefp) json_t *run = NULL;
    struct feed_event start = { .type = FEED_RUN_STARTED,
                                .number = f->number,
                                .wall = cli_now() };

    run_id_parse(f->run, &start.run);
    if (options_has(f->o, "json") && path
        && client_get_json(f->client, path, &run) == 0)
        start.flow = json_text(run, "flow");
    watch_progress(f->watch)->number = f->number;
    watch_progress(f->watch)->run = start.run;
    watch_event(f->watch, &start);
    watch_frame(f->watch, cli_now());
}

static void say_summary(struct follow *f)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", f->run);
    CLEANUP(json_decrefp) json_t *run = NULL;

    if (client_get_json(f->client, path, &run) == 0 && json_object_get(run, "summary"))
        summary_print(run);
}

int remote_follow(struct client *take_client, const struct options *o, const char *run,
                  uint64_t number, bool is_owner)
{
    struct follow f = { .client = take_client,
                        .o = o,
                        .run = run,
                        .number = number,
                        .is_owner = is_owner,
                        .seen = SEEN_NOTHING };
    sigset_t before;
    int r;

    f.watch = watch_new(o, &(struct watch_source){ .count = count,
                                                   .arg = &f,
                                                   .can_detach = true,
                                                   .is_owner = is_owner });
    if (!f.watch) {
        client_close(take_client);
        return cli_failed(-ENOMEM, NULL);
    }
    catch_signals(&before, watch_is_live(f.watch));
    say_start(&f);
    if (watch_is_live(f.watch)) {
        f.poller = poller_new(o, run);
        ask_who_runs(&f);
    }
    r = follow(&f);
    watch_wait(f.watch);
    if (f.was_live && !watch_is_gone(f.watch))
        say_summary(&f);
    watch_free(f.watch);
    poller_free(f.poller);
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

    if (r == 0) {
        const json_t *tasks = json_object_get(json, "tasks");

        /* A short run may have ended by now, with tasks of its own. */
        order_say_adopted(order, json_number(tasks, "adopted"),
                          strcmp(json_text(json, "state"), "ended") == 0
                              && !json_number(tasks, "done")
                              && !json_number(tasks, "failed"));
    }
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
