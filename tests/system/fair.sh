#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Several runs and users on one node: shares by weight, caps. What each had is read from
# the records of its attempts, so that the load of this machine does not count.
. "$(dirname "$0")/lib.sh"

cat >many.mf <<'FLOW'
mesh: 1
flow: Many
parameters:
  gate: {type: string}
steps:
  start:
    run: 'echo waiting; until test -e "$MESH_PARAM_GATE"; do sleep 0.02; done'
    resources: {cpu: 0.01}
    foreach: {range: 150}
    next: work
  work:
    run: [sleep, '0.02']
    next: end
  end:
    join: start
    run: 'true'
FLOW

cat >shares.py <<'PYTHON'
"""shares.py WEIGHT=TASKS.json ...: whether each had its share while all of them had work.
With --together: how many tasks of the first file ran at once at most."""
import datetime
import json
import sys

def spans(path):
    told = json.load(open(path))["attempts"]
    at = lambda text: datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return sorted(
        (at(a["started"]).timestamp(), at(a["ended"]).timestamp())
        for a in told if a["step"] == "work")

if sys.argv[1] == "--together":
    events = [e for s, t in spans(sys.argv[2]) for e in ((s, 1), (t, -1))]
    now = most = 0
    for _, change in sorted(events):
        now += change
        most = max(most, now)
    print(most)
    sys.exit()
weights = [float(a.split("=", 1)[0]) for a in sys.argv[1:]]
all_spans = [spans(a.split("=", 1)[1]) for a in sys.argv[1:]]
begin = max(s[0][0] for s in all_spans)
end = min(s[-1][0] for s in all_spans)
had = [sum(max(0, min(t, end) - max(s, begin)) for s, t in one) for one in all_spans]
total = sum(had)
bad = 0
for weight, time in zip(weights, had):
    share, wanted = time / total, weight / sum(weights)
    print(f"weight {weight:g}: {share:.3f} of the node, wanted {wanted:.3f}")
    bad += abs(share - wanted) > 0.1 * wanted
sys.exit(bad)
PYTHON

# tasks RUN FILE: the run's attempts.
tasks()
{
    http GET "/v1/runs/$1/tasks?limit=10000" >"$2"
}

mkdir -p "$MESH_HOME"
cat >"$MESH_HOME/mesh.conf" <<'CONF'
resources: {cpu: 3}
users:
  ann: {weight: 2}
  ben: {weight: 1}
  eve: {max_tasks: 1}
CONF

# ---- two mesh run beside each other ----

start first "$MESH" run many.mf --gate "$work/gate1" --share 2
first=$pid
wait_for 'the first run waits' grep -q 'waiting$' first.out
start second "$MESH" run many.mf --gate "$work/gate1"
second=$pid
wait_for 'the second, a client of the first, too' grep -q 'waiting$' second.out
start gate "$MESH" run many.mf --gate "$work/gate2" # keeps the node
third=$pid
wait_for 'so does a third' grep -q 'waiting$' gate.out
touch gate1
ended "$second" 0 'the one of less weight ends'
tasks 1 one.json
tasks 2 two.json
ok 'runs have their shares by weight' python3 shares.py 2=one.json 1=two.json
note_file "$work/ok.out"
touch gate2
ended "$third" 0 'the third ends'
ended "$first" 0 'the node ends with the last'

# ---- users ----

if [ "$(id -u)" != 0 ]; then
    run 2 'nobody but root submits for another user' "$MESH" run many.mf --as ann
    like "$err" 'for root alone' 'which is said'
    finish
fi
node shared
node=$pid
for who in ann ben eve; do
    run 0 "$who submits" "$MESH" submit many.mf --as $who --gate "$work/gate3"
done
run 0 'ben submits again' "$MESH" submit many.mf --as ben --gate "$work/gate3"
all_wait()
{
    [ "$(http GET /v1/node | grep -o '"n_running":[0-9]*' | tail -n 1)" = \
        '"n_running":4' ]
}
wait_for 'all four wait' all_wait
run 0 'the node says who is there' "$MESH" status
like "$out" '^ann +2 +1 +1 ' 'ann, by her weight'
like "$out" '^ben +1 +2 +2 ' 'ben, with both runs'
like "$out" '^eve +1 +1 +1 +1 ' 'eve, with her cap'
touch gate3
eve_is_capped()
{
    "$MESH" status 6 | grep -q 'user cap: 1 tasks of eve run'
}
wait_for 'why a capped user waits is said' eve_is_capped
others_share()
{
    "$MESH" status 4 | grep -q "other users' share: not enough cpu is free"
}
wait_for 'and why the others do' others_share
ann_is_done()
{
    http GET /v1/runs/4 | grep -q '"state":"ended"'
}
wait_for 'ann is done' ann_is_done
for number in 4 5 6 7; do
    tasks $number $number.json
done
python3 - <<'PYTHON'
import json
both = [json.load(open(f"{n}.json"))["attempts"] for n in (5, 7)]
json.dump({"attempts": both[0] + both[1]}, open("ben.json", "w"))
PYTHON
ok 'users have their shares by weight, however many runs' \
    python3 shares.py 2=4.json 1=ben.json
note_file "$work/ok.out"
is "$(python3 shares.py --together 6.json)" 1 'a cap is never exceeded'
stop "$node"

cat >wide.mf <<'FLOW'
mesh: 1
flow: Wide
steps:
  start:
    run: 'true'
    resources: {cpu: 3}
FLOW
sed -i 's/max_tasks: 1/max_cpu: 2/' "$MESH_HOME/mesh.conf"
run 0 'mesh run cuts a step to what its user may have' "$MESH" run wide.mf --as eve
like "$err" 'asks for 3 cpus, its user may have 2: it gets these' 'and says so'
finish
