/* SPDX-License-Identifier: Apache-2.0 */
/* main - the modes of mesh-sim: argv[0] is the mode. They return the exit code. */
#pragma once

int replica_main(int argc, char **argv);
int cluster_main(int argc, char **argv);
