/* SPDX-License-Identifier: Apache-2.0 */
/* run_merge - one list of runs from those of several nodes. Pure.
 *
 * Each node gave a page, newest first: up to a limit, or as far as it looked. What lies
 * beyond where the first of them stopped cannot be shown yet, as that node may have
 * runs there. Of a run that several know the one that knows best is shown: its end
 * before all that is said of it while it goes on, that before what a node says that
 * does not know. */
#pragma once

#include "base/buffer.h"

struct json_t;

struct run_merge;
/* NULL without memory. */
struct run_merge *run_merge_new(size_t limit);
void run_merge_free(struct run_merge *m);
/* An answer of GET /v1/runs. -EBADMSG: it is none, and nothing was added. -ENOMEM */
int run_merge_add(struct run_merge *m, const char *text, size_t len);
/* The fields `runs` and `before`, without the braces around. 0 or -ENOMEM. */
int run_merge_write(struct run_merge *m, struct buffer *out);
