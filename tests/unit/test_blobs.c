/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

#include "store/blobs_internal.h"
#include "store/gc.h"

enum { LARGE = BLOB_CHUNKED_MAX + 12345 };

static struct digest put(struct fixture *f, const void *data, size_t len)
{
    struct digest id;

    assert_int_equal(blobs_put(f->blobs, data, len, &id), 0);
    return id;
}

static void assert_content(struct fixture *f, const struct digest *id, const char *data,
                           size_t len)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
    uint64_t size;

    assert_int_equal(blobs_stat(f->blobs, id, &size), 0);
    assert_int_equal(size, len);
    assert_int_equal(blobs_read(f->blobs, id, 0, UINT64_MAX, &found), 0);
    assert_int_equal(found.len, len);
    if (len)
        assert_memory_equal(found.data, data, len);
}

static bool is_here(struct fixture *f, const struct digest *id)
{
    uint64_t size;

    return blobs_stat(f->blobs, id, &size) == 0;
}

static void assert_usage(struct fixture *f, uint64_t n_blobs, uint64_t bytes)
{
    struct blobs_usage usage;

    assert_int_equal(blobs_usage(f->blobs, &usage), 0);
    assert_int_equal(usage.n_blobs, n_blobs);
    assert_int_equal(usage.bytes, bytes);
    assert_true(usage.disk_free_bytes > 0);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {
        0, 1, 1000, STORE_CHUNK_MAX, STORE_CHUNK_MAX + 1, BLOB_CHUNKED_MAX, LARGE,
    };
    struct fixture *f = *state;
    struct digest ids[ARRAY_SIZE(sizes)];
    uint64_t bytes = 0;

    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
            char *data = make_bytes(sizes[i], (uint32_t)i);

            if (round == 0) {
                ids[i] = put(f, data, sizes[i]);
                bytes += sizes[i];
            }
            assert_content(f, &ids[i], data, sizes[i]);
            assert_int_equal(blobs_verify(f->blobs, &ids[i], 2), 0);
            free(data);
        }
        assert_usage(f, ARRAY_SIZE(sizes), bytes);
        fixture_reopen(f);
    }
    assert_int_equal(count_in(f, "blobs/tmp"), 0);
}

static void test_ranges(void **state)
{
    static const size_t sizes[] = { 3 * STORE_CHUNK_MAX + 9, LARGE };
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        size_t n = sizes[i], c = STORE_CHUNK_MAX;
        const size_t ranges[][2] = { { 0, 5 }, { 5, c },     { c - 1, 2 },
                                     { c, c }, { 7, 2 * c }, { n - 3, 100 },
                                     { n, 5 }, { n + 5, 5 }, { 2 * c, n } };
        char *data = make_bytes(n, 7);
        struct digest id = put(f, data, n);

        for (size_t j = 0; j < ARRAY_SIZE(ranges); j++) {
            CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
            size_t from = ranges[j][0];
            size_t len = from < n ? min_size(ranges[j][1], n - from) : 0;

            buffer_puts(&found, "<");
            assert_int_equal(blobs_read(f->blobs, &id, from, ranges[j][1], &found), 0);
            assert_int_equal(found.len, len + 1);
            assert_int_equal(found.data[0], '<');
            if (len)
                assert_memory_equal(found.data + 1, data + from, len);
        }
        free(data);
    }
}

static void test_repeats(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 1);
    struct digest a = put(f, data, LARGE), b = put(f, data, LARGE);
    struct digest c = put(f, data, 10), d = put(f, data, 10);

    assert_true(digest_equal(&a, &b) && digest_equal(&c, &d));
    assert_usage(f, 2, LARGE + 10);
    free(data);
}

static void test_unknown(void **state)
{
    struct fixture *f = *state;
    struct buffer none = BUFFER_INIT;
    struct digest id = digest_memory("?", 1);
    bool linked;
    int fd;

    assert_false(is_here(f, &id));
    assert_int_equal(blobs_read(f->blobs, &id, 0, 1, &none), -ENOENT);
    assert_int_equal(blobs_open_file(f->blobs, &id, &fd), -ENOENT);
    assert_int_equal(blobs_verify(f->blobs, &id, 1), -ENOENT);
    assert_int_equal(blobs_is_intact(f->blobs, &id), -ENOENT);
    assert_int_equal(blobs_lay_out(f->blobs, &id, "/tmp/x", 0644, true, &linked),
                     -ENOENT);
    assert_int_equal(blobs_quarantine(f->blobs, &id), -ENOENT);
    id = put(f, "?", 1);
    assert_int_equal(blobs_open_file(f->blobs, &id, &fd), -ENOTSUP);
}

/* ---- files ---- */

static void test_adopt(void **state)
{
    static const size_t sizes[] = { 0, 100, BLOB_CHUNKED_MAX, LARGE };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char *data = make_bytes(sizes[i], 40 + (uint32_t)i), path[PLACE_PATH_MAX];
        struct digest id = digest_memory(data, sizes[i]);

        path_in(f, "output", path);
        /* The second time it is there already. */
        for (int round = 0; round < 2; round++) {
            write_file(path, data, sizes[i]);
            assert_int_equal(blobs_adopt_file(f->blobs, path, sizes[i], &id), 0);
            assert_int_equal(access(path, F_OK), -1);
            assert_content(f, &id, data, sizes[i]);
        }
        write_file(path, data, sizes[i]);
        assert_int_equal(blobs_copy_file(f->blobs, path, sizes[i], &id), 0);
        assert_int_equal(access(path, F_OK), 0);
        free(data);
    }
    fixture_reopen(f);
    assert_usage(f, 4, 0 + 100 + BLOB_CHUNKED_MAX + LARGE);
}

/* A large file is renamed, not copied: it is the same inode. */
static void test_adopt_renames(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 2), path[PLACE_PATH_MAX], blob[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, LARGE);
    struct stat before, after;

    path_in(f, "output", path);
    write_file(path, data, LARGE);
    assert_int_equal(stat(path, &before), 0);
    assert_int_equal(blobs_adopt_file(f->blobs, path, LARGE, &id), 0);
    blob_file(f, &id, blob);
    assert_int_equal(stat(blob, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
    assert_int_equal(after.st_mode & 0777, 0444);
    free(data);
}

/* One that has another name could be written under that: it is copied. */
static void test_adopt_with_two_names(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 3), path[PLACE_PATH_MAX], other[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, LARGE);

    path_in(f, "output", path);
    path_in(f, "other", other);
    write_file(path, data, LARGE);
    assert_int_equal(link(path, other), 0);
    assert_int_equal(blobs_adopt_file(f->blobs, path, LARGE, &id), 0);
    assert_int_equal(access(path, F_OK), -1);
    write_file(other, "scribble", 8);
    assert_content(f, &id, data, LARGE);
    assert_int_equal(blobs_verify(f->blobs, &id, 2), 0);
    free(data);
}

static void test_copy_of_changed_file(void **state)
{
    static const size_t sizes[] = { 1000, LARGE };
    struct fixture *f = *state;
    char path[PLACE_PATH_MAX];

    path_in(f, "input", path);
    for (size_t i = 0; i < 2; i++) {
        char *data = make_bytes(sizes[i], 4);
        struct digest id = digest_memory(data, sizes[i]);

        data[sizes[i] - 1] ^= 1;
        write_file(path, data, sizes[i]);
        assert_int_equal(blobs_copy_file(f->blobs, path, sizes[i], &id), -ESTALE);
        assert_int_equal(blobs_copy_file(f->blobs, path, sizes[i] + 1, &id), -ESTALE);
        assert_false(is_here(f, &id));
        free(data);
    }
    assert_int_equal(count_in(f, "blobs/tmp"), 0);
    assert_usage(f, 0, 0);
}

static void test_adopt_refuses(void **state)
{
    struct fixture *f = *state;
    struct digest id = digest_memory("x", 1);
    char path[PLACE_PATH_MAX];

    path_in(f, "thing", path);
    assert_int_equal(blobs_adopt_file(f->blobs, path, 1, &id), -ENOENT);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    assert_int_equal(blobs_adopt_file(f->blobs, path, 1, &id), -ELOOP);
    unlink(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(blobs_adopt_file(f->blobs, path, 1, &id), -EINVAL);
}

/* ---- crashes ---- */

/* A file in its place whose entry was lost is not trusted: its bytes may be. */
static void test_file_without_entry(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 5), blob[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, LARGE);

    blob_file(f, &id, blob);
    *strrchr(blob, '/') = '\0';
    assert_int_equal(place_make(blob), 0);
    blob_file(f, &id, blob);
    write_file(blob, "torn", 4);
    assert_false(is_here(f, &id));
    put(f, data, LARGE);
    assert_content(f, &id, data, LARGE);
    free(data);
}

/* The entry waits for the sync: when that fails, a reopened store knows nothing. */
static void test_no_entry_before_sync(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 6), path[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, LARGE), other;

    wait_durable(f);
    path_in(f, "output", path);
    write_file(path, data, LARGE);
    /* The first two are of the folders it makes. */
    fault_set(FAULT_SYNC_EIO, 3);
    assert_int_equal(blobs_adopt_file(f->blobs, path, LARGE, &id), 0);
    assert_int_equal(writer_wait(f->writer, writer_put(f->writer, NULL, 0, true)),
                     -EIO);
    assert_int_equal(blobs_put(f->blobs, "later", 5, &other), -EIO);
    fixture_reopen(f);
    assert_false(is_here(f, &id));
    put(f, data, LARGE);
    assert_content(f, &id, data, LARGE);
    free(data);
}

/* Each waiting sync holds a descriptor: there are never many. */
static void test_many_files(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 17);

    f->blobs->n_unsynced = BLOBS_UNSYNCED_MAX - 1;
    for (int i = 0; i < 3; i++) {
        data[0] = (char)i;
        put(f, data, LARGE);
    }
    assert_int_equal(f->blobs->n_unsynced, 2);
    assert_usage(f, 3, 3 * LARGE);
    free(data);
}

static void test_lost_file(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 7), blob[PLACE_PATH_MAX];
    struct digest id = put(f, data, LARGE);
    struct buffer none = BUFFER_INIT;

    blob_file(f, &id, blob);
    unlink(blob);
    assert_int_equal(blobs_read(f->blobs, &id, 0, 5, &none), -EIO);
    assert_int_equal(blobs_verify(f->blobs, &id, 1), -EBADMSG);
    put(f, data, LARGE);
    assert_content(f, &id, data, LARGE);
    assert_usage(f, 1, LARGE);
    free(data);
}

static void test_temporary_is_cleaned(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 8), path[PLACE_PATH_MAX];

    put(f, data, LARGE);
    path_in(f, "blobs/tmp/99", path);
    write_file(path, "rest", 4);
    fixture_reopen(f);
    assert_int_equal(access(path, F_OK), -1);
    free(data);
}

static void test_killed(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 9);
    struct digest small = digest_memory("small", 5), large = digest_memory(data, LARGE);
    int status;
    pid_t pid;

    fixture_close(f);
    pid = fork();
    if (pid == 0) {
        fixture_open(f);
        put(f, "small", 5);
        put(f, data, LARGE);
        wait_durable(f);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    fixture_open(f);
    assert_content(f, &small, "small", 5);
    assert_content(f, &large, data, LARGE);
    assert_usage(f, 2, LARGE + 5);
    free(data);
}

/* ---- no room ---- */

static void test_quota(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 10), path[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, LARGE);

    f->quota_bytes = 2000;
    fixture_reopen(f);
    put(f, data, 1500);
    assert_int_equal(blobs_put(f->blobs, data, 501, &id), -ENOSPC);
    assert_int_equal(blobs_put(f->blobs, data, LARGE, &id), -ENOSPC);
    id = digest_memory(data, LARGE);
    path_in(f, "output", path);
    write_file(path, data, LARGE);
    assert_int_equal(blobs_adopt_file(f->blobs, path, LARGE, &id), -ENOSPC);
    assert_int_equal(access(path, F_OK), 0);
    put(f, data, 500);
    put(f, data, 1500);
    assert_usage(f, 2, 2000);
    fixture_reopen(f);
    assert_int_equal(blobs_put(f->blobs, data, 1, &id), -ENOSPC);
    assert_int_equal(count_in(f, "blobs/tmp"), 0);
    free(data);
}

struct room {
    struct blobs *blobs;
    unsigned n_asked;
    uint64_t bytes;
    bool has_garbage;
};

static bool is_garbage(void *arg, const struct digest *id)
{
    (void)id;
    return ((const struct room *)arg)->has_garbage;
}

static bool make_room(void *arg, uint64_t bytes)
{
    struct room *room = arg;
    uint64_t freed = 0;

    room->n_asked++;
    room->bytes = bytes;
    assert_int_equal(blobs_evict(room->blobs, 0, is_garbage, room, &freed), 0);
    return freed > 0;
}

static void test_a_full_quota_asks_for_room(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 12), path[PLACE_PATH_MAX];
    struct digest id = digest_memory(data, 1800);
    struct room room = { .n_asked = 0 };

    f->quota_bytes = 2000;
    fixture_reopen(f);
    room.blobs = f->blobs;
    blobs_on_full(f->blobs, make_room, &room);
    put(f, data, 1500);
    assert_int_equal(room.n_asked, 0);
    assert_int_equal(blobs_put(f->blobs, data, 501, &id), -ENOSPC);
    assert_int_equal(room.n_asked, 1);
    assert_int_equal(blobs_put(f->blobs, data, LARGE, &id), -ENOSPC);
    assert_int_equal(room.n_asked, 1); /* it would never fit */
    room.has_garbage = true;
    put(f, data, 501);
    assert_int_equal(room.n_asked, 2);
    assert_int_equal(room.bytes, 501);
    assert_usage(f, 1, 501);
    path_in(f, "output", path);
    write_file(path, data, 1800);
    id = digest_memory(data, 1800);
    assert_int_equal(blobs_adopt_file(f->blobs, path, 1800, &id), 0);
    assert_int_equal(room.n_asked, 3);
    assert_usage(f, 1, 1800);
    free(data);
}

static void test_disk_full(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 11);
    struct digest id = digest_memory(data, LARGE), none;

    fault_set(FAULT_FILE_ENOSPC, 1);
    assert_int_equal(blobs_put(f->blobs, data, LARGE, &none), -ENOSPC);
    assert_false(is_here(f, &id));
    assert_int_equal(count_in(f, "blobs/tmp"), 0);
    fault_set(FAULT_WRITE_SHORT, 1);
    put(f, data, LARGE);
    assert_content(f, &id, data, LARGE);
    free(data);
}

/* ---- laying out ---- */

static void assert_file(const char *path, const char *data, size_t len, unsigned mode)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_mode & 0777, mode);
    assert_int_equal(blob_read_file(fd, 0, UINT64_MAX, &found), 0);
    assert_int_equal(found.len, len);
    assert_memory_equal(found.data, data, len);
    close(fd);
}

static void test_lay_out(void **state)
{
    static const size_t sizes[] = { 10, 2 * STORE_CHUNK_MAX, LARGE };
    struct fixture *f = *state;
    char path[PLACE_PATH_MAX];
    bool linked;

    path_in(f, "input", path);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char *data = make_bytes(sizes[i], 12);
        struct digest id = put(f, data, sizes[i]);

        assert_int_equal(blobs_lay_out(f->blobs, &id, path, 0640, false, &linked), 0);
        assert_false(linked);
        assert_file(path, data, sizes[i], 0640);
        assert_int_equal(blobs_lay_out(f->blobs, &id, path, 0640, false, &linked),
                         -EEXIST);
        /* A copy is the task's own. */
        write_file(path, "mine", 4);
        assert_int_equal(blobs_verify(f->blobs, &id, 1), 0);
        unlink(path);
        assert_int_equal(blobs_lay_out(f->blobs, &id, path, 0755, true, &linked), 0);
        assert_false(linked);
        assert_file(path, data, sizes[i], 0755);
        unlink(path);
        free(data);
    }
}

/* False where the file system makes reflinks: then nothing is ever linked. */
static bool lay_out_linked(struct fixture *f, const struct digest *id, const char *path)
{
    bool linked = false;

    assert_int_equal(blobs_lay_out(f->blobs, id, path, 0644, true, &linked), 0);
    return linked;
}

static void test_links_come_and_go(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 13), one[PLACE_PATH_MAX], two[PLACE_PATH_MAX];
    struct digest id = put(f, data, LARGE);

    path_in(f, "one", one);
    path_in(f, "two", two);
    if (!lay_out_linked(f, &id, one))
        skip();
    assert_true(lay_out_linked(f, &id, two));
    assert_int_equal(blobs_is_intact(f->blobs, &id), 0);
    assert_int_equal(blobs_remove_link(f->blobs, &id, one), 0);
    assert_int_equal(access(one, F_OK), -1);
    assert_int_equal(blobs_is_intact(f->blobs, &id), 0);
    /* Removed by somebody else: the ctime differs, the bytes do not. */
    unlink(two);
    assert_int_equal(blobs_is_intact(f->blobs, &id), 0);
    assert_int_equal(blobs_is_intact(f->blobs, &id), 0);
    assert_true(is_here(f, &id));
    assert_int_equal(blobs_remove_link(f->blobs, &id, one), -ENOENT);
    free(data);
}

static void scribble(const char *path, bool hides_it)
{
    struct timespec times[2];
    struct stat st;
    int fd;

    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(chmod(path, 0644), 0);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "scribble", 8, 100), 8);
    times[0] = st.st_atim;
    times[1] = st.st_mtim;
    if (hides_it)
        assert_int_equal(futimens(fd, times), 0);
    close(fd);
}

/* A task that writes to its input is found out, also when it sets the time back. */
static void test_written_link(void **state)
{
    struct fixture *f = *state;
    char path[PLACE_PATH_MAX];

    path_in(f, "input", path);
    for (int hides_it = 0; hides_it < 2; hides_it++) {
        char *data = make_bytes(LARGE, 14);
        struct digest id = put(f, data, LARGE);

        if (!lay_out_linked(f, &id, path))
            skip();
        scribble(path, hides_it);
        assert_int_equal(blobs_is_intact(f->blobs, &id), -ESTALE);
        assert_false(is_here(f, &id));
        assert_int_equal(count_in(f, "quarantine"), 1 + (size_t)hides_it);
        /* The next one who makes the same bytes brings the blob back. */
        put(f, data, LARGE);
        assert_int_equal(blobs_verify(f->blobs, &id, 2), 0);
        assert_usage(f, 1, LARGE);
        unlink(path);
        free(data);
    }
}

/* ---- damage ---- */

static void test_verify_finds_damage(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 15), blob[PLACE_PATH_MAX];
    struct digest large = put(f, data, LARGE);
    struct digest small = put(f, data, 2 * STORE_CHUNK_MAX);
    uint8_t key[CHUNK_KEY_SIZE] = { 0 };
    struct store_write w = { .table = STORE_CHUNKS,
                             .key = { key, sizeof(key) },
                             .value = { data, STORE_CHUNK_MAX } };

    blob_file(f, &large, blob);
    scribble(blob, true);
    assert_int_equal(blobs_verify(f->blobs, &large, 2), -EBADMSG);
    memcpy(key, small.bytes, DIGEST_SIZE);
    key[CHUNK_KEY_SIZE - 1] = 1;
    writer_put(f->writer, &w, 1, false);
    assert_int_equal(blobs_verify(f->blobs, &small, 2), -EBADMSG);
    w.is_delete = true;
    writer_put(f->writer, &w, 1, false);
    assert_int_equal(blobs_verify(f->blobs, &small, 2), -EBADMSG);
    assert_int_equal(blobs_quarantine(f->blobs, &large), 0);
    assert_int_equal(blobs_quarantine(f->blobs, &small), 0);
    assert_int_equal(count_in(f, "quarantine"), 1);
    assert_usage(f, 0, 0);
    put(f, data, 2 * STORE_CHUNK_MAX);
    assert_int_equal(blobs_verify(f->blobs, &small, 2), 0);
    free(data);
}

/* ---- sweep, gc, eviction ---- */

static bool is_in_list(void *arg, const struct digest *id)
{
    const struct digest *list = arg;

    return digest_equal(&list[0], id) || digest_equal(&list[1], id);
}

static void test_sweep(void **state)
{
    struct fixture *f = *state;
    char *data = make_bytes(LARGE, 16), blob[PLACE_PATH_MAX], orphan[PLACE_PATH_MAX];
    struct digest live[2] = { put(f, "live", 4), put(f, data, LARGE) };
    struct digest pinned = put(f, "pinned", 6), dead = put(f, "dead", 4);
    struct digest dead_file = put(f, data, LARGE - 1);
    struct digest lost = digest_memory("lost", 4);
    struct gc_report report;

    blob_file(f, &dead_file, blob);
    blob_file(f, &lost, orphan);
    *strrchr(orphan, '/') = '\0';
    mkdir(orphan, 0700);
    blob_file(f, &lost, orphan);
    write_file(orphan, "lost", 4);
    assert_int_equal(blobs_pin(f->blobs, &pinned), 0);

    assert_int_equal(blobs_sweep(f->blobs, is_in_list, live, true, &report), 0);
    assert_int_equal(report.n_kept, 3);
    assert_int_equal(report.n_freed, 3);
    assert_int_equal(report.bytes_kept, 4 + LARGE + 6);
    assert_int_equal(report.bytes_freed, 4 + LARGE - 1 + 4);
    assert_true(is_here(f, &dead) && is_here(f, &dead_file));
    assert_int_equal(access(orphan, F_OK), 0);

    assert_int_equal(blobs_sweep(f->blobs, is_in_list, live, false, &report), 0);
    assert_int_equal(report.n_freed, 3);
    assert_false(is_here(f, &dead) || is_here(f, &dead_file));
    assert_int_equal(access(blob, F_OK), -1);
    assert_int_equal(access(orphan, F_OK), -1);
    assert_content(f, &live[1], data, LARGE);
    assert_content(f, &pinned, "pinned", 6);

    blobs_unpin(f->blobs, &pinned);
    fixture_reopen(f);
    assert_usage(f, 3, 4 + LARGE + 6);
    assert_int_equal(blobs_sweep(f->blobs, is_in_list, live, false, &report), 0);
    assert_int_equal(report.n_freed, 1);
    assert_usage(f, 2, 4 + LARGE);
    put(f, "dead", 4);
    assert_true(is_here(f, &dead));
    free(data);
}

static bool is_never(void *arg, const struct digest *id)
{
    (void)arg;
    (void)id;
    return false;
}

static bool is_always(void *arg, const struct digest *id)
{
    (void)arg;
    (void)id;
    return true;
}

static int fail_at_chunk(void *arg, struct span key, struct span value)
{
    (void)arg;
    (void)key;
    (void)value;
    return -EEXIST;
}

/* More than a page of them, with chunks that go too. */
static void test_sweep_many(void **state)
{
    struct fixture *f = *state;
    struct span none = { .len = 0 };
    struct gc_report report;
    int first = 0;

    for (int i = 0; i < 3000; i++)
        put(f, &i, sizeof(i));
    put(f, &first, sizeof(first));
    assert_usage(f, 3000, 3000 * sizeof(int));
    assert_int_equal(blobs_sweep(f->blobs, is_never, NULL, false, &report), 0);
    assert_int_equal(report.n_freed, 3000);
    assert_usage(f, 0, 0);
    assert_int_equal(writer_scan(f->writer, STORE_CHUNKS, none, none, fail_at_chunk,
                                 NULL),
                     0);
}

struct gc_story {
    struct fixture *f;
    struct digest live, late;
    int result;
};

/* A task keeps a blob while the records are marked. */
static int mark(void *arg, struct gc *gc)
{
    struct gc_story *s = arg;

    s->late = put(s->f, "late", 4);
    put(s->f, "again", 5);
    gc_mark(gc, &s->live);
    return s->result;
}

static void test_gc(void **state)
{
    struct gc_story s = { .f = *state };
    struct digest dead = put(s.f, "dead", 4), again = put(s.f, "again", 5);
    struct gc_report report;

    s.live = put(s.f, "live", 4);
    s.result = -EBADMSG;
    assert_int_equal(gc_run(s.f->blobs, mark, &s, false, &report), -EBADMSG);
    assert_true(is_here(s.f, &dead));
    s.result = 0;
    assert_int_equal(gc_run(s.f->blobs, mark, &s, false, &report), 0);
    assert_int_equal(report.n_freed, 1);
    assert_false(is_here(s.f, &dead));
    assert_true(is_here(s.f, &s.live) && is_here(s.f, &s.late) && is_here(s.f, &again));
    /* What was kept meanwhile is held for that time only. */
    assert_int_equal(blobs_sweep(s.f->blobs, is_never, NULL, false, &report), 0);
    assert_int_equal(report.n_freed, 3);
}

static bool is_dead(struct fixture *f, const struct digest *id)
{
    struct gc_report report;

    assert_int_equal(blobs_sweep(f->blobs, is_never, NULL, false, &report), 0);
    return !is_here(f, id);
}

/* Two attempts keep their outputs, the records of which are written later. */
static void test_hold(void **state)
{
    struct fixture *f = *state;
    struct blobs_hold one = { .since = 0 }, two = { .since = 0 };
    struct digest before = put(f, "before", 6), first, both, second;

    blobs_hold_begin(f->blobs, &one);
    first = put(f, "first", 5);
    both = put(f, "both", 4);
    blobs_hold_begin(f->blobs, &two);
    second = put(f, "second", 6);
    put(f, "both", 4);
    assert_true(is_dead(f, &before));
    assert_true(is_here(f, &first) && is_here(f, &both) && is_here(f, &second));
    blobs_hold_end(f->blobs, &one);
    blobs_hold_end(f->blobs, &one);
    assert_true(is_dead(f, &first));
    assert_true(is_here(f, &both) && is_here(f, &second));
    blobs_hold_end(f->blobs, &two);
    assert_true(is_dead(f, &both) && !is_here(f, &second));
}

struct letting_go {
    struct fixture *f;
    struct blobs_hold hold;
};

/* Its record was written where the marks have passed already. */
static int mark_and_let_go(void *arg, struct gc *gc)
{
    struct letting_go *s = arg;

    (void)gc;
    blobs_hold_end(s->f->blobs, &s->hold);
    return 0;
}

static void test_gc_keeps_what_was_held_when_it_began(void **state)
{
    struct letting_go s = { .f = *state };
    struct digest held, dead = put(s.f, "dead", 4);
    struct gc_report report;

    blobs_hold_begin(s.f->blobs, &s.hold);
    held = put(s.f, "held", 4);
    assert_int_equal(gc_run(s.f->blobs, mark_and_let_go, &s, false, &report), 0);
    assert_true(is_here(s.f, &held) && !is_here(s.f, &dead));
    assert_true(is_dead(s.f, &held));
}

static uint64_t clock_ms;

static uint64_t read_clock(void)
{
    return clock_ms;
}

static bool is_not(void *arg, const struct digest *id)
{
    return !digest_equal(arg, id);
}

static void test_evict(void **state)
{
    struct fixture *f = *state;
    struct digest ids[5], live;
    uint64_t freed;
    char data[100] = "";

    f->blobs->wall_ms = read_clock;
    clock_ms = 1000000000000;
    for (int i = 0; i < 5; i++) {
        data[0] = (char)('a' + i);
        clock_ms += 7200 * 1000;
        ids[i] = put(f, data, sizeof(data));
    }
    /* The first is used again, the second pinned, the third must stay. */
    clock_ms += 7200 * 1000;
    data[0] = 'a';
    assert_content(f, &ids[0], data, sizeof(data));
    assert_int_equal(blobs_pin(f->blobs, &ids[1]), 0);
    live = ids[2];
    assert_int_equal(blobs_evict(f->blobs, 350, is_not, &live, &freed), 0);
    assert_int_equal(freed, 200);
    assert_true(is_here(f, &ids[0]) && is_here(f, &ids[1]) && is_here(f, &ids[2]));
    assert_false(is_here(f, &ids[3]) || is_here(f, &ids[4]));
    /* All that may go is not enough. */
    assert_int_equal(blobs_evict(f->blobs, 0, is_not, &live, &freed), 0);
    assert_int_equal(freed, 100);
    assert_int_equal(blobs_evict(f->blobs, 1000, is_not, &live, &freed), 0);
    assert_int_equal(freed, 0);
}

/* ---- threads ---- */

struct worker {
    struct fixture *f;
    uint32_t seed;
    int n_bad;
};

static void *put_many(void *arg)
{
    struct worker *w = arg;

    for (uint32_t i = 0; i < 200; i++) {
        CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
        char *data = make_bytes(1000 + i * 10, i);
        struct digest id;

        if (blobs_put(w->f->blobs, data, 1000 + i * 10, &id)
            || blobs_read(w->f->blobs, &id, 0, UINT64_MAX, &found)
            || found.len != 1000 + i * 10 || memcmp(found.data, data, found.len) != 0
            || blobs_pin(w->f->blobs, &id))
            w->n_bad++;
        blobs_unpin(w->f->blobs, &id);
        free(data);
    }
    return NULL;
}

static void *sweep_often(void *arg)
{
    struct worker *w = arg;
    struct gc_report report;

    for (int i = 0; i < 20; i++)
        if (blobs_sweep(w->f->blobs, is_always, NULL, false, &report))
            w->n_bad++;
    return NULL;
}

static void test_threads(void **state)
{
    struct worker workers[4];
    pthread_t threads[4];

    for (int i = 0; i < 4; i++) {
        workers[i] = (struct worker){ .f = *state };
        assert_int_equal(pthread_create(&threads[i], NULL, i ? put_many : sweep_often,
                                        &workers[i]),
                         0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].n_bad, 0);
    }
    assert_usage(*state, 200, 200 * 1000 + 10 * (199 * 200 / 2));
}

#define TEST(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_sizes),
        TEST(test_ranges),
        TEST(test_repeats),
        TEST(test_unknown),
        TEST(test_adopt),
        TEST(test_adopt_renames),
        TEST(test_adopt_with_two_names),
        TEST(test_copy_of_changed_file),
        TEST(test_adopt_refuses),
        TEST(test_file_without_entry),
        TEST(test_no_entry_before_sync),
        TEST(test_many_files),
        TEST(test_lost_file),
        TEST(test_temporary_is_cleaned),
        TEST(test_killed),
        TEST(test_quota),
        TEST(test_a_full_quota_asks_for_room),
        TEST(test_disk_full),
        TEST(test_lay_out),
        TEST(test_links_come_and_go),
        TEST(test_written_link),
        TEST(test_verify_finds_damage),
        TEST(test_sweep),
        TEST(test_sweep_many),
        TEST(test_gc),
        TEST(test_hold),
        TEST(test_gc_keeps_what_was_held_when_it_began),
        TEST(test_evict),
        TEST(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
