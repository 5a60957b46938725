# SPDX-License-Identifier: Apache-2.0
"""Runs flows in a terminal and says for each thing that must hold whether it does."""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Callable, Dict, List, Optional

from screen import PATIENCE, SEQUENCE, Terminal

BAR = "━"

GATED = """mesh: 1
flow: Gated
parameters:
  gate: {type: string}
steps:
  start:
    run: 'echo begin'
    foreach: {range: 4}
    next: wait
  wait:
    run: |
      trap 'echo tidied up; echo tidied >>"$MESH_PARAM_GATE.tidied"; exit 9' TERM
      echo "task $MESH_INPUT waits"
      until test -e "$MESH_PARAM_GATE"; do sleep 0.05; done
      echo "task $MESH_INPUT went on"
    next: join
  join:
    join: start
    run: 'echo joined'
    next: end
  end:
    run: 'echo over'
"""


class Stage:
    """A folder, a data folder, and the programs of one test."""

    def __init__(self, mesh: str, work: Path, name: str) -> None:
        self.mesh, self.dir = mesh, work / name
        self.dir.mkdir()
        self.home = self.dir / "home"
        self.gate = self.dir / "gate"
        self.terminals: List[Terminal] = []
        self.nodes: List[subprocess.Popen[bytes]] = []
        (self.dir / "gated.mf").write_text(GATED)

    def terminal(self, *words: str, **more: object) -> Terminal:
        environment = {"MESH_HOME": str(self.home)}
        environment.update(more.pop("environment", {}))  # type: ignore[arg-type, call-overload]
        t = Terminal(
            [self.mesh, *words], environment=environment, **more  # type: ignore[arg-type]
        )
        self.terminals.append(t)
        return t

    def gated(self, *more: str, **how: object) -> Terminal:
        flow, gate = str(self.dir / "gated.mf"), str(self.gate)
        verb = ["run"] if not more or more[0] != "submit" else []
        t = self.terminal(*verb, *more, flow, "--gate", gate, **how)
        t.sees("task 0 waits")
        return t

    def flow(self, script: str, *more: str, n: int = 1, **how: object) -> Terminal:
        path = self.dir / "flow.mf"
        path.write_text(
            "mesh: 1\nflow: Some\nsteps:\n  start:\n    run: 'true'\n"
            f"    foreach: {{range: {n}}}\n    next: work\n  work:\n    run: |\n"
            + "".join(f"      {line}\n" for line in script.splitlines())
            + "    next: join\n  join:\n    join: start\n    run: 'true'\n    next: end\n"
            "  end:\n    run: 'true'\n"
        )
        return self.terminal("run", str(path), *more, **how)

    def node(self) -> None:
        log = open(self.dir / "node.log", "wb")
        environment = {**os.environ, "MESH_HOME": str(self.home)}
        self.nodes.append(
            subprocess.Popen([self.mesh, "node", "--dev"], env=environment, stderr=log)
        )
        end = time.monotonic() + PATIENCE
        while not (self.home / "mesh.sock").exists():
            assert time.monotonic() < end, "no node"
            time.sleep(0.02)

    def json(self, *words: str) -> Dict[str, object]:
        environment = {**os.environ, "MESH_HOME": str(self.home)}
        done = subprocess.run(
            [self.mesh, *words, "--json"], env=environment, stdout=subprocess.PIPE, check=True
        )
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    def outcome(self) -> object:
        return self.json("status", "1")["outcome"]

    def close(self) -> None:
        for t in self.terminals:
            t.close()
        for node in self.nodes:
            node.terminate()
            node.wait()


def restored(t: Terminal) -> None:
    assert not t.screen.is_hidden, "the cursor is gone"
    assert not t.screen.is_sync
    assert not t.is_raw(), "line editing is off"
    assert BAR not in t.screen.text(), f"a block is left\n{t.screen.text()}"


def block(s: Stage) -> None:
    t = s.gated()
    t.shows("• wait")
    t.shows("2 running")
    t.shows("it waits for 'wait'")
    assert t.is_raw() and t.screen.is_hidden
    rows = t.screen.shown()
    title = next(i for i, row in enumerate(rows) if row.startswith("Gated, run 1, for"))
    assert any("task 0 waits" in row for row in rows[:title]), "lines stand above"
    assert any(BAR in row for row in rows[title:]), "bars stand below"
    s.gate.touch()
    assert t.wait() == 0
    restored(t)
    text = t.screen.text()
    for i in range(4):
        assert f"task {i} went on" in text
    assert re.search(r"^Workflow ended: OK in .*, 7 tasks\.$", text, re.M), text
    assert re.search(r"^wait +4 +- ", text, re.M), "times of the steps"
    assert "slowest    wait/" in text
    assert text.count("task 0 waits") == 1, "each line once"


def keys(s: Stage) -> None:
    t = s.gated()
    t.press("j")
    t.shows("›✓ start")
    t.press("\x1b[B")
    t.shows("›• wait")
    t.shows("     wait/0 for ")
    t.press("k")
    t.shows("›✓ start")
    t.press("q")
    t.shows("the run is in this process")
    t.press("\x1b")
    t.shows_no("›")
    s.gate.touch()
    assert t.wait() == 0


def follow(s: Stage) -> None:
    t = s.gated()
    t.shows("task 1 waits")
    t.press("jjf")
    t.shows("only wait/0")
    t.press("j")
    t.shows("only wait/1")
    t.press("k")
    t.shows("only wait/0")
    s.gate.touch()
    assert t.wait() == 0
    text = t.screen.text()
    assert "task 0 went on" in text and "task 1 went on" not in text, text
    restored(t)


def pause(s: Stage) -> None:
    t = s.gated()
    t.press("p")
    t.shows("the lines are paused")
    s.gate.touch()
    t.shows("join")
    assert t.wait() == 0
    assert "task 3 went on" in t.screen.text(), "they come at the end at the latest"


def help(s: Stage) -> None:
    t = s.gated()
    t.press("?")
    t.shows("Ctrl-C      cancel the run")
    t.press("?")
    t.shows("• wait")
    s.gate.touch()
    assert t.wait() == 0


def suspend(s: Stage) -> None:
    t = s.gated()
    t.shows("2 running")
    t.press("s")
    t.shows("Gated, run 1, suspended after")
    s.gate.touch()
    t.shows_no("running")
    t.press("s")
    assert t.wait() == 0
    assert "Workflow ended: OK" in t.screen.text()


def cancel(s: Stage) -> None:
    t = s.gated()
    t.press("c")
    t.shows("Cancel run 1? y")
    t.press("n")
    t.shows("?: keys")
    t.press("cy")
    t.sees("tidied up")
    assert t.wait() == 130
    assert "mesh resume 1" in t.screen.text()
    restored(t)


def ctrl_c(s: Stage) -> None:
    t = s.gated()
    t.press("\x03")
    assert t.wait() == 130
    text = t.screen.text()
    assert "cancelling run 1; once more kills it" in text
    assert "tidied up" in text and "Workflow ended: CANCELLED" in text
    restored(t)


def resize(s: Stage) -> None:
    t = s.gated()
    t.resize(40, 10)
    t.until("narrow", lambda: all(len(row) < 40 for row in t.screen.shown()[-6:]))
    t.shows("Gated, run 1, for")
    t.resize(120, 40)
    t.shows("it waits for 'wait'")
    s.gate.touch()
    assert t.wait() == 0
    restored(t)


def shell(s: Stage) -> Terminal:
    (s.dir / "inputrc").write_text("set enable-bracketed-paste off\n")
    t = Terminal(
        ["bash", "--norc", "--noprofile", "-i"],
        environment={
            "MESH_HOME": str(s.home),
            "INPUTRC": str(s.dir / "inputrc"),
            "PS1": "prompt> ",
        },
    )
    s.terminals.append(t)
    t.shows("prompt>")
    return t


def stop(s: Stage) -> None:
    t = shell(s)
    t.press(f"{s.mesh} run {s.dir}/gated.mf --gate {s.gate}\n")
    t.shows("2 running")
    t.press("\x1a")
    t.sees("Stopped")
    assert not t.screen.is_hidden and BAR not in t.screen.text()
    t.press("stty -a | grep -o ' icanon'; echo typed\n")
    t.sees("\ntyped")
    assert "\n icanon" in t.screen.text(), "line editing is back"
    t.press("fg\n")
    t.shows("2 running")
    assert t.is_raw()
    t.press("?")
    t.shows("Ctrl-Z")
    s.gate.touch()
    t.sees("Workflow ended: OK")
    t.press("exit\n")
    assert t.wait() == 0


def stop_outside(s: Stage) -> None:
    """Another program may have had the terminal in the meantime."""
    t = s.gated()
    t.shows("2 running")
    os.kill(t.pid, signal.SIGSTOP)
    os.waitpid(t.pid, os.WUNTRACED)
    t.make_cooked()
    os.kill(t.pid, signal.SIGCONT)
    t.until("raw again", t.is_raw)
    s.gate.touch()
    assert t.wait() == 0
    assert not t.is_raw()


def background(s: Stage) -> None:
    """There the terminal is the shell's."""
    t = shell(s)
    t.press(f"{s.mesh} run {s.dir}/gated.mf --gate {s.gate} &\n")
    t.sees("task 0 waits")
    t.sees("task 1 waits")
    t.press("echo typed\n")
    t.sees("\ntyped")
    assert BAR not in t.screen.text() and not t.is_hidden()
    t.press("fg\n")
    t.shows("2 running")
    assert t.is_raw()
    s.gate.touch()
    t.sees("Workflow ended: OK")
    t.press("exit\n")
    assert t.wait() == 0


def hang_up(s: Stage) -> None:
    t = s.gated()
    t.hang_up()
    t.wait()
    assert Path(f"{s.gate}.tidied").exists(), "tasks may tidy up"
    assert s.outcome() == "cancelled"


def nohup(s: Stage) -> None:
    t = s.gated(ignored=signal.SIGHUP)
    t.hang_up()
    s.gate.touch()
    assert t.wait() == 0
    assert s.outcome() == "ok"


def remote_hang_up(s: Stage) -> None:
    s.node()
    t = s.gated()
    t.hang_up()
    t.wait()
    assert s.json("status", "1")["state"] == "running"
    late = s.terminal("follow", "1")
    late.shows("2 running")
    s.gate.touch()
    assert late.wait() == 0
    assert "Workflow ended: OK" in late.screen.text()
    restored(late)


def leave(s: Stage) -> None:
    s.node()
    t = s.gated("submit", "--follow")
    t.shows("2 running")
    t.press("q")
    assert t.wait() == 130
    assert "follow it: mesh follow 1" in t.screen.text()
    restored(t)
    t = s.terminal("attach", "1")
    t.shows("2 running")
    t.press("\x03")
    assert t.wait() == 130, "Ctrl-C of a watcher leaves"
    assert s.json("status", "1")["state"] == "running"
    t = s.terminal("follow", "1")
    t.shows("2 running")
    t.press("cy")
    assert t.wait() == 130
    assert s.outcome() == "cancelled"
    t = s.terminal("follow", "1")
    assert t.wait() == 130, "one that is over"
    assert "CANCELLED" in t.screen.text()


def crash(s: Stage) -> None:
    t = s.gated()
    t.shows("2 running")
    assert t.is_raw()
    os.kill(t.pid, signal.SIGQUIT)
    assert t.wait() == -signal.SIGQUIT
    t.drain()
    assert not t.screen.is_hidden and not t.is_raw()
    s.gate.touch()


def deaf_terminal(s: Stage) -> None:
    """Nobody reads: the run goes on to its end."""
    t = s.flow("seq 1 30000", n=4)
    end = time.monotonic() + PATIENCE
    done = None
    while done is None and time.monotonic() < end:
        time.sleep(0.05)
        try:
            done = s.json("status", "1")["outcome"]
        except subprocess.CalledProcessError:
            done = None
    assert done == "ok", done
    assert t.wait() == 0


def flood(s: Stage) -> None:
    t = s.flow("seq 1 20000", n=4)
    t.sees("lines are left out here: mesh logs 1")
    assert t.wait() == 0
    assert t.screen.text().count("\n") < 20000
    restored(t)


def harmless(s: Stage) -> None:
    """Whatever a task writes; the screen refuses what is not ours."""
    t = s.flow(
        r"""printf '\033[2Jwiped\033]0;title\007\r\n'
printf '\377\376 no utf-8 \303\n'
printf '\342\200\256 turned\n'
printf '%01000d\n' 7
printf 'tab\there, wide: \346\274\242\345\255\227\n'"""
    )
    assert t.wait() == 0
    text = t.screen.text()
    assert r"\x1b[2Jwiped" in text and r"\xff\xfe no utf-8" in text, text
    assert r"\xe2\x80\xae turned" in text, text
    restored(t)


def without_a_view(t: Terminal) -> None:
    assert t.wait() == 0
    assert not SEQUENCE.search(re.sub(r"\x1b\[\d+m", "", t.raw.decode())), "no sequences"
    assert "Task finished successfully." in t.screen.text()


def dumb(s: Stage) -> None:
    without_a_view(s.flow("echo hello", environment={"TERM": "dumb"}))


def plain(s: Stage) -> None:
    without_a_view(s.flow("echo hello", "--plain"))


def output_of(s: Stage, *words: str, **environment: str) -> bytes:
    done = subprocess.run(
        [s.mesh, "run", str(s.dir / "flow.mf"), *words],
        env={**os.environ, "MESH_HOME": str(s.home), **environment},
        stdout=subprocess.PIPE,
        check=True,
    )
    return done.stdout


def colours(s: Stage) -> None:
    t = s.flow("echo hello", environment={"NO_COLOR": "1"})
    assert t.wait() == 0
    assert not re.search(rb"\x1b\[\d*m", t.raw), "NO_COLOR"
    t = s.flow("echo hello", "--color", "never")
    assert t.wait() == 0
    assert not re.search(rb"\x1b\[\d*m", t.raw), "--color never"
    assert b"\x1b" not in output_of(s), "a pipe"
    assert b"\x1b[32m" in output_of(s, NO_COLOR="", CLICOLOR_FORCE="1"), "forced"
    assert b"\x1b[32m" in output_of(s, "--color", "always", NO_COLOR="1"), "--color always"
    assert b"\x1b[?" not in output_of(s, "--color", "always"), "a pipe has no view"


def narrow(s: Stage) -> None:
    t = s.gated(width=20, height=5)
    t.until("fits", lambda: any(r.startswith("Gated, run 1") for r in t.screen.shown()))
    s.gate.touch()
    assert t.wait() == 0
    restored(t)


def top(s: Stage) -> None:
    s.node()
    t = s.terminal("submit", str(s.dir / "gated.mf"), "--gate", str(s.gate))
    assert t.wait() == 0
    t = s.terminal("top")
    t.shows("2 of")
    t.shows("Gated")
    t.shows("  wait")
    assert t.screen.is_alternate and t.is_raw() and t.screen.is_hidden
    t.press("s")
    t.shows_no("  wait")
    t.press("?")
    t.shows("newest runs first")
    t.press("?")
    t.resize(40, 8)
    t.until("fits", lambda: all(len(row) < 40 for row in t.screen.shown()))
    once = s.json("top", "--once")
    runs = once["runs"]
    assert isinstance(runs, list) and runs[0]["number"] == 1 and runs[0]["steps"]
    node = once["node"]
    assert isinstance(node, dict) and node["used_memory_bytes"] > 1 << 20
    s.gate.touch()
    t.shows_no("Gated")
    t.press("q")
    assert t.wait() == 0
    assert not t.screen.is_alternate and not t.screen.is_hidden and not t.is_raw()
    assert "Node" not in t.screen.text()


CHECKS: List[Callable[[Stage], None]] = [
    block, keys, follow, pause, help, suspend, cancel, ctrl_c, resize, stop, stop_outside, background, hang_up, nohup,
    remote_hang_up, leave, crash, deaf_terminal, flood, harmless, dumb, plain, colours,
    narrow, top,
]  # fmt: skip


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Look at the live view.")
    parser.add_argument("mesh")
    parser.add_argument("work", type=Path)
    parser.add_argument("--only", help="one check")
    options = parser.parse_args(arguments)
    bad = 0
    for check in CHECKS:
        name = check.__name__
        if options.only not in (None, name):
            continue
        stage = Stage(options.mesh, options.work, name)
        try:
            check(stage)
            print(f"{name} ok", flush=True)
        except (AssertionError, OSError, subprocess.SubprocessError, ValueError):
            print(f"{name} FAILED", *(t.screen.text() for t in stage.terminals), sep="\n", flush=True)
            traceback.print_exc(file=sys.stdout)
            bad = 1
        finally:
            stage.close()
    return bad


if __name__ == "__main__":
    sys.exit(main())
