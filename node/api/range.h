/* SPDX-License-Identifier: Apache-2.0 */
/* range - which bytes a `Range` header asks for (RFC 9110, section 14). Pure. */
#pragma once

#include <stdint.h>

struct range {
    uint64_t offset, len;
};

enum { RANGE_WHOLE = 0, RANGE_PART = 1 };

/* RANGE_WHOLE  no header (NULL), or one that is to be ignored: another unit, a list of
 *              several ranges, or bad syntax
 * RANGE_PART   a part
 * -ERANGE      none of these bytes exist: 416
 * *ret_range is set in the first two cases. */
int range_parse(const char *header, uint64_t size, struct range *ret_range);
