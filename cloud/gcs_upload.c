/* SPDX-License-Identifier: Apache-2.0 */
/* An upload in parts is a resumable upload, whose chunks follow each other:
 * https://cloud.google.com/storage/docs/performing-resumable-uploads. A part's tag
 * holds its checksum, the last one's also the whole's and the generation, so that the
 * end can be compared with what was sent, also by a process that sent only some of it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cloud/crc32c.h"
#include "cloud/gcs_internal.h"

/* ---- tags ---- */

struct tag {
    bool has_crc32c, has_whole;
    uint32_t crc32c, whole;
    uint64_t generation;
};

static void tag_write(const struct object_call *call, const struct gcs_object *object,
                      char ret[OBJECT_TAG_MAX])
{
    if (object && object->has_crc32c)
        snprintf(ret, OBJECT_TAG_MAX, "%08" PRIx32 " %08" PRIx32 " %" PRIu64,
                 call->up.crc32c, object->crc32c, object->generation);
    else
        snprintf(ret, OBJECT_TAG_MAX, "%08" PRIx32, call->up.crc32c);
}

static struct tag tag_read(const char *text)
{
    struct tag tag = { .has_crc32c = false };
    int n = sscanf(text, "%8" SCNx32 " %8" SCNx32 " %" SCNu64, &tag.crc32c, &tag.whole,
                   &tag.generation);

    tag.has_crc32c = n >= 1;
    tag.has_whole = n == 3;
    return tag;
}

/* ---- begin ---- */

static void on_begun(struct object_call *call, const struct http_answer *answer)
{
    const char *session = gcs_session(http_answer_header(answer, "Location"));

    if (!gcs_is_good(answer)) {
        gcs_end_refused(call, answer);
        return;
    }
    if (!session) {
        gcs_fail(call, -EPROTO,
                 "what answers is not Google Cloud Storage: an upload to gs://%s "
                 "without an address; look at the endpoint",
                 call->store->bucket);
        return;
    }
    snprintf(call->up.session, sizeof(call->up.session), "%s", session);
    call->begun(call);
}

int gcs_begin(struct object_call *call, const struct gcs_new_object *object,
              void (*begun)(struct object_call *call))
{
    struct http_request request = {
        .method = "POST",
        .headers = { { "Content-Type", "application/json; charset=UTF-8" },
                     { "X-Upload-Content-Type", object->content_type } },
    };
    char size[24];
    int r = gcs_json_new_object(&call->body, object);

    if (r < 0)
        return r;
    snprintf(size, sizeof(size), "%" PRIu64, call->up.size);
    request.headers[2] = (struct http_header){ "X-Upload-Content-Length", size };
    request.body = (struct http_body){ .data = call->body.data, .len = call->body.len };
    gcs_url_add(&call->url, "uploadType", "resumable");
    call->begun = begun;
    return gcs_send(call, &request, on_begun);
}

static void tell_begun(struct object_call *call)
{
    const struct object_uploaded uploaded = { .upload = call->up.session };

    gcs_end_upload(call, &uploaded);
}

static int upload_begin(struct object_call *call, const struct object_upload *u)
{
    const struct gcs_store *s = call->store;
    const struct gcs_new_object object = {
        .name = call->name,
        .content_type = u->content_type ? u->content_type : "application/octet-stream",
        .storage_class = s->storage_class,
        .tags = s->tags,
    };

    call->up.size = u->size;
    gcs_upload_url(&call->url, s->endpoint, s->bucket);
    gcs_url_add(&call->url, "userProject", s->payer);
    gcs_url_add(&call->url, "kmsKeyName", s->kms_key);
    gcs_url_add(&call->url, "ifGenerationMatch", u->is_if_absent ? "0" : NULL);
    return gcs_begin(call, &object, tell_begun);
}

/* ---- chunks ---- */

/* The address of an upload is a key: it is sent no token beside. */
static int aim_session(struct object_call *call)
{
    call->is_unsigned = true;
    buffer_clear(&call->url);
    buffer_puts(&call->url, call->store->endpoint);
    return buffer_puts(&call->url, call->up.session);
}

static void on_chunk(struct object_call *call, const struct http_answer *answer);

/* From up.held on: what is there already is not sent again. */
static int send_rest(struct object_call *call)
{
    struct http_body body = call->up.body;
    uint64_t skipped =
        call->up.held > call->up.offset ? call->up.held - call->up.offset : 0;
    uint64_t from = call->up.offset + skipped;
    struct http_request request = { .method = "PUT" };
    char range[80], crc[GCS_CRC32C_TEXT], hash[24];

    body.offset += skipped;
    body.len -= skipped;
    if (body.len)
        snprintf(range, sizeof(range), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from,
                 from + body.len - 1, call->up.size);
    else
        snprintf(range, sizeof(range), "bytes */%" PRIu64, call->up.size);
    request.headers[0] = (struct http_header){ "Content-Range", range };
    if (call->up.has_whole_crc32c) {
        gcs_crc32c_text(call->up.whole_crc32c, crc);
        snprintf(hash, sizeof(hash), "crc32c=%s", crc);
        request.headers[1] = (struct http_header){ "X-Goog-Hash", hash };
    }
    request.body = body;
    return gcs_send(call, &request, on_chunk);
}

int gcs_chunk(struct object_call *call)
{
    int r = aim_session(call);

    call->up.held = 0;
    call->up.n_stuck = 0;
    return r < 0 ? r : send_rest(call);
}

static void on_held(struct object_call *call, const struct http_answer *answer)
{
    uint64_t end = call->up.offset + call->up.body.len, held;
    int r = gcs_range_held(http_answer_header(answer, "Range"), &held);

    if (r < 0 || held > call->up.size) {
        gcs_fail(
            call, -EPROTO,
            "cannot write gs://%s/%.100s: the service does not say how much of the "
            "upload it has",
            call->store->bucket, call->name);
        return;
    }
    if (held >= end && end < call->up.size) {
        call->up.chunk_done(call, NULL);
        return;
    }
    call->up.n_stuck =
        held > call->up.held && held > call->up.offset ? 0 : call->up.n_stuck + 1;
    if (held < call->up.offset || call->up.n_stuck > GCS_STUCK_MAX) {
        gcs_fail(call, -EIO,
                 "cannot write gs://%s/%.100s: the service has %" PRIu64
                 " bytes of the upload and takes no more",
                 call->store->bucket, call->name, held);
        return;
    }
    call->up.held = held;
    r = send_rest(call);
    if (r < 0)
        gcs_fail(call, r, "no memory is left for a request");
}

static void on_chunk(struct object_call *call, const struct http_answer *answer)
{
    struct gcs_object object;

    if (answer->code == 308)
        on_held(call, answer);
    else if (gcs_take_object(call, answer, &object))
        call->up.chunk_done(call, &object);
}

/* ---- a part ---- */

static void on_part(struct object_call *call, const struct gcs_object *object)
{
    struct object_uploaded uploaded = { .part = { .number = call->up.number,
                                                  .size = call->up.body.len } };

    if (object && object->about.size != call->up.size) {
        gcs_withdraw(call, object);
        return;
    }
    tag_write(call, object, uploaded.part.tag);
    gcs_end_upload(call, &uploaded);
}

static int upload_part(struct object_call *call, const struct object_upload *u)
{
    int r;

    if (!u->number || u->body.len > u->size || u->offset > u->size - u->body.len
        || (u->offset + u->body.len < u->size && u->body.len % GCS_CHUNK_UNIT != 0))
        return -EINVAL;
    call->up.body = u->body;
    call->up.offset = u->offset;
    call->up.size = u->size;
    call->up.number = u->number;
    call->up.chunk_done = on_part;
    r = gcs_body_crc32c(&u->body, &call->up.crc32c);
    return r < 0 ? r : gcs_chunk(call);
}

/* ---- which parts are there ---- */

static void tell_parts(struct object_call *call, uint64_t held)
{
    uint64_t size = call->up.size, each = call->up.part_bytes;
    uint64_t n = held == size ? (held + each - 1) / each : held / each;
    CLEANUP(freep) struct object_part *parts = NULL;
    struct object_uploaded uploaded;

    if (n > OBJECT_PARTS_MAX)
        n = OBJECT_PARTS_MAX;
    parts = calloc(n ? n : 1, sizeof(*parts));
    if (!parts) {
        gcs_fail(call, -ENOMEM, "no memory is left for a list of parts");
        return;
    }
    for (uint64_t i = 0; i < n; i++) {
        uint64_t left = held - i * each;

        parts[i] = (struct object_part){ .number = (uint32_t)i + 1,
                                         .size = left < each ? left : each };
    }
    uploaded = (struct object_uploaded){ .parts = parts, .n_parts = n };
    gcs_end_upload(call, &uploaded);
}

static void on_status(struct object_call *call, const struct http_answer *answer)
{
    uint64_t held = call->up.size;

    if (answer->code == 308) {
        if (gcs_range_held(http_answer_header(answer, "Range"), &held) < 0
            || held > call->up.size) {
            gcs_fail(
                call, -EPROTO,
                "the service does not say how much of the upload to gs://%s it has",
                call->store->bucket);
            return;
        }
    } else if (!gcs_is_good(answer)) {
        gcs_end_refused(call, answer);
        return;
    }
    tell_parts(call, held);
}

static int upload_parts(struct object_call *call, const struct object_upload *u)
{
    struct http_request request = { .method = "PUT" };
    char range[40];
    int r = aim_session(call);

    if (r < 0)
        return r;
    call->up.size = u->size;
    call->up.part_bytes = u->part_bytes ? u->part_bytes : u->size + 1;
    snprintf(range, sizeof(range), "bytes */%" PRIu64, u->size);
    request.headers[0] = (struct http_header){ "Content-Range", range };
    return gcs_send(call, &request, on_status);
}

/* ---- finish ---- */

static void on_finished(struct object_call *call, const struct http_answer *answer)
{
    struct object_uploaded uploaded = { .n_parts = 0 };
    struct gcs_object object;

    if (!gcs_take_object(call, answer, &object))
        return;
    if (object.about.size != call->up.size
        || (call->up.has_whole_crc32c && object.has_crc32c
            && object.crc32c != call->up.whole_crc32c)) {
        gcs_withdraw(call, &object);
        return;
    }
    uploaded.about = object.about;
    gcs_end_upload(call, &uploaded);
}

/* The checksum of all parts behind each other, where each is known. */
static void join_tags(struct object_call *call, const struct object_upload *u,
                      struct tag *ret_last)
{
    uint32_t whole = 0;
    bool is_known = true;

    *ret_last = (struct tag){ .has_whole = false };
    call->up.size = 0;
    for (size_t i = 0; i < u->n_parts; i++) {
        *ret_last = tag_read(u->parts[i].tag);
        is_known = is_known && ret_last->has_crc32c;
        whole = crc32c_join(whole, ret_last->crc32c, u->parts[i].size);
        call->up.size += u->parts[i].size;
    }
    call->up.has_whole_crc32c = is_known && u->n_parts > 0;
    call->up.whole_crc32c = whole;
}

static int upload_finish(struct object_call *call, const struct object_upload *u)
{
    struct http_request request = { .method = "GET" };
    struct tag last;

    join_tags(call, u, &last);
    gcs_aim(call);
    if (last.has_whole)
        gcs_url_add_number(&call->url, "generation", last.generation);
    return gcs_send(call, &request, on_finished);
}

/* ---- abort ---- */

/* 499 is how the service says that an upload was given up. */
static void on_aborted(struct object_call *call, const struct http_answer *answer)
{
    const struct object_uploaded uploaded = { .n_parts = 0 };

    if (gcs_is_good(answer) || answer->code == 499 || answer->code == 404
        || answer->code == 410)
        gcs_end_upload(call, &uploaded);
    else
        gcs_end_refused(call, answer);
}

static int upload_abort(struct object_call *call)
{
    struct http_request request = { .method = "DELETE" };
    int r = aim_session(call);

    return r < 0 ? r : gcs_send(call, &request, on_aborted);
}

/* ---- all steps ---- */

static int step(struct object_call *call, const struct object_upload *u)
{
    if (u->step != OBJECT_UPLOAD_BEGIN) {
        if (!u->upload || !gcs_is_session(u->upload))
            return -EINVAL;
        strcpy(call->up.session, u->upload);
    }
    switch (u->step) {
    case OBJECT_UPLOAD_BEGIN:
        return upload_begin(call, u);
    case OBJECT_UPLOAD_PART:
        return upload_part(call, u);
    case OBJECT_UPLOAD_PARTS:
        return upload_parts(call, u);
    case OBJECT_UPLOAD_FINISH:
        return upload_finish(call, u);
    case OBJECT_UPLOAD_ABORT:
        return upload_abort(call);
    }
    return -EINVAL;
}

int gcs_upload(struct object_store *store, const struct object_upload *upload,
               object_uploaded_fn *uploaded, void *arg, struct object_call **ret_call)
{
    struct gcs_store *s = (struct gcs_store *)store;
    struct object_call *call;
    int r = gcs_call_new(s, "write", upload->name, arg, &call);

    if (r < 0)
        return r;
    call->uploaded = uploaded;
    r = step(call, upload);
    if (r < 0)
        gcs_call_drop(call);
    else
        *ret_call = call;
    return r;
}
