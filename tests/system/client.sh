#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Python client against real nodes: one that is started to show a store, one that
# runs, one that is killed and started again.
. "$(dirname "$0")/lib.sh"

package=$(dirname "$MESH")/python
[ -d "$package/mesh" ] || package=$top/sdk/python
export PYTHONPATH="$package" MESH_BINARY="$MESH" PYTHONDONTWRITEBYTECODE=1
python3 "$here/client.py" >"$work/client.out" 2>"$work/client.err"
code=$?
while read -r verdict name; do
    case $verdict in
    ok) pass "$name" ;;
    failed) fail "$name" ;;
    esac
done <"$work/client.out"
is $code 0 'the client does what it should'
[ $code = 0 ] || note_file "$work/client.err" 200
# Those that showed a store end by themselves.
nothing_left 'no node is left'
finish
