/* SPDX-License-Identifier: Apache-2.0 */
/* What node/ finds by dlsym() in mesh-cloud.so. */
#include "cloud/module.h"

#include "cloud/open.h"

extern const struct cloud_module mesh_cloud_module;

const struct cloud_module mesh_cloud_module = {
    .open = cloud_open,
    .close = cloud_close,
    .parse = cloud_parse,
    .store = cloud_store,
    .transfers = cloud_transfers,
    .start = transfer_start,
    .cancel = transfer_cancel,
    .progress = transfers_progress,
    .release_address = store_address_release,
    .address_text = store_address_text,
};
