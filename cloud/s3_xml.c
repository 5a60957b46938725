/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/s3_xml.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cloud/encode.h"
#include "cloud/xml.h"

/* ---- texts ---- */

static int copy_bounded(char *to, size_t size, const char *text)
{
    size_t len = strlen(text);

    if (len >= size)
        return -E2BIG;
    memcpy(to, text, len + 1);
    return 0;
}

static int64_t time_of(const char *text, const char *format)
{
    struct tm tm = { .tm_isdst = 0 };
    int64_t s;

    if (!strptime(text, format, &tm))
        return 0;
    s = timegm(&tm);
    return s < 0 ? 0 : s;
}

int64_t s3_time(const char *text)
{
    int64_t s = time_of(text, "%Y-%m-%dT%H:%M:%S");

    return s ? s : time_of(text, "%a, %d %b %Y %H:%M:%S GMT");
}

/* Up to 2^64 - 1, digits alone. */
static int read_number(const char *text, uint64_t max, uint64_t *ret)
{
    uint64_t n = 0;

    if (!*text)
        return -EBADMSG;
    for (; *text; text++) {
        uint64_t digit = (uint64_t)(*text - '0');

        if (*text < '0' || *text > '9' || n > (max - digit) / 10)
            return -EBADMSG;
        n = n * 10 + digit;
    }
    *ret = n;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* As forms have it: '+' is a blank. In place; a NUL is in no name. */
static int decode_name(char *text)
{
    char *to = text;

    for (; *text; text++) {
        int high, low;

        if (*text != '%') {
            *to++ = (char)(*text == '+' ? ' ' : *text);
            continue;
        }
        high = hex_digit(text[1]);
        low = high < 0 ? -1 : hex_digit(text[2]);
        if (low < 0 || high * 16 + low == 0)
            return -EBADMSG;
        *to++ = (char)(high * 16 + low);
        text += 2;
    }
    *to = '\0';
    return 0;
}

/* Room for one more of an array's elements. */
static int grow(void **array, size_t *cap, size_t n, size_t size, size_t max)
{
    void *grown;

    if (n < *cap)
        return 0;
    if (n >= max)
        return -E2BIG;
    grown = reallocarray(*array, n ? 2 * n : 64, size);
    if (!grown)
        return -ENOMEM;
    *array = grown;
    *cap = n ? 2 * n : 64;
    return 0;
}

/* ---- a page of names ---- */

struct listing_reader {
    struct s3_listing *listing;
    const char *prefix;
    struct object_entry entry; /* its name is owned */
    bool is_listing, is_encoded, is_truncated;
};

void s3_listing_release(struct s3_listing *l)
{
    for (size_t i = 0; i < l->n; i++)
        free((char *)l->entries[i].name);
    free(l->entries);
    free(l->next);
    *l = (struct s3_listing){ .entries = NULL };
}

static int set_text(const char **to, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        return -ENOMEM;
    free((char *)*to);
    *to = copy;
    return 0;
}

static int set_etag(struct object_about *about, const char *text)
{
    return copy_bounded(about->etag, sizeof(about->etag), text);
}

/* The usual tier has no name here. */
static void set_tier(struct object_about *about, const char *text)
{
    if (strcmp(text, "STANDARD") != 0)
        snprintf(about->tier, sizeof(about->tier), "%s", text);
}

static int read_contents(struct listing_reader *r, const char *field, const char *text)
{
    struct object_about *about = &r->entry.about;

    if (strcmp(field, "Key") == 0)
        return set_text(&r->entry.name, text);
    if (strcmp(field, "Size") == 0)
        return read_number(text, UINT64_MAX, &about->size);
    if (strcmp(field, "ETag") == 0)
        return set_etag(about, text);
    if (strcmp(field, "LastModified") == 0)
        about->modified_s = s3_time(text);
    if (strcmp(field, "StorageClass") == 0)
        set_tier(about, text);
    return 0;
}

static int end_entry(struct listing_reader *r, bool is_prefix)
{
    struct s3_listing *l = r->listing;
    int status;

    if (!r->entry.name)
        return -EBADMSG;
    status = grow((void **)&l->entries, &l->cap, l->n, sizeof(l->entries[0]),
                  OBJECT_LIST_MAX);
    if (status < 0)
        return status;
    r->entry.is_prefix = is_prefix;
    l->entries[l->n++] = r->entry;
    r->entry = (struct object_entry){ .name = NULL };
    return 0;
}

static int end_listing(struct listing_reader *r, const char *field, const char *text)
{
    if (strcmp(field, "IsTruncated") == 0)
        r->is_truncated = strcmp(text, "true") == 0;
    if (strcmp(field, "EncodingType") == 0)
        r->is_encoded = strcmp(text, "url") == 0;
    if (strcmp(field, "NextContinuationToken") == 0)
        return strlen(text) > S3_TOKEN_MAX
                   ? -E2BIG
                   : set_text((const char **)&r->listing->next, text);
    return 0;
}

static const char *field_of(const char *path, const char *begin)
{
    size_t len = strlen(begin);

    return strncmp(path, begin, len) == 0 && path[len] == '/' ? path + len + 1 : NULL;
}

static int on_listing(void *arg, enum xml_event event, const char *path,
                      const char *text)
{
    struct listing_reader *r = arg;
    const char *field = field_of(path, "ListBucketResult/Contents");

    if (event == XML_BEGIN)
        return 0;
    if (field)
        return read_contents(r, field, text);
    if (strcmp(path, "ListBucketResult/Contents") == 0)
        return end_entry(r, false);
    if (strcmp(path, "ListBucketResult/CommonPrefixes/Prefix") == 0)
        return set_text(&r->entry.name, text);
    if (strcmp(path, "ListBucketResult/CommonPrefixes") == 0)
        return end_entry(r, true);
    if (strcmp(path, "ListBucketResult") == 0)
        r->is_listing = true;
    field = field_of(path, "ListBucketResult");
    return field ? end_listing(r, field, text) : 0;
}

static int compare_entries(const void *left, const void *right)
{
    const struct object_entry *a = left, *b = right;

    return strcmp(a->name, b->name);
}

/* Decoded, and without what stands before every name of the store. */
static int finish_names(struct s3_listing *l, const char *prefix, bool is_encoded)
{
    size_t len = strlen(prefix);

    for (size_t i = 0; i < l->n; i++) {
        char *name = (char *)l->entries[i].name;
        int status = is_encoded ? decode_name(name) : 0;

        if (status < 0 || strncmp(name, prefix, len) != 0)
            return -EBADMSG;
        memmove(name, name + len, strlen(name + len) + 1);
    }
    if (l->n)
        qsort(l->entries, l->n, sizeof(l->entries[0]), compare_entries);
    return 0;
}

static int read_page(const char *body, size_t len, struct listing_reader *r)
{
    struct s3_listing *l = r->listing;
    int status = xml_read(body, len, on_listing, r);

    if (status < 0)
        return status;
    if (!r->is_listing || (r->is_truncated && (!l->next || !*l->next)))
        return -EBADMSG;
    if (!r->is_truncated) {
        free(l->next);
        l->next = NULL;
    }
    return finish_names(l, r->prefix, r->is_encoded);
}

int s3_read_listing(const char *body, size_t len, const char *prefix,
                    struct s3_listing *ret_listing)
{
    struct s3_listing listing = { .entries = NULL };
    struct listing_reader r = { .listing = &listing, .prefix = prefix };
    int status = read_page(body, len, &r);

    free((char *)r.entry.name);
    if (status < 0) {
        s3_listing_release(&listing);
        return status;
    }
    *ret_listing = listing;
    return 0;
}

/* ---- parts ---- */

struct parts_reader {
    struct s3_parts *parts;
    struct object_part part;
    char etag[OBJECT_TAG_MAX], checksum[64];
    bool is_parts, is_truncated;
    uint64_t next;
};

void s3_parts_release(struct s3_parts *p)
{
    free(p->parts);
    *p = (struct s3_parts){ .parts = NULL };
}

int s3_make_tag(const char *etag, const char *checksum, char ret_tag[OBJECT_TAG_MAX])
{
    char tag[OBJECT_TAG_MAX];
    int len = snprintf(tag, sizeof(tag), "%s%s%s", etag,
                       checksum && *checksum ? " " : "", checksum ? checksum : "");

    if (len < 0 || (size_t)len >= sizeof(tag))
        return -E2BIG;
    if (!*etag || strchr(etag, ' ') || (checksum && strchr(checksum, ' ')))
        return -EBADMSG;
    memcpy(ret_tag, tag, (size_t)len + 1);
    return 0;
}

static int end_part(struct parts_reader *r)
{
    struct s3_parts *p = r->parts;
    int status = s3_make_tag(r->etag, r->checksum, r->part.tag);

    if (status < 0)
        return status;
    if (!r->part.number || (p->n && p->parts[p->n - 1].number >= r->part.number))
        return -EBADMSG;
    status =
        grow((void **)&p->parts, &p->cap, p->n, sizeof(p->parts[0]), OBJECT_PARTS_MAX);
    if (status < 0)
        return status;
    p->parts[p->n++] = r->part;
    return 0;
}

static int read_part(struct parts_reader *r, const char *field, const char *text)
{
    uint64_t number;
    int status;

    if (strcmp(field, "Size") == 0)
        return read_number(text, UINT64_MAX, &r->part.size);
    if (strcmp(field, "ETag") == 0)
        return copy_bounded(r->etag, sizeof(r->etag), text);
    if (strcmp(field, "ChecksumSHA256") == 0)
        return copy_bounded(r->checksum, sizeof(r->checksum), text);
    if (strcmp(field, "PartNumber") != 0)
        return 0;
    status = read_number(text, OBJECT_PARTS_MAX, &number);
    if (status == 0)
        r->part.number = (uint32_t)number;
    return status;
}

static int on_parts(void *arg, enum xml_event event, const char *path, const char *text)
{
    struct parts_reader *r = arg;
    const char *field = field_of(path, "ListPartsResult/Part");

    if (strcmp(path, "ListPartsResult/Part") == 0 && event == XML_BEGIN) {
        r->part = (struct object_part){ .number = 0 };
        r->etag[0] = r->checksum[0] = '\0';
    }
    if (event == XML_BEGIN)
        return 0;
    if (field)
        return read_part(r, field, text);
    if (strcmp(path, "ListPartsResult/Part") == 0)
        return end_part(r);
    if (strcmp(path, "ListPartsResult") == 0)
        r->is_parts = true;
    if (strcmp(path, "ListPartsResult/IsTruncated") == 0)
        r->is_truncated = strcmp(text, "true") == 0;
    if (strcmp(path, "ListPartsResult/NextPartNumberMarker") == 0 && *text)
        return read_number(text, OBJECT_PARTS_MAX, &r->next);
    return 0;
}

int s3_read_parts(const char *body, size_t len, struct s3_parts *parts)
{
    struct parts_reader r = { .parts = parts };
    uint32_t before = parts->next;
    int status = xml_read(body, len, on_parts, &r);

    if (status < 0)
        return status;
    if (!r.is_parts || (r.is_truncated && r.next <= before))
        return -EBADMSG;
    parts->next = r.is_truncated ? (uint32_t)r.next : 0;
    return 0;
}

/* The rest is base64 of 32 bytes. */
static const char *checksum_of(const struct object_part *part)
{
    const char *blank = strchr(part->tag, ' ');

    return blank ? blank + 1 : NULL;
}

static int put_escaped(struct buffer *b, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (text[i]) {
        case '"':
            buffer_puts(b, "&quot;");
            break;
        case '&':
            buffer_puts(b, "&amp;");
            break;
        case '<':
            buffer_puts(b, "&lt;");
            break;
        case '>':
            buffer_puts(b, "&gt;");
            break;
        default:
            buffer_putc(b, text[i]);
        }
    }
    return buffer_failed(b);
}

static void put_element(struct buffer *b, const char *name, const char *text,
                        size_t len)
{
    buffer_printf(b, "<%s>", name);
    put_escaped(b, text, len);
    buffer_printf(b, "</%s>", name);
}

int s3_write_parts(struct buffer *b, const struct object_part *parts, size_t n)
{
    buffer_puts(b, "<CompleteMultipartUpload "
                   "xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < n; i++) {
        const char *checksum = checksum_of(&parts[i]);

        buffer_puts(b, "<Part>");
        put_element(b, "ETag", parts[i].tag, strcspn(parts[i].tag, " "));
        if (checksum)
            put_element(b, "ChecksumSHA256", checksum, strlen(checksum));
        buffer_printf(b, "<PartNumber>%u</PartNumber></Part>", parts[i].number);
    }
    return buffer_puts(b, "</CompleteMultipartUpload>");
}

int s3_checksum_of_parts(const struct object_part *parts, size_t n,
                         struct buffer *ret_checksum)
{
    CLEANUP(buffer_release) struct buffer all = BUFFER_INIT;
    uint8_t hash[ENCODE_SHA256];
    int status;

    for (size_t i = 0; i < n; i++) {
        const char *checksum = checksum_of(&parts[i]);

        if (!checksum)
            return -ENOENT;
        status = decode_base64(&all, checksum, strlen(checksum));
        if (status < 0)
            return status == -EINVAL ? -ENOENT : status;
        if (all.len != (i + 1) * ENCODE_SHA256)
            return -ENOENT;
    }
    encode_sha256(all.data, all.len, hash);
    status = encode_base64(ret_checksum, hash, sizeof(hash));
    return status < 0 ? status : buffer_printf(ret_checksum, "-%zu", n);
}

/* ---- one text ---- */

struct text_reader {
    const char *path;
    char *to;
    size_t size;
};

static int on_one(void *arg, enum xml_event event, const char *path, const char *text)
{
    struct text_reader *r = arg;

    if (event == XML_BEGIN || strcmp(path, r->path) != 0)
        return 0;
    return copy_bounded(r->to, r->size, text);
}

static int read_one(const char *body, size_t len, const char *path, char *to,
                    size_t size)
{
    struct text_reader r = { path, to, size };
    int status;

    *to = '\0';
    status = xml_read(body, len, on_one, &r);
    if (status < 0)
        return status;
    return *to ? 0 : -EBADMSG;
}

int s3_read_upload(const char *body, size_t len, char ret_upload[OBJECT_UPLOAD_MAX])
{
    return read_one(body, len, "InitiateMultipartUploadResult/UploadId", ret_upload,
                    OBJECT_UPLOAD_MAX);
}

int s3_read_finished(const char *body, size_t len, char ret_etag[OBJECT_TAG_MAX])
{
    return read_one(body, len, "CompleteMultipartUploadResult/ETag", ret_etag,
                    OBJECT_TAG_MAX);
}
