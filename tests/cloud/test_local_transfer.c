/* SPDX-License-Identifier: Apache-2.0 */
/* Transfers between stores of this test, which fail, stall and lie when they are told
 * to: whatever happens, an object is there whole or not at all, and of an upload that
 * was given up nothing is left. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/encode.h"
#include "cloud/transfer.h"

#include "tests/cloud/waiting.h"

enum { OBJECTS = 8, SIZE = 100000, PART = 1000 };

struct object {
    char name[32], sha256[65];
    struct buffer bytes;
    unsigned version;
    bool is_there;
};

/* One upload is enough for a test. */
struct uploading {
    bool is_there, is_if_absent;
    char id[16];
    struct buffer bytes;
    uint64_t sizes[OBJECT_PARTS_MAX];
    uint32_t n_parts;
};

struct fake {
    struct object_store base;
    struct object_store_class class;
    uv_loop_t *loop;
    struct object objects[OBJECTS];
    struct uploading up;
    unsigned n_begun;
    /* When these come to 1, it happens; 0: never. */
    int fail_in, stall_in, corrupt_in, cut_in;
    int fail_with;
    uint32_t n_live, n_live_max, part_last;
    bool is_order_broken;
};

/* Answers on the loop's next turn. */
struct object_call {
    struct fake *f;
    uv_timer_t timer;
    int status;
    bool is_stalled;
    struct object_about about;
    object_done_fn *done;
    object_uploaded_fn *uploaded;
    struct object_uploaded u;
    struct object_part *parts;
    struct object_get get;
    char *data;
    size_t len;
    void *arg;
};

static bool counts(int *countdown)
{
    return *countdown && --*countdown == 0;
}

static void free_call(uv_handle_t *handle)
{
    struct object_call *c =
        CONTAINER_OF((uv_timer_t *)handle, struct object_call, timer);

    free(c->parts);
    free(c->data);
    free(c);
}

static void answer(uv_timer_t *timer)
{
    struct object_call *c = CONTAINER_OF(timer, struct object_call, timer);
    struct error error = { .text = "" };

    c->f->n_live--;
    for (size_t at = 0; c->status == 0 && at < c->len; at += 300)
        c->status =
            c->get.on_data(c->arg, at, c->data + at, min_size(300, c->len - at));
    if (c->status < 0)
        strcpy(error.text, "the test says no");
    if (c->done)
        c->done(c->arg, c->status, c->status < 0 ? NULL : &c->about, &error);
    else
        c->uploaded(c->arg, c->status, c->status < 0 ? NULL : &c->u, &error);
    uv_close((uv_handle_t *)timer, free_call);
}

static struct object_call *begin(struct fake *f, void *arg)
{
    struct object_call *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->f = f;
    c->arg = arg;
    uv_timer_init(f->loop, &c->timer);
    c->is_stalled = counts(&f->stall_in);
    if (counts(&f->fail_in))
        c->status = f->fail_with;
    if (!c->is_stalled)
        uv_timer_start(&c->timer, answer, 0, 0);
    f->n_live++;
    if (f->n_live > f->n_live_max)
        f->n_live_max = f->n_live;
    return c;
}

static struct object *find(struct fake *f, const char *name, bool is_new)
{
    for (size_t i = 0; i < OBJECTS; i++)
        if (f->objects[i].is_there && strcmp(f->objects[i].name, name) == 0)
            return &f->objects[i];
    for (size_t i = 0; is_new && i < OBJECTS; i++)
        if (!f->objects[i].is_there) {
            snprintf(f->objects[i].name, sizeof(f->objects[i].name), "%s", name);
            f->objects[i].is_there = true;
            return &f->objects[i];
        }
    assert_false(is_new);
    return NULL;
}

static void place(struct fake *f, const char *name, const void *data, size_t len)
{
    struct object *o = find(f, name, true);

    buffer_clear(&o->bytes);
    assert_int_equal(buffer_append(&o->bytes, data, len), 0);
    o->version++;
}

static void tell(const struct object *o, struct object_about *about)
{
    about->size = o->bytes.len;
    snprintf(about->etag, sizeof(about->etag), "\"%u\"", o->version);
    strcpy(about->sha256, o->sha256);
}

static void check_promise(const struct fake *f, const struct http_body *body,
                          const uint8_t *sha256)
{
    uint8_t sum[ENCODE_SHA256];

    if (f->class.wants_sha256) {
        encode_sha256(body->data, body->len, sum);
        assert_memory_equal(sum, sha256, sizeof(sum));
    }
}

static int fake_put(struct object_store *s, const struct object_put *put,
                    object_done_fn *done, void *arg, struct object_call **ret)
{
    struct fake *f = (struct fake *)s;
    struct object_call *c = begin(f, arg);

    c->done = done;
    if (c->status == 0 && put->is_if_absent && find(f, put->name, false))
        c->status = -EEXIST;
    if (c->status == 0 && !c->is_stalled) {
        check_promise(f, &put->body, put->sha256);
        place(f, put->name, put->body.data, put->body.len);
        tell(find(f, put->name, false), &c->about);
    }
    *ret = c;
    return 0;
}

static int fake_get(struct object_store *s, const struct object_get *get,
                    object_done_fn *done, void *arg, struct object_call **ret)
{
    struct fake *f = (struct fake *)s;
    struct object_call *c = begin(f, arg);
    struct object *o = find(f, get->name, false);

    c->done = done;
    c->get = *get;
    if (o)
        tell(o, &c->about);
    if (!o)
        c->status = -ENOENT;
    else if (get->if_match && strcmp(get->if_match, c->about.etag) != 0)
        c->status = -EBADMSG;
    if (c->status == 0) {
        c->len = min_size(get->len, o->bytes.len - get->offset);
        c->data = malloc(c->len + 1);
        assert_non_null(c->data);
        memcpy(c->data, o->bytes.data + get->offset, c->len);
        if (counts(&f->corrupt_in))
            c->data[c->len / 2] ^= 1;
        if (counts(&f->cut_in))
            c->len--;
    }
    *ret = c;
    return 0;
}

static int fake_head(struct object_store *s, const char *name, object_done_fn *done,
                     void *arg, struct object_call **ret)
{
    struct object_call *c = begin((struct fake *)s, arg);
    struct object *o = find((struct fake *)s, name, false);

    c->done = done;
    if (o)
        tell(o, &c->about);
    else
        c->status = -ENOENT;
    *ret = c;
    return 0;
}

static void add_part(struct fake *f, const struct object_upload *u)
{
    struct buffer *b = &f->up.bytes;

    check_promise(f, &u->body, u->sha256);
    while (b->len < u->offset + u->body.len)
        assert_int_equal(buffer_putc(b, 0), 0);
    memcpy(b->data + u->offset, u->body.data, u->body.len);
    f->up.sizes[u->number - 1] = u->body.len;
    if (u->number > f->up.n_parts)
        f->up.n_parts = u->number;
    f->is_order_broken |= u->number != f->part_last + 1;
    f->part_last = u->number;
}

static void tell_part(const struct fake *f, uint32_t number, struct object_part *p)
{
    p->number = number;
    p->size = f->up.sizes[number - 1];
    snprintf(p->tag, sizeof(p->tag), "tag-%u", number);
}

static void tell_parts(struct object_call *c)
{
    struct fake *f = c->f;

    c->parts = calloc(f->up.n_parts + 1, sizeof(*c->parts));
    assert_non_null(c->parts);
    for (uint32_t i = 0; i < f->up.n_parts; i++)
        if (f->up.sizes[i])
            tell_part(f, i + 1, &c->parts[c->u.n_parts++]);
    c->u.parts = c->parts;
}

static void finish(struct object_call *c, const struct object_upload *u)
{
    struct fake *f = c->f;
    uint64_t size = 0;

    for (uint32_t i = 0; i < u->n_parts; i++) {
        struct object_part p;

        tell_part(f, i + 1, &p);
        assert_int_equal(u->parts[i].number, p.number);
        assert_int_equal(u->parts[i].size, p.size);
        assert_string_equal(u->parts[i].tag, p.tag);
        size += p.size;
    }
    assert_int_equal(size, u->size);
    assert_int_equal(u->is_if_absent, f->up.is_if_absent); /* some ask at the begin */
    if (u->is_if_absent && find(f, u->name, false)) {
        c->status = -EEXIST;
        return;
    }
    place(f, u->name, f->up.bytes.data, size);
    tell(find(f, u->name, false), &c->u.about);
    f->up.is_there = false;
}

static void take_step(struct object_call *c, const struct object_upload *u)
{
    struct fake *f = c->f;

    if (u->step != OBJECT_UPLOAD_BEGIN && u->step != OBJECT_UPLOAD_ABORT
        && (!f->up.is_there || strcmp(f->up.id, u->upload) != 0)) {
        c->status = -ENOENT;
        return;
    }
    switch (u->step) {
    case OBJECT_UPLOAD_BEGIN:
        assert_false(f->up.is_there);
        buffer_clear(&f->up.bytes);
        memset(f->up.sizes, 0, sizeof(f->up.sizes));
        f->up.n_parts = f->part_last = 0;
        f->up.is_there = true;
        f->up.is_if_absent = u->is_if_absent;
        snprintf(f->up.id, sizeof(f->up.id), "up-%u", ++f->n_begun);
        c->u.upload = f->up.id;
        break;
    case OBJECT_UPLOAD_PART:
        add_part(f, u);
        tell_part(f, u->number, &c->u.part);
        break;
    case OBJECT_UPLOAD_PARTS:
        tell_parts(c);
        break;
    case OBJECT_UPLOAD_FINISH:
        finish(c, u);
        break;
    case OBJECT_UPLOAD_ABORT:
        if (strcmp(f->up.id, u->upload) == 0)
            f->up.is_there = false;
        break;
    }
}

static int fake_upload(struct object_store *s, const struct object_upload *u,
                       object_uploaded_fn *uploaded, void *arg,
                       struct object_call **ret)
{
    struct object_call *c = begin((struct fake *)s, arg);

    c->uploaded = uploaded;
    if (c->status == 0 && !c->is_stalled)
        take_step(c, u);
    *ret = c;
    return 0;
}

static void fake_cancel(struct object_call *c)
{
    c->status = -ECANCELED;
    uv_timer_start(&c->timer, answer, 0, 0);
}

static const struct object_store_class fake_class = {
    .scheme = "fake",
    .put = fake_put,
    .get = fake_get,
    .head = fake_head,
    .upload = fake_upload,
    .cancel = fake_cancel,
};

/* ---- the tests ---- */

struct world {
    uv_loop_t loop;
    struct fake from, to;
    struct transfers *e;
    char state[64], bytes[SIZE];
    struct waiting w;
    struct transfer_request q;
};

static void fake_init(struct fake *f, uv_loop_t *loop)
{
    f->class = fake_class;
    f->base.class = &f->class;
    f->loop = loop;
    f->fail_with = -EIO;
}

static int setup(void **state)
{
    const struct transfers_options o = { .bytes_max = 8 * PART,
                                         .calls_max = 6,
                                         .part_bytes = PART };
    struct world *x = calloc(1, sizeof(*x));

    assert_non_null(x);
    assert_int_equal(uv_loop_init(&x->loop), 0);
    fake_init(&x->from, &x->loop);
    fake_init(&x->to, &x->loop);
    for (size_t i = 0; i < SIZE; i++)
        x->bytes[i] = (char)(i * 2654435761u >> 13);
    place(&x->from, "a", x->bytes, SIZE);
    snprintf(x->state, sizeof(x->state), "/tmp/mesh-transfer.%d", (int)getpid());
    unlink(x->state);
    assert_int_equal(transfers_new(&x->loop, &o, &x->e), 0);
    x->w.loop = &x->loop;
    x->q = (struct transfer_request){ .from = &x->from.base,
                                      .from_name = "a",
                                      .to = &x->to.base,
                                      .to_name = "b",
                                      .done = waiting_done,
                                      .arg = &x->w };
    *state = x;
    return 0;
}

static void fake_release(struct fake *f)
{
    for (size_t i = 0; i < OBJECTS; i++)
        buffer_release(&f->objects[i].bytes);
    buffer_release(&f->up.bytes);
    assert_int_equal(f->n_live, 0);
}

static int teardown(void **state)
{
    struct world *x = *state;
    struct transfers_progress p;

    transfers_progress(x->e, &p);
    assert_int_equal(p.bytes_held, 0);
    assert_true(p.bytes_held_max <= 8 * PART);
    assert_int_equal(p.n_started, p.n_done + p.n_failed);
    transfers_free(x->e);
    uv_run(&x->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&x->loop), 0);
    fake_release(&x->from);
    fake_release(&x->to);
    unlink(x->state);
    free(x);
    return 0;
}

static int copy(struct world *x)
{
    struct transfer *t;

    waiting_begin(&x->w);
    return waiting_end(&x->w, transfer_start(x->e, &x->q, &t));
}

static void assert_whole(struct world *x)
{
    const struct object *o = find(&x->to, "b", false);

    assert_non_null(o);
    assert_int_equal(o->bytes.len, SIZE);
    assert_memory_equal(o->bytes.data, x->bytes, SIZE);
    assert_false(x->to.up.is_there);
}

static void assert_nothing(struct world *x)
{
    assert_null(find(&x->to, "b", false));
    assert_false(x->to.up.is_there);
}

static bool has_state(const struct world *x)
{
    struct stat st;

    return stat(x->state, &st) == 0;
}

static void test_parts_in_parallel(void **state)
{
    struct world *x = *state;

    x->to.class.wants_sha256 = true;
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_int_equal(x->to.up.n_parts, SIZE / PART);
    assert_true(x->from.n_live_max > 1);
    assert_true(x->from.n_live_max <= 6);
}

static void test_parts_in_order(void **state)
{
    struct world *x = *state;

    x->to.class.is_in_order = true;
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_false(x->to.is_order_broken);
    assert_int_equal(x->to.n_live_max, 1);
}

static void test_small_and_empty(void **state)
{
    struct world *x = *state;

    x->to.class.wants_sha256 = true;
    place(&x->from, "a", "small", 5);
    assert_int_equal(copy(x), 0);
    assert_string_equal(find(&x->to, "b", false)->bytes.data, "small");
    place(&x->from, "a", "", 0);
    assert_int_equal(copy(x), 0);
    assert_int_equal(find(&x->to, "b", false)->bytes.len, 0);
    assert_int_equal(x->to.n_begun, 0);
    x->q.is_if_absent = true;
    assert_int_equal(copy(x), -EEXIST);
    place(&x->from, "a", x->bytes, SIZE);
    assert_int_equal(copy(x), -EEXIST);
    assert_int_equal(find(&x->to, "b", false)->bytes.len, 0);
}

static void test_from_memory(void **state)
{
    struct world *x = *state;

    x->q.from = NULL;
    x->q.data = x->bytes;
    x->q.len = SIZE;
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_int_equal(x->from.n_live_max, 0);
}

/* Whichever operation fails: all of it is there, or nothing. */
static void test_each_failure_in_turn(void **state)
{
    struct world *x = *state;
    unsigned n_failed = 0;

    for (int side = 0; side < 2; side++)
        for (int i = 1;; i++) {
            struct fake *f = side ? &x->to : &x->from;

            f->fail_in = i;
            if (copy(x) == 0) {
                f->fail_in = 0;
                assert_whole(x);
                find(&x->to, "b", false)->is_there = false;
                break;
            }
            assert_int_equal(x->w.status, -EIO);
            assert_string_equal(x->w.error.text, "the test says no");
            assert_nothing(x);
            n_failed++;
        }
    /* A head and each part; a begin, each part and a finish. */
    assert_int_equal(n_failed, 1 + SIZE / PART + 2 + SIZE / PART);
}

static void test_wrong_bytes_are_no_object(void **state)
{
    struct object *a;
    struct world *x = *state;
    uint8_t sum[ENCODE_SHA256];

    x->from.cut_in = 7;
    assert_int_equal(copy(x), -EBADMSG);
    assert_nothing(x);

    a = find(&x->from, "a", false);
    encode_sha256(x->bytes, SIZE, sum);
    encode_hex(sum, sizeof(sum), a->sha256);
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    find(&x->to, "b", false)->is_there = false;
    for (int i = 1; i <= SIZE / PART; i += 33) {
        x->from.corrupt_in = i;
        assert_int_equal(copy(x), -EBADMSG);
        assert_non_null(strstr(x->w.error.text, "SHA-256"));
        assert_nothing(x);
    }
    place(&x->from, "a", "small", 5);
    assert_int_equal(copy(x), -EBADMSG);
    assert_nothing(x);
}

/* The source is another one in the middle. */
static void test_changed_meanwhile(void **state)
{
    struct world *x = *state;
    struct object_about about = { .size = SIZE, .etag = "\"7\"" };

    x->q.about = &about;
    assert_int_equal(copy(x), -EBADMSG);
    assert_nothing(x);
}

static void test_a_stall_is_cancelled(void **state)
{
    struct world *x = *state;

    for (int i = 1; i < 20; i++) {
        struct transfer *t;

        x->to.stall_in = i;
        waiting_begin(&x->w);
        assert_int_equal(transfer_start(x->e, &x->q, &t), 0);
        while (x->to.stall_in && !x->w.is_over)
            uv_run(&x->loop, UV_RUN_ONCE);
        transfer_cancel(t);
        assert_int_equal(waiting_end(&x->w, 0), -ECANCELED);
        assert_nothing(x);
    }
}

/* Cut off in the middle and begun again: only what is missing is sent. */
static void test_goes_on(void **state)
{
    struct world *x = *state;
    struct transfers_progress p;

    x->q.state_path = x->state;
    x->to.fail_with = -ETIMEDOUT;
    x->to.fail_in = 60;
    assert_int_equal(copy(x), -ETIMEDOUT);
    assert_true(has_state(x));
    assert_true(x->to.up.is_there);
    assert_null(find(&x->to, "b", false));
    transfers_progress(x->e, &p);
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_false(has_state(x));
    assert_int_equal(x->to.n_begun, 1);
}

static void test_goes_on_with_no_other_source(void **state)
{
    struct world *x = *state;

    x->q.state_path = x->state;
    x->to.fail_with = -ETIMEDOUT;
    x->to.fail_in = 60;
    assert_int_equal(copy(x), -ETIMEDOUT);
    x->bytes[5] ^= 1;
    place(&x->from, "a", x->bytes, SIZE);
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_int_equal(x->to.n_begun, 2);
    /* What the service says is gone begins anew. */
    x->to.fail_in = 60;
    assert_int_equal(copy(x), -ETIMEDOUT);
    x->to.up.is_there = false;
    assert_int_equal(copy(x), 0);
    assert_whole(x);
    assert_int_equal(x->to.n_begun, 4);
    assert_false(has_state(x));
}

static void test_given_up_for_good(void **state)
{
    struct world *x = *state;

    x->q.state_path = x->state;
    x->to.fail_with = -EACCES;
    x->to.fail_in = 60;
    assert_int_equal(copy(x), -EACCES);
    assert_nothing(x);
    assert_false(has_state(x));
}

static void count_done(void *arg, int status, const struct object_about *about UNUSED,
                       const struct error *error UNUSED)
{
    assert_int_equal(status, 0);
    ++*(unsigned *)arg;
}

static void test_many_within_bounds(void **state)
{
    struct world *x = *state;
    unsigned n = 0;
    struct transfer *t;
    char name[16];

    x->q.done = count_done;
    x->q.arg = &n;
    x->q.to_name = name;
    place(&x->from, "a", x->bytes, 1500);
    for (unsigned i = 0; i < TRANSFERS_WAITING_MAX; i++) {
        snprintf(name, sizeof(name), "%u", i % 4);
        assert_int_equal(transfer_start(x->e, &x->q, &t), 0);
    }
    assert_int_equal(transfer_start(x->e, &x->q, &t), -EBUSY);
    uv_run(&x->loop, UV_RUN_DEFAULT);
    assert_int_equal(n, TRANSFERS_WAITING_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_parts_in_parallel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_small_and_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_from_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_failure_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wrong_bytes_are_no_object, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_changed_meanwhile, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_stall_is_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_goes_on_with_no_other_source, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_given_up_for_good, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_within_bounds, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
