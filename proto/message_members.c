/* SPDX-License-Identifier: Apache-2.0 */
/* Messages about who is here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/message_schema.h"

enum {
    CERTIFICATE_MAX = 4096,
    AUTHORITY_MAX = 64 << 10,
    PROOF_MAX = 4096,
    RECORDS_MAX = 64 << 10,
};

static const struct field custom_fields[] = {
    [1] = F_NAME(member_custom, name),
    [2] = F_U64(member_custom, milli),
};
static const struct schema schema_custom =
    SCHEMA("Custom", member_custom, custom_fields, .has_lists = false);

static const struct field card_fields[] = {
    [1] = F_TEXT(member_card, name),
    [2] = F_TEXT(member_card, address),
    [3] = F_U32(member_card, bulk_port),
    [4] = F_FIXED(member_card, curve_key),
    [5] = F_TEXT(member_card, zone),
    [6] = F_U32(member_card, minor),
    [7] = F_U64(member_card, features),
    [8] = F_TEXT(member_card, version),
    [9] = F_U32(member_card, roles),
    [10] = F_BOOL(member_card, is_draining),
    [11] = F_U32(member_card, slots),
    [12] = F_U64(member_card, cpu_milli),
    [13] = F_U64(member_card, memory_bytes),
    [14] = F_U64(member_card, disk_bytes),
    [15] = F_U32(member_card, n_gpus),
    [16] = F_MESSAGES(member_card, custom, n_custom, schema_custom),
    [17] = F_BYTES(member_card, certificate, CERTIFICATE_MAX),
};

static bool card_is_valid(const void *message)
{
    const struct member_card *c = message;

    return (!c->name || strlen(c->name) <= MEMBER_NAME_MAX)
           && (!c->address || strlen(c->address) <= MEMBER_ADDRESS_MAX)
           && (!c->zone || strlen(c->zone) <= MEMBER_NAME_MAX)
           && (!c->version || strlen(c->version) <= MEMBER_NAME_MAX)
           && c->n_custom <= MEMBER_CUSTOM_MAX;
}

const struct schema schema_card = SCHEMA("Card", member_card, card_fields,
                                         .has_lists = true, .is_valid = card_is_valid);

static const struct field member_note_fields[] = {
    [1] = F_ID(member_note, id),
    [2] = F_U64(member_note, incarnation),
    [3] = F_ENUM(member_note, state, MEMBER_LEFT),
    [4] = F_U8(member_note, observers),
    [5] = F_MESSAGE_IF(member_note, card, has_card, schema_card),
};
static const struct schema schema_member_note =
    SCHEMA("MemberNote", member_note, member_note_fields, .has_lists = false);

static const struct field run_note_fields[] = {
    [1] = F_ID(run_note, run),         [2] = F_FIXED(run_note, leader),
    [3] = F_U64(run_note, generation), [4] = F_U64(run_note, ballot),
    [5] = F_U64(run_note, seq),        [6] = F_BOOL(run_note, is_tentative),
    [7] = F_BOOL(run_note, is_ended),  [8] = F_U64(run_note, n_ready),
    [9] = F_U64(run_note, number),     [10] = F_HOMES(run_note, homes, n_homes),
    [11] = F_TEXT(run_note, user),     [12] = F_U32(run_note, weight),
};
static const struct schema schema_run_note =
    SCHEMA("RunNote", run_note, run_note_fields, .has_lists = false);

static const struct field hello_fields[] = {
    [1] = F_FIXED(hello, mesh),
    [2] = F_NEEDED(hello, self, schema_member_note),
    [3] = F_U64(hello, wall),
};

static bool hello_is_valid(const void *message)
{
    return ((const struct hello *)message)->self.has_card;
}

const struct schema schema_hello =
    SCHEMA("Hello", hello, hello_fields, .has_lists = false,
           .is_valid = hello_is_valid);

static const struct field ping_fields[] = {
    [1] = F_U64(ping, seq),
    [2] = F_U64(ping, incarnation),
    [3] = F_U8(ping, health),
    [4] = F_FIXED(ping, fingerprint),
};
const struct schema schema_ping = SCHEMA("Ping", ping, ping_fields, .has_lists = false);

static const struct field gossip_fields[] = {
    [1] = F_MESSAGES(gossip_message, members, n_members, schema_member_note),
    [2] = F_MESSAGES(gossip_message, runs, n_runs, schema_run_note),
};
const struct schema schema_gossip =
    SCHEMA("Gossip", gossip_message, gossip_fields, .has_lists = true);

static const struct field sync_entry_fields[] = {
    [1] = F_ID(sync_entry, id),
    [2] = F_U64(sync_entry, incarnation),
    [3] = F_ENUM(sync_entry, state, MEMBER_LEFT),
};
static const struct schema schema_sync_entry =
    SCHEMA("SyncEntry", sync_entry, sync_entry_fields, .has_lists = false);

static const struct field sync_fields[] = {
    [1] = F_BOOL(sync_message, is_answer),
    [2] = F_FIXED(sync_message, from),
    [3] = F_FIXED(sync_message, until),
    [4] = F_MESSAGES(sync_message, entries, n_entries, schema_sync_entry),
    [5] = F_U64S(sync_message, sums, n_sums),
};
const struct schema schema_sync =
    SCHEMA("Sync", sync_message, sync_fields, .has_lists = true);

static const struct field join_fields[] = {
    [1] = F_FIXED(join_message, mesh),   [2] = F_ID(join_message, node_key),
    [3] = F_ID(join_message, curve_key), [4] = F_BYTES(join_message, proof, PROOF_MAX),
    [5] = F_TEXT(join_message, name),    [6] = F_U32(join_message, roles),
};
const struct schema schema_join =
    SCHEMA("Join", join_message, join_fields, .has_lists = false);

static const struct field joined_fields[] = {
    [1] = F_S32(joined_message, status),
    [2] = F_TEXT(joined_message, text),
    [3] = F_BYTES(joined_message, certificate, CERTIFICATE_MAX),
    [4] = F_BYTES(joined_message, authority, AUTHORITY_MAX),
    [5] = F_MESSAGES(joined_message, contacts, n_contacts, schema_member_note),
};
const struct schema schema_joined =
    SCHEMA("Joined", joined_message, joined_fields, .has_lists = true);

static const struct field revoked_fields[] = {
    [1] = F_BYTES(revoked_message, records, RECORDS_MAX),
};
const struct schema schema_revoked =
    SCHEMA("Revoked", revoked_message, revoked_fields, .has_lists = false);

/* ---- cards ---- */

void member_card_release(struct member_card *c)
{
    for (size_t i = 0; i < c->n_custom; i++)
        free(c->custom[i].name);
    free(c->custom);
    free(c->name);
    free(c->address);
    free(c->zone);
    free(c->version);
    free(c->certificate);
    *c = (struct member_card){ .slots = 0 };
}

static char *copy_text(const char *text, bool *failed)
{
    char *copy = text ? strdup(text) : NULL;

    *failed |= text && !copy;
    return copy;
}

static void copy_custom(const struct member_card *from, struct member_card *to,
                        bool *failed)
{
    to->custom = from->n_custom ? calloc(from->n_custom, sizeof(*to->custom)) : NULL;
    *failed |= from->n_custom && !to->custom;
    for (; to->custom && to->n_custom < from->n_custom; to->n_custom++) {
        const struct member_custom *c = &from->custom[to->n_custom];

        to->custom[to->n_custom] =
            (struct member_custom){ .name = copy_text(c->name, failed),
                                    .milli = c->milli };
    }
}

int member_card_copy(const struct member_card *from, struct member_card *ret)
{
    CLEANUP(member_card_release) struct member_card copy = *from;
    bool failed = false;

    copy.custom = NULL;
    copy.n_custom = 0;
    copy.name = copy_text(from->name, &failed);
    copy.address = copy_text(from->address, &failed);
    copy.zone = copy_text(from->zone, &failed);
    copy.version = copy_text(from->version, &failed);
    copy.certificate = from->certificate_len ? malloc(from->certificate_len) : NULL;
    if (copy.certificate)
        memcpy(copy.certificate, from->certificate, from->certificate_len);
    failed |= from->certificate_len && !copy.certificate;
    copy_custom(from, &copy, &failed);
    if (failed)
        return -ENOMEM;
    *ret = copy;
    copy = (struct member_card){ .slots = 0 };
    return 0;
}
