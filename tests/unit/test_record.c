/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/prng.h"
#include "proto/format.h"
#include "tests/unit/unit.h"

enum { HEADER = RECORD_HEADER_SIZE };

/* A task that wrote nothing, made nothing and ended well. */
static const struct attempt_record lean = {
    .verdict = VERDICT_DONE,
    .reason = REASON_OK,
    .started_wall = 1795253705123456,
    .ended_wall = 1795253705123456 + 1200345,
    .pid = 4123456,
    .max_rss_bytes = 1900 << 10,
    .cpu_us = 1034567,
};

static struct attempt_record full_attempt(void)
{
    static struct artifact outputs[] = {
        { .name = (char *)"x",
          .type = (char *)"json",
          .encoding = ENCODING_JSON,
          .size = 2,
          .id = { { 1, 2, 3 } },
          .inline_data = (uint8_t *)"42" },
        { .name = (char *)"none",
          .type = (char *)"bytes",
          .encoding = ENCODING_BYTES,
          .size = 0,
          .inline_data = (uint8_t *)"" },
        { .name = (char *)"mod\xc3\xa8le",
          .type = (char *)"folder",
          .encoding = ENCODING_TREE,
          .size = 5000000000,
          .id = { { 0xff } },
          .is_inherited = true },
    };

    return (struct attempt_record){
        .verdict = VERDICT_FAILED,
        .reason = REASON_SIGNAL,
        .exit_code = -1,
        .signal = 11,
        .message = (char *)"ended by signal 11",
        .started_wall = 2000,
        .ended_wall = 1000, /* the clock was set back */
        .pid = 1,
        .max_rss_bytes = 1,
        .cpu_us = 1,
        .memory_peak_bytes = 1,
        .cpu_peak_milli = 1,
        .gpus = UINT64_MAX,
        .width = 0,
        .has_width = true,
        .choice = (char *)"",
        .outputs = outputs,
        .n_outputs = ARRAY_SIZE(outputs),
        .log = { .has_blob = true,
                 .blob = { { 7 } },
                 .size = 70000,
                 .is_truncated = true },
        .origin = { { 5 } },
        .has_origin = true,
    };
}

static struct run_record full_run(void)
{
    static struct record_parameter parameters[] = {
        { .name = (char *)"alpha", .value = (char *)"0.5" },
        { .name = (char *)"key", .value = (char *)"hush", .is_secret = true },
        { .name = (char *)"empty", .value = (char *)"" },
    };
    static char *tags[] = { (char *)"nightly", (char *)"" };

    return (struct run_record){
        .run = { { 1 } },
        .number = 42,
        .flow_name = (char *)"train",
        .flow_path = (char *)"flows/train.mf",
        .flow_text = (char *)"flow: train\n\0any",
        .flow_text_len = 16,
        .package = { { 2 } },
        .parameters = parameters,
        .n_parameters = ARRAY_SIZE(parameters),
        .tags = tags,
        .n_tags = ARRAY_SIZE(tags),
        .user = (char *)"ada",
        .submitted_wall = 1795253705123456,
        .max_workers = 16,
        .origin = { { 3 } },
        .has_origin = true,
        .on_failure = (char *)"finish",
        .share = 3,
    };
}

static void assert_text_equal(const char *a, const char *b)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a)
        assert_string_equal(a, b);
}

static void assert_bytes_equal(const void *a, const void *b, size_t len)
{
    assert_int_equal(a == NULL, b == NULL);
    if (a && len)
        assert_memory_equal(a, b, len);
}

static void assert_artifact_equal(const struct artifact *a, const struct artifact *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->type, b->type);
    assert_int_equal(a->encoding, b->encoding);
    assert_int_equal(a->size, b->size);
    assert_true(digest_equal(&a->id, &b->id));
    assert_bytes_equal(a->inline_data, b->inline_data, a->size);
    assert_int_equal(a->is_inherited, b->is_inherited);
}

static void assert_log_equal(const struct log_ref *a, const struct log_ref *b)
{
    assert_int_equal(a->inline_len, b->inline_len);
    assert_bytes_equal(a->inline_data, b->inline_data, a->inline_len);
    assert_int_equal(a->has_blob, b->has_blob);
    assert_true(digest_equal(&a->blob, &b->blob));
    assert_int_equal(a->size, b->size);
    assert_int_equal(a->is_truncated, b->is_truncated);
}

static void assert_attempt_equal(const struct attempt_record *a,
                                 const struct attempt_record *b)
{
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->exit_code, b->exit_code);
    assert_int_equal(a->signal, b->signal);
    assert_text_equal(a->message, b->message);
    assert_int_equal(a->started_wall, b->started_wall);
    assert_int_equal(a->ended_wall, b->ended_wall);
    assert_int_equal(a->pid, b->pid);
    assert_int_equal(a->max_rss_bytes, b->max_rss_bytes);
    assert_int_equal(a->cpu_us, b->cpu_us);
    assert_int_equal(a->memory_peak_bytes, b->memory_peak_bytes);
    assert_int_equal(a->cpu_peak_milli, b->cpu_peak_milli);
    assert_true(a->gpus == b->gpus);
    assert_int_equal(a->width, b->width);
    assert_int_equal(a->has_width, b->has_width);
    assert_text_equal(a->choice, b->choice);
    assert_int_equal(a->n_outputs, b->n_outputs);
    for (size_t i = 0; i < a->n_outputs; i++)
        assert_artifact_equal(&a->outputs[i], &b->outputs[i]);
    assert_log_equal(&a->log, &b->log);
    assert_int_equal(a->has_origin, b->has_origin);
    assert_true(run_id_equal(&a->origin, &b->origin));
}

static void attempt_round_trip(const struct attempt_record *r)
{
    CLEANUP(attempt_record_release) struct attempt_record back = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    buffer_puts(&out, "before");
    assert_int_equal(attempt_record_encode(r, &out), 0);
    assert_memory_equal(out.data, "before", 6);
    assert_int_equal(attempt_record_decode(out.data + 6, out.len - 6, &back), 0);
    assert_attempt_equal(r, &back);
}

static void test_a_lean_attempt_is_small(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(attempt_record_encode(&lean, &out), 0);
    assert_in_range(out.len, HEADER + 20, 45);
    attempt_round_trip(&lean);
}

static void test_attempts_come_back(void **state UNUSED)
{
    struct attempt_record r = full_attempt();
    struct attempt_record least = { .verdict = VERDICT_LOST, .reason = REASON_LOST };

    attempt_round_trip(&r);
    attempt_round_trip(&least);
    least.log = (struct log_ref){ .inline_data = (uint8_t *)"\1\0\5hello",
                                  .inline_len = 8,
                                  .size = 8 };
    attempt_round_trip(&least);
    least.log.size = 900; /* what was cut off is counted too */
    least.log.is_truncated = true;
    attempt_round_trip(&least);
    least.started_wall = UINT64_MAX;
    attempt_round_trip(&least);
}

static char *draw_text(struct prng *p)
{
    static const char *const texts[] = { "", "a", "loss", "\xe2\x82\xac 5", "x y\nz" };

    return (char *)texts[prng_below(p, ARRAY_SIZE(texts))];
}

static uint64_t draw_number(struct prng *p)
{
    return prng_below(p, 3) ? prng_next(p) >> prng_below(p, 64) : 0;
}

static struct artifact draw_artifact(struct prng *p)
{
    struct artifact a = { .name = draw_text(p),
                          .type = draw_text(p),
                          .encoding = 1 + (unsigned)prng_below(p, 6),
                          .is_inherited = prng_below(p, 2) };

    a.id.bytes[prng_below(p, 32)] = (uint8_t)prng_next(p);
    a.inline_data = prng_below(p, 2) ? (uint8_t *)draw_text(p) : NULL;
    a.size = a.inline_data ? strlen((char *)a.inline_data) : draw_number(p);
    return a;
}

/* outputs has room for 5. */
static struct attempt_record draw_attempt(struct prng *p, struct artifact *outputs)
{
    struct attempt_record r = {
        .verdict = 1 + (unsigned)prng_below(p, 5),
        .reason = 1 + (unsigned)prng_below(p, 15),
        .exit_code = (int)draw_number(p),
        .signal = (int)prng_below(p, 65),
        .message = prng_below(p, 2) ? draw_text(p) : NULL,
        .started_wall = draw_number(p),
        .ended_wall = draw_number(p),
        .pid = (uint32_t)draw_number(p),
        .max_rss_bytes = draw_number(p),
        .cpu_us = draw_number(p),
        .memory_peak_bytes = draw_number(p),
        .cpu_peak_milli = draw_number(p),
        .gpus = draw_number(p),
        .choice = prng_below(p, 2) ? draw_text(p) : NULL,
        .outputs = outputs,
        .n_outputs = prng_below(p, 6),
        .has_width = prng_below(p, 2),
        .has_origin = prng_below(p, 2),
    };

    for (size_t i = 0; i < r.n_outputs; i++)
        outputs[i] = draw_artifact(p);
    r.width = r.has_width ? draw_number(p) : 0;
    r.origin.bytes[3] = r.has_origin ? (uint8_t)prng_next(p) : 0;
    r.log.has_blob = prng_below(p, 2);
    r.log.blob.bytes[9] = r.log.has_blob ? (uint8_t)prng_next(p) : 0;
    if (!r.log.has_blob) {
        r.log.inline_data = (uint8_t *)draw_text(p);
        r.log.inline_len = strlen((char *)r.log.inline_data);
        r.log.inline_data = r.log.inline_len ? r.log.inline_data : NULL;
    }
    r.log.size = prng_below(p, 2) ? draw_number(p) : r.log.inline_len;
    return r;
}

static void test_any_attempt_comes_back(void **state UNUSED)
{
    struct prng p;

    prng_init(&p, 21);
    for (int i = 0; i < 20000; i++) {
        struct artifact outputs[5];
        struct attempt_record r = draw_attempt(&p, outputs);

        attempt_round_trip(&r);
    }
}

static void test_runs_come_back(void **state UNUSED)
{
    CLEANUP(run_record_release) struct run_record back = { .number = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct run_record r = full_run();

    assert_int_equal(run_record_encode(&r, &out), 0);
    assert_null(memmem(out.data, out.len, "hush", 4));
    assert_int_equal(run_record_decode(out.data, out.len, &back), 0);
    assert_true(run_id_equal(&r.run, &back.run));
    assert_int_equal(back.number, 42);
    assert_string_equal(back.flow_name, "train");
    assert_string_equal(back.flow_path, "flows/train.mf");
    assert_int_equal(back.flow_text_len, 16);
    assert_memory_equal(back.flow_text, r.flow_text, 17);
    assert_true(digest_equal(&r.package, &back.package));
    assert_int_equal(back.n_parameters, 3);
    assert_string_equal(back.parameters[0].name, "alpha");
    assert_string_equal(back.parameters[0].value, "0.5");
    assert_false(back.parameters[0].is_secret);
    assert_string_equal(back.parameters[1].name, "key");
    assert_string_equal(back.parameters[1].value, "");
    assert_true(back.parameters[1].is_secret);
    assert_string_equal(back.parameters[2].value, "");
    assert_int_equal(back.n_tags, 2);
    assert_string_equal(back.tags[0], "nightly");
    assert_string_equal(back.tags[1], "");
    assert_string_equal(back.user, "ada");
    assert_int_equal(back.submitted_wall, r.submitted_wall);
    assert_int_equal(back.max_workers, 16);
    assert_true(back.has_origin);
    assert_true(run_id_equal(&r.origin, &back.origin));
    assert_string_equal(back.on_failure, "finish");
    assert_int_equal(back.share, 3);
}

static void test_what_a_run_leaves_out(void **state UNUSED)
{
    CLEANUP(run_record_release) struct run_record back = { .number = 9 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct run_record least = { .run = { { 1 } } };

    assert_int_equal(run_record_encode(&least, &out), 0);
    assert_int_equal(run_record_decode(out.data, out.len, &back), 0);
    assert_int_equal(back.number, 0);
    assert_string_equal(back.flow_name, "");
    assert_string_equal(back.flow_path, "");
    assert_string_equal(back.flow_text, "");
    assert_string_equal(back.user, "");
    assert_null(back.on_failure);
    assert_null(back.parameters);
    assert_null(back.tags);
    assert_false(back.has_origin);
}

static void test_run_ends_come_back(void **state UNUSED)
{
    struct run_end_record r = { .run = { { 1 } },
                                .outcome = RUN_CANCELLED,
                                .started_wall = 10,
                                .ended_wall = 5000000000,
                                .n_done = 1,
                                .n_failed = 2,
                                .n_skipped = 3,
                                .n_adopted = 4,
                                .n_attempts = UINT64_MAX,
                                .message = (char *)"step 'fit' failed" };
    CLEANUP(run_end_record_release) struct run_end_record back = { .n_done = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(run_end_record_encode(&r, &out), 0);
    assert_int_equal(run_end_record_decode(out.data, out.len, &back), 0);
    assert_true(run_id_equal(&r.run, &back.run));
    assert_int_equal(back.outcome, RUN_CANCELLED);
    assert_int_equal(back.started_wall, 10);
    assert_int_equal(back.ended_wall, 5000000000);
    assert_int_equal(back.n_done, 1);
    assert_int_equal(back.n_failed, 2);
    assert_int_equal(back.n_skipped, 3);
    assert_int_equal(back.n_adopted, 4);
    assert_true(back.n_attempts == UINT64_MAX);
    assert_string_equal(back.message, "step 'fit' failed");
}

static void test_run_states_come_back(void **state UNUSED)
{
    char *tags[] = { (char *)"best", (char *)"a, b", (char *)"caf\xc3\xa9" };
    struct run_state_record r = {
        .is_suspended = true, .has_tags = true, .tags = tags, .n_tags = ARRAY_SIZE(tags)
    };
    CLEANUP(run_state_record_release) struct run_state_record back = { .n_tags = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(run_state_record_encode(&r, &out), 0);
    assert_int_equal(run_state_record_decode(out.data, out.len, &back), 0);
    assert_true(back.is_suspended);
    assert_false(back.is_cancelled);
    assert_true(back.has_tags);
    assert_int_equal(back.n_tags, 3);
    for (size_t i = 0; i < back.n_tags; i++)
        assert_string_equal(back.tags[i], tags[i]);
}

static void test_fences_come_back(void **state UNUSED)
{
    const struct task_id task = {
        .step = 2, .depth = 1, .path = { 7 }, .iteration = 1
    };
    const struct run_id run = { { 1, 2, 3 } };
    struct record_key key = fence_key(&run, &task), prefix = fences_of_run(&run);
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    uint64_t fence = 7;
    struct run_id run_back;
    struct task_id task_back;

    assert_int_equal(fence_record_encode(UINT64_MAX, &out), 0);
    for (size_t i = 0; i < out.len; i++) {
        out.data[i] ^= 1;
        assert_int_not_equal(fence_record_decode(out.data, out.len, &fence), 0);
        assert_true(fence == 7);
        out.data[i] ^= 1;
    }
    assert_int_equal(fence_record_decode(out.data, out.len, &fence), 0);
    assert_true(fence == UINT64_MAX);
    assert_int_equal(fence_record_encode(0, &out), -EINVAL);
    assert_memory_equal(key.bytes, prefix.bytes, prefix.len);
    assert_int_equal(fence_key_decode(key.bytes, key.len, &run_back, &task_back), 0);
    assert_true(run_id_equal(&run_back, &run) && task_id_equal(&task_back, &task));
    assert_int_equal(fence_key_decode(key.bytes, key.len - 1, &run_back, &task_back),
                     -EBADMSG);
}

/* All tags were taken away, which is not the same as that nobody changed them. */
static void test_no_tags_are_tags(void **state UNUSED)
{
    struct run_state_record r = { .has_tags = true };
    CLEANUP(run_state_record_release) struct run_state_record back = { .n_tags = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    assert_int_equal(run_state_record_encode(&r, &out), 0);
    assert_int_equal(run_state_record_decode(out.data, out.len, &back), 0);
    assert_true(back.has_tags);
    assert_int_equal(back.n_tags, 0);
}

/* The four decoders as one, so that what must hold for each is said once. */
static int decode_any(int kind, const void *data, size_t len)
{
    CLEANUP(run_record_release) struct run_record run = { .number = 0 };
    CLEANUP(run_end_record_release) struct run_end_record end = { .n_done = 0 };
    CLEANUP(attempt_record_release) struct attempt_record attempt = { .attempt = 0 };
    CLEANUP(run_state_record_release) struct run_state_record s = { .n_tags = 0 };

    switch (kind) {
    case 'm':
        return run_state_record_decode(data, len, &s);
    case 'r':
        return run_record_decode(data, len, &run);
    case 'e':
        return run_end_record_decode(data, len, &end);
    default:
        return attempt_record_decode(data, len, &attempt);
    }
}

static void encode_any(int kind, struct buffer *out)
{
    struct run_end_record end = { .run = { { 1 } },
                                  .outcome = RUN_FAILED,
                                  .n_done = 7 };
    struct attempt_record attempt = full_attempt();
    struct run_record run = full_run();
    struct run_state_record s = { .has_tags = true,
                                  .tags = run.tags,
                                  .n_tags = run.n_tags };

    switch (kind) {
    case 'm':
        assert_int_equal(run_state_record_encode(&s, out), 0);
        break;
    case 'r':
        assert_int_equal(run_record_encode(&run, out), 0);
        break;
    case 'e':
        assert_int_equal(run_end_record_encode(&end, out), 0);
        break;
    default:
        assert_int_equal(attempt_record_encode(&attempt, out), 0);
    }
}

static void test_any_flipped_bit_is_refused(void **state UNUSED)
{
    for (const char *kind = "ream"; *kind; kind++) {
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

        encode_any(*kind, &out);
        assert_int_equal(decode_any(*kind, out.data, out.len), 0);
        for (size_t bit = 0; bit < 8 * out.len; bit++) {
            int r;

            out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
            r = decode_any(*kind, out.data, out.len);
            assert_true(r
                        == (bit / 8 == 1 && out.data[1] ? -EPROTONOSUPPORT : -EBADMSG));
            out.data[bit / 8] = (char)(out.data[bit / 8] ^ 1 << bit % 8);
        }
    }
}

static void test_any_torn_record_is_refused(void **state UNUSED)
{
    for (const char *kind = "ream"; *kind; kind++) {
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

        encode_any(*kind, &out);
        for (size_t len = 0; len < out.len; len++)
            assert_int_equal(decode_any(*kind, out.data, len), -EBADMSG);
        buffer_putc(&out, '\0');
        assert_int_equal(decode_any(*kind, out.data, out.len), -EBADMSG);
    }
}

/* A message with a header that is right, whatever is in the message. */
static void seal(struct buffer *out, const void *message, size_t len)
{
    uint64_t sum = record_checksum(message, len);

    buffer_append(out, "m\1", 2);
    for (int i = 0; i < 8; i++)
        buffer_putc(out, (char)(sum >> (8 * i)));
    buffer_append(out, message, len);
}

static int decode_message(int kind, const void *message, size_t len)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;

    seal(&out, message, len);
    return decode_any(kind, out.data, out.len);
}

#define DECODE(kind, literal) decode_message(kind, literal, sizeof(literal) - 1)
#define SIXTEEN "0123456789abcdef"
#define ARTIFACT_ID "\x2a\x20" SIXTEEN SIXTEEN

static void test_messages_that_break_a_rule(void **state UNUSED)
{
    assert_int_equal(DECODE('a', ""), 0);
    assert_int_equal(DECODE('a', "\x08\x00"), -EBADMSG);         /* verdict 0 */
    assert_int_equal(DECODE('a', "\x08\x06"), -EPROTONOSUPPORT); /* of the future */
    assert_int_equal(DECODE('a', "\x10\x00"), -EBADMSG);
    assert_int_equal(DECODE('a', "\x10\x12"), -EPROTONOSUPPORT);
    assert_int_equal(DECODE('a', "\x52\x00"), -EBADMSG);  /* an empty inline log */
    assert_int_equal(DECODE('a', "\x5a\x01x"), -EBADMSG); /* a digest of a byte */
    assert_int_equal(DECODE('a', "\x52\x01x\x5a\x20" SIXTEEN SIXTEEN), -EBADMSG);
    assert_int_equal(DECODE('a', "\x9a\x01\x0f"
                                 "0123456789abcde"),
                     -EBADMSG);
    assert_int_equal(DECODE('a', "\x9a\x01\x10" SIXTEEN), 0);
    assert_int_equal(DECODE('a', "\x8a\x01\x02\xc3\x28"), -EBADMSG); /* no UTF-8 */
    assert_int_equal(DECODE('a', "\x8a\x01\x03"
                                 "a\0b"),
                     -EBADMSG);
    assert_int_equal(DECODE('a', "\x92\x01\x01\x80"), -EBADMSG);
    assert_int_equal(DECODE('a', "\x08"), -EBADMSG);      /* a value is missing */
    assert_int_equal(DECODE('a', "\x52\x05x"), -EBADMSG); /* longer than all */

    assert_int_equal(DECODE('r', ""), -EBADMSG);
    assert_int_equal(DECODE('r', "\x0a\x10" SIXTEEN), -EBADMSG); /* no package */
    assert_int_equal(DECODE('r', "\x0a\x10" SIXTEEN "\x32\x20" SIXTEEN SIXTEEN), 0);
    assert_int_equal(DECODE('r',
                            "\x0a\x10" SIXTEEN "\x32\x20" SIXTEEN SIXTEEN "\x62\x00"),
                     -EBADMSG);
    assert_int_equal(DECODE('r', "\x0a\x10" SIXTEEN "\x32\x20" SIXTEEN SIXTEEN
                                 "\x6a\x01\xff"),
                     -EBADMSG);

    assert_int_equal(DECODE('e', ""), -EBADMSG);
    assert_int_equal(DECODE('e', "\x0a\x10" SIXTEEN), 0);
    assert_int_equal(DECODE('e', "\x0a\x10" SIXTEEN "\x10\x04"), -EPROTONOSUPPORT);
    assert_int_equal(DECODE('e', "\x0a\x10" SIXTEEN "\x10\x00"), -EBADMSG);
}

static void test_artifacts_that_break_a_rule(void **state UNUSED)
{
    assert_int_equal(DECODE('a', "\x72\x25\x0a\x01x" ARTIFACT_ID), 0);
    assert_int_equal(DECODE('a', "\x72\x00"), -EBADMSG);
    assert_int_equal(DECODE('a', "\x72\x22" ARTIFACT_ID), -EBADMSG);
    assert_int_equal(DECODE('a', "\x72\x03\x0a\x01x"), -EBADMSG);
    assert_int_equal(DECODE('a', "\x72\x27\x0a\x01x\x18\x07" ARTIFACT_ID),
                     -EPROTONOSUPPORT);
    assert_int_equal(DECODE('a', "\x72\x28\x0a\x01x\x32\x01y" ARTIFACT_ID), 0);
    assert_int_equal(DECODE('a', "\x72\x2a\x0a\x01x\x20\x02\x32\x01y" ARTIFACT_ID),
                     -EBADMSG);
}

/* What a newer node adds is skipped: field 100, then one of ours. */
static void test_unknown_fields_are_skipped(void **state UNUSED)
{
    CLEANUP(attempt_record_release) struct attempt_record r = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    static const char message[] = "\xa2\x06\x03new\x30\x05";

    seal(&out, message, sizeof(message) - 1);
    assert_int_equal(attempt_record_decode(out.data, out.len, &r), 0);
    assert_int_equal(r.pid, 5);
}

static void test_a_failure_changes_nothing(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct attempt_record r = { .pid = 77 };

    seal(&out, "\x30\x05\x08\x00", 4);
    assert_int_equal(attempt_record_decode(out.data, out.len, &r), -EBADMSG);
    assert_int_equal(r.pid, 77);
}

static void test_encoders_refuse_what_decoders_would(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct attempt_record r = lean;
    struct artifact nameless = { .encoding = ENCODING_JSON };
    struct run_end_record end = { .outcome = 0 };
    char *tags[] = { NULL };
    struct run_state_record s = { .tags = tags, .n_tags = 1 };

    buffer_puts(&out, "kept");
    r.verdict = 0;
    assert_int_equal(attempt_record_encode(&r, &out), -EINVAL);
    r = lean;
    r.reason = 0;
    assert_int_equal(attempt_record_encode(&r, &out), -EINVAL);
    r = lean;
    r.outputs = &nameless;
    r.n_outputs = 1;
    assert_int_equal(attempt_record_encode(&r, &out), -EINVAL);
    r.n_outputs = RECORD_OUTPUTS_MAX + 1;
    assert_int_equal(attempt_record_encode(&r, &out), -E2BIG);
    r = lean;
    r.log = (struct log_ref){ .inline_len = 1, .has_blob = true };
    assert_int_equal(attempt_record_encode(&r, &out), -EINVAL);
    assert_int_equal(run_end_record_encode(&end, &out), -EINVAL);
    assert_int_equal(run_state_record_encode(&s, &out), -EINVAL);
    s.has_tags = true;
    assert_int_equal(run_state_record_encode(&s, &out), -EINVAL);
    s.n_tags = RECORD_TAGS_MAX + 1;
    assert_int_equal(run_state_record_encode(&s, &out), -E2BIG);
    assert_string_equal(buffer_text(&out), "kept");
    assert_int_equal(out.len, 4);
}

static void test_a_full_buffer_stays_as_it_was(void **state UNUSED)
{
    struct attempt_record r = full_attempt();

    for (size_t max = 4; max < 200; max++) {
        CLEANUP(buffer_release) struct buffer out = { .bytes_max = max };

        buffer_puts(&out, "kept");
        if (attempt_record_encode(&r, &out) == 0) {
            assert_true(max > 100);
            continue;
        }
        assert_int_equal(buffer_failed(&out), -E2BIG);
        assert_int_equal(out.len, 4);
        assert_string_equal(buffer_text(&out), "kept");
    }
}

/* Text that could not be read back is made readable before it is kept. */
static void test_text_is_cleaned(void **state UNUSED)
{
    static const struct {
        const char *given, *kept;
    } texts[] = {
        { "caf\xc3\xa9", "caf\xc3\xa9" },
        { "caf\xe9", "caf\xef\xbf\xbd" },
        { "\xc3", "\xef\xbf\xbd" },
        { "\xc0\x80", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\x9f\xbf", "\xed\x9f\xbf" },
        { "\xe0\x9f\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
        { "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf0\x8f\xbf\xbf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xf0\x90\x80\x80", "\xf0\x90\x80\x80" },
        { "\xff ok \xfe", "\xef\xbf\xbd ok \xef\xbf\xbd" },
        { "\xe2\x82x", "\xef\xbf\xbd\xef\xbf\xbdx" },
    };

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        CLEANUP(attempt_record_release) struct attempt_record back = { .attempt = 0 };
        CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
        struct attempt_record r = lean;

        r.message = r.choice = (char *)texts[i].given;
        assert_int_equal(attempt_record_encode(&r, &out), 0);
        assert_int_equal(attempt_record_decode(out.data, out.len, &back), 0);
        assert_string_equal(back.message, texts[i].kept);
        assert_string_equal(back.choice, texts[i].kept);
    }
}

static void test_the_most_outputs(void **state UNUSED)
{
    CLEANUP(freep)
    struct artifact *outputs = calloc(RECORD_OUTPUTS_MAX, sizeof(*outputs));
    CLEANUP(attempt_record_release) struct attempt_record back = { .attempt = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct attempt_record r = lean;

    for (size_t i = 0; i < RECORD_OUTPUTS_MAX; i++)
        outputs[i] =
            (struct artifact){ .name = (char *)"n", .encoding = ENCODING_BYTES };
    r.outputs = outputs;
    r.n_outputs = RECORD_OUTPUTS_MAX;
    assert_int_equal(attempt_record_encode(&r, &out), 0);
    assert_int_equal(attempt_record_decode(out.data, out.len, &back), 0);
    assert_int_equal(back.n_outputs, RECORD_OUTPUTS_MAX);
    assert_string_equal(back.outputs[RECORD_OUTPUTS_MAX - 1].name, "n");
    assert_string_equal(back.outputs[0].type, "bytes");
}

static void test_the_most_parameters_and_tags(void **state UNUSED)
{
    static struct record_parameter parameters[RECORD_PARAMETERS_MAX];
    static char *tags[RECORD_TAGS_MAX];
    CLEANUP(run_record_release) struct run_record back = { .number = 0 };
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct run_record r = full_run();

    for (size_t i = 0; i < RECORD_PARAMETERS_MAX; i++)
        parameters[i].name = (char *)"";
    for (size_t i = 0; i < RECORD_TAGS_MAX; i++)
        tags[i] = (char *)"";
    r.parameters = parameters;
    r.n_parameters = RECORD_PARAMETERS_MAX;
    r.tags = tags;
    r.n_tags = RECORD_TAGS_MAX;
    assert_int_equal(run_record_encode(&r, &out), 0);
    assert_int_equal(run_record_decode(out.data, out.len, &back), 0);
    assert_int_equal(back.n_parameters, RECORD_PARAMETERS_MAX);
    assert_int_equal(back.n_tags, RECORD_TAGS_MAX);
    r.n_tags++;
    assert_int_equal(run_record_encode(&r, &out), -E2BIG);
    r.n_tags--;
    r.n_parameters++;
    assert_int_equal(run_record_encode(&r, &out), -E2BIG);
}

static int decode_unknown_fields(size_t n)
{
    CLEANUP(buffer_release) struct buffer message = BUFFER_INIT;

    for (size_t i = 0; i < n; i++)
        buffer_append(&message, "\xa0\x06\x00", 3);
    return decode_message('a', message.data, message.len);
}

/* Three bytes for each field, and thirty times that to unpack them. */
static void test_memory_is_bounded_by_what_came(void **state UNUSED)
{
    assert_int_equal(decode_unknown_fields(1000), 0);
    assert_int_equal(decode_unknown_fields(1000000), -EBADMSG);
}

static void test_every_reason_has_a_name(void **state UNUSED)
{
    for (unsigned r = REASON_OK; r <= REASON_LAST; r++)
        assert_string_not_equal(reason_name(r), "unknown");
    assert_string_equal(reason_name(REASON_INPUT_MODIFIED), "input_modified");
    assert_string_equal(reason_name(0), "unknown");
    assert_string_equal(reason_name(REASON_LAST + 1), "unknown");
    assert_string_equal(run_outcome_name(RUN_OK), "ok");
    assert_string_equal(run_outcome_name(RUN_FAILED), "failed");
    assert_string_equal(run_outcome_name(RUN_CANCELLED), "cancelled");
    assert_string_equal(run_outcome_name(0), "unknown");
}

static int match(const struct buffer *record, const char *flow, const char *user,
                 const char *tag)
{
    struct run_filter filter = { .flow = flow, .user = user, .tag = tag };

    return run_record_matches(record->data, record->len, &filter);
}

static void test_a_run_is_known_by_three_fields(void **state)
{
    CLEANUP(buffer_release) struct buffer out = BUFFER_INIT;
    struct run_record run = full_run();

    (void)state;
    assert_int_equal(run_record_encode(&run, &out), 0);
    assert_int_equal(match(&out, NULL, NULL, NULL), 1);
    assert_int_equal(match(&out, "train", "ada", "nightly"), 1);
    assert_int_equal(match(&out, NULL, NULL, ""), 1);
    assert_int_equal(match(&out, "trai", NULL, NULL), 0);
    assert_int_equal(match(&out, "train", "bob", "nightly"), 0);
    assert_int_equal(match(&out, "train", "ada", "daily"), 0);
    for (size_t len = 0; len < out.len; len++)
        assert_int_equal(run_record_matches(out.data, len,
                                            &(struct run_filter){ .flow = "x" }),
                         -EBADMSG);
    out.data[1]++;
    assert_int_equal(match(&out, NULL, NULL, NULL), -EPROTONOSUPPORT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_lean_attempt_is_small),
        cmocka_unit_test(test_attempts_come_back),
        cmocka_unit_test(test_any_attempt_comes_back),
        cmocka_unit_test(test_runs_come_back),
        cmocka_unit_test(test_what_a_run_leaves_out),
        cmocka_unit_test(test_run_ends_come_back),
        cmocka_unit_test(test_run_states_come_back),
        cmocka_unit_test(test_fences_come_back),
        cmocka_unit_test(test_no_tags_are_tags),
        cmocka_unit_test(test_any_flipped_bit_is_refused),
        cmocka_unit_test(test_any_torn_record_is_refused),
        cmocka_unit_test(test_messages_that_break_a_rule),
        cmocka_unit_test(test_artifacts_that_break_a_rule),
        cmocka_unit_test(test_unknown_fields_are_skipped),
        cmocka_unit_test(test_a_failure_changes_nothing),
        cmocka_unit_test(test_encoders_refuse_what_decoders_would),
        cmocka_unit_test(test_a_full_buffer_stays_as_it_was),
        cmocka_unit_test(test_text_is_cleaned),
        cmocka_unit_test(test_the_most_outputs),
        cmocka_unit_test(test_the_most_parameters_and_tags),
        cmocka_unit_test(test_memory_is_bounded_by_what_came),
        cmocka_unit_test(test_every_reason_has_a_name),
        cmocka_unit_test(test_a_run_is_known_by_three_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
