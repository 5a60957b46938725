/* SPDX-License-Identifier: Apache-2.0 */
/* about - what a node says of itself. */
#pragma once

#include "node/api/emit.h"
#include "node/api/request.h"

/* 0 or why the store could not be asked; then nothing was appended. On the loop. */
int about_emit(struct request *r, struct emit *e, const char *key);
