/* SPDX-License-Identifier: Apache-2.0 */
/* version - which mesh this is. In a library of its own, so that a program of another
 * version is the same objects but for this one: that is how upgrades are tested. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Of the protocol between nodes; raised when something is said that the version before
 * does not understand. Nodes whose minors differ by one work together. */
enum { VERSION_MINOR = 0 };

const char *mesh_version(void);
uint32_t mesh_minor(void);
/* Whether a node of that minor and this one understand each other. */
bool mesh_minor_is_near(uint32_t other);
