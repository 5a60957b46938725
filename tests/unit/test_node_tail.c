/* SPDX-License-Identifier: Apache-2.0 */
/* How well workers are kept busy, with messages that take their time: a node that only
 * leads, and workers that take ahead. */
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "node/node.h"
#include "tests/unit/story_sketch.h"

enum { WORKERS_HERE_MAX = 100, LEASES_HERE_MAX = 20000, MESSAGES_MAX = 1 << 16 };

enum message_kind { GRANT = 1, RECALL, STARTED, RETURNED, ENDED, OVER };

struct message_in_flight {
    time_us at;
    uint64_t order;
    enum message_kind kind;
    uint32_t lease;
};

struct lease_here {
    uint32_t slot, worker;
    time_us takes;
    bool is_waiting;
};

struct pool {
    struct node *node;
    struct outbox out;
    struct flow *flow;
    time_us now, latency, (*takes)(const struct task_id *);
    uint32_t size;
    struct message_in_flight *messages;
    uint32_t n_messages;
    uint64_t order;
    struct lease_here *leases;
    uint32_t n_leases;
    uint32_t n_running[WORKERS_HERE_MAX + 1];
    uint32_t *of_slot;
    uint32_t n_recalls, n_moved;
    bool has_ended;
};

static bool is_before(const struct message_in_flight *a,
                      const struct message_in_flight *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void post(struct pool *p, time_us at, enum message_kind kind, uint32_t lease)
{
    struct message_in_flight m = { at, p->order++, kind, lease };
    uint32_t i = p->n_messages++;

    assert_true(i < MESSAGES_MAX);
    for (; i && is_before(&m, &p->messages[(i - 1) / 2]); i = (i - 1) / 2)
        p->messages[i] = p->messages[(i - 1) / 2];
    p->messages[i] = m;
}

static struct message_in_flight take(struct pool *p)
{
    struct message_in_flight first = p->messages[0];
    struct message_in_flight last = p->messages[--p->n_messages];
    uint32_t i = 0;

    for (;;) {
        uint32_t child = 2 * i + 1;

        if (child + 1 < p->n_messages
            && is_before(&p->messages[child + 1], &p->messages[child]))
            child++;
        if (child >= p->n_messages || !is_before(&p->messages[child], &last))
            break;
        p->messages[i] = p->messages[child];
        i = child;
    }
    p->messages[i] = last;
    return first;
}

/* ---- a worker: what waits starts in the order in which it came ---- */

static void run_next(struct pool *p, uint32_t worker)
{
    for (uint32_t i = 0; i < p->n_leases && p->n_running[worker] < p->size; i++) {
        struct lease_here *l = &p->leases[i];

        if (l->worker != worker || !l->is_waiting)
            continue;
        l->is_waiting = false;
        p->n_running[worker]++;
        post(p, p->now + p->latency, STARTED, i);
        post(p, p->now + l->takes, OVER, i);
    }
}

static void tell(struct pool *p, struct event *event)
{
    event->now = event->wall = p->now;
    assert_int_equal(node_step(p->node, event, &p->out), 0);
    for (size_t i = 0; i < p->out.n; i++) {
        const struct action *a = &p->out.actions[i];

        if (a->type == ACTION_LEASE) {
            assert_true(p->n_leases < LEASES_HERE_MAX);
            p->leases[p->n_leases] = (struct lease_here){ .slot = a->slot,
                                                          .worker = a->u.lease.worker,
                                                          .takes = p->takes(&a->task) };
            p->of_slot[a->slot] = p->n_leases;
            post(p, p->now + p->latency, GRANT, p->n_leases++);
        } else if (a->type == ACTION_RECALL) {
            p->n_recalls++;
            post(p, p->now + p->latency, RECALL, p->of_slot[a->slot]);
        } else if (a->type == ACTION_TELL && a->u.tell.type == TELL_RUN_ENDED) {
            p->has_ended = true;
        }
    }
    outbox_clear(&p->out);
}

static void end(struct pool *p, struct lease_here *l)
{
    struct attempt_record record = { .reason = REASON_OK };

    tell(p, &(struct event){ .type = EVENT_TASK_ENDED,
                             .u.ended = { .slot = l->slot, .record = &record } });
    attempt_record_release(&record);
}

static void deliver(struct pool *p, const struct message_in_flight *m)
{
    struct lease_here *l = &p->leases[m->lease];

    switch (m->kind) {
    case GRANT:
        l->is_waiting = true;
        run_next(p, l->worker);
        break;
    case RECALL:
        if (!l->is_waiting)
            break;
        l->is_waiting = false;
        p->n_moved++;
        post(p, p->now + p->latency, RETURNED, m->lease);
        break;
    case OVER:
        p->n_running[l->worker]--;
        post(p, p->now + p->latency, ENDED, m->lease);
        run_next(p, l->worker);
        break;
    case STARTED:
        tell(p, &(struct event){ .type = EVENT_LEASE_STARTED, .u.lease = l->slot });
        break;
    case RETURNED:
        tell(p, &(struct event){ .type = EVENT_LEASE_RETURNED, .u.lease = l->slot });
        break;
    case ENDED:
        end(p, l);
        break;
    }
}

/* ---- a run ---- */

struct trial {
    uint32_t n_workers, size, ahead_percent;
    time_us latency;
    const char *sketch;
    time_us (*takes)(const struct task_id *);
    uint32_t n_early; /* the others come after the submission; 0: all are early */
};

struct outcome {
    time_us took;
    uint32_t n_recalls, n_moved;
};

static void show_workers(struct pool *p, const struct trial *t, uint32_t first,
                         uint32_t last)
{
    struct resources all = { .cpu_milli = 1000 * t->size,
                             .memory_bytes = UINT64_C(1) << 40 };

    for (uint32_t i = first; i <= last; i++)
        tell(p,
             &(struct event){ .type = EVENT_WORKER,
                              .u.worker = { .worker = i,
                                            .slots = t->size * t->ahead_percent / 100,
                                            .ahead_percent = t->ahead_percent,
                                            .capacity = &all } });
}

static struct outcome try(const struct trial *t)
{
    struct pool *p = calloc(1, sizeof(*p));
    struct run_record record = { .run = run_id_make(1, (uint8_t[10]){ 1 }),
                                 .number = 1,
                                 .flow_name = (char[]){ "x" },
                                 .flow_path = (char[]){ "x" },
                                 .flow_text = (char[]){ "" } };
    struct outcome o;

    assert_non_null(p);
    p->node = node_new(&(struct node_config){ .grace_us = TIME_S(1) });
    p->messages = calloc(MESSAGES_MAX, sizeof(p->messages[0]));
    p->leases = calloc(LEASES_HERE_MAX, sizeof(p->leases[0]));
    p->of_slot = calloc(LEASES_HERE_MAX, sizeof(p->of_slot[0]));
    assert_true(p->node && p->messages && p->leases && p->of_slot);
    p->flow = sketch_flow(t->sketch);
    p->latency = t->latency;
    p->takes = t->takes;
    p->size = t->size;
    show_workers(p, t, 1, t->n_early ? t->n_early : t->n_workers);
    tell(p, &(struct event){ .type = EVENT_SUBMIT,
                             .run = record.run,
                             .u.submit = { .record = &record, .flow = p->flow } });
    while (p->n_messages) {
        bool are_late = t->n_early && p->now < TIME_MS(50);
        struct message_in_flight m = take(p);

        p->now = m.at;
        deliver(p, &m);
        if (are_late && p->now >= TIME_MS(50))
            show_workers(p, t, t->n_early + 1, t->n_workers);
    }
    assert_true(p->has_ended);
    o = (struct outcome){ p->now, p->n_recalls, p->n_moved };
    node_free(p->node);
    outbox_release(&p->out);
    sketch_free(p->flow);
    free(p->messages);
    free(p->leases);
    free(p->of_slot);
    free(p);
    return o;
}

/* All slots in one node, without messages: the fit tasks in their order, each to the
 * slot that is free first, between split and join. */
static time_us ideal(const struct trial *t, uint32_t n_tasks)
{
    uint32_t n_slots = t->n_workers * t->size;
    time_us *free_at = calloc(n_slots, sizeof(free_at[0])), last = 0;

    assert_non_null(free_at);
    for (uint32_t i = 0; i < n_tasks; i++) {
        struct task_id task = { .depth = 1, .path = { i } };
        uint32_t first = 0;

        for (uint32_t k = 1; k < n_slots; k++)
            first = free_at[k] < free_at[first] ? k : first;
        free_at[first] += t->takes(&task);
        last = free_at[first] > last ? free_at[first] : last;
    }
    free(free_at);
    return last + 2 * t->takes(&(struct task_id){ .depth = 0 });
}

static time_us ten_ms(const struct task_id *task)
{
    (void)task;
    return TIME_MS(10);
}

/* A hundredth of them takes a hundred times as long. */
static time_us uneven(const struct task_id *task)
{
    return task->depth && task->path[0] % 100 == 7 ? TIME_MS(1000) : TIME_MS(10);
}

/* Some near the end take long: those behind them at their workers must not wait. */
static time_us long_at_the_end(const struct task_id *task)
{
    return task->depth && task->path[0] / 8 == 240 ? TIME_MS(500) : TIME_MS(10);
}

static const char two_thousand[] = "split foreach=2000\n"
                                   "fit: split\n"
                                   "join: fit join=split\n";

static void is_near_ideal(const struct trial *t, const struct outcome *o,
                          uint32_t percent)
{
    time_us least = ideal(t, 2000);

    print_message("took %.3f s, ideal %.3f s; %u asked back, %u came\n",
                  (double)o->took / TIME_S(1), (double)least / TIME_S(1), o->n_recalls,
                  o->n_moved);
    assert_in_range(o->took, least, least + least * percent / 100);
}

static void workers_are_kept_busy(void **state)
{
    struct trial t = { .n_workers = 4,
                       .size = 2,
                       .ahead_percent = 400,
                       .latency = TIME_MS(1),
                       .sketch = two_thousand,
                       .takes = ten_ms };
    struct outcome o = try(&t);

    (void)state;
    is_near_ideal(&t, &o, 2);
    assert_in_range(o.n_recalls, 0, 20);
}

/* Without anything ahead a worker waits for two messages after each task. */
static void taking_ahead_hides_messages(void **state)
{
    struct trial t = { .n_workers = 4,
                       .size = 2,
                       .ahead_percent = 100,
                       .latency = TIME_MS(5),
                       .sketch = two_thousand,
                       .takes = ten_ms };
    struct outcome bare = try(&t), ahead;

    (void)state;
    t.ahead_percent = 400;
    ahead = try(&t);
    assert_true(ahead.took * 3 < bare.took * 2);
    is_near_ideal(&t, &ahead, 5);
}

static void nobody_waits_behind_a_long_task(void **state)
{
    struct trial t = { .n_workers = 8,
                       .size = 2,
                       .ahead_percent = 800,
                       .latency = TIME_MS(1),
                       .sketch = two_thousand,
                       .takes = uneven };
    struct outcome o = try(&t);

    (void)state;
    is_near_ideal(&t, &o, 3);
}

static void the_tail_is_spread(void **state)
{
    struct trial t = { .n_workers = 5,
                       .size = 2,
                       .ahead_percent = 2000,
                       .latency = TIME_MS(1),
                       .sketch = two_thousand,
                       .takes = long_at_the_end };
    struct outcome o = try(&t);

    (void)state;
    is_near_ideal(&t, &o, 3);
    assert_in_range(o.n_recalls, 1, 400);
}

/* A worker that took all there was, and others that come then. */
static void those_that_come_later_get_some(void **state)
{
    struct trial t = { .n_workers = 10,
                       .size = 2,
                       .ahead_percent = 50000,
                       .latency = TIME_MS(1),
                       .sketch = two_thousand,
                       .takes = ten_ms };
    struct outcome o;

    (void)state;
    t.n_early = 1;
    o = try(&t);
    is_near_ideal(&t, &o, 10);
}

/* More workers than tasks, and all of them want much. */
static void few_tasks_are_spread_at_once(void **state)
{
    struct outcome o = try(&(struct trial){
        .n_workers = 100,
        .size = 4,
        .ahead_percent = 800,
        .latency = TIME_MS(1),
        .sketch = "split foreach=100\nfit: split\njoin: fit join=split\n",
        .takes = ten_ms });

    (void)state;
    assert_in_range(o.took, TIME_MS(30), TIME_MS(40));
    assert_int_equal(o.n_recalls, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_are_kept_busy),
        cmocka_unit_test(taking_ahead_hides_messages),
        cmocka_unit_test(nobody_waits_behind_a_long_task),
        cmocka_unit_test(the_tail_is_spread),
        cmocka_unit_test(those_that_come_later_get_some),
        cmocka_unit_test(few_tasks_are_spread_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
