/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cloud/crc32c.h"
#include "cloud/gcs_internal.h"

/* ---- each try ---- */

/* A further try asks for what the ones before did not bring, of the same generation. */
static int add_range(struct object_call *call, struct http_try *t,
                     struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer url = BUFFER_INIT;
    char range[64];

    if (call->get.at > 0 && call->get.end == UINT64_MAX)
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", call->get.at);
    else
        snprintf(range, sizeof(range), "bytes=%" PRIu64 "-%" PRIu64, call->get.at,
                 call->get.end - 1);
    if ((call->get.at > 0 || call->get.end != UINT64_MAX)
        && http_try_header(t, "Range", range) < 0)
        return fail(ret_error, -ENOMEM, "no memory is left for a request");
    if (!call->get.generation || call->get.is_pinned)
        return 0;
    buffer_puts(&url, buffer_text(&call->url));
    gcs_url_add_number(&url, "ifGenerationMatch", call->get.generation);
    return buffer_failed(&url) ? -ENOMEM : http_try_url(t, url.data);
}

static bool read_u64(const char **at, uint64_t *ret)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    errno = 0;
    *ret = strtoull(*at, &end, 10);
    *at = end;
    return errno == 0;
}

/* "bytes 5-9/20" */
static bool read_content_range(const char *text, uint64_t *ret_first,
                               uint64_t *ret_total)
{
    uint64_t last;

    if (!text || strncmp(text, "bytes ", 6) != 0)
        return false;
    text += 6;
    return read_u64(&text, ret_first) && *text++ == '-' && read_u64(&text, &last)
           && *text++ == '/' && read_u64(&text, ret_total) && !*text
           && *ret_first <= last && last < *ret_total;
}

static void take_about(struct object_call *call, const struct http_answer *answer)
{
    struct object_about *about = &call->get.about;
    const char *sha256 = http_answer_header(answer, "X-Goog-Meta-" GCS_SHA256_KEY);
    const char *tier = http_answer_header(answer, "X-Goog-Storage-Class");

    about->size = call->get.total;
    snprintf(about->etag, sizeof(about->etag), "\"%" PRIu64 "\"", call->get.generation);
    if (sha256 && strlen(sha256) == 64)
        memcpy(about->sha256, sha256, 65);
    if (tier && strcmp(tier, "STANDARD") != 0)
        snprintf(about->tier, sizeof(about->tier), "%s", tier);
}

/* Which bytes of which state of the object now come. */
static int on_answer(void *arg, const struct http_answer *answer)
{
    struct object_call *call = arg;
    const char *generation = http_answer_header(answer, "X-Goog-Generation");
    const char *length = http_answer_header(answer, "Content-Length");
    uint64_t number;

    if (!call->store)
        return -ECANCELED;
    call->get.stream_at = 0;
    if (answer->code == 206) {
        if (!read_content_range(http_answer_header(answer, "Content-Range"),
                                &call->get.stream_at, &call->get.total)
            || call->get.stream_at > call->get.at)
            return -EPROTO;
    } else if (!length || !read_u64(&length, &call->get.total)) {
        return -EPROTO;
    }
    if (!generation || !read_u64(&generation, &number))
        return -EPROTO;
    if (call->get.generation && call->get.generation != number)
        return -EBADMSG;
    call->get.generation = number;
    call->get.has_crc32c =
        gcs_hash_header(http_answer_header(answer, "X-Goog-Hash"), &call->get.promised);
    take_about(call, answer);
    return 0;
}

/* A service that does not do ranges sends more than was asked for. */
static int on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct object_call *call = arg;
    uint64_t from = call->get.stream_at + offset, to = from + len;
    const char *bytes = data;
    size_t n;
    int r;

    if (!call->store)
        return -ECANCELED;
    if (from > call->get.at)
        return -EBADMSG;
    if (to > call->get.end)
        to = call->get.end;
    if (to <= call->get.at)
        return 0;
    bytes += call->get.at - from;
    n = (size_t)(to - call->get.at);
    r = call->get.on_data(call->arg, call->get.at, bytes, n);
    call->get.crc32c = crc32c(call->get.crc32c, bytes, n);
    call->get.at += n;
    return r;
}

/* ---- the end ---- */

static void end_good(struct object_call *call)
{
    uint64_t end = call->get.end < call->get.total ? call->get.end : call->get.total;

    if (call->get.at != end)
        gcs_fail(call, -EBADMSG,
                 "cannot read gs://%s/%.100s: %" PRIu64 " bytes came where %" PRIu64
                 " were promised",
                 call->store->bucket, call->name, call->get.at, end);
    else if (call->get.is_whole && end == call->get.total && call->get.has_crc32c
             && call->get.crc32c != call->get.promised)
        gcs_fail(call, -EBADMSG,
                 "cannot read gs://%s/%.100s: the bytes that came have another "
                 "checksum than the service keeps",
                 call->store->bucket, call->name);
    else
        gcs_end(call, 0, &call->get.about, NULL);
}

static void on_got(struct object_call *call, const struct http_answer *answer)
{
    /* A try that broke behind the last byte left nothing to ask for. */
    bool is_all = call->get.at && call->get.at == call->get.total;

    if (gcs_is_good(answer) || (answer->code == 416 && is_all))
        end_good(call);
    else if (answer->code == 416 && call->get.is_whole)
        gcs_end(call, 0, &call->get.about, NULL); /* of an object without a byte */
    else if (answer->code == 412 || answer->code == 304)
        gcs_fail(call, -EBADMSG,
                 "cannot read gs://%s/%.100s: it is no longer the one that was asked "
                 "for (%d)",
                 call->store->bucket, call->name, answer->code);
    else
        gcs_end_refused(call, answer);
}

static int aim(struct object_call *call, const struct object_get *get)
{
    gcs_aim(call);
    gcs_url_add(&call->url, "alt", "media");
    if (get->if_match) {
        int r = gcs_generation(get->if_match, &call->get.generation);

        if (r < 0)
            return r;
        call->get.is_pinned = true;
        gcs_url_add_number(&call->url, "ifGenerationMatch", call->get.generation);
    }
    call->adorn = add_range;
    call->get.at = get->offset;
    call->get.end =
        get->len > UINT64_MAX - get->offset ? UINT64_MAX : get->offset + get->len;
    call->get.is_whole = get->offset == 0;
    call->get.on_data = get->on_data;
    return 0;
}

int gcs_get(struct object_store *store, const struct object_get *get,
            object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct gcs_store *s = (struct gcs_store *)store;
    /* What was stored compressed comes as it is stored. */
    struct http_request request = { .method = "GET",
                                    .headers = { { "Accept-Encoding", "gzip" } },
                                    .on_answer = on_answer,
                                    .on_data = on_data };
    struct object_call *call;
    int r;

    if (get->len == 0)
        return -EINVAL;
    r = gcs_call_new(s, "read", get->name, arg, &call);
    if (r < 0)
        return r;
    call->done = done;
    r = aim(call, get);
    if (r == 0)
        r = gcs_send(call, &request, on_got);
    if (r < 0)
        gcs_call_drop(call);
    else
        *ret_call = call;
    return r;
}
