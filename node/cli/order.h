/* SPDX-License-Identifier: Apache-2.0 */
/* order - a run that is asked for, by whichever way: of a node in this process
 * (local.c) or of one behind a socket (remote.c), new or resumed. */
#pragma once

#include "base/ids.h"
#include "node/cli/client.h"
#include "node/cli/console.h"
#include "node/cli/flow_file.h"
#include "node/runtime.h"

struct membership; /* node/cli/membership.h */

struct order {
    struct flow_file *file;
    bool has_package; /* of the run before: the files of now are not looked at */
    struct digest package;
    bool has_origin;
    struct run_id origin;
    const char *origin_step; /* NULL: from the first that failed */
    bool is_restored; /* the origin itself goes on in this node: nothing is submitted */
    bool clamp;
    uint32_t max_workers, share;
    const char *on_failure;
    const char *user; /* NULL: whoever asks */
    char **tags;      /* NULL-terminated */
    char *tags_text;
};

/* A new run that takes over what another one has done. */
struct going_on {
    const char *run, *step; /* step NULL: from the first that failed */
    bool is_same_code;      /* else the files as they are now */
    bool is_retry;          /* there must be something to try again */
};

/* Does all of it, by the options of mesh resume; the exit code. */
int order_go_on(const struct options *o, const struct going_on *how);

/* --max-workers, --on-failure, --share, --as and --tags; says what is wrong; the exit
 * code, or 0. */
int order_options(struct order *order, const struct options *o);
void order_release(struct order *order);
/* Says how many tasks of the run before a resumed one takes over; is_over: it has ended
 * already, because they were all. */
void order_say_adopted(const struct order *order, uint64_t n, bool is_over);
/* Who asks: by name, or by number. */
const char *order_user(void);
/* --quiet, --json and --timestamps, and what standard output is. */
struct console_config console_config_of(const struct options *o);

#define OPTION_MAX_WORKERS                                     \
    {                                                          \
        "max-workers", 0, "N", "at most so many tasks at once" \
    }
#define OPTION_ON_FAILURE                                             \
    {                                                                 \
        "on-failure", 0, "HOW",                                       \
            "stop: start no more; finish: do the rest; kill: end all" \
    }
#define OPTION_TAGS                                  \
    {                                                \
        "tags", 0, "A,B", "words to find the run by" \
    }
#define OPTION_QUIET                                                     \
    {                                                                    \
        "quiet", 'q', NULL, "print only the start, failures and the end" \
    }
#define OPTION_PLAIN                                       \
    {                                                      \
        "plain", 0, NULL, "lines only, also in a terminal" \
    }
#define OPTION_JSON_LINES                                     \
    {                                                         \
        "json", 0, NULL, "print each event as a line of JSON" \
    }
#define OPTION_TIMESTAMPS                                      \
    {                                                          \
        "timestamps", 0, NULL, "put the time before each line" \
    }
#define OPTION_SLOTS                                            \
    {                                                           \
        "slots", 0, "N", "tasks at once, whatever they ask for" \
    }
#define OPTION_CPU                                                    \
    {                                                                 \
        "cpu", 0, "N", "processors to give away (else the machine's)" \
    }
#define OPTION_GPUS                                             \
    {                                                           \
        "gpus", 0, "N", "GPUs to give away (else /dev/nvidia*)" \
    }
#define OPTION_RESOURCE                                                 \
    {                                                                   \
        "resource", 0, "NAME=N...", "so much of a resource of your own" \
    }
#define OPTION_CONFIG                                                              \
    {                                                                              \
        "config", 0, "FILE", "read this (else DIR/mesh.conf, /etc/mesh/mesh.conf)" \
    }
#define OPTION_SHARE                                                  \
    {                                                                 \
        "share", 0, "N", "its weight beside your other runs (else 1)" \
    }
#define OPTION_AS                                                       \
    {                                                                   \
        "as", 0, "NAME", "the run is this user's; only root may say so" \
    }
#define OPTION_MEMORY                                                   \
    {                                                                   \
        "memory", 0, "SIZE", "memory to give away (else the machine's)" \
    }
#define OPTION_QUOTA                                         \
    {                                                        \
        "quota", 0, "SIZE", "how large the store may become" \
    }

/* Of a run that goes on from another. */
#define OPTIONS_OF_GOING_ON                                                            \
    OPTION_QUIET, OPTION_TIMESTAMPS, OPTION_PLAIN, OPTION_COLOUR, OPTION_JSON_LINES,   \
        OPTION_MAX_WORKERS, OPTION_ON_FAILURE, OPTION_TAGS, OPTION_DATA, OPTION_SLOTS, \
        OPTION_CPU, OPTION_MEMORY, OPTION_GPUS, OPTION_RESOURCE, OPTION_QUOTA,         \
        OPTION_SHARE, OPTION_AS, OPTION_HELP, OPTION_END

/* ---- in this process ---- */

/* Opens a node on the data folder. When another process has the store: *ret_client is
 * the node there, or it was said that there is none. 0 with one of both, or the exit
 * code. A node that only shows the store is waited for. ret_why, where it is not NULL,
 * is written when the store cannot be opened by anybody, which was said too. m: of
 * which mesh it is, borrowed until the node is closed; NULL: of none. */
int local_open(const struct options *o, const char *dir, const struct membership *m,
               struct runtime **ret_runtime, struct client **ret_client,
               struct error *ret_why);
/* Submits, follows until the node's last run ended, and closes the node. */
int local_run(struct runtime *take_runtime, struct order *order,
              const struct options *o);
/* Prints what a run of this store that has ended came to: see summary.h. */
void local_say_end(struct runtime *rt, const struct run_id *id,
                   const struct flow *flow);
/* Holds a node until somebody ends it, and closes it. */
int local_serve(struct runtime *take_runtime);

/* ---- over a socket ---- */

/* Sends what the node lacks of the package, and the order. 0 and the run's answer,
 * {run, number, diagnostics}; or the exit code. */
int remote_submit(struct client *c, struct order *order, json_t **ret_json);
/* Prints what happens to a run until it ends; the exit code. With is_owner, Ctrl-C
 * cancels the run; else it only ends the following. */
int remote_follow(struct client *take_client, const struct options *o, const char *run,
                  uint64_t number, bool is_owner);
/* Submits and follows. */
int remote_run(struct client *take_client, struct order *order,
               const struct options *o);
/* The event's JSON as node/feed.h has it, for a console; it borrows from json. */
bool event_read(const char *name, const json_t *json, struct feed_event *ret,
                const char **ret_task);
