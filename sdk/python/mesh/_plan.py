# SPDX-License-Identifier: Apache-2.0
"""What to ask a node and what to make of its answers, without doing either.

An operation is a generator: it yields a command, gets what came of it, and returns its
result. `_session.py` carries the commands out and blocks, `aio.py` does so in asyncio.
Operations that tell things as they come yield `Emit`.
"""

from __future__ import annotations

import re
import sys
from typing import (Any, Callable, Dict, Generator, Iterable, List, Mapping, NamedTuple,
                    Optional, Sequence, Tuple, TypeVar, Union)

from . import _http
from ._http import Reply, Request
from .errors import MeshError, NoNode, NotFound, Refused

T = TypeVar("T")


class Ask(NamedTuple):
    """-> Reply, whatever its status."""

    request: Request


class AskAll(NamedTuple):
    """-> a list of replies; the requests are under way together."""

    requests: Sequence[Request]


class Send(NamedTuple):
    """-> a handle; the request is under way."""

    request: Request


class Receive(NamedTuple):
    """-> the Reply to what was sent."""

    handle: Any


class Open(NamedTuple):
    """-> Head. A stream of the plan's own; it takes the place of the one before."""

    request: Request


class Read(NamedTuple):
    """-> the next bytes of the stream, b"" at its end, None when the time is over."""

    seconds: Optional[float] = None  # None: however long it takes


class Sleep(NamedTuple):
    seconds: float


class Probe(NamedTuple):
    """-> whether somebody listens, without starting a node that shows the store."""


class Peer(NamedTuple):
    """-> the id of the user whose node was asked last; None where it cannot be known."""


class Emit(NamedTuple):
    item: Any


class Lost(NoNode):
    """The connection broke; thrown into the plan at Read."""


Command = Union[Ask, AskAll, Send, Receive, Open, Read, Sleep, Probe, Peer, Emit]
Plan = Generator[Command, Any, T]


def advance(step: Callable[[Any], Command], value: Any) -> Tuple[Optional[Command], Any]:
    """The next command; or None, and what the plan returned."""
    try:
        return step(value), None
    except StopIteration as end:
        return None, end.value


# ---- asking ----


def ask(request: Request) -> Plan[Reply]:
    reply: Reply = yield Ask(request)
    if reply.status >= 300:
        raise error_of(reply)
    return reply


def ask_json(request: Request) -> Plan[Any]:
    reply = yield from ask(request)
    return reply.json()


def ask_all(requests: Sequence[Request]) -> Plan[List[Reply]]:
    replies: List[Reply] = yield AskAll(requests)
    for reply in replies:
        if reply.status >= 300:
            raise error_of(reply)
    return replies


def error_of(reply: Reply) -> MeshError:
    try:
        told: Dict[str, Any] = reply.json()
    except ValueError:
        told = {}
    sentence = told.get("error") or f"the node refused with status {reply.status}"
    hint = told.get("hint")
    if reply.status == 404:
        return NotFound(sentence, _for_people(hint))
    return Refused(sentence, _for_people(hint), reply.status, told.get("diagnostics"))


def _for_people(hint: Optional[str]) -> Optional[str]:
    """Some hints name requests, which nobody here writes."""
    return None if hint and "/v1/" in hint else hint


def relay(plan: Plan[None], make: Callable[[Any], Iterable[Any]]) -> Plan[None]:
    """The plan, with what `make` makes of each item that it emits in the item's place."""
    command, _ = advance(plan.send, None)
    while command is not None:
        if isinstance(command, Emit):
            for item in make(command.item):
                yield Emit(item)
            command, _ = advance(plan.send, None)
            continue
        try:
            value = yield command
        except Lost as e:
            command, _ = advance(plan.throw, e)
        else:
            command, _ = advance(plan.send, value)


# ---- runs ----


def about_run(run: str) -> Plan[Dict[str, Any]]:
    result: Dict[str, Any] = yield from ask_json(_http.get("runs", run))
    return result


def change(run: str, verb: str) -> Plan[None]:
    yield from ask(_http.post(None, "runs", run, verb))


def change_tags(run: str, add: Sequence[str], remove: Sequence[str]) -> Plan[None]:
    value = {"add": list(add), "remove": list(remove)}
    yield from ask(_http.send("PATCH", value, "runs", run, "tags"))


def delete(run: str) -> Plan[None]:
    yield from ask(_http.send("DELETE", None, "runs", run))


def is_over(about: Dict[str, Any]) -> bool:
    return bool(about["state"] == "ended")


def log_of(run: str, step: str, task: str, stream: str) -> Plan[str]:
    """What the newest attempt that has ended wrote."""
    reply = yield from ask(_http.get("runs", run, "logs", step, task, stream=stream))
    return reply.body.decode("utf-8", "replace")


# ---- lists ----

PAGE = 1000
FIRST_PAGE = 100  # the first ones are here soon, the others by the thousand


def each_run(limit: Optional[int], filters: Mapping[str, Any]) -> Plan[None]:
    """Emits lists of runs, the newest first. From the second page on, the node makes the
    next one while this one is read."""
    left = sys.maxsize if limit is None else limit
    size = FIRST_PAGE
    before: Optional[int] = None
    handle: Any = None
    while left > 0:
        request = _http.get("runs", limit=min(size, left), before=before, **filters)
        reply = (yield Receive(handle)) if handle else (yield Ask(request))
        if reply.status >= 300:
            raise error_of(reply)
        before, handle = _next_page(reply.body), None
        if before and size == PAGE and left > PAGE:
            handle = yield Send(_http.get("runs", limit=min(PAGE, left - PAGE), before=before,
                                          **filters))
        runs = reply.json()["runs"]
        yield Emit(runs)
        if not before:
            return
        left -= len(runs)
        size = PAGE


def _next_page(body: bytes) -> Optional[int]:
    """Where the page after this one begins, without reading this one."""
    found = re.search(rb'"before":"(\d+)"}\s*$', body[-64:])
    return int(found[1]) if found else None


class TaskItem(NamedTuple):
    step: str
    task: str
    attempts: List[Dict[str, Any]]
    is_whole: bool  # all attempts are there, none was left out by a filter


class TaskPage(NamedTuple):
    items: List[TaskItem]
    after: Optional[str]  # which attempt the page begins behind
    is_ended: bool        # tasks that the node lists one after the other


FAILED = ("failed", "lost")
RUNNING_MAX = 10000


def each_task(run: str, step: Optional[str], state: Optional[str]) -> Plan[None]:
    """Emits TaskPages, in the order of steps and splits; tasks whose first attempt runs
    now come last."""
    running = yield from _running(run, step)
    if state != "running":
        for_server = state if state in ("done", "caught", "adopted", "failed") else None
        yield from _ended_tasks(run, step, for_server, state, running)
    rest = [TaskItem(step, task, attempts, False) for (step, task), attempts in running.items()]
    if rest and state in (None, "running"):
        yield Emit(TaskPage(rest, None, False))


def _running(run: str, step: Optional[str]) -> Plan[Dict[Any, List[Dict[str, Any]]]]:
    page = yield from ask_json(_http.get("runs", run, "tasks", step=step, state="running",
                                         limit=RUNNING_MAX))
    return {(a["step"], a["task"]): [a] for a in page["attempts"]}


def _ended_tasks(run: str, step: Optional[str], filtered: Optional[str],
                 state: Optional[str], running: Dict[Any, Any]) -> Plan[None]:
    carried: List[Dict[str, Any]] = []  # the next page may have more attempts of this task
    after: Optional[str] = None
    size = FIRST_PAGE
    while True:
        page = yield from ask_json(_http.get("runs", run, "tasks", step=step, after=after,
                                             state=filtered, limit=size))
        groups = _by_task(carried + page["attempts"])
        before, after, size = after, page["after"], PAGE
        carried = groups.pop() if after and groups else []
        items = [_item(group, filtered is None, running) for group in groups]
        if filtered == "failed":
            items = yield from _still_failed(run, items)
        items = [item for item in items if state in (None, task_state(item.attempts))]
        if items:
            yield Emit(TaskPage(items, before, filtered in (None, "done")))
        if not after:
            return


def _by_task(attempts: List[Dict[str, Any]]) -> List[List[Dict[str, Any]]]:
    groups: List[List[Dict[str, Any]]] = []
    for a in attempts:
        last = groups[-1][-1] if groups else None
        if last and last["task"] == a["task"] and last["step"] == a["step"]:
            groups[-1].append(a)
        else:
            groups.append([a])
    return groups


def _item(group: List[Dict[str, Any]], is_whole: bool, running: Dict[Any, Any]) -> TaskItem:
    key = group[0]["step"], group[0]["task"]
    ended = {a["attempt"] for a in group}
    more = [a for a in running.pop(key, []) if a["attempt"] not in ended]
    return TaskItem(key[0], key[1], group + more, is_whole)


def _still_failed(run: str, items: List[TaskItem]) -> Plan[List[TaskItem]]:
    """Those that no later attempt has made good."""
    requests = [_http.get("runs", run, "tasks", step=i.step, task=i.task) for i in items]
    replies = yield from ask_all(requests)
    whole = [item._replace(attempts=reply.json()["attempts"], is_whole=True)
             for item, reply in zip(items, replies)]
    return [item for item in whole if task_state(item.attempts) == "failed"]


def one_task(run: str, step: str, task: str) -> Plan[TaskItem]:
    requests = [_http.get("runs", run, "tasks", step=step, task=task),
                _http.get("runs", run, "tasks", step=step, task=task, state="running")]
    ended, running = yield from ask_all(requests)
    attempts = ended.json()["attempts"]
    numbers = {a["attempt"] for a in attempts}
    attempts += [a for a in running.json()["attempts"] if a["attempt"] not in numbers]
    if not attempts:
        raise NotFound(f"no attempt of {run}/{step}/{task} has started")
    return TaskItem(step, task, attempts, True)


def task_state(attempts: List[Dict[str, Any]]) -> str:
    """Of an attempt that was lost or failed and not tried again, "failed"."""
    verdict: str = attempts[-1]["verdict"]
    return "failed" if verdict in FAILED else verdict


def each_line(request: Request) -> Plan[None]:
    """Emits the lines of an answer, from a connection of its own."""
    yield from open_stream(request)
    rest = b""
    while True:
        piece = yield Read()
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            yield Emit(line)
        if not piece:
            if rest:
                yield Emit(rest)
            return


def open_stream(request: Request) -> Plan[None]:
    head = yield Open(request)
    if head.status < 300:
        return
    body = b""
    while True:
        piece = yield Read()
        if not piece:
            raise error_of(Reply(head.status, head.headers, body))
        body += piece
