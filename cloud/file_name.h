/* SPDX-License-Identifier: Apache-2.0 */
/* file_name - the names of objects as paths below a folder, and back. Pure.
 *
 * A name is its own path wherever it can be: people find under `data/a b+c%2F.csv` what
 * they put there. A part between slashes that could not be, or would leave the folder,
 * has a mark in front of it:
 *
 *     a//b      a/%~/b            nothing between the slashes
 *     ../x      %~../x            also `.`, and `.mesh-store`, which is the store's own
 *     %~x       %~%~x             what looks like a mark
 *     <300 x>   %+<250 x>/%~<50 x>  longer than a file's name can be
 *
 * Each name has one path, and a path that is none of a name is none of ours. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"

#define FILE_NAME_HIDDEN ".mesh-store" /* the folder of the store in its folder */

enum { FILE_NAME_PART_MAX = 255, FILE_NAME_CHUNK = 250 };

/* Appends the path of a name, without a slash in front. -EINVAL: it is empty or longer
 * than OBJECT_NAME_MAX. -ENOMEM. */
int file_name_path(const char *name, struct buffer *out);

/* What an entry of a folder says of names. */
enum file_name_part {
    FILE_NAME_WHOLE = 1, /* a part, whole */
    FILE_NAME_REST,      /* the same, or the end of one that is longer */
    FILE_NAME_BEGUN,     /* a folder with how the part goes on */
    FILE_NAME_OURS,      /* no name lies there */
};

/* *ret_text, within entry: its bytes of the name. */
enum file_name_part file_name_part(const char *entry, const char **ret_text);
