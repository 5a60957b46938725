#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What users do at a node is written down, by whom and by which way, and what was changed
# or taken out afterwards is found.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

me=$(id -un)
uid=$(id -u)
cat >plain.mf <<'FLOW'
mesh: 1
flow: Plain
steps:
  start: {run: 'true'}
FLOW
cat >hold.mf <<'FLOW'
mesh: 1
flow: Hold
parameters:
  gate: {type: string}
steps:
  start: {run: 'until test -e "$MESH_PARAM_GATE"; do sleep 0.02; done'}
FLOW
cat >prying.mf <<'FLOW'
mesh: 1
flow: Prying
parameters:
  door: {type: string}
steps:
  start: {run: 'curl -s --unix-socket "$MESH_PARAM_DOOR" http://mesh/v1/runs || true'}
FLOW

# ---- what is written ----

run 0 'a run without a node' "$MESH" run plain.mf
node n --listen 127.0.0.1:0
node_pid=$pid
address=$(sed -n 's|.* \(http://127[^,]*\), with a token.*|\1|p' n.out)
run 0 'one is submitted' "$MESH" submit hold.mf --gate "$work/gate"
run 0 'cancelled' "$MESH" cancel 2
wait_for 'it has ended' sh -c "'$MESH' status 2 | grep -qi cancelled"
start again "$MESH" retry 2
wait_for 'it is done again' sh -c "'$MESH' status 3 | grep -qi running"
run 0 'cancelled again' "$MESH" cancel 3
wait_for 'it has ended' sh -c "'$MESH' status 3 | grep -qi cancelled"
run 0 'tagged' "$MESH" tag 2 add hello
run 0 'removed' "$MESH" rm 2 --yes
run 0 'a token' "$MESH" token create ci --role viewer
(umask 077 && cp "$out" token)
token_id=$("$MESH" token list --json | jq -r '.tokens[0].id')
viewer()
{
    MESH_ADDRESS=$address MESH_TOKEN_FILE=$work/token "$MESH" "$@"
}
run 0 'it opens the door' viewer runs
run 0 'again' viewer runs
run 1 'but not for more' viewer cancel 1
run 1 'nor for the audit log' viewer audit
like "$err" 'takes the role operator' 'which operators read'
curl -s -o curl.out "$address/v1/runs"
curl -s -o curl.out -H 'Authorization: Bearer mesh_wrong' "$address/v1/runs"
run 0 'the token is revoked' "$MESH" token revoke "$token_id"
run 1 'and opens nothing' viewer runs
run 0 'a task asks at the socket of users' "$MESH" submit prying.mf \
    --door "$MESH_HOME/mesh.sock" --follow

run 0 'what happened is listed' "$MESH" audit --json
jq -r '.entries[] | [.verb, .verdict, .user, .way, .from] | join(" ")' "$out" >seen
cat >wanted <<LIST
submit done $me process $uid
submit done $me socket $uid
cancel done $me socket $uid
resume done $me socket $uid
cancel done $me socket $uid
tag done $me socket $uid
rm done $me socket $uid
token.create done $me socket $uid
login done ci token $token_id
cancel refused ci token $token_id
request refused ci token $token_id
request refused  token 127.0.0.1
request refused  token 127.0.0.1
token.revoke done $me socket $uid
request refused  token 127.0.0.1
submit done $me socket $uid
LIST
sed '/^request refused .* socket/d' seen >most
ok 'each with its verb, verdict, user and way' diff wanted most
like seen '^request refused .* socket' 'the task that pried too'
like "$out" "\"why\": \"this takes the role submitter; token 'ci' is viewer\"" \
    'a refusal has its reason'
ok 'nothing secret is in it' sh -c '! grep -rqF "$(cat token)" "$1"' sh "$MESH_HOME/audit"
is "$(stat -c %a "$MESH_HOME/audit" "$MESH_HOME"/audit/* | sort -u | tr '\n' ' ')" '600 700 ' \
    'it is its owner'\''s alone'

# ---- what is shown of it ----

is "$("$MESH" audit --json --verb cancel | jq '.entries | length')" 3 'by verb'
is "$("$MESH" audit --json --user ci | jq '.entries | length')" 3 'by user'
is "$("$MESH" audit --json --verdict refused --user ci | jq '.entries | length')" 2 \
    'by verdict'
is "$("$MESH" audit --json --limit 2 | jq -c '[(.entries | length), .older]')" '[2,true]' \
    'the newest of them'
is "$("$MESH" audit --json --since 1d | jq '.entries | length')" "$(wc -l <seen)" 'by age'
run 2 'a time that is none' "$MESH" audit --since soon
run 2 'a verdict that is none' "$MESH" audit --verdict perhaps
run 0 'as a table' "$MESH" audit
like "$out" "ci +token $token_id +cancel +refused" 'a line each'

# ---- that nothing was changed ----

log=$MESH_HOME/audit/00000000000000000001.log
run 0 'all is as it was written' "$MESH" audit --verify
like "$out" "^$(wc -l <seen) entries, all as they were written" 'and how much that is'
synced()
{
    stop "$node_pid"
    node n --listen 127.0.0.1:0
    node_pid=$pid
    "$MESH" tag 1 add x >"$work/tag.out" 2>&1
    wait_for 'the store knows where it ends' sh -c "'$MESH' audit --verify --json |
        jq -e '.nodes[0] | .kept == .last'"
}
cp "$log" before
sed -i 's/"verb":"rm"/"verb":"gc"/' "$log"
run 1 'an entry that was changed' "$MESH" audit --verify
like "$out" '^not what was written: 1 faults' 'is one fault'
like "$out" 'entry 7: it was changed' 'which is named'
cp before "$log"
sed -i '/"verb":"rm"/d' "$log"
run 1 'one that was taken out' "$MESH" audit --verify
like "$out" 'entry 7: entries before it are missing' 'is missed by the next'
cp before "$log"
run 0 'as it was' "$MESH" audit --verify
synced
cp "$log" before
stop "$node_pid"
sed -i '$d' "$log"
node n
node_pid=$pid
run 1 'the last one, cut off while no node ran' "$MESH" audit --verify
like "$out" 'entries before it are missing' 'is missed too'
run 0 'and life goes on' "$MESH" run plain.mf
run 1 'which does not hide it' "$MESH" audit --verify
stop "$node_pid"

# The digests are SHA-256 of what stands there, so nobody has to believe the node.
cat >digests.py <<'PYTHON'
import hashlib, sys
lines = open(sys.argv[1], 'rb').read().splitlines()
last = bytes.fromhex(lines[0].split()[3].decode())
for line in lines[1:]:
    digest, json = line.split(b' ', 1)
    last = hashlib.sha256(last + json).digest()
    assert last.hex().encode() == digest
PYTHON
ok 'another program finds the same' python3 digests.py before

# ---- who asks for nothing but to be refused ----

node n --listen 127.0.0.1:0
address=$(sed -n 's|.* \(http://127[^,]*\), with a token.*|\1|p' n.out)
yes "$address/v1/runs" | head -n 300 | sed 's/^/url = /' | curl -s --config - >curl.out
run 0 'three hundred refusals' "$MESH" audit --json --verb request --limit 1000
ok 'are not three hundred entries' sh -c \
    "[ \$(jq '[.entries[] | select(.user == \"\")] | length' '$out') -le 80 ]"
stop "$pid"

# ---- several nodes ----

mesh_start 3
mkdir among # what lies beside a flow travels with it, and must not be written to
cp plain.mf among
run 0 'a run at node 2' on 2 submit among/plain.mf --follow
run 0 'removed by node 1' on 1 rm 1 --yes
run 0 'an invitation' on 1 invite --roles worker
run 0 'node 2 shall take no work' on 1 drain n2
run 0 'all of it' on 1 audit --all-nodes --json
jq -r '.entries[] | [.node, .verb, .verdict, .way, .from] | join(" ")' "$out" >seen
like seen '^n1 join done mesh n2$' 'who was let in'
like seen "^n2 submit done socket $uid\$" 'what was done at each'
like seen '^n2 drain done peer n1$' 'and what was passed on, by whom'
like seen '^n1 invite done socket' 'who invites'
is "$(jq -r '[.entries[].time] | . == sort' "$out")" true 'by time'
run 0 'that of one' on 1 audit --node n2 --json
is "$(jq -r '[.entries[].node] | unique | join(" ")' "$out")" n2 'and of no other'
run 0 'all verify' on 1 audit --verify --all-nodes
is "$(grep -c 'all as they were written' "$out")" 3 'each their own'
run 0 'a node is shut out' on 1 revoke n2
wait_for 'the others hear of it, and write it down' sh -c \
    "MESH_HOME='$(mesh_dir 3)' '$MESH' audit | grep -q 'revoked *done'"
run 0 'and by whom' on 1 audit --verb revoke
like "$out" "socket $uid +revoke +done +n2" 'with its name'
finish
