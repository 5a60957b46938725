/* SPDX-License-Identifier: Apache-2.0 */
/* tail - the last lines of what an attempt wrote.
 *
 * A log is read from its front, because only there is known where a piece begins; so
 * this runs on a thread. What is kept meanwhile is bounded. */
#pragma once

#include "node/api/emit.h"
#include "proto/record.h"
#include "store/blobs.h"

enum { TAIL_LINES_MAX = 50, TAIL_BYTES_MAX = 16 << 10 };

/* Of both streams as they were read, without a newline at the end; "" for an empty log.
 * Lines are cut at the front when they are longer than TAIL_BYTES_MAX together. A log
 * that is damaged ends where it is. 0, -ENOMEM, or what blobs_read() said. */
int tail_read(struct blobs *b, const struct log_ref *log, size_t lines,
              struct buffer *ret_text);
/* The same as a list of texts, one for each line. */
void tail_emit(struct emit *e, const char *key, const struct buffer *text);
