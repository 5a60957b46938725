/* SPDX-License-Identifier: Apache-2.0 */
#include "store_fixture.h"

#include "store/store.h"

enum { LEAF = STORE_CHUNK_MAX };

/* Four-byte big-endian counters. */
static uint8_t *counters(size_t len)
{
    uint8_t *data = malloc(len + 4);

    for (size_t i = 0; i < len; i += 4)
        for (size_t j = 0; j < 4; j++)
            data[i + j] = (uint8_t)((i / 4) >> (24 - 8 * j));
    return data;
}

static const struct {
    size_t len;
    const char *hex;
} golden[] = {
    { 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { 1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d" },
    { LEAF - 1, "d112267ed2c9258ae04d35bcaf1e81c8d2247eee00950124b321b97027a24819" },
    { LEAF, "b461a22b501a099dd9b3997665d834b61d1a7d5bdae12996719e30974c209d50" },
    { LEAF + 1, "ad748179da7cf9f93347825ff5eb46ffe4ea7340881c79a6f859341b7a66e0f4" },
    { 2 * LEAF, "10f8cee666ec8beb4ca56449c6986a38ada95ee2fef41d6aeed2437a2c184dc2" },
    { 3 * LEAF + 7,
      "bf05c9658e37edd39ff64856415abe1e4c4199e53619474335e92386c80daef8" },
};

static void assert_digest(const struct digest *d, const char *hex)
{
    char text[DIGEST_TEXT_SIZE];

    digest_text(d, text);
    assert_string_equal(text, hex);
}

static struct digest stream_of(const void *data, size_t len, size_t step)
{
    struct digest_stream *s = digest_stream_new();
    struct digest d;

    for (size_t i = 0; i < len; i += step)
        assert_int_equal(digest_stream_add(s, (const char *)data + i,
                                           min_size(step, len - i)),
                         0);
    d = digest_stream_end(s);
    digest_stream_free(s);
    return d;
}

static int file_of(const void *data, size_t len)
{
    FILE *f = tmpfile();
    int fd = dup(fileno(f));

    assert_int_equal(write(fd, data, len), (ssize_t)len);
    fclose(f);
    return fd;
}

static void test_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(golden); i++) {
        size_t len = golden[i].len;
        uint8_t *data = counters(len);
        int fd = file_of(data, len);
        struct digest d = digest_memory(data, len);

        assert_digest(&d, golden[i].hex);
        for (unsigned threads = 1; threads <= 3; threads++) {
            assert_int_equal(digest_file(fd, len, threads, &d), 0);
            assert_digest(&d, golden[i].hex);
        }
        d = stream_of(data, len, 100003);
        assert_digest(&d, golden[i].hex);
        d = stream_of(data, len, LEAF);
        assert_digest(&d, golden[i].hex);
        close(fd);
        free(data);
    }
}

/* The text that is hashed for a long blob must not be a short blob of the same name. */
static void test_root_text_has_another_name(void **state)
{
    size_t len = 2 * LEAF;
    uint8_t *data = counters(len), root[9 + 8 + 64] = "mesh-blob";
    struct digest whole = digest_memory(data, len), leaf, d;

    (void)state;
    for (size_t i = 0; i < 8; i++)
        root[9 + i] = (uint8_t)((uint64_t)len >> (56 - 8 * i));
    for (size_t i = 0; i < 2; i++) {
        leaf = digest_memory(data + i * LEAF, LEAF);
        memcpy(root + 17 + 32 * i, leaf.bytes, 32);
    }
    d = digest_memory(root, sizeof(root));
    assert_false(digest_equal(&d, &whole));
    leaf = stream_of(root, sizeof(root), 5);
    assert_true(digest_equal(&d, &leaf));
    d = digest_memory("mesh-blob", 9);
    assert_digest(&d,
                  "1abd27bc4adc23e4e0a285f13c5a2b282e98962a8055a2d3dd2a1d6a34814fb6");
    d = stream_of("mesh-blob of a person", 21, 4);
    assert_digest(&d,
                  "e58c8a387a4b3a26b5fa7fbd00f8c786b7419fb124a120d2a5ba450f25b3f0d3");
    free(data);
}

/* 1,024 leaves of zeros, and a byte more: two levels. */
static void test_groups(void **state)
{
    static const char *const hex[] = {
        "68e1bbcda3a2ed16ea074d16bea48372462f1cd59c79ae662f82e4a71407d350",
        "1453a325a921a0a7c469feb22420e21b59a1c6f83ad1eb7bee57348be8570d95",
    };
    size_t len = (size_t)1024 * LEAF;
    char *zeros = calloc(1, len + 1);
    struct digest d;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        FILE *f = tmpfile();

        assert_int_equal(ftruncate(fileno(f), (off_t)(len + i)), 0);
        assert_int_equal(digest_file(fileno(f), len + i, 2, &d), 0);
        assert_digest(&d, hex[i]);
        fclose(f);
        d = stream_of(zeros, len + i, (size_t)8 << 20);
        assert_digest(&d, hex[i]);
    }
    d = digest_memory(zeros, len + 1);
    assert_digest(&d, hex[1]);
    free(zeros);
}

static void test_changed_size(void **state)
{
    static const size_t sizes[] = { 1, 1000, LEAF, LEAF + 1, 12 * LEAF };
    struct digest d;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t *data = counters(sizes[i]);
        int fd = file_of(data, sizes[i]);

        assert_int_equal(digest_file(fd, sizes[i] - 1, 2, &d), -ESTALE);
        assert_int_equal(digest_file(fd, sizes[i] + 1, 2, &d), -ESTALE);
        assert_int_equal(digest_file_begin(fd, sizes[i] + 1, 2, &d), -ESTALE);
        assert_int_equal(digest_file_begin(fd, sizes[i] - 1, 2, &d), 0);
        assert_int_equal(digest_file(fd, sizes[i], 2, &d), 0);
        close(fd);
        free(data);
    }
    assert_int_equal(digest_file(-1, 5, 1, &d), -EBADF);
    assert_int_equal(digest_file(-1, 5 * LEAF, 2, &d), -EBADF);
}

/* docs/store.md, above the folder of this program; false when it is not there. */
static bool find_document(char path[PLACE_PATH_MAX])
{
    char exe[PLACE_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    if (n < 0)
        return false;
    exe[n] = '\0';
    for (char *slash; (slash = strrchr(exe, '/'));) {
        *slash = '\0';
        if (place_join(path, exe, "docs/store.md") == 0 && access(path, R_OK) == 0)
            return true;
    }
    return false;
}

/* The recipe in the document, run on a file, gives the id that we give it. */
static void check_recipe(const char *document, const void *data, size_t len)
{
    struct digest d = digest_memory(data, len);
    char file[] = "/tmp/mesh-test-XXXXXX", command[9000], found[80] = "";
    int fd = mkstemp(file);
    FILE *p;

    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
    snprintf(command, sizeof(command),
             "sed -n '/^```python$/,/^```$/p' '%s' | grep -v '^```' | python3 - %s",
             document, file);
    p = popen(command, "r");
    assert_non_null(fgets(found, sizeof(found), p));
    pclose(p);
    unlink(file);
    found[strcspn(found, " \n")] = '\0';
    assert_digest(&d, found);
}

static void test_documented_recipe(void **state)
{
    static const size_t sizes[] = { 0, 6, LEAF, LEAF + 1, 5 * LEAF + 3 };
    char document[PLACE_PATH_MAX];

    (void)state;
    if (!find_document(document) || system("python3 -c '' 2>/dev/null") != 0)
        skip();
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint8_t *data = counters(sizes[i]);

        check_recipe(document, data, sizes[i]);
        free(data);
    }
    check_recipe(document, "mesh-blob!", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_root_text_has_another_name),
        cmocka_unit_test(test_groups),
        cmocka_unit_test(test_changed_size),
        cmocka_unit_test(test_documented_recipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
