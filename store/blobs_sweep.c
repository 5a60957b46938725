/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting blobs: the sweep behind a marking, and eviction when room is short. */
#include "store/blobs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "store/blobs_internal.h"

enum { PAGE = 1024, OLDEST_MAX = 65536 };

/* ---- a page of blobs, deleted together ---- */

/* Filled by a scan, which must not take our lock; looked through with it. */
struct page {
    struct digest ids[PAGE];
    size_t n;
};

static void count(uint64_t *n, uint64_t *bytes, uint64_t size)
{
    *n += 1;
    *bytes += size;
}

/* With the lock. Entries go first and durably; a file that outlives its entry is found
 * by the next sweep, an entry that outlives its file would be a lie. What is left in
 * the page are the files to remove. */
static int delete_entries(struct blobs *b, struct page *p, bool dry_run,
                          struct gc_report *report)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; r == 0 && i < p->n; i++) {
        struct digest id = p->ids[i];
        struct blob_entry entry;

        if (blob_find(b, &id, &entry) < 0)
            continue;
        if (blob_is_held(b, &id)) {
            count(&report->n_kept, &report->bytes_kept, entry.size);
            continue;
        }
        count(&report->n_freed, &report->bytes_freed, entry.size);
        r = dry_run ? 0 : blob_delete(b, &id, &entry);
        if (!dry_run && entry.class == BLOB_FILE)
            p->ids[n++] = id;
    }
    p->n = n;
    return r;
}

/* Unless a blob of that name was kept again meanwhile. */
static void remove_file(struct blobs *b, const struct digest *id)
{
    char path[PLACE_PATH_MAX];
    struct blob_entry entry;
    struct blob_note *note;

    if (blob_path(b, id, path) < 0)
        return;
    pthread_mutex_lock(&b->lock);
    if (blob_find(b, id, &entry) == -ENOENT) {
        unlink(path);
        note = blob_note_find(b, id);
        if (note)
            note->is_linked = false;
        blob_note_drop(b, note);
    }
    pthread_mutex_unlock(&b->lock);
}

static int delete_page(struct blobs *b, struct page *p, bool dry_run,
                       struct gc_report *report)
{
    uint64_t ticket;
    int r;

    if (p->n == 0)
        return 0;
    pthread_mutex_lock(&b->lock);
    r = delete_entries(b, p, dry_run, report);
    ticket = b->ticket;
    pthread_mutex_unlock(&b->lock);
    if (r == 0 && !dry_run)
        r = writer_wait(b->writer, ticket);
    for (size_t i = 0; r == 0 && i < p->n; i++)
        remove_file(b, &p->ids[i]);
    return r;
}

/* ---- sweep ---- */

struct sweep {
    struct blobs *blobs;
    bool (*is_live)(void *arg, const struct digest *id);
    void *arg;
    bool dry_run;
    struct gc_report *report;
    struct page page;
    uint8_t from[DIGEST_SIZE + 1]; /* behind the last one seen */
};

static int sweep_entry(void *arg, struct span key, struct span value)
{
    struct blob_entry entry = { .size = 0 };
    struct sweep *s = arg;
    struct digest id;

    if (key.len != DIGEST_SIZE)
        return 0;
    memcpy(id.bytes, key.data, DIGEST_SIZE);
    memcpy(s->from, key.data, DIGEST_SIZE);
    /* An entry that cannot be read is left for blobs_verify() to report. */
    if (!blob_is_entry(value, &entry) || s->is_live(s->arg, &id))
        count(&s->report->n_kept, &s->report->bytes_kept, entry.size);
    else
        s->page.ids[s->page.n++] = id;
    return s->page.n == PAGE;
}

static int sweep_entries(struct sweep *s)
{
    struct span none = { .len = 0 }, from = none;
    int more = 1;

    while (more > 0) {
        int r;

        s->page.n = 0;
        more = writer_scan(s->blobs->writer, STORE_BLOBS, none, from, sweep_entry, s);
        if (more < 0)
            return more;
        r = delete_page(s->blobs, &s->page, s->dry_run, s->report);
        if (r < 0)
            return r;
        from = (struct span){ s->from, sizeof(s->from) };
    }
    return 0;
}

/* ---- files without an entry ---- */

static void sweep_file(struct sweep *s, int folder, const char *name)
{
    struct blob_entry entry;
    struct digest id;
    struct stat st;

    if (digest_parse(name, &id) < 0)
        return;
    pthread_mutex_lock(&s->blobs->lock);
    if (blob_find(s->blobs, &id, &entry) == -ENOENT
        && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        count(&s->report->n_freed, &s->report->bytes_freed, (uint64_t)st.st_size);
        if (!s->dry_run)
            unlinkat(folder, name, 0);
    }
    pthread_mutex_unlock(&s->blobs->lock);
}

static void sweep_folder(struct sweep *s, unsigned number)
{
    char path[PLACE_PATH_MAX], name[16];
    struct dirent *entry;
    DIR *dir;

    snprintf(name, sizeof(name), "blobs/%02x", number & 0xff);
    if (place_join(path, s->blobs->dir, name) < 0)
        return;
    dir = opendir(path);
    if (!dir)
        return;
    while ((entry = readdir(dir)))
        sweep_file(s, dirfd(dir), entry->d_name);
    closedir(dir);
}

int blobs_sweep(struct blobs *b, bool (*is_live)(void *arg, const struct digest *id),
                void *arg, bool dry_run, struct gc_report *ret_report)
{
    CLEANUP(freep) struct sweep *s = calloc(1, sizeof(*s));
    struct gc_report report = { .n_kept = 0 };
    int r;

    if (!s)
        return -ENOMEM;
    *s = (struct sweep){ .blobs = b,
                         .is_live = is_live,
                         .arg = arg,
                         .dry_run = dry_run,
                         .report = &report };
    r = sweep_entries(s);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < 256; i++)
        sweep_folder(s, i);
    *ret_report = report;
    return 0;
}

/* ---- eviction ---- */

struct old_blob {
    struct digest id;
    uint64_t used_ms, size;
};

/* The longest unused ones of all, OLDEST_MAX at least when there are so many. */
struct oldest {
    struct blobs *blobs;
    bool (*is_evictable)(void *arg, const struct digest *id);
    void *arg;
    struct old_blob *all;
    size_t n;
};

static int compare_use(const void *a, const void *b)
{
    const struct old_blob *x = a, *y = b;

    if (x->used_ms != y->used_ms)
        return x->used_ms < y->used_ms ? -1 : 1;
    return memcmp(x->id.bytes, y->id.bytes, DIGEST_SIZE);
}

static void keep_oldest(struct oldest *o)
{
    qsort(o->all, o->n, sizeof(*o->all), compare_use);
    o->n = min_size(o->n, OLDEST_MAX);
}

static int collect(void *arg, struct span key, struct span value)
{
    struct oldest *o = arg;
    struct old_blob *blob = &o->all[o->n];
    struct blob_entry entry;

    if (key.len != DIGEST_SIZE || !blob_is_entry(value, &entry))
        return 0;
    memcpy(blob->id.bytes, key.data, DIGEST_SIZE);
    blob->used_ms = entry.used_ms;
    blob->size = entry.size;
    if (!o->is_evictable(o->arg, &blob->id))
        return 0;
    if (++o->n == 2 * OLDEST_MAX)
        keep_oldest(o);
    return 0;
}

static uint64_t bytes_of(struct blobs *b)
{
    uint64_t bytes;

    pthread_mutex_lock(&b->lock);
    bytes = b->bytes;
    pthread_mutex_unlock(&b->lock);
    return bytes;
}

/* The next ones that bring the bytes down to the target, PAGE at most. */
static size_t fill_page(struct page *p, const struct oldest *o, size_t first,
                        uint64_t excess)
{
    p->n = 0;
    while (p->n < PAGE && first + p->n < o->n && excess) {
        const struct old_blob *blob = &o->all[first + p->n];

        p->ids[p->n++] = blob->id;
        excess -= blob->size < excess ? blob->size : excess;
    }
    return p->n;
}

static int evict_oldest(struct oldest *o, uint64_t target, struct gc_report *report)
{
    CLEANUP(freep) struct page *page = malloc(sizeof(*page));
    size_t first = 0;
    int r = 0;

    if (!page)
        return -ENOMEM;
    while (r == 0 && first < o->n) {
        uint64_t bytes = bytes_of(o->blobs);

        if (bytes <= target)
            break;
        first += fill_page(page, o, first, bytes - target);
        r = delete_page(o->blobs, page, false, report);
    }
    return r;
}

int blobs_evict(struct blobs *b, uint64_t target_bytes,
                bool (*is_evictable)(void *arg, const struct digest *id), void *arg,
                uint64_t *ret_freed_bytes)
{
    CLEANUP(freep) struct old_blob *all = malloc(2 * OLDEST_MAX * sizeof(*all));
    struct oldest o = {
        .blobs = b, .is_evictable = is_evictable, .arg = arg, .all = all
    };
    struct gc_report report = { .n_kept = 0 };
    struct span none = { .len = 0 };
    uint64_t freed;
    int r;

    if (!all)
        return -ENOMEM;
    do {
        freed = report.bytes_freed;
        if (bytes_of(b) <= target_bytes)
            break;
        o.n = 0;
        r = writer_scan(b->writer, STORE_BLOBS, none, none, collect, &o);
        if (r == 0) {
            keep_oldest(&o);
            r = evict_oldest(&o, target_bytes, &report);
        }
        if (r < 0)
            return r;
    } while (report.bytes_freed > freed);
    *ret_freed_bytes = report.bytes_freed;
    return 0;
}
