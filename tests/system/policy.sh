#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What policy: of mesh.conf forbids is refused where it is submitted, with the lines that
# say why; and a node carries out nothing for others that its own policy forbids.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

me=$(id -un)
cat >plain.mf <<'FLOW'
mesh: 1
flow: Plain
steps:
  start: {run: 'true'}
FLOW
cat >bad.mf <<'FLOW'
mesh: 1
flow: Bad
steps:
  start:
    run: 'true'
    environment: {LD_PRELOAD: evil.so, OMP_NUM_THREADS: '1'}
    inputs: {shadow: {url: 'file:///etc/shadow', as: x}}
    outputs: {y: /var/tmp/y}
    resources: {cpu: 1, memory: 9G}
FLOW
policy() # I TEXT: of node I
{
    mkdir -p "$(mesh_dir "$1")"
    printf '%s\n' "$2" >"$(mesh_dir "$1")/mesh.conf"
}

# ---- a node alone ----

mkdir -m 0700 "$MESH_HOME"
cat >"$MESH_HOME/mesh.conf" <<CONF
policy:
  users: [$me]
  remote: no
  environment: [OMP_*]
  paths: [$work]
  max_resources: {cpu: 1, memory: 1G}
CONF
run 0 'what the policy allows runs' "$MESH" run plain.mf
run 0 'mesh config prints it' "$MESH" config
like "$out" '^policy.max_resources +cpu 1, memory 1024 +.*mesh.conf:6' 'each key with its line'
run 0 'so does mesh doctor' "$MESH" doctor
like "$out" '^OK +policy +flows are held against' 'that there is one'
run 2 'what it forbids is refused before anything runs' "$MESH" run bad.mf
like "$err" "bad.mf:4:.*may not set the variable 'LD_PRELOAD'" 'a variable'
like "$err" 'policy.environment in .*mesh.conf:4 allows OMP_' 'with the line that says so'
like "$err" "may not name '/etc/shadow'" 'a path that is read'
like "$err" "may not name '/var/tmp/y'" 'one that is written'
like "$err" 'asks for 9216 MiB of memory' 'more than a task may ask for'
unlike "$err" 'OMP_NUM_THREADS' 'and nothing that is allowed'

node n --listen 127.0.0.1:0
address=$(sed -n 's|.* \(http://127[^,]*\), with a token.*|\1|p' n.out)
run 2 'a node refuses it too' "$MESH" submit bad.mf
like "$err" "may not set the variable 'LD_PRELOAD'" 'with the same words'
is "$(http POST /v1/runs -o /dev/null -w '%{http_code}' --data-binary \
    "$(jq -n --rawfile flow bad.mf '{flow: $flow}')")" 422 'by the interface with 422'
"$MESH" token create "$me" --role submitter >ticket 2>ticket.err
chmod 600 ticket
run 2 'by a token nothing is submitted' env MESH_ADDRESS="$address" \
    MESH_TOKEN_FILE="$work/ticket" "$MESH" submit plain.mf
like "$err" 'policy.remote in .*mesh.conf:3 says no' 'and it is said why'
run 0 'on the machine it is' "$MESH" submit plain.mf --follow
run 0 'the audit log' "$MESH" audit --verdict refused --json
is "$(jq -r '[.entries[] | select(.verb == "submit") | .way] | unique | join(" ")' "$out")" \
    'process socket token' 'has each refusal'
stop "$pid"

printf 'policy: {images: [x]}\n' >"$MESH_HOME/mesh.conf"
run 2 'what flows cannot name yet is no key' "$MESH" config
like "$err" "'images' .containers. is not supported yet" 'rather than one without effect'
printf 'policy: {users: [somebody]}\n' >"$MESH_HOME/mesh.conf"
run 2 'a user who is not named starts nothing' "$MESH" run plain.mf
like "$err" "runs of '$me' are not taken here" 'by name'
run 0 'and is warned of it' "$MESH" doctor
like "$out" "^WARN +policy" 'by mesh doctor'
rm "$MESH_HOME/mesh.conf"

# ---- among others ----

policy 2 'policy: {users: [somebody]}'
mesh_start 3
mkdir among # what lies beside a flow travels with it, and must not be written to
cp plain.mf among
cat >among/wide.mf <<'FLOW'
mesh: 1
flow: Wide
steps:
  start: {run: 'true', foreach: {range: 24}, next: work}
  work: {run: 'sleep 0.05; echo "$MESH_NODE"', next: join}
  join: {join: start, run: 'true'}
FLOW
run 0 'a run of somebody else than node 2 allows' on 1 run among/wide.mf
nodes=$(on 1 logs 1 | sed -n 's|.*/work/.* ||p' | sort -u | tr '\n' ' ')
is "$nodes" 'n1 n3 ' 'was carried out by the others alone'
is "$(ask 2 GET '/v1/audit?verb=lease' | of '.entries[0].verdict')" refused \
    'node 2 has written down that it refused'
ask 2 GET '/v1/audit?verb=lease' | of '.entries[0].why' >why
like why 'policy.users in' 'and by which line'
ok 'no more than once for the run' sh -c "[ $(ask 2 GET '/v1/audit?verb=lease' |
    of '.entries | length') -le 2 ]"

# Nobody else is there: the run waits, and says why.
mesh_kill 3
wait_for 'node 3 is dead' sh -c "MESH_HOME='$(mesh_dir 1)' '$MESH' members | grep -q 'n3.*dead'"
on 1 drain >/dev/null
run 0 'it is submitted where nothing runs' on 1 submit among/plain.mf --json
id=$(of .run <"$out")
waits()
{
    on 1 explain "$id" 2>&1 | grep -q 'policy (users)'
}
wait_for 'it is explained' waits || note "$(on 1 explain "$id" 2>&1)"
pass 'a run that no node may carry out says so'
run 0 'another node takes it' on 1 drain --off
wait_for 'it ends' has_ended "$id"
is "$(ask 1 GET "/v1/runs/$id" | of .outcome)" ok 'well'
finish
