/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/crowd.h"

#include <assert.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/story_sketch.h"

enum { FLOWS_MAX = 200, WRITTEN_MAX = 20000, NAME_SIZE = TASK_TEXT_SIZE + 80 };

struct written {
    struct record_key key;
    char *value;
    size_t value_len;
};

struct crowd {
    struct node *node;
    const struct sharing *sharing;
    struct outbox out;
    time_us now;
    struct flow *flows[FLOWS_MAX]; /* those of guests too */
    struct run_id runs[FLOWS_MAX];
    unsigned n_flows;
    struct written *written;
    size_t n_written;
    bool has_message; /* the last end that was written */
    struct buffer trace, told;
};

/* ---- names ---- */

static unsigned number_of(const struct crowd *c, const struct run_id *id)
{
    for (unsigned i = 0; i < c->n_flows; i++)
        if (run_id_equal(&c->runs[i], id))
            return i + 1;
    abort();
}

static void name_of(const struct crowd *c, const struct run_id *run,
                    const struct task_id *task, char ret[NAME_SIZE])
{
    unsigned number = number_of(c, run);
    char text[TASK_TEXT_SIZE], prefix[16] = "";

    task_id_text(task, text);
    if (number > 1)
        (void)snprintf(prefix, sizeof(prefix), "%u:", number);
    (void)snprintf(ret, NAME_SIZE, "%s%.40s/%s", prefix,
                   c->flows[number - 1]->steps[task->step].name, text);
}

static struct task_id task_of(const struct crowd *c, const char *name,
                              unsigned *ret_run)
{
    const char *colon = strchr(name, ':'), *slash = strchr(name, '/');
    unsigned run = colon ? (unsigned)strtoul(name, NULL, 10) : 1;
    const struct flow *f = c->flows[run - 1];
    struct task_id id;

    name = colon ? colon + 1 : name;
    *ret_run = run;
    for (uint32_t i = 0; i < f->n_all_steps; i++) {
        const struct step *step = &f->steps[i];
        size_t n = strlen(step->name);

        if (n != (size_t)(slash - name) || strncmp(step->name, name, n) != 0)
            continue;
        assert(task_id_parse(slash + 1, i,
                             step->is_hook ? 0 : f->scopes[step->scope].depth, &id)
               == 0);
        return id;
    }
    abort();
}

static uint32_t slot_of(const struct crowd *c, const char *name)
{
    unsigned run;
    struct task_id wanted = task_of(c, name, &run), task;
    uint32_t attempt;
    struct run_id id;

    for (uint32_t i = 0; i < node_slots_end(c->node); i++)
        if (node_slot(c->node, i, &id, &task, &attempt)
            && run_id_equal(&id, &c->runs[run - 1]) && task_id_equal(&task, &wanted))
            return i;
    fprintf(stderr, "crowd: nothing runs '%s'\n", name);
    abort();
}

/* ---- actions ---- */

static const char *signal_word(int signal)
{
    return signal == SIGKILL ? "KILL" : "TERM";
}

static void say_guest(struct crowd *c, const struct action *a)
{
    uint64_t id = a->u.guest.guest;
    struct attempt_record record;

    buffer_printf(&c->trace, "guest %s%" PRIu64 " ",
                  id & GUEST_DROPPED ? "dropped " : "", id & ~GUEST_DROPPED);
    if (a->type == ACTION_GUEST_STARTED) {
        buffer_printf(&c->trace, "started slot %u\n", a->slot);
    } else if (a->type == ACTION_TO_GUEST) {
        buffer_printf(&c->trace, "is slot %u\n", a->slot);
    } else if (a->type == ACTION_GUEST_RETURNED) {
        buffer_puts(&c->trace, "returned\n");
    } else {
        assert(attempt_record_decode(a->u.guest.record, a->u.guest.record_len, &record)
               == 0);
        buffer_printf(&c->trace, "ended, %s\n", reason_name(record.reason));
        attempt_record_release(&record);
    }
}

static const char *verdict_word(enum verdict v)
{
    static const char *const names[] = { [VERDICT_DONE] = "done",
                                         [VERDICT_FAILED] = "failed",
                                         [VERDICT_LOST] = "lost",
                                         [VERDICT_CAUGHT] = "caught",
                                         [VERDICT_ADOPTED] = "adopted" };

    return names[v];
}

static void say_told(struct crowd *c, const struct action *a, const char *name)
{
    switch (a->u.tell.type) {
    case TELL_RUN_ACCEPTED:
    case TELL_TASK_TORN:
    case TELL_RUN_TORN:
    case TELL_RUN_NUMBERED:
        break;
    case TELL_TASK_STARTED:
        buffer_printf(&c->trace, "%s runs\n", name);
        break;
    case TELL_TASK_ENDED:
        buffer_printf(&c->trace, "%s %s", name, verdict_word(a->u.tell.verdict));
        if (a->u.tell.reason != REASON_OK)
            buffer_printf(&c->trace, ", %s", reason_name(a->u.tell.reason));
        buffer_puts(&c->trace, "\n");
        break;
    case TELL_RUN_ENDED:
        buffer_printf(&c->trace, "run %u %s%s\n", number_of(c, &a->run),
                      run_outcome_name(a->u.tell.outcome),
                      a->u.tell.outcome == RUN_OK && c->has_message ? ", but" : "");
        break;
    case TELL_RUN_REFUSED:
        assert(false);
        break;
    }
}

static void keep(struct crowd *c, const struct action *a)
{
    struct written *w = &c->written[c->n_written++];

    assert(c->n_written < WRITTEN_MAX);
    w->key.len = a->u.persist.key_len;
    memcpy(w->key.bytes, a->u.persist.key, w->key.len);
    w->value_len = a->u.persist.value_len;
    w->value = malloc(w->value_len + 1);
    assert(w->value);
    memcpy(w->value, a->u.persist.value, w->value_len);
    if (w->key.bytes[0] == 'e') {
        struct run_end_record end;

        assert(run_end_record_decode(w->value, w->value_len, &end) == 0);
        c->has_message = end.message && *end.message;
        run_end_record_release(&end);
    }
}

static void carry_out(struct crowd *c, const struct action *a)
{
    char task[NAME_SIZE], name[NAME_SIZE + 16];

    name_of(c, &a->run, &a->task, task);
    (void)snprintf(name, sizeof(name), "%s#%u", task, a->attempt);
    switch (a->type) {
    case ACTION_START:
        buffer_printf(&c->trace, "start %s slot %u\n", name, a->slot);
        break;
    case ACTION_KILL:
        buffer_printf(&c->trace, "kill %s %s, %s\n", name,
                      signal_word(a->u.kill.signal), reason_name(a->u.kill.why));
        break;
    case ACTION_LEASE:
        buffer_printf(&c->trace, "lease %s to %u\n", name, a->u.lease.worker);
        break;
    case ACTION_LEASED:
        buffer_printf(&c->trace, "leased %s to %u\n", name, a->u.lease.worker);
        break;
    case ACTION_RECALL:
        if (a->u.kill.signal)
            buffer_printf(&c->trace, "end %s %s, %s\n", name,
                          signal_word(a->u.kill.signal), reason_name(a->u.kill.why));
        else
            buffer_printf(&c->trace, "recall %s\n", name);
        break;
    case ACTION_LOOK:
        buffer_printf(&c->trace, "look for %s\n", name);
        break;
    case ACTION_TELL:
        say_told(c, a, name);
        break;
    case ACTION_PERSIST:
        keep(c, a);
        break;
    default:
        say_guest(c, a);
        break;
    }
}

static void tell(struct crowd *c, struct event *event)
{
    event->now = c->now;
    event->wall = TIME_S(1000) + c->now;
    assert(node_step(c->node, event, &c->out) == 0);
    for (size_t i = 0; i < c->out.n; i++)
        carry_out(c, &c->out.actions[i]);
    outbox_clear(&c->out);
}

/* ---- the crowd ---- */

static struct node *make_node(uint32_t slots, const struct sharing *sharing)
{
    return node_new(&(struct node_config){
        .capacity = { .cpu_milli = 1000000, .memory_bytes = UINT64_C(1) << 40 },
        .sharing = sharing,
        .slots_max = slots,
        .grace_us = TIME_S(1) });
}

struct crowd *crowd_new(uint32_t slots)
{
    return crowd_new_shared(slots, NULL);
}

struct crowd *crowd_new_shared(uint32_t slots, const struct sharing *sharing)
{
    struct crowd *c = calloc(1, sizeof(*c));

    assert(c);
    c->sharing = sharing;
    c->node = make_node(slots, sharing);
    c->written = calloc(WRITTEN_MAX, sizeof(c->written[0]));
    assert(c->node && c->written);
    return c;
}

void crowd_free(struct crowd *c)
{
    node_free(c->node);
    outbox_release(&c->out);
    for (unsigned i = 0; i < c->n_flows; i++)
        sketch_free(c->flows[i]);
    for (size_t i = 0; i < c->n_written; i++)
        free(c->written[i].value);
    free(c->written);
    buffer_release(&c->trace);
    buffer_release(&c->told);
    free(c);
}

struct node *crowd_node(const struct crowd *c)
{
    return c->node;
}

const char *crowd_trace(struct crowd *c)
{
    struct buffer told = c->told;

    c->told = c->trace;
    c->trace = told;
    buffer_clear(&c->trace);
    return c->told.len ? buffer_text(&c->told) : "";
}

void crowd_at(struct crowd *c, uint64_t ms)
{
    time_us until = TIME_MS(ms), at;

    while ((at = node_deadline(c->node)) <= until) {
        c->now = at > c->now ? at : c->now;
        tell(c, &(struct event){ .type = EVENT_TICK });
    }
    c->now = until;
}

/* ---- runs ---- */

static unsigned add_flow(struct crowd *c, const char *sketch)
{
    uint8_t random[10] = { (uint8_t)(c->n_flows >> 8), (uint8_t)c->n_flows };

    assert(c->n_flows < FLOWS_MAX);
    c->flows[c->n_flows] = sketch_flow(sketch);
    c->runs[c->n_flows] = run_id_make(1000 + c->n_flows, random);
    return c->n_flows++;
}

unsigned crowd_submit(struct crowd *c, const char *sketch)
{
    unsigned i = add_flow(c, sketch);
    struct run_record record = { .run = c->runs[i],
                                 .number = i + 1,
                                 .flow_name = c->flows[i]->name,
                                 .flow_path = c->flows[i]->name,
                                 .flow_text = (char[]){ "" },
                                 .user = (char[]){ "me" } };

    tell(c, &(struct event){ .type = EVENT_SUBMIT,
                             .run = c->runs[i],
                             .u.submit = { .record = &record, .flow = c->flows[i] } });
    return i + 1;
}

void crowd_refused(struct crowd *c, unsigned run, uint32_t worker)
{
    struct event e = { .type = EVENT_REFUSED, .run = c->runs[run - 1] };

    e.u.refused.worker = worker;
    e.u.refused.why = REFUSAL_USERS;
    tell(c, &e);
}

void crowd_run_event(struct crowd *c, unsigned run, enum event_type type)
{
    tell(c, &(struct event){ .type = type, .run = c->runs[run - 1] });
}

void crowd_keeping(struct crowd *c, unsigned run, int32_t change)
{
    tell(c, &(struct event){
                .type = EVENT_KEEPING, .run = c->runs[run - 1], .u.keeping = change });
}

void crowd_drain(struct crowd *c, bool is_draining)
{
    tell(c, &(struct event){ .type = EVENT_DRAIN, .u.is_draining = is_draining });
}

void crowd_members(struct crowd *c, bool has_others)
{
    tell(c, &(struct event){ .type = EVENT_MEMBERS, .u.has_others = has_others });
}

/* ---- workers ---- */

void crowd_worker(struct crowd *c, uint32_t number, const struct crowd_worker *w)
{
    char *names[] = { (char[]){ "licence" }, NULL };
    struct resources r = { .cpu_milli = w->cpu_milli ? w->cpu_milli : 1000000,
                           .memory_bytes = UINT64_C(1) << 40,
                           .gpu_milli = w->gpu_milli,
                           .n_custom = w->licence_milli != 0 };

    r.custom[0].milli = w->licence_milli;
    tell(c, &(struct event){ .type = EVENT_WORKER,
                             .u.worker = { .worker = number,
                                           .slots = w->slots,
                                           .ahead_percent = w->ahead_percent,
                                           .capacity = &r,
                                           .custom_names = names } });
}

void crowd_gone(struct crowd *c, uint32_t number)
{
    tell(c, &(struct event){ .type = EVENT_WORKER_GONE, .u.worker.worker = number });
}

void crowd_started(struct crowd *c, const char *task)
{
    tell(c,
         &(struct event){ .type = EVENT_LEASE_STARTED, .u.lease = slot_of(c, task) });
}

void crowd_returned(struct crowd *c, const char *task)
{
    tell(c,
         &(struct event){ .type = EVENT_LEASE_RETURNED, .u.lease = slot_of(c, task) });
}

static void end_slot(struct crowd *c, uint32_t slot, struct attempt_record *record)
{
    record->ended_wall = TIME_S(1000) + c->now;
    tell(c, &(struct event){ .type = EVENT_TASK_ENDED,
                             .u.ended = { .slot = slot, .record = record } });
    attempt_record_release(record);
}

void crowd_slot_ended(struct crowd *c, uint32_t slot, enum reason reason)
{
    struct attempt_record record = { .reason = reason,
                                     .exit_code = reason == REASON_EXIT };

    end_slot(c, slot, &record);
}

void crowd_ended(struct crowd *c, const char *task, enum reason reason)
{
    crowd_slot_ended(c, slot_of(c, task), reason);
}

void crowd_ended_width(struct crowd *c, const char *task, uint64_t width)
{
    struct attempt_record record = { .reason = REASON_OK,
                                     .has_width = true,
                                     .width = width };

    end_slot(c, slot_of(c, task), &record);
}

void crowd_late(struct crowd *c, const char *task, enum reason reason)
{
    unsigned run;
    struct attempt_record record = { .reason = reason,
                                     .exit_code = reason == REASON_EXIT,
                                     .ended_wall = TIME_S(1000) + c->now };

    record.task = task_of(c, task, &run);
    record.run = c->runs[run - 1];
    tell(c, &(struct event){ .type = EVENT_LATE, .u.late = &record });
    attempt_record_release(&record);
}

/* ---- taking over ---- */

static void restore_runs(struct crowd *c)
{
    for (size_t i = 0; i < c->n_written; i++) {
        struct written *w = &c->written[i];
        CLEANUP(run_record_release) struct run_record record = { .number = 0 };

        if (w->key.bytes[0] != 'r')
            continue;
        assert(run_record_decode(w->value, w->value_len, &record) == 0);
        memcpy(record.run.bytes, w->key.bytes + 1, RUN_ID_SIZE);
        tell(c, &(struct event){
                    .type = EVENT_RESTORE_RUN,
                    .run = record.run,
                    .u.submit = { .record = &record,
                                  .flow = c->flows[number_of(c, &record.run) - 1] } });
    }
}

static void restore_attempts(struct crowd *c)
{
    for (size_t i = 0; i < c->n_written; i++) {
        struct written *w = &c->written[i];
        CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };

        if (w->key.bytes[0] != 'a')
            continue;
        assert(attempt_record_decode(w->value, w->value_len, &record) == 0);
        assert(attempt_key_decode(w->key.bytes, w->key.len, &record.run, &record.task,
                                  &record.attempt)
               == 0);
        tell(c, &(struct event){ .type = EVENT_RESTORE_ATTEMPT,
                                 .run = record.run,
                                 .u.attempt = &record });
    }
}

void crowd_held(struct crowd *c, const char *held)
{
    char name[NAME_SIZE];
    unsigned run;
    struct event event = { .type = EVENT_HELD,
                           .u.held = { .worker =
                                           (uint32_t)atoi(strstr(held, "at ") + 3),
                                       .is_started = !strstr(held, " waits ") } };

    (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(held, " "), held);
    event.u.held.task = task_of(c, name, &run);
    event.run = c->runs[run - 1];
    tell(c, &event);
}

void crowd_take_over(struct crowd *c, uint32_t slots, const char *const *held)
{
    unsigned run;

    node_free(c->node);
    c->node = make_node(slots, c->sharing);
    assert(c->node);
    restore_runs(c);
    restore_attempts(c);
    for (; *held; held++)
        crowd_held(c, *held);
    for (run = 0; run < c->n_flows; run++)
        tell(c, &(struct event){ .type = EVENT_RESTORE_END, .run = c->runs[run] });
}

/* ---- guests ---- */

void crowd_guest(struct crowd *c, uint64_t id, const char *sketch, const char *task)
{
    unsigned i = add_flow(c, sketch), run;
    char name[NAME_SIZE];
    struct event event = { .type = EVENT_GUEST,
                           .run = c->runs[i],
                           .u.guest = { .guest = id, .flow = c->flows[i] } };

    (void)snprintf(name, sizeof(name), "%u:%.60s", i + 1, task);
    event.u.guest.task = task_of(c, name, &run);
    tell(c, &event);
}

void crowd_guest_end(struct crowd *c, uint64_t id, int signal)
{
    tell(c, &(struct event){ .type = EVENT_GUEST_END,
                             .u.guest = { .guest = id,
                                          .signal = signal,
                                          .why = signal ? REASON_CANCELLED : 0 } });
}
