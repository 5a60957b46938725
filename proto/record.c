/* SPDX-License-Identifier: Apache-2.0 */
/* Encoders. A message is packed straight into the caller's buffer; its repeated fields
 * are appended behind it one by one, which protobuf allows in any order, so that no
 * array of pointers has to be made first. */
#include "proto/record.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "proto/format.h"
#include "proto/text.h"
#include "record.pb-c.h"

enum {
    WIRE_TYPE_BYTES = 2,
    FIELD_ATTEMPT_OUTPUT = 14,
    FIELD_RUN_PARAMETER = 12,
    FIELD_RUN_TAG = 13,
    FIELD_RUN_STATE_TAG = 4,
    TEXTS_MAX = 4,
};

uint64_t record_checksum(const void *message, size_t len)
{
    return XXH3_64bits(message, len);
}

static const char *const reason_names[] = {
    [REASON_OK] = "ok",
    [REASON_EXIT] = "exit",
    [REASON_SIGNAL] = "signal",
    [REASON_OOM] = "oom",
    [REASON_TIMEOUT] = "timeout",
    [REASON_CANCELLED] = "cancelled",
    [REASON_LOST] = "lost",
    [REASON_START] = "start",
    [REASON_OUTPUT] = "output",
    [REASON_INPUT] = "input",
    [REASON_INPUT_MODIFIED] = "input_modified",
    [REASON_CHOICE] = "choice",
    [REASON_WIDTH] = "width",
    [REASON_MERGE] = "merge",
    [REASON_STORE] = "store",
    [REASON_OUTPUT_LOST] = "output_lost",
    [REASON_STALE] = "stale",
};

const char *refusal_name(enum refusal r)
{
    static const char *const names[] = {
        [REFUSAL_USERS] = "users",
        [REFUSAL_REMOTE] = "remote",
        [REFUSAL_ENVIRONMENT] = "environment",
        [REFUSAL_PATHS] = "paths",
        [REFUSAL_RESOURCES] = "max_resources",
    };

    return r >= REFUSAL_USERS && r <= REFUSAL_RESOURCES ? names[r] : "unknown";
}

const char *reason_name(enum reason r)
{
    return r >= REASON_OK && r <= REASON_LAST ? reason_names[r] : "unknown";
}

static const char *const encoding_names[] = {
    [ENCODING_BYTES] = "bytes",   [ENCODING_JSON] = "json", [ENCODING_TREE] = "tree",
    [ENCODING_PICKLE] = "pickle", [ENCODING_NPY] = "npy",   [ENCODING_ARROW] = "arrow",
};

const char *encoding_name(enum artifact_encoding e)
{
    return e >= ENCODING_BYTES && e <= ENCODING_ARROW ? encoding_names[e] : "unknown";
}

enum artifact_encoding encoding_find(const char *name)
{
    for (unsigned e = ENCODING_BYTES; e <= ENCODING_ARROW; e++)
        if (strcmp(encoding_names[e], name) == 0)
            return (enum artifact_encoding)e;
    return 0;
}

const char *run_outcome_name(enum run_outcome o)
{
    static const char *const names[] = {
        [RUN_OK] = "ok",
        [RUN_FAILED] = "failed",
        [RUN_CANCELLED] = "cancelled",
    };

    return o >= RUN_OK && o <= RUN_CANCELLED ? names[o] : "unknown";
}

/* Texts of one message that had to be cleaned; they live until it is packed. */
struct texts {
    struct buffer clean[TEXTS_MAX];
    size_t n;
    int error;
};

static void texts_release(struct texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        buffer_release(&t->clean[i]);
}

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    /* Packing only reads. */
    return (ProtobufCBinaryData){ .len = len, .data = (uint8_t *)data };
}

static ProtobufCBinaryData text_of(struct texts *t, const char *text)
{
    size_t len = strlen(text);
    struct buffer *b;

    if (text_is_valid((const uint8_t *)text, len))
        return bytes_of(text, len);
    b = &t->clean[t->n++];
    if (text_clean((const uint8_t *)text, len, b) < 0)
        t->error = b->error;
    return bytes_of(buffer_text(b), b->len);
}

/* For text whose absence means "". */
static bool has_text(const char *text)
{
    return text && *text;
}

static int append_message(struct buffer *out, const void *message, size_t size)
{
    char *at = buffer_reserve(out, size);

    if (!at)
        return out->error;
    out->len += protobuf_c_message_pack(message, (uint8_t *)at);
    out->data[out->len] = '\0';
    return 0;
}

/* The tag of a field below 16 and the length, in protobuf's own varint. */
static int append_field(struct buffer *out, unsigned field, size_t len)
{
    uint8_t bytes[1 + 10];
    size_t n = 0;

    bytes[n++] = (uint8_t)(field << 3 | WIRE_TYPE_BYTES);
    for (; len >= 0x80; len >>= 7)
        bytes[n++] = (uint8_t)(len | 0x80);
    bytes[n++] = (uint8_t)len;
    return buffer_append(out, bytes, n);
}

static int append_submessage(struct buffer *out, unsigned field, const void *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    int r = append_field(out, field, size);

    return r < 0 ? r : append_message(out, message, size);
}

/* Leaves room for the header and appends the message. */
static int begin(struct buffer *out, const void *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);

    if (!buffer_reserve(out, RECORD_HEADER_SIZE + size))
        return out->error;
    out->len += RECORD_HEADER_SIZE;
    return append_message(out, message, size);
}

int record_close(struct buffer *out, size_t start, int error)
{
    uint8_t *header = (uint8_t *)out->data + start;
    uint64_t sum;

    if (error < 0) {
        if (out->data)
            out->data[start] = '\0';
        out->len = start;
        return error;
    }
    sum = record_checksum(header + RECORD_HEADER_SIZE,
                          out->len - start - RECORD_HEADER_SIZE);
    header[0] = RECORD_MAGIC;
    header[1] = RECORD_VERSION;
    for (int i = 0; i < 8; i++)
        header[2 + i] = (uint8_t)(sum >> (8 * i));
    return 0;
}

static int append_artifact(struct buffer *out, const struct artifact *a)
{
    Mesh__Record__Artifact m = MESH__RECORD__ARTIFACT__INIT;
    CLEANUP(texts_release) struct texts texts = { .n = 0 };

    if (!a->name || a->encoding < ENCODING_BYTES || a->encoding > ENCODING_ARROW)
        return -EINVAL;
    m.has_name = true;
    m.name = text_of(&texts, a->name);
    m.has_type = a->type && strcmp(a->type, "bytes") != 0;
    if (m.has_type)
        m.type = text_of(&texts, a->type);
    m.has_encoding = a->encoding != ENCODING_BYTES;
    m.encoding = a->encoding;
    m.has_id = true;
    m.id = bytes_of(a->id.bytes, DIGEST_SIZE);
    m.has_inline_ = a->inline_data != NULL;
    m.inline_ = bytes_of(a->inline_data, m.has_inline_ ? (size_t)a->size : 0);
    m.has_size = !m.has_inline_ && a->size;
    m.size = a->size;
    m.has_is_inherited = m.is_inherited = a->is_inherited;
    return texts.error ? texts.error : append_submessage(out, FIELD_ATTEMPT_OUTPUT, &m);
}

static void set_log(Mesh__Record__Attempt *m, const struct log_ref *log)
{
    m->has_log_inline = log->inline_len > 0;
    m->log_inline = bytes_of(log->inline_data, log->inline_len);
    m->has_log_blob = log->has_blob;
    m->log_blob = bytes_of(log->blob.bytes, DIGEST_SIZE);
    m->has_log_size = log->size != log->inline_len;
    m->log_size = log->size;
    m->has_log_is_truncated = m->log_is_truncated = log->is_truncated;
}

static void set_usage(Mesh__Record__Attempt *m, const struct attempt_record *r)
{
    m->has_started_us = r->started_wall != 0;
    m->started_us = r->started_wall;
    m->has_duration_us = r->ended_wall != r->started_wall;
    m->duration_us = (int64_t)(r->ended_wall - r->started_wall);
    m->has_pid = r->pid != 0;
    m->pid = r->pid;
    m->has_max_rss_bytes = r->max_rss_bytes != 0;
    m->max_rss_bytes = r->max_rss_bytes;
    m->has_cpu_us = r->cpu_us != 0;
    m->cpu_us = r->cpu_us;
    m->has_memory_peak_bytes = r->memory_peak_bytes != 0;
    m->memory_peak_bytes = r->memory_peak_bytes;
    m->has_cpu_peak_milli = r->cpu_peak_milli != 0;
    m->cpu_peak_milli = r->cpu_peak_milli;
}

static void set_executor(Mesh__Record__Attempt *m, const struct attempt_record *r)
{
    m->has_node = !node_id_is_none(&r->node);
    m->node = bytes_of(r->node.bytes, NODE_ID_SIZE);
    m->has_boot = r->boot != 0;
    m->boot = r->boot;
    m->has_counter = r->counter != 0;
    m->counter = r->counter;
    m->has_witness = r->has_witness;
    m->witness = bytes_of(r->witness.bytes, DIGEST_SIZE);
    m->has_signature = r->signature_len > 0;
    m->signature = bytes_of(r->signature, r->signature_len);
    m->has_said = r->is_judged && m->has_signature;
    m->said = bytes_of(r->said.bytes, DIGEST_SIZE);
    m->has_fence = r->fence != 0;
    m->fence = r->fence;
    m->has_made = r->has_made;
    m->made = bytes_of(r->made.bytes, DIGEST_SIZE);
}

static bool attempt_is_valid(const struct attempt_record *r)
{
    return r->verdict >= VERDICT_DONE && r->verdict <= VERDICT_ADOPTED
           && r->reason >= REASON_OK && r->reason <= REASON_LAST
           && r->signature_len <= ATTEMPT_SIGNATURE_MAX
           && !(r->log.has_blob && r->log.inline_len);
}

int attempt_record_encode(const struct attempt_record *r, struct buffer *out)
{
    Mesh__Record__Attempt m = MESH__RECORD__ATTEMPT__INIT;
    CLEANUP(texts_release) struct texts texts = { .n = 0 };
    size_t start = out->len;
    int error;

    if (!attempt_is_valid(r))
        return -EINVAL;
    if (r->n_outputs > RECORD_OUTPUTS_MAX)
        return -E2BIG;
    m.has_verdict = r->verdict != VERDICT_DONE;
    m.verdict = r->verdict;
    m.has_reason = r->reason != REASON_OK;
    m.reason = r->reason;
    m.has_exit_code = r->exit_code != 0;
    m.exit_code = r->exit_code;
    m.has_signal = r->signal != 0;
    m.signal = r->signal;
    set_usage(&m, r);
    m.has_width = r->has_width;
    m.width = r->width;
    set_log(&m, &r->log);
    m.has_message = r->message != NULL;
    if (r->message)
        m.message = text_of(&texts, r->message);
    m.has_choice = r->choice != NULL;
    if (r->choice)
        m.choice = text_of(&texts, r->choice);
    m.has_origin = r->has_origin;
    m.origin = bytes_of(r->origin.bytes, RUN_ID_SIZE);
    m.has_gpus = r->gpus != 0;
    m.gpus = r->gpus;
    set_executor(&m, r);
    error = texts.error ? texts.error : begin(out, &m);
    for (size_t i = 0; error == 0 && i < r->n_outputs; i++)
        error = append_artifact(out, &r->outputs[i]);
    return record_close(out, start, error);
}

static int append_parameter(struct buffer *out, const struct record_parameter *p)
{
    Mesh__Record__Parameter m = MESH__RECORD__PARAMETER__INIT;
    CLEANUP(texts_release) struct texts texts = { .n = 0 };

    if (!p->name)
        return -EINVAL;
    m.has_name = true;
    m.name = text_of(&texts, p->name);
    /* A secret's value is kept nowhere, whatever the caller left in it. */
    m.has_value = has_text(p->value) && !p->is_secret;
    if (m.has_value)
        m.value = text_of(&texts, p->value);
    m.has_is_secret = m.is_secret = p->is_secret;
    return texts.error ? texts.error : append_submessage(out, FIELD_RUN_PARAMETER, &m);
}

static int append_tag(struct buffer *out, unsigned field, const char *tag)
{
    CLEANUP(texts_release) struct texts texts = { .n = 0 };
    ProtobufCBinaryData text;

    if (!tag)
        return -EINVAL;
    text = text_of(&texts, tag);
    if (texts.error)
        return texts.error;
    append_field(out, field, text.len);
    return buffer_append(out, text.data, text.len);
}

/* The texts of a run; TEXTS_MAX is their number. */
static void set_run_texts(Mesh__Record__Run *m, const struct run_record *r,
                          struct texts *texts)
{
    m->has_flow_name = has_text(r->flow_name);
    if (m->has_flow_name)
        m->flow_name = text_of(texts, r->flow_name);
    m->has_flow_path = has_text(r->flow_path);
    if (m->has_flow_path)
        m->flow_path = text_of(texts, r->flow_path);
    m->has_user = has_text(r->user);
    if (m->has_user)
        m->user = text_of(texts, r->user);
    m->has_on_failure = r->on_failure != NULL;
    if (m->has_on_failure)
        m->on_failure = text_of(texts, r->on_failure);
}

int run_record_encode(const struct run_record *r, struct buffer *out)
{
    Mesh__Record__Run m = MESH__RECORD__RUN__INIT;
    CLEANUP(texts_release) struct texts texts = { .n = 0 };
    size_t start = out->len;
    int error;

    if (r->n_parameters > RECORD_PARAMETERS_MAX || r->n_tags > RECORD_TAGS_MAX)
        return -E2BIG;
    m.has_run = true;
    m.run = bytes_of(r->run.bytes, RUN_ID_SIZE);
    m.has_number = r->number != 0;
    m.number = r->number;
    set_run_texts(&m, r, &texts);
    m.has_flow_text = r->flow_text_len > 0;
    m.flow_text = bytes_of(r->flow_text, r->flow_text_len);
    m.has_package = true;
    m.package = bytes_of(r->package.bytes, DIGEST_SIZE);
    m.has_submitted_us = r->submitted_wall != 0;
    m.submitted_us = r->submitted_wall;
    m.has_max_workers = r->max_workers != 0;
    m.max_workers = r->max_workers;
    m.has_origin = r->has_origin;
    m.origin = bytes_of(r->origin.bytes, RUN_ID_SIZE);
    m.has_share = r->share != 0;
    m.share = r->share;
    m.has_remote = r->is_remote;
    m.remote = r->is_remote;
    error = texts.error ? texts.error : begin(out, &m);
    for (size_t i = 0; error == 0 && i < r->n_parameters; i++)
        error = append_parameter(out, &r->parameters[i]);
    for (size_t i = 0; error == 0 && i < r->n_tags; i++)
        error = append_tag(out, FIELD_RUN_TAG, r->tags[i]);
    return record_close(out, start, error);
}

int run_end_record_encode(const struct run_end_record *r, struct buffer *out)
{
    Mesh__Record__RunEnd m = MESH__RECORD__RUN_END__INIT;
    CLEANUP(texts_release) struct texts texts = { .n = 0 };
    size_t start = out->len;

    if (r->outcome < RUN_OK || r->outcome > RUN_CANCELLED)
        return -EINVAL;
    m.has_run = true;
    m.run = bytes_of(r->run.bytes, RUN_ID_SIZE);
    m.has_outcome = r->outcome != RUN_OK;
    m.outcome = r->outcome;
    m.has_started_us = r->started_wall != 0;
    m.started_us = r->started_wall;
    m.has_duration_us = r->ended_wall != r->started_wall;
    m.duration_us = (int64_t)(r->ended_wall - r->started_wall);
    m.has_n_done = r->n_done != 0;
    m.n_done = r->n_done;
    m.has_n_failed = r->n_failed != 0;
    m.n_failed = r->n_failed;
    m.has_n_skipped = r->n_skipped != 0;
    m.n_skipped = r->n_skipped;
    m.has_n_adopted = r->n_adopted != 0;
    m.n_adopted = r->n_adopted;
    m.has_n_attempts = r->n_attempts != 0;
    m.n_attempts = r->n_attempts;
    m.has_message = r->message != NULL;
    if (r->message)
        m.message = text_of(&texts, r->message);
    return record_close(out, start, texts.error ? texts.error : begin(out, &m));
}

int run_state_record_encode(const struct run_state_record *r, struct buffer *out)
{
    Mesh__Record__RunState m = MESH__RECORD__RUN_STATE__INIT;
    size_t start = out->len;
    int error;

    if (r->n_tags > RECORD_TAGS_MAX)
        return -E2BIG;
    if (r->n_tags && !r->has_tags)
        return -EINVAL;
    m.has_is_cancelled = m.is_cancelled = r->is_cancelled;
    m.has_is_suspended = m.is_suspended = r->is_suspended;
    m.has_has_tags = m.has_tags = r->has_tags;
    error = begin(out, &m);
    for (size_t i = 0; error == 0 && i < r->n_tags; i++)
        error = append_tag(out, FIELD_RUN_STATE_TAG, r->tags[i]);
    return record_close(out, start, error);
}

int fence_record_encode(uint64_t fence, struct buffer *out)
{
    Mesh__Record__Fence m = MESH__RECORD__FENCE__INIT;
    size_t start = out->len;

    if (!fence)
        return -EINVAL;
    m.has_fence = true;
    m.fence = fence;
    return record_close(out, start, begin(out, &m));
}
