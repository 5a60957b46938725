# SPDX-License-Identifier: Apache-2.0
"""The Python client against real nodes. Prints `ok NAME` or `failed NAME` for each test."""

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

import mesh
from mesh import aio

WORK = Path(os.environ["MESH_TEST_WORK"])
BINARY = os.environ["MESH_BINARY"]
PATIENCE = float(os.environ.get("MESH_PATIENCE", "60"))

FLOW = """\
mesh: 1
flow: Fit
parameters:
  alpha: {type: float, default: 0.5}
  names: {type: string, separator: ',', default: 'a,b'}
  quick: {type: bool, default: false}
  depth: {type: json, default: {max: 3}}
  table: {type: file, required: true}
  token: {secret: true}
steps:
  start:
    python: fit.py:start
    foreach: numbers
    next: fit
  fit:
    python: fit.py:fit
    next: join
  join:
    join: start
    run: |
      mkdir -p "$MESH_OUT/report/sub"
      echo hello >"$MESH_OUT/report/hello.txt"
      printf '#!/bin/sh\\n' >"$MESH_OUT/report/sub/go"
      chmod 755 "$MESH_OUT/report/sub/go"
      ln -s ../hello.txt "$MESH_OUT/report/sub/link"
      seq 1 200000 >"$MESH_OUT/numbers.txt"
      printf 'a\\377b\\n' ; echo trouble >&2
      printf 'no newline'
    next: end
  end:
    run: 'true'
"""

CODE = """\
class Model:
    def __init__(self, weight):
        self.weight = weight


def start(self):
    self.numbers = list(range(12))
    self.config = {"nothing": None, "text": "\\u00e4"}


def fit(self):
    self.model = Model(self.input * self.alpha)
    self.loss = 1 / (1 + self.input)
    self.raw = bytes([self.input, 255])
    self.big = 2**80
    if self.input % 2:
        self.odd = True
    print("fitting", self.input)
"""

GATED = """\
mesh: 1
flow: Gated
parameters: {gate: {type: string}}
steps:
  start: {run: 'true', foreach: {range: 3}, next: wait}
  wait:
    run: |
      echo "task $MESH_INPUT waits"
      until test -e "$MESH_PARAM_GATE"; do sleep 0.02; done
      echo "task $MESH_INPUT went on"
    next: join
  join: {run: 'true', join: start}
"""

FAILING = """\
mesh: 1
flow: Failing
limits: {on_failure: finish}
steps:
  start: {run: 'true', foreach: {range: 4}, next: work}
  work:
    run: test "$MESH_INPUT" != 2 || test "$MESH_ATTEMPT" = 1 || exit 7
    retry: {times: 1, delay: 0}
    next: worse
  worse:
    run: 'echo "item $MESH_INPUT"; test "$MESH_INPUT" != 1 || exit 9'
    next: join
  join: {run: 'true', join: start}
"""


def until(what: str, condition: Callable[[], Any]) -> Any:
    end = time.monotonic() + PATIENCE
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what}: not in {PATIENCE} s")
        time.sleep(0.02)


class Base(unittest.TestCase):
    folder: Path
    home: Path

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = WORK / cls.__name__
        cls.folder.mkdir()
        cls.home = cls.folder / "home"
        os.environ["MESH_HOME"] = str(cls.home)
        os.environ.pop("MESH_SOCKET", None)
        for name, text in (("fit.mf", FLOW), ("fit.py", CODE), ("gated.mf", GATED),
                           ("failing.mf", FAILING), ("table.csv", "x,y\n1,2")):
            (cls.folder / name).write_text(text)
        sys.path.insert(0, str(cls.folder))

    @classmethod
    def tearDownClass(cls) -> None:
        sys.path.remove(str(cls.folder))
        sys.modules.pop("fit", None)

    def path(self, name: str) -> str:
        return str(self.folder / name)

    def lines(self, lines: Iterator[mesh.LogLine]) -> List[str]:
        return [line.text for line in lines]


class AStore(Base):
    """Nobody listens: a node is started that shows what ran."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.ran = mesh.run(cls.folder / "fit.mf", alpha=2.5, names="x,y", quick=True,
                           depth={"max": 7}, table=cls.folder / "table.csv",
                           token="hush\n", tags=["night", "big"])
        cls.failed = mesh.run(str(cls.folder / "failing.mf"))

    ran: mesh.Run
    failed: mesh.Run

    def test_a_run(self) -> None:
        run = mesh.Run("1")
        self.assertEqual((run.number, run.flow, run.state, run.outcome, run.message),
                         (1, "Fit", "ended", "ok", None))
        self.assertTrue(run.finished and run.successful)
        self.assertEqual(run, self.ran)
        self.assertEqual(run.tags, ("night", "big"))
        assert run.started and run.ended and run.submitted and run.duration
        self.assertEqual(run.started + run.duration, run.ended)
        self.assertEqual(run.counts.done, 15)
        self.assertEqual(run.user, run.client.user)
        self.assertRegex(repr(run), r"^<Run 1 of Fit: ok, 15 tasks done, .*s>$")
        self.assertEqual(mesh.Run(run.id[:12]).number, 1)
        self.assertIn("flow: Fit", run.flow_text)

    def test_parameters_have_types(self) -> None:
        self.assertEqual(dict(self.ran.parameters), {
            "alpha": 2.5, "names": ["x", "y"], "quick": True, "depth": {"max": 7},
            "table": b"x,y\n1,2", "token": None})

    def test_the_way_of_the_page(self) -> None:
        run = mesh.Run("1")
        self.assertEqual(run["fit"].tasks[3].data.model.weight, 7.5)
        self.assertEqual(run["fit"]["3"].data.loss, 0.25)
        self.assertEqual(run["fit/3"].data.raw, b"\x03\xff")
        self.assertEqual(run["fit", 3].data.big, 2**80)
        self.assertEqual(run["start"].data.config, {"nothing": None, "text": "ä"})
        self.assertEqual(run["fit"].tasks[0].data.config["nothing"], None)  # passed on
        self.assertEqual([step.name for step in run], ["start", "fit", "join", "end"])
        self.assertIn("fit", run)
        self.assertEqual(sorted(run["fit"].tasks[1].data),
                         ["big", "loss", "model", "odd", "raw"])

    def test_names_that_are_not_there(self) -> None:
        run = mesh.Run("1")
        with self.assertRaises(mesh.NotFound):
            mesh.Run("77").state
        self.assertIn("no run '77'", repr(mesh.Run("77")))
        with self.assertRaisesRegex(mesh.NotFound, "did you mean 'fit'"):
            run["fti"]
        with self.assertRaises(mesh.NotFound):
            run["fit"]["99"]
        with self.assertRaises(IndexError):
            run["fit"].tasks[12]
        with self.assertRaises(AttributeError):
            run["fit"].tasks[0].data.nothing
        with self.assertRaises(mesh.NotFound):
            run["fit"].tasks[0].artifacts["nothing"]
        with self.assertRaisesRegex(mesh.MeshError, "12 tasks"):
            run["fit"].data

    def test_lists_of_tasks(self) -> None:
        tasks = mesh.Run("1")["fit"].tasks
        self.assertEqual(len(tasks), 12)
        self.assertEqual([t.id for t in tasks], [str(i) for i in range(12)])
        self.assertEqual([t.id for t in tasks[3:5]], ["3", "4"])
        self.assertEqual([t.id for t in tasks[-2:]], ["10", "11"])
        self.assertEqual((tasks[-1].id, tasks["7"].index), ("11", (7,)))
        self.assertEqual(len(mesh.Run("1").tasks), 15)
        self.assertEqual(mesh.Run("1").tasks["fit/4"].data.loss, 0.2)

    def test_values_of_many(self) -> None:
        step = mesh.Run("1")["fit"]
        self.assertEqual(list(step.values("loss")), [1 / (1 + i) for i in range(12)])
        self.assertEqual(list(step.items("odd")), [(str(i), True) for i in range(1, 12, 2)])
        self.assertEqual([m.weight for m in step.values("model")],
                         [2.5 * i for i in range(12)])
        self.assertEqual(set(step.values("big")), {2**80})
        self.assertEqual([t.data.raw[0] for t in step.tasks], list(range(12)))
        self.assertEqual([t.data.config["text"] for t in step.tasks], ["ä"] * 12)

    def test_artifacts(self) -> None:
        task = mesh.Run("1")["join"].task()
        big = task["numbers.txt"]
        self.assertEqual((big.type, big.encoding, big.size), ("text", "bytes", 1288895))
        with big.open() as file:
            self.assertEqual(file.read(4), b"1\n2\n")
            file.seek(-7, os.SEEK_END)
            self.assertEqual(file.read(), b"200000\n")
            file.seek(1_000_000)
            file.readline()
            self.assertEqual(len(file.readline()), 7)
        saved = big.save(self.folder / "numbers")
        self.assertEqual(Path(saved).read_bytes(), big.bytes())
        self.assertEqual(list(self.folder.glob("numbers.*part")), [])

    def test_folders(self) -> None:
        report = mesh.Run("1")["join"].data.report
        self.assertEqual(list(report), ["hello.txt", "sub/go", "sub/link"])
        self.assertEqual(report["hello.txt"].text(), "hello\n")
        self.assertTrue(report["sub/go"].is_executable and report["sub/link"].is_link)
        self.assertEqual(report["hello.txt"].open().read(2), b"he")
        saved = Path(report.save(self.folder / "report"))
        self.assertEqual((saved / "sub" / "link").read_text(), "hello\n")
        self.assertTrue(os.access(saved / "sub" / "go", os.X_OK))
        with self.assertRaises(FileExistsError):
            report.save(saved)
        with self.assertRaises(mesh.NotFound):
            report["nothing"]
        self.assertIn("fit.py", mesh.Run("1").code)

    def test_what_tasks_wrote(self) -> None:
        run = mesh.Run("1")
        self.assertEqual(run["fit"].tasks[2].stdout, "fitting 2\n")
        join = run["join"].task()
        self.assertEqual((join.stdout, join.stderr), ("a\ufffdb\nno newline", "trouble\n"))
        self.assertEqual(sorted(self.lines(run.logs(step="join"))),
                         ["a\ufffdb", "no newline", "trouble"])
        self.assertEqual(self.lines(run.logs(step="join", stream="stderr")), ["trouble"])
        self.assertEqual(self.lines(run["fit"].tasks[5].logs()), ["fitting 5"])
        self.assertRegex(str(next(run.logs(step="fit"))),
                         r"^\[1/fit/0 \(pid \d+\)\] fitting 0$")
        self.assertEqual(self.lines(run.logs(step="end", follow=True)), [])

    def test_what_failed(self) -> None:
        run = self.failed
        self.assertEqual((run.outcome, run.successful), ("failed", False))
        self.assertEqual([t.pathspec for t in run.tasks(state="failed")], ["2/worse/1"])
        bad = run["worse"].tasks[1]
        self.assertEqual((bad.state, bad.reason, bad.exit_code), ("failed", "exit", 9))
        self.assertEqual(len(bad.attempts), 1)
        mended = run["work"].tasks["2"]
        self.assertEqual([a.state for a in mended.attempts], ["failed", "done"])
        self.assertEqual([a.exit_code for a in mended.attempts], [7, 0])
        self.assertRegex(repr(mended.attempts[0]), "^<Attempt 0: failed, .*>$")
        self.assertEqual(len(run.tasks(state="done")), 8)
        with self.assertRaises(mesh.RunFailed) as caught:
            run.wait(check=True)
        self.assertEqual(caught.exception.run, run)
        self.assertIn("mesh logs 2", str(caught.exception))

    def test_lists_of_runs(self) -> None:
        numbers = [run.number for run in mesh.runs()]
        self.assertEqual(numbers, sorted(numbers, reverse=True))
        self.assertEqual([r.number for r in mesh.runs(flow="Fit", limit=1, tag="night")], [1])
        self.assertEqual([r.number for r in mesh.runs(state="failed")][-1], 2)
        self.assertEqual(list(mesh.runs(user="nobody at all")), [])
        self.assertEqual(mesh.runs(flow="Fit")[0].number, 1)
        self.assertFalse(mesh.runs(flow="Nothing"))
        self.assertEqual(repr(mesh.runs(flow="Nothing")), "no runs")
        latest = mesh.Flow("Fit").latest_successful
        assert latest
        self.assertEqual(latest.number, 1)
        self.assertIsNone(mesh.Flow("Failing").latest_successful)

    def test_nothing_of_others_is_unpickled_unasked(self) -> None:
        client = mesh.Client()
        client.user = "somebody else"
        task = client.get(1)["fit"].tasks[1]
        self.assertEqual(task.data.loss, 0.5)
        with self.assertRaisesRegex(mesh.Untrusted, "trust=True"):
            task.data.model
        with self.assertRaises(mesh.Untrusted):
            list(client.get(1)["fit"].values("model"))
        self.assertEqual(task["model"].load(trust=True).weight, 2.5)
        self.assertGreater(len(task["model"].bytes()), 10)

    def test_flow_files_are_checked(self) -> None:
        self.assertEqual(mesh.check(self.folder / "fit.mf"), [])
        bad = self.folder / "bad.mf"
        bad.write_text(GATED.replace("join: start", "join: strat"))
        found = mesh.check(bad)
        self.assertEqual((found[0]["line"], found[0]["severity"]), (12, "error"))
        with self.assertRaises(mesh.Refused) as caught:
            mesh.run(bad, gate="x")
        self.assertEqual(caught.exception.diagnostics, found)
        self.assertIn("bad.mf:12", str(caught.exception))
        with self.assertRaises(mesh.NotFound):
            mesh.check(self.folder / "nothing.mf")
        with self.assertRaisesRegex(mesh.Refused, "alhpa"):
            mesh.run(self.folder / "gated.mf", alhpa=3)

    def test_no_node_takes_a_run(self) -> None:
        for _ in range(2):  # while one shows the store, and when not
            with self.assertRaisesRegex(mesh.NoNode, "mesh node"):
                mesh.submit(self.folder / "gated.mf", gate="x")
            mesh.Run("1").refresh()
        with self.assertRaises(mesh.NoNode):
            mesh.Client(socket=self.folder / "no.sock").node()

    def test_a_run_goes_on_where_it_failed(self) -> None:
        run = self.failed.resume(code="same", tags="again")
        self.assertEqual(run.wait(PATIENCE).outcome, "failed")
        self.assertEqual((run.origin, run.tags), (self.failed, ("again",)))
        self.assertIn("adopted", {t.state for t in run.tasks})
        with self.assertRaises(mesh.NotFound):
            mesh.resume("77")
        with self.assertRaises(mesh.NotFound):
            mesh.resume("2", "nothing")

    def test_the_program_is_found_or_told(self) -> None:
        kept, path = os.environ.pop("MESH_BINARY"), os.environ["PATH"]
        try:
            os.environ["PATH"] = str(self.folder)
            with contextlib.suppress(mesh.NoNode):
                self.assertTrue(os.access(mesh._where.find_binary(), os.X_OK))
            os.environ["MESH_BINARY"] = self.path("nothing")
            with self.assertRaisesRegex(mesh.NoNode, "nothing"):
                mesh.run(self.path("gated.mf"), gate="x")
        finally:
            os.environ.update(MESH_BINARY=kept, PATH=path)

    def test_awaited(self) -> None:
        async def main() -> None:
            run = await aio.Run("1")
            self.assertEqual((run.flow, run.outcome), ("Fit", "ok"))
            self.assertEqual((await run.parameters())["alpha"], 2.5)
            self.assertEqual([r.number async for r in aio.runs(flow="Fit", limit=5)][-1], 1)
            task = await run.task("fit", 3)
            self.assertEqual((await task.data.model).weight, 7.5)
            self.assertEqual(await task.stdout(), "fitting 3\n")
            self.assertEqual([v async for v in run.values("fit", "loss")][1], 0.5)
            self.assertEqual([t.id async for t in run.tasks("fit")][-1], "11")
            report = await (await run.task("join")).data.report
            self.assertEqual(await report.bytes("hello.txt"), b"hello\n")
            self.assertEqual([x.text async for x in run.logs(step="fit")][0], "fitting 0")
            self.assertEqual([e.name async for e in run.events()], ["run_ended"])
            many = await asyncio.gather(*(run.task("fit", i) for i in range(12)))
            self.assertEqual([await t.data.loss for t in many],
                             [1 / (1 + i) for i in range(12)])
            with self.assertRaises(mesh.NotFound):
                await aio.Run("77")

        asyncio.run(main())
        asyncio.run(main())  # another loop


class ANode(Base):
    node: "subprocess.Popen[bytes]"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.start()

    @classmethod
    def start(cls) -> None:
        log = open(cls.folder / "node.log", "ab")
        with log:
            cls.node = subprocess.Popen([BINARY, "node", "--dev", "--listen", "127.0.0.1:0"],
                                        stdout=log, stderr=log)
        until("the node answers", cls.answers)

    @classmethod
    def answers(cls) -> bool:
        """By its socket: by the folder a node that shows it would be started."""
        with contextlib.suppress(mesh.NoNode):
            about = mesh.Client(socket=cls.home / "mesh.sock").node()
            return bool(about["pid"] == cls.node.pid)
        return False

    @classmethod
    def tearDownClass(cls) -> None:
        cls.node.terminate()
        cls.node.wait(PATIENCE)
        super().tearDownClass()

    def gate(self) -> Path:
        return self.folder / f"{self.id()}.gate"

    def submit(self) -> mesh.Run:
        return mesh.submit(self.folder / "gated.mf", gate=str(self.gate()), tags=["t"])

    def running(self, run: mesh.Run) -> None:
        until("two tasks run", lambda: len(run.tasks(state="running")) == 2)

    def test_a_run_is_followed_to_its_end(self) -> None:
        run = self.submit()
        events = run.events(since=0)
        seen = [next(events)]
        while sum(e.name == "log" for e in seen) < 2:
            seen.append(next(events))
        self.assertEqual((run.state, run.outcome, run.finished), ("running", None, False))
        self.assertEqual([t.state for t in run["wait"].tasks], ["running"] * 2)
        self.assertRegex(repr(run), "running")
        with self.assertRaises(TimeoutError):
            run.wait(0.05)
        self.gate().touch()
        seen += events
        self.assertEqual((seen[0].name, seen[-1].name), ("run_started", "run_ended"))
        self.assertEqual(seen[-1].outcome, "ok")
        numbers = [e.seq for e in seen]
        self.assertEqual(numbers, sorted(numbers))
        self.assertEqual(run.wait(PATIENCE), run)
        self.assertEqual([e.name for e in run.events()], ["run_ended"])

    def test_logs_while_they_are_written(self) -> None:
        run = self.submit()
        self.running(run)
        until("both wrote", lambda: len(list(run.logs())) == 2)
        lines = run.logs(follow=True)
        first = [next(lines).text, next(lines).text]
        self.assertEqual(sorted(first), ["task 0 waits", "task 1 waits"])
        self.gate().touch()
        rest = self.lines(lines)
        self.assertEqual(sorted(rest), ["task 0 went on", "task 1 went on",
                                        "task 2 waits", "task 2 went on"])
        self.assertEqual(len(list(run.logs())), 6)

    def test_a_run_is_cancelled(self) -> None:
        run = self.submit()
        self.running(run)
        run.cancel()
        self.assertEqual(run.wait(PATIENCE).outcome, "cancelled")
        with self.assertRaises(mesh.Refused) as caught:
            run.cancel()
        self.assertEqual(caught.exception.status, 409)

    def test_a_run_is_suspended_tagged_and_deleted(self) -> None:
        run = self.submit()
        self.running(run)
        run.suspend()
        self.assertEqual(run.state, "suspended")
        self.assertEqual(run.tag(add=["x", "y"], remove=["t"]).tags, ("x", "y"))
        self.assertEqual([r.number for r in mesh.runs(tag="y", state="suspended")],
                         [run.number])
        self.assertNotIn(run, list(mesh.runs(tag="t")))
        with self.assertRaises(mesh.Refused):
            run.delete()
        run.unsuspend()
        self.gate().touch()
        self.assertEqual(run.wait(PATIENCE).outcome, "ok")
        run.delete()
        with self.assertRaises(mesh.NotFound):
            run.refresh()

    def test_over_tcp_with_a_token(self) -> None:
        token = self.folder / "token"
        token.write_bytes(subprocess.check_output(
            [BINARY, "token", "create", "ann", "--role", "submitter"],
            stderr=subprocess.DEVNULL))
        address = "http://" + mesh.node()["listen"]
        with self.assertRaises(mesh.Refused) as caught:
            mesh.Client(address=address).node()
        self.assertEqual(caught.exception.status, 401)
        os.environ["MESH_TOKEN_FILE"] = str(token)
        try:
            client = mesh.Client(address=address)
            token.chmod(0o640)
            with self.assertRaisesRegex(mesh.NoNode, "chmod 600"):
                client.node()
            token.chmod(0o600)
            self.gate().touch()
            run = client.submit(self.folder / "gated.mf", gate=str(self.gate()))
            self.assertEqual(run.wait(PATIENCE, check=True).user, "ann")
            self.assertEqual(len(self.lines(run.logs())), 6)
        finally:
            del os.environ["MESH_TOKEN_FILE"]

    def test_running_ones_are_found(self) -> None:
        run = self.submit()
        self.assertIn(run, list(mesh.runs(state="running")))
        self.assertIn(run, list(mesh.runs(flow="Gated", tag="t")))
        self.gate().touch()
        run.wait(PATIENCE)
        self.assertNotIn(run, list(mesh.runs(state="running")))

    def test_awaited(self) -> None:
        self.assertIs(mesh.aio, aio)

        async def main() -> List[str]:
            run = await aio.submit(self.path("gated.mf"), gate=str(self.gate()))
            lines: List[str] = []
            async for line in run.logs(follow=True):
                lines.append(line.text)
                if len(lines) == 2:
                    with self.assertRaises(TimeoutError):
                        await run.wait(0.05)
                    self.gate().touch()
            await run.wait(PATIENCE, check=True)
            self.assertEqual(run.outcome, "ok")
            return lines

        self.assertEqual(len(asyncio.run(main())), 6)

    def test_many_wait_at_once(self) -> None:
        async def main() -> None:
            run = await aio.submit(self.path("gated.mf"), gate=str(self.gate()))
            waiting = [asyncio.ensure_future(aio.Run(run.number).wait()) for _ in range(20)]
            await asyncio.sleep(0)
            self.gate().touch()
            ended = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE)
            self.assertEqual({r.outcome for r in ended}, {"ok"})

        asyncio.run(main())

    def test_secrets_stand_on_no_command_line(self) -> None:
        seen = self.folder / "seen"
        spy = self.folder / "spy"
        spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >>"{seen}"\nexec "{BINARY}" "$@"\n')
        spy.chmod(0o755)
        os.environ["MESH_BINARY"] = str(spy)
        try:
            self.gate().touch()
            run = mesh.submit(self.folder / "gated.mf", gate=f"{self.gate()}")
        finally:
            os.environ["MESH_BINARY"] = BINARY
        self.assertEqual(run.wait(PATIENCE).parameters, {"gate": str(self.gate())})
        self.assertNotIn(self.gate().name, seen.read_text())

    def test_values_are_kept_to_the_letter(self) -> None:
        self.gate().touch()
        for value in ("", "@file", "-", "a\n", "\n\n", "ä\t'\"$x", "x" * 200_000, "--help"):
            flow = self.folder / "value.mf"
            flow.write_text("mesh: 1\nflow: V\nparameters: {v: {}}\nsteps: {only: {run: 'true'}}\n")
            run = mesh.submit(flow, v=value)
            self.assertEqual(run.parameters, {"v": value})
            run.wait(PATIENCE)


class ANodeThatDies(ANode):
    """Following goes on over a node that is killed and started anew."""

    # Those of the class above hold there.
    test_a_run_is_followed_to_its_end = None  # type: ignore[assignment]
    test_logs_while_they_are_written = None  # type: ignore[assignment]
    test_a_run_is_cancelled = None  # type: ignore[assignment]
    test_a_run_is_suspended_tagged_and_deleted = None  # type: ignore[assignment]
    test_over_tcp_with_a_token = None  # type: ignore[assignment]
    test_running_ones_are_found = None  # type: ignore[assignment]
    test_awaited = None  # type: ignore[assignment]
    test_many_wait_at_once = None  # type: ignore[assignment]
    test_secrets_stand_on_no_command_line = None  # type: ignore[assignment]
    test_values_are_kept_to_the_letter = None  # type: ignore[assignment]

    def restart(self) -> None:
        self.node.send_signal(signal.SIGKILL)
        self.node.wait(PATIENCE)
        type(self).start()

    def test_it_is_followed_on(self) -> None:
        run = self.submit()
        events = run.events(since=0)
        names = [next(events).name]
        self.running(run)
        self.restart()
        self.gate().touch()
        names += [event.name for event in events]
        self.assertIn("gap", names)
        self.assertEqual(names[-1], "run_ended")
        self.assertEqual(run.outcome, "ok")


def shown(test: unittest.TestCase) -> str:
    return test.id().partition(".")[2].replace(".test_", ": ").replace("_", " ")


class Result(unittest.TextTestResult):
    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        print("ok", shown(test), flush=True)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        print("failed", shown(test), flush=True)

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        print("failed", shown(test) if isinstance(test, unittest.TestCase) else test, flush=True)


if __name__ == "__main__":
    unittest.main(testRunner=unittest.TextTestRunner(resultclass=Result, stream=sys.stderr))
