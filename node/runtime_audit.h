/* SPDX-License-Identifier: Apache-2.0 */
/* runtime_audit - the node's audit log, written on the loop.
 *
 * An entry is in its file before whoever asked is answered, and on disk a quarter of a
 * second later; then the store keeps where the chain ends. When it cannot be written
 * the node goes on, says so once in its log, and the next entry counts what is missing.
 */
#pragma once

#include "node/audit_log.h"
#include "node/runtime.h"

/* NULL without memory. On the loop; any thread may read it then. */
struct audit_log *runtime_audit_log(struct runtime *rt);
/* The time and the number are set here. */
void runtime_audit(struct runtime *rt, struct audit_entry *e);
/* Of somebody who may not be here at all: at most one a second of these is written. */
void runtime_audit_stranger(struct runtime *rt, struct audit_entry *e);
