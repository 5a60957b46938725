/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the homes of a group. */
#include <string.h>

#include "proto/message_schema.h"

int ballot_compare(const struct ballot *a, const struct ballot *b)
{
    if (a->counter != b->counter)
        return a->counter < b->counter ? -1 : 1;
    return node_id_compare(&a->node, &b->node);
}

static const struct field ballot_fields[] = {
    [1] = F_U64(ballot, counter),
    [2] = F_FIXED(ballot, node),
};
const struct schema schema_ballot =
    SCHEMA("Ballot", ballot, ballot_fields, .has_lists = false);

static const struct field log_position_fields[] = {
    [1] = F_U64(log_position, index),
    [2] = F_MESSAGE(log_position, ballot, schema_ballot),
};
const struct schema schema_log_position =
    SCHEMA("LogPosition", log_position, log_position_fields, .has_lists = false);

static const struct field vote_fields[] = {
    [1] = F_FIXED(vote_message, group),
    [2] = F_U64(vote_message, generation),
    [3] = F_MESSAGE(vote_message, ballot, schema_ballot),
    [4] = F_MESSAGE(vote_message, last, schema_log_position),
    [5] = F_BOOL(vote_message, is_trial),
};
const struct schema schema_vote =
    SCHEMA("Vote", vote_message, vote_fields, .has_lists = false);

static const struct field voted_fields[] = {
    [1] = F_FIXED(voted_message, group),
    [2] = F_U64(voted_message, generation),
    [3] = F_MESSAGE(voted_message, ballot, schema_ballot),
    [4] = F_BOOL(voted_message, is_trial),
    [5] = F_BOOL(voted_message, is_granted),
    [6] = F_MESSAGE(voted_message, promised, schema_ballot),
    [7] = F_U64(voted_message, commit),
    [8] = F_HOMES(voted_message, homes, n_homes),
    [9] = F_U64(voted_message, homes_generation),
};
const struct schema schema_voted =
    SCHEMA("Voted", voted_message, voted_fields, .has_lists = false);

static const struct field log_entry_fields[] = {
    [1] = F_MESSAGE(log_entry, ballot, schema_ballot),
    [2] = F_BYTES(log_entry, key, MESSAGE_KEY_MAX),
    [3] = F_BYTES(log_entry, value, MESSAGE_BYTES_MAX),
    [4] = F_BOOL(log_entry, is_delete),
    [5] = F_HOMES(log_entry, homes, n_homes),
    [6] = F_BOOL(log_entry, is_again),
};

/* Nothing is changed without a key, and what is deleted has no value. */
static bool log_entry_is_valid(const void *message)
{
    const struct log_entry *e = message;

    return !(e->is_delete && e->value_len)
           && !(e->key_len == 0 && (e->value_len || e->is_delete));
}

const struct schema schema_log_entry =
    SCHEMA("LogEntry", log_entry, log_entry_fields, .has_lists = false,
           .is_valid = log_entry_is_valid);

static const struct field append_fields[] = {
    [1] = F_FIXED(append_message, group),
    [2] = F_U64(append_message, generation),
    [3] = F_MESSAGE(append_message, ballot, schema_ballot),
    [4] = F_MESSAGE(append_message, before, schema_log_position),
    [5] = F_MESSAGES(append_message, entries, n_entries, schema_log_entry),
    [6] = F_U64(append_message, commit),
};
const struct schema schema_append =
    SCHEMA("Append", append_message, append_fields, .has_lists = true);

static const struct field appended_fields[] = {
    [1] = F_FIXED(appended_message, group),
    [2] = F_U64(appended_message, generation),
    [3] = F_MESSAGE(appended_message, ballot, schema_ballot),
    [4] = F_BOOL(appended_message, is_refused),
    [5] = F_BOOL(appended_message, is_gap),
    [6] = F_U64(appended_message, last),
};
const struct schema schema_appended =
    SCHEMA("Appended", appended_message, appended_fields, .has_lists = false);

static const struct field install_fields[] = {
    [1] = F_FIXED(install_message, group),
    [2] = F_U64(install_message, generation),
    [3] = F_HOMES(install_message, homes, n_homes),
    [4] = F_MESSAGE(install_message, ballot, schema_ballot),
    [5] = F_MESSAGE(install_message, base, schema_log_position),
    [6] = F_U64(install_message, part),
    [7] = F_BOOL(install_message, is_last),
    [8] = F_MESSAGES(install_message, entries, n_entries, schema_log_entry),
};
const struct schema schema_install =
    SCHEMA("Install", install_message, install_fields, .has_lists = true);

static const struct field installed_fields[] = {
    [1] = F_FIXED(installed_message, group),
    [2] = F_U64(installed_message, generation),
    [3] = F_MESSAGE(installed_message, ballot, schema_ballot),
    [4] = F_U64(installed_message, part),
};
const struct schema schema_installed =
    SCHEMA("Installed", installed_message, installed_fields, .has_lists = false);

static const struct field propose_fields[] = {
    [1] = F_U64(propose_message, request),
    [2] = F_ENUM(propose_message, op, PROPOSE_SWAP),
    [3] = F_NAME(propose_message, key),
    [4] = F_BYTES_IF(propose_message, expected, has_expected),
    [5] = F_BYTES(propose_message, value, MESSAGE_BYTES_MAX),
    [6] = F_S64(propose_message, add),
};
const struct schema schema_propose =
    SCHEMA("Propose", propose_message, propose_fields, .has_lists = false);

static const struct field proposed_fields[] = {
    [1] = F_U64(proposed_message, request),
    [2] = F_S32(proposed_message, status),
    [3] = F_FIXED(proposed_message, leader),
    [4] = F_BYTES(proposed_message, value, MESSAGE_BYTES_MAX),
};
const struct schema schema_proposed =
    SCHEMA("Proposed", proposed_message, proposed_fields, .has_lists = false);
