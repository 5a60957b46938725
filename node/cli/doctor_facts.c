/* SPDX-License-Identifier: Apache-2.0 */
/* Looks at the machine and at who holds the store. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/version.h"
#include "node/cgroup.h"
#include "node/cli/client.h"
#include "node/cli/conf_file.h"
#include "node/cli/doctor.h"
#include "node/cli/order.h"
#include "node/process.h"
#include "store/place.h"

enum { TEXT_MAX = 1 << 20 };

static const char socket_name[] = "mesh.sock";

void facts_release(struct facts *f)
{
    buffer_release(&f->groups);
    free(f->dir);
    free(f->probed);
    free(f->python);
    conf_unref(f->conf);
    *f = (struct facts){ .dir = NULL };
}

/* ---- the kernel ---- */

static void look_at_kernel(struct facts *f)
{
    struct utsname name;

    if (uname(&name) < 0)
        return;
    snprintf(f->kernel, sizeof(f->kernel), "%s", name.release);
    sscanf(name.release, "%u.%u", &f->kernel_major, &f->kernel_minor);
}

/* As a node would find them; what is made for it goes again. */
static void look_at_groups(struct facts *f)
{
    struct cgroups groups;
    char name[32];

    snprintf(name, sizeof(name), "doctor-%d", (int)getpid());
    cgroups_open(&groups, name);
    cgroups_describe(&groups, &f->groups);
    f->has_tree_groups = groups.v2 != NULL;
    f->has_memory_groups = groups.v2_has_memory || groups.v1_memory;
    cgroups_close(&groups);
}

/* ---- limits ---- */

static char *read_text(const char *path)
{
    CLEANUP(buffer_release) struct buffer text = { .bytes_max = TEXT_MAX };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char data[4096];
    ssize_t n;

    if (fd < 0)
        return NULL;
    while ((n = read(fd, data, sizeof(data))) > 0)
        buffer_append(&text, data, (size_t)n);
    close(fd);
    buffer_puts(&text, "");
    return buffer_take(&text);
}

/* A file of our own group, in v2 or in the v1 hierarchy of a controller. NULL: none. */
static char *read_group(const char *controller, const char *name)
{
    CLEANUP(freep) char *mountinfo = read_text("/proc/self/mountinfo");
    CLEANUP(freep) char *groups = read_text("/proc/self/cgroup");
    CLEANUP(freep) char *dir = NULL;
    CLEANUP(freep) char *path = NULL;

    if (mountinfo && groups)
        dir = cgroup_own_folder(mountinfo, groups, controller);
    if (!dir || asprintf(&path, "%s/%s", dir, name) < 0)
        return NULL;
    return read_text(path);
}

/* "max" and what cannot be read are no limit: `none`. */
static uint64_t group_limit(const char *v2_name, const char *controller,
                            const char *v1_name, uint64_t none)
{
    CLEANUP(freep) char *v2 = read_group(NULL, v2_name);
    CLEANUP(freep) char *v1 = v2 ? NULL : read_group(controller, v1_name);
    const char *text = v2 ? v2 : v1;
    char *end;
    uint64_t value = text ? strtoull(text, &end, 10) : 0;

    return text && end != text ? value : none;
}

/* v2: "QUOTA PERIOD" or "max PERIOD"; v1: a file for each, and -1. */
static uint64_t group_cpu_milli(void)
{
    CLEANUP(freep) char *both = read_group(NULL, "cpu.max");
    CLEANUP(freep) char *quota = both ? NULL : read_group("cpu", "cpu.cfs_quota_us");
    CLEANUP(freep) char *period = both ? NULL : read_group("cpu", "cpu.cfs_period_us");
    int64_t part = 0, whole = 0;

    if (both && sscanf(both, "%" SCNd64 " %" SCNd64, &part, &whole) != 2)
        return 0;
    if (!both && quota && period) {
        part = strtoll(quota, NULL, 10);
        whole = strtoll(period, NULL, 10);
    }
    return part > 0 && whole > 0 ? (uint64_t)part * 1000 / (uint64_t)whole : 0;
}

static void look_at_limits(struct facts *f)
{
    struct rlimit limit;
    struct sysinfo info;
    uint64_t pids = group_limit("pids.max", "pids", "pids.max", UINT64_MAX);
    cpu_set_t set;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        f->files_hard = limit.rlim_max;
    f->processes_max = UINT64_MAX;
    /* It does not bind root. */
    if (f->uid != 0 && getrlimit(RLIMIT_NPROC, &limit) == 0
        && limit.rlim_cur != RLIM_INFINITY)
        f->processes_max = limit.rlim_cur;
    if (pids < f->processes_max)
        f->processes_max = pids;
    if (sched_getaffinity(0, sizeof(set), &set) == 0)
        f->machine_cpu_milli = (uint64_t)CPU_COUNT(&set) * 1000;
    if (sysinfo(&info) == 0)
        f->machine_memory_bytes = (uint64_t)info.totalram * info.mem_unit;
    f->group_cpu_milli = group_cpu_milli();
    f->group_memory_bytes =
        group_limit("memory.max", "memory", "memory.limit_in_bytes", 0);
}

static void look_at_clock(struct facts *f)
{
    struct timex t = { .modes = 0 };
    int state = adjtimex(&t);

    f->wall = cli_now();
    f->has_sync_state = state >= 0;
    f->is_synchronised = state >= 0 && state != TIME_ERROR && !(t.status & STA_UNSYNC);
}

/* ---- the node ---- */

static void look_at_node(struct facts *f, struct client *c)
{
    CLEANUP(json_decrefp) json_t *node = NULL;
    const json_t *store;

    if (client_get_json(c, "/v1/node", &node) != 0) {
        fail(&f->store, -EIO, "the node that holds it does not answer");
        return;
    }
    store = json_object_get(node, "store");
    f->has_store = true;
    f->is_held = !json_is_true(json_object_get(node, "is_inspect"));
    snprintf(f->node_version, sizeof(f->node_version), "%s",
             json_text(node, "version"));
    f->n_blobs = json_number(store, "n_blobs");
    f->store_bytes = json_number(store, "bytes");
    f->quota_bytes = json_number(store, "quota_bytes");
}

static bool has_data(const struct facts *f)
{
    char path[PLACE_PATH_MAX];

    return f->has_dir && place_join(path, f->dir, "store/data.mdb") == 0
           && access(path, F_OK) == 0;
}

static void look_at_store(struct facts *f)
{
    CLEANUP(client_closep) struct client *c = NULL;
    int r;

    if (!has_data(f) || f->remote.text[0])
        return;
    r = client_look(f->dir, &c, &f->store);
    if (r == 0)
        look_at_node(f, c);
    else if (!f->store.text[0])
        fail(&f->store, r, "%s", strerror(-r));
}

/* Tasks carry the path of their node's socket. */
static void look_for_leftovers(struct facts *f)
{
    CLEANUP(buffer_release) struct buffer environment = BUFFER_INIT;
    CLEANUP(freep) char *full = f->has_dir ? realpath(f->dir, NULL) : NULL;
    CLEANUP(freep) char *entry = NULL;
    DIR *proc = full && !f->is_held ? opendir("/proc") : NULL;

    if (!proc)
        return;
    if (asprintf(&entry, "MESH_CHANNEL=%s/", full) < 0)
        entry = NULL;
    for (struct dirent *e; entry && (e = readdir(proc));) {
        pid_t pid = atoi(e->d_name);

        if (pid <= 0 || pid == getpid())
            continue;
        process_environment(pid, &environment);
        if (!environment_has(&environment, entry, true))
            continue;
        if (f->n_leftovers < LEFTOVERS_LISTED)
            f->leftovers[f->n_leftovers] = pid;
        f->n_leftovers++;
    }
    closedir(proc);
}

/* ---- all of it ---- */

static void look_at_dir(struct facts *f, const struct options *o)
{
    f->dir = cli_data_dir(o);
    if (!f->dir)
        return;
    f->socket_len = strlen(f->dir) + 1 + strlen(socket_name);
    facts_probe_folder(f);
}

/* ---- the configuration ---- */

static void look_at_conf(struct facts *f, const struct options *o)
{
    if (conf_file_open(o, f->dir ? f->dir : "", &f->conf) != 0)
        f->conf = NULL;
}

int facts_gather(const struct options *o, struct facts *ret)
{
    *ret = (struct facts){ .version = mesh_version(), .uid = getuid() };
    ret->umask = umask(0);
    umask(ret->umask);
    snprintf(ret->user, sizeof(ret->user), "%s", order_user());
    look_at_kernel(ret);
    look_at_groups(ret);
    look_at_limits(ret);
    look_at_clock(ret);
    look_at_dir(ret, o);
    look_at_conf(ret, o);
    look_at_store(ret);
    look_for_leftovers(ret);
    facts_probe_programs(ret);
    return buffer_failed(&ret->groups);
}
