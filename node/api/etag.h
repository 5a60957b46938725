/* SPDX-License-Identifier: Apache-2.0 */
/* etag - whether a client has what it asks for (RFC 9110, section 13.1.2). Pure. */
#pragma once

#include <stdbool.h>

/* `header` is an If-None-Match header or NULL, `etag` with its quotes. A list that ends
 * in something malformed counts as far as it is one. */
bool etag_is_among(const char *etag, const char *header);
