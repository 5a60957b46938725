/* SPDX-License-Identifier: Apache-2.0 */
/* audit_log - the files of DIR/audit (mode 0700), which keep what node/audit.h writes.
 *
 *     00000000000000000001.log   entries 1 to 20417
 *     00000000000000020418.log   the newest, to which is appended
 *
 * Each has AUDIT_FILE_MAX bytes at most, and there are AUDIT_FILES_MAX: the oldest
 * goes. An entry is in the file when audit_log_add() returns, so it outlives the
 * process; a sync of audit_log_fd() makes it outlive the machine. Where the chain ended
 * is also kept by the caller, in the store: lines that are cut off the end are missed
 * there.
 *
 * Opened when the first entry comes. All functions may be called by any thread. */
#pragma once

#include "base/error.h"
#include "node/audit.h"

enum {
    AUDIT_FILE_MAX = 4 << 20,
    AUDIT_FILES_MAX = 8,
    AUDIT_FAULTS_MAX = 20, /* that a report names */
};

struct audit_log;

/* What the caller keeps: the newest entry, and the oldest that is there. */
struct audit_kept {
    struct audit_chain last;
    uint64_t first; /* its number */
};

/* NULL without memory. Opens nothing yet. `kept`: as the store has it, or all zero. */
struct audit_log *audit_log_new(const char *dir, const struct audit_kept *kept);
void audit_log_free(struct audit_log *log);
CLEANUP_POINTER(struct audit_log, audit_log_free);

/* Sets the number. A file that ends with less than is kept gets no more: another one
 * begins where the kept one ended, so that what is missing stays missed. On failure
 * (the disk is full, say) the entry is nowhere, and the next one counts it. */
int audit_log_add(struct audit_log *log, struct audit_entry *e);
/* A descriptor of the file that was last appended to, the caller's; and what to keep
 * once it is on disk. -ENOENT: there was no entry since the log is open. */
int audit_log_fd(struct audit_log *log, int *ret_fd, struct audit_kept *ret_kept);

/* That is what is kept from now on. */
void audit_log_keep(struct audit_log *log, const struct audit_kept *kept);

/* Every entry, oldest first, each borrowed, until `each` does not return 0. A fault has
 * its file's name. What is appended meanwhile is not seen. */
typedef int audit_log_each_fn(void *arg, const char *file, const struct audit_entry *e,
                              enum audit_fault fault);
int audit_log_read(struct audit_log *log, audit_log_each_fn *each, void *arg);

struct audit_report {
    uint64_t n, first; /* entries, and the number of the oldest */
    struct audit_chain last;
    uint64_t kept; /* up to this one the store knows better, if it is another */
    size_t n_faults;
    struct {
        char file[32];    /* "": of none */
        uint64_t number;  /* of the entry; 0: of none */
        const char *text; /* a constant */
    } faults[AUDIT_FAULTS_MAX];
};
/* Whether all is there, as it was written. */
int audit_log_verify(struct audit_log *log, struct audit_report *ret);
