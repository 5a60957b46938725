/* SPDX-License-Identifier: Apache-2.0 */
/* emit - JSON, appended to a buffer as it is known.
 *
 * Answers are written once and never looked at again, so no tree is built. Bytes that
 * are not UTF-8 come out as U+FFFD each: what a task prints is not ours to trust, and
 * an answer must be JSON whatever it printed. A failure to append is remembered by the
 * buffer and checked once at the end.
 *
 * A NULL key writes the bare value, as in a list. */
#pragma once

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"

struct emit {
    struct buffer *out;
    bool needs_comma;
};

void emit_open(struct emit *e, const char *key, char bracket); /* '{' or '[' */
void emit_close(struct emit *e, char bracket);
void emit_bytes(struct emit *e, const char *key, const void *data, size_t len);
void emit_text(struct emit *e, const char *key, const char *text); /* NULL: null */
void emit_base64(struct emit *e, const char *key, const void *data, size_t len);
void emit_u64(struct emit *e, const char *key, uint64_t value);
void emit_i64(struct emit *e, const char *key, int64_t value);
void emit_bool(struct emit *e, const char *key, bool value);
void emit_null(struct emit *e, const char *key);
/* JSON that somebody else wrote and that is known to be JSON. */
void emit_raw(struct emit *e, const char *key, const char *json, size_t len);
/* RFC 3339 in UTC with microseconds; 0: null. */
void emit_time(struct emit *e, const char *key, time_us wall);
void emit_run(struct emit *e, const char *key, const struct run_id *run);
void emit_digest(struct emit *e, const char *key, const struct digest *id);
void emit_task(struct emit *e, const char *key, const struct task_id *task);

/* The length of the well-formed UTF-8 character at the front; 0: there is none. */
size_t utf8_length(const uint8_t *bytes, size_t len);
