/* SPDX-License-Identifier: Apache-2.0 */
/* source - a flow file as somebody named it: read, checked, with the code beside it. */
#pragma once

#include "base/ids.h"
#include "flow/diagnostic.h"
#include "flow/flow.h"
#include "node/cli/cli.h"
#include "node/package.h"
#include "proto/record.h"

struct source {
    char *path;      /* as given */
    char *full_path; /* what the run's record says, so that it can be resumed anywhere */
    char *dir, *name;
    char *text;
    size_t len;
    struct flow *flow;
    struct diagnostics diagnostics;
    struct package package;
    struct record_parameter *parameters;
    size_t n_parameters;
};

void source_release(struct source *s);

/* Reads and checks the file. Says what is wrong, with the place; the exit code, or 0. */
int source_read(const char *path, struct source *ret);
/* As if the file at this path had this text. Takes it. */
int source_read_text(const char *path, char *take_text, size_t len, struct source *ret);
/* Collects the package, and checks that the scripts it is to run are in it. */
int source_collect(struct source *s, const char *data_dir);
/* Takes the options that the flow names: reads @FILE and `-`, refuses secrets that are
 * written out. What is wrong with a value is found when the run is submitted. */
int source_parameters(struct source *s, const struct options *o);
/* All of it. */
int source_open(const char *path, const struct options *o, const char *data_dir,
                struct source *ret);
/* Prints what there is to say of the file to standard error. */
void source_say(const struct source *s, const struct diagnostics *d);
/* The flow's parameters, for --help. */
void source_help(const struct options *o);

/* A value as the command line has it: itself, or what @FILE, @- or - hold. -errno with
 * the sentence. *ret_text is the caller's. */
int source_value(const struct parameter *p, const char *given, char **ret_text,
                 struct error *ret_error);
int source_add_parameter(struct source *s, const char *name, char *take_value);
