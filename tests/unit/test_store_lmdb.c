/* SPDX-License-Identifier: Apache-2.0 */
/* What only the store on disk has: crashes, locks, versions, damage, growth. */
#include "store_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "store/lmdb.h"

struct disk {
    char dir[64];
    struct store *store;
};

static int setup(void **state)
{
    struct disk *d = calloc(1, sizeof(*d));

    fault_clear();
    fixture_make_dir(d->dir);
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct disk *d = *state;

    fault_clear();
    store_close(d->store);
    fixture_erase(d->dir);
    free(d);
    return 0;
}

static int open_store(struct disk *d, struct error *error)
{
    return store_open_lmdb(d->dir, &d->store, NULL, error);
}

static void must_open(struct disk *d)
{
    struct error error = { "" };
    int r = open_store(d, &error);

    if (r)
        fail_msg("%s", error.text);
}

static int put(struct disk *d, const char *key, const char *value)
{
    struct store_write w = put_text(STORE_RECORDS, key, value);

    return d->store->ops->commit(d->store, &w, 1);
}

static bool has(struct disk *d, const char *key)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;

    return d->store->ops->get(d->store, STORE_RECORDS, text_span(key), &found) == 0;
}

static void close_store(struct disk *d)
{
    store_close(TAKE(d->store));
}

static void data_path(const struct disk *d, char path[PLACE_PATH_MAX])
{
    assert_int_equal(place_join(path, d->dir, "store/data.mdb"), 0);
}

/* A process that ends without closing leaves all it committed, and no lock. */
static void test_crash(void **state)
{
    struct disk *d = *state;
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (store_open_lmdb(d->dir, &d->store, NULL, NULL) || put(d, "a", "1")
            || put(d, "b", "2"))
            _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    must_open(d);
    assert_true(has(d, "a") && has(d, "b"));
    close_store(d);
    must_open(d);
    assert_true(has(d, "b"));
}

/* Opening and closing writes nothing that a later version would trip over. */
static void test_new_and_empty(void **state)
{
    struct disk *d = *state;

    for (int i = 0; i < 3; i++) {
        must_open(d);
        assert_false(has(d, "a"));
        close_store(d);
    }
}

static void test_modes(void **state)
{
    struct disk *d = *state;
    char path[PLACE_PATH_MAX];
    struct stat st;

    must_open(d);
    data_path(d, path);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    place_join(path, d->dir, "store");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_two_opens(void **state)
{
    struct disk *d = *state;
    struct error error = { "" };
    struct store *second;
    int pid = 0;

    must_open(d);
    assert_int_equal(store_open_lmdb(d->dir, &second, &pid, &error), -EBUSY);
    assert_int_equal(pid, getpid());
    assert_non_null(strstr(error.text, "held by process"));
    assert_int_equal(put(d, "a", "still ours"), 0);
    close_store(d);
    must_open(d);
}

static void set_version(struct disk *d, uint8_t version, bool is_deleted)
{
    struct store_write w = { .table = STORE_META,
                             .key = text_span("version"),
                             .value = { &version, 1 },
                             .is_delete = is_deleted };

    must_open(d);
    assert_int_equal(d->store->ops->commit(d->store, &w, 1), 0);
    close_store(d);
}

static void test_newer_version(void **state)
{
    struct disk *d = *state;
    struct error error = { "" };

    set_version(d, STORE_VERSION + 1, false);
    assert_int_equal(open_store(d, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.text, "newer"));
    /* The lock is free again. */
    assert_int_equal(open_store(d, &error), -EPROTONOSUPPORT);
}

static void test_no_version(void **state)
{
    struct disk *d = *state;
    struct error error = { "" };

    set_version(d, 0, true);
    assert_int_equal(open_store(d, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "damaged"));
}

static void fill(struct disk *d, int n)
{
    char key[16], value[1000];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%06d", i);
        assert_int_equal(put(d, key, value), 0);
    }
}

static void test_garbage(void **state)
{
    struct disk *d = *state;
    char path[PLACE_PATH_MAX], *noise = make_bytes(20000, 1);
    struct error error = { "" };

    must_open(d);
    fill(d, 1);
    close_store(d);
    data_path(d, path);
    write_file(path, noise, 20000);
    assert_int_equal(open_store(d, &error), -EBADMSG);
    assert_non_null(strstr(error.text, "damaged"));
    write_file(path, noise, 100);
    assert_int_equal(open_store(d, &error), -EBADMSG);
    free(noise);
}

static bool has_all(struct disk *d, int n)
{
    CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
    char key[16];

    if (d->store->ops->get(d->store, STORE_RECORDS, text_span("long"), &found)
        || strspn(found.data, "l") != 19999)
        return false;
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%06d", i);
        if (!has(d, key))
            return false;
    }
    return true;
}

/* Wherever the file is cut: it is refused, or nothing is missing. In no case is it a
 * SIGBUS. */
static void test_truncated(void **state)
{
    struct disk *d = *state;
    char path[PLACE_PATH_MAX];
    struct error error = { "" };
    char long_value[20000];
    int n_refused = 0;
    struct stat st;

    memset(long_value, 'l', sizeof(long_value) - 1);
    long_value[sizeof(long_value) - 1] = '\0';
    must_open(d);
    fill(d, 60);
    assert_int_equal(put(d, "long", long_value), 0);
    close_store(d);
    data_path(d, path);
    assert_int_equal(stat(path, &st), 0);
    while (st.st_size > 2 * 4096) {
        int r;

        st.st_size -= 4096;
        assert_int_equal(truncate(path, st.st_size), 0);
        r = open_store(d, &error);
        if (r) {
            assert_int_equal(r, -EBADMSG);
            /* And again: looking at it has not mended it. */
            assert_int_equal(open_store(d, &error), -EBADMSG);
            n_refused++;
        } else {
            assert_true(has_all(d, 60));
            close_store(d);
        }
    }
    assert_true(n_refused > 5);
}

static void test_map_grows(void **state)
{
    struct disk *d = *state;
    struct lmdb_options options = { .map_bytes = 1 << 20 };
    char *value = make_bytes(200000, 3);
    char key[16];

    assert_int_equal(lmdb_open(d->dir, &options, &d->store, NULL, NULL), 0);
    for (int i = 0; i < 40; i++) {
        struct store_write w = put_text(STORE_CHUNKS, key, "");

        snprintf(key, sizeof(key), "c%d", i);
        w.key.len = strlen(key);
        w.value = (struct span){ value, 200000 };
        assert_int_equal(d->store->ops->commit(d->store, &w, 1), 0);
    }
    assert_true(lmdb_map_bytes(d->store) >= (size_t)8 << 20);
    for (int i = 0; i < 40; i++) {
        CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;

        snprintf(key, sizeof(key), "c%d", i);
        assert_int_equal(d->store->ops->get(d->store, STORE_CHUNKS, text_span(key),
                                            &found),
                         0);
        assert_int_equal(found.len, 200000);
        assert_memory_equal(found.data, value, 200000);
    }
    free(value);
}

struct reading {
    struct store *store;
    atomic_bool is_over;
    atomic_int n_bad, n_reads;
};

static int check_pair(void *arg, struct span key, struct span value)
{
    struct buffer *seen = arg;

    (void)key;
    return buffer_append(seen, value.data, min_size(value.len, 8));
}

/* Both keys are always written together, so a reader that sees them differ has seen
 * half a commit. */
static void *read_pairs(void *arg)
{
    struct reading *r = arg;
    struct span none = { .len = 0 };

    while (!atomic_load(&r->is_over)) {
        CLEANUP(buffer_release) struct buffer seen = BUFFER_INIT;

        if (r->store->ops->scan(r->store, STORE_RECORDS, none, none, check_pair, &seen)
            || (seen.len
                && (seen.len != 16 || memcmp(seen.data, seen.data + 8, 8) != 0)))
            atomic_fetch_add(&r->n_bad, 1);
        atomic_fetch_add(&r->n_reads, 1);
    }
    return NULL;
}

/* The map grows under the readers' feet. */
static void test_readers_while_writing(void **state)
{
    struct disk *d = *state;
    struct lmdb_options options = { .map_bytes = 256 << 10 };
    struct reading r = { .store = NULL };
    char *bulk = make_bytes(30000, 4);
    pthread_t threads[3];

    assert_int_equal(lmdb_open(d->dir, &options, &d->store, NULL, NULL), 0);
    r.store = d->store;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_pairs, &r), 0);
    for (int i = 0; i < 100 || atomic_load(&r.n_reads) < 100; i++) {
        char number[9], key[16];
        struct store_write w[3];

        snprintf(number, sizeof(number), "%08u", (unsigned)i % 100000000);
        snprintf(key, sizeof(key), "bulk%d", i % 200);
        w[0] = put_text(STORE_RECORDS, "first", number);
        w[1] = put_text(STORE_RECORDS, "second", number);
        w[2] = put_text(STORE_CHUNKS, key, "");
        w[2].value = (struct span){ bulk, 30000 };
        assert_int_equal(d->store->ops->commit(d->store, w, 3), 0);
    }
    atomic_store(&r.is_over, true);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(atomic_load(&r.n_bad), 0);
    free(bulk);
}

static void test_disk_full(void **state)
{
    struct disk *d = *state;

    must_open(d);
    assert_int_equal(put(d, "a", "1"), 0);
    fault_set(FAULT_COMMIT_ENOSPC, 1);
    assert_int_equal(put(d, "b", "2"), -ENOSPC);
    assert_false(has(d, "b"));
    assert_int_equal(put(d, "c", "3"), 0);
    assert_true(has(d, "a") && has(d, "c"));
}

/* A disk that failed once is not believed again until the store is opened anew. */
static void test_disk_error(void **state)
{
    struct disk *d = *state;

    must_open(d);
    assert_int_equal(put(d, "a", "1"), 0);
    fault_set(FAULT_COMMIT_EIO, 1);
    assert_int_equal(put(d, "b", "2"), -EIO);
    assert_int_equal(put(d, "c", "3"), -EIO);
    assert_true(has(d, "a"));
    assert_false(has(d, "b") || has(d, "c"));
    close_store(d);
    must_open(d);
    assert_int_equal(put(d, "c", "3"), 0);
    assert_true(has(d, "a") && has(d, "c"));
}

static void test_fault_at_first_commit(void **state)
{
    struct disk *d = *state;

    must_open(d);
    fault_set(FAULT_COMMIT_ENOSPC, 1);
    assert_int_equal(put(d, "a", "1"), -ENOSPC);
    assert_false(has(d, "a"));
    assert_int_equal(put(d, "a", "1"), 0);
    close_store(d);
    must_open(d);
    assert_true(has(d, "a"));
}

static long file_kib(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    long kib = 0;

    while (fgets(line, sizeof(line), f))
        sscanf(line, "RssFile: %ld", &kib);
    fclose(f);
    return kib;
}

/* 160 MiB go in and are read: the pages of the map do not stay ours. */
static void test_memory_stays_small(void **state)
{
    struct disk *d = *state;
    char *value = make_bytes(1 << 20, 5), key[16];
    long before;

    must_open(d);
    before = file_kib();
    for (int i = 0; i < 160; i++) {
        CLEANUP(buffer_release) struct buffer found = BUFFER_INIT;
        struct store_write w = put_text(STORE_CHUNKS, key, "");

        snprintf(key, sizeof(key), "m%d", i);
        w.key.len = strlen(key);
        w.value = (struct span){ value, 1 << 20 };
        assert_int_equal(d->store->ops->commit(d->store, &w, 1), 0);
        assert_int_equal(d->store->ops->get(d->store, STORE_CHUNKS, text_span(key),
                                            &found),
                         0);
    }
    assert_in_range(file_kib() - before, 0, 60 * 1024);
    free(value);
}

static void test_places(void **state)
{
    static const struct {
        uint64_t magic;
        const char *fuse_type, *name;
    } cases[] = {
        { 0xef53, NULL, NULL },     /* ext4 */
        { 0x58465342, NULL, NULL }, /* xfs */
        { 0x01021994, NULL, NULL }, /* tmpfs */
        { 0x794c7630, NULL, NULL }, /* overlay */
        { 0x6969, NULL, "NFS" },
        { 0xfe534d42, NULL, "SMB" },
        { 0xff534d42, NULL, "CIFS" },
        { 0x0bd00bd0, NULL, "Lustre" },
        { 0x00c36400, NULL, "Ceph" },
        { 0x47504653, NULL, "GPFS" },
        { 0x01021997, NULL, "9p" },
        { 0x65735546, NULL, "FUSE" },
        { 0x65735546, "fuse.sshfs", "sshfs" },
        { 0x65735546, "virtiofs", "virtiofs" },
        { 0x65735546, "fuseblk", NULL },
        { 0x65735546, "fuse.fuse-overlayfs", NULL },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *name = place_remote_name(cases[i].magic, cases[i].fuse_type);

        assert_int_equal(!name, !cases[i].name);
        if (name)
            assert_string_equal(name, cases[i].name);
    }
}

static void test_not_a_folder(void **state)
{
    struct disk *d = *state;
    char path[PLACE_PATH_MAX];
    struct error error = { "" };

    place_join(path, d->dir, "store");
    write_file(path, "x", 1);
    assert_int_equal(open_store(d, &error), -ENOTDIR);
    assert_true(error.text[0]);
}

/* With little address space a smaller map is taken. */
static void test_little_address_space(void **state)
{
#ifdef MESH_SANITIZED /* their shadow memory needs the address space */
    (void)state;
    skip();
#else
    struct disk *d = *state;
    struct rlimit limit, before;

    assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
    limit = before;
    limit.rlim_cur = (rlim_t)4 << 30;
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    must_open(d);
    assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
    assert_true(lmdb_map_bytes(d->store) < (size_t)4 << 30);
    assert_int_equal(put(d, "a", "1"), 0);
#endif
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_crash),
        TEST(test_new_and_empty),
        TEST(test_modes),
        TEST(test_two_opens),
        TEST(test_newer_version),
        TEST(test_no_version),
        TEST(test_garbage),
        TEST(test_truncated),
        TEST(test_map_grows),
        TEST(test_readers_while_writing),
        TEST(test_disk_full),
        TEST(test_disk_error),
        TEST(test_fault_at_first_commit),
        TEST(test_memory_stays_small),
        TEST(test_places),
        TEST(test_not_a_folder),
        TEST(test_little_address_space),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
