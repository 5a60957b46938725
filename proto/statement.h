/* SPDX-License-Identifier: Apache-2.0 */
/* statement - what an executor says of an attempt, as the bytes that it signs.
 *
 * Two parts. The *result* (reason, message, choice, width) may be judged otherwise by
 * the leader: a switch that chose no case has failed, whatever its exit code was. Then
 * the record keeps the digest of the result that was signed, `said`. All else is as
 * the executor wrote it: who it is and which attempt this was, when it ran, what it
 * consumed, what it used, its outputs and its log.
 *
 *     statement  "mesh attempt 1\n" | run 16 | task id | node 16 | boot 4 | counter 8
 *                | witness? 32 | origin? 16 | started 8 | ended 8 | exit code 4
 *                | signal 4 | pid 4 | rss 8 | cpu 8 | memory peak 8 | cpu peak 8
 *                | log 1: 0 none, 1 inline, 2 blob | its size 8 | is cut 1
 *                | inline: length 4, bytes; blob: digest 32
 *                | outputs 4 | each: name, type, encoding 1, size 8, id 32,
 *                  inherited 1, its bytes if they are in the record?
 *     result     "mesh result 1\n" | reason 1 | message? | choice? | width? 8
 *
 * Numbers are big-endian, a text has its length in 4 bytes before it, and what may be
 * absent (?) is behind a byte, 1 or 0. Only a good end has a choice and a width.
 *
 * Not in it, for they are the leader's: the verdict, the number of the attempt among
 * those of its task, its fence, and which GPUs it was given.
 *
 * A record says the same before it is encoded and after it is decoded. Pure. */
#pragma once

#include "proto/record.h"

/* Append. -ENOMEM */
int attempt_statement(const struct attempt_record *r, struct buffer *out);
int attempt_result(const struct attempt_record *r, struct buffer *out);
