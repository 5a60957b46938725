#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node that is asked from elsewhere: by TLS, known by its fingerprint, with a token that
# mesh login keeps.
. "$(dirname "$0")/lib.sh"

export XDG_CONFIG_HOME="$work/config"
cat >count.mf <<'FLOW'
mesh: 1
flow: Count
steps:
  start: {run: 'head -c 3000000 /dev/zero >"$MESH_OUT/zeros"', foreach: {range: 3}, next: each}
  each: {run: 'echo "I am $MESH_TASK"', next: join}
  join: {run: 'true', join: start}
FLOW

node n --listen https://127.0.0.1:0
node_pid=$pid
address=$(sed -n 's|.* \(https://127[^,]*\), with a token.*|\1|p' n.out)
port=${address##*:}
ok 'it says where it listens' test -n "$address"
run 0 'a token is made' "$MESH" token create ann --role submitter
cp "$out" token && chmod 600 token
print=$(sed -n 's/.* --fingerprint \(sha256:[0-9a-f]*\)$/\1/p' "$err")
is "${#print}" 71 'with the fingerprint of the node'
is "$(stat -c %a "$MESH_HOME/tls.pem")" 600 'its key is its owner'"'"'s alone'

run 4 'nobody is asked who is not known' "$MESH" login "$address" --token-file token
like "$err" "certificate is $print\$" 'and who it would be is told'
run 4 'nor who is another' "$MESH" login "$address" --token-file token \
    --fingerprint "sha256:$(printf '%064d' 0)"
run 2 'a fingerprint that is none' "$MESH" login "$address" --fingerprint sha256:12 \
    --token-file token
echo wrong >other && chmod 600 other
run 1 'a token that is none is not kept' "$MESH" login "$address" --fingerprint "$print" \
    --token-file other
run 2 'without a login there is no way' "$MESH" runs --address "$address"
like "$err" 'mesh login https' 'but the one that is told'
run 0 'the login' "$MESH" login "$address" --fingerprint "$print" --token-file token
is "$(stat -c %a "$XDG_CONFIG_HOME/mesh/logins/127.0.0.1:$port")" 600 'is kept closed'

export MESH_ADDRESS="$address"
run 0 'a run from elsewhere' "$MESH" submit count.mf --follow
like "$out" '\] I am 1$' 'with its log as it is written'
like "$out" 'Workflow ended: OK' 'and its end'
run 0 'a large artifact' "$MESH" artifact get 1/start zeros --output zeros
is "$(wc -c <zeros)" 3000000 'comes whole'
run 0 'a large package' sh -c 'head -c 2500000 /dev/urandom >blob && "$1" submit count.mf --follow' sh "$MESH"
run 1 'no more than its role' "$MESH" gc
python=$(command -v python3)
run 0 'the Python client too' env PYTHONPATH="$top/sdk/python" "$python" -c \
    'import mesh; print(mesh.Run("1").outcome, len(mesh.Run("1")["each"].tasks))'
is "$(cat "$out")" 'ok 3' 'by the same login'
cat >look.py <<'PY'
import asyncio
from mesh import aio

async def look():
    print((await aio.Run("1")).outcome)

asyncio.run(look())
PY
run 0 'and the one for asyncio' env PYTHONPATH="$top/sdk/python" "$python" look.py
is "$(cat "$out")" ok 'in the same way'
run 1 'which asks no stranger either' env PYTHONPATH="$top/sdk/python" \
    MESH_FINGERPRINT="sha256:$(printf '%064d' 0)" "$python" -c 'import mesh; mesh.Run("1").outcome'
like "$err" 'certificate of the node' 'and says who it is'
unset MESH_ADDRESS

is "$(curl -sk -o /dev/null -w '%{http_code}' "$address/v1/runs")" 401 'nobody without a token'
is "$(curl -sk -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(cat token)" \
    -H 'Origin: https://evil.example' "$address/v1/runs")" 403 'no page from elsewhere'
is "$(curl -sk -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $(cat token)" \
    "$address/v1/runs")" 200 'any client with one'
ok 'nothing that is no TLS' sh -c '! curl -s -m 5 "http://127.0.0.1:$1/v1/runs"' sh "$port"

stop "$node_pid"
node again --listen "https://127.0.0.1:$port"
run 0 'the fingerprint is for good' "$MESH" runs --address "$address"
stop "$pid"
rm "$MESH_HOME/tls.pem"
node stranger --listen "https://127.0.0.1:$port"
run 4 'another node in its place is not told the token' "$MESH" runs --address "$address"
like "$err" 'certificate is sha256:' 'but who it is'
run 0 'it is forgotten' "$MESH" logout "$address"
run 3 'once' "$MESH" logout "$address"
stop "$pid"
chmod 644 "$MESH_HOME/tls.pem"
run 4 'a key that others can read' "$MESH" node --dev --listen "https://127.0.0.1:$port"
like "$err" 'chmod 600' 'is not used'
finish
