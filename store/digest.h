/* SPDX-License-Identifier: Apache-2.0 */
/* digest - the name of a blob, made from its content.
 *
 * Up to one leaf (STORE_CHUNK_MAX bytes): plain SHA-256. Above it:
 *
 *     SHA-256("mesh-blob" | size, 8 bytes big-endian | SHA-256 of each leaf, in order)
 *
 * and with more than 1,024 leaves the leaf digests are first hashed in groups of 1,024,
 * so that leaves hash in parallel and a part can be checked without the rest.
 *
 * A blob that itself begins with "mesh-blob" is named by the second rule even when it
 * is short. Otherwise the text that is hashed for a long blob would be a short blob of
 * the same name, and anyone who knows the long one could keep the short one in its
 * place. */
#pragma once

#include "base/error.h"
#include "base/ids.h"

/* Of bytes in memory. Never fails: OpenSSL without SHA-256 is a broken installation and
 * aborts. Any thread. */
struct digest digest_memory(const void *data, size_t len);

/* Of `size` bytes of an open file, by up to `threads` threads (the caller's included).
 * -EIO or what read() said; -ESTALE if the file is shorter or longer than size. */
int digest_file(int fd, uint64_t size, unsigned threads, struct digest *ret_digest);
/* The same of its first `size` bytes: -ESTALE only if it is shorter. */
int digest_file_begin(int fd, uint64_t size, unsigned threads,
                      struct digest *ret_digest);

/* The parts of a long blob's name, for who sends or checks it piece by piece. */
enum { DIGEST_GROUP_LEAVES = 1024 };

/* Plain SHA-256: of a leaf, or of the leaf digests of a group. */
struct digest digest_part(const void *data, size_t len);
/* The name, from the digests of all leaves, or of their groups if there are several. */
struct digest digest_top(uint64_t size, const struct digest *top, size_t n);
/* As digest_file() of more than one leaf, but the digests of the leaves, for all of
 * which ret_leaves has room. */
int digest_file_leaves(int fd, uint64_t size, unsigned threads,
                       struct digest *ret_leaves);

/* For bytes that come in pieces, in order. */
struct digest_stream;
struct digest_stream *digest_stream_new(void);
int digest_stream_add(struct digest_stream *s, const void *data, size_t len);
struct digest digest_stream_end(struct digest_stream *s);
void digest_stream_free(struct digest_stream *s);
CLEANUP_POINTER(struct digest_stream, digest_stream_free);
