/* SPDX-License-Identifier: Apache-2.0 */
/* What an attempt leaves is kept and the node is told: outputs and the log, maybe in
 * another thread, then what needs the loop's caches. Nobody of its tree lives. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/inputs.h"
#include "node/merge.h"
#include "node/outputs.h"
#include "node/runtime_internal.h"
#include "store/digest.h"

enum { HASH_THREADS = 2 };

static void queue_end(struct runtime *rt, struct slot *s)
{
    const char *catch_var = s->flow->steps[s->task.step].catch_var;
    struct event e = { .type = EVENT_TASK_ENDED };

    s->record.attempt = s->attempt;
    if (s->record.reason != REASON_OK) {
        if (catch_var)
            outputs_of_failure(&s->record, catch_var);
        else
            outputs_forget(&s->record);
    }
    if (rt->running.entries)
        rt->running.entries[s->index].is_used = 0;
    s->state = SLOT_ENDED;
    s->record.pid = (uint32_t)s->pid;
    s->record.started_wall = s->started_wall;
    s->record.ended_wall = runtime_wall();
    e.u.ended.slot = s->index;
    e.u.ended.record = &s->record;
    runtime_queue(rt, &e);
}

static void set_failure(struct slot *s, enum reason reason, const char *message)
{
    s->record.reason = reason;
    free(s->record.message);
    s->record.message = message[0] ? strdup(message) : NULL;
}

/* The foreach step's artifact tells how many tasks its scope has. */
static int find_width(struct runtime *rt, struct slot *s, struct error *why)
{
    const struct foreach *f = &s->flow->steps[s->task.step].foreach;
    struct item_list list;
    int r;

    if (f->kind == FOREACH_NONE)
        return 0;
    s->record.has_width = true;
    s->record.width = f->width;
    if (f->kind != FOREACH_ARTIFACT)
        return 0;
    r = items_of_ended(&rt->artifacts, s->flow, &s->run->id, &s->task, &s->record,
                       &list, why);
    if (r < 0) {
        s->record.has_width = false;
        return r;
    }
    s->record.width = list.n;
    items_remember(&rt->items, &s->run->id, &s->task, &list);
    return 0;
}

/* A JSON string is what it says; anything else names a case as it is written. */
static char *case_in(const char *text, size_t len)
{
    json_t *json;
    char *name;

    while (len && strchr(" \t\r\n", text[len - 1]))
        len--;
    json = len && *text == '"' ? json_loadb(text, len, JSON_DECODE_ANY, NULL) : NULL;
    name = json ? strdup(json_string_value(json)) : strndup(text, len);
    json_decref(json);
    return name;
}

/* The case of a switch: what `mesh next` said, else the artifact's text. */
static int find_choice(struct runtime *rt, struct slot *s)
{
    const char *by = s->flow->steps[s->task.step].switch_by;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    if (!by)
        return 0;
    if (s->choice) {
        s->record.choice = TAKE(s->choice);
        return 0;
    }
    for (size_t i = 0; i < s->record.n_outputs; i++) {
        const struct artifact *a = &s->record.outputs[i];

        if (strcmp(a->name, by) != 0 || a->size > BLOB_INLINE_MAX)
            continue;
        if (artifacts_read(&rt->artifacts, a, 0, a->size, &text) < 0)
            return -EIO;
        s->record.choice = case_in(buffer_text(&text), text.len);
        return s->record.choice ? 0 : -ENOMEM;
    }
    return 0;
}

/* Back on the loop: what needs the store and the caches, then the node is told. */
static void conclude(struct runtime *rt, struct slot *s)
{
    const struct step *step = &s->flow->steps[s->task.step];
    struct error why = { .text = "" };
    int r;

    if (s->record.reason == REASON_OK && step->has_merge) {
        r = merge_branches(&rt->artifacts, s->flow, &s->run->id, &s->task, &s->record,
                           &why);
        if (r < 0)
            set_failure(s, REASON_MERGE, why.text);
    }
    if (s->record.reason == REASON_OK) {
        r = find_width(rt, s, &why);
        if (r < 0)
            set_failure(s, REASON_WIDTH, why.text);
    }
    if (s->record.reason == REASON_OK && find_choice(rt, s) < 0)
        set_failure(s, REASON_STORE, "the switch's artifact cannot be read");
    if (s->record.reason == REASON_OK && s->has_cache_key
        && cache_enter(&rt->cache, &s->cache_key, &s->run->id, &s->task, s->attempt)
               < 0)
        runtime_log(rt, "cache.full", "out of memory: a result was not entered");
    queue_end(rt, s);
}

/* ---- what an equal task made ---- */

/* For whoever looks at the task; the records of that run are there. */
static char *tell_origin(struct runtime *rt, const struct run_id *run)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    char *text = NULL;

    if (runtime_read_record(rt, run, &record) < 0
        || asprintf(&text, "taken over from run %" PRIu64, record.number) < 0)
        return NULL;
    return text;
}

static int copy_log(const struct log_ref *from, struct log_ref *ret)
{
    *ret = *from;
    ret->inline_data = NULL;
    if (!from->inline_len)
        return 0;
    ret->inline_data = malloc(from->inline_len);
    if (!ret->inline_data) {
        ret->inline_len = 0;
        return -ENOMEM;
    }
    memcpy(ret->inline_data, from->inline_data, from->inline_len);
    return 0;
}

/* What it had passed on is merged anew, from the branches of this run. */
static int copy_outputs(const struct attempt_record *from, struct attempt_record *to)
{
    int r = 0;

    to->outputs = calloc(from->n_outputs + 1, sizeof(*to->outputs));
    if (!to->outputs)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < from->n_outputs; i++)
        if (!from->outputs[i].is_inherited) {
            r = artifact_copy(&from->outputs[i], &to->outputs[to->n_outputs]);
            to->n_outputs += r == 0;
        }
    return r;
}

void runtime_adopt_task(struct runtime *rt, struct slot *s,
                        const struct attempt_record *equal)
{
    struct attempt_record *record = &s->record;
    int r = copy_outputs(equal, record);

    record->reason = REASON_OK;
    record->has_origin = true;
    record->origin = equal->has_origin ? equal->origin : equal->run;
    record->message = tell_origin(rt, &record->origin);
    if (r == 0)
        r = copy_log(&equal->log, &record->log);
    if (r == 0 && equal->choice) {
        s->choice = strdup(equal->choice);
        r = s->choice ? 0 : -ENOMEM;
    }
    if (r < 0)
        set_failure(s, REASON_STORE, strerror(-r));
    conclude(rt, s);
}

/* ---- keeping outputs and the log ---- */

struct keeping {
    uv_work_t work;
    struct runtime *rt;
    struct slot *slot;
    struct outputs_job job;
    bool want_outputs;
};

/* Whose fault: of the store, or of what the task left there. */
static enum reason reason_of(int error)
{
    switch (-error) {
    case ENOSPC:
    case EDQUOT:
    case EROFS:
    case EIO:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return REASON_STORE;
    default:
        return REASON_OUTPUT;
    }
}

static void keep_outputs(struct slot *s, const struct outputs_job *job)
{
    CLEANUP(freep) char *choice = NULL;
    struct error why = { .text = "" };
    int r = outputs_keep(job, &s->record.outputs, &s->record.n_outputs, &choice, &why);

    if (r == 0 && choice && !job->step->switch_by)
        r = fail(&why, -EINVAL,
                 "it chose the case '%.100s', and the step has no switch", choice);
    if (r < 0)
        set_failure(s, reason_of(r), why.text[0] ? why.text : strerror(-r));
    if (r < 0 || !choice)
        return;
    free(s->choice);
    s->choice = TAKE(choice);
}

/* A log beyond LOG_INLINE_MAX is sealed as a blob; one that cannot be is lost, and the
 * record says that it was cut. */
static void keep_log(struct blobs *blobs, struct slot *s)
{
    struct log_ref *ref = &s->record.log;
    struct stat st;
    size_t done = 0;

    ref->is_truncated = s->log.is_truncated;
    ref->size = s->log.bytes;
    if (s->log.fd < 0) {
        if (!s->log.pieces.len)
            return;
        ref->inline_len = s->log.pieces.len;
        ref->inline_data = (uint8_t *)buffer_take(&s->log.pieces);
        return;
    }
    while (done < s->log.pieces.len) {
        ssize_t n =
            write(s->log.fd, s->log.pieces.data + done, s->log.pieces.len - done);

        if (n <= 0)
            break;
        done += (size_t)n;
    }
    if (done == s->log.pieces.len && fstat(s->log.fd, &st) == 0
        && lseek(s->log.fd, 0, SEEK_SET) == 0
        && digest_file(s->log.fd, (uint64_t)st.st_size, HASH_THREADS, &ref->blob) == 0
        && blobs_adopt_file(blobs, s->log_path, (uint64_t)st.st_size, &ref->blob) == 0)
        ref->has_blob = true;
    else
        ref->is_truncated = true;
}

static void keep_in_thread(uv_work_t *work)
{
    struct keeping *k = work->data;

    if (inputs_check(&k->rt->artifacts, k->slot) < 0)
        set_failure(k->slot, REASON_INPUT_MODIFIED,
                    "the task wrote to an input, which other tasks share");
    else if (k->want_outputs)
        keep_outputs(k->slot, &k->job);
    keep_log(k->job.blobs, k->slot);
}

static void after_keeping(uv_work_t *work, int status)
{
    struct keeping *k = work->data;
    struct runtime *rt = k->rt;
    struct slot *s = k->slot;

    (void)status;
    free(k);
    if (rt->is_stopping)
        return;
    conclude(rt, s);
    runtime_drain(rt);
}

static bool keep(struct runtime *rt, struct slot *s)
{
    struct keeping *k;
    struct outputs_job job = { .blobs = rt->blobs,
                               .step = &s->flow->steps[s->task.step],
                               .out_path = s->out.path,
                               .work_path = s->run->steps[s->task.step].work_path,
                               .types = s->types,
                               .as = s->run->has_account ? &s->run->account : NULL,
                               .threads = HASH_THREADS };
    bool want =
        s->record.reason == REASON_OK
        && (job.step->n_outputs || !slot_dir_is_left_clean(&s->out, s->started_wall));

    if (want || s->log.fd >= 0)
        blobs_hold_begin(rt->blobs, &s->hold);
    if (s->log.fd < 0 && s->n_links == 0 && (!want || outputs_are_small(&job))) {
        if (want)
            keep_outputs(s, &job);
        keep_log(rt->blobs, s);
        return true;
    }
    k = calloc(1, sizeof(*k));
    if (!k) {
        set_failure(s, REASON_STORE, "out of memory");
        return true;
    }
    *k = (struct keeping){ .rt = rt, .slot = s, .job = job, .want_outputs = want };
    k->work.data = k;
    s->state = SLOT_KEEPING;
    uv_queue_work(&rt->loop, &k->work, keep_in_thread, after_keeping);
    return false;
}

void runtime_keep_task(struct runtime *rt, struct slot *s)
{
    if (keep(rt, s))
        conclude(rt, s);
}

void runtime_fail_task(struct runtime *rt, struct slot *s, enum reason reason,
                       const char *message)
{
    set_failure(s, reason, message);
    queue_end(rt, s);
}
