/* SPDX-License-Identifier: Apache-2.0 */
#include "simulations/checkers.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulations/oracle.h"

void checker_violation(struct checker *c, const char *rule, const char *format, ...)
{
    va_list args;
    int n;

    if (checker_failed(c))
        return;
    n = snprintf(c->violation, sizeof(c->violation), "%s: ", rule);
    va_start(args, format);
    (void)vsnprintf(c->violation + n, sizeof(c->violation) - (size_t)n, format, args);
    va_end(args);
}

void checker_release(struct checker *c)
{
    for (size_t i = 0; i < c->n_runs; i++) {
        ledger_run_release(c->runs[i]);
        free(c->runs[i]);
    }
    free(c->runs);
    *c = (struct checker){ .runs = NULL };
}

struct ledger_run *checker_run(const struct checker *c, const struct run_id *id)
{
    for (size_t i = 0; i < c->n_runs; i++)
        if (run_id_equal(&c->runs[i]->id, id))
            return c->runs[i];
    return NULL;
}

static enum on_failure on_failure_of(const struct run_record *record,
                                     const struct flow *flow)
{
    if (!record->on_failure)
        return flow->on_failure;
    if (strcmp(record->on_failure, "stop") == 0)
        return ON_FAILURE_STOP;
    return strcmp(record->on_failure, "kill") == 0 ? ON_FAILURE_KILL
                                                   : ON_FAILURE_FINISH;
}

struct ledger_run *checker_submit(struct checker *c, const struct run_record *record,
                                  struct flow *flow, bool is_held)
{
    struct ledger_run **runs = realloc(c->runs, (c->n_runs + 1) * sizeof(runs[0]));
    struct ledger_run *r = calloc(1, sizeof(*r));

    if (runs)
        c->runs = runs;
    if (!runs || !r) {
        free(r);
        return NULL;
    }
    c->runs[c->n_runs++] = r;
    r->id = record->run;
    r->number = record->number;
    r->flow = flow_ref(flow);
    r->on_failure = on_failure_of(record, flow);
    (void)snprintf(r->user, sizeof(r->user), "%s", record->user);
    r->max_workers = record->max_workers ? record->max_workers : flow->max_workers;
    r->is_known = true;
    r->is_held = is_held;
    r->started = c->now;
    return r;
}

void checker_cancel(struct checker *c, const struct run_id *run)
{
    struct ledger_run *r = checker_run(c, run);
    struct oracle_summary s;

    if (!r || !r->is_known || r->has_end)
        return;
    /* With nothing left to start only its hook keeps it. */
    oracle_summarise(r, &s);
    if (!r->n_cancels++)
        r->cancel_was_late = r->is_stopping || s.n_ready == 0;
    r->was_cancelled = true;
    r->is_cancel_old = c->is_restoring;
}

void checker_suspend(struct checker *c, const struct run_id *run)
{
    struct ledger_run *r = checker_run(c, run);

    if (!r || !r->is_known || (r->is_suspended && r->suspended))
        return;
    r->is_suspended = true;
    r->suspended = c->now;
}

void checker_unsuspend(struct checker *c, const struct run_id *run)
{
    struct ledger_run *r = checker_run(c, run);

    if (!r || !r->is_suspended)
        return;
    r->started += c->now - r->suspended;
    r->is_suspended = false;
    r->suspended = 0;
}

void checker_ended(struct checker *c, uint32_t slot, enum reason reason)
{
    struct checker_slot *s = &c->slots[slot];

    c->ending.run = s->run;
    c->ending.task = s->task->id;
    c->ending.attempt = s->attempt;
    c->ending.reason = reason;
    c->ending.why = s->why;
    c->ending.is_written = false;
    s->task->is_running = false;
    s->run->n_running--;
    s->run = NULL;
}

bool checker_timed_out(const struct checker *c, const struct ledger_run *r)
{
    time_us now = r->suspended ? r->suspended : c->now;

    return r->flow->timeout_us && now >= r->started + r->flow->timeout_us;
}

/* It tells that the run had failed before a crash, though its tasks may not. */
bool checker_has_error_hook(const struct ledger_run *r)
{
    for (const struct ledger_task *t = r->tasks; t; t = t->hh.next)
        if (t->id.step == r->flow->on_error && t->n_attempts)
            return true;
    return false;
}

bool checker_may_leave_ready(const struct checker *c, const struct ledger_run *r)
{
    return r->n_cancels || r->is_stopping || checker_timed_out(c, r)
           || checker_has_error_hook(r);
}

/* ---- starts ---- */

static void check_not_again(struct checker *c, const struct ledger_task *t,
                            const char *name)
{
    if (t->is_running)
        checker_violation(c, "one-attempt", "%s starts while it runs", name);
    else if (t->counted)
        checker_violation(c, "never-again", "%s starts though it is done", name);
    else if (t->was_told_done)
        checker_violation(c, "never-again",
                          "%s starts though it was told done before a crash", name);
}

static void check_attempt(struct checker *c, const struct ledger_task *t,
                          uint32_t attempt, const char *name)
{
    const struct ledger_attempt *last = t->n_attempts ? ledger_last(t) : NULL;

    if (attempt != (last ? last->attempt + 1 : 0))
        checker_violation(c, "attempts", "%s starts out of order", name);
    if (c->now < t->not_before)
        checker_violation(c, "retry-delay", "%s starts %" PRIu64 " us early", name,
                          t->not_before - c->now);
}

static void check_upstream(struct checker *c, const struct ledger_run *r,
                           const struct task_id *task, const char *name)
{
    enum oracle_state state = oracle_task(r, task);

    if (task->iteration && task->iteration >= r->flow->steps[task->step].iterations_max)
        checker_violation(c, "attempts", "%s starts beyond max_iterations", name);
    if (state != ORACLE_READY)
        checker_violation(c, "upstream", "%s starts and is %s", name,
                          oracle_state_name(state));
    if (r->n_cancels)
        checker_violation(c, "cancel", "%s starts after the cancel", name);
    else if (r->is_stopping)
        checker_violation(c, "on-failure", "%s starts after a failure", name);
    else if (r->flow->timeout_us
             && c->now > r->started + r->flow->timeout_us + c->slack)
        checker_violation(c, "run-timeout", "%s starts after it", name);
}

static void check_hook(struct checker *c, const struct ledger_run *r,
                       const struct task_id *task, const char *name)
{
    struct oracle_summary s;
    bool is_ok;

    oracle_summarise(r, &s);
    is_ok = !s.n_failed && !s.n_ready && !s.n_waiting;
    if (r->n_running)
        checker_violation(c, "hook", "%s starts while tasks run", name);
    else if (s.n_ready && !checker_may_leave_ready(c, r))
        checker_violation(c, "hook", "%s starts while tasks are ready", name);
    else if (task->step == r->flow->on_success && !is_ok)
        checker_violation(c, "hook", "%s starts and the run is not ok", name);
    else if (task->step == r->flow->on_error && is_ok && !r->n_cancels
             && !checker_timed_out(c, r) && !checker_has_error_hook(r))
        checker_violation(c, "hook", "%s starts and the run is ok", name);
}

/* Caps of users are checked apart from those of the node. */
static void check_caps(struct checker *c, const struct ledger_run *r, const char *name)
{
    const struct sharing *sharing = c->config->sharing;
    const struct user_limits *may = sharing ? sharing_of(sharing, r->user) : NULL;
    uint64_t cpu = 0, tasks = 0, asks;

    for (size_t i = 0; may && i < CHECKER_SLOTS_MAX; i++) {
        const struct checker_slot *s = &c->slots[i];

        if (!s->run || strcmp(s->run->user, r->user) != 0)
            continue;
        tasks++;
        asks = s->run->flow->steps[s->task->id.step].resources.cpu_milli;
        cpu += asks ? asks : 1000;
    }
    if (may && may->max_tasks && tasks > may->max_tasks)
        checker_violation(c, "user-cap", "%s starts beyond max_tasks", name);
    if (may && may->max_cpu_milli && cpu > may->max_cpu_milli)
        checker_violation(c, "user-cap", "%s starts beyond max_cpu", name);
}

static uint64_t gpu_used(const struct checker *c, uint32_t gpu)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < CHECKER_SLOTS_MAX; i++) {
        const struct checker_slot *s = &c->slots[i];
        uint64_t milli =
            s->run ? s->run->flow->steps[s->task->id.step].resources.gpu_milli : 0;

        if (s->run && s->gpus >> gpu & 1)
            sum += milli % 1000 && gpu == s->gpu_shared ? milli % 1000 : 1000;
    }
    return sum;
}

/* A part is of a GPU that others have parts of, or else of the lowest of its own. */
static void check_gpus(struct checker *c, struct checker_slot *s, const char *name)
{
    uint64_t milli = s->run->flow->steps[s->task->id.step].resources.gpu_milli;
    uint32_t wanted = (uint32_t)((milli + 999) / 1000), n = 0;
    uint64_t gpus = s->gpus;

    s->gpus = 0;
    s->gpu_shared = gpus ? (uint32_t)__builtin_ctzll(gpus) : 0;
    for (uint32_t i = 0; i < 64; i++) {
        n += gpus >> i & 1;
        if (gpus >> i & 1 && gpu_used(c, i))
            s->gpu_shared = i;
    }
    s->gpus = gpus;
    if (n != wanted)
        checker_violation(c, "gpus", "%s is given %u, not %u", name, n, wanted);
    for (uint32_t i = 0; i < 64; i++)
        if (gpus >> i & 1
            && (gpu_used(c, i) > 1000 || i >= c->config->capacity.gpu_milli / 1000))
            checker_violation(c, "gpus", "%s is given number %u, which is not free",
                              name, i);
}

struct usage {
    uint64_t cpu, memory, disk, gpu, slots, step, run;
    uint64_t custom[RESOURCES_CUSTOM_MAX];
};

static uint64_t *custom_of(const struct checker *c, struct usage *u,
                           const struct flow *f, uint32_t name)
{
    for (uint32_t i = 0; i < c->config->capacity.n_custom; i++) {
        uint32_t ours = c->config->capacity.custom[i].name;

        if (strcmp(c->config->custom_names[ours], f->custom_names[name]) == 0)
            return &u->custom[i];
    }
    return NULL;
}

static struct usage usage_with(const struct checker *c, const struct ledger_run *run,
                               uint32_t step)
{
    struct usage u = { .slots = 0 };

    for (size_t i = 0; i < CHECKER_SLOTS_MAX; i++) {
        const struct checker_slot *s = &c->slots[i];
        const struct resources *r;

        if (!s->run)
            continue;
        r = &s->run->flow->steps[s->task->id.step].resources;
        u.slots++;
        u.run += s->run == run;
        u.step += s->run == run && s->task->id.step == step;
        u.cpu += r->cpu_milli;
        u.memory += r->memory_bytes;
        u.disk += r->disk_bytes;
        u.gpu += r->gpu_milli;
        for (uint32_t j = 0; j < r->n_custom; j++) {
            uint64_t *sum = custom_of(c, &u, s->run->flow, r->custom[j].name);

            if (sum)
                *sum += r->custom[j].milli;
            else if (r->custom[j].milli)
                u.cpu = UINT64_MAX; /* this node has none: it never fits */
        }
    }
    return u;
}

static void check_usage(struct checker *c, const struct ledger_run *r, uint32_t step,
                        const char *name)
{
    const struct resources *all = &c->config->capacity;
    struct usage u = usage_with(c, r, step);
    bool fits = u.cpu <= all->cpu_milli && u.memory <= all->memory_bytes
                && u.disk <= all->disk_bytes && u.gpu <= all->gpu_milli;

    for (uint32_t i = 0; i < all->n_custom; i++)
        fits = fits && u.custom[i] <= all->custom[i].milli;
    if (!fits)
        checker_violation(c, "resources", "%s starts beyond the capacity", name);
    if (u.slots > c->config->slots_max)
        checker_violation(c, "slots", "%s starts beyond slots_max", name);
    if (r->flow->steps[step].concurrency && u.step > r->flow->steps[step].concurrency)
        checker_violation(c, "concurrency", "%s starts beyond it", name);
    if (r->max_workers && u.run > r->max_workers)
        checker_violation(c, "max-workers", "%s starts beyond it", name);
}

static void name_of(const struct ledger_run *r, const struct task_id *task,
                    uint32_t attempt, char ret_name[static TASK_TEXT_SIZE + 160])
{
    char text[TASK_TEXT_SIZE];

    task_id_text(task, text);
    (void)snprintf(ret_name, TASK_TEXT_SIZE + 160, "%u/%.128s/%s#%u",
                   (unsigned)r->number, r->flow->steps[task->step].name, text, attempt);
}

static bool is_task(const struct ledger_run *r, const struct task_id *task)
{
    const struct flow *f = r->flow;

    return task->step < f->n_all_steps
           && task->depth == f->scopes[f->steps[task->step].scope].depth;
}

static void check_fence(struct checker *c, const struct ledger_run *r,
                        struct ledger_task *t, const struct action *a, const char *name)
{
    bool is_exclusive = r->flow->steps[a->task.step].effect == EFFECT_EXCLUSIVE;

    if (a->type == ACTION_FENCED)
        return;
    if (is_exclusive ? a->u.start.fence <= t->fence : a->u.start.fence)
        checker_violation(c, "fence", "%s starts with %" PRIu64 " after %" PRIu64, name,
                          a->u.start.fence, t->fence);
    t->fence = a->u.start.fence;
}

void checker_start(struct checker *c, const struct action *a)
{
    struct ledger_run *r = checker_run(c, &a->run);
    char name[TASK_TEXT_SIZE + 160];
    struct ledger_task *t;

    c->n_checks++;
    if (!r || !r->is_known || r->is_held || r->has_end || !is_task(r, &a->task)) {
        checker_violation(c, "start", "of a run or task that may not start");
        return;
    }
    name_of(r, &a->task, a->attempt, name);
    if (r->is_suspended)
        checker_violation(c, "suspended", "%s starts while its run is", name);
    if (a->slot >= CHECKER_SLOTS_MAX || c->slots[a->slot].run) {
        checker_violation(c, "slots", "%s starts in the used slot %u", name, a->slot);
        return;
    }
    t = ledger_task(r, &a->task);
    check_not_again(c, t, name);
    check_attempt(c, t, a->attempt, name);
    check_fence(c, r, t, a, name);
    if (r->flow->steps[a->task.step].is_hook)
        check_hook(c, r, &a->task, name);
    else
        check_upstream(c, r, &a->task, name);
    c->slots[a->slot] = (struct checker_slot){ .run = r,
                                               .task = t,
                                               .attempt = a->attempt,
                                               .since = c->now,
                                               .is_fencing = a->type == ACTION_FENCED };
    if (a->type == ACTION_START)
        c->slots[a->slot].gpus = a->u.start.gpus;
    t->is_running = true;
    r->n_running++;
    check_usage(c, r, a->task.step, name);
    check_caps(c, r, name);
    if (a->type == ACTION_START)
        check_gpus(c, &c->slots[a->slot], name);
}

void checker_fenced(struct checker *c, uint32_t slot)
{
    struct checker_slot *s = &c->slots[slot];

    if (!s->run || !s->is_fencing)
        return;
    s->task->is_running = false;
    s->run->n_running--;
    *s = (struct checker_slot){ .run = NULL };
}

/* ---- kills and timers ---- */

static bool may_cancel(const struct checker *c, const struct ledger_run *r)
{
    return r->n_cancels || checker_timed_out(c, r)
           || (r->is_stopping && r->on_failure == ON_FAILURE_KILL);
}

static bool may_time_out(const struct checker *c, const struct checker_slot *s)
{
    time_us timeout = s->run->flow->steps[s->task->id.step].timeout_us;

    return checker_timed_out(c, s->run) || (timeout && c->now >= s->since + timeout);
}

void checker_kill(struct checker *c, const struct action *a)
{
    struct checker_slot *s = a->slot < CHECKER_SLOTS_MAX ? &c->slots[a->slot] : NULL;
    char name[TASK_TEXT_SIZE + 160];

    c->n_checks++;
    if (!s || !s->run || !run_id_equal(&s->run->id, &a->run)
        || !task_id_equal(&s->task->id, &a->task) || s->attempt != a->attempt) {
        checker_violation(c, "kill", "of a slot that runs something else");
        return;
    }
    name_of(s->run, &a->task, a->attempt, name);
    if (a->u.kill.why == REASON_TIMEOUT ? !may_time_out(c, s) : !may_cancel(c, s->run))
        checker_violation(c, "kill", "%s is killed without a cause (%s)", name,
                          reason_name(a->u.kill.why));
    if (a->u.kill.signal == SIGTERM) {
        s->termed = s->termed ? s->termed : c->now;
    } else if (a->u.kill.signal != SIGKILL) {
        checker_violation(c, "kill", "%s gets signal %d", name, a->u.kill.signal);
    } else {
        if (s->run->n_cancels < 2
            && (!s->termed || c->now < s->termed + c->config->grace_us))
            checker_violation(c, "grace", "%s gets SIGKILL too early", name);
        s->killed = s->killed ? s->killed : c->now;
    }
    s->why = a->u.kill.why;
}

static void check_timers(struct checker *c, const struct checker_slot *s)
{
    const struct step *step = &s->run->flow->steps[s->task->id.step];
    char name[TASK_TEXT_SIZE + 160];

    name_of(s->run, &s->task->id, s->attempt, name);
    if (step->timeout_us && !s->termed && !s->killed
        && c->now > s->since + step->timeout_us + c->slack)
        checker_violation(c, "timeout", "%s runs beyond it", name);
    if (s->termed && !s->killed && c->now > s->termed + c->config->grace_us + c->slack)
        checker_violation(c, "grace", "%s runs beyond it without SIGKILL", name);
    if (s->run->n_cancels && !s->termed && !s->killed && !step->is_hook)
        checker_violation(c, "cancel", "%s runs on after it", name);
}

static void check_slots(struct checker *c, const struct node *n)
{
    for (uint32_t i = 0; i < CHECKER_SLOTS_MAX; i++) {
        const struct checker_slot *s = &c->slots[i];
        struct run_id run;
        struct task_id task;
        uint32_t attempt;
        bool is_used =
            i < c->config->slots_max && node_slot(n, i, &run, &task, &attempt);

        if (is_used != (s->run != NULL)
            || (is_used
                && (!run_id_equal(&run, &s->run->id)
                    || !task_id_equal(&task, &s->task->id) || attempt != s->attempt)))
            checker_violation(c, "slots", "the node is wrong about slot %u", i);
        if (s->run && !s->is_fencing)
            check_timers(c, s);
    }
}

static void check_step_views(struct checker *c, const struct node *n,
                             const struct ledger_run *r)
{
    for (uint32_t step = 0; step < r->flow->n_all_steps; step++) {
        CLEANUP(buffer_release) struct buffer why = BUFFER_INIT;
        struct step_view view;
        uint64_t n_running = 0;

        for (uint32_t i = 0; i < CHECKER_SLOTS_MAX; i++)
            n_running += c->slots[i].run == r && c->slots[i].task->id.step == step;
        if (!node_step_of(n, &r->id, step, &view) || view.n_running != n_running)
            checker_violation(c, "view",
                              "step %s: %" PRIu64 " running tasks, not %" PRIu64,
                              r->flow->steps[step].name, view.n_running, n_running);
        if (node_why_waiting(n, &r->id, step, &why) && !why.len)
            checker_violation(c, "view", "step %s waits and nothing says why",
                              r->flow->steps[step].name);
        /* What fits is started in the same step as what made room for it. */
        if (strstr(buffer_text(&why), "come first"))
            checker_violation(c, "idle", "step %s waits and fits",
                              r->flow->steps[step].name);
    }
}

static void check_counts_of(struct checker *c, const struct ledger_run *r,
                            const struct run_view *view)
{
    struct oracle_summary s;

    oracle_summarise(r, &s);
    if (view->n_done != s.n_made + s.hooks_done || view->n_adopted != s.n_adopted
        || view->n_attempts != s.n_attempts || view->n_skipped != s.n_skipped
        || view->n_failed < s.n_failed || view->n_failed > s.n_tried_in_vain)
        checker_violation(c, "view", "run %u: its counts are wrong",
                          (unsigned)r->number);
}

static void check_view(struct checker *c, const struct node *n,
                       const struct ledger_run *r)
{
    struct run_view view;
    bool is_there = node_run(n, &r->id, &view);

    if (is_there != r->is_known) {
        checker_violation(c, "view", "run %u is %s", (unsigned)r->number,
                          is_there ? "still known" : "not known");
        return;
    }
    if (!is_there)
        return;
    if (view.n_running != r->n_running)
        checker_violation(c, "view", "run %u: %u running tasks, not %u",
                          (unsigned)r->number, (unsigned)view.n_running, r->n_running);
    /* Slow: now and then is enough. */
    if (!c->is_restoring && !r->is_held && c->n_checks % 8 == 0) {
        check_counts_of(c, r, &view);
        check_step_views(c, n, r);
    }
}

void checker_stepped(struct checker *c, const struct node *n)
{
    if (c->ending.run && !c->ending.is_written)
        checker_violation(c, "written", "the end of an attempt was not persisted");
    c->ending.run = NULL;
    check_slots(c, n);
    for (size_t i = 0; i < c->n_runs; i++)
        check_view(c, n, c->runs[i]);
}
