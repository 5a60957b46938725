/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700 /* nftw() */
#include "node/account.h"

#include <errno.h>
#include <ftw.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PASSWD_BYTES = 16 << 10, WALK_FDS = 16 };

static bool is_there(const char *name)
{
    struct passwd entry, *found = NULL;
    char text[PASSWD_BYTES];

    return getpwnam_r(name, &entry, text, sizeof(text), &found) == 0 && found;
}

static bool has_any(const struct conf *c)
{
    return c && (c->n_accounts || c->task_account);
}

bool accounts_are_used(const struct conf *c)
{
    return geteuid() == 0 && (has_any(c) || is_there(ACCOUNT_DEFAULT));
}

static const char *name_for(const struct conf *c, const char *user)
{
    for (uint32_t i = 0; c && i < c->n_accounts; i++)
        if (strcmp(c->accounts[i].user, user) == 0)
            return c->accounts[i].account;
    return c && c->task_account ? c->task_account : ACCOUNT_DEFAULT;
}

static int look_up(const char *name, struct account *ret, struct error *ret_error)
{
    struct account a = { .n_groups = ACCOUNT_GROUPS_MAX };
    struct passwd entry, *found = NULL;
    char text[PASSWD_BYTES];
    int r = getpwnam_r(name, &entry, text, sizeof(text), &found);

    if (r != 0)
        return fail(ret_error, -r, "the account '%s' cannot be looked up: %s", name,
                    strerror(r));
    if (!found)
        return fail(ret_error, -ENOENT, "there is no account '%s'", name);
    if (entry.pw_uid == 0)
        return fail(ret_error, -EPERM, "tasks do not run as '%s': that is root", name);
    a.uid = entry.pw_uid;
    a.gid = entry.pw_gid;
    if (getgrouplist(name, entry.pw_gid, a.groups, &a.n_groups) < 0)
        a.n_groups = ACCOUNT_GROUPS_MAX; /* it has more: the first of them */
    snprintf(a.name, sizeof(a.name), "%s", entry.pw_name);
    snprintf(a.home, sizeof(a.home), "%s", entry.pw_dir);
    *ret = a;
    return 0;
}

int account_of(const struct conf *c, const char *user, struct account *ret,
               struct error *ret_error)
{
    return look_up(name_for(c, user), ret, ret_error);
}

int accounts_check(const struct conf *c, struct error *ret_error)
{
    struct account a;
    int r = 0;

    if (!has_any(c))
        return 0;
    if (geteuid() != 0)
        return fail(ret_error, -EPERM,
                    "mesh.conf gives tasks accounts, which takes a node of root's");
    if (c->task_account)
        r = look_up(c->task_account, &a, ret_error);
    for (uint32_t i = 0; r == 0 && i < c->n_accounts; i++)
        r = look_up(c->accounts[i].account, &a, ret_error);
    return r;
}

/* nftw() takes no argument of ours. */
static _Thread_local const struct account *giving_to;

static int give_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)type, (void)at;
    if (!S_ISDIR(st->st_mode) && st->st_nlink > 1)
        return 0;
    return lchown(path, giving_to->uid, giving_to->gid) < 0 ? -errno : 0;
}

int account_give(const struct account *a, const char *path)
{
    int r;

    giving_to = a;
    r = nftw(path, give_one, WALK_FDS, FTW_PHYS | FTW_DEPTH);
    return r == -1 ? -errno : r;
}
