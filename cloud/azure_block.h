/* SPDX-License-Identifier: Apache-2.0 */
/* azure_block - how uploads in parts are named. Pure.
 *
 * The service knows no uploads: blocks wait under the object's name until a list of
 * them makes the object. So an upload is a number of ours, in the id of each of its
 * blocks; all ids of one object must be of one length. What the object is to be is told
 * only with the list, so its type is part of the upload's name. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    AZURE_UPLOAD_ID = 16, /* hex digits */
    AZURE_BLOCK_ID = 32,  /* base64 of that and of 8 digits */
    AZURE_TYPE_MAX = 255, /* of a content type */
};

/* "ID;TYPE" */
int azure_upload_name(const char *id, const char *content_type, struct buffer *out);

/* The type is part of `name`. -EINVAL: not such a name. */
int azure_upload_read(const char *name, char ret_id[AZURE_UPLOAD_ID + 1],
                      const char **ret_content_type);

/* Printable, as a header wants it. */
bool azure_is_content_type(const char *text);

void azure_block_id(const char *upload_id, uint32_t number,
                    char ret_id[AZURE_BLOCK_ID + 1]);

/* The part's number; 0: it is not of this upload. */
uint32_t azure_block_number(const char *upload_id, const char *block_id);
