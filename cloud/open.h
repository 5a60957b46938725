/* SPDX-License-Identifier: Apache-2.0 */
/* open - from an address to an open store, with what it is signed with. The functions
 * of module.h, which says what they do. */
#pragma once

#include "cloud/module.h"

enum { CLOUD_STORES_MAX = 32 };

int cloud_open(uv_loop_t *loop, const struct cloud_options *options,
               struct cloud **ret_cloud, struct error *ret_error);
void cloud_close(struct cloud *c);
int cloud_parse(struct cloud *c, const char *text, struct store_address *ret,
                struct error *ret_error);
int cloud_store(struct cloud *c, const struct store_address *a,
                struct object_store **ret_store, struct error *ret_error);
struct transfers *cloud_transfers(struct cloud *c);
