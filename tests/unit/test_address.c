/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as people write them, and the options of their stores by mesh.conf and the
 * environment. */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "cloud/address.h"
#include "cloud/file_name.h"
#include "cloud/transfer_state.h"

/* `kind bucket key account endpoint`, or the sentence. */
static void reads(const char *text, const char *expected)
{
    static const char *const kinds[] = { "", "file", "s3", "azure", "gs" };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct store_address a;
    struct error error;

    if (store_address_parse(text, &a, &error) < 0) {
        buffer_puts(&out, error.text);
    } else {
        buffer_printf(&out, "%s [%s] [%s]", kinds[a.kind], a.bucket, a.key);
        if (a.account)
            buffer_printf(&out, " of %s", a.account);
        if (a.endpoint)
            buffer_printf(&out, " at %s", a.endpoint);
        store_address_release(&a);
    }
    assert_string_equal(buffer_text(&out), expected);
}

static void test_addresses(void **state UNUSED)
{
    reads("s3://lab/a/b c+%2F", "s3 [lab] [a/b c+%2F]");
    reads("s3://lab", "s3 [lab] []");
    reads("s3://lab//x/../y", "s3 [lab] [/x/../y]");
    reads("gs://my.lab_1/", "gs [my.lab_1] []");
    reads("azure://acct/box/k", "azure [box] [k] of acct");
    reads("https://acct.blob.core.windows.net/box/a%20b",
          "azure [box] [a b] of acct at https://acct.blob.core.windows.net");
    reads("file:///data/x%20y", "file [/data] [x y]");
    reads("file://localhost/x", "file [/] [x]");
    reads("data/x%20y", "file [data] [x%20y]");
    reads("x", "file [.] [x]");
    reads("/", "file [/] []");
    reads("a/", "file [a] []");
    reads("../..", "file [../..] []");
    reads("2026-11-22T10:00/x", "file [2026-11-22T10:00] [x]");
}

static void test_what_is_none(void **state UNUSED)
{
    reads("", "an address is empty");
    reads("s3://", "'' cannot be the name of a bucket");
    reads("s3:///k", "'' cannot be the name of a bucket");
    reads("s3://-x/k", "'-x' cannot be the name of a bucket");
    reads("s3://a b/k", "'a b' cannot be the name of a bucket");
    reads("ftp://x/y", "there is no store for ftp://: s3, gs, azure, file or a path");
    reads("azure://box", "azure://box has no container: azure://ACCOUNT/CONTAINER/KEY");
    reads("file://host/x", "file://host/x names another machine: a path begins with "
                           "'/', as in file:///data/x");
    reads("https://a.blob.core.windows.net/b/c?sig=x",
          "an address has no '?': a SAS belongs into AZURE_STORAGE_SAS_TOKEN, where it "
          "is not seen");
    reads("https://a.blob.core.windows.net/b/%zz",
          "a '%' in https://a.blob.core.windows.net/b/%zz has no two digits");
    reads("https://a.blob.core.windows.net/b/%00",
          "a '%' in https://a.blob.core.windows.net/b/%00 has no two digits");
    reads("https://evil.example/a.blob.core.windows.net/c",
          "of https:// only ACCOUNT.blob.core.windows.net/CONTAINER/KEY is an address; "
          "another S3 is s3://BUCKET/KEY with METAFLOW_S3_ENDPOINT_URL");
}

/* ---- options ---- */

/* "NAME=value\n..." */
static const char *look(void *arg, const char *name)
{
    static char values[16][128]; /* more than one question asks for */
    static unsigned turn;
    char *value = values[turn++ % ARRAY_SIZE(values)];
    size_t len = strlen(name), line_len;

    for (const char *line = arg; *line; line += line_len + (line[line_len] == '\n')) {
        line_len = strcspn(line, "\n");
        if (strncmp(line, name, len) != 0 || line[len] != '=')
            continue;
        snprintf(value, sizeof(values[0]), "%.*s", (int)(line_len - len - 1),
                 line + len + 1);
        return value;
    }
    return NULL;
}

static void add(struct buffer *out, const char *name, const char *value)
{
    if (value)
        buffer_printf(out, "%s=%s ", name, value);
}

static void opens(const char *address, const struct store_settings *conf,
                  const char *variables, const char *expected)
{
    const struct store_environment env = { look, (void *)(uintptr_t)variables };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer storage = BUFFER_INIT;
    struct object_store_options o;
    struct store_address a;
    struct error error;

    assert_int_equal(store_address_parse(address, &a, &error), 0);
    if (store_options(&a, conf, &env, &storage, &o, &error) < 0) {
        buffer_puts(&out, error.text);
    } else {
        add(&out, "endpoint", o.endpoint);
        add(&out, "region", o.region);
        add(&out, "account", o.account);
        add(&out, "encryption", o.encryption);
        add(&out, "key", o.kms_key);
        buffer_printf(&out, "tries=%u", o.tries_max);
    }
    store_address_release(&a);
    assert_string_equal(buffer_text(&out), expected);
}

/* DS-15 to DS-18 */
static void test_options(void **state UNUSED)
{
    const struct store_settings conf = { .root = "s3://lab/x",
                                         .endpoint = "https://conf",
                                         .region = "eu-1",
                                         .encryption = "aws:kms",
                                         .kms_key = "k",
                                         .retries = 2,
                                         .has_retries = true };

    opens("s3://lab/k", NULL, "", "tries=0");
    opens("s3://lab/k", &conf, "",
          "endpoint=https://conf region=eu-1 encryption=aws:kms key=k tries=3");
    opens("s3://lab/k", &conf,
          "METAFLOW_S3_ENDPOINT_URL=https://m\nAWS_ENDPOINT_URL_S3=https://a\n"
          "AWS_REGION=us-9\nMETAFLOW_S3_SERVER_SIDE_ENCRYPTION=AES256\n"
          "METAFLOW_S3_RETRY_COUNT=10",
          "endpoint=https://m region=us-9 encryption=AES256 key=k tries=11");
    opens("s3://lab/k", NULL,
          "AWS_ENDPOINT_URL_S3=https://a\nAWS_ENDPOINT_URL=https://b",
          "endpoint=https://a tries=0");
    /* What is said of one kind of store is not for another. */
    opens("gs://lab/k", &conf, "AWS_ENDPOINT_URL=https://b", "tries=0");
    opens("gs://lab/k", NULL, "STORAGE_EMULATOR_HOST=127.0.0.1:9",
          "endpoint=http://127.0.0.1:9 tries=0");
    opens("azure://acct/box/k", NULL,
          "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT=https://e\n"
          "AZURE_STORAGE_ACCOUNT=other",
          "endpoint=https://e account=acct tries=0");
    opens("s3://lab/k", NULL, "METAFLOW_S3_RETRY_COUNT=1x",
          "METAFLOW_S3_RETRY_COUNT must be a number up to 100, not '1x'");
    opens("s3://lab/k", NULL, "METAFLOW_S3_SERVER_SIDE_ENCRYPTION=rot13",
          "METAFLOW_S3_SERVER_SIDE_ENCRYPTION must be AES256 or aws:kms, not 'rot13'");
}

static void resolves(const char *text, const struct store_settings *conf,
                     const char *variables, const char *expected)
{
    const struct store_environment env = { look, (void *)(uintptr_t)variables };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct error error;
    int r = store_resolve(text, conf, &env, &out, &error);

    assert_string_equal(r < 0 ? error.text : buffer_text(&out), expected);
}

/* DS-09 to DS-14 */
static void test_the_datastore(void **state UNUSED)
{
    const struct store_settings conf = { .root = "s3://lab/x" };

    resolves("s3://a/b", NULL, "", "s3://a/b");
    resolves("datastore:k", &conf, "", "s3://lab/x/k");
    resolves("datastore:", &conf, "", "s3://lab/x/");
    resolves("datastore:k", &conf,
             "METAFLOW_DEFAULT_DATASTORE=s3\nMETAFLOW_DATASTORE_SYSROOT_S3=s3://m/r",
             "s3://m/r/k");
    resolves("datastore:/k", NULL,
             "METAFLOW_DEFAULT_DATASTORE=gs\nMETAFLOW_DATASTORE_SYSROOT_GS=gs://m/r/",
             "gs://m/r/k");
    resolves("datastore:k", NULL,
             "METAFLOW_DEFAULT_DATASTORE=azure\n"
             "METAFLOW_DATASTORE_SYSROOT_AZURE=box/r\n"
             "METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT="
             "https://acct.blob.core.windows.net/",
             "azure://acct/box/r/k");
    resolves("datastore:k", NULL,
             "METAFLOW_DEFAULT_DATASTORE=azure\nMETAFLOW_DATASTORE_SYSROOT_AZURE=box/r",
             "METAFLOW_DATASTORE_SYSROOT_AZURE has no account: set "
             "AZURE_STORAGE_ACCOUNT");
    resolves("datastore:k", NULL, "METAFLOW_DEFAULT_DATASTORE=s3",
             "METAFLOW_DEFAULT_DATASTORE is s3, so set METAFLOW_DATASTORE_SYSROOT_S3");
    resolves("datastore:k", NULL, "METAFLOW_DEFAULT_DATASTORE=x",
             "METAFLOW_DEFAULT_DATASTORE must be s3, azure, gs or local, not 'x'");
}

/* DS-19 */
static void test_workers(void **state UNUSED)
{
    const struct store_environment none = { look, "" };
    const struct store_environment some = { look, "METAFLOW_S3_WORKER_COUNT=64" };
    const struct store_settings conf = { .workers = 7 };
    struct error error;
    uint32_t n;

    assert_int_equal(store_workers(NULL, &none, &n, &error), 0);
    assert_int_equal(n, 0);
    assert_int_equal(store_workers(&conf, &none, &n, &error), 0);
    assert_int_equal(n, 7);
    assert_int_equal(store_workers(&conf, &some, &n, &error), 0);
    assert_int_equal(n, 64);
}

static void lies_at(const char *name, const char *expected)
{
    CLEANUP(buffer_release) struct buffer path = BUFFER_INIT;

    assert_int_equal(file_name_path(name, &path), 0);
    assert_string_equal(buffer_text(&path), expected);
}

static void test_paths_of_names(void **state UNUSED)
{
    lies_at("a b/c+%2F", "a b/c+%2F");
    lies_at("../x", "%~../x");
    lies_at("/x", "%~/x");
    lies_at("a//b/", "a/%~/b/%~");
    lies_at("%~x/%+", "%~%~x/%~%+");
    lies_at(".mesh-store/x", "%~.mesh-store/x");
}

static void test_state_of_an_upload(void **state UNUSED)
{
    static const char negative[] = "{\"etag\": \"e\", \"upload\": \"u\", "
                                   "\"size\": -1, \"part_bytes\": 1}";
    static const char *const bad[] = { "", "{}", "[]", "{\"etag\": \"e\"}", negative };
    struct transfer_state s = { "\"e\"", 100, 10, "up/\"1\"" }, back;
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    assert_int_equal(transfer_state_format(&s, &text), 0);
    assert_int_equal(transfer_state_parse(text.data, text.len, &back), 0);
    assert_string_equal(back.etag, s.etag);
    assert_string_equal(back.upload, s.upload);
    assert_int_equal(back.size, 100);
    assert_int_equal(back.part_bytes, 10);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(transfer_state_parse(bad[i], strlen(bad[i]), &back), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_the_datastore),
        cmocka_unit_test(test_workers),
        cmocka_unit_test(test_paths_of_names),
        cmocka_unit_test(test_state_of_an_upload),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
