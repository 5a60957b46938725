/* SPDX-License-Identifier: Apache-2.0 */
/* credentials - what requests are signed with: had when first asked for, kept in locked
 * memory, renewed before it expires, wiped when it is replaced.
 *
 * Where they come from is a source (aws_*.c, azure_*.c, google_*.c). The texts of a key
 * are never logged and never part of an error. Belongs to the loop's thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/error.h"

enum {
    /* Renewed so long before they expire; of those that live less than twice as long,
     * when half of it is over. Until the new key is there the old one is given. */
    CREDENTIALS_EARLY_S = 300,
    CREDENTIALS_LEAST_S = 60, /* never given away with less left, if it can be helped */
    CREDENTIALS_WAITING_MAX = 4096,
};

/* One key: of AWS the id, secret and session token; of Azure the account and its key,
 * or a bearer token alone, or a SAS as token; of Google a bearer token, or an HMAC
 * pair. */
struct credential {
    char *id, *secret, *token; /* NULL: not part of it */
    int64_t expires_s;         /* since 1970; 0: never */
    const char *from;          /* "environment", "profile work", ...: for doctor; the
                                  source's, which keeps it until it is freed */
    bool is_static;            /* a role could be used in its place */
};

/* Copies of all texts, in memory that is not swapped; wiped by credential_release(). */
int credential_copy(const struct credential *key, struct credential *ret_key);
void credential_release(struct credential *key);

struct credentials;

/* What a source calls once for each fetch, at once or later: 0 with a key, which is
 * copied, or a negative errno with a sentence that says which places were looked at.
 * -ENOENT: there is none here, the next source of a chain may be asked. */
typedef void credentials_fetched_fn(void *arg, int status, const struct credential *key,
                                    const struct error *error);

struct credentials_source {
    const char *name;
    void *self;
    /* One at a time. */
    void (*fetch)(void *self, credentials_fetched_fn *fetched, void *arg);
    void (*free)(void *self); /* no fetch is under way, or its answer no longer comes */
};

/* The sources are asked in order until one has a key; that one is asked again later,
 * all of them when its key has run out. Where none has one, the sentence joins those of
 * all. They are owned from here on, also on failure. */
int credentials_new(uv_loop_t *loop, const struct credentials_source *sources, size_t n,
                    struct credentials **ret_credentials);

/* Whoever still waits is answered with -ECANCELED. Not to be called by a `got`. */
void credentials_free(struct credentials *c);

/* A key that is good for CREDENTIALS_LEAST_S more; at once where one is known. It is
 * borrowed for the call of `got`. A fetch that fails, or gives less, is not repeated
 * for a second: all who ask meanwhile get its error, or that key. */
typedef void credentials_got_fn(void *arg, int status, const struct credential *key,
                                const struct error *error);
void credentials_get(struct credentials *c, credentials_got_fn *got, void *arg);

/* The service said that this key has expired or was never good: the next one who asks
 * waits for what the source has now, which may be another key also where it is static:
 * people replace them in their files. False: it was had a moment ago, so that asking
 * again cannot help. */
bool credentials_refused(struct credentials *c, const char *id_or_token);
