/* SPDX-License-Identifier: Apache-2.0 */
/* data - what the files of `mesh data` share: the module, its loop, and objects that
 * are listed, copied and removed while the loop is turned here. */
#pragma once

#include <signal.h>
#include <uv.h>

#include "cloud/module.h"
#include "node/cli/cli.h"
#include "node/conf.h"

enum { DATA_JOBS_MAX = 512 };

struct data {
    const struct options *options;
    const struct cloud_module *m;
    uv_loop_t loop;
    struct cloud *cloud;
    struct conf *conf;
    char *dir; /* the data folder */
    uv_signal_t interrupt;
    bool is_interrupted, is_json;
};

/* Where an operand leads. */
struct data_place {
    struct store_address address;
    struct object_store *store;
    bool is_folder; /* all below the key, which is "" or ends with '/' */
    bool is_mirror; /* a folder that was named with its slash: its content alone */
};

/* 0 or the exit code; what is wrong was said. */
int data_open(const struct options *o, struct data *d);
void data_close(struct data *d);
int data_place_open(struct data *d, const char *text, struct data_place *ret);
void data_place_release(struct data *d, struct data_place *p);
/* The exit code for an errno of a store; says the sentence. */
int data_failed(int status, const char *what, const struct error *error);
/* Turns the loop once. */
void data_turn(struct data *d);

/* ---- lists, entry by entry, in their order ---- */

struct data_entry {
    char *name;
    struct object_about about;
    bool is_prefix;
};

struct data_cursor {
    struct data *d;
    struct object_store *store;
    const char *prefix; /* borrowed */
    char delimiter;
    struct data_entry *entries;
    size_t n, at;
    char *after;
    bool is_last, is_over; /* the page; the answer */
    int status;
    struct error error;
};

/* The next one, which stays until the call after; NULL: there is no more, or status. */
const struct data_entry *data_cursor_next(struct data_cursor *c);
void data_cursor_release(struct data_cursor *c);

/* ---- many copies at once ---- */

struct data_job;

struct data_copy {
    struct data *d;
    struct data_job *jobs;
    unsigned n_jobs;
    uint64_t n_files, n_failed, bytes, began_ms;
    int code; /* the exit code of the first failure */
    bool is_over, has_line;
    uv_timer_t tick;
};

struct data_pair {
    const struct data_place *from, *to;
    const char *from_name, *to_name;
    const struct object_about *about; /* NULL: it is asked */
};

void data_copy_begin(struct data_copy *c, struct data *d);
/* Waits for a place among DATA_JOBS_MAX. False: it is no use to add more. */
bool data_copy_add(struct data_copy *c, const struct data_pair *pair);
bool data_remove_add(struct data_copy *c, const struct data_place *at,
                     const char *name);
/* Waits for all that was added; the exit code. */
int data_copy_wait(struct data_copy *c);
/* Says what was done, by `verb`, and ends it. */
int data_copy_end(struct data_copy *c, const char *verb);

int data_put(struct data *d);
int data_get(struct data *d);
int data_list(struct data *d);
int data_remove(struct data *d);
int data_sync(struct data *d);
