/* SPDX-License-Identifier: Apache-2.0 */
/* faults - what may go wrong, by name. A seed draws its own subset of these. */
#pragma once

#include "base/buffer.h"

enum fault {
    FAULT_CRASH = 1 << 0,       /* the node ends between two events, and comes back */
    FAULT_EXIT = 1 << 1,        /* a task ends with an exit code */
    FAULT_SIGNAL = 1 << 2,      /* a task dies by a signal */
    FAULT_LOST = 1 << 3,        /* a task is gone and nobody knows why */
    FAULT_HANG = 1 << 4,        /* a task runs until its timeout */
    FAULT_STUBBORN = 1 << 5,    /* a task ignores SIGTERM */
    FAULT_REFUSED = 1 << 6,     /* no start, no memory, no output, a full store */
    FAULT_CHOICE = 1 << 7,      /* a switch names no case, a list is no list */
    FAULT_FICKLE = 1 << 8,      /* a task that runs again does something else */
    FAULT_FULL = 1 << 9,        /* the disk is full for a while */
    FAULT_TORN = 1 << 10,       /* a crash tears the record it interrupts */
    FAULT_SLOW = 1 << 11,       /* the disk takes seconds */
    FAULT_FSYNC = 1 << 12,      /* the disk fails: the node ends */
    FAULT_CANCEL = 1 << 13,     /* somebody cancels a run, or does so twice */
    FAULT_LATE = 1 << 14,       /* ticks come late */
    FAULT_STRAY = 1 << 15,      /* events that fit nothing */
    FAULT_REMEMBERED = 1 << 16, /* a restart finds what ran, and tells it is lost */
    FAULT_REBOOT = 1 << 17,     /* a crash sets the monotonic clock back */
    FAULT_SUSPEND = 1 << 18,    /* somebody suspends a run, and later lets it go on */
    FAULTS_ALL = (1 << 19) - 1,
};

/* "crash,exit"; "all"; "none". -EINVAL. */
int faults_parse(const char *text, unsigned *ret_faults);
/* Append the names, separated by commas. */
int faults_text(unsigned faults, struct buffer *out);
