#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a run keeps is on two nodes. While the run goes on the nodes that have it die, one
# after the other: each time another one gets a copy, and nothing is made again.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=120
mesh_start 5

# `big` is too large for the records' store: its bytes are a file of each holder.
mkdir flow
cat >flow/copies.mf <<FLOW
mesh: 1
flow: Copies
steps:
  make:
    run: |
      echo "make \$MESH_NODE" >>"$work/trace"
      seq 1 900000 >"\$MESH_OUT/big"
    next: wait
  wait:
    run: |
      echo "wait \$MESH_NODE" >>"$work/trace"
      until [ -e "$work/go" ]; do sleep 0.1; done
    next: use
  use:
    inputs: {big: make.big}
    run: cksum <"\$MESH_IN/big" >"\$MESH_OUT/result"
FLOW

holders() # of those that live
{
    for i in 1 2 3 4 5; do
        [ -n "$(mesh_pid $i)" ] || continue
        [ -e "$(mesh_dir $i)/blobs/$(echo "$big" | cut -c 1-2)/$big" ] && echo $i
    done
}

are_two()
{
    [ "$(holders | wc -l)" -ge 2 ]
}

id_of_big()
{
    big=$(ask 1 GET "/v1/runs/$run/artifacts?step=make" | of '.artifacts[0].id // empty')
    [ -n "$big" ]
}

# Homes that are gone were replaced: one more may go.
has_homes()
{
    for home in $(ask 1 GET "/v1/runs/$run" | of '.mesh.homes[].name'); do
        [ -n "$(mesh_pid "${home#n}")" ] || return 1
    done
}

run=$(on 1 submit flow/copies.mf --json 2>submit.err | of .run)
wait_for 'the run waits behind its output' grep -q '^wait' trace
wait_for 'which has a name' id_of_big
wait_for 'it is on two nodes' are_two

for round in first second; do
    # Not the node that is asked; a home that is lost is replaced meanwhile.
    victim=$(holders | grep -vx 1 | head -n 1)
    mesh_kill "$victim"
    [ "$(holders | wc -l)" -lt 2 ] || fail "it is on more than two: $(holders)"
    wait_for "the $round holder is gone, and it is on two nodes again" are_two ||
        note "at $(holders)"
    pass "a copy is made for the $round that is lost"
    wait_for 'the run has all its homes' has_homes
done
touch go
wait_for 'the run ends' has_ended "$run" 1
is "$(ask 1 GET "/v1/runs/$run" | of .outcome)" ok 'and well'
is "$(grep -c '^make' trace)" 1 'nothing was made again'
mesh_end_all
finish
