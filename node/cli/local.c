/* SPDX-License-Identifier: Apache-2.0 */
/* A node in this process, for as long as its runs take. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/order.h"
#include "node/cli/watch.h"
#include "store/tree.h"

enum {
    WAITS_MS = 500,  /* between two looks at why steps wait */
    LINGER_MS = 200, /* who follows another run over the socket is told its end */
    RETRY_PAUSE_NS = 50000000,
    RETRIES_MAX = 200, /* ten seconds */
    ASK_EVERY = 20,    /* asking keeps a node that shows the store alive */
    KEEP_TRIES = 3,    /* a file that changes while it is kept */
};

struct local {
    struct runtime *rt;
    struct watch *watch;
    const struct flow *flow; /* the order's */
    struct run_id run;
    uint64_t number;
    bool has_ended, has_company; /* other runs in this node */
    enum run_outcome outcome;
    unsigned interrupts;
    uv_signal_t on_int, on_term, on_hup, on_stop, on_continue, on_resize;
    uv_prepare_t prepare;
    uv_timer_t frame, linger;
    uv_poll_t keys;
    time_us waits_told; /* when each step's reason to wait was asked for */
};

/* ---- opening ---- */

static int node_config(const struct options *o, struct runtime_config *config)
{
    const char *listen = options_text(o, "listen");
    struct error error = { .text = "" };
    struct address address;
    uint64_t slots;

    if (options_number(o, "slots", 1024, &slots, &error) < 0
        || options_milli(o, "cpu", &config->cpu_milli, &error) < 0
        || options_bytes(o, "memory", &config->memory_bytes, &error) < 0
        || options_bytes(o, "quota", &config->quota_bytes, &error) < 0
        || (listen && address_parse(listen, &address, &error) < 0))
        return cli_usage("%s", error.text);
    config->slots_max = (uint32_t)slots;
    config->socket = options_text(o, "socket");
    config->listen = listen;
    config->is_inspect = options_has(o, "inspect");
    config->is_quiet = !options_has(o, "dev");
    return 0;
}

/* The node that holds the store, unless it only shows it and will be gone. What it
 * refuses, as it does a task, was said: then the exit code. */
static int ask_holder(const char *dir, struct client **ret, bool *ret_is_going)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = NULL;
    int r;

    if (asprintf(&path, "%s/mesh.sock", dir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = client_connect(path, &c);
    if (r == 0)
        r = client_get_json(c, "/v1/node", &json);
    if (r)
        return r == CLI_NO_NODE ? -ECONNREFUSED : r;
    *ret_is_going = json_is_true(json_object_get(json, "is_inspect"));
    if (!*ret_is_going)
        *ret = TAKE(c);
    return 0;
}

int local_open(const struct options *o, const char *dir, struct runtime **ret_runtime,
               struct client **ret_client)
{
    struct runtime_config config = { .dir = dir };
    struct timespec pause = { .tv_nsec = RETRY_PAUSE_NS };
    struct error error = { .text = "" };
    bool is_going = false;
    int pid = 0, asked, r = node_config(o, &config);

    if (r)
        return r;
    for (int i = 0; i < RETRIES_MAX; i++) {
        error.text[0] = '\0';
        r = runtime_open(&config, ret_runtime, &pid, &error);
        if (r != -EBUSY || config.is_inspect)
            break;
        asked = i % ASK_EVERY == 0 ? ask_holder(dir, ret_client, &is_going) : 0;
        if (asked > 0 || *ret_client)
            return asked;
        nanosleep(&pause, NULL);
    }
    if (r == 0)
        return 0;
    if (r == -EBUSY)
        cli_say("process %d holds the store in %s%s", pid, dir,
                config.is_inspect ? "" : " and does not answer");
    else
        cli_failed(r, &error);
    return CLI_NO_NODE;
}

/* ---- following ---- */

static void count_step(struct local *l, struct progress *p, uint32_t step,
                       bool with_waits)
{
    const struct node *node = runtime_node(l->rt);
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;
    struct step_view v;

    if (!node_step_of(node, &l->run, step, &v))
        return;
    progress_count(p, step,
                   &(struct progress_counts){ .known = v.n_known,
                                              .done = v.n_done,
                                              .running = v.n_running,
                                              .failed = v.n_failed,
                                              .ready = v.n_ready,
                                              .skipped = v.n_skipped });
    if (with_waits)
        progress_waits(p, step,
                       node_why_waiting(node, &l->run, step, &why) ? buffer_text(&why)
                                                                   : NULL);
}

/* What the node knows, for the live view. */
static void count(void *arg, struct progress *p)
{
    struct local *l = arg;
    struct run_view view;
    bool with_waits = cli_now() >= l->waits_told + TIME_MS(WAITS_MS);

    if (!node_run(runtime_node(l->rt), &l->run, &view))
        return;
    p->started = view.started_wall;
    p->is_stopping = view.state == RUN_STATE_STOPPING;
    p->n_adopted = view.n_adopted;
    for (uint32_t i = 0; i < p->n_steps; i++)
        count_step(l, p, i, with_waits);
    if (with_waits)
        l->waits_told = cli_now();
}

static int begin_progress(struct local *l)
{
    CLEANUP(freep) const char **names = NULL;
    struct run_view view;

    if (!watch_is_live(l->watch) || !node_run(runtime_node(l->rt), &l->run, &view))
        return 0;
    names = calloc(view.flow->n_all_steps + 1, sizeof(*names));
    if (!names)
        return -ENOMEM;
    for (uint32_t i = 0; i < view.flow->n_all_steps; i++)
        names[i] = view.flow->steps[i].name;
    return progress_begin(watch_progress(l->watch), view.record->flow_name, l->number,
                          names, view.flow->n_all_steps);
}

/* The terminal may have gone. */
static void stop_keys(struct local *l)
{
    if (watch_keys_fd(l->watch) < 0 && uv_is_active((uv_handle_t *)&l->keys))
        uv_poll_stop(&l->keys);
}

static void draw(struct local *l)
{
    watch_frame(l->watch, cli_now());
    stop_keys(l);
}

static void on_frame(uv_timer_t *timer)
{
    draw(timer->data);
}

/* Before the loop waits: what there is to show is shown at once, but not more often
 * than the watch likes. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct local *l = prepare->data;
    time_us due = watch_due(l->watch), now;

    if (due == TIME_NEVER)
        return;
    now = cli_now();
    if (now >= due)
        draw(l);
    due = watch_due(l->watch);
    if (due != TIME_NEVER)
        uv_timer_start(&l->frame, on_frame, due > now ? (due - now + 999) / 1000 : 0,
                       0);
}

static void on_linger(uv_timer_t *timer)
{
    runtime_stop(((struct local *)timer->data)->rt);
}

static void stop_when_done(struct local *l)
{
    if (!l->has_ended || node_runs(runtime_node(l->rt)))
        return;
    if (l->has_company)
        uv_timer_start(&l->linger, on_linger, LINGER_MS, 0);
    else
        runtime_stop(l->rt);
}

static void say_company(struct local *l)
{
    const struct node *node = runtime_node(l->rt);
    size_t n = node_runs(node);
    struct run_view view;

    if (n == 0)
        return;
    l->has_company = true;
    watch_hide(l->watch);
    for (size_t i = 0; i < n && node_run_at(node, i, &view); i++)
        cli_say("run %" PRIu64 " of %s goes on in this node", view.record->number,
                view.record->flow_name);
    cli_hint("the node ends with the last of them; Ctrl-C cancels them");
}

/* In place of the block: what it came to. */
static void end_view(struct local *l)
{
    bool was_live = watch_is_live(l->watch) && !watch_is_quiet(l->watch);

    watch_end(l->watch);
    stop_keys(l);
    if (was_live && !watch_is_gone(l->watch))
        local_say_end(l->rt, &l->run, l->flow);
}

static void on_event(void *arg, const struct feed_event *e)
{
    struct local *l = arg;

    if (run_id_equal(&e->run, &l->run)) {
        watch_event(l->watch, e);
        if (e->type == FEED_RUN_ENDED) {
            l->has_ended = true;
            l->outcome = e->outcome;
            end_view(l);
            say_company(l);
        }
    } else {
        l->has_company = true;
    }
    if (e->type == FEED_RUN_ENDED)
        stop_when_done(l);
}

/* ---- Ctrl-C ---- */

static void cancel_all(struct local *l)
{
    struct run_view view;
    size_t n = node_runs(runtime_node(l->rt));
    struct run_id *ids = calloc(n + 1, sizeof(*ids));

    for (size_t i = 0; ids && i < n; i++)
        if (node_run_at(runtime_node(l->rt), i, &view))
            ids[i] = view.id;
    for (size_t i = 0; ids && i < n; i++)
        runtime_cancel(l->rt, &ids[i]);
    free(ids);
}

static void interrupt(struct local *l)
{
    watch_hide(l->watch);
    if (++l->interrupts > 2) {
        runtime_stop(l->rt);
    } else if (l->has_ended) {
        cli_say("cancelling the other runs");
        cancel_all(l);
    } else {
        if (l->interrupts == 1)
            cli_say("cancelling run %" PRIu64 "; once more kills it", l->number);
        else
            cli_say("killing run %" PRIu64, l->number);
        runtime_cancel(l->rt, &l->run);
    }
}

static void on_signal(uv_signal_t *handle, int signal)
{
    struct local *l = handle->data;

    /* Shells and kernels send more than one of these: it never kills. */
    if (signal != SIGHUP || !l->interrupts)
        interrupt(l);
}

static void on_terminal_signal(uv_signal_t *handle, int signal)
{
    struct local *l = handle->data;

    if (signal == SIGTSTP)
        watch_stop(l->watch);
    else if (signal == SIGCONT)
        watch_continue(l->watch);
    draw(l);
}

static void on_keys(uv_poll_t *poll, int status, int events)
{
    struct local *l = poll->data;

    (void)status, (void)events;
    if (watch_keys(l->watch, cli_now()) == WATCH_CANCEL)
        interrupt(l);
    stop_keys(l);
}

/* As nohup leaves it. SIGINT is ignored by whatever a script starts with `&`, which
 * wants to be ended by it all the same. */
static bool is_ignored_hangup(int signal)
{
    struct sigaction action;

    return signal == SIGHUP && sigaction(signal, NULL, &action) == 0
           && action.sa_handler == SIG_IGN;
}

static void catch_signal(struct local *l, uv_signal_t *handle, int signal,
                         uv_signal_cb callback)
{
    uv_signal_init(runtime_loop(l->rt), handle);
    handle->data = l;
    if (callback && !is_ignored_hangup(signal))
        uv_signal_start(handle, callback, signal);
}

static void start_loop(struct local *l)
{
    uv_loop_t *loop = runtime_loop(l->rt);
    int keys = watch_keys_fd(l->watch);
    uv_signal_cb terminal = watch_is_live(l->watch) ? on_terminal_signal : NULL;

    catch_signal(l, &l->on_int, SIGINT, on_signal);
    catch_signal(l, &l->on_term, SIGTERM, on_signal);
    catch_signal(l, &l->on_hup, SIGHUP, on_signal);
    catch_signal(l, &l->on_stop, SIGTSTP, terminal);
    catch_signal(l, &l->on_continue, SIGCONT, terminal);
    catch_signal(l, &l->on_resize, SIGWINCH, terminal);
    uv_prepare_init(loop, &l->prepare);
    uv_timer_init(loop, &l->frame);
    uv_timer_init(loop, &l->linger);
    l->prepare.data = l->frame.data = l->linger.data = l->keys.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    if (keys >= 0 && uv_poll_init(loop, &l->keys, keys) == 0)
        uv_poll_start(&l->keys, UV_READABLE, on_keys);
}

/* ---- submitting ---- */

static int keep_package(struct runtime *rt, const struct flow_file *s,
                        struct digest *ret_id)
{
    CLEANUP(tree_release) struct tree tree = { .n = 0 };
    CLEANUP(freep) char **paths = package_paths(&s->package);
    struct error error = { .text = "" };
    int r = paths ? -ESTALE : -ENOMEM;

    for (int i = 0; r == -ESTALE && i < KEEP_TRIES; i++)
        r = tree_keep(runtime_blobs(rt), s->dir, paths, s->package.n, false,
                      PACKAGE_BYTES_MAX, &tree, &error);
    if (r == 0)
        r = tree_put(runtime_blobs(rt), &tree, ret_id);
    if (r == 0)
        return 0;
    if (error.text[0])
        cli_say("the code cannot be kept: %s", error.text);
    else
        cli_say("the code in %s cannot be kept: %s", s->dir, strerror(-r));
    return CLI_FAILED;
}

static int submit(struct local *l, struct order *order)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct flow_file *s = order->file;
    struct error error = { .text = "" };
    struct submission submission = {
        .flow_text = s->text,
        .flow_text_len = s->len,
        .flow = s->flow,
        .flow_path = s->full_path,
        .package = &order->package,
        .parameters = s->parameters,
        .n_parameters = s->n_parameters,
        .tags = order->tags,
        .user = order_user(),
        .max_workers = order->max_workers,
        .on_failure = order->on_failure,
        .clamp = order->clamp,
        .origin = order->has_origin ? &order->origin : NULL,
        .origin_step = order->origin_step,
    };
    struct blobs *blobs = runtime_blobs(l->rt);
    struct blobs_hold hold = { .since = 0 };
    int r;

    blobs_hold_begin(blobs, &hold); /* no record names the package yet */
    r = order->has_package ? 0 : keep_package(l->rt, s, &order->package);
    if (r) {
        blobs_hold_end(blobs, &hold);
        return r;
    }
    r = runtime_submit(l->rt, &submission, &l->run, &l->number, &d, &error);
    blobs_hold_end(blobs, &hold);
    diagnostics_excerpts(&d, s->text, s->len);
    flow_file_say(s, &d);
    if (r == 0)
        return 0;
    if (r != -EINVAL || !diagnostics_errors(&d))
        cli_failed(r, &error);
    return r == -EINVAL ? CLI_USAGE : r == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED;
}

static void say_restored(struct local *l)
{
    struct run_view view;

    for (size_t i = 0; node_run_at(runtime_node(l->rt), i, &view); i++) {
        l->has_company = true;
        cli_say("run %" PRIu64 " of %s was interrupted and goes on in this node",
                view.record->number, view.record->flow_name);
    }
}

static int exit_code(const struct local *l, int r)
{
    if (!l->has_ended)
        return r < 0 ? CLI_FAILED : CLI_CANCELLED;
    return l->outcome == RUN_OK          ? CLI_OK
           : l->outcome == RUN_CANCELLED ? CLI_CANCELLED
                                         : CLI_FAILED;
}

int local_run(struct runtime *take_runtime, struct order *order,
              const struct options *o)
{
    CLEANUP(runtime_closep) struct runtime *rt = take_runtime;
    struct local l = { .rt = rt };
    CLEANUP(watch_freep)
    struct watch *watch =
        watch_new(o, &(struct watch_source){
                         .count = count, .arg = &l, .is_owner = true });
    struct run_view view;
    bool is_over;
    int r;

    if (!watch)
        return cli_failed(-ENOMEM, NULL);
    l.watch = watch;
    l.flow = order->file->flow;
    say_restored(&l);
    /* Writing to a console that went away must not end the run. */
    signal(SIGPIPE, SIG_IGN);
    r = submit(&l, order);
    if (r)
        return r;
    is_over = !node_run(runtime_node(rt), &l.run, &view);
    order_say_adopted(order, is_over ? 0 : view.n_adopted, is_over);
    start_loop(&l);
    if (begin_progress(&l) < 0
        || !feed_subscribe(runtime_feed(rt), NULL, FEED_SINCE_OLDEST, on_event, &l))
        return cli_failed(-ENOMEM, NULL);
    r = runtime_run(rt);
    watch_end(watch);
    watch_frame(watch, cli_now());
    if (r < 0)
        cli_hint("the run goes on when a node is started on this store again");
    r = exit_code(&l, r);
    runtime_close(TAKE(rt)); /* its handles are in l */
    return r;
}

/* ---- a node that stays ---- */

static void on_stop_signal(uv_signal_t *handle, int signal)
{
    (void)signal;
    runtime_stop(handle->data);
}

int local_serve(struct runtime *take_runtime)
{
    struct runtime *rt = take_runtime;
    uv_signal_t on_int, on_term;
    int r;

    signal(SIGPIPE, SIG_IGN);
    uv_signal_init(runtime_loop(rt), &on_int);
    uv_signal_init(runtime_loop(rt), &on_term);
    on_int.data = on_term.data = rt;
    uv_signal_start(&on_int, on_stop_signal, SIGINT);
    uv_signal_start(&on_term, on_stop_signal, SIGTERM);
    r = runtime_run(rt);
    runtime_close(rt); /* its handles are here */
    return r < 0 ? CLI_FAILED : CLI_OK;
}
