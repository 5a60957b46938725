/* SPDX-License-Identifier: Apache-2.0 */
/* store_fixture - what the tests of the store share: a folder, a store, a writer. */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/blobs.h"
#include "store/digest.h"
#include "store/fault.h"
#include "store/place.h"
#include "store/writer.h"

/* Behind base/error.h: it has a macro fail(). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

struct fixture {
    char dir[64];
    struct store *store;
    struct writer *writer;
    struct blobs *blobs;
    uint64_t quota_bytes;
    time_us window_us;
};

static inline int fixture_remove(const char *path, const struct stat *st, int type,
                                 struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void fixture_erase(const char *dir)
{
    nftw(dir, fixture_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void fixture_make_dir(char dir[64])
{
    snprintf(dir, 64, "/tmp/mesh-test-XXXXXX");
    assert_non_null(mkdtemp(dir));
}

static inline void fixture_open(struct fixture *f)
{
    struct writer_config config = { .window_us = f->window_us,
                                    .queue_bytes_max = 64 << 20 };
    struct error error = { "" };

    assert_int_equal(store_open_lmdb(f->dir, &f->store, NULL, &error), 0);
    assert_int_equal(writer_start(f->store, &config, &f->writer), 0);
    assert_int_equal(blobs_open(f->dir, f->store, f->writer, f->quota_bytes, &f->blobs,
                                &error),
                     0);
}

static inline void fixture_close(struct fixture *f)
{
    blobs_close(TAKE(f->blobs));
    writer_stop(TAKE(f->writer));
    store_close(TAKE(f->store));
}

static inline void fixture_reopen(struct fixture *f)
{
    fixture_close(f);
    fixture_open(f);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    fault_clear();
    fixture_make_dir(f->dir);
    f->window_us = TIME_MS(1);
    fixture_open(f);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;

    fault_clear();
    fixture_close(f);
    fixture_erase(f->dir);
    free(f);
    return 0;
}

static inline struct span text_span(const char *text)
{
    return (struct span){ text, strlen(text) };
}

static inline struct store_write put_text(enum store_table table, const char *key,
                                          const char *value)
{
    return (struct store_write){ .table = table,
                                 .key = text_span(key),
                                 .value = text_span(value) };
}

static inline void wait_durable(struct fixture *f)
{
    uint64_t ticket = writer_put(f->writer, NULL, 0, true);

    assert_int_equal(writer_wait(f->writer, ticket), 0);
}

/* Bytes that differ everywhere and for each seed. */
static inline char *make_bytes(size_t len, uint32_t seed)
{
    char *data = malloc(len ? len : 1);
    uint32_t x = seed * 2654435761u + 1;

    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (char)(x >> 24);
    }
    return data;
}

static inline void write_file(const char *path, const void *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    close(fd);
}

static inline void path_in(const struct fixture *f, const char *name,
                           char path[PLACE_PATH_MAX])
{
    assert_int_equal(place_join(path, f->dir, name), 0);
}

static inline void blob_file(const struct fixture *f, const struct digest *id,
                             char path[PLACE_PATH_MAX])
{
    char hex[DIGEST_TEXT_SIZE];

    digest_text(id, hex);
    assert_true(snprintf(path, PLACE_PATH_MAX, "%s/blobs/%.2s/%s", f->dir, hex, hex)
                < PLACE_PATH_MAX);
}

static inline size_t count_in(const struct fixture *f, const char *name)
{
    char command[256], path[PLACE_PATH_MAX];
    size_t n = 0;
    FILE *p;

    path_in(f, name, path);
    snprintf(command, sizeof(command), "ls -A %.100s 2>/dev/null | wc -l", path);
    p = popen(command, "r");
    assert_int_equal(fscanf(p, "%zu", &n), 1);
    pclose(p);
    return n;
}
