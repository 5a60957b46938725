/* SPDX-License-Identifier: Apache-2.0 */
/* The store of Azure Blob against Azurite, with the key of its only account. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "cloud/azure.h"
#include "cloud/object_store.h"
#include "cloud/shared_key.h"
#include "tests/unit/unit.h"

#define ACCOUNT "devstoreaccount1"
#define KEY                                                    \
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErC" \
    "z4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
#define WRONG_KEY "d3Jvbmcga2V5IG9mIGEgdGVzdA=="

/* One loop and engine for all; a test that uses two stores opens another. */
struct world {
    uv_loop_t loop;
    struct http *http;
    struct credentials *credentials;
    struct object_store *store;
};

/* What the operation that ended last said. */
static struct result {
    bool is_done;
    int status;
    char error[ERROR_TEXT_MAX];
    struct object_about about;
    struct buffer data;
    char names[4096], next[1024], upload[OBJECT_UPLOAD_MAX];
    size_t n_names, n_parts;
    struct object_part part;
} result;

static void note(int status, const struct error *error)
{
    result.is_done = true;
    result.status = status;
    snprintf(result.error, sizeof(result.error), "%s", error ? error->text : "");
}

static void on_done(void *arg UNUSED, int status, const struct object_about *about,
                    const struct error *error)
{
    note(status, error);
    if (about)
        result.about = *about;
}

static int on_data(void *arg UNUSED, uint64_t offset, const void *data, size_t len)
{
    assert_int_equal(offset, result.data.len);
    return buffer_append(&result.data, data, len);
}

static void on_listed(void *arg UNUSED, int status, const struct object_entry *entries,
                      size_t n, const char *next, const struct error *error)
{
    note(status, error);
    for (size_t i = 0; i < n; i++) {
        strncat(result.names, entries[i].name, 1100);
        strcat(result.names, "\n");
    }
    result.n_names += n;
    snprintf(result.next, sizeof(result.next), "%s", next ? next : "");
}

static void on_uploaded(void *arg UNUSED, int status, const struct object_uploaded *u,
                        const struct error *error)
{
    note(status, error);
    if (!u)
        return;
    snprintf(result.upload, sizeof(result.upload), "%s", u->upload);
    result.part = u->part;
    result.about = u->about;
    result.n_parts = u->n_parts;
}

static int await(struct world *w, int started)
{
    assert_int_equal(started, 0);
    while (!result.is_done)
        uv_run(&w->loop, UV_RUN_ONCE);
    return result.status;
}

static void forget(void)
{
    buffer_release(&result.data);
    memset(&result, 0, sizeof(result));
}

/* ---- operations, one at a time ---- */

static int put_if(struct world *w, const char *name, const char *text,
                  bool is_if_absent, const char *if_match)
{
    struct object_put put = { .name = name,
                              .body = { .data = text, .len = strlen(text) },
                              .is_if_absent = is_if_absent,
                              .if_match = if_match };
    struct object_call *call;

    forget();
    return await(w, w->store->class->put(w->store, &put, on_done, NULL, &call));
}

static int put(struct world *w, const char *name, const char *text)
{
    return put_if(w, name, text, false, NULL);
}

static int get(struct world *w, const char *name, uint64_t offset, uint64_t len,
               const char *if_match)
{
    struct object_get g = { .name = name,
                            .offset = offset,
                            .len = len,
                            .if_match = if_match,
                            .on_data = on_data };
    struct object_call *call;

    forget();
    return await(w, w->store->class->get(w->store, &g, on_done, NULL, &call));
}

static int head(struct world *w, const char *name)
{
    struct object_call *call;

    forget();
    return await(w, w->store->class->head(w->store, name, on_done, NULL, &call));
}

static int drop(struct world *w, const char *name)
{
    struct object_call *call;

    forget();
    return await(w, w->store->class->remove(w->store, name, on_done, NULL, &call));
}

static int list(struct world *w, const struct object_list *l)
{
    struct object_call *call;

    forget();
    return await(w, w->store->class->list(w->store, l, on_listed, NULL, &call));
}

static int upload(struct world *w, const struct object_upload *u)
{
    struct object_call *call;

    forget();
    return await(w, w->store->class->upload(w->store, u, on_uploaded, NULL, &call));
}

/* ---- the world ---- */

static struct object_store *open_store(struct world *w, const char *container)
{
    const struct object_store_options o = { .bucket = container,
                                            .prefix = "in/",
                                            .endpoint =
                                                getenv("MESH_TEST_AZURE_ENDPOINT"),
                                            .tries_max = 2 };
    struct object_store *store = NULL;
    struct error error = { .text = "" };

    if (azure_open(w->http, w->credentials, &o, &store, &error) < 0)
        fail_msg("%s", error.text);
    return store;
}

static void open_credentials(struct world *w)
{
    const struct azure_credentials_options o = { .endpoint = getenv(
                                                     "MESH_TEST_AZURE_ENDPOINT") };
    struct error error = { .text = "" };

    if (azure_credentials_open(w->http, &o, &w->credentials, &error) < 0)
        fail_msg("%s", error.text);
}

/* The table makes no containers: a SAS of the account's key is not enough either. */
static int make_container(const char *name)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer command = BUFFER_INIT;
    const char *endpoint = getenv("MESH_TEST_AZURE_ENDPOINT");
    static const char date[] = "Fri, 26 Jun 2015 23:39:12 GMT";
    const struct shared_key_header headers[] = { { "x-ms-date", date },
                                                 { "x-ms-version", "2021-12-02" } };
    struct shared_key_request r = { .method = "PUT",
                                    .account = ACCOUNT,
                                    .query = "restype=container",
                                    .headers = headers,
                                    .n_headers = 2 };

    buffer_printf(&value, "/" ACCOUNT "/%s", name);
    r.path = buffer_text(&value);
    assert_int_equal(shared_key_text(&r, &text), 0);
    buffer_clear(&value);
    assert_int_equal(shared_key_authorization(ACCOUNT, KEY, buffer_text(&text), &value),
                     0);
    buffer_printf(&command,
                  "curl -sf -m 60 -o /dev/null -X PUT -H 'Content-Length: 0' "
                  "-H 'x-ms-date: %s' -H 'x-ms-version: 2021-12-02' "
                  "-H 'Authorization: %s' '%s/%s?restype=container'",
                  date, buffer_text(&value), endpoint, name);
    return system(buffer_text(&command));
}

static int setup(void **state)
{
    static struct world w;
    const struct http_options o = { .seed = 1 };
    struct error error = { .text = "" };

    setenv("AZURE_STORAGE_KEY", KEY, 1);
    unsetenv("AZURE_STORAGE_SAS_TOKEN");
    assert_int_equal(uv_loop_init(&w.loop), 0);
    if (http_new(&w.loop, &o, &w.http, &error) < 0)
        fail_msg("%s", error.text);
    open_credentials(&w);
    w.store = open_store(&w, "box");
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    forget();
    w->store->class->free(w->store);
    credentials_free(w->credentials);
    http_free(w->http);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    return 0;
}

static int setup_all(void **state UNUSED)
{
    return make_container("box");
}

/* ---- what it does ---- */

static void test_whole(void **state)
{
    struct world *w = *state;
    char etag[OBJECT_TAG_MAX];

    assert_int_equal(put(w, "whole", "0123456789"), 0);
    assert_int_equal(result.about.size, 10);
    snprintf(etag, sizeof(etag), "%s", result.about.etag);
    assert_int_equal(etag[0], '"');

    assert_int_equal(get(w, "whole", 0, UINT64_MAX, etag), 0);
    assert_string_equal(buffer_text(&result.data), "0123456789");
    assert_int_equal(result.about.size, 10);
    assert_int_equal(get(w, "whole", 3, 4, NULL), 0);
    assert_string_equal(buffer_text(&result.data), "3456");
    assert_int_equal(result.about.size, 10);
    assert_int_equal(get(w, "whole", 8, UINT64_MAX, NULL), 0);
    assert_string_equal(buffer_text(&result.data), "89");
    assert_int_equal(get(w, "whole", 8, 100, NULL), 0);
    assert_string_equal(buffer_text(&result.data), "89");
    assert_int_equal(get(w, "whole", 10, 1, NULL), -ERANGE);
    assert_int_equal(get(w, "whole", 0, 4, "\"0xother\""), -EBADMSG);

    assert_int_equal(head(w, "whole"), 0);
    assert_int_equal(result.about.size, 10);
    assert_string_equal(result.about.etag, etag);
    assert_string_equal(
        result.about.sha256,
        "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882");
    assert_true(result.about.modified_s > 0);

    assert_int_equal(drop(w, "whole"), 0);
    assert_int_equal(drop(w, "whole"), 0);
    assert_int_equal(head(w, "whole"), -ENOENT);
    assert_non_null(strstr(result.error, "BlobNotFound"));
    assert_int_equal(get(w, "whole", 0, UINT64_MAX, NULL), -ENOENT);
}

static void test_empty(void **state)
{
    struct world *w = *state;

    assert_int_equal(put(w, "empty", ""), 0);
    assert_int_equal(get(w, "empty", 0, UINT64_MAX, NULL), 0);
    assert_int_equal(result.data.len, 0);
    assert_int_equal(get(w, "empty", 0, 5, NULL), 0);
    assert_int_equal(get(w, "empty", 1, 5, NULL), -ERANGE);
}

static void test_conditions(void **state)
{
    struct world *w = *state;
    char etag[OBJECT_TAG_MAX];

    drop(w, "once");
    assert_int_equal(put_if(w, "once", "a", true, NULL), 0);
    snprintf(etag, sizeof(etag), "%s", result.about.etag);
    assert_int_equal(put_if(w, "once", "b", true, NULL), -EEXIST);
    assert_int_equal(put_if(w, "once", "c", false, etag), 0);
    assert_int_equal(put_if(w, "once", "d", false, etag), -EEXIST);
    assert_int_equal(get(w, "once", 0, UINT64_MAX, NULL), 0);
    assert_string_equal(buffer_text(&result.data), "c");
}

static void test_odd_names(void **state)
{
    static const char *const names[] = {
        "a b",       "a+b",      "a%2Fb",
        "a&b=c?d#e", "..a/b..c", "\xc3\xa4\xe2\x82\xac/\xf0\x9f\x90\x9f"
    };
    struct world *w = *state;
    char longest[OBJECT_NAME_MAX];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(put(w, names[i], names[i]), 0);
        assert_int_equal(get(w, names[i], 0, UINT64_MAX, NULL), 0);
        assert_string_equal(buffer_text(&result.data), names[i]);
        assert_int_equal(list(w, &(struct object_list){ .prefix = names[i] }), 0);
        assert_int_equal(result.n_names, 1);
        assert_int_equal(drop(w, names[i]), 0);
        assert_int_equal(head(w, names[i]), -ENOENT);
    }
    memset(longest, 'n', sizeof(longest));
    longest[sizeof(longest) - 3] = '\0'; /* with "in/" 1,024 bytes */
    longest[500] = '/';
    assert_int_equal(put(w, longest, "long"), 0);
    assert_int_equal(head(w, longest), 0);
    assert_int_equal(drop(w, longest), 0);
}

static void test_refused_names(void **state)
{
    static const char *const names[] = { "", "a/", "..", "a/../b", "a./b", "a\\b" };
    struct world *w = *state;
    struct object_call *call;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(w->store->class->head(w->store, names[i], on_done, NULL,
                                               &call),
                         -EINVAL);
}

static void test_list(void **state)
{
    struct world *w = *state;
    char next[1024];

    for (const char *const *name = (const char *const[]){ "l/b", "l/a", "l/c", NULL };
         *name; name++)
        assert_int_equal(put(w, *name, "x"), 0);
    assert_int_equal(list(w, &(struct object_list){ .prefix = "l/", .max = 2 }), 0);
    assert_string_equal(result.names, "l/a\nl/b\n");
    snprintf(next, sizeof(next), "%s", result.next);
    assert_string_not_equal(next, "");
    assert_int_equal(list(w, &(struct object_list){ .prefix = "l/", .after = next }),
                     0);
    assert_string_equal(result.names, "l/c\n");
    assert_string_equal(result.next, "");
}

/* ---- in parts ---- */

static int send_part(struct world *w, const char *name, const char *id, uint32_t number,
                     const char *text)
{
    return upload(w, &(struct object_upload){
                         .step = OBJECT_UPLOAD_PART,
                         .name = name,
                         .upload = id,
                         .number = number,
                         .body = { .data = text, .len = strlen(text) } });
}

static void begin(struct world *w, const char *name, char id[OBJECT_UPLOAD_MAX])
{
    assert_int_equal(upload(w, &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN,
                                                        .name = name }),
                     0);
    snprintf(id, OBJECT_UPLOAD_MAX, "%s", result.upload);
}

static void test_parts(void **state)
{
    const struct object_part parts[] = { { .number = 1, .size = 3 },
                                         { .number = 2, .size = 2 } };
    struct world *w = *state;
    char id[OBJECT_UPLOAD_MAX];
    struct object_upload u = { .name = "parts", .upload = id };

    drop(w, "parts");
    begin(w, "parts", id);
    u.step = OBJECT_UPLOAD_PARTS;
    assert_int_equal(upload(w, &u), -ENOENT);
    assert_int_equal(send_part(w, "parts", id, 2, "de"), 0);
    assert_int_equal(send_part(w, "parts", id, 1, "abc"), 0);
    assert_int_equal(upload(w, &u), 0);
    assert_int_equal(result.n_parts, 2);
    u.step = OBJECT_UPLOAD_FINISH;
    u.parts = parts;
    u.n_parts = 2;
    u.is_if_absent = true;
    assert_int_equal(upload(w, &u), 0);
    assert_int_equal(result.about.size, 5);
    assert_int_equal(get(w, "parts", 0, UINT64_MAX, NULL), 0);
    assert_string_equal(buffer_text(&result.data), "abcde");
    assert_int_equal(upload(w, &u), -EEXIST);
}

static void test_abort(void **state)
{
    struct world *w = *state;
    char id[OBJECT_UPLOAD_MAX];
    struct object_upload u = { .name = "given-up", .upload = id };

    begin(w, "given-up", id);
    assert_int_equal(send_part(w, "given-up", id, 1, "abc"), 0);
    u.step = OBJECT_UPLOAD_ABORT;
    assert_int_equal(upload(w, &u), 0);
    assert_int_equal(upload(w, &u), 0);
    u.step = OBJECT_UPLOAD_PARTS;
    assert_int_equal(upload(w, &u), -ENOENT);
    assert_int_equal(head(w, "given-up"), -ENOENT);
}

/* ---- refused ---- */

static void test_wrong_key(void **state)
{
    struct world *w = *state;

    credentials_free(w->credentials);
    w->store->class->free(w->store);
    setenv("AZURE_STORAGE_KEY", WRONG_KEY, 1);
    open_credentials(w);
    w->store = open_store(w, "box");
    assert_int_equal(put(w, "never", "x"), -EACCES);
    assert_non_null(strstr(result.error, "AuthorizationFailure"));
    assert_non_null(strstr(result.error, "request id"));
    assert_null(strstr(result.error, WRONG_KEY));
}

static void test_no_container(void **state)
{
    struct world *w = *state;

    w->store->class->free(w->store);
    w->store = open_store(w, "none-of-this-name");
    assert_int_equal(get(w, "x", 0, UINT64_MAX, NULL), -ENOENT);
    assert_non_null(strstr(result.error, "ContainerNotFound"));
    assert_int_equal(drop(w, "x"), -ENOENT);
}

static void test_closed(void **state)
{
    struct object_put big = { .name = "closed", .body = { .data = "x", .len = 1 } };
    struct world *w = *state;
    struct object_call *call;

    forget();
    assert_int_equal(w->store->class->put(w->store, &big, on_done, NULL, &call), 0);
    w->store->class->free(w->store);
    assert_true(result.is_done);
    assert_int_equal(result.status, -ECANCELED);
    w->store = open_store(w, "box");
    forget();
    assert_int_equal(w->store->class->head(w->store, "closed", on_done, NULL, &call),
                     0);
    w->store->class->cancel(call);
    assert_false(result.is_done);
    assert_int_equal(await(w, 0), -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_container, setup, teardown),
        cmocka_unit_test_setup_teardown(test_closed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, setup_all, NULL);
}
