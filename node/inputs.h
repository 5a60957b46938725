/* SPDX-License-Identifier: Apache-2.0 */
/* inputs - lays out what a step's `inputs` name, at $MESH_IN. */
#pragma once

#include "node/artifacts.h"

/* Makes the folder in_path with one file or folder for each input. *ret_links are the
 * blobs that were linked, not copied: after the task their files must be as they were,
 * see blobs_is_intact(); the caller frees. On failure the text names the input. */
int inputs_lay_out(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   const char *in_path, struct digest **ret_links, size_t *ret_n_links,
                   struct error *ret_error);
