/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of runs that other nodes lead are prepared: who is asked for what is told in a
 * line each, and the test is the peers. */
#include "tests/unit/kit.h"

#include <errno.h>

#include "node/prepare.h"
#include "node/record_range.h"
#include "node/witness.h"
#include "store/tree.h"

static const char flow_text[] =
    "mesh: 1\n"
    "flow: Split\n"
    "steps:\n"
    "  start: {run: 'true', next: first}\n"
    "  first: {run: 'true', foreach: {range: 3}, next: x}\n"
    "  x: {run: 'true', inputs: {big: start.big}, next: join}\n"
    "  join: {run: 'true', join: first}\n";

static const struct node_id leader = { { 'L' } }, home = { { 'H' } };

struct question {
    struct node_id peer;
    uint64_t request;
    struct run_id run;
    uint8_t from[RECORD_KEY_MAX + 1], prefix[RECORD_KEY_MAX];
    size_t from_len, prefix_len;
};

struct fixture {
    struct kit here, far; /* far: what the leader has */
    struct preparer *p;
    struct buffer trace;
    struct question asked[128];
    size_t n_asked;
    struct flow *open; /* NULL: the run is not open here */
    struct digest package, big;
    int keep_status;
    bool is_forbidden; /* by the node's policy */
    size_t part_bytes;
    struct node_id deaf; /* no connection to it */
    struct digest witness;
};

/* ---- the node around it ---- */

static void name_key(struct fixture *f, const uint8_t *key, size_t len)
{
    const uint8_t *task = key + 1 + RUN_ID_SIZE;

    if (key[0] == 'r') {
        buffer_puts(&f->trace, "run");
        return;
    }
    buffer_puts(&f->trace, f->far.flow->steps[task[0]].name);
    if (task[1])
        buffer_printf(&f->trace, (size_t)(task - key) + 2 == len ? "[*]" : "[%u]",
                      task[2]);
}

static int get_records(void *arg, const struct node_id *peer,
                       const struct records_get_message *get)
{
    struct fixture *f = arg;
    struct question *q = &f->asked[f->n_asked];

    if (node_id_equal(peer, &f->deaf))
        return -ENOTCONN;
    assert_true(f->n_asked++ < ARRAY_SIZE(f->asked));
    *q = (struct question){ .peer = *peer, .request = get->request, .run = get->run };
    q->from_len = get->from_len;
    q->prefix_len = get->prefix_len;
    if (get->from_len)
        memcpy(q->from, get->from, get->from_len);
    memcpy(q->prefix, get->prefix, get->prefix_len);
    buffer_printf(&f->trace, "ask %c ", peer->bytes[0]);
    name_key(f, q->prefix, q->prefix_len);
    buffer_puts(&f->trace, q->from_len ? " on\n" : "\n");
    return 0;
}

static int keep(void *arg, const struct run_id *run, const struct log_entry *entries,
                size_t n)
{
    struct fixture *f = arg;

    assert_true(run_id_equal(run, &f->far.run));
    for (size_t i = 0; f->keep_status == 0 && i < n; i++) {
        struct store_write w = { .table = STORE_RECORDS,
                                 .key = { entries[i].key, entries[i].key_len },
                                 .value = { entries[i].value, entries[i].value_len } };

        assert_true(writer_put(f->here.writer, &w, 1, false));
    }
    buffer_printf(&f->trace, f->keep_status ? "not yet\n" : "keep %zu\n", n);
    return f->keep_status;
}

static int may_open(void *arg, const struct run_record *record, const struct flow *flow,
                    struct error *ret_error)
{
    struct fixture *f = arg;

    assert_string_equal(record->flow_name, flow->name);
    return f->is_forbidden ? (fail)(ret_error, -EPERM, "forbidden by the test") : 0;
}

static int open_run(void *arg, const struct run_record *record, struct flow *flow,
                    struct error *ret_error)
{
    struct fixture *f = arg;

    (void)ret_error;
    assert_string_equal(record->flow_name, "Split");
    f->open = flow_ref(flow);
    buffer_puts(&f->trace, "open\n");
    return 0;
}

static struct flow *find_run(void *arg, const struct run_id *run)
{
    const struct fixture *f = arg;

    return run_id_equal(run, &f->far.run) ? f->open : NULL;
}

static const char *blob_name(const struct fixture *f, const struct digest *id)
{
    return digest_equal(id, &f->package) ? "package"
           : digest_equal(id, &f->big)   ? "big"
                                         : "another";
}

static int get_blob(void *arg, const struct run_id *run, const struct node_id *from,
                    const struct digest *id)
{
    struct fixture *f = arg;

    (void)run, (void)from;
    buffer_printf(&f->trace, "get %s\n", blob_name(f, id));
    return 0;
}

static size_t find_homes(void *arg, const struct run_id *run, struct node_id *ret)
{
    (void)arg, (void)run;
    ret[0] = home;
    return 1;
}

static void on_done(void *arg, const struct prepared *p)
{
    struct fixture *f = arg;

    buffer_printf(&f->trace, "task %d %s\n", (int)p->guest,
                  p->status ? p->text : "is ready");
    f->witness = p->witness;
}

/* ---- the peers ---- */

/* The oldest question is answered from the leader's store. */
static void answer(struct fixture *f, time_us now)
{
    CLEANUP(record_range_release) struct record_range range = { .entries = NULL };
    struct records_message m = { .status = 0 };
    struct question q;

    assert_true(f->n_asked);
    q = f->asked[0];
    memmove(f->asked, f->asked + 1, --f->n_asked * sizeof(q));
    assert_true(record_range_is_of_run(q.prefix, q.prefix_len, &q.run));
    assert_int_equal(record_range_read(f->far.writer,
                                       (struct span){ q.prefix, q.prefix_len },
                                       (struct span){ q.from, q.from_len },
                                       f->part_bytes, &range),
                     0);
    m.request = q.request;
    m.has_more = range.has_more;
    m.entries = range.entries;
    m.n_entries = range.n;
    assert_int_equal(preparer_on_records(f->p, &q.peer, &m, now), 0);
}

static void answer_all(struct fixture *f, time_us now)
{
    while (f->n_asked)
        answer(f, now);
}

/* Its bytes have come. */
static void bring(struct fixture *f, struct digest id)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    struct digest kept;

    assert_int_equal(blobs_read(f->far.blobs, &id, 0, UINT64_MAX, &bytes), 0);
    assert_int_equal(blobs_put(f->here.blobs, bytes.data, bytes.len, &kept), 0);
    assert_int_equal(preparer_on_blob(f->p, &id, 0, 0), 0);
}

static void start(struct fixture *f, uint64_t guest, struct task_id task)
{
    assert_int_equal(preparer_start(f->p, guest, &f->far.run, &task, &leader, 0), 0);
}

static void assert_told(struct fixture *f, const char *expected)
{
    assert_string_equal(buffer_text(&f->trace), expected);
    buffer_clear(&f->trace);
}

static void put_run(struct fixture *f)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct run_record record = { .run = f->far.run,
                                 .flow_name = (char *)"Split",
                                 .flow_path = (char *)"split.mf",
                                 .flow_text = (char *)flow_text,
                                 .flow_text_len = strlen(flow_text),
                                 .user = (char *)"u",
                                 .package = f->package };
    struct record_key key = run_key(&record.run);
    struct store_write w = { .table = STORE_RECORDS, .key = { key.bytes, key.len } };

    assert_int_equal(run_record_encode(&record, &value), 0);
    w.value = (struct span){ value.data, value.len };
    assert_true(writer_put(f->far.writer, &w, 1, false));
}

static void put_big(struct fixture *f)
{
    struct attempt_record r = { .run = f->far.run,
                                .task = kit_task(&f->far, "start", -1),
                                .verdict = VERDICT_DONE,
                                .reason = REASON_OK };
    struct artifact big = { .name = (char *)"big",
                            .type = (char *)"bytes",
                            .encoding = ENCODING_BYTES,
                            .size = 4000 };
    char data[4000];

    memset(data, 'b', sizeof(data));
    assert_int_equal(blobs_put(f->far.blobs, data, sizeof(data), &f->big), 0);
    big.id = f->big;
    r.outputs = &big;
    r.n_outputs = 1;
    kit_put(&f->far, &r);
}

static void open_fixture(struct fixture *f)
{
    const struct prepare_ops ops = { get_records, keep,     may_open,
                                     open_run,    find_run, get_blob,
                                     find_homes,  on_done,  f };
    struct tree empty = { .entries = NULL };

    *f = (struct fixture){ .part_bytes = PREPARE_PART_BYTES };
    kit_open(&f->here, flow_text);
    kit_open(&f->far, flow_text);
    assert_int_equal(tree_put(f->far.blobs, &empty, &f->package), 0);
    put_run(f);
    put_big(f);
    kit_end(&f->far, kit_task(&f->far, "first", -1), 0, VERDICT_DONE, NULL);
    for (int i = 0; i < 3; i++)
        kit_end(&f->far, kit_task(&f->far, "x", i), 0, VERDICT_DONE, MADE("v=x"));
    f->p = preparer_new(&f->here.artifacts, &ops);
    assert_non_null(f->p);
}

static void close_fixture(struct fixture *f)
{
    preparer_free(f->p);
    flow_unref(f->open);
    buffer_release(&f->trace);
    kit_close(&f->here);
    kit_close(&f->far);
}

/* As if a task of the run had been prepared before. */
static void open_before(struct fixture *f)
{
    struct digest id;
    struct tree empty = { .entries = NULL };

    f->open = flow_ref(f->far.flow);
    assert_int_equal(tree_put(f->here.blobs, &empty, &id), 0);
}

/* ---- the stories ---- */

static void test_a_run_is_opened_once(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    start(&f, 1, kit_task(&f.far, "start", -1));
    start(&f, 2, kit_task(&f.far, "start", -1));
    assert_told(&f, "ask L run\n");
    answer(&f, 0);
    assert_told(&f, "get package\n");
    bring(&f, f.package);
    assert_told(&f, "open\ntask 1 is ready\ntask 2 is ready\n");
    start(&f, 3, kit_task(&f.far, "start", -1));
    assert_told(&f, "task 3 is ready\n");
    close_fixture(&f);
}

/* Nothing of it is got, not even its code. */
static void test_a_run_that_is_forbidden(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    f.is_forbidden = true;
    start(&f, 1, kit_task(&f.far, "start", -1));
    start(&f, 2, kit_task(&f.far, "start", -1));
    assert_told(&f, "ask L run\n");
    answer(&f, 0);
    assert_told(&f, "task 1 forbidden by the test\ntask 2 forbidden by the test\n");
    close_fixture(&f);
}

static int each_record(void *arg, struct span key, struct span value)
{
    return witness_sum_add(arg, key.data, key.len, value.data, value.len);
}

static int scan_far(void *arg, const struct record_key *prefix, witness_each_fn *each,
                    void *each_arg)
{
    const struct fixture *f = arg;

    (void)each;
    return writer_scan(f->far.writer, STORE_RECORDS,
                       (struct span){ prefix->bytes, prefix->len },
                       (struct span){ NULL, 0 }, each_record, each_arg);
}

static void test_records_then_inputs(void **state)
{
    struct witness_reader reader = { scan_far, NULL };
    struct digest witness;
    struct task_id x;
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    x = kit_task(&f.far, "x", 1);
    start(&f, 1, x);
    assert_told(&f, "ask L start\nask L first\n");
    /* Another one needs the same: it is not asked for again. */
    start(&f, 2, kit_task(&f.far, "x", 2));
    assert_told(&f, "");
    answer_all(&f, 0);
    assert_told(&f, "keep 1\nkeep 1\nget big\n");
    bring(&f, f.big);
    assert_told(&f, "task 1 is ready\ntask 2 is ready\n");
    reader.arg = &f;
    assert_int_equal(witness_of(f.far.flow, &f.far.run, &x, &reader, &witness), 0);
    assert_true(digest_equal(&witness, &f.witness));
    close_fixture(&f);
}

static void test_a_join_gets_its_split_in_parts(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    f.part_bytes = 1;
    start(&f, 1, kit_task(&f.far, "join", -1));
    assert_told(&f, "ask L start\nask L first\nask L x[*]\n");
    answer_all(&f, 0);
    assert_told(&f, "keep 1\nkeep 1\nkeep 1\nask L x[*] on\nkeep 1\nask L x[*] on\n"
                    "keep 1\ntask 1 is ready\n");
    close_fixture(&f);
}

static void test_the_homes_are_asked_when_the_leader_is_gone(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    start(&f, 1, kit_task(&f.far, "first", -1));
    assert_told(&f, "ask L start\n");
    f.deaf = leader;
    assert_int_equal(preparer_on_gone(f.p, &leader, 0), 0);
    assert_told(&f, "ask H start\n");
    f.asked[0] = f.asked[--f.n_asked];
    answer(&f, 0);
    assert_told(&f, "keep 1\ntask 1 is ready\n");
    close_fixture(&f);
}

static void test_silence_is_no_answer(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    start(&f, 1, kit_task(&f.far, "first", -1));
    assert_told(&f, "ask L start\n");
    for (unsigned i = 0; preparer_deadline(f.p) != TIME_NEVER; i++) {
        assert_true(i < 20);
        assert_int_equal(preparer_on_tick(f.p, preparer_deadline(f.p)), 0);
    }
    assert_told(&f, "ask H start\nask L start\nask H start\nask L start\n"
                    "task 1 the records of its run cannot be had\n");
    close_fixture(&f);
}

static void test_a_home_waits_for_its_own_log(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    f.keep_status = -EAGAIN;
    start(&f, 1, kit_task(&f.far, "first", -1));
    answer(&f, 0);
    assert_told(&f, "ask L start\nnot yet\n");
    assert_int_equal(preparer_deadline(f.p), TIME_MS(1));
    assert_int_equal(preparer_on_tick(f.p, TIME_MS(1)), 0);
    f.keep_status = 0;
    answer(&f, TIME_MS(1));
    assert_told(&f, "ask L start\nkeep 1\ntask 1 is ready\n");
    close_fixture(&f);
}

static void test_a_new_run_is_not_decided_yet(void **state)
{
    struct record_key key;
    struct store_write w = { .table = STORE_RECORDS, .is_delete = true };
    struct fixture f;

    (void)state;
    open_fixture(&f);
    key = run_key(&f.far.run);
    w.key = (struct span){ key.bytes, key.len };
    assert_true(writer_put(f.far.writer, &w, 1, false));
    start(&f, 1, kit_task(&f.far, "start", -1));
    answer(&f, 0);
    assert_told(&f, "ask L run\n");
    put_run(&f);
    assert_int_equal(preparer_on_tick(f.p, preparer_deadline(f.p)), 0);
    answer(&f, TIME_MS(1));
    assert_told(&f, "ask L run\nget package\n");
    close_fixture(&f);
}

static void test_an_input_that_nobody_has(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    start(&f, 1, kit_task(&f.far, "x", 0));
    answer_all(&f, 0);
    assert_told(&f, "ask L start\nask L first\nkeep 1\nkeep 1\nget big\n");
    assert_int_equal(preparer_on_blob(f.p, &f.big, -EHOSTUNREACH, 0), 0);
    assert_told(&f, "task 1 what it needs is nowhere to be had\n");
    close_fixture(&f);
}

static void test_what_nobody_wants_is_not_told(void **state)
{
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    start(&f, 1, kit_task(&f.far, "x", 0));
    assert_int_equal(preparer_cancel(f.p, 1, 0), 0);
    answer_all(&f, 0);
    assert_told(&f, "ask L start\nask L first\nkeep 1\nkeep 1\n");
    /* What came is of use to the next. */
    start(&f, 2, kit_task(&f.far, "first", -1));
    assert_told(&f, "task 2 is ready\n");
    close_fixture(&f);
}

static void test_what_was_not_asked_for_is_not_kept(void **state)
{
    struct log_entry entry = { .key = (uint8_t *)"zzzz", .key_len = 4 };
    struct records_message m = { .entries = &entry, .n_entries = 1 };
    struct record_key key;
    struct fixture f;

    (void)state;
    open_fixture(&f);
    open_before(&f);
    start(&f, 1, kit_task(&f.far, "first", -1));
    m.request = f.asked[0].request;
    assert_int_equal(preparer_on_records(f.p, &leader, &m, 0), 0);
    assert_told(&f, "ask L start\nask H start\n");
    /* The key is right, and the value is no record. */
    key = attempt_key(&f.far.run, &(struct task_id){ .step = 0 }, 0);
    entry = (struct log_entry){ .key = key.bytes, .key_len = key.len };
    entry.value = (uint8_t *)"bad";
    entry.value_len = 3;
    m.request = f.asked[1].request;
    assert_int_equal(preparer_on_records(f.p, &leader, &m, 0), 0);
    assert_told(&f, ""); /* it was not the leader that was asked */
    assert_int_equal(preparer_on_records(f.p, &home, &m, 0), 0);
    assert_told(&f, ""); /* nobody else is left: a moment later */
    assert_int_equal(preparer_on_tick(f.p, preparer_deadline(f.p)), 0);
    assert_told(&f, "ask L start\n");
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_run_is_opened_once),
        cmocka_unit_test(test_a_run_that_is_forbidden),
        cmocka_unit_test(test_records_then_inputs),
        cmocka_unit_test(test_a_join_gets_its_split_in_parts),
        cmocka_unit_test(test_the_homes_are_asked_when_the_leader_is_gone),
        cmocka_unit_test(test_silence_is_no_answer),
        cmocka_unit_test(test_a_home_waits_for_its_own_log),
        cmocka_unit_test(test_a_new_run_is_not_decided_yet),
        cmocka_unit_test(test_an_input_that_nobody_has),
        cmocka_unit_test(test_what_nobody_wants_is_not_told),
        cmocka_unit_test(test_what_was_not_asked_for_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
