/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between a run's leader and its workers. */
#include "proto/message_schema.h"

int rank_compare(const struct rank *a, const struct rank *b)
{
    if (a->is_sealed != b->is_sealed)
        return a->is_sealed ? 1 : -1;
    if (a->generation != b->generation)
        return a->generation < b->generation ? -1 : 1;
    return ballot_compare(&a->ballot, &b->ballot);
}

static const struct field rank_fields[] = {
    [1] = F_BOOL(rank, is_sealed),
    [2] = F_U64(rank, generation),
    [3] = F_MESSAGE(rank, ballot, schema_ballot),
};
static const struct schema schema_rank =
    SCHEMA("Rank", rank, rank_fields, .has_lists = false);

static const struct field attempt_name_fields[] = {
    [1] = F_FIXED(attempt_name, node),
    [2] = F_U32(attempt_name, boot),
    [3] = F_U64(attempt_name, counter),
};
static const struct schema schema_attempt_name =
    SCHEMA("AttemptName", attempt_name, attempt_name_fields, .has_lists = false);

static const struct field want_fields[] = {
    [1] = F_U32(want_message, boot),
    [2] = F_U64(want_message, seq),
    [3] = F_U32(want_message, slots),
    [4] = F_U32(want_message, ahead_percent),
};
const struct schema schema_want =
    SCHEMA("Want", want_message, want_fields, .has_lists = false);

static const struct field lease_fields[] = {
    [1] = F_U64(lease, id),      [2] = F_ID(lease, run),   [3] = F_TASK(lease, task),
    [4] = F_U32(lease, attempt), [5] = F_U64(lease, gpus), [6] = F_U64(lease, fence),
};
static const struct schema schema_lease =
    SCHEMA("Lease", lease, lease_fields, .has_lists = false);

static const struct field grant_fields[] = {
    [1] = F_U32(grant_message, boot),
    [2] = F_MESSAGE(grant_message, rank, schema_rank),
    [3] = F_MESSAGES(grant_message, leases, n_leases, schema_lease),
    [4] = F_U64(grant_message, report),
    [5] = F_U64(grant_message, age),
};
const struct schema schema_grant =
    SCHEMA("Grant", grant_message, grant_fields, .has_lists = true);

static const struct field recall_fields[] = {
    [1] = F_MESSAGE(recall_message, rank, schema_rank),
    [2] = F_S32(recall_message, signal),
    [3] = F_U32(recall_message, why),
    [4] = F_U64S(recall_message, leases, n_leases),
};
const struct schema schema_recall =
    SCHEMA("Recall", recall_message, recall_fields, .has_lists = true);

static const struct field recalled_fields[] = {
    [1] = F_MESSAGE(recalled_message, rank, schema_rank),
    [2] = F_U64S(recalled_message, leases, n_leases),
};
const struct schema schema_recalled =
    SCHEMA("Recalled", recalled_message, recalled_fields, .has_lists = true);

static const struct field offered_fields[] = {
    [1] = F_NEEDED(offered_attempt, name, schema_attempt_name),
    [2] = F_U64(offered_attempt, lease),
    [3] = F_ID(offered_attempt, run),
    [4] = F_TASK(offered_attempt, task),
    [5] = F_FIXED(offered_attempt, witness),
    [6] = F_BYTES(offered_attempt, record, MESSAGE_BYTES_MAX),
};

static bool offered_is_valid(const void *message)
{
    return !node_id_is_none(&((const struct offered_attempt *)message)->name.node);
}

static const struct schema schema_offered =
    SCHEMA("OfferedAttempt", offered_attempt, offered_fields,
           .is_valid = offered_is_valid);

static const struct field commit_fields[] = {
    [1] = F_MESSAGE(commit_message, rank, schema_rank),
    [2] = F_MESSAGES(commit_message, attempts, n_attempts, schema_offered),
    [3] = F_U64S(commit_message, dropped, n_dropped),
    [4] = F_U64S(commit_message, refused, n_refused),
    [5] = F_U32(commit_message, refusal),
};
const struct schema schema_commit =
    SCHEMA("Commit", commit_message, commit_fields, .has_lists = true);

static const struct field offer_answer_fields[] = {
    [1] = F_NEEDED(offer_answer, name, schema_attempt_name),
    [2] = F_ENUM(offer_answer, result, OFFER_TENTATIVE),
};

static bool offer_answer_is_valid(const void *message)
{
    return !node_id_is_none(&((const struct offer_answer *)message)->name.node);
}

static const struct schema schema_offer_answer =
    SCHEMA("OfferAnswer", offer_answer, offer_answer_fields,
           .is_valid = offer_answer_is_valid);

static const struct field committed_fields[] = {
    [1] = F_ID(committed_message, run),
    [2] = F_MESSAGE(committed_message, rank, schema_rank),
    [3] = F_MESSAGES(committed_message, answers, n_answers, schema_offer_answer),
};
const struct schema schema_committed =
    SCHEMA("Committed", committed_message, committed_fields, .has_lists = true);

static const struct field lead_fields[] = {
    [1] = F_ID(lead_message, run),
    [2] = F_MESSAGE(lead_message, rank, schema_rank),
    [3] = F_BOOL(lead_message, is_ended),
    [4] = F_BYTES(lead_message, end, MESSAGE_BYTES_MAX),
};
const struct schema schema_lead =
    SCHEMA("Lead", lead_message, lead_fields, .has_lists = false);

static const struct field held_lease_fields[] = {
    [1] = F_ID(held_lease, run),
    [2] = F_TASK(held_lease, task),
    [3] = F_U32(held_lease, attempt),
    [4] = F_MESSAGE(held_lease, name, schema_attempt_name),
    [5] = F_U64(held_lease, gpus),
    [6] = F_BOOL(held_lease, is_started),
    [7] = F_FIXED(held_lease, witness),
    [8] = F_U64(held_lease, lease),
    [9] = F_U64(held_lease, fence),
};
static const struct schema schema_held_lease =
    SCHEMA("HeldLease", held_lease, held_lease_fields, .has_lists = false);

static const struct field report_fields[] = {
    [1] = F_ID(report_message, run),
    [2] = F_MESSAGE(report_message, rank, schema_rank),
    [3] = F_U32(report_message, boot),
    [4] = F_U64(report_message, seq),
    [5] = F_BOOL(report_message, is_last),
    [6] = F_MESSAGES(report_message, held, n_held, schema_held_lease),
    [7] = F_MESSAGES(report_message, kept, n_kept, schema_offered),
};
const struct schema schema_report =
    SCHEMA("Report", report_message, report_fields, .has_lists = true);
