/* SPDX-License-Identifier: Apache-2.0 */
/* What a store does, against Google Cloud Storage's stand-in. */
#include "tests/cloud/gcs_kit.h"

static struct gcs_kit kit;

static int setup(void **state UNUSED)
{
    kit_open(&kit);
    return 0;
}

static int teardown(void **state UNUSED)
{
    kit_close(&kit);
    return 0;
}

static void expect(int status, int wanted)
{
    if (status != wanted)
        fail_msg("%d in place of %d: %s\n", status, wanted, kit.error.text);
}

static void expect_said(int status, int wanted, const char *words)
{
    expect(status, wanted);
    if (!strstr(kit.error.text, words))
        fail_msg("not '%s': %s\n", words, kit.error.text);
}

static void test_objects(void **state UNUSED)
{
    char etag[OBJECT_TAG_MAX];
    uint8_t sha256[32] = { 0xab };
    struct object_put put = { .sha256 = sha256, .content_type = "text/plain" };

    expect(kit_put_as(&kit, &put, "a", "hello", 5), 0);
    strcpy(etag, kit.about.etag);
    assert_int_equal(kit.about.size, 5);
    expect(kit_head(&kit, "a"), 0);
    assert_string_equal(kit.about.etag, etag);
    assert_true(strncmp(kit.about.sha256, "ab00", 4) == 0);
    expect(kit_get(&kit, "a"), 0);
    assert_string_equal(buffer_text(&kit.data), "hello");
    assert_string_equal(kit.about.etag, etag);
    expect(kit_remove(&kit, "a"), 0);
    expect(kit_remove(&kit, "a"), 0);
    expect_said(kit_get(&kit, "a"), -ENOENT, "no such object");
    expect_said(kit_head(&kit, "a"), -ENOENT, "gs://mesh-bucket/p/a");
}

static void test_ranges(void **state UNUSED)
{
    struct object_get get = { .name = "r", .offset = 2, .len = 3 };

    expect(kit_put(&kit, "r", "0123456789"), 0);
    expect(kit_get_as(&kit, &get), 0);
    assert_string_equal(buffer_text(&kit.data), "234");
    assert_int_equal(kit.about.size, 10);
    get = (struct object_get){ .name = "r", .offset = 7, .len = UINT64_MAX };
    expect(kit_get_as(&kit, &get), 0);
    assert_string_equal(buffer_text(&kit.data), "789");
    get = (struct object_get){ .name = "r", .offset = 10, .len = 1 };
    expect(kit_get_as(&kit, &get), -ERANGE);
    expect(kit_put(&kit, "r", ""), 0);
    expect(kit_get(&kit, "r"), 0);
    assert_int_equal(kit.data.len, 0);
}

static void test_conditions(void **state UNUSED)
{
    struct object_put absent = { .is_if_absent = true };
    char etag[OBJECT_TAG_MAX];
    struct object_put match = { .if_match = etag };
    struct object_get get = { .name = "c", .len = UINT64_MAX, .if_match = etag };

    expect(kit_put_as(&kit, &absent, "c", "1", 1), 0);
    strcpy(etag, kit.about.etag);
    expect_said(kit_put_as(&kit, &absent, "c", "2", 1), -EEXIST, "412");
    expect(kit_get_as(&kit, &get), 0);
    expect(kit_put_as(&kit, &match, "c", "3", 1), 0);
    expect(kit_put_as(&kit, &match, "c", "4", 1), -EEXIST);
    expect(kit_get_as(&kit, &get), -EBADMSG);
    expect(kit_get(&kit, "c"), 0);
    assert_string_equal(buffer_text(&kit.data), "3");
    assert_int_equal(kit_put_as(&kit, &(struct object_put){ .if_match = "\"x\"" }, "c",
                                "5", 1),
                     -EINVAL);
}

/* The answer to the write that made it is lost; the repetition finds it there. */
static void test_lost_answer(void **state UNUSED)
{
    struct object_put absent = { .is_if_absent = true };

    kit_gate(&kit, "fault", "{\"match\": \"^POST .*multipart\", \"after\": \"cut\"}");
    expect(kit_put_as(&kit, &absent, "lost", "mine", 4), 0);
    kit_gate(&kit, "fault", "{\"match\": \"^POST .*multipart\", \"code\": 503}");
    expect(kit_put_as(&kit, &absent, "lost", "mine", 4), -EEXIST);
}

static void test_names(void **state UNUSED)
{
    static const char *const names[] = { "a b+c%d%2Fe",    "x/../y",
                                         "//double",       "\xc3\xa4\xe2\x82\xac",
                                         "q?a=1&b#frag",   "back\\slash'\"",
                                         ".hidden/..dots", "end/" };
    char long_name[OBJECT_NAME_MAX - 1];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        expect(kit_put(&kit, names[i], names[i]), 0);
        expect(kit_get(&kit, names[i]), 0);
        assert_string_equal(buffer_text(&kit.data), names[i]);
        expect(kit_remove(&kit, names[i]), 0);
    }
    memset(long_name, 'n', sizeof(long_name));
    memcpy(long_name + 700, "/+ ", 3);
    long_name[sizeof(long_name) - 1] = '\0'; /* "p/" makes it the longest there is */
    expect(kit_put(&kit, long_name, "long"), 0);
    expect(kit_get(&kit, long_name), 0);
    expect(kit_remove(&kit, long_name), 0);
    assert_int_equal(kit_put(&kit, "", "x"), -EINVAL);
    assert_int_equal(kit_put(&kit, "\xff", "x"), -EINVAL);
    assert_int_equal(kit_put(&kit, "a\nb", "x"), -EINVAL);
}

static void test_list(void **state UNUSED)
{
    struct object_list list = { .prefix = "l/", .delimiter = '/', .max = 2 };

    expect(kit_put(&kit, "l/a", "1"), 0);
    expect(kit_put(&kit, "l/b/1", "1"), 0);
    expect(kit_put(&kit, "l/b/2", "1"), 0);
    expect(kit_put(&kit, "l/c d", "1"), 0);
    assert_string_equal(kit_list(&kit, &list), "l/a\nl/b/ ...\n");
    list.after = kit.next;
    assert_string_equal(kit_list(&kit, &list), "l/c d\n");
    assert_string_equal(kit.next, "");
    list = (struct object_list){ .prefix = "l/" };
    assert_string_equal(kit_list(&kit, &list), "l/a\nl/b/1\nl/b/2\nl/c d\n");
    list.prefix = "none";
    assert_string_equal(kit_list(&kit, &list), "");
}

/* A connection that breaks, a byte that turns, a service that is busy. */
static void test_faults(void **state UNUSED)
{
    expect(kit_put(&kit, "f", "0123456789"), 0);
    kit_gate(&kit, "fault", "{\"match\": \"^GET .*media\", \"after\": \"cut\"}");
    expect(kit_get(&kit, "f"), 0);
    assert_string_equal(buffer_text(&kit.data), "0123456789");
    kit_gate(&kit, "seen", "");
    kit_gate(&kit, "fault", "{\"match\": \"^GET .*media\", \"after\": \"flip\"}");
    expect_said(kit_get(&kit, "f"), -EBADMSG, "checksum");
    kit_gate(&kit, "fault", "{\"match\": \"^GET\", \"code\": 503}");
    expect(kit_head(&kit, "f"), 0);
    kit_gate(&kit, "fault",
             "{\"match\": \"^GET\", \"code\": 403, \"body\": \"{\\\"error\\\": "
             "{\\\"errors\\\": [{\\\"reason\\\": \\\"rateLimitExceeded\\\"}]}}\"}");
    expect(kit_head(&kit, "f"), 0);
    kit_gate(&kit, "fault",
             "{\"match\": \"^DELETE\", \"code\": 403, \"body\": \"{\\\"error\\\": "
             "{\\\"errors\\\": [{\\\"reason\\\": \\\"retentionPolicyNotMet\\\"}]}}\"}");
    expect_said(kit_remove(&kit, "f"), -EROFS, "request gate-1");
}

static void test_no_bucket(void **state UNUSED)
{
    kit.store->class->free(kit.store);
    kit.store = NULL;
    assert_int_equal(kit_store(&kit,
                               (struct object_store_options){ .bucket =
                                                                  "other-bucket" }),
                     0);
    expect_said(kit_head(&kit, "a"), -ENOENT, "no such bucket");
    expect_said(kit_put(&kit, "a", "1"), -ENOENT, "no such bucket");
    expect_said(kit_remove(&kit, "a"), -ENOENT, "no such bucket");
}

/* A key, a class and a project that pays are told with each write. */
static void test_options(void **state UNUSED)
{
    const struct object_store_options options = {
        .kms_key = "projects/p/locations/l/keyRings/r/cryptoKeys/k",
        .storage_class = "NEARLINE",
        .tags = "team=x",
        .account = "who-pays",
    };
    const char *seen;

    kit.store->class->free(kit.store);
    kit.store = NULL;
    assert_int_equal(kit_store(&kit, options), 0);
    kit_gate(&kit, "seen", "");
    expect(kit_put(&kit, "o", "1"), 0);
    expect(kit_head(&kit, "o"), 0);
    assert_string_equal(kit.about.tier, "NEARLINE");
    seen = kit_gate(&kit, "seen", "");
    assert_non_null(strstr(seen, "kmsKeyName=projects%2Fp%2Flocations"));
    assert_non_null(strstr(seen, "/o/o?userProject=who-pays"));
    kit.store->class->free(kit.store);
    kit.store = NULL;
    assert_int_equal(kit_store(&kit, (struct object_store_options){ .region = "eu" }),
                     -EINVAL);
    assert_non_null(strstr(kit.error.text, "region"));
}

/* ---- uploads ---- */

enum { PART = 512 << 10, WHOLE = 2 * PART + 1000 };

static char *whole;

static void fill(void)
{
    whole = malloc(20 << 20);
    assert_non_null(whole);
    for (size_t i = 0; i < 20 << 20; i++)
        whole[i] = (char)(i * 2654435761u >> 13);
}

static int part(uint32_t number, uint64_t len)
{
    const struct object_upload u = {
        .step = OBJECT_UPLOAD_PART,
        .name = "up",
        .upload = kit.upload,
        .size = WHOLE,
        .number = number,
        .offset = (number - 1) * (uint64_t)PART,
        .body = { .data = whole, .offset = (number - 1) * (uint64_t)PART, .len = len },
    };

    return kit_upload(&kit, &u);
}

static int begin(bool is_if_absent)
{
    return kit_upload(&kit, &(struct object_upload){ .step = OBJECT_UPLOAD_BEGIN,
                                                     .name = "up",
                                                     .size = WHOLE,
                                                     .is_if_absent = is_if_absent });
}

static int finish(void)
{
    return kit_upload(&kit, &(struct object_upload){ .step = OBJECT_UPLOAD_FINISH,
                                                     .name = "up",
                                                     .upload = kit.upload,
                                                     .size = WHOLE,
                                                     .parts = kit.parts,
                                                     .n_parts = 3 });
}

static int parts(void)
{
    return kit_upload(&kit, &(struct object_upload){ .step = OBJECT_UPLOAD_PARTS,
                                                     .name = "up",
                                                     .upload = kit.upload,
                                                     .size = WHOLE,
                                                     .part_bytes = PART });
}

static int step(enum object_upload_step what)
{
    return kit_upload(&kit, &(struct object_upload){
                                .step = what, .name = "up", .upload = kit.upload });
}

/* Parts whose answer is lost are there once; the service tells which there are. */
static void test_parts(void **state UNUSED)
{
    expect(begin(true), 0);
    expect(parts(), 0);
    assert_int_equal(kit.n_parts, 0);
    expect(part(1, PART), 0);
    kit_gate(&kit, "fault", "{\"match\": \"^PUT .*upload_id\", \"after\": \"cut\"}");
    expect(part(2, PART), 0);
    expect(parts(), 0);
    assert_int_equal(kit.n_parts, 2);
    assert_int_equal(kit.parts[1].size, PART);
    assert_int_equal(part(2, PART - 1), -EINVAL);
    expect(part(1, PART), 0); /* again, for their tags */
    expect(part(2, PART), 0);
    expect(part(3, 1000), 0);
    expect(finish(), 0);
    assert_int_equal(kit.about.size, WHOLE);
    expect(kit_get(&kit, "up"), 0);
    assert_int_equal(kit.data.len, WHOLE);
    assert_memory_equal(kit.data.data, whole, WHOLE);
    expect_said(begin(true), -EEXIST, "412");
}

/* What the tags say was sent is not what is there: it is taken away. */
static void test_parts_altered(void **state UNUSED)
{
    expect(begin(false), 0);
    expect(part(1, PART), 0);
    expect(part(2, PART), 0);
    expect(part(3, 1000), 0);
    kit.parts[1].tag[0] = kit.parts[1].tag[0] == '0' ? '1' : '0';
    expect_said(finish(), -EBADMSG, "other bytes");
    expect(kit_head(&kit, "up"), -ENOENT);
}

static void test_abort(void **state UNUSED)
{
    expect(begin(false), 0);
    expect(part(1, PART), 0);
    expect(step(OBJECT_UPLOAD_ABORT), 0);
    expect(step(OBJECT_UPLOAD_ABORT), 0);
    expect(parts(), -ENOENT);
    expect(part(2, PART), -ENOENT);
    strcpy(kit.upload, "//evil.example/upload/");
    assert_int_equal(parts(), -EINVAL);
}

/* Larger than one chunk, from memory and from a file; a chunk is lost on the way. */
static void test_large(void **state UNUSED)
{
    const size_t len = (17 << 20) + 5;
    FILE *file = tmpfile();
    struct object_put put = { .name = "large", .is_if_absent = true };
    struct object_call *call;

    kit_gate(&kit, "fault", "{\"match\": \"^PUT .*upload_id\", \"code\": 503}");
    expect(kit_put_as(&kit, &put, "large", whole, len), 0);
    expect(kit_get(&kit, "large"), 0);
    assert_int_equal(kit.data.len, len);
    assert_memory_equal(kit.data.data, whole, len);
    expect(kit_put_as(&kit, &put, "large", whole, len), -EEXIST);
    assert_non_null(file);
    assert_int_equal(fwrite(whole, 1, len, file), len);
    assert_int_equal(fflush(file), 0);
    put = (struct object_put){
        .name = "large", .body = { .fd = fileno(file), .offset = 5, .len = 9 << 20 }
    };
    kit_begin(&kit);
    kit_wait(&kit, kit.store->class->put(kit.store, &put, kit_done, &kit, &call));
    expect(kit.status, 0);
    expect(kit_get(&kit, "large"), 0);
    assert_memory_equal(kit.data.data, whole + 5, 9 << 20);
    fclose(file);
}

/* ---- ends before its time ---- */

static void test_cancel(void **state UNUSED)
{
    struct object_call *call;

    kit_begin(&kit);
    assert_int_equal(kit.store->class->head(kit.store, "a", kit_done, &kit, &call), 0);
    kit.store->class->cancel(call);
    kit_wait(&kit, 0);
    expect(kit.status, -ECANCELED);
    kit_begin(&kit);
    assert_int_equal(kit.store->class->head(kit.store, "a", kit_done, &kit, &call), 0);
    kit.store->class->free(kit.store);
    kit.store = NULL;
    assert_true(kit.is_done);
    expect(kit.status, -ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ranges, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list, setup, teardown),
        cmocka_unit_test_setup_teardown(test_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_bucket, setup, teardown),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_altered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_abort, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
    };
    int failed;

    fill();
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(whole);
    return failed;
}
