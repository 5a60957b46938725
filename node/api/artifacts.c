/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/runs/RUN/artifacts/STEP/TASK/NAME */
#include <errno.h>
#include <microhttpd.h>

#include "node/api/content.h"
#include "node/api/nouns.h"
#include "node/api/source.h"

static int find(struct request *r, const struct task_id *task, const char *name,
                struct artifact *ret, struct task_id *ret_maker)
{
    return artifacts_find(runtime_artifacts(r->rt), r->flow, &r->run, task, name, true,
                          ret, ret_maker);
}

int artifact_get_work(struct request *r)
{
    const char *step = r->params[1], *task = r->params[2], *name = r->params[3];
    CLEANUP(artifact_release) struct artifact a = { .name = NULL };
    struct task_id id, maker;
    int error;

    if (!source_flow(r) || !source_task(r, step, task, &id))
        return 0;
    error = find(r, &id, name, &a, &maker);
    if (error == -ENOENT)
        return reply_error(r, MHD_HTTP_NOT_FOUND,
                           "GET /v1/runs/RUN/tasks lists what each task made",
                           "%.64s/%.64s has no artifact '%.200s'", step, task, name);
    if (error < 0)
        return reply_errno(r, error, "the artifact");
    return content_reply(r, &a, &maker);
}
