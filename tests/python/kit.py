# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: a node's channel that answers from a
table, and tasks that run in real processes, plain or forked from a server."""

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import unquote

PACKAGE = Path(__file__).resolve().parents[2] / "sdk" / "python"
PYTHON = os.environ.get("MESH_TEST_PYTHON", sys.executable)
PATIENCE_S = 60

Answer = Tuple[int, Dict[str, str], bytes]


def as_json(value: object) -> Answer:
    data = json.dumps(value).encode()
    return 200, {"Mesh-Encoding": "json", "Mesh-Type": type(value).__name__}, data


class FakeChannel:
    """Answers each request from `answers`, remembers them in `asked`, and hangs up
    after `hang_up_after` of them on one connection."""

    def __init__(self, path: Path) -> None:
        self.answers: Dict[str, Answer] = {}
        self.asked: List[str] = []
        self.tokens: List[str] = []
        self.n_connections = 0
        self.hang_up_after = 1 << 30
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def artifact(self, name: str, value: object) -> None:
        self.answers[f"/v1/task/artifacts/{name}"] = as_json(value)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.n_connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        file = connection.makefile("rwb")
        for _ in range(self.hang_up_after):
            first = file.readline().decode()
            if not first:
                break
            while True:
                line = file.readline().decode().strip()
                if not line:
                    break
                if line.startswith("Authorization: Bearer "):
                    self.tokens.append(line.split()[-1])
            self.asked.append(unquote(first.split()[1]))
            self._reply(file, self.asked[-1])
        file.close()
        connection.close()

    def _reply(self, file: Any, target: str) -> None:
        missing: Answer = (404, {}, b'{"error": "there is no such thing"}')
        status, headers, body = self.answers.get(target, missing)
        head = [f"HTTP/1.1 {status} .", f"Content-Length: {len(body)}"]
        head += [f"{name}: {value}" for name, value in headers.items()]
        try:
            file.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
            file.flush()
        except OSError:
            pass

    def close(self) -> None:
        self._socket.close()


class Ended:
    """How a task's process ended and what it left."""

    def __init__(self, code: int, out: str, err: str, folder: Path) -> None:
        self.code = code
        self.out = out
        self.err = err
        self.folder = folder

    def entries(self) -> Dict[str, Tuple[Dict[str, Any], bytes]]:
        """The artifacts by name; the choice is under the name ''."""
        path = self.folder / ".mesh"
        found: Dict[str, Tuple[Dict[str, Any], bytes]] = {}
        with open(path, "rb") if path.exists() else open(os.devnull, "rb") as file:
            while True:
                line = file.readline()
                if not line:
                    return found
                told = json.loads(line)
                data = b""
                if "size" in told:
                    data = file.read(told["size"])
                    assert file.read(1) == b"\n", "no newline behind an artifact"
                elif told.get("file"):
                    data = (self.folder / told["name"]).read_bytes()
                found[told.get("name", "")] = told, data

    def value(self, name: str) -> Any:
        told, data = self.entries()[name]
        assert told["encoding"] == "json", told
        return json.loads(data)


class Server:
    """The node's side of a fork server."""

    def __init__(self, kit: "Kit", files: List[str], environ: Dict[str, str]) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(PATIENCE_S)
        environ = dict(environ, MESH_WARM=json.dumps(files), MESH_TOKEN="0" * 32)
        self.log = kit.work / "server.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [PYTHON, "-c", "from mesh._warm import main; main()"],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                cwd=kit.code,
                env=environ,
            )
        theirs.close()
        self.is_ready = self._socket.recv(64) == b"ready"

    def send(self, texts: List[str], fds: List[int]) -> int:
        message = len(texts).to_bytes(4, "little")
        message += b"".join(
            text.encode("utf-8", "surrogateescape") + b"\0" for text in texts
        )
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        self._socket.sendmsg([message], [rights])
        return int.from_bytes(self._socket.recv(4), "little", signed=True)

    def close(self) -> int:
        self._socket.close()
        return self.process.wait(PATIENCE_S)


class Kit(unittest.TestCase):
    """Each test has a folder with a code package, and a channel."""

    is_warm = False

    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="mesh-python-"))
        self.code = self.work / "code"
        self.code.mkdir()
        self.channel = FakeChannel(self.work / "channel")
        self.spec: Dict[str, Any] = {
            "flow": "Try",
            "user": "somebody",
            "tags": ["one", "two"],
            "joins": False,
            "foreach": None,
            "switch": None,
            "parameters": {},
        }
        self.environ: Dict[str, str] = {}
        self.servers: List[Server] = []
        self.n_tasks = 0

    def tearDown(self) -> None:
        for server in self.servers:
            server.close()
        self.channel.close()
        shutil.rmtree(self.work)

    def write(self, name: str, text: str) -> None:
        path = self.code / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def run_environ(self) -> Dict[str, str]:
        """What is the same for all tasks of the run."""
        kept = ("PATH", "HOME", "LANG", "LC_ALL", "COVERAGE_PROCESS_START")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        return {
            **environ,
            "PYTHONPATH": str(PACKAGE),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "MESH_RUN": "7",
            "MESH_RUN_ID": "01a1",
            "MESH_CODE": str(self.code),
            "MESH_CHANNEL": str(self.work / "channel"),
            **self.environ,
        }

    def task_environ(self, file: str, function: str, out: Path) -> Dict[str, str]:
        index = str(self.n_tasks)
        spec = {**self.spec, "file": file, "function": function}
        return {
            **self.run_environ(),
            "MESH_STEP": function,
            "MESH_TASK": index,
            "MESH_ATTEMPT": "2",
            "MESH_INDEX": index,
            "MESH_ITERATION": "0",
            "MESH_TOKEN": f"{self.n_tasks:032}",
            "MESH_OUT": str(out),
            "MESH_TEMPDIR": str(self.work),
            "MESH_PYTHON": json.dumps(spec),
            "MESH_IDEMPOTENCY_KEY": f"01a1/{function}/{index}",
            **self.environ,
        }

    def server(self, *files: str) -> Server:
        server = Server(self, list(files), self.run_environ())
        self.servers.append(server)
        return server

    def task(
        self, text: Optional[str], function: str = "step", file: str = "a.py"
    ) -> Ended:
        """Runs the function; text, when there is one, is first written to the file."""
        if text is not None:
            self.write(file, text)
        self.n_tasks += 1
        out = self.work / f"out{self.n_tasks}"
        out.mkdir()
        environ = self.task_environ(file, function, out)
        streams = [self.work / f"{name}{self.n_tasks}" for name in ("stdout", "stderr")]
        with open(os.devnull, "rb") as null, open(streams[0], "wb") as stdout, open(
            streams[1], "wb"
        ) as stderr:
            fds = [null.fileno(), stdout.fileno(), stderr.fileno()]
            code = (self._warm if self.is_warm else self._plain)(file, environ, fds)
        return Ended(code, streams[0].read_text(), streams[1].read_text(), out)

    def _plain(self, file: str, environ: Dict[str, str], fds: List[int]) -> int:
        done = subprocess.run(
            [PYTHON, "-c", "from mesh._step import main; main()"],
            stdin=fds[0],
            stdout=fds[1],
            stderr=fds[2],
            cwd=self.code,
            env=environ,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.returncode

    def _warm(self, file: str, environ: Dict[str, str], fds: List[int]) -> int:
        server = self.server(file)
        if not server.is_ready:
            server.process.wait(PATIENCE_S)
            return self._plain(file, environ, fds)
        pid = server.send(
            [str(self.code), *(f"{k}={v}" for k, v in environ.items())], fds
        )
        self.assertGreater(pid, 0, "the server made no child")
        return self.wait(pid)

    @staticmethod
    def wait(pid: int) -> int:
        """The exit code, or minus the signal; the child is ours, not the server's."""
        signal.alarm(PATIENCE_S)
        status = os.waitpid(pid, 0)[1]
        signal.alarm(0)
        return os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
