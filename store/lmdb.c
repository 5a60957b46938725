/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lmdb.h"

#include <errno.h>
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/fault.h"
#include "store/place.h"

enum {
    READERS_MAX = 250,
    READERS_KEPT = 16,
    FORGET_BYTES = 32 << 20,   /* touched between two calls of forget_pages() */
    FULL_DISK_BYTES = 1 << 20, /* less free than this explains a short write */
};

static const size_t map_bytes_first = (size_t)64 << 30;
static const size_t map_bytes_min = (size_t)64 << 20;

static const char *const table_names[STORE_TABLES_END] = {
    [STORE_META] = "meta",
    [STORE_RECORDS] = "records",
    [STORE_BLOBS] = "blobs",
    [STORE_CHUNKS] = "chunks",
};

static const char version_key[] = "version";

struct lmdb {
    struct store store;
    MDB_env *env;
    MDB_dbi tables[STORE_TABLES_END];
    char *dir; /* the data folder; ours is dir/store */
    int lock_fd;
    /* The tables of a new store are made by its first commit, so that opening one costs
     * no sync. */
    atomic_bool is_made;
    bool is_broken; /* the disk failed: what it holds is not known any more */
    /* Held for reading by each transaction that reads, for writing while the map
     * moves. */
    pthread_rwlock_t map_lock;
    pthread_mutex_t pool_lock;
    MDB_txn *pool[READERS_KEPT];
    size_t n_pool;
    atomic_size_t touched_bytes;
};

static int translate(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return -ENOENT;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_DBI:
        return -EBADMSG;
    case MDB_VERSION_MISMATCH:
        return -EPROTONOSUPPORT;
    case MDB_PANIC:
    case MDB_BAD_TXN:
        return -EIO;
    case MDB_READERS_FULL:
        return -EAGAIN;
    case MDB_BAD_VALSIZE:
        return -EINVAL;
    case MDB_TXN_FULL:
        return -E2BIG;
    case MDB_MAP_FULL:
    case EDQUOT:
    case EFBIG:
        return -ENOSPC;
    default:
        return rc > 0 ? -rc : -EIO;
    }
}

static MDB_val to_val(struct span s)
{
    return (MDB_val){ .mv_size = s.len, .mv_data = (void *)(uintptr_t)s.data };
}

static struct span to_span(MDB_val v)
{
    return (struct span){ .data = v.mv_data, .len = v.mv_size };
}

/* ---- memory: pages of the map that were touched count as ours ---- */

/* Where the data file is mapped; LMDB does not tell. */
static bool find_map(struct lmdb *s, uintptr_t *ret_from, uintptr_t *ret_to)
{
    FILE *f = fopen("/proc/self/maps", "re");
    bool found = false;
    mdb_filehandle_t fd;
    struct stat st;
    char line[512];

    if (!f)
        return false;
    if (mdb_env_get_fd(s->env, &fd) || fstat(fd, &st) < 0)
        st.st_ino = 0;
    while (!found && st.st_ino && fgets(line, sizeof(line), f)) {
        uint64_t inode;

        found = sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %*s %*s %*s %" SCNu64, ret_from,
                       ret_to, &inode)
                    == 3
                && inode == st.st_ino && strstr(line, "/data.mdb");
    }
    fclose(f);
    return found;
}

/* Clean pages of a file are dropped without harm: the next touch maps them again from
 * the page cache. Without this a node that only adds records would seem to grow. */
static void forget_pages(struct lmdb *s, size_t bytes)
{
    size_t before = atomic_fetch_add(&s->touched_bytes, bytes);
    uintptr_t from, to;

    if (before + bytes < FORGET_BYTES)
        return;
    atomic_store(&s->touched_bytes, 0);
    pthread_rwlock_rdlock(&s->map_lock);
    if (find_map(s, &from, &to))
        madvise((void *)from, to - from, MADV_DONTNEED);
    pthread_rwlock_unlock(&s->map_lock);
}

/* ---- reading ---- */

/* A finished reader keeps its slot in LMDB's reader table and is used again. */
static MDB_txn *take_reader(struct lmdb *s)
{
    MDB_txn *txn = NULL;

    pthread_mutex_lock(&s->pool_lock);
    if (s->n_pool)
        txn = s->pool[--s->n_pool];
    pthread_mutex_unlock(&s->pool_lock);
    return txn;
}

static int read_begin(struct lmdb *s, MDB_txn **ret_txn)
{
    MDB_txn *txn;
    int rc;

    pthread_rwlock_rdlock(&s->map_lock);
    txn = take_reader(s);
    if (txn)
        rc = mdb_txn_renew(txn);
    else
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc) {
        mdb_txn_abort(txn);
        pthread_rwlock_unlock(&s->map_lock);
        return translate(rc);
    }
    *ret_txn = txn;
    return 0;
}

static void read_end(struct lmdb *s, MDB_txn *txn)
{
    mdb_txn_reset(txn);
    pthread_mutex_lock(&s->pool_lock);
    if (s->n_pool < READERS_KEPT)
        s->pool[s->n_pool++] = TAKE(txn);
    pthread_mutex_unlock(&s->pool_lock);
    mdb_txn_abort(txn);
    pthread_rwlock_unlock(&s->map_lock);
}

static int lmdb_get(struct store *base, enum store_table table, struct span key,
                    struct buffer *ret)
{
    struct lmdb *s = (struct lmdb *)base;
    MDB_val k = to_val(key), v;
    MDB_txn *txn;
    int r;

    if (!atomic_load(&s->is_made))
        return -ENOENT;
    r = read_begin(s, &txn);
    if (r < 0)
        return r;
    r = translate(mdb_get(txn, s->tables[table], &k, &v));
    if (r == 0)
        r = buffer_append(ret, v.mv_data, v.mv_size);
    read_end(s, txn);
    if (r == 0)
        forget_pages(s, v.mv_size);
    return r;
}

static bool has_prefix(MDB_val key, struct span prefix)
{
    return key.mv_size >= prefix.len
           && (prefix.len == 0 || memcmp(key.mv_data, prefix.data, prefix.len) == 0);
}

static int scan_cursor(MDB_cursor *cursor, struct span prefix, struct span from,
                       int (*each)(void *arg, struct span key, struct span value),
                       void *arg, size_t *bytes)
{
    MDB_val key = to_val(from.len ? from : prefix), value;
    int rc =
        mdb_cursor_get(cursor, &key, &value, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);

    while (rc == 0 && has_prefix(key, prefix)) {
        int r = each(arg, to_span(key), to_span(value));

        if (r)
            return r;
        *bytes += key.mv_size + value.mv_size;
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    return rc == MDB_NOTFOUND ? 0 : translate(rc);
}

/* from may lie before the prefix: the later of both is where to start. */
static struct span later(struct span prefix, struct span from)
{
    int order = prefix.len && from.len
                    ? memcmp(prefix.data, from.data, min_size(prefix.len, from.len))
                    : 0;

    if (order > 0 || (order == 0 && from.len < prefix.len))
        return prefix;
    return from;
}

static int lmdb_scan(struct store *base, enum store_table table, struct span prefix,
                     struct span from,
                     int (*each)(void *arg, struct span key, struct span value),
                     void *arg)
{
    struct lmdb *s = (struct lmdb *)base;
    MDB_cursor *cursor;
    size_t bytes = 0;
    MDB_txn *txn;
    int r;

    if (!atomic_load(&s->is_made))
        return 0;
    r = read_begin(s, &txn);
    if (r < 0)
        return r;
    r = translate(mdb_cursor_open(txn, s->tables[table], &cursor));
    if (r == 0) {
        r = scan_cursor(cursor, prefix, later(prefix, from), each, arg, &bytes);
        mdb_cursor_close(cursor);
    }
    read_end(s, txn);
    forget_pages(s, bytes);
    return r;
}

/* ---- writing ---- */

static int open_tables(struct lmdb *s, MDB_txn *txn, unsigned flags)
{
    int rc = 0;

    for (int i = 1; rc == 0 && i < STORE_TABLES_END; i++)
        rc = mdb_dbi_open(txn, table_names[i], flags, &s->tables[i]);
    return rc;
}

static int make_tables(struct lmdb *s, MDB_txn *txn)
{
    uint8_t version = STORE_VERSION;
    MDB_val key = { .mv_size = sizeof(version_key) - 1,
                    .mv_data = (void *)(uintptr_t)version_key };
    MDB_val value = { .mv_size = 1, .mv_data = &version };
    int rc = open_tables(s, txn, MDB_CREATE);

    return rc ? rc : mdb_put(txn, s->tables[STORE_META], &key, &value, 0);
}

static int apply(struct lmdb *s, MDB_txn *txn, const struct store_write *w)
{
    MDB_val key = to_val(w->key), value = to_val(w->value);
    int rc;

    if (w->table <= 0 || w->table >= STORE_TABLES_END)
        return EINVAL;
    if (!w->is_delete)
        return mdb_put(txn, s->tables[w->table], &key, &value, 0);
    rc = mdb_del(txn, s->tables[w->table], &key, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int end_transaction(MDB_txn *txn)
{
    int injected = 0;

    if (fault_hits(FAULT_COMMIT_ENOSPC))
        injected = ENOSPC;
    else if (fault_hits(FAULT_COMMIT_EIO))
        injected = EIO;
    if (!injected)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return injected;
}

/* Returns what LMDB said. */
static int try_commit(struct lmdb *s, const struct store_write *writes, size_t n)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->env, NULL, 0, &txn);

    if (rc)
        return rc;
    if (!atomic_load(&s->is_made))
        rc = make_tables(s, txn);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = apply(s, txn, &writes[i]);
    if (rc) {
        mdb_txn_abort(txn);
        return rc;
    }
    return end_transaction(txn);
}

size_t lmdb_map_bytes(const struct store *base)
{
    const struct lmdb *s = (const struct lmdb *)base;
    MDB_envinfo info;

    return mdb_env_info(s->env, &info) ? 0 : info.me_mapsize;
}

/* The map moves: no reader may be inside. */
static int grow(struct lmdb *s)
{
    size_t bytes = lmdb_map_bytes(&s->store);
    int rc;

    if (bytes > SIZE_MAX / 4)
        return MDB_MAP_FULL;
    pthread_rwlock_wrlock(&s->map_lock);
    rc = mdb_env_set_mapsize(s->env, 2 * bytes);
    pthread_rwlock_unlock(&s->map_lock);
    return rc;
}

/* LMDB calls a write that took only a part EIO; on a full disk that is what it is. */
static bool is_disk_full(const struct lmdb *s)
{
    struct statvfs fs;

    return statvfs(s->dir, &fs) == 0
           && (uint64_t)fs.f_bavail * fs.f_frsize < FULL_DISK_BYTES;
}

static int settle(struct lmdb *s, int rc)
{
    int r = translate(rc);

    if (r == -EIO && is_disk_full(s))
        r = -ENOSPC;
    /* After a failed sync the kernel may have dropped the pages: a later commit that
     * succeeds would prove nothing about them. */
    if (r != -EINVAL && r != -ENOMEM && r != -E2BIG && rc != ENOSPC)
        s->is_broken = true;
    return r;
}

static int first_commit_done(struct lmdb *s)
{
    char path[PLACE_PATH_MAX];
    int r = place_join(path, s->dir, "store");

    if (r == 0)
        r = place_sync_folder(path);
    if (r == 0)
        r = place_sync_folder(s->dir);
    if (r < 0)
        s->is_broken = true;
    else
        atomic_store(&s->is_made, true);
    return r;
}

static int lmdb_commit(struct store *base, const struct store_write *writes, size_t n)
{
    struct lmdb *s = (struct lmdb *)base;
    size_t bytes = 0;
    int rc;

    if (s->is_broken)
        return -EIO;
    rc = try_commit(s, writes, n);
    while (rc == MDB_MAP_FULL) {
        if (grow(s))
            return -ENOSPC;
        rc = try_commit(s, writes, n);
    }
    if (rc)
        return settle(s, rc);
    if (!atomic_load(&s->is_made))
        return first_commit_done(s);
    for (size_t i = 0; i < n; i++)
        bytes += writes[i].key.len + writes[i].value.len;
    forget_pages(s, bytes);
    return 0;
}

static int lmdb_usage(struct store *base, uint64_t *ret_used, uint64_t *ret_free)
{
    struct lmdb *s = (struct lmdb *)base;
    mdb_filehandle_t fd;
    struct statvfs fs;
    struct stat st;
    int rc = mdb_env_get_fd(s->env, &fd);

    if (rc)
        return translate(rc);
    if (fstat(fd, &st) < 0 || fstatvfs(fd, &fs) < 0)
        return -errno;
    *ret_used = (uint64_t)st.st_blocks * 512;
    *ret_free = (uint64_t)fs.f_bavail * fs.f_frsize;
    return 0;
}

/* ---- opening ---- */

static void lmdb_close(struct store *base)
{
    struct lmdb *s = (struct lmdb *)base;

    while (s->n_pool)
        mdb_txn_abort(s->pool[--s->n_pool]);
    if (s->env)
        mdb_env_close(s->env);
    if (s->lock_fd >= 0)
        close(s->lock_fd);
    pthread_rwlock_destroy(&s->map_lock);
    pthread_mutex_destroy(&s->pool_lock);
    free(s->dir);
    free(s);
}

static const struct store_ops lmdb_ops = {
    .commit = lmdb_commit,
    .get = lmdb_get,
    .scan = lmdb_scan,
    .usage = lmdb_usage,
    .close = lmdb_close,
};

static struct lmdb *lmdb_new(const char *dir)
{
    struct lmdb *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->store.ops = &lmdb_ops;
    s->lock_fd = -1;
    s->dir = strdup(dir);
    pthread_rwlock_init(&s->map_lock, NULL);
    pthread_mutex_init(&s->pool_lock, NULL);
    if (s->dir)
        return s;
    lmdb_close(&s->store);
    return NULL;
}

static int open_environment(struct lmdb *s, const char *path, size_t map_bytes)
{
    int rc = mdb_env_create(&s->env);

    if (rc)
        return rc;
    rc = mdb_env_set_mapsize(s->env, map_bytes);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(s->env, STORE_TABLES_END);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(s->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_open(s->env, path, MDB_NOTLS | MDB_NORDAHEAD, 0600);
    if (rc)
        mdb_env_close(TAKE(s->env));
    return rc;
}

/* Address space may be limited (ulimit -v): ask for less until it is given. */
static int open_shrinking(struct lmdb *s, const char *path, size_t map_bytes)
{
    int rc = open_environment(s, path, map_bytes);

    while (rc == ENOMEM && map_bytes / 2 >= map_bytes_min) {
        map_bytes /= 2;
        rc = open_environment(s, path, map_bytes);
    }
    return rc;
}

/* ---- a file that is too short ---- */

/* LMDB ends the process when a page is not what it must be; a walk jumps out instead.
 */
struct walk {
    MDB_txn *txn;
    MDB_cursor *cursor;
    const char *end; /* of the file's bytes in the map */
    jmp_buf out;
};

static _Thread_local struct walk *walking;

static void jump_out(MDB_env *env, const char *message)
{
    (void)env;
    (void)message;
    if (walking)
        longjmp(walking->out, 1);
}

static int walk_table(struct walk *w, MDB_dbi table)
{
    MDB_val key, value;
    int rc = mdb_cursor_open(w->txn, table, &w->cursor);

    while (rc == 0) {
        rc = mdb_cursor_get(w->cursor, &key, &value, MDB_NEXT);
        if (rc == 0 && (const char *)value.mv_data + value.mv_size > w->end)
            rc = MDB_CORRUPTED;
    }
    if (w->cursor)
        mdb_cursor_close(TAKE(w->cursor));
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* LMDB's own two tables, the free pages and the names of ours, come first. */
static int walk_tables(struct walk *w)
{
    int rc = walk_table(w, 0);

    if (rc == 0)
        rc = walk_table(w, 1);
    for (int i = 1; rc == 0 && i < STORE_TABLES_END; i++) {
        MDB_dbi table;

        rc = mdb_dbi_open(w->txn, table_names[i], 0, &table);
        if (rc == 0)
            rc = walk_table(w, table);
        else if (rc == MDB_NOTFOUND)
            rc = 0;
    }
    return rc;
}

static int walk_to(struct lmdb *s, size_t size)
{
    struct walk w = { .txn = NULL };
    uintptr_t from, to;
    int rc;

    if (!find_map(s, &from, &to))
        return -EIO;
    w.end = (const char *)from + size;
    rc = mdb_env_set_assert(s->env, jump_out);
    if (rc == 0)
        rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &w.txn);
    if (rc)
        return translate(rc);
    walking = &w;
    rc = setjmp(w.out) ? MDB_CORRUPTED : walk_tables(&w);
    walking = NULL;
    if (w.cursor)
        mdb_cursor_close(w.cursor);
    mdb_txn_abort(w.txn);
    return translate(rc);
}

/* A page of the map that lies behind the end of the file is a SIGBUS. A file that is
 * too short is made long enough, and all that is in use must lie before its old end:
 * LMDB does not always write the last pages it took, when it gave them back at once.
 * One that is damaged is left as it was. */
static int check_length(struct lmdb *s)
{
    mdb_filehandle_t fd;
    MDB_envinfo info;
    MDB_stat stat;
    struct stat st;
    off_t wanted;
    int r;

    if (mdb_env_get_fd(s->env, &fd) || mdb_env_info(s->env, &info)
        || mdb_env_stat(s->env, &stat) || fstat(fd, &st) < 0)
        return -EIO;
    wanted = (off_t)(info.me_last_pgno + 1) * (off_t)stat.ms_psize;
    if (st.st_size >= wanted)
        return 0;
    if (ftruncate(fd, wanted) < 0)
        return -errno;
    r = walk_to(s, (size_t)st.st_size);
    if (r < 0 && ftruncate(fd, st.st_size) < 0)
        return -errno;
    return r;
}

/* ---- the tables ---- */

static int load_tables(struct lmdb *s)
{
    MDB_txn *txn;
    MDB_stat stat;
    int rc = mdb_env_stat(s->env, &stat);

    if (rc || stat.ms_entries == 0)
        return translate(rc);
    rc = mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn);
    if (rc)
        return translate(rc);
    rc = open_tables(s, txn, 0);
    if (rc) {
        mdb_txn_abort(txn);
        return rc == MDB_NOTFOUND ? -EBADMSG : translate(rc);
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0)
        atomic_store(&s->is_made, true);
    return translate(rc);
}

static int check_version(struct lmdb *s, const char *path, struct error *ret_error)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct span key = { .data = version_key, .len = sizeof(version_key) - 1 };
    int r, version;

    if (!atomic_load(&s->is_made))
        return 0;
    r = lmdb_get(&s->store, STORE_META, key, &value);
    if (r == -ENOENT || (r == 0 && value.len == 0))
        r = -EBADMSG;
    if (r < 0)
        return fail(ret_error, r, "%s holds no version: it is damaged", path);
    version = (uint8_t)value.data[0];
    if (version <= STORE_VERSION)
        return 0;
    return fail(ret_error, -EPROTONOSUPPORT,
                "%s was written by a newer mesh (format %d, this one knows %d)", path,
                version, STORE_VERSION);
}

static int load(struct lmdb *s, const char *path, size_t map_bytes,
                struct error *ret_error)
{
    int r, n_dead;

    r = translate(open_shrinking(s, path, map_bytes));
    if (r == 0)
        r = translate(mdb_reader_check(s->env, &n_dead));
    if (r == 0)
        r = check_length(s);
    if (r == 0)
        r = load_tables(s);
    if (r == -EBADMSG)
        return fail(ret_error, r, "%s is damaged", path);
    if (r < 0)
        return fail(ret_error, r, "cannot open %s: %s", path, strerror(-r));
    return check_version(s, path, ret_error);
}

/* A lock that came with the process: nobody else can have had the store since. */
static bool inherit_lock(struct lmdb *s, const char *path, int fd)
{
    struct stat ours, wanted;

    if (fd <= 0 || fstat(fd, &ours) < 0 || stat(path, &wanted) < 0
        || ours.st_dev != wanted.st_dev || ours.st_ino != wanted.st_ino
        || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return false;
    s->lock_fd = fd;
    return true;
}

int lmdb_lock_fd(const struct store *store)
{
    return ((const struct lmdb *)store)->lock_fd;
}

static int prepare(struct lmdb *s, const char *path, int inherited_fd, int *ret_pid,
                   struct error *ret_error)
{
    char lock_path[PLACE_PATH_MAX];
    int r = place_make(path);

    if (r < 0)
        return fail(ret_error, r, "cannot make %s: %s", path, strerror(-r));
    r = place_check(path, ret_error);
    if (r < 0)
        return r;
    r = place_join(lock_path, path, "lock");
    if (r < 0)
        return r;
    if (inherit_lock(s, lock_path, inherited_fd))
        return 0;
    return place_lock(lock_path, &s->lock_fd, ret_pid, ret_error);
}

static void close_half_open(struct lmdb **s)
{
    if (*s)
        lmdb_close(&(*s)->store);
}

int lmdb_open(const char *dir, const struct lmdb_options *options,
              struct store **ret_store, int *ret_pid, struct error *ret_error)
{
    CLEANUP(close_half_open) struct lmdb *s = lmdb_new(dir);
    size_t map_bytes = options->map_bytes ? options->map_bytes : map_bytes_first;
    char path[PLACE_PATH_MAX];
    int r;

    if (!s)
        return -ENOMEM;
    fault_from_environment();
    r = place_join(path, dir, "store");
    if (r < 0)
        return fail(ret_error, r, "%s: %s", dir, strerror(-r));
    r = prepare(s, path, options->lock_fd, ret_pid, ret_error);
    if (r < 0)
        return r;
    r = load(s, path, map_bytes, ret_error);
    if (r < 0)
        return r;
    *ret_store = &TAKE(s)->store;
    return 0;
}

int store_open_lmdb(const char *dir, struct store **ret_store, int *ret_pid,
                    struct error *ret_error)
{
    return lmdb_open(dir, &(struct lmdb_options){ 0 }, ret_store, ret_pid, ret_error);
}
