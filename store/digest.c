/* SPDX-License-Identifier: Apache-2.0 */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "store/digest.h"

#include <errno.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "store/store.h"

enum {
    LEAF_SIZE = STORE_CHUNK_MAX,
    GROUP_LEAVES = DIGEST_GROUP_LEAVES,
    THREADS_MAX = 64,
    /* Below this a thread costs more than it saves. */
    PARALLEL_MIN = 2 << 20,
};

static const char mark[] = "mesh-blob";
enum { MARK_SIZE = sizeof(mark) - 1 };

/* The low-level calls, which OpenSSL 3 advises against for new code: fetching a digest
 * through EVP loads the configuration and the providers, 1 to 1.5 ms in which half a
 * run of one small task is over. The code that hashes is the same. */
static void start(SHA256_CTX *c)
{
    if (!SHA256_Init(c))
        abort();
}

static void add(SHA256_CTX *c, const void *data, size_t len)
{
    if (!SHA256_Update(c, data, len))
        abort();
}

static struct digest end(SHA256_CTX *c)
{
    struct digest d;

    if (!SHA256_Final(d.bytes, c))
        abort();
    return d;
}

static struct digest plain(const void *data, size_t len)
{
    SHA256_CTX c;

    start(&c);
    add(&c, data, len);
    return end(&c);
}

static bool has_mark(const void *data, size_t len)
{
    return len >= MARK_SIZE && memcmp(data, mark, MARK_SIZE) == 0;
}

static void start_root(SHA256_CTX *c, uint64_t size)
{
    uint8_t bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(size >> (56 - 8 * i));
    start(c);
    add(c, mark, MARK_SIZE);
    add(c, bytes, sizeof(bytes));
}

static uint64_t count_leaves(uint64_t size)
{
    return size / LEAF_SIZE + (size % LEAF_SIZE != 0);
}

/* A group of leaf digests goes into the root as it is, or as its digest when there are
 * several groups. */
static void add_group(SHA256_CTX *root, const struct digest *leaves, size_t n,
                      bool is_only)
{
    struct digest group;

    if (is_only) {
        add(root, leaves, n * DIGEST_SIZE);
        return;
    }
    group = plain(leaves, n * DIGEST_SIZE);
    add(root, &group, DIGEST_SIZE);
}

struct digest digest_memory(const void *data, size_t len)
{
    struct digest leaves[GROUP_LEAVES], d;
    uint64_t n_leaves = count_leaves(len);
    const char *at = data;
    size_t n = 0;
    SHA256_CTX root;

    if (len <= LEAF_SIZE && !has_mark(data, len))
        return plain(data, len);
    start_root(&root, len);
    while (len) {
        size_t leaf = min_size(len, LEAF_SIZE);

        leaves[n++] = plain(at, leaf);
        at += leaf;
        len -= leaf;
        if (n == GROUP_LEAVES || !len) {
            add_group(&root, leaves, n, n_leaves <= GROUP_LEAVES);
            n = 0;
        }
    }
    d = end(&root);
    return d;
}

static int read_at(int fd, char *data, size_t len, uint64_t offset)
{
    while (len) {
        ssize_t n = pread(fd, data, len, (off_t)offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -ESTALE;
        data += n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* One group of leaves, hashed by several threads that each take the next one. */
struct group_job {
    int fd;
    uint64_t size, first; /* of the file; the group's first leaf */
    size_t n;
    atomic_size_t next;
    atomic_int error;
    struct digest leaves[GROUP_LEAVES];
};

static void *hash_leaves(void *arg)
{
    struct group_job *job = arg;
    CLEANUP(freep) char *data = malloc(LEAF_SIZE);

    if (!data)
        atomic_store(&job->error, -ENOMEM);
    while (data && !atomic_load(&job->error)) {
        size_t i = atomic_fetch_add(&job->next, 1);
        uint64_t offset = (job->first + i) * LEAF_SIZE;
        size_t len;
        int r;

        if (i >= job->n)
            break;
        len = (size_t)(job->size - offset < LEAF_SIZE ? job->size - offset : LEAF_SIZE);
        r = read_at(job->fd, data, len, offset);
        if (r < 0)
            atomic_store(&job->error, r);
        else
            job->leaves[i] = plain(data, len);
    }
    return NULL;
}

static int hash_group(struct group_job *job, unsigned threads)
{
    pthread_t others[THREADS_MAX];
    unsigned n = 0;

    atomic_store(&job->next, 0);
    while (n + 1 < threads && n + 1 < job->n
           && pthread_create(&others[n], NULL, hash_leaves, job) == 0)
        n++;
    hash_leaves(job);
    while (n)
        pthread_join(others[--n], NULL);
    return atomic_load(&job->error);
}

struct digest digest_part(const void *data, size_t len)
{
    return plain(data, len);
}

struct digest digest_top(uint64_t size, const struct digest *top, size_t n)
{
    SHA256_CTX root;

    start_root(&root, size);
    add(&root, top, n * DIGEST_SIZE);
    return end(&root);
}

int digest_file_leaves(int fd, uint64_t size, unsigned threads,
                       struct digest *ret_leaves)
{
    CLEANUP(freep) struct group_job *job = calloc(1, sizeof(*job));
    uint64_t n_leaves = count_leaves(size);
    int r = 0;

    if (!job)
        return -ENOMEM;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    *job = (struct group_job){ .fd = fd, .size = size };
    while (r == 0 && job->first < n_leaves) {
        job->n = min_size((size_t)(n_leaves - job->first), GROUP_LEAVES);
        r = hash_group(job, size < PARALLEL_MIN ? 1 : threads);
        if (r == 0)
            memcpy(ret_leaves + job->first, job->leaves, job->n * DIGEST_SIZE);
        job->first += job->n;
    }
    return r;
}

static int hash_tree(int fd, uint64_t size, unsigned threads, struct digest *ret_digest)
{
    CLEANUP(freep) struct group_job *job = calloc(1, sizeof(*job));
    uint64_t n_leaves = count_leaves(size);
    SHA256_CTX root;
    int r = 0;

    if (!job)
        return -ENOMEM;
    if (threads > THREADS_MAX)
        threads = THREADS_MAX;
    *job = (struct group_job){ .fd = fd, .size = size };
    start_root(&root, size);
    while (r == 0 && job->first < n_leaves) {
        job->n = min_size((size_t)(n_leaves - job->first), GROUP_LEAVES);
        r = hash_group(job, size < PARALLEL_MIN ? 1 : threads);
        add_group(&root, job->leaves, job->n, n_leaves <= GROUP_LEAVES);
        job->first += job->n;
    }
    *ret_digest = end(&root);
    return r;
}

int digest_file_begin(int fd, uint64_t size, unsigned threads,
                      struct digest *ret_digest)
{
    CLEANUP(freep) char *data = NULL;
    int r;

    if (size > LEAF_SIZE)
        return hash_tree(fd, size, threads, ret_digest);
    data = malloc(size ? (size_t)size : 1);
    if (!data)
        return -ENOMEM;
    r = read_at(fd, data, (size_t)size, 0);
    if (r == 0)
        *ret_digest = digest_memory(data, (size_t)size);
    return r;
}

int digest_file(int fd, uint64_t size, unsigned threads, struct digest *ret_digest)
{
    struct digest d;
    char more;
    int r = digest_file_begin(fd, size, threads, &d);

    if (r < 0)
        return r;
    r = read_at(fd, &more, 1, size);
    if (r != -ESTALE)
        return r < 0 ? r : -ESTALE;
    *ret_digest = d;
    return 0;
}

struct digest_stream {
    SHA256_CTX leaf;
    size_t leaf_len;
    uint64_t size, n_leaves;
    char head[MARK_SIZE]; /* the first bytes of all */
    size_t n;
    struct digest leaves[GROUP_LEAVES];
    struct buffer groups; /* digests of the groups before */
};

struct digest_stream *digest_stream_new(void)
{
    struct digest_stream *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    start(&s->leaf);
    return s;
}

void digest_stream_free(struct digest_stream *s)
{
    if (!s)
        return;
    buffer_release(&s->groups);
    free(s);
}

/* A full leaf is ended only when a byte follows, so that a blob of one leaf stays
 * plain. */
static int end_leaf(struct digest_stream *s)
{
    if (s->n == GROUP_LEAVES) {
        struct digest group = plain(s->leaves, sizeof(s->leaves));
        int r = buffer_append(&s->groups, &group, DIGEST_SIZE);

        if (r < 0)
            return r;
        s->n = 0;
    }
    s->leaves[s->n++] = end(&s->leaf);
    s->n_leaves++;
    s->leaf_len = 0;
    start(&s->leaf);
    return 0;
}

int digest_stream_add(struct digest_stream *s, const void *data, size_t len)
{
    const char *at = data;

    while (len) {
        size_t part;

        if (s->leaf_len == LEAF_SIZE) {
            int r = end_leaf(s);

            if (r < 0)
                return r;
        }
        part = min_size(len, LEAF_SIZE - s->leaf_len);
        if (s->size < MARK_SIZE)
            memcpy(s->head + s->size, at,
                   min_size(part, (size_t)(MARK_SIZE - s->size)));
        add(&s->leaf, at, part);
        s->leaf_len += part;
        s->size += part;
        at += part;
        len -= part;
    }
    return 0;
}

struct digest digest_stream_end(struct digest_stream *s)
{
    struct digest last = end(&s->leaf), group;
    bool is_grouped;

    if (s->n_leaves == 0 && !has_mark(s->head, min_size((size_t)s->size, MARK_SIZE)))
        return last;
    is_grouped = s->n_leaves + 1 > GROUP_LEAVES;
    start_root(&s->leaf, s->size);
    if (is_grouped)
        add(&s->leaf, s->groups.data, s->groups.len);
    if (s->n == GROUP_LEAVES) {
        group = plain(s->leaves, sizeof(s->leaves));
        add(&s->leaf, &group, DIGEST_SIZE);
        s->n = 0;
    }
    s->leaves[s->n++] = last;
    add_group(&s->leaf, s->leaves, s->n, !is_grouped);
    return end(&s->leaf);
}
