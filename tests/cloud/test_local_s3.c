/* SPDX-License-Identifier: Apache-2.0 */
/* What a real S3 says only when it is in trouble: answers that are lost, cut short or
 * of another region. The service here says in turn what each test wrote down, and
 * compares what it is asked. */
#include "cloud/s3.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cloud/credentials.h"
#include "cloud/encode.h"
#include "cloud/http.h"
#include "tests/unit/unit.h"

enum { TURNS_MAX = 8, WANTS_MAX = 6, CONNECTIONS_MAX = 16 };

/* A request that must come, and what is answered. */
struct turn {
    const char *wants[WANTS_MAX]; /* texts in its head; "!text": one that is not */
    const char *status, *headers, *body;
    size_t sent;  /* bytes of the body before the connection breaks; 0: all of it */
    bool is_lost; /* the connection breaks in place of an answer */
};

struct stage;

struct connection {
    uv_tcp_t tcp;
    struct stage *stage;
    struct buffer in, out;
    bool is_open, is_last;
    uv_write_t write;
};

struct stage {
    uv_loop_t loop;
    uv_tcp_t listener;
    char endpoint[64];
    struct connection connections[CONNECTIONS_MAX];
    size_t n_connections;
    const struct turn *turns;
    size_t n_turns, turn;
    struct http *http;
    struct credentials *credentials;
    struct object_store *store;

    /* What the caller was told. */
    bool is_done;
    int status;
    struct error error;
    struct object_about about;
    struct buffer got;
};

/* ---- the service ---- */

static void on_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    c->is_open = false;
    buffer_release(&c->in);
    buffer_release(&c->out);
}

static void close_connection(struct connection *c)
{
    if (!uv_is_closing((uv_handle_t *)&c->tcp))
        uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_written(uv_write_t *write, int status)
{
    struct connection *c = write->data;

    if (c->is_last || status < 0)
        close_connection(c);
}

static void check_head(const struct stage *s, const struct turn *t, const char *head)
{
    for (size_t i = 0; i < WANTS_MAX && t->wants[i]; i++) {
        const char *want = t->wants[i];
        bool is_wanted = *want != '!';

        if ((strstr(head, want + !is_wanted) != NULL) != is_wanted)
            fail_msg("turn %zu wants '%s' of:\n%s", s->turn, want, head);
    }
}

static void answer(struct connection *c, const struct turn *t, bool is_head)
{
    size_t len = t->body ? strlen(t->body) : 0;
    uv_buf_t out;

    c->is_last = t->is_lost || t->sent;
    if (t->is_lost) {
        close_connection(c);
        return;
    }
    buffer_clear(&c->out);
    buffer_printf(&c->out, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\n\r\n", t->status,
                  t->headers ? t->headers : "", len);
    if (!is_head)
        buffer_append(&c->out, t->body ? t->body : "", t->sent ? t->sent : len);
    out = uv_buf_init(c->out.data, (unsigned)c->out.len);
    c->write.data = c;
    assert_int_equal(uv_write(&c->write, (uv_stream_t *)&c->tcp, &out, 1, on_written),
                     0);
}

/* The bytes of the first whole request; 0: more must come. */
static size_t request_length(const struct buffer *in)
{
    const char *end = strstr(buffer_text(in), "\r\n\r\n"), *length;
    size_t head;

    if (!end)
        return 0;
    head = (size_t)(end - in->data) + 4;
    length = strcasestr(in->data, "content-length:");
    if (length && length < end)
        head += strtoul(length + 15, NULL, 10);
    return in->len >= head ? head : 0;
}

static void serve(struct connection *c)
{
    struct stage *s = c->stage;
    size_t len = request_length(&c->in);
    bool is_head = strncmp(buffer_text(&c->in), "HEAD ", 5) == 0;

    if (!len)
        return;
    if (s->turn == s->n_turns)
        fail_msg("nothing more was to be asked:\n%s", c->in.data);
    check_head(s, &s->turns[s->turn], c->in.data);
    buffer_clear(&c->in);
    answer(c, &s->turns[s->turn++], is_head);
}

static void on_room(uv_handle_t *handle, size_t size, uv_buf_t *ret)
{
    struct connection *c = handle->data;

    *ret = uv_buf_init(buffer_reserve(&c->in, size), (unsigned)size);
}

static void on_bytes(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes UNUSED)
{
    struct connection *c = stream->data;

    if (n < 0) {
        close_connection(c);
        return;
    }
    c->in.len += (size_t)n;
    c->in.data[c->in.len] = '\0';
    serve(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct stage *s = listener->data;
    struct connection *c = &s->connections[s->n_connections++];

    assert_int_equal(status, 0);
    assert_true(s->n_connections < CONNECTIONS_MAX);
    c->stage = s;
    c->tcp.data = c;
    assert_int_equal(uv_tcp_init(&s->loop, &c->tcp), 0);
    assert_int_equal(uv_accept(listener, (uv_stream_t *)&c->tcp), 0);
    c->is_open = true;
    assert_int_equal(uv_read_start((uv_stream_t *)&c->tcp, on_room, on_bytes), 0);
}

/* ---- the stage ---- */

static void fetch_key(void *self UNUSED, credentials_fetched_fn *fetched, void *arg)
{
    struct credential key = { .id = (char *)"AKID",
                              .secret = (char *)"secret",
                              .from = "the test" };

    fetched(arg, 0, &key, NULL);
}

static void free_key(void *self UNUSED)
{
}

static void open_store(struct stage *s, const struct object_store_options *more)
{
    struct object_store_options options =
        more ? *more : (struct object_store_options){ .bucket = NULL };

    options.bucket = "bucket";
    options.endpoint = s->endpoint;
    assert_int_equal(s3_open(s->http, s->credentials, &options, &s->store, &s->error),
                     0);
}

static void set_stage(struct stage *s, const struct turn *turns, size_t n)
{
    const struct credentials_source source = { "test", NULL, fetch_key, free_key };
    struct sockaddr_in at;
    int len = sizeof(at);

    *s = (struct stage){ .turns = turns, .n_turns = n };
    assert_int_equal(uv_loop_init(&s->loop), 0);
    assert_int_equal(uv_tcp_init(&s->loop, &s->listener), 0);
    s->listener.data = s;
    assert_int_equal(uv_ip4_addr("127.0.0.1", 0, &at), 0);
    assert_int_equal(uv_tcp_bind(&s->listener, (struct sockaddr *)&at, 0), 0);
    assert_int_equal(uv_listen((uv_stream_t *)&s->listener, 16, on_connection), 0);
    assert_int_equal(uv_tcp_getsockname(&s->listener, (struct sockaddr *)&at, &len), 0);
    snprintf(s->endpoint, sizeof(s->endpoint), "http://127.0.0.1:%d",
             ntohs(at.sin_port));
    assert_int_equal(http_new(&s->loop, &(struct http_options){ .proxy = "" }, &s->http,
                              &s->error),
                     0);
    assert_int_equal(credentials_new(&s->loop, &source, 1, &s->credentials), 0);
}

static void close_listener(uv_handle_t *handle UNUSED)
{
}

static void leave_stage(struct stage *s)
{
    if (s->store)
        s->store->class->free(s->store);
    http_free(s->http);
    credentials_free(s->credentials);
    for (size_t i = 0; i < s->n_connections; i++) {
        if (s->connections[i].is_open)
            close_connection(&s->connections[i]);
    }
    uv_close((uv_handle_t *)&s->listener, close_listener);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    buffer_release(&s->got);
    assert_int_equal(s->turn, s->n_turns);
}

static void await(struct stage *s)
{
    while (!s->is_done)
        uv_run(&s->loop, UV_RUN_ONCE);
    s->is_done = false;
}

static void note(struct stage *s, int status, const struct error *error)
{
    s->is_done = true;
    s->status = status;
    s->error = status < 0 ? *error : (struct error){ "" };
}

static void on_object(void *arg, int status, const struct object_about *about,
                      const struct error *error)
{
    struct stage *s = arg;

    note(s, status, error);
    assert_int_equal(about != NULL, status == 0);
    if (about)
        s->about = *about;
}

static int on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct stage *s = arg;

    assert_int_equal(offset, s->got.len);
    return buffer_append(&s->got, data, len);
}

static void get(struct stage *s, uint64_t offset, uint64_t len)
{
    const struct object_get what = {
        .name = "a", .offset = offset, .len = len, .on_data = on_data
    };

    assert_int_equal(s->store->class->get(s->store, &what, on_object, s, NULL), 0);
    await(s);
}

static void put_if_absent(struct stage *s, const char *text)
{
    const struct object_put what = {
        .name = "a",
        .body = { .data = text, .len = strlen(text) },
        .is_if_absent = true,
    };

    assert_int_equal(s->store->class->put(s->store, &what, on_object, s, NULL), 0);
    await(s);
}

static void head(struct stage *s)
{
    assert_int_equal(s->store->class->head(s->store, "a", on_object, s, NULL), 0);
    await(s);
}

#define PLAY(s, more, ...)                                \
    static const struct turn turns[] = { __VA_ARGS__ };   \
    struct stage s;                                       \
                                                          \
    set_stage(&s, turns, sizeof(turns) / sizeof(*turns)); \
    open_store(&s, more)

static void assert_says(const struct stage *s, const char *text)
{
    if (!strstr(s->error.text, text))
        fail_msg("'%s' is not in: %s", text, s->error.text);
}

/* ---- get ---- */

static void test_get_goes_on(void **state UNUSED)
{
    PLAY(s, NULL,
         { .wants = { "GET /bucket/a HTTP/1.1", "!range:" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n",
           .body = "0123456789",
           .sent = 4 },
         { .wants = { "range: bytes=4-9", "if-match: \"e1\"" },
           .status = "206 Partial Content",
           .headers = "ETag: \"e1\"\r\nContent-Range: bytes 4-9/10\r\n",
           .body = "456789",
           .sent = 3 },
         { .wants = { "range: bytes=7-9" },
           .status = "206 Partial Content",
           .headers = "ETag: \"e1\"\r\nContent-Range: bytes 7-9/10\r\n",
           .body = "789" });

    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, 0);
    assert_string_equal(buffer_text(&s.got), "0123456789");
    assert_int_equal(s.about.size, 10);
    assert_string_equal(s.about.etag, "\"e1\"");
    leave_stage(&s);
}

static void test_get_a_range_goes_on(void **state UNUSED)
{
    PLAY(s, NULL,
         { .wants = { "range: bytes=2-7" },
           .status = "206 Partial Content",
           .headers = "ETag: \"e1\"\r\nContent-Range: bytes 2-7/10\r\n",
           .body = "234567",
           .sent = 1 },
         /* One that knows no ranges sends all, of which no byte is wanted twice. */
         { .wants = { "range: bytes=3-7", "if-match: \"e1\"" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n",
           .body = "0123456789" });

    get(&s, 2, 6);
    assert_int_equal(s.status, 0);
    assert_string_equal(buffer_text(&s.got), "234567");
    leave_stage(&s);
}

static void test_get_of_another_object(void **state UNUSED)
{
    PLAY(s, NULL,
         { .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n",
           .body = "0123456789",
           .sent = 4 },
         { .wants = { "range: bytes=4-9" },
           .status = "206 Partial Content",
           .headers = "ETag: \"e2\"\r\nContent-Range: bytes 4-9/10\r\n",
           .body = "xxxxxx" });

    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, -EBADMSG);
    assert_says(&s, "replaced while it was read");
    assert_string_equal(buffer_text(&s.got), "0123");
    leave_stage(&s);
}

static void test_get_of_damaged_bytes(void **state UNUSED)
{
    PLAY(s, NULL,
         { .wants = { "x-amz-checksum-mode: ENABLED" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\nx-amz-checksum-sha256: "
                      "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n",
           .body = "abd" },
         { .status = "200 OK",
           .headers = "ETag: \"e1\"\r\nx-amz-checksum-sha256: "
                      "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\r\n",
           .body = "abc" });

    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, -EBADMSG);
    assert_says(&s, "damaged");
    buffer_clear(&s.got);
    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, 0);
    assert_string_equal(s.about.sha256,
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f200"
                        "15ad");
    leave_stage(&s);
}

static void test_get_of_nothing(void **state UNUSED)
{
    PLAY(s, NULL,
         { .wants = { "range: bytes=0-9" },
           .status = "416 Range Not Satisfiable",
           .body = "<Error><Code>InvalidRange</Code></Error>" },
         { .wants = { "range: bytes=3-9" },
           .status = "416 Range Not Satisfiable",
           .body = "<Error><Code>InvalidRange</Code></Error>" });

    get(&s, 0, 10);
    assert_int_equal(s.status, 0);
    assert_int_equal(s.got.len, 0);
    get(&s, 3, 7);
    assert_int_equal(s.status, -ERANGE);
    leave_stage(&s);
}

/* ---- answers that were lost ---- */

#define EXISTS                                                                        \
    .status = "412 Precondition Failed", .body =                                      \
                                             "<Error><Code>PreconditionFailed</Code>" \
                                             "<RequestId>R1</RequestId></Error>"
#define OF_ABC "x-amz-checksum-sha256: ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="

static void test_put_whose_answer_was_lost(void **state UNUSED)
{
    PLAY(s, NULL,
         { .wants = { "PUT /bucket/a ", "if-none-match: *", OF_ABC }, .is_lost = true },
         { .wants = { "PUT /bucket/a ", "if-none-match: *" }, EXISTS },
         { .wants = { "HEAD /bucket/a ", "x-amz-checksum-mode: ENABLED" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n" OF_ABC "\r\n",
           .body = "abc" });

    put_if_absent(&s, "abc");
    assert_int_equal(s.status, 0);
    assert_int_equal(s.about.size, 3);
    assert_string_equal(s.about.etag, "\"e1\"");
    leave_stage(&s);
}

static void test_put_of_another(void **state UNUSED)
{
    PLAY(s, NULL, { .is_lost = true }, { EXISTS },
         { .wants = { "HEAD /bucket/a " },
           .status = "200 OK",
           .headers = "ETag: \"e2\"\r\nx-amz-checksum-sha256: "
                      "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n",
           .body = "def" },
         { EXISTS });

    put_if_absent(&s, "abc");
    assert_int_equal(s.status, -EEXIST);
    assert_says(&s, "PreconditionFailed");
    assert_says(&s, "R1");
    /* When nothing was lost, nobody is asked whose it is. */
    put_if_absent(&s, "abc");
    assert_int_equal(s.status, -EEXIST);
    leave_stage(&s);
}

static void on_step(void *arg, int status, const struct object_uploaded *u,
                    const struct error *error)
{
    struct stage *s = arg;

    note(s, status, error);
    if (u)
        s->about = u->about;
}

static void finish(struct stage *s)
{
    const struct object_part part = {
        .number = 1,
        .size = 3,
        .tag = "\"e1\" ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
    };
    const struct object_upload u = { .step = OBJECT_UPLOAD_FINISH,
                                     .name = "a",
                                     .upload = "u 1",
                                     .parts = &part,
                                     .n_parts = 1 };

    assert_int_equal(s->store->class->upload(s->store, &u, on_step, s, NULL), 0);
    await(s);
}

#define FINISHED                                                        \
    .status = "200 OK",                                                 \
    .body = "\n <?xml version=\"1.0\"?><CompleteMultipartUploadResult>" \
            "<ETag>\"e-1\"</ETag></CompleteMultipartUploadResult>"

static void test_finish(void **state UNUSED)
{
    PLAY(s, NULL,
         /* An error behind a status that was sent long before. */
         { .wants = { "POST /bucket/a?uploadId=u%201 " },
           .status = "200 OK",
           .body = "<Error><Code>InternalError</Code></Error>" },
         { FINISHED },
         /* The upload is gone: by the try before, as the object's checksum shows. */
         { .is_lost = true },
         { .status = "404 Not Found",
           .body = "<Error><Code>NoSuchUpload</Code></Error>" },
         { .wants = { "HEAD /bucket/a " },
           .status = "200 OK",
           .headers = "ETag: \"e-1\"\r\nx-amz-checksum-sha256: "
                      "T4tCwi3TcptRm6b2jS2nzFstYG0F2u1a1RKMwD5sY1g=-1\r\n" });

    finish(&s);
    assert_int_equal(s.status, 0);
    assert_int_equal(s.about.size, 3);
    assert_string_equal(s.about.etag, "\"e-1\"");
    finish(&s);
    assert_int_equal(s.status, 0);
    assert_string_equal(s.about.etag, "\"e-1\"");
    leave_stage(&s);
}

/* ---- where, and why not ---- */

#define MALFORMED(region)                                           \
    .status = "400 Bad Request",                                    \
    .body = "<Error><Code>AuthorizationHeaderMalformed</Code>"      \
            "<Message>the region is wrong</Message><Region>" region \
            "</Region><RequestId>R2</RequestId></Error>"

static void test_region(void **state UNUSED)
{
    PLAY(s, NULL, { .wants = { "/us-east-1/s3/aws4_request" }, MALFORMED("eu-west-7") },
         { .wants = { "/eu-west-7/s3/aws4_request" }, MALFORMED("eu-west-8") },
         /* What was told is known from then on; an answer without a body tells too. */
         { .wants = { "/eu-west-7/s3/aws4_request" },
           .status = "301 Moved Permanently",
           .headers = "x-amz-bucket-region: eu-west-9\r\n" },
         { .wants = { "/eu-west-9/s3/aws4_request" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n",
           .body = "abc" });

    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, -EACCES);
    assert_says(&s, "set region: eu-west-8");
    assert_says(&s, "R2");
    head(&s);
    assert_int_equal(s.status, 0);
    assert_int_equal(s.about.size, 3);
    leave_stage(&s);
}

static void test_reason_of_head(void **state UNUSED)
{
    PLAY(s, NULL, { .wants = { "HEAD /bucket/a " }, .status = "403 Forbidden" },
         { .wants = { "GET /bucket/a ", "range: bytes=0-0" },
           .status = "403 Forbidden",
           .headers = "x-amz-request-id: R3\r\n",
           .body = "<Error><Code>ExpiredToken</Code></Error>" });

    head(&s);
    assert_int_equal(s.status, -EACCES);
    assert_says(&s, "ExpiredToken");
    assert_says(&s, "sign in again");
    assert_says(&s, "R3");
    leave_stage(&s);
}

static void test_passing_trouble(void **state UNUSED)
{
    PLAY(s, NULL,
         { .status = "503 Slow Down", .body = "<Error><Code>SlowDown</Code></Error>" },
         { .status = "400 Bad Request",
           .body = "<Error><Code>RequestTimeout</Code></Error>" },
         { .wants = { "PUT " }, .status = "200 OK", .headers = "ETag: \"e1\"\r\n" });

    put_if_absent(&s, "abc");
    assert_int_equal(s.status, 0);
    leave_stage(&s);
}

static void test_what_is_no_s3(void **state UNUSED)
{
    PLAY(s, NULL,
         { .status = "404 Not Found",
           .headers = "Content-Type: text/html\r\n",
           .body = "<html><p>Not here" },
         { .status = "200 OK", .body = "welcome" });

    get(&s, 0, UINT64_MAX);
    assert_int_equal(s.status, -EPROTO);
    assert_says(&s, "text/html");
    put_if_absent(&s, "abc");
    assert_int_equal(s.status, -EPROTO);
    leave_stage(&s);
}

static void test_encryption_that_is_passed_over(void **state UNUSED)
{
    static const struct object_store_options options = { .encryption = "aws:kms",
                                                         .kms_key = "k",
                                                         .storage_class = "COLD",
                                                         .tags = "a=1&b=2" };

    PLAY(s, &options,
         { .wants = { "x-amz-server-side-encryption: aws:kms",
                      "x-amz-server-side-encryption-aws-kms-key-id: k",
                      "x-amz-storage-class: COLD", "x-amz-tagging: a=1&b=2" },
           .status = "200 OK",
           .headers = "ETag: \"e1\"\r\n" },
         { .status = "200 OK",
           .headers = "ETag: \"e1\"\r\nx-amz-server-side-encryption: aws:kms\r\n" });

    put_if_absent(&s, "abc");
    assert_int_equal(s.status, -EPROTO);
    assert_says(&s, "encrypted");
    put_if_absent(&s, "abc");
    assert_int_equal(s.status, 0);
    leave_stage(&s);
}

/* ---- the end of a store ---- */

static void test_closing(void **state UNUSED)
{
    static const struct object_get what = { .name = "a",
                                            .len = UINT64_MAX,
                                            .on_data = on_data };
    struct stage s;

    set_stage(&s, NULL, 0);
    open_store(&s, NULL);
    assert_int_equal(s.store->class->get(s.store, &what, on_object, &s, NULL), 0);
    s.store->class->free(TAKE(s.store));
    assert_true(s.is_done);
    assert_int_equal(s.status, -ECANCELED);
    leave_stage(&s);
}

static void test_cancel(void **state UNUSED)
{
    static const struct object_get what = { .name = "a",
                                            .len = UINT64_MAX,
                                            .on_data = on_data };
    struct object_call *call;
    struct stage s;

    set_stage(&s, NULL, 0);
    open_store(&s, NULL);
    assert_int_equal(s.store->class->get(s.store, &what, on_object, &s, &call), 0);
    s.store->class->cancel(call);
    assert_false(s.is_done);
    await(&s);
    assert_int_equal(s.status, -ECANCELED);
    leave_stage(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get_goes_on),
        cmocka_unit_test(test_get_a_range_goes_on),
        cmocka_unit_test(test_get_of_another_object),
        cmocka_unit_test(test_get_of_damaged_bytes),
        cmocka_unit_test(test_get_of_nothing),
        cmocka_unit_test(test_put_whose_answer_was_lost),
        cmocka_unit_test(test_put_of_another),
        cmocka_unit_test(test_finish),
        cmocka_unit_test(test_region),
        cmocka_unit_test(test_reason_of_head),
        cmocka_unit_test(test_passing_trouble),
        cmocka_unit_test(test_what_is_no_s3),
        cmocka_unit_test(test_encryption_that_is_passed_over),
        cmocka_unit_test(test_closing),
        cmocka_unit_test(test_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
