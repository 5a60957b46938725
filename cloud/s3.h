/* SPDX-License-Identifier: Apache-2.0 */
/* s3 - objects in S3 and what speaks like it: MinIO, Ceph, versitygw, Cloudflare R2,
 * and Google's by HMAC keys (endpoint https://storage.googleapis.com).
 *
 * s3_open() is in object_store.h. Of its options:
 *   region         us-east-1; another that the service names is followed, once a call
 *   endpoint       AWS's of the region
 *   encryption     AES256, aws:kms, aws:kms:dsse; kms_key with the latter two
 *   storage_class  as S3 writes it: STANDARD_IA, INTELLIGENT_TIERING, ...
 *   tags           "a=1&b=2", encoded as in an address
 *
 * What is sent carries its SHA-256, twice: the signature's and the checksum that the
 * service keeps. A put or part that does not bring it is read once more, in the loop's
 * thread: bring it where bodies are large. A whole object that is read is compared with
 * the checksum that is kept; its bytes were given on by then, the status says -EBADMSG.
 *
 * The answer of a conditional put may be lost: the further try then finds its own
 * object. It is known by its checksum, and such a put succeeds. */
#pragma once

#include <stdint.h>

#include "cloud/object_store.h"

struct s3_presign {
    const char *method; /* GET, HEAD, PUT or DELETE */
    const char *name;
    uint32_t expires_s; /* 1 to 7 days; not longer than a session's key */
};

/* Once, at once or later, which the store must live to see; the address is borrowed. */
typedef void s3_presigned_fn(void *arg, int status, const char *url,
                             const struct error *error);

/* An address that lets whoever has it do this, without a key. Of the store's options
 * only where it is takes part: whoever puts, asks for encryption by headers of his
 * own. -EINVAL, -ENOMEM and no call of `presigned`. */
int s3_presign(struct object_store *s, const struct s3_presign *what,
               s3_presigned_fn *presigned, void *arg, struct error *ret_error);

/* The clock by which requests are signed: seconds since 1970. NULL: the system's. */
void s3_set_clock(struct object_store *s, int64_t (*now_s)(void *arg), void *arg);
