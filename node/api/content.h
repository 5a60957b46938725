/* SPDX-License-Identifier: Apache-2.0 */
/* content - an artifact as an answer: its bytes, with headers that say what they are.
 */
#pragma once

#include "node/api/request.h"

/* On a thread. A folder's bytes are its manifest. */
int content_reply(struct request *r, const struct artifact *a,
                  const struct task_id *maker);
