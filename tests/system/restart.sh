#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A planned restart: the node becomes the program that is on disk, in the same process.
# Its tasks go on and notice nothing: their numbers, their logs, what they make and what
# they ask the node for. A program that cannot start leaves all as it was.
. "$(dirname "$0")/lib.sh"

# A program of its own, to be replaced.
built=$MESH
bin=$work/bin
mkdir "$bin"
for file in "$(dirname "$built")"/mesh-*.so; do
    ln -s "$file" "$bin/$(basename "$file")"
done
install_mesh()
{
    cp "$built" "$bin/mesh.new" && mv "$bin/mesh.new" "$bin/mesh"
}
install_mesh
[ -d "$(dirname "$built")/python" ] && ln -sf "$(dirname "$built")/python" "$bin/python"

mkdir flow
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Long
parameters:
  key: {type: string, required: true, secret: true}
  where: {type: string, required: true}
steps:
  start:
    run: printf '[1, 2, 3, 4, 5, 6]' >"$MESH_OUT/items"
    foreach: items
    next: work
  work:
    resources: {cpu: 1}
    run: |
      echo "begin $MESH_INDEX $$ $MESH_ATTEMPT" >>"$MESH_PARAM_WHERE/ledger"
      printf 'early' | mesh artifact put early -
      i=0
      until [ -e "$MESH_PARAM_WHERE/go" ]; do
        i=$((i + 1))
        echo "line $i"
        echo "other $i" >&2
        echo "$MESH_INDEX $i" >>"$MESH_PARAM_WHERE/lines"
        sleep 0.02
      done
      [ "$MESH_PARAM_KEY" = secret-key ]
      printf '%s' "$MESH_INPUT" | mesh artifact put item -
      echo "end $MESH_INDEX $$" >>"$MESH_PARAM_WHERE/ledger"
    next: join
  join:
    join: start
    run: |
      [ "$MESH_PARAM_KEY" = secret-key ]
      mesh inputs >"$MESH_OUT/all"
    next: end
  end: {run: "true"}
FLOW
printf secret-key >key
MESH=$bin/mesh

start node "$bin/mesh" node --dev --data "$MESH_HOME" --cpu 3 --slots 3
node_pid=$pid
wait_for 'the node answers' node_answers
start follow "$built" submit flow/flow.mf --key @key --where "$work" --follow
follow_pid=$pid

begun() # N
{
    [ "$(grep -c ^begin "$work/ledger" 2>/dev/null)" -ge "$1" ]
}
wait_for 'three tasks run' begun 3
cp ledger ledger.before

# ---- what cannot start ----

cat >"$bin/mesh.new" <<'PROGRAM'
#!/bin/sh
echo "mesh: libnew.so is not there" >&2
exit 127
PROGRAM
chmod +x "$bin/mesh.new"
mv "$bin/mesh.new" "$bin/mesh"
run 1 'a program that does not start is refused' "$built" restart
like "$err" 'it goes on as it was: .*would not start: mesh: libnew.so is not there' \
    'and why is said'
printf '#!/bin/sh\necho "mesh 9.9.9, handover 99"\n' >"$bin/mesh"
run 1 'nor one that does not understand this node' "$built" restart
like "$err" 'does not understand what this node would hand over' 'and why is said'
rm "$bin/mesh"
run 1 'nor one that is not there' "$built" restart
is "$(http GET /v1/node | jq -r .n_running)" 3 'all goes on as before'
ok 'and the node still serves' "$built" runs

# ---- one that can ----

install_mesh
before=$(http GET /v1/node | jq -r .program_started_ms)
run 0 'the program that is there now takes over' "$built" restart
like "$out" "still process $node_pid" 'in the same process'
[ "$(http GET /v1/node | jq -r .program_started_ms)" != "$before" ]
is $? 0 'it is another program'
is "$(http GET /v1/node | jq -r .pid)" "$node_pid" 'and the same process'
is "$(http GET /v1/node | jq -r .n_running)" 3 'its tasks run'
sort ledger >ledger.sorted
sort ledger.before | cmp -s - ledger.sorted
is $? 0 'none was started again'
while read -r _ _ task_pid _; do
    kill -0 "$task_pid" 2>/dev/null || fail "task process $task_pid lives"
done <ledger.before
is "$(http GET '/v1/runs/1/tasks?step=work&state=running' | jq -r '[.attempts[].pid] | sort | tostring')" \
    "$(awk '{ print $3 }' ledger.before | sort -n | paste -sd, | sed 's/.*/[&]/')" \
    'and each is listed with its process'

run 0 'once more' "$built" restart

# ---- they go on, the next ones start, and all that they said is there ----

touch go
ended $follow_pid 0 'who follows sees the end, across both'
is "$(grep -c ^begin ledger)" 6 'each task was started once'
is "$(grep -c ^end ledger)" 6 'and ended once'
is "$(awk '$1 == "begin" { print $4 }' ledger | sort -u)" 0 'in its first attempt'
[ "$(awk '$1 == "begin" { print $2, $3 }' ledger | sort)" = \
  "$(awk '$1 == "end" { print $2, $3 }' ledger | sort)" ]
is $? 0 'by the process that had begun'

logs_whole()
{
    for index in 0 1 2; do
        seq "$(grep -c "^$index " lines)" >wanted
        "$built" logs "1/work/$index" --stdout | sed -n 's/^line //p' | cmp - wanted || return 1
        "$built" logs "1/work/$index" --stderr | sed -n 's/^other //p' | cmp - wanted || return 1
    done
}
ok 'no line of their logs is missing, and none is there twice' logs_whole
is "$("$built" artifact get 1/work/0 early)" early 'what they kept before is there'
is "$("$built" artifact get 1/work/3 item)" 4 'and what they kept after it'
ok 'the store is whole' "$built" verify 1

stop "$node_pid"

# ---- a command that is a node ----

printf 'mesh: 1\nflow: Wait\nsteps: {start: {run: "until [ -e %s/go2 ]; do sleep 0.02; done", next: end}, end: {run: "true"}}\n' \
    "$work" >wait.mf
start alone "$built" run wait.mf
alone_pid=$pid
wait_for 'the command answers' node_answers
run 1 'a node that is a part of a command is not restarted' "$built" restart
like "$err" 'a part of a command' 'and why is said'
touch go2
ended $alone_pid 0 'it goes on'

nothing_left 'no process is left'
finish
