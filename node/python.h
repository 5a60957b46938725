/* SPDX-License-Identifier: Apache-2.0 */
/* python - what the process of a Python step is told; docs/python-steps.md. */
#pragma once

#include "node/launch.h"

/* The first python3, or in the same folder python, along PATH. NULL: there is none. The
 * caller frees. */
char *python_find(const char *path);

/* Where the package lies: beside the program, or where it was installed. NULL without
 * memory; the caller frees. */
char *python_folder(const char *program_dir);

/* Its arguments: NULL-terminated, and each text is theirs. */
char **python_task_argv(const char *program);
char **python_server_argv(const char *program);
void python_argv_free(char **argv);

/* Adds what the package needs to the variables of a step that is a function. */
int python_set_variables(const struct run_context *c, const struct step *step,
                         struct variables *v);
