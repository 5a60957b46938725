#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The live view in a terminal: what it shows, its keys, and every way to go away.
. "$(dirname "$0")/lib.sh"
export MESH_GRACE=2

run 0 'the live view' python3 "$here/live.py" "$MESH" "$work"
sed -n 's/^/# /p' "$out"
for what in block keys follow pause help suspend cancel ctrl_c resize stop stop_outside background hang_up nohup \
    remote_hang_up leave crash deaf_terminal flood harmless dumb plain colours narrow top; do
    like "$out" "^$what ok\$" "$what"
done
nothing_left 'nothing is left'
finish
