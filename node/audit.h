/* SPDX-License-Identifier: Apache-2.0 */
/* audit - who did what at a node: a line for each, in a chain.
 *
 *     mesh-audit 1 <number of the entry before> <digest of the line before>
 *     <digest> {"number": 12, "wall_us": ..., "verb": "submit", "verdict": "done", ...}
 *
 *     digest = SHA-256(digest of the line before, 32 bytes | the JSON), as 64 digits
 *
 * A line that was changed has another digest; one that was taken out is missed by the
 * number and the digest of the next. A file begins with where the one before it ended.
 *
 * Of bytes alone: files are node/audit_log.h's. */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"

enum {
    AUDIT_LINE_MAX = 8 << 10, /* with its newline */
    AUDIT_TEXT_MAX = 512,     /* of a text in an entry; what is longer is cut */
    AUDIT_VERB_MAX = 32,
};

enum audit_verdict {
    AUDIT_DONE = 1,
    AUDIT_REFUSED, /* who asked may not, or it cannot be */
    AUDIT_FAILED,  /* it was tried, and something broke */
};

/* How somebody came in. */
enum audit_way {
    AUDIT_BY_SOCKET = 1, /* from: the user's number */
    AUDIT_BY_TOKEN,      /* from: the id of the token; "" for none that is known */
    AUDIT_BY_PEER,       /* from: the node that passed it on */
    AUDIT_BY_TASK,       /* from: whose channel it came by */
    AUDIT_BY_PROCESS, /* `mesh run` with a node of its own; from: the user's number */
    AUDIT_BY_MESH,    /* from: the other node */
};

struct audit_entry {
    uint64_t number; /* from 1 */
    time_us wall;
    enum audit_verdict verdict;
    enum audit_way way;
    const char *verb; /* "submit", ... */
    const char *user; /* as it is known; "" when it is not */
    const char *from;
    const char *about; /* what was done it to */
    const char *why;   /* of a refusal or a failure */
    uint64_t n_unsaid; /* before it: refusals like it, or what did not fit the disk */
};

const char *audit_verdict_name(enum audit_verdict v);
enum audit_verdict audit_verdict_parse(const char *name); /* 0: no such */
const char *audit_way_name(enum audit_way w);

/* The entry that was last. All zero: there is none yet. */
struct audit_chain {
    uint64_t number;
    struct digest digest;
};

/* Append the line of the next entry, whose number is set, and move the chain on. NULL
 * texts are "". -ENOMEM: nothing changed. */
int audit_write(struct audit_chain *chain, struct audit_entry *e, struct buffer *out);
int audit_write_head(const struct audit_chain *chain, struct buffer *out);

enum audit_fault {
    AUDIT_GOOD = 0,
    AUDIT_NO_HEAD,    /* the file does not begin as one does */
    AUDIT_GAP,        /* entries before this one are missing, or stand elsewhere */
    AUDIT_CHANGED,    /* not what was written, or not behind what was */
    AUDIT_UNREADABLE, /* no line of this kind */
    AUDIT_CUT,        /* the last line has no end */
};
const char *audit_fault_sentence(enum audit_fault f);

/* A good entry, which is borrowed, or a fault; `e` then has no more than the number
 * that was expected. The chain has moved on. Anything but 0 ends the reading. */
typedef int audit_each_fn(void *arg, const struct audit_entry *e,
                          enum audit_fault fault);

/* Read a file. The chain says what it should go on from; with number 0 what the file
 * says of that is believed. It is the file's end afterwards. One fault is told once:
 * what follows is held against the line as it stands. Returns what `each` did, or
 * -ENOMEM. */
int audit_read(const char *text, size_t len, struct audit_chain *chain,
               audit_each_fn *each, void *arg);

/* Where a chain stands after this line, as the line says; false: it is none. */
bool audit_read_last(const char *line, size_t len, struct audit_chain *ret);

/* ---- a bound on what strangers can have written ---- */

enum { AUDIT_GATE_BURST = 32 };

/* One entry a second, and AUDIT_GATE_BURST at once; what is more is counted. */
struct audit_gate {
    time_us full_at; /* when all of the burst is there again */
    uint64_t n_unsaid;
};
/* True: it is written, and *ret_unsaid were not before it. */
bool audit_gate_pass(struct audit_gate *g, time_us now, uint64_t *ret_unsaid);
