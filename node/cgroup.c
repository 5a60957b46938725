/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

enum { GROUPS_PASSED_OVER_MAX = 1000 };

enum { MOUNTINFO_MAX = 1 << 20 };

static int read_file(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;

    if (fd < 0)
        return -errno;
    while (len < size - 1 && (n = read(fd, text + len, size - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    text[len] = '\0';
    return (int)len;
}

static bool write_file(const char *dir, const char *name, const char *text)
{
    CLEANUP(freep) char *path = NULL;
    size_t len = strlen(text);
    bool ok;
    int fd;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return false;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ok = write(fd, text, len) == (ssize_t)len;
    close(fd);
    return ok;
}

static int open_in(const char *dir, const char *name, int flags)
{
    CLEANUP(freep) char *path = NULL;

    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return -1;
    return open(path, flags | O_CLOEXEC);
}

static bool has_word(const char *list, const char *word, const char *separators)
{
    CLEANUP(freep) char *copy = strdup(list);
    char *rest;

    for (char *w = copy ? strtok_r(copy, separators, &rest) : NULL; w;
         w = strtok_r(NULL, separators, &rest))
        if (strcmp(w, word) == 0)
            return true;
    return false;
}

/* One mount of /proc/self/mountinfo: `root` of its file system is seen at `point`. */
struct mount {
    char root[512], point[512];
};

/* Where a hierarchy is mounted: `controller` NULL asks for v2. */
static bool find_mount(const char *mountinfo, const char *controller, struct mount *ret)
{
    for (const char *line = mountinfo; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        CLEANUP(freep) char *text = strndup(line, len);
        char *behind = text ? strstr(text, " - ") : NULL;
        char type[32], options[512];

        line += len;
        if (!behind
            || sscanf(text, "%*s %*s %*s %511s %511s", ret->root, ret->point) != 2
            || sscanf(behind, " - %31s %*s %511s", type, options) != 2)
            continue;
        if (controller
                ? strcmp(type, "cgroup") == 0 && has_word(options, controller, ",")
                : strcmp(type, "cgroup2") == 0)
            return true;
    }
    return false;
}

/* The path behind the line of /proc/self/cgroup; its length in *ret_len. */
static const char *find_path(const char *proc_cgroup, const char *controller,
                             size_t *ret_len)
{
    for (const char *line = proc_cgroup; *line; line += *line == '\n') {
        size_t len = strcspn(line, "\n");
        CLEANUP(freep) char *text = strndup(line, len);
        char *names = text ? strchr(text, ':') : NULL;
        char *path = names ? strchr(names + 1, ':') : NULL;

        if (path)
            *path++ = '\0';
        if (path
            && (controller ? has_word(names + 1, controller, ",") : names[1] == '\0')) {
            *ret_len = strlen(path);
            return line + (path - text);
        }
        line += len;
    }
    return NULL;
}

char *cgroup_own_folder(const char *mountinfo, const char *proc_cgroup,
                        const char *controller)
{
    struct mount m;
    size_t len, root;
    const char *path = find_path(proc_cgroup, controller, &len);
    char *dir;

    if (!path || !find_mount(mountinfo, controller, &m))
        return NULL;
    /* A container without a namespace of groups sees the host's path, but only its own
     * part of the hierarchy. */
    root = strcmp(m.root, "/") == 0 ? 0 : strlen(m.root);
    if (root && (len < root || strncmp(path, m.root, root) != 0))
        return NULL;
    path += root;
    len -= root;
    if (len == 1 && *path == '/')
        len = 0;
    return asprintf(&dir, "%s%.*s", m.point, (int)len, path) < 0 ? NULL : dir;
}

/* Our own group's folder in that hierarchy. Caller frees. */
static char *own_group(const char *controller)
{
    CLEANUP(freep) char *mountinfo = malloc(MOUNTINFO_MAX);
    char text[8192];

    if (!mountinfo || read_file("/proc/self/mountinfo", mountinfo, MOUNTINFO_MAX) < 0
        || read_file("/proc/self/cgroup", text, sizeof(text)) < 0)
        return NULL;
    return cgroup_own_folder(mountinfo, text, controller);
}

/* Empties and removes a group and its children; what survives is left. */
static void remove_group(const char *dir)
{
    DIR *d = opendir(dir);

    if (!d)
        return;
    write_file(dir, "cgroup.kill", "1");
    for (struct dirent *e; (e = readdir(d));) {
        CLEANUP(freep) char *child = NULL;

        if (e->d_type != DT_DIR || e->d_name[0] == '.'
            || asprintf(&child, "%s/%s", dir, e->d_name) < 0)
            continue;
        remove_group(child);
    }
    closedir(d);
    rmdir(dir);
}

/* Of the groups in it those that are kept stay. */
static void remove_others(const char *dir, const struct cgroup_slot *const *kept,
                          size_t n_kept)
{
    DIR *d = opendir(dir);

    for (struct dirent *e; d && (e = readdir(d));) {
        CLEANUP(freep) char *child = NULL;
        bool is_kept = false;

        if (e->d_type != DT_DIR || e->d_name[0] == '.'
            || asprintf(&child, "%s/%s", dir, e->d_name) < 0)
            continue;
        for (size_t i = 0; i < n_kept && !is_kept; i++)
            is_kept = (kept[i]->v2_path && strcmp(kept[i]->v2_path, child) == 0)
                      || (kept[i]->v1_path && strcmp(kept[i]->v1_path, child) == 0);
        if (!is_kept)
            remove_group(child);
    }
    if (d)
        closedir(d);
}

static char *make_group(const char *controller, const char *name,
                        const struct cgroup_slot *const *kept, size_t n_kept)
{
    CLEANUP(freep) char *own = own_group(controller);
    CLEANUP(freep) char *dir = NULL;

    if (!own || asprintf(&dir, "%s/mesh-%s", own, name) < 0)
        return NULL;
    if (kept)
        remove_others(dir, kept, n_kept);
    else
        remove_group(dir);
    if (mkdir(dir, 0700) < 0 && errno != EEXIST)
        return NULL;
    return TAKE(dir);
}

/* Before Linux 5.14 a group cannot be killed as one: a slot would wait for ever. */
static bool can_kill(const char *dir)
{
    CLEANUP(freep) char *path = NULL;

    return asprintf(&path, "%s/cgroup.kill", dir) > 0 && access(path, W_OK) == 0;
}

void cgroups_open(struct cgroups *c, const char *name)
{
    cgroups_reopen(c, name, NULL, 0);
}

static bool has_v1_group(const struct cgroup_slot *const *kept, size_t n_kept)
{
    for (size_t i = 0; i < n_kept; i++)
        if (kept[i]->v1_path)
            return true;
    return false;
}

void cgroups_reopen(struct cgroups *c, const char *name,
                    const struct cgroup_slot *const *kept, size_t n_kept)
{
    char controllers[512];
    CLEANUP(freep) char *path = NULL;

    *c = (struct cgroups){ .v2 = make_group(NULL, name, kept, n_kept) };
    if (c->v2 && !can_kill(c->v2)) {
        remove_group(c->v2);
        free(TAKE(c->v2));
    }
    if (c->v2 && asprintf(&path, "%s/cgroup.controllers", c->v2) > 0
        && read_file(path, controllers, sizeof(controllers)) > 0
        && has_word(controllers, "memory", " \n"))
        c->v2_has_memory = write_file(c->v2, "cgroup.subtree_control", "+memory");
    c->name = strdup(name);
    if (has_v1_group(kept, n_kept)) {
        c->v1_memory = make_group("memory", name, kept, n_kept);
        c->was_v1_tried = true;
    }
}

/* Making and removing the group costs a tenth of a small run. */
static bool has_v1(struct cgroups *c)
{
    if (!c->was_v1_tried && !c->v2_has_memory && c->name)
        c->v1_memory = make_group("memory", c->name, NULL, 0);
    c->was_v1_tried = true;
    return c->v1_memory != NULL;
}

void cgroups_close(struct cgroups *c)
{
    if (c->v2)
        remove_group(c->v2);
    if (c->v1_memory)
        remove_group(c->v1_memory);
    free(c->v2);
    free(c->v1_memory);
    free(c->name);
    *c = (struct cgroups){ .v2 = NULL };
}

void cgroups_describe(struct cgroups *c, struct buffer *out)
{
    buffer_printf(out, "process trees by %s, memory by %s",
                  c->v2 ? "cgroup v2" : "sessions",
                  c->v2_has_memory ? "cgroup v2"
                  : has_v1(c)      ? "cgroup v1"
                                   : "RLIMIT_AS");
}

/* A group that an earlier node left and that is not empty yet was killed: it is passed
 * over, see cgroup_slot_renew(). */
static char *make_slot_group(const char *parent, struct cgroup_slot *s)
{
    for (int i = 0; parent && i < GROUPS_PASSED_OVER_MAX; i++, s->generation++) {
        char *dir;

        if (asprintf(&dir, "%s/slot%" PRIu32 ".%" PRIu32, parent, s->index,
                     s->generation)
            < 0)
            return NULL;
        if (mkdir(dir, 0700) == 0)
            return dir;
        free(dir);
        if (errno != EEXIST)
            break;
    }
    return NULL;
}

void cgroup_slot_close(struct cgroup_slot *s)
{
    const int fds[] = { s->v2_dir, s->v2_events, s->v1_procs, s->v1_limit, s->v1_oom };

    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (s->v2_path)
        rmdir(s->v2_path);
    if (s->v1_path)
        rmdir(s->v1_path);
    free(s->v2_path);
    free(s->v1_path);
    *s = CGROUP_SLOT_NONE;
}

static void open_v1_files(struct cgroup_slot *s)
{
    s->v1_limit = open_in(s->v1_path, "memory.limit_in_bytes", O_RDWR);
    s->v1_oom = open_in(s->v1_path, "memory.oom_control", O_RDONLY);
    s->v1_procs = open_in(s->v1_path, "cgroup.procs", O_WRONLY);
}

static void open_group(const struct cgroups *c, uint32_t index, uint32_t generation,
                       struct cgroup_slot *s)
{
    *s = CGROUP_SLOT_NONE;
    s->index = index;
    s->generation = generation;
    s->v2_path = make_slot_group(c->v2, s);
    if (!s->v2_path)
        return;
    s->v2_dir = open(s->v2_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    s->v2_events = open_in(s->v2_path, "cgroup.events", O_RDONLY);
    if (s->v2_dir < 0 || s->v2_events < 0)
        cgroup_slot_close(s); /* half a group would tell that nobody lives */
    s->index = index;
    if (!s->v2_path)
        s->generation = generation;
}

void cgroup_slot_open(const struct cgroups *c, uint32_t index, struct cgroup_slot *s)
{
    open_group(c, index, 0, s);
}

void cgroup_slot_reopen(struct cgroup_slot *s, uint32_t index)
{
    s->index = index;
    if (s->v2_path) {
        s->v2_dir = open(s->v2_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        s->v2_events = open_in(s->v2_path, "cgroup.events", O_RDONLY);
        if (s->v2_dir < 0 || s->v2_events < 0) {
            if (s->v2_dir >= 0)
                close(s->v2_dir);
            if (s->v2_events >= 0)
                close(s->v2_events);
            s->v2_dir = s->v2_events = -1;
        }
    }
    if (s->v1_path)
        open_v1_files(s);
}

void cgroup_slot_renew(const struct cgroups *c, struct cgroup_slot *s)
{
    uint32_t index = s->index, generation = s->generation + 1;

    if (!s->was_killed)
        return;
    cgroup_slot_close(s);
    open_group(c, index, generation, s);
}

static bool write_limit(int fd, uint64_t memory_max, const char *none)
{
    char text[32];
    int n = memory_max ? snprintf(text, sizeof(text), "%" PRIu64, memory_max)
                       : snprintf(text, sizeof(text), "%s", none);

    return pwrite(fd, text, (size_t)n, 0) == n;
}

/* The number behind `name` in a file of "name value" lines. */
static uint64_t read_counter(int fd, const char *name)
{
    char text[512], *at;
    ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

    if (n <= 0)
        return 0;
    text[n] = '\0';
    at = strstr(text, name);
    return at ? strtoull(at + strlen(name), NULL, 10) : 0;
}

/* The v1 group is made when the slot's first task asks for a limit. */
static bool open_v1(struct cgroups *c, struct cgroup_slot *s)
{
    if (s->v1_procs >= 0)
        return true;
    if (!has_v1(c))
        return false;
    s->v1_path = make_slot_group(c->v1_memory, s);
    if (!s->v1_path)
        return false;
    open_v1_files(s);
    if (s->v1_oom >= 0)
        s->oom_kills = read_counter(s->v1_oom, "oom_kill ");
    return s->v1_procs >= 0 && s->v1_limit >= 0;
}

bool cgroup_slot_limit(struct cgroups *c, struct cgroup_slot *s, uint64_t memory_max)
{
    bool ok;

    if (memory_max == s->memory_max)
        return true;
    if (c->v2_has_memory) {
        char text[32];

        snprintf(text, sizeof(text), "%" PRIu64, memory_max);
        ok = s->v2_path
             && write_file(s->v2_path, "memory.max", memory_max ? text : "max");
    } else {
        ok = open_v1(c, s) && write_limit(s->v1_limit, memory_max, "-1");
    }
    if (ok)
        s->memory_max = memory_max;
    return ok;
}

bool cgroup_slot_is_populated(const struct cgroup_slot *s)
{
    return s->v2_events >= 0 && read_counter(s->v2_events, "populated ") != 0;
}

void cgroup_slot_kill(struct cgroup_slot *s)
{
    s->was_killed = true;
    if (s->v2_path)
        write_file(s->v2_path, "cgroup.kill", "1");
}

bool cgroup_slot_had_oom(struct cgroup_slot *s)
{
    uint64_t kills = 0;

    if (s->v1_oom >= 0) {
        kills = read_counter(s->v1_oom, "oom_kill ");
    } else if (s->memory_max && s->v2_path) {
        int fd = open_in(s->v2_path, "memory.events", O_RDONLY);

        if (fd >= 0) {
            kills = read_counter(fd, "oom_kill ");
            close(fd);
        }
    }
    if (kills <= s->oom_kills)
        return false;
    s->oom_kills = kills;
    return true;
}
