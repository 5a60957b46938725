/* SPDX-License-Identifier: Apache-2.0 */
/* inputs - lays out what a step's `inputs` name, at $MESH_IN. */
#pragma once

#include "node/artifacts.h"

/* Blobs that were linked, not copied, and where: a task that writes to one writes to the
 * store. */
struct input_links {
    struct {
        struct digest id;
        char *path;
    } *all;
    size_t n;
};

/* Makes the folder in_path with one file or folder for each input. On failure the text
 * names the input; *ret_links is set either way. */
int inputs_lay_out(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *task,
                   const char *in_path, struct input_links *ret_links,
                   struct error *ret_error);

/* After the task: -ESTALE if it wrote to a linked blob, which is then out of use. The
 * links are removed and forgotten. */
int inputs_take_back(struct blobs *b, struct input_links *links);
void input_links_release(struct input_links *links);
