#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node on a TCP port: who is let in, what they may do, and who is let go.
. "$(dirname "$0")/lib.sh"

cat >hold.mf <<'FLOW'
mesh: 1
flow: Hold
parameters:
  gate: {type: string}
steps:
  start: {run: 'echo made >"$MESH_OUT/x"; until test -e "$MESH_PARAM_GATE"; do sleep 0.1; done'}
FLOW

run 2 'the network is not listened to as it is' "$MESH" node --dev --listen http://0.0.0.0:0
like "$err" 'write https://' 'with the way round'
run 2 'and a name that is none' "$MESH" node --dev --listen nowhere.invalid:80
node n --listen 127.0.0.1:0
node_pid=$pid
address=$(sed -n 's|.* \(http://127[^,]*\), with a token.*|\1|p' n.out)
port=${address##*:}
is "$(http GET /v1/node | sed 's/.*"listen":"\([^"]*\)".*/http:\/\/\1/')" "$address" \
    'the node tells where it listens'
run 4 'a port that is taken is told' env MESH_HOME="$work/other" "$MESH" node --dev \
    --listen "127.0.0.1:$port"
like "$err" 'cannot listen on 127.0.0.1:[0-9]+: Address already in use' 'with the reason'

for role in viewer submitter operator; do
    run 0 "a token of a $role" "$MESH" token create "$role-1" --role "$role"
    (umask 077 && cat "$out" >"$role")
    like "$err" 'it is shown this once' 'and that it is not shown again'
done
run 2 'a role that is none' "$MESH" token create x --role king
run 2 'a time that is none' "$MESH" token create x --expires soon
run 0 'they are listed' "$MESH" token list
like "$out" 'viewer-1 +viewer' 'with name and role'
for secret in viewer submitter operator; do
    ok "the token of the $secret is in no file of the node" sh -c \
        '! grep -rqF -e "$1" "$MESH_HOME"' sh "$(cat $secret)"
done

# as WHO ARGUMENTS...: the command line, over TCP
as()
{
    as_who=$1
    shift
    MESH_ADDRESS=$address MESH_TOKEN_FILE=$work/$as_who "$MESH" "$@"
}
run 2 'no token, no answer' env MESH_ADDRESS="$address" "$MESH" runs
like "$err" 'MESH_TOKEN_FILE' 'and what to set'
run 0 'a viewer looks' as viewer runs
run 1 'a viewer starts nothing' as viewer submit hold.mf --gate "$work/gate"
like "$err" "this takes the role submitter" 'and is told why'
run 0 'a submitter starts a run' as submitter submit hold.mf --gate "$work/gate"
run 0 'which is its own' as viewer runs --json
like "$out" '"user": "submitter-1"' 'by the name of its token'
start other "$MESH" submit hold.mf --gate "$work/gate" --follow
other=$pid
wait_for 'the other run runs' grep -q 'is starting' other.out
run 1 'another run it cannot end' as submitter cancel 2
like "$err" 'belongs to' 'because it is not its own'
run 0 'its own it can' as submitter cancel 1
run 1 'it collects no garbage' as submitter gc
run 0 'an operator does' as operator gc
touch gate
ended "$other" 0 'the run of the other ends well'
run 0 'a viewer reads what it made' as viewer artifact get 2/start x
is "$(cat "$out")" made 'as it is'

chmod 644 viewer
run 2 'a token that others can read is not used' as viewer runs
like "$err" 'chmod 600' 'and what to do'
chmod 600 viewer
run 2 'a token is not sent over the network as it is' env MESH_TOKEN_FILE=viewer "$MESH" \
    runs --address http://192.0.2.1:80
run 4 'nor is TLS given up' env MESH_TOKEN_FILE=viewer "$MESH" runs \
    --address "https://127.0.0.1:$port"
run 4 'a port where nobody listens' env MESH_TOKEN_FILE=viewer "$MESH" runs \
    --address http://127.0.0.1:1

# bare ARGUMENTS...: curl's status
bare()
{
    curl -s -o /dev/null -m 10 -w '%{http_code}' "$@"
}
token=$(cat operator)
is "$(bare "$address/v1/node")" 401 'no token: 401'
is "$(bare -H "Authorization: Bearer $token" "$address/v1/node")" 200 'with one: 200'
is "$(bare -H "Authorization: Bearer $token" -H 'Host: evil.example' "$address/v1/node")" \
    421 'by another name: 421'
is "$(bare -H "Authorization: Bearer $token" -H 'Origin: http://evil.example' \
    "$address/v1/node")" 403 'from a page of elsewhere: 403'
is "$(bare -H "Authorization: Bearer $token" -X OPTIONS -H 'Origin: http://evil.example' \
    -H 'Access-Control-Request-Method: POST' "$address/v1/runs")" 403 \
    'and its browser gets no leave'

# Revoked: what was begun with it ends, and it opens nothing.
start stream curl -sN -H "Authorization: Bearer $(cat viewer)" "$address/v1/events"
stream=$pid
wait_for 'a stream is open' grep -q '^:' stream.out
id=$("$MESH" token list | sed -n 's/^\([0-9a-f]*\) *viewer-1 .*/\1/p')
run 0 'the token is revoked' "$MESH" token revoke "$id"
wait_for 'its stream ends' is_gone "$stream"
run 1 'it opens nothing any more' as viewer runs
run 3 'it cannot be revoked twice' "$MESH" token revoke "$id"

# More connections than one peer may have, and a head that is too long.
run 0 'clients that are many, long and slow' python3 "$here/tcp_abuse.py" "$port"
sed -n 's/^/# /p' "$out"
for what in many long drip; do
    like "$out" "^$what ok\$" "$what"
done
run 0 'an operator is still answered' as operator runs
stop "$node_pid"

# Tokens outlive the node.
node again --listen "127.0.0.1:$port"
run 0 'a token holds over a restart' as operator runs
chmod 640 "$MESH_HOME/tokens"
stop "$pid"
start refused "$MESH" node --dev --listen "127.0.0.1:$port"
wait_for 'it listens' grep -q 'listens at' refused.out
bare "$address/v1/node" >/dev/null
like refused.err 'nobody else can read' 'a file of tokens that others can read is refused'
finish
