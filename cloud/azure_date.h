/* SPDX-License-Identifier: Apache-2.0 */
/* azure_date - times as Azure's headers and signatures write them. Pure. */
#pragma once

#include <stdint.h>

enum { AZURE_DATE = 30, AZURE_ISO = 21 }; /* with the NUL */

/* RFC 9110, 5.6.7: "Fri, 26 Jun 2015 23:39:12 GMT". A year beyond 9999 is written as
 * the last second of it. */
void azure_date_write(int64_t seconds, char ret_text[AZURE_DATE]);
/* -EINVAL: not such a date. */
int azure_date_read(const char *text, int64_t *ret_seconds);

/* ISO 8601 in UTC: "2015-06-26T23:39:12Z". */
void azure_iso_write(int64_t seconds, char ret_text[AZURE_ISO]);
/* Also without seconds, with a fraction of them, or of a day alone, which begins. */
int azure_iso_read(const char *text, int64_t *ret_seconds);
