/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/texts.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "node/cli/terminal.h"

enum { FD_BEFORE = 3, FD_AFTER = 4, OUTPUT_MAX = 8 << 20, LOOKED_AT = 8192 };

extern char **environ;

static bool is_binary(const struct buffer *b)
{
    return b->len && memchr(b->data, '\0', min_size(b->len, LOOKED_AT));
}

/* Above the numbers that the child gets them under, so that no dup2 hits another. */
static int put_aside(const struct buffer *b)
{
    int fd = memfd_create("text", MFD_CLOEXEC), high;

    if (fd < 0)
        return -errno;
    high = fcntl(fd, F_DUPFD_CLOEXEC, FD_AFTER + 1);
    close(fd);
    if (high < 0)
        return -errno;
    if (b->len && write(high, b->data, b->len) != (ssize_t)b->len) {
        close(high);
        return -EIO;
    }
    lseek(high, 0, SEEK_SET);
    return high;
}

static int spawn_diff(const char *label_before, const char *label_after, int before,
                      int after, int output, pid_t *ret_pid)
{
    char *const args[] = { "diff",      "-u",
                           "--label",   (char *)label_before,
                           "--label",   (char *)label_after,
                           "/dev/fd/3", "/dev/fd/4",
                           NULL };
    posix_spawn_file_actions_t actions;
    int r;

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, before, FD_BEFORE);
    posix_spawn_file_actions_adddup2(&actions, after, FD_AFTER);
    r = -posix_spawnp(ret_pid, "diff", &actions, NULL, args, environ);
    posix_spawn_file_actions_destroy(&actions);
    return r;
}

static void read_all(int fd, struct buffer *out)
{
    char data[4096];
    ssize_t n;

    while ((n = read(fd, data, sizeof(data))) > 0 || (n < 0 && errno == EINTR))
        if (n > 0)
            buffer_append(out, data, (size_t)n);
}

static int run_diff(const char *label_before, const char *label_after, int before,
                    int after, struct buffer *out)
{
    int fds[2], status = 0, r;
    pid_t pid;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    r = spawn_diff(label_before, label_after, before, after, fds[1], &pid);
    close(fds[1]);
    if (r == 0) {
        read_all(fds[0], out);
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
            r = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
    }
    close(fds[0]);
    return r;
}

static void print_line(const char *line, size_t len, bool has_colour)
{
    CLEANUP(buffer_release) struct buffer text = BUFFER_INIT;
    const char *colour = len && line[0] == '-'   ? COLOUR_RED
                         : len && line[0] == '+' ? COLOUR_GREEN
                         : len && line[0] == '@' ? COLOUR_DIM
                                                 : NULL;

    terminal_escape(line, len, &text);
    if (has_colour && colour)
        printf("%s%s%s\n", colour, buffer_text(&text), COLOUR_OFF);
    else
        printf("%s\n", buffer_text(&text));
}

static void print_lines(const struct buffer *text)
{
    bool has_colour = terminal_has_colour(STDOUT_FILENO);
    const char *at = buffer_text(text), *end = at + text->len;

    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;

        print_line(at, (size_t)(stop - at), has_colour);
        at = stop + 1;
    }
}

int texts_print_diff(const char *label_before, const struct buffer *before,
                     const char *label_after, const struct buffer *after)
{
    CLEANUP(buffer_release) struct buffer out = { .bytes_max = OUTPUT_MAX };
    int left, right, r;

    if (is_binary(before) || is_binary(after)) {
        printf("%s and %s differ, and are no text\n", label_before, label_after);
        return 0;
    }
    left = put_aside(before);
    right = left < 0 ? left : put_aside(after);
    r = right < 0 ? right : run_diff(label_before, label_after, left, right, &out);
    if (left >= 0)
        close(left);
    if (right >= 0)
        close(right);
    if (r == 0)
        print_lines(&out);
    return r;
}
