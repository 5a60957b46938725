/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/tasks: attempts, a page at a time, in the order of their keys. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/source.h"

enum { TASKS_MAX = 10000 };

static const char states[] = "done failed lost caught adopted running";

struct task_page {
    const struct flow *flow;
    const char *state; /* NULL: all */
    uint64_t limit, n;
    struct record_key prefix, from;
    struct emit e;
    struct record_key last; /* of the last attempt on the page */
    bool is_full;
    const atomic_bool *is_stopping;
};

int tasks_list(struct request *r)
{
    const char *state = request_query(r, "state");
    struct task_page *page = request_data(r, sizeof(*page), NULL);

    if (!page)
        return -ENOMEM;
    if (!request_number(r, "limit", 1000, TASKS_MAX, &page->limit))
        return 0;
    if (state && !word_is_among(state, states))
        return reply_error(r, MHD_HTTP_BAD_REQUEST, states, "there is no state '%.64s'",
                           state);
    page->state = state;
    return source_begin(r);
}

/* ---- those that run: known to the node alone ---- */

static bool is_of_task(const struct task_page *page, const struct task_id *task)
{
    struct record_key key = attempt_key(&(struct run_id){ .bytes = { 0 } }, task, 0);
    size_t run_end = 1 + RUN_ID_SIZE;

    return key.len >= page->prefix.len
           && memcmp(key.bytes + run_end, page->prefix.bytes + run_end,
                     page->prefix.len - run_end)
                  == 0;
}

static void emit_use(struct emit *e, struct runtime *rt, uint32_t slot)
{
    struct task_use use;

    if (!runtime_use(rt, slot, &use))
        return;
    emit_u64(e, "pid", use.pid);
    emit_time(e, "started", use.started_wall);
    emit_u64(e, "memory_bytes", use.memory_bytes);
    emit_u64(e, "memory_peak_bytes", use.memory_peak_bytes);
    emit_u64(e, "cpu_milli", use.cpu_milli);
    emit_u64(e, "cpu_peak_milli", use.cpu_peak_milli);
}

/* Lists the attempt in the slot when it was asked for. */
static void list_slot(struct request *r, struct task_page *page, uint32_t slot)
{
    struct attempt_record a = { .pid = 0 };

    if (!node_runs_slot(runtime_node(r->rt), slot, &a.run, &a.task, &a.attempt)
        || !run_id_equal(&a.run, &r->run) || !is_of_task(page, &a.task))
        return;
    emit_open(&page->e, NULL, '{');
    emit_text(&page->e, "step", r->flow->steps[a.task.step].name);
    emit_task(&page->e, "task", &a.task);
    emit_u64(&page->e, "attempt", a.attempt);
    emit_text(&page->e, "verdict", "running");
    emit_u64(&page->e, "slot", slot);
    encode_gpus(&page->e, node_slot_gpus(runtime_node(r->rt), slot));
    if (node_slot_fence(runtime_node(r->rt), slot))
        emit_u64(&page->e, "fence", node_slot_fence(runtime_node(r->rt), slot));
    emit_use(&page->e, r->rt, slot);
    emit_close(&page->e, '}');
    page->n++;
}

int tasks_list_end(struct request *r)
{
    struct task_page *page = r->data;
    uint32_t end = node_slots_end(runtime_node(r->rt));

    emit_open(&page->e, NULL, '{');
    emit_open(&page->e, "attempts", '[');
    for (uint32_t i = 0; i < end && page->n < page->limit; i++)
        list_slot(r, page, i);
    emit_close(&page->e, ']');
    emit_null(&page->e, "after");
    emit_close(&page->e, '}');
    return reply_json(r, MHD_HTTP_OK);
}

/* ---- those that ended: in the store ---- */

static int each_attempt(void *arg, struct span key, struct span value)
{
    struct task_page *page = arg;
    CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };
    int error = attempt_record_decode(value.data, value.len, &a);

    if (error == 0)
        error = attempt_key_decode(key.data, key.len, &a.run, &a.task, &a.attempt);
    if (error < 0 || a.task.step >= page->flow->n_all_steps)
        return error < 0 ? error : -EBADMSG;
    if (atomic_load(page->is_stopping))
        return -ECANCELED;
    if (page->state && strcmp(page->state, verdict_name(a.verdict)) != 0)
        return 0;
    if (page->n == page->limit) {
        page->is_full = true;
        return 1;
    }
    encode_attempt(&page->e, page->flow->steps[a.task.step].name, &a);
    page->last = attempt_key(&a.run, &a.task, a.attempt);
    page->n++;
    return buffer_failed(page->e.out);
}

static void emit_after(struct task_page *page)
{
    char text[TASK_TEXT_SIZE];
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    CLEANUP(buffer_release) struct buffer after = BUFFER_INIT;

    if (!page->is_full || page->n == 0
        || attempt_key_decode(page->last.bytes, page->last.len, &run, &task, &attempt)
               < 0) {
        emit_null(&page->e, "after");
        return;
    }
    task_id_text(&task, text);
    buffer_printf(&after, "%s/%s/%u", page->flow->steps[task.step].name, text, attempt);
    emit_text(&page->e, "after", buffer_text(&after));
}

int tasks_list_work(struct request *r)
{
    struct task_page *page = r->data;
    int error;

    if (!source_flow(r) || !source_prefix(r, &page->prefix)
        || !source_after(r, &page->from))
        return 0;
    page->flow = r->flow;
    page->is_stopping = r->is_stopping;
    page->e.out = &r->reply.body;
    if (page->state && strcmp(page->state, "running") == 0)
        return REQUEST_NEXT;
    emit_open(&page->e, NULL, '{');
    emit_open(&page->e, "attempts", '[');
    error = writer_scan(runtime_writer(r->rt), STORE_RECORDS,
                        (struct span){ page->prefix.bytes, page->prefix.len },
                        (struct span){ page->from.bytes, page->from.len }, each_attempt,
                        page);
    if (error < 0)
        return reply_errno(r, error, "an attempt's record");
    emit_close(&page->e, ']');
    emit_after(page);
    emit_close(&page->e, '}');
    return reply_json(r, MHD_HTTP_OK);
}
