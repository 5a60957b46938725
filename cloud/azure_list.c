/* SPDX-License-Identifier: Apache-2.0 */
/* What is there: pages of names, by markers that the service alone understands. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cloud/azure_store.h"

static int ask_page(struct object_call *c);

/* The service may answer with no names and a marker: there are more, elsewhere. */
static void on_page(struct object_call *c, int status, const struct http_answer *a,
                    const struct error *error)
{
    CLEANUP(azure_list_release) struct azure_list list = { .n = 0 };
    struct error why = { .text = "" };

    if (status == 0) {
        status = azure_list_read(buffer_text(&a->body), a->body.len, c->store->prefix,
                                 &list, &why);
        error = &why;
    }
    if (status == 0 && list.n == 0 && list.next) {
        free(c->marker);
        c->marker = TAKE(list.next);
        status = ask_page(c);
        if (status == 0)
            return;
    }
    azure_finish_listed(c, status, list.entries, list.n, list.next, error);
}

static int ask_page(struct object_call *c)
{
    char max[16], delimiter[2] = { c->delimiter, '\0' };

    snprintf(max, sizeof(max), "%u", c->list_max);
    azure_ask(c, "GET");
    azure_param(c, "restype", "container");
    azure_param(c, "comp", "list");
    azure_param(c, "maxresults", max);
    if (*c->list_prefix)
        azure_param(c, "prefix", c->list_prefix);
    if (c->delimiter)
        azure_param(c, "delimiter", delimiter);
    if (c->marker)
        azure_param(c, "marker", c->marker);
    c->answered = on_page;
    return azure_send(c);
}

static int start(struct object_call *c, const struct object_list *list)
{
    uint32_t max = list->max ? list->max : OBJECT_LIST_MAX;

    if (asprintf(&c->list_prefix, "%s%s", c->store->prefix,
                 list->prefix ? list->prefix : "")
        < 0) {
        c->list_prefix = NULL;
        return -ENOMEM;
    }
    if (list->after) {
        c->marker = strdup(list->after);
        if (!c->marker)
            return -ENOMEM;
    }
    c->delimiter = list->delimiter;
    c->list_max = max < OBJECT_LIST_MAX ? max : OBJECT_LIST_MAX;
    return ask_page(c);
}

int azure_list(struct object_store *base, const struct object_list *list,
               object_listed_fn *listed, void *arg, struct object_call **ret_call)
{
    struct azure_store *s = CONTAINER_OF(base, struct azure_store, base);
    struct object_call *c;
    int r = azure_call_new(s, "list", NULL, &c);

    if (r < 0)
        return r;
    c->listed = listed;
    c->arg = arg;
    r = start(c, list);
    if (r < 0) {
        azure_call_drop(c);
        return r;
    }
    *ret_call = c;
    return 0;
}
