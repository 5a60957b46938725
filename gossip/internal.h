/* SPDX-License-Identifier: Apache-2.0 */
/* internal - the parts of one node's gossip, for the files of this folder.
 *
 *     gossip.c      calls in: what arrived, what time it is
 *     view.c        what changes when something is learnt of a member
 *     detector.c    asking the subjects, blaming; isolation; the own health
 *     suspicions.c  from suspect to dead
 *     links.c       who is to be connected
 *     spread.c      rumours into frames
 *     sync.c        comparing with others all that is known
 *
 * A call keeps its time and outbox in `now` and `out`; all functions return 0 or
 * -ENOMEM. */
#pragma once

#include "base/prng.h"
#include "gossip/members.h"
#include "gossip/rings.h"
#include "gossip/rumours.h"
#include "gossip/runs.h"
#include "gossip/table.h"

enum {
    MEMBERS_MAX = 1 << 17,
    LINKS_MAX = 1024,
    WATCHES_MAX = GOSSIP_RINGS,
    STRIKES = 3,
    FANOUT = 4,
    MESH_AGAIN = 48, /* rings end below this: not at every coming and going */
    FRAME_BYTES = 32 << 10,
    FRAME_NOTES = 1024,
    ALL_OBSERVERS = 0xff,
};

/* ---- what is kept of members ---- */

struct age { /* of those that changed their state here; the others: as long as we run */
    struct node_id id;
    time_us since;
    time_us due;  /* of a suspicion: then it is dead; 0: none is running */
    time_us told; /* when we last told it what is said of it */
};

struct deadline {
    time_us due;
    struct node_id id;
};

struct suspicions { /* a heap; those that were moved or refuted are passed over */
    struct deadline *heap;
    size_t n, cap;
};

/* ---- whom we talk to ---- */

struct link {
    struct node_id id;
    bool is_wanted, is_connected;
    time_us dialled;
    time_us framed; /* when the last rumours went there */
    uint32_t syncs; /* of this round */
};

struct watch { /* of a subject: whom we observe */
    struct node_id id;
    uint8_t ring;      /* as which of its observers */
    uint8_t strikes;   /* how often it was late in a row */
    time_us asked;     /* since when it owes a pong; 0: it does not */
    time_us heard;     /* its last pong */
    time_us struck;    /* when it was last found to be missing */
    time_us quiet;     /* until then it is not blamed before others do */
    uint8_t refuted;   /* how often it was alive though we could not hear it */
    uint8_t blamed_as; /* the ring of the blame at blamed_incarnation */
    uint64_t blamed_incarnation;
    time_us differs; /* since when its fingerprint is not ours; 0: it is */
};

struct scratch { /* what actions point to, until the next call */
    struct scratch *next;
    max_align_t bytes[];
};

struct gossip {
    struct node_id self;
    struct card *card;
    uint64_t incarnation;
    enum member_state state; /* ALIVE, or LEFT */
    struct gossip_timing timing;
    struct prng prng;

    struct gossip_pool *pool;
    struct twig *members;
    struct table ages, links;
    size_t n_connected;
    struct rings rings;
    bool is_full_mesh, is_view_changed;
    struct suspicions suspicions;

    struct watch watches[WATCHES_MAX];
    unsigned n_watches;
    uint64_t ping_seq;
    uint8_t health;
    bool is_round_clean, is_isolated, is_alone;
    time_us heard;  /* anybody */
    time_us judges; /* from when silence counts: we were late ourselves before */
    time_us round;  /* the next one */

    struct rumours rumours, run_rumours;
    time_us spent; /* of a bucket of FANOUT frames a period: full a period later */
    struct runs runs;
    time_us runs_due;

    bool is_catching_up; /* a newcomer passes nothing on */
    time_us sync_due, sync_next, synced;
    time_us redial_due, sweep_due;
    struct node_id guest, redialled; /* links for a comparison, and to a dead member */
    time_us twin_since;
    unsigned n_twins;

    /* of the call */
    time_us now;
    struct gossip_outbox *out;
    struct scratch *scratch;
    time_us due, started;
    bool has_started;
};

/* ---- outbox.c ---- */

void *gossip_scratch(struct gossip *g, size_t size); /* zero; NULL without memory */
void gossip_scratch_clear(struct gossip *g);
/* NULL without memory. */
struct gossip_action *gossip_act(struct gossip *g, enum gossip_action_type type,
                                 const struct node_id *peer);
/* The same without anything to add. */
int gossip_say(struct gossip *g, enum gossip_action_type type,
               const struct node_id *peer);
int gossip_send(struct gossip *g, const struct node_id *peer,
                const struct message *message);

static inline unsigned gossip_slowness(const struct gossip *g)
{
    return 1u + g->health;
}
/* Something says that we are slow or hard to reach; counts once a round. */
static inline void gossip_ail(struct gossip *g)
{
    if (g->is_round_clean && g->health < GOSSIP_HEALTH_MAX)
        g->health++;
    g->is_round_clean = false;
}

/* ---- view.c ---- */

enum source { SOURCE_SELF = 1, SOURCE_HEARSAY };
int view_learn(struct gossip *g, const struct fact *theirs, enum source source);
int view_hear(struct gossip *g, const struct member_note *note);
/* Raise the own incarnation to this and say so. */
int view_rise(struct gossip *g, uint64_t incarnation);
int view_say_self(struct gossip *g);
/* After changes: neighbours, subjects, links. */
int view_refresh(struct gossip *g);
struct age *view_age(struct gossip *g, const struct node_id *id);

/* ---- detector.c ---- */

struct watch *detector_find(struct gossip *g, const struct node_id *id);
/* Its last pong; 0: none, or it is not watched. */
time_us detector_heard(const struct gossip *g, const struct node_id *id);
void detector_refresh(struct gossip *g);
int detector_on_tick(struct gossip *g);
time_us detector_deadline(const struct gossip *g);
int detector_on_heard(struct gossip *g);
/* We were late: what is missing may be waiting for us. */
void detector_on_late(struct gossip *g);
int detector_on_ping(struct gossip *g, const struct node_id *from,
                     const struct ping *p);
int detector_on_pong(struct gossip *g, const struct node_id *from,
                     const struct ping *p);
int detector_on_refused(struct gossip *g, const struct node_id *peer);
/* A subject is suspected by others. */
int detector_on_suspect(struct gossip *g, const struct note *note, bool was_suspect);
void detector_on_refuted(struct gossip *g, const struct note *note);
int detector_ping(struct gossip *g, const struct node_id *peer);

/* ---- suspicions.c ---- */

int suspicion_arm(struct gossip *g, const struct note *note, struct age *age);
int suspicions_arm_all(struct gossip *g);
int suspicions_on_tick(struct gossip *g);
time_us suspicions_deadline(const struct gossip *g);

/* ---- links.c ---- */

struct link *link_find(const struct gossip *g, const struct node_id *id);
int link_want(struct gossip *g, const struct node_id *id);
int link_drop(struct gossip *g, const struct node_id *id);
int links_refresh(struct gossip *g);
int links_round(struct gossip *g);
int link_on_connected(struct gossip *g, const struct node_id *peer);
void link_on_disconnected(struct gossip *g, const struct node_id *peer);
bool link_is_up(const struct gossip *g, const struct node_id *id);
/* A link for a while, in place of the one that *guest names. */
int link_invite(struct gossip *g, struct node_id *guest, const struct node_id *peer);

/* ---- spread.c ---- */

struct frame { /* notes on their way to one peer */
    struct node_id peer;
    struct member_note *notes;
    size_t n, cap, bytes;
};
int frame_add(struct gossip *g, struct frame *f, const struct note *n, bool with_card);
int frame_send(struct gossip *g, struct frame *f);
/* One note, at once. */
int spread_tell(struct gossip *g, const struct node_id *peer, const struct note *n,
                bool with_card);
/* What is said of a member that it may want to refute. */
int spread_confront(struct gossip *g, const struct note *n);
int spread_runs(struct gossip *g, const struct node_id *peer);
int spread_flush(struct gossip *g, bool to_all);
time_us spread_deadline(const struct gossip *g);
int spread_hear_run(struct gossip *g, const struct run_note *note);
int spread_tell_run(struct gossip *g, const struct run_note *note);
int spread_on_tick(struct gossip *g);

/* ---- sync.c ---- */

int sync_start(struct gossip *g, const struct node_id *peer);
int sync_on_message(struct gossip *g, const struct node_id *from,
                    const struct sync_message *m);
int sync_on_fingerprint(struct gossip *g, const struct node_id *from,
                        const uint8_t theirs[16]);
int sync_on_tick(struct gossip *g);
time_us sync_deadline(const struct gossip *g);
/* It was dead and is back: both sides have much to tell. */
int sync_on_return(struct gossip *g, const struct node_id *peer);
