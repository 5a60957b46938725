#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A disk that is full, that lies, or that belongs to somebody else.
. "$(dirname "$0")/lib.sh"

cat >make.mf <<'FLOW'
mesh: 1
flow: Make
parameters:
  kib: {type: int, default: 64}
steps:
  start:
    run: 'head -c "$((MESH_PARAM_KIB * 1024))" /dev/urandom >"$MESH_OUT/noise"; echo made'
    next: end
  end:
    run: 'mesh artifact get noise | wc -c'
FLOW

# Of this folder only the flows are code.
printf '*\n!*.mf\n' >.meshignore

# ---- damage is found and named ----

run 0 'a run keeps a large artifact' "$MESH" run make.mf --kib 9000
run 0 'verify finds nothing' "$MESH" verify 1
blob=$(find "$MESH_HOME/blobs" -type f -size +8000k | head -n 1)
ok 'its bytes are in a file' test -n "$blob"
chmod u+w "$blob"
printf 'X' | dd of="$blob" bs=1 seek=4000000 conv=notrunc 2>/dev/null
run 1 'verify finds one changed byte' "$MESH" verify 1
cat "$out" "$err" >both
like both 'noise' 'and names the artifact'
like both 'start' 'and the step that made it'
ok 'the damaged bytes are not handed out' \
    sh -c '! "$1" artifact get 1/start noise -o got && ! test -e got' sh "$MESH"
rm -f "$blob"
run 1 'verify finds bytes that are gone' "$MESH" verify 1

# ---- a store that cannot be read ----

cp -r "$MESH_HOME" "$work/damaged"
data=$(find "$work/damaged/store" -name 'data.mdb' | head -n 1)
ok 'the records are in a file' test -n "$data"
dd if=/dev/urandom of="$data" bs=4096 count=2 conv=notrunc 2>/dev/null
run 4 'a destroyed store is refused' "$MESH" run --data "$work/damaged" make.mf
like "$err" 'damaged|not a|store' 'and named'
run 4 'nor can it be looked at' timeout 5 "$MESH" runs --data "$work/damaged"
like "$err" '^mesh: .*/damaged/store is damaged$' 'which says why, at once'

mkdir -p "$work/file"
echo 'a file' >"$work/file/home"
run 4 'a file is no data folder' "$MESH" run --data "$work/file/home" make.mf
if [ "$(id -u)" != 0 ]; then
    mkdir "$work/closed" && chmod 0 "$work/closed"
    run 4 'a folder that cannot be read is refused' \
        "$MESH" run --data "$work/closed" make.mf
    chmod 700 "$work/closed"
else
    skip 1 'root can read any folder'
fi

# ---- a full disk ----

small=$work/small
mkdir "$small"
if [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=16m tmpfs "$small" 2>/dev/null; then
    mounted=$small
    run 0 'a run fits' "$MESH" run --data "$small/home" make.mf --kib 64
    run 1 'an output that does not fit fails the run' \
        timeout 60 "$MESH" run --data "$small/home" make.mf --kib 40000
    cat "$out" "$err" >both
    like both '[Nn]o space|full|quota' 'and the reason is named'
    run 0 'what was there is still whole' "$MESH" verify --data "$small/home" 1
    run 0 'and the store still works' "$MESH" run --data "$small/home" make.mf --kib 64
    # Full to the last byte from outside, in the middle of a run.
    cat >fill.mf <<'FLOW'
mesh: 1
flow: Fill
parameters:
  disk: {type: string}
steps:
  start:
    run: 'cat /dev/zero >"$MESH_PARAM_DISK/filler" 2>/dev/null || echo full'
    foreach: {range: 2000}
    next: work
  work:
    run: 'head -c 3000 /dev/urandom >"$MESH_OUT/noise"'
    next: join
  join:
    join: start
    run: 'true'
    next: end
  end:
    run: 'true'
FLOW
    timeout 120 "$MESH" run --data "$small/home" fill.mf --quiet --disk "$small" \
        >full.out 2>full.err
    code=$?
    ok "a disk that fills up ends the run and does not hang or crash ($code)" \
        sh -c '[ "$1" = 1 ] || [ "$1" = 4 ]' sh $code
    cat full.out full.err >both
    like both '[Nn]o space|full' 'and is named'
    rm -f "$small/filler"
    run 0 'with space again the store works' "$MESH" run --data "$small/home" make.mf
    run 0 'and what was told done is whole' "$MESH" verify --data "$small/home" 1
else
    skip 10 'a small disk needs root'
fi

# ---- a quota ----

node quota --quota 4M
run 1 'a quota stops a run that is over it' "$MESH" submit make.mf --kib 40000 --follow
cat "$out" "$err" >both
like both 'quota|space|full' 'and is named'
stop "$pid"
finish
