/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cloud/crc32c.h"
#include "cloud/encode.h"
#include "cloud/gcs_internal.h"

/* ---- bytes ---- */

/* n bytes of a body, into memory. */
static int body_read(const struct http_body *body, uint64_t at, void *to, size_t n)
{
    char *into = to;

    if (body->data) {
        memcpy(to, (const char *)body->data + body->offset + at, n);
        return 0;
    }
    while (n > 0) {
        ssize_t got = pread(body->fd, into, n, (off_t)(body->offset + at));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO; /* the file became shorter */
        into += got;
        at += (uint64_t)got;
        n -= (size_t)got;
    }
    return 0;
}

int gcs_body_crc32c(const struct http_body *body, uint32_t *crc)
{
    char room[64 << 10];

    if (body->data && body->len) {
        *crc = crc32c(*crc, (const char *)body->data + body->offset, body->len);
        return 0;
    }
    for (uint64_t at = 0; at < body->len;) {
        size_t n = min_size(sizeof(room), body->len - at);
        int r = body_read(body, at, room, n);

        if (r < 0)
            return r;
        *crc = crc32c(*crc, room, n);
        at += n;
    }
    return 0;
}

/* ---- what was written is taken back ---- */

static void on_withdrawn(struct object_call *call,
                         const struct http_answer *answer UNUSED)
{
    gcs_end(call, -EBADMSG, NULL, &call->up.error);
}

void gcs_withdraw(struct object_call *call, const struct gcs_object *object)
{
    struct http_request request = { .method = "DELETE" };

    fail(
        &call->up.error, -EBADMSG,
        "cannot write gs://%s/%.100s: the service has other bytes than were sent; they "
        "were removed again, so try once more",
        call->store->bucket, call->name);
    call->is_unsigned = false;
    gcs_aim(call);
    gcs_url_add_number(&call->url, "ifGenerationMatch", object->generation);
    gcs_send_on(call, &request, on_withdrawn);
}

static void end_written(struct object_call *call, const struct gcs_object *object)
{
    if (object->about.size != call->put.body.len
        || (object->has_crc32c && object->crc32c != call->put.crc32c))
        gcs_withdraw(call, object);
    else
        gcs_end(call, 0, &object->about, NULL);
}

/* ---- a small one: description and bytes in one request ---- */

/* The answer to an earlier try was lost, and it was that one which wrote the object
 * that is now in the way. */
static void on_in_the_way(struct object_call *call, const struct http_answer *answer)
{
    struct gcs_object object;

    if (!gcs_take_object(call, answer, &object))
        return;
    if (strcmp(object.writer, call->put.writer) == 0)
        end_written(call, &object);
    else
        gcs_fail(call, -EEXIST,
                 "cannot write gs://%s/%.100s: it is there, or is not the expected one "
                 "(412)",
                 call->store->bucket, call->name);
}

/* Google refuses what has another checksum than it was told. */
static bool is_damage(const struct http_answer *answer)
{
    const char *text = buffer_text(&answer->body);

    return answer->code == 400
           && (strcasestr(text, "crc32c") || strcasestr(text, "checksum")
               || strcasestr(text, "md5"));
}

static void end_put_refused(struct object_call *call, const struct http_answer *answer)
{
    if (is_damage(answer))
        gcs_fail(call, -EBADMSG,
                 "cannot write gs://%s/%.100s: other bytes came to the service than "
                 "were sent (400)",
                 call->store->bucket, call->name);
    else
        gcs_end_refused(call, answer);
}

static void on_put(struct object_call *call, const struct http_answer *answer)
{
    struct http_request request = { .method = "GET" };
    struct gcs_object object;

    if (answer->code == 412 && answer->tries > 1 && *call->put.writer) {
        gcs_aim(call);
        gcs_send_on(call, &request, on_in_the_way);
    } else if (!gcs_is_good(answer)) {
        end_put_refused(call, answer);
    } else if (gcs_take_object(call, answer, &object)) {
        end_written(call, &object);
    }
}

static void name_writer(struct object_call *call)
{
    uint8_t bytes[(GCS_WRITER_MAX - 1) / 2];

    randombytes_buf(bytes, sizeof(bytes));
    encode_hex(bytes, sizeof(bytes), call->put.writer);
}

static struct gcs_new_object describe(struct object_call *call)
{
    return (struct gcs_new_object){
        .name = call->name,
        .content_type = call->put.content_type,
        .storage_class = call->store->storage_class,
        .tags = call->store->tags,
        .writer = *call->put.writer ? call->put.writer : NULL,
        .sha256 = call->put.has_sha256 ? call->put.sha256 : NULL,
    };
}

/* RFC 2046, 5.1; the boundary is random, so that no body holds it. */
static int put_whole(struct object_call *call)
{
    struct gcs_new_object object = describe(call);
    struct http_request request = { .method = "POST" };
    uint8_t chance[16];
    char boundary[33], type[80];
    size_t len = (size_t)call->put.body.len;
    char *room;
    int r = gcs_body_crc32c(&call->put.body, &call->put.crc32c);

    if (r < 0)
        return r;
    randombytes_buf(chance, sizeof(chance));
    encode_hex(chance, sizeof(chance), boundary);
    snprintf(type, sizeof(type), "multipart/related; boundary=%s", boundary);
    object.has_crc32c = true;
    object.crc32c = call->put.crc32c;
    buffer_printf(&call->body,
                  "--%s\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n",
                  boundary);
    r = gcs_json_new_object(&call->body, &object);
    if (r < 0)
        return r;
    buffer_printf(&call->body, "\r\n--%s\r\nContent-Type: %s\r\n\r\n", boundary,
                  call->put.content_type);
    room = buffer_reserve(&call->body, len);
    r = room ? body_read(&call->put.body, 0, room, len) : -ENOMEM;
    if (r < 0)
        return r;
    call->body.len += len;
    buffer_printf(&call->body, "\r\n--%s--\r\n", boundary);
    gcs_url_add(&call->url, "uploadType", "multipart");
    request.headers[0] = (struct http_header){ "Content-Type", type };
    request.body = (struct http_body){ .data = call->body.data, .len = call->body.len };
    return gcs_send(call, &request, on_put);
}

/* ---- a large one: an upload in chunks ---- */

static void send_chunk(struct object_call *call)
{
    const struct http_body *body = &call->put.body;
    uint64_t left = body->len - call->put.sent;
    int r;

    call->up.body = *body;
    call->up.body.offset += call->put.sent;
    call->up.body.len = left < GCS_CHUNK ? left : GCS_CHUNK;
    call->up.offset = call->put.sent;
    r = gcs_body_crc32c(&call->up.body, &call->put.crc32c);
    call->put.sent += call->up.body.len;
    call->up.has_whole_crc32c = call->put.sent == body->len;
    call->up.whole_crc32c = call->put.crc32c;
    if (r == 0)
        r = gcs_chunk(call);
    if (r < 0)
        gcs_fail(call, r, "cannot write gs://%s/%.100s: its bytes cannot be read: %s",
                 call->store->bucket, call->name, strerror(-r));
}

static void on_chunk(struct object_call *call, const struct gcs_object *object)
{
    if (object)
        end_written(call, object);
    else
        send_chunk(call);
}

static int put_chunks(struct object_call *call)
{
    struct gcs_new_object object = describe(call);

    call->up.size = call->put.body.len;
    call->up.chunk_done = on_chunk;
    return gcs_begin(call, &object, send_chunk);
}

/* ---- both ---- */

static void put_release(struct object_call *call)
{
    free(call->put.content_type);
}

/* Whether the writer is named: where an answer that was lost would matter. */
static int take_condition(struct object_call *call, const struct object_put *put)
{
    bool is_small = put->body.len <= GCS_WHOLE_MAX;
    uint64_t generation = 0;
    int r;

    if (!put->is_if_absent && !put->if_match)
        return 0;
    r = put->if_match ? gcs_generation(put->if_match, &generation) : 0;
    if (r < 0)
        return r;
    if (is_small)
        name_writer(call);
    return gcs_url_add_number(&call->url, "ifGenerationMatch", generation);
}

static int put_start(struct object_call *call, const struct object_put *put)
{
    const char *type =
        put->content_type ? put->content_type : "application/octet-stream";
    int r;

    call->release = put_release;
    call->put.body = put->body;
    call->put.content_type = strdup(type);
    call->put.has_sha256 = put->sha256 != NULL;
    if (put->sha256)
        memcpy(call->put.sha256, put->sha256, sizeof(call->put.sha256));
    if (!call->put.content_type)
        return -ENOMEM;
    if (strpbrk(type, "\r\n"))
        return -EINVAL;
    gcs_upload_url(&call->url, call->store->endpoint, call->store->bucket);
    gcs_url_add(&call->url, "userProject", call->store->payer);
    gcs_url_add(&call->url, "kmsKeyName", call->store->kms_key);
    r = take_condition(call, put);
    if (r < 0)
        return r;
    return put->body.len <= GCS_WHOLE_MAX ? put_whole(call) : put_chunks(call);
}

int gcs_put(struct object_store *store, const struct object_put *put,
            object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct gcs_store *s = (struct gcs_store *)store;
    struct object_call *call;
    int r;

    if (put->is_if_absent && put->if_match)
        return -EINVAL;
    r = gcs_call_new(s, "write", put->name, arg, &call);
    if (r < 0)
        return r;
    call->done = done;
    r = put_start(call, put);
    if (r < 0)
        gcs_call_drop(call);
    else
        *ret_call = call;
    return r;
}
