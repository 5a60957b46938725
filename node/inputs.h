/* SPDX-License-Identifier: Apache-2.0 */
/* inputs - lays out what a step's `inputs` name, at $MESH_IN. */
#pragma once

#include "node/artifacts.h"
#include "node/slot.h"

/* Makes the slot's $MESH_IN with one file or folder for each input of its task. With
 * may_link a large file is linked where it can be, and stands in slot->links then. On
 * failure the text names the input. */
int inputs_lay_out(const struct artifacts *a, struct slot *s, bool may_link,
                   struct error *ret_error);

/* The artifact that an input names, as the task sees it. -ENOENT: there is none, or it
 * is a parameter; -EINVAL: its step cannot be seen from here. */
int inputs_find(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task,
                const struct step_input *in, struct artifact *ret);

/* What would be laid out, without doing so: its id, or of a file that stays where it is
 * one that its size and mtime make. On failure the text names the input. */
struct input_identity {
    enum artifact_encoding encoding;
    struct digest id;
};
int inputs_identify(const struct artifacts *a, const struct slot *s,
                    const struct step_input *in, struct input_identity *ret,
                    struct error *ret_error);

/* -ESTALE: the task wrote to an input that other tasks share. May hash it, so not on
 * the loop. */
int inputs_check(const struct artifacts *a, const struct slot *s);

/* Takes $MESH_IN away, the links in such a way that the next check need not hash. As
 * slot_clear_path(). */
int inputs_remove(const struct artifacts *a, const struct slot *s);
