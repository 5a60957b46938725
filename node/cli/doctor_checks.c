/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/doctor.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "node/account.h"
#include "node/cli/terminal.h"

#define GIB ((uint64_t)1 << 30)
#define MIB ((uint64_t)1 << 20)

enum {
    FILES_ENOUGH = 10752, /* for 1,024 slots */
    FILES_LEAST = 1024,
    PROCESSES_ENOUGH = 4096,
    PROCESSES_LEAST = 128,
    SYNC_SLOW_US = 20000,
    SYNC_BAD_US = 200000,
    DISK_FILES_FEW = 10000,
    QUOTA_FULL_PERCENT = 90,
    SOCKET_LEN_MAX = 107, /* of sun_path, without its NUL */
    YEAR_2024_S = 1704067200,
    PYTHON_MINOR_MIN = 9,
};

const char *health_name(enum health h)
{
    static const char *const names[] = { "", "ok", "warn", "fail" };

    return names[h];
}

void finding_release(struct finding *f)
{
    buffer_release(&f->text);
    buffer_release(&f->todo);
}

PRINTF_LIKE(2, 3) static void say(struct finding *f, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_puts(&f->text, text);
}

PRINTF_LIKE(3, 4)
static void advise(struct finding *f, enum health health, const char *format, ...)
{
    char text[1024];
    va_list args;

    if (health > f->health)
        f->health = health;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buffer_printf(&f->todo, "%s%s", f->todo.len ? "; " : "", text);
}

static void say_bytes(struct finding *f, uint64_t bytes)
{
    terminal_bytes(bytes, &f->text);
}

/* ---- the machine ---- */

static bool is_older(const struct facts *f, unsigned major, unsigned minor)
{
    return f->kernel_major < major
           || (f->kernel_major == major && f->kernel_minor < minor);
}

static void judge_kernel(const struct facts *f, struct finding *ret)
{
    say(ret, "Linux %s", f->kernel);
    if (is_older(f, 5, 4))
        advise(ret, HEALTH_FAIL,
               "5.4 is the oldest one that can wait for a process by descriptor");
    else if (is_older(f, 5, 14))
        advise(ret, HEALTH_WARN,
               "before 5.14 a cgroup cannot be killed as one: processes that a task "
               "leaves behind are found by their environment, which is slower");
}

static void judge_groups(const struct facts *f, struct finding *ret)
{
    say(ret, "%s", buffer_text(&f->groups));
    if (!f->has_tree_groups)
        advise(ret, HEALTH_WARN,
               "let the user have a part of cgroup v2: systemd-run --user --scope "
               "-p Delegate=yes mesh …");
    if (!f->has_memory_groups)
        advise(ret, HEALTH_WARN,
               "memory: is enforced for each process and not for the tree, by "
               "RLIMIT_AS, which counts address space");
}

static void judge_memory(const struct facts *f, struct finding *ret)
{
    say_bytes(ret, f->machine_memory_bytes);
    say(ret, " of memory");
    if (f->group_memory_bytes && f->group_memory_bytes < f->machine_memory_bytes) {
        say(ret, ", of which this group may use ");
        say_bytes(ret, f->group_memory_bytes);
        advise(ret, HEALTH_WARN,
               "a node would plan with the machine's: give it --memory %" PRIu64 "M",
               f->group_memory_bytes / MIB * 9 / 10);
    }
}

static void judge_processors(const struct facts *f, struct finding *ret)
{
    say(ret, "%g", (double)f->machine_cpu_milli / 1000);
    if (f->group_cpu_milli && f->group_cpu_milli < f->machine_cpu_milli) {
        say(ret, ", of which this group may use %g", (double)f->group_cpu_milli / 1000);
        advise(ret, HEALTH_WARN, "a node would plan with all: give it --cpu %g",
               (double)f->group_cpu_milli / 1000);
    }
}

static void judge_files(const struct facts *f, struct finding *ret)
{
    say(ret, "a process may open %" PRIu64, f->files_hard);
    if (f->files_hard < FILES_LEAST)
        advise(ret, HEALTH_FAIL,
               "raise the limit: ulimit -Hn, or nofile in limits.conf");
    else if (f->files_hard < FILES_ENOUGH)
        advise(
            ret, HEALTH_WARN,
            "a slot takes ten: raise the hard limit to %d to run 1,024 tasks at once",
            FILES_ENOUGH);
}

static void judge_processes(const struct facts *f, struct finding *ret)
{
    if (f->processes_max == UINT64_MAX)
        say(ret, "no limit on how many");
    else
        say(ret, "this user may have %" PRIu64, f->processes_max);
    if (f->processes_max < PROCESSES_LEAST)
        advise(ret, HEALTH_FAIL,
               "raise the limit: ulimit -u, or pids.max of the cgroup");
    else if (f->processes_max < PROCESSES_ENOUGH)
        advise(ret, HEALTH_WARN,
               "wide flows start many: raise ulimit -u or pids.max, or use --slots");
}

static void judge_clock(const struct facts *f, struct finding *ret)
{
    if (f->wall < TIME_S(YEAR_2024_S)) {
        say(ret, "it stands before 2024");
        advise(ret, HEALTH_FAIL, "set it: runs are named and sorted by it");
    } else if (f->has_sync_state && !f->is_synchronised) {
        say(ret, "not synchronised");
        advise(ret, HEALTH_WARN,
               "times in records may be off; start chrony or systemd-timesyncd");
    } else {
        say(ret, "%s", f->has_sync_state ? "synchronised" : "plausible");
    }
}

/* ---- the data folder ---- */

static bool is_shared(const struct facts *f)
{
    return f->conf && f->conf->is_shared;
}

/* Others of the machine come through it: to the socket, or as accounts of tasks. */
static bool is_passed(const struct facts *f)
{
    return is_shared(f) || (f->uid == 0 && accounts_are_used(f->conf));
}

static void judge_folder(const struct facts *f, struct finding *ret)
{
    if (!f->dir) {
        say(ret, "there is none");
        advise(ret, HEALTH_FAIL, "give --data DIR, or set MESH_HOME");
        return;
    }
    say(ret, "%s%s", f->dir, f->has_dir ? "" : ", made by the first run");
    if (f->socket_len > SOCKET_LEN_MAX)
        advise(ret, HEALTH_FAIL,
               "the path of its sockets has %zu characters, %d are possible: choose a "
               "shorter one by --data",
               f->socket_len, SOCKET_LEN_MAX);
    if (!f->is_writable)
        advise(ret, HEALTH_FAIL, "%s cannot be written to by %s", f->probed, f->user);
    if (f->has_dir && f->owner != f->uid)
        advise(ret, HEALTH_FAIL, "it belongs to user %u: use one of your own",
               (unsigned)f->owner);
    if (f->has_dir && f->mode & (is_passed(f) ? 066 : 077))
        advise(ret, HEALTH_FAIL, "others may look into it: chmod %s %s",
               is_passed(f) ? "711" : "700", f->dir);
}

static void judge_file_system(const struct facts *f, struct finding *ret)
{
    say(ret, "local%s%s", *f->file_system ? ", " : "", f->file_system);
    if (f->remote.text[0]) {
        buffer_clear(&ret->text);
        say(ret, "a network file system");
        advise(ret, HEALTH_FAIL, "%s", f->remote.text);
    } else if (strcmp(f->file_system, "tmpfs") == 0) {
        advise(ret, HEALTH_WARN,
               "what lies there is gone after a reboot, and takes memory meanwhile");
    } else if (strcmp(f->file_system, "overlayfs") == 0) {
        advise(ret, HEALTH_WARN,
               "what lies there usually goes with its container: mount a volume");
    }
}

static void judge_space(const struct facts *f, struct finding *ret)
{
    say_bytes(ret, f->disk_free_bytes);
    say(ret, " free of ");
    say_bytes(ret, f->disk_bytes);
    if (f->disk_free_bytes < 64 * MIB)
        advise(ret, HEALTH_FAIL, "make room: mesh gc, or another disk by --data");
    else if (f->disk_free_bytes < 2 * GIB)
        advise(ret, HEALTH_WARN,
               "that is soon full: mesh gc, or --quota to stop before it is");
    /* Some file systems have no fixed number and say 0. */
    if (f->disk_files_free && f->disk_files_free < DISK_FILES_FEW)
        advise(ret, HEALTH_WARN, "only %" PRIu64 " more files fit (inodes)",
               f->disk_files_free);
}

static void judge_speed(const struct facts *f, struct finding *ret)
{
    if (f->sync_us == 0) {
        say(ret, "could not be measured");
        return;
    }
    say(ret, "4 KiB are durable after ");
    terminal_duration(f->sync_us, &ret->text);
    if (f->sync_us > SYNC_BAD_US)
        advise(ret, HEALTH_WARN, "runs will wait for this disk: choose another one");
    else if (f->sync_us > SYNC_SLOW_US)
        advise(ret, HEALTH_WARN,
               "slow: a flash disk takes about 1 ms; short flows will feel it");
}

static void judge_reflink(const struct facts *f, struct finding *ret)
{
    say(ret, "%s",
        f->has_reflink ? "large files are shared, not copied"
                       : "none here (XFS and btrfs have them): large inputs are linked "
                         "and checked afterwards, large outputs moved");
}

/* ---- the store ---- */

static void judge_store(const struct facts *f, struct finding *ret)
{
    if (f->store.text[0]) {
        say(ret, "it cannot be opened");
        advise(ret, HEALTH_FAIL, "%s", f->store.text);
        return;
    }
    if (!f->has_store) {
        say(ret, "nothing is in it yet");
        return;
    }
    say(ret, "%s, %" PRIu64 " blobs, ", f->is_held ? "held by a node" : "opens",
        f->n_blobs);
    say_bytes(ret, f->store_bytes);
    if (f->quota_bytes) {
        say(ret, " of ");
        say_bytes(ret, f->quota_bytes);
    }
    if (f->quota_bytes && f->store_bytes / QUOTA_FULL_PERCENT >= f->quota_bytes / 100)
        advise(ret, HEALTH_WARN, "its quota is nearly used up: mesh gc, or --quota");
    if (f->is_held && strcmp(f->node_version, f->version) != 0)
        advise(ret, HEALTH_WARN,
               "its node is mesh %s and this is %s: end the node and start it again",
               f->node_version, f->version);
}

static void judge_leftovers(const struct facts *f, struct finding *ret)
{
    if (f->is_held) {
        say(ret, "a node looks after them");
        return;
    }
    if (f->n_leftovers == 0) {
        say(ret, "no process of an earlier node");
        return;
    }
    say(ret, "%zu process%s of an earlier node:", f->n_leftovers,
        f->n_leftovers == 1 ? "" : "es");
    for (size_t i = 0; i < f->n_leftovers && i < LEFTOVERS_LISTED; i++)
        say(ret, " %d", f->leftovers[i]);
    advise(ret, HEALTH_WARN,
           "the next node on this store ends them; or end them yourself: kill");
}

/* ---- programs ---- */

static void judge_python(const struct facts *f, struct finding *ret)
{
    if (!f->python) {
        say(ret, "there is no python3 in PATH");
        advise(ret, HEALTH_WARN, "only steps with `python:` need it: install python3");
        return;
    }
    say(ret, "%s, %s", f->python, *f->python_version ? f->python_version : "?");
    if (strcmp(f->warm, "warm") == 0)
        say(ret, ", tasks from a process that is warm");
    else if (*f->warm)
        advise(ret, HEALTH_WARN, "each task starts an interpreter of its own: %s",
               f->warm);
    else if (*f->python_version)
        advise(ret, HEALTH_WARN,
               "it cannot import the package mesh, which lies beside the program in "
               "python/: steps with `python:` fail");
    if (!*f->python_version)
        advise(ret, HEALTH_WARN, "it did not say its version: does it work?");
    else if (strncmp(f->python_version, "3.", 2) != 0
             || atoi(f->python_version + 2) < PYTHON_MINOR_MIN)
        advise(ret, HEALTH_WARN, "steps with `python:` need 3.%d or later",
               PYTHON_MINOR_MIN);
}

static void judge_programs(const struct facts *f, struct finding *ret)
{
    if (!f->has_sh)
        advise(ret, HEALTH_FAIL, "there is no /bin/sh, which runs the steps' scripts");
    if (!f->has_module)
        advise(
            ret, HEALTH_FAIL,
            "mesh-http.so is not beside the program: no interface, no mesh artifact");
    if (!f->has_bash)
        advise(ret, HEALTH_WARN, "steps with `shell: bash` need bash");
    if (!f->has_diff)
        advise(ret, HEALTH_WARN, "mesh diff --code needs diff");
    say(ret, ret->health == HEALTH_OK ? "all that is called is there"
                                      : "something that is called is missing");
}

/* ---- who ---- */

static void judge_conf(const struct facts *f, struct finding *ret)
{
    if (!f->conf) {
        say(ret, "mesh.conf is wrong");
        advise(ret, HEALTH_FAIL, "no node starts with it: mesh config tells why");
    } else if (f->conf->path) {
        say(ret, "%s; mesh config prints it", f->conf->path);
    } else {
        say(ret, "no mesh.conf: a node gives all that the machine has");
    }
}

static void judge_trust(const struct facts *f, struct finding *ret)
{
    if (f->uid == 0 && accounts_are_used(f->conf)) {
        say(ret, "tasks run under accounts of their own: mesh config prints which");
        return;
    }
    if (f->uid == 0) {
        say(ret, "a node of root's runs tasks as root%s",
            is_shared(f) ? ", those of all users of this machine" : "");
        advise(ret, HEALTH_WARN,
               "who may submit here may do anything: make an account '" ACCOUNT_DEFAULT
               "', or name some in mesh.conf");
        return;
    }
    say(ret,
        "a node without root: all who may submit are one trust domain, that of %s; the "
        "socket is for %s",
        f->user,
        is_shared(f) ? "all users of this machine (shared_uid)" : "this user and root");
}

/* Who keeps a list of users and is not in it is refused at the own node. */
static void judge_policy(const struct facts *f, struct finding *ret)
{
    const struct policy *p = f->conf ? &f->conf->policy : NULL;
    bool is_among = p && !p->users.line;

    for (size_t i = 0; p && i < p->users.n; i++)
        is_among = is_among || strcmp(p->users.all[i], f->user) == 0;
    if (!p || !policy_is_said(p)) {
        say(ret, "flows may do here all that their tasks' account may");
        return;
    }
    say(ret, "flows are held against policy: of %s",
        f->conf->path ? f->conf->path : "mesh.conf");
    if (!is_among)
        advise(ret, HEALTH_WARN,
               "%s is not in policy.users (line %" PRIu32 "): own runs are refused",
               f->user, p->users.line);
}

static void judge_secrets(const struct facts *f, struct finding *ret)
{
    say(ret, "new files have mode %03o", (unsigned)(0666 & ~f->umask));
    if (!(f->umask & 002))
        advise(ret, HEALTH_WARN,
               "others may write what tasks make outside of the store: umask 022");
}

const struct doctor_check doctor_checks[] = {
    { "kernel", judge_kernel },
    { "cgroups", judge_groups },
    { "processors", judge_processors },
    { "memory", judge_memory },
    { "open files", judge_files },
    { "processes", judge_processes },
    { "clock", judge_clock },
    { "data folder", judge_folder },
    { "file system", judge_file_system },
    { "disk space", judge_space },
    { "disk speed", judge_speed },
    { "reflinks", judge_reflink },
    { "store", judge_store },
    { "leftovers", judge_leftovers },
    { "programs", judge_programs },
    { "python", judge_python },
    { "mesh.conf", judge_conf },
    { "trust", judge_trust },
    { "policy", judge_policy },
    { "umask", judge_secrets },
    { NULL, NULL },
};
