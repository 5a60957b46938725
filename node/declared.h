/* SPDX-License-Identifier: Apache-2.0 */
/* declared - what a task's package says of its artifacts, in $MESH_OUT/.mesh.
 *
 *     {"name": "y", "type": "int", "encoding": "json", "size": 2}\n
 *     49\n
 *     {"name": "model", "type": "SVC", "encoding": "pickle", "file": true}\n
 *     {"choice": "good"}\n
 *
 * A line of JSON for each, and the bytes behind one that has a size. Hostile input: it
 * is refused whole when anything in it is not as above. Pure. docs/python-steps.md */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/macros.h"
#include "proto/record.h"

#define DECLARED_FILE ".mesh"

enum {
    DECLARED_MAX = 4096, /* artifacts of one task */
    DECLARED_NAME_MAX = 255,
    DECLARED_TYPE_MAX = 255,
    DECLARED_BYTES_MAX = 64 << 20,
};

struct declared {
    char *name, *type;
    enum artifact_encoding encoding; /* not of a folder */
    bool is_file;                    /* the bytes are in $MESH_OUT/<name> */
    const uint8_t *data;             /* else here, in what was parsed */
    size_t size;
};

struct declared_list {
    struct declared *all; /* by name, no name twice */
    size_t n;
    char *choice; /* NULL: none was made */
};

/* The list points into the bytes. -EINVAL: malformed, and the text says where;
 * -ENOMEM. On failure *ret is unchanged. */
int declared_parse(const void *bytes, size_t len, struct declared_list *ret,
                   struct error *ret_error);
void declared_release(struct declared_list *l);
/* NULL if there is none of this name. */
const struct declared *declared_find(const struct declared_list *l, const char *name);
