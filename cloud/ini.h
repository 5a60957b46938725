/* SPDX-License-Identifier: Apache-2.0 */
/* ini - the shared config and credentials files of AWS, as the SDKs read them
 * (https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html).
 *
 *     [profile work]            a section; quotes around a name are taken off
 *     region = eu-west-1        keys in any case; a comment begins a line with # or ;
 *     s3 =                      or stands behind a value and a blank
 *       addressing_style = path        nested: the key "s3.addressing_style"
 *
 * Sections of one name are one; the last value of a key counts. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum { INI_BYTES_MAX = 1 << 20 };

struct ini_entry {
    const char *section;
    const char *key;   /* lower case; NULL: the section begins */
    const char *value; /* lines that go on are joined by \n */
    uint32_t line;
};

struct ini {
    char *text; /* what the entries point into */
    size_t text_size;
    struct ini_entry *entries;
    size_t n_entries;
};

/* `name` is the file's, for the sentence of -EINVAL, which tells the line too but
 * nothing of what stands there: it may be a secret. -EFBIG beyond INI_BYTES_MAX. */
int ini_read(const char *text, size_t len, const char *name, struct ini *ret,
             struct error *ret_error);
void ini_release(struct ini *ini);

bool ini_has(const struct ini *ini, const char *section);
/* NULL: not there, or empty. Borrowed. */
const char *ini_get(const struct ini *ini, const char *section, const char *key);
