/* SPDX-License-Identifier: Apache-2.0 */
/* Sends an order to a node, with what it lacks of the code. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "node/cli/order.h"
#include "store/digest.h"
#include "store/tree.h"

enum {
    IDS_AT_ONCE = 2048,
    THREADS = 2,
    TRIES = 3, /* of a folder in which a file changes meanwhile */
};

struct upload {
    struct client *client;
    const struct flow_file *file;
    struct tree tree; /* of the package; entries stand as in file->package */
    int dir_fd;
    const char
        *written; /* which file was another at the second look; file->package's */
};

static int describe_link(struct upload *u, const char *path, struct tree_entry *ret)
{
    char target[4096];
    ssize_t n = readlinkat(u->dir_fd, path, target, sizeof(target));

    if (n < 0)
        return -errno;
    ret->mode = 0;
    ret->size = (uint64_t)n;
    ret->id = digest_memory(target, (size_t)n);
    return 0;
}

static int describe_file(struct upload *u, const char *path, struct tree_entry *ret)
{
    int fd = openat(u->dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    int r;

    if (fd < 0)
        return -errno;
    r = fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0)
        r = digest_file_begin(fd, (uint64_t)st.st_size, THREADS, &ret->id);
    close(fd);
    ret->mode = st.st_mode & 0100 ? 0755 : 0644;
    ret->size = (uint64_t)st.st_size;
    return r;
}

static int is_written(struct upload *u, const char *path)
{
    u->written = path;
    return -ESTALE;
}

/* -ESTALE: a file was cut meanwhile, and nothing was said. */
static int describe(struct upload *u)
{
    const struct package *p = &u->file->package;

    u->tree.entries = calloc(p->n + 1, sizeof(*u->tree.entries));
    if (!u->tree.entries)
        return cli_failed(-ENOMEM, NULL);
    for (size_t i = 0; i < p->n; i++) {
        struct tree_entry *e = &u->tree.entries[i];
        int r = p->files[i].is_link ? describe_link(u, p->files[i].path, e)
                                    : describe_file(u, p->files[i].path, e);

        if (r == 0)
            e->path = strdup(p->files[i].path);
        if (r == 0 && !e->path)
            r = -ENOMEM;
        if (r == -ESTALE)
            return is_written(u, p->files[i].path);
        if (r < 0) {
            cli_say("%s/%s cannot be packed: %s", u->file->dir, p->files[i].path,
                    strerror(-r));
            return CLI_FAILED;
        }
        u->tree.n++;
        u->tree.bytes += e->size;
    }
    return 0;
}

/* Whether it is no longer what was described: somebody writes to it. What was only
 * appended, as to a log, does not count: it is sent up to where it was described. */
static bool has_changed(struct upload *u, const struct tree_entry *e)
{
    int fd = openat(u->dir_fd, e->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct digest now;
    int r = fd < 0 ? -errno : digest_file_begin(fd, e->size, THREADS, &now);

    if (fd >= 0)
        close(fd);
    return e->mode && (r < 0 || !digest_equal(&now, &e->id));
}

/* -ESTALE: the file is another meanwhile, and nothing was said. */
static int put_blob(struct upload *u, const struct tree_entry *e, const char *id)
{
    CLEANUP(freep) char *path = client_path("/v1/blobs/%s", id);
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    struct request q = { .method = "PUT", .path = path, .body_len = (size_t)e->size };
    struct error error = { .text = "" };
    char target[4096];
    int r;

    if (!path)
        return cli_failed(-ENOMEM, NULL);
    if (e->mode == 0) {
        q.body = target;
        r = readlinkat(u->dir_fd, e->path, target, sizeof(target)) < 0 ? -errno : 0;
    } else {
        q.body_fd = openat(u->dir_fd, e->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        q.has_body_fd = true;
        r = q.body_fd < 0 ? -errno : 0;
    }
    if (r == 0)
        r = client_request(u->client, &q, &a, &error);
    if (q.has_body_fd && q.body_fd >= 0)
        close(q.body_fd);
    if ((r < 0 || a.status >= 300) && has_changed(u, e))
        return is_written(u, u->file->package.files[e - u->tree.entries].path);
    if (r < 0)
        return client_lost(r, &error);
    return a.status >= 300 ? client_refused(&a) : 0;
}

static const struct tree_entry *find_entry(const struct upload *u, const char *id)
{
    struct digest wanted;

    if (digest_parse(id, &wanted) < 0)
        return NULL;
    for (size_t i = 0; i < u->tree.n; i++)
        if (digest_equal(&u->tree.entries[i].id, &wanted))
            return &u->tree.entries[i];
    return NULL;
}

/* Some of the entries: what the node has not is sent. As put_blob(). */
static int put_missing(struct upload *u, size_t from, size_t to)
{
    CLEANUP(json_decrefp) json_t *body = json_pack("{s:[]}", "ids");
    CLEANUP(json_decrefp) json_t *answer = NULL;
    json_t *ids = json_object_get(body, "ids"), *id;
    size_t i;
    int r;

    for (i = from; i < to; i++) {
        char text[DIGEST_TEXT_SIZE];

        digest_text(&u->tree.entries[i].id, text);
        json_array_append_new(ids, json_string(text));
    }
    r = client_json(u->client, "POST", "/v1/blobs/missing", body, 0, &answer);
    json_array_foreach(json_object_get(answer, "missing"), i, id)
    {
        const char *text = json_string_value(id);
        const struct tree_entry *e = text ? find_entry(u, text) : NULL;

        if (r == 0 && e)
            r = put_blob(u, e, text);
    }
    return r;
}

static int put_manifest(struct upload *u, struct digest *ret_id)
{
    CLEANUP(buffer_release) struct buffer manifest = BUFFER_INIT;
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct error error = { .text = "" };
    int r = tree_encode(&u->tree, &manifest);

    if (r < 0)
        return cli_failed(r, NULL);
    r = client_request(u->client,
                       &(struct request){ .method = "PUT",
                                          .path = "/v1/trees",
                                          .body = manifest.data,
                                          .body_len = manifest.len },
                       &a, &error);
    if (r < 0)
        return client_lost(r, &error);
    if (a.status >= 300)
        return client_refused(&a);
    json = json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
    if (digest_parse(json_text(json, "id"), ret_id) < 0) {
        cli_say("the node did not say what it calls the code");
        return CLI_FAILED;
    }
    return 0;
}

static int upload_package(struct client *c, const struct flow_file *file,
                          struct digest *ret_id)
{
    struct upload u = { .client = c, .file = file };
    int r = -ESTALE;

    u.dir_fd = open(file->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (u.dir_fd < 0)
        return cli_failed(-errno, NULL);
    for (int i = 0; r == -ESTALE && i < TRIES; i++) {
        tree_release(&u.tree);
        r = describe(&u);
        for (size_t at = 0; r == 0 && at < u.tree.n; at += IDS_AT_ONCE)
            r = put_missing(&u, at, min_size(at + IDS_AT_ONCE, u.tree.n));
    }
    if (r == 0)
        r = put_manifest(&u, ret_id);
    tree_release(&u.tree);
    close(u.dir_fd);
    if (r == -ESTALE) {
        cli_say("the code in %s cannot be packed: %s is being written", file->dir,
                u.written);
        cli_hint("leave it out by .meshignore, or write it elsewhere");
        r = CLI_FAILED;
    }
    return r;
}

/* ---- the order ---- */

static json_t *parameters_json(const struct flow_file *file)
{
    json_t *list = json_array();

    for (size_t i = 0; i < file->n_parameters; i++) {
        json_t *pair = json_pack("{s:s, s:s}", "name", file->parameters[i].name,
                                 "value", file->parameters[i].value);

        if (!pair) {
            cli_say("the value of --%s is no UTF-8", file->parameters[i].name);
            json_decref(list);
            return NULL;
        }
        json_array_append_new(list, pair);
    }
    return list;
}

static json_t *order_json(const struct order *order)
{
    const struct flow_file *file = order->file;
    char package[DIGEST_TEXT_SIZE], origin[RUN_ID_TEXT_SIZE];
    json_t *parameters = parameters_json(file), *json;

    if (!parameters)
        return NULL;
    digest_text(&order->package, package);
    json = json_pack("{s:s%, s:s, s:s, s:o, s:b}", "flow", file->text, file->len,
                     "path", file->full_path, "package", package, "parameters",
                     parameters, "clamp", order->clamp);
    if (!json) {
        cli_say("the flow file or its path is no UTF-8");
        return NULL;
    }
    if (order->max_workers)
        json_object_set_new(json, "max_workers", json_integer(order->max_workers));
    if (order->share)
        json_object_set_new(json, "share", json_integer(order->share));
    if (order->user)
        json_object_set_new(json, "user", json_string(order->user));
    if (order->on_failure)
        json_object_set_new(json, "on_failure", json_string(order->on_failure));
    if (order->tags && order->tags[0]) {
        json_t *tags = json_array();

        for (char **tag = order->tags; *tag; tag++)
            json_array_append_new(tags, json_string(*tag));
        json_object_set_new(json, "tags", tags);
    }
    if (order->has_origin) {
        run_id_text(&order->origin, origin);
        json_object_set_new(json, "origin", json_string(origin));
    }
    if (order->origin_step)
        json_object_set_new(json, "step", json_string(order->origin_step));
    return json;
}

/* The node's diagnostics as ours, with the file they are about. */
static bool say_remote_diagnostics(const struct flow_file *file, const json_t *list)
{
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    const json_t *x;
    size_t i;

    json_array_foreach(list, i, x)
    {
        const char *hint = json_text(x, "hint");

        diagnostics_add(&d,
                        strcmp(json_text(x, "severity"), "note") == 0 ? SEVERITY_NOTE
                                                                      : SEVERITY_ERROR,
                        (uint32_t)json_number(x, "line"),
                        (uint32_t)json_number(x, "column"),
                        (uint32_t)json_number(x, "width"), *hint ? hint : NULL, "%s",
                        json_text(x, "message"));
    }
    diagnostics_excerpts(&d, file->text, file->len);
    flow_file_say(file, &d);
    return d.n > 0;
}

static int post(struct client *c, const struct order *order, const char *text,
                json_t **ret_json)
{
    CLEANUP(answer_release) struct answer a = { .status = 0 };
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct error error = { .text = "" };
    int r = client_request(c,
                           &(struct request){ .method = "POST",
                                              .path = "/v1/runs",
                                              .body = text,
                                              .body_len = strlen(text),
                                              .content_type = "application/json" },
                           &a, &error);

    if (r < 0)
        return client_lost(r, &error);
    json = json_loadb(buffer_text(&a.body), a.body.len, 0, NULL);
    if (say_remote_diagnostics(order->file, json_object_get(json, "diagnostics"))
        && a.status == 422)
        return CLI_USAGE;
    if (a.status >= 300)
        return client_refused(&a);
    if (!json) {
        cli_say("the node's answer is no JSON");
        return CLI_FAILED;
    }
    *ret_json = TAKE(json);
    return 0;
}

int remote_submit(struct client *c, struct order *order, json_t **ret_json)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    CLEANUP(freep) char *text = NULL;
    int r = order->has_package ? 0 : upload_package(c, order->file, &order->package);

    if (r)
        return r;
    json = order_json(order);
    if (!json)
        return CLI_USAGE;
    text = json_dumps(json, JSON_COMPACT);
    return text ? post(c, order, text, ret_json) : cli_failed(-ENOMEM, NULL);
}
