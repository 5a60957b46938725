/* SPDX-License-Identifier: Apache-2.0 */
/* account - under whose rights a user's tasks run.
 *
 * A node of root's gives each task the account that mesh.conf has for its user:
 *
 *     accounts: {ann: ann, ben: lab}
 *     task_account: mesh-task        whoever is not named there
 *
 * Without either it is `mesh-task`, where the machine has it, else root's own, which
 * `mesh doctor` warns of. A task never has the node's identity then: it cannot read the
 * store, the keys or the people's socket, and what it leaves is read with its rights.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"
#include "node/conf.h"

enum { ACCOUNT_GROUPS_MAX = 64 };
#define ACCOUNT_DEFAULT "mesh-task"

struct account {
    uid_t uid;
    gid_t gid;
    gid_t groups[ACCOUNT_GROUPS_MAX];
    int n_groups;
    char name[64], home[256];
};

/* Whether tasks get accounts of their own here: `c` may be NULL. */
bool accounts_are_used(const struct conf *c);
/* The account of a user's tasks. Asks the system's databases.
 * -ENOENT  the machine has no such account
 * -EPERM   it is root's, or there are accounts and the node is not root's */
int account_of(const struct conf *c, const char *user, struct account *ret,
               struct error *ret_error);
/* All that mesh.conf names, before a node starts. Likewise. */
int accounts_check(const struct conf *c, struct error *ret_error);

/* Give a folder that was just made, and what is in it, to the account; not files that
 * have other names, which are the store's. */
int account_give(const struct account *a, const char *path);
