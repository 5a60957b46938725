/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts, blobs, trees, and what keeps them whole. */
#include "tests/unit/api_kit.h"

/* ---- artifacts ---- */

static void take_header(const char *front, char *ret, size_t size)
{
    const char *at = strstr(buffer_text(&answer), front);

    assert_non_null(at);
    at += strlen(front);
    snprintf(ret, size, "%.*s", (int)strcspn(at, "\r"), at);
}

static void artifacts_are_sent_whole_or_in_part(void **state)
{
    char etag[80], header[160];

    (void)state;
    ask("GET /v1/runs/1/artifacts/fit/0/model");
    expect_status(200);
    expect_text("Mesh-Type: text");
    expect_text("Mesh-Task: fit/0");
    assert_string_equal(body_of_answer(), "hello");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", "Range: bytes=1-2\r\n",
           NULL, 0);
    expect_status(206);
    expect_text("Content-Range: bytes 1-2/5");
    assert_string_equal(body_of_answer(), "el");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", "Range: bytes=9-\r\n",
           NULL, 0);
    expect_status(416);
    expect_text("Content-Range: bytes */5");
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model",
           "Range: bytes=1-2\r\nIf-Range: \"other\"\r\n", NULL, 0);
    expect_status(200);
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model",
           "If-None-Match: \"other\"\r\n", NULL, 0);
    expect_status(200);
    take_header("ETag: ", etag, sizeof(etag));
    snprintf(header, sizeof(header), "If-None-Match: W/\"a,b\", %s\r\n", etag);
    ask_at(user_path, "GET /v1/runs/1/artifacts/fit/0/model", header, NULL, 0);
    expect_status(304);
    expect_text(etag);
    assert_string_equal(body_of_answer(), "");
    ask("GET /v1/runs/1/artifacts/fit/0/nothing");
    expect_status(404);
}

static void put_made(uint64_t index, enum artifact_encoding encoding, const char *text)
{
    struct artifact made[] = { { .name = (char *)"x",
                                 .encoding = encoding,
                                 .size = strlen(text),
                                 .id = digest_memory(text, strlen(text)),
                                 .inline_data = (uint8_t *)text },
                               { .name = (char *)"y",
                                 .encoding = ENCODING_BYTES,
                                 .size = 1,
                                 .id = digest_memory("y", 1),
                                 .inline_data = (uint8_t *)"y" } };
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(index),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .outputs = made,
                                .n_outputs = 2 };

    put_attempt(&a);
}

static size_t count_lines(void)
{
    size_t n = 0;

    for (const char *at = body_of_answer(); (at = strstr(at, "{\"step\":")); at++)
        n++;
    return n;
}

static void what_tasks_made_comes_in_lines(void **state)
{
    (void)state;
    put_made(1, ENCODING_JSON, "{\"a\": [1,\n2]}");
    put_made(2, ENCODING_JSON, "123456789012345678901234567890");
    put_made(3, ENCODING_BYTES, "\xff");
    ask("GET /v1/runs/1/artifacts?step=fit&name=x&inline=64");
    expect_status(200);
    expect_text("Content-Type: application/x-ndjson");
    expect_text("{\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,\"artifacts\":[{"
                "\"name\":\"x\"");
    expect_text("\"value\":{\"a\":[1,2]}}]}\n");
    expect_text("\"data_base64\":\"MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw\"}]}\n");
    expect_text("\"data_base64\":\"/w==\"}]}\n");
    assert_null(strstr(body_of_answer(), "\"y\""));
    assert_null(strstr(body_of_answer(), "\"model\""));
    ask("GET /v1/runs/1/artifacts?inline=2");
    expect_text("\"task\":\"0\",\"attempt\":1,\"artifacts\":[{\"name\":\"model\"");
    expect_text("\"name\":\"y\"");
    assert_null(strstr(body_of_answer(), "\"value\""));
    expect_text("\"data_base64\":\"/w==\"}");
    assert_null(
        strstr(body_of_answer(), "\"attempt\":0,\"artifacts\":[{\"name\":\"model\""));
}

static void what_tasks_made_comes_in_pages(void **state)
{
    (void)state;
    for (uint64_t i = 1; i < 200; i++)
        put_made(i, ENCODING_JSON, "1");
    ask("GET /v1/runs/1/artifacts?step=fit&name=x");
    assert_int_equal(count_lines(), 199);
    assert_null(strstr(body_of_answer(), "\"value\""));
    ask("GET /v1/runs/1/artifacts?step=fit&name=x&limit=3&after=fit/196/0");
    assert_int_equal(count_lines(), 3);
    expect_text("\"task\":\"197\"");
    expect_text("\"task\":\"199\"");
    ask("GET /v1/runs/1/artifacts?step=fit&name=x&limit=3&after=fit/198/0");
    assert_int_equal(count_lines(), 1);
    ask("GET /v1/runs/1/artifacts?step=fit&name=x&limit=0");
    expect_status(200);
    assert_int_equal(count_lines(), 0);
    ask("GET /v1/runs/1/artifacts?step=nothing");
    expect_status(404);
    ask("GET /v1/runs/1/artifacts?task=1");
    expect_status(400);
    ask("GET /v1/runs/1/artifacts?inline=65537");
    expect_status(400);
    ask("GET /v1/runs/1/artifacts?after=fit");
    expect_status(400);
}

/* ---- blobs ---- */

static void put_blob(const char *data, size_t len, const struct digest *id, int status)
{
    char text[DIGEST_TEXT_SIZE], line[128];

    digest_text(id, text);
    snprintf(line, sizeof(line), "PUT /v1/blobs/%s", text);
    ask_at(user_path, line, "", data, len);
    expect_status(status);
}

static void get_blob(const char *data, size_t len, const struct digest *id)
{
    char text[DIGEST_TEXT_SIZE], line[128];

    digest_text(id, text);
    snprintf(line, sizeof(line), "GET /v1/blobs/%s", text);
    ask(line);
    expect_status(200);
    assert_int_equal((size_t)(answer.data + answer.len - body_of_answer()), len);
    assert_memory_equal(body_of_answer(), data, len);
}

static void a_blob_of_each_class_comes_back(void **state)
{
    static const size_t sizes[] = { 0, 10, 300 << 10, 9 << 20 };

    (void)state;
    for (uint32_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char *data = make_bytes(sizes[i], i);
        struct digest_stream *stream = digest_stream_new();
        struct digest id;

        digest_stream_add(stream, data, sizes[i]);
        id = digest_stream_end(stream);
        digest_stream_free(stream);
        put_blob(data, sizes[i], &id, 201);
        put_blob(data, sizes[i], &id, 200);
        get_blob(data, sizes[i], &id);
        free(data);
    }
}

static void a_blob_must_be_what_its_name_says(void **state)
{
    struct digest id = digest_memory("a", 1);

    (void)state;
    put_blob("b", 1, &id, 400);
    ask("GET /v1/blobs/12");
    expect_status(400);
    ask("GET /v1/blobs/"
        "0000000000000000000000000000000000000000000000000000000000000000");
    expect_status(404);
}

static void a_tree_is_kept_when_all_of_it_is_here(void **state)
{
    struct digest id = digest_memory("hello", 5);
    char text[DIGEST_TEXT_SIZE], manifest[256], missing[128];

    (void)state;
    digest_text(&id, text);
    snprintf(manifest, sizeof(manifest), "mesh-tree 1\n644 5 %s a.txt\n", text);
    snprintf(missing, sizeof(missing), "{\"ids\": [\"%s\"]}", text);
    post("POST /v1/blobs/missing", missing);
    expect_text(text);
    post("PUT /v1/trees", manifest);
    expect_status(409);
    expect_text(text);
    put_blob("hello", 5, &id, 201);
    post("POST /v1/blobs/missing", missing);
    assert_string_equal(body_of_answer(), "{\"missing\":[]}");
    post("PUT /v1/trees", manifest);
    expect_status(201);
    post("PUT /v1/trees", "mesh-tree 1\n644 5 x ../a.txt\n");
    expect_status(400);
    manifest[16] = '6'; /* the size */
    post("PUT /v1/trees", manifest);
    expect_status(400);
}

static void uploads_are_held_against_gc(void **state)
{
    struct digest sent = digest_memory("sent", 4), forgotten;

    (void)state;
    put_blob("sent", 4, &sent, 201);
    assert_int_equal(blobs_put(fake.fixture->blobs, "old", 3, &forgotten), 0);
    post("POST /v1/gc", "{\"dry_run\": true}");
    expect_status(200);
    expect_text("\"n_kept\":1,\"n_freed\":1");
    post("POST /v1/gc", "");
    expect_text("\"dry_run\":false,\"n_kept\":1,\"n_freed\":1");
    post("POST /v1/gc", "");
    expect_text("\"n_kept\":1,\"n_freed\":0");
}

/* ---- verify ---- */

static void verify_names_what_is_damaged(void **state)
{
    struct artifact gone = { .name = (char *)"gone",
                             .type = (char *)"bytes",
                             .encoding = ENCODING_BYTES,
                             .size = 5000,
                             .id = digest_memory("x", 1) };
    struct attempt_record a = { .run = make_run(1),
                                .task = fit(1),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK,
                                .outputs = &gone,
                                .n_outputs = 1 };
    struct buffer junk = BUFFER_INIT;
    struct task_id torn = fit(7);

    (void)state;
    post("POST /v1/runs/1/verify", "");
    expect_status(200);
    expect_text("\"damaged\":[]");
    put_attempt(&a);
    buffer_puts(&junk, "junk");
    put_record(attempt_key(&a.run, &torn, 0), &junk);
    post("POST /v1/runs/1/verify", "");
    expect_text("\"n_damaged\":2");
    expect_text("{\"what\":\"artifact\",\"step\":\"fit\",\"task\":\"1\",\"attempt\":0,"
                "\"name\":\"gone\"");
    expect_text("\"problem\":\"it is not in the store\"");
    expect_text("{\"what\":\"record\",\"step\":\"fit\",\"task\":\"7\"");
    post("POST /v1/gc", "");
    expect_status(500); /* a record that cannot be read may name any blob */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(artifacts_are_sent_whole_or_in_part),
        CASE(what_tasks_made_comes_in_lines),
        CASE(what_tasks_made_comes_in_pages),
        CASE(a_blob_of_each_class_comes_back),
        CASE(a_blob_must_be_what_its_name_says),
        CASE(a_tree_is_kept_when_all_of_it_is_here),
        CASE(uploads_are_held_against_gc),
        CASE(verify_names_what_is_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
