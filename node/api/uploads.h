/* SPDX-License-Identifier: Apache-2.0 */
/* uploads - holds blobs that a client has sent, or was told are here, until a run can
 * name them.
 *
 * Between PUT /v1/blobs/ID and POST /v1/runs no record names a blob, and a gc would
 * take it. Each is pinned for UPLOAD_HOLD_S after it was last spoken of. There is no
 * timer: the next request that concerns blobs lets go of what is past its time. */
#pragma once

#include <stddef.h>

#include "base/ids.h"

enum { UPLOAD_HOLD_S = 3600, UPLOADS_MAX = 1000000 };

struct blobs;
struct uploads;

struct uploads *uploads_new(struct blobs *blobs);
void uploads_free(struct uploads *u);

/* Any thread. -ENOMEM; -ENOSPC beyond UPLOADS_MAX. */
int uploads_hold(struct uploads *u, const struct digest *id);
/* Let go of what is past its time. */
void uploads_expire(struct uploads *u);
