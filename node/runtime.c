/* SPDX-License-Identifier: Apache-2.0 */
#include "node/runtime_internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "node/machine.h"
#include "node/runtime_mesh.h"

enum {
    GRACE_DEFAULT_S = 30,
    FILES_OF_A_SLOT = 10,
    FILES_BESIDE_SLOTS = 512,
    FILES_OF_PEERS = 4 * PEERS_MAX + PEERS_STRANGERS_MAX,
};

/* ---- small services ---- */

time_us runtime_now(const struct runtime *rt)
{
    (void)rt;
    return uv_hrtime() / 1000;
}

time_us runtime_wall(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (time_us)t.tv_sec * 1000000 + (time_us)t.tv_nsec / 1000;
}

void runtime_random(struct runtime *rt, void *data, size_t len)
{
    assert(len <= sizeof(rt->random));
    if (rt->random_left < len) {
        /* Blocks only before the machine has gathered its first randomness. */
        while (getrandom(rt->random, sizeof(rt->random), 0) != sizeof(rt->random))
            ;
        rt->random_left = sizeof(rt->random);
    }
    rt->random_left -= len;
    memcpy(data, rt->random + rt->random_left, len);
    explicit_bzero(rt->random + rt->random_left, len);
}

void runtime_token(struct runtime *rt, char *ret)
{
    uint8_t token[(SLOT_TOKEN_SIZE - 1) / 2];

    runtime_random(rt, token, sizeof(token));
    hex_text(token, sizeof(token), ret);
}

void runtime_log(const struct runtime *rt, const char *id, const char *format, ...)
{
    va_list args;
    char text[1024];

    if (rt->config.is_quiet)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "%s %s\n", id, text);
}

void runtime_give_up(struct runtime *rt, int error, const char *what)
{
    if (rt->result == 0) {
        rt->result = error;
        fprintf(stderr,
                "mesh: %s: %s; what was running goes on when the node is "
                "started again\n",
                what, strerror(-error));
    }
    runtime_stop(rt);
}

struct run_context *runtime_context(struct runtime *rt, const struct run_id *run)
{
    struct run_context *c;

    HASH_FIND(hh, rt->runs, run, sizeof(*run), c);
    return c;
}

/* ---- what the node gives away ---- */

static void add_custom(struct runtime *rt)
{
    const struct conf *c = rt->config.conf;

    for (uint32_t i = 0; c && i < c->n_custom; i++) {
        rt->custom_names[i] = c->custom[i].name;
        rt->capacity.custom[i].name = i;
        rt->capacity.custom[i].milli = c->custom[i].milli;
        rt->capacity.n_custom++;
    }
}

static void measure_machine(struct runtime *rt)
{
    const struct conf *c = rt->config.conf;
    struct statvfs disk;

    rt->capacity = (struct resources){ .cpu_milli = rt->config.cpu_milli,
                                       .memory_bytes = rt->config.memory_bytes };
    if (!rt->capacity.cpu_milli)
        rt->capacity.cpu_milli = machine_cpu_milli();
    if (!rt->capacity.memory_bytes)
        rt->capacity.memory_bytes = machine_memory_bytes();
    rt->config.n_gpus = c && c->has_gpus ? c->n_gpus : machine_gpus();
    rt->capacity.gpu_milli = UINT64_C(1000) * rt->config.n_gpus;
    if (statvfs(rt->dir, &disk) == 0)
        rt->capacity.disk_bytes = (uint64_t)disk.f_bavail * disk.f_frsize;
    add_custom(rt);
    rt->config.cpu_milli = rt->capacity.cpu_milli;
    rt->config.memory_bytes = rt->capacity.memory_bytes;
    rt->config.slots_max = rt->n_slots;
}

/* ---- events in, actions out ---- */

void runtime_queue(struct runtime *rt, const struct event *event)
{
    if (rt->event_head + rt->n_events == rt->events_cap) {
        size_t cap = rt->events_cap ? 2 * rt->events_cap : 64;
        struct event *events = malloc(cap * sizeof(*events));

        if (!events) {
            runtime_give_up(rt, -ENOMEM, "out of memory");
            return;
        }
        if (rt->n_events)
            memcpy(events, rt->events + rt->event_head, rt->n_events * sizeof(*events));
        free(rt->events);
        rt->events = events;
        rt->events_cap = cap;
        rt->event_head = 0;
    }
    rt->events[rt->event_head + rt->n_events++] = *event;
}

/* The slot that still holds what a tell is about. */
static struct slot *slot_of(struct runtime *rt, const struct action *a)
{
    if (a->u.tell.type != TELL_TASK_STARTED && a->u.tell.type != TELL_TASK_ENDED)
        return NULL;
    return a->slot < rt->n_slots ? rt->slots[a->slot] : NULL;
}

/* What is told when a majority knows it may be about a slot that has another task by
 * then. */
static struct slot *slot_of_still(struct runtime *rt, const struct action *a)
{
    struct slot *s = slot_of(rt, a);

    return s && s->run && run_id_equal(&s->run->id, &a->run)
                   && task_id_equal(&s->task, &a->task) && s->attempt == a->attempt
               ? s
               : NULL;
}

static void count_end(struct runtime *rt, const struct action *a,
                      const struct attempt_record *end)
{
    struct counters *c = &rt->counters;

    c->tasks_ended[a->u.tell.verdict % COUNTED_VERDICTS]
                  [a->u.tell.reason % COUNTED_REASONS]++;
    c->tasks_retried += a->u.tell.is_retried;
    if (end && end->ended_wall >= end->started_wall)
        histogram_add(&c->task_time, histogram_long_bounds,
                      end->ended_wall - end->started_wall);
}

void runtime_tell_start(struct runtime *rt, const struct slot *s, uint64_t ticket)
{
    struct feed_event e = { .type = FEED_TASK_STARTED,
                            .wall = runtime_wall(),
                            .run = s->run->id,
                            .number = s->run->number,
                            .task = s->task,
                            .attempt = s->attempt,
                            .pid = (uint32_t)s->pid,
                            .started_wall = s->started_wall,
                            .step = s->flow->steps[s->task.step].name };

    rt->counters.tasks_started++;
    if (feed_publish(rt->feed, &e, ticket) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

/* The end of an attempt, which is the slot's, or has been kept. */
static void fill_end(struct runtime *rt, const struct action *a,
                     const struct attempt_record *end, struct feed_event *e)
{
    e->verdict = a->u.tell.verdict;
    e->reason = a->u.tell.reason;
    e->is_retried = a->u.tell.is_retried;
    e->retry_in_us = a->u.tell.retry_in_us;
    count_end(rt, a, end);
    if (!end)
        return;
    e->pid = end->pid;
    e->started_wall = end->started_wall;
    e->exit_code = end->exit_code;
    e->signal = end->signal;
    e->message = end->message;
}

static void publish(struct runtime *rt, const struct action *a)
{
    CLEANUP(attempt_record_release) struct attempt_record kept = { .attempt = 0 };
    struct run_context *c = runtime_context(rt, &a->run);
    struct slot *slot = rt->mesh ? slot_of_still(rt, a) : slot_of(rt, a);
    char node[MEMBER_NAME_MAX + 1];
    struct feed_event e = {
        .wall = runtime_wall(), .run = a->run, .task = a->task, .attempt = a->attempt
    };

    if (!c)
        return;
    e.number = c->number;
    if (slot) {
        e.pid = (uint32_t)slot->pid;
        e.started_wall = slot->started_wall;
    }
    if (a->u.tell.type == TELL_TASK_STARTED || a->u.tell.type == TELL_TASK_ENDED)
        e.step = c->flow->steps[a->task.step].name;
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
        e.type = FEED_RUN_STARTED;
        e.flow = c->flow->name;
        rt->counters.runs_started++;
        break;
    case TELL_TASK_STARTED:
        if (slot && (slot->state == SLOT_STARTING || slot->state == SLOT_FETCHING)) {
            slot->has_start_told = true;
            slot->start_ticket = a->ticket;
        }
        if (slot && slot->state == SLOT_RUNNING)
            runtime_tell_start(rt, slot, a->ticket);
        if (!rt->mesh || a->slot < rt->n_slots)
            return; /* one that could not be started has an end that says so */
        e.type = FEED_TASK_STARTED;
        e.node = runtime_mesh_node_of_lease(rt, a->slot, node);
        rt->counters.tasks_started++;
        break;
    case TELL_TASK_ENDED:
        e.type = FEED_TASK_ENDED;
        if (rt->mesh)
            e.node = runtime_mesh_read_attempt(rt, a, &kept, node);
        fill_end(rt, a,
                 rt->mesh ? (kept.reason ? &kept : NULL)
                 : slot   ? &slot->record
                          : NULL,
                 &e);
        break;
    case TELL_RUN_REFUSED:
        e.type = FEED_RUN_ENDED;
        e.outcome = RUN_CANCELLED;
        e.message = "no majority of its homes took it: submit it again";
        break;
    case TELL_RUN_ENDED:
        if (rt->mesh)
            runtime_mesh_read_end(rt, &a->run);
        e.type = FEED_RUN_ENDED;
        e.outcome = a->u.tell.outcome;
        rt->counters.runs_ended[e.outcome % COUNTED_OUTCOMES]++;
        e.message = rt->last_end.message;
        e.started_wall = rt->last_end.started_wall;
        break;
    case TELL_TASK_TORN:
        if (rt->mesh)
            runtime_mesh_carry_out(rt, a);
        else
            runtime_stale(rt, &a->run, &a->task);
        return;
    case TELL_RUN_TORN:
        runtime_queue(rt, &(struct event){ .type = EVENT_TORN, .run = a->run });
        return;
    case TELL_RUN_NUMBERED:
        e.type = FEED_RUN_NUMBERED;
        e.number = c->number = a->u.tell.number;
        e.flow = c->flow->name;
        break;
    }
    if (feed_publish(rt->feed, &e, a->ticket) < 0)
        runtime_give_up(rt, -ENOMEM, "out of memory");
}

static void carry_out(struct runtime *rt, const struct action *a)
{
    switch (a->type) {
    case ACTION_START:
        runtime_start_task(rt, a);
        break;
    case ACTION_KILL:
        runtime_kill_task(rt, a);
        break;
    case ACTION_FENCED:
        runtime_fenced(rt, a);
        break;
    case ACTION_PERMIT:
        runtime_permit(rt, a);
        break;
    case ACTION_PERSIST:
        if (rt->mesh)
            runtime_mesh_persist(rt, a);
        else
            runtime_persist(rt, a);
        break;
    case ACTION_TELL:
        publish(rt, a);
        if (a->u.tell.type == TELL_RUN_ENDED || a->u.tell.type == TELL_RUN_REFUSED)
            runtime_forget_run(rt, &a->run);
        break;
    default: /* of a node with others */
        runtime_mesh_carry_out(rt, a);
        break;
    }
}

void runtime_carry_out(struct runtime *rt)
{
    for (size_t i = 0; i < rt->outbox.n; i++)
        carry_out(rt, &rt->outbox.actions[i]);
}

static void step_node(struct runtime *rt, const struct event *event)
{
    int r = node_step(rt->own_node, event, &rt->outbox);

    if (r < 0) {
        runtime_give_up(rt, r, "the scheduler");
        return;
    }
    runtime_carry_out(rt);
    outbox_clear(&rt->outbox);
}

static struct slot *ended_by(const struct runtime *rt, const struct event *event)
{
    return event->type == EVENT_TASK_ENDED   ? rt->slots[event->u.ended.slot]
           : event->type == EVENT_INPUT_GONE ? rt->slots[event->u.lease]
                                             : NULL;
}

static void step(struct runtime *rt, const struct event *event)
{
    struct slot *ended = ended_by(rt, event);

    if (ended)
        ended->state = SLOT_TOLD;
    if (ended && ended->is_guest && event->type == EVENT_TASK_ENDED)
        runtime_mesh_made(rt, ended);
    if (rt->mesh)
        runtime_mesh_step(rt, &(struct mesh_event){ .type = MESH_EVENT_NODE,
                                                    .u.node = *event });
    else
        step_node(rt, event);
    if (ended && ended->state == SLOT_TOLD)
        runtime_free_slot(rt, ended);
    if (event->type == EVENT_UNDO || event->type == EVENT_STALE)
        runtime_undo_told(event);
    if (event->type == EVENT_TORN && !rt->mesh)
        runtime_read_again(rt, &event->run);
}

static void on_deadline(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;

    rt->deadline_set = TIME_NEVER;
    if (rt->mesh)
        runtime_mesh_event(rt, &(struct mesh_event){ .type = MESH_EVENT_TICK });
    else
        runtime_event(rt, &(struct event){ .type = EVENT_TICK });
}

static void set_deadline(struct runtime *rt)
{
    time_us at = rt->mesh ? runtime_mesh_deadline(rt) : node_deadline(rt->node);
    time_us now;

    if (at == rt->deadline_set)
        return;
    rt->deadline_set = at;
    if (at == TIME_NEVER) {
        uv_timer_stop(&rt->deadline);
        return;
    }
    now = runtime_now(rt);
    uv_update_time(&rt->loop);
    uv_timer_start(&rt->deadline, on_deadline,
                   rt->mesh   ? runtime_timeout(now, at)
                   : at > now ? (at - now + 999) / 1000
                              : 0,
                   0);
}

void runtime_event(struct runtime *rt, const struct event *event)
{
    runtime_queue(rt, event);
    runtime_drain(rt);
}

static void drain_events(struct runtime *rt)
{
    while (rt->n_events) {
        struct event e = rt->events[rt->event_head++];

        rt->n_events--;
        if (rt->n_events == 0)
            rt->event_head = 0;
        e.now = runtime_now(rt);
        e.wall = runtime_wall();
        step(rt, &e);
    }
}

void runtime_drain(struct runtime *rt)
{
    do
        drain_events(rt);
    while (rt->mesh && runtime_mesh_work(rt));
    set_deadline(rt);
}

struct removal {
    uv_work_t work;
    char *path;
};

/* Starting a thread for it costs more than removing a few files. */
enum { REMOVED_AT_ONCE_MAX = 64 };

static void remove_in_thread(uv_work_t *work)
{
    remove_tree(((struct removal *)work->data)->path);
}

static void after_removal(uv_work_t *work, int status)
{
    struct removal *r = work->data;

    (void)status;
    free(r->path);
    free(r);
}

static void remove_code(struct runtime *rt, struct run_context *c)
{
    struct removal *r;

    if (c->n_files <= REMOVED_AT_ONCE_MAX) {
        remove_tree(c->code_path);
        return;
    }
    r = calloc(1, sizeof(*r));
    if (!r)
        return; /* the next node on this store removes it */
    r->work.data = r;
    r->path = TAKE(c->code_path);
    uv_queue_work(&rt->loop, &r->work, remove_in_thread, after_removal);
}

void runtime_forget_run(struct runtime *rt, const struct run_id *run)
{
    struct run_context *c = runtime_context(rt, run);

    if (!c)
        return;
    if (rt->mesh && runtime_mesh_is_used(rt, run)) {
        c->is_leaving = true;
        return;
    }
    HASH_DELETE(hh, rt->runs, c);
    runtime_warm_forget(rt, c);
    if (c->is_laid_out)
        remove_code(rt, c);
    run_context_free(c);
}

/* ---- opening and closing ---- */

static int make_folder(const char *path, struct error *ret_error)
{
    CLEANUP(freep) char *copy = NULL;

    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    copy = strdup(path);
    for (char *slash = copy; slash && (slash = strchr(slash + 1, '/'));) {
        *slash = '\0';
        mkdir(copy, 0700);
        *slash = '/';
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fail(ret_error, -errno, "cannot make the data folder %s: %s", path,
                    strerror(errno));
    return 0;
}

static int find_paths(struct runtime *rt, struct error *ret_error)
{
    char self[4096], *slash;
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int r = make_folder(rt->config.dir, ret_error);

    if (r < 0)
        return r;
    rt->dir = realpath(rt->config.dir, NULL);
    self[n > 0 ? n : 0] = '\0';
    rt->program = strdup(self);
    slash = strrchr(self, '/');
    if (slash)
        *slash = '\0';
    rt->program_dir = strdup(self);
    if (!rt->dir || !rt->program_dir || !rt->program)
        return -ENOMEM;
    if (rt->config.socket)
        rt->user_socket = strdup(rt->config.socket);
    else if (asprintf(&rt->user_socket, "%s/mesh.sock", rt->dir) < 0)
        rt->user_socket = NULL;
    if (asprintf(&rt->task_socket, "%s/task.sock", rt->dir) < 0)
        rt->task_socket = NULL;
    return rt->user_socket && rt->task_socket ? 0 : -ENOMEM;
}

/* Folders that hold what can be made again: emptied when a node starts. */
static int make_folders(struct runtime *rt, struct error *ret_error)
{
    static const char *const names[] = { "slots", "code" };

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        CLEANUP(freep) char *path = NULL;
        int r = 0;

        if (asprintf(&path, "%s/%s", rt->dir, names[i]) < 0)
            return -ENOMEM;
        if (rt->before)
            r = runtime_adopt_folders(rt, names[i], path);
        else if (!rt->config.is_inspect)
            remove_tree(path);
        if (r < 0)
            return r;
        r = make_folder(path, ret_error);
        if (r == 0 && rt->has_accounts && chmod(path, 0711) < 0)
            r = -errno;
        if (r < 0)
            return r;
    }
    return 0;
}

static time_us grace(void)
{
    const char *text = getenv("MESH_GRACE");
    double seconds = text ? strtod(text, NULL) : GRACE_DEFAULT_S;

    return seconds >= 0 && seconds < 1e6 ? (time_us)(seconds * 1e6)
                                         : TIME_S(GRACE_DEFAULT_S);
}

void runtime_node_config(struct runtime *rt, struct node_config *ret)
{
    *ret = (struct node_config){ .capacity = rt->capacity,
                                 .custom_names = rt->custom_names,
                                 .sharing =
                                     rt->config.conf ? &rt->config.conf->sharing : NULL,
                                 .slots_max = rt->n_slots,
                                 .grace_us = grace(),
                                 .is_paused = rt->config.is_inspect };
}

static int open_node(struct runtime *rt, struct error *ret_error)
{
    struct node_config config;

    rt->feed = feed_new();
    if (!rt->feed)
        return -ENOMEM;
    if (rt->config.identity && !rt->config.is_inspect)
        return runtime_mesh_open(rt, ret_error);
    runtime_node_config(rt, &config);
    rt->own_node = node_new(&config);
    rt->node = rt->own_node;
    return rt->node ? 0 : -ENOMEM;
}

static int open_parts(struct runtime *rt, int *ret_pid, struct error *ret_error)
{
    int r = accounts_check(rt->config.conf, ret_error);

    rt->has_accounts = accounts_are_used(rt->config.conf);
    if (r == 0)
        r = find_paths(rt, ret_error);
    if (r == 0)
        r = runtime_store_open(rt, ret_pid, ret_error);
    if (r == 0)
        r = make_folders(rt, ret_error);
    if (r < 0)
        return r;
    workbench_sweep(rt->dir);
    measure_machine(rt);
    if (!rt->config.is_inspect)
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    r = open_node(rt, ret_error);
    if (r == 0)
        r = runtime_tasks_open(rt, ret_error);
    if (r == 0)
        r = runtime_sockets_open(rt, ret_error);
    if (r == 0 && !rt->config.is_inspect)
        r = rt->mesh ? runtime_mesh_restore(rt, ret_error)
                     : runtime_restore(rt, ret_error);
    if (r == 0)
        runtime_restore_removals(rt);
    runtime_adopt_end(rt);
    return r;
}

/* A descriptor of the store must never be what somebody prints to. */
static void open_standard_files(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDWR); /* the lowest number that is free: fd */
}

/* Secrets of runs, and tokens, would be in it. Where cores go to a program, 0 is no
 * bound (core(5)): 1 is. */
static void forbid_cores(void)
{
    const struct rlimit least = { .rlim_cur = 1, .rlim_max = 1 };

    setrlimit(RLIMIT_CORE, &least);
}

/* A slot takes up to ten descriptors and the usual limit is 1,024 of them. Where it
 * cannot be raised there are fewer slots. */
static void allow_files(struct runtime *rt)
{
    const rlim_t wanted = FILES_BESIDE_SLOTS + FILES_OF_A_SLOT * rt->n_slots
                          + (rt->config.identity ? FILES_OF_PEERS : 0);
    struct rlimit files, raised;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= wanted)
        return;
    raised = files;
    raised.rlim_cur = wanted < files.rlim_max ? wanted : files.rlim_max;
    if (raised.rlim_cur > files.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) == 0)
        rt->files_before = files;
    else
        raised.rlim_cur = files.rlim_cur;
    if (raised.rlim_cur >= wanted)
        return;
    rt->n_slots =
        raised.rlim_cur > FILES_BESIDE_SLOTS + FILES_OF_A_SLOT
            ? (uint32_t)((raised.rlim_cur - FILES_BESIDE_SLOTS) / FILES_OF_A_SLOT)
            : 1;
    if (rt->config.slots_max)
        runtime_log(rt, "slots.few", "n=%u: the limit of open files is %lu",
                    rt->n_slots, (unsigned long)raised.rlim_cur);
}

int runtime_open(const struct runtime_config *config, struct runtime **ret_runtime,
                 int *ret_pid, struct error *ret_error)
{
    struct runtime *rt = calloc(1, sizeof(*rt));
    int r;

    if (!rt)
        return -ENOMEM;
    rt->config = *config;
    rt->pid = getpid();
    rt->started_wall = runtime_wall();
    if (config->conf)
        conf_ref(rt->config.conf);
    rt->user_fd = rt->task_fd = rt->tcp_fd = rt->tasks_epoll = rt->null_fd = -1;
    rt->children_fd = -1;
    rt->deadline_set = TIME_NEVER;
    rt->n_slots = config->slots_max ? config->slots_max : SLOTS_MAX;
    if (rt->n_slots > SLOTS_MAX)
        rt->n_slots = SLOTS_MAX;
    open_standard_files();
    forbid_cores();
    runtime_adopt_open(rt);
    allow_files(rt);
    r = uv_loop_init(&rt->loop);
    if (r == 0) {
        rt->has_loop = true;
        uv_timer_init(&rt->loop, &rt->deadline);
        rt->deadline.data = rt;
        r = open_parts(rt, ret_pid, ret_error);
    }
    if (r < 0) {
        if (ret_error && !ret_error->text[0])
            fail(ret_error, r, "the node cannot be opened: %s", strerror(-r));
        runtime_close(rt);
        return r;
    }
    *ret_runtime = rt;
    return 0;
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    const struct runtime *rt = arg;

    if (!uv_is_closing(handle) && handle != (const uv_handle_t *)&rt->durable_async)
        uv_close(handle, NULL);
}

/* The writer's thread wakes the loop up to its end: its handle goes last. */
static void close_loop(struct runtime *rt)
{
    if (!rt->has_loop)
        return;
    if (rt->durable_async.data) {
        uv_close((uv_handle_t *)&rt->durable_async, NULL);
        uv_run(&rt->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&rt->loop);
}

void runtime_close(struct runtime *rt)
{
    struct run_context *c, *next;

    if (!rt)
        return;
    atomic_store(&rt->is_closing, true);
    runtime_restart_close(rt);
    runtime_sockets_close(rt);
    runtime_mesh_close(rt);
    runtime_tasks_kill(rt);
    if (rt->has_loop) {
        uv_walk(&rt->loop, close_handle, rt);
        runtime_sockets_release(rt);
        if (rt->durable_async.data)
            uv_unref((uv_handle_t *)&rt->durable_async);
        uv_run(&rt->loop, UV_RUN_DEFAULT);
    }
    runtime_tasks_close(rt);
    runtime_mesh_release(rt);
    runtime_store_close(rt);
    close_loop(rt);
    HASH_ITER (hh, rt->runs, c, next) {
        HASH_DELETE(hh, rt->runs, c);
        run_context_free(c);
    }
    runtime_bench_forget(rt);
    feed_free(rt->feed);
    audit_log_free(rt->audit.log);
    node_free(rt->own_node);
    outbox_release(&rt->outbox);
    items_release(&rt->items);
    launch_scratch_release(&rt->scratch);
    buffer_release(&rt->request);
    free(rt->events);
    free(rt->tickets.pairs);
    free(rt->fences.all);
    free(rt->dir);
    free(rt->program_dir);
    free(rt->program);
    if (rt->before)
        handover_release(rt->before);
    free(rt->before);
    free(rt->user_socket);
    free(rt->task_socket);
    conf_unref(rt->config.conf);
    free(rt);
}

int runtime_run(struct runtime *rt)
{
    rt->is_running = true;
    while (!rt->is_stopping)
        uv_run(&rt->loop, UV_RUN_DEFAULT);
    rt->is_running = false;
    return rt->result;
}

void runtime_stop(struct runtime *rt)
{
    rt->is_stopping = true;
    uv_stop(&rt->loop);
}

/* ---- for the interface ---- */

uv_loop_t *runtime_loop(struct runtime *rt)
{
    return &rt->loop;
}

const struct node *runtime_node(const struct runtime *rt)
{
    return rt->node;
}

struct feed *runtime_feed(struct runtime *rt)
{
    return rt->feed;
}

struct writer *runtime_writer(struct runtime *rt)
{
    return rt->writer;
}

struct blobs *runtime_blobs(struct runtime *rt)
{
    return rt->blobs;
}

const struct artifacts *runtime_artifacts(struct runtime *rt)
{
    return &rt->artifacts;
}

const struct runtime_config *runtime_configuration(const struct runtime *rt)
{
    return &rt->config;
}

const struct counters *runtime_counters(const struct runtime *rt)
{
    return &rt->counters;
}
