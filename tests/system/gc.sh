#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What no run names any more is given back, and nothing else.
. "$(dirname "$0")/lib.sh"

cat >make.mf <<'FLOW'
mesh: 1
flow: Make
steps:
  start:
    run: |
      head -c 5000000 /dev/urandom >"$MESH_OUT/large"
      head -c 50000 /dev/urandom >"$MESH_OUT/middle"
      mkdir "$MESH_OUT/folder"
      head -c 20000 /dev/urandom >"$MESH_OUT/folder/file"
    next: end
  end:
    run: 'true'
FLOW
run 0 'a run keeps blobs of each kind' "$MESH" run make.mf
number=$(run_number "$out")
node n
n_blobs()
{
    http GET /v1/node | python3 -c 'import json, sys; print(json.load(sys.stdin)["store"]["n_blobs"])'
}
before=$(n_blobs)
head -c 30000 /dev/urandom >orphan
id=$(sha256sum orphan | cut -d ' ' -f 1)
ok 'a blob that no run names is put' http PUT "/v1/blobs/$id" --data-binary @orphan
is "$(n_blobs)" $((before + 1)) 'and counted'
run 0 'gc, when a run may be about to name it' "$MESH" gc --json
is "$(n_blobs)" $((before + 1)) 'lets it be'
stop "$pid"
node n2
run 0 'a dry run' "$MESH" gc --dry-run --json
like "$out" '"n_freed": *1' 'tells that it would go'
is "$(n_blobs)" $((before + 1)) 'and frees nothing'
run 0 'gc' "$MESH" gc --json
like "$out" '"n_freed": *1' 'frees it'
like "$out" '"bytes_freed": *30000' 'all of it'
is "$(n_blobs)" "$before" 'and nothing else'
ok 'it is gone' sh -c '! curl -sS --fail --unix-socket "$1/mesh.sock" \
    "http://mesh/v1/blobs/$2"' sh "$MESH_HOME" "$id"
run 0 'what the run kept is whole' "$MESH" verify "$number"
run 0 'its folder too' "$MESH" artifact get "$number/start" folder -o folder
is "$(wc -c <folder/file)" 20000 'file by file'

# While a run is going on, what it is about to name is not taken from it.
cat >busy.mf <<'FLOW'
mesh: 1
flow: Busy
steps:
  start:
    run: 'true'
    foreach: {range: 60}
    next: work
  work:
    run: 'head -c 9000 /dev/urandom >"$MESH_OUT/noise"'
    next: join
  join:
    join: start
    run: 'mesh inputs | wc -l'
    next: end
  end:
    run: 'true'
FLOW
start busy "$MESH" submit busy.mf --follow
rounds=0
while ! is_gone "$pid"; do
    "$MESH" gc >/dev/null 2>gc.err || break
    rounds=$((rounds + 1))
done
is "$(cat gc.err)" '' "gc works beside a run ($rounds times)"
ended "$pid" 0 'which ends well'
busy=$(run_number busy.out)
run 0 'and kept all' "$MESH" verify "$busy"
is "$(run_number busy.out)" "$busy" 'its number is known'
finish
