/* SPDX-License-Identifier: Apache-2.0 */
/* flow_file - a flow file as somebody named it: read, checked, with the code beside it.
 */
#pragma once

#include "base/ids.h"
#include "flow/diagnostic.h"
#include "flow/flow.h"
#include "node/cli/cli.h"
#include "node/package.h"
#include "proto/record.h"

struct flow_file {
    char *path; /* as given */
    char
        *full_path; /* what the run's record says, so that it can be resumed anywhere */
    char *dir, *name;
    char *text;
    size_t len;
    struct flow *flow;
    struct diagnostics diagnostics;
    struct package package;
    struct record_parameter *parameters;
    size_t n_parameters;
};

void flow_file_release(struct flow_file *s);

/* Reads and checks the file. Says what is wrong, with the place; the exit code, or 0.
 * *ret has the diagnostics then too, and is to be released. */
int flow_file_read(const char *path, struct flow_file *ret);
/* As if the file at this path had this text. Takes it. */
int flow_file_read_text(const char *path, char *take_text, size_t len,
                        struct flow_file *ret);
/* Collects the package, and checks that the scripts it is to run are in it. */
int flow_file_collect(struct flow_file *s, const char *data_dir);
/* Checks these alone; says what is wrong. The exit code, or 0. */
int flow_file_check_scripts(struct flow_file *s);
/* Takes the options that the flow names: reads @FILE and `-`, refuses secrets that are
 * written out. What is wrong with a value is found when the run is submitted. */
int flow_file_parameters(struct flow_file *s, const struct options *o);
/* All of it. */
int flow_file_open(const char *path, const struct options *o, const char *data_dir,
                   struct flow_file *ret);
/* Prints what there is to say of the file to standard error. */
void flow_file_say(const struct flow_file *s, const struct diagnostics *d);
/* The flow's parameters, for --help. */
void flow_file_help(const struct options *o);

/* A value as the command line has it: itself, or what @FILE, @- or - hold. -errno with
 * the sentence. *ret_text is the caller's. */
int flow_file_value(const struct parameter *p, const char *given, char **ret_text,
                    struct error *ret_error);
int flow_file_add_parameter(struct flow_file *s, const char *name, char *take_value);
