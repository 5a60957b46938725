/* SPDX-License-Identifier: Apache-2.0 */
/* tty - the terminal of a live view: its size, its keys, and bytes that never wait.
 *
 * Opened anew, because O_NONBLOCK on the descriptor we were given would be everybody's
 * who shares it. What a slow terminal does not take stays here until it does. Line
 * editing and echo are off while it is ours; they are put back when it is closed, when
 * the process is stopped, and by a signal that ends the process. */
#pragma once

#include <stdbool.h>
#include <termios.h>

#include "base/buffer.h"

struct tty {
    int out, in; /* -1: no keys */
    bool is_raw, is_gone;
    const char *restore; /* is written when a signal ends the process */
    struct termios before;
    struct buffer pending;
    size_t n_written; /* of pending */
};

/* For the terminal at the other end of `out`, with the keys of `in` if that is the same
 * one. `restore` is kept. -ENOTTY, or what open() said. There is one at a time. */
int tty_open(struct tty *t, int out, int in, const char *restore);
/* Writes what is pending, but does not wait long, and puts all back. */
void tty_leave(struct tty *t);
/* Waits until it has taken all, or is gone. */
void tty_wait(struct tty *t);
/* After tty_leave(), when nobody polls the descriptors any more. */
void tty_close(struct tty *t);

/* Whether our process group is in the foreground: else it is the shell's. */
bool tty_is_ours(const struct tty *t);
/* Line editing and echo off, or as they were before. Only while it is ours. */
void tty_keys_on(struct tty *t);
void tty_keys_off(struct tty *t);
/* After SIGCONT: whose terminal it is now, and how it is set, is not known any more. */
void tty_keys_lost(struct tty *t);
/* False: it does not say. */
bool tty_size(const struct tty *t, size_t *ret_width, size_t *ret_height);

/* All that was given before has been written. */
bool tty_is_ready(const struct tty *t);
/* Appends what is in `text` and writes what can be written now. */
void tty_write(struct tty *t, const char *text, size_t len);
/* Goes on with what is pending. Sets is_gone when nobody is there any more. */
void tty_flush(struct tty *t);
/* To wait on for keys; -1 while they are another's, who may leave them unread. */
int tty_keys_fd(const struct tty *t);
/* Keys that were pressed: 0, a number of bytes, or -EIO when it is gone. */
int tty_read(struct tty *t, char *keys, size_t size);
/* Stops the process, as Ctrl-Z is meant to; returns when it goes on. */
void tty_stop(struct tty *t);
