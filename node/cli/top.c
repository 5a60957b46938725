/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "node/cli/board.h"
#include "node/cli/client.h"
#include "node/cli/family.h"
#include "node/cli/keys.h"
#include "node/cli/order.h"
#include "node/cli/paint.h"
#include "node/cli/progress_json.h"
#include "node/cli/terminal.h"
#include "node/cli/tty.h"

enum {
    EVERY_MS = 1000,
    ONCE_MS = 250, /* between the two looks that --once takes, for rates */
    EVERY_MAX_S = 3600,
};

static const struct option_spec top_options[] = {
    { "once", 0, NULL, "print it once and end, as without a terminal" },
    { "every", 'n', "SECONDS", "look again each SECONDS (1)" },
    { "json", 0, NULL, "print JSON; a line each time, but for --once" },
    OPTION_COLOUR,
    OPTION_SOCKET,
    OPTION_DATA,
    OPTION_HELP,
    OPTION_END,
};

struct top {
    struct client *client;
    const struct options *o;
    struct board board;
    struct tty tty;
    time_us looked, every_us;
    uint64_t cpu_us; /* of the node's family, when we last looked */
    json_t *answer;  /* {node, runs}, of --json */
    bool is_over, is_drawn;
};

static volatile sig_atomic_t is_stopped, is_continued, is_ended;

static void on_signal(int signal)
{
    if (signal == SIGTSTP)
        is_stopped = 1;
    else if (signal == SIGCONT)
        is_continued = 1;
    else if (signal != SIGWINCH)
        is_ended = 1;
}

/* ---- a look ---- */

static void read_node(struct board *b, const json_t *node)
{
    const json_t *store = json_object_get(node, "store");

    b->pid = json_number(node, "pid");
    b->slots = json_number(node, "slots");
    b->n_running = json_number(node, "n_running");
    b->cpu_milli = json_number(node, "cpu_milli");
    b->memory_bytes = json_number(node, "memory_bytes");
    b->store_bytes = json_number(store, "bytes");
    b->quota_bytes = json_number(store, "quota_bytes");
    b->disk_free_bytes = json_number(store, "disk_free_bytes");
    free(b->dir);
    b->dir = strdup(json_text(node, "dir"));
}

static void read_usage(struct top *t, time_us now)
{
    struct board *b = &t->board;
    struct family_use use;
    double passed_us = now > t->looked ? (double)(now - t->looked) : 1;

    b->has_usage = family_use((pid_t)b->pid, &use) == 0;
    if (!b->has_usage)
        return;
    b->used_bytes = use.rss_bytes;
    b->used_milli = t->looked && use.cpu_us > t->cpu_us
                        ? (uint64_t)((double)(use.cpu_us - t->cpu_us) * 1e3 / passed_us)
                        : 0;
    t->cpu_us = use.cpu_us;
}

/* ---- a mesh ---- */

static void read_state(struct board_node *n, const json_t *member, const json_t *mesh)
{
    bool is_full = json_is_true(json_object_get(mesh, "disk_full"));
    bool is_draining = json_is_true(json_object_get(member, "draining"));

    snprintf(n->state, sizeof(n->state), "%.10s%s", json_text(member, "state"),
             is_full       ? ", disk full"
             : is_draining ? ", draining"
                           : "");
}

static int read_member(struct top *t, json_t *member, time_us now)
{
    json_t *node = json_object_get(member, "node");
    const json_t *mesh = json_object_get(node, "mesh");
    const json_t *guests = json_object_get(mesh, "guests");
    const json_t *moved = json_object_get(mesh, "transferred");
    const json_t *store = json_object_get(node, "store");
    struct board_node *n = board_node(&t->board, json_text(member, "name"));

    if (!n)
        return cli_failed(-ENOMEM, NULL);
    n->is_seen = true;
    n->is_heard = json_is_object(node);
    n->slots = json_number(member, "slots");
    read_state(n, member, mesh);
    n->used = json_number(node, "slots_used");
    n->waiting = json_number(guests, "waiting") + json_number(guests, "preparing");
    n->load_milli = json_number(node, "load_milli");
    n->store_bytes = json_number(store, "bytes");
    n->disk_free_bytes = json_number(store, "disk_free_bytes");
    if (!n->is_heard)
        return CLI_OK;
    board_sample(n, json_number(node, "tasks_executed"), json_number(moved, "in_bytes"),
                 json_number(moved, "out_bytes"), now);
    json_object_set_new(node, "rate", json_real(n->rate));
    json_object_set_new(node, "in_rate", json_real(n->in_rate));
    json_object_set_new(node, "out_rate", json_real(n->out_rate));
    return CLI_OK;
}

/* Those that have left, or died, are no part of what goes on. */
static int read_members(struct top *t, time_us now)
{
    CLEANUP(json_decrefp) json_t *answer = NULL;
    json_t *member;
    size_t i;
    int r = client_get_json(t->client, "/v1/members?detail=true", &answer);

    json_array_foreach(json_object_get(answer, "members"), i, member)
    {
        if (r || json_is(member, "state", "left") || json_is(member, "state", "dead"))
            continue;
        r = read_member(t, member, now);
        json_array_append(json_object_get(t->answer, "nodes"), member);
    }
    return r;
}

/* One that ended since is no mistake. */
static int read_run(struct top *t, const char *id, time_us now)
{
    CLEANUP(freep) char *path = client_path("/v1/runs/%s", id);
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(json_decrefp) json_t *run = NULL;
    struct error error = { .text = "" };
    struct request q = { .method = "GET", .path = path };
    struct run_id run_id;
    struct board_run *r;
    int code = path ? client_request(t->client, &q, &a, &error) : -ENOMEM;

    if (code < 0)
        return client_lost(code, &error);
    run = json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
    if (a.status != 200 || !run || strcmp(json_text(run, "state"), "ended") == 0)
        return 0;
    if (run_id_parse(json_text(run, "run"), &run_id) < 0)
        return 0;
    r = board_run(&t->board, &run_id);
    if (!r || progress_read(&r->p, run) < 0)
        return cli_failed(-ENOMEM, NULL);
    r->p.number = json_number(run, "number");
    r->p.run = run_id;
    snprintf(r->state, sizeof(r->state), "%s", json_text(run, "state"));
    progress_sample(&r->p, now);
    r->is_seen = true;
    json_object_set_new(run, "rate", json_real(r->p.all.rate));
    json_array_append(json_object_get(t->answer, "runs"), run);
    return 0;
}

static int read_runs(struct top *t, const char *state, time_us now)
{
    CLEANUP(freep) char *path = client_path("/v1/runs?limit=100&state=%s", state);
    CLEANUP(json_decrefp) json_t *answer = NULL;
    const json_t *run;
    size_t i;
    int r = path ? client_get_json(t->client, path, &answer) : -ENOMEM;

    json_array_foreach(json_object_get(answer, "runs"), i, run)
    {
        if (r == 0)
            r = read_run(t, json_text(run, "run"), now);
    }
    return r;
}

static int look(struct top *t)
{
    CLEANUP(json_decrefp) json_t *node = NULL;
    time_us now = cli_now();
    int r = client_get_json(t->client, "/v1/node", &node);

    if (r)
        return r;
    read_node(&t->board, node);
    read_usage(t, now);
    json_decref(t->answer);
    t->answer = json_pack("{s:O, s:[], s:[]}", "node", node, "nodes", "runs");
    json_object_set_new(node, "used_cpu_milli",
                        json_integer((json_int_t)t->board.used_milli));
    json_object_set_new(node, "used_memory_bytes",
                        json_integer((json_int_t)t->board.used_bytes));
    if (json_object_get(node, "mesh"))
        r = read_members(t, now);
    if (r == 0)
        r = read_runs(t, "running", now);
    if (r == 0)
        r = read_runs(t, "suspended", now);
    board_drop_unseen(&t->board);
    t->looked = now;
    return r;
}

/* ---- showing ---- */

static void clock_text(char text[16])
{
    time_t now = time(NULL);
    struct tm tm;

    text[0] = '\0';
    if (localtime_r(&now, &tm))
        strftime(text, 16, "%H:%M:%S", &tm);
}

static void render(struct top *t, struct buffer *out)
{
    char clock[16];

    clock_text(clock);
    board_render(&t->board, cli_now(), clock, out);
}

static void draw(struct top *t)
{
    CLEANUP(buffer_release) struct buffer lines = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer frame = BUFFER_INIT;

    tty_flush(&t->tty);
    if (!tty_is_ready(&t->tty) || !tty_is_ours(&t->tty))
        return;
    tty_size(&t->tty, &t->board.width, &t->board.height);
    render(t, &lines);
    tty_keys_on(&t->tty);
    paint_screen(!t->is_drawn, buffer_text(&lines), &frame);
    tty_write(&t->tty, buffer_text(&frame), frame.len);
    t->is_drawn = true;
}

static void leave_screen(struct top *t)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    if (t->is_drawn)
        paint_screen_leave(&out);
    tty_write(&t->tty, buffer_text(&out), out.len);
    t->is_drawn = false;
}

static int print_once(struct top *t)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct timespec pause = { .tv_nsec = ONCE_MS * 1000000L };
    int r = look(t);

    /* Rates are between two looks. */
    if (r == 0)
        nanosleep(&pause, NULL);
    if (r == 0)
        r = look(t);
    if (r)
        return r;
    if (options_has(t->o, "json"))
        return json_print(t->answer);
    t->board.width = terminal_width(STDOUT_FILENO);
    if (!t->board.width)
        t->board.width = SIZE_MAX / 2;
    render(t, &out);
    fwrite(buffer_text(&out), 1, out.len, stdout);
    return CLI_OK;
}

/* ---- keys ---- */

static void on_key(struct top *t, int key)
{
    struct board *b = &t->board;

    if (key == 'q' || key == KEY_ESCAPE)
        t->is_over = true;
    else if (key == 'r')
        b->order = BOARD_BY_RUN;
    else if (key == 't')
        b->order = BOARD_BY_RUNNING;
    else if (key == 'd')
        b->order = BOARD_BY_RATE;
    else if (key == 'o')
        b->order = BOARD_BY_AGE;
    else if (key == 's')
        b->has_steps = !b->has_steps;
    else if (key == '?' || key == 'h')
        b->has_help = !b->has_help;
    else if (key == ' ')
        look(t);
}

static void read_keys(struct top *t)
{
    char bytes[64];
    int n = tty_read(&t->tty, bytes, sizeof(bytes));

    for (size_t at = 0, len; n > 0 && at < (size_t)n; at += len)
        on_key(t, key_read(bytes + at, (size_t)n - at, &len));
    t->is_over = t->is_over || n < 0;
}

/* Signals are blocked but while this waits. */
static void wait_for_more(struct top *t)
{
    struct pollfd p = { .fd = tty_keys_fd(&t->tty), .events = POLLIN };
    time_us due = t->looked + t->every_us, now = cli_now();
    time_us left = due > now ? due - now : 0;
    struct timespec timeout = { .tv_sec = (time_t)(left / 1000000),
                                .tv_nsec = (long)(left % 1000000) * 1000 };
    sigset_t none;

    sigemptyset(&none);
    if (ppoll(&p, 1, &timeout, &none) > 0)
        read_keys(t);
    if (is_stopped) {
        leave_screen(t);
        tty_stop(&t->tty);
        is_stopped = 0;
    }
    if (is_continued) {
        tty_keys_lost(&t->tty);
        t->is_drawn = false;
        is_continued = 0;
    }
}

static void catch_signals(void)
{
    static const int caught[] = { SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT, SIGWINCH };
    struct sigaction action = { .sa_handler = on_signal };
    sigset_t set;

    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_SIZE(caught); i++) {
        sigaddset(&set, caught[i]);
        sigaction(caught[i], &action, NULL);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
}

static int watch(struct top *t)
{
    int r = 0;

    catch_signals();
    while (r == 0 && !t->is_over && !is_ended && !t->tty.is_gone) {
        if (cli_now() >= t->looked + t->every_us)
            r = look(t);
        if (r == 0)
            draw(t);
        if (r == 0)
            wait_for_more(t);
    }
    leave_screen(t);
    tty_leave(&t->tty);
    tty_close(&t->tty);
    if (r) /* what was said of it went with the screen */
        cli_say("the node does not answer any more");
    return r;
}

static int print_lines(struct top *t)
{
    int r = look(t);

    catch_signals();
    while (r == 0 && !is_ended) {
        json_dumpf(t->answer, stdout, JSON_COMPACT);
        putchar('\n');
        if (fflush(stdout) == EOF)
            return CLI_OK;
        wait_for_more(t);
        if (!is_ended)
            r = look(t);
    }
    return r;
}

static int top(const struct options *o)
{
    struct top t = { .o = o,
                     .board = { .order = BOARD_BY_RUN,
                                .has_steps = true,
                                .has_colour = terminal_has_colour(STDOUT_FILENO),
                                .has_unicode = terminal_has_unicode() },
                     .tty = { .out = -1, .in = -1 } };
    struct error error = { .text = "" };
    uint64_t every_s;
    int r;

    if (options_number(o, "every", EVERY_MAX_S, &every_s, &error) < 0)
        return cli_usage("%s", error.text);
    t.every_us = every_s ? TIME_S(every_s) : TIME_MS(EVERY_MS);
    r = client_open(o, CLIENT_NODE, &t.client);
    if (r)
        return r;
    if (options_has(o, "json") && !options_has(o, "once"))
        r = print_lines(&t);
    else if (options_has(o, "once") || !terminal_is_smart()
             || tty_open(&t.tty, STDOUT_FILENO, STDIN_FILENO, paint_screen_restore) < 0)
        r = print_once(&t);
    else
        r = watch(&t);
    client_close(t.client);
    json_decref(t.answer);
    board_release(&t.board);
    return r;
}

const struct command command_top = {
    .name = "top",
    .summary = "watch the mesh: nodes, runs, rates and transfers",
    .about =
        "Shows what goes on now, again each second: of a mesh each node with its "
        "tasks,\n"
        "tasks a second, load, and what it gets from the others and gives them; of a\n"
        "node alone its tasks and what they use. Then each active run, with its "
        "steps:\n"
        "what is done, runs, failed and waits, tasks a second, the time left. ? tells "
        "the keys, which sort; q leaves.\n"
        "Without a terminal it prints this once.",
    .options = top_options,
    .examples = "mesh top\n"
                "mesh top --once\n"
                "mesh top --json -n 5             # a line of JSON each five seconds",
    .exits = EXITS_NODE,
    .run = top,
};
