/* SPDX-License-Identifier: Apache-2.0 */
/* A folder as an object store: names, conditions, order, parts, errors. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cloud/encode.h"
#include "cloud/file_store.h"

#include "tests/cloud/waiting.h"

struct world {
    uv_loop_t loop;
    char folder[64];
    struct object_store *store;
    struct waiting w;
};

static int remove_one(const char *path, const struct stat *st UNUSED, int kind UNUSED,
                      struct FTW *at UNUSED)
{
    return remove(path);
}

static int setup(void **state)
{
    struct world *x = calloc(1, sizeof(*x));
    char folder[96];
    struct object_store_options o = { .bucket = folder };
    struct error error;

    assert_non_null(x);
    assert_int_equal(uv_loop_init(&x->loop), 0);
    strcpy(x->folder, "/tmp/mesh-file-store.XXXXXX");
    assert_non_null(mkdtemp(x->folder));
    snprintf(folder, sizeof(folder), "%s/a/store", x->folder);
    assert_int_equal(file_open(&x->loop, &o, &x->store, &error), 0);
    x->w.loop = &x->loop;
    *state = x;
    return 0;
}

static int teardown(void **state)
{
    struct world *x = *state;

    if (x->store)
        x->store->class->free(x->store);
    uv_run(&x->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&x->loop), 0);
    nftw(x->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    buffer_release(&x->w.text);
    free(x);
    return 0;
}

static int put(struct world *x, struct object_put p)
{
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w,
                       x->store->class->put(x->store, &p, waiting_done, &x->w, &call));
}

static int put_text(struct world *x, const char *name, const char *text)
{
    return put(x, (struct object_put){ .name = name,
                                       .body = { .data = text, .len = strlen(text) } });
}

static int get_range(struct world *x, const char *name, uint64_t offset, uint64_t len)
{
    struct object_get g = {
        .name = name, .offset = offset, .len = len, .on_data = waiting_data
    };
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w,
                       x->store->class->get(x->store, &g, waiting_done, &x->w, &call));
}

static int get(struct world *x, const char *name)
{
    return get_range(x, name, 0, UINT64_MAX);
}

static int list(struct world *x, struct object_list l)
{
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w, x->store->class->list(x->store, &l, waiting_listed, &x->w,
                                                    &call));
}

static int head(struct world *x, const char *name)
{
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w, x->store->class->head(x->store, name, waiting_done, &x->w,
                                                    &call));
}

static int remove_name(struct world *x, const char *name)
{
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w, x->store->class->remove(x->store, name, waiting_done,
                                                      &x->w, &call));
}

static int upload(struct world *x, struct object_upload u)
{
    struct object_call *call;

    waiting_begin(&x->w);
    return waiting_end(&x->w, x->store->class->upload(x->store, &u, waiting_uploaded,
                                                      &x->w, &call));
}

static bool is_file(const struct world *x, const char *path)
{
    char whole[4200];
    struct stat st;

    snprintf(whole, sizeof(whole), "%s/%s", x->folder, path);
    return stat(whole, &st) == 0 && S_ISREG(st.st_mode);
}

static void test_what_is_put_is_got(void **state)
{
    struct world *x = *state;

    assert_int_equal(get(x, "k"), -ENOENT);
    assert_int_equal(put_text(x, "k", "hello"), 0);
    assert_int_equal(x->w.about.size, 5);
    assert_int_equal(get(x, "k"), 0);
    assert_string_equal(buffer_text(&x->w.text), "hello");
    assert_int_equal(put_text(x, "k", "other"), 0);
    assert_int_equal(get(x, "k"), 0);
    assert_string_equal(buffer_text(&x->w.text), "other");
    assert_int_equal(get_range(x, "k", 1, 3), 0);
    assert_string_equal(buffer_text(&x->w.text), "the");
    assert_int_equal(get_range(x, "k", 4, UINT64_MAX), 0);
    assert_string_equal(buffer_text(&x->w.text), "r");
    assert_int_equal(get_range(x, "k", 5, 1), -ERANGE);
    assert_int_equal(put_text(x, "none", ""), 0);
    assert_int_equal(get(x, "none"), 0);
    assert_int_equal(x->w.text.len, 0);
    assert_int_equal(head(x, "k"), 0);
    assert_int_equal(x->w.about.size, 5);
    assert_int_equal(remove_name(x, "k"), 0);
    assert_int_equal(remove_name(x, "k"), 0);
    assert_int_equal(head(x, "k"), -ENOENT);
    assert_non_null(strstr(x->w.error.text, "'k'"));
}

static void test_names_stay_in_the_folder(void **state)
{
    static const char *const names[] = {
        "b/..",       "../../evil",    "/etc/passwd",        "a//b", "z/",    "%~x",
        "sp ace+%2F", ".mesh-store/x", "gr\xc3\xbc\xc3\x9f", "-n",   "a/./b",
    };
    struct world *x = *state;
    char longest[OBJECT_NAME_MAX + 2];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(put_text(x, names[i], names[i]), 0);
        assert_int_equal(get(x, names[i]), 0);
        assert_string_equal(buffer_text(&x->w.text), names[i]);
    }
    assert_false(is_file(x, "evil"));
    assert_true(is_file(x, "a/store/sp ace+%2F"));
    memset(longest, 'l', sizeof(longest));
    longest[OBJECT_NAME_MAX] = '\0';
    assert_int_equal(put_text(x, longest, "long"), 0);
    assert_int_equal(list(x, (struct object_list){ .prefix = "l" }), 0);
    assert_int_equal(x->w.text.len, OBJECT_NAME_MAX + 1);
    assert_memory_equal(x->w.text.data, longest, OBJECT_NAME_MAX);
    longest[OBJECT_NAME_MAX] = 'l';
    longest[OBJECT_NAME_MAX + 1] = '\0';
    assert_int_equal(put_text(x, longest, "too long"), -EIO);
    assert_int_equal(put_text(x, "", "nothing"), -EIO);
    assert_int_equal(list(x, (struct object_list){ .prefix = "%" }), 0);
    assert_string_equal(buffer_text(&x->w.text), "%~x\n");
}

static void test_a_folder_is_no_object(void **state)
{
    struct world *x = *state;

    assert_int_equal(put_text(x, "a/b", "1"), 0);
    assert_int_equal(get(x, "a"), -ENOENT);
    assert_int_equal(get(x, "a/b/c"), -ENOENT);
    assert_int_equal(put_text(x, "a", "2"), -EIO);
    assert_non_null(strstr(x->w.error.text, "same name"));
    assert_int_equal(put_text(x, "a/b/c", "3"), -EIO);
    assert_int_equal(remove_name(x, "a/b"), 0);
    assert_int_equal(put_text(x, "a", "2"), 0); /* the empty folder went too */
}

static void test_conditions(void **state)
{
    const struct http_body one = { .data = "1", .len = 1 };
    struct world *x = *state;
    char etag[OBJECT_TAG_MAX];

    assert_int_equal(put(x, (struct object_put){ .name = "c",
                                                 .body = one,
                                                 .is_if_absent = true }),
                     0);
    strcpy(etag, x->w.about.etag);
    assert_int_equal(put(x, (struct object_put){ .name = "c",
                                                 .body = one,
                                                 .is_if_absent = true }),
                     -EEXIST);
    assert_int_equal(put(x, (struct object_put){ .name = "c",
                                                 .body = one,
                                                 .if_match = etag }),
                     0);
    assert_int_equal(put(x, (struct object_put){ .name = "c",
                                                 .body = one,
                                                 .if_match = etag }),
                     -EEXIST);
    assert_int_equal(put(x, (struct object_put){ .name = "none",
                                                 .body = one,
                                                 .if_match = etag }),
                     -EEXIST);
}

static void test_promised_bytes(void **state)
{
    struct world *x = *state;
    uint8_t sum[ENCODE_SHA256];
    struct object_put p = { .name = "s",
                            .body = { .data = "abc", .len = 3 },
                            .sha256 = sum };

    encode_sha256("abc", 3, sum);
    assert_int_equal(put(x, p), 0);
    sum[31] ^= 1;
    assert_int_equal(put(x, p), -EBADMSG);
    assert_int_equal(list(x, (struct object_list){ .prefix = NULL }), 0);
    assert_string_equal(buffer_text(&x->w.text), "s\n");
}

static void test_order_and_pages(void **state)
{
    static const char *const names[] = {
        "a-b", "a/b", "a/c/d", "a0", "a", "b//x", "~"
    };
    struct world *x = *state;
    char *all = NULL;
    size_t pages = 0;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (strcmp(names[i], "a") != 0)
            assert_int_equal(put_text(x, names[i], "x"), 0);
    assert_int_equal(list(x, (struct object_list){ .prefix = NULL }), 0);
    assert_string_equal(buffer_text(&x->w.text), "a-b\na/b\na/c/d\na0\nb//x\n~\n");
    assert_string_equal(x->w.next, "");
    assert_int_equal(list(x, (struct object_list){ .prefix = "a", .delimiter = '/' }),
                     0);
    assert_string_equal(buffer_text(&x->w.text), "a-b\na/\na0\n");
    assert_int_equal(list(x, (struct object_list){ .prefix = "a/", .delimiter = '/' }),
                     0);
    assert_string_equal(buffer_text(&x->w.text), "a/b\na/c/\n");
    assert_int_equal(list(x, (struct object_list){ .prefix = "a/c" }), 0);
    assert_string_equal(buffer_text(&x->w.text), "a/c/d\n");
    assert_int_equal(list(x, (struct object_list){ .after = "a/b" }), 0);
    assert_string_equal(buffer_text(&x->w.text), "a/c/d\na0\nb//x\n~\n");
    /* One at a time, as one walk and each time anew: the same. */
    for (const char *after = NULL; !after || *after; pages++) {
        CLEANUP(freep) char *at = after ? strdup(after) : NULL;

        if (pages % 2)
            assert_int_equal(head(x, "~"), 0);
        assert_int_equal(list(x, (struct object_list){ .after = at, .max = 1 }), 0);
        all = realloc(all, 200);
        assert_non_null(all);
        if (!pages)
            *all = '\0';
        strcat(all, buffer_text(&x->w.text));
        after = x->w.next;
    }
    assert_string_equal(all, "a-b\na/b\na/c/d\na0\nb//x\n~\n");
    free(all);
}

static void test_other_things_in_the_folder(void **state)
{
    struct world *x = *state;
    char path[160];

    assert_int_equal(put_text(x, "plain", "p"), 0);
    snprintf(path, sizeof(path), "%s/a/store/link", x->folder);
    assert_int_equal(symlink("plain", path), 0);
    snprintf(path, sizeof(path), "%s/a/store/circle", x->folder);
    assert_int_equal(symlink(".", path), 0);
    snprintf(path, sizeof(path), "%s/a/store/pipe", x->folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/a/store/%%~none", x->folder);
    assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
    assert_int_equal(list(x, (struct object_list){ .prefix = NULL }), 0);
    assert_string_equal(buffer_text(&x->w.text), "link\nplain\n");
    assert_int_equal(get(x, "link"), 0);
    assert_string_equal(buffer_text(&x->w.text), "p");
    assert_int_equal(get(x, "pipe"), -EIO);
}

static void test_parts(void **state)
{
    struct world *x = *state;
    struct object_part parts[3];
    char id[OBJECT_UPLOAD_MAX];
    struct object_upload u = { .step = OBJECT_UPLOAD_BEGIN, .name = "p", .size = 6 };

    assert_int_equal(upload(x, u), 0);
    strcpy(id, x->w.upload);
    u.upload = id;
    u.step = OBJECT_UPLOAD_PART;
    for (uint32_t i = 3; i >= 1; i--) {
        u.number = i;
        u.offset = 2 * (i - 1);
        u.body = (struct http_body){ .data = &"aabbcc"[u.offset], .len = 2 };
        assert_int_equal(upload(x, u), 0);
        parts[i - 1] = x->w.part;
        if (i == 2) {
            u.step = OBJECT_UPLOAD_FINISH;
            u.parts = parts;
            u.n_parts = 3;
            parts[0] = (struct object_part){ .number = 1, .size = 2 };
            assert_int_equal(upload(x, u), -EBADMSG);
            u.step = OBJECT_UPLOAD_PART;
        }
    }
    assert_int_equal(head(x, "p"), -ENOENT);
    u.step = OBJECT_UPLOAD_PARTS;
    assert_int_equal(upload(x, u), 0);
    assert_int_equal(x->w.n_parts, 3);
    assert_int_equal(x->w.parts[2].number, 3);
    assert_string_equal(x->w.parts[2].tag, parts[2].tag);
    u.step = OBJECT_UPLOAD_FINISH;
    u.parts = parts;
    u.n_parts = 3;
    u.is_if_absent = true;
    assert_int_equal(upload(x, u), 0);
    assert_int_equal(x->w.about.size, 6);
    assert_int_equal(get(x, "p"), 0);
    assert_string_equal(buffer_text(&x->w.text), "aabbcc");
    assert_int_equal(upload(x, u), -ENOENT);
    u.step = OBJECT_UPLOAD_ABORT;
    assert_int_equal(upload(x, u), 0);
}

static void test_what_is_given_up_leaves_nothing(void **state)
{
    struct world *x = *state;
    struct object_upload u = { .step = OBJECT_UPLOAD_BEGIN, .name = "p", .size = 6 };
    char id[OBJECT_UPLOAD_MAX], path[160];
    struct stat st;

    assert_int_equal(upload(x, u), 0);
    strcpy(id, x->w.upload);
    u = (struct object_upload){ .step = OBJECT_UPLOAD_PART,
                                .name = "p",
                                .upload = id,
                                .number = 1,
                                .body = { .data = "xx", .len = 2 } };
    assert_int_equal(upload(x, u), 0);
    u.step = OBJECT_UPLOAD_ABORT;
    assert_int_equal(upload(x, u), 0);
    assert_int_equal(upload(x, u), 0);
    u.step = OBJECT_UPLOAD_PARTS;
    assert_int_equal(upload(x, u), -ENOENT);
    u.upload = "../../../..";
    assert_int_equal(upload(x, u), -ENOENT);
    x->store->class->free(x->store);
    x->store = NULL;
    snprintf(path, sizeof(path), "%s/a/store/.mesh-store", x->folder);
    assert_int_equal(stat(path, &st), -1);
}

static void test_cancel_and_close(void **state)
{
    struct world *x = *state;
    CLEANUP(freep) char *large = calloc(1, 8 << 20);
    struct object_put p = { .name = "l", .body = { .data = large, .len = 8 << 20 } };
    struct object_call *calls[8];
    struct waiting w[8] = { { .loop = NULL } };

    assert_non_null(large);
    for (size_t i = 0; i < 8; i++)
        assert_int_equal(x->store->class->put(x->store, &p, waiting_done, &w[i],
                                              &calls[i]),
                         0);
    x->store->class->cancel(calls[7]);
    x->store->class->free(x->store);
    x->store = NULL;
    for (size_t i = 0; i < 8; i++) {
        assert_true(w[i].is_over);
        assert_true(w[i].status == -ECANCELED || w[i].status == 0);
    }
    assert_int_equal(w[7].status, -ECANCELED);
}

static void test_what_a_folder_has_not(void **state)
{
    struct world *x = *state;
    struct object_store_options o = { .bucket = x->folder, .encryption = "AES256" };
    struct object_store *none;
    struct error error;

    assert_int_equal(file_open(&x->loop, &o, &none, &error), -EINVAL);
    assert_non_null(strstr(error.text, "encryption"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_put_is_got, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_stay_in_the_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_is_no_object, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conditions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_promised_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order_and_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_things_in_the_folder, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_is_given_up_leaves_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_cancel_and_close, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_a_folder_has_not, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
