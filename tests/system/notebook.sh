#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The notebook that reads a run says what it should, cell by cell.
. "$(dirname "$0")/lib.sh"

python=
for candidate in python3 /usr/bin/python3; do
    "$candidate" -c 'import nbclient, ipykernel' 2>/dev/null && python=$candidate
done
if [ -z "$python" ]; then
    skip 7 'there is no nbclient; Debian has python3-nbclient and python3-ipykernel'
    finish
fi
package=$(dirname "$MESH")/python
[ -d "$package/mesh" ] || package=$top/sdk/python
export PYTHONPATH="$package" MESH_BINARY="$MESH" IPYTHONDIR="$work/ipython" \
    JUPYTER_RUNTIME_DIR="$work/jupyter" JUPYTER_CONFIG_DIR="$work/jupyter"
cp -r "$top/examples/notebook" "$work/notebook"

run 0 'the notebook is executed' "$python" -W ignore "$here/notebook.py" \
    "$work/notebook/read-a-run.ipynb"
note_file "$err" 20
like "$out" '^<Run 1 of Spread: ok, 10 tasks done' 'a run shows itself'
like "$out" "^\\{'points': 5000, 'tasks': 8\\}\$" 'parameters have types'
is "$(grep -Ec '^[0-7] 3\.[0-9]{4} #+$' "$out")" 8 'a bar for each task'
like "$out" '^pi is about 3\.1' 'the sum of them'
like "$out" '^[0-9]+ of 5000 within the circle$' 'what a task wrote'
like "$out" "^\\[\\('rough',\\)\\]\$" 'and with await'
finish
