#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What tasks use is looked at while they run, kept, and turned into lines to paste.
. "$(dirname "$0")/lib.sh"

# between NUMBER LOW HIGH TEXT
between()
{
    if [ "${1:-x}" -ge "$2" ] 2>/dev/null && [ "$1" -le "$3" ]; then
        pass "$4"
    else
        fail "$4"
        note "got '$1', wanted $2 to $3"
    fi
}

# Each of two children holds 100 MiB of its own and keeps a processor busy, until told.
cat >hold.py <<'PY'
import os, sys, time
shared = bytearray(60 << 20)
children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        own = bytearray(100 << 20)
        while not os.path.exists(sys.argv[1]):
            pass
        os._exit(0)
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
PY
cat >use.mf <<'FLOW'
mesh: 1
flow: Use
parameters:
  stop: {type: string}
steps:
  start:
    run: exec python3 -c 'bytearray(50 << 20)'
    next: hold
  hold:
    run: exec python3 hold.py "$MESH_PARAM_STOP"
    resources: {cpu: 1, memory: 4G, disk: 2G}
    next: end
  end:
    run: 'true'
FLOW
node advised --memory 8G
run 0 'a flow that holds memory' "$MESH" submit use.mf --stop "$work/stop"
seen()
{
    http GET '/v1/runs/1/tasks?state=running' | python3 -c '
import json, sys
task = json.load(sys.stdin)["attempts"][0]
sys.exit(not (task["memory_bytes"] > 250 << 20 and task["cpu_peak_milli"] > 100))'
}
wait_for 'what it uses is seen while it runs' seen && pass 'what it uses is seen while it runs'
: >"$work/stop"
is_over()
{
    http GET /v1/runs/1 | grep -q '"outcome":"ok"'
}
wait_for 'it ends' is_over
run 0 'its attempt' http GET '/v1/runs/1/tasks?step=hold'
# 60 MiB are shared by three, so 260 MiB and interpreters; a sum would be 380.
memory=$(python3 -c 'import json,sys; print(json.load(sys.stdin)["attempts"][0]["memory_peak_bytes"] >> 20)' <"$out")
between "$memory" 255 330 'kept the peak of the whole tree, shared pages once'
run 0 'an attempt that was short' http GET '/v1/runs/1/tasks?step=end'
like "$out" '"max_rss_bytes":0,' 'and small'
like "$out" '"memory_peak_bytes":null,"cpu_peak_milli":null' 'was not looked at'

run 0 'advice' "$MESH" advise 1
like "$out" '^hold +1 +memory +4\.0 GiB ' 'says what was asked'
like "$out" '^    resources: \{cpu: (0\.25|0\.5|[12]), memory: [34][0-9]*M, disk: 2G\}$' \
    'and what to ask for, with what else was asked'
like "$out" '^  start:$' 'also of a step that asked for nothing'
run 0 'as JSON' "$MESH" advise 1 --json
like "$out" '"memory_bytes": null' 'says what was not asked'
run 3 'of a run that is not there' "$MESH" advise 11
stop "$pid"

# The lines make a flow file that is accepted, and after them nothing is left to say.
"$MESH" advise 1 | python3 -c '
import sys
resources, step = {}, None
for line in sys.stdin:
    words = line.split()
    if line.startswith("  ") and len(words) == 1 and words[0].endswith(":"):
        step = words[0]
    elif words and words[0] == "resources:":
        resources[step] = line.rstrip()
flow = open("use.mf").read().splitlines()
for line in flow:
    if line.strip().startswith("resources:"):
        continue
    print(line)
    if line.startswith("  ") and line.strip() in resources and not line.startswith("   "):
        print(resources[line.strip()])' >advised.mf
run 0 'with the lines pasted' "$MESH" check advised.mf
run 0 'it runs' "$MESH" run advised.mf --stop "$work/stop" --quiet
run 0 'and is advised again' "$MESH" advise "$(last_run)"
unlike "$out" '^  (start|end):$' 'with nothing for the steps that did what they did'

cat >late.mf <<'FLOW'
mesh: 1
flow: Late
steps:
  start:
    run: exec sleep 60
    timeout: 1s
FLOW
run 1 'a run into its timeout' "$MESH" run late.mf
run 0 'is advised' "$MESH" advise "$(last_run)"
like "$out" '^    # 1 ran into the timeout$' 'why'
like "$out" '^    timeout: 1m$' 'to wait for longer'
finish
