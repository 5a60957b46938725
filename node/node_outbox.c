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

/* While a step runs, spans are offsets: the bytes may move. */
static void shift(struct outbox *out, uintptr_t from, uintptr_t to)
{
    for (size_t i = 0; i < out->n; i++) {
        struct action *a = &out->actions[i];

        if (a->type != ACTION_PERSIST)
            continue;
        a->u.persist.key = (const void *)((uintptr_t)a->u.persist.key - from + to);
        a->u.persist.value = (const void *)((uintptr_t)a->u.persist.value - from + to);
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

static int add_slot(struct node *n, uint32_t slot, const struct action *action)
{
    const struct slot *s = &n->slots[slot];
    struct action *a = add(n->out);

    if (!a)
        return -ENOMEM;
    *a = *action;
    a->run = s->run->id;
    a->task = s->task;
    a->attempt = s->attempt;
    a->slot = slot;
    return 0;
}

int node_emit_start(struct node *n, uint32_t slot)
{
    return add_slot(n, slot,
                    &(struct action){
                        .type = ACTION_START,
                        .u.start = { .flow = n->slots[slot].run->flow,
                                     .gpus = n->slots[slot].gpus.indexes } });
}

int node_emit_kill(struct node *n, uint32_t slot)
{
    const struct slot *s = &n->slots[slot];

    return add_slot(n, slot,
                    &(struct action){
                        .type = ACTION_KILL,
                        .u.kill = { .signal = s->signal, .why = s->why } });
}

int node_tell_started(struct node *n, uint32_t slot)
{
    return add_slot(n, slot,
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

int node_emit_run_end(struct node *n, const struct run_end_record *record,
                      uint64_t *ret_ticket)
{
    size_t at = n->out->bytes.len;
    struct record_key key = run_end_key(&record->run);
    int r = run_end_record_encode(record, &n->out->bytes);

    return r < 0 ? r : add_persist(n, &record->run, &key, at, true, ret_ticket);
}
