/* SPDX-License-Identifier: Apache-2.0 */
/* conf_file - the node's configuration: mesh.conf, with the options on top. */
#pragma once

#include "node/cli/cli.h"
#include "node/conf.h"

/* Reads --config FILE or $MESH_CONFIG, else DIR/mesh.conf, else /etc/mesh/mesh.conf,
 * where only the first must be there, and puts the options of the verb on top. All that
 * is wrong is said. 0 or the exit code. */
int conf_file_open(const struct options *o, const char *dir, struct conf **ret_conf);
