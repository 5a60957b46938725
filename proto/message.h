/* SPDX-License-Identifier: Apache-2.0 */
/* message - what nodes say to each other, as bytes.
 *
 *     0    1    2       3      4       6          8
 *     | 'M' '1' | major | type | flags | reserved | protobuf (proto/message.proto)
 *
 * A frame of another magic or major is refused; an unknown type is told apart, so that
 * it can be counted and dropped; unknown fields are skipped. A feature is used towards
 * a peer only when its hello has the bit.
 *
 * Limits hold before anything is unpacked: MESSAGE_BYTES_MAX for a frame,
 * MESSAGE_ITEMS_MAX for a list, MESSAGE_TEXT_MAX for a text, and a decoder takes no
 * more memory than MESSAGE_MEMORY_FACTOR times the frame and 64 KiB. Text is UTF-8
 * without NUL.
 *
 * Who sent a frame is not in it: the transport knows it by the key of the connection.
 *
 * Pure: bytes in, bytes out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"

enum {
    MESSAGE_HEADER_SIZE = 8,
    MESSAGE_MAJOR = 1,
    MESSAGE_BYTES_MAX = 1 << 20,
    MESSAGE_ITEMS_MAX = 4096,
    MESSAGE_TEXT_MAX = 4096,
    MESSAGE_KEY_MAX = 511, /* of a record */
    MESSAGE_MEMORY_FACTOR = 16,
    BLOB_HAVE_MAX = 512,            /* bytes */
    MESSAGE_BATCH_BYTES = 60 << 10, /* who fills a list stops here */
    HOMES_MAX = 5,                  /* of a run: 1 or 3; of the mesh group: 1, 3 or 5 */
    MEMBER_ADDRESS_MAX = 64,        /* HOST:PORT */
    MEMBER_NAME_MAX = 64,
    MEMBER_CUSTOM_MAX = 16,
    DEMAND_KEY_MAX = 64,
    SIGNATURE_SIZE = 64,
    CURVE_KEY_SIZE = 32,
};

enum message_type {
    MESSAGE_HELLO = 1, /* the first on a connection, either way */
    MESSAGE_PING = 3,
    MESSAGE_PONG = 4,
    MESSAGE_GOSSIP = 5,  /* what is known of some members and runs */
    MESSAGE_JOIN = 6,    /* the only one that an unknown key may send */
    MESSAGE_JOINED = 7,  /* also to a HELLO that was refused */
    MESSAGE_REVOKED = 9, /* nodes that were shut out */
    MESSAGE_SYNC = 10,   /* compare all that is known of members */

    MESSAGE_VOTE = 20, /* scheduler/replica.h, as all of the twenties */
    MESSAGE_VOTED = 21,
    MESSAGE_APPEND = 22,
    MESSAGE_APPENDED = 23,
    MESSAGE_INSTALL = 24, /* records of a run, for a new home */
    MESSAGE_INSTALLED = 25,
    MESSAGE_PROPOSE = 26, /* to the mesh group */
    MESSAGE_PROPOSED = 27,

    MESSAGE_WANT = 30,   /* a worker to a leader: how much it would take */
    MESSAGE_GRANT = 31,  /* leases */
    MESSAGE_RECALL = 32, /* give these back, or end them */
    MESSAGE_RECALLED = 33,
    MESSAGE_COMMIT = 34,    /* attempts that ended */
    MESSAGE_COMMITTED = 35, /* what became of them */
    MESSAGE_LEAD = 36,      /* who leads a run, to all that may have worked for it */
    MESSAGE_REPORT = 37,    /* the answer: what I run and hold of it */

    MESSAGE_RECORDS_GET = 40, /* of a run, by range of keys */
    MESSAGE_RECORDS = 41,
    MESSAGE_REQUEST = 43, /* an HTTP request, passed on to who can answer it */
    MESSAGE_REPLY = 44,

    MESSAGE_BLOB_FIND = 50,
    MESSAGE_BLOB_HOLDERS = 51,
    MESSAGE_BLOB_GET = 52,  /* bulk */
    MESSAGE_BLOB_DATA = 53, /* bulk */
    MESSAGE_BLOB_KEEP = 54, /* hold copies of these, get them there */
    MESSAGE_BLOB_KEPT = 55,
};
const char *message_name(enum message_type t); /* "ping", ...; "unknown" */

/* ---- members ---- */

/* In the order in which one replaces another of the same incarnation. */
enum member_state { MEMBER_ALIVE = 1, MEMBER_SUSPECT, MEMBER_DEAD, MEMBER_LEFT };

enum member_role { /* bits */
                   ROLE_WORKER = 1,
                   ROLE_HOME = 2,
                   ROLE_ISSUER = 4, /* may let others in */
};

enum feature {                    /* bits */
               FEATURE_SIGNS = 1, /* the attempts that it carries out */
};

struct member_custom {
    char *name;
    uint64_t milli;
};

/* What a node says of itself; only itself changes it, by a greater incarnation. */
struct member_card {
    char *name;    /* for people: the host's, or --name */
    char *address; /* HOST:PORT of the control port; the bulk port is `bulk_port` */
    uint32_t bulk_port;
    uint8_t curve_key[CURVE_KEY_SIZE];
    char *zone;        /* which fails together; "" none */
    uint32_t minor;    /* of the protocol */
    uint64_t features; /* enum feature */
    char *version;     /* of the program */
    uint32_t roles;    /* enum member_role */
    bool is_draining;  /* takes no leases, and no new homes */
    uint32_t slots;
    uint64_t cpu_milli, memory_bytes, disk_bytes; /* disk: free, rounded */
    uint32_t n_gpus;
    struct member_custom *custom;
    size_t n_custom;
    uint8_t *certificate; /* node/identity.h; may be empty */
    size_t certificate_len;
};
void member_card_release(struct member_card *c);
int member_card_copy(const struct member_card *from, struct member_card *ret);

struct member_note {
    struct node_id id;
    uint64_t incarnation; /* boot counter << 32 | refutations */
    enum member_state state;
    uint8_t
        observers; /* MEMBER_SUSPECT: on which rings it was missed, a bit for each */
    bool has_card; /* a suspicion goes without */
    struct member_card card;
};

/* What all nodes know of a run that goes on, or ended lately. */
struct run_note {
    struct run_id run;
    struct node_id leader;
    uint64_t generation, ballot; /* a greater pair replaces; then a greater seq */
    uint64_t seq;
    bool is_tentative, is_ended;
    uint64_t n_ready; /* how much there is to take */
    uint64_t number;  /* 0: none yet */
    struct node_id homes[HOMES_MAX];
    uint32_t n_homes;
    char *user;
    uint32_t weight;
};

/* ---- messages ---- */

struct hello {
    uint8_t mesh[16];
    struct member_note self; /* with its card */
    time_us wall;
};

struct ping { /* and pong */
    uint64_t seq, incarnation;
    uint8_t health;          /* 0..7, of the sender */
    uint8_t fingerprint[16]; /* of its view of the members */
};

struct gossip_message {
    struct member_note *members;
    size_t n_members;
    struct run_note *runs;
    size_t n_runs;
};

struct sync_entry {
    struct node_id id;
    uint64_t incarnation;
    enum member_state state;
};
/* The sender's whole list, or the part [from, until) of it when it is long; who finds
 * that it knows more answers with gossip, who knows less with a sync of its own. A
 * large mesh begins with sums instead: who finds other ones answers with lists of these
 * parts. */
struct sync_message {
    bool is_answer;             /* not to be answered by a sync once more */
    struct node_id from, until; /* until all zero: to the end */
    struct sync_entry *entries; /* ascending by id */
    size_t n_entries;
    uint64_t
        *sums;     /* of the live members whose id begins with the byte 0, 1, ... 255 */
    size_t n_sums; /* 0 or 256 */
};

struct join_message {
    uint8_t mesh[16];
    uint8_t node_key[32]; /* Ed25519 */
    uint8_t curve_key[CURVE_KEY_SIZE];
    uint8_t *proof; /* of the token; node/identity.h */
    size_t proof_len;
    char *name;
    uint32_t roles; /* asked for */
};
struct joined_message {
    int32_t status; /* 0, or a negative errno */
    char *text;     /* what is wrong, for a person */
    uint8_t *certificate;
    size_t certificate_len;
    uint8_t *authority; /* its public key and issuer certificates */
    size_t authority_len;
    struct member_note *contacts;
    size_t n_contacts;
};

struct revoked_message {
    uint8_t *records; /* node/revocation.h */
    size_t records_len;
};

/* Which group: a run's, or all zero: the mesh group's. */
struct group_id {
    uint8_t bytes[RUN_ID_SIZE];
};

struct ballot {
    uint64_t counter;
    struct node_id node;
};
int ballot_compare(const struct ballot *a, const struct ballot *b);

struct log_position { /* of the last entry of a log */
    uint64_t index;   /* from 1; 0: nothing */
    struct ballot ballot;
};

struct vote_message {
    struct group_id group;
    uint64_t generation;
    struct ballot ballot;
    struct log_position last;
    bool is_trial; /* would you? Nothing is promised */
};
struct voted_message {
    struct group_id group;
    uint64_t generation;
    struct ballot ballot; /* the one that was asked for */
    bool is_trial, is_granted;
    struct ballot promised; /* when it was refused */
    uint64_t commit;
    struct node_id
        homes[HOMES_MAX]; /* when the asker's generation is over: the newer */
    uint32_t n_homes;
    uint64_t homes_generation;
};

struct log_entry {
    struct ballot ballot; /* under which it was proposed first */
    uint8_t *key;         /* as in STORE_RECORDS; empty: none, the entry only counts */
    size_t key_len;
    uint8_t *value;
    size_t value_len;
    bool is_delete;
    bool is_again; /* the record of an attempt, written again: nothing that was told of
                      it before counts */
    struct node_id homes[HOMES_MAX]; /* n_homes > 0: the last of its generation */
    uint32_t n_homes;
};
struct append_message {
    struct group_id group;
    uint64_t generation;
    struct ballot ballot;
    struct log_position before; /* of the entry before the first one here */
    struct log_entry *entries;
    size_t n_entries; /* 0: a heartbeat */
    uint64_t commit;
};
struct appended_message {
    struct group_id group;
    uint64_t generation;
    struct ballot
        ballot;      /* of the append; or, refused, a higher one that was promised */
    bool is_refused; /* by the ballot */
    bool is_gap;     /* `before` is not in my log: go on from `last` */
    uint64_t last;   /* up to which my log equals yours and is durable; with is_gap:
                        a guess */
};

struct install_message {
    struct group_id group;
    uint64_t generation; /* that begins with it */
    struct node_id homes[HOMES_MAX];
    uint32_t n_homes;
    struct ballot ballot;     /* of the leader that sends it */
    struct log_position base; /* what the log goes on from, when it is done */
    uint64_t part;            /* from 0 */
    bool is_last;
    struct log_entry *entries; /* keys and values */
    size_t n_entries;
};
struct installed_message {
    struct group_id group;
    uint64_t generation;
    struct ballot ballot;
    uint64_t part; /* durable up to here */
};

enum propose_op { PROPOSE_READ = 1, PROPOSE_ADD, PROPOSE_SWAP };
struct propose_message { /* a register of the mesh group */
    uint64_t request;
    enum propose_op op;
    char *key;
    bool has_expected; /* PROPOSE_SWAP: only if the value is this; else if there is none
                        */
    uint8_t *expected, *value;
    size_t expected_len, value_len;
    int64_t add; /* PROPOSE_ADD: to a number; the answer has the sum */
};
struct proposed_message {
    uint64_t request;
    int32_t status; /* 0; -EAGAIN: ask `leader`; -ESTALE: another value; -EBUSY */
    struct node_id leader;
    uint8_t *value;
    size_t value_len;
};

/* ---- leases ---- */

/* Whom a worker listens to: a greater rank; a sealed leader before any tentative one.
 */
struct rank {
    bool is_sealed;
    uint64_t generation;
    struct ballot ballot;
};
int rank_compare(const struct rank *a, const struct rank *b);

struct want_message {
    uint32_t boot;          /* of the worker's incarnation */
    uint64_t seq;           /* the newest replaces those before */
    uint32_t slots;         /* leases at once, those that wait here too; 0: no more */
    uint32_t ahead_percent; /* how much beyond what it has: 100 is none */
};

/* An attempt, for ever: its executor numbers it. */
struct attempt_name {
    struct node_id node;
    uint32_t boot;
    uint64_t counter;
};

/* A lease that a leader found at a worker has this bit and the worker's own counter as
 * its id, so that both know it without another word. */
#define LEASE_OF_WORKER (1ULL << 63)

struct lease {
    uint64_t id; /* the leader's, under this rank */
    struct run_id run;
    struct task_id task;
    uint32_t
        attempt; /* what the task is told; the record's is set when it is decided */
    uint64_t gpus;
    uint64_t fence; /* effect: exclusive; 0: pure */
};
struct grant_message {
    uint32_t boot; /* of the worker */
    struct rank rank;
    struct lease *leases;
    size_t n_leases;
    /* Not 0: grants nothing, but says that those of this report which have a fence may
     * run on, as their leader knew `age` ago (us) that it is the leader. */
    uint64_t report, age;
};
struct recall_message {
    struct rank rank;
    int32_t signal; /* 0: only those that have not started */
    uint32_t why;   /* enum reason, with a signal */
    uint64_t *leases;
    size_t n_leases;
};
struct recalled_message {
    struct rank rank;
    uint64_t *leases; /* given back: never started */
    size_t n_leases;
};

struct offered_attempt {
    struct attempt_name name;
    uint64_t lease; /* 0: none of this rank */
    struct run_id run;
    struct task_id task;
    struct digest witness; /* of the inputs it consumed */
    uint8_t *record;       /* attempt_record_encode() */
    size_t record_len;
};
struct commit_message {
    struct rank rank; /* to whom */
    struct offered_attempt *attempts;
    size_t n_attempts;
    uint64_t *dropped; /* leases that cannot be carried out here: not charged */
    size_t n_dropped;
    uint64_t *refused; /* leases of runs that the policy here forbids: likewise */
    size_t n_refused;
    uint32_t refusal; /* enum refusal, of those */
};
enum offer_result {
    OFFER_DECIDED = 1, /* it counts, or is counted as a failure */
    OFFER_LOSER,       /* another one counts */
    OFFER_ENDED,       /* the run is over */
    OFFER_TENTATIVE,   /* a tentative leader has taken it: keep it for a sealed one */
};
struct offer_answer {
    struct attempt_name name;
    enum offer_result result;
};
struct committed_message {
    struct run_id run;
    struct rank rank;
    struct offer_answer *answers;
    size_t n_answers;
};

struct lead_message {
    struct run_id run;
    struct rank rank;
    bool is_ended; /* its end is sealed: forget what you hold of it */
    uint8_t *end;  /* its record, of who has nothing else of it any more */
    size_t end_len;
};
struct held_lease { /* what runs */
    struct run_id run;
    struct task_id task;
    uint32_t attempt;
    struct attempt_name name;
    uint64_t gpus;
    bool is_started;
    struct digest witness;
    uint64_t lease; /* 0: none of this rank; see LEASE_OF_WORKER */
    uint64_t fence; /* 0: none */
};
struct report_message {
    struct run_id run;
    struct rank rank; /* answered */
    uint32_t boot;
    uint64_t seq;
    bool is_last; /* of this answer: a long one comes in parts */
    struct held_lease *held;
    size_t n_held;
    struct offered_attempt *kept; /* ended here and not yet decided */
    size_t n_kept;
};

/* ---- what a worker or reader gets from others ---- */

struct records_get_message {
    uint64_t request;
    struct run_id run;
    uint8_t *from, *prefix; /* keys; from empty: the prefix itself */
    size_t from_len, prefix_len;
    uint32_t bytes_max;
};
struct records_message {
    uint64_t request;
    int32_t status; /* 0; -ENOENT: I hold nothing of this run; -EAGAIN: ask `leader` */
    struct node_id leader;
    bool has_more;
    struct log_entry *entries;
    size_t n_entries;
};

struct request_message {
    uint64_t request;
    char *method, *target, *user;
    uint32_t role; /* of the user, as the first node knows it */
    char *content_type;
    uint8_t *body;
    size_t body_len;
    bool is_cancelled; /* nobody waits for the answer any more */
    char *headers;     /* more of them: lines of NAME: VALUE */
    uint64_t window;   /* parts of the answer that may be sent; with a number that was
                          sent before and no method: more of them */
};
struct reply_message {
    uint64_t request;
    uint32_t status; /* of HTTP; in the first part */
    char *content_type;
    uint64_t part;
    bool is_last;
    uint8_t *body;
    size_t body_len;
    char *headers;   /* as above; in the first part */
    bool is_cut_off; /* the last one, and the answer is not whole */
};

struct blob_find_message { /* and BLOB_KEEP, BLOB_KEPT */
    uint64_t request;
    struct digest *ids;
    size_t n_ids;
    struct node_id from; /* BLOB_KEEP: who has them */
    struct run_id
        run; /* likewise: which run made them, and the record of its attempt */
    uint8_t *record;
    size_t record_len;
};
struct blob_holder {
    struct digest id;
    bool is_whole; /* all of it is here */
    uint64_t size; /* of all of it; 0 when nothing of it is here */
    uint8_t *have; /* not whole: a bit for each stretch of leaves; node/fetch.h */
    size_t have_len;
    struct node_id *others; /* who asked for it lately, so that they may have a part */
    size_t n_others;
};
struct blob_holders_message {
    uint64_t request;
    struct blob_holder *holders; /* those of the question of which anything is known */
    size_t n_holders;
};
/* What is asked for; the names of parts are those of store/digest.h. */
enum blob_part {
    BLOB_FIRST = 1, /* the blob if it is one leaf, else its top; an answer says which */
    BLOB_LEAF,      /* the leaf at `offset` */
    BLOB_TOP,       /* digests which make the id: of the leaves, or of their groups */
    BLOB_GROUP,     /* digests of the leaves of the group that begins at `offset` */
};
struct blob_get_message {
    uint64_t request;
    struct digest id;
    enum blob_part part;
    uint64_t offset;
};
struct blob_data_message {
    uint64_t request;
    int32_t status; /* 0; -ENOENT; -EBUSY: ask somebody else for now */
    struct digest id;
    enum blob_part part;
    uint64_t offset, size; /* of all of it */
    uint8_t *data;
    size_t data_len;
};

struct message {
    enum message_type type;
    union {
        struct hello hello;
        struct ping ping; /* PING, PONG */
        struct gossip_message gossip;
        struct sync_message sync;
        struct join_message join;
        struct joined_message joined;
        struct revoked_message revoked;
        struct vote_message vote;
        struct voted_message voted;
        struct append_message append;
        struct appended_message appended;
        struct install_message install;
        struct installed_message installed;
        struct propose_message propose;
        struct proposed_message proposed;
        struct want_message want;
        struct grant_message grant;
        struct recall_message recall;
        struct recalled_message recalled;
        struct commit_message commit;
        struct committed_message committed;
        struct lead_message lead;
        struct report_message report;
        struct records_get_message records_get;
        struct records_message records;
        struct request_message request;
        struct reply_message reply;
        struct blob_find_message blob_find; /* FIND, KEEP, KEPT */
        struct blob_holders_message blob_holders;
        struct blob_get_message blob_get;
        struct blob_data_message blob_data;
    } u;
    void *arena; /* of a decoded one: all that it points to; message_release() */
};

/* Appends header and body. The message is only read, so lists may be borrowed. A text
 * that is NULL is "".
 * -EINVAL  an enumerator or something that must be there is unset (message.proto says
 *          what), or a text is no UTF-8
 * -E2BIG   a list, a text or the whole is too long
 * -ENOMEM
 * On failure nothing was appended. */
int message_encode(const struct message *m, struct buffer *out);

/* 0: all that *ret points to lives until message_release(); no text is NULL.
 * -EBADMSG          no frame of ours, or one that breaks a rule above
 * -EPROTONOSUPPORT  another major
 * -ENOMSG           an unknown type: newer than we are
 * -ENOMEM
 * On failure *ret is unchanged. */
int message_decode(const void *data, size_t len, struct message *ret);
void message_release(struct message *m);

/* The type without decoding the rest; 0: not a frame. */
enum message_type message_peek(const void *data, size_t len);
