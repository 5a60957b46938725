/* SPDX-License-Identifier: Apache-2.0 */
#include "node/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READ_SIZE = 16 << 10,
    ENVIRONMENT_MAX = 8 << 20, /* more than execve() takes */
    CHILDREN_MAX = 1 << 20,    /* bytes of the list */
    FLAG_EXITING = 4,          /* PF_EXITING, in field 9 of /proc/PID/stat */
};

static int open_of(pid_t pid, const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    return open(path, O_RDONLY | O_CLOEXEC);
}

int process_read(pid_t pid, struct process *ret)
{
    char text[1024], *behind;
    int fd = open_of(pid, "stat");
    unsigned flags;
    ssize_t n;

    if (fd < 0)
        return -ESRCH;
    n = read(fd, text, sizeof(text) - 1);
    close(fd);
    if (n <= 0)
        return -ESRCH;
    text[n] = '\0';
    behind = strrchr(text, ')'); /* the name may hold anything */
    if (!behind
        || sscanf(behind + 1, " %c %d %*d %d %*d %*d %u", &ret->state, &ret->parent,
                  &ret->session, &flags)
               != 4)
        return -ESRCH;
    ret->is_exiting = flags & FLAG_EXITING;
    return 0;
}

/* From the beginning to the end, or to bytes_max. */
static void read_whole(int fd, struct buffer *ret)
{
    ssize_t n = 1;

    while (n > 0 && ret->len < ret->bytes_max) {
        char *at = buffer_reserve(ret, READ_SIZE);

        n = at ? pread(fd, at, READ_SIZE, (off_t)ret->len) : 0;
        if (n > 0)
            ret->len += (size_t)n;
    }
    if (ret->data)
        ret->data[ret->len] = '\0';
}

void process_environment(pid_t pid, struct buffer *ret)
{
    int fd = open_of(pid, "environ");

    buffer_clear(ret);
    if (fd < 0)
        return;
    ret->bytes_max = ENVIRONMENT_MAX;
    read_whole(fd, ret);
    close(fd);
}

bool environment_has(const struct buffer *environment, const char *text, bool is_prefix)
{
    const char *at = environment->data, *end = at ? at + environment->len : NULL;
    size_t len = strlen(text);

    while (at < end) {
        size_t left = (size_t)(end - at), size = strnlen(at, left);

        if (size >= len && (is_prefix || size == len) && memcmp(at, text, len) == 0)
            return true;
        at += min_size(size + 1, left);
    }
    return false;
}

int process_open_children(void)
{
    char path[64];

    /* What is adopted goes to the first thread. */
    snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
    return open(path, O_RDONLY | O_CLOEXEC);
}

/* In the middle of execve() a process shows neither environment nor arguments. */
static bool is_in_exec(pid_t pid)
{
    CLEANUP(buffer_release) struct buffer arguments = { .bytes_max = ENVIRONMENT_MAX };
    int fd = open_of(pid, "cmdline");

    if (fd < 0)
        return false;
    read_whole(fd, &arguments);
    close(fd);
    return arguments.len == 0;
}

/* Whether it is the task's, or may be: one that is just giving its children to us, or
 * that shows nothing of itself at this moment. */
static bool is_left(pid_t pid, pid_t session, const char *token, struct buffer *scratch,
                    bool *ret_kill)
{
    struct process p;

    if (process_read(pid, &p) < 0 || p.state == 'Z')
        return false;
    process_environment(pid, scratch);
    *ret_kill = p.session == session || environment_has(scratch, token, false);
    return *ret_kill || p.is_exiting || (scratch->len == 0 && is_in_exec(pid));
}

static size_t kill_listed(int children_fd, pid_t session, const char *token,
                          process_is_known_fn *is_known, void *arg)
{
    CLEANUP(buffer_release) struct buffer list = { .bytes_max = CHILDREN_MAX };
    CLEANUP(buffer_release) struct buffer scratch = BUFFER_INIT;
    CLEANUP(buffer_release) struct buffer entry = BUFFER_INIT;
    size_t n = 0;

    if (children_fd < 0)
        return 0;
    read_whole(children_fd, &list);
    buffer_printf(&entry, "MESH_TOKEN=%s", token);
    for (const char *at = buffer_text(&list); *at;) {
        char *end;
        pid_t pid = (pid_t)strtol(at, &end, 10);
        bool kill_it = false;

        if (end == at)
            break;
        at = end + strspn(end, " ");
        if (is_known(arg, pid)
            || !is_left(pid, session, buffer_text(&entry), &scratch, &kill_it))
            continue;
        if (kill_it)
            kill(pid, SIGKILL);
        n++;
    }
    return n;
}

/* While one child goes the list may pass over its neighbour (proc(5), children): that
 * nobody is left is believed when it was seen twice. */
size_t process_kill_orphans(int children_fd, pid_t session, const char *token,
                            process_is_known_fn *is_known, void *arg)
{
    size_t n = kill_listed(children_fd, session, token, is_known, arg);

    return n ? n : kill_listed(children_fd, session, token, is_known, arg);
}
