/* SPDX-License-Identifier: Apache-2.0 */
/* What is read: objects and ranges of them. A try that broke goes on where it did, in
 * the object that it began with. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "cloud/azure_store.h"

/* ---- what is promised of a whole object ---- */

static bool is_whole(const struct object_call *c)
{
    return c->offset == 0 && c->len >= c->about.size;
}

/* Ours have their SHA-256 with them; those of other tools an MD5, in an answer of a
 * range under another name. */
static int expect_hash(struct object_call *c, const struct http_answer *a)
{
    CLEANUP(buffer_release) struct buffer md5 = BUFFER_INIT;
    const char *text =
        http_answer_header(a, a->code == 206 ? "x-ms-blob-content-md5" : "Content-MD5");
    const EVP_MD *kind = NULL;

    c->promised_len = 0;
    if (!is_whole(c))
        return 0;
    if (c->about.sha256[0]) {
        kind = EVP_sha256();
        sodium_hex2bin(c->promised, sizeof(c->promised), c->about.sha256, 64, NULL,
                       &c->promised_len, NULL);
    } else if (text && decode_base64(&md5, text, strlen(text)) == 0 && md5.len == 16) {
        kind = EVP_md5();
        memcpy(c->promised, md5.data, 16);
        c->promised_len = 16;
    }
    if (!kind)
        return 0;
    if (!c->hash)
        c->hash = EVP_MD_CTX_new();
    return c->hash && EVP_DigestInit_ex(c->hash, kind, NULL) == 1 ? 0 : -ENOMEM;
}

static bool is_as_promised(struct object_call *c)
{
    uint8_t found[EVP_MAX_MD_SIZE];

    return c->promised_len == 0
           || (EVP_DigestFinal_ex(c->hash, found, NULL) == 1
               && memcmp(found, c->promised, c->promised_len) == 0);
}

/* ---- one try ---- */

/* Where the bytes that come begin. */
static uint64_t range_begin(const struct http_answer *a)
{
    const char *range = http_answer_header(a, "Content-Range");

    return range && strncmp(range, "bytes ", 6) == 0 ? strtoull(range + 6, NULL, 10)
                                                     : 0;
}

int azure_get_on_answer(void *arg, const struct http_answer *a)
{
    struct object_call *c = arg;
    struct object_about about;

    azure_about_read(a, &about);
    if (range_begin(a) != c->offset + c->given)
        return fail(&c->error, -EPROTO,
                    "azure get: another range came than was asked for: what answers is "
                    "not Azure Blob, perhaps a proxy");
    if (c->given > 0)
        return strcmp(about.etag, c->about.etag) == 0
                   ? 0
                   : fail(&c->error, -EBADMSG,
                          "azure get: the object was replaced while it was read");
    c->about = about;
    return expect_hash(c, a);
}

int azure_get_on_data(void *arg, uint64_t offset UNUSED, const void *data, size_t len)
{
    struct object_call *c = arg;
    uint64_t at = c->given;

    if (c->promised_len > 0 && EVP_DigestUpdate(c->hash, data, len) != 1)
        return -EIO;
    c->given += len;
    return c->on_data(c->arg, at, data, len);
}

/* ---- the end ---- */

static int check_end(struct object_call *c)
{
    uint64_t size = c->about.size, rest = size > c->offset ? size - c->offset : 0;

    if (c->given != (c->len < rest ? c->len : rest))
        return fail(&c->error, -EPIPE,
                    "azure get: %llu bytes came in place of %llu; try again",
                    (unsigned long long)c->given,
                    (unsigned long long)(c->len < rest ? c->len : rest));
    if (!is_as_promised(c))
        return fail(&c->error, -EBADMSG,
                    "azure get: the bytes are not those that were stored (%s differs): "
                    "try again, or find what alters them on the way",
                    c->promised_len == 16 ? "MD5" : "SHA-256");
    return 0;
}

static void on_empty(struct object_call *c, int status, const struct http_answer *a,
                     const struct error *error)
{
    if (status == 0) {
        azure_about_read(a, &c->about);
        if (c->about.size > 0 && c->len > 0)
            status = fail(&c->error, -ERANGE, "azure get: there is no such range");
    }
    azure_finish_done(c, status, status == -ERANGE ? &c->error : error);
}

/* An object without bytes has no range that could be asked for, and a request for none
 * has no answer but the object's properties. */
static int ask_about_empty(struct object_call *c)
{
    c->on_data = NULL;
    c->answered = on_empty;
    azure_ask(c, "HEAD");
    if (c->if_match)
        azure_header(c, "If-Match", "%s", c->if_match);
    return azure_send(c);
}

static void on_got(struct object_call *c, int status,
                   const struct http_answer *a UNUSED, const struct error *error)
{
    if (status == -ERANGE && c->offset == 0 && ask_about_empty(c) == 0)
        return;
    if (status == -EEXIST)
        status =
            fail(&c->error, -EBADMSG,
                 c->given > 0 ? "azure get: the object was replaced while it was read"
                              : "azure get: the object is another one by now");
    else if (status == 0)
        status = check_end(c);
    azure_finish_done(c, status, c->error.text[0] ? &c->error : error);
}

static int start(struct object_call *c, const struct object_get *get)
{
    c->offset = get->offset;
    c->len = get->len;
    if (get->if_match) {
        c->if_match = strdup(get->if_match);
        if (!c->if_match)
            return -ENOMEM;
    }
    if (get->len == 0)
        return ask_about_empty(c);
    c->on_data = get->on_data;
    c->answered = on_got;
    azure_ask(c, "GET");
    if (c->if_match)
        azure_header(c, "If-Match", "%s", c->if_match);
    return azure_send(c);
}

int azure_get(struct object_store *base, const struct object_get *get,
              object_done_fn *done, void *arg, struct object_call **ret_call)
{
    struct azure_store *s = CONTAINER_OF(base, struct azure_store, base);
    struct object_call *c;
    int r = azure_call_new(s, "get", get->name, &c);

    if (r < 0)
        return r;
    c->done = done;
    c->arg = arg;
    r = start(c, get);
    if (r < 0) {
        azure_call_drop(c);
        return r;
    }
    *ret_call = c;
    return 0;
}
