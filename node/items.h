/* SPDX-License-Identifier: Apache-2.0 */
/* items - what a foreach runs over, and the item of one task.
 *
 * Items known from the flow file are there at once; those of an artifact are read when
 * its step is done (a JSON array, or text with one item a line) and kept for a few
 * scopes at a time, because tasks of one scope start one after the other. */
#pragma once

#include "node/artifacts.h"

enum { ITEMS_CACHED = 8, ITEMS_BYTES_MAX = 1 << 30 };

struct item_list {
    char **items; /* each compact JSON */
    uint64_t n;
};

struct items {
    struct {
        struct run_id run;
        struct task_id opener;
        struct item_list list;
        uint64_t used;
    } cached[ITEMS_CACHED];
    uint64_t clock;
};

void items_release(struct items *c);
void item_list_release(struct item_list *l);

/* Splits the bytes of an artifact into items. -EINVAL: no array; the text says why. */
int items_parse(const char *data, size_t len, struct item_list *ret,
                struct error *ret_error);

/* The artifact that the foreach of `opener`, which has ended with `outputs`, names: its
 * items. -ENOENT: no such artifact; -EINVAL. */
int items_of_ended(const struct artifacts *a, const struct flow *flow,
                   const struct run_id *run, const struct task_id *opener,
                   const struct attempt_record *ended, struct item_list *ret,
                   struct error *ret_error);
/* Keep a list for the tasks that will ask. Takes its content. */
void items_remember(struct items *c, const struct run_id *run,
                    const struct task_id *opener, struct item_list *take_list);

/* How many items the task's level-th scope has. */
int items_width(const struct artifacts *a, const struct flow *flow,
                const struct run_id *run, const struct task_id *task, uint32_t level,
                uint64_t *ret);

/* Append the item of the task in its level-th scope (0: outermost) as JSON. */
int items_get(struct items *c, const struct artifacts *a, const struct flow *flow,
              const struct run_id *run, const struct task_id *task, uint32_t level,
              struct buffer *out);
