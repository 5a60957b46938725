#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What a task may ask of its node, and what not.
. "$(dirname "$0")/lib.sh"

cat >other.mf <<'FLOW'
mesh: 1
flow: Other
steps:
  start:
    run: 'printf 42 | mesh artifact put secret_of_another - --type json'
    next: end
  end:
    run: 'true'
FLOW
# Whoever connected has gone before the node looks; the socket stays with its parent.
cat >gone.py <<'PYTHON'
import os, socket, sys
for _ in range(30):
    s = socket.socket(socket.AF_UNIX)
    if os.fork() == 0:
        s.connect(sys.argv[1])
        os._exit(0)
    os.wait()
    s.sendall(b"GET /v1/runs HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n\r\n")
    if b" 200 " in s.recv(4096).partition(b"\r\n")[0]:
        sys.exit(0)
sys.exit("never answered")
PYTHON
cat >inside.mf <<'FLOW'
mesh: 1
flow: Inside
parameters:
  flow: {type: string}
  home: {type: string}
steps:
  start:
    run: |
      # Each line: what was tried, and whether it was allowed.
      try() { name=$1; shift; if "$@" >"$MESH_TEMPDIR/said" 2>&1; then echo "$name allowed"
          else echo "$name refused: $(head -n 1 "$MESH_TEMPDIR/said")"; fi; }
      printf 1 >"$MESH_OUT/mine"
      try submit mesh submit --data "$STORE" "$MESH_PARAM_FLOW"
      try run mesh run --data "$STORE" "$MESH_PARAM_FLOW"
      echo "told $(grep -c 'may not use' "$MESH_TEMPDIR/said") time"
      try cancel mesh cancel --data "$STORE" "$MESH_RUN"
      try runs mesh runs --data "$STORE"
      try other mesh artifact get 1/start secret_of_another
      try gc mesh gc --data "$STORE"
      try socket curl -sS --fail -m 10 --unix-socket "$STORE/mesh.sock" http://mesh/v1/runs
      try gone python3 gone.py "$STORE/mesh.sock"
      try daemon setsid sh -c 'curl -sS --fail -m 10 --unix-socket "$STORE/mesh.sock" http://mesh/v1/runs'
      try notoken curl -sS --fail -m 10 --unix-socket "$MESH_CHANNEL" http://mesh/v1/task/inputs
      try badtoken curl -sS --fail -m 10 -H 'Authorization: Bearer 00000000000000000000000000000000' --unix-socket "$MESH_CHANNEL" http://mesh/v1/task/inputs
      try climb curl -sS --fail -m 10 --path-as-is -H "Authorization: Bearer $MESH_TOKEN" --unix-socket "$MESH_CHANNEL" -X PUT -d x 'http://mesh/v1/task/artifacts/..%2f..%2fescaped'
      try runs_here curl -sS --fail -m 10 -H "Authorization: Bearer $MESH_TOKEN" --unix-socket "$MESH_CHANNEL" http://mesh/v1/runs
      try put mesh artifact put given /etc/hostname
      echo "token $MESH_TOKEN channel $MESH_CHANNEL"
      ls -ld "$MESH_OUT" "$MESH_TEMPDIR"
    environment: {STORE: "${{ params.home }}"}
    next: end
  end:
    run: 'mesh artifact get given | cmp - /etc/hostname && echo "given came along"'
FLOW
run 0 'another run makes an artifact' "$MESH" run other.mf
run 0 'a task tries everything' "$MESH" run inside.mf --flow "$work/other.mf" --home "$MESH_HOME"
for what in submit run cancel runs other gc socket gone daemon notoken badtoken climb runs_here; do
    like "$out" "\\] $what refused" "$what is refused"
done
like "$out" '\] told 1 time$' 'which is said once, and not tried again'
like "$out" '\] put allowed' 'its own artifacts are not'
like "$out" '\] given came along$' 'and arrive'
is "$("$MESH" runs --json | grep -o '"number"' | wc -l)" 2 'no run was started from inside'
ok 'nothing was written outside' sh -c '! find "$1" -name "*escaped*" | grep .' sh "$MESH_HOME"

cat >late.mf <<'FLOW'
mesh: 1
flow: Late
parameters:
  file: {type: string}
steps:
  start:
    run: 'printf "%s %s" "$MESH_TOKEN" "$MESH_CHANNEL" >"$MESH_PARAM_FILE"'
    next: end
  end:
    run: |
      read -r token channel <"$MESH_PARAM_FILE" || true
      if curl -sS --fail -m 10 -H "Authorization: Bearer $token" --unix-socket "$channel" \
          http://mesh/v1/task/inputs; then echo "old token works"; else echo "old token is dead"; fi
FLOW
run 0 'a token is kept for later' "$MESH" run late.mf --file "$work/token"
like "$out" '\] old token is dead$' 'and ended with its attempt'

cat >put.mf <<'FLOW'
mesh: 1
flow: Put
steps:
  start:
    run: |
      printf '{"a": [1, 2]}' | mesh artifact put doc - --type json
      printf 'first' >"$MESH_OUT/plain"
      mkdir "$MESH_OUT/folder"
      printf 'inner' >"$MESH_OUT/folder/file"
      mesh artifact get doc
    next: end
  end:
    inputs: {tree: folder, text: plain}
    run: |
      echo "doc $(mesh artifact get doc)"
      echo "file $(cat "$MESH_IN/tree/file") $(cat "$MESH_IN/text")"
      if mesh artifact get nothing_like_it; then exit 1; else echo "code $?"; fi
FLOW
run 0 'files, a folder and JSON' "$MESH" run put.mf
like "$out" '\] doc \{"a": ?\[1, ?2\]\}$' 'pass along an edge'
like "$out" '\] file inner first$' 'and are laid out'
like "$out" '\] code 3$' 'what is not there is exit code 3'
finish
