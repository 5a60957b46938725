/* SPDX-License-Identifier: Apache-2.0 */
/* names - a map from names to small numbers; the names are borrowed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct name;

struct names {
    struct name *all;
};

enum { NAME_NONE = UINT32_MAX };

void names_release(struct names *n);
/* 0, -EEXIST (the older number stays), -ENOMEM. */
int names_add(struct names *n, const char *name, uint32_t number);
/* NAME_NONE if there is none. */
uint32_t names_find(const struct names *n, const char *name);
uint32_t names_find_span(const struct names *n, const char *name, size_t len);
/* The name most like this one, to be offered instead; NULL if none is near. */
const char *names_nearest(const struct names *n, const char *name);
