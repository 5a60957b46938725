/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/etag.h"

#include <stddef.h>
#include <string.h>

bool etag_is_among(const char *etag, const char *header)
{
    static const char space[] = " \t,";
    size_t len = strlen(etag);

    if (!header)
        return false;
    header += strspn(header, space);
    if (strcmp(header, "*") == 0)
        return true;
    while (*header) {
        const char *end;

        if (strncmp(header, "W/", 2) == 0)
            header += 2; /* what is weakly the same is good enough to keep */
        end = *header == '"' ? strchr(header + 1, '"') : NULL;
        if (!end)
            return false;
        if ((size_t)(end + 1 - header) == len && memcmp(header, etag, len) == 0)
            return true;
        header = end + 1;
        header += strspn(header, space);
    }
    return false;
}
