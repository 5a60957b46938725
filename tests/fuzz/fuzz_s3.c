/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of S3: the first byte says what they answer, or are part of a query. What is
 * taken keeps its promises. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/s3_errors.h"
#include "cloud/s3_xml.h"
#include "cloud/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_listing(const char *body, size_t len)
{
    CLEANUP(s3_listing_release) struct s3_listing l = { .entries = NULL };

    if (s3_read_listing(body, len, "p", &l) < 0)
        return;
    assert(l.n <= OBJECT_LIST_MAX);
    for (size_t i = 1; i < l.n; i++)
        assert(strcmp(l.entries[i - 1].name, l.entries[i].name) <= 0);
}

static void read_parts(const char *body, size_t len)
{
    CLEANUP(s3_parts_release) struct s3_parts p = { .parts = NULL };
    CLEANUP(buffer_release) struct buffer b = BUFFER_INIT;

    if (s3_read_parts(body, len, &p) < 0)
        return;
    for (size_t i = 1; i < p.n; i++)
        assert(p.parts[i - 1].number < p.parts[i].number);
    s3_write_parts(&b, p.parts, p.n);
    s3_checksum_of_parts(p.parts, p.n, &b);
}

static void read_fault(const char *body, size_t len)
{
    const struct s3_asked asked = { .bucket = "b", .name = "n", .region = "r" };
    struct s3_fault f = { .http_code = 400 };
    struct error error = { "" };

    if (s3_fault_read(body, len, &f) < 0)
        return;
    assert(s3_fault_tell(&f, &asked, &error) < 0);
    for (const char *c = error.text; *c; c++)
        assert((unsigned char)*c >= ' ' && *c != 0x7f);
}

static void read_texts(const char *body, size_t len)
{
    char upload[OBJECT_UPLOAD_MAX], etag[OBJECT_TAG_MAX];

    s3_read_upload(body, len, upload);
    s3_read_finished(body, len, etag);
}

static void sign_query(const char *body, size_t len)
{
    static const struct sigv4_key key = {
        .dialect = SIGV4_AWS, .id = "i", .secret = "s", .region = "r", .service = "s3"
    };
    CLEANUP(buffer_release) struct buffer query = BUFFER_INIT;
    struct sigv4_signed s;
    char *text = strndup(body, len);
    struct sigv4_header header = { "a", text };
    struct sigv4_request r = { .method = "GET",
                               .host = "h",
                               .path = "/",
                               .query = text,
                               .headers = &header,
                               .n_headers = 1,
                               .payload = SIGV4_UNSIGNED };

    if (text && sigv4_sign(&key, &r, &s) == 0)
        sigv4_signed_release(&s);
    if (text && sigv4_presign(&key, &r, 60, &query) == 0)
        assert(strlen(query.data) == query.len);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const char *, size_t) = { read_listing, read_parts,
                                                             read_fault, read_texts,
                                                             sign_query };

    if (size)
        readers[data[0] % ARRAY_SIZE(readers)]((const char *)data + 1, size - 1);
    return 0;
}
