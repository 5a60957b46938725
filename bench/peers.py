#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The mesh beside what its users would pick instead, in one run, on two slots.

Every figure is a median. Each fan-out has its ratio to the bare loop of as many programs
that ran right before it. A figure counts from the command to its exit, start-up included;
only for the fan-out and the chain of Dask and Ray is the engine up and warm already.
A peer that cannot be had or fails is named at the end, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import LIMIT, MESH, SLOTS, STAMP, Place, foreach

TRUE = "/bin/true"
WARM = Path(__file__).resolve().parent / "warm.py"
CHAIN = 100
RUN_TIMEOUT_S = 300
INSTALL_TIMEOUT_S = 900
FAN_OUT, CHAINED, FIRST = WORKS = ("fan_out", "chain", "first")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mesh"

# Debian's Makeflow starts MPI before anything else: let root do so, and without a daemon
# and a search for networks, which would be a third of a second a command.
MPI = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_ess_singleton_isolated": "1",
    "OMPI_MCA_pml": "ob1",
    "OMPI_MCA_btl": "self",
}


class PeerError(Exception):
    """Why there is no figure, in one line."""


@dataclass
class Command:
    """What one measurement runs."""

    argv: list[str | Path]
    stdin: str = ""
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Engine:
    """One line of the table: how its commands are made and what they took."""

    name: str
    n: int
    version: Callable[[], str]
    command: Callable[[Place, str, int], Command]
    works: tuple[str, ...] = WORKS
    is_python: bool = False
    found: str = ""
    error: str = ""
    rounds: list[dict[str, float]] = field(default_factory=list)

    def values(self, key: str) -> list[float]:
        return [one[key] for one in self.rounds if key in one]

    def median(self, key: str) -> float | None:
        values = self.values(key)
        return statistics.median(values) if values else None


# ---- running ----


def last_words(text: str) -> str:
    """The line of a program's output that most likely says what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["no output"])[-1][:200]


def run(place: Place, command: Command, timeout_s: float = RUN_TIMEOUT_S) -> tuple[float, str]:
    """Seconds and output of a command that must exit 0; what is late is killed."""
    name = Path(command.argv[0]).name
    source, sink = place.path / "in.txt", place.path / "out.txt"
    source.write_text(command.stdin)
    with source.open() as stdin, sink.open("w") as stdout:
        started = time.monotonic()
        try:
            child = subprocess.Popen(
                command.argv, stdin=stdin, stdout=stdout, stderr=subprocess.STDOUT,
                cwd=place.path, env={**os.environ, **command.env}, start_new_session=True,
            )
        except OSError as error:
            raise PeerError(f"{name}: {error.strerror}") from error
        try:
            # Not wait(timeout), which naps for up to 50 ms at a time.
            pidfd = os.pidfd_open(child.pid)
            is_done = bool(select.select([pidfd], [], [], timeout_s)[0])
            seconds = time.monotonic() - started
            os.close(pidfd)
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    text = sink.read_text(errors="replace")
    if not is_done:
        raise PeerError(f"{name}: not done after {timeout_s:.0f} s")
    if child.returncode != 0:
        raise PeerError(f"{name}: exit {child.returncode}: {last_words(text)}")
    return seconds, text


def output(*argv: str | Path, timeout_s: float = RUN_TIMEOUT_S) -> str:
    with Place() as place:
        return run(place, Command(list(argv)), timeout_s)[1].strip()


def clock_us() -> float:
    """The clock that the stamp program reads."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) / 1000


def measure(engine: Engine) -> dict[str, float]:
    """One round of one engine."""
    figures: dict[str, float] = {}
    for work in (engine.name,) if engine.is_python else engine.works:
        with Place() as place:
            command = engine.command(place, work, engine.n)
            if work in (engine.name, FAN_OUT):
                figures["bare"] = float(output(LIMIT, str(engine.n), str(SLOTS)))
            started = clock_us()
            seconds = run(place, command)[0]
            if engine.is_python:
                figures.update(json.loads((place.path / "figures").read_text()))
            else:
                figures[work] = seconds
            if work in (engine.name, FIRST):
                figures[FIRST] = (int((place.path / "stamp").read_text()) - started) / 1000
    figures["rate"] = engine.n / figures[FAN_OUT]
    figures["ratio"] = figures["bare"] / figures[FAN_OUT]
    if CHAINED in figures:
        figures["step"] = figures[CHAINED] / CHAIN * 1000
    return figures


# ---- engines that are commands ----


def bare(place: Place, work: str, n: int) -> Command:
    if work == FIRST:
        return Command([STAMP, place.path / "stamp"])
    width = 1 if work == CHAINED else SLOTS
    return Command([LIMIT, str(CHAIN if work == CHAINED else n), str(width)])


def mesh(place: Place, work: str, n: int) -> Command:
    if work == FIRST:
        steps: dict[str, object] = {"only": {"run": [str(STAMP), str(place.path / "stamp")]}}
    elif work == CHAINED:
        steps = {f"s{i}": {"run": [TRUE], "next": f"s{i + 1}"} for i in range(CHAIN - 1)}
        steps[f"s{CHAIN - 1}"] = {"run": [TRUE]}
    else:
        steps = foreach(n, {"run": [TRUE]})
    return Command([MESH, "run", place.flow(steps), "--data", place.path / "store"])


def numbers(n: int) -> str:
    return "".join(f"{i}\n" for i in range(n))


def xargs(place: Place, work: str, n: int) -> Command:
    argv: list[str | Path] = ["xargs", f"-P{SLOTS}", "-n1"]
    if work == FIRST:
        return Command([*argv, STAMP], f"{place.path}/stamp\n")
    return Command([*argv, TRUE], numbers(n))


def parallel(place: Place, work: str, n: int) -> Command:
    argv: list[str | Path] = ["parallel", f"-j{SLOTS}"]
    if work == FIRST:
        return Command([*argv, STAMP], f"{place.path}/stamp\n")
    return Command([*argv, TRUE], numbers(n))


def makeflow(place: Place, work: str, n: int) -> Command:
    """Every rule makes a file, the only way Makeflow knows that it ran."""
    if work == FIRST:
        text = f"stamp:\n\t{STAMP} stamp\n"
    elif work == CHAINED:
        text = f"o.0:\n\t{TRUE} > o.0\n\n" + "".join(
            f"o.{i}: o.{i - 1}\n\t{TRUE} > o.{i}\n\n" for i in range(1, CHAIN))
    else:
        text = "".join(f"o.{i}:\n\t{TRUE} > o.{i}\n\n" for i in range(n))
        text += f"join: {' '.join(f'o.{i}' for i in range(n))}\n\t{TRUE} > join\n"
    (place.path / "flow.makeflow").write_text(text)
    return Command(["makeflow", "-T", "local", "-j", str(SLOTS), "flow.makeflow"], env=MPI)


def debian(package: str) -> Callable[[], str]:
    return lambda: output("dpkg-query", "-W", "-f", "${Version}", package)


# ---- engines that are Python packages ----


def inside(venv: Path) -> Callable[[Place, str, int], Command]:
    def command(place: Place, engine: str, n: int) -> Command:
        argv: list[str | Path] = [venv / "bin" / "python", WARM, engine, str(n), str(CHAIN)]
        return Command(argv, env={"RAY_USAGE_STATS_ENABLED": "0"})

    return command


def pypi(venv: Path, package: str, pin: str) -> Callable[[], str]:
    """Have the pinned version in the venv, else the nearest before it, else any."""
    python = venv / "bin" / "python"
    ask = f"import importlib.metadata as m; print(m.version('{package}'))"

    def version() -> str:
        if not python.with_name("pip").exists():
            output(sys.executable, "-m", "venv", venv, timeout_s=INSTALL_TIMEOUT_S)
        try:
            if (have := output(python, "-c", ask)) == pin:
                return have
        except PeerError:
            pass
        for wanted in (f"{package}=={pin}", f"{package}<{pin}", package):
            print(f"installing {wanted} in {venv}", file=sys.stderr)
            try:
                output(python, "-m", "pip", "--disable-pip-version-check", "install", "-q",
                       wanted, timeout_s=INSTALL_TIMEOUT_S)
                break
            except PeerError as error:
                if "No matching distribution" not in str(error) or wanted == package:
                    raise
        return output(python, "-c", ask)

    return version


# ---- the table ----


def engines(venv: Path) -> list[Engine]:
    def mesh_version() -> str:
        return output(MESH, "--version").split()[-1]

    loose = (FAN_OUT, FIRST)
    return [
        Engine("bare loop", 10000, lambda: "-", bare),
        Engine("mesh", 10000, mesh_version, mesh),
        Engine("xargs", 10000, debian("findutils"), xargs, loose),
        Engine("mesh", 1000, mesh_version, mesh),
        Engine("parallel", 1000, debian("parallel"), parallel, loose),
        Engine("makeflow", 1000, debian("coop-computing-tools"), makeflow),
        Engine("dask", 1000, pypi(venv, "distributed", "2026.8.0"), inside(venv),
               is_python=True),
        Engine("ray", 1000, pypi(venv, "ray", "2.60.0"), inside(venv), is_python=True),
    ]


def attempt(engine: Engine, work: Callable[[], None]) -> None:
    """An engine that failed once is left alone."""
    if engine.error:
        return
    try:
        work()
    except (PeerError, OSError, ValueError) as error:
        engine.error = str(error)


def cell(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def show(measured: list[Engine], rounds: int) -> None:
    print(f"{'engine':<10} {'version':<16} {'tasks':>7} {'tasks/s':>8}  {'of the bare loop':<21}"
          f" {'chain, ms a step':>16} {'first task, ms':>15}   medians of {rounds}")
    for one in measured:
        ratios = one.values("ratio")
        spread = f"{one.median('ratio'):.3f} [{min(ratios):.3f} .. {max(ratios):.3f}]"
        print(f"{one.name:<10} {one.found:<16} {one.n:>7,} {cell(one.median('rate'), 0):>8}"
              f"  {spread:<21} {cell(one.median('step'), 2):>16}"
              f" {cell(one.median(FIRST), 1):>15}")


def as_json(one: Engine) -> dict[str, object]:
    keys = ("rate", "ratio", "step", FIRST)
    return {"engine": one.name, "version": one.found, "tasks": one.n, "error": one.error,
            **{key: one.median(key) for key in keys}, "rounds": one.rounds}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", metavar="ENGINE", help="these engines")
    parser.add_argument("--venv", type=Path, default=CACHE / "peers",
                        help="where Dask and Ray are installed (%(default)s)")
    parser.add_argument("--json", type=Path, help="also write the figures here")
    args = parser.parse_args()
    chosen = [one for one in engines(args.venv.absolute())
              if not args.only or one.name in args.only]
    if args.only and (unknown := set(args.only) - {one.name for one in chosen}):
        parser.error(f"no such engine: {', '.join(sorted(unknown))}")
    for one in chosen:
        attempt(one, lambda: setattr(one, "found", one.version()))
    for i in range(args.rounds):
        for one in chosen:
            print(f"round {i + 1}: {one.name}", file=sys.stderr)
            attempt(one, lambda: one.rounds.append(measure(one)))
    show([one for one in chosen if one.rounds and not one.error], args.rounds)
    failed = [one for one in chosen if one.error]
    for one in failed:
        print(f"not measured: {one.name}: {one.error}")
    if args.json:
        args.json.write_text(json.dumps([as_json(one) for one in chosen], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
