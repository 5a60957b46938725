/* SPDX-License-Identifier: Apache-2.0 */
/* s3_errors - what S3 and those who speak like it say when they refuse, as an errno and
 * a sentence with the way out. Pure.
 *
 * https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* What the answer says; "" where it does not. Of texts only the begin is kept, and
 * nothing that a terminal would obey. */
struct s3_fault {
    int http_code;
    char code[64];
    char message[200];
    char region[64]; /* where the bucket is, when another one was signed for */
    char request_id[64];
};

/* From the body of an answer. -EBADMSG: it is not an error of S3; ret_fault is as it
 * was. An empty body is one: of HEAD, where the status and headers tell. */
int s3_fault_read(const char *body, size_t len, struct s3_fault *ret_fault);

/* What was asked, for the sentence. */
struct s3_asked {
    const char *bucket, *name; /* name NULL: the bucket's */
    const char *region;        /* that was signed for */
    bool is_conditional_get;   /* if_match: the object is not that one */
};

/* The errno of object_store.h and its sentence. */
int s3_fault_tell(const struct s3_fault *fault, const struct s3_asked *asked,
                  struct error *ret_error);

/* What says nothing about the request and will pass. */
bool s3_fault_is_transient(const struct s3_fault *fault);
/* A new key may help. */
bool s3_fault_is_of_key(const struct s3_fault *fault);
