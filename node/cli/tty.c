/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/tty.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLOSE_WAIT_MS = 500, PENDING_MAX = 4 << 20 };

static const int crash_signals[] = {
    SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGQUIT
};

/* What a signal handler puts back: nothing else can be reached from there. */
static struct {
    volatile sig_atomic_t is_set;
    int fd;
    struct termios before;
    char restore[64];
    size_t restore_len;
} at_crash;

/* SA_RESETHAND: the signal does its own when it comes again. */
static void on_crash(int signal)
{
    if (at_crash.is_set) {
        (void)!write(at_crash.fd, at_crash.restore, at_crash.restore_len);
        tcsetattr(at_crash.fd, TCSANOW, &at_crash.before);
    }
    raise(signal);
}

static void watch_crashes(struct tty *t)
{
    struct sigaction action = { .sa_handler = on_crash,
                                .sa_flags = (int)(SA_RESETHAND | SA_NODEFER) };
    struct sigaction now;

    at_crash.fd = t->out;
    at_crash.before = t->before;
    at_crash.restore_len = (size_t)snprintf(at_crash.restore, sizeof(at_crash.restore),
                                            "%s\r\n", t->restore);
    at_crash.is_set = 1;
    /* A sanitizer's or a debugger's own handler stays. */
    for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
        if (sigaction(crash_signals[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            sigaction(crash_signals[i], &action, NULL);
}

static void unwatch_crashes(void)
{
    struct sigaction now;

    at_crash.is_set = 0;
    for (size_t i = 0; i < ARRAY_SIZE(crash_signals); i++)
        if (sigaction(crash_signals[i], NULL, &now) == 0 && now.sa_handler == on_crash)
            signal(crash_signals[i], SIG_DFL);
}

static int reopen(int fd, int how)
{
    char path[32];

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, how | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static bool is_same(int out, int in)
{
    struct stat a, b;

    return isatty(in) && fstat(out, &a) == 0 && fstat(in, &b) == 0
           && a.st_rdev == b.st_rdev;
}

int tty_open(struct tty *t, int out, int in, const char *restore)
{
    *t = (struct tty){ .out = -1, .in = -1, .restore = restore };
    if (!isatty(out))
        return -ENOTTY;
    t->out = reopen(out, O_WRONLY);
    if (t->out < 0 || tcgetattr(t->out, &t->before) < 0) {
        int error = errno;

        tty_close(t);
        return -error;
    }
    t->pending.bytes_max = PENDING_MAX;
    if (is_same(out, in))
        t->in = reopen(in, O_RDONLY);
    watch_crashes(t);
    return 0;
}

void tty_leave(struct tty *t)
{
    struct pollfd p = { .fd = t->out, .events = POLLOUT };

    for (int i = 0; i < 5 && !tty_is_ready(t) && !t->is_gone; i++) {
        poll(&p, 1, CLOSE_WAIT_MS / 5);
        tty_flush(t);
    }
    tty_keys_off(t);
    unwatch_crashes();
}

void tty_wait(struct tty *t)
{
    struct pollfd p = { .fd = t->out, .events = POLLOUT };

    while (t->out >= 0 && !t->is_gone && !tty_is_ready(t)) {
        poll(&p, 1, -1);
        tty_flush(t);
    }
}

void tty_close(struct tty *t)
{
    if (t->out >= 0)
        close(t->out);
    if (t->in >= 0)
        close(t->in);
    buffer_release(&t->pending);
    *t = (struct tty){ .out = -1, .in = -1 };
}

bool tty_is_ours(const struct tty *t)
{
    return tcgetpgrp(t->out) == getpgrp();
}

/* Signals and the treatment of output stay: Ctrl-C comes as SIGINT, as everywhere. */
void tty_keys_on(struct tty *t)
{
    struct termios raw = t->before;

    if (t->is_raw || t->in < 0 || !tty_is_ours(t))
        return;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    t->is_raw = tcsetattr(t->out, TCSANOW, &raw) == 0;
}

void tty_keys_off(struct tty *t)
{
    if (t->is_raw && tty_is_ours(t))
        tcsetattr(t->out, TCSANOW, &t->before);
    t->is_raw = false;
}

void tty_keys_lost(struct tty *t)
{
    t->is_raw = false;
    tty_keys_on(t);
}

bool tty_size(const struct tty *t, size_t *ret_width, size_t *ret_height)
{
    struct winsize size;

    if (ioctl(t->out, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
        return false;
    *ret_width = size.ws_col;
    *ret_height = size.ws_row;
    return true;
}

/* ---- bytes ---- */

bool tty_is_ready(const struct tty *t)
{
    return t->n_written == t->pending.len;
}

void tty_flush(struct tty *t)
{
    while (!t->is_gone && !tty_is_ready(t)) {
        ssize_t n = write(t->out, t->pending.data + t->n_written,
                          t->pending.len - t->n_written);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0 && errno != EINTR)
            t->is_gone = true;
        if (n > 0)
            t->n_written += (size_t)n;
    }
    buffer_clear(&t->pending);
    t->n_written = 0;
}

void tty_write(struct tty *t, const char *text, size_t len)
{
    if (!t->is_gone)
        buffer_append(&t->pending, text, len);
    tty_flush(t);
}

int tty_keys_fd(const struct tty *t)
{
    return t->is_raw ? t->in : -1;
}

int tty_read(struct tty *t, char *keys, size_t size)
{
    pid_t foreground = tcgetpgrp(t->out);
    ssize_t n = -1;

    /* In the background reading would stop the process. */
    if (!t->is_raw || (foreground >= 0 && foreground != getpgrp()))
        return 0;
    if (foreground >= 0)
        n = read(t->in, keys, size);
    if (n > 0)
        return (int)n;
    if (n < 0 && foreground >= 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    t->is_gone = true;
    return -EIO;
}

void tty_stop(struct tty *t)
{
    struct sigaction before, plain = { .sa_handler = SIG_DFL };
    sigset_t set, mask;

    tty_keys_off(t);
    sigaction(SIGTSTP, &plain, &before);
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigprocmask(SIG_UNBLOCK, &set, &mask);
    raise(SIGTSTP); /* here it stops */
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGTSTP, &before, NULL);
}
