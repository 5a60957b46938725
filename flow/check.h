/* SPDX-License-Identifier: Apache-2.0 */
/* check - from a document to a flow, noting everything that is wrong on the way.
 *
 * A mapping is read by a table of its keys. A reader takes a value and where to put it;
 * what is wrong it notes, and leaves the field as it was. Only a lack of memory ends
 * the reading early, by c->error. */
#pragma once

#include "flow/document.h"
#include "flow/flow.h"
#include "flow/names.h"

/* Where in the file a step's edges were written; NULL: not there. */
struct step_source {
    const struct value *value; /* the whole step; its key is the name */
    const struct value *next, *needs, *join, *foreach, *switches, *merge, *inputs,
        *catch;
};

struct check {
    struct flow *flow;
    struct arena *arena; /* the flow's */
    struct diagnostics *d;
    struct document doc;
    struct names parameters, custom;
    struct step_source *sources; /* one for each step */
    struct step *defaults;       /* what every step begins as */
    const char *where;           /* "step 'fit'", for messages */
    bool has_twins; /* two steps of one name: the graph is not what was meant */
    int error;
};

struct key {
    const char *name;
    void (*read)(struct check *c, const struct value *v, void *field);
    size_t offset;     /* of the field in the object */
    const char *later; /* not supported yet; what it is, for the message */
};

/* ---- notes ---- */

void complain_at(struct check *c, struct place at, const char *hint, const char *format,
                 ...) PRINTF_LIKE(4, 5);
void complain(struct check *c, const struct value *v, const char *hint,
              const char *format, ...) PRINTF_LIKE(4, 5);

struct hint {
    char text[300];
};

/* "did you mean 'x'?", with its line unless that is 0; NULL if best is. */
const char *hint_near(struct hint *h, const char *best, uint32_t line);
/* The same, among the steps and among the parameters. */
const char *hint_step(const struct check *c, struct hint *h, const char *name);
const char *hint_parameter(const struct check *c, struct hint *h, const char *name);
/* Nobody will read more: then what only serves a message costs no time. */
bool is_enough(const struct check *c);
const char *hint_format(struct hint *h, const char *format, ...) PRINTF_LIKE(2, 3);
/* "'key'", or "an item of 'key'". */
const char *value_name(const struct value *v, struct hint *h);

/* ---- reading ---- */

void read_mapping(struct check *c, const struct value *v, const struct key *keys,
                  size_t n_keys, void *object);
#define READ_MAPPING(c, v, keys, object) \
    read_mapping((c), (v), (keys), ARRAY_SIZE(keys), (object))

/* Whether what c->where names is a mapping. */
bool expect_mapping(struct check *c, const struct value *v);
/* Whether v is of this type; complains if not. */
bool expect(struct check *c, const struct value *v, enum value_type type);
bool expect_text(struct check *c, const struct value *v); /* and not empty */
bool expect_number(struct check *c, const struct value *v, double *ret);
bool expect_integer(struct check *c, const struct value *v, int64_t min, int64_t max,
                    int64_t *ret);
/* One of the words; false if none, and complains. *ret_which counts from 0. */
bool expect_word(struct check *c, const struct value *v, const char *const *words,
                 size_t n_words, size_t *ret_which);

void *check_alloc(struct check *c, size_t n, size_t size);
char *check_copy(struct check *c, const char *text, size_t len);

void read_bool(struct check *c, const struct value *v, void *field); /* bool */
void read_any(struct check *c, const struct value *v, void *field); /* char *, "" too */
void read_text(struct check *c, const struct value *v, void *field);     /* char * */
void read_texts(struct check *c, const struct value *v, void *field);    /* char ** */
void read_priority(struct check *c, const struct value *v, void *field); /* uint32_t */
void read_count(struct check *c, const struct value *v, void *field);    /* uint32_t */
void read_duration(struct check *c, const struct value *v, void *field); /* time_us */
void read_size(struct check *c, const struct value *v, void *field);     /* uint64_t */
void read_milli(struct check *c, const struct value *v,
                void *field); /* uint64_t, thousandths */
void read_tags(struct check *c, const struct value *v, void *field); /* char ** */
void read_value(struct check *c, const struct value *v,
                void *field); /* struct value * */

struct pairs { /* laid out as in struct step and struct flow */
    struct pair *all;
    size_t n;
};
/* A copy with room for more: what steps have from `defaults` is shared by them all. */
bool pairs_reserve(struct check *c, struct pairs *pairs, size_t n_more);
/* Adds a pair, or replaces the value if it is among the older ones. */
void pairs_set(struct pairs *pairs, size_t n_older, char *name, char *value);
void read_environment(struct check *c, const struct value *v, void *field);

/* A step, artifact, ... name; complains if it cannot be one. */
bool is_step_name(const char *text);
bool is_artifact_name(const char *text);
/* Below some folder: relative, without `..`; complains if not. */
bool expect_relative(struct check *c, const struct value *v);

/* ---- the parts ---- */

void check_flow(struct check *c);
void check_parameters(struct check *c, const struct value *v);
void check_defaults(struct check *c, const struct value *v);
void check_steps(struct check *c, const struct value *v);
void check_hooks(struct check *c, const struct value *on_exit);
void read_foreach(struct check *c, const struct value *v, void *field);
void read_inputs(struct check *c, const struct value *v, void *field);
void read_python(struct check *c, const struct value *v, void *field);
void read_resources(struct check *c, const struct value *v, void *field);
void read_retry(struct check *c, const struct value *v, void *field);

/* ${{ }} in a string `run`, which is an error; in a text that is substituted; in one
 * that is not. */
void check_template_shell(struct check *c, const struct value *v);
void check_template_argument(struct check *c, const struct value *v);
void check_template_environment(struct check *c, const struct value *v);
void check_template_none(struct check *c, const struct value *v);

/* Edges, scopes, start and end. Complains about all that is wrong with them. */
void check_graph(struct check *c, const struct value *start, const struct value *end);
void check_scopes(struct check *c, const uint32_t *order);
void check_ends(struct check *c, const struct value *start, const struct value *end,
                const uint32_t *order);
void check_joins(struct check *c, const uint32_t *order);
void check_inputs(struct check *c, const uint32_t *order);
/* Whether v, written in step i, is a text. */
bool expect_name(struct check *c, uint32_t i, const struct value *v);
