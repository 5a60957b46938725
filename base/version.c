/* SPDX-License-Identifier: Apache-2.0 */
#include "base/version.h"

#ifndef MESH_MINOR
#define MESH_MINOR VERSION_MINOR
#endif

const char *mesh_version(void)
{
    return MESH_VERSION;
}

uint32_t mesh_minor(void)
{
    return MESH_MINOR;
}

bool mesh_minor_is_near(uint32_t other)
{
    return other <= mesh_minor() ? mesh_minor() - other <= 1
                                 : other - mesh_minor() == 1;
}
