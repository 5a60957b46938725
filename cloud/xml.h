/* SPDX-License-Identifier: Apache-2.0 */
/* xml - the answers of services, element by element. Pure.
 *
 * What answers is not trusted: document types (and so entities of its own) are refused,
 * depth and texts have bounds. */
#pragma once

#include <stddef.h>

enum {
    XML_DEPTH_MAX = 16,
    XML_PATH_MAX = 256,
    XML_TEXT_MAX = 64 << 10, /* of one element */
};

enum xml_event {
    XML_BEGIN = 1, /* of an element, without a text */
    XML_END,       /* with what stood behind its last tag: all of it, in a leaf */
};

/* The path is from the root, without name spaces: "ListBucketResult/Contents/Key". Not
 * 0: reading ends with it. Texts are borrowed. */
typedef int xml_fn(void *arg, enum xml_event event, const char *path, const char *text);

/* Blanks before and behind the document are passed over.
 * -EBADMSG: not a whole document; -E2BIG: beyond a bound; -ENOMEM; or what `on` said.
 */
int xml_read(const char *data, size_t len, xml_fn *on, void *arg);
