/* SPDX-License-Identifier: Apache-2.0 */
/* What a task needs and nobody has: who made it makes it again, and the task waits.
 * Alone that is what is gone from the store; among others what nobody gives, when
 * whoever made it has been gone for long enough, or says that it has it no more. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "node/lost.h"
#include "node/runtime_mesh.h"

/* ---- events that own what they tell ---- */

struct undo {
    struct attempt_record record;
    char why[256 + MEMBER_NAME_MAX];
};

static void queue_undo(struct runtime *rt, enum event_type type, struct undo *take)
{
    struct event e = { .type = type, .run = take->record.run };

    e.u.undo.record = &take->record;
    e.u.undo.why = take->why;
    runtime_queue(rt, &e);
}

void runtime_undo_told(const struct event *event)
{
    struct undo *u = CONTAINER_OF(event->u.undo.record, struct undo, record);

    attempt_record_release(&u->record);
    free(u);
}

/* ---- what is lost ---- */

static bool is_lost(const struct runtime *rt, const struct attempt_record *made)
{
    return !rt->mesh || mesh_is_gone(rt->mesh->core, &made->node)
           || node_id_equal(&made->node, &rt->mesh->self)
           || runtime_mesh_is_connected(rt, &made->node);
}

static int undo(struct runtime *rt, struct lost_output *o)
{
    char name[MEMBER_NAME_MAX + 1];
    const char *node = rt->mesh ? runtime_mesh_name(rt, &o->attempt.node, name) : NULL;
    char run[RUN_ID_TEXT_SIZE], task[TASK_TEXT_SIZE];
    struct undo *u = calloc(1, sizeof(*u));

    if (!u)
        return -ENOMEM;
    u->record = o->attempt;
    o->attempt = (struct attempt_record){ .attempt = 0 };
    snprintf(u->why, sizeof(u->why), "its output '%.200s' was lost %s%s", o->name,
             node ? "with node " : "from the store", node ? node : "");
    run_id_text(&u->record.run, run);
    task_id_text(&u->record.task, task);
    runtime_log(rt, "output.lost", "run=%s step=%u task=%s: %s", run,
                u->record.task.step, task, u->why);
    queue_undo(rt, EVENT_UNDO, u);
    return 0;
}

int runtime_lost(struct runtime *rt, const struct run_context *c,
                 const struct task_id *task, bool is_sure)
{
    CLEANUP(lost_release) struct lost l = { .all = NULL };
    int r = lost_of_task(&rt->artifacts, c->flow, &c->id, task, &l);
    int n = (int)l.n;

    for (size_t i = 0; r == 0 && is_sure && i < l.n; i++)
        if (is_lost(rt, &l.all[i].attempt))
            r = undo(rt, &l.all[i]);
    return r < 0 ? r : n;
}

bool runtime_gone(struct runtime *rt, const struct run_id *run,
                  const struct task_id *task)
{
    CLEANUP(lost_release) struct lost l = { .all = NULL };
    int r = lost_of_maker(&rt->artifacts, run, task, &l);

    return r == 0 && l.n && undo(rt, &l.all[0]) == 0;
}

bool runtime_give_back(struct runtime *rt, struct slot *s, bool is_sure)
{
    struct event e = { .type = EVENT_INPUT_GONE, .run = s->run->id };

    if (runtime_lost(rt, s->run, &s->task, is_sure && !s->is_guest) <= 0)
        return false;
    if (rt->running.entries)
        rt->running.entries[s->index].is_used = 0;
    s->state = SLOT_ENDED;
    e.u.lease = s->index;
    runtime_queue(rt, &e);
    return true;
}

/* ---- what came out otherwise ---- */

static int queue_stale(struct runtime *rt, const char *step,
                       struct attempt_record *take)
{
    struct undo *u = calloc(1, sizeof(*u));

    if (!u)
        return -ENOMEM;
    u->record = *take;
    *take = (struct attempt_record){ .attempt = 0 };
    snprintf(
        u->why, sizeof(u->why),
        "what '%.100s' made was lost, and came out otherwise when it was made again",
        step);
    queue_undo(rt, EVENT_STALE, u);
    return 0;
}

void runtime_stale(struct runtime *rt, const struct run_id *run,
                   const struct task_id *task)
{
    const struct run_context *c = runtime_context(rt, run);
    CLEANUP(lost_release) struct lost l = { .all = NULL };
    int r = c ? lost_behind(&rt->artifacts, c->flow, run, task, &l) : 0;

    for (size_t i = 0; r == 0 && i < l.n; i++)
        r = queue_stale(rt, c->flow->steps[task->step].name, &l.all[i].attempt);
    if (r < 0)
        runtime_give_up(rt, r, "a run's records cannot be read");
}

void runtime_read_again(struct runtime *rt, const struct run_id *run)
{
    int r;

    for (uint32_t i = 0; i < rt->n_slots; i++) {
        struct slot *s = rt->slots[i];

        if (s && s->run && run_id_equal(&s->run->id, run) && s->state == SLOT_RUNNING)
            runtime_signal_task(s, SIGKILL);
    }
    runtime_event(rt, &(struct event){ .type = EVENT_DROP, .run = *run });
    r = runtime_load_run(rt, run);
    if (r < 0) {
        runtime_give_up(rt, r, "a run cannot be read back");
        return;
    }
    runtime_restore_state(rt, run);
    runtime_event(rt, &(struct event){ .type = EVENT_RESTORE_END, .run = *run });
}
