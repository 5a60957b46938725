/* SPDX-License-Identifier: Apache-2.0 */
/* doctor - whether this machine, this user and this store are fit for a node.
 *
 *     facts_gather()  looks: at the kernel, the data folder, the node, programs
 *     doctor_checks   judge: each makes one finding of the facts, and touches nothing
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "node/conf.h"
#include "base/buffer.h"
#include "base/error.h"
#include "base/time.h"

struct options;

enum { LEFTOVERS_LISTED = 8, VERSION_SIZE = 32, NAME_SIZE = 128 };

struct facts {
    const char *version; /* of this program */

    char kernel[NAME_SIZE]; /* release */
    unsigned kernel_major, kernel_minor;

    struct buffer groups; /* cgroups_describe() */
    bool has_tree_groups; /* cgroup v2 */
    bool has_memory_groups;

    uint64_t files_hard;    /* RLIMIT_NOFILE */
    uint64_t processes_max; /* RLIMIT_NPROC, pids.max; UINT64_MAX: none */
    uint64_t machine_cpu_milli, machine_memory_bytes;
    uint64_t group_cpu_milli, group_memory_bytes; /* of our own group; 0: no limit */

    time_us wall;
    bool has_sync_state, is_synchronised; /* of the clock */

    char *dir;    /* the data folder; NULL: there is none */
    char *probed; /* dir, or the nearest folder above it that exists */
    bool has_dir, is_writable;
    mode_t mode;
    uid_t owner, uid;
    mode_t umask;
    struct error remote;         /* place_check(): "" for a local file system */
    char file_system[NAME_SIZE]; /* "tmpfs", "overlayfs", or "" */
    size_t socket_len;
    uint64_t disk_bytes, disk_free_bytes, disk_files_free;
    uint64_t sync_us; /* median of fdatasync; 0: not measured */
    bool has_reflink;

    bool has_store, is_held; /* is_held: a node has it */
    struct error store;      /* why it cannot be opened; "" */
    char node_version[VERSION_SIZE];
    uint64_t n_blobs, store_bytes, quota_bytes;
    pid_t leftovers[LEFTOVERS_LISTED];
    size_t n_leftovers;

    struct conf *conf; /* NULL: it is wrong, which was said */

    char *python;                      /* the program; NULL: none in PATH */
    char python_version[VERSION_SIZE]; /* "": it could not be asked */
    char warm[NAME_SIZE]; /* "warm", or why not; "": it has not the package mesh */
    bool has_sh, has_bash, has_diff;
    bool has_module; /* mesh-http.so beside the program */
    char user[NAME_SIZE];
};

int facts_gather(const struct options *o, struct facts *ret);
void facts_release(struct facts *f);
/* The part about disks, programs and the user; see doctor_probe.c. */
void facts_probe_folder(struct facts *f);
void facts_probe_programs(struct facts *f);

enum health { HEALTH_OK = 1, HEALTH_WARN, HEALTH_FAIL };
const char *health_name(enum health h); /* "ok", ... */

struct finding {
    enum health health;
    struct buffer text; /* what there is */
    struct buffer todo; /* what to do about it; empty when it is OK */
};
void finding_release(struct finding *f);

struct doctor_check {
    const char *name;
    void (*judge)(const struct facts *f, struct finding *ret);
};
/* Ends with a NULL name. Pure. */
extern const struct doctor_check doctor_checks[];
