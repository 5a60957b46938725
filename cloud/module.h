/* SPDX-License-Identifier: Apache-2.0 */
/* module - what mesh-cloud.so gives the program, which loads it when something is to be
 * had from a store or brought there: libcurl is not paid for at a start.
 *
 * A `cloud` holds what all stores of a process share: the transfer engine and the keys.
 * Stores and transfers are used as their headers say; what they are opened and started
 * with is here. */
#pragma once

#include "cloud/address.h"
#include "cloud/transfer.h"

struct cloud;

struct cloud_options {
    const struct store_settings *conf; /* NULL: none; borrowed for as long */
    uint32_t calls_max;                /* 0: as the environment or conf, or the usual */
    bool is_relaxed;                   /* of folders: object_store.h */
};

struct cloud_module {
    /* -EINVAL with the name of what cannot be. */
    int (*open)(uv_loop_t *loop, const struct cloud_options *options,
                struct cloud **ret_cloud, struct error *ret_error);
    /* Its stores are freed with it. The loop must run until it has nothing left. */
    void (*close)(struct cloud *c);
    /* As people write it, with `datastore:`. The caller releases it. */
    int (*parse)(struct cloud *c, const char *text, struct store_address *ret,
                 struct error *ret_error);
    /* The store of an address, opened at its first use, with the keys that are for it;
     * it belongs to the cloud. */
    int (*store)(struct cloud *c, const struct store_address *a,
                 struct object_store **ret_store, struct error *ret_error);
    struct transfers *(*transfers)(struct cloud *c);

    int (*start)(struct transfers *e, const struct transfer_request *request,
                 struct transfer **ret_transfer);
    void (*cancel)(struct transfer *t);
    void (*progress)(const struct transfers *e, struct transfers_progress *ret);
    void (*release_address)(struct store_address *a);
    int (*address_text)(const struct store_address *a, const char *key,
                        struct buffer *out);
};
