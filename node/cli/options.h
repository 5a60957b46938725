/* SPDX-License-Identifier: Apache-2.0 */
/* options - from a verb's arguments to what they say.
 *
 *     --name VALUE   --name=VALUE   -o VALUE   -oVALUE   --flag   -f   --   -
 *
 * A verb has a table of what it takes. Where a flow names options of its own, every
 * other `--name VALUE` is a parameter, before or after the flow file; what the flow
 * makes of it is asked later. Texts are borrowed from argv.
 *
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "flow/flow.h"

enum { OPTIONS_MAX = 48 };

struct option_spec {
    const char *name;     /* without the dashes; NULL ends a table */
    char letter;          /* 0: none */
    const char *argument; /* what the help calls it; NULL: a flag; with ... behind it
                             the option may be given again */
    const char *help;
};

struct options {
    const struct option_spec *specs;
    const char *values[OPTIONS_MAX]; /* as in specs; NULL: not given; "": a flag */
    struct option_value {
        size_t spec; /* whose */
        const char *value;
    } * more; /* of those that may be given again: all of their values */
    size_t n_more;
    const char **operands;
    size_t n_operands;
    struct pair *parameters; /* name and value, as given */
    size_t n_parameters;
};

/* args: the arguments behind the verb. -EINVAL with the sentence for the user; -ENOMEM.
 */
int options_parse(const struct option_spec *specs, bool takes_parameters, size_t n_args,
                  char *const *args, struct options *ret, struct error *ret_error);
void options_release(struct options *o);

/* NULL: not given, or the verb does not take it. */
const char *options_text(const struct options *o, const char *name);
bool options_has(const struct options *o, const char *name);
/* What counts when it was not given. Borrowed; NULL: nothing. */
void options_default(struct options *o, const char *name, const char *text);
/* The values of one that may be given again, in order: *at is 0 at first. NULL: no
 * more.
 */
const char *options_next(const struct options *o, const char *name, size_t *at);

/* Values of options, with the unit they may carry. -EINVAL with the sentence.
 * Not given: *ret is 0. */
int options_number(const struct options *o, const char *name, uint64_t max,
                   uint64_t *ret, struct error *ret_error);
/* 512M, 16G, 1T, with or without iB; bare: MiB. */
int options_bytes(const struct options *o, const char *name, uint64_t *ret,
                  struct error *ret_error);
/* 1.5 is 1500. */
int options_milli(const struct options *o, const char *name, uint64_t *ret,
                  struct error *ret_error);

/* `RUN[/STEP[/TASK]]`, cut in place into a copy that `storage` owns. */
struct task_name {
    char *storage;
    const char *run, *step, *task; /* NULL where it does not say */
};
int task_name_parse(const char *text, struct task_name *ret, struct error *ret_error);
void task_name_release(struct task_name *n);
