/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "node/node_internal.h"

void outbox_clear(struct outbox *out)
{
    out->n = 0;
    buffer_clear(&out->bytes);
}

void outbox_release(struct outbox *out)
{
    free(out->actions);
    buffer_release(&out->bytes);
    *out = (struct outbox){ .actions = NULL };
}

static void shift_span(const void **at, uintptr_t from, uintptr_t to)
{
    *at = (const void *)((uintptr_t)*at - from + to);
}

/* While a step runs, spans are offsets: the bytes may move. */
static void shift(struct outbox *out, uintptr_t from, uintptr_t to)
{
    for (size_t i = 0; i < out->n; i++) {
        struct action *a = &out->actions[i];

        if (a->type == ACTION_GUEST_ENDED)
            shift_span(&a->u.guest.record, from, to);
        if (a->type != ACTION_PERSIST)
            continue;
        shift_span(&a->u.persist.key, from, to);
        shift_span(&a->u.persist.value, from, to);
    }
}

void outbox_begin(struct outbox *out)
{
    shift(out, (uintptr_t)out->bytes.data, 0);
}

void outbox_end(struct outbox *out)
{
    shift(out, 0, (uintptr_t)out->bytes.data);
}

static struct action *add(struct outbox *out)
{
    if (out->n == out->cap) {
        size_t cap = out->cap ? 2 * out->cap : 16;
        struct action *actions = realloc(out->actions, cap * sizeof(actions[0]));

        if (!actions)
            return NULL;
        out->actions = actions;
        out->cap = cap;
    }
    return &out->actions[out->n++];
}

static int add_slot(struct node *n, const struct slot *s, const struct action *action)
{
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = *action;
    a->run = s->run_id;
    a->task = s->task;
    a->attempt = s->attempt;
    a->slot = s->number;
    return 0;
}

int node_emit_start(struct node *n, const struct slot *s)
{
    return add_slot(n, s,
                    &(struct action){
                        .type = ACTION_START,
                        .u.start = { .flow = s->guest ? s->guest->flow : s->run->flow,
                                     .gpus = s->claim.gpus.indexes,
                                     .guest = s->guest ? s->guest->id : 0,
                                     .fence = s->fence } });
}

int node_emit_lease(struct node *n, const struct slot *s, enum action_type type)
{
    return add_slot(n, s,
                    &(struct action){ .type = type,
                                      .u.lease = { .worker = s->worker->bin->number,
                                                   .flow = s->run->flow,
                                                   .fence = s->fence } });
}

int node_emit_kill(struct node *n, const struct slot *s)
{
    return add_slot(n, s,
                    &(struct action){
                        .type = is_local(n, s) ? ACTION_KILL : ACTION_RECALL,
                        .u.kill = { .signal = s->signal, .why = s->why } });
}

int node_emit_recall(struct node *n, const struct slot *s)
{
    return add_slot(n, s, &(struct action){ .type = ACTION_RECALL });
}

int node_emit_guest(struct node *n, enum action_type type, const struct guest *g)
{
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = (struct action){ .type = type,
                          .run = g->run,
                          .task = g->task,
                          .attempt = g->attempt,
                          .slot = g->slot ? g->slot->number : NODE_SLOT_NONE,
                          .u.guest = { .guest = g->id,
                                       .fence = g->slot ? g->slot->fence : 0 } };
    return 0;
}

int node_emit_guest_ended(struct node *n, const struct guest *g,
                          const struct attempt_record *record)
{
    size_t at = n->out->bytes.len;
    int error = attempt_record_encode(record, &n->out->bytes);
    struct action *a;

    if (error == 0)
        error = node_emit_guest(n, ACTION_GUEST_ENDED, g);
    if (error < 0)
        return error;
    a = &n->out->actions[n->out->n - 1];
    a->u.guest.record = (const void *)(uintptr_t)at;
    a->u.guest.record_len = n->out->bytes.len - at;
    return 0;
}

int node_tell_started(struct node *n, const struct slot *s)
{
    return add_slot(n, s,
                    &(struct action){ .type = ACTION_TELL,
                                      .u.tell = { .type = TELL_TASK_STARTED } });
}

int node_tell_ended(struct node *n, const struct attempt_record *record, uint32_t slot,
                    bool is_retried, time_us delay, uint64_t ticket)
{
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = (struct action){ .type = ACTION_TELL,
                          .ticket = ticket,
                          .run = record->run,
                          .task = record->task,
                          .attempt = record->attempt,
                          .slot = slot,
                          .u.tell = { .type = TELL_TASK_ENDED,
                                      .verdict = record->verdict,
                                      .reason = record->reason,
                                      .is_retried = is_retried,
                                      .retry_in_us = delay } };
    return 0;
}

int node_tell_run(struct node *n, const struct run_id *run, enum tell_type type,
                  enum run_outcome outcome, uint64_t ticket)
{
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = (struct action){ .type = ACTION_TELL,
                          .ticket = ticket,
                          .run = *run,
                          .slot = NODE_SLOT_NONE,
                          .u.tell = { .type = type, .outcome = outcome } };
    return 0;
}

/* ---- records: the value is appended first, then the key ---- */

static int add_persist(struct node *n, const struct run_id *run,
                       const struct record_key *key, size_t value_at, bool is_urgent,
                       uint64_t *ret_ticket)
{
    struct buffer *bytes = &n->out->bytes;
    size_t key_at = bytes->len;
    struct action *a;

    if (buffer_append(bytes, key->bytes, key->len) < 0)
        return -ENOMEM;
    a = add(n->out);
    if (!a)
        return -ENOMEM;
    *a = (struct action){ .type = ACTION_PERSIST,
                          .ticket = ++n->last_ticket,
                          .run = *run,
                          .slot = NODE_SLOT_NONE };
    a->u.persist.key = (const void *)(uintptr_t)key_at;
    a->u.persist.key_len = key->len;
    a->u.persist.value = (const void *)(uintptr_t)value_at;
    a->u.persist.value_len = key_at - value_at;
    a->u.persist.is_urgent = is_urgent;
    *ret_ticket = a->ticket;
    return 0;
}

int node_emit_run(struct node *n, const struct run_record *record, uint64_t *ret_ticket)
{
    size_t at = n->out->bytes.len;
    struct record_key key = run_key(&record->run);
    int r = run_record_encode(record, &n->out->bytes);

    return r < 0 ? r : add_persist(n, &record->run, &key, at, true, ret_ticket);
}

int node_emit_attempt(struct node *n, const struct attempt_record *record,
                      uint64_t *ret_ticket)
{
    size_t at = n->out->bytes.len;
    struct record_key key = attempt_key(&record->run, &record->task, record->attempt);
    int r = attempt_record_encode(record, &n->out->bytes);

    return r < 0 ? r : add_persist(n, &record->run, &key, at, false, ret_ticket);
}

int node_emit_again(struct node *n, const struct attempt_record *record,
                    uint64_t *ret_ticket)
{
    int error = node_emit_attempt(n, record, ret_ticket);

    if (error == 0)
        n->out->actions[n->out->n - 1].u.persist.is_again = true;
    return error;
}

int node_tell_torn(struct node *n, const struct run_id *run, const struct task_id *task,
                   uint64_t ticket)
{
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = (struct action){ .type = ACTION_TELL,
                          .ticket = ticket,
                          .run = *run,
                          .task = *task,
                          .slot = NODE_SLOT_NONE,
                          .u.tell = { .type = TELL_TASK_TORN } };
    return 0;
}

int node_emit_look(struct node *n, const struct slot *s)
{
    return add_slot(n, s, &(struct action){ .type = ACTION_LOOK });
}

int node_emit_run_end(struct node *n, const struct run_end_record *record,
                      uint64_t *ret_ticket)
{
    size_t at = n->out->bytes.len;
    struct record_key key = run_end_key(&record->run);
    int r = run_end_record_encode(record, &n->out->bytes);

    return r < 0 ? r : add_persist(n, &record->run, &key, at, true, ret_ticket);
}

int node_emit_fence(struct node *n, const struct slot *s)
{
    size_t at = n->out->bytes.len;
    struct record_key key = fence_key(&s->run_id, &s->task);
    struct action *a;
    uint64_t ticket;
    int r = fence_record_encode(s->fence, &n->out->bytes);

    if (r == 0)
        r = add_persist(n, &s->run_id, &key, at, true, &ticket);
    if (r == 0)
        r = add_slot(n, s,
                     &(struct action){ .type = ACTION_FENCED, .u.fence = s->fence });
    if (r < 0)
        return r;
    a = &n->out->actions[n->out->n - 1];
    a->ticket = ticket;
    return 0;
}
