# SPDX-License-Identifier: Apache-2.0
"""What happens, as it happens: plans that read the node's events."""

from __future__ import annotations

import json
import time
from typing import Any, Dict, List, NamedTuple, Optional, Set, Tuple

from . import _http
from ._plan import (Emit, Lost, Plan, Probe, Read, Sleep, about_run, ask_json, each_line,
                    is_over, open_stream, relay)
from ._sse import Lines, Message
from .errors import NoNode

HEARTBEAT_SECONDS = 45.0  # a node is heard every 15 s; after three it is gone
GRACE_SECONDS = 5.0       # for a node that is started anew
PAUSE_SECONDS = 0.1

ENDED = "run_ended"
GAP = "gap"


def end_of(about: Dict[str, Any]) -> Message:
    """The event that tells the end of a run, from what is kept of it."""
    names = ("run", "number", "outcome", "message", "started")
    data = {"time": about["ended"], **{name: about[name] for name in names}}
    return Message(ENDED, None, data)


class Follower:
    """A stream of events that goes on where it broke.

    The numbers of events are of one life of a node: when another process answers, what
    happened in between is unknown, and a gap is told. Of a run, its end is told in any
    case, from the store if the node that saw it is gone.
    """

    def __init__(self, run: Optional[str], since: Optional[int] = None) -> None:
        self._run = run
        self._since = since
        self._pid: Optional[int] = None
        self._lines = Lines()
        self._waiting: List[Message] = []
        self._has_stream = False
        self.newest = 0  # event of the node, when the stream was opened

    def open(self) -> Plan[None]:
        node = yield from ask_json(_http.get("node"))
        if self._pid not in (None, node["pid"]):
            self._since = node["seq"]
            self._waiting.append(Message(GAP, None, {"next": node["seq"] + 1}))
        if self._run and (yield from self._check_end()):
            return
        if node["is_inspect"]:
            raise self._interrupted(node["dir"])
        if self._since is None:
            self._since = node["seq"]  # what comes while the stream is opened, too
        self._pid = node["pid"]
        self.newest = node["seq"]
        self._lines = Lines()
        yield from open_stream(_http.get("events", run=self._run, since=self._since))
        self._has_stream = True

    def next(self, deadline: Optional[float] = None) -> Plan[Optional[Message]]:
        """The next event; None at the deadline."""
        while not self._waiting:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return None
            yield from self._read(left)
        message = self._waiting.pop(0)
        if message.seq is not None:
            self._since = message.seq
        elif message.name == GAP and self._run and not self._waiting:
            yield from self._check_end()
        return message

    def _read(self, left: Optional[float]) -> Plan[None]:
        seconds = HEARTBEAT_SECONDS if left is None else min(HEARTBEAT_SECONDS, left)
        piece: Optional[bytes] = b""
        try:
            if self._has_stream:
                piece = yield Read(seconds)
        except Lost:
            pass
        if piece:
            self._waiting += self._lines.feed(piece)
        elif piece is not None or seconds == HEARTBEAT_SECONDS:
            self._has_stream = False
            yield from self._wait_for_node()
            yield from self.open()

    def _wait_for_node(self) -> Plan[None]:
        """One that runs things, before one is started that only shows them."""
        deadline = time.monotonic() + GRACE_SECONDS
        while not (yield Probe()) and time.monotonic() < deadline:
            yield Sleep(PAUSE_SECONDS)

    def _check_end(self) -> Plan[bool]:
        about = yield from about_run(str(self._run))
        if is_over(about):
            self._waiting.append(end_of(about))
        return is_over(about)

    def _interrupted(self, folder: str) -> NoNode:
        if self._run:
            return NoNode(f"run {self._run} was interrupted: its node ended",
                          "it goes on when a node is started: mesh node --dev")
        return NoNode(f"nothing runs in {folder}", "start a node: mesh node --dev")


def each_event(run: Optional[str], since: Optional[int]) -> Plan[None]:
    """Emits what happens; of one run until its end."""
    about = (yield from about_run(run)) if run else None
    if about and is_over(about):
        if since is not None:
            yield from _recent(about["run"], since)
        yield Emit(end_of(about))
        return
    follower = Follower(run, since)
    yield from follower.open()
    while True:
        message = yield from follower.next()
        yield Emit(message)
        if run and message and message.name == ENDED:
            return


def _recent(run_id: str, since: int) -> Plan[None]:
    """Emits what the node still knows of a run, without its end.

    Of all runs it is asked: then the numbers are without gaps, and the newest is
    certain to come.
    """
    node = yield from ask_json(_http.get("node"))
    if node["is_inspect"] or since >= node["seq"]:
        return
    lines = Lines()
    yield from open_stream(_http.get("events", since=since))
    while True:
        piece = yield Read(HEARTBEAT_SECONDS)
        if not piece:
            return
        for message in lines.feed(piece):
            if message.data.get("run") == run_id and message.name != ENDED:
                yield Emit(message)
            if message.seq is not None and message.seq >= node["seq"]:
                return


def wait(run: str, timeout: Optional[float]) -> Plan[Dict[str, Any]]:
    """The run when it has ended, or as it is when the time is over."""
    deadline = None if timeout is None else time.monotonic() + timeout
    about = yield from about_run(run)
    if is_over(about) or (timeout is not None and timeout <= 0):
        return about
    follower = Follower(run)
    yield from follower.open()
    while True:
        message = yield from follower.next(deadline)
        if message is None or message.name == ENDED:
            break
    about = yield from about_run(run)
    return about


# ---- logs ----


class LogLine(NamedTuple):
    """A line that a task wrote. As text it is what the command line shows."""

    run: int
    step: str
    task: str
    attempt: int
    pid: int
    stream: str  # "stdout" or "stderr"
    time: Optional[str]  # RFC 3339: when the line began
    text: str  # without its newline

    def __str__(self) -> str:
        return f"[{self.run}/{self.step}/{self.task} (pid {self.pid})] {self.text}"


Who = Tuple[str, str, int]


class _Pieces:
    """Makes lines of pieces, which begin and end anywhere."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._open: Dict[Tuple[Who, str], Tuple[Dict[str, Any], str]] = {}

    def add(self, piece: Dict[str, Any]) -> List[LogLine]:
        key = who(piece), piece["stream"]
        first, before = self._open.pop(key, (piece, ""))
        lines = (before + piece["text"]).split("\n")
        rest = lines.pop()
        told = [self._line(first if i == 0 else piece, text) for i, text in enumerate(lines)]
        if rest:
            self._open[key] = (piece if lines else first, rest)
        return told

    def end(self, attempt: Optional[Who] = None) -> List[LogLine]:
        """What was left without a newline, of one attempt or of all."""
        keys = [key for key in self._open if attempt in (None, key[0])]
        return [self._line(*self._open.pop(key)) for key in keys]

    def _line(self, piece: Dict[str, Any], text: str) -> LogLine:
        return LogLine(self._number, piece["step"], piece["task"], piece["attempt"],
                       piece.get("pid", 0), piece["stream"], piece.get("time"), text)


def who(data: Dict[str, Any]) -> Who:
    return data["step"], data["task"], data["attempt"]


class LogFilter(NamedTuple):
    step: Optional[str] = None
    task: Optional[str] = None
    attempt: Optional[int] = None
    stream: Optional[str] = None

    def wants(self, data: Dict[str, Any]) -> bool:
        asked = self._asdict()
        return all(asked[name] in (None, data.get(name)) for name in asked)


def each_log(run: str, only: LogFilter, follow: bool) -> Plan[None]:
    """Emits the lines that are kept, then those of what runs; following, until the end."""
    about = yield from about_run(run)
    lines = _Pieces(about["number"])
    kept: Set[Who] = set()
    pieces = each_line(_http.get("runs", run, "logs", **only._asdict()))
    yield from relay(pieces, lambda line: _kept_lines(json.loads(line), lines, kept))
    yield from _emit_all(lines.end())
    if about["state"] in ("ended", "interrupted"):
        return
    events = each_event(run, 0) if follow else _recent(about["run"], 0)
    yield from relay(events, lambda event: _live_lines(event, only, lines, kept))
    yield from _emit_all(lines.end())


def _kept_lines(piece: Dict[str, Any], lines: _Pieces, kept: Set[Who]) -> List[LogLine]:
    attempt = who(piece)
    told = [] if attempt in kept else lines.end()
    kept.add(attempt)
    return told + (lines.add(piece) if "text" in piece else [])


def _live_lines(event: Message, only: LogFilter, lines: _Pieces,
                kept: Set[Who]) -> List[LogLine]:
    if event.name == "task_ended":
        return lines.end(who(event.data))
    is_wanted = event.name == "log" and only.wants(event.data)
    return lines.add(event.data) if is_wanted and who(event.data) not in kept else []


def _emit_all(items: List[LogLine]) -> Plan[None]:
    for item in items:
        yield Emit(item)
