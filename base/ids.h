/* SPDX-License-Identifier: Apache-2.0 */
/* ids - the names of runs, tasks, attempts and content; their bytes and their text.
 *
 * Names are derived, not allocated: a task's id comes from its step, the index it has
 * in each enclosing foreach, and its iteration, so any node computes the same one.
 * The bytes are a wire and key format with golden tests: they compare by memcmp in the
 * order of (step, path, iteration), and a scope path is a prefix of what lies in it.
 *
 *     task id   = step varint | depth varint | index varint * depth | iteration varint
 *     varint    = one byte 0 .. 0xef: the value itself; or
 *                 0xf0 + n - 1, then the value in n = 1..8 bytes, big-endian, the
 *                 fewest that hold it
 *
 * As text a task is its indexes joined by '.', `0` at the root, and `~N` behind it from
 * iteration 1 on: `0`, `17`, `3.1`, `0~2`. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NODE_ID_SIZE = 16,
    NODE_ID_TEXT_SIZE = 2 * NODE_ID_SIZE + 1,
    RUN_ID_SIZE = 16,
    RUN_ID_TEXT_SIZE = 2 * RUN_ID_SIZE + 1, /* with the NUL */
    DIGEST_SIZE = 32,
    DIGEST_TEXT_SIZE = 2 * DIGEST_SIZE + 1,
    SCOPE_DEPTH_MAX = 16,
    VARINT_SIZE_MAX = 9,
    TASK_ID_SIZE_MAX = (SCOPE_DEPTH_MAX + 3) * VARINT_SIZE_MAX,
    TASK_TEXT_SIZE = SCOPE_DEPTH_MAX * 21 + 12,
};

/* Bytes as lower-case digits; ret_text has room for 2 * len and a NUL. Back: -EINVAL
 * when the text is anything but 2 * len of them, and ret_bytes is as it was. */
void hex_text(const uint8_t *bytes, size_t len, char *ret_text);
int hex_parse(const char *text, size_t len, uint8_t *ret_bytes);

/* 48-bit milliseconds since 1970, then 80 random bits: runs sort by age. */
struct run_id {
    uint8_t bytes[RUN_ID_SIZE];
};

/* The first bytes of the BLAKE2b-256 of a node's Ed25519 public key. All zero: none. */
struct node_id {
    uint8_t bytes[NODE_ID_SIZE];
};

/* SHA-256, or the tree id over leaf digests; see store/digest.h. */
struct digest {
    uint8_t bytes[DIGEST_SIZE];
};

struct task_id {
    uint32_t step;      /* index in flow->steps */
    uint32_t depth;     /* of the step's scope: how many foreachs enclose it */
    uint32_t iteration; /* of a switch step that returned to itself */
    uint64_t path[SCOPE_DEPTH_MAX];
};

struct run_id run_id_make(uint64_t wall_ms, const uint8_t random[10]);
void run_id_text(const struct run_id *id, char ret_text[RUN_ID_TEXT_SIZE]);
/* -EINVAL unless text is exactly 32 lower-case hexadecimal digits. */
int run_id_parse(const char *text, struct run_id *ret_id);
bool run_id_equal(const struct run_id *a, const struct run_id *b);

/* What people call a run: its number or, while it has none, the front of its id, by
 * which all verbs know it too. Returns ret. */
enum { RUN_NAME_SIZE = 21 };
const char *run_name(uint64_t number, const struct run_id *id, char ret[RUN_NAME_SIZE]);
/* The same; the id as text, which may be NULL or "" where it has a number. */
const char *run_name_of(uint64_t number, const char *id, char ret[RUN_NAME_SIZE]);

void node_id_text(const struct node_id *id, char ret_text[NODE_ID_TEXT_SIZE]);
/* -EINVAL unless text is exactly 32 lower-case hexadecimal digits. */
int node_id_parse(const char *text, struct node_id *ret_id);
bool node_id_equal(const struct node_id *a, const struct node_id *b);
int node_id_compare(const struct node_id *a, const struct node_id *b); /* memcmp */
bool node_id_is_none(const struct node_id *id);

void digest_text(const struct digest *d, char ret_text[DIGEST_TEXT_SIZE]);
int digest_parse(const char *text, struct digest *ret_digest);
bool digest_equal(const struct digest *a, const struct digest *b);

/* Writes at most VARINT_SIZE_MAX bytes, returns how many. */
size_t varint_encode(uint64_t value, uint8_t *ret_bytes);
/* Returns the bytes read, or 0 if there are too few or they are not the shortest form.
 */
size_t varint_decode(const uint8_t *bytes, size_t len, uint64_t *ret_value);

size_t task_id_encode(const struct task_id *t, uint8_t ret_bytes[TASK_ID_SIZE_MAX]);
/* Returns the bytes read, or 0 if they are not a task id. */
size_t task_id_decode(const uint8_t *bytes, size_t len, struct task_id *ret_task);

/* `3.1~2`; the step is not part of it. */
void task_id_text(const struct task_id *t, char ret_text[TASK_TEXT_SIZE]);
/* Reads what task_id_text() wrote for a step of this depth; -EINVAL. */
int task_id_parse(const char *text, uint32_t step, uint32_t depth,
                  struct task_id *ret_task);
bool task_id_equal(const struct task_id *a, const struct task_id *b);
