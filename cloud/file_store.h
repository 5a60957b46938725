/* SPDX-License-Identifier: Apache-2.0 */
/* file_store - a folder as an object store (object_store.h, file_name.h).
 *
 * An object is a plain file; its entity tag is made of the file's number, size and time
 * of change. What is put is written beside, in FILE_NAME_HIDDEN, and takes its place
 * when it is whole and on disk, so that nobody ever reads half of it. So do the parts
 * of an upload, each at its place in one file. Links to files are read through, links
 * to folders are not listed.
 *
 * All input and output is on libuv's threads; a folder may be another machine's. */
#pragma once

#include <uv.h>

#include "cloud/object_store.h"

/* Of the options: bucket is the folder, which is made when something is put; prefix;
 * is_relaxed. Others: -EINVAL with the sentence. */
int file_open(uv_loop_t *loop, const struct object_store_options *options,
              struct object_store **ret_store, struct error *ret_error);
