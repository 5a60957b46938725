/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and tokens, good and bad, at the stand-in for Google's servers. Authlib checks
 * the assertions. */
#include <time.h>

#include "cloud/google_text.h"
#include "tests/cloud/gcs_kit.h"

static struct gcs_kit kit;

static int setup(void **state UNUSED)
{
    kit_http(&kit);
    unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    setenv("CLOUDSDK_CONFIG", getenv("MESH_TEST_GCS_FOLDER"), 1);
    setenv("GCE_METADATA_HOST", strstr(getenv("MESH_TEST_GCS"), "127."), 1);
    return 0;
}

static int teardown(void **state UNUSED)
{
    kit_gate(&kit, "ttl", "3600");
    kit_close(&kit);
    return 0;
}

static void expect_said(int status, int wanted, const char *words)
{
    if (status != wanted || (words && !strstr(kit.error.text, words)))
        fail_msg("%d in place of %d, '%s': %s\n", status, wanted, words ? words : "",
                 kit.error.text);
}

static void open_with(const char *file)
{
    kit_credentials(&kit, file);
    assert_int_equal(kit_store(&kit, (struct object_store_options){ .prefix = "c/" }),
                     0);
}

static void open_found(void)
{
    const struct google_credentials_options options = { .file = NULL };

    assert_int_equal(google_credentials_open(kit.http, &options, &kit.credentials,
                                             NULL),
                     0);
    assert_int_equal(kit_store(&kit, (struct object_store_options){ .prefix = "c/" }),
                     0);
}

static void write_file(const char *name, const char *text)
{
    char path[512];
    FILE *file;

    kit_path(name, path, sizeof(path));
    file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void remove_file(const char *name)
{
    char path[512];

    kit_path(name, path, sizeof(path));
    remove(path);
}

static int given(void)
{
    return atoi(kit_gate(&kit, "given", ""));
}

/* ---- service accounts ---- */

static void test_service_account(void **state UNUSED)
{
    int before = given();

    open_with("good.json");
    expect_said(kit_put(&kit, "a", "1"), 0, NULL);
    expect_said(kit_get(&kit, "a"), 0, NULL);
    assert_int_equal(given(), before + 1);
    kit_close_store(&kit);
    open_with("other.json");
    expect_said(kit_get(&kit, "a"), -EACCES, "private key is not");
    assert_null(strstr(kit.error.text, "BEGIN"));
}

/* What a clock that stands would make: the server of tokens refuses it. */
static void test_expired_assertion(void **state UNUSED)
{
    CLEANUP(google_file_release) struct google_file file = { .token_uri = NULL };
    CLEANUP(buffer_release) struct buffer form = BUFFER_INIT;
    struct http_request request = {
        .method = "POST", .repeat = HTTP_REPEAT, .done = kit_told, .arg = &kit
    };
    struct http_call *call;
    char path[512], text[8192];
    FILE *in;
    size_t n;

    kit_path("good.json", path, sizeof(path));
    in = fopen(path, "r");
    assert_non_null(in);
    n = fread(text, 1, sizeof(text), in);
    fclose(in);
    assert_int_equal(google_file_read(text, n, path, &file, NULL), 0);
    assert_int_equal(google_token_form(&file, GOOGLE_SCOPE, (int64_t)time(NULL) - 7200,
                                       NULL, &form, NULL),
                     0);
    request.url = file.token_uri;
    request.body = (struct http_body){ .data = form.data, .len = form.len };
    kit_begin(&kit);
    kit_wait(&kit, http_start(kit.http, &request, &call));
    assert_non_null(strstr(buffer_text(&kit.data), "invalid_grant"));
    assert_non_null(strstr(buffer_text(&kit.data), "expired"));
}

/* ---- tokens ---- */

struct fixed {
    const char *token;
};

static void fetch_fixed(void *self, credentials_fetched_fn *fetched, void *arg)
{
    struct fixed *fixed = self;
    char *token = strdup(fixed->token);
    const struct credential key = { .token = token, .is_static = true };

    fetched(arg, 0, &key, NULL);
    free(token);
}

static void free_fixed(void *self UNUSED)
{
}

static void test_bogus_token(void **state UNUSED)
{
    struct fixed fixed = { "ya29.bogus" };
    const struct credentials_source source = { "fixed", &fixed, fetch_fixed,
                                               free_fixed };

    assert_int_equal(credentials_new(&kit.loop, &source, 1, &kit.credentials), 0);
    assert_int_equal(kit_store(&kit, (struct object_store_options){ .prefix = "c/" }),
                     0);
    expect_said(kit_get(&kit, "a"), -EACCES, "401 authError");
    assert_null(strstr(kit.error.text, "ya29"));
}

static void test_unsigned(void **state UNUSED)
{
    assert_int_equal(kit_store(&kit, (struct object_store_options){ .prefix = "c/" }),
                     0);
    expect_said(kit_get(&kit, "a"), -EACCES, "Anonymous");
}

/* One that lives shorter than a request may take is never kept. */
static void test_short_lived(void **state UNUSED)
{
    int before;

    kit_gate(&kit, "ttl", "50");
    before = given();
    open_with("good.json");
    expect_said(kit_put(&kit, "a", "1"), 0, NULL);
    expect_said(kit_get(&kit, "a"), 0, NULL);
    assert_int_equal(given(), before + 2);
}

static void on_later(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

/* A token that the service no longer knows is renewed in the middle; not sooner than
 * some seconds after it was had, which the test has to let pass. */
static void test_revoked(void **state UNUSED)
{
    enum { OLD_ENOUGH_MS = 5500 };
    uv_timer_t timer;
    int before;

    open_with("good.json");
    expect_said(kit_put(&kit, "a", "1"), 0, NULL);
    uv_timer_init(&kit.loop, &timer);
    uv_timer_start(&timer, on_later, OLD_ENOUGH_MS, 0);
    while (!uv_is_closing((uv_handle_t *)&timer))
        uv_run(&kit.loop, UV_RUN_ONCE);
    uv_run(&kit.loop, UV_RUN_NOWAIT);
    before = given();
    kit_gate(&kit, "revoke", "");
    expect_said(kit_get(&kit, "a"), 0, NULL);
    assert_string_equal(buffer_text(&kit.data), "1");
    assert_int_equal(given(), before + 1);
}

/* ---- where they are found ---- */

static void test_places(void **state UNUSED)
{
    char path[512], text[512];

    open_found(); /* no file: the metadata server */
    expect_said(kit_put(&kit, "a", "1"), 0, NULL);
    kit_close_store(&kit);
    setenv("GCE_METADATA_HOST", "127.0.0.1:1", 1);
    open_found();
    expect_said(kit_get(&kit, "a"), -ENOENT, "gcloud auth application-default login");
    kit_close_store(&kit);
    snprintf(
        text, sizeof(text),
        "{\"type\": \"authorized_user\", \"client_id\": \"id\", \"client_secret\": "
        "\"client-secret\", \"refresh_token\": \"refresh+/secret\", \"token_uri\": "
        "\"%s/token\"}",
        getenv("MESH_TEST_GCS"));
    write_file("application_default_credentials.json", text);
    open_found(); /* gcloud's own */
    expect_said(kit_get(&kit, "a"), 0, NULL);
    kit_close_store(&kit);
    kit_path("missing.json", path, sizeof(path));
    setenv("GOOGLE_APPLICATION_CREDENTIALS", path, 1);
    open_found(); /* what is named and not there is not passed over */
    expect_said(kit_get(&kit, "a"), -EINVAL, "missing.json");
    remove_file("application_default_credentials.json");
}

static void test_login_revoked(void **state UNUSED)
{
    char text[512];

    snprintf(
        text, sizeof(text),
        "{\"type\": \"authorized_user\", \"client_id\": \"id\", \"client_secret\": "
        "\"client-secret\", \"refresh_token\": \"an-old-one\", \"token_uri\": "
        "\"%s/token\"}",
        getenv("MESH_TEST_GCS"));
    write_file("user.json", text);
    open_with("user.json");
    expect_said(kit_get(&kit, "a"), -EACCES, "log in again");
    assert_null(strstr(kit.error.text, "an-old-one"));
}

static void workload(const char *source, const char *more)
{
    char text[2048];
    const char *gate = getenv("MESH_TEST_GCS");

    snprintf(text, sizeof(text),
             "{\"type\": \"external_account\", \"audience\": \"//iam/p\", "
             "\"subject_token_type\": \"urn:ietf:params:oauth:token-type:jwt\", "
             "\"token_url\": \"%s/token\", \"credential_source\": %s%s}",
             gate, source, more);
    write_file("workload.json", text);
    open_with("workload.json");
}

static void test_workload(void **state UNUSED)
{
    char source[800], more[300], path[512];

    kit_path("subject", path, sizeof(path));
    snprintf(source, sizeof(source), "{\"file\": \"%s\"}", path);
    write_file("subject", "subject-token\n");
    workload(source, "");
    expect_said(kit_put(&kit, "a", "1"), 0, NULL);
    kit_close_store(&kit);
    write_file("subject", "another");
    workload(source, "");
    expect_said(kit_get(&kit, "a"), -EACCES, "invalid_grant");
    kit_close_store(&kit);
    snprintf(
        source, sizeof(source),
        "{\"url\": \"%s/subject\", \"headers\": {\"X-Workload\": \"me\"}, "
        "\"format\": {\"type\": \"json\", \"subject_token_field_name\": \"value\"}}",
        getenv("MESH_TEST_GCS"));
    snprintf(more, sizeof(more),
             ", \"service_account_impersonation_url\": \"%s/impersonate\"",
             getenv("MESH_TEST_GCS"));
    workload(source, more);
    expect_said(kit_get(&kit, "a"), 0, NULL);
    kit_close_store(&kit);
    workload("{\"executable\": {\"command\": \"x\"}}", "");
    expect_said(kit_get(&kit, "a"), -EINVAL, "a file or a url");
}

/* ---- HMAC ---- */

static void on_pair(void *arg, int status, const struct credential *key,
                    const struct error *error)
{
    kit_end(arg, status, error);
    if (status == 0)
        buffer_printf(&kit.data, "%s %s", key->id, key->secret);
}

static void test_hmac(void **state UNUSED)
{
    char path[512];

    kit_path("boto", path, sizeof(path));
    setenv("BOTO_CONFIG", path, 1);
    assert_int_equal(google_hmac_open(kit.http, &kit.credentials, NULL), 0);
    kit_begin(&kit);
    credentials_get(kit.credentials, on_pair, &kit);
    expect_said(kit.status, -ENOENT, "GCS_HMAC_KEY_ID");
    kit_close_store(&kit);
    write_file("boto", "[Credentials]\ngs_access_key_id = GOOG1\n"
                       "gs_secret_access_key=abc/+=\n");
    assert_int_equal(google_hmac_open(kit.http, &kit.credentials, NULL), 0);
    kit_begin(&kit);
    credentials_get(kit.credentials, on_pair, &kit);
    assert_string_equal(buffer_text(&kit.data), "GOOG1 abc/+=");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_service_account, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expired_assertion, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bogus_token, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unsigned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short_lived, setup, teardown),
        cmocka_unit_test_setup_teardown(test_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_places, setup, teardown),
        cmocka_unit_test_setup_teardown(test_login_revoked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_workload, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hmac, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
