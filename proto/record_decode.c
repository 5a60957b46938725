/* SPDX-License-Identifier: Apache-2.0 */
/* Decoders. Nothing of what they are given is trusted: lengths, counts, enumerators and
 * text are checked, and memory is bounded by what came in. */
#include "proto/record.h"

#include <errno.h>
#include <string.h>

#include "proto/format.h"
#include "proto/text.h"
#include "record.pb-c.h"

/* What unpacking may take: its structs and the slabs in which it notes where fields
 * are. RECORD_*_MAX are such that every record we write fits in. */
enum { BUDGET_CONSTANT = 1 << 20, BUDGET_FACTOR = 4 };

struct budget {
    ProtobufCAllocator allocator;
    size_t bytes;
    bool is_out_of_memory;
};

static void *budget_alloc(void *arg, size_t size)
{
    struct budget *b = arg;
    void *p;

    if (size > b->bytes)
        return NULL;
    b->bytes -= size;
    p = malloc(size);
    b->is_out_of_memory |= !p;
    return p;
}

static void budget_free(void *arg UNUSED, void *p)
{
    free(p);
}

static void budget_init(struct budget *b, size_t len)
{
    *b = (struct budget){ .bytes = BUDGET_FACTOR * len + BUDGET_CONSTANT };
    b->allocator = (ProtobufCAllocator){ .alloc = budget_alloc,
                                         .free = budget_free,
                                         .allocator_data = b };
}

/* The message, made with *b; -EBADMSG or -ENOMEM. */
static int unpack(const ProtobufCMessageDescriptor *type, const uint8_t *data,
                  size_t len, struct budget *b, void *ret_message)
{
    ProtobufCMessage *m;

    budget_init(b, len);
    m = protobuf_c_message_unpack(type, &b->allocator, len, data);
    if (!m)
        return b->is_out_of_memory ? -ENOMEM : -EBADMSG;
    memcpy(ret_message, &m, sizeof(m));
    return 0;
}

int record_open(const uint8_t *data, size_t len, const uint8_t **ret_message,
                size_t *ret_len)
{
    uint64_t sum = 0;

    if (len < RECORD_HEADER_SIZE || data[0] != RECORD_MAGIC || data[1] == 0)
        return -EBADMSG;
    if (data[1] > RECORD_VERSION)
        return -EPROTONOSUPPORT;
    for (int i = 7; i >= 0; i--)
        sum = sum << 8 | data[2 + i];
    if (record_checksum(data + RECORD_HEADER_SIZE, len - RECORD_HEADER_SIZE) != sum)
        return -EBADMSG;
    *ret_message = data + RECORD_HEADER_SIZE;
    *ret_len = len - RECORD_HEADER_SIZE;
    return 0;
}

/* ---- fields; the first failure is kept in *error ---- */

static int note(int *error, int code)
{
    if (*error == 0)
        *error = code;
    return code;
}

/* With a NUL behind, and at least that one byte. */
static void *copy_bytes(int *error, ProtobufCBinaryData bytes)
{
    char *copy = malloc(bytes.len + 1);

    if (!copy) {
        note(error, -ENOMEM);
        return NULL;
    }
    if (bytes.len)
        memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    return copy;
}

/* NULL if it is absent. */
static char *copy_text(int *error, bool has, ProtobufCBinaryData bytes)
{
    if (!has)
        return NULL;
    if (!text_is_valid(bytes.data, bytes.len)) {
        note(error, -EBADMSG);
        return NULL;
    }
    return copy_bytes(error, bytes);
}

static char *copy_text_or(int *error, bool has, ProtobufCBinaryData bytes,
                          const char *otherwise)
{
    if (has)
        return copy_text(error, has, bytes);
    return copy_bytes(error, (ProtobufCBinaryData){ .len = strlen(otherwise),
                                                    .data = (uint8_t *)otherwise });
}

static char *need_text(int *error, bool has, ProtobufCBinaryData bytes)
{
    if (!has)
        note(error, -EBADMSG);
    return copy_text(error, has, bytes);
}

static void need_fixed(int *error, bool has, ProtobufCBinaryData bytes, uint8_t *ret,
                       size_t len)
{
    if (has && bytes.len == len)
        memcpy(ret, bytes.data, len);
    else
        note(error, -EBADMSG);
}

static bool get_fixed(int *error, bool has, ProtobufCBinaryData bytes, uint8_t *ret,
                      size_t len)
{
    if (has)
        need_fixed(error, has, bytes, ret, len);
    return has;
}

/* An enumerator beyond `last` was made up after this was written. */
static unsigned get_enum(int *error, uint32_t value, unsigned last)
{
    if (value == 0)
        note(error, -EBADMSG);
    else if (value > last)
        note(error, -EPROTONOSUPPORT);
    return value;
}

static void *get_array(int *error, size_t n, size_t max, size_t size)
{
    void *array = NULL;

    if (n > max) {
        note(error, -EBADMSG);
    } else if (n) {
        array = calloc(n, size);
        if (!array)
            note(error, -ENOMEM);
    }
    return array;
}

/* ---- attempt ---- */

static void release_artifact(struct artifact *a)
{
    free(a->name);
    free(a->type);
    free(a->inline_data);
}

void attempt_record_release(struct attempt_record *r)
{
    for (size_t i = 0; i < r->n_outputs; i++)
        release_artifact(&r->outputs[i]);
    free(r->outputs);
    free(r->message);
    free(r->choice);
    free(r->log.inline_data);
    *r = (struct attempt_record){ .attempt = 0 };
}

static int get_artifact(const Mesh__Record__Artifact *m, struct artifact *a)
{
    int error = 0;

    a->name = need_text(&error, m->has_name, m->name);
    a->type = copy_text_or(&error, m->has_type, m->type, "bytes");
    a->encoding = get_enum(&error, m->encoding, ENCODING_ARROW);
    need_fixed(&error, m->has_id, m->id, a->id.bytes, DIGEST_SIZE);
    a->size = m->size;
    a->is_inherited = m->is_inherited;
    if (m->has_inline_) {
        if (m->has_size && m->size != m->inline_.len)
            note(&error, -EBADMSG);
        a->inline_data = copy_bytes(&error, m->inline_);
        a->size = m->inline_.len;
    }
    return error;
}

static int unpack_artifact(ProtobufCBinaryData bytes, struct artifact *a)
{
    Mesh__Record__Artifact *m;
    struct budget budget;
    int r =
        unpack(&mesh__record__artifact__descriptor, bytes.data, bytes.len, &budget, &m);

    if (r < 0)
        return r;
    r = get_artifact(m, a);
    mesh__record__artifact__free_unpacked(m, &budget.allocator);
    return r;
}

static void get_outputs(int *error, const Mesh__Record__Attempt *m,
                        struct attempt_record *r)
{
    r->outputs = get_array(error, m->n_output, RECORD_OUTPUTS_MAX, sizeof(*r->outputs));
    if (!r->outputs)
        return;
    r->n_outputs = m->n_output;
    for (size_t i = 0; *error == 0 && i < m->n_output; i++)
        *error = unpack_artifact(m->output[i], &r->outputs[i]);
}

static void get_log(int *error, const Mesh__Record__Attempt *m, struct log_ref *log)
{
    if (m->has_log_inline && (m->has_log_blob || m->log_inline.len == 0))
        note(error, -EBADMSG);
    if (m->has_log_inline) {
        log->inline_data = copy_bytes(error, m->log_inline);
        log->inline_len = m->log_inline.len;
    }
    log->has_blob =
        get_fixed(error, m->has_log_blob, m->log_blob, log->blob.bytes, DIGEST_SIZE);
    log->size = m->has_log_size ? m->log_size : log->inline_len;
    log->is_truncated = m->log_is_truncated;
}

static void get_signature(int *error, const Mesh__Record__Attempt *m,
                          struct attempt_record *r)
{
    r->is_judged = get_fixed(error, m->has_said, m->said, r->said.bytes, DIGEST_SIZE);
    if (!m->has_signature)
        return;
    if (!m->signature.len || m->signature.len > sizeof(r->signature)) {
        note(error, -EBADMSG);
        return;
    }
    memcpy(r->signature, m->signature.data, m->signature.len);
    r->signature_len = m->signature.len;
}

static int get_attempt(const Mesh__Record__Attempt *m, struct attempt_record *r)
{
    int error = 0;

    r->verdict = get_enum(&error, m->verdict, VERDICT_ADOPTED);
    r->reason = get_enum(&error, m->reason, REASON_LAST);
    r->exit_code = m->exit_code;
    r->signal = m->signal;
    r->started_wall = m->started_us;
    r->ended_wall = m->started_us + (uint64_t)m->duration_us;
    r->pid = m->pid;
    r->max_rss_bytes = m->max_rss_bytes;
    r->cpu_us = m->cpu_us;
    r->memory_peak_bytes = m->memory_peak_bytes;
    r->cpu_peak_milli = m->cpu_peak_milli;
    r->width = m->width;
    r->has_width = m->has_width;
    get_log(&error, m, &r->log);
    r->message = copy_text(&error, m->has_message, m->message);
    r->choice = copy_text(&error, m->has_choice, m->choice);
    r->has_origin =
        get_fixed(&error, m->has_origin, m->origin, r->origin.bytes, RUN_ID_SIZE);
    r->gpus = m->gpus;
    get_fixed(&error, m->has_node, m->node, r->node.bytes, NODE_ID_SIZE);
    r->boot = m->boot;
    r->counter = m->counter;
    r->has_witness =
        get_fixed(&error, m->has_witness, m->witness, r->witness.bytes, DIGEST_SIZE);
    get_signature(&error, m, r);
    r->fence = m->fence;
    r->has_made = get_fixed(&error, m->has_made, m->made, r->made.bytes, DIGEST_SIZE);
    get_outputs(&error, m, r);
    return error;
}

int attempt_record_decode(const void *data, size_t len, struct attempt_record *ret)
{
    CLEANUP(attempt_record_release) struct attempt_record record = { .attempt = 0 };
    Mesh__Record__Attempt *m;
    struct budget budget;
    const uint8_t *message;
    int r = record_open(data, len, &message, &len);

    if (r < 0)
        return r;
    r = unpack(&mesh__record__attempt__descriptor, message, len, &budget, &m);
    if (r < 0)
        return r;
    r = get_attempt(m, &record);
    mesh__record__attempt__free_unpacked(m, &budget.allocator);
    if (r < 0)
        return r;
    *ret = record;
    record = (struct attempt_record){ .attempt = 0 };
    return 0;
}

/* ---- run ---- */

static void release_tags(char **tags, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(tags[i]);
    free(tags);
}

void run_record_release(struct run_record *r)
{
    for (size_t i = 0; i < r->n_parameters; i++) {
        free(r->parameters[i].name);
        free(r->parameters[i].value);
    }
    release_tags(r->tags, r->n_tags);
    free(r->parameters);
    free(r->flow_name);
    free(r->flow_path);
    free(r->flow_text);
    free(r->user);
    free(r->on_failure);
    *r = (struct run_record){ .number = 0 };
}

static int get_parameter(const Mesh__Record__Parameter *m, struct record_parameter *p)
{
    int error = 0;

    p->name = need_text(&error, m->has_name, m->name);
    p->value = copy_text_or(&error, m->has_value, m->value, "");
    p->is_secret = m->is_secret;
    return error;
}

static int unpack_parameter(ProtobufCBinaryData bytes, struct record_parameter *p)
{
    Mesh__Record__Parameter *m;
    struct budget budget;
    int r = unpack(&mesh__record__parameter__descriptor, bytes.data, bytes.len, &budget,
                   &m);

    if (r < 0)
        return r;
    r = get_parameter(m, p);
    mesh__record__parameter__free_unpacked(m, &budget.allocator);
    return r;
}

static void get_parameters(int *error, const Mesh__Record__Run *m, struct run_record *r)
{
    r->parameters =
        get_array(error, m->n_parameter, RECORD_PARAMETERS_MAX, sizeof(*r->parameters));
    if (!r->parameters)
        return;
    r->n_parameters = m->n_parameter;
    for (size_t i = 0; *error == 0 && i < m->n_parameter; i++)
        *error = unpack_parameter(m->parameter[i], &r->parameters[i]);
}

static char **get_tags(int *error, const ProtobufCBinaryData *tags, size_t n,
                       size_t *ret_n)
{
    char **copies = get_array(error, n, RECORD_TAGS_MAX, sizeof(*copies));

    if (!copies)
        return NULL;
    *ret_n = n;
    for (size_t i = 0; *error == 0 && i < n; i++)
        copies[i] = copy_text(error, true, tags[i]);
    return copies;
}

static int get_run(const Mesh__Record__Run *m, struct run_record *r)
{
    int error = 0;

    need_fixed(&error, m->has_run, m->run, r->run.bytes, RUN_ID_SIZE);
    r->number = m->number;
    r->flow_name = copy_text_or(&error, m->has_flow_name, m->flow_name, "");
    r->flow_path = copy_text_or(&error, m->has_flow_path, m->flow_path, "");
    r->flow_text = copy_bytes(&error, m->flow_text);
    r->flow_text_len = m->flow_text.len;
    need_fixed(&error, m->has_package, m->package, r->package.bytes, DIGEST_SIZE);
    r->user = copy_text_or(&error, m->has_user, m->user, "");
    r->submitted_wall = m->submitted_us;
    r->max_workers = m->max_workers;
    r->has_origin =
        get_fixed(&error, m->has_origin, m->origin, r->origin.bytes, RUN_ID_SIZE);
    r->on_failure = copy_text(&error, m->has_on_failure, m->on_failure);
    r->share = m->share;
    r->is_remote = m->remote;
    get_parameters(&error, m, r);
    r->tags = get_tags(&error, m->tag, m->n_tag, &r->n_tags);
    return error;
}

int run_record_decode(const void *data, size_t len, struct run_record *ret)
{
    CLEANUP(run_record_release) struct run_record record = { .number = 0 };
    Mesh__Record__Run *m;
    struct budget budget;
    const uint8_t *message;
    int r = record_open(data, len, &message, &len);

    if (r < 0)
        return r;
    r = unpack(&mesh__record__run__descriptor, message, len, &budget, &m);
    if (r < 0)
        return r;
    r = get_run(m, &record);
    mesh__record__run__free_unpacked(m, &budget.allocator);
    if (r < 0)
        return r;
    *ret = record;
    record = (struct run_record){ .number = 0 };
    return 0;
}

/* ---- the end of a run ---- */

void run_end_record_release(struct run_end_record *r)
{
    free(r->message);
    *r = (struct run_end_record){ .n_done = 0 };
}

static int get_run_end(const Mesh__Record__RunEnd *m, struct run_end_record *r)
{
    int error = 0;

    need_fixed(&error, m->has_run, m->run, r->run.bytes, RUN_ID_SIZE);
    r->outcome = get_enum(&error, m->outcome, RUN_CANCELLED);
    r->started_wall = m->started_us;
    r->ended_wall = m->started_us + (uint64_t)m->duration_us;
    r->n_done = m->n_done;
    r->n_failed = m->n_failed;
    r->n_skipped = m->n_skipped;
    r->n_adopted = m->n_adopted;
    r->n_attempts = m->n_attempts;
    r->message = copy_text(&error, m->has_message, m->message);
    return error;
}

int run_end_record_decode(const void *data, size_t len, struct run_end_record *ret)
{
    CLEANUP(run_end_record_release) struct run_end_record record = { .n_done = 0 };
    Mesh__Record__RunEnd *m;
    struct budget budget;
    const uint8_t *message;
    int r = record_open(data, len, &message, &len);

    if (r < 0)
        return r;
    r = unpack(&mesh__record__run_end__descriptor, message, len, &budget, &m);
    if (r < 0)
        return r;
    r = get_run_end(m, &record);
    mesh__record__run_end__free_unpacked(m, &budget.allocator);
    if (r < 0)
        return r;
    *ret = record;
    record = (struct run_end_record){ .n_done = 0 };
    return 0;
}

/* ---- the state of a run ---- */

void run_state_record_release(struct run_state_record *r)
{
    release_tags(r->tags, r->n_tags);
    *r = (struct run_state_record){ .n_tags = 0 };
}

static int get_run_state(const Mesh__Record__RunState *m, struct run_state_record *r)
{
    int error = 0;

    r->is_cancelled = m->is_cancelled;
    r->is_suspended = m->is_suspended;
    r->has_tags = m->has_tags;
    r->tags = get_tags(&error, m->tag, m->n_tag, &r->n_tags);
    if (r->n_tags && !r->has_tags)
        note(&error, -EBADMSG);
    return error;
}

int run_state_record_decode(const void *data, size_t len, struct run_state_record *ret)
{
    CLEANUP(run_state_record_release) struct run_state_record record = { .n_tags = 0 };
    Mesh__Record__RunState *m;
    struct budget budget;
    const uint8_t *message;
    int r = record_open(data, len, &message, &len);

    if (r < 0)
        return r;
    r = unpack(&mesh__record__run_state__descriptor, message, len, &budget, &m);
    if (r < 0)
        return r;
    r = get_run_state(m, &record);
    mesh__record__run_state__free_unpacked(m, &budget.allocator);
    if (r < 0)
        return r;
    *ret = record;
    record = (struct run_state_record){ .n_tags = 0 };
    return 0;
}

int fence_record_decode(const void *data, size_t len, uint64_t *ret_fence)
{
    Mesh__Record__Fence *m;
    struct budget budget;
    const uint8_t *message;
    uint64_t fence;
    int r = record_open(data, len, &message, &len);

    if (r < 0)
        return r;
    r = unpack(&mesh__record__fence__descriptor, message, len, &budget, &m);
    if (r < 0)
        return r;
    fence = m->fence;
    mesh__record__fence__free_unpacked(m, &budget.allocator);
    if (!fence)
        return -EBADMSG;
    *ret_fence = fence;
    return 0;
}
