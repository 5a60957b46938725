/* SPDX-License-Identifier: Apache-2.0 */
/* remove - removes what a task may have left behind, however odd.
 *
 * Folders without rights are given them, links are not followed, and what is mounted
 * below is left alone: a folder of somebody else may be behind it. */
#pragma once

/* Below this the rest stays: each level takes a descriptor. */
enum { REMOVE_DEPTH_MAX = 256 };

/* Removes a file, or a folder and all below; missing is fine. Any thread. On failure
 * whatever could be removed is gone. -EXDEV: something is mounted below. */
int remove_tree(const char *path);
