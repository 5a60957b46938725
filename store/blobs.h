/* SPDX-License-Identifier: Apache-2.0 */
/* blobs - bytes kept under the name of their content.
 *
 *     <= BLOB_INLINE_MAX   an artifact or a log: in the record that names it, not here
 *     <= BLOB_CHUNKED_MAX  STORE_CHUNKS, in chunks of STORE_CHUNK_MAX
 *     larger               a file DIR/blobs/ab/<hex>, mode 0444, known in STORE_BLOBS
 *
 * STORE_BLOBS keeps for each blob its size, class and last use (to the hour). A file is
 * in its place before it is synced, so that it can be read at once; its entry becomes
 * durable after its bytes. So only the entry is trusted: a file without one, as a crash
 * leaves it, is replaced by the next blob of that name and removed by the next sweep.
 *
 * Blobs that no record names are garbage; blobs_pin() and blobs_hold_begin() hold what
 * is in use and in no record yet. All functions may be called by any thread. */
#pragma once

#include "base/ids.h"
#include "store/writer.h"

enum {
    BLOB_INLINE_MAX = 1024,
    BLOB_CHUNKED_MAX = 4 << 20,
    BLOB_FILE_PATH_MAX = 4096,
};

struct blobs;

/* dir: the data folder; the store's own folder lies beside. quota_bytes 0: none. */
int blobs_open(const char *dir, struct store *store, struct writer *writer,
               uint64_t quota_bytes, struct blobs **ret_blobs, struct error *ret_error);
void blobs_close(struct blobs *b);

/* Keep bytes; a repeat costs a look-up. Any size; above BLOB_CHUNKED_MAX they go
 * through a temporary file. Durable with whatever is handed to the writer next. Waits
 * for a commit only while writer_is_full(). -ENOSPC: quota or disk; nothing is kept.
 * -EIO: the writer has failed. */
int blobs_put(struct blobs *b, const void *data, size_t len, struct digest *ret_id);

/* Keep a file that is to be given up: a large one is renamed into the store (copied
 * when it lies elsewhere), a small one is read and removed. `id` and `size` are what
 * digest_file() said. Durable with whatever is handed to the writer next. A file that
 * has other names is copied: it could be written under those.
 * -ESTALE: what was copied or read is not what id says. */
int blobs_adopt_file(struct blobs *b, const char *path, uint64_t size,
                     const struct digest *id);
/* An empty file to write a large blob into and give to blobs_adopt_file(), or to
 * unlink; what is left behind is removed when the folder is opened again. -ENOSPC as
 * above. */
int blobs_make_file(struct blobs *b, uint64_t size, char ret_path[BLOB_FILE_PATH_MAX],
                    int *ret_fd);
/* As blobs_adopt_file(), but the file stays: reflink where it can be, else a copy. What
 * was copied is hashed again, because the file may be written meanwhile. */
int blobs_copy_file(struct blobs *b, const char *path, uint64_t size,
                    const struct digest *id);

int blobs_stat(struct blobs *b, const struct digest *id, uint64_t *ret_size);
/* Append [offset, offset + len) to ret, less at the end. -ENOENT, -EIO. */
int blobs_read(struct blobs *b, const struct digest *id, uint64_t offset, uint64_t len,
               struct buffer *ret);
/* A descriptor of a file-class blob, read-only; -ENOENT, -ENOTSUP for a chunked one. */
int blobs_open_file(struct blobs *b, const struct digest *id, int *ret_fd);

/* Make a file at path with this content: reflink, else (for the file class, when
 * may_link) a hard link, else a copy. *ret_linked tells that writing to it would write
 * to the store: compare by blobs_is_intact() afterwards. */
int blobs_lay_out(struct blobs *b, const struct digest *id, const char *path,
                  unsigned mode, bool may_link, bool *ret_linked);
/* Whether a linked blob still has the size, mtime and ctime it had. If not it is taken
 * out of use (moved to DIR/quarantine) and -ESTALE is returned. */
int blobs_is_intact(struct blobs *b, const struct digest *id);
/* Remove a link that blobs_lay_out() made. Removing it by unlink() works too, but it
 * changes the ctime of the blob, so that the next blobs_is_intact() has to hash it. */
int blobs_remove_link(struct blobs *b, const struct digest *id, const char *path);
/* Take a blob out of use: its bytes move to DIR/quarantine, and a good copy can be kept
 * in its place. -ENOENT. */
int blobs_quarantine(struct blobs *b, const struct digest *id);

/* Whether its bytes are there, and not only its entry: a file may be gone from under
 * us. Then the entry goes too, and a good copy can be kept in its place. -ENOENT. */
int blobs_recheck(struct blobs *b, const struct digest *id);

/* Re-hash; -EBADMSG if the bytes are not what the name says, -ENOENT. */
int blobs_verify(struct blobs *b, const struct digest *id, unsigned threads);

/* Hold against gc and eviction until unpinned; counted. The blob need not be here yet:
 * pin what is about to be kept, then keep it. -ENOMEM. */
int blobs_pin(struct blobs *b, const struct digest *id);
void blobs_unpin(struct blobs *b, const struct digest *id);

/* What is kept or used between the two calls is held until the second: for whoever is
 * yet to write the record that names it. All zero when not begun; ending twice, or what
 * was not begun, is fine. The struct must not move meanwhile. */
struct blobs_hold {
    uint64_t since;
    struct blobs_hold *prev, *next;
};
void blobs_hold_begin(struct blobs *b, struct blobs_hold *hold);
void blobs_hold_end(struct blobs *b, struct blobs_hold *hold);

/* Who is asked to free something when a blob of so many bytes, no more than the quota,
 * does not fit into it: by the thread that keeps it, which tries once more when the
 * answer is true. Before any use. */
void blobs_on_full(struct blobs *b, bool (*make_room)(void *arg, uint64_t bytes),
                   void *arg);

struct blobs_usage {
    uint64_t n_blobs, bytes, quota_bytes, disk_free_bytes;
};
int blobs_usage(struct blobs *b, struct blobs_usage *ret_usage);

enum { BLOBS_EVICT_PERCENT = 85 }; /* of the quota: when it is full, evict to this */

/* Delete blobs that are not pinned and that may go, the longest unused first, until all
 * of them take target_bytes or less. Returns 0 also when too few may go. */
int blobs_evict(struct blobs *b, uint64_t target_bytes,
                bool (*is_evictable)(void *arg, const struct digest *id), void *arg,
                uint64_t *ret_freed_bytes);

/* Delete every blob for which is_live() is false and that is not pinned, and files in
 * DIR/blobs that no entry names. Called on a marked set: see store/gc.h. is_live() must
 * be quick and must not call back. dry_run only counts. */
struct gc_report {
    uint64_t n_kept, n_freed, bytes_kept, bytes_freed;
};
int blobs_sweep(struct blobs *b, bool (*is_live)(void *arg, const struct digest *id),
                void *arg, bool dry_run, struct gc_report *ret_report);
