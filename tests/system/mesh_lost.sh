#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a run made is lost with the disks that it was on: whoever made it makes it again,
# and the run ends as if nothing had been. What had consumed it and is done stays so.
. "$(dirname "$0")/lib.sh"
# shellcheck source=lib_mesh.sh
. "$here/lib_mesh.sh"

patience=120
mesh_start 4

# `big` is too large for the records' store: its bytes are a file of each holder.
mkdir flow
flow() # WHAT-MAKE-MAKES
{
    cat >flow/lost.mf <<FLOW
mesh: 1
flow: Lost
steps:
  make:
    run: |
      echo "make \$MESH_NODE" >>"$work/trace"
      $1 >"\$MESH_OUT/big"
    next: use
  use:
    inputs: {big: make.big}
    run: |
      echo "use \$MESH_NODE" >>"$work/trace"
      cksum <"\$MESH_IN/big" >"\$MESH_OUT/sum"
    next: wait
  wait:
    run: |
      echo "wait \$MESH_NODE" >>"$work/trace"
      until [ -e "$work/go" ]; do sleep 0.1; done
    next: again
  again:
    inputs: {big: make.big, sum: use.sum}
    run: |
      echo "again \$MESH_NODE" >>"$work/trace"
      cksum <"\$MESH_IN/big" | cmp - "\$MESH_IN/sum" && cksum <"\$MESH_IN/big" >"\$MESH_OUT/result"
FLOW
}
flow 'seq 1 900000'

times() # STEP: how often it began
{
    grep -c "^$1 " trace
}

waits()
{
    [ "$(times wait)" -ge 1 ]
}

maker()
{
    sed -n 's/^make n//p' trace | tail -n 1
}

# The bytes go from the disk of node I; what knows of them stays.
forget() # I
{
    find "$(mesh_dir "$1")/blobs" -type f -delete 2>/dev/null
}

submitted()
{
    : >trace
    rm -f go
    on "$1" submit flow/lost.mf --json >submitted 2>submit.err || note_file submit.err
    of .run <submitted
}

# result RUN I
result()
{
    on "$2" artifact get "$1/again" result -o "got" >/dev/null 2>got.err && cat got
}

expected=$(seq 1 900000 | cksum)

# ---- all holders live, and none has it ----

run=$(submitted 1)
wait_for 'a run waits behind what used the output' waits
for i in 1 2 3 4; do forget $i; done
touch go
wait_for 'it ends though the output is on no disk' has_ended "$run" 1 ||
    ask 1 GET "/v1/runs/$run"
is "$(ask 1 GET "/v1/runs/$run" | of .outcome)" ok 'and well'
is "$(result "$run" 1)" "$expected" 'with the right result'
is "$(times make)" 2 'made again once'
is "$(times use)" 1 'what had used it is not done again'
on 1 explain "$run/make" >explained 2>&1
like explained "output 'big' was lost" 'explain says why'

# ---- the holder is gone with its disk, and no other copy is left ----

run=$(submitted 1)
wait_for 'a run waits behind what used the output' waits
lost=$(maker)
witness=1
[ "$lost" != 1 ] || witness=2
note "n$lost made it, n$(mesh_leader "$run") leads"
mesh_kill "$lost"
rm -rf "$(mesh_dir "$lost")"
for i in 1 2 3 4; do forget $i; done
touch go
wait_for "it ends without n$lost" has_ended "$run" "$witness" ||
    ask "$witness" GET "/v1/runs/$run"
is "$(result "$run" "$witness")" "$expected" 'with the right result'
is "$(times make)" 2 'made again once'
is "$(times use)" 1 'what had used it is not done again'
on "$witness" explain "$run/make" >explained 2>&1
like explained "output 'big' was lost with node n$lost" 'explain says with whom it went'

# ---- what is made again is not what it was ----

flow 'head -c 6000000 /dev/urandom'
run=$(submitted "$witness")
wait_for 'a run waits behind what used the output' waits
for i in 1 2 3 4; do forget $i; done
touch go
wait_for 'it ends' has_ended "$run" "$witness" || ask "$witness" GET "/v1/runs/$run"
is "$(ask "$witness" GET "/v1/runs/$run" | of .outcome)" ok 'and well: all of it is of one history'
is "$(times make)" 2 'made again once'
is "$(times use)" 2 'what had used it is done again'
is "$(times again)" 1 'what waited for both ran once'

finish
