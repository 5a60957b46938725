# SPDX-License-Identifier: Apache-2.0
"""The client over connections that break, stall and come back, blocking and in asyncio."""

import asyncio
import json
import os
import sys
import threading
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from fake_node import FakeNode, Table, as_json, chunked, reply  # noqa: E402
from mesh import _contents, _follow, _plan, _where  # noqa: E402
from mesh._async_session import AsyncSession  # noqa: E402
from mesh._follow import LogFilter  # noqa: E402
from mesh._http import get, post  # noqa: E402
from mesh._plan import Plan  # noqa: E402
from mesh._session import Session  # noqa: E402
from mesh._where import Place  # noqa: E402
from mesh.errors import MeshError, NoNode, NotFound, Refused, Untrusted  # noqa: E402

ID = "01" * 16


def node(pid: int = 1, seq: int = 5, is_inspect: bool = False) -> bytes:
    return as_json({"pid": pid, "seq": seq, "is_inspect": is_inspect, "dir": "/data"})


def run(state: str = "running", **more: object) -> bytes:
    outcome = "ok" if state == "ended" else None
    about = {"run": ID, "number": 42, "state": state, "outcome": outcome, "message": None,
             "started": None, "ended": None, "user": "me", "origin": None, "steps": []}
    return as_json({**about, **more})


def event(seq: Optional[int], name: str, **data: object) -> bytes:
    data = {"run": ID, **data}
    first = f"id: {seq}\n" if seq is not None else ""
    return f"{first}event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def blocking(path: str, plan: Plan[Any], emits: bool) -> Any:
    session = Session(Place(socket=path))
    return list(session.each(plan)) if emits else session.run(plan)


def awaited(path: str, plan: Plan[Any], emits: bool) -> Any:
    async def main() -> Any:
        session = AsyncSession(Place(socket=path))
        try:
            if emits:
                return [item async for item in session.each(plan)]
            return await session.run(plan)
        finally:
            session.close()

    return asyncio.run(main())


class Base(unittest.TestCase):
    def setUp(self) -> None:
        _follow.GRACE_SECONDS = 0.3
        _follow.PAUSE_SECONDS = 0.01

    def fake(self, answers: Dict[str, Any]) -> FakeNode:
        fake = FakeNode(Table(answers))
        self.addCleanup(fake.close)
        return fake

    def both(self, answers: Callable[[], Dict[str, Any]], plan: Callable[[], Plan[Any]],
             check: Callable[[Any, FakeNode], None], emits: bool = False) -> None:
        for drive in (blocking, awaited):
            with self.subTest(drive.__name__):
                fake = self.fake(answers())
                check(drive(fake.path, plan(), emits), fake)

    def both_raise(self, error: type, answers: Callable[[], Dict[str, Any]],
                   plan: Callable[[], Plan[Any]], emits: bool = False) -> List[MeshError]:
        errors: List[MeshError] = []
        for drive in (blocking, awaited):
            with self.subTest(drive.__name__):
                try:
                    drive(self.fake(answers()).path, plan(), emits)
                except MeshError as e:
                    self.assertIsInstance(e, error)
                    errors.append(e)
        self.assertEqual(len(errors), 2)
        return errors


class Asking(Base):
    def test_many_are_under_way_on_one_connection(self) -> None:
        requests = [get("n", i) for i in range(200)]

        def check(replies: Any, fake: FakeNode) -> None:
            self.assertEqual([r.json() for r in replies], list(range(200)))
            self.assertEqual(fake.n_connections, 1)

        self.both(lambda: {r.target: as_json(i) for i, r in enumerate(requests)},
                  lambda: _plan.ask_all(requests), check)

    def test_the_rest_is_asked_again_when_the_connection_ends(self) -> None:
        requests = [get("n", i) for i in range(100)]
        closing = reply(b"17", Connection="close")

        def answers() -> Dict[str, Any]:
            table: Dict[str, Any] = {r.target: as_json(i) for i, r in enumerate(requests)}
            table["/v1/n/17"] = [closing]
            table["/v1/n/60"] = [reply(b"60")[:-1], as_json(60)]
            return table

        def check(replies: Any, fake: FakeNode) -> None:
            self.assertEqual([r.json() for r in replies], list(range(100)))
            self.assertEqual(fake.asked.count("/v1/n/3"), 1)
            self.assertEqual(fake.n_connections, 3)

        self.both(answers, lambda: _plan.ask_all(requests), check)

    def test_a_kept_connection_that_was_closed(self) -> None:
        fake = self.fake({"/v1/a": as_json(1), "/v1/b": [None, as_json(2)]})
        session = Session(Place(socket=fake.path))
        self.assertEqual(session.ask(get("a")).json(), 1)
        self.assertEqual(session.ask(get("b")).json(), 2)
        self.assertEqual(fake.n_connections, 2)

    def test_a_node_that_was_just_ending(self) -> None:
        self.both(lambda: {"/v1/a": [None, None, as_json(1)]}, lambda: _plan.ask(get("a")),
                  lambda reply, fake: self.assertEqual(reply.json(), 1))
        self.both_raise(NoNode, lambda: {"/v1/a": [None, as_json(1)]},
                        lambda: _plan.ask(post({}, "a")))  # it may have been done

    def test_a_node_that_hangs_up(self) -> None:
        for error in self.both_raise(NoNode, lambda: {"/v1/a": None},
                                     lambda: _plan.ask(get("a"))):
            self.assertIn("closed the connection", str(error))

    def test_errors_have_types_and_hints(self) -> None:
        told = {"error": "no", "hint": "do it so"}
        error = self.both_raise(NotFound, lambda: {"/v1/a": as_json(told, 404)},
                                lambda: _plan.ask(get("a")))[0]
        self.assertEqual((error.message, error.hint), ("no", "do it so"))
        error = self.both_raise(Refused, lambda: {"/v1/a": as_json(
            {"error": "no", "hint": "GET /v1/runs"}, 409)}, lambda: _plan.ask(get("a")))[0]
        assert isinstance(error, Refused)
        self.assertEqual((error.hint, error.status), (None, 409))
        self.both_raise(Refused, lambda: {"/v1/a": reply(b"<html>", 502)},
                        lambda: _plan.ask(get("a")))

    def test_nobody_listens(self) -> None:
        for drive in (blocking, awaited):
            with self.assertRaises(NoNode):
                drive("/nowhere/sock", _plan.ask(get("a")), False)

    def test_connections_are_given_up_soon(self) -> None:
        fake = self.fake({"/v1/a": as_json(1)})
        session = Session(Place(socket=fake.path))
        session.ask(get("a"))
        for thread in threading.enumerate():
            if thread.name == "mesh-idle":
                thread.join(10)
        self.assertEqual(session._idle, [])


class Lists(Base):
    def test_pages_of_runs(self) -> None:
        def page(first: int, n: int, before: Optional[int]) -> bytes:
            return as_json({"runs": [{"number": first - i} for i in range(n)],
                            "before": before and str(before)})

        def answers() -> Dict[str, Any]:
            return {"/v1/runs?limit=100": page(2500, 100, 2401),
                    "/v1/runs?limit=1000&before=2401": page(2400, 1000, 1401),
                    "/v1/runs?limit=1000&before=1401": page(1400, 400, 1001),
                    "/v1/runs?limit=1000&before=1001": page(1000, 1000, None)}

        def check(pages: Any, _: FakeNode) -> None:
            numbers = [run["number"] for page in pages for run in page]
            self.assertEqual(numbers, [*range(2500, 1000, -1), *range(1000, 0, -1)])

        self.both(answers, lambda: _plan.each_run(None, {}), check, emits=True)

    def test_no_more_runs_than_were_asked_for(self) -> None:
        def answers() -> Dict[str, Any]:
            return {"/v1/runs?limit=3&flow=F": reply(
                b'{"runs":[{"number":9},{"number":8}],"before":"8"}'),
                "/v1/runs?limit=1&before=8&flow=F": reply(
                b'{"runs":[{"number":1}],"before":"1"}')}

        self.both(answers, lambda: _plan.each_run(3, {"flow": "F"}),
                  lambda pages, fake: self.assertEqual(
                      [r["number"] for p in pages for r in p], [9, 8, 1]), emits=True)

    @staticmethod
    def attempt(task: str, n: int, verdict: str) -> Dict[str, Any]:
        return {"step": "fit", "task": task, "attempt": n, "verdict": verdict}

    def test_a_task_is_whole_over_pages_and_while_it_runs(self) -> None:
        path = "/v1/runs/42/tasks"

        def answers() -> Dict[str, Any]:
            pages = [
                {"attempts": [self.attempt("0", 0, "done"), self.attempt("1", 0, "failed")],
                 "after": "fit/1/0"},
                {"attempts": [self.attempt("1", 1, "done"), self.attempt("2", 0, "failed")],
                 "after": None}]
            running = [self.attempt("2", 1, "running"), self.attempt("3", 0, "running"),
                       self.attempt("1", 1, "running")]
            return {f"{path}?state=running&limit=10000": as_json({"attempts": running}),
                    f"{path}?limit=100": as_json(pages[0]),
                    f"{path}?after=fit%2F1%2F0&limit=1000": as_json(pages[1])}

        def check(pages: Any, _: FakeNode) -> None:
            tasks = [item for page in pages for item in page.items]
            self.assertEqual(
                [(t.task, [a["verdict"] for a in t.attempts], t.is_whole) for t in tasks],
                [("0", ["done"], True), ("1", ["failed", "done"], True),
                 ("2", ["failed", "running"], True), ("3", ["running"], False)])

        self.both(answers, lambda: _plan.each_task("42", None, None), check, emits=True)

    def test_a_task_that_was_made_good_has_not_failed(self) -> None:
        path = "/v1/runs/42/tasks"

        def answers() -> Dict[str, Any]:
            failed = [self.attempt("1", 0, "failed"), self.attempt("2", 0, "failed")]
            return {
                f"{path}?state=running&limit=10000": as_json({"attempts": []}),
                f"{path}?state=failed&limit=100": as_json({"attempts": failed, "after": None}),
                f"{path}?step=fit&task=1": as_json({"attempts": [
                    failed[0], self.attempt("1", 1, "done")]}),
                f"{path}?step=fit&task=2": as_json({"attempts": [failed[1]]})}

        def check(pages: Any, _: FakeNode) -> None:
            self.assertEqual([t.task for page in pages for t in page.items], ["2"])

        self.both(answers, lambda: _plan.each_task("42", None, "failed"), check, emits=True)


def names(messages: Any) -> List[str]:
    return [message.name for message in messages]


class Following(Base):
    """A broken stream goes on behind the last event that came."""

    def test_it_goes_on_where_it_broke(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": node(), "/v1/runs/42": run(),
                "/v1/events?run=42&since=5": chunked(
                    b":\n\n", event(6, "task_started") + b"id: 7\nevent: lo", is_whole=False),
                "/v1/events?run=42&since=6": chunked(
                    event(7, "log"), event(8, "run_ended")),
            }

        def check(messages: Any, _: FakeNode) -> None:
            self.assertEqual([(m.name, m.seq) for m in messages],
                             [("task_started", 6), ("log", 7), ("run_ended", 8)])

        self.both(answers, lambda: _follow.each_event("42", None), check, emits=True)

    def test_another_process_means_a_gap(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": [node(), node(pid=2, seq=90)], "/v1/runs/42": run(),
                "/v1/events?run=42&since=5": chunked(event(6, "log"), is_whole=False),
                "/v1/events?run=42&since=90": chunked(event(91, "run_ended")),
            }

        self.both(answers, lambda: _follow.each_event("42", None),
                  lambda got, _: self.assertEqual(names(got), ["log", "gap", "run_ended"]),
                  emits=True)

    def test_the_end_is_told_from_the_store(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": [node(), node(pid=2, is_inspect=True)],
                "/v1/runs/42": [run(), run(), run("ended")],
                "/v1/events?run=42&since=5": chunked(event(6, "log"), is_whole=False),
            }

        self.both(answers, lambda: _follow.each_event("42", None),
                  lambda got, _: self.assertEqual(names(got), ["log", "gap", "run_ended"]),
                  emits=True)

    def test_the_end_is_told_behind_a_gap(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": node(), "/v1/runs/42": [run(), run(), run("ended")],
                "/v1/events?run=42&since=5": chunked(event(None, "gap", next=900)),
            }

        self.both(answers, lambda: _follow.each_event("42", None),
                  lambda got, _: self.assertEqual(names(got), ["gap", "run_ended"]),
                  emits=True)

    def test_an_interrupted_run_is_not_waited_for(self) -> None:
        def answers() -> Dict[str, Any]:
            return {"/v1/node": node(is_inspect=True), "/v1/runs/42": run("interrupted")}

        for error in self.both_raise(NoNode, answers, lambda: _follow.wait("42", None)):
            self.assertIn("mesh node --dev", str(error))

    def test_the_time_is_over(self) -> None:
        def answers() -> Dict[str, Any]:
            whole = chunked(b":\n\n")
            return {"/v1/node": node(), "/v1/runs/42": run(),
                    "/v1/events?run=42&since=5": whole.replace(b"0\r\n\r\n", b"5\r\nab")
                    + b"0\r\n\r\n"}  # the fake takes it for whole and does not hang up

        self.both(answers, lambda: _follow.wait("42", 0.05),
                  lambda about, _: self.assertEqual(about["state"], "running"))

    def test_what_an_ended_run_told(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": node(), "/v1/runs/42": run("ended"),
                "/v1/events?since=0": chunked(event(1, "log"), event(2, "log", run="other"),
                                              event(3, "run_ended"), event(5, "x", run="o")),
            }

        self.both(answers, lambda: _follow.each_event("42", 0),
                  lambda got, _: self.assertEqual(names(got), ["log", "run_ended"]),
                  emits=True)


def piece(task: str, text: str, stream: str = "stdout", attempt: int = 0) -> Dict[str, Any]:
    return {"step": "fit", "task": task, "attempt": attempt, "pid": 7, "stream": stream,
            "time": None, "text": text}


def lines_of(*pieces: Dict[str, Any]) -> bytes:
    return "".join(json.dumps(p) + "\n" for p in pieces).encode()


class Logs(Base):
    def test_pieces_become_lines(self) -> None:
        data = lines_of(piece("0", "a"), piece("0", "E1\nE", "stderr"), piece("0", "b\nc\n"),
                        piece("0", "2", "stderr"), piece("1", "x"))

        def answers() -> Dict[str, Any]:
            return {"/v1/runs/42": run("ended"),
                    "/v1/runs/42/logs": chunked(data[:30], data[30:77], data[77:])}

        def check(lines: Any, _: FakeNode) -> None:
            self.assertEqual([(x.task, x.stream, x.text) for x in lines], [
                ("0", "stderr", "E1"), ("0", "stdout", "ab"), ("0", "stdout", "c"),
                ("0", "stderr", "E2"), ("1", "stdout", "x")])
            self.assertEqual(str(lines[1]), "[42/fit/0 (pid 7)] ab")

        self.both(answers, lambda: _follow.each_log("42", LogFilter(), False), check,
                  emits=True)

    def test_what_is_kept_is_not_told_again(self) -> None:
        def answers() -> Dict[str, Any]:
            return {
                "/v1/node": node(), "/v1/runs/42": [run()],
                "/v1/runs/42/logs?step=fit": chunked(lines_of(piece("0", "kept\n"))),
                "/v1/events?run=42&since=0": chunked(
                    event(1, "log", **piece("0", "kept\n")),
                    event(2, "log", **piece("1", "li")),
                    event(3, "log", **{**piece("1", "no\n"), "step": "other"}),
                    event(4, "log", **piece("1", "ve\nend")),
                    event(5, "task_ended", **piece("1", "")), event(6, "run_ended")),
            }

        def check(lines: Any, _: FakeNode) -> None:
            self.assertEqual([x.text for x in lines], ["kept", "live", "end"])

        self.both(answers, lambda: _follow.each_log("42", LogFilter(step="fit"), True), check,
                  emits=True)

    def test_a_broken_answer_is_an_error(self) -> None:
        def answers() -> Dict[str, Any]:
            return {"/v1/runs/42": run("ended"),
                    "/v1/runs/42/logs": chunked(lines_of(piece("0", "a\n")), is_whole=False)}

        self.both_raise(NoNode, answers, lambda: _follow.each_log("42", LogFilter(), False),
                        emits=True)


PICKLE = b"cos\nsystem\n(S'false'\ntR."
NAME = _contents.Name("42", "fit", "0", "model")
MODEL = "/v1/runs/42/artifacts/fit/0/model"


class Trust(Base):
    def load(self, me: str, *runs: bytes) -> Any:
        fake = self.fake({MODEL: reply(b"\x80\x05K\x07.", Mesh_Encoding="pickle"),
                          "/v1/runs/42": runs[0], "/v1/runs/7": runs[-1]})
        return blocking(fake.path, _contents.load(NAME, me, False), False)

    def test_ones_own_pickles_are_read(self) -> None:
        self.assertEqual(self.load("me", run()), 7)
        self.assertEqual(self.load("me", run(origin="7"), run()), 7)

    def test_those_of_others_are_not(self) -> None:
        with self.assertRaises(Untrusted) as caught:
            self.load("you", run())
        self.assertIn("load(trust=True)", str(caught.exception))
        with self.assertRaises(Untrusted):
            self.load("me", run(origin="7"), run(user="you"))
        with self.assertRaises(Untrusted):
            self.load("me", run(origin="8"))  # which is gone

    def test_a_node_of_others_is_not_believed(self) -> None:
        kept = _where.peer_of
        try:
            for peer in (os.geteuid() + 1, None):
                _where.peer_of = lambda _, peer=peer: peer  # type: ignore[misc]
                with self.assertRaises(Untrusted):
                    self.load("me", run())
        finally:
            _where.peer_of = kept

    def test_trust_is_asked_for_each(self) -> None:
        fake = self.fake({MODEL: reply(b"\x80\x05K\x07.", Mesh_Encoding="pickle")})
        self.assertEqual(blocking(fake.path, _contents.load(NAME, "you", True), False), 7)

    def test_not_in_lists_either(self) -> None:
        line = json.dumps({"task": "0", "artifacts": [
            {"encoding": "pickle", "data_base64": "gAVLBy4="}]}).encode()
        entry = _contents.read_entry(line)
        fake = self.fake({"/v1/runs/42": run()})
        with self.assertRaises(Untrusted):
            blocking(fake.path, entry.load(NAME, "you", False), False)
        self.assertEqual(blocking(fake.path, entry.load(NAME, "me", False), False), 7)


class Folders(unittest.TestCase):
    def test_paths_that_lead_out_are_refused(self) -> None:
        for path in ("../x", "/etc/passwd", "a/../../b", "a//b", "", "a/."):
            with self.assertRaises(MeshError, msg=path):
                _contents.Tree.read(f"mesh-tree 1\n644 1 {'0' * 64} {path}\n".encode())
        with self.assertRaises(MeshError):
            _contents.Tree.read(b"mesh-tree 2\n")
        with self.assertRaises(MeshError):
            _contents.Tree.read(f"mesh-tree 1\n4755 1 {'0' * 64} a\n".encode())

    def test_names_come_back(self) -> None:
        tree = _contents.Tree.read(
            f"mesh-tree 1\n644 1 {'0' * 64} a\\nb\\\\n c\n755 2 {'1' * 64} d/\xff\n"
            .encode("latin-1"))
        self.assertEqual(sorted(tree.files), ["a\nb\\n c", "d/\udcff"])
        self.assertEqual(tree.size, 3)


if __name__ == "__main__":
    unittest.main()
