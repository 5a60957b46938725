/* SPDX-License-Identifier: Apache-2.0 */
/* transfer_state - what an upload in parts leaves for the process after a crash. */
#pragma once

#include "base/buffer.h"
#include "cloud/object_store.h"

enum { TRANSFER_STATE_MAX = 8192 };

struct transfer_state {
    char etag[OBJECT_TAG_MAX]; /* of the source */
    uint64_t size, part_bytes;
    char upload[OBJECT_UPLOAD_MAX + 1];
};

/* Pure. -EINVAL: it is none. */
int transfer_state_format(const struct transfer_state *state, struct buffer *out);
int transfer_state_parse(const char *text, size_t len, struct transfer_state *ret);

/* These wait for the disk. -ENOENT; -EINVAL: there is something else. */
int transfer_state_read(const char *path, struct transfer_state *ret);
/* It is whole and on disk, or as it was; only its user can read it. */
int transfer_state_write(const char *path, const struct transfer_state *state);
