/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cli/tls.h"

#include "node/module.h"

const struct tls_module *tls_load(struct error *ret_error)
{
    return module_load("mesh-tls.so", "mesh_tls_module", ret_error);
}
