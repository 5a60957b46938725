#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The texts themselves first, then what packages say of their copyright. What is not
# there or cannot be read is no reason to fail.
set -eu
find -L /usr/share/common-licenses /usr/share/doc -maxdepth 2 -type f \
    \( -path '*/common-licenses/*' -o -name copyright \) -readable 2>/dev/null |
    sort | head -n "$MESH_PARAM_FILES" >"$MESH_OUT/files"
echo "$(wc -l <"$MESH_OUT/files") files"
