/* SPDX-License-Identifier: Apache-2.0 */
/* A node in this process, for as long as its runs take. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/conf_file.h"
#include "node/cli/local.h"
#include "node/cli/membership.h"
#include "node/cli/order.h"
#include "node/runtime_audit.h"
#include "store/tree.h"

enum {
    RETRY_PAUSE_NS = 5000000, /* so that we are before one who shows it again */
    RETRIES_MAX = 2000,       /* ten seconds */
    ASK_EVERY = 200,          /* asking keeps a node that shows the store alive */
    KEEP_TRIES = 3,           /* a file that changes while it is kept */
};

/* ---- opening ---- */

static int node_config(const struct options *o, const char *dir,
                       const struct membership *m, struct runtime_config *config)
{
    const char *listen = options_text(o, "listen");
    struct error error = { .text = "" };
    struct address address;
    bool is_inspect = options_has(o, "inspect");
    struct conf *c = is_inspect ? conf_new() : NULL;
    int r = is_inspect ? 0 : conf_file_open(o, dir, &c);

    if (r)
        return r;
    if (!c)
        return cli_failed(-ENOMEM, NULL);
    if (listen && address_parse(listen, &address, &error) < 0) {
        conf_unref(c);
        return cli_usage("%s", error.text);
    }
    *config = (struct runtime_config){ .dir = dir,
                                       .socket = options_text(o, "socket"),
                                       .listen = listen,
                                       .slots_max = c->slots,
                                       .cpu_milli = c->cpu_milli,
                                       .memory_bytes = c->memory_bytes,
                                       .quota_bytes = c->quota_bytes,
                                       .conf = c,
                                       .is_inspect = is_inspect,
                                       .is_quiet = !options_has(o, "dev") };
    if (m) {
        config->identity = m->identity;
        config->peer_listen = m->listen;
        config->peer_advertise = m->advertise;
        config->is_quiet = is_inspect;
        config->may_restart = !is_inspect;
    }
    return 0;
}

/* The node that holds the store, unless it only shows it and will be gone: then its
 * process. What it refuses, as it does a task, was said: then the exit code. */
static int ask_holder(const char *dir, struct client **ret, int *ret_showing_pid)
{
    CLEANUP(client_closep) struct client *c = NULL;
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *path = NULL;
    int r;

    *ret_showing_pid = 0;
    if (asprintf(&path, "%s/mesh.sock", dir) < 0) {
        path = NULL;
        return -ENOMEM;
    }
    r = client_connect(path, &c);
    if (r == 0)
        r = client_get_json(c, "/v1/node", &json);
    if (r)
        return r == CLI_NO_NODE ? -ECONNREFUSED : r;
    if (json_is_true(json_object_get(json, "is_inspect")))
        *ret_showing_pid = (int)json_number(json, "pid");
    else
        *ret = TAKE(c);
    return 0;
}

static int open_runtime(const struct runtime_config *config, const char *dir,
                        struct runtime **ret_runtime, struct client **ret_client,
                        struct error *ret_why)
{
    struct timespec pause = { .tv_nsec = RETRY_PAUSE_NS };
    struct error error = { .text = "" };
    int pid = 0, showing_pid = 0, asked, r = 0;

    for (int i = 0; i < RETRIES_MAX; i++) {
        error.text[0] = '\0';
        r = runtime_open(config, ret_runtime, &pid, &error);
        if (r != -EBUSY || config->is_inspect)
            break;
        if (i % ASK_EVERY == 0) {
            asked = ask_holder(dir, ret_client, &showing_pid);
            if (asked > 0 || *ret_client)
                return asked;
            /* Whoever goes on asking it would keep us out. */
            if (i > 0 && showing_pid > 0)
                kill(showing_pid, SIGTERM);
        }
        nanosleep(&pause, NULL);
    }
    if (r == 0)
        return 0;
    if (r != -EBUSY && ret_why)
        fail(ret_why, r, "%s", error.text[0] ? error.text : strerror(-r));
    if (r == -EBUSY)
        cli_say("process %d holds the store in %s%s", pid, dir,
                config->is_inspect ? "" : " and does not answer");
    else
        cli_failed(r, &error);
    return CLI_NO_NODE;
}

int local_open(const struct options *o, const char *dir, const struct membership *m,
               struct runtime **ret_runtime, struct client **ret_client,
               struct error *ret_why)
{
    struct runtime_config config;
    int r = node_config(o, dir, m, &config);

    if (r)
        return r;
    r = open_runtime(&config, dir, ret_runtime, ret_client, ret_why);
    conf_unref(config.conf);
    return r;
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

/* Nobody came in: whose process this is did it. */
static void note_submission(struct local *l, const struct submission *s, int r,
                            const struct error *why)
{
    CLEANUP(freep) char *about = NULL;
    char run[RUN_ID_TEXT_SIZE] = "", from[16];
    struct audit_entry e = { .verb = s->origin ? "resume" : "submit",
                             .way = AUDIT_BY_PROCESS,
                             .verdict = r == 0 ? AUDIT_DONE : AUDIT_REFUSED,
                             .user = s->user,
                             .from = from,
                             .why = why->text };

    (void)snprintf(from, sizeof(from), "%u", getuid());
    if (r == 0)
        run_id_text(&l->run, run);
    if (asprintf(&about, "%s%sflow %s", run, *run ? ", " : "", l->flow->name) < 0)
        about = NULL;
    e.about = about;
    runtime_audit(l->rt, &e);
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
        .user = order->user ? order->user : order_user(),
        .share = order->share,
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
    note_submission(l, &submission, r, &error);
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
    char name[RUN_NAME_SIZE];
    struct run_view view;

    for (size_t i = 0; node_run_at(runtime_node(l->rt), i, &view); i++) {
        l->has_company = true;
        cli_say("run %s of %s was interrupted and goes on in this node",
                run_name(view.record->number, &view.id, name), view.record->flow_name);
    }
}

static int take_restored(struct local *l, const struct order *order)
{
    char name[RUN_NAME_SIZE];
    struct run_view view;

    if (!node_run(runtime_node(l->rt), &order->origin, &view))
        return cli_failed(-ENOENT, NULL);
    l->run = view.id;
    l->number = view.record->number;
    if (view.is_suspended)
        cli_hint("it is suspended; let it go on: mesh unsuspend %s",
                 run_name(l->number, &l->run, name));
    return 0;
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
                         .count = local_count, .arg = &l, .is_owner = true });
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
    r = order->is_restored ? take_restored(&l, order) : submit(&l, order);
    if (r)
        return r;
    is_over = !node_run(runtime_node(rt), &l.run, &view);
    if (!order->is_restored)
        order_say_adopted(order, is_over ? 0 : view.n_adopted, is_over);
    if (local_watch(&l) < 0)
        return cli_failed(-ENOMEM, NULL);
    r = runtime_run(rt);
    local_watch_end(&l);
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
