/* SPDX-License-Identifier: Apache-2.0 */
/* A store of S3 against a real MinIO: what is put, got, listed and made of parts, and
 * what must be refused. */
#include "cloud/s3.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "cloud/credentials.h"
#include "cloud/encode.h"
#include "cloud/http.h"
#include "cloud/s3_errors.h"
#include "cloud/sigv4.h"
#include "tests/unit/unit.h"

enum { PART = OBJECT_PART_MIN };

struct bench {
    uv_loop_t loop;
    struct http *http;
    struct credentials *credentials;
    struct object_store *store;

    /* What the caller was told. */
    bool is_done;
    int status;
    struct error error;
    struct object_about about;
    struct buffer got, names;
    char next[4096], upload[OBJECT_UPLOAD_MAX], url[8192];
    struct object_part parts[8];
    size_t n_parts;
};

static struct bench bench;

static const char *setting(const char *name)
{
    const char *value = getenv(name);

    if (!value)
        fail_msg("%s is not set: run by tests/counterparts/minio.sh", name);
    return value;
}

/* ---- keys ---- */

static struct credential given;

static void fetch_key(void *self UNUSED, credentials_fetched_fn *fetched, void *arg)
{
    fetched(arg, 0, &given, NULL);
}

static void free_key(void *self UNUSED)
{
}

static void open_as(struct bench *b, const struct object_store_options *more,
                    const char *secret, const char *token)
{
    const struct credentials_source source = { "test", NULL, fetch_key, free_key };
    struct object_store_options o =
        more ? *more : (struct object_store_options){ .bucket = NULL };

    given = (struct credential){ .id = (char *)setting("MESH_TEST_S3_ID"),
                                 .secret = (char *)secret,
                                 .token = (char *)token,
                                 .is_static = true };
    if (!o.bucket)
        o.bucket = "mesh-test";
    if (!o.region)
        o.region = setting("MESH_TEST_S3_REGION");
    o.endpoint = setting("MESH_TEST_S3_ENDPOINT");
    assert_int_equal(credentials_new(&b->loop, &source, 1, &b->credentials), 0);
    if (s3_open(b->http, b->credentials, &o, &b->store, &b->error) < 0)
        fail_msg("%s", b->error.text);
}

static void close_store(struct bench *b)
{
    b->store->class->free(TAKE(b->store));
    credentials_free(TAKE(b->credentials));
}

static void open_store(struct bench *b, const struct object_store_options *more)
{
    open_as(b, more, setting("MESH_TEST_S3_SECRET"), NULL);
}

/* ---- what is asked ---- */

static void note(struct bench *b, int status, const struct error *error)
{
    b->is_done = true;
    b->status = status;
    b->error = status < 0 ? *error : (struct error){ "" };
}

static void await(struct bench *b)
{
    while (!b->is_done)
        uv_run(&b->loop, UV_RUN_ONCE);
    b->is_done = false;
}

static void on_object(void *arg, int status, const struct object_about *about,
                      const struct error *error)
{
    struct bench *b = arg;

    note(b, status, error);
    if (about)
        b->about = *about;
}

static int put(struct bench *b, const struct object_put *what)
{
    int status = b->store->class->put(b->store, what, on_object, b, NULL);

    if (status < 0)
        return status;
    await(b);
    return b->status;
}

static int put_text(struct bench *b, const char *name, const char *text)
{
    return put(b, &(struct object_put){
                      .name = name, .body = { .data = text, .len = strlen(text) } });
}

static int on_data(void *arg, uint64_t offset, const void *data, size_t len)
{
    struct bench *b = arg;

    assert_int_equal(offset, b->got.len);
    return buffer_append(&b->got, data, len);
}

static int get(struct bench *b, const struct object_get *what)
{
    struct object_get get = *what;
    int status;

    get.on_data = on_data;
    buffer_clear(&b->got);
    status = b->store->class->get(b->store, &get, on_object, b, NULL);
    if (status < 0)
        return status;
    await(b);
    return b->status;
}

static int get_all(struct bench *b, const char *name)
{
    return get(b, &(struct object_get){ .name = name, .len = UINT64_MAX });
}

static int head(struct bench *b, const char *name)
{
    int status = b->store->class->head(b->store, name, on_object, b, NULL);

    if (status < 0)
        return status;
    await(b);
    return b->status;
}

static int remove_object(struct bench *b, const char *name)
{
    int status = b->store->class->remove(b->store, name, on_object, b, NULL);

    if (status < 0)
        return status;
    await(b);
    return b->status;
}

static void on_listed(void *arg, int status, const struct object_entry *entries,
                      size_t n, const char *next, const struct error *error)
{
    struct bench *b = arg;

    note(b, status, error);
    for (size_t i = 0; i < n; i++)
        buffer_printf(&b->names, "%s%s\n", entries[i].is_prefix ? "+" : "",
                      entries[i].name);
    snprintf(b->next, sizeof(b->next), "%s", next ? next : "");
}

/* All pages, in b->names; how many there were, or an errno. */
static int list(struct bench *b, const char *prefix, char delimiter, uint32_t max)
{
    int pages = 0, status;

    buffer_clear(&b->names);
    b->next[0] = '\0';
    do {
        char *after = *b->next ? strdup(b->next) : NULL;
        const struct object_list what = {
            .prefix = prefix, .delimiter = delimiter, .after = after, .max = max
        };

        status = b->store->class->list(b->store, &what, on_listed, b, NULL);
        assert_int_equal(status, 0);
        await(b);
        free(after);
        pages++;
    } while (b->status == 0 && *b->next);
    return b->status < 0 ? b->status : pages;
}

static void on_step(void *arg, int status, const struct object_uploaded *u,
                    const struct error *error)
{
    struct bench *b = arg;

    note(b, status, error);
    if (!u)
        return;
    if (u->upload)
        snprintf(b->upload, sizeof(b->upload), "%s", u->upload);
    if (u->part.number)
        b->parts[u->part.number - 1] = u->part;
    if (u->parts) {
        memcpy(b->parts, u->parts, u->n_parts * sizeof(b->parts[0]));
        b->n_parts = u->n_parts;
    }
    b->about = u->about;
}

static int step(struct bench *b, const struct object_upload *what)
{
    struct object_upload u = *what;
    int status;

    u.name = "whole";
    u.upload = u.step == OBJECT_UPLOAD_BEGIN ? NULL : b->upload;
    status = b->store->class->upload(b->store, &u, on_step, b, NULL);
    if (status < 0)
        return status;
    await(b);
    return b->status;
}

static int put_part(struct bench *b, uint32_t number, const void *data, size_t len)
{
    return step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_PART,
                                            .number = number,
                                            .body = { .data = data, .len = len } });
}

static int finish(struct bench *b, size_t n, bool is_if_absent)
{
    return step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_FINISH,
                                            .parts = b->parts,
                                            .n_parts = n,
                                            .is_if_absent = is_if_absent });
}

static void assert_ok(const struct bench *b, int status)
{
    if (status < 0)
        fail_msg("%d: %s", status, b->error.text);
}

static void assert_says(const struct bench *b, const char *text)
{
    if (!strstr(b->error.text, text))
        fail_msg("'%s' is not in: %s", text, b->error.text);
}

/* ---- raw requests, signed here ---- */

static void on_raw(void *arg, int status, const struct http_answer *answer,
                   const struct error *error)
{
    struct bench *b = arg;

    note(b, status, error);
    buffer_clear(&b->got);
    if (status < 0)
        return;
    b->status = answer->code;
    buffer_append(&b->got, answer->body.data, answer->body.len);
}

static int ask(struct bench *b, const char *method, const char *url,
               const struct http_header *headers, size_t n, const char *body)
{
    struct http_request r = {
        .method = method,
        .url = url,
        .repeat = HTTP_REPEAT,
        .body = { .data = body, .len = body ? strlen(body) : 0 },
        .done = on_raw,
        .arg = b,
    };

    for (size_t i = 0; i < n; i++)
        r.headers[i] = headers[i];
    assert_int_equal(http_start(b->http, &r, NULL), 0);
    await(b);
    return b->status;
}

static int ask_signed(struct bench *b, const char *method, const char *path,
                      const char *signed_body, const char *body, int64_t skew_s)
{
    const char *endpoint = setting("MESH_TEST_S3_ENDPOINT");
    const struct sigv4_key key = { .dialect = SIGV4_AWS,
                                   .id = setting("MESH_TEST_S3_ID"),
                                   .secret = setting("MESH_TEST_S3_SECRET"),
                                   .region = setting("MESH_TEST_S3_REGION"),
                                   .service = "s3" };
    CLEANUP(sigv4_signed_release)
    struct sigv4_signed s = { .authorization = BUFFER_INIT };
    uint8_t hash[ENCODE_SHA256];
    char payload[ENCODE_SHA256_HEX], url[512];

    encode_sha256(signed_body, strlen(signed_body), hash);
    encode_hex(hash, sizeof(hash), payload);
    snprintf(url, sizeof(url), "%s%s", endpoint, path);
    assert_int_equal(sigv4_sign(&key,
                                &(struct sigv4_request){
                                    .method = method,
                                    .host = strstr(endpoint, "://") + 3,
                                    .path = path,
                                    .payload = payload,
                                    .is_store = true,
                                    .now_s = (int64_t)time(NULL) + skew_s,
                                },
                                &s),
                     0);
    return ask(b, method, url,
               (const struct http_header[]){
                   { "authorization", s.authorization.data },
                   { "x-amz-date", s.date },
                   { "x-amz-content-sha256", payload },
               },
               3, body);
}

/* ---- objects ---- */

static void test_put_and_get(void **state UNUSED)
{
    struct bench *b = &bench;

    open_store(b, NULL);
    assert_ok(b, put_text(b, "a", "0123456789"));
    assert_int_equal(b->about.size, 10);
    assert_true(*b->about.etag == '"');
    assert_ok(b, head(b, "a"));
    assert_int_equal(b->about.size, 10);
    assert_true(b->about.modified_s > 1700000000);
    assert_string_equal(b->about.sha256, "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c"
                                         "19f96bedb9f882f7882");
    assert_ok(b, get_all(b, "a"));
    assert_string_equal(buffer_text(&b->got), "0123456789");
    assert_ok(b, get(b, &(struct object_get){ .name = "a", .offset = 3, .len = 4 }));
    assert_string_equal(buffer_text(&b->got), "3456");
    assert_int_equal(b->about.size, 10);
    assert_ok(b, get(b, &(struct object_get){ .name = "a", .offset = 8, .len = 99 }));
    assert_string_equal(buffer_text(&b->got), "89");
    assert_int_equal(get(b,
                         &(struct object_get){ .name = "a", .offset = 10, .len = 1 }),
                     -ERANGE);
    assert_int_equal(get_all(b, "none"), -ENOENT);
    assert_int_equal(head(b, "none"), -ENOENT);
    assert_ok(b, remove_object(b, "a"));
    assert_ok(b, remove_object(b, "a"));
    assert_int_equal(head(b, "a"), -ENOENT);
    close_store(b);
}

static void test_nothing(void **state UNUSED)
{
    struct bench *b = &bench;

    open_store(b, NULL);
    assert_ok(b, put_text(b, "empty", ""));
    assert_ok(b, get_all(b, "empty"));
    assert_int_equal(b->got.len, 0);
    assert_ok(b, get(b, &(struct object_get){ .name = "empty", .len = 5 }));
    assert_ok(b, remove_object(b, "empty"));
    close_store(b);
}

static void test_file(void **state UNUSED)
{
    struct bench *b = &bench;
    FILE *file = tmpfile();

    assert_non_null(file);
    assert_int_equal(fwrite("..0123456789..", 1, 14, file), 14);
    fflush(file);
    open_store(b, NULL);
    assert_ok(b, put(b, &(struct object_put){
                            .name = "file",
                            .body = { .fd = fileno(file), .offset = 2, .len = 10 } }));
    assert_ok(b, get_all(b, "file"));
    assert_string_equal(buffer_text(&b->got), "0123456789");
    assert_ok(b, remove_object(b, "file"));
    close_store(b);
    fclose(file);
}

static void test_conditions(void **state UNUSED)
{
    struct bench *b = &bench;
    struct object_put what = { .name = "c",
                               .body = { .data = "one", .len = 3 },
                               .is_if_absent = true };
    char etag[OBJECT_TAG_MAX];

    open_store(b, NULL);
    assert_ok(b, put(b, &what));
    memcpy(etag, b->about.etag, sizeof(etag));
    assert_int_equal(put(b, &what), -EEXIST);
    assert_says(b, "PreconditionFailed");
    what = (struct object_put){ .name = "c",
                                .body = { .data = "two", .len = 3 },
                                .if_match = etag };
    assert_ok(b, put(b, &what));
    assert_int_equal(put(b, &what), -EEXIST);
    assert_int_equal(get(b, &(struct object_get){ .name = "c",
                                                  .len = UINT64_MAX,
                                                  .if_match = etag }),
                     -EBADMSG);
    assert_ok(b,
              get(b, &(struct object_get){
                         .name = "c", .len = UINT64_MAX, .if_match = b->about.etag }));
    assert_string_equal(buffer_text(&b->got), "two");
    assert_ok(b, remove_object(b, "c"));
    close_store(b);
}

/* A segment of more than 255 bytes is no name of a file, in which MinIO keeps it. */
static void fill_name(char name[OBJECT_NAME_MAX + 1])
{
    for (size_t i = 0; i < OBJECT_NAME_MAX; i++)
        name[i] = i % 200 == 199 ? '/' : 'n';
    name[OBJECT_NAME_MAX] = '\0';
}

static void test_names(void **state UNUSED)
{
    static const char *const names[] = {
        "n/a b",      "n/a+b",   "n/a%20b", "n/a&b=c?d#e",
        "n/..a/b..c", "n/'\"()", "n/a=b;c", "n/\xc3\xa4\xe2\x82\xac",
        "n/~!*@$,:",
    };
    struct bench *b = &bench;
    char longest[OBJECT_NAME_MAX + 1];

    open_store(b, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_ok(b, put_text(b, names[i], names[i]));
        assert_ok(b, get_all(b, names[i]));
        assert_string_equal(buffer_text(&b->got), names[i]);
    }
    assert_ok(b, list(b, "n/", 0, 0));
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_non_null(strstr(b->names.data, names[i]));
        assert_ok(b, remove_object(b, names[i]));
    }
    fill_name(longest);
    assert_ok(b, put_text(b, longest, "x"));
    assert_ok(b, list(b, "nnn", 0, 0));
    assert_memory_equal(b->names.data, longest, OBJECT_NAME_MAX);
    assert_ok(b, remove_object(b, longest));
    /* What AWS takes and MinIO does not is its refusal, not a signature's. */
    assert_int_equal(put_text(b, "n/../x", "x"), -EINVAL);
    assert_says(b, "XMinioInvalid");
    close_store(b);
}

static void test_lists(void **state UNUSED)
{
    static const char *const names[] = { "l/a", "l/b/1", "l/b/2", "l/c", "l/d e" };
    static const struct object_store_options below = { .prefix = "l/" };
    struct bench *b = &bench;

    open_store(b, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_ok(b, put_text(b, names[i], "x"));
    assert_int_equal(list(b, "l/", 0, 0), 1);
    assert_string_equal(b->names.data, "l/a\nl/b/1\nl/b/2\nl/c\nl/d e\n");
    assert_true(list(b, "l/", 0, 2) >= 3);
    assert_string_equal(b->names.data, "l/a\nl/b/1\nl/b/2\nl/c\nl/d e\n");
    assert_true(list(b, "l/", '/', 1) >= 4);
    assert_string_equal(b->names.data, "l/a\n+l/b/\nl/c\nl/d e\n");
    assert_int_equal(list(b, "nothing/", 0, 0), 1);
    assert_int_equal(b->names.len, 0);
    close_store(b);
    open_store(b, &below);
    assert_int_equal(list(b, "b/", 0, 0), 1);
    assert_string_equal(b->names.data, "b/1\nb/2\n");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_ok(b, remove_object(b, names[i] + 2));
    close_store(b);
}

/* ---- parts ---- */

static void test_upload(void **state UNUSED)
{
    struct bench *b = &bench;
    CLEANUP(freep) char *data = malloc(PART);

    assert_non_null(data);
    memset(data, 'x', PART);
    open_store(b, NULL);
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN,
                                                  .size = PART + 4 }));
    assert_ok(b, put_part(b, 2, "tail", 4));
    assert_ok(b, put_part(b, 1, data, PART));
    /* As after a crash: what is there already is asked for. */
    memset(b->parts, 0, sizeof(b->parts));
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_PARTS }));
    assert_int_equal(b->n_parts, 2);
    assert_int_equal(b->parts[0].number, 1);
    assert_int_equal(b->parts[0].size, PART);
    assert_int_equal(b->parts[1].size, 4);
    assert_ok(b, finish(b, 2, true));
    assert_int_equal(b->about.size, PART + 4);
    assert_int_equal(step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_PARTS }),
                     -ENOENT);
    assert_ok(b, get(b, &(struct object_get){
                            .name = "whole", .offset = PART - 2, .len = UINT64_MAX }));
    assert_string_equal(buffer_text(&b->got), "xxtail");
    assert_ok(b, head(b, "whole"));
    assert_int_equal(b->about.size, PART + 4);
    close_store(b);
}

static void test_uploads_that_fail(void **state UNUSED)
{
    struct bench *b = &bench;

    open_store(b, NULL);
    assert_ok(b, put_text(b, "whole", "x"));
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN }));
    assert_ok(b, put_part(b, 1, "small", 5));
    assert_int_equal(finish(b, 1, true), -EEXIST);
    assert_ok(b, put_part(b, 2, "small", 5));
    assert_int_equal(finish(b, 2, false), -EINVAL);
    assert_says(b, "EntityTooSmall");
    b->parts[1].tag[1] ^= 1;
    assert_int_equal(finish(b, 2, false), -EBADMSG);
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_ABORT }));
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_ABORT }));
    assert_int_equal(put_part(b, 1, "late", 4), -ENOENT);
    assert_ok(b, remove_object(b, "whole"));
    close_store(b);
}

/* ---- encryption, tags ---- */

static void test_encryption(void **state UNUSED)
{
    struct object_store_options o = { .encryption = "AES256", .tags = "a=1&b=x%20y" };
    struct bench *b = &bench;

    open_store(b, &o);
    assert_ok(b, put_text(b, "sealed", "text"));
    assert_ok(b, get_all(b, "sealed"));
    assert_string_equal(buffer_text(&b->got), "text");
    assert_int_equal(ask_signed(b, "GET", "/mesh-test/sealed", "", NULL, 0), 200);
    close_store(b);
    o = (struct object_store_options){ .encryption = "aws:kms",
                                       .kms_key = setting("MESH_TEST_S3_KMS_KEY"),
                                       .storage_class = "REDUCED_REDUNDANCY" };
    open_store(b, &o);
    assert_ok(b, put_text(b, "sealed", "text2"));
    assert_ok(b, step(b, &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN }));
    assert_ok(b, put_part(b, 1, "part", 4));
    assert_ok(b, finish(b, 1, false));
    assert_ok(b, get_all(b, "whole"));
    assert_string_equal(buffer_text(&b->got), "part");
    assert_ok(b, head(b, "sealed"));
    assert_string_equal(b->about.tier, "REDUCED_REDUNDANCY");
    assert_ok(b, remove_object(b, "whole"));
    assert_ok(b, remove_object(b, "sealed"));
    close_store(b);
    o.kms_key = "no-such-key";
    open_store(b, &o);
    assert_true(put_text(b, "sealed", "text3") < 0);
    close_store(b);
}

/* ---- what must be refused ---- */

static void test_wrong_keys(void **state UNUSED)
{
    static const struct object_store_options nowhere = { .bucket = "mesh-nowhere" };
    struct bench *b = &bench;

    open_as(b, NULL, "not the secret", NULL);
    assert_int_equal(put_text(b, "a", "x"), -EACCES);
    assert_says(b, "SignatureDoesNotMatch");
    assert_null(strstr(b->error.text, "not the secret"));
    assert_int_equal(head(b, "a"), -EACCES);
    close_store(b);
    open_as(b, NULL, setting("MESH_TEST_S3_SECRET"), "no session");
    assert_int_equal(put_text(b, "a", "x"), -EACCES);
    assert_says(b, "session token");
    close_store(b);
    open_store(b, &nowhere);
    assert_int_equal(put_text(b, "a", "x"), -ENOENT);
    assert_says(b, "NoSuchBucket");
    assert_int_equal(list(b, "", 0, 0), -ENOENT);
    close_store(b);
}

static int64_t two_hours_ago(void *arg UNUSED)
{
    return (int64_t)time(NULL) - 7200;
}

static void test_skewed_clock(void **state UNUSED)
{
    struct bench *b = &bench;

    open_store(b, NULL);
    s3_set_clock(b->store, two_hours_ago, NULL);
    assert_int_equal(put_text(b, "a", "x"), -EACCES);
    assert_says(b, "RequestTimeTooSkewed");
    assert_says(b, "clock");
    close_store(b);
}

static void test_wrong_region_is_followed(void **state UNUSED)
{
    static const struct object_store_options elsewhere = { .region = "ap-wrong-9" };
    struct bench *b = &bench;

    open_store(b, &elsewhere);
    assert_ok(b, put_text(b, "region", "x"));
    assert_ok(b, remove_object(b, "region"));
    close_store(b);
}

static void test_tampered_body(void **state UNUSED)
{
    struct bench *b = &bench;
    struct s3_fault f = { .http_code = 400 };

    assert_int_equal(ask_signed(b, "PUT", "/mesh-test/tampered", "true", "false", 0),
                     400);
    assert_int_equal(s3_fault_read(b->got.data, b->got.len, &f), 0);
    assert_string_equal(f.code, "XAmzContentSHA256Mismatch");
    assert_true(*f.request_id != '\0');
}

/* ---- presigned ---- */

static void on_presigned(void *arg, int status, const char *url,
                         const struct error *error)
{
    struct bench *b = arg;

    note(b, status, error);
    snprintf(b->url, sizeof(b->url), "%s", url ? url : "");
}

static const char *presign(struct bench *b, const char *method)
{
    const struct s3_presign what = { method, "pre signed+1", 60 };

    assert_int_equal(s3_presign(b->store, &what, on_presigned, b, &b->error), 0);
    await(b);
    assert_ok(b, b->status);
    return b->url;
}

static void test_presigned(void **state UNUSED)
{
    struct bench *b = &bench;

    open_store(b, NULL);
    assert_int_equal(ask(b, "PUT", presign(b, "PUT"), NULL, 0, "hello"), 200);
    assert_int_equal(ask(b, "GET", presign(b, "GET"), NULL, 0, NULL), 200);
    assert_string_equal(buffer_text(&b->got), "hello");
    /* What is good for reading is not good for writing, and not for ever. */
    assert_int_equal(ask(b, "PUT", presign(b, "GET"), NULL, 0, "other"), 403);
    s3_set_clock(b->store, two_hours_ago, NULL);
    assert_int_equal(ask(b, "GET", presign(b, "GET"), NULL, 0, NULL), 403);
    s3_set_clock(b->store, NULL, NULL);
    assert_ok(b, remove_object(b, "pre signed+1"));
    close_store(b);
}

/* ---- around ---- */

static int set_up(void **state UNUSED)
{
    struct error error;

    assert_int_equal(uv_loop_init(&bench.loop), 0);
    assert_int_equal(http_new(&bench.loop, &(struct http_options){ .proxy = "" },
                              &bench.http, &error),
                     0);
    return ask_signed(&bench, "PUT", "/mesh-test", "", NULL, 0) == 200 ? 0 : -1;
}

static int tear_down(void **state UNUSED)
{
    http_free(bench.http);
    uv_run(&bench.loop, UV_RUN_DEFAULT);
    buffer_release(&bench.got);
    buffer_release(&bench.names);
    return uv_loop_close(&bench.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_put_and_get),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_upload),
        cmocka_unit_test(test_uploads_that_fail),
        cmocka_unit_test(test_encryption),
        cmocka_unit_test(test_wrong_keys),
        cmocka_unit_test(test_skewed_clock),
        cmocka_unit_test(test_wrong_region_is_followed),
        cmocka_unit_test(test_tampered_body),
        cmocka_unit_test(test_presigned),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
