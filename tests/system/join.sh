#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A mesh is made, nodes join it by tokens, and one is shut out.
# shellcheck source=tests/system/lib.sh
. "$(dirname "$0")/lib.sh"

member() # NAME [OPTIONS]: a node in $work/NAME; its id is in $pid
{
    member_name=$1
    shift
    start "$member_name" "$MESH" node --data "$work/$member_name" --name "$member_name" \
        --peer-listen 127.0.0.1:0 "$@"
    wait_for "$member_name answers" answers "$member_name" ||
        note_file "$work/$member_name.err"
}

answers()
{
    curl -sS -m 30 --unix-socket "$work/$1/mesh.sock" http://mesh/v1/node |
        grep -q '"is_inspect": *false'
}

alive() # NAME N: it sees so many members alive
{
    [ "$(curl -sS -m 30 --unix-socket "$work/$1/mesh.sock" http://mesh/v1/members |
        jq '[.members[] | select(.state == "alive")] | length')" = "$2" ]
}

# ---- making it ----

run 2 'a folder of no mesh is told from one' "$MESH" node --data "$work/a"
like "$err" 'mesh init' 'it says how to make one'
run 0 'a mesh is made' "$MESH" init --name lab --data "$work/a"
like "$out" 'Mesh lab is made' 'it says so'
is "$(stat -c %a "$work/a/identity" "$work/a/identity"/* | sort -u | tr '\n' ' ')" \
    '600 700 ' 'its keys are for their owner alone'
run 1 'it is not made twice' "$MESH" init --name lab --data "$work/a"
like "$err" 'is of a mesh already' 'it says why'
run 2 'a name with a space is none' "$MESH" init --name 'a b' --data "$work/x"

member a
first=$pid
like "$work/a.out" 'of the mesh: *lab, as a, at 127.0.0.1:[0-9]*/' \
    'it says of which mesh it is, and where'

# ---- joining ----

run 0 'a token is made' "$MESH" invite --data "$work/a" --roles worker,home --uses 2
like "$out" '^mesh1-[A-Za-z0-9_-]+$' 'it is all that is printed'
cp "$out" "$work/token"
member b --join "$(cat "$work/token")"
b=$pid
wait_for 'both see both' alive a 2 && wait_for 'both see both' alive b 2
pass 'a node joins, and both see both'
unlike "$work/b.out" "$(cat "$work/token")" 'the token is not repeated'

"$MESH" node --data "$work/c" --name c --peer-listen 127.0.0.1:0 --join - \
    <"$work/token" >"$work/c.out" 2>"$work/c.err" &
c=$!
wait_for 'c answers' answers c
wait_for 'all see all' alive a 3 && wait_for 'all see all' alive b 3
pass 'a token comes from standard input too, and all meet'

run 1 'a token that is used up opens nothing' timeout 60 "$MESH" node \
    --data "$work/d" --peer-listen 127.0.0.1:0 --join "$(cat "$work/token")"
like "$err" 'the token was used already' 'it says so'
run 2 'a token that was changed is found' "$MESH" node --data "$work/d" \
    --join "$(sed 's/mesh1-./mesh1-_/' "$work/token")"
like "$err" 'the token is damaged' 'it says so'
run 2 'what is no token is told' "$MESH" node --data "$work/d" --join hello
"$MESH" invite --data "$work/a" --expires 1s >"$work/short" 2>/dev/null
is_over() # FILE: written more than a second ago
{
    [ "$(date +%s)" -gt "$(($(stat -c %Y "$1") + 1))" ]
}
wait_for 'the token is over' is_over "$work/short"
run 1 'a token that is over opens nothing' timeout 60 "$MESH" node --data "$work/d" \
    --peer-listen 127.0.0.1:0 --join "$(cat "$work/short")"
like "$err" 'the token has expired' 'it says so'
run 1 'who is no issuer does not invite' "$MESH" invite --data "$work/b"
like "$err" 'it is no issuer' 'it says who does'
run 2 'a role that is none is refused' "$MESH" invite --data "$work/a" --roles king

# ---- starting again ----

stop "$b"
member b --join "$(cat "$work/token")"
b=$pid
wait_for 'b is back' alive b 3
pass 'a member that is given its token again is a member, and finds the others'
is "$(cat "$work/b/identity/boot")" 2 'it counts its starts'

# ---- shutting out ----

run 3 'a member that is none cannot be shut out' "$MESH" revoke nobody --data "$work/a"
run 1 'only an issuer shuts out' "$MESH" revoke c --data "$work/b"
run 0 'a member is shut out by its name' "$MESH" revoke c --data "$work/a"
wait_for 'a sees it no more' alive a 2 && wait_for 'b sees it no more' alive b 2
pass 'nobody talks to it any more'
run 1 'it is shut out once' "$MESH" revoke "$(sed -n 's/^Node \([0-9a-f]*\).*/\1/p' \
    "$out")" --data "$work/a"
kill $c
wait $c 2>/dev/null
member c
wait_for 'c is told' grep -q 'was revoked' "$work/c.err"
pass 'and when it comes again it is told why it is not let in'
ok 'and is not let in' alive a 2
stop "$pid"
stop "$b"
stop "$first"

# ---- to try things ----

member dev --dev
run 0 'a mesh to try things is made on the spot' "$MESH" invite --data "$work/dev"
member dev2 --dev --join "$(cat "$out")"
wait_for 'both see both' alive dev 2
pass 'and others join it'

finish
