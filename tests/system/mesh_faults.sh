#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What else happens to machines: one stands still for a while, a disk is full, a clock
# jumps by an hour, descriptors run out.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=120
tasks=40

begun()
{
    [ "$(grep -c "^begins .* work" trace)" -ge "$1" ]
}
submitted() # I: $run
{
    : >trace
    on "$1" submit flow/trace.mf --json >submitted 2>submit.err || note_file submit.err
    run=$(of .run <submitted)
}

# n4's disk is small: 32 MiB, of which the test leaves nothing.
mkdir n4
if mount -t tmpfs -o size=32m tmpfs n4 2>/dev/null; then
    mounted="$mounted $work/n4"
    has_tmpfs=1
fi
mesh_start 4
trace_flow $tasks 0.2

# Stopped, as a machine that swaps or a virtual one that moves: its work goes elsewhere,
# and what it did is not counted twice when it goes on.
submitted 1
wait_for 'tasks run' begun 6
mesh_stop 3
wait_for 'a run ends while a node stands still' has_ended "$run" 1 &&
    pass 'a run ends while a node stands still'
mesh_cont 3
wait_for 'it is there again' mesh_settled 4 && pass 'it is there again'
checked "$run" $tasks 1
checked "$run" $tasks 3

# The one that leads stands still, longer than it takes the others to give it up.
submitted 2
wait_for 'tasks run' begun 6
leader=$(mesh_leader "$run" 2)
other=1
[ "$leader" != 1 ] || other=2
mesh_stop "${leader:-2}"
wait_for 'a run ends while its leader stands still' has_ended "$run" $other &&
    pass 'a run ends while its leader stands still'
mesh_cont "${leader:-2}"
wait_for 'it is there again' mesh_settled 4
checked "$run" $tasks $other

# A full disk.
if [ -n "${has_tmpfs:-}" ]; then
    dd if=/dev/zero of=n4/filler bs=1M >/dev/null 2>&1
    submitted 1
    wait_for 'a run ends though a disk is full' has_ended "$run" 1 &&
        pass 'a run ends though a disk is full'
    checked "$run" $tasks 1
    rm -f n4/filler
    # If it was its store that had no room the node has ended.
    if is_gone "$(mesh_pid 4)"; then
        wait "$(mesh_pid 4)"
        mesh_again 4
    fi
    wait_for 'the node with the full disk is there' mesh_settled 4
else
    skip 2 'no tmpfs can be mounted here'
fi

# A clock that is an hour ahead.
faketime=$(find /usr/lib -name libfaketime.so.1 2>/dev/null | head -n 1)
if is_sanitized; then
    skip 3 'libfaketime and sanitizers get into the way of each other'
elif [ -n "$faketime" ]; then
    mesh_end 3
    FAKETIME=+1h LD_PRELOAD=$faketime FAKETIME_DONT_FAKE_MONOTONIC=1 mesh_again 3
    wait_for 'a node an hour ahead is a member' mesh_settled 4 &&
        pass 'a node an hour ahead is a member'
    submitted 3
    wait_for 'and its run ends' has_ended "$run" 3 && pass 'and its run ends'
    checked "$run" $tasks 1
    mesh_end 3
    mesh_again 3
    wait_for 'all are back' mesh_settled 4
else
    skip 3 'there is no libfaketime'
fi

# Few descriptors: half of what it has open already, so that it gets no more.
if command -v prlimit >/dev/null; then
    prlimit --pid "$(mesh_pid 2)" --nofile=24:24
    submitted 1
    wait_for 'a run ends with a node that has no descriptors left' has_ended "$run" 1 &&
        pass 'a run ends with a node that has no descriptors left'
    checked "$run" $tasks 1
    mesh_kill 2
    mesh_again 2
    wait_for 'it is well when it is started again' mesh_settled 4 &&
        pass 'it is well when it is started again'
else
    skip 3 'there is no prlimit'
fi
for i in 1 2 3 4; do
    mesh_end $i
done
nothing_left 'nothing is left'
finish
