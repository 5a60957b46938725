/* SPDX-License-Identifier: Apache-2.0 */
/* After a planned restart: what the program before has left is taken up where it was.
 * Its tasks are children of this process, their pipes are open, their folders are full;
 * what is missing is told by the handover. A task that cannot be taken up ends, and is
 * lost as if its node had died. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/version.h"
#include "flow/read.h"
#include "node/runtime_mesh.h"

void runtime_adopt_open(struct runtime *rt)
{
    struct handover *h = calloc(1, sizeof(*h));
    int r = h ? handover_take(rt->config.dir, h) : -ENOMEM;

    if (r < 0) {
        if (r != -ENOENT)
            fprintf(stderr,
                    "mesh: what the program before handed over cannot be read: %s; "
                    "its tasks start again\n",
                    strerror(-r));
        if (h)
            handover_release(h);
        free(h);
        return;
    }
    rt->before = h;
    /* Whatever the configuration says now, those that run have a slot. */
    for (size_t i = 0; i < h->n_tasks; i++)
        if (h->tasks[i].slot->index < SLOTS_MAX
            && h->tasks[i].slot->index >= rt->n_slots)
            rt->n_slots = h->tasks[i].slot->index + 1;
}

static bool is_of_slot(const struct runtime *rt, const char *name)
{
    char text[16];

    for (size_t i = 0; i < rt->before->n_tasks; i++) {
        snprintf(text, sizeof(text), "%u", rt->before->tasks[i].slot->index);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

static bool is_of_run(const struct runtime *rt, const char *name)
{
    char text[RUN_ID_TEXT_SIZE];

    for (size_t i = 0; i < rt->before->n_tasks; i++) {
        run_id_text(&rt->before->tasks[i].run, text);
        if (strcmp(text, name) == 0)
            return true;
    }
    return false;
}

int runtime_adopt_folders(struct runtime *rt, const char *name, const char *path)
{
    bool is_slots = strcmp(name, "slots") == 0;
    DIR *d = opendir(path);

    for (struct dirent *e; d && (e = readdir(d));) {
        CLEANUP(freep) char *one = NULL;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0
            || (is_slots ? is_of_slot(rt, e->d_name) : is_of_run(rt, e->d_name))
            || asprintf(&one, "%s/%s", path, e->d_name) < 0)
            continue;
        remove_tree(one);
    }
    if (d)
        closedir(d);
    return 0;
}

void runtime_adopt_groups(struct runtime *rt, const char *name)
{
    CLEANUP(freep) const struct cgroup_slot **kept = NULL;
    size_t n = rt->before ? rt->before->n_tasks : 0;

    if (rt->before)
        kept = calloc(n + 1, sizeof(*kept));
    for (size_t i = 0; kept && i < n; i++)
        kept[i] = &rt->before->tasks[i].slot->cgroup;
    cgroups_reopen(&rt->cgroups, name, kept, kept ? n : 0);
}

/* ---- runs ---- */

/* Of a run that is led elsewhere there is a copy. */
static int read_record(struct runtime *rt, const struct run_id *run,
                       struct run_record *ret)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_key(run);
    int r = runtime_read_record(rt, run, ret);

    if (r != -ENOENT)
        return r;
    key.bytes[0] = RUNTIME_MARK_COPY;
    r = writer_get(rt->writer, STORE_RECORDS, (struct span){ key.bytes, key.len },
                   &value);
    return r < 0 ? r : run_record_decode(value.data, value.len, ret);
}

static int add_run(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    CLEANUP(flow_unrefp) struct flow *flow = NULL;
    char **values;
    int r = read_record(rt, run, &record);

    if (r == 0)
        r = flow_read(record.flow_text, record.flow_text_len, &flow, &d);
    if (r == 0)
        r = runtime_fill_globs(rt, flow, &record.package);
    if (r == 0)
        r = runtime_values(rt, flow, &record, &values);
    return r < 0 ? r : runtime_add_context(rt, &record, flow, values);
}

static int adopt_run(struct runtime *rt, const struct run_id *run)
{
    char text[RUN_ID_TEXT_SIZE];
    int r = runtime_context(rt, run) ? 0 : add_run(rt, run);

    if (r == 0 || r == -ENOMEM)
        return r;
    run_id_text(run, text);
    runtime_log(rt, "run.unreadable", "run=%s error=%s", text, strerror(-r));
    return 0;
}

int runtime_adopt_runs(struct runtime *rt)
{
    const struct handover *h = rt->before;
    int r = 0;

    for (size_t i = 0; h && r == 0 && i < h->n_secrets; i++)
        r = adopt_run(rt, &h->secrets[i].run);
    for (size_t i = 0; h && r == 0 && i < h->n_tasks; i++) {
        struct run_context *c;

        r = adopt_run(rt, &h->tasks[i].run);
        c = runtime_context(rt, &h->tasks[i].run);
        if (r < 0 || !c)
            continue;
        c->is_laid_out = true;
        c->n_files = (size_t)h->tasks[i].n_files;
    }
    return r;
}

const char *runtime_adopt_secret(const struct runtime *rt, const struct run_id *run,
                                 const char *name)
{
    const struct handover *h = rt->before;
    const struct run_context *c;

    HASH_FIND(hh, rt->runs, run, sizeof(*run), c);
    for (size_t i = 0; c && i < c->flow->n_parameters; i++)
        if (strcmp(c->flow->parameters[i].name, name) == 0)
            return c->values[i];
    for (size_t i = 0; h && i < h->n_secrets; i++)
        if (run_id_equal(&h->secrets[i].run, run)
            && strcmp(h->secrets[i].name, name) == 0)
            return h->secrets[i].value;
    return NULL;
}

/* ---- tasks ---- */

static int enter(struct runtime *rt, struct slot *s, const struct handover_task *t)
{
    struct error why = { .text = "" };
    struct step_launch *l;
    int r = slot_reopen(s, rt->dir);

    s->run = runtime_context(rt, &t->run);
    if (r < 0 || !s->run || s->index >= rt->n_slots || rt->slots[s->index]
        || s->task.step >= s->run->flow->n_all_steps)
        return r < 0 ? r : -ENOENT;
    s->flow = flow_ref(s->run->flow);
    r = launch_step(s->run, s->task.step, &l, &why);
    if (r < 0)
        return r;
    s->pidfd = (int)syscall(SYS_pidfd_open, s->pid, 0);
    if (s->pidfd < 0)
        return -errno;
    r = runtime_watch_pipes(rt, s);
    return r < 0 ? r : runtime_watch(rt, s->pidfd, s->index, READY_EXIT);
}

static void tell_core(struct runtime *rt, const struct handover_task *t)
{
    const struct slot *s = rt->slots[t->slot->index];
    struct mesh_event guest = { .type = MESH_EVENT_RESTORE_GUEST };
    struct event e = { .type = EVENT_RESTORE_RUNNING, .run = t->run };

    if (rt->mesh) {
        if (!t->has_guest)
            return;
        guest.u.restored.guest = &t->guest;
        guest.u.restored.flow = s->flow;
        runtime_mesh_event(rt, &guest);
        return;
    }
    e.u.running.task = s->task;
    e.u.running.slot = s->index;
    e.u.running.attempt = s->attempt;
    e.u.running.gpus = s->gpus;
    e.u.running.started = s->started;
    runtime_event(rt, &e);
}

/* Nobody waits for its process any more, which is reaped as an orphan's. */
static void lose(struct runtime *rt, struct handover_task *t, int error)
{
    struct slot *s = TAKE(t->slot);
    char task[TASK_TEXT_SIZE];

    task_id_text(&s->task, task);
    runtime_log(rt, "task.lost", "task=%s pid=%d error=%s", task, s->pid,
                strerror(-error));
    cgroup_slot_kill(&s->cgroup);
    kill(-s->pid, SIGKILL);
    kill(s->pid, SIGKILL);
    if (!rt->mesh)
        runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_LOST,
                                           .run = t->run,
                                           .u.task = s->task });
    slot_release(s);
    free(s);
}

int runtime_adopt_slots(struct runtime *rt)
{
    struct handover *h = rt->before;

    for (size_t i = 0; h && i < h->n_tasks; i++) {
        struct slot *s = h->tasks[i].slot;
        int r = enter(rt, s, &h->tasks[i]);

        if (r == -ENOMEM)
            return r;
        if (r < 0) {
            lose(rt, &h->tasks[i], r);
            continue;
        }
        rt->slots[s->index] = s;
        runtime_note_running(rt, s);
        tell_core(rt, &h->tasks[i]);
        h->tasks[i].slot = NULL;
    }
    return 0;
}

void runtime_adopt_end(struct runtime *rt)
{
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    unsigned n = 0;

    if (!rt->before)
        return;
    for (uint32_t i = 0; rt->slots && i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (!s || s->state != SLOT_RUNNING)
            continue;
        n++;
        if (!node_slot(rt->node, i, &run, &task, &attempt))
            runtime_signal_task(s, SIGKILL);
    }
    if (n)
        runtime_use_watch(rt);
    runtime_log(rt, "restart.done", "before=%s now=%s tasks=%u",
                rt->before->version ? rt->before->version : "?", mesh_version(), n);
    handover_release(rt->before);
    free(TAKE(rt->before));
}
