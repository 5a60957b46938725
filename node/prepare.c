/* SPDX-License-Identifier: Apache-2.0 */
#include "node/prepare.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "flow/read.h"
#include "node/prepare_internal.h"

/* So often blobs may turn out to name more that is missing: a folder's manifest, then
 * its files, then what was evicted meanwhile. */
enum { ROUNDS_MAX = 5 };

int waiters_add(struct waiters *w, const struct waiter *waiter)
{
    if (w->n == w->cap) {
        size_t cap = w->cap ? 2 * w->cap : 4;
        struct waiter *all = realloc(w->all, cap * sizeof(*all));

        if (!all)
            return -ENOMEM;
        w->all = all;
        w->cap = cap;
    }
    w->all[w->n++] = *waiter;
    return 0;
}

static struct task *find_task(const struct preparer *p, uint64_t guest)
{
    struct task *t;

    HASH_FIND(hh, p->tasks, &guest, sizeof(guest), t);
    return t;
}

static struct opening *find_opening(const struct preparer *p, const struct run_id *run)
{
    struct opening *o;

    HASH_FIND(hh, p->openings, run, sizeof(*run), o);
    return o;
}

/* ---- tasks that are done ---- */

static void task_free(struct preparer *p, struct task *t)
{
    if (t->phase == TASK_DONE)
        DL_DELETE(p->done, t);
    HASH_DELETE(hh, p->tasks, t);
    needs_release(&t->needs);
    flow_unref(t->flow);
    free(t->text);
    free(t);
}

static void conclude(struct preparer *p, struct task *t, int status, const char *text)
{
    if (t->phase == TASK_DONE)
        return;
    t->phase = TASK_DONE;
    t->status = status;
    t->text = status < 0 && text ? strdup(text) : NULL;
    DL_APPEND(p->done, t);
}

/* Last in each call, because whoever is told may come back with the next. */
static void tell(struct preparer *p)
{
    if (p->is_telling)
        return;
    p->is_telling = true;
    while (p->done) {
        struct task *t = p->done;
        struct flow *flow = t->status == 0 ? flow_ref(t->flow) : NULL;
        CLEANUP(freep) char *text = TAKE(t->text);
        struct prepared prepared = { .guest = t->guest,
                                     .run = t->run,
                                     .status = t->status,
                                     .text = text ? text : "",
                                     .flow = flow,
                                     .witness = t->witness };

        task_free(p, t);
        p->ops.on_done(p->ops.arg, &prepared);
        flow_unref(flow);
    }
    p->is_telling = false;
}

/* ---- blobs ---- */

/* 1: it is here by now. */
static int wait_for_blob(struct preparer *p, const struct digest *id,
                         const struct run_id *run, const struct node_id *leader,
                         const struct waiter *w)
{
    struct blob_wait *b;
    int r;

    HASH_FIND(hh, p->blobs, id, sizeof(*id), b);
    if (!b) {
        b = calloc(1, sizeof(*b));
        if (!b)
            return -ENOMEM;
        b->id = *id;
        HASH_ADD(hh, p->blobs, id, sizeof(b->id), b);
        r = p->ops.get_blob(p->ops.arg, run, leader, id);
        if (r) {
            HASH_DELETE(hh, p->blobs, b);
            free(b);
            return r;
        }
    }
    return waiters_add(&b->waiters, w);
}

/* Returns how many are waited for. */
static int wait_for_blobs(struct preparer *p, const struct missing *m,
                          const struct run_id *run, const struct node_id *leader,
                          const struct waiter *w, size_t *ret_n)
{
    int r = 0;

    *ret_n = 0;
    for (size_t i = 0; r >= 0 && i < m->n; i++) {
        r = wait_for_blob(p, &m->ids[i], run, leader, w);
        *ret_n += r == 0;
    }
    return r < 0 ? r : 0;
}

/* ---- a task: records, then blobs ---- */

static const char no_blob[] = "what it needs is nowhere to be had";

/* 1: none is missing; 0: some are waited for. */
static int ask_for_task(struct preparer *p, struct task *t)
{
    struct waiter w = { .guest = t->guest };

    while (t->n_rounds++ < ROUNDS_MAX) {
        CLEANUP(missing_release) struct missing m = { .ids = NULL };
        int r = missing_of_task(p->artifacts, t->flow, &t->run, &t->id, &m);

        if (r < 0 || m.n == 0)
            return r < 0 ? r : 1;
        r = wait_for_blobs(p, &m, &t->run, &t->leader, &w, &t->n_missing);
        if (r < 0 || t->n_missing)
            return r;
    }
    return -EHOSTUNREACH;
}

static int get_task_blobs(struct preparer *p, struct task *t)
{
    int r;

    t->phase = TASK_BLOBS;
    r = ask_for_task(p, t);
    if (r == -ENOMEM)
        return r;
    if (r)
        conclude(p, t, r < 0 ? r : 0, no_blob);
    return 0;
}

/* The witness is made of all parts in their order, so it is made when all are here. */
static int get_task_records(struct preparer *p, struct task *t, time_us now)
{
    struct digest witness = { .bytes = { 0 } };

    t->phase = TASK_RECORDS;
    t->n_missing = 0;
    for (size_t i = 0; i < t->needs.n; i++) {
        struct range_order order = { .run = t->run,
                                     .leader = t->leader,
                                     .prefix = t->needs.all[i].prefix,
                                     .waiter = { .guest = t->guest } };
        struct digest part;
        int r = range_get(p, &order, now, &part);

        if (r < 0)
            return r;
        if (r > 0)
            witness_add(&witness, &part);
        t->n_missing += r == 0;
    }
    if (t->n_missing)
        return 0;
    t->witness = witness;
    return get_task_blobs(p, t);
}

static int begin_task(struct preparer *p, struct task *t, struct flow *flow,
                      time_us now)
{
    int r;

    if (t->id.step >= flow->n_all_steps
        || t->id.depth != flow->scopes[flow->steps[t->id.step].scope].depth) {
        conclude(p, t, -EBADMSG, "its flow has no such task");
        return 0;
    }
    t->flow = flow_ref(flow);
    r = needs_of(flow, &t->run, &t->id, &t->needs);
    return r < 0 ? r : get_task_records(p, t, now);
}

static int wake_task(struct preparer *p, struct task *t, int status, const char *text,
                     time_us now)
{
    if (status < 0)
        conclude(p, t, status, text);
    if (t->phase == TASK_DONE || t->n_missing == 0 || --t->n_missing)
        return 0;
    return t->phase == TASK_RECORDS ? get_task_records(p, t, now)
                                    : get_task_blobs(p, t);
}

/* ---- opening a run ---- */

static void opening_free(struct preparer *p, struct opening *o)
{
    HASH_DELETE(hh, p->openings, o);
    run_record_release(&o->record);
    flow_unref(o->flow);
    free(o->waiters.all);
    free(o);
}

/* Its tasks go on with the flow, or, NULL, are given back. */
static int end_opening(struct preparer *p, struct opening *o, struct flow *flow,
                       int status, const char *text, time_us now)
{
    struct waiters w = o->waiters;
    int r = 0;

    o->waiters = (struct waiters){ .all = NULL };
    opening_free(p, o);
    for (size_t i = 0; r == 0 && i < w.n; i++) {
        struct task *t = find_task(p, w.all[i].guest);

        if (t && flow)
            r = begin_task(p, t, flow, now);
        else if (t)
            conclude(p, t, status, text);
    }
    free(w.all);
    return r;
}

/* As ask_for_task(). */
static int ask_for_run(struct preparer *p, struct opening *o)
{
    struct waiter w = { .run = o->run };

    while (o->n_rounds++ < ROUNDS_MAX) {
        CLEANUP(missing_release) struct missing m = { .ids = NULL };
        int r = missing_of_run(p->artifacts->blobs, o->flow, &o->record, &m);

        if (r < 0 || m.n == 0)
            return r < 0 ? r : 1;
        r = wait_for_blobs(p, &m, &o->run, &o->leader, &w, &o->n_missing);
        if (r < 0 || o->n_missing)
            return r;
    }
    return -EHOSTUNREACH;
}

static int get_run_blobs(struct preparer *p, struct opening *o, time_us now)
{
    struct error why = { .text = "" };
    struct flow *flow;
    int r = ask_for_run(p, o);

    if (r == -ENOMEM || r == 0)
        return r;
    if (r < 0)
        return end_opening(p, o, NULL, r, no_blob, now);
    r = p->ops.open_run(p->ops.arg, &o->record, o->flow, &why);
    flow = r == 0 ? p->ops.find_run(p->ops.arg, &o->run) : NULL;
    return end_opening(p, o, flow, r, why.text[0] ? why.text : strerror(-r), now);
}

static bool has_secrets(const struct run_record *record)
{
    for (size_t i = 0; i < record->n_parameters; i++)
        if (record->parameters[i].is_secret)
            return true;
    return false;
}

int preparer_on_run_record(struct preparer *p, const struct run_id *run,
                           const struct log_entry *entry, time_us now)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct opening *o = find_opening(p, run);
    struct error why = { .text = "" };
    int r;

    if (!o || o->flow)
        return 0;
    r = run_record_decode(entry->value, entry->value_len, &o->record);
    if (r == 0 && !run_id_equal(&o->record.run, run))
        r = -EBADMSG;
    if (r == 0 && has_secrets(&o->record))
        return end_opening(p, o, NULL, -ENOKEY,
                           "its secret parameters are in no record", now);
    if (r == 0)
        r = flow_read(o->record.flow_text, o->record.flow_text_len, &o->flow, &d);
    if (r == -ENOMEM)
        return r;
    if (r < 0)
        return end_opening(p, o, NULL, r, "its flow cannot be read here", now);
    r = p->ops.may_open(p->ops.arg, &o->record, o->flow, &why);
    return r < 0 ? end_opening(p, o, NULL, r, why.text, now) : get_run_blobs(p, o, now);
}

static int wake_opening(struct preparer *p, struct opening *o, int status,
                        const char *text, time_us now)
{
    if (status < 0)
        return end_opening(p, o, NULL, status, text, now);
    if (o->n_missing == 0
        || --o->n_missing) /* or one that was given up waited for it */
        return 0;
    return get_run_blobs(p, o, now);
}

static int open_run(struct preparer *p, struct task *t, time_us now)
{
    struct opening *o = find_opening(p, &t->run);
    struct range_order order = { .run = t->run,
                                 .leader = t->leader,
                                 .prefix = run_key(&t->run),
                                 .is_run = true,
                                 .waiter = { .run = t->run } };
    struct digest ignored;
    int r;

    if (o)
        return waiters_add(&o->waiters, &(struct waiter){ .guest = t->guest });
    o = calloc(1, sizeof(*o));
    if (!o)
        return -ENOMEM;
    o->run = t->run;
    o->leader = t->leader;
    HASH_ADD(hh, p->openings, run, sizeof(o->run), o);
    r = waiters_add(&o->waiters, &(struct waiter){ .guest = t->guest });
    return r < 0 ? r : range_get(p, &order, now, &ignored);
}

int preparer_wake(struct preparer *p, const struct waiter *w, int status,
                  const char *text, time_us now)
{
    struct task *t = w->guest ? find_task(p, w->guest) : NULL;
    struct opening *o = w->guest ? NULL : find_opening(p, &w->run);

    if (t)
        return wake_task(p, t, status, text, now);
    return o ? wake_opening(p, o, status, text, now) : 0;
}

/* ---- from outside ---- */

struct preparer *preparer_new(const struct artifacts *artifacts,
                              const struct prepare_ops *ops)
{
    struct preparer *p = calloc(1, sizeof(*p));

    if (!p)
        return NULL;
    p->artifacts = artifacts;
    p->ops = *ops;
    return p;
}

static void blob_wait_free(struct preparer *p, struct blob_wait *b)
{
    HASH_DELETE(hh, p->blobs, b);
    free(b->waiters.all);
    free(b);
}

void preparer_free(struct preparer *p)
{
    struct task *t, *next_task;
    struct opening *o, *next_opening;
    struct range *range, *next_range;
    struct blob_wait *b, *next_blob;

    if (!p)
        return;
    HASH_ITER (hh, p->tasks, t, next_task)
        task_free(p, t);
    HASH_ITER (hh, p->openings, o, next_opening)
        opening_free(p, o);
    HASH_ITER (hh, p->ranges, range, next_range)
        range_free(p, range);
    HASH_ITER (hh, p->blobs, b, next_blob)
        blob_wait_free(p, b);
    free(p);
}

int preparer_start(struct preparer *p, uint64_t guest, const struct run_id *run,
                   const struct task_id *task, const struct node_id *leader,
                   time_us now)
{
    struct flow *flow = p->ops.find_run(p->ops.arg, run);
    struct task *t = calloc(1, sizeof(*t));
    int r;

    if (!t)
        return -ENOMEM;
    t->guest = guest;
    t->run = *run;
    t->id = *task;
    t->leader = *leader;
    t->phase = TASK_OPENING;
    HASH_ADD(hh, p->tasks, guest, sizeof(t->guest), t);
    r = flow ? begin_task(p, t, flow, now) : open_run(p, t, now);
    return r < 0 ? r : preparer_on_tick(p, now);
}

/* What it waited for comes all the same: another task may need it. */
int preparer_cancel(struct preparer *p, uint64_t guest, time_us now)
{
    struct task *t = find_task(p, guest);

    if (t)
        task_free(p, t);
    return preparer_on_tick(p, now);
}

int preparer_on_blob(struct preparer *p, const struct digest *id, int status,
                     time_us now)
{
    struct waiters w;
    struct blob_wait *b;
    int r = 0;

    HASH_FIND(hh, p->blobs, id, sizeof(*id), b);
    if (!b)
        return 0;
    w = b->waiters;
    b->waiters = (struct waiters){ .all = NULL };
    blob_wait_free(p, b);
    for (size_t i = 0; r == 0 && i < w.n; i++)
        r = preparer_wake(p, &w.all[i], status, no_blob, now);
    free(w.all);
    return r < 0 ? r : preparer_on_tick(p, now);
}

int preparer_on_tick(struct preparer *p, time_us now)
{
    int r = ranges_on_tick(p, now);

    if (r == 0)
        tell(p);
    return r;
}

void preparer_forget(struct preparer *p, const struct run_id *run)
{
    struct range *range, *next;

    HASH_ITER (hh, p->ranges, range, next)
        if (range->state == RANGE_DONE && run_id_equal(&range->run, run))
            range_free(p, range);
}
