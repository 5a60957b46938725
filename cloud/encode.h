/* SPDX-License-Identifier: Apache-2.0 */
/* encode - what signatures of all services are made of. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { ENCODE_SHA256 = 32, ENCODE_SHA256_HEX = 2 * ENCODE_SHA256 + 1 };

/* All but A-Z a-z 0-9 - . _ ~ becomes %XX (RFC 3986, 2.3), in a path also not '/'. */
int encode_query(struct buffer *out, const char *text, size_t len);
int encode_path(struct buffer *out, const char *text, size_t len);

/* Lower case, with the NUL: 2 * len + 1 characters. */
void encode_hex(const uint8_t *data, size_t len, char *ret_text);

int encode_base64(struct buffer *out, const void *data, size_t len);
/* Of RFC 4648, 5: '-' and '_', no padding. */
int encode_base64url(struct buffer *out, const void *data, size_t len);
/* -EINVAL: not base64. */
int decode_base64(struct buffer *out, const char *text, size_t len);
/* A '%' that no two hex digits follow stands for itself. */
int decode_percent(struct buffer *out, const char *text, size_t len);

void encode_sha256(const void *data, size_t len, uint8_t ret[ENCODE_SHA256]);
void encode_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                        uint8_t ret[ENCODE_SHA256]);
