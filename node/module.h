/* SPDX-License-Identifier: Apache-2.0 */
/* module - a part of mesh that is loaded when it is needed, because it brings libraries
 * that would be paid for at every start. It lies beside the program, or in ../lib/mesh.
 */
#pragma once

#include "base/error.h"

/* The symbol of it; the same one each time. NULL with the sentence. */
const void *module_load(const char *file, const char *symbol, struct error *ret_error);
