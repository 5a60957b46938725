/* SPDX-License-Identifier: Apache-2.0 */
/* routes - every request that is answered; docs/openapi.yaml describes them. */
#include "node/api/nouns.h"
#include "node/api/server.h"
#include "node/api/source.h"

#define JSON_MAX (20u << 20)
#define MANIFEST_MAX (64u << 20)
#define ANY_SIZE UINT64_MAX /* until the quota or the disk is full */

#define GET METHOD_GET
#define PUT METHOD_PUT
#define POST METHOD_POST
#define PATCH METHOD_PATCH
#define DELETE METHOD_DELETE

const struct route user_routes[] = {
    { GET, "/v1/node", "node", .begin = about_get },
    { GET, "/v1/members", "detail", .begin = members_get, .end = members_get_end },
    { POST, "/v1/drain", "node", BODY_MEMORY, JSON_MAX, .begin = drain_post,
      .verb = "drain" },
    { POST, "/v1/undrain", "node", BODY_MEMORY, JSON_MAX, .begin = undrain_post,
      .verb = "undrain" },
    { POST, "/v1/restart", "node", BODY_MEMORY, JSON_MAX, .begin = restart_post,
      .verb = "restart" },
    { POST, "/v1/leave", "node", BODY_MEMORY, JSON_MAX, .begin = leave_post,
      .verb = "leave" },
    { GET, "/metrics", "node", .begin = metrics_get, .work = metrics_get_work },
    { GET, "/v1/runs", "flow tag user state limit before", .begin = runs_list,
      .work = runs_list_work, .end = runs_list_end },
    { POST, "/v1/runs", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .work = submit_work, .end = submit_end, .verb = "submit" },
    { GET, "/v1/runs/RUN", .begin = runs_get, .work = runs_get_work,
      .end = runs_get_end },
    { GET, "/v1/runs/RUN/flow", .begin = source_begin, .work = runs_flow_work },
    { GET, "/v1/runs/RUN/graph", "format", .begin = runs_graph,
      .work = runs_graph_work },
    { GET, "/v1/runs/RUN/tasks", "step task state limit after", .begin = tasks_list,
      .work = tasks_list_work, .end = tasks_list_end },
    { GET, "/v1/runs/RUN/logs", "step task attempt stream", .begin = logs_list,
      .work = logs_list_work },
    { GET, "/v1/runs/RUN/logs/STEP/TASK", "attempt stream", .begin = logs_list,
      .work = logs_raw_work },
    { GET, "/v1/runs/RUN/artifacts", "step task name inline limit after",
      .begin = artifacts_list, .work = artifacts_list_work },
    { GET, "/v1/runs/RUN/artifacts/STEP/TASK/NAME", .begin = source_begin,
      .work = artifact_get_work },
    { GET, "/v1/runs/RUN/explain", "against", .begin = explain_run,
      .work = explain_run_work },
    { GET, "/v1/runs/RUN/explain/STEP/TASK", "against", .begin = explain_task,
      .work = explain_task_work },
    { GET, "/v1/runs/RUN/advise", .begin = source_begin, .work = advise_work },
    { GET, "/v1/runs/RUN/diff/OTHER", "limit values same", .begin = diff_get,
      .work = diff_get_work },
    { POST, "/v1/runs/RUN/cancel", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .begin = runs_cancel, .verb = "cancel" },
    { POST, "/v1/runs/RUN/exec", NULL, BODY_MEMORY, JSON_MAX, .is_here = true,
      .begin = exec_post, .work = exec_post_work, .verb = "exec" },
    { POST, "/v1/runs/RUN/suspend", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .begin = runs_suspend, .verb = "suspend" },
    { POST, "/v1/runs/RUN/unsuspend", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .begin = runs_unsuspend, .verb = "unsuspend" },
    { DELETE, "/v1/runs/RUN", .role = ROLE_SUBMITTER, .begin = runs_delete,
      .work = runs_delete_work, .verb = "rm" },
    { PATCH, "/v1/runs/RUN/tags", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .begin = tags_patch, .work = tags_patch_work, .verb = "tag" },
    { POST, "/v1/runs/RUN/verify", NULL, BODY_MEMORY, JSON_MAX, .begin = verify_post,
      .work = verify_post_work },
    { GET, "/v1/events", "run step types since", .begin = events_get },
    { POST, "/v1/gc", NULL, BODY_MEMORY, JSON_MAX, .work = gc_post_work, .verb = "gc" },
    { POST, "/v1/check", NULL, BODY_MEMORY, JSON_MAX, ROLE_VIEWER, .work = check_work },
    { POST, "/v1/blobs/missing", NULL, BODY_MEMORY, JSON_MAX, ROLE_SUBMITTER,
      .work = blobs_missing_work },
    { GET, "/v1/blobs/ID", .work = blob_get_work },
    { PUT, "/v1/blobs/ID", NULL, BODY_SPOOL, ANY_SIZE, ROLE_SUBMITTER,
      .work = blob_put_work },
    { PUT, "/v1/trees", NULL, BODY_MEMORY, MANIFEST_MAX, ROLE_SUBMITTER,
      .work = trees_put_work },
    { GET, "/v1/audit", "since_s user verb verdict limit all node",
      .role = ROLE_OPERATOR, .begin = audit_get, .end = audit_get_end },
    { GET, "/v1/audit/verify", "all node", .role = ROLE_OPERATOR, .begin = audit_verify,
      .end = audit_get_end },
    { GET, "/v1/tokens", .role = ROLE_OPERATOR, .begin = tokens_list_begin,
      .end = tokens_list_end },
    { POST, "/v1/tokens", NULL, BODY_MEMORY, JSON_MAX, .begin = token_create,
      .work = token_create_work, .end = token_create_end, .verb = "token.create" },
    { POST, "/v1/mesh/invitations", NULL, BODY_MEMORY, JSON_MAX,
      .begin = invitation_create, .end = invitation_create_end, .verb = "invite" },
    { POST, "/v1/mesh/revocations", NULL, BODY_MEMORY, JSON_MAX,
      .begin = revocation_create, .verb = "revoke" },
    { POST, "/v1/tokens/ID/revoke", NULL, BODY_MEMORY, JSON_MAX, .begin = token_revoke,
      .work = token_revoke_work, .end = token_revoke_end, .verb = "token.revoke" },
};
const size_t n_user_routes = ARRAY_SIZE(user_routes);

const struct route task_routes[] = {
    { GET, "/v1/task/artifacts/NAME", "from index", .work = task_artifact_get_work },
    { PUT, "/v1/task/artifacts/NAME", "type", BODY_FILE, ANY_SIZE,
      .begin = task_artifact_put, .work = task_artifact_put_work,
      .end = task_artifact_put_end },
    { GET, "/v1/task/inputs", "passed", .work = task_inputs_work },
    { PUT, "/v1/task/next", "case", BODY_MEMORY, 4096, .begin = task_next },
    { GET, "/v1/task/input", .work = task_input_work },
    { GET, "/v1/task/foreach", .work = task_foreach_work },
    { GET, "/v1/task/parameters/NAME", .begin = task_parameter_get },
};
const size_t n_task_routes = ARRAY_SIZE(task_routes);
