/* SPDX-License-Identifier: Apache-2.0 */
/* parameters - values of a run's parameters: given, defaulted, checked, substituted. */
#pragma once

#include "flow/diagnostic.h"
#include "flow/flow.h"

/* Complete what was given with defaults and check it: types, ranges, choices, unknown
 * names (with the nearest), missing required ones. ret_values has one text for each
 * f->parameters[i], NULL where it has no value; free each and the array.
 * -EINVAL with all errors in *d. A `file` parameter's value is its content. */
int parameters_resolve(const struct flow *f, const struct pair *given, size_t n_given,
                       char ***ret_values, struct diagnostics *d);
void parameters_free(const struct flow *f, char **values);

/* Replace ${{ params.x }} in a text of a list `run` or of `environment`. A parameter
 * without a value is "". The checker made sure that names exist. NULL without memory.
 */
char *parameters_substitute(const struct flow *f, char *const *values,
                            const char *text);

/* The value of this parameter in JSON, of its type. */
int parameter_write_json(const struct parameter *p, const char *value,
                         struct buffer *out);

/* MESH_PARAM_<NAME>: the upper-case name, as a variable. Appends to out. */
int parameter_variable(const char *name, struct buffer *out);
