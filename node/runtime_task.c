/* SPDX-License-Identifier: Apache-2.0 */
/* A task's way through a slot. The order at its end is a rule: kill what is left of the
 * session, reap, see that nobody lives, take the log, keep the outputs, and only then
 * tell the node. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/inputs.h"
#include "node/log.h"
#include "node/merge.h"
#include "node/outputs.h"
#include "node/process.h"
#include "node/runtime_internal.h"
#include "node/spawn.h"
#include "store/digest.h"
#include "store/tree.h"

enum {
    EVENTS_AT_ONCE = 64,
    PIPE_READ_SIZE = 64 << 10,
    PIPE_READS_AT_END = 17, /* F_SETPIPE_SZ ends at 1 MiB without privileges */
    LEAVING_POLL_MS = 1,    /* only where no cgroup tells that a tree is empty */
    HASH_THREADS = 2,
    REAP_EVERY = 64, /* exits: what is dead and ours may wait, but not pile up */
};

/* What became ready, in the low bits of the epoll datum; the slot above them. */
enum ready { READY_EXIT, READY_STDOUT, READY_STDERR, READY_EMPTY };
enum { READY_BITS = 2 };

static struct slot *slot_at(struct runtime *rt, uint32_t index)
{
    return index < rt->n_slots ? rt->slots[index] : NULL;
}

static int watch(struct runtime *rt, int fd, const struct slot *s, enum ready what)
{
    struct epoll_event e = { .events = what == READY_EMPTY ? EPOLLPRI : EPOLLIN,
                             .data.u64 = (uint64_t)s->index << READY_BITS | what };

    return epoll_ctl(rt->tasks_epoll, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

/* A child forked since may hold a copy of the descriptor: closing is not enough. */
static void unwatch(struct runtime *rt, int fd)
{
    epoll_ctl(rt->tasks_epoll, EPOLL_CTL_DEL, fd, NULL);
}

static int watch_pipes(struct runtime *rt, const struct slot *s)
{
    int r = watch(rt, s->pipe_read[0], s, READY_STDOUT);

    return r < 0 ? r : watch(rt, s->pipe_read[1], s, READY_STDERR);
}

static int open_slot(struct runtime *rt, uint32_t index, struct error *ret_error)
{
    struct slot *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    r = slot_open(s, index, rt->dir, &rt->cgroups, ret_error);
    if (r == 0) {
        r = watch_pipes(rt, s);
        if (r < 0)
            slot_release(s);
    }
    if (r < 0) {
        free(s);
        return r;
    }
    rt->slots[index] = s;
    return 0;
}

/* ---- the end ---- */

static void queue_end(struct runtime *rt, struct slot *s)
{
    const char *catch_var = s->flow->steps[s->task.step].catch_var;
    struct event e = { .type = EVENT_TASK_ENDED };

    s->record.attempt = s->attempt;
    if (s->record.reason != REASON_OK) {
        if (catch_var)
            outputs_of_failure(&s->record, catch_var);
        else
            outputs_forget(&s->record);
    }
    if (rt->running.entries)
        rt->running.entries[s->index].is_used = 0;
    s->state = SLOT_ENDED;
    s->record.pid = (uint32_t)s->pid;
    s->record.started_wall = s->started_wall;
    s->record.ended_wall = runtime_wall();
    e.u.ended.slot = s->index;
    e.u.ended.record = &s->record;
    runtime_queue(rt, &e);
}

static void set_failure(struct slot *s, enum reason reason, const char *message)
{
    s->record.reason = reason;
    free(s->record.message);
    s->record.message = message[0] ? strdup(message) : NULL;
}

/* The foreach step's artifact tells how many tasks its scope has. */
static int find_width(struct runtime *rt, struct slot *s, struct error *why)
{
    const struct foreach *f = &s->flow->steps[s->task.step].foreach;
    struct item_list list;
    int r;

    if (f->kind == FOREACH_NONE)
        return 0;
    s->record.has_width = true;
    s->record.width = f->width;
    if (f->kind != FOREACH_ARTIFACT)
        return 0;
    r = items_of_ended(&rt->artifacts, s->flow, &s->run->id, &s->task, &s->record,
                       &list, why);
    if (r < 0) {
        s->record.has_width = false;
        return r;
    }
    s->record.width = list.n;
    items_remember(&rt->items, &s->run->id, &s->task, &list);
    return 0;
}

/* The case of a switch: what `mesh next` said, else the artifact's text. */
static int find_choice(struct runtime *rt, struct slot *s)
{
    const char *by = s->flow->steps[s->task.step].switch_by;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (!by)
        return 0;
    if (s->choice) {
        s->record.choice = TAKE(s->choice);
        return 0;
    }
    for (size_t i = 0; i < s->record.n_outputs; i++) {
        const struct artifact *a = &s->record.outputs[i];
        size_t from = 0, len;

        if (strcmp(a->name, by) != 0 || a->size > BLOB_INLINE_MAX)
            continue;
        if (artifacts_read(&rt->artifacts, a, 0, a->size, &text) < 0)
            return -EIO;
        len = text.len;
        while (len && strchr(" \t\r\n", text.data[len - 1]))
            len--;
        if (len >= 2 && text.data[0] == '"' && text.data[len - 1] == '"')
            from = 1, len--; /* a JSON string */
        s->record.choice = strndup(text.data + from, len - from);
        return s->record.choice ? 0 : -ENOMEM;
    }
    return 0;
}

/* Back on the loop: what needs the store and the caches, then the node is told. */
static void conclude(struct runtime *rt, struct slot *s)
{
    const struct step *step = &s->flow->steps[s->task.step];
    struct error why = { .text = "" };
    int r;

    if (s->record.reason == REASON_OK && step->has_merge) {
        r = merge_branches(&rt->artifacts, s->flow, &s->run->id, &s->task, &s->record,
                           &why);
        if (r < 0)
            set_failure(s, REASON_MERGE, why.text);
    }
    if (s->record.reason == REASON_OK) {
        r = find_width(rt, s, &why);
        if (r < 0)
            set_failure(s, REASON_WIDTH, why.text);
    }
    if (s->record.reason == REASON_OK && find_choice(rt, s) < 0)
        set_failure(s, REASON_STORE, "the switch's artifact cannot be read");
    queue_end(rt, s);
}

/* ---- keeping outputs and the log ---- */

struct keeping {
    uv_work_t work;
    struct runtime *rt;
    struct slot *slot;
    struct outputs_job job;
    bool want_outputs;
};

/* Whose fault: of the store, or of what the task left there. */
static enum reason reason_of(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return REASON_STORE;
    default:
        return REASON_OUTPUT;
    }
}

static void keep_outputs(struct slot *s, const struct outputs_job *job)
{
    struct error why = { .text = "" };
    int r = outputs_keep(job, &s->record.outputs, &s->record.n_outputs, &why);

    if (r < 0)
        set_failure(s, reason_of(r), why.text[0] ? why.text : strerror(-r));
}

/* A log beyond LOG_INLINE_MAX is sealed as a blob; one that cannot be is lost, and the
 * record says that it was cut. */
static void keep_log(struct blobs *blobs, struct slot *s)
{
    struct log_ref *ref = &s->record.log;
    struct stat st;
    size_t done = 0;

    ref->is_truncated = s->log.is_truncated;
    ref->size = s->log.bytes;
    if (s->log.fd < 0) {
        if (!s->log.pieces.len)
            return;
        ref->inline_len = s->log.pieces.len;
        ref->inline_data = (uint8_t *)buffer_take(&s->log.pieces);
        return;
    }
    while (done < s->log.pieces.len) {
        ssize_t n =
            write(s->log.fd, s->log.pieces.data + done, s->log.pieces.len - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == s->log.pieces.len && fstat(s->log.fd, &st) == 0
        && lseek(s->log.fd, 0, SEEK_SET) == 0
        && digest_file(s->log.fd, (uint64_t)st.st_size, HASH_THREADS, &ref->blob) == 0
        && blobs_adopt_file(blobs, s->log_path, (uint64_t)st.st_size, &ref->blob) == 0)
        ref->has_blob = true;
    else
        ref->is_truncated = true;
}

static void keep_in_thread(uv_work_t *work)
{
    struct keeping *k = work->data;

    if (inputs_check(&k->rt->artifacts, k->slot) < 0)
        set_failure(k->slot, REASON_INPUT_MODIFIED,
                    "the task wrote to an input, which other tasks share");
    else if (k->want_outputs)
        keep_outputs(k->slot, &k->job);
    keep_log(k->job.blobs, k->slot);
}

static void after_keeping(uv_work_t *work, int status)
{
    struct keeping *k = work->data;
    struct runtime *rt = k->rt;
    struct slot *s = k->slot;

    (void)status;
    free(k);
    if (rt->is_stopping)
        return;
    conclude(rt, s);
    runtime_drain(rt);
}

static bool keep(struct runtime *rt, struct slot *s)
{
    struct keeping *k;
    struct outputs_job job = { .blobs = rt->blobs,
                               .step = &s->flow->steps[s->task.step],
                               .out_path = s->out.path,
                               .work_path = s->run->steps[s->task.step].work_path,
                               .types = s->types,
                               .threads = HASH_THREADS };
    bool want =
        s->record.reason == REASON_OK
        && (job.step->n_outputs || !slot_dir_is_clean(&s->out, s->started_wall));

    if (s->log.fd < 0 && s->n_links == 0 && (!want || outputs_are_small(&job))) {
        if (want)
            keep_outputs(s, &job);
        keep_log(rt->blobs, s);
        return true;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        set_failure(s, REASON_STORE, "out of memory");
        return true;
    }
    *k = (struct keeping){ .rt = rt, .slot = s, .job = job, .want_outputs = want };
    k->work.data = k;
    s->state = SLOT_KEEPING;
    uv_queue_work(&rt->loop, &k->work, keep_in_thread, after_keeping);
    return false;
}

/* ---- the exit ---- */

static void tell_log(struct runtime *rt, const struct slot *s, enum log_stream stream,
                     const char *data, size_t len)
{
    struct feed_event e = { .type = FEED_LOG,
                            .wall = runtime_wall(),
                            .run = s->run->id,
                            .number = s->run->number,
                            .task = s->task,
                            .attempt = s->attempt,
                            .pid = (uint32_t)s->pid,
                            .step = s->flow->steps[s->task.step].name,
                            .stream = stream,
                            .data = data,
                            .len = len };

    feed_publish(rt->feed, &e, 0);
}

/* Takes what a pipe holds, in at most `reads` of them: a task that writes as fast as we
 * read must not keep the loop from its timers. A read that does not fill the buffer has
 * emptied the pipe. What a survivor writes when the log is closed is thrown away. */
static void drain(struct runtime *rt, struct slot *s, enum log_stream stream, int reads)
{
    static char data[PIPE_READ_SIZE];
    ssize_t n = sizeof(data);

    while (n == sizeof(data) && reads-- > 0) {
        size_t taken;

        n = read(s->pipe_read[stream == LOG_STDERR], data, sizeof(data));
        if (n <= 0 || (s->state != SLOT_RUNNING && s->state != SLOT_LEAVING))
            continue;
        taken = slot_log_add(s, stream, runtime_now(rt) - s->started, data, (size_t)n);
        if (taken)
            tell_log(rt, s, stream, data, taken);
    }
}

/* At the end: all that a pipe may hold, however much a task has made it hold. */
static void drain_both(struct runtime *rt, struct slot *s)
{
    drain(rt, s, LOG_STDOUT, PIPE_READS_AT_END);
    drain(rt, s, LOG_STDERR, PIPE_READS_AT_END);
}

static bool is_leader(void *arg, pid_t pid)
{
    const struct runtime *rt = arg;

    for (uint32_t i = 0; i < rt->n_slots; i++)
        if (rt->slots[i] && rt->slots[i]->pidfd >= 0 && rt->slots[i]->pid == pid)
            return true;
    return false;
}

/* Orphans of a task come to us as the subreaper: when they are dead they want reaping.
 * Leaders are left alone, their exit is told by their pidfd. */
static void reap_orphans(struct runtime *rt)
{
    siginfo_t info = { 0 };

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        if (is_leader(rt, info.si_pid))
            return;
        waitid(P_PID, (id_t)info.si_pid, &info, WEXITED | WNOHANG);
        info.si_pid = 0;
    }
}

static void set_reason(struct slot *s, const siginfo_t *info)
{
    struct attempt_record *r = &s->record;
    /* Asked whatever the end was: what this attempt does not take is told of the next.
     */
    bool had_oom = s->cgroup.memory_max && cgroup_slot_had_oom(&s->cgroup);

    if (info->si_code == CLD_EXITED)
        r->exit_code = info->si_status;
    else
        r->signal = info->si_status;
    if (s->kill_reason)
        r->reason = s->kill_reason;
    else if (info->si_code == CLD_EXITED && info->si_status == 0)
        r->reason = REASON_OK;
    else if (had_oom)
        r->reason = REASON_OOM;
    else
        r->reason = info->si_code == CLD_EXITED ? REASON_EXIT : REASON_SIGNAL;
}

/* Reaps the leader. The rest of its session is killed first, while its number cannot
 * belong to anybody else. */
static void reap(struct runtime *rt, struct slot *s)
{
    siginfo_t info = { 0 };
    struct rusage used = { .ru_maxrss = 0 };

    kill(-s->pid, SIGKILL);
    syscall(SYS_waitid, P_PIDFD, s->pidfd, &info, WEXITED, &used);
    unwatch(rt, s->pidfd);
    close(s->pidfd);
    s->pidfd = -1;
    if (++rt->n_exits % REAP_EVERY == 0)
        reap_orphans(rt);
    drain_both(rt, s);
    set_reason(s, &info);
    s->record.max_rss_bytes = (uint64_t)used.ru_maxrss * 1024;
    s->record.cpu_us = (uint64_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000
                       + (uint64_t)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

static bool has_survivors(struct runtime *rt, const struct slot *s)
{
    if (s->cgroup.v2_events >= 0)
        return cgroup_slot_is_populated(&s->cgroup);
    if (kill(-s->pid, 0) == 0 || errno != ESRCH)
        return true;
    return process_kill_orphans(rt->children_fd, s->pid, s->token, is_leader, rt) > 0;
}

/* The tree is gone: nobody writes to the log or the outputs any more. */
static void finish(struct runtime *rt, struct slot *s)
{
    if (s->state == SLOT_LEAVING) {
        if (s->cgroup.v2_events >= 0)
            unwatch(rt, s->cgroup.v2_events);
        drain_both(rt, s);
        reap_orphans(rt);
    }
    if (keep(rt, s))
        conclude(rt, s);
}

static void on_leaving_timer(uv_timer_t *timer);

static void leave(struct runtime *rt, struct slot *s)
{
    s->state = SLOT_LEAVING;
    cgroup_slot_kill(&s->cgroup);
    if (s->cgroup.v2_events < 0 || watch(rt, s->cgroup.v2_events, s, READY_EMPTY) < 0)
        uv_timer_start(&rt->leaving, on_leaving_timer, LEAVING_POLL_MS, 0);
    else if (!has_survivors(rt, s)) /* it emptied before we began to watch */
        finish(rt, s);
}

static void on_exit_ready(struct runtime *rt, struct slot *s)
{
    if (s->state != SLOT_RUNNING)
        return;
    reap(rt, s);
    if (has_survivors(rt, s))
        leave(rt, s);
    else
        finish(rt, s);
}

static void on_empty_ready(struct runtime *rt, struct slot *s)
{
    if (s->state == SLOT_LEAVING && !has_survivors(rt, s))
        finish(rt, s);
}

static void on_leaving_timer(uv_timer_t *timer)
{
    struct runtime *rt = timer->data;
    bool again = false;

    for (uint32_t i = 0; i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (!s || s->state != SLOT_LEAVING)
            continue;
        reap_orphans(rt);
        if (has_survivors(rt, s)) {
            if (s->cgroup.v2_events < 0)
                kill(-s->pid, SIGKILL);
            again = true;
        } else {
            finish(rt, s);
        }
    }
    if (again)
        uv_timer_start(timer, on_leaving_timer, LEAVING_POLL_MS, 0);
    runtime_drain(rt);
}

static void on_tasks_ready(uv_poll_t *poll, int status, int events)
{
    struct runtime *rt = poll->data;
    struct epoll_event ready[EVENTS_AT_ONCE];
    int n = epoll_wait(rt->tasks_epoll, ready, EVENTS_AT_ONCE, 0);

    (void)status, (void)events;
    for (int i = 0; i < n; i++) {
        struct slot *s = slot_at(rt, (uint32_t)(ready[i].data.u64 >> READY_BITS));

        if (!s)
            continue;
        switch ((enum ready)(ready[i].data.u64 & ((1 << READY_BITS) - 1))) {
        case READY_EXIT:
            on_exit_ready(rt, s);
            break;
        case READY_STDOUT:
            drain(rt, s, LOG_STDOUT, 1);
            break;
        case READY_STDERR:
            drain(rt, s, LOG_STDERR, 1);
            break;
        case READY_EMPTY:
            on_empty_ready(rt, s);
            break;
        }
        runtime_drain(rt);
    }
    if (writer_is_full(rt->writer))
        runtime_pause_tasks(rt, true);
}

/* While the writer is behind nothing new is taken in; it wakes us when it is not. */
void runtime_pause_tasks(struct runtime *rt, bool paused)
{
    if (paused == !rt->is_polling)
        return;
    rt->is_polling = !paused;
    if (paused)
        uv_poll_stop(&rt->tasks_poll);
    else
        uv_poll_start(&rt->tasks_poll, UV_READABLE, on_tasks_ready);
}

/* ---- the start ---- */

static void cannot_start(struct runtime *rt, struct slot *s, enum reason reason,
                         const char *message)
{
    set_failure(s, reason, message);
    queue_end(rt, s);
}

/* The code package is laid out before a run's first task. */
static int lay_out_code(struct runtime *rt, struct run_context *c, struct error *why)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    int r;

    if (c->is_laid_out)
        return 0;
    r = tree_get(rt->blobs, &c->package, &t);
    if (r == 0) {
        remove_tree(c->code_path);
        r = tree_lay_out(rt->blobs, &t, c->code_path, false, why);
    }
    if (r < 0)
        return fail(why, r, "the code package cannot be laid out: %s",
                    why->text[0] ? why->text : strerror(-r));
    c->is_laid_out = true;
    return 0;
}

static void begin(struct runtime *rt, struct slot *s, const struct action *a,
                  struct run_context *c)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t token[(SLOT_TOKEN_SIZE - 1) / 2];

    slot_reset(s);
    s->run = c;
    s->flow = flow_ref(a->u.flow);
    s->task = a->task;
    s->attempt = a->attempt;
    s->started = runtime_now(rt);
    s->started_wall = runtime_wall();
    s->log.bytes_max = s->flow->max_log_bytes;
    runtime_random(rt, token, sizeof(token));
    for (size_t i = 0; i < sizeof(token); i++) {
        s->token[2 * i] = digits[token[i] >> 4];
        s->token[2 * i + 1] = digits[token[i] & 15];
    }
    s->token[SLOT_TOKEN_SIZE - 1] = '\0';
}

static void note_running(struct runtime *rt, const struct slot *s)
{
    struct running_entry *e = &rt->running.entries[s->index];

    e->run = s->run->id;
    e->task = s->task;
    e->attempt = s->attempt;
    e->pid = s->pid;
    e->is_used = 1;
}

static int spawn_in(struct runtime *rt, struct slot *s, const struct step_launch *l,
                    char **envp, struct error *why)
{
    uint64_t memory = s->flow->steps[s->task.step].has_limits
                          ? s->flow->steps[s->task.step].resources.memory_bytes
                          : 0;
    bool by_cgroup = cgroup_slot_limit(&rt->cgroups, &s->cgroup, memory);
    struct spawn spawn = {
        .path = l->path,
        .argv = l->argv,
        .envp = envp,
        .cwd = l->work_path,
        .stdio = { rt->null_fd, s->pipe_write[0], s->pipe_write[1] },
        .cgroup_dir = s->cgroup.v2_dir,
        .cgroup_procs = memory && by_cgroup ? s->cgroup.v1_procs : -1,
        .address_space_max = by_cgroup ? 0 : memory,
        .files_max = rt->files_before.rlim_cur,
        .files_hard_max = rt->files_before.rlim_max,
    };
    const char *failed_in = "";
    int r = spawn_task(&spawn, &s->pid, &s->pidfd, &failed_in);

    return r < 0 ? launch_explain(l, envp, failed_in, r, why) : 0;
}

/* Ends a process that nobody would see end. */
static void abandon(struct slot *s)
{
    cgroup_slot_kill(&s->cgroup);
    kill(-s->pid, SIGKILL);
    waitid(P_PIDFD, (id_t)s->pidfd, &(siginfo_t){ 0 }, WEXITED);
    close(s->pidfd);
    s->pidfd = -1;
}

static int launch(struct runtime *rt, struct slot *s, enum reason *ret_reason,
                  struct error *why)
{
    struct step_launch *l;
    char **envp;
    int r;

    *ret_reason = REASON_START;
    r = lay_out_code(rt, s->run, why);
    if (r == 0)
        r = launch_step(s->run, s->task.step, &l, why);
    if (r == 0 && s->flow->steps[s->task.step].n_inputs) {
        *ret_reason = REASON_INPUT;
        r = inputs_lay_out(&rt->artifacts, s, why);
    }
    if (r < 0)
        return r;
    r = launch_environment(&rt->scratch, s->run, l, s, &rt->items, &rt->artifacts,
                           &envp);
    if (r < 0)
        return fail(why, r, "the task's item cannot be read: %s", strerror(-r));
    *ret_reason = REASON_START;
    r = spawn_in(rt, s, l, envp, why);
    if (r < 0)
        return r;
    r = watch(rt, s->pidfd, s, READY_EXIT);
    if (r < 0) {
        abandon(s);
        return fail(why, r, "the process cannot be watched: %s", strerror(-r));
    }
    s->state = SLOT_RUNNING;
    note_running(rt, s);
    return 0;
}

void runtime_start_task(struct runtime *rt, const struct action *a)
{
    struct run_context *c = runtime_context(rt, &a->run);
    struct error why = { .text = "" };
    enum reason reason;
    struct slot *s;
    int r;

    assert(a->slot < rt->n_slots && c);
    if (!rt->slots[a->slot]) {
        r = open_slot(rt, a->slot, &why);
        if (r < 0) {
            runtime_give_up(rt, r, why.text[0] ? why.text : "a slot cannot be opened");
            return;
        }
    }
    s = rt->slots[a->slot];
    assert(s->state == SLOT_IDLE || s->state == SLOT_TOLD);
    if (s->state == SLOT_TOLD)
        runtime_free_slot(rt, s);
    begin(rt, s, a, c);
    r = launch(rt, s, &reason, &why);
    if (r < 0)
        cannot_start(rt, s, reason, why.text[0] ? why.text : strerror(-r));
}

void runtime_kill_task(struct runtime *rt, const struct action *a)
{
    struct slot *s = slot_at(rt, a->slot);

    if (!s || s->state != SLOT_RUNNING)
        return;
    s->kill_reason = a->u.kill.why;
    if (a->u.kill.signal == SIGKILL)
        cgroup_slot_kill(&s->cgroup);
    kill(-s->pid, a->u.kill.signal);
}

static void check_cleaned(struct runtime *rt, const char *path, int result)
{
    if (result > 0)
        runtime_log(rt, "slot.unclean", "path=%s: it was put aside", path);
    else if (result < 0)
        runtime_give_up(rt, result, "a slot's folder cannot be emptied");
}

void runtime_free_slot(struct runtime *rt, struct slot *s)
{
    time_us wall = s->started_wall;

    if (s->run && s->flow->steps[s->task.step].n_inputs)
        check_cleaned(rt, s->in_path, inputs_remove(&rt->artifacts, s));
    if (!slot_dir_is_clean(&s->out, wall))
        check_cleaned(rt, s->out.path, slot_dir_clean(&s->out, wall));
    if (!slot_dir_is_clean(&s->tmp, wall))
        check_cleaned(rt, s->tmp.path, slot_dir_clean(&s->tmp, wall));
    /* Without a group nothing proves that no survivor holds the pipes. */
    if (s->cgroup.v2_events < 0 && s->pid) {
        unwatch(rt, s->pipe_read[0]);
        unwatch(rt, s->pipe_read[1]);
        if (slot_renew_pipes(s) < 0 || watch_pipes(rt, s) < 0)
            runtime_give_up(rt, -EMFILE, "a slot's pipes cannot be made");
    }
    cgroup_slot_renew(&rt->cgroups, &s->cgroup);
    slot_reset(s);
}

/* ---- opening and closing ---- */

int runtime_tasks_open(struct runtime *rt, struct error *ret_error)
{
    char name[32];
    struct stat st;

    rt->slots = calloc(rt->n_slots, sizeof(*rt->slots));
    if (!rt->slots)
        return -ENOMEM;
    uv_timer_init(&rt->loop, &rt->leaving);
    rt->leaving.data = rt;
    if (rt->config.is_inspect)
        return 0;
    rt->tasks_epoll = epoll_create1(EPOLL_CLOEXEC);
    rt->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (rt->tasks_epoll < 0 || rt->null_fd < 0 || stat(rt->dir, &st) < 0)
        return fail(ret_error, -errno, "cannot watch tasks: %s", strerror(errno));
    /* One name for a data folder: a restart finds what the last node left. */
    snprintf(name, sizeof(name), "%" PRIx64 "-%" PRIx64, (uint64_t)st.st_dev,
             (uint64_t)st.st_ino);
    cgroups_open(&rt->cgroups, name);
    rt->children_fd = process_open_children();
    uv_poll_init(&rt->loop, &rt->tasks_poll, rt->tasks_epoll);
    rt->tasks_poll.data = rt;
    runtime_pause_tasks(rt, false);
    return 0;
}

void runtime_tasks_kill(struct runtime *rt)
{
    for (uint32_t i = 0; rt->slots && i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (s && s->pidfd >= 0)
            abandon(s);
    }
}

void runtime_tasks_close(struct runtime *rt)
{
    for (uint32_t i = 0; rt->slots && i < rt->n_slots; i++) {
        if (!rt->slots[i])
            continue;
        slot_release(rt->slots[i]);
        free(rt->slots[i]);
    }
    free(TAKE(rt->slots));
    running_close(&rt->running);
    cgroups_close(&rt->cgroups);
    if (rt->tasks_epoll >= 0)
        close(rt->tasks_epoll);
    if (rt->null_fd >= 0)
        close(rt->null_fd);
    if (rt->children_fd >= 0)
        close(rt->children_fd);
}
