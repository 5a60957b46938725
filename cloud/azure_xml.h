/* SPDX-License-Identifier: Apache-2.0 */
/* azure_xml - what Azure Blob answers: lists of blobs, lists of blocks, errors. Pure.
 *
 * https://learn.microsoft.com/rest/api/storageservices/list-blobs
 * https://learn.microsoft.com/rest/api/storageservices/get-block-list
 * https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/error.h"
#include "cloud/object_store.h"

enum {
    AZURE_LIST_MAX = 5000,     /* blobs in one answer, as the service has it */
    AZURE_BLOCKS_MAX = 150000, /* 50,000 that count and 100,000 that wait */
    AZURE_BLOCK_ID_MAX = 96,   /* 64 bytes in base64 */
    AZURE_CODE_MAX = 64,
};

struct azure_list {
    struct object_entry *entries; /* sorted by name */
    size_t n, room;
    char *next; /* the marker of the next page; NULL: this is the last */
};

/* Names begin with `prefix`, which is taken off. Folders of an account that has real
 * ones are left out: they are no objects.
 * -EPROTO: not such a list; what it would have been is released. */
int azure_list_read(const char *xml, size_t len, const char *prefix,
                    struct azure_list *ret_list, struct error *ret_error);
void azure_list_release(struct azure_list *list);

struct azure_block {
    char id[AZURE_BLOCK_ID_MAX]; /* base64, as it was given */
    uint64_t size;
    bool is_committed;
};

struct azure_blocks {
    struct azure_block *all; /* in the answer's order */
    size_t n, room;
};

int azure_blocks_read(const char *xml, size_t len, struct azure_blocks *ret_blocks,
                      struct error *ret_error);
void azure_blocks_release(struct azure_blocks *blocks);

struct azure_said {
    char code[AZURE_CODE_MAX];
    char message[256]; /* one line, without the id and time that follow it */
    char detail[256];  /* of an authentication error */
};

/* "" for all that the text does not have. */
void azure_said_read(const char *xml, size_t len, struct azure_said *ret_said);
