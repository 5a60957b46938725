/* SPDX-License-Identifier: Apache-2.0 */
/* folder - lays out a folder that is an artifact, blob by blob from its node. */
#pragma once

#include "node/cli/client.h"

/* The manifest is refused unless it keeps the rules of store/tree.h: its paths and
 * links stay inside. The folder must not exist or be empty. Says what is wrong; the
 * exit code. */
int folder_lay_out(struct client *c, const struct buffer *manifest, const char *dir);
