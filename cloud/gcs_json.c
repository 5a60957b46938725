/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/gcs_json.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cloud/encode.h"

struct gcs_page {
    json_t *json; /* holds the texts of names */
    struct object_entry *entries;
    size_t n;
};

/* ---- small texts ---- */

void gcs_crc32c_text(uint32_t crc32c, char ret[GCS_CRC32C_TEXT])
{
    const uint8_t bytes[4] = { (uint8_t)(crc32c >> 24), (uint8_t)(crc32c >> 16),
                               (uint8_t)(crc32c >> 8), (uint8_t)crc32c };
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;

    ret[0] = '\0';
    if (encode_base64(&text, bytes, sizeof(bytes)) == 0)
        memcpy(ret, text.data, GCS_CRC32C_TEXT);
}

int gcs_crc32c_read(const char *text, size_t len, uint32_t *ret_crc32c)
{
    CLEANUP(buffer_release) struct buffer bytes = BUFFER_INIT;
    const uint8_t *b;
    int r = decode_base64(&bytes, text, len);

    if (r < 0)
        return r;
    if (bytes.len != 4)
        return -EINVAL;
    b = (const uint8_t *)bytes.data;
    *ret_crc32c =
        (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
    return 0;
}

bool gcs_hash_header(const char *header, uint32_t *ret_crc32c)
{
    const char *at = header ? strstr(header, "crc32c=") : NULL;

    if (!at)
        return false;
    at += strlen("crc32c=");
    return gcs_crc32c_read(at, strcspn(at, ", "), ret_crc32c) == 0;
}

/* Digits alone, as the service sends 64-bit numbers: in a text. */
static int read_number(const char *text, uint64_t *ret)
{
    char *end;

    if (!text || !isdigit((unsigned char)*text))
        return -EPROTO;
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno || *end ? -EPROTO : 0;
}

int gcs_range_held(const char *header, uint64_t *ret_held)
{
    uint64_t last;

    if (!header) {
        *ret_held = 0;
        return 0;
    }
    if (strncmp(header, "bytes=", 6) == 0)
        header += 6;
    if (strncmp(header, "0-", 2) != 0 || read_number(header + 2, &last) < 0
        || last == UINT64_MAX)
        return -EPROTO;
    *ret_held = last + 1;
    return 0;
}

/* RFC 3339 in UTC, as in "2026-01-02T03:04:05.678Z". 0: not such a time. */
static int64_t read_time(const char *text)
{
    struct tm tm = { .tm_isdst = 0 };

    if (!text || !strptime(text, "%Y-%m-%dT%H:%M:%S", &tm))
        return 0;
    return (int64_t)timegm(&tm);
}

/* ---- objects ---- */

static void copy_text(char *to, size_t size, const json_t *text)
{
    const char *from = json_string_value(text);

    if (from && strlen(from) < size)
        memcpy(to, from, strlen(from) + 1);
}

static bool is_hex(const char *text, size_t n)
{
    return strlen(text) == n && strspn(text, "0123456789abcdef") == n;
}

static void read_own_metadata(const json_t *metadata, struct gcs_object *o)
{
    copy_text(o->about.sha256, sizeof(o->about.sha256),
              json_object_get(metadata, GCS_SHA256_KEY));
    if (!is_hex(o->about.sha256, 64))
        o->about.sha256[0] = '\0';
    copy_text(o->writer, sizeof(o->writer), json_object_get(metadata, GCS_WRITER_KEY));
}

static int read_object(const json_t *json, struct gcs_object *o)
{
    const char *text = json_string_value(json_object_get(json, "crc32c"));
    int r;

    *o = (struct gcs_object){ .has_crc32c = false };
    r = read_number(json_string_value(json_object_get(json, "size")), &o->about.size);
    if (r == 0)
        r = read_number(json_string_value(json_object_get(json, "generation")),
                        &o->generation);
    if (r < 0)
        return r;
    o->has_crc32c = text && gcs_crc32c_read(text, strlen(text), &o->crc32c) == 0;
    snprintf(o->about.etag, sizeof(o->about.etag), "\"%" PRIu64 "\"", o->generation);
    o->about.modified_s =
        read_time(json_string_value(json_object_get(json, "updated")));
    copy_text(o->about.tier, sizeof(o->about.tier),
              json_object_get(json, "storageClass"));
    if (strcmp(o->about.tier, "STANDARD") == 0)
        o->about.tier[0] = '\0';
    read_own_metadata(json_object_get(json, "metadata"), o);
    return 0;
}

static int load(const char *text, size_t len, json_t **ret_json,
                struct error *ret_error)
{
    json_error_t error;
    json_t *json = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error);

    if (!json_is_object(json)) {
        json_decref(json);
        return fail(ret_error, -EPROTO,
                    "what answers is not Google Cloud Storage: no JSON object; look at "
                    "the endpoint and at proxies between");
    }
    *ret_json = json;
    return 0;
}

int gcs_json_object(const char *text, size_t len, struct gcs_object *ret_object,
                    struct error *ret_error)
{
    CLEANUP(json_decrefp) json_t *json = NULL;
    struct gcs_object object;
    int r = load(text, len, &json, ret_error);

    if (r < 0)
        return r;
    if (read_object(json, &object) < 0)
        return fail(ret_error, -EPROTO,
                    "what answers is not Google Cloud Storage: an object without size "
                    "or generation");
    *ret_object = object;
    return 0;
}

/* ---- pages ---- */

void gcs_page_free(struct gcs_page *page)
{
    if (!page)
        return;
    json_decref(page->json);
    free(page->entries);
    free(page);
}

const struct object_entry *gcs_page_entries(const struct gcs_page *page, size_t *ret_n)
{
    *ret_n = page->n;
    return page->entries;
}

const char *gcs_page_next(const struct gcs_page *page)
{
    const char *next = json_string_value(json_object_get(page->json, "nextPageToken"));

    return next && *next ? next : NULL;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct object_entry *)a)->name,
                  ((const struct object_entry *)b)->name);
}

static int cut_prefix(const json_t *name, const char *prefix, const char **ret)
{
    const char *text = json_string_value(name);

    if (!text || strncmp(text, prefix, strlen(prefix)) != 0)
        return -EPROTO;
    *ret = text + strlen(prefix);
    return 0;
}

static int add_entries(struct gcs_page *page, const char *prefix)
{
    const json_t *items = json_object_get(page->json, "items");
    const json_t *prefixes = json_object_get(page->json, "prefixes");
    size_t n = json_array_size(items) + json_array_size(prefixes);
    int r = 0;

    page->entries = calloc(n ? n : 1, sizeof(*page->entries));
    if (!page->entries)
        return -ENOMEM;
    for (size_t i = 0; i < json_array_size(items) && r == 0; i++) {
        struct object_entry *entry = &page->entries[page->n++];
        const json_t *item = json_array_get(items, i);
        struct gcs_object object;

        r = cut_prefix(json_object_get(item, "name"), prefix, &entry->name);
        if (r == 0)
            r = read_object(item, &object);
        if (r == 0)
            entry->about = object.about;
    }
    for (size_t i = 0; i < json_array_size(prefixes) && r == 0; i++) {
        struct object_entry *entry = &page->entries[page->n++];

        entry->is_prefix = true;
        r = cut_prefix(json_array_get(prefixes, i), prefix, &entry->name);
    }
    if (r == 0)
        qsort(page->entries, page->n, sizeof(*page->entries), by_name);
    return r;
}

int gcs_page_read(const char *text, size_t len, const char *prefix,
                  struct gcs_page **ret_page, struct error *ret_error)
{
    CLEANUP(gcs_page_freep) struct gcs_page *page = calloc(1, sizeof(*page));
    int r;

    if (!page)
        return fail(ret_error, -ENOMEM, "no memory is left for a list of objects");
    r = load(text, len, &page->json, ret_error);
    if (r < 0)
        return r;
    r = add_entries(page, prefix);
    if (r == -ENOMEM)
        return fail(ret_error, r, "no memory is left for a list of objects");
    if (r < 0)
        return fail(ret_error, r,
                    "what answers is not Google Cloud Storage: its list of objects has "
                    "one without name, size or generation, or that was not asked for");
    *ret_page = TAKE(page);
    return 0;
}

/* ---- what we say ---- */

static int set(json_t *object, const char *key, json_t *value)
{
    return json_object_set_new(object, key, value) < 0 ? -EINVAL : 0;
}

/* "a=1&b=2", neither side encoded. */
static int add_tags(json_t *metadata, const char *tags)
{
    while (*tags) {
        size_t len = strcspn(tags, "&"), key_len = strcspn(tags, "=&");
        size_t value_at = key_len < len ? key_len + 1 : len;
        char key[128];

        if (!key_len || key_len >= sizeof(key))
            return -EINVAL;
        memcpy(key, tags, key_len);
        key[key_len] = '\0';
        if (set(metadata, key, json_stringn(tags + value_at, len - value_at)) < 0)
            return -EINVAL;
        tags += len;
        tags += *tags == '&';
    }
    return 0;
}

static int add_metadata(json_t *json, const struct gcs_new_object *o)
{
    CLEANUP(json_decrefp) json_t *metadata = json_object();
    char hex[65];
    int r = metadata ? 0 : -ENOMEM;

    if (r == 0 && o->tags)
        r = add_tags(metadata, o->tags);
    if (r == 0 && o->sha256) {
        encode_hex(o->sha256, 32, hex);
        r = set(metadata, GCS_SHA256_KEY, json_string(hex));
    }
    if (r == 0 && o->writer)
        r = set(metadata, GCS_WRITER_KEY, json_string(o->writer));
    if (r < 0 || json_object_size(metadata) == 0)
        return r;
    return set(json, "metadata", TAKE(metadata));
}

int gcs_json_new_object(struct buffer *out, const struct gcs_new_object *o)
{
    CLEANUP(json_decrefp) json_t *json = json_object();
    CLEANUP(freep) char *text = NULL;
    char crc32c[GCS_CRC32C_TEXT];
    int r;

    if (!json)
        return -ENOMEM;
    r = set(json, "name", json_string(o->name));
    if (r == 0)
        r = set(json, "contentType", json_string(o->content_type));
    if (r == 0 && o->storage_class)
        r = set(json, "storageClass", json_string(o->storage_class));
    if (r == 0 && o->has_crc32c) {
        gcs_crc32c_text(o->crc32c, crc32c);
        r = set(json, "crc32c", json_string(crc32c));
    }
    if (r == 0)
        r = add_metadata(json, o);
    if (r < 0)
        return r;
    text = json_dumps(json, JSON_COMPACT | JSON_PRESERVE_ORDER);
    return text ? buffer_puts(out, text) : -ENOMEM;
}
