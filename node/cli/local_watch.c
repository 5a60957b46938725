/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>

#include "node/cli/local.h"

enum {
    WAITS_MS = 500,  /* between two looks at why steps wait */
    WAITS_MAX = 100, /* steps of which it is asked */
    LINGER_MS = 200, /* who follows another run over the socket is told its end */
};

/* ---- what there is to show ---- */

/* True when it was asked why the step waits. */
static bool count_step(struct local *l, struct progress *p, uint32_t step,
                       bool with_waits)
{
    const struct node *node = runtime_node(l->rt);
    CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;
    struct step_view v;
    bool is_over;

    if (!node_step_of(node, &l->run, step, &v))
        return false;
    progress_count(p, step,
                   &(struct progress_counts){ .known = v.n_known,
                                              .done = v.n_done,
                                              .running = v.n_running,
                                              .failed = v.n_failed,
                                              .ready = v.n_ready,
                                              .skipped = v.n_skipped });
    if (!with_waits)
        return false;
    is_over = v.n_known && v.n_done + v.n_skipped >= v.n_known;
    progress_waits(p, step,
                   !is_over && node_why_waiting(node, &l->run, step, &why)
                       ? buffer_text(&why)
                       : NULL);
    return !is_over;
}

/* What the node knows, for the live view. */
void local_count(void *arg, struct progress *p)
{
    struct local *l = arg;
    struct run_view view;
    bool with_waits = cli_now() >= l->waits_told + TIME_MS(WAITS_MS);
    size_t n_waits = 0;

    if (!node_run(runtime_node(l->rt), &l->run, &view))
        return;
    p->started = view.started_wall;
    p->is_stopping = view.state == RUN_STATE_STOPPING;
    p->is_suspended = view.is_suspended;
    p->n_adopted = view.n_adopted;
    for (uint32_t i = 0; i < p->n_steps; i++)
        n_waits += count_step(l, p, i, with_waits && n_waits < WAITS_MAX);
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
    watch_progress(l->watch)->run = l->run;
    return progress_begin(watch_progress(l->watch), view.record->flow_name, l->number,
                          names, view.flow->n_all_steps);
}

static void on_keys(uv_poll_t *poll, int status, int events);

/* The terminal comes and goes: with the foreground, and for ever. */
static void poll_keys(struct local *l)
{
    int fd = watch_keys_fd(l->watch);

    if ((fd >= 0) == (bool)uv_is_active((uv_handle_t *)&l->keys))
        return;
    if (fd < 0) {
        uv_poll_stop(&l->keys);
        return;
    }
    if (!l->keys.data && uv_poll_init(runtime_loop(l->rt), &l->keys, fd) < 0)
        return;
    l->keys.data = l;
    uv_poll_start(&l->keys, UV_READABLE, on_keys);
}

static void draw(struct local *l)
{
    watch_frame(l->watch, cli_now());
    poll_keys(l);
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
    char name[RUN_NAME_SIZE];
    const struct node *node = runtime_node(l->rt);
    size_t n = node_runs(node);
    struct run_view view;

    if (n == 0)
        return;
    l->has_company = true;
    watch_hide(l->watch);
    for (size_t i = 0; i < n && node_run_at(node, i, &view); i++)
        cli_say("run %s of %s goes on in this node",
                run_name(view.record->number, &view.id, name), view.record->flow_name);
    cli_hint("the node ends with the last of them; Ctrl-C cancels them");
}

static void say_summary(struct local *l)
{
    if (l->owes_summary)
        local_say_end(l->rt, &l->run, l->flow);
    l->owes_summary = false;
}

/* In place of the block: what it came to. */
static void end_view(struct local *l)
{
    bool was_live = watch_is_live(l->watch) && !watch_is_quiet(l->watch);

    watch_end(l->watch);
    poll_keys(l);
    /* A terminal that takes nothing must not hold the other runs. */
    l->owes_summary = was_live && !watch_is_gone(l->watch);
    if (!watch_is_stuck(l->watch))
        say_summary(l);
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
    char name[RUN_NAME_SIZE];
    watch_hide(l->watch);
    if (++l->interrupts > 2) {
        runtime_stop(l->rt);
    } else if (l->has_ended) {
        cli_say("cancelling the other runs");
        cancel_all(l);
    } else {
        if (l->interrupts == 1)
            cli_say("cancelling run %s; once more kills it",
                    run_name(l->number, &l->run, name));
        else
            cli_say("killing run %s", run_name(l->number, &l->run, name));
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
    switch (watch_keys(l->watch, cli_now())) {
    case WATCH_CANCEL:
        interrupt(l);
        break;
    case WATCH_SUSPEND:
        runtime_suspend(l->rt, &l->run, !watch_progress(l->watch)->is_suspended);
        break;
    case WATCH_LEAVE:
    case WATCH_NOTHING:
        break;
    }
    poll_keys(l);
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
    l->prepare.data = l->frame.data = l->linger.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    poll_keys(l);
}

int local_watch(struct local *l)
{
    start_loop(l);
    if (begin_progress(l) < 0
        || !feed_subscribe(runtime_feed(l->rt), NULL, FEED_SINCE_OLDEST, on_event, l))
        return -ENOMEM;
    return 0;
}

void local_watch_end(struct local *l)
{
    watch_end(l->watch);
    watch_frame(l->watch, cli_now());
    watch_wait(l->watch);
    say_summary(l);
}
