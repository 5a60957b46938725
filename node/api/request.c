/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/elsewhere.h"
#include "node/api/request.h"

#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "node/api/encode.h"
#include "node/api/etag.h"
#include "node/api/forward.h"
#include "node/api/gather.h"
#include "node/api/number.h"

static const char json_type[] = "application/json";
static const char bytes_type[] = "application/octet-stream";

void *request_data(struct request *r, size_t size, void (*release)(void *data))
{
    r->data = calloc(1, size);
    r->data_release = r->data ? release : NULL;
    return r->data;
}

static void reply_clear(struct reply *reply)
{
    for (size_t i = 0; i < reply->n_headers; i++)
        free(reply->headers[i].value);
    reply->n_headers = 0;
    buffer_release(&reply->body);
    buffer_release(&reply->stream.chunk);
    if (reply->fd >= 0)
        close(reply->fd);
    reply->fd = -1;
}

void request_release(struct request *r)
{
    elsewhere_release(r);
    if (r->data_release)
        r->data_release(r->data);
    free(r->data);
    forward_free(r->forward);
    gather_free(r->gather);
    reply_clear(&r->reply);
    body_release(&r->body);
    for (size_t i = 0; i < ROUTE_PARAMS_MAX; i++)
        free(r->params[i]);
    free(r->token);
    free(r->about);
    free(r->out_dir);
    flow_unref(r->flow);
}

/* ---- what was asked ---- */

const char *request_query(struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_GET_ARGUMENT_KIND, name);
}

const char *request_header(struct request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}

bool request_number(struct request *r, const char *name, uint64_t otherwise,
                    uint64_t max, uint64_t *ret_value)
{
    const char *text = request_query(r, name);

    *ret_value = otherwise;
    if (!text || number_parse(text, max, ret_value) == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                "'%s' must be a number from 0 to %" PRIu64, name, max);
    return false;
}

bool request_find_run(struct request *r, const char *name)
{
    int error = runtime_find_run(r->rt, name, &r->run);

    if (error == 0)
        return true;
    if (error == -ENOTUNIQ)
        reply_error(r, MHD_HTTP_BAD_REQUEST, "give more of the id, or the run's number",
                    "several runs begin with '%.64s'", name);
    else if (error == -ENOENT || error == -EINVAL)
        reply_error(r, MHD_HTTP_NOT_FOUND, "GET /v1/runs lists the runs",
                    "there is no run '%.64s'", name);
    else
        reply_errno(r, error, "the run");
    return false;
}

bool request_digest(struct request *r, const char *text, struct digest *ret_id)
{
    if (digest_parse(text, ret_id) == 0)
        return true;
    reply_error(r, MHD_HTTP_BAD_REQUEST, NULL,
                "'%.80s' is no id of 64 hexadecimal digits", text);
    return false;
}

/* ---- what is answered ---- */

int reply_error(struct request *r, unsigned status, const char *hint,
                const char *format, ...)
{
    char sentence[1024];
    struct emit e = { .out = &r->reply.body };
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    reply_clear(&r->reply);
    encode_error(&e, sentence, hint);
    return reply_json(r, status);
}

static unsigned status_of(int code)
{
    switch (code) {
    case -ENOENT:
        return MHD_HTTP_NOT_FOUND;
    case -EINVAL:
        return MHD_HTTP_BAD_REQUEST;
    case -EACCES:
    case -EPERM:
        return MHD_HTTP_FORBIDDEN;
    case -E2BIG:
        return MHD_HTTP_CONTENT_TOO_LARGE;
    case -ENOSPC:
        return MHD_HTTP_INSUFFICIENT_STORAGE;
    case -ENOMEM:
    case -ECANCELED:
        return MHD_HTTP_SERVICE_UNAVAILABLE;
    default:
        return MHD_HTTP_INTERNAL_SERVER_ERROR;
    }
}

int reply_errno(struct request *r, int code, const char *what)
{
    switch (code) {
    case -ENOENT:
        return reply_error(r, MHD_HTTP_NOT_FOUND, NULL, "%s does not exist", what);
    case -ENOSPC:
        return reply_error(r, MHD_HTTP_INSUFFICIENT_STORAGE,
                           "free some by POST /v1/gc, or raise the quota",
                           "%s: the disk or the quota is full", what);
    case -EBADMSG:
        return reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR,
                           "POST /v1/runs/RUN/verify names all that is damaged",
                           "%s is damaged", what);
    case -EPROTONOSUPPORT:
        return reply_error(r, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL,
                           "%s was written by a newer version", what);
    case -ECANCELED:
        return reply_error(r, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, "the node stops");
    default:
        return reply_error(r, status_of(code), NULL, "%s: %s", what, strerror(-code));
    }
}

int reply_body(struct request *r, unsigned status, const char *content_type)
{
    int error = buffer_failed(&r->reply.body);

    if (error)
        return reply_errno(r, error, "the answer");
    r->reply.status = status;
    r->reply.content_type = content_type;
    return 0;
}

int reply_json(struct request *r, unsigned status)
{
    if (buffer_failed(&r->reply.body)) {
        /* There is no memory to say so at length. */
        buffer_release(&r->reply.body);
        status = MHD_HTTP_SERVICE_UNAVAILABLE;
    }
    r->reply.status = status;
    r->reply.content_type = json_type;
    return 0;
}

int reply_empty(struct request *r, unsigned status)
{
    r->reply.status = status;
    return 0;
}

int reply_header(struct request *r, const char *name, const char *value)
{
    struct reply *reply = &r->reply;
    char *copy = reply->n_headers < REPLY_HEADERS_MAX ? strdup(value) : NULL;

    if (!copy)
        return -ENOMEM;
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            *c = '?'; /* a line break would begin a header that others wrote */
    reply->headers[reply->n_headers].name = name;
    reply->headers[reply->n_headers++].value = copy;
    return 0;
}

/* ---- bytes and parts of them ---- */

/* What the client's headers ask for, with a header about it. -ERANGE: nothing. */
static int choose_part(struct request *r, const char *etag, uint64_t size,
                       struct range *ret_part)
{
    char text[96];
    const char *if_range = request_header(r, MHD_HTTP_HEADER_IF_RANGE);
    const char *header = request_header(r, MHD_HTTP_HEADER_RANGE);
    int kind;

    if (reply_header(r, MHD_HTTP_HEADER_ACCEPT_RANGES, "bytes") < 0)
        return -ENOMEM;
    if (if_range && strcmp(if_range, etag) != 0)
        header = NULL;
    kind = range_parse(header, size, ret_part);
    if (kind == RANGE_PART)
        snprintf(text, sizeof(text), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                 ret_part->offset, ret_part->offset + ret_part->len - 1, size);
    else
        snprintf(text, sizeof(text), "bytes */%" PRIu64, size);
    if (kind != RANGE_WHOLE && reply_header(r, MHD_HTTP_HEADER_CONTENT_RANGE, text) < 0)
        return -ENOMEM;
    return kind;
}

static int fill_part(struct request *r, const struct digest *id, const void *data,
                     struct range part)
{
    struct reply *reply = &r->reply;
    int error;

    if (part.len == 0)
        return 0;
    if (data)
        return buffer_append(&reply->body, (const char *)data + part.offset,
                             (size_t)part.len);
    error = blobs_open_file(runtime_blobs(r->rt), id, &reply->fd);
    if (error == 0)
        reply->part = part;
    if (error != -ENOTSUP)
        return error;
    error = blobs_read(runtime_blobs(r->rt), id, part.offset, part.len, &reply->body);
    if (error == 0 && reply->body.len != part.len)
        return -EBADMSG;
    return error;
}

int reply_bytes(struct request *r, const struct digest *id, const void *data,
                uint64_t size)
{
    char etag[DIGEST_TEXT_SIZE + 2] = "\"";
    struct range part;
    int kind, error;

    digest_text(id, etag + 1);
    strcat(etag, "\"");
    if (reply_header(r, MHD_HTTP_HEADER_ETAG, etag) < 0)
        return -ENOMEM;
    if (etag_is_among(etag, request_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH)))
        return reply_empty(r, MHD_HTTP_NOT_MODIFIED);
    kind = choose_part(r, etag, size, &part);
    if (kind == -ERANGE) {
        /* With its Content-Range, which reply_error() would drop. */
        struct emit e = { .out = &r->reply.body };

        encode_error(&e, "none of these bytes exist", NULL);
        return reply_json(r, MHD_HTTP_RANGE_NOT_SATISFIABLE);
    }
    error = kind < 0 ? kind : fill_part(r, id, data, part);
    if (error < 0)
        return reply_errno(r, error, "the content");
    return reply_body(r, kind == RANGE_PART ? MHD_HTTP_PARTIAL_CONTENT : MHD_HTTP_OK,
                      bytes_type);
}

int reply_stream(struct request *r, const char *content_type)
{
    r->reply.stream.state = 1;
    r->reply.status = MHD_HTTP_OK;
    r->reply.content_type = content_type;
    return 0;
}
