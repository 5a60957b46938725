/* SPDX-License-Identifier: Apache-2.0 */
/* gossip_figures - what becomes of a mesh in which something happens, over many seeds.
 */
#pragma once

/* `mesh-sim gossip SCENARIO [options]`, argv[0] being the scenario; the exit code. */
int gossip_figures(int argc, char **argv);
