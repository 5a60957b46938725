/* SPDX-License-Identifier: Apache-2.0 */
/* One transfer of curl: what is sent, what comes. */
#include "cloud/http_internal.h"

#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>
#include <utlist.h>

enum {
    CURL_BUFFER_BYTES = 256 << 10,
    /* curl sends a body of up to this with its headers, in one write. */
    CURL_SMALL_BODY_BYTES = 64 << 10,
    /* Larger bodies ask first whether they are wanted. */
    EXPECT_BYTES = 1 << 20,
    /* Services close what was idle for some time; a request that must not be sent twice
     * does not meet that. */
    ONCE_IDLE_S = 2,
};

/* ---- what is added to a try ---- */

static int add_header(struct http_try *t, const char *name, const char *value)
{
    CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;
    struct curl_slist *list;

    if (!*name || strpbrk(name, ":\r\n ") || strpbrk(value, "\r\n"))
        return -EINVAL;
    buffer_puts(&line, name);
    if (*value)
        buffer_printf(&line, ": %s", value);
    else
        buffer_putc(&line, ';'); /* how curl is told to send an empty one */
    if (buffer_failed(&line))
        return -ENOMEM;
    list = curl_slist_append(t->headers, line.data);
    if (!list)
        return -ENOMEM;
    t->headers = list;
    return 0;
}

int http_try_header(struct http_try *t, const char *name, const char *value)
{
    return add_header(t, name, value);
}

int http_try_url(struct http_try *t, const char *url)
{
    char *copy = strdup(url);

    if (!copy)
        return -ENOMEM;
    free(t->url);
    t->url = copy;
    return 0;
}

void http_try_reset(struct http_try *t)
{
    curl_slist_free_all(t->headers);
    free(t->url);
    free(t->curl_error);
    *t = (struct http_try){ .call = t->call };
}

/* ---- bandwidth ---- */

static void try_hold(struct http_try *t, uint32_t held)
{
    struct http *http = t->call->http;

    if (!t->held)
        DL_APPEND2(http->held, t, held_prev, held_next);
    http_refill_start(http);
    t->held |= held;
    t->was_held = true;
}

void http_try_unhold(struct http_try *t)
{
    struct http *http = t->call->http;

    if (t->held)
        DL_DELETE2(http->held, t, held_prev, held_next);
    t->held = 0;
}

/* ---- curl's callbacks ---- */

static size_t read_fd(struct http_try *t, char *to, size_t len)
{
    const struct http_body *body = &t->call->request.body;
    ssize_t n;

    do {
        n = pread(body->fd, to, len, (off_t)(body->offset + t->sent));
    } while (n < 0 && errno == EINTR);
    if (n > 0)
        return (size_t)n;
    t->failed = n < 0 ? -errno : -EIO;
    fail(&t->call->error, t->failed, "the file to send cannot be read: %s",
         n < 0 ? strerror(errno) : "it is shorter than it was");
    return 0;
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
    struct http_try *t = arg;
    struct http_call *call = t->call;
    const struct http_body *body = &call->request.body;
    size_t len = min_size(size * n, body->len - t->sent);

    if (call->is_canceled)
        return CURL_READFUNC_ABORT;
    if (len == 0)
        return 0;
    if (!http_rate_is_open(&call->http->up)) {
        try_hold(t, HTTP_HELD_UP);
        return CURL_READFUNC_PAUSE;
    }
    if (body->data)
        memcpy(to, (const char *)body->data + body->offset + t->sent, len);
    else
        len = read_fd(t, to, len);
    if (len == 0)
        return CURL_READFUNC_ABORT;
    t->sent += len;
    t->stall.bytes += len;
    http_rate_take(&call->http->up, len);
    return len;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_try *t = arg;

    if (origin != SEEK_SET || offset < 0
        || (uint64_t)offset > t->call->request.body.len)
        return CURL_SEEKFUNC_FAIL;
    t->sent = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct http_try *t = arg;
    struct http_call *call = t->call;

    t->stall.bytes += size * n;
    if (http_headers_add(&call->headers, line, size * n) < 0) {
        t->failed = fail(&call->error, -EMSGSIZE,
                         "the answer of %s has too many headers", call->host->origin);
        return 0;
    }
    return size * n;
}

int http_try_code(const struct http_try *t)
{
    long code = 0;

    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &code);
    return (int)code;
}

/* 0: as much as is wanted has come. */
static size_t keep_error_body(struct http_try *t, const char *data, size_t len)
{
    struct buffer *body = &t->call->answer.body;
    size_t room = HTTP_ERROR_BODY_MAX - min_size(body->len, HTTP_ERROR_BODY_MAX);

    if (buffer_append(body, data, min_size(len, room)) < 0) {
        t->failed = -ENOMEM;
        return 0;
    }
    t->is_cut = len > room;
    return t->is_cut ? 0 : len;
}

static size_t keep_body(struct http_try *t, const char *data, size_t len)
{
    struct http_call *call = t->call;
    struct buffer *body = &call->answer.body;

    if (len > call->request.answer_max - body->len) {
        t->failed =
            fail(&call->error, -EMSGSIZE, "the answer of %s is longer than %zu bytes",
                 call->host->origin, call->request.answer_max);
        return 0;
    }
    if (buffer_append(body, data, len) < 0) {
        t->failed = -ENOMEM;
        return 0;
    }
    return len;
}

int http_try_answered(struct http_try *t)
{
    struct http_call *call = t->call;
    int code = http_try_code(t);

    if (t->is_answered || !call->request.on_answer || code < 200 || code > 299)
        return t->failed;
    t->is_answered = true;
    call->answer.code = code;
    t->failed = call->request.on_answer(call->request.arg, &call->answer);
    return t->failed;
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
    struct http_try *t = arg;
    struct http_call *call = t->call;
    uint64_t offset = call->answer.body_bytes;
    size_t len = size * n;
    int code = http_try_code(t);

    if (call->is_canceled)
        return 0;
    if (!http_rate_is_open(&call->http->down)) {
        try_hold(t, HTTP_HELD_DOWN);
        return CURL_WRITEFUNC_PAUSE;
    }
    http_rate_take(&call->http->down, len);
    t->stall.bytes += len;
    call->answer.body_bytes += len;
    if (code < 200 || code > 299)
        return keep_error_body(t, data, len);
    if (http_try_answered(t) != 0)
        return 0;
    if (!call->request.on_data)
        return keep_body(t, data, len);
    t->failed = call->request.on_data(call->request.arg, offset, data, len);
    return t->failed ? 0 : len;
}

/* Called when a connection is there and before anything is sent on it: again when a
 * kept connection turned out to be dead and curl takes another. */
static int on_connected(void *arg, char *to, char *from, int to_port, int from_port)
{
    struct http_try *t = arg;

    (void)to, (void)from, (void)to_port, (void)from_port;
    if (t->is_sent && t->call->request.repeat == HTTP_ONCE)
        return CURL_PREREQFUNC_ABORT;
    if (t->is_sent)
        t->call->answer.tries++;
    t->is_sent = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- a transfer ---- */

static bool has_header(const struct http_try *t, const char *name)
{
    size_t len = strlen(name);

    for (const struct curl_slist *h = t->headers; h; h = h->next)
        if (strncasecmp(h->data, name, len) == 0 && strchr(":;", h->data[len]))
            return true;
    return false;
}

/* What curl would send of its own. */
static int drop_header(struct http_try *t, const char *name)
{
    CLEANUP(buffer_release) struct buffer line = BUFFER_INIT;
    struct curl_slist *list;

    if (has_header(t, name))
        return 0;
    if (buffer_printf(&line, "%s:", name) < 0)
        return -ENOMEM;
    list = curl_slist_append(t->headers, line.data);
    if (!list)
        return -ENOMEM;
    t->headers = list;
    return 0;
}

static bool is_method(const struct http_call *call, const char *method)
{
    return strcmp(call->request.method, method) == 0;
}

/* A body in memory that goes out at once needs no callback, but is not held back. */
static void set_body(struct http_try *t)
{
    struct http_call *call = t->call;
    const struct http_body *body = &call->request.body;
    bool is_small = body->len <= CURL_SMALL_BODY_BYTES && (body->data || body->len == 0)
                    && call->http->up.bytes_per_s == 0;

    curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->len);
    if (is_small) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS,
                         body->len ? (const char *)body->data + body->offset : "");
        t->stall.bytes += body->len;
        return;
    }
    curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
}

static int set_method(struct http_try *t)
{
    struct http_call *call = t->call;
    bool has_body = call->request.body.len > 0 || is_method(call, "PUT")
                    || is_method(call, "POST") || is_method(call, "PATCH");
    int r;

    if (has_body) {
        r = drop_header(t, "Content-Type");
        if (r == 0 && call->request.body.len <= EXPECT_BYTES)
            r = drop_header(t, "Expect");
        if (r < 0)
            return r;
        set_body(t);
    } else if (is_method(call, "HEAD")) {
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
        return 0;
    } else {
        curl_easy_setopt(t->easy, CURLOPT_HTTPGET, 1L);
    }
    curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, call->request.method);
    return 0;
}

static void set_connection(struct http_try *t)
{
    struct http_call *call = t->call;
    struct http *http = call->http;

    curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    /* Or the end of a try would wait, with the loop, until its name is resolved. */
    curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(t->easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    curl_easy_setopt(t->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)HTTP_CONNECT_MS);
    curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)CURL_BUFFER_BYTES);
    curl_easy_setopt(t->easy, CURLOPT_SHARE, http->share);
    curl_easy_setopt(t->easy, CURLOPT_USERAGENT, http->user_agent);
    /* One file is read once for all connections; a folder beside it would be asked at
     * each. */
    curl_easy_setopt(t->easy, CURLOPT_CAPATH, NULL);
    if (http->ca_file)
        curl_easy_setopt(t->easy, CURLOPT_CAINFO, http->ca_file);
    if (call->request.is_direct)
        curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    else if (http->proxy)
        curl_easy_setopt(t->easy, CURLOPT_PROXY, http->proxy);
    if (call->request.repeat == HTTP_ONCE)
        curl_easy_setopt(t->easy, CURLOPT_MAXAGE_CONN, (long)ONCE_IDLE_S);
}

static void set_callbacks(struct http_try *t)
{
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t->call);
    curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_error);
    curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
}

static CURL *take_easy(struct http *http)
{
    if (http->n_spare > 0)
        return http->spare[--http->n_spare];
    return curl_easy_init();
}

static void give_easy(struct http *http, CURL *easy)
{
    curl_easy_reset(easy);
    if (http->n_spare < http->calls_max)
        http->spare[http->n_spare++] = easy;
    else
        curl_easy_cleanup(easy);
}

static int try_configure(struct http_try *t)
{
    struct http_call *call = t->call;
    int r;

    for (size_t i = 0; i < call->n_headers; i++) {
        r = add_header(t, call->request_headers[i].name,
                       call->request_headers[i].value);
        if (r < 0)
            return r;
    }
    set_connection(t);
    set_callbacks(t);
    r = set_method(t);
    if (r < 0)
        return r;
    curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    if (curl_easy_setopt(t->easy, CURLOPT_URL, t->url ? t->url : call->request.url))
        return -ENOMEM;
    return 0;
}

int http_try_start(struct http_try *t)
{
    struct http_call *call = t->call;
    struct http *http = call->http;
    int r;

    t->curl_error = calloc(1, CURL_ERROR_SIZE);
    t->easy = take_easy(http);
    if (!t->curl_error || !t->easy)
        return -ENOMEM;
    buffer_clear(&call->answer.body);
    call->answer.body_bytes = 0;
    http_headers_clear(&call->headers);
    r = try_configure(t);
    if (r == 0 && curl_multi_add_handle(http->multi, t->easy) != CURLM_OK)
        r = -ENOMEM;
    if (r < 0)
        give_easy(http, TAKE(t->easy));
    return r;
}

static void count_bytes(const struct http_try *t)
{
    struct http_call *call = t->call;
    curl_off_t up = 0, down = 0;

    curl_easy_getinfo(t->easy, CURLINFO_SIZE_UPLOAD_T, &up);
    curl_easy_getinfo(t->easy, CURLINFO_SIZE_DOWNLOAD_T, &down);
    call->up_bytes += (uint64_t)up;
    call->down_bytes += (uint64_t)down;
}

void http_try_stop(struct http_try *t)
{
    struct http *http = t->call->http;

    http_try_unhold(t);
    if (!t->easy)
        return;
    count_bytes(t);
    curl_multi_remove_handle(http->multi, t->easy);
    give_easy(http, TAKE(t->easy));
}
