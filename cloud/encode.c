/* SPDX-License-Identifier: Apache-2.0 */
#include "cloud/encode.h"

#include <assert.h>
#include <errno.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')
           || (c && strchr("-._~", c));
}

static int encode_but(struct buffer *out, const char *text, size_t len, char kept)
{
    int r = 0;

    for (size_t i = 0; i < len && r == 0; i++) {
        unsigned char c = (unsigned char)text[i];

        r = is_unreserved(c) || (kept && c == kept) ? buffer_append(out, text + i, 1)
                                                    : buffer_printf(out, "%%%02X", c);
    }
    return r;
}

int encode_query(struct buffer *out, const char *text, size_t len)
{
    return encode_but(out, text, len, 0);
}

int encode_path(struct buffer *out, const char *text, size_t len)
{
    return encode_but(out, text, len, '/');
}

void encode_hex(const uint8_t *data, size_t len, char *ret_text)
{
    sodium_bin2hex(ret_text, 2 * len + 1, data, len);
}

static int encode_variant(struct buffer *out, const void *data, size_t len, int variant)
{
    size_t size = sodium_base64_encoded_len(len, variant);
    char *room = buffer_reserve(out, size);

    if (!room)
        return buffer_failed(out);
    sodium_bin2base64(room, size, data, len, variant);
    out->len += size - 1;
    return 0;
}

int encode_base64(struct buffer *out, const void *data, size_t len)
{
    return encode_variant(out, data, len, sodium_base64_VARIANT_ORIGINAL);
}

int encode_base64url(struct buffer *out, const void *data, size_t len)
{
    return encode_variant(out, data, len, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

int decode_base64(struct buffer *out, const char *text, size_t len)
{
    size_t room = len / 4 * 3 + 3, n;
    char *to = buffer_reserve(out, room);

    if (!to)
        return buffer_failed(out);
    if (sodium_base642bin((unsigned char *)to, room, text, len, NULL, &n, NULL,
                          sodium_base64_VARIANT_ORIGINAL)
        < 0)
        return -EINVAL;
    out->len += n;
    out->data[out->len] = '\0';
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

int decode_percent(struct buffer *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bool is_code = text[i] == '%' && i + 2 < len && hex_digit(text[i + 1]) >= 0
                       && hex_digit(text[i + 2]) >= 0;

        buffer_putc(out, is_code ? (char)(hex_digit(text[i + 1]) * 16
                                          + hex_digit(text[i + 2]))
                                 : text[i]);
        i += is_code ? 2 : 0;
    }
    return buffer_failed(out);
}

void encode_sha256(const void *data, size_t len, uint8_t ret[ENCODE_SHA256])
{
    SHA256(data, len, ret);
}

void encode_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t ret[ENCODE_SHA256])
{
    unsigned int n = ENCODE_SHA256;
    const unsigned char *done =
        HMAC(EVP_sha256(), key, (int)key_len, data, len, ret, &n);

    assert(done && n == ENCODE_SHA256);
    (void)done;
}
