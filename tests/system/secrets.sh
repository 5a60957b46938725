#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A secret parameter reaches its tasks, is written nowhere, and is not replaced by nothing.
. "$(dirname "$0")/lib.sh"

mkdir flow
cat >flow/flow.mf <<'TEXT'
mesh: 1
flow: Secret
parameters:
  password: {secret: true, required: true}
steps:
  start:
    run: |
      test "$MESH_PARAM_PASSWORD" = "$(cat "$SECRET")"
      echo "it is <$MESH_PARAM_PASSWORD>, again $MESH_PARAM_PASSWORD"
      echo "twice: $MESH_PARAM_PASSWORD$MESH_PARAM_PASSWORD" >&2
    next: wait
  wait:
    run: touch "$WAITING"; test -e "$GO" || exec sleep 600
    next: end
  end:
    run: test "$MESH_PARAM_PASSWORD" = "$(cat "$SECRET")"
TEXT
printf open-sesame-71 >password
export SECRET="$work/password" WAITING="$work/waiting" GO="$work/go"

start first "$MESH" run flow/flow.mf --password @password
wait_for 'a task has the secret' test -e "$WAITING" || note_file first.err
wait_for 'what the one before it said is shown' grep -q twice: first.out
kill -9 "$pid"
wait "$pid" 2>killed
absent()
{
    ! grep -rqs open-sesame-71 "$MESH_HOME/store"
}
ok 'it is not in the store' absent
like "$work/first.out" 'it is <\*{14}>, again \*{14}$' 'asterisks stand for it in what is shown'
like "$work/first.out" 'twice: \*{28}$' 'and where it follows itself'

is_failed()
{
    "$MESH" status 1 | grep -q FAILED
}
node again
wait_for 'the run that lost its secret ends' is_failed
run 0 'it can be asked why' "$MESH" status 1
like "$out" 'secret parameters were lost' 'the secret is named'
stop "$pid"
touch "$GO"
run 2 'it is not resumed without' "$MESH" resume 1
run 0 'it is with it' "$MESH" resume 1 --password @password
finish
