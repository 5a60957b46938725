/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/task: what the attempt that a token names may ask of its own task, and no other.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/api/content.h"
#include "node/api/encode.h"
#include "node/api/nouns.h"
#include "node/api/number.h"
#include "node/api/source.h"
#include "node/cache.h"
#include "node/items.h"
#include "node/merge.h"
#include "store/digest.h"

enum {
    NAME_BYTES_MAX = 255,
    TYPE_BYTES_MAX = 64,
    OWN_BYTES_MAX = 64 << 20, /* of a file that is not kept yet */
};

/* On the loop. While a body came the attempt may have ended, and its slot be another's.
 */
static bool goes_on(struct request *r)
{
    if (runtime_channel(r->rt, r->token, &r->attempt) == 0)
        return true;
    reply_error(r, MHD_HTTP_FORBIDDEN, NULL, "the attempt has ended");
    return false;
}

/* A name becomes a file's name in $MESH_OUT. */
static bool check_name(struct request *r, const char *name)
{
    if (*name != '.' && strlen(name) <= NAME_BYTES_MAX && !strchr(name, '/'))
        return true;
    reply_error(
        r, MHD_HTTP_BAD_REQUEST, NULL,
        "'%.64s' cannot be the name of an artifact: at most %d bytes, no slash, "
        "no dot in front",
        name, NAME_BYTES_MAX);
    return false;
}

/* ---- GET /v1/task/artifacts/NAME ---- */

/* What the task itself put a moment ago: a file in $MESH_OUT, kept when it exits 0. */
static int find_own(const struct request *r, const char *name, struct artifact *ret,
                    struct task_id *ret_maker)
{
    int dir = open(r->attempt.out_dir, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
    CLEANUP(buffer_release) struct buffer data = { .bytes_max = OWN_BYTES_MAX };
    struct stat st;
    int fd = dir < 0 || strchr(name, '/')
                 ? -1
                 : openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = -1;
    char *at;

    if (dir >= 0)
        close(dir);
    if (fd < 0)
        return -ENOENT;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)
        && (at = buffer_reserve(&data, (size_t)st.st_size)))
        n = read(fd, at, (size_t)st.st_size);
    close(fd);
    if (n < 0)
        return -EIO;
    *ret_maker = r->attempt.task;
    *ret = (struct artifact){ .name = strdup(name),
                              .type = strdup("bytes"),
                              .encoding = ENCODING_BYTES,
                              .size = (uint64_t)n,
                              .id = digest_memory(data.data, (size_t)n),
                              .inline_data = (uint8_t *)TAKE(data.data) };
    return ret->name && ret->type ? 0 : -ENOMEM;
}

/* A result must not depend on what its name does not: see node/cache.h. */
static const char undeclared_hint[] = "name it in the step's 'inputs'";

/* The one step whose tasks this join closes. */
static uint32_t closed_step(const struct request *r)
{
    uint32_t self = r->attempt.task.step, found = FLOW_NONE;
    const struct step *s = &r->flow->steps[self];

    for (uint32_t i = 0; i < s->n_before; i++) {
        if (flow_edge_kind(r->flow, s->before[i], self) != EDGE_CLOSE)
            continue;
        if (found != FLOW_NONE)
            return FLOW_NONE;
        found = s->before[i];
    }
    return found;
}

/* The task's own, what came along the edge, or what the step merges. */
static int find_here(struct request *r, const char *name, struct artifact *ret,
                     struct task_id *ret_maker, struct error *ret_error)
{
    const struct artifacts *a = runtime_artifacts(r->rt);
    const struct task_id *task = &r->attempt.task;
    int error = find_own(r, name, ret, ret_maker);

    if (error == -ENOENT && !cache_may_read(r->flow, task->step, FLOW_NONE, name))
        return fail(ret_error, -EACCES,
                    "the step has 'cache', and '%s' is none of its "
                    "inputs",
                    name);
    if (error == -ENOENT)
        error = artifacts_find(a, r->flow, &r->run, task, name, false, ret, ret_maker);
    if (error == -ENOENT)
        error = merge_find(a, r->flow, &r->run, task, name, ret, ret_maker, ret_error);
    return error;
}

static int find(struct request *r, const uint64_t *index, struct artifact *ret,
                struct task_id *ret_maker, struct error *ret_error)
{
    const struct artifacts *a = runtime_artifacts(r->rt);
    const char *from = request_query(r, "from"), *name = r->params[0];
    const struct task_id *task = &r->attempt.task;
    uint32_t step;

    if (!from && !index)
        return find_here(r, name, ret, ret_maker, ret_error);
    step = from ? flow_find_step(r->flow, from) : closed_step(r);
    if (step == FLOW_NONE)
        return -EINVAL;
    if (!cache_may_read(r->flow, task->step, step, name))
        return fail(ret_error, -EACCES,
                    "the step has 'cache', and '%s.%s' is none of its "
                    "inputs",
                    r->flow->steps[step].name, name);
    return artifacts_find_from(a, r->flow, &r->run, task, step, index, name, ret,
                               ret_maker);
}

/* With --index alone the step is the one predecessor that this join closes. */
int task_artifact_get_work(struct request *r)
{
    const char *from = request_query(r, "from"),
               *index_text = request_query(r, "index");
    CLEANUP(artifact_release) struct artifact a = { .name = NULL };
    struct error why = { .text = "" };
    struct task_id maker;
    uint64_t index;
    int error;

    if (!request_number(r, "index", 0, UINT64_MAX, &index))
        return 0;
    if (index_text && !from && closed_step(r) == FLOW_NONE)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "'index' needs 'from' where not one step is joined");
    error = find(r, index_text ? &index : NULL, &a, &maker, &why);
    if (error == -EINVAL)
        return reply_error(r, MHD_HTTP_NOT_FOUND,
                           index_text ? NULL : "at a join, 'index' picks the split",
                           "step '%.64s' cannot be seen from here", from ? from : "");
    if (error == -EACCES)
        return reply_error(r, MHD_HTTP_FORBIDDEN, undeclared_hint, "%s", why.text);
    if (error == -ENOENT && why.text[0])
        return reply_error(r, MHD_HTTP_CONFLICT,
                           "`mesh inputs` lists what each branch has", "%s", why.text);
    if (error == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND, NULL,
                           "there is no artifact '%.200s'%s%.64s", r->params[0],
                           from ? " of step " : " before this task", from ? from : "");
    if (error < 0)
        return reply_errno(r, error, "the artifact");
    return content_reply(r, &a, &maker);
}

/* ---- PUT /v1/task/artifacts/NAME ---- */

static bool is_type(const char *type)
{
    return *type && strlen(type) <= TYPE_BYTES_MAX
           && strspn(type, "abcdefghijklmnopqrstuvwxyz0123456789.+-_/") == strlen(type);
}

int task_artifact_put(struct request *r)
{
    const char *type = request_query(r, "type");

    if (!check_name(r, r->params[0]))
        return 0;
    if (type && !is_type(type))
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                           "'%.80s' cannot be a type: lower-case letters, digits and "
                           ".+-_/, at most %d",
                           type, TYPE_BYTES_MAX);
    return REQUEST_NEXT;
}

static bool is_json_file(const char *path, struct error *why)
{
    json_error_t error;
    json_t *json = json_load_file(path, JSON_DECODE_ANY, &error);

    if (!json) {
        fail(why, -EINVAL, "line %d, column %d: %s", error.line, error.column,
             error.text);
        return false;
    }
    json_decref(json);
    return true;
}

/* What says it is JSON must be, because others will count on it. */
int task_artifact_put_work(struct request *r)
{
    const char *type = request_query(r, "type");
    struct error why;
    int error = body_add(&r->body, "", 0); /* a file also when nothing was sent */

    if (error < 0)
        return reply_errno(r, error, "the artifact");
    if (type && strcmp(type, "json") == 0 && !is_json_file(r->body.path, &why))
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "this is no JSON: %.200s",
                           why.text);
    return REQUEST_NEXT;
}

static int move_to_out(const struct request *r)
{
    int dir = open(r->attempt.out_dir, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
    int error = 0;

    if (dir < 0)
        return -errno;
    if (fchmod(r->body.fd, 0644) < 0
        || renameat(AT_FDCWD, r->body.path, dir, r->params[0]) < 0)
        error = -errno;
    close(dir);
    return error;
}

int task_artifact_put_end(struct request *r)
{
    const char *type = request_query(r, "type");
    int error;

    if (!goes_on(r))
        return 0;
    error = move_to_out(r);
    if (error == -EISDIR || error == -ENOTEMPTY || error == -EEXIST)
        return reply_error(r, MHD_HTTP_CONFLICT, NULL,
                           "$MESH_OUT/%.200s is a folder already", r->params[0]);
    if (error == 0 && type)
        error = runtime_output_type(r->rt, r->attempt.slot, r->params[0], type);
    if (error < 0)
        return reply_errno(r, error, "the artifact");
    return reply_empty(r, MHD_HTTP_NO_CONTENT);
}

/* ---- PUT /v1/task/next?case=NAME ---- */

static void list_cases(const struct step *s, struct buffer *out)
{
    for (uint32_t i = 0; i < s->n_cases; i++)
        buffer_printf(out, "%s%s", i ? ", " : "the cases are ", s->cases[i].name);
    if (!s->n_cases)
        buffer_puts(out, "only a step with 'switch' has cases");
}

int task_next(struct request *r)
{
    const struct step *s = &r->flow->steps[r->attempt.task.step];
    const char *name = request_query(r, "case");
    CLEANUP(buffer_release) struct buffer hint = BUFFER_INIT;
    int error;

    if (!name)
        return reply_error(r, MHD_HTTP_BAD_REQUEST, NULL, "'case' is missing");
    if (!goes_on(r))
        return 0;
    error = runtime_choose(r->rt, &r->attempt, name);
    if (error == 0)
        return reply_empty(r, MHD_HTTP_NO_CONTENT);
    if (error != -EINVAL)
        return reply_errno(r, error, "the choice");
    list_cases(s, &hint);
    return reply_error(r, MHD_HTTP_BAD_REQUEST, buffer_text(&hint),
                       "step '%.64s' has no case '%.64s'", s->name, name);
}

/* ---- GET /v1/task/input ---- */

/* The text when the item is a string, else compact JSON: what $MESH_INPUT holds. */
static int put_item(struct request *r, const struct buffer *item)
{
    json_t *json = json_loadb(buffer_text(item), item->len, JSON_DECODE_ANY, NULL);
    bool is_text = json_is_string(json);

    if (is_text)
        buffer_append(&r->reply.body, json_string_value(json),
                      json_string_length(json));
    else
        buffer_append(&r->reply.body, item->data, item->len);
    json_decref(json);
    return reply_body(r, MHD_HTTP_OK,
                      is_text ? "text/plain; charset=utf-8" : "application/json");
}

int task_input_work(struct request *r)
{
    const struct task_id *task = &r->attempt.task;
    CLEANUP(items_release) struct items items = { .clock = 0 };
    CLEANUP(buffer_release) struct buffer item = BUFFER_INIT;
    int error;

    if (task->depth == 0)
        return reply_error(r, MHD_HTTP_NOT_FOUND, NULL,
                           "this step is in no foreach: it has no input item");
    error = items_get(&items, runtime_artifacts(r->rt), r->flow, &r->run, task,
                      task->depth - 1, &item);
    return error < 0 ? reply_errno(r, error, "the item") : put_item(r, &item);
}

/* ---- GET /v1/task/foreach ---- */

/* One level: {index, width, item}. */
static int emit_level(struct request *r, struct items *items, uint32_t level,
                      struct emit *e)
{
    const struct artifacts *a = runtime_artifacts(r->rt);
    const struct task_id *task = &r->attempt.task;
    CLEANUP(buffer_release) struct buffer item = BUFFER_INIT;
    uint64_t width;
    int error = items_get(items, a, r->flow, &r->run, task, level, &item);

    if (error == 0)
        error = items_width(a, r->flow, &r->run, task, level, &width);
    if (error < 0)
        return error;
    emit_open(e, NULL, '{');
    emit_u64(e, "index", task->path[level]);
    emit_u64(e, "width", width);
    emit_raw(e, "item", buffer_text(&item), item.len);
    emit_close(e, '}');
    return 0;
}

int task_foreach_work(struct request *r)
{
    CLEANUP(items_release) struct items items = { .clock = 0 };
    struct emit e = { .out = &r->reply.body };
    int error = 0;

    emit_open(&e, NULL, '[');
    for (uint32_t level = 0; error == 0 && level < r->attempt.task.depth; level++)
        error = emit_level(r, &items, level, &e);
    emit_close(&e, ']');
    return error < 0 ? reply_errno(r, error, "the items")
                     : reply_body(r, MHD_HTTP_OK, "application/json");
}

/* ---- GET /v1/task/parameters/NAME ---- */

int task_parameter_get(struct request *r)
{
    int error;

    if (!goes_on(r))
        return 0;
    error = runtime_parameter(r->rt, r->attempt.slot, r->params[0], &r->reply.body);
    if (error == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND, NULL,
                           "the flow has no parameter '%.100s' with a value",
                           r->params[0]);
    return error < 0 ? reply_errno(r, error, "the parameter")
                     : reply_body(r, MHD_HTTP_OK, "application/json");
}
