/* SPDX-License-Identifier: Apache-2.0 */
/* running - which attempts are running, in a small mapped file.
 *
 * Written by plain stores and never synced: it survives the death of the process, not
 * of the machine, and costs the hot path a copy of 200 bytes. A node that starts reads
 * what the one before left: these tasks were lost, and their processes are orphans. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/ids.h"

struct running_entry {
    uint8_t is_used;
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    int32_t pid;
};

struct running {
    struct running_entry *entries; /* the mapping */
    uint32_t n;
};

/* Maps DIR/running for n slots. What it held before is in *ret_before (n of them; the
 * caller frees), and the file is cleared. */
int running_open(const char *dir, uint32_t n, struct running *ret,
                 struct running_entry **ret_before, uint32_t *ret_n_before,
                 struct error *ret_error);
void running_close(struct running *r);

/* Kills what tasks of an earlier node left behind: processes whose environment names
 * data_dir and holds a task's token, wherever they went. A number that was given to
 * somebody else is left alone, and so is whoever started us. */
void running_kill_orphans(const char *data_dir);
