/* SPDX-License-Identifier: Apache-2.0 */
/* gcs_kit - a store at the gate of tests/counterparts/gcs_gate.py, asked and waited
 * for. */
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/buffer.h"
#include "cloud/gcs.h"
#include "tests/unit/unit.h"

struct gcs_kit {
    uv_loop_t loop;
    struct http *http;
    struct credentials *credentials;
    struct object_store *store;
    /* Of the last operation. */
    bool is_done;
    int status;
    struct error error;
    struct object_about about;
    struct buffer data; /* got, or names listed with a line's end each */
    char next[1024];
    char upload[OBJECT_UPLOAD_MAX + 1];
    struct object_part parts[64];
    size_t n_parts;
};

static inline void kit_wait(struct gcs_kit *k, int started)
{
    if (started < 0) {
        k->status = started;
        return;
    }
    while (!k->is_done)
        assert_true(uv_run(&k->loop, UV_RUN_ONCE) || k->is_done);
}

static inline void kit_begin(struct gcs_kit *k)
{
    k->is_done = false;
    k->status = 1;
    k->error.text[0] = '\0';
    buffer_clear(&k->data);
}

static inline void kit_end(struct gcs_kit *k, int status, const struct error *error)
{
    k->is_done = true;
    k->status = status;
    if (error)
        k->error = *error;
}

static inline void kit_done(void *arg, int status, const struct object_about *about,
                            const struct error *error)
{
    struct gcs_kit *k = arg;

    if (about)
        k->about = *about;
    kit_end(k, status, error);
}

static inline int kit_data(void *arg, uint64_t offset UNUSED, const void *data,
                           size_t len)
{
    struct gcs_kit *k = arg;

    return buffer_append(&k->data, data, len);
}

static inline int kit_put_as(struct gcs_kit *k, struct object_put *put,
                             const char *name, const void *data, size_t len)
{
    struct object_call *call;

    put->name = name;
    put->body = (struct http_body){ .data = data, .len = len };
    kit_begin(k);
    kit_wait(k, k->store->class->put(k->store, put, kit_done, k, &call));
    return k->status;
}

static inline int kit_put(struct gcs_kit *k, const char *name, const char *text)
{
    return kit_put_as(k, &(struct object_put){ .name = NULL }, name, text,
                      strlen(text));
}

static inline int kit_get_as(struct gcs_kit *k, struct object_get *get)
{
    struct object_call *call;

    get->on_data = kit_data;
    kit_begin(k);
    kit_wait(k, k->store->class->get(k->store, get, kit_done, k, &call));
    return k->status;
}

static inline int kit_get(struct gcs_kit *k, const char *name)
{
    return kit_get_as(k, &(struct object_get){ .name = name, .len = UINT64_MAX });
}

static inline int kit_head(struct gcs_kit *k, const char *name)
{
    struct object_call *call;

    kit_begin(k);
    kit_wait(k, k->store->class->head(k->store, name, kit_done, k, &call));
    return k->status;
}

static inline int kit_remove(struct gcs_kit *k, const char *name)
{
    struct object_call *call;

    kit_begin(k);
    kit_wait(k, k->store->class->remove(k->store, name, kit_done, k, &call));
    return k->status;
}

static inline void kit_listed(void *arg, int status, const struct object_entry *entries,
                              size_t n, const char *next, const struct error *error)
{
    struct gcs_kit *k = arg;

    for (size_t i = 0; i < n; i++)
        buffer_printf(&k->data, "%s%s\n", entries[i].name,
                      entries[i].is_prefix ? " ..." : "");
    snprintf(k->next, sizeof(k->next), "%s", next ? next : "");
    kit_end(k, status, error);
}

static inline const char *kit_list(struct gcs_kit *k, const struct object_list *list)
{
    struct object_call *call;

    kit_begin(k);
    kit_wait(k, k->store->class->list(k->store, list, kit_listed, k, &call));
    return k->status < 0 ? k->error.text : buffer_text(&k->data);
}

static inline void kit_uploaded(void *arg, int status, const struct object_uploaded *u,
                                const struct error *error)
{
    struct gcs_kit *k = arg;

    if (u && u->upload)
        snprintf(k->upload, sizeof(k->upload), "%s", u->upload);
    if (u && u->part.number)
        k->parts[u->part.number - 1] = u->part;
    if (u && u->parts)
        memcpy(k->parts, u->parts, u->n_parts * sizeof(*u->parts));
    k->n_parts = u ? u->n_parts : 0;
    if (u)
        k->about = u->about;
    kit_end(k, status, error);
}

static inline int kit_upload(struct gcs_kit *k, const struct object_upload *upload)
{
    struct object_call *call;

    kit_begin(k);
    kit_wait(k, k->store->class->upload(k->store, upload, kit_uploaded, k, &call));
    return k->status;
}

/* ---- the gate ---- */

static inline void kit_told(void *arg, int status, const struct http_answer *answer,
                            const struct error *error)
{
    struct gcs_kit *k = arg;

    if (status == 0)
        buffer_append(&k->data, answer->body.data, answer->body.len);
    kit_end(k, status, error);
}

/* What the gate does for tests; its answer is k->data. */
static inline const char *kit_gate(struct gcs_kit *k, const char *what,
                                   const char *body)
{
    char url[256];
    struct http_request request = { .method = "POST",
                                    .url = url,
                                    .repeat = HTTP_REPEAT,
                                    .body = { .data = body, .len = strlen(body) },
                                    .done = kit_told,
                                    .arg = k };
    struct http_call *call;

    snprintf(url, sizeof(url), "%s/-/%s", getenv("MESH_TEST_GCS"), what);
    kit_begin(k);
    kit_wait(k, http_start(k->http, &request, &call));
    assert_int_equal(k->status, 0);
    return buffer_text(&k->data);
}

/* ---- beginning and end ---- */

static inline void kit_path(const char *name, char *ret, size_t size)
{
    snprintf(ret, size, "%s/%s", getenv("MESH_TEST_GCS_FOLDER"), name);
}

static inline void kit_credentials(struct gcs_kit *k, const char *file)
{
    char path[512];
    struct google_credentials_options options = { .file = path };

    kit_path(file, path, sizeof(path));
    assert_int_equal(google_credentials_open(k->http, &options, &k->credentials, NULL),
                     0);
}

static inline int kit_store(struct gcs_kit *k, struct object_store_options options)
{
    if (!options.bucket)
        options.bucket = "mesh-bucket";
    options.endpoint = getenv("MESH_TEST_GCS");
    return gcs_open(k->http, k->credentials, &options, &k->store, &k->error);
}

static inline void kit_http(struct gcs_kit *k)
{
    static const struct http_options options = { .seed = 1 };

    *k = (struct gcs_kit){ .is_done = false };
    assert_int_equal(uv_loop_init(&k->loop), 0);
    assert_int_equal(http_new(&k->loop, &options, &k->http, NULL), 0);
}

static inline void kit_open(struct gcs_kit *k)
{
    kit_http(k);
    kit_credentials(k, "good.json");
    assert_int_equal(kit_store(k, (struct object_store_options){ .prefix = "p/" }), 0);
}

static inline void kit_close_store(struct gcs_kit *k)
{
    if (k->store)
        k->store->class->free(k->store);
    credentials_free(k->credentials);
    k->store = NULL;
    k->credentials = NULL;
}

static inline void kit_close(struct gcs_kit *k)
{
    kit_close_store(k);
    http_free(k->http);
    while (uv_loop_close(&k->loop) == UV_EBUSY)
        uv_run(&k->loop, UV_RUN_ONCE);
    buffer_release(&k->data);
}
