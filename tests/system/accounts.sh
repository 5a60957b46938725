#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A node of root's runs tasks under accounts of their users: what they may, what they may
# not, and what a flow cannot make the node read for them.
. "$(dirname "$0")/lib.sh"

if [ "$(id -u)" != 0 ]; then
    mkdir -p "$MESH_HOME"
    echo 'accounts: {ann: nobody}' >"$MESH_HOME/mesh.conf"
    run 1 'a node that is not of root' "$MESH" node --dev
    like "$err" "takes a node of root's" 'gives no accounts'
    finish
    exit
fi

chmod 711 "$work"
mkdir -m 711 "$MESH_HOME"
mkdir flow
PATH=/usr/bin:/bin # what every account can reach
conf=$MESH_HOME/mesh.conf

for bad in 'accounts: {ann: root}' 'task_account: no-such-account' 'accounts: [ann]' \
    'accounts: {ann: 7}'; do
    echo "$bad" >"$conf"
    fails_to_start()
    {
        ! timeout 60 "$MESH" node --dev >refused 2>&1
    }
    ok "refused: $bad" fails_to_start
done
cat >"$conf" <<'CONF'
slots: 1
accounts: {ann: daemon}
task_account: nobody
CONF
run 0 'mesh config' "$MESH" config
like "$out" "^task_account +nobody +$conf:3" 'says whose account tasks have'
like "$out" '^accounts.ann +daemon' 'and those of users'
run 0 'mesh doctor' "$MESH" doctor
like "$out" '^OK +trust +tasks run under accounts of their own' 'is content'

echo 'only root may read this' >"$work/private"
chmod 600 "$work/private"
cat >flow/steps.py <<'PY'
import os, pwd

def who(self):
    self.name = pwd.getpwuid(os.getuid()).pw_name, os.getgroups(), os.path.expanduser("~")
    open("beside", "w").close()

def read(self):
    print(self.name)
PY
cat >flow/flow.mf <<'FLOW'
mesh: 1
flow: Who
steps:
  start:
    run: |
      echo "I am $(id -un) at $HOME"
      echo small >"$MESH_OUT/small"
      head -c 6000000 /dev/zero >"$MESH_OUT/large"
      mkdir "$MESH_OUT/folder" && echo inner >"$MESH_OUT/folder/file"
      touch mine && echo temporary >"$MESH_TEMPDIR/t"
    foreach: {range: 2}
    next: look
  look:
    run: |
      cat "$MESH_IN/small" "$MESH_IN/folder/file"
      wc -c <"$MESH_IN/large"
      ! echo changed 2>/dev/null >"$MESH_IN/large"
      mesh artifact get small
    inputs: {small: start.small, folder: start.folder, large: start.large}
    next: warm
  warm: {python: 'steps.py:who', next: read}
  read: {python: 'steps.py:read', next: plain}
  plain: {python: 'steps.py:who', warm: false, next: again}
  again: {python: 'steps.py:read', next: join}
  join: {run: 'id -un', join: start, next: end}
  end:
    run: |
      tried() { if "$@" >/dev/null 2>&1; then echo "$1 $2: OPEN"; else echo "$1 $2: closed"; fi; }
      tried ls "$MESH_DATA/store"
      tried ls "$MESH_DATA"
      tried cat "$MESH_DATA/task.sock"
      tried cat "$PRIVATE"
      tried mesh cancel 1 --socket "$MESH_DATA/mesh.sock"
FLOW
export PRIVATE="$work/private"
run 0 'a flow of root' "$MESH" run flow/flow.mf
like "$out" '\] I am nobody at /nonexistent$' 'runs as the account for all'
like "$out" '\] inner$' 'and hands on folders'
like "$out" '\] 6000000$' 'and large files'
is "$(grep -c "\] ('nobody', \[65534\], '/nonexistent')$" "$out")" 4 'Python steps too'
unlike "$out" 'OPEN' 'what is the node'"'"'s is closed to it'
is "$(grep -c ': closed$' "$out")" 5 'all of it'
run 0 'the same for another user' "$MESH" run flow/flow.mf --as ann
like "$out" '\] I am daemon at /usr/sbin$' 'runs as that one'"'"'s, in the same slot'

# refused NAME OUTPUTS SCRIPT TEXT: the node reads no more for a task than it may itself.
refused()
{
    printf 'mesh: 1\nflow: Steal\nsteps:\n  start:\n    outputs: %s\n    run: |\n      %s\n' \
        "$2" "$3" >flow/steal.mf
    run 1 "$1" "$MESH" run flow/steal.mf
    like "$out" "$4" "$1: says why"
}
ln -s "$work/private" flow/link
refused 'a file of root by name' "{x: $work/private}" true 'output .x.: .*Permission denied'
refused 'through a folder that is a link' '{x: way/private}' \
    "ln -s '$work' way" 'output .x.: .*(Permission denied|no file)'
mkdir -m 700 "$work/closed" && echo kept >"$work/closed/file"
refused 'through a link in $MESH_OUT' '{x: way/file}' \
    "ln -s '$work/closed' \"\$MESH_OUT/way\"" 'output .x.: '
refused 'a folder with what it cannot read' "{x: $work/closed}" true \
    'output .x.: .*Permission denied'
unlike "$out" 'kept' 'nothing of it is shown'

# A descendant that goes on is ended whoever it belongs to.
cat >flow/left.mf <<'FLOW'
mesh: 1
flow: Left
steps:
  start: {run: 'setsid sleep 1000 & echo $!'}
FLOW
run 0 'a task that leaves a process' "$MESH" run flow/left.mf
left=$(sed -n 's/.*\] \([0-9][0-9]*\)$/\1/p' "$out")
wait_for 'it is gone' is_gone "$left" && pass 'it is gone'
is "$(find "$MESH_HOME/store" ! -user root | wc -l)" 0 \
    'all that is kept is the node'"'"'s own'
finish
