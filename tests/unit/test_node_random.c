/* SPDX-License-Identifier: Apache-2.0 */
/* Many workers, many seeds: whatever happens in whatever order, no task runs twice at
 * once, no attempt is written twice, nothing is held when all is over, and all ends. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "node/node.h"
#include "tests/unit/story_sketch.h"

enum {
    SEEDS = 200,
    EVENTS = 400,
    LOCAL = 2,
    WORKERS = 4,
    RUNS_MAX = 40,
    SLOTS_MAX = 4096,
    WRITTEN_MAX = 8192,
    CALM_MAX = 20000,
};

static const char *const sketches[] = {
    "a\nb: a\nc: b\n",
    "split foreach=9\nfit: split retry=2 delay=50\njoin: fit join=split\n",
    "split foreach=30\nfit: split timeout=900\nsum: fit\njoin: sum join=split\n"
    "bye hook=success\nsorry hook=error\n",
    "flow max_workers=3\nsplit foreach=8\nfit: split catch\njoin: fit join=split\n",
    "flow on_failure=kill\nsplit foreach=6\nfit: split concurrency=2\n"
    "join: fit join=split\n",
    "flow on_failure=finish\na cpu=3000\nb gpu=1000\nc: a b\n",
};

struct live {
    bool is_used, is_void, is_started;
    uint64_t guest;
    uint32_t worker;
    struct run_id run;
    struct task_id task;
};

struct written {
    struct record_key key;
    void *value;
    size_t len;
};

struct fate {
    struct prng prng;
    struct node *node;
    struct outbox out;
    time_us now;
    struct live live[SLOTS_MAX];
    uint32_t n_of_worker[WORKERS + 1], slots_of_worker[WORKERS + 1];
    struct flow *flows[ARRAY_SIZE(sketches)];
    struct run_id runs[RUNS_MAX];
    unsigned flow_of_run[RUNS_MAX];
    bool has_ended[RUNS_MAX], is_dropped[RUNS_MAX];
    unsigned n_runs, n_open;
    uint64_t n_guests, n_guests_open;
    struct written *written;
    size_t n_written;
};

static unsigned run_number(const struct fate *f, const struct run_id *id)
{
    unsigned i = 0;

    while (i < f->n_runs && !run_id_equal(&f->runs[i], id))
        i++;
    return i;
}

/* ---- what the node says is carried out ---- */

static void occupy(struct fate *f, const struct action *a, uint32_t worker)
{
    struct live *l = &f->live[a->slot];

    assert_true(a->slot < SLOTS_MAX && !l->is_used);
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        assert_false(f->live[i].is_used && !f->live[i].is_void
                     && run_id_equal(&f->live[i].run, &a->run)
                     && task_id_equal(&f->live[i].task, &a->task));
    *l = (struct live){ .is_used = true,
                        .run = a->run,
                        .task = a->task,
                        .worker = worker,
                        .is_started = !worker };
    f->n_of_worker[worker]++;
}

static void vacate(struct fate *f, uint32_t slot)
{
    assert_true(f->live[slot].is_used);
    f->n_of_worker[f->live[slot].worker]--;
    f->live[slot].is_used = false;
}

static void write_down(struct fate *f, const struct action *a)
{
    struct written *w = &f->written[f->n_written++];

    assert_true(f->n_written < WRITTEN_MAX);
    for (struct written *o = f->written; o < w; o++)
        assert_false(o->key.len == a->u.persist.key_len
                     && memcmp(o->key.bytes, a->u.persist.key, o->key.len) == 0);
    w->key.len = a->u.persist.key_len;
    memcpy(w->key.bytes, a->u.persist.key, w->key.len);
    w->len = a->u.persist.value_len;
    w->value = malloc(w->len + 1);
    assert_non_null(w->value);
    memcpy(w->value, a->u.persist.value, w->len);
}

static void on_recall(struct fate *f, const struct action *a)
{
    assert_true(f->live[a->slot].is_used && f->live[a->slot].worker);
    assert_true(task_id_equal(&f->live[a->slot].task, &a->task));
    if (a->u.kill.why == REASON_LOST)
        vacate(f, a->slot);
}

static void carry_out(struct fate *f, const struct action *a)
{
    switch (a->type) {
    case ACTION_START:
        occupy(f, a, 0);
        f->live[a->slot].guest = a->u.start.guest;
        break;
    case ACTION_LEASE:
        assert_true(f->n_of_worker[a->u.lease.worker]
                    < f->slots_of_worker[a->u.lease.worker]);
        occupy(f, a, a->u.lease.worker);
        break;
    case ACTION_LEASED:
        occupy(f, a, a->u.lease.worker);
        break;
    case ACTION_KILL:
        assert_true(f->live[a->slot].is_used && !f->live[a->slot].worker);
        f->live[a->slot].is_void |= a->u.kill.why == REASON_LOST;
        break;
    case ACTION_RECALL:
        on_recall(f, a);
        break;
    case ACTION_PERSIST:
        write_down(f, a);
        break;
    case ACTION_TELL:
        if (a->u.tell.type != TELL_RUN_ENDED)
            break;
        f->has_ended[run_number(f, &a->run)] = true;
        f->n_open--;
        break;
    case ACTION_TO_GUEST:
        f->live[a->slot].guest = a->u.guest.guest;
        break;
    case ACTION_GUEST_ENDED:
    case ACTION_GUEST_RETURNED:
        f->n_guests_open -= !(a->u.guest.guest & GUEST_DROPPED);
        break;
    default:
        break;
    }
}

static void tell(struct fate *f, struct event *event)
{
    event->now = f->now;
    event->wall = TIME_S(1000) + f->now;
    assert_int_equal(node_step(f->node, event, &f->out), 0);
    for (size_t i = 0; i < f->out.n; i++)
        carry_out(f, &f->out.actions[i]);
    outbox_clear(&f->out);
}

static void check(const struct fate *f)
{
    for (uint32_t i = 1; i <= WORKERS; i++) {
        struct worker_view w;

        if (node_worker(f->node, i, &w))
            assert_int_equal(w.n_leases, f->n_of_worker[i]);
    }
    assert_int_equal(node_claims(f->node).n_slots, f->n_of_worker[0]);
}

/* ---- what happens ---- */

static uint32_t below(struct fate *f, uint32_t n)
{
    return (uint32_t)prng_below(&f->prng, n);
}

static void submit(struct fate *f)
{
    uint8_t random[10] = { (uint8_t)f->n_runs };
    struct run_record record = { .number = f->n_runs + 1,
                                 .flow_name = (char[]){ "x" },
                                 .flow_path = (char[]){ "x" },
                                 .flow_text = (char[]){ "" },
                                 .user = f->n_runs % 2 ? (char[]){ "ann" }
                                                       : (char[]){ "ben" } };

    if (f->n_runs == RUNS_MAX)
        return;
    record.run = f->runs[f->n_runs] = run_id_make(1000, random);
    f->flow_of_run[f->n_runs] = below(f, ARRAY_SIZE(sketches));
    f->n_open++;
    tell(f, &(struct event){
                .type = EVENT_SUBMIT,
                .run = record.run,
                .u.submit = { .record = &record,
                              .flow = f->flows[f->flow_of_run[f->n_runs++]] } });
}

static void show_worker(struct fate *f, uint32_t i, uint32_t slots)
{
    struct resources r = { .cpu_milli = 4000,
                           .memory_bytes = UINT64_C(1) << 40,
                           .gpu_milli = i == 2 ? 2000 : 0 };

    f->slots_of_worker[i] = slots;
    tell(f, &(struct event){ .type = EVENT_WORKER,
                             .u.worker = { .worker = i,
                                           .slots = slots,
                                           .ahead_percent = 100 + 100 * below(f, 4),
                                           .capacity = &r } });
}

static void lose_worker(struct fate *f, uint32_t worker)
{
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (f->live[i].is_used && f->live[i].worker == worker)
            vacate(f, i);
    f->slots_of_worker[worker] = 0;
    tell(f, &(struct event){ .type = EVENT_WORKER_GONE, .u.worker.worker = worker });
}

/* SLOTS_MAX: none is in use. */
static uint32_t pick_slot(struct fate *f)
{
    uint32_t n = 0, found = SLOTS_MAX;

    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (f->live[i].is_used && below(f, ++n) == 0)
            found = i;
    return found;
}

static void end_slot(struct fate *f, uint32_t slot, enum reason reason)
{
    struct attempt_record record = { .reason = reason,
                                     .exit_code = reason == REASON_EXIT,
                                     .ended_wall = TIME_S(1000) + f->now };

    vacate(f, slot);
    tell(f, &(struct event){ .type = EVENT_TASK_ENDED,
                             .u.ended = { .slot = slot, .record = &record } });
    attempt_record_release(&record);
}

static void move_on(struct fate *f, uint32_t slot, bool is_calm)
{
    struct live *l = &f->live[slot];
    uint32_t dice = is_calm ? 50 + below(f, 50) : below(f, 100);

    if (l->worker && !l->is_started && dice < 20) {
        vacate(f, slot);
        tell(f, &(struct event){ .type = EVENT_LEASE_RETURNED, .u.lease = slot });
    } else if (l->worker && !l->is_started && dice < 90) {
        l->is_started = true;
        tell(f, &(struct event){ .type = EVENT_LEASE_STARTED, .u.lease = slot });
    } else if (dice < 8) {
        end_slot(f, slot, REASON_EXIT);
    } else if (dice < 10 && l->worker) {
        end_slot(f, slot, REASON_CANCELLED);
    } else {
        end_slot(f, slot, REASON_OK);
    }
}

static void come_late(struct fate *f, uint32_t slot)
{
    struct attempt_record record = { .reason = below(f, 4) ? REASON_OK : REASON_EXIT,
                                     .exit_code = 1,
                                     .ended_wall = TIME_S(1000) + f->now,
                                     .run = f->live[slot].run,
                                     .task = f->live[slot].task };

    if (f->live[slot].guest)
        return;
    /* Or of a neighbour, which may be ready. */
    if (record.task.depth)
        record.task.path[0] += below(f, 3);
    tell(f, &(struct event){ .type = EVENT_LATE, .u.late = &record });
    attempt_record_release(&record);
}

static void invite(struct fate *f)
{
    struct event event = { .type = EVENT_GUEST,
                           .u.guest = { .guest = ++f->n_guests, .flow = f->flows[0] } };
    uint8_t random[10] = { 1, (uint8_t)f->n_guests, (uint8_t)(f->n_guests >> 8) };

    event.run = run_id_make(5, random);
    event.u.guest.task.step = below(f, 3);
    f->n_guests_open++;
    tell(f, &event);
}

static void change_run(struct fate *f, bool is_drop)
{
    static const enum event_type types[] = { EVENT_SUSPEND, EVENT_UNSUSPEND,
                                             EVENT_UNSUSPEND, EVENT_CANCEL };
    unsigned i = f->n_runs ? below(f, f->n_runs) : 0;
    struct event event = { .type = is_drop ? EVENT_DROP : types[below(f, 4)] };

    if (!f->n_runs || f->has_ended[i] || f->is_dropped[i])
        return;
    event.run = f->runs[i];
    for (uint32_t k = 0; is_drop && k < SLOTS_MAX; k++)
        if (f->live[k].is_used && f->live[k].worker
            && run_id_equal(&f->live[k].run, &event.run))
            vacate(f, k);
    f->is_dropped[i] = is_drop;
    f->n_open -= is_drop;
    tell(f, &event);
}

/* ---- another leader ---- */

static void make_node(struct fate *f)
{
    f->node = node_new(&(struct node_config){
        .capacity = { .cpu_milli = 4000, .memory_bytes = UINT64_C(1) << 40 },
        .slots_max = LOCAL,
        .grace_us = TIME_MS(200) });
    assert_non_null(f->node);
}

static void read_run_back(struct fate *f, unsigned run)
{
    for (size_t i = 0; i < f->n_written; i++) {
        struct written *w = &f->written[i];
        struct run_record record;
        struct attempt_record attempt;

        if (memcmp(w->key.bytes + 1, f->runs[run].bytes, RUN_ID_SIZE) != 0)
            continue;
        if (w->key.bytes[0] == 'r') {
            assert_int_equal(run_record_decode(w->value, w->len, &record), 0);
            record.run = f->runs[run];
            tell(f, &(struct event){
                        .type = EVENT_RESTORE_RUN,
                        .run = record.run,
                        .u.submit = { .record = &record,
                                      .flow = f->flows[f->flow_of_run[run]] } });
            run_record_release(&record);
        } else if (w->key.bytes[0] == 'a') {
            assert_int_equal(attempt_record_decode(w->value, w->len, &attempt), 0);
            assert_int_equal(attempt_key_decode(w->key.bytes, w->key.len, &attempt.run,
                                                &attempt.task, &attempt.attempt),
                             0);
            tell(f, &(struct event){ .type = EVENT_RESTORE_ATTEMPT,
                                     .run = attempt.run,
                                     .u.attempt = &attempt });
            attempt_record_release(&attempt);
        }
    }
}

/* What runs at workers goes on there; some do not report, so it is lost to this one. */
static void take_over(struct fate *f)
{
    struct live *before = malloc(sizeof(f->live));

    assert_non_null(before);
    memcpy(before, f->live, sizeof(f->live));
    memset(f->live, 0, sizeof(f->live));
    memset(f->n_of_worker, 0, sizeof(f->n_of_worker));
    memset(f->slots_of_worker, 0, sizeof(f->slots_of_worker));
    node_free(f->node);
    make_node(f);
    f->n_guests_open = 0;
    for (unsigned run = 0; run < f->n_runs; run++) {
        struct event end = { .type = EVENT_RESTORE_END, .run = f->runs[run] };

        if (f->has_ended[run] || f->is_dropped[run])
            continue;
        read_run_back(f, run);
        for (uint32_t i = 0; i < SLOTS_MAX; i++)
            if (before[i].is_used && before[i].worker && below(f, 8)
                && run_id_equal(&before[i].run, &f->runs[run]))
                tell(f, &(struct event){
                            .type = EVENT_HELD,
                            .run = f->runs[run],
                            .u.held = { .worker = before[i].worker,
                                        .task = before[i].task,
                                        .is_started = before[i].is_started } });
        tell(f, &end);
    }
    for (uint32_t i = 0; i < SLOTS_MAX; i++)
        if (f->live[i].is_used && f->live[i].worker) {
            struct lease_view view;

            assert_true(node_lease(f->node, i, &view));
            f->live[i].is_started = view.is_started;
        }
    free(before);
}

/* ---- a life ---- */

static void pass_time(struct fate *f, time_us until)
{
    time_us at;

    while ((at = node_deadline(f->node)) <= until) {
        f->now = at > f->now ? at : f->now;
        tell(f, &(struct event){ .type = EVENT_TICK });
    }
    f->now = until;
}

static void happen(struct fate *f)
{
    uint32_t dice = below(f, 100), slot = pick_slot(f), worker = 1 + below(f, WORKERS);

    pass_time(f, f->now + TIME_MS(below(f, 100)));
    slot = slot < SLOTS_MAX && f->live[slot].is_used ? slot : pick_slot(f);
    if (dice < 8)
        submit(f);
    else if (dice < 16)
        show_worker(f, worker, below(f, 9));
    else if (dice < 18)
        lose_worker(f, worker);
    else if (dice < 21)
        change_run(f, false);
    else if (dice < 22)
        change_run(f, true);
    else if (dice < 24)
        tell(f, &(struct event){ .type = EVENT_DRAIN, .u.is_draining = below(f, 2) });
    else if (dice < 28)
        invite(f);
    else if (dice < 29)
        tell(f, &(struct event){ .type = EVENT_GUEST_END,
                                 .u.guest = { .guest = 1 + below(f, 20),
                                              .signal = SIGTERM,
                                              .why = REASON_CANCELLED } });
    else if (dice < 30)
        take_over(f);
    else if (slot < SLOTS_MAX && dice < 36)
        come_late(f, slot);
    else if (slot < SLOTS_MAX)
        move_on(f, slot, false);
    check(f);
}

/* No more faults: all must end, and nobody holds anything. */
static void calm_down(struct fate *f)
{
    tell(f, &(struct event){ .type = EVENT_DRAIN });
    for (uint32_t i = 1; i <= WORKERS; i++)
        show_worker(f, i, 4);
    for (unsigned i = 0; i < f->n_runs; i++)
        tell(f, &(struct event){ .type = EVENT_UNSUSPEND, .run = f->runs[i] });
    for (uint32_t i = 0; i < CALM_MAX && (f->n_open || f->n_guests_open); i++) {
        uint32_t slot = pick_slot(f);

        if (slot < SLOTS_MAX)
            move_on(f, slot, true);
        else
            pass_time(f, f->now + TIME_S(1));
        check(f);
    }
    for (uint32_t slot; (slot = pick_slot(f)) < SLOTS_MAX;)
        end_slot(f, slot, REASON_OK); /* of dropped runs */
    assert_int_equal(f->n_open, 0);
    assert_int_equal(f->n_guests_open, 0);
    assert_int_equal(node_runs(f->node), 0);
    assert_int_equal(node_claims(f->node).cpu_milli, 0);
    check(f);
}

static uint64_t last_seed; /* to be told when it failed */

static uint64_t live(uint64_t seed)
{
    struct fate *f = calloc(1, sizeof(*f));
    uint64_t hash;

    assert_non_null(f);
    last_seed = seed;
    prng_init(&f->prng, seed);
    f->written = calloc(WRITTEN_MAX, sizeof(f->written[0]));
    assert_non_null(f->written);
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++)
        f->flows[i] = sketch_flow(sketches[i]);
    make_node(f);
    for (int i = 0; i < EVENTS; i++)
        happen(f);
    hash = node_hash(f->node) ^ f->n_written;
    calm_down(f);
    node_free(f->node);
    outbox_release(&f->out);
    for (size_t i = 0; i < f->n_written; i++)
        free(f->written[i].value);
    for (size_t i = 0; i < ARRAY_SIZE(sketches); i++)
        sketch_free(f->flows[i]);
    free(f->written);
    free(f);
    return hash;
}

static void whatever_happens(void **state)
{
    const char *seed = getenv("MESH_SEED");

    (void)state;
    if (seed) {
        live(strtoull(seed, NULL, 10));
        return;
    }
    for (uint64_t i = 0; i < SEEDS; i++)
        live(i);
}

static int say_seed(void **state)
{
    (void)state;
    print_message("the last was MESH_SEED=%u\n", (unsigned)last_seed);
    return 0;
}

static void equal_histories_end_equal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        assert_int_equal(live(i), live(i));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(whatever_happens, say_seed),
        cmocka_unit_test(equal_histories_end_equal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
