/* SPDX-License-Identifier: Apache-2.0 */
/* secret_file - a file that only its owner can read, and is there whole or not at all.
 */
#pragma once

#include <stddef.h>

#include "base/buffer.h"
#include "base/error.h"

/* Durable when it returns; the old file stays until the new one is. Mode 0600. */
int secret_file_write(const char *dir, const char *name, const void *data, size_t len,
                      struct error *ret_error);
/* Appends, with a NUL behind it. -ENOENT; -EACCES: others may read it, or it is
 * somebody else's; -EFBIG. */
int secret_file_read(const char *dir, const char *name, size_t bytes_max,
                     struct buffer *ret, struct error *ret_error);
/* Of exactly len bytes, straight into memory of the caller's. -EBADMSG: of another. */
int secret_file_read_into(const char *dir, const char *name, void *ret, size_t len,
                          struct error *ret_error);
