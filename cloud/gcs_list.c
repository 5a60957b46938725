/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "cloud/gcs_internal.h"

#define FIELDS                                                                       \
    "nextPageToken,prefixes,items(name,size,generation,updated,storageClass,crc32c," \
    "metadata)"

static void on_listed(struct object_call *call, const struct http_answer *answer)
{
    CLEANUP(gcs_page_freep) struct gcs_page *page = NULL;
    const struct object_entry *entries;
    struct error error;
    size_t n;
    int r;

    if (!gcs_is_good(answer)) {
        gcs_end_refused(call, answer);
        return;
    }
    r = gcs_page_read(buffer_text(&answer->body), answer->body.len, call->store->prefix,
                      &page, &error);
    if (r < 0) {
        gcs_end(call, r, NULL, &error);
        return;
    }
    entries = gcs_page_entries(page, &n);
    gcs_end_list(call, entries, n, gcs_page_next(page));
}

static int aim(struct object_call *call, const struct object_list *list)
{
    CLEANUP(buffer_release) struct buffer prefix = BUFFER_INIT;
    const char delimiter[2] = { list->delimiter, '\0' };
    uint32_t max =
        list->max && list->max < OBJECT_LIST_MAX ? list->max : OBJECT_LIST_MAX;

    buffer_puts(&prefix, call->store->prefix);
    buffer_puts(&prefix, list->prefix ? list->prefix : "");
    gcs_aim(call);
    gcs_url_add(&call->url, "prefix", prefix.len ? prefix.data : NULL);
    gcs_url_add(&call->url, "delimiter", list->delimiter ? delimiter : NULL);
    gcs_url_add(&call->url, "pageToken", list->after);
    gcs_url_add_number(&call->url, "maxResults", max);
    gcs_url_add(&call->url, "fields", FIELDS);
    return buffer_failed(&prefix) ? -ENOMEM : 0;
}

int gcs_list(struct object_store *store, const struct object_list *list,
             object_listed_fn *listed, void *arg, struct object_call **ret_call)
{
    struct gcs_store *s = (struct gcs_store *)store;
    struct http_request request = { .method = "GET" };
    struct object_call *call;
    int r = gcs_call_new(s, "list", NULL, arg, &call);

    if (r < 0)
        return r;
    call->listed = listed;
    r = aim(call, list);
    if (r == 0)
        r = gcs_send(call, &request, on_listed);
    if (r < 0)
        gcs_call_drop(call);
    else
        *ret_call = call;
    return r;
}
