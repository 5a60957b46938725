/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of attempts: what was signed is good for ever, and nothing else is. */
#include "node/attestation.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "node/remove.h"
#include "proto/format.h"
#include "tests/unit/golden.h"

static const time_us noon = TIME_S(1795253705);
static const struct run_id run = { { 0x01, 0x9a, 0x4f, 0x30, 0xc2, 0x11, 0, 1, 2, 3, 4,
                                     5, 6, 7, 8, 9 } };

struct world {
    char dir[32], other_dir[64];
    struct identity *self, *other;
};

static void world_open(struct world *w)
{
    struct error why = { .text = "" };

    *w = (struct world){ .dir = "/tmp/mesh-unit-XXXXXX" };
    assert_non_null(mkdtemp(w->dir));
    snprintf(w->other_dir, sizeof(w->other_dir), "%s/other", w->dir);
    assert_int_equal(mkdir(w->other_dir, 0700), 0);
    if (identity_found(w->dir, "lab", "first", noon, &w->self, &why) < 0
        || identity_create(w->other_dir, &w->other, &why) < 0)
        fail_msg("%s", why.text);
}

static void world_close(struct world *w)
{
    identity_free(w->self);
    identity_free(w->other);
    assert_int_equal(remove_tree(w->dir), 0);
}

/* With something in every field. */
static struct attempt_record attempt_of(const struct world *w, uint64_t counter)
{
    static struct artifact outputs[] = {
        { .name = (char *)"x",
          .type = (char *)"json",
          .encoding = ENCODING_JSON,
          .size = 2,
          .id = { { 1, 2, 3 } },
          .inline_data = (uint8_t *)"42" },
        { .name = (char *)"no \xff text", .encoding = ENCODING_TREE, .size = 70000 },
        { .name = (char *)"y", .type = (char *)"", .encoding = ENCODING_BYTES },
    };

    return (struct attempt_record){
        .run = run,
        .task = { .step = 3, .depth = 2, .path = { 17, 70000 }, .iteration = 1 },
        .verdict = VERDICT_DONE,
        .reason = REASON_OK,
        .message = (char *)"said \xc3 so",
        .started_wall = 2000,
        .ended_wall = 1000,
        .pid = 1,
        .max_rss_bytes = 2,
        .cpu_us = 3,
        .memory_peak_bytes = 4,
        .cpu_peak_milli = 5,
        .gpus = 6,
        .width = 0,
        .has_width = true,
        .choice = (char *)"yes",
        .outputs = outputs,
        .n_outputs = ARRAY_SIZE(outputs),
        .log = { .inline_data = (uint8_t *)"\x01\x07\x03hi\n",
                 .inline_len = 6,
                 .size = 6,
                 .is_truncated = true },
        .origin = run,
        .has_origin = true,
        .node = identity_node(w->self),
        .boot = 2,
        .counter = counter,
        .witness = { { 0xd0, 1 } },
        .has_witness = true,
    };
}

static void sign(const struct world *w, struct attempt_record *all, size_t n)
{
    struct attempt_record *records[ATTESTED_MAX];

    for (size_t i = 0; i < n; i++)
        records[i] = &all[i];
    assert_int_equal(attestation_sign(w->self, records, n), 0);
}

static int check(const struct world *w, const struct attempt_record *r)
{
    struct attempt_record copy = *r;

    return attestation_check(identity_node_key(w->self), &copy, NULL);
}

/* As it comes out of a store. */
static struct attempt_record read_back(const struct attempt_record *r)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct attempt_record back = { .attempt = 0 };

    assert_int_equal(attempt_record_encode(r, &bytes), 0);
    assert_int_equal(attempt_record_decode(bytes.data, bytes.len, &back), 0);
    back.run = r->run;
    back.task = r->task;
    return back;
}

/* ---- good ones ---- */

static void batches_of_all_sizes_are_good(void **state UNUSED)
{
    struct attempt_record all[ATTESTED_MAX];
    struct world w;

    world_open(&w);
    for (size_t n = 1; n <= ATTESTED_MAX; n++) {
        struct attestation_memory memory = { .next = 0 };
        size_t depth = 0;

        while ((size_t)1 << depth < n)
            depth++;
        for (size_t i = 0; i < n; i++)
            all[i] = attempt_of(&w, i);
        sign(&w, all, n);
        for (size_t i = 0; i < n; i++) {
            struct attempt_record back = read_back(&all[i]);

            assert_int_equal(back.signature_len, 65 + 32 * depth);
            assert_int_equal(attestation_check(identity_node_key(w.self), &back,
                                               &memory),
                             0);
            assert_true(digest_equal(&back.said, &all[i].said));
            attempt_record_release(&back);
        }
        assert_int_equal(memory.next, 1); /* one check for all of them */
    }
    world_close(&w);
}

static void a_lean_attempt_is_good(void **state UNUSED)
{
    struct attempt_record r = {
        .run = run, .verdict = VERDICT_FAILED, .reason = REASON_EXIT, .exit_code = -1
    };
    struct attempt_record back;
    struct world w;

    world_open(&w);
    r.node = identity_node(w.self);
    assert_int_equal(check(&w, &r), -ENOKEY);
    sign(&w, &r, 1);
    back = read_back(&r);
    assert_int_equal(check(&w, &back), 0);
    attempt_record_release(&back);
    world_close(&w);
}

/* The leader says how it counts, as which of its task, and which GPUs it gave. */
static void what_is_the_leaders_is_not_signed(void **state UNUSED)
{
    struct attempt_record r;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    sign(&w, &r, 1);
    r.verdict = VERDICT_CAUGHT;
    r.attempt = 7;
    r.gpus = 0;
    assert_int_equal(check(&w, &r), 0);
    world_close(&w);
}

/* ---- bad ones ---- */

static void another_key_is_refused(void **state UNUSED)
{
    struct attempt_record r;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    sign(&w, &r, 1);
    assert_int_equal(attestation_check(identity_node_key(w.other), &r, NULL),
                     -EKEYREJECTED);
    r.node = identity_node(w.other); /* signed by one, in the name of another */
    sign(&w, &r, 1);
    assert_int_equal(check(&w, &r), -EKEYREJECTED);
    assert_int_equal(attestation_check(identity_node_key(w.other), &r, NULL),
                     -EKEYREJECTED);
    world_close(&w);
}

static bool says_the_same(const struct attempt_record *a,
                          const struct attempt_record *b)
{
    CLEANUP(buffer_release) struct buffer x = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer y = BUFFER_INIT;
    struct attempt_record copy = *a;

    copy.verdict = b->verdict;
    copy.gpus = b->gpus;
    attempt_record_encode(&copy, &x);
    attempt_record_encode(b, &y);
    return x.len == y.len && memcmp(x.data, y.data, x.len) == 0;
}

static void put_checksum(struct buffer *record)
{
    uint64_t sum = record_checksum(record->data + RECORD_HEADER_SIZE,
                                   record->len - RECORD_HEADER_SIZE);

    for (int i = 0; i < 8; i++)
        record->data[2 + i] = (char)(uint8_t)(sum >> (8 * i));
}

/* Whatever bit somebody turns, with a checksum that is right: it is no record any more,
 * or it says the same, or it is found. */
static void each_bit_is_signed(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct attempt_record all[3], before;
    size_t n_found = 0;
    struct world w;

    world_open(&w);
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        all[i] = attempt_of(&w, i);
    sign(&w, all, ARRAY_SIZE(all));
    before = read_back(&all[1]);
    assert_int_equal(attempt_record_encode(&before, &bytes), 0);
    for (size_t bit = RECORD_HEADER_SIZE * 8; bit < bytes.len * 8; bit++) {
        struct attempt_record r = { .attempt = 0 };

        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
        put_checksum(&bytes);
        if (attempt_record_decode(bytes.data, bytes.len, &r) == 0) {
            r.run = before.run;
            r.task = before.task;
            if (check(&w, &r) == 0 && !says_the_same(&r, &before))
                fail_msg("bit %zu is not signed", bit);
            n_found += check(&w, &r) < 0;
            attempt_record_release(&r);
        }
        bytes.data[bit / 8] ^= (char)(1 << bit % 8);
    }
    assert_true(n_found > 500);
    attempt_record_release(&before);
    world_close(&w);
}

/* The run and the task are in the key, not in the bytes. */
static void an_attempt_cannot_be_moved(void **state UNUSED)
{
    struct attempt_record r, moved;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    sign(&w, &r, 1);
    moved = r;
    moved.run.bytes[15] ^= 1;
    assert_int_equal(check(&w, &moved), -EKEYREJECTED);
    moved = r;
    moved.task.path[1]++;
    assert_int_equal(check(&w, &moved), -EKEYREJECTED);
    moved = r;
    moved.task.iteration++;
    assert_int_equal(check(&w, &moved), -EKEYREJECTED);
    world_close(&w);
}

static void signatures_of_wrong_lengths_are_refused(void **state UNUSED)
{
    struct attempt_record all[ATTESTED_MAX];
    struct world w;

    world_open(&w);
    for (size_t i = 0; i < ATTESTED_MAX; i++)
        all[i] = attempt_of(&w, i);
    sign(&w, all, ATTESTED_MAX);
    for (size_t len = 1; len < ATTEMPT_SIGNATURE_MAX; len++) {
        all[0].signature_len = len;
        assert_int_equal(check(&w, &all[0]), -EKEYREJECTED);
    }
    world_close(&w);
}

static void a_known_root_proves_nothing_else(void **state UNUSED)
{
    struct attestation_memory memory = { .next = 0 };
    struct attempt_record r;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    sign(&w, &r, 1);
    assert_int_equal(attestation_check(identity_node_key(w.self), &r, &memory), 0);
    r.exit_code = 1;
    assert_int_equal(attestation_check(identity_node_key(w.self), &r, &memory),
                     -EKEYREJECTED);
    world_close(&w);
}

/* ---- judged otherwise ---- */

static void a_success_may_be_judged_a_failure(void **state UNUSED)
{
    struct attempt_record r, back;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    sign(&w, &r, 1);
    r.verdict = VERDICT_FAILED;
    r.reason = REASON_CHOICE;
    r.message = (char *)"it chose no case";
    r.choice = NULL;
    r.has_width = false;
    assert_int_equal(check(&w, &r), -EKEYREJECTED);
    r.is_judged = true;
    back = read_back(&r);
    assert_true(back.is_judged);
    assert_int_equal(check(&w, &back), 0);
    back.said.bytes[0] ^= 1;
    assert_int_equal(check(&w, &back), -EKEYREJECTED);
    attempt_record_release(&back);
    world_close(&w);
}

static void a_failure_is_never_judged_a_success(void **state UNUSED)
{
    struct attempt_record r;
    struct world w;

    world_open(&w);
    r = attempt_of(&w, 1);
    r.reason = REASON_EXIT;
    sign(&w, &r, 1);
    r.is_judged = true;
    assert_int_equal(check(&w, &r), 0);
    r.reason = REASON_OK;
    assert_int_equal(check(&w, &r), -EKEYREJECTED);
    world_close(&w);
}

/* ---- bytes ---- */

/* One made by a program that shares no code with this one: node key, signature. */
static void an_old_signature_is_good(void **state UNUSED)
{
    CLEANUP(buffer_release) struct buffer golden = BUFFER_INIT;
    struct attempt_record r;
    uint8_t key[NODE_KEY_SIZE];
    struct world w;

    world_open(&w);
    golden_read("attempt_signature", &golden);
    assert_int_equal(golden.len, sizeof(key) + 65 + 2 * 32);
    memcpy(key, golden.data, sizeof(key));
    r = attempt_of(&w, 300);
    r.node = node_id_of_key(key);
    r.signature_len = golden.len - sizeof(key);
    memcpy(r.signature, golden.data + sizeof(key), r.signature_len);
    assert_int_equal(attestation_check(key, &r, NULL), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_of_all_sizes_are_good),
        cmocka_unit_test(a_lean_attempt_is_good),
        cmocka_unit_test(what_is_the_leaders_is_not_signed),
        cmocka_unit_test(another_key_is_refused),
        cmocka_unit_test(each_bit_is_signed),
        cmocka_unit_test(an_attempt_cannot_be_moved),
        cmocka_unit_test(signatures_of_wrong_lengths_are_refused),
        cmocka_unit_test(a_known_root_proves_nothing_else),
        cmocka_unit_test(a_success_may_be_judged_a_failure),
        cmocka_unit_test(a_failure_is_never_judged_a_success),
        cmocka_unit_test(an_old_signature_is_good),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
