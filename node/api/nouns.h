/* SPDX-License-Identifier: Apache-2.0 */
/* nouns - the functions that answer, one file for each noun; routes.c binds them to
 * methods and paths. Named <noun>_<method or verb>, with _work and _end for the later
 * stages (see request.h). */
#pragma once

#include "node/api/request.h"

/* about.c */
int about_get(struct request *r);
/* members.c */
int members_get(struct request *r);
int members_get_end(struct request *r);
int drain_post(struct request *r);
int undrain_post(struct request *r);
int leave_post(struct request *r);
int restart_post(struct request *r);
/* metrics.c */
int metrics_get(struct request *r);
int metrics_get_work(struct request *r);
/* run_list.c */
int runs_list(struct request *r);
int runs_list_work(struct request *r);
int runs_list_end(struct request *r);
/* runs.c */
int runs_get(struct request *r);
int runs_get_work(struct request *r);
int runs_get_end(struct request *r);
int runs_flow_work(struct request *r);
int runs_graph(struct request *r);
int runs_graph_work(struct request *r);
/* changes.c */
int runs_cancel(struct request *r);
int runs_suspend(struct request *r);
int runs_unsuspend(struct request *r);
int runs_delete(struct request *r);
int runs_delete_work(struct request *r);
int tags_patch(struct request *r);
int tags_patch_work(struct request *r);
/* exec.c */
int exec_post(struct request *r);
int exec_post_work(struct request *r);
/* submit.c */
int submit_work(struct request *r);
int submit_end(struct request *r);
/* check.c */
int check_work(struct request *r);
/* tasks.c */
int tasks_list(struct request *r);
int tasks_list_work(struct request *r);
int tasks_list_end(struct request *r);
/* advise.c */
int advise_work(struct request *r);
/* diff.c */
int diff_get(struct request *r);
int diff_get_work(struct request *r);
/* explain.c */
int explain_task(struct request *r);
int explain_task_work(struct request *r);
/* explain_run.c */
int explain_run(struct request *r);
int explain_run_work(struct request *r);
/* logs.c */
int logs_list(struct request *r);
int logs_list_work(struct request *r);
int logs_raw_work(struct request *r);
/* artifact_list.c */
int artifacts_list(struct request *r);
int artifacts_list_work(struct request *r);
/* artifacts.c */
int artifact_get_work(struct request *r);
/* blobs.c */
int blob_get_work(struct request *r);
int blob_put_work(struct request *r);
int blobs_missing_work(struct request *r);
int trees_put_work(struct request *r);
/* events.c */
int events_get(struct request *r);
/* maintenance.c */
int verify_post(struct request *r);
int verify_post_work(struct request *r);
int gc_post_work(struct request *r);
/* invitation.c */
int invitation_create(struct request *r);
int invitation_create_end(struct request *r);
int revocation_create(struct request *r);
/* token.c */
int tokens_list_begin(struct request *r);
int tokens_list_end(struct request *r);
int token_create(struct request *r);
int token_create_work(struct request *r);
int token_create_end(struct request *r);
int token_revoke(struct request *r);
int token_revoke_work(struct request *r);
int token_revoke_end(struct request *r);
/* audit.c */
int audit_get(struct request *r);
int audit_get_end(struct request *r);
int audit_verify(struct request *r);
/* task.c */
int task_artifact_get_work(struct request *r);
int task_artifact_put(struct request *r);
int task_artifact_put_work(struct request *r);
int task_artifact_put_end(struct request *r);
int task_inputs_work(struct request *r);
int task_next(struct request *r);
int task_input_work(struct request *r);
int task_foreach_work(struct request *r);
int task_parameter_get(struct request *r);
