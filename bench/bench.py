#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the mesh reaches, beside what the machine can do, in one run.

Each row runs the mesh and its yardstick in turn, round by round, and prints the median
of the ratios, so that a machine that is slow today is slow for both. Rates alone say
nothing across machines. The table of record is docs/performance.md.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import in_terminal

BUILD = Path(os.environ.get("MESH_BUILD", Path(__file__).resolve().parent.parent / "build"))
MESH = BUILD / "mesh"
LIMIT = BUILD / "bench-limit"
LOAD = BUILD / "bench-load"
STAMP = BUILD / "bench-stamp"
RECORDS = BUILD / "bench-records"
# Debian's own, by its path: what is first in PATH may be a script that looks for one.
PYTHON = Path(os.environ.get("MESH_BENCH_PYTHON", "/usr/bin/python3"))
PYTHON_PATH = f"{PYTHON.parent}:/usr/bin:/bin"
SLOTS = 2
MIB = 1 << 20
TOLERANCE = 0.10  # of --against


@dataclass
class Row:
    """One line of the table."""

    name: str
    value: float
    unit: str
    target: str
    met: bool
    detail: str = ""
    rounds: list[float] = field(default_factory=list)


class Place:
    """A folder for one measurement: flow, package and store, gone afterwards."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="mesh-bench-"))
        (self.path / "flow").mkdir()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def flow(self, steps: dict[str, object], **top: object) -> Path:
        """Write a flow as JSON, which the reader takes as well as YAML."""
        file = self.path / "flow" / "bench.mf"
        file.write_text(json.dumps({"mesh": 1, "flow": "Bench", **top, "steps": steps}))
        return file

    def start(self, *args: str | Path) -> int:
        """Start mesh on this place's store, as a shell would; return its pid."""
        out = os.open(self.path / "out.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        argv = [str(MESH), *map(str, args), "--data", str(self.path / "store")]
        actions = [(os.POSIX_SPAWN_DUP2, out, 1), (os.POSIX_SPAWN_DUP2, out, 2)]
        pid = os.posix_spawn(MESH, argv, os.environ, file_actions=actions)
        os.close(out)
        return pid

    def mesh(self, *args: str | Path) -> float:
        """Run mesh on this place's store and return its seconds."""
        started = time.monotonic()
        _, status = os.waitpid(self.start(*args), 0)
        seconds = time.monotonic() - started
        if status != 0:
            told = (self.path / "out.txt").read_text()[-2000:]
            sys.exit(f"mesh {' '.join(map(str, args))} failed ({status}):\n{told}")
        return seconds


def foreach(n: int, step: Mapping[str, object]) -> dict[str, object]:
    """A range of n tasks between a start and a join that do nothing."""
    true = ["/bin/true"]
    work: dict[str, object] = {"next": "join"}
    work.update(step)
    return {
        "start": {"run": true, "foreach": {"range": n}, "next": "work"},
        "work": work,
        "join": {"run": true, "join": "start"},
    }


def limit(n: int, *more: str | Path) -> float:
    """Seconds of the bare loop."""
    return float(subprocess.check_output([LIMIT, str(n), str(SLOTS), *more]))


def ratio_row(name: str, target: float, rounds: int, one: Callable[[], tuple[float, float]]) -> Row:
    """Median of yardstick over mesh; more is better."""
    pairs = [one() for _ in range(rounds)]
    ratios = [bare / mesh for mesh, bare in pairs]
    median = statistics.median(ratios)
    mesh_s = statistics.median(m for m, _ in pairs)
    return Row(name, median, "of the bare loop", f">= {target}", median >= target,
               f"mesh {mesh_s:.3f} s", ratios)


def value_row(name: str, unit: str, target: float, values: list[float], detail: str = "") -> Row:
    """Median of measured values; less is better."""
    median = statistics.median(values)
    return Row(name, median, unit, f"<= {target}", median <= target, detail, values)


def lean(n: int, rounds: int) -> Row:
    def one() -> tuple[float, float]:
        with Place() as place:
            flow = place.flow(foreach(n, {"run": ["/bin/true"]}))
            bare = limit(n)
            return place.mesh("run", flow), bare

    return ratio_row(f"{n:,} x /bin/true", 0.80, rounds, one)


def burdened(n: int, rounds: int) -> Row:
    group = Path("/sys/fs/cgroup/memory/mesh-bench")
    try:
        group.mkdir(exist_ok=True)
        procs: str | Path = group / "cgroup.procs"
    except OSError:
        procs = ""

    def one() -> tuple[float, float]:
        with Place() as place:
            step = {"run": [STAMP.as_posix()], "resources": {"memory": 256}}
            flow = place.flow(foreach(n, step))
            (place.path / "bare").mkdir()
            bare = limit(n, procs, place.path / "bare")
            return place.mesh("run", flow), bare

    return ratio_row(f"{n:,} with a memory limit and an output", 0.85, rounds, one)


def chain(length: int, rounds: int) -> Row:
    values = []
    for _ in range(rounds):
        with Place() as place:
            steps: dict[str, object] = {}
            for i in range(length):
                steps[f"s{i}"] = {"run": ["/bin/true"]}
                if i + 1 < length:
                    steps[f"s{i}"]["next"] = f"s{i + 1}"  # type: ignore[index]
            values.append(place.mesh("run", place.flow(steps)) / length * 1000)
    bare = statistics.median(limit_chain(length) for _ in range(rounds))
    return value_row(f"chain of {length}", "ms a step", 0.70, values, f"bare {bare:.2f} ms")


def limit_chain(length: int) -> float:
    """Milliseconds a program, one after the other."""
    return float(subprocess.check_output([LIMIT, str(length), "1"])) / length * 1000


def first_task(rounds: int) -> Row:
    values = []
    for _ in range(rounds):
        with Place() as place:
            stamp = place.path / "stamp"
            flow = place.flow({"only": {"run": [STAMP.as_posix(), stamp.as_posix()]}})
            started = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            place.mesh("run", flow)
            values.append((int(stamp.read_text()) - started) / 1000)
    return value_row("command to first task", "ms", 5, values)


def memory_of(pid: int, key: str) -> float:
    """A figure of /proc/PID/smaps_rollup, in MiB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith(key)) / 1024


def wide_range(n: int, watch_s: float) -> list[Row]:
    """A range of n: when its first task runs, and what the node grows by."""
    with Place() as place:
        stamp = place.path / "stamp"
        flow = place.flow(foreach(n, {"run": [STAMP.as_posix(), stamp.as_posix()]}))
        started = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        node = subprocess.Popen([MESH, "run", flow, "--data", place.path / "store"],
                                stdout=subprocess.DEVNULL)
        peak = 0.0
        first = None
        base = None
        while time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000 - started < watch_s * 1e6:
            time.sleep(0.05)
            if first is None and stamp.exists() and stamp.stat().st_size:
                first = (int(stamp.read_text() or 0) - started) / 1000
            try:
                now = memory_of(node.pid, "Rss:")
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                break
            base = now if base is None else base
            peak = max(peak, now)
            if node.poll() is not None:
                break
        node.send_signal(signal.SIGINT)
        node.wait(timeout=60)
        grown = peak - (base or 0)
        return [
            value_row(f"range of {n:,}: first task", "ms", 100, [first or 1e9]),
            value_row(f"range of {n:,}: growth in {watch_s:.0f} s", "MiB of RSS", 100, [grown]),
        ]


def queued(n: int) -> Row:
    """What n tasks that cannot run yet cost the node."""
    def rss(width: int) -> float:
        with Place() as place:
            flow = place.flow(foreach(width, {"run": ["/bin/sleep", "60"]}))
            node = subprocess.Popen([MESH, "run", flow, "--data", place.path / "store"],
                                    stdout=subprocess.DEVNULL)
            time.sleep(1)
            value = memory_of(node.pid, "Rss:")
            for _ in range(2):
                node.send_signal(signal.SIGINT)
                time.sleep(0.2)
            node.wait(timeout=60)
            return value

    grown = [rss(n) - rss(3) for _ in range(3)]
    return value_row(f"{n:,} queued", "MiB", 0.5, grown)


def big_artifact(size_mib: int, rounds: int) -> Row:
    """One step writes, four read, against sh with cp and cat."""
    values, bares = [], []
    with tempfile.TemporaryDirectory(prefix="mesh-bench-") as source_dir:
        source = Path(source_dir) / "big"
        with source.open("wb") as f:
            for _ in range(size_mib):
                f.write(os.urandom(MIB))
        for _ in range(rounds):
            with Place() as place:
                reads = 'cat "$MESH_IN/big" > /dev/null'
                readers = {f"r{i}": {"run": reads, "inputs": {"big": "start.big"}, "next": "end"}
                           for i in range(4)}
                flow = place.flow({
                    "start": {"run": f'cp {source} "$MESH_OUT/big"',
                              "next": list(readers)},
                    **readers,
                    "end": {"run": ["/bin/true"]},
                })
                script = f"cp {source} {place.path}/big; " + f"cat {place.path}/big >/dev/null; " * 4
                started = time.monotonic()
                subprocess.run(["sh", "-c", script], check=True)
                bares.append(time.monotonic() - started)
                values.append(place.mesh("run", flow))
    return value_row(f"{size_mib} MiB written, read by four", "s", 0.35, values,
                     f"sh with cp and cat {statistics.median(bares):.3f} s")


def small_artifacts(n: int, rounds: int) -> Row:
    """Each made by a process of its own, against xargs with the same shell command."""
    values, bares = [], []
    write = 'printf "%10240d" 7'
    for _ in range(rounds):
        with Place() as place:
            (place.path / "bare").mkdir()
            started = time.monotonic()
            subprocess.run(
                f"seq {n} | xargs -P{SLOTS} -I{{}} sh -euc '{write} > {place.path}/bare/{{}}'",
                shell=True, check=True)
            bares.append(time.monotonic() - started)
            flow = place.flow({
                "start": {"run": ["/bin/true"], "foreach": {"range": n}, "next": "make"},
                "make": {"run": f'{write} > "$MESH_OUT/x"', "next": "read"},
                "read": {"run": "mesh inputs | wc -l", "join": "start"},
            })
            values.append(place.mesh("run", flow))
    return value_row(f"{n:,} x 10 KiB artifacts, read by one", "s", 0.8, values,
                     f"xargs, kept nowhere {statistics.median(bares):.3f} s")


def idle(seconds: float) -> list[Row]:
    with Place() as place:
        node = subprocess.Popen([MESH, "node", "--dev", "--data", place.path / "store"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(2)

        def cpu() -> float:
            fields = Path(f"/proc/{node.pid}/stat").read_text().rsplit(")", 1)[1].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

        before = cpu()
        time.sleep(seconds)
        used = (cpu() - before) / seconds * 100
        pss = memory_of(node.pid, "Pss:")
        node.terminate()
        node.wait(timeout=30)
        return [value_row("idle node", "MiB of PSS", 6, [pss]),
                value_row("idle node", "% of a core", 0.05, [used])]


def check_large(n: int, rounds: int) -> Row:
    values = []
    for _ in range(rounds):
        with Place() as place:
            steps: dict[str, object] = {"s0": {"run": ["/bin/true"]}}
            for i in range(1, n):
                steps[f"s{i}"] = {"run": ["/bin/true"], "needs": [f"s{i // 2}"]}
            flow = place.flow(steps)
            started = time.monotonic()
            subprocess.run([MESH, "check", flow], check=True, stdout=subprocess.DEVNULL)
            values.append(time.monotonic() - started)
    return value_row(f"check a flow of {n:,} steps", "s", 1, values)


PYTHON_FILE = """
import os
import time

def nothing(self):
    pass

def square(self):
    self.y = self.input ** 2

def join(self, inputs):
    pass

def stamp(self):
    with open(os.environ["STAMP"], "w") as file:
        file.write(str(time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000))
"""


def squares(place: Place, n: int, warm: bool) -> Path:
    """A foreach of n Python steps `self.y = self.input ** 2`, each its own process."""
    (place.path / "flow" / "work.py").write_text(PYTHON_FILE)
    return place.flow({
        "start": {"python": "work.py:nothing", "foreach": {"range": n}, "next": "work"},
        "work": {"python": "work.py:square", "next": "join"},
        "join": {"python": "work.py:join", "join": "start"},
    }, environment={"PATH": PYTHON_PATH}, defaults={"warm": warm})


def python_warm(n: int, rounds: int) -> Row:
    rates = []
    for _ in range(rounds):
        with Place() as place:
            rates.append(n / place.mesh("run", squares(place, n, True)))
    rate = statistics.median(rates)
    return Row(f"{n:,} Python steps, forked", rate, "steps/s", ">= 500", rate >= 500, "", rates)


def python_plain(n: int, rounds: int) -> Row:
    def one() -> tuple[float, float]:
        with Place() as place:
            flow = squares(place, n, False)
            bare = limit(n, "--", PYTHON, "-c", "pass")
            return place.mesh("run", flow), bare

    return ratio_row(f"{n:,} Python steps, plain", 0.90, rounds, one)


def first_python(rounds: int) -> Row:
    values = []
    for _ in range(rounds):
        with Place() as place:
            (place.path / "flow" / "work.py").write_text(PYTHON_FILE)
            stamp = place.path / "stamp"
            flow = place.flow(
                {"first": {"python": "work.py:stamp", "next": "second"},
                 "second": {"python": "work.py:nothing"}},
                environment={"PATH": PYTHON_PATH, "STAMP": stamp.as_posix()})
            started = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
            place.mesh("run", flow)
            values.append((int(stamp.read_text()) - started) / 1000)
    return value_row("command to first Python step", "ms", 60, values)


def resume_wide(n: int, rounds: int) -> Row:
    """From the command to the first task of a run that adopts n done ones."""
    values = []
    with Place() as place:
        mended, stamp = place.path / "mended", place.path / "stamp"
        steps = foreach(n, {"run": ["/bin/true"]})
        steps["join"] = {"run": ["/bin/true"], "join": "start", "next": "end"}
        steps["end"] = {"run": f"test -e {mended} && '{STAMP}' {stamp}"}
        flow = place.flow(steps)
        os.waitpid(place.start("run", flow), 0)
        mended.touch()
        kept = place.path / "kept"
        (place.path / "store").rename(kept)
        for _ in range(rounds):
            shutil.copytree(kept, place.path / "store", dirs_exist_ok=True)
            started = time.monotonic_ns() // 1000
            place.mesh("resume", "1")
            values.append((int(stamp.read_text()) - started) / 1e6)
            shutil.rmtree(place.path / "store")
    return value_row(f"first task of a resume after {n:,}", "s", 1, values)


def live_view(n: int, rounds: int) -> list[Row]:
    """In a terminal, with the view and with --plain: each task writes a line."""
    def one(*how: str) -> tuple[float, int]:
        with Place() as place:
            flow = place.flow(foreach(n, {"run": ["/bin/echo", "hello"]}))
            store = str(place.path / "store")
            return in_terminal.run([str(MESH), "run", str(flow), "--data", store, *how],
                                   os.environ)

    ratios, rates = [], []
    for _ in range(rounds):
        plain, _ = one("--plain")
        live, frames = one()
        ratios.append(live / plain)
        rates.append(frames / live)
    rate = statistics.median(rates)
    return [value_row(f"live view of {n:,} tasks", "of --plain", 1.03, ratios),
            Row("live view", rate, "frames a second", ">= 10", rate >= 10, rounds=rates)]


def followed(n: int, followers: int, rate: int, rounds: int) -> Row:
    """A flow on a node alone, and beside clients of its interface.

    Its tasks wait more than they compute: where they take all processors, whatever else
    runs takes its share of them, and says nothing about the node.
    """
    told = []

    def seconds(place: Place, flow: Path, load: int) -> float:
        if not load:
            return place.mesh("submit", flow, "--quiet", "--follow")
        clients = subprocess.Popen(
            [LOAD, place.path / "store" / "mesh.sock", str(followers), str(rate), "600"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert clients.stdin and clients.stdout
        clients.stdout.readline()
        took = place.mesh("submit", flow, "--quiet", "--follow")
        clients.stdin.close()
        s, event_bytes, answers, mean_us, slowest_us = map(float, clients.stdout.read().split())
        clients.wait(timeout=30)
        told.append((event_bytes / s / MIB, answers / s, mean_us / 1000, slowest_us / 1000))
        return took

    def one() -> tuple[float, float]:
        with Place() as place:
            flow = place.flow(foreach(n, {"run": ["/bin/sleep", "0.1"]}))
            node = subprocess.Popen(
                [MESH, "node", "--dev", "--data", place.path / "store", "--cpu", "10000",
                 "--slots", "64"],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            assert node.stdout
            node.stdout.readline()
            place.mesh("submit", flow, "--quiet", "--follow")  # what is first is slow
            alone = seconds(place, flow, 0)
            beside = seconds(place, flow, 1)
            node.terminate()
            node.wait(timeout=30)
            return beside, alone

    row = ratio_row(f"{n:,} x sleep 0.1 beside {followers} followers, {rate:,} requests/s", 0.95,
                    rounds, one)
    mib, answers, mean_ms, slowest_ms = (statistics.median(column) for column in zip(*told))
    row.unit = "of it alone"
    row.detail += (f"; {answers:,.0f} answers/s in {mean_ms:.1f} ms, slowest {slowest_ms:.0f} ms;"
                   f" {mib:.0f} MiB/s of events")
    return row


def client_reads(n: int, rounds: int) -> list[Row]:
    """The Python client on a store that many runs have gone through."""
    sys.path.insert(0, str(BUILD / "python"))
    import mesh  # what was built

    with Place() as place:
        store = place.path / "store"
        subprocess.run([RECORDS, store, str(n), "10", str(n)], check=True)
        node = subprocess.Popen([MESH, "node", "--dev", "--data", store],
                                stdout=subprocess.DEVNULL)
        client = mesh.Client(data=store)
        while not (store / "mesh.sock").exists() or client.node()["pid"] != node.pid:
            time.sleep(0.05)

        def row(name: str, target: float, wanted: int, read: Callable[[], list[object]]) -> Row:
            values, cpu = [], []
            for _ in range(rounds):
                started, began = time.monotonic(), time.process_time()
                got = read()
                values.append(time.monotonic() - started)
                cpu.append(time.process_time() - began)
                assert len(got) == wanted, len(got)
            return value_row(f"client: {name}", "s", target, values,
                             f"{statistics.median(cpu):.3f} s of CPU in the client")

        step = client.get(n)["work"]
        lists = [
            row(f"list {n:,} runs", 0.2 * n / 10000, n,
                lambda: [(run.number, run.outcome) for run in client.runs()]),
            row(f"100 of one flow of {n:,} runs", 0.05, 100,
                lambda: [run.number for run in client.runs(flow="Flow3", limit=100)]),
            row(f"{n:,} small artifacts at once", 2 * n / 10000, n,
                lambda: list(step.values("x"))),
            row(f"{n:,} small artifacts task by task", 2 * n / 10000, n,
                lambda: [task.data.x for task in step.tasks]),
        ]
        node.terminate()
        node.wait(timeout=30)
        return lists


def rows(quick: bool, rounds: int) -> list[Callable[[], Row | list[Row]]]:
    n = 2000 if quick else 10000
    some: list[Callable[[], Row | list[Row]]] = [
        lambda: lean(n, rounds),
        lambda: burdened(n // 2, rounds),
        lambda: chain(100, rounds),
        lambda: first_task(rounds * 2),
        lambda: queued(10000),
        lambda: big_artifact(256, rounds),
        lambda: small_artifacts(1000, rounds),
        lambda: check_large(10000, rounds),
        lambda: wide_range(1_000_000, 10 if quick else 600),
        lambda: idle(5 if quick else 30),
        lambda: resume_wide(n * 10, rounds),
        lambda: python_warm(1000, rounds),
        lambda: python_plain(1000, rounds),
        lambda: first_python(rounds * 2),
        lambda: followed(n, 200, 1000, rounds),
        lambda: live_view(n, rounds),
        lambda: client_reads(n, rounds),
    ]
    if not quick:
        some.insert(1, lambda: lean(100000, 3))
    return some


class Kept:
    """The rows of an earlier run, by name."""

    def __init__(self, file: Path | None) -> None:
        kept = json.loads(file.read_text()) if file else []
        self.values: dict[str, float] = {row["name"] + row["unit"]: row["value"] for row in kept}
        self.worse: list[str] = []

    def compare(self, row: Row) -> str:
        """How many times as good as then, in words; "" if it was not kept."""
        before = self.values.get(row.name + row.unit)
        if not before or not row.value:
            return ""
        better = row.value / before if row.target.startswith(">") else before / row.value
        if better < 1 - TOLERANCE:
            self.worse.append(row.name)
        return f"{better:.2f} of {before:.3f} kept"


def show(row: Row) -> None:
    mark = "met" if row.met else "MISSED"
    print(f"{row.name:<44} {row.value:>9.3f} {row.unit:<18} {row.target:<9} {mark:<7}"
          f" [{min(row.rounds):.3f} .. {max(row.rounds):.3f}] {row.detail}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller and shorter")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", help="rows whose function name holds this")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    parser.add_argument("--against", type=Path, help="rows kept by --json: tell the change, and"
                        f" exit with 1 if one is more than {TOLERANCE:.0%}% worse")
    args = parser.parse_args()
    kept = Kept(args.against)
    done: list[Row] = []
    for make in rows(args.quick, args.rounds):
        if args.only and args.only not in make.__code__.co_names:
            continue
        result = make()
        for row in result if isinstance(result, list) else [result]:
            row.detail = "  ".join(filter(None, [row.detail, kept.compare(row)]))
            show(row)
            done.append(row)
    if args.json:
        args.json.write_text(json.dumps([vars(row) for row in done], indent=1))
    for name in kept.worse:
        print(f"worse than what was kept: {name}")
    return 1 if kept.worse else 0


if __name__ == "__main__":
    sys.exit(main())
