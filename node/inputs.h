/* SPDX-License-Identifier: Apache-2.0 */
/* inputs - lays out what a step's `inputs` name, at $MESH_IN. */
#pragma once

#include "node/artifacts.h"
#include "node/slot.h"

/* Makes the slot's $MESH_IN with one file or folder for each input of its task. A large
 * file is linked where it can be, and stands in slot->links then. On failure the text
 * names the input. */
int inputs_lay_out(const struct artifacts *a, struct slot *s, struct error *ret_error);

/* -ESTALE: the task wrote to an input that other tasks share. May hash it, so not on
 * the loop. */
int inputs_check(const struct artifacts *a, const struct slot *s);

/* Takes $MESH_IN away, the links in such a way that the next check need not hash. As
 * slot_clear_path(). */
int inputs_remove(const struct artifacts *a, const struct slot *s);
