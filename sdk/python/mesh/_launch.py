# SPDX-License-Identifier: Apache-2.0
"""Starting runs by the program `mesh`, which reads flow files and packs code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import threading
from datetime import datetime
from typing import IO, Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from . import _where
from ._where import Place, StrPath
from .errors import MeshError, NoNode, NotFound, Refused

USAGE, NOT_FOUND, NO_NODE = 2, 3, 4  # exit codes, docs/interface.md
HINT = "      "  # in front of a line that says what to do


class Order(NamedTuple):
    flow: Optional[StrPath]
    tags: Sequence[str]
    max_workers: Optional[int]
    on_failure: Optional[str]
    parameters: Dict[str, Any]

    def options(self) -> List[str]:
        options = []
        for tag in [self.tags] if isinstance(self.tags, str) else self.tags:
            if "," in tag:
                raise ValueError(f"a tag has no comma: {tag!r}")
        if self.tags:
            options += ["--tags", self.tags if isinstance(self.tags, str) else ",".join(self.tags)]
        if self.max_workers is not None:
            options += ["--max-workers", str(self.max_workers)]
        if self.on_failure is not None:
            options += ["--on-failure", self.on_failure]
        return options


# ---- parameters ----


class Values:
    """Parameters as files in memory: others can read a command line."""

    def __init__(self, parameters: Dict[str, Any]) -> None:
        self.fds: List[int] = []
        self.options: List[str] = []
        for name, value in parameters.items():
            if value is not None:
                self.options.append(f"--{name}=@{self._file(value)}")

    def _file(self, value: Any) -> str:
        if isinstance(value, os.PathLike):
            return str(os.fspath(value))
        fd = os.memfd_create("mesh-parameter")
        self.fds.append(fd)
        with open(fd, "wb", closefd=False) as file:
            file.write(value_bytes(value))
        return f"/dev/fd/{fd}"

    def __enter__(self) -> Values:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in self.fds:
            os.close(fd)


def value_bytes(value: Any) -> bytes:
    """A text as a file holds it: with a newline more, which is not part of it."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, datetime):
        value = value.isoformat()
    elif not isinstance(value, str):
        value = json.dumps(value)
    return str(value).encode() + b"\n"


# ---- the program ----


def _place_options(place: Place) -> List[str]:
    if place.dir:
        return ["--data", place.dir]
    return ["--socket", place.socket] if place.socket else []


def _environment(place: Place) -> Dict[str, str]:
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("MESH_SOCKET", "MESH_ADDRESS")}
    if place.address:
        environment["MESH_ADDRESS"] = place.address
    return environment


def _start(place: Place, verb: str, operands: Sequence[str], options: Sequence[str],
           values: Values, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    command = [_where.find_binary(), verb, "--json", *options, *values.options, "--", *operands]
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            env=_environment(place), pass_fds=values.fds, start_new_session=True)
    except OSError as e:
        raise NoNode(f"{command[0]} cannot be started: {e.strerror}") from e


def _error(code: int, errors: IO[bytes], flow: Optional[StrPath]) -> MeshError:
    errors.seek(0)
    text = errors.read().decode("utf-8", "replace")
    sentence, hint = _said(text)
    sentence = sentence or f"mesh ended with {code}"
    if code == NOT_FOUND or (flow and not os.path.exists(flow)):
        return NotFound(sentence, hint)
    if code == NO_NODE:
        return NoNode(sentence, hint)
    diagnostics = check(flow) if code == USAGE and flow else []
    return Refused(sentence, hint, diagnostics=diagnostics)


def _said(text: str) -> Tuple[str, Optional[str]]:
    """`mesh: sentence`, and below it, indented, what to do; or what is wrong with a flow,
    as it stands."""
    if not text.startswith("mesh: "):
        return text.strip(), None
    lines = [line[6:] if line.startswith("mesh: ") else line for line in text.splitlines()]
    hints = [line.strip() for line in lines if line.startswith(HINT)]
    told = [line for line in lines if not line.startswith(HINT)]
    return "\n".join(told), "\n  ".join(hints) or None


def check(flow: StrPath) -> List[Dict[str, Any]]:
    path = os.fspath(flow)
    done = subprocess.run([_where.find_binary(), "check", "--json", "--", path],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False)
    try:
        found: List[Dict[str, Any]] = json.loads(done.stdout)["diagnostics"]
    except ValueError:
        raise Refused(done.stderr.decode("utf-8", "replace").strip()) from None
    if not found and done.returncode:
        sentence, hint = _said(done.stderr.decode("utf-8", "replace"))
        raise (Refused if os.path.exists(path) else NotFound)(sentence, hint)
    return found


# ---- verbs: the new run's id ----


def submit(place: Place, order: Order) -> str:
    path = os.fspath(order.flow or "")
    with tempfile.TemporaryFile() as errors, Values(order.parameters) as values:
        process = _start(place, "submit", [path], _place_options(place) + order.options(),
                         values, errors)
        with process:
            assert process.stdout
            answer = process.stdout.read()
        if process.returncode:
            raise _error(process.returncode, errors, order.flow)
        return _name_of(json.loads(answer))


def run(place: Place, order: Order) -> str:
    """Until it has ended."""
    path = os.fspath(order.flow or "")
    with tempfile.TemporaryFile() as errors, Values(order.parameters) as values:
        process = _start(place, "run", [path], _data_options(place) + order.options(),
                         values, errors)
        with process:
            name = _read_to_end(process)
        if name is None:
            raise _error(process.returncode, errors, order.flow)
        return name


def _read_to_end(process: subprocess.Popen[bytes]) -> Optional[str]:
    """Ctrl-C cancels the run, a second one kills it, as on the command line."""
    assert process.stdout
    lines = iter(process.stdout)
    name: Optional[str] = None
    is_interrupted = False
    while True:
        try:
            name = name or _name_in(lines)
            for _ in lines:
                pass
            break
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            is_interrupted = True
    if is_interrupted:
        raise KeyboardInterrupt
    return name


def resume(place: Place, name: str, step: Optional[str], code: str, order: Order) -> str:
    """Until it has begun; the process that has begun it, which may be its node, goes on."""
    operands = [name] if step is None else [name, step]
    options = ["--code", code] + ([] if order.flow is None else ["--flow", os.fspath(order.flow)])
    with tempfile.TemporaryFile() as errors, Values(order.parameters) as values:
        process = _start(place, "resume", operands,
                         _data_options(place) + options + order.options(), values, errors)
        assert process.stdout
        with process.stdout:
            started = _name_in(iter(process.stdout))
        if started is None:
            process.wait()
            raise _error(process.returncode, errors, order.flow)
        threading.Thread(target=process.wait, name="mesh-reap", daemon=True).start()
        return started


def _data_options(place: Place) -> List[str]:
    if not place.dir:
        raise MeshError(f"this needs a data folder, and {place} is none",
                        "mesh.Client(data=...), or mesh.submit() for a node that runs")
    return ["--data", place.dir]


def _name_in(lines: Iterator[bytes]) -> Optional[str]:
    for line in lines:
        data = json.loads(line)["data"]
        if "run" in data:
            return _name_of(data)
    return None


def _name_of(data: Dict[str, Any]) -> str:
    """A mesh that is not whole has no numbers to give."""
    return str(data["number"] or data["run"])
