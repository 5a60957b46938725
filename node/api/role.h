/* SPDX-License-Identifier: Apache-2.0 */
/* role - how much somebody may do. Each role may do all that those before it may. */
#pragma once

enum role {
    ROLE_VIEWER = 1, /* look at everything */
    ROLE_SUBMITTER,  /* start runs, and end those of its own */
    ROLE_OPERATOR,   /* everything */
};

const char *role_name(enum role r); /* "viewer", ... */
/* 0: no such role. */
enum role role_parse(const char *name);
