/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api/role.h"

#include <string.h>

static const char *const names[] = {
    [ROLE_VIEWER] = "viewer",
    [ROLE_SUBMITTER] = "submitter",
    [ROLE_OPERATOR] = "operator",
};

const char *role_name(enum role r)
{
    return r >= ROLE_VIEWER && r <= ROLE_OPERATOR ? names[r] : "nobody";
}

enum role role_parse(const char *name)
{
    for (enum role r = ROLE_VIEWER; r <= ROLE_OPERATOR; r++)
        if (strcmp(name, names[r]) == 0)
            return r;
    return (enum role)0;
}
