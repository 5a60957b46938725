/* SPDX-License-Identifier: Apache-2.0 */
/* A task's start, and its slot before and after. */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "node/inputs.h"
#include "node/runtime_mesh.h"
#include "node/spawn.h"
#include "store/tree.h"

static int open_slot(struct runtime *rt, uint32_t index, struct error *ret_error)
{
    struct slot *s = calloc(1, sizeof(*s));
    int r;

    if (!s)
        return -ENOMEM;
    r = slot_open(s, index, rt->dir, &rt->cgroups, ret_error);
    if (r == 0) {
        r = runtime_watch_pipes(rt, s);
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

/* The code package is laid out before a run's first task. */
int runtime_lay_out_code(struct runtime *rt, struct run_context *c, struct error *why)
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
    if (r == 0 && c->has_account)
        r = account_give(&c->account, c->code_path);
    if (r < 0)
        return fail(why, r, "the code package cannot be laid out: %s",
                    why->text[0] ? why->text : strerror(-r));
    c->is_laid_out = true;
    c->n_files = t.n;
    return 0;
}

static void begin(struct runtime *rt, struct slot *s, const struct action *a,
                  struct run_context *c)
{
    slot_reset(s);
    s->run = c;
    s->flow = flow_ref(a->u.start.flow);
    s->task = a->task;
    s->attempt = a->attempt;
    s->gpus = a->u.start.gpus;
    s->is_guest = a->u.start.guest != 0;
    s->started = runtime_now(rt);
    s->started_wall = runtime_wall();
    s->log.bytes_max = s->flow->max_log_bytes;
    s->fence = a->u.start.fence;
    s->generation = s->ballot = 0;
    if (rt->mesh)
        runtime_mesh_begin(rt, s);
    runtime_token(rt, s->token);
}

void runtime_note_running(struct runtime *rt, const struct slot *s)
{
    struct running_entry *e = &rt->running.entries[s->index];

    e->run = s->run->id;
    e->task = s->task;
    e->attempt = s->attempt;
    e->pid = s->pid;
    e->is_used = 1;
}

static int spawn_in(struct runtime *rt, struct slot *s, const struct step_launch *l,
                    char **argv, int stdin_fd, char **envp, struct error *why)
{
    uint64_t memory = s->flow->steps[s->task.step].has_limits
                          ? s->flow->steps[s->task.step].resources.memory_bytes
                          : 0;
    bool by_cgroup = cgroup_slot_limit(&rt->cgroups, &s->cgroup, memory);
    struct spawn spawn = {
        .self = rt->pid,
        .path = argv == l->argv ? l->path : "/proc/self/exe",
        .argv = argv,
        .envp = envp,
        .cwd = l->work_path,
        .stdio = { stdin_fd, s->pipe_write[0], s->pipe_write[1] },
        .as = s->run->has_account ? &s->run->account : NULL,
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

/* Alone nobody else starts it, and what is left of a node is ended by the next one. */
static int spawn_guarded(struct runtime *rt, struct slot *s,
                         const struct step_launch *l, char **envp, struct error *why)
{
    CLEANUP(freep) char **argv = NULL;
    int fd = -1, r;

    if (!s->fence || !rt->mesh)
        return spawn_in(rt, s, l, l->argv, rt->null_fd, envp, why);
    r = runtime_guard_argv(l, &argv);
    if (r == 0)
        r = runtime_guard_open(rt, s, &fd);
    if (r == 0)
        r = spawn_in(rt, s, l, argv, fd, envp, why);
    if (fd >= 0)
        close(fd);
    return r;
}

/* 1: an equal task was found, and the slot's ends with what that one made. */
static int adopt_equal(struct runtime *rt, struct slot *s, struct step_launch *l,
                       struct error *why)
{
    CLEANUP(attempt_record_release) struct attempt_record equal = { .attempt = 0 };
    int r = cache_key(&rt->cache, s, l, &s->cache_key, why);

    if (r < 0)
        return r;
    blobs_hold_begin(rt->blobs, &s->hold);
    if (cache_find(&rt->cache, &s->cache_key, &equal) == 0) {
        runtime_adopt_task(rt, s, &equal);
        return 1;
    }
    blobs_hold_end(rt->blobs, &s->hold);
    s->has_cache_key = true;
    return 0;
}

int runtime_task_begins(struct runtime *rt, struct slot *s, struct error *ret_error)
{
    int r = runtime_watch(rt, s->pidfd, s->index, READY_EXIT);

    if (r < 0) {
        runtime_abandon(s);
        return fail(ret_error, r, "the process cannot be watched: %s", strerror(-r));
    }
    s->state = SLOT_RUNNING;
    runtime_note_running(rt, s);
    runtime_use_watch(rt);
    if (s->has_start_told)
        runtime_tell_start(rt, s, s->start_ticket);
    return 0;
}

static int start_plain(struct runtime *rt, struct slot *s, struct error *why)
{
    struct step_launch *l = &s->run->steps[s->task.step];
    char **envp;
    int r = launch_environment(&rt->scratch, s->run, l, s, &rt->items, &rt->artifacts,
                               &envp);

    if (r < 0)
        return fail(why, r, "the task's item cannot be read: %s", strerror(-r));
    r = spawn_guarded(rt, s, l, envp, why);
    return r < 0 ? r : runtime_task_begins(rt, s, why);
}

void runtime_start_plain(struct runtime *rt, struct slot *s)
{
    struct error why = { .text = "" };
    int r = start_plain(rt, s, &why);

    if (r < 0 && runtime_give_back(rt, s, !rt->mesh))
        return;
    if (r < 0)
        runtime_fail_task(rt, s, REASON_START, why.text[0] ? why.text : strerror(-r));
}

/* All that comes before its process. 1: there is none to start. */
static int prepare(struct runtime *rt, struct slot *s, enum reason *ret_reason,
                   struct error *why)
{
    struct step_launch *l;
    int r;

    *ret_reason = REASON_START;
    r = runtime_lay_out_code(rt, s->run, why);
    if (r == 0)
        r = launch_step(s->run, s->task.step, &l, why);
    if (r == 0 && s->flow->steps[s->task.step].has_cache) {
        *ret_reason = REASON_INPUT;
        r = adopt_equal(rt, s, l, why);
        if (r > 0)
            return r;
    }
    if (r == 0 && s->flow->steps[s->task.step].n_inputs) {
        *ret_reason = REASON_INPUT;
        r = inputs_lay_out(&rt->artifacts, s, true, why);
        if (r == 0 && s->run->has_account)
            r = account_give(&s->run->account, s->in_path);
    }
    return r;
}

void runtime_start_prepared(struct runtime *rt, struct slot *s)
{
    struct error why = { .text = "" };
    enum reason reason = REASON_START;
    const struct run_context *c = s->run;
    int r = c->has_account ? slot_give(s, c->account.uid, c->account.gid) : 0;

    if (r == 0)
        r = prepare(rt, s, &reason, &why);
    if (r < 0 && runtime_give_back(rt, s, !rt->mesh))
        return;
    if (r < 0)
        runtime_fail_task(rt, s, reason, why.text[0] ? why.text : strerror(-r));
    else if (r == 0 && (s->fence || !runtime_warm_take(rt, s)))
        runtime_start_plain(rt, s);
}

void runtime_start_task(struct runtime *rt, const struct action *a)
{
    struct run_context *c = runtime_context(rt, &a->run);
    struct error why = { .text = "" };
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
    if (rt->mesh && s->fence) {
        s->state = SLOT_FETCHING;
        s->awaits_permit = true;
        return;
    }
    if (!rt->mesh || !runtime_mesh_fetch_first(rt, s))
        runtime_start_prepared(rt, s);
}

/* A forked task may not have left its server's session yet. */
void runtime_signal_task(struct slot *s, int signal)
{
    if (signal == SIGKILL)
        cgroup_slot_kill(&s->cgroup);
    if (kill(-s->pid, signal) < 0)
        kill(s->pid, signal);
}

void runtime_kill_task(struct runtime *rt, const struct action *a)
{
    struct slot *s = runtime_slot(rt, a->slot);

    if (s && s->state == SLOT_FETCHING)
        runtime_fail_task(rt, s, a->u.kill.why, "it had not started");
    if (!s || (s->state != SLOT_RUNNING && s->state != SLOT_STARTING))
        return;
    s->kill_reason = a->u.kill.why;
    if (s->state == SLOT_STARTING)
        runtime_warm_kill(rt, s, a->u.kill.signal);
    else
        runtime_signal_task(s, a->u.kill.signal);
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
    struct run_context *left;

    runtime_warm_left(rt, s);
    if (s->hold.since)
        blobs_hold_end(rt->blobs, &s->hold);
    if (s->run && s->flow->steps[s->task.step].n_inputs)
        check_cleaned(rt, s->in_path, inputs_remove(&rt->artifacts, s));
    if (!slot_dir_is_left_clean(&s->out, wall))
        check_cleaned(rt, s->out.path, slot_dir_clean(&s->out, wall));
    if (!slot_dir_is_left_clean(&s->tmp, wall))
        check_cleaned(rt, s->tmp.path, slot_dir_clean(&s->tmp, wall));
    /* Without a group nothing proves that no survivor holds the pipes. */
    if (s->cgroup.v2_events < 0 && s->pid) {
        runtime_unwatch(rt, s->pipe_read[0]);
        runtime_unwatch(rt, s->pipe_read[1]);
        if (slot_renew_pipes(s) < 0 || runtime_watch_pipes(rt, s) < 0)
            runtime_give_up(rt, -EMFILE, "a slot's pipes cannot be made");
    }
    cgroup_slot_renew(&rt->cgroups, &s->cgroup);
    left = s->run;
    slot_reset(s);
    if (rt->mesh && left && left->is_leaving) /* alone it is gone by now */
        runtime_mesh_forget_run(rt, &left->id);
}
