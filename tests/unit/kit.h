/* SPDX-License-Identifier: Apache-2.0 */
/* kit - a run with a store in a folder of its own, for tests of what stands between the
 * node and the store. A test says which tasks are done and what they made. */
#pragma once

#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "flow/parameters.h"
#include "flow/read.h"
#include "node/artifacts.h"
#include "node/launch.h"
#include "node/remove.h"
#include "store/digest.h"

struct kit {
    char dir[64];
    struct store *store;
    struct writer *writer;
    struct blobs *blobs;
    struct artifacts artifacts;
    struct flow *flow;
    struct run_id run;
};

UNUSED static void kit_open(struct kit *k, const char *flow_text)
{
    const struct writer_config config = { .window_us = TIME_MS(1),
                                          .queue_bytes_max = 64 << 20 };
    CLEANUP(diagnostics_release) struct diagnostics d = { .all = NULL };
    struct error why = { .text = "" };

    *k = (struct kit){ .dir = "/tmp/mesh-unit-XXXXXX", .run = { { 1, 2, 3 } } };
    assert_non_null(mkdtemp(k->dir));
    assert_int_equal(store_open_memory(&k->store), 0);
    assert_int_equal(writer_start(k->store, &config, &k->writer), 0);
    assert_int_equal(blobs_open(k->dir, k->store, k->writer, 0, &k->blobs, &why), 0);
    k->artifacts = (struct artifacts){ .writer = k->writer, .blobs = k->blobs };
    if (flow_read(flow_text, strlen(flow_text), &k->flow, &d) < 0)
        fail_msg("%s", d.n ? d.all[0].message : "the flow cannot be read");
}

UNUSED static void kit_close(struct kit *k)
{
    flow_unref(k->flow);
    blobs_close(k->blobs);
    writer_stop(k->writer);
    store_close(k->store);
    assert_int_equal(remove_tree(k->dir), 0);
}

/* Of a step by name; index below 0: it is in no foreach. */
UNUSED static struct task_id kit_task(const struct kit *k, const char *step, int index)
{
    struct task_id t = { .step = flow_find_step(k->flow, step) };

    assert_int_not_equal(t.step, FLOW_NONE);
    if (index >= 0) {
        t.depth = 1;
        t.path[0] = (uint64_t)index;
    }
    return t;
}

UNUSED static struct artifact kit_artifact(const char *name, const char *text)
{
    struct artifact a = { .name = strdup(name),
                          .type = strdup("bytes"),
                          .encoding = ENCODING_BYTES,
                          .size = strlen(text),
                          .id = digest_memory(text, strlen(text)),
                          .inline_data = (uint8_t *)strdup(text) };
    return a;
}

UNUSED static void kit_put(struct kit *k, const struct attempt_record *r)
{
    CLEANUP(buffer_release) struct buffer value = BUFFER_INIT;
    struct record_key key = attempt_key(&r->run, &r->task, r->attempt);
    struct store_write w = { .table = STORE_RECORDS, .key = { key.bytes, key.len } };

    assert_int_equal(attempt_record_encode(r, &value), 0);
    w.value = (struct span){ value.data, value.len };
    assert_int_not_equal(writer_put(k->writer, &w, 1, false), 0);
}

/* The task ended so, with artifacts "name=text", NULL-terminated. */
UNUSED static void kit_end(struct kit *k, struct task_id task, uint32_t attempt,
                           enum verdict verdict, const char *const *made)
{
    struct attempt_record r = { .run = k->run,
                                .task = task,
                                .attempt = attempt,
                                .verdict = verdict,
                                .reason =
                                    verdict == VERDICT_DONE ? REASON_OK : REASON_EXIT };

    r.outputs = calloc(16, sizeof(*r.outputs));
    for (; made && *made; made++) {
        char name[32];
        size_t len = strcspn(*made, "=");

        snprintf(name, sizeof(name), "%.*s", (int)len, *made);
        r.outputs[r.n_outputs++] = kit_artifact(name, *made + len + 1);
    }
    kit_put(k, &r);
    attempt_record_release(&r);
}

#define MADE(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The artifact's text as this task sees it, or NULL; free it. */
UNUSED static char *kit_see(struct kit *k, struct task_id task, const char *name)
{
    CLEANUP(artifact_release) struct artifact a = { .name = NULL };
    struct task_id maker;

    if (artifacts_find(&k->artifacts, k->flow, &k->run, &task, name, false, &a, &maker)
        < 0)
        return NULL;
    return strndup((char *)a.inline_data, a.size);
}

UNUSED static void kit_write(const char *path, const char *data, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}
