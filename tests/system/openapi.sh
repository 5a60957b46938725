#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# docs/openapi.yaml is true: requests that follow it, and such that break it, are
# answered as it says, over TCP, the user's socket and a task's channel.
. "$(dirname "$0")/lib.sh"

st=${MESH_SCHEMATHESIS:-${XDG_CACHE_HOME:-$HOME/.cache}/mesh/python-tools/bin/st}
[ -x "$st" ] || {
    fail 'there is a schemathesis: ./dev test installs it'
    finish
}

cat >work.mf <<'FLOW'
mesh: 1
flow: Work
parameters:
  gate: {type: string}
steps:
  start:
    run: 'printf 42 | mesh artifact put answer - --type json; echo said'
    foreach: {items: [a, b]}
    next: fit
  fit:
    run: |
      printf 1 >"$MESH_OUT/model"
      if [ "$MESH_TASK" = 0 ]; then
          printf '%s %s' "$MESH_CHANNEL" "$MESH_TOKEN" >"$MESH_PARAM_GATE.channel.part"
          mv "$MESH_PARAM_GATE.channel.part" "$MESH_PARAM_GATE.channel"
          until test -e "$MESH_PARAM_GATE"; do sleep 0.1; done
      fi
    switch:
      by: model
      cases: {good: end, bad: end}
      default: end
  end:
    join: start
    run: 'true'
FLOW
touch open
node n --listen 127.0.0.1:0
address=$(sed -n 's|.* \(http://127[^,]*\), with a token.*|\1|p' n.out)
run 0 'a run ends' "$MESH" submit work.mf --follow --gate "$work/open"
start follower "$MESH" submit work.mf --follow --gate "$work/gate"
follower=$pid
wait_for 'a task runs' test -e gate.channel || finish
read -r channel token <gate.channel
"$MESH" token create tester --role operator >operator.token 2>operator.err
chmod 600 operator.token
id=$(http GET /v1/runs/1/artifacts/fit/1/model -o /dev/null -D - |
    sed -n 's/^Mesh-Id: \([0-9a-f]*\).*/\1/p')

# Values that lead somewhere. What only a person knows, as which bytes a blob's id stands
# for, no schema says: there a refusal is right as well.
cat >schemathesis.toml <<TOML
[parameters]
"path.run" = "1"
"path.step" = "fit"
"path.task" = "1"
"path.name" = "model"

[[operations]]
include-operation-id = ["getBlob", "statBlob"]
parameters = { "path.id" = "$id" }

# All else asks about the first run: the one that goes on cannot be removed.
[[operations]]
include-operation-id = "removeRun"
parameters = { "path.run" = "2" }

# One list for all of them: what is not there, not now, or not for this request.
[[operations]]
include-operation-id = ["submitRun", "putBlob", "putTree", "taskPutArtifact", "taskChoose",
    "changeTags", "listAttempts", "listArtifacts", "listLogs"]
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 401, 404, 409, 413, 422]

[[operations]]
include-operation-id = "taskGetArtifact"
parameters = { "path.name" = "answer" }
checks.positive_data_acceptance.expected-statuses = ["2xx", 304, 400, 401, 404, 409]
TOML

# tell NAME URL EXAMPLES [arguments]: no stream of events, which has no end.
tell()
{
    tell_url=$2 tell_name=$1 tell_examples=$3
    shift 3
    run 0 "$tell_name" "$st" --config-file "$work/schemathesis.toml" run \
        "$top/docs/openapi.yaml" --url "$tell_url" --checks all --no-color \
        --phases examples,coverage,fuzzing --max-examples "$tell_examples" \
        --exclude-operation-id followEvents --request-timeout 30 --warnings off \
        --generation-database none --seed "${MESH_SEED:-1}" "$@"
    [ "$code" = 0 ] || sed -n '/= FAILURES/,$p' "$out" | sed 's/^/# /'
}

relay()
{
    start "$1" python3 "$here/relay.py" "$2"
    wait_for "$1 listens" test -s "$1.out"
}

many=15
[ -z "${MESH_LONG:-}" ] || many=300
tell 'over TCP, with a token' "$address" "$many" --exclude-tag task \
    -H "Authorization: Bearer $(cat operator.token)"
relay user "$MESH_HOME/mesh.sock"
tell 'over the socket of the user' "http://127.0.0.1:$(cat user.out)" 3 --exclude-tag task
relay task "$channel"
tell 'over the channel of a task' "http://127.0.0.1:$(cat task.out)" "$many" \
    --include-tag task -H "Authorization: Bearer $token"

ok 'the node still answers' node_answers
touch gate
wait_for 'the run goes on' is_gone "$follower"
finish
