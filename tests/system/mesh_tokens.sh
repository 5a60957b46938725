#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a mesh counts together: any issuer admits by a token to join, and not once too
# often; a user's token that one node made opens another and is revoked at a third. A
# node that has no majority, or comes back, takes no token that it cannot be sure of.
. "$(dirname "$0")/lib.sh"
MESH_NET=loopback
. "$here/lib_mesh.sh"

with_token() # I FILE PATH: the status of an answer
{
    curl -sS -m 60 -o "$work/answer" -w '%{http_code}' \
        -H "Authorization: Bearer $(cat "$work/$2")" \
        "http://$(ask "$1" GET /v1/node | of .listen)$3"
}

opens() # I FILE STATUS
{
    [ "$(with_token "$1" "$2" /v1/runs)" = "$3" ]
}

tokens_at() # I
{
    ask "$1" GET /v1/tokens | of '[.tokens[] | .name + "/" + .scope] | sort | join(" ")'
}

joins() # NAME TOKEN
{
    "$MESH" node --data "$work/$1" --name "$1" --peer-listen 127.0.0.1:0 --join "$2"
}

# Whether a majority of all three is needed: before, the first alone is one.
is_shared()
{
    [ "$(on 1 members --json | of '[.members[] | select(.state == "alive")] | length')" = 3 ] &&
        on 2 token list >/dev/null && on 3 token list >/dev/null
}

mesh_start 1 --listen 127.0.0.1:0
mesh_token=$(on 1 invite --roles worker,home,issuer --uses 2)
mesh_n=3
for i in 2 3; do
    mesh_node $i --listen 127.0.0.1:0 --join "$mesh_token"
    mesh_up $i
done
wait_for 'all see all' is_shared

# ---- tokens of users ----

run 0 'a token is made at the first' on 1 token create ci --role viewer
like "$err" 'at every node of the mesh' 'it says where it holds'
(umask 077 && cp "$out" ci)
id=$(on 3 token list --json | of '.tokens[0].id')
for i in 1 2 3; do
    is "$(tokens_at $i)" 'ci/mesh' "node $i lists it"
    is "$(with_token $i ci /v1/runs)" 200 "it opens node $i"
    ok "no file of node $i has it" sh -c '! grep -rqF -e "$1" "$2"' sh "$(cat ci)" \
        "$(mesh_dir $i)"
done
run 0 'another, that is over soon' on 2 token create short --expires 1s
(umask 077 && cp "$out" short)
wait_for 'it is over at the third' opens 3 short 401
like answer 'has expired|none of' 'which says so'

# ---- invitations ----

token=$(on 2 invite --uses 2)
mesh_kill 2
joins d "$token" >d.out 2>d.err &
d=$!
wait_for 'one comes by an issuer that did not invite it' grep -q 'of the mesh' d.out ||
    note_file d.err
joins e "$token" >e.out 2>e.err &
e=$!
wait_for 'and a second one' grep -q 'of the mesh' e.out || note_file e.err
run 1 'and no third' timeout 60 "$MESH" node --data "$work/f" --peer-listen 127.0.0.1:0 \
    --join "$token"
like "$err" 'the token was used already' 'which is told why'
last=$(on 3 invite --uses 1)
for p in "$d" "$e"; do
    stop "$p"
done

# ---- revoked while a node is away ----

mesh_kill 3
mesh_again 2 --listen 127.0.0.1:0
run 0 'it is revoked at the second' on 2 token revoke "$id"
wait_for 'the first takes it no more' opens 1 ci 401
run 0 'one more' on 2 token create op --role operator
(umask 077 && cp "$out" op)
mesh_again 3 --listen 127.0.0.1:0
status=$(with_token 3 ci /v1/runs)
case $status in
401 | 503) pass 'one that was away never takes it' ;;
*) fail "one that was away takes it: $status" ;;
esac
wait_for 'but it takes the other one' opens 3 op 200
is "$(tokens_at 3)" 'op/mesh' 'and lists what is left'

# ---- no majority ----

mesh_kill 1
mesh_kill 2
wait_for 'without a majority no token opens' opens 3 op 503
like answer 'does not reach a majority' 'and it says why'
run 4 'none is made' on 3 token create late
like "$err" 'does not reach a majority' 'with the reason'
run 4 'nobody is invited' on 3 invite
like "$err" 'majority .* cannot be reached' 'with the reason'
run 1 'and nobody let in' timeout 60 "$MESH" node --data "$work/g" \
    --peer-listen 127.0.0.1:0 --join "$last"
like "$err" 'majority .* cannot be reached|nobody answers' 'with the reason'
mesh_again 1 --listen 127.0.0.1:0
wait_for 'with a majority it opens again' opens 3 op 200
finish
