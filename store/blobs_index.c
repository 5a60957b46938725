/* SPDX-License-Identifier: Apache-2.0 */
/* What the store knows of each blob, and what only the running node does. */
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "store/blobs_internal.h"

static const char usage_key[] = "blobs";

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(value >> (56 - 8 * i));
    return at + 8;
}

static uint64_t get_u64(const void *data)
{
    const uint8_t *at = data;
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | at[i];
    return value;
}

static struct span id_span(const struct digest *id)
{
    return (struct span){ .data = id->bytes, .len = DIGEST_SIZE };
}

/* ---- entries ---- */

static void encode_entry(const struct blob_entry *entry, uint8_t bytes[BLOB_ENTRY_SIZE])
{
    bytes[0] = (uint8_t)entry->class;
    put_u64(put_u64(put_u64(bytes + 1, entry->size), entry->used_ms), entry->mtime_ns);
}

bool blob_is_entry(struct span value, struct blob_entry *ret_entry)
{
    const uint8_t *bytes = value.data;

    if (value.len != BLOB_ENTRY_SIZE
        || (bytes[0] != BLOB_CHUNKED && bytes[0] != BLOB_FILE))
        return false;
    *ret_entry = (struct blob_entry){
        .class = (enum blob_class)bytes[0],
        .size = get_u64(bytes + 1),
        .used_ms = get_u64(bytes + 9),
        .mtime_ns = get_u64(bytes + 17),
    };
    return ret_entry->class == BLOB_FILE || ret_entry->size <= BLOB_CHUNKED_MAX;
}

int blob_find(struct blobs *b, const struct digest *id, struct blob_entry *ret_entry)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    int r = writer_get(b->writer, STORE_BLOBS, id_span(id), &value);

    if (r < 0)
        return r;
    return blob_is_entry((struct span){ .data = value.data, .len = value.len },
                         ret_entry)
               ? 0
               : -EIO;
}

static size_t count_chunks(uint64_t size)
{
    return (size_t)(size / STORE_CHUNK_MAX + (size % STORE_CHUNK_MAX != 0));
}

void blob_chunk_key(const struct digest *id, size_t i, uint8_t key[CHUNK_KEY_SIZE])
{
    memcpy(key, id->bytes, DIGEST_SIZE);
    for (int j = 0; j < 4; j++)
        key[DIGEST_SIZE + j] = (uint8_t)(i >> (24 - 8 * j));
}

/* The writes that make (data) or delete (no data) a blob's entry and chunks. */
struct blob_writes {
    struct store_write all[BLOB_WRITES_MAX];
    size_t n;
    uint8_t keys[CHUNKS_MAX][CHUNK_KEY_SIZE];
    uint8_t entry[BLOB_ENTRY_SIZE], usage[16];
};

static void add_chunks(struct blob_writes *w, const struct digest *id, uint64_t size,
                       const char *data)
{
    for (size_t i = 0; i < count_chunks(size); i++) {
        size_t offset = i * STORE_CHUNK_MAX;
        struct store_write *write = &w->all[w->n++];

        blob_chunk_key(id, i, w->keys[i]);
        *write = (struct store_write){
            .table = STORE_CHUNKS,
            .key = { w->keys[i], CHUNK_KEY_SIZE },
            .is_delete = !data,
        };
        if (data)
            write->value = (struct span){ data + offset, min_size((size_t)size - offset,
                                                                  STORE_CHUNK_MAX) };
    }
}

static void add_usage(struct blob_writes *w, uint64_t n_blobs, uint64_t bytes)
{
    put_u64(put_u64(w->usage, n_blobs), bytes);
    w->all[w->n++] = (struct store_write){
        .table = STORE_META,
        .key = { usage_key, sizeof(usage_key) - 1 },
        .value = { w->usage, sizeof(w->usage) },
    };
}

static int queue(struct blobs *b, const struct blob_writes *w)
{
    uint64_t ticket = writer_put(b->writer, w->all, w->n, false);

    if (!ticket)
        return -ENOMEM;
    b->ticket = ticket;
    return 0;
}

int blob_enter(struct blobs *b, const struct digest *id, const struct blob_entry *entry,
               const void *data)
{
    struct blob_writes w = { .n = 0 };
    int r;

    if (entry->class == BLOB_CHUNKED)
        add_chunks(&w, id, entry->size, data ? data : "");
    encode_entry(entry, w.entry);
    w.all[w.n++] = (struct store_write){
        .table = STORE_BLOBS,
        .key = id_span(id),
        .value = { w.entry, sizeof(w.entry) },
    };
    add_usage(&w, b->n_blobs + 1, b->bytes + entry->size);
    r = queue(b, &w);
    if (r < 0)
        return r;
    b->n_blobs++;
    b->bytes += entry->size;
    return 0;
}

int blob_delete(struct blobs *b, const struct digest *id,
                const struct blob_entry *entry)
{
    uint64_t n_blobs = b->n_blobs - (b->n_blobs > 0);
    uint64_t bytes = b->bytes > entry->size ? b->bytes - entry->size : 0;
    struct blob_writes w = { .n = 0 };
    int r;

    if (entry->class == BLOB_CHUNKED)
        add_chunks(&w, id, entry->size, NULL);
    w.all[w.n++] = (struct store_write){ .table = STORE_BLOBS,
                                         .key = id_span(id),
                                         .is_delete = true };
    add_usage(&w, n_blobs, bytes);
    r = queue(b, &w);
    if (r < 0)
        return r;
    b->n_blobs = n_blobs;
    b->bytes = bytes;
    return 0;
}

static void rewrite_entry(struct blobs *b, const struct digest *id,
                          const struct blob_entry *entry)
{
    struct blob_writes w = { .n = 1 };

    encode_entry(entry, w.entry);
    w.all[0] = (struct store_write){
        .table = STORE_BLOBS,
        .key = id_span(id),
        .value = { w.entry, sizeof(w.entry) },
    };
    queue(b, &w);
}

/* ---- notes ---- */

struct blob_note *blob_note_find(struct blobs *b, const struct digest *id)
{
    struct blob_note *note;

    HASH_FIND(hh, b->notes, id->bytes, DIGEST_SIZE, note);
    return note;
}

struct blob_note *blob_note_get(struct blobs *b, const struct digest *id)
{
    struct blob_note *note = blob_note_find(b, id);

    if (note)
        return note;
    note = calloc(1, sizeof(*note));
    if (!note)
        return NULL;
    note->id = *id;
    HASH_ADD(hh, b->notes, id.bytes, DIGEST_SIZE, note);
    if (note->hh.tbl)
        return note;
    free(note);
    return NULL;
}

void blob_note_drop(struct blobs *b, struct blob_note *note)
{
    if (!note || note->n_pins || note->used || note->is_linked)
        return;
    HASH_DEL(b->notes, note);
    free(note);
}

bool blob_is_held(struct blobs *b, const struct digest *id)
{
    struct blob_note *note = blob_note_find(b, id);

    return note && (note->n_pins || note->used);
}

void blobs_hold_begin(struct blobs *b, struct blobs_hold *h)
{
    pthread_mutex_lock(&b->lock);
    h->since = ++b->clock;
    DL_APPEND(b->holds, h);
    pthread_mutex_unlock(&b->lock);
}

/* Lets go of what was used before the oldest hold that is left. */
void blobs_hold_end(struct blobs *b, struct blobs_hold *h)
{
    struct blob_note *note;

    pthread_mutex_lock(&b->lock);
    if (h->since) {
        DL_DELETE(b->holds, h);
        *h = (struct blobs_hold){ .since = 0 };
    }
    while ((note = b->used) && (!b->holds || note->used < b->holds->since)) {
        DL_DELETE(b->used, note);
        note->used = 0;
        blob_note_drop(b, note);
    }
    pthread_mutex_unlock(&b->lock);
}

/* What others hold when it begins stays held as long: they may let go of it when the
 * record that names it is written, and the marks may have passed that place. */
int blob_watch(struct blobs *b)
{
    int r = 0;

    pthread_mutex_lock(&b->lock);
    if (b->watch.since) {
        r = -EALREADY;
    } else {
        b->watch.since = b->holds ? b->holds->since : ++b->clock;
        DL_PREPEND(b->holds, &b->watch);
    }
    pthread_mutex_unlock(&b->lock);
    return r;
}

void blob_watch_end(struct blobs *b)
{
    blobs_hold_end(b, &b->watch);
}

int blobs_pin(struct blobs *b, const struct digest *id)
{
    struct blob_note *note;

    pthread_mutex_lock(&b->lock);
    note = blob_note_get(b, id);
    if (note)
        note->n_pins++;
    pthread_mutex_unlock(&b->lock);
    return note ? 0 : -ENOMEM;
}

void blobs_unpin(struct blobs *b, const struct digest *id)
{
    struct blob_note *note;

    pthread_mutex_lock(&b->lock);
    note = blob_note_find(b, id);
    if (note && note->n_pins) {
        note->n_pins--;
        blob_note_drop(b, note);
    }
    pthread_mutex_unlock(&b->lock);
}

void blob_touch(struct blobs *b, const struct digest *id, struct blob_entry *entry)
{
    uint64_t now = b->wall_ms();

    if (b->holds) {
        struct blob_note *note = blob_note_get(b, id);

        if (note && note->used)
            DL_DELETE(b->used, note);
        if (note) {
            note->used = ++b->clock;
            DL_APPEND(b->used, note);
        }
    }
    if (now < entry->used_ms + BLOB_TOUCH_MS)
        return;
    entry->used_ms = now;
    rewrite_entry(b, id, entry);
}

int blob_load_usage(struct blobs *b)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct span key = { usage_key, sizeof(usage_key) - 1 };
    int r = writer_get(b->writer, STORE_META, key, &value);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    if (value.len != 16)
        return -EBADMSG;
    b->n_blobs = get_u64(value.data);
    b->bytes = get_u64(value.data + 8);
    return 0;
}
