/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of `resources` and `retry`. */
#include "flow/check.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <string.h>

enum {
    CUSTOM_NAMES_MAX = 64,
    RETRIES_DEFAULT = 3,
    RETRIES_MAX = 100,
    BACKOFF_MAX = 100,
    LOSSES_MAX = 1000
};

static const double units_max = 1e6;

/* Rounded up: a tenth of a GPU must not become none. */
void read_milli(struct check *c, const struct value *v, void *field)
{
    struct hint name;
    double number;

    if (!expect_number(c, v, &number))
        return;
    if (number < 0 || number > units_max)
        complain(c, v, NULL, "%s in %s must be from 0 to %.0f", value_name(v, &name),
                 c->where, units_max);
    else
        *(uint64_t *)field = (uint64_t)ceil(number * 1000 - 1e-6);
}

static uint32_t custom_name(struct check *c, const struct value *key)
{
    struct flow *f = c->flow;
    uint32_t i = names_find(&c->custom, key->text);
    char *name;

    if (i != NAME_NONE)
        return i;
    if (!is_step_name(key->text)) {
        complain(c, key, NULL, "'%.130s' cannot be the name of a resource", key->text);
        return FLOW_NONE;
    }
    if (f->n_custom_names == CUSTOM_NAMES_MAX) {
        complain(c, key, NULL, "more than %d custom resources in a flow",
                 CUSTOM_NAMES_MAX);
        return FLOW_NONE;
    }
    if (!f->custom_names)
        f->custom_names =
            check_alloc(c, CUSTOM_NAMES_MAX + 1, sizeof(*f->custom_names));
    name = check_copy(c, key->text, key->n);
    if (c->error)
        return FLOW_NONE;
    i = (uint32_t)f->n_custom_names++;
    f->custom_names[i] = name;
    if (names_add(&c->custom, name, i) < 0)
        c->error = -ENOMEM;
    return i;
}

static void set_custom(struct check *c, const struct value *v, struct resources *r)
{
    uint32_t name = custom_name(c, v->key), i = 0;
    uint64_t milli = 0;

    read_milli(c, v, &milli);
    if (name == FLOW_NONE || c->error)
        return;
    while (i < r->n_custom && r->custom[i].name != name)
        i++;
    if (i == RESOURCES_CUSTOM_MAX) {
        complain(c, v->key, NULL, "more than %d custom resources in %s",
                 RESOURCES_CUSTOM_MAX, c->where);
        return;
    }
    if (i == r->n_custom)
        r->n_custom++;
    r->custom[i].name = name;
    r->custom[i].milli = milli;
}

static void read_custom(struct check *c, const struct value *v, void *field)
{
    if (!expect(c, v, VALUE_MAPPING))
        return;
    for (const struct value *child = v->u.first; child && !c->error;
         child = child->next)
        set_custom(c, child, field);
}

void read_resources(struct check *c, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "cpu", read_milli, offsetof(struct resources, cpu_milli), NULL },
        { "memory", read_size, offsetof(struct resources, memory_bytes), NULL },
        { "gpu", read_milli, offsetof(struct resources, gpu_milli), NULL },
        { "disk", read_size, offsetof(struct resources, disk_bytes), NULL },
        { "custom", read_custom, 0, NULL },
        { "shared_memory", NULL, 0, "the size of /dev/shm" },
    };

    READ_MAPPING(c, v, keys, field);
}

static void read_times(struct check *c, const struct value *v, void *field)
{
    int64_t times;

    if (expect_integer(c, v, 0, RETRIES_MAX, &times))
        *(uint32_t *)field = (uint32_t)times;
}

static void read_losses(struct check *c, const struct value *v, void *field)
{
    int64_t losses;

    if (expect_integer(c, v, 1, LOSSES_MAX, &losses))
        *(uint32_t *)field = (uint32_t)losses;
}

static void read_backoff(struct check *c, const struct value *v, void *field)
{
    double number;

    if (!expect_number(c, v, &number))
        return;
    if (number < 1 || number > BACKOFF_MAX)
        complain(c, v, NULL, "'backoff' in %s must be from 1 to %d", c->where,
                 BACKOFF_MAX);
    else
        *(double *)field = number;
}

static void read_when(struct check *c, const struct value *v, void *field)
{
    static const char *const words[] = { "error", "timeout", "lost", "oom" };
    static const uint32_t bits[] = { RETRY_ERROR, RETRY_TIMEOUT, RETRY_LOST,
                                     RETRY_OOM };
    uint32_t when = 0;
    size_t which;

    if (!expect(c, v, VALUE_SEQUENCE))
        return;
    for (const struct value *item = v->u.first; item; item = item->next) {
        if (item->type == VALUE_STRING && !strcmp(item->text, "spot"))
            complain(c, item, NULL, "'spot' in 'when' is not supported yet");
        else if (expect_word(c, item, words, ARRAY_SIZE(words), &which))
            when |= bits[which];
    }
    if (!v->n)
        complain(c, v, "leave 'when' away to retry after every failure",
                 "'when' in %s is empty", c->where);
    *(uint32_t *)field = when;
}

static void read_exit_codes(struct check *c, const struct value *v, void *field)
{
    struct retry *retry = field;
    size_t n = 0;
    int *codes;

    if (!expect(c, v, VALUE_SEQUENCE))
        return;
    if (!v->n)
        complain(c, v, NULL, "'exit_codes' in %s is empty", c->where);
    codes = check_alloc(c, v->n, sizeof(*codes));
    for (const struct value *item = v->u.first; item && !c->error; item = item->next) {
        int64_t code = 0;

        if (expect_integer(c, item, 1, 255, &code))
            codes[n++] = (int)code;
    }
    retry->exit_codes = codes;
    retry->n_exit_codes = n;
}

void read_retry(struct check *c, const struct value *v, void *field)
{
    static const struct key keys[] = {
        { "times", read_times, offsetof(struct retry, times), NULL },
        { "delay", read_duration, offsetof(struct retry, delay_us), NULL },
        { "backoff", read_backoff, offsetof(struct retry, backoff), NULL },
        { "when", read_when, offsetof(struct retry, when), NULL },
        { "exit_codes", read_exit_codes, 0, NULL },
        { "lost", read_losses, offsetof(struct retry, lost_max), NULL },
    };
    struct retry *retry = field;

    if (v->type == VALUE_BOOL) {
        retry->times = v->u.boolean ? RETRIES_DEFAULT : 0;
    } else if (v->type == VALUE_INT) {
        read_times(c, v, &retry->times);
    } else if (v->type == VALUE_MAPPING) {
        if (!retry->times)
            retry->times = RETRIES_DEFAULT;
        READ_MAPPING(c, v, keys, retry);
    } else {
        complain(c, v, "write `retry: 3` or `retry: {times: 3, delay: 2m}`",
                 "'retry' in %s must be true, false, a number or a mapping", c->where);
    }
}
