/* SPDX-License-Identifier: Apache-2.0 */
/* values - whether a text can be a parameter's value. */
#pragma once

#include "base/buffer.h"
#include "flow/flow.h"

/* Checks type, range and choices. *ret_value is the text the run gets, the caller's.
 * -EINVAL with the end of a sentence in problem: "must be an integer"; -ENOMEM. */
int parameter_check(const struct parameter *p, const char *text, char **ret_value,
                    struct buffer *problem);
