/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that bring what others have: records, answers, blobs. */
#include "proto/message_schema.h"

static const struct field records_get_fields[] = {
    [1] = F_U64(records_get_message, request),
    [2] = F_ID(records_get_message, run),
    [3] = F_BYTES(records_get_message, from, MESSAGE_KEY_MAX),
    [4] = F_BYTES(records_get_message, prefix, MESSAGE_KEY_MAX),
    [5] = F_U32(records_get_message, bytes_max),
};
const struct schema schema_records_get =
    SCHEMA("RecordsGet", records_get_message, records_get_fields, .has_lists = false);

static const struct field records_fields[] = {
    [1] = F_U64(records_message, request),
    [2] = F_S32(records_message, status),
    [3] = F_FIXED(records_message, leader),
    [4] = F_BOOL(records_message, has_more),
    [5] = F_MESSAGES(records_message, entries, n_entries, schema_log_entry),
};
const struct schema schema_records =
    SCHEMA("Records", records_message, records_fields, .has_lists = true);

static const struct field request_fields[] = {
    [1] = F_U64(request_message, request),
    [2] = F_TEXT(request_message, method),
    [3] = F_TEXT(request_message, target),
    [4] = F_TEXT(request_message, user),
    [5] = F_U32(request_message, role),
    [6] = F_TEXT(request_message, content_type),
    [7] = F_BYTES(request_message, body, MESSAGE_BYTES_MAX),
    [8] = F_BOOL(request_message, is_cancelled),
    [9] = F_TEXT(request_message, headers),
    [10] = F_U64(request_message, window),
};
const struct schema schema_request =
    SCHEMA("Request", request_message, request_fields, .has_lists = false);

static const struct field reply_fields[] = {
    [1] = F_U64(reply_message, request),
    [2] = F_U32(reply_message, status),
    [3] = F_TEXT(reply_message, content_type),
    [4] = F_U64(reply_message, part),
    [5] = F_BOOL(reply_message, is_last),
    [6] = F_BYTES(reply_message, body, MESSAGE_BYTES_MAX),
    [7] = F_TEXT(reply_message, headers),
    [8] = F_BOOL(reply_message, is_cut_off),
};
const struct schema schema_reply =
    SCHEMA("Reply", reply_message, reply_fields, .has_lists = false);

static const struct field blob_find_fields[] = {
    [1] = F_U64(blob_find_message, request),
    [2] = F_FIXEDS(blob_find_message, ids, n_ids),
    [3] = F_FIXED(blob_find_message, from),
    [4] = F_FIXED(blob_find_message, run),
    [5] = F_BYTES(blob_find_message, record, MESSAGE_BYTES_MAX),
};
const struct schema schema_blob_find =
    SCHEMA("BlobFind", blob_find_message, blob_find_fields, .has_lists = true);

static const struct field blob_holder_fields[] = {
    [1] = F_ID(blob_holder, id),
    [2] = F_BOOL(blob_holder, is_whole),
    [3] = F_U64(blob_holder, size),
    [4] = F_BYTES(blob_holder, have, BLOB_HAVE_MAX),
    [5] = F_FIXEDS(blob_holder, others, n_others),
};
static const struct schema schema_blob_holder =
    SCHEMA("BlobHolder", blob_holder, blob_holder_fields, .has_lists = true);

static const struct field blob_holders_fields[] = {
    [1] = F_U64(blob_holders_message, request),
    [2] = F_MESSAGES(blob_holders_message, holders, n_holders, schema_blob_holder),
};
const struct schema schema_blob_holders =
    SCHEMA("BlobHolders", blob_holders_message, blob_holders_fields, .has_lists = true);

static const struct field blob_get_fields[] = {
    [1] = F_U64(blob_get_message, request),
    [2] = F_ID(blob_get_message, id),
    [3] = F_ENUM(blob_get_message, part, BLOB_GROUP),
    [4] = F_U64(blob_get_message, offset),
};
const struct schema schema_blob_get =
    SCHEMA("BlobGet", blob_get_message, blob_get_fields, .has_lists = false);

static const struct field blob_data_fields[] = {
    [1] = F_U64(blob_data_message, request),
    [2] = F_S32(blob_data_message, status),
    [3] = F_ID(blob_data_message, id),
    [4] = F_ENUM(blob_data_message, part, BLOB_GROUP),
    [5] = F_U64(blob_data_message, offset),
    [6] = F_U64(blob_data_message, size),
    [7] = F_BYTES(blob_data_message, data, MESSAGE_BYTES_MAX),
};
const struct schema schema_blob_data =
    SCHEMA("BlobData", blob_data_message, blob_data_fields, .has_lists = false);
