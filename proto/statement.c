/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/statement.h"

#include <string.h>

#include "proto/text.h"

enum { LOG_NONE, LOG_INLINE, LOG_BLOB };

static void put_number(struct buffer *out, uint64_t n, size_t len)
{
    for (size_t i = len; i-- > 0;)
        buffer_putc(out, (char)(uint8_t)(n >> (8 * i)));
}

static void put_optional(struct buffer *out, bool is_there, const void *data,
                         size_t len)
{
    put_number(out, is_there, 1);
    if (is_there)
        buffer_append(out, data, len);
}

/* As the record will have it. */
static void put_text(struct buffer *out, const char *text)
{
    size_t at = out->len;

    put_number(out, 0, 4);
    text_clean((const uint8_t *)text, strlen(text), out);
    if (buffer_failed(out))
        return;
    for (size_t i = 0, len = out->len - at - 4; i < 4; i++)
        out->data[at + i] = (char)(uint8_t)(len >> (24 - 8 * i));
}

static void put_optional_text(struct buffer *out, const char *text)
{
    put_number(out, text != NULL, 1);
    if (text)
        put_text(out, text);
}

static void put_task(struct buffer *out, const struct task_id *task)
{
    uint8_t bytes[TASK_ID_SIZE_MAX];

    buffer_append(out, bytes, task_id_encode(task, bytes));
}

static void put_usage(struct buffer *out, const struct attempt_record *r)
{
    put_number(out, r->started_wall, 8);
    put_number(out, r->ended_wall, 8);
    put_number(out, (uint32_t)r->exit_code, 4);
    put_number(out, (uint32_t)r->signal, 4);
    put_number(out, r->pid, 4);
    put_number(out, r->max_rss_bytes, 8);
    put_number(out, r->cpu_us, 8);
    put_number(out, r->memory_peak_bytes, 8);
    put_number(out, r->cpu_peak_milli, 8);
}

static void put_log(struct buffer *out, const struct log_ref *log)
{
    put_number(out,
               log->has_blob     ? LOG_BLOB
               : log->inline_len ? LOG_INLINE
                                 : LOG_NONE,
               1);
    put_number(out, log->size, 8);
    put_number(out, log->is_truncated, 1);
    if (log->has_blob) {
        buffer_append(out, log->blob.bytes, DIGEST_SIZE);
    } else if (log->inline_len) {
        put_number(out, log->inline_len, 4);
        buffer_append(out, log->inline_data, log->inline_len);
    }
}

static void put_output(struct buffer *out, const struct artifact *a)
{
    bool is_inline = a->inline_data && a->size;

    put_text(out, a->name ? a->name : "");
    put_text(out, a->type ? a->type : "bytes");
    put_number(out, a->encoding, 1);
    put_number(out, a->size, 8);
    buffer_append(out, a->id.bytes, DIGEST_SIZE);
    put_number(out, a->is_inherited, 1);
    put_number(out, is_inline, 1);
    if (is_inline)
        buffer_append(out, a->inline_data, (size_t)a->size);
}

int attempt_statement(const struct attempt_record *r, struct buffer *out)
{
    buffer_puts(out, "mesh attempt 1\n");
    buffer_append(out, r->run.bytes, RUN_ID_SIZE);
    put_task(out, &r->task);
    buffer_append(out, r->node.bytes, NODE_ID_SIZE);
    put_number(out, r->boot, 4);
    put_number(out, r->counter, 8);
    put_optional(out, r->has_witness, r->witness.bytes, DIGEST_SIZE);
    put_optional(out, r->has_origin, r->origin.bytes, RUN_ID_SIZE);
    put_usage(out, r);
    put_log(out, &r->log);
    put_number(out, r->n_outputs, 4);
    for (size_t i = 0; i < r->n_outputs; i++)
        put_output(out, &r->outputs[i]);
    return buffer_failed(out);
}

int attempt_result(const struct attempt_record *r, struct buffer *out)
{
    bool is_good = r->reason == REASON_OK;

    buffer_puts(out, "mesh result 1\n");
    put_number(out, r->reason, 1);
    put_optional_text(out, r->message);
    put_optional_text(out, is_good ? r->choice : NULL);
    put_number(out, is_good && r->has_width, 1);
    if (is_good && r->has_width)
        put_number(out, r->width, 8);
    return buffer_failed(out);
}
