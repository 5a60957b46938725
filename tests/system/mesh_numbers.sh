#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs of a mesh have numbers that are the same at all nodes: also when all submit at
# once, when the node that counted is killed, and, later, when there was no majority.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

mkdir -p flow
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Short
steps:
  start:
    run: 'true'
    next: end
  end:
    run: 'true'
FLOW

submit() # I
{
    on "$1" submit "$work/flow/flow.mf" --json 2>"$work/submit.err" | of .run
}

number_of() # RUN [I]
{
    ask "${2:-1}" GET "/v1/runs/$1" 2>/dev/null | of '.number // 0'
}

has_number() # RUN [I]
{
    [ "$(number_of "$@")" -gt 0 ] 2>/dev/null
}

# A run alone, before there are others: it keeps the number that it has.
run 0 'a node alone runs the flow' "$MESH" run flow/flow.mf --data "$(mesh_dir 1)"

mesh_start 3 --cpu 2

# ---- three nodes at once ----

for k in 1 2 3 4 5; do
    pids=
    for i in 1 2 3; do
        submit $i >"id.$i.$k" &
        pids="$pids $!"
    done
    # shellcheck disable=SC2086 # a list
    wait $pids
done
numbered()
{
    for k in 1 2 3 4 5; do
        for i in 1 2 3; do
            has_number "$(cat "id.$i.$k")" 1 || return 1
        done
    done
}
wait_for 'all runs have a number' numbered
for f in id.*; do
    number_of "$(cat "$f")"
done | sort -n >numbers
is "$(uniq numbers | wc -l)" 15 'no two runs have one number' || note_file numbers
is "$(head -n 1 numbers)" 2 'they go on behind the one that was counted alone' ||
    note_file numbers

id=$(cat id.2.3)
number=$(number_of "$id")
for i in 1 2 3; do
    is "$(ask $i GET "/v1/runs/$number" | of .run)" "$id" "node $i finds run $number"
done
is "$(on 3 runs --json | of '.runs[].number' | sort -n | tail -n +2 | tr '\n' ' ')" \
    "$(tr '\n' ' ' <numbers)" 'a list has them all'

# ---- the node that counts is killed ----

mesh_kill 1
late=$(submit 2)
wait_for 'a run has a number without it' has_number "$late" 2
is "$(sort -n numbers | tail -n 1 | awk -v n="$(number_of "$late" 2)" '{ print (n > $1) }')" 1 \
    'a greater one'
is "$(ask 3 GET "/v1/runs/$(number_of "$late" 2)" | of .run)" "$late" \
    'the other node finds it by that'

# ---- no majority ----

# Until it knows that the first is dead it would choose it as a home of its runs.
knows_dead()
{
    ask 3 GET /v1/members | of '.members[] | select(.name == "n1") | .state' | grep -qx dead
}
wait_for 'the first is dead to the third' knows_dead
mesh_kill 2
alone=$(submit 3)
is "$(number_of "$alone" 3)" 0 'without a majority a run has only its id'
on 3 status "$(echo "$alone" | cut -c 1-24)" >status.out 2>&1
like status.out "$(echo "$alone" | cut -c 1-8)" 'by which it is found'
mesh_again 1 --cpu 2
mesh_again 2 --cpu 2
wait_for 'it gets its number later' has_number "$alone" 3
finish
