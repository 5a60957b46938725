/* SPDX-License-Identifier: Apache-2.0 */
/* limit - the machine's own limit: N programs, W in flight, by vfork, exec and wait and
 * nothing else. The denominator of the ratios in docs/performance.md.
 *
 *     limit N W                  N x /bin/true
 *     limit N W -- PROGRAM ARGS  N x this
 *     limit N W PROCS DIR        each child joins the group by PROCS (an open file
 * named cgroup.procs) and writes a small file into DIR
 *
 * Prints seconds. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* In the child, which shares our memory until it execs: system calls only. */
static void burden(int procs, const char *path)
{
    int fd;

    if (procs >= 0 && write(procs, "0", 1) != 1)
        _exit(126);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "result\n", 7) != 7)
        _exit(125);
}

/* A frame of its own: vfork returns twice into it, so nothing that lives on is here. */
__attribute__((noinline)) static void start(char *const *program, int procs,
                                            const char *path)
{
    if (vfork() != 0)
        return;
    if (path)
        burden(procs, path);
    execv(program[0], program);
    _exit(127);
}

int main(int argc, char **argv)
{
    static char *const nothing[] = { "/bin/true", NULL };
    bool has_program = argc > 4 && strcmp(argv[3], "--") == 0;
    bool is_burdened = argc == 5 && !has_program;
    char *const *program = has_program ? argv + 4 : nothing;
    long n, width, running = 0;
    char path[4096];
    int procs = -1;
    double began;

    if (argc != 3 && argc != 5 && !has_program) {
        fprintf(stderr, "usage: limit N W [PROCS DIR | -- PROGRAM ARGS]\n");
        return 2;
    }
    n = strtol(argv[1], NULL, 10);
    width = strtol(argv[2], NULL, 10);
    if (is_burdened && argv[3][0]
        && (procs = open(argv[3], O_WRONLY | O_CLOEXEC)) < 0) {
        perror(argv[3]);
        return 1;
    }
    began = now();
    for (long i = 0; i < n || running;) {
        if (i == n || running == width) {
            wait(NULL);
            running--;
            continue;
        }
        if (is_burdened)
            snprintf(path, sizeof(path), "%s/%ld", argv[4], i);
        start(program, procs, is_burdened ? path : NULL);
        running++;
        i++;
    }
    printf("%.4f\n", now() - began);
    return 0;
}
