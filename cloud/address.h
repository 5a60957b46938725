/* SPDX-License-Identifier: Apache-2.0 */
/* address - where an object is, as people write it, and how its store is spoken to, as
 * mesh.conf and the environment say.
 *
 *     s3://BUCKET/KEY                  gs://BUCKET/KEY
 *     azure://ACCOUNT/CONTAINER/KEY https://ACCOUNT.blob.core.windows.net/CONTAINER/KEY
 *     file:///PATH                     PATH
 *     datastore:KEY                    below the root of the configured datastore
 *
 * Keys are taken as they stand; only https:// and file:// have %XX. Pure. */
#pragma once

#include "cloud/object_store.h"

enum store_kind {
    STORE_FILE = 1,
    STORE_S3,
    STORE_AZURE,
    STORE_GS,
};

struct store_address {
    enum store_kind kind;
    char *bucket;   /* of Azure the container, of file the folder; never "" */
    char *key;      /* "": all of it */
    char *account;  /* of Azure; NULL: as configured */
    char *endpoint; /* as the address has it; NULL: the usual, or as configured */
};

/* -EINVAL with the sentence. */
int store_address_parse(const char *text, struct store_address *ret,
                        struct error *ret_error);
void store_address_release(struct store_address *a);
/* The same in the shortest form, for people and for names of state files. */
int store_address_text(const struct store_address *a, const char *key,
                       struct buffer *out);
bool store_address_same_store(const struct store_address *a,
                              const struct store_address *b);

/* The block `datastore` of mesh.conf; NULL and 0: not said. */
struct store_settings {
    const char *root, *endpoint, *region, *account, *encryption, *kms_key,
        *storage_class, *tags;
    uint32_t retries, workers;
    bool has_retries, is_path_style;
};

/* The environment: a value or NULL. */
struct store_environment {
    const char *(*get)(void *arg, const char *name);
    void *arg;
};

/* `datastore:KEY` becomes KEY below the root that METAFLOW_DEFAULT_DATASTORE and its
 * METAFLOW_DATASTORE_SYSROOT_*, else mesh.conf says; any other text stays. -ENOENT:
 * there is none, with what to write. */
int store_resolve(const char *text, const struct store_settings *conf,
                  const struct store_environment *env, struct buffer *out,
                  struct error *ret_error);

/* How the store of an address is spoken to: what the environment says wins over
 * mesh.conf, and only the part of it for this kind of store counts. What `ret` points
 * to belongs to the address, conf, env and `storage`. -EINVAL with the name of the
 * variable whose value cannot be. */
int store_options(const struct store_address *a, const struct store_settings *conf,
                  const struct store_environment *env, struct buffer *storage,
                  struct object_store_options *ret, struct error *ret_error);

/* How many requests at once; 0: not said. -EINVAL likewise. */
int store_workers(const struct store_settings *conf,
                  const struct store_environment *env, uint32_t *ret,
                  struct error *ret_error);
