/* SPDX-License-Identifier: Apache-2.0 */
/* The logs of attempts that have ended, made while they are sent: a few records, or
 * LOG_READ_BYTES of one log, at a time. What still runs is told by /v1/events. */
#include <errno.h>
#include <microhttpd.h>
#include <string.h>

#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/number.h"
#include "node/api/source.h"
#include "node/attempt_reader.h"
#include "node/log.h"

enum {
    LOG_READ_BYTES = 256 << 10,
    LOG_PIECE_BYTES_MAX = 4 << 20, /* more cannot be a piece: the log is damaged */
};

/* Up to three bytes of a character whose rest comes with the next piece. */
struct carry {
    uint8_t bytes[4];
    size_t len;
};

struct log_reader {
    bool is_raw;
    enum log_stream only; /* 0: both */
    bool has_attempt;     /* ?attempt= */
    uint32_t number;
    struct attempt_reader records;
    const struct attempt_record *attempt; /* whose log is read; NULL: between two */

    struct buffer window; /* bytes of the log that are no whole piece yet */
    uint64_t offset;      /* of the blob: what was read of it */
    struct carry carry[LOG_STDERR + 1];
};

static void reader_release(void *data)
{
    struct log_reader *l = data;

    attempt_reader_release(&l->records);
    buffer_release(&l->window);
}

/* ---- pieces ---- */

static void emit_piece(struct emit *e, const struct flow *f,
                       const struct attempt_record *a, const struct log_piece *p,
                       const uint8_t *text, size_t len)
{
    e->needs_comma = false;
    emit_open(e, NULL, '{');
    emit_text(e, "step", f->steps[a->task.step].name);
    emit_task(e, "task", &a->task);
    emit_u64(e, "attempt", a->attempt);
    emit_u64(e, "pid", a->pid);
    emit_text(e, "stream", stream_name(p->stream));
    emit_time(e, "time", a->started_wall + p->since_start);
    emit_bytes(e, "text", text, len);
    emit_close(e, '}');
    buffer_putc(e->out, '\n');
}

/* How many bytes at the end are the beginning of a character that may yet be whole. */
static size_t unfinished(const uint8_t *bytes, size_t len)
{
    for (size_t n = 1; n <= 3 && n <= len; n++) {
        const uint8_t *at = bytes + len - n;
        uint8_t whole[4] = { 0x80, 0x80, 0x80, 0x80 };

        if ((*at & 0xc0) == 0x80)
            continue;
        if (*at < 0xc2)
            return 0;
        memcpy(whole, at, n);
        if (n == 1 && *at == 0xe0)
            whole[1] = 0xa0;
        if (n == 1 && *at == 0xf0)
            whole[1] = 0x90;
        return utf8_length(whole, sizeof(whole)) > n ? n : 0;
    }
    return 0;
}

static int put_text(struct request *r, struct log_reader *l, const struct log_piece *p,
                    struct buffer *out)
{
    const struct attempt_record *a = l->attempt;
    struct carry *carry = &l->carry[p->stream];
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    struct emit e = { .out = out };
    size_t rest;

    if (l->is_raw)
        return buffer_append(out, p->data, p->len);
    buffer_append(&text, carry->bytes, carry->len);
    buffer_append(&text, p->data, p->len);
    if (buffer_failed(&text))
        return buffer_failed(&text);
    rest = unfinished((const uint8_t *)text.data, text.len);
    carry->len = rest;
    memcpy(carry->bytes, text.data + text.len - rest, rest);
    if (text.len > rest)
        emit_piece(&e, r->flow, a, p, (const uint8_t *)text.data, text.len - rest);
    return 0;
}

/* What was carried past the last piece of a log. */
static void flush_carry(struct request *r, struct log_reader *l, struct buffer *out)
{
    for (enum log_stream s = LOG_STDOUT; s <= LOG_STDERR; s++) {
        const struct attempt_record *a = l->attempt;
        struct log_piece last = { .stream = s };
        struct emit e = { .out = out };

        if (a->ended_wall > a->started_wall)
            last.since_start = a->ended_wall - a->started_wall;
        if (l->carry[s].len)
            emit_piece(&e, r->flow, a, &last, l->carry[s].bytes, l->carry[s].len);
        l->carry[s].len = 0;
    }
}

/* All whole pieces at the front of the window. */
static int put_pieces(struct request *r, struct log_reader *l, struct buffer *out)
{
    const uint8_t *bytes = (const uint8_t *)buffer_text(&l->window);
    size_t at = 0, n;
    struct log_piece p;
    int error = 0;

    while (error == 0 && (n = log_piece_decode(bytes + at, l->window.len - at, &p))) {
        at += n;
        if (!l->only || l->only == p.stream)
            error = put_text(r, l, &p, out);
    }
    if (at) {
        memmove(l->window.data, l->window.data + at, l->window.len - at);
        l->window.len -= at;
    }
    return error;
}

static int read_more(struct request *r, struct log_reader *l, bool *ret_is_end)
{
    const struct log_ref *log = &l->attempt->log;
    size_t before = l->window.len;
    int error = 0;

    if (log->has_blob)
        error = blobs_read(runtime_blobs(r->rt), &log->blob, l->offset, LOG_READ_BYTES,
                           &l->window);
    else if (l->offset == 0)
        error = buffer_append(&l->window, log->inline_data, log->inline_len);
    l->offset += l->window.len - before;
    *ret_is_end = !log->has_blob || l->window.len - before < LOG_READ_BYTES;
    return error;
}

static void say_damaged(struct request *r, struct log_reader *l, struct buffer *out)
{
    const struct attempt_record *a = l->attempt;
    struct emit e = { .out = out };

    if (l->is_raw)
        return;
    emit_open(&e, NULL, '{');
    emit_text(&e, "step", r->flow->steps[a->task.step].name);
    emit_task(&e, "task", &a->task);
    emit_u64(&e, "attempt", a->attempt);
    emit_text(&e, "problem", "the log is damaged: the rest of it cannot be read");
    emit_close(&e, '}');
    buffer_putc(out, '\n');
}

/* Some more of the log that is open; closes it behind its end. */
static int put_log(struct request *r, struct log_reader *l, struct buffer *out)
{
    bool is_end;
    int error = read_more(r, l, &is_end);
    bool is_damaged = error == -ENOENT || error == -EIO || error == -EBADMSG;

    if (error == 0)
        error = put_pieces(r, l, out);
    else if (is_damaged)
        error = 0;
    if (error < 0)
        return error;
    if (is_damaged || (is_end && l->window.len)
        || l->window.len > LOG_PIECE_BYTES_MAX) {
        say_damaged(r, l, out);
        is_damaged = true;
    }
    if (is_end || is_damaged) {
        flush_carry(r, l, out);
        buffer_clear(&l->window);
        l->offset = 0;
        l->attempt = NULL;
    }
    return 0;
}

/* Opens the next log that was asked for: 1, 0 behind the last. */
static int next_log(struct request *r, struct log_reader *l)
{
    const struct attempt_record *a;
    int n;

    while ((n = attempt_reader_next(&l->records, &a)) > 0) {
        if (a->task.step >= r->flow->n_all_steps)
            return -EBADMSG;
        if (a->log.size == 0 || (l->has_attempt && a->attempt != l->number))
            continue;
        l->attempt = a;
        break;
    }
    return n;
}

static int fill(struct request *r, struct buffer *out)
{
    struct log_reader *l = r->data;

    while (out->len < LOG_READ_BYTES) {
        int n;

        if (atomic_load(r->is_stopping))
            return -ECANCELED;
        if (!l->attempt) {
            n = next_log(r, l);
            if (n <= 0)
                return n;
        }
        n = put_log(r, l, out);
        if (n < 0)
            return n;
    }
    return 1;
}

/* ---- what is asked ---- */

int logs_list(struct request *r)
{
    const char *stream = request_query(r, "stream");
    struct log_reader *l = request_data(r, sizeof(*l), reader_release);
    uint64_t attempt;

    if (!l)
        return -ENOMEM;
    if (stream && !word_is_among(stream, "stdout stderr"))
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "'stream' must be stdout or stderr, not '%.64s'", stream);
    if (!request_number(r, "attempt", 0, UINT32_MAX, &attempt))
        return 0;
    if (stream)
        l->only = strcmp(stream, "stdout") == 0 ? LOG_STDOUT : LOG_STDERR;
    l->has_attempt = request_query(r, "attempt") != NULL;
    l->number = (uint32_t)attempt;
    return source_begin(r);
}

int logs_list_work(struct request *r)
{
    const char *step = request_query(r, "step"), *task = request_query(r, "task");
    struct log_reader *l = r->data;
    struct record_key prefix = attempts_of_run(&r->run);
    struct task_id id;

    if (!source_flow(r))
        return 0;
    if (task && !step)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "'task' needs 'step'");
    if (task) {
        if (!source_task(r, step, task, &id))
            return 0;
        prefix = attempts_of_task(&r->run, &id);
    } else if (step) {
        if (!source_step(r, step, &id.step))
            return 0;
        prefix = attempts_of_step(&r->run, id.step);
    }
    attempt_reader_init(&l->records, runtime_writer(r->rt), &prefix);
    r->reply.stream.fill = fill;
    return reply_stream(r, "application/x-ndjson");
}

static int keep_newest(void *arg, struct span key, struct span value)
{
    struct log_reader *l = arg;
    struct run_id run;
    struct task_id task;

    (void)value;
    l->has_attempt = true;
    return attempt_key_decode(key.data, key.len, &run, &task, &l->number);
}

/* The bytes of one attempt: the newest that has ended, unless another is named. */
int logs_raw_work(struct request *r)
{
    struct log_reader *l = r->data;
    struct record_key prefix;
    struct task_id id;
    int error = 0;

    if (!source_flow(r) || !source_task(r, r->params[1], r->params[2], &id))
        return 0;
    l->is_raw = true;
    prefix = attempts_of_task(&r->run, &id);
    attempt_reader_init(&l->records, runtime_writer(r->rt), &prefix);
    if (!l->has_attempt)
        error = writer_scan(runtime_writer(r->rt), STORE_RECORDS,
                            (struct span){ prefix.bytes, prefix.len },
                            (struct span){ NULL, 0 }, keep_newest, l);
    if (error < 0)
        return reply_errno(r, error, "an attempt's record");
    if (!l->has_attempt)
        return reply_error(r, MHD_HTTP_NOT_FOUND, "GET /v1/events tells what runs",
                           "no attempt of %.64s/%.64s has ended", r->params[1],
                           r->params[2]);
    r->reply.stream.fill = fill;
    return reply_stream(r, "application/octet-stream");
}
