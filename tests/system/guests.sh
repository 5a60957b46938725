#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Other users of the machine: refused, or let in by shared_uid, each as themselves.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ] || ! setpriv --reuid 12345 --clear-groups true 2>/dev/null; then
    skip 1 'only root can be several users'
    finish
fi
owner=11111 guest=12345 other=12346
chmod 0711 "$work"
mkdir -m 0700 "$MESH_HOME"
mkdir guest
chown $owner "$MESH_HOME"
chown $guest guest
cat >guest/gate.mf <<'FLOW'
mesh: 1
flow: Gate
parameters:
  gate: {type: string}
steps:
  start: {run: 'until test -e "$MESH_PARAM_GATE"; do sleep 0.02; done'}
FLOW
chmod -R a+rX guest

# as UID COMMAND...: as another user of this machine.
as()
{
    as_uid=$1
    shift
    (cd guest && HOME=$work/guest setpriv --reuid "$as_uid" --regid "$as_uid" \
        --clear-groups "$@")
}
socket=$MESH_HOME/mesh.sock

# The node is the owner's: start_node NAME
start_node()
{
    start "$1" setpriv --reuid $owner --regid $owner --clear-groups \
        env HOME="$work" "$MESH" node --dev --data "$MESH_HOME"
    wait_for "the node answers" node_answers
}

start_node closed
run 4 'another user is refused' as $guest "$MESH" submit --socket "$socket" gate.mf --gate x
like "$err" 'Permission denied' 'by the folder'
like "$err" 'shared_uid: yes' 'and told which setting lets them in'
is "$(stat -c %a "$MESH_HOME")" 700 'which is closed to all others'
stop "$pid"

echo 'shared_uid: yes' >"$MESH_HOME/mesh.conf"
start_node open
node=$pid
is "$(stat -c %a "$MESH_HOME")" 711 'with shared_uid it can be passed through'
is "$(stat -c %a "$socket")" 666 'up to the socket'
for closed in store slots code running task.sock; do
    case $(stat -c %a "$MESH_HOME/$closed") in
    700 | 600) pass "$closed stays the owner's" ;;
    *) fail "$closed is open: $(stat -c %a "$MESH_HOME/$closed")" ;;
    esac
done
run 2 'the folder cannot be listed' as $guest ls "$MESH_HOME"
run 2 'nor the store' as $guest ls "$MESH_HOME/store"

run 0 'a guest submits' \
    as $guest "$MESH" submit --socket "$socket" gate.mf --gate "$work/never"
run 0 'and looks' as $guest "$MESH" status 1 --socket "$socket" --json
like "$out" '"user": "12345"' 'the run is theirs'
run 0 'the owner submits' \
    as $owner "$MESH" submit --socket "$socket" gate.mf --gate "$work/never"
run 0 'as does root' \
    "$MESH" submit --socket "$socket" guest/gate.mf --gate "$work/never"
run 0 'all are seen as themselves' "$MESH" status --socket "$socket" --json
like "$out" '"name": "11111"' 'the owner'
like "$out" '"name": "root"' 'root'
run 0 'a guest sees the runs of others' as $guest "$MESH" runs --socket "$socket"
like "$out" '^ +2 ' 'in the list'
run 0 'and their logs' as $guest "$MESH" logs 2 --socket "$socket"

# asks CODE TEXT UID METHOD PATH: what HTTP answers.
asks()
{
    asks_code=$1 asks_text=$2 asks_uid=$3
    shift 3
    is "$(as "$asks_uid" curl -s -m 30 -o answer.json -w '%{http_code}' -X "$1" \
        --unix-socket "$socket" "http://mesh$2")" "$asks_code" "$asks_text"
    mv guest/answer.json answer.json 2>/dev/null
}
asks 403 'a guest cannot cancel a run of the owner' $guest POST /v1/runs/2/cancel
like answer.json "belongs to '11111'" 'whose it is is said'
asks 403 'nor one of root' $guest POST /v1/runs/3/cancel
asks 403 'another guest cannot cancel theirs' $other POST /v1/runs/1/cancel
asks 403 'a guest cannot free what others may want' $guest POST /v1/gc
like answer.json 'this takes the role operator' 'which is said'
asks 404 'a run that is not there is not there' $guest POST /v1/runs/99/cancel
run 1 'the command line says the same' as $guest "$MESH" cancel 2 --socket "$socket"
like "$err" "belongs to '11111'" 'in its words'
asks 202 'a guest cancels an own run' $guest POST /v1/runs/1/cancel
cancelled()
{
    http GET "/v1/runs/$1" | grep -q '"outcome":"cancelled"'
}
wait_for 'which ends' cancelled 1
run 0 'a guest submits again' \
    as $guest "$MESH" submit --socket "$socket" gate.mf --gate "$work/never"
asks 202 'the owner may cancel it' $owner POST /v1/runs/4/cancel
asks 202 'root may cancel any' 0 POST /v1/runs/2/cancel
wait_for 'the one of the guest ends' cancelled 4
wait_for 'and the one of the owner' cancelled 2

run 2 'a guest cannot submit for another user' \
    as $guest "$MESH" submit --socket "$socket" gate.mf --gate x --as ann
like "$err" 'for root alone' 'says the command line'
printf '{"flow": "mesh: 1\\nflow: A\\nsteps: {a: {run: [\\"true\\"]}}", "user": "ann"}' >guest/body
is "$(as $guest curl -s -m 30 -o /dev/null -w '%{http_code}' -d @body \
    --unix-socket "$socket" http://mesh/v1/runs)" 403 'and the node'
run 0 'root can' "$MESH" submit --socket "$socket" guest/gate.mf --gate x --as ann
run 0 'and it is theirs' "$MESH" status 5 --socket "$socket" --json
like "$out" '"user": "ann"' 'by name'
run 1 'a shell of the node of another is not opened' "$MESH" exec 4/start --socket "$socket" -- true
like "$err" 'runs as another user' 'because it would run as us'
stop "$node"
finish
