/* SPDX-License-Identifier: Apache-2.0 */
/* conf - what mesh.conf says: what a node gives away, and to whom.
 *
 *     resources: {cpu: 8, memory: 32G, gpu: 2, licence: 3}
 *     quota: 200G
 *     shared_uid: yes
 *     accounts: {ann: ann, ben: lab}
 *     task_account: mesh-task
 *     policy: {users: [ann, ben]}
 *     default_user: {max_tasks: 100}
 *     users:
 *       ann: {weight: 2, max_cpu: 4}
 *
 * Read like a flow file, with all errors at once. Options of the command line are put
 * on top by whoever read them; each value remembers where it came from. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "base/macros.h"
#include "cloud/address.h"
#include "flow/diagnostic.h"
#include "flow/flow.h"
#include "node/policy.h"
#include "scheduler/sharing.h"

enum { CONF_BYTES_MAX = 1 << 20, CONF_SLOTS_MAX = 1024, CONF_CONTACTS_MAX = 16 };

/* Where a value came from: its line in the file, or an option. */
struct conf_place {
    uint32_t line;      /* 0: not in the file */
    const char *option; /* NULL: none; it wins over the file */
};

/* A setting that is a text. */
struct conf_text {
    const char *text; /* NULL: not said */
    struct conf_place place;
};

struct conf_custom {
    char *name;
    uint64_t milli;
    struct conf_place place;
};

/* Whose account the tasks of a user get; node/account.h. */
struct conf_account {
    char *user, *account;
    struct conf_place place;
};

struct conf {
    uint32_t refs;
    char *path; /* of the file; NULL: there was none */
    uint64_t cpu_milli, memory_bytes, quota_bytes; /* 0: not said */
    uint32_t slots;                                /* 0: not said */
    uint32_t n_gpus;
    bool has_gpus;
    bool is_shared; /* other users of the machine may submit */
    struct conf_custom custom[RESOURCES_CUSTOM_MAX];
    uint32_t n_custom;
    struct conf_account *accounts;
    uint32_t n_accounts;
    char *task_account; /* NULL: not said */
    struct policy policy;
    struct sharing sharing;
    struct conf_place *user_places; /* of sharing.users */
    /* Which node of a mesh it is; docs/operations.md. */
    struct conf_text name, zone, peer_listen, advertise, discover;
    struct conf_text contacts[CONF_CONTACTS_MAX];
    uint32_t n_contacts;
    struct store_settings datastore; /* docs/stores.md */
    struct {
        struct conf_place cpu, memory, gpu, quota, slots, shared_uid, default_user,
            task_account;
    } place;
    struct arena *arena; /* owns the texts */
};

/* Nothing is said. NULL without memory. */
struct conf *conf_new(void);
struct conf *conf_ref(struct conf *c);
void conf_unref(struct conf *c);
CLEANUP_POINTER(struct conf, conf_unref);

/* -EINVAL with all that is wrong in *d; -ENOMEM. */
int conf_read(struct conf *c, const char *text, size_t len, struct diagnostics *d);

/* NAME=N of --resource: one more custom resource, or another value for one. -EINVAL
 * with the sentence. */
int conf_add_resource(struct conf *c, const char *text, const char *option,
                      struct error *ret_error);
