/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cache.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "node/inputs.h"
#include "store/digest.h"
#include "store/tree.h"

/* Raised when the same fields would mean something else. */
static const char format[] = "mesh-cache 1";

enum { ENTRY_MARK = 'k', ENTRY_KEY_SIZE = 1 + DIGEST_SIZE };

/* ---- fields, each behind its length so that no two lists of them are equal ---- */

static void put_bytes(struct buffer *out, const void *data, size_t len)
{
    buffer_printf(out, "%zu:", len);
    buffer_append(out, data, len);
}

/* NULL is not the empty text. */
static void put_text(struct buffer *out, const char *text)
{
    if (text)
        put_bytes(out, text, strlen(text));
    else
        buffer_puts(out, "-");
}

static void put_number(struct buffer *out, uint64_t number)
{
    buffer_printf(out, "%" PRIu64 ";", number);
}

static void put_pairs(struct buffer *out, const struct pair *pairs, size_t n)
{
    put_number(out, n);
    for (size_t i = 0; i < n; i++) {
        put_text(out, pairs[i].name);
        put_text(out, pairs[i].value);
    }
}

static void put_artifact(struct buffer *out, const struct artifact *a)
{
    put_text(out, a->name);
    put_number(out, a->encoding);
    put_bytes(out, a->id.bytes, DIGEST_SIZE);
}

/* ---- the files of the package ---- */

/* Where words of a shell's text end. */
static const char delimiters[] = " \t\r\n\"'`;|&()<>{}=$";

static bool is_path(const char *path, const char *workdir, const char *word, size_t len)
{
    size_t n = workdir ? strlen(workdir) : 0;

    if (len > 2 && word[0] == '.' && word[1] == '/') {
        word += 2;
        len -= 2;
    }
    if (n && strncmp(path, workdir, n) == 0 && path[n] == '/')
        path += n + 1;
    return strlen(path) == len && memcmp(path, word, len) == 0;
}

static bool is_named_in(const char *text, const char *path, const char *workdir)
{
    while (*text) {
        size_t len = strcspn(text, delimiters);

        if (len && is_path(path, workdir, text, len))
            return true;
        text += len + (text[len] != '\0');
    }
    return false;
}

static bool is_dependency(const struct step *step, const struct step_launch *l,
                          const char *path)
{
    for (char **pattern = step->cache_files; pattern && *pattern; pattern++)
        if (fnmatch(*pattern, path, FNM_PATHNAME | FNM_PERIOD) == 0)
            return true;
    if (!step->cache_files && step->python_file && strcmp(step->python_file, path) == 0)
        return true;
    for (char **arg = l->argv; !step->cache_files && *arg; arg++)
        if (is_named_in(*arg, path, step->workdir))
            return true;
    return false;
}

static int put_files(struct buffer *out, const struct cache *c, const struct slot *slot,
                     const struct step_launch *l)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };
    const struct step *step = &slot->flow->steps[slot->task.step];
    int r = tree_get(c->artifacts->blobs, &slot->run->package, &t);

    for (size_t i = 0; r == 0 && i < t.n; i++) {
        if (!is_dependency(step, l, t.entries[i].path))
            continue;
        put_text(out, t.entries[i].path);
        put_number(out, t.entries[i].mode);
        put_bytes(out, t.entries[i].id.bytes, DIGEST_SIZE);
    }
    return r;
}

/* ---- what is equal for all tasks of a step in a run ---- */

static void put_parameters(struct buffer *out, const struct run_context *c)
{
    for (size_t i = 0; i < c->flow->n_parameters; i++) {
        const struct parameter *p = &c->flow->parameters[i];

        put_text(out, p->name);
        put_text(out, p->is_secret ? NULL : c->values[i]);
    }
}

/* Variables as written: what they take from parameters is there already, and a secret
 * must not be guessed from the key. */
static int put_step(struct buffer *out, const struct cache *c, const struct slot *slot,
                    const struct step_launch *l)
{
    const struct flow *flow = slot->flow;
    const struct step *step = &flow->steps[slot->task.step];

    put_text(out, format);
    for (char **arg = l->argv; *arg; arg++)
        put_text(out, *arg);
    put_text(out, step->python_file);
    put_text(out, step->python_function);
    put_text(out, step->workdir);
    put_pairs(out, flow->environment, flow->n_environment);
    put_pairs(out, step->environment, step->n_environment);
    put_pairs(out, step->outputs, step->n_outputs);
    put_text(out, step->foreach.artifact);
    put_text(out, step->switch_by);
    put_parameters(out, slot->run);
    return put_files(out, c, slot, l);
}

static int step_digest(const struct cache *c, const struct slot *slot,
                       struct step_launch *l)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r;

    if (l->has_cache_digest)
        return 0;
    r = put_step(&text, c, slot, l);
    if (r == 0)
        r = buffer_failed(&text);
    if (r < 0)
        return r;
    l->cache_digest = digest_memory(text.data, text.len);
    l->has_cache_digest = true;
    return 0;
}

/* ---- what is a task's own ---- */

/* A join, or where branches meet, gets all that those before it made. */
static bool takes_all(const struct flow *flow, uint32_t step)
{
    const struct step *s = &flow->steps[step];

    for (uint32_t i = 0; i < s->n_before; i++)
        if (flow_edge_kind(flow, s->before[i], step) == EDGE_CLOSE)
            return true;
    return s->n_before > 1 && !flow->is_needs;
}

static int put_joined(void *arg, const struct attempt_record *attempt)
{
    struct buffer *out = arg;

    put_number(out, attempt->n_outputs);
    for (size_t i = 0; i < attempt->n_outputs; i++)
        put_artifact(out, &attempt->outputs[i]);
    return 0;
}

static int put_inputs(struct buffer *out, const struct cache *c,
                      const struct slot *slot, struct error *ret_error)
{
    const struct step *step = &slot->flow->steps[slot->task.step];
    int r = 0;

    for (size_t i = 0; r == 0 && i < step->n_inputs; i++) {
        struct input_identity identity;

        r = inputs_identify(c->artifacts, slot, &step->inputs[i], &identity, ret_error);
        if (r < 0)
            break;
        put_text(out, step->inputs[i].as);
        put_number(out, identity.encoding);
        put_bytes(out, identity.id.bytes, DIGEST_SIZE);
    }
    return r;
}

static int put_items(struct buffer *out, const struct cache *c, const struct slot *slot)
{
    int r = 0;

    for (uint32_t level = 0; r == 0 && level < slot->task.depth; level++) {
        CLEANUP(buffer_release) struct buffer item = BUFFER_INIT;

        r = items_get(c->items, c->artifacts, slot->flow, &slot->run->id, &slot->task,
                      level, &item);
        put_bytes(out, item.data, item.len);
    }
    return r;
}

int cache_key(const struct cache *c, const struct slot *slot, struct step_launch *step,
              struct digest *ret_key, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    int r = step_digest(c, slot, step);

    if (r < 0)
        return r;
    put_bytes(&text, step->cache_digest.bytes, DIGEST_SIZE);
    put_number(&text, slot->task.iteration);
    r = put_items(&text, c, slot);
    if (r == 0)
        r = put_inputs(&text, c, slot, ret_error);
    if (r == 0 && takes_all(slot->flow, slot->task.step))
        r = artifacts_inputs(c->artifacts, slot->flow, &slot->run->id, &slot->task,
                             put_joined, &text);
    if (r == 0)
        r = buffer_failed(&text);
    if (r == 0)
        *ret_key = digest_memory(text.data, text.len);
    return r;
}

/* ---- entries ---- */

static struct span entry_key(const struct digest *key, uint8_t bytes[ENTRY_KEY_SIZE])
{
    bytes[0] = ENTRY_MARK;
    memcpy(bytes + 1, key->bytes, DIGEST_SIZE);
    return (struct span){ bytes, ENTRY_KEY_SIZE };
}

/* A large blob is a file, which may be gone though its entry is not. */
static bool has_blob(struct blobs *b, const struct digest *id)
{
    uint64_t size;
    int fd, r = blobs_stat(b, id, &size);

    if (r == 0)
        r = blobs_open_file(b, id, &fd);
    if (r == 0)
        close(fd);
    return r == 0 || r == -ENOTSUP;
}

static bool has_tree(struct blobs *b, const struct digest *id)
{
    CLEANUP(tree_release) struct tree t = { .entries = NULL };

    if (tree_get(b, id, &t) < 0)
        return false;
    for (size_t i = 0; i < t.n; i++)
        if (!has_blob(b, &t.entries[i].id))
            return false;
    return true;
}

static bool has_artifact(struct blobs *b, const struct artifact *a)
{
    if (a->encoding == ENCODING_TREE)
        return has_tree(b, &a->id);
    return a->inline_data || a->size == 0 || has_blob(b, &a->id);
}

static bool is_whole(struct blobs *b, const struct attempt_record *attempt)
{
    for (size_t i = 0; i < attempt->n_outputs; i++)
        if (!has_artifact(b, &attempt->outputs[i]))
            return false;
    return !attempt->log.has_blob || has_blob(b, &attempt->log.blob);
}

static bool is_taken_over(const struct attempt_record *a)
{
    return a->verdict == VERDICT_DONE || a->verdict == VERDICT_ADOPTED;
}

int cache_find(const struct cache *c, const struct digest *key,
               struct attempt_record *ret_attempt)
{
    CLEANUP(attempt_record_release) struct attempt_record attempt = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer name = BUFFER_INIT, value = BUFFER_INIT;
    struct writer *w = c->artifacts->writer;
    uint8_t bytes[ENTRY_KEY_SIZE];
    int r = writer_get(w, STORE_RECORDS, entry_key(key, bytes), &name);

    if (r == 0)
        r = writer_get(w, STORE_RECORDS, (struct span){ name.data, name.len }, &value);
    if (r == 0)
        r = attempt_record_decode(value.data, value.len, &attempt);
    if (r == 0)
        r = attempt_key_decode(name.data, name.len, &attempt.run, &attempt.task,
                               &attempt.attempt);
    if (r == 0 && !(is_taken_over(&attempt) && is_whole(c->artifacts->blobs, &attempt)))
        r = -ENOENT;
    if (r < 0)
        return r;
    *ret_attempt = attempt;
    attempt = (struct attempt_record){ .attempt = 0 };
    return 0;
}

int cache_enter(const struct cache *c, const struct digest *key,
                const struct run_id *run, const struct task_id *task, uint32_t attempt)
{
    struct record_key name = attempt_key(run, task, attempt);
    uint8_t bytes[ENTRY_KEY_SIZE];
    struct store_write entry = { .table = STORE_RECORDS,
                                 .key = entry_key(key, bytes),
                                 .value = { name.bytes, name.len } };

    return writer_put(c->artifacts->writer, &entry, 1, false) ? 0 : -ENOMEM;
}

bool cache_may_read(const struct flow *flow, uint32_t step, uint32_t from,
                    const char *name)
{
    const struct step *s = &flow->steps[step];

    if (!s->has_cache)
        return true;
    for (size_t i = 0; i < s->n_inputs; i++)
        if (s->inputs[i].step == from && s->inputs[i].artifact
            && strcmp(s->inputs[i].artifact, name) == 0)
            return true;
    for (uint32_t i = 0; i < s->n_before && takes_all(flow, step); i++)
        if (s->before[i] == from)
            return true;
    return false;
}

bool cache_may_list(const struct flow *flow, uint32_t step)
{
    return !flow->steps[step].has_cache || takes_all(flow, step);
}
