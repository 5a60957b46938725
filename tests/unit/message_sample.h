/* SPDX-License-Identifier: Apache-2.0 */
/* message_sample - a message of each type that has all that it can have, made by the
 * tables that read and write it. */
#pragma once

#include "proto/message.h"

/* All message types, in order, then 0. */
extern const enum message_type message_types[];

/* Lists have so many items. Release by sample_release(). */
struct message sample_make(enum message_type t, size_t n_items);
void sample_release(struct message *m);
