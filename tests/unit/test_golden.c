/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of everything that is kept, against tests/wire/: a difference means that
 * stores written before can no longer be read. Then raise RECORD_VERSION or take the
 * change back; do not edit the files. */
#include "node/log.h"
#include "proto/record.h"
#include "tests/unit/golden.h"

static const struct run_id run = { { 0x01, 0x9a, 0x4f, 0x30, 0xc2, 0x11, 0, 1, 2, 3, 4,
                                     5, 6, 7, 8, 9 } };
static const struct digest digest = { { 0xd0, 1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                        11,   12, 13, 14, 15, 16, 17, 18, 19, 20, 21,
                                        22,   23, 24, 25, 26, 27, 28, 29, 30, 31 } };
static const struct task_id task = {
    .step = 3, .depth = 2, .path = { 17, 70000 }, .iteration = 1
};

static void attempt_lean(struct buffer *out)
{
    static const struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .pid = 12345,
        .max_rss_bytes = 1900 << 10,
        .cpu_us = 900,
    };

    attempt_record_encode(&r, out);
}

static void attempt_full(struct buffer *out)
{
    struct artifact outputs[] = {
        { .name = (char *)"x",
          .type = (char *)"json",
          .encoding = ENCODING_JSON,
          .size = 2,
          .id = digest,
          .inline_data = (uint8_t *)"42" },
        { .name = (char *)"model",
          .type = (char *)"folder",
          .encoding = ENCODING_TREE,
          .size = 70000,
          .id = digest,
          .is_inherited = true },
    };
    struct attempt_record r = {
        .verdict = VERDICT_FAILED,
        .reason = REASON_SIGNAL,
        .exit_code = -1,
        .signal = 11,
        .message = (char *)"signal 11",
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 - 1, /* the clock was set back */
        .width = 0,
        .has_width = true,
        .choice = (char *)"yes",
        .outputs = outputs,
        .n_outputs = ARRAY_SIZE(outputs),
        .log = { .has_blob = true, .blob = digest, .size = 5000, .is_truncated = true },
        .origin = run,
        .has_origin = true,
    };

    attempt_record_encode(&r, out);
}

static void attempt_use(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 2500000,
        .max_rss_bytes = 300 << 20,
        .cpu_us = 4000000,
        .memory_peak_bytes = 512 << 20,
        .cpu_peak_milli = 1950,
    };

    attempt_record_encode(&r, out);
}

static void attempt_gpus(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .gpus = 1 | 1 << 9,
    };

    attempt_record_encode(&r, out);
}

static void attempt_undone(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_LOST,
        .reason = REASON_OUTPUT_LOST,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .message = (char *)"gone",
        .made = digest,
        .has_made = true,
    };

    attempt_record_encode(&r, out);
}

static void attempt_executor(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .node = { { 0xad, 0xa0 } },
        .boot = 2,
        .counter = 300,
        .witness = digest,
        .has_witness = true,
    };

    attempt_record_encode(&r, out);
}

/* Its leader judged otherwise. */
static void attempt_signed(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_FAILED,
        .reason = REASON_CHOICE,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .node = { { 0xad, 0xa0 } },
        .boot = 2,
        .counter = 300,
        .signature_len = 65,
        .said = digest,
        .is_judged = true,
    };

    for (uint8_t i = 0; i < 65; i++)
        r.signature[i] = i;
    attempt_record_encode(&r, out);
}

static void attempt_fence(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .fence = 300,
    };

    attempt_record_encode(&r, out);
}

static void fence(struct buffer *out)
{
    fence_record_encode(300, out);
}

static void attempt_log(struct buffer *out)
{
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .log = { .inline_data = (uint8_t *)"\x01\x07\x03hi\n",
                 .inline_len = 6,
                 .size = 6 },
    };

    attempt_record_encode(&r, out);
}

static void attempt_python(struct buffer *out)
{
    struct artifact outputs[] = {
        { .name = (char *)"model",
          .type = (char *)"sklearn.svm.SVC",
          .encoding = ENCODING_PICKLE,
          .size = 3,
          .id = digest,
          .inline_data = (uint8_t *)"\x80\x05." },
        { .name = (char *)"rows",
          .type = (char *)"numpy.ndarray",
          .encoding = ENCODING_NPY,
          .size = 800128,
          .id = digest },
        { .name = (char *)"table",
          .type = (char *)"pyarrow.lib.Table",
          .encoding = ENCODING_ARROW,
          .size = 70000,
          .id = digest },
    };
    struct attempt_record r = {
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1500,
        .outputs = outputs,
        .n_outputs = ARRAY_SIZE(outputs),
    };

    attempt_record_encode(&r, out);
}

static void run_record(struct buffer *out)
{
    struct record_parameter parameters[] = {
        { .name = (char *)"alpha", .value = (char *)"0.5" },
        { .name = (char *)"key", .value = (char *)"", .is_secret = true },
    };
    char *tags[] = { (char *)"nightly" };
    struct run_record r = {
        .run = run,
        .number = 300,
        .flow_name = (char *)"train",
        .flow_path = (char *)"train.mf",
        .flow_text = (char *)"flow: train\n",
        .flow_text_len = 12,
        .package = digest,
        .parameters = parameters,
        .n_parameters = ARRAY_SIZE(parameters),
        .tags = tags,
        .n_tags = ARRAY_SIZE(tags),
        .user = (char *)"ada",
        .submitted_wall = 1795253705123456,
        .max_workers = 16,
        .origin = run,
        .has_origin = true,
        .on_failure = (char *)"stop",
    };

    run_record_encode(&r, out);
}

static void run_share(struct buffer *out)
{
    struct run_record r = {
        .run = run,
        .number = 300,
        .flow_name = (char *)"train",
        .package = digest,
        .user = (char *)"ada",
        .submitted_wall = 1795253705123456,
        .share = 3,
    };

    run_record_encode(&r, out);
}

static void run_end(struct buffer *out)
{
    struct run_end_record r = {
        .run = run,
        .outcome = RUN_FAILED,
        .started_wall = 1795253705123456,
        .ended_wall = 1795253705123456 + 1000000,
        .n_done = 1,
        .n_failed = 2,
        .n_skipped = 300,
        .n_adopted = 4,
        .n_attempts = 5,
        .message = (char *)"fit failed",
    };

    run_end_record_encode(&r, out);
}

static void run_state(struct buffer *out)
{
    char *tags[] = { (char *)"best", (char *)"" };
    struct run_state_record r = { .is_cancelled = true,
                                  .is_suspended = true,
                                  .has_tags = true,
                                  .tags = tags,
                                  .n_tags = ARRAY_SIZE(tags) };

    run_state_record_encode(&r, out);
}

static void run_state_untouched(struct buffer *out)
{
    run_state_record_encode(&(struct run_state_record){ .n_tags = 0 }, out);
}

static void put_key(struct buffer *out, struct record_key key)
{
    buffer_append(out, key.bytes, key.len);
}

static void keys(struct buffer *out)
{
    put_key(out, run_key(&run));
    put_key(out, run_end_key(&run));
    put_key(out, number_key(300));
    put_key(out, attempt_key(&run, &task, 2));
    put_key(out, attempts_of_run(&run));
    put_key(out, attempts_of_step(&run, 240));
    put_key(out, attempts_of_task(&run, &task));
}

static void log_pieces(struct buffer *out)
{
    log_piece_encode(LOG_STDOUT, 0, "out\n", 4, out);
    log_piece_encode(LOG_STDERR, 1500000, "err", 3, out);
}

static void assert_golden(const char *name, void (*encode)(struct buffer *out))
{
    CLEANUP(buffer_release) struct buffer now = BUFFER_INIT;

    encode(&now);
    golden_compare(name, &now);
}

static void test_records(void **state UNUSED)
{
    assert_golden("attempt_lean", attempt_lean);
    assert_golden("attempt_log", attempt_log);
    assert_golden("attempt_use", attempt_use);
    assert_golden("attempt_full", attempt_full);
    assert_golden("attempt_python", attempt_python);
    assert_golden("attempt_gpus", attempt_gpus);
    assert_golden("attempt_executor", attempt_executor);
    assert_golden("attempt_signed", attempt_signed);
    assert_golden("attempt_fence", attempt_fence);
    assert_golden("fence", fence);
    assert_golden("attempt_undone", attempt_undone);
    assert_golden("run", run_record);
    assert_golden("run_share", run_share);
    assert_golden("run_end", run_end);
    assert_golden("run_state", run_state);
    assert_golden("run_state_untouched", run_state_untouched);
}

static void state_key(struct buffer *out)
{
    put_key(out, run_state_key(&run));
}

static void fence_keys(struct buffer *out)
{
    put_key(out, fence_key(&run, &task));
    put_key(out, fences_of_run(&run));
}

static void test_keys(void **state UNUSED)
{
    assert_golden("keys", keys);
    assert_golden("run_state_key", state_key);
    assert_golden("fence_keys", fence_keys);
}

static void test_log_pieces(void **state UNUSED)
{
    assert_golden("log", log_pieces);
}

/* The bytes are read too, not only written: an encoder and a file that changed together
 * would still be found by whoever kept the old bytes. */
static void test_old_bytes_are_read(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer golden = BUFFER_INIT;
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    golden_read("attempt_full", &golden);
    assert_int_equal(attempt_record_decode(golden.data, golden.len, &r), 0);
    assert_int_equal(r.verdict, VERDICT_FAILED);
    assert_int_equal(r.ended_wall, 1795253705123455);
    assert_int_equal(r.n_outputs, 2);
    assert_string_equal(r.outputs[1].type, "folder");
    assert_int_equal(r.log.size, 5000);
    assert_true(run_id_equal(&r.origin, &run));
}

static void test_encodings_keep_their_numbers(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer golden = BUFFER_INIT;
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };

    golden_read("attempt_python", &golden);
    assert_int_equal(attempt_record_decode(golden.data, golden.len, &r), 0);
    assert_int_equal(r.n_outputs, 3);
    assert_int_equal(r.outputs[0].encoding, ENCODING_PICKLE);
    assert_int_equal(r.outputs[1].encoding, ENCODING_NPY);
    assert_int_equal(r.outputs[2].encoding, ENCODING_ARROW);
    for (unsigned e = ENCODING_BYTES; e <= ENCODING_ARROW; e++)
        assert_int_equal(encoding_find(encoding_name(e)), e);
    assert_int_equal(encoding_find("unknown"), 0);
    assert_int_equal(encoding_find(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_log_pieces),
        cmocka_unit_test(test_old_bytes_are_read),
        cmocka_unit_test(test_encodings_keep_their_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
