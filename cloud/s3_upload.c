/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads in parts, step by step. */
#include "cloud/s3_call.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Tells the caller; of `u` what is not a failure. */
static void tell(struct object_call *call, int status, const struct object_uploaded *u,
                 const struct error *why)
{
    s3_call_over(call);
    call->uploaded(call->arg, status, status < 0 ? NULL : u, why);
}

/* ---- begin ---- */

static void finish_begin(struct object_call *call, int status,
                         const struct http_answer *answer, const struct error *error)
{
    struct error why = { "" };
    char upload[OBJECT_UPLOAD_MAX] = "";

    status = s3_call_judge(call, status, answer, error, &why);
    if (status == 0)
        status = s3_call_check_encryption(call, answer, &why);
    if (status == 0 && s3_read_upload(answer->body.data, answer->body.len, upload) < 0)
        status = s3_call_unexpected(call, answer, &why);
    tell(call, status, &(struct object_uploaded){ .upload = upload }, &why);
}

static int set_begin(struct object_call *call, const struct object_upload *u)
{
    int status = s3_call_param(call, "uploads", "");

    if (status == 0)
        status = s3_call_new_object(call, u->content_type);
    if (status == 0 && call->store->address.dialect == SIGV4_AWS)
        status = s3_call_own_header(call, "checksum-algorithm", "SHA256");
    return status;
}

/* ---- a part ---- */

static int make_tag(struct object_call *call, const struct http_answer *answer,
                    struct object_part *part, struct error *ret_error)
{
    const char *etag = http_answer_header(answer, "etag");
    const char *checksum = s3_answer_header(call, answer, "checksum-sha256");

    if (!etag || s3_make_tag(etag, checksum, part->tag) < 0)
        return s3_call_not_s3(call, answer, ret_error);
    if (checksum && strcmp(checksum, call->checksum) != 0)
        return fail(ret_error, -EBADMSG,
                    "the store got other bytes of part %u of '%.80s' than were sent: "
                    "send it again",
                    part->number, call->name);
    return 0;
}

static void finish_part(struct object_call *call, int status,
                        const struct http_answer *answer, const struct error *error)
{
    struct object_uploaded u = { .part = { .number = call->number,
                                           .size = call->body.len } };
    struct error why = { "" };

    status = s3_call_judge(call, status, answer, error, &why);
    if (status == 0)
        status = make_tag(call, answer, &u.part, &why);
    tell(call, status, &u, &why);
}

static int add_upload(struct object_call *call, const struct object_upload *u)
{
    if (!u->upload || strlen(u->upload) >= sizeof(call->upload))
        return -EINVAL;
    memcpy(call->upload, u->upload, strlen(u->upload) + 1);
    return s3_call_param(call, "uploadId", u->upload);
}

static int set_part(struct object_call *call, const struct object_upload *u)
{
    char number[16];
    int status;

    if (u->number < 1 || u->number > OBJECT_PARTS_MAX)
        return -EINVAL;
    snprintf(number, sizeof(number), "%u", u->number);
    call->number = u->number;
    status = s3_call_param(call, "partNumber", number);
    if (status == 0)
        status = add_upload(call, u);
    return status < 0 ? status : s3_call_body(call, &u->body, u->sha256, true);
}

/* ---- which parts are there ---- */

static int ask_parts(struct object_call *call)
{
    char marker[16];
    int status;

    s3_call_clear(call, "GET");
    status = s3_call_param(call, "uploadId", call->upload);
    if (status < 0 || !call->parts.next)
        return status;
    snprintf(marker, sizeof(marker), "%u", call->parts.next);
    return s3_call_param(call, "part-number-marker", marker);
}

static void finish_parts(struct object_call *call, int status,
                         const struct http_answer *answer, const struct error *error)
{
    struct object_uploaded u = { .upload = NULL };
    struct error why = { "" };

    status = s3_call_judge(call, status, answer, error, &why);
    if (status == 0
        && s3_read_parts(answer->body.data, answer->body.len, &call->parts) < 0)
        status = s3_call_unexpected(call, answer, &why);
    if (status == 0 && call->parts.next) {
        status = ask_parts(call);
        if (status == 0)
            status = s3_call_start(call);
        if (status == 0)
            return;
        fail(&why, status, "the rest of the parts cannot be asked for");
    }
    u.parts = call->parts.parts;
    u.n_parts = call->parts.n;
    tell(call, status, &u, &why);
}

/* ---- the end ---- */

/* A further try of what was done: the upload is gone, or its object is in the way. */
static void finish_whose(struct object_call *call, int status,
                         const struct http_answer *answer,
                         const struct error *error UNUSED)
{
    struct object_uploaded u = { .about = call->about };

    status = s3_call_whose(call, status, answer);
    if (status == 0)
        s3_about_headers(call, answer, &u.about);
    tell(call, status, &u, &call->error);
}

static bool may_be_ours(const struct object_call *call, int status,
                        const struct http_answer *answer)
{
    return (status == -ENOENT || status == -EEXIST) && answer->tries > 1
           && *call->checksum;
}

static void finish_end(struct object_call *call, int status,
                       const struct http_answer *answer, const struct error *error)
{
    struct object_uploaded u = { .about = call->about };
    struct error why = { "" };
    bool is_answered = status == 0;

    status = s3_call_judge(call, status, answer, error, &why);
    if (is_answered && may_be_ours(call, status, answer)
        && s3_call_ask_whose(call, finish_whose, status, &why) == 0)
        return;
    if (status == 0
        && s3_read_finished(answer->body.data, answer->body.len, u.about.etag) < 0)
        status = s3_call_unexpected(call, answer, &why);
    tell(call, status, &u, &why);
}

static int set_end(struct object_call *call, const struct object_upload *u)
{
    CLEANUP(buffer_release) struct buffer checksum = BUFFER_INIT;
    int status = add_upload(call, u);

    if (status == 0)
        status = s3_write_parts(&call->own_body, u->parts, u->n_parts);
    if (status == 0)
        status = s3_call_body(call,
                              &(struct http_body){ .data = call->own_body.data,
                                                   .len = call->own_body.len },
                              NULL, false);
    if (status == 0)
        status = s3_call_header(call, "content-type", "application/xml");
    if (status == 0 && u->is_if_absent)
        status = s3_call_if_absent(call);
    if (status < 0)
        return status;
    for (size_t i = 0; i < u->n_parts; i++)
        call->about.size += u->parts[i].size;
    if (s3_checksum_of_parts(u->parts, u->n_parts, &checksum) == 0)
        snprintf(call->checksum, sizeof(call->checksum), "%s", buffer_text(&checksum));
    return 0;
}

/* ---- or no end ---- */

static void finish_abort(struct object_call *call, int status,
                         const struct http_answer *answer, const struct error *error)
{
    struct error why = { "" };

    status = s3_call_judge(call, status, answer, error, &why);
    if (status == -ENOENT)
        status = 0;
    tell(call, status, &(struct object_uploaded){ .upload = NULL }, &why);
}

/* ---- all of them ---- */

static const struct {
    const char *method;
    s3_finish_fn *finish;
} STEPS[] = {
    [OBJECT_UPLOAD_BEGIN] = { "POST", finish_begin },
    [OBJECT_UPLOAD_PART] = { "PUT", finish_part },
    [OBJECT_UPLOAD_PARTS] = { "GET", finish_parts },
    [OBJECT_UPLOAD_FINISH] = { "POST", finish_end },
    [OBJECT_UPLOAD_ABORT] = { "DELETE", finish_abort },
};

static int set_step(struct object_call *call, const struct object_upload *u)
{
    switch (u->step) {
    case OBJECT_UPLOAD_BEGIN:
        return set_begin(call, u);
    case OBJECT_UPLOAD_PART:
        return set_part(call, u);
    case OBJECT_UPLOAD_FINISH:
        return set_end(call, u);
    case OBJECT_UPLOAD_PARTS:
    case OBJECT_UPLOAD_ABORT:
        return add_upload(call, u);
    }
    return -EINVAL;
}

int s3_upload(struct object_store *s, const struct object_upload *upload,
              object_uploaded_fn *uploaded, void *arg, struct object_call **ret_call)
{
    CLEANUP(s3_call_freep) struct object_call *call = NULL;
    int status;

    if (upload->step < OBJECT_UPLOAD_BEGIN || upload->step > OBJECT_UPLOAD_ABORT)
        return -EINVAL;
    status = s3_call_new((struct s3_store *)s, STEPS[upload->step].method, upload->name,
                         STEPS[upload->step].finish, arg, &call);
    if (status == 0) {
        call->uploaded = uploaded;
        status = set_step(call, upload);
    }
    return status < 0 ? status : s3_call_take(TAKE(call), ret_call);
}
