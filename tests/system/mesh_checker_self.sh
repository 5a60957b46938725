#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The checker of the mesh's tests finds what it is for, on a node alone: a whole run, and
# the same run with a trace that was tampered with.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

MESH_HOME=$(mesh_dir 1)
node alone
trace_flow 20 0
run 0 'a run of tasks that leave traces' "$MESH" submit flow/trace.mf --follow
number=$(last_run)
checked "$number" 20 1 --duplicates 0
check()
{
    python3 "$here/mesh_checker.py" --socket "$MESH_HOME/mesh.sock" --run "$number" \
        --trace "$work/$1" --tasks "$2" --duplicates 0
}
grep -v ' work 7 ' trace >lacking
run 1 'a task that never ran is missed' check lacking 20
like "$err" 'missing: work/7 says' 'and named'
run 1 'one that should be there too' check trace 21
like "$err" 'missing: work/20 counts 0 times' 'and named'
{ cat trace; sed -n 's/\(ends .* work 3 .*\/\).*/\1again/p' trace; } >twice
run 1 'one that ran twice is counted' check twice 20
like "$err" '1 tasks ran to their end more than once' 'and told'
sed 's/\(ends .* work 5 .*\/\).*/\1other/' trace >other
run 1 'a result that nobody wrote is seen' check other 20
stop "$pid"
finish
