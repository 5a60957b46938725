/* SPDX-License-Identifier: Apache-2.0 */
#include "store/fault.h"

#include <stdlib.h>
#include <string.h>

atomic_int fault_n_armed;

static atomic_int countdowns[FAULT_END];

void fault_set(enum fault fault, int countdown)
{
    int before = atomic_exchange(&countdowns[fault], countdown);

    atomic_fetch_add(&fault_n_armed, (countdown > 0) - (before > 0));
}

void fault_clear(void)
{
    for (int i = 1; i < FAULT_END; i++)
        fault_set((enum fault)i, 0);
}

bool fault_count(enum fault fault)
{
    int left = atomic_load(&countdowns[fault]);

    while (left > 0) {
        if (!atomic_compare_exchange_weak(&countdowns[fault], &left, left - 1))
            continue;
        if (left > 1)
            return false;
        atomic_fetch_sub(&fault_n_armed, 1);
        return true;
    }
    return false;
}

#ifdef MESH_FAULTS
void fault_from_environment(void)
{
    static const char *const names[FAULT_END] = {
        [FAULT_COMMIT_ENOSPC] = "commit-enospc", [FAULT_COMMIT_EIO] = "commit-eio",
        [FAULT_SYNC_EIO] = "sync-eio",           [FAULT_WRITE_SHORT] = "write-short",
        [FAULT_FILE_ENOSPC] = "file-enospc",
    };
    const char *at = getenv("MESH_FAULT");

    while (at && *at) {
        size_t len = strcspn(at, ":,");

        for (int i = 1; i < FAULT_END; i++)
            if (strlen(names[i]) == len && strncmp(at, names[i], len) == 0)
                fault_set((enum fault)i, at[len] == ':' ? atoi(at + len + 1) : 1);
        at += strcspn(at, ",");
        at += *at == ',';
    }
}
#else
void fault_from_environment(void)
{
}
#endif
