/* SPDX-License-Identifier: Apache-2.0 */
/* place - where a store may lie, and who holds it.
 *
 * LMDB maps its file and keeps locks in shared memory. On a network file system both
 * are a lie: two machines see different bytes and the lock of one is not seen by the
 * other. Such a place is refused by name. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* What a person calls the network file system with this statfs magic, NULL if it is a
 * local one. fuse_type is the type in /proc/self/mountinfo ("fuse.sshfs"), which alone
 * tells what lies behind FUSE; NULL: not known. */
const char *place_remote_name(uint64_t magic, const char *fuse_type);

/* -EREMOTE with the way out in the text. */
int place_check(const char *dir, struct error *ret_error);

/* Make the folder and those above it, mode 0700 each; one that exists is left as it
 * is. */
int place_make(const char *dir);

/* Take the lock file; it is held until the descriptor is closed. -EBUSY: *ret_pid, if
 * not NULL, is who holds it, or 0. */
int place_lock(const char *path, int *ret_fd, int *ret_pid, struct error *ret_error);

/* path = dir/name; -ENAMETOOLONG. */
enum { PLACE_PATH_MAX = 4096 };
int place_join(char path[PLACE_PATH_MAX], const char *dir, const char *name);

/* Whose rights files are to be read with that somebody else left: paths of theirs may
 * lead anywhere, also at the very moment. For this thread, until it is told otherwise;
 * NULL: our own. The struct must stay. */
struct place_reader {
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    int n_groups;
};
void place_read_as(const struct place_reader *reader);
/* Between the two the thread has the reader's rights on files, if there is one. */
void place_reader_enter(void);
void place_reader_leave(void);
/* open() of a file to be read, with them. The descriptor, or a negative errno. */
int place_open(const char *path, int flags);

/* Open the folder and sync it. */
int place_sync_folder(const char *dir);
