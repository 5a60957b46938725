#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What doctor finds, on a machine where flows run and with things that are wrong.
. "$(dirname "$0")/lib.sh"

nobody_answers()
{
    ! http GET /v1/node
}

run 0 'before the first run' "$MESH" doctor
like "$out" '^OK +data folder +.*, made by the first run$' 'the folder is not there yet'
like "$out" '^OK +store +nothing is in it yet$' 'nor a store'
if [ -e "$MESH_HOME" ]; then
    fail 'and it is not made'
else
    pass 'and it is not made'
fi
like "$out" '^OK +kernel +Linux [0-9]' 'it looks at the kernel'
like "$out" '^(OK|WARN) +cgroups +process trees by ' 'at cgroups'
like "$out" '^OK +disk speed +4 KiB are durable after ' 'at the disk'
like "$out" '^OK +programs ' 'at programs'
like "$out" '^(OK|WARN) +python ' 'at Python'
if [ "$(id -u)" = 0 ]; then
    like "$out" '^WARN +trust +a node of root.s runs tasks as root$' 'and says who is trusted'
else
    like "$out" '^OK +trust +.*one trust domain' 'and says who is trusted'
fi
like "$out" '^[0-9]+ OK, [0-9]+ to look at, 0 to mend$' 'and counts'

printf 'mesh: 1\nflow: One\nsteps:\n  start:\n    run: echo hello\n' >one.mf
run 0 'a run' "$MESH" run one.mf
run 0 'after it' "$MESH" doctor
like "$out" '^OK +store +opens, ' 'the store opens'
like "$out" '^OK +leftovers +no process of an earlier node$' 'nobody is left'
run 0 'for programs' "$MESH" doctor --json
ok 'as JSON' python3 -c '
import json, sys
told = json.load(open(sys.argv[1]))
names = [check["name"] for check in told["checks"]]
assert len(names) == len(set(names)) == told["n_ok"] + told["n_warn"] + told["n_fail"]
for check in told["checks"]:
    assert check["health"] in ("ok", "warn", "fail"), check
    assert (check["todo"] is None) == (check["health"] == "ok"), check' "$out"

# The one that showed the store ends by itself.
wait_for 'nobody holds the store' nobody_answers
node held --quota 1G
run 0 'with a node' "$MESH" doctor
like "$out" '^OK +store +held by a node, .* of 1\.0 GiB$' 'it is asked'
stop "$pid"

# ---- what is wrong ----

chmod 755 "$MESH_HOME"
run 1 'a data folder for everybody' "$MESH" doctor
like "$out" '^FAIL +data folder ' 'is a failure'
like "$out" '-> others may look into it: chmod 700 ' 'with what to do'
chmod 700 "$MESH_HOME"

long=$work/$(printf 'long%.0s' 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24)
run 1 'a long path' "$MESH" doctor --data "$long"
like "$out" 'the path of its sockets has [0-9]+ characters, 107 are possible' 'is one too'

mkdir -p "$work/torn/store"
chmod 700 "$work/torn"
dd if=/dev/zero of="$work/torn/store/data.mdb" bs=4096 count=4 2>/dev/null
echo 'no store' | dd of="$work/torn/store/data.mdb" conv=notrunc 2>/dev/null
run 1 'a store that is none' "$MESH" doctor --data "$work/torn"
like "$out" '^FAIL +store +it cannot be opened$' 'is a failure'

run 1 'with few open files' sh -c "ulimit -n 256 && exec \"$MESH\" doctor"
like "$out" '^FAIL +open files +a process may open 256$' 'is one'

mkdir "$work/bin"
for program in sh bash diff; do
    ln -s "$(command -v $program)" "$work/bin/$program"
done
run 0 'without Python' env PATH="$work/bin" "$MESH" doctor
like "$out" '^WARN +python +there is no python3 in PATH$' 'is a warning'
printf '#!/bin/sh\necho 3.7.1\n' >"$work/bin/python3"
chmod +x "$work/bin/python3"
run 0 'with an old one' env PATH="$work/bin" "$MESH" doctor
like "$out" 'steps with .python:. need 3\.' 'too'

if [ "$(id -u)" = 0 ] && mkdir "$work/ram" && mount -t tmpfs none "$work/ram" 2>/dev/null; then
    mounted="$mounted $work/ram"
    run 0 'a file system in memory' "$MESH" doctor --data "$work/ram/home"
    like "$out" '^WARN +file system +local, tmpfs$' 'is a warning'
    mkdir "$work/small" && mount -t tmpfs -o size=1m none "$work/small"
    mounted="$mounted $work/small"
    run 1 'a full disk' "$MESH" doctor --data "$work/small/home"
    like "$out" '^FAIL +disk space ' 'is a failure'
else
    skip 4 'mounting needs root'
fi

# What a node left behind carries the path of its socket.
MESH_CHANNEL=$(realpath "$MESH_HOME")/task.sock
export MESH_CHANNEL
start left sleep 1000
unset MESH_CHANNEL
left=$pid
run 0 'a process of an earlier node' "$MESH" doctor
like "$out" "^WARN +leftovers +1 process of an earlier node: $left\$" 'is one that was left'
wait_for 'nobody holds the store' nobody_answers
node again
run 0 'with a node' "$MESH" doctor
like "$out" '^OK +leftovers +a node looks after them$' 'it is none'
stop "$pid"
stop "$left"
finish
