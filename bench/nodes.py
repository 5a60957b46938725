#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What four nodes on one machine reach together, beside what the machine can do, in one
run.

    bench/nodes.py [--rows sleep,true,chain,spread,kill] [--rounds 3] [--json]

The nodes are started as ./dev mesh does, two slots each, each in a network of its own where
that can be had. As in bench.py each row runs the mesh and its yardstick in turn and prints
the median of the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from bench import BUILD, LIMIT, MESH, Row, foreach

TOP = Path(__file__).resolve().parent.parent
NODES = 4
SLOTS = 2
TRUE = ["/bin/true"]


class Mesh:
    """Nodes of one mesh, gone afterwards."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="mesh-bench-"))
        sockets = self.up("--print-sockets", str(NODES), "--slots", str(SLOTS))
        self.sockets = sockets.split()

    def up(self, *args: str) -> str:
        argv = ["sh", str(TOP / "tests" / "mesh_up.sh"), "--data", str(self.path / "nodes"), *args]
        return subprocess.check_output(argv, text=True, env={**os.environ, "MESH": str(MESH)})

    def __enter__(self) -> Mesh:
        return self

    def __exit__(self, *_: object) -> None:
        self.up("--stop")
        shutil.rmtree(self.path, ignore_errors=True)

    def ask(self, *args: str, node: int = 0) -> str:
        argv = [str(MESH), *args, "--socket", self.sockets[node]]
        done = subprocess.run(argv, text=True, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mesh {' '.join(args)}: {done.stderr or done.stdout}")
        return done.stdout

    def begin(self, steps: dict[str, object]) -> str:
        flow = self.path / "flow" / "bench.mf"
        flow.parent.mkdir(exist_ok=True)
        flow.write_text(json.dumps({"mesh": 1, "flow": "Bench", "steps": steps}))
        return str(json.loads(self.ask("submit", str(flow), "--json"))["run"])

    def about(self, run: str, node: int = 0) -> dict[str, object]:
        told: dict[str, object] = json.loads(self.ask("status", run, "--json", node=node))
        return told

    def end(self, run: str, node: int = 0, patience: float = 600) -> dict[str, object]:
        """What is said of the run when it is over."""
        until = time.monotonic() + patience
        while time.monotonic() < until:
            try:
                about = self.about(run, node)
            except RuntimeError:
                about = {"state": "unknown"}
            if about["state"] == "ended":
                if about["outcome"] != "ok":
                    sys.exit(f"run {run}: {about['outcome']}: {about['message']}")
                return about
            time.sleep(0.05)
        sys.exit(f"run {run} does not end")

    def seconds(self, steps: dict[str, object]) -> float:
        """From the submission to the end, as the run's records have it."""
        about = self.end(self.begin(steps))
        return moment(str(about["ended"])) - moment(str(about["submitted"]))

    def pid(self, node: int) -> int:
        return int(json.loads(self.ask("status", "--json", node=node))["pid"])


def moment(text: str) -> float:
    whole, part = text.rstrip("Z").split(".")
    return time.mktime(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float("0." + part)


def bare(n: int, slots: int, *command: str) -> float:
    marked = ["--", *command] if command else []
    return float(subprocess.check_output([str(LIMIT), str(n), str(slots), *marked]))


def ratio(name: str, target: float, rounds: int, one: Callable[[], tuple[float, float]]) -> Row:
    """Yardstick over mesh; more is better."""
    pairs = [one() for _ in range(rounds)]
    ratios = [yardstick / mesh for mesh, yardstick in pairs]
    value = statistics.median(ratios)
    detail = "mesh %.2f s, bare %.2f s" % tuple(statistics.median(c) for c in zip(*pairs))
    return Row(name, value, "of the bare loop", f">= {target}", value >= target, detail, ratios)


def row_sleep(mesh: Mesh, rounds: int) -> Row:
    return ratio(
        "2,000 x sleep 0.01 on 4 nodes x 2", 0.95, rounds,
        lambda: (mesh.seconds(foreach(2000, {"run": ["/bin/sleep", "0.01"]})),
                 bare(2000, NODES * SLOTS, "/bin/sleep", "0.01")))


def row_true(mesh: Mesh, rounds: int) -> Row:
    return ratio("10,000 x true on 4 nodes", 0.60, rounds,
                 lambda: (mesh.seconds(foreach(10000, {"run": TRUE})),
                          bare(10000, NODES * SLOTS)))


def row_chain(mesh: Mesh, rounds: int) -> Row:
    steps: dict[str, object] = {f"s{i}": {"run": TRUE, "next": f"s{i + 1}"} for i in range(99)}
    steps["s99"] = {"run": TRUE}
    values = [mesh.seconds(steps) * 10 for _ in range(rounds)]
    value = statistics.median(values)
    return Row("chain of 100", value, "ms a step", "<= 2", value <= 2, "", values)


def spread_yardstick(path: Path, size: int) -> float:
    """Each of the nodes' worth: a pipe, a digest, a file; nothing else."""
    source = path / "source"
    with open(source, "wb") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
    started = time.monotonic()
    copies = [subprocess.Popen(["sh", "-c", f"cat {source} | tee {path}/copy{i} | b2sum"],
                               stdout=subprocess.DEVNULL) for i in range(NODES)]
    for copy in copies:
        copy.wait()
    seconds = time.monotonic() - started
    for file_ in path.glob("copy*"):
        file_.unlink()
    source.unlink()
    return seconds


def row_spread(mesh: Mesh, rounds: int) -> Row:
    """A large artifact that a task on each node wants at once."""
    size = 1 << 30
    steps: dict[str, object] = {
        "start": {"run": f"head -c {size} /dev/urandom >\"$MESH_OUT/big\"", "next": "fan"},
        "fan": {"run": TRUE, "foreach": {"range": NODES * SLOTS}, "next": "read"},
        "read": {"run": "cat \"$MESH_IN/big\" >/dev/null; sleep 1",
                 "inputs": {"big": "start.big"}, "next": "join"},
        "join": {"run": TRUE, "join": "fan"},
    }

    def one() -> tuple[float, float]:
        about = mesh.end(mesh.begin(steps))
        tasks = json.loads(mesh.ask("status", str(about["run"]), "--json"))
        took = {s["name"]: s["max_us"] / 1e6 for s in tasks["steps"]}
        seconds = moment(str(about["ended"])) - moment(str(about["submitted"]))
        return seconds - took["start"] - 1, spread_yardstick(mesh.path, size)

    return ratio("1 GiB to 4 nodes at once", 0.8, rounds, one)


def row_kill(mesh: Mesh, rounds: int) -> Row:
    """How much longer a run of a minute takes when a node dies in it, beyond what its
    slots would have done."""
    n = NODES * SLOTS * 60
    late = []
    for round_ in range(rounds):
        victim = round_ % NODES
        run = mesh.begin(foreach(n, {"run": ["/bin/sleep", "1"]}))
        time.sleep(20)
        os.kill(mesh.pid(victim), signal.SIGKILL)
        about = mesh.end(run, node=(victim + 1) % NODES)
        seconds = moment(str(about["ended"])) - moment(str(about["submitted"]))
        late.append(seconds - (20 + 40 * NODES / (NODES - 1)))
        mesh.up("--stop")
        mesh.sockets = mesh.up("--print-sockets", str(NODES), "--slots", str(SLOTS)).split()
    value = statistics.median(late)
    return Row("kill -9 in a run of 60 s", value, "s longer than explained", "<= 10", value <= 10,
               "", late)


ROWS = {"sleep": row_sleep, "true": row_true, "chain": row_chain, "spread": row_spread,
        "kill": row_kill}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="with commas between")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    names = args.rows.split(",")
    if set(names) - set(ROWS) or not (BUILD / "mesh").exists():
        parser.error(f"rows are {', '.join(ROWS)}; and build/mesh must be there")
    rows = []
    with Mesh() as mesh:
        mesh.seconds(foreach(100, {"run": TRUE}))  # all is loaded, all know each other
        for name in names:
            row = ROWS[name](mesh, args.rounds)
            rows.append(row)
            if not args.json:
                mark = "ok" if row.met else "--"
                print(f"{mark}  {row.name:36} {row.value:8.3f} {row.unit:26} {row.target:8}"
                      f"  {row.detail}", flush=True)
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    sys.exit(not all(row.met for row in rows))


main()
