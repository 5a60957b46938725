/* SPDX-License-Identifier: Apache-2.0 */
#include "node/maintenance.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "flow/read.h"
#include "node/attempt_reader.h"
#include "node/log.h"
#include "store/digest.h"
#include "store/digest_set.h"
#include "store/tree.h"

enum { HASH_THREADS = 2 };

static bool is_stopping(const struct maintenance *m)
{
    return m->is_stopping && atomic_load(m->is_stopping);
}

/* ---- verify ---- */

struct verification {
    const struct maintenance *m;
    const struct flow *flow;
    int (*each)(void *arg, const struct verify_damage *damage);
    void *arg;
    struct verify_report report;
    struct digest_set seen; /* content is looked at once, whoever names it */
};

void verify_report_release(struct verify_report *r)
{
    signatures_release(&r->signatures);
}

static void verification_release(struct verification *v)
{
    digest_set_release(&v->seen);
    verify_report_release(&v->report);
}

static const char *problem_of(int code)
{
    switch (code) {
    case -ENOENT:
        return "it is not in the store";
    case -EBADMSG:
        return "the bytes are not what the id says";
    case -EPROTONOSUPPORT:
        return "it was written by a newer version";
    case -ESTALE:
        return "it was written to after it was kept";
    default:
        return strerror(-code);
    }
}

static int tell(struct verification *v, const struct verify_damage *about, int code)
{
    struct verify_damage damage = *about;

    if (code == -ENOMEM || code == -ECANCELED)
        return code;
    damage.problem = problem_of(code);
    v->report.n_damaged++;
    return v->each(v->arg, &damage);
}

static int verify_blob(struct verification *v, const struct verify_damage *about)
{
    struct verify_damage damage = *about;
    uint64_t size = 0;
    int r = digest_set_add(&v->seen, &about->id);

    if (r <= 0)
        return r;
    if (is_stopping(v->m))
        return -ECANCELED;
    damage.has_id = true;
    v->report.n_checked++;
    r = blobs_stat(v->m->blobs, &about->id, &size);
    if (r == 0)
        r = blobs_verify(v->m->blobs, &about->id, HASH_THREADS);
    v->report.bytes += size;
    return r < 0 ? tell(v, &damage, r) : 0;
}

/* The manifest, then each file. */
static int verify_tree(struct verification *v, const struct verify_damage *about)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    uint64_t damaged_before = v->report.n_damaged;
    int r = verify_blob(v, about);

    if (r < 0 || v->report.n_damaged != damaged_before)
        return r;
    r = tree_get(v->m->blobs, &about->id, &t);
    if (r < 0)
        return tell(v, about, r);
    for (size_t i = 0; i < t.n; i++) {
        struct verify_damage file = *about;

        file.id = t.entries[i].id;
        file.name = t.entries[i].path;
        r = verify_blob(v, &file);
        if (r < 0)
            return r;
    }
    return 0;
}

static int verify_inline(struct verification *v, const struct verify_damage *about,
                         const struct artifact *a)
{
    struct digest id = digest_memory(a->inline_data, (size_t)a->size);
    struct verify_damage damage = *about;

    damage.has_id = true;
    v->report.n_checked++;
    v->report.bytes += a->size;
    return digest_equal(&id, &a->id) ? 0 : tell(v, &damage, -EBADMSG);
}

static int verify_output(struct verification *v, const struct verify_damage *attempt,
                         const struct artifact *a)
{
    struct verify_damage about = *attempt;

    about.what = "artifact";
    about.name = a->name;
    about.id = a->id;
    if (a->encoding == ENCODING_TREE)
        return verify_tree(v, &about);
    if (a->inline_data || a->size == 0)
        return verify_inline(v, &about, a);
    return verify_blob(v, &about);
}

static bool is_whole_log(const uint8_t *bytes, size_t len)
{
    struct log_piece piece;
    size_t n;

    while (len && (n = log_piece_decode(bytes, len, &piece))) {
        bytes += n;
        len -= n;
    }
    return len == 0;
}

static int verify_log(struct verification *v, const struct verify_damage *attempt,
                      const struct log_ref *log)
{
    struct verify_damage about = *attempt;

    about.what = "log";
    about.id = log->blob;
    if (log->has_blob)
        return verify_blob(v, &about);
    if (!log->inline_len)
        return 0;
    v->report.n_checked++;
    v->report.bytes += log->inline_len;
    return is_whole_log(log->inline_data, log->inline_len) ? 0
                                                           : tell(v, &about, -EBADMSG);
}

static const char *step_name(const struct verification *v, uint32_t step)
{
    return v->flow && step < v->flow->n_all_steps ? v->flow->steps[step].name : "?";
}

static int verify_signature(struct verification *v, const struct verify_damage *attempt,
                            const struct attempt_record *a)
{
    struct verify_damage about = *attempt;
    int r = signatures_check(&v->report.signatures, a, &about.problem);

    if (r < 0 && r != -ENOKEY)
        return r;
    if (r == 0 && !about.problem)
        return 0;
    about.what = "signature";
    about.is_unsigned = r == -ENOKEY;
    v->report.n_damaged += !about.is_unsigned;
    return v->each(v->arg, &about);
}

static int verify_attempt(struct verification *v, const struct attempt_record *a,
                          int error)
{
    struct verify_damage about = { .what = "record",
                                   .step = step_name(v, a->task.step),
                                   .task = a->task,
                                   .attempt = a->attempt };
    int r = 0;

    v->report.n_checked++;
    if (error < 0)
        return tell(v, &about, error);
    for (size_t i = 0; r == 0 && i < a->n_outputs; i++)
        r = verify_output(v, &about, &a->outputs[i]);
    if (r == 0)
        r = verify_log(v, &about, &a->log);
    return r < 0 ? r : verify_signature(v, &about, a);
}

static int verify_attempts(struct verification *v, const struct run_id *run)
{
    CLEANUP(freep) struct attempt_reader *reader = malloc(sizeof(*reader));
    struct record_key prefix = attempts_of_run(run);
    const struct attempt_record *a = NULL;
    int r;

    if (!reader)
        return -ENOMEM;
    attempt_reader_init(reader, v->m->writer, &prefix);
    do {
        a = NULL;
        r = attempt_reader_next(reader, &a);
        if (a) { /* also of a record that cannot be read */
            r = verify_attempt(v, a, r < 0 ? r : 0);
            r = r < 0 ? r : 1;
        }
    } while (r > 0);
    attempt_reader_release(reader);
    return r;
}

static int get_record(const struct maintenance *m, const struct record_key *key,
                      struct buffer *ret)
{
    return writer_get(m->writer, STORE_RECORDS, (struct span){ key->bytes, key->len },
                      ret);
}

static int verify_end(struct verification *v, const struct run_id *run)
{
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = run_end_key(run);
    int r = get_record(v->m, &key, &value);

    if (r == -ENOENT)
        return 0; /* it has not ended */
    v->report.n_checked++;
    if (r == 0)
        r = run_end_record_decode(value.data, value.len, &end);
    return r < 0
               ? tell(v, &(struct verify_damage){ .what = "record", .name = "end" }, r)
               : 0;
}

static int verify_record(struct verification *v, const struct run_id *run,
                         struct flow **ret_flow)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .n = 0 };
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct verify_damage about = { .what = "record", .name = "run" };
    static const struct digest none;
    struct record_key key = run_key(run);
    int r = get_record(v->m, &key, &value);

    if (r == -ENOENT)
        return r;
    v->report.n_checked++;
    if (r == 0)
        r = run_record_decode(value.data, value.len, &record);
    if (r < 0)
        return tell(v, &about, r);
    if (!v->flow
        && flow_read(record.flow_text, record.flow_text_len, ret_flow, &d) == 0)
        v->flow = *ret_flow;
    if (digest_equal(&record.package, &none))
        return 0; /* it has no code */
    about = (struct verify_damage){ .what = "package", .id = record.package };
    return verify_tree(v, &about);
}

int verify_run(const struct maintenance *m, const struct run_id *run,
               const struct flow *flow,
               int (*each)(void *arg, const struct verify_damage *damage), void *arg,
               struct verify_report *ret_report)
{
    CLEANUP(verification_release)
    struct verification v = { .m = m, .flow = flow, .each = each, .arg = arg };
    CLEANUP(flow_unrefp) struct flow *own_flow = NULL;
    int r;

    signatures_init(&v.report.signatures, m->writer, m->root);
    r = verify_record(&v, run, &own_flow);
    if (r == 0)
        r = verify_end(&v, run);
    if (r == 0)
        r = verify_attempts(&v, run);
    if (r < 0)
        return r;
    *ret_report = v.report;
    v.report = (struct verify_report){ .n_checked = 0 };
    return 0;
}

/* ---- gc ---- */

struct marking {
    const struct maintenance *m;
    struct gc *gc;
    struct buffer packages; /* digests, collected while a scan runs */
};

/* A parameter that is a file has the id of its blob for a value. Text that only looks
 * like one keeps a blob too many, which does no harm. */
static int mark_parameters(struct marking *marking, const struct run_record *record)
{
    struct digest id;
    int r = 0;

    for (size_t i = 0; r == 0 && i < record->n_parameters; i++)
        if (record->parameters[i].value
            && digest_parse(record->parameters[i].value, &id) == 0)
            r = gc_mark(marking->gc, &id);
    return r;
}

static int mark_run(void *arg, struct span key, struct span value)
{
    struct marking *marking = arg;
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    int r = run_record_decode(value.data, value.len, &record);

    (void)key;
    if (r < 0)
        return r;
    if (is_stopping(marking->m))
        return -ECANCELED;
    r = mark_parameters(marking, &record);
    if (r < 0)
        return r;
    return buffer_append(&marking->packages, &record.package, sizeof(record.package));
}

/* A run that is led elsewhere is kept under another key, see runtime_mesh_guest.c. */
static int mark_runs(struct marking *marking, char type)
{
    int r = writer_scan(marking->m->writer, STORE_RECORDS, (struct span){ &type, 1 },
                        (struct span){ NULL, 0 }, mark_run, marking);

    for (size_t at = 0; r == 0 && at < marking->packages.len;
         at += sizeof(struct digest)) {
        struct digest id;

        memcpy(&id, marking->packages.data + at, sizeof(id));
        r = gc_mark_tree(marking->gc, &id);
    }
    buffer_clear(&marking->packages);
    return r;
}

static int mark_attempt(struct marking *marking, const struct attempt_record *a)
{
    int r = a->log.has_blob ? gc_mark(marking->gc, &a->log.blob) : 0;

    for (size_t i = 0; r == 0 && i < a->n_outputs; i++)
        r = a->outputs[i].encoding == ENCODING_TREE
                ? gc_mark_tree(marking->gc, &a->outputs[i].id)
                : gc_mark(marking->gc, &a->outputs[i].id);
    return r;
}

static int mark_attempts(struct marking *marking)
{
    CLEANUP(freep) struct attempt_reader *reader = malloc(sizeof(*reader));
    struct record_key any = attempts_of_run(&(struct run_id){ .bytes = { 0 } });
    const struct attempt_record *a;
    int r;

    if (!reader)
        return -ENOMEM;
    any.len = 1;
    attempt_reader_init(reader, marking->m->writer, &any);
    while ((r = attempt_reader_next(reader, &a)) > 0) {
        r = is_stopping(marking->m) ? -ECANCELED : mark_attempt(marking, a);
        if (r < 0)
            break;
    }
    attempt_reader_release(reader);
    return r;
}

/* Attempts that were carried out here for other leaders. They are copied a few at a
 * time, as attempt_reader does. */
enum { MADE_BATCH = 64 };

struct made {
    struct buffer values[MADE_BATCH];
    struct buffer last; /* key */
    size_t n;
};

static int copy_made(void *arg, struct span key, struct span value)
{
    struct made *made = arg;
    struct buffer *copy = &made->values[made->n];

    buffer_clear(copy);
    buffer_append(copy, value.data, value.len);
    buffer_clear(&made->last);
    buffer_append(&made->last, key.data, key.len);
    buffer_append(&made->last, "", 1); /* go on behind it */
    if (buffer_failed(copy) || buffer_failed(&made->last))
        return -ENOMEM;
    return ++made->n == MADE_BATCH;
}

static int mark_batch(struct marking *marking, const struct made *made)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < made->n; i++) {
        CLEANUP(attempt_record_release) struct attempt_record a = { .attempt = 0 };

        if (is_stopping(marking->m))
            return -ECANCELED;
        r = attempt_record_decode(made->values[i].data, made->values[i].len, &a);
        if (r == 0)
            r = mark_attempt(marking, &a);
    }
    return r;
}

static int mark_made(struct marking *marking)
{
    struct made made = { .n = MADE_BATCH };
    int r = 0;

    while (r == 0 && made.n == MADE_BATCH) {
        made.n = 0;
        r = writer_scan(marking->m->writer, STORE_RECORDS, (struct span){ "g", 1 },
                        (struct span){ made.last.data, made.last.len }, copy_made,
                        &made);
        r = r < 0 ? r : mark_batch(marking, &made);
    }
    for (size_t i = 0; i < MADE_BATCH; i++)
        buffer_release(&made.values[i]);
    buffer_release(&made.last);
    return r;
}

static int mark(void *arg, struct gc *gc)
{
    struct marking marking = { .m = arg, .gc = gc, .packages = BUFFER_INIT };
    int r = mark_runs(&marking, 'r');

    if (r == 0)
        r = mark_runs(&marking, 'c');
    if (r == 0)
        r = mark_attempts(&marking);
    if (r == 0)
        r = mark_made(&marking);
    buffer_release(&marking.packages);
    return r;
}

int gc_store(const struct maintenance *m, bool dry_run, struct gc_report *ret_report)
{
    return gc_run(m->blobs, mark, (void *)m, dry_run, ret_report);
}

int evict_store(const struct maintenance *m, uint64_t target_bytes,
                uint64_t *ret_freed_bytes)
{
    return gc_evict(m->blobs, mark, (void *)m, target_bytes, ret_freed_bytes);
}
