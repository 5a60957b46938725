/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cloud/transfer_internal.h"

/* ---- one transfer ---- */

static void transfer_free(struct transfer *t)
{
    for (uint32_t i = 0; t->tags && i < t->n_parts; i++)
        free(t->tags[i]);
    free(t->tags);
    free(t->finish);
    free(t->upload);
    EVP_MD_CTX_free(t->hash);
    free((char *)t->request.from_name);
    free((char *)t->request.to_name);
    free((char *)t->request.content_type);
    free((char *)t->request.state_path);
    free(t);
}

static bool keep_text(const char **text)
{
    if (!*text)
        return true;
    *text = strdup(*text);
    return *text != NULL;
}

static struct transfer *transfer_new(const struct transfer_request *request)
{
    struct transfer *t = calloc(1, sizeof(*t));

    if (!t)
        return NULL;
    t->request = *request;
    t->request.from_name = t->request.to_name = NULL;
    t->request.content_type = t->request.state_path = NULL;
    t->step = TRANSFER_WAITING;
    if (request->about)
        t->about = *request->about;
    if (!request->from)
        t->about.size = request->len;
    t->request.from_name = request->from_name;
    t->request.to_name = request->to_name;
    t->request.content_type = request->content_type;
    t->request.state_path = request->state_path;
    if ((int)keep_text(&t->request.from_name) & (int)keep_text(&t->request.to_name)
        & (int)keep_text(&t->request.content_type)
        & (int)keep_text(&t->request.state_path))
        return t;
    transfer_free(t);
    return NULL;
}

void transfer_fail(struct transfer *t, int status, const struct error *error)
{
    if (t->step == TRANSFER_FAILING || t->step == TRANSFER_ABORTING)
        return;
    t->step = TRANSFER_FAILING;
    t->status = status;
    if (error && error->text[0])
        t->error = *error;
    else
        fail(&t->error, status, "'%.300s': %s", t->request.to_name, strerror(-status));
    if (t->call)
        t->asked->class->cancel(t->call);
    parts_cancel(t);
}

void transfer_end(struct transfer *t, const struct object_about *about)
{
    struct transfers *e = t->e;

    assert(!t->live && !t->call && !t->is_working);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    else
        e->last = t->link;
    e->n--;
    e->n_active -= t->step != TRANSFER_WAITING;
    if (t->status < 0) {
        e->progress.n_failed++;
        e->progress.bytes_total -=
            t->step == TRANSFER_WAITING ? 0 : t->about.size - t->bytes_done;
    } else {
        e->progress.n_done++;
    }
    t->request.done(t->request.arg, t->status, t->status < 0 ? NULL : about, &t->error);
    transfer_free(t);
}

static void on_head(void *arg, int status, const struct object_about *about,
                    const struct error *error)
{
    struct transfer *t = arg;
    struct transfers *e = t->e;

    t->call = NULL;
    if (status < 0) {
        transfer_fail(t, status, error);
    } else if (t->step == TRANSFER_ASKING) {
        t->about = *about;
        upload_prepare(t);
    }
    transfers_pump(e);
}

static void activate(struct transfer *t)
{
    struct object_store *from = t->request.from;
    int r;

    t->e->n_active++;
    t->step = TRANSFER_ASKING;
    if (!from || t->request.about) {
        upload_prepare(t);
        return;
    }
    t->asked = from;
    r = from->class->head(from, t->request.from_name, on_head, t, &t->call);
    if (r < 0)
        transfer_fail(t, r, NULL);
}

/* Ends a transfer, or lets it wait for what is under way. */
static void settle(struct transfer *t)
{
    if (t->live || t->call || t->is_working)
        return;
    if (t->step == TRANSFER_FAILING && upload_must_go(t))
        upload_abort(t);
    else
        transfer_end(t, NULL);
}

static void step(struct transfer *t)
{
    struct transfers *e = t->e;

    if (t->step == TRANSFER_WAITING && t->is_cancelled) {
        t->status = fail(&t->error, -ECANCELED, "it was cancelled");
        transfer_end(t, NULL);
        return;
    }
    if (t->step == TRANSFER_WAITING && e->n_active < e->options.calls_max)
        activate(t);
    while (t->step == TRANSFER_PARTS && part_start(t))
        continue;
    if (t->step == TRANSFER_PARTS && t->n_done == t->n_parts && !t->tags) {
        transfer_end(t, &t->placed);
        return;
    }
    if (t->step == TRANSFER_PARTS && t->n_done == t->n_parts)
        upload_finish(t);
    if (t->step == TRANSFER_FAILING)
        settle(t);
}

/* ---- all of them ---- */

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF((uv_timer_t *)handle, struct transfers, wake));
}

void transfers_pump(struct transfers *e)
{
    if (e->is_pumping) {
        e->is_again = true;
        return;
    }
    e->is_pumping = true;
    do {
        bool is_whole_list = e->has_cancelled;
        struct transfer *next;

        e->is_again = e->has_cancelled = false;
        for (struct transfer *t = e->first; t; t = next) {
            next = t->next;
            if (!is_whole_list && t->step == TRANSFER_WAITING
                && e->n_active >= e->options.calls_max)
                break;
            step(t);
        }
    } while (e->is_again);
    e->is_pumping = false;
    if (e->is_closing && !e->n)
        uv_close((uv_handle_t *)&e->wake, on_closed);
}

static void on_wake(uv_timer_t *timer)
{
    transfers_pump(CONTAINER_OF(timer, struct transfers, wake));
}

int transfers_new(uv_loop_t *loop, const struct transfers_options *options,
                  struct transfers **ret_transfers)
{
    struct transfers *e = calloc(1, sizeof(*e));
    int r = e ? uv_timer_init(loop, &e->wake) : -ENOMEM;

    if (r < 0) {
        free(e);
        return r;
    }
    e->loop = loop;
    e->last = &e->first;
    if (options)
        e->options = *options;
    if (!e->options.bytes_max)
        e->options.bytes_max = TRANSFER_BYTES_MAX;
    if (!e->options.calls_max)
        e->options.calls_max = TRANSFER_CALLS_MAX;
    if (!e->options.part_bytes)
        e->options.part_bytes = TRANSFER_PART_BYTES;
    *ret_transfers = e;
    return 0;
}

void transfers_free(struct transfers *e)
{
    if (!e)
        return;
    e->is_closing = true;
    for (struct transfer *t = e->first; t; t = t->next)
        transfer_cancel(t);
    uv_timer_start(&e->wake, on_wake, 0, 0);
}

int transfer_start(struct transfers *e, const struct transfer_request *request,
                   struct transfer **ret_transfer)
{
    struct transfer *t;

    if (e->n >= TRANSFERS_WAITING_MAX)
        return -EBUSY;
    t = transfer_new(request);
    if (!t)
        return -ENOMEM;
    t->e = e;
    t->link = e->last;
    *e->last = t;
    e->last = &t->next;
    e->n++;
    e->progress.n_started++;
    uv_timer_start(&e->wake, on_wake, 0, 0);
    *ret_transfer = t;
    return 0;
}

void transfer_cancel(struct transfer *t)
{
    struct error error;

    t->is_cancelled = true;
    t->e->has_cancelled = true;
    fail(&error, -ECANCELED, "it was cancelled");
    if (t->step != TRANSFER_WAITING)
        transfer_fail(t, -ECANCELED, &error);
    uv_timer_start(&t->e->wake, on_wake, 0, 0);
}

void transfers_progress(const struct transfers *e, struct transfers_progress *ret)
{
    *ret = e->progress;
}
