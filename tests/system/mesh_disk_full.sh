#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node whose disk is full asks for no work, says so, and asks again when there is room.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

mkdir n3
mount -t tmpfs -o size=32m tmpfs n3 2>/dev/null || {
    skip 1 'no tmpfs can be mounted here'
    finish
}
mounted="$mounted $work/n3"
trace_flow 30 0.3
head -c 3000000 /dev/urandom >flow/large # the code takes room
mesh_start 3

is_full()
{
    [ "$(ask 1 GET '/v1/members?detail=true' | of '.members[] | select(.name == "n3") | .node.mesh.disk_full')" = "$1" ]
}

# Records fit, and nothing larger: a store that cannot be written at all ends its node.
left=$(($(df --output=avail -k n3 | tail -n 1) - 2000))
dd if=/dev/zero of=n3/filler bs=1k count=$left >/dev/null 2>&1
on 1 submit flow/trace.mf --json >submit.out 2>submit.err || note_file submit.err
run=$(of .run <submit.out)
wait_for 'it says that its disk is full' is_full true && pass 'it says that its disk is full'
on 2 members >members.out
like members.out 'n3 .*alive, disk full' 'which people see'
wait_for 'the run ends' has_ended "$run" 1
checked "$run" 30 1
dropped=$(grep -c lease.dropped n3.err)
[ "$dropped" -le 8 ]
is $? 0 "it gave back what it had asked for before, and no more: $dropped"
rm -f n3/filler
wait_for 'it finds that there is room' is_full false && pass 'it finds that there is room'
: >trace
on 1 submit flow/trace.mf --json >submit.out 2>submit.err || note_file submit.err
run=$(of .run <submit.out)
wait_for 'the next run ends' has_ended "$run" 1
grep -q '^begins .* n3 *$' trace
is $? 0 'and it works for that'
for i in 1 2 3; do
    mesh_end "$i"
done
nothing_left 'no process is left'
finish
