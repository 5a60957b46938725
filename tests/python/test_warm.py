# SPDX-License-Identifier: Apache-2.0
"""The fork server: what it refuses to serve, and what its children have."""

import array
import os
import signal
import socket
import time
import unittest
from pathlib import Path
from typing import List, Set

import kit
from kit import Ended, Kit, Server


class Warm(Kit):
    is_warm = True

    def serve(self, text: str, file: str = "a.py") -> Server:
        self.write(file, text)
        return self.server(file)

    def fork(self, server: Server, function: str = "step", file: str = "a.py") -> Ended:
        """One more task of a server that runs."""
        self.assertTrue(server.is_ready, server.log.read_text())
        self.n_tasks += 1
        out = self.work / f"out{self.n_tasks}"
        out.mkdir()
        environ = self.task_environ(file, function, out)
        with open(self.work / "said", "w+b") as said, open(os.devnull) as null:
            fds = [null.fileno(), said.fileno(), said.fileno()]
            texts = [str(self.code), *(f"{k}={v}" for k, v in environ.items())]
            pid = server.send(texts, fds)
            self.assertGreater(pid, 0)
            code = self.wait(pid)
            said.seek(0)
            return Ended(code, said.read().decode(), "", out)


class Refusals(Warm):
    def check(self, text: str, words: str) -> None:
        self.write("a.py", text)
        self.check_files(words, "a.py")

    def check_files(self, words: str, *files: str) -> None:
        server = self.server(*files)
        self.assertFalse(server.is_ready)
        self.assertEqual(server.process.wait(kit.PATIENCE_S), 75)
        log = server.log.read_text()
        self.assertRegex(
            log, rf"\Amesh: plain processes, because [^\n]*{words}[^\n]*\n\Z"
        )

    def test_threads(self) -> None:
        self.check(
            "import threading\n"
            "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
            "started threads",
        )

    def test_a_thread_that_ended(self) -> None:
        text = "import threading as t\nx = t.Thread()\nx.start()\nx.join()\n"
        self.assertTrue(self.serve(text).is_ready)

    def test_another_working_folder(self) -> None:
        self.check("import os\nos.chdir('/')\n", "working folder")

    def test_closed_descriptors(self) -> None:
        for fds in ("0, 1", "1, 2", "2, 3"):
            self.check(f"import os\nos.closerange({fds})\n", "closed descriptors")
            (self.work / "server.log").unlink()
        server = self.serve("import os\nos.closerange(3, 99)\n")
        self.assertEqual(server.process.wait(kit.PATIENCE_S), 75)

    def test_timers_and_processes(self) -> None:
        self.check("import signal\nsignal.alarm(1000)\n", "timer")
        (self.work / "server.log").unlink()
        self.check(
            "import subprocess\nx = subprocess.Popen('cat', stdin=-1)\n",
            "started processes",
        )

    def test_files_that_cannot_be_imported(self) -> None:
        for text, words in [
            ("import nothing_like_it\n", "ModuleNotFoundError"),
            ("def step(self:\n", "SyntaxError"),
            ("import sys\nprint('bye')\nsys.exit(0)\n", "SystemExit"),
            ("raise KeyboardInterrupt\n", "KeyboardInterrupt"),
        ]:
            with self.subTest(text=text):
                self.check(text, f"a.py cannot be imported: {words}")
                (self.work / "server.log").unlink()

    def test_much_output(self) -> None:
        self.check("print('x' * 100000)\n", "printed too much")

    def test_one_name_in_several_folders(self) -> None:
        self.write("one/a.py", "import helper\n")
        self.write("two/b.py", "import helper\n")
        self.write("one/helper.py", "word = 1\n")
        self.write("two/helper.py", "word = 2\n")
        self.check_files("several folders have a helper", "one/a.py", "two/b.py")

    def test_one_name_for_two_files(self) -> None:
        self.write("one/a.py", "")
        self.write("two/a.py", "")
        self.check_files("two/a.py cannot be imported", "one/a.py", "two/a.py")

    def test_it_is_gone(self) -> None:
        server = self.serve("import os\nos._exit(9)\n")
        self.assertFalse(server.is_ready)
        self.assertEqual(server.process.wait(kit.PATIENCE_S), 9)


class Children(Warm):
    def test_several_files(self) -> None:
        self.write(
            "one/a.py",
            "import sys\nimport near\nsys.path.append('/added')\n"
            "def step(self):\n"
            "    self.x = [near.word, sys.path[:2], '/added' in sys.path]\n",
        )
        self.write("one/near.py", "word = 'one'\n")
        self.write(
            "two/b.py",
            "import sys\ndef step(self):\n"
            "    self.x = [sys.path[:2], '/added' in sys.path, sys.argv]\n",
        )
        server = self.server("one/a.py", "two/b.py")
        one, two = str(self.code / "one"), str(self.code / "two")
        top = str(self.code)
        self.assertEqual(
            self.fork(server, file="one/a.py").value("x"), ["one", [one, top], True]
        )
        self.assertEqual(
            self.fork(server, file="two/b.py").value("x"),
            [[two, top], False, [f"{two}/b.py"]],
        )

    def test_nothing_is_passed_from_task_to_task(self) -> None:
        server = self.serve("""
import os
seen = []
def step(self):
    seen.append(1)
    os.environ["LEFT"] = os.environ.get("LEFT", "") + "x"
    self.x = [len(seen), os.environ["LEFT"], os.environ["MESH_TASK"]]
""")
        self.assertEqual(self.fork(server).value("x"), [1, "x", "1"])
        self.assertEqual(self.fork(server).value("x"), [1, "x", "2"])

    def test_no_other_task_s_token(self) -> None:
        server = self.serve("""
import os

def step(self):
    wanted = os.environ["REVERSED"][::-1].encode()
    found = 0
    with open("/proc/self/maps") as maps, open("/proc/self/mem", "rb") as memory:
        for line in maps:
            begin, end = (int(n, 16) for n in line.split()[0].split("-"))
            if line.split()[1].startswith("rw") and "[v" not in line:
                memory.seek(begin)
                found += memory.read(end - begin).count(wanted)
    self.n = found
""")

        def times_seen(token: str) -> int:
            self.environ = {"REVERSED": token[::-1]}
            n: int = self.fork(server).value("n")
            return n

        # A long request, so that the next does not lie over its end.
        self.environ = {"LONG": "x" * 50_000, "REVERSED": "nothing"}
        self.fork(server)
        seen = times_seen(f"{self.n_tasks:032}")
        self.assertEqual(seen, times_seen("7" * 31 + "8"), "as one that never was")

    def test_random_numbers(self) -> None:
        server = self.serve(
            "import random\nrandom.random()\n"
            "def step(self):\n    self.x = random.random()\n"
        )
        drawn = {self.fork(server).value("x") for _ in range(4)}
        self.assertEqual(len(drawn), 4)

    def test_seeded_random_numbers(self) -> None:
        text = (
            "import random as r\nr.seed(5)\ndef step(self):\n    self.x = r.random()\n"
        )
        server = self.serve(text)
        drawn = {self.fork(server).value("x") for _ in range(3)}
        self.is_warm = False
        drawn.add(self.task(text).value("x"))
        self.assertEqual(len(drawn), 1)

    def test_numpys_random_numbers(self) -> None:
        try:
            import numpy  # noqa: F401
        except ImportError:
            self.skipTest("no numpy")
        for seeding, n in [
            ("", 4),
            ("numpy.random.seed(5)", 1),
            ("numpy.random.rand()", 4),
        ]:
            server = self.serve(
                f"import numpy.random\n{seeding}\n"
                "def step(self):\n    self.x = numpy.random.rand()\n"
            )
            drawn = {self.fork(server).value("x") for _ in range(4)}
            self.assertEqual(len(drawn), n, seeding)

    def test_a_child_in_its_cgroup(self) -> None:
        group = self.make_cgroup()
        try:
            server = self.serve(
                "def step(self):\n    print(open('/proc/self/cgroup').read())\n"
            )
            self.n_tasks += 1
            environ = self.task_environ("a.py", "step", self.work)
            with open(self.work / "said", "w+b") as said, open(os.devnull) as null:
                folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
                fds = [null.fileno(), said.fileno(), said.fileno(), folder]
                texts = [str(self.code), *(f"{k}={v}" for k, v in environ.items())]
                self.assertEqual(self.wait(server.send(texts, fds)), 0)
                os.close(folder)
            self.assertIn(f"/{group.name}\n", (self.work / "said").read_text())
        finally:
            group.rmdir()

    def make_cgroup(self) -> Path:
        for line in Path("/proc/mounts").read_text().splitlines():
            _, mount, kind, *_ = line.split()
            group = Path(mount) / f"mesh-test-{os.getpid()}"
            if kind == "cgroup2":
                try:
                    group.mkdir()
                    return group
                except OSError:
                    continue
        self.skipTest("no cgroup v2 that can be written")
        raise AssertionError

    def test_they_die_with_the_node(self) -> None:
        """A node of its own, that is killed."""
        began = self.work / "began"
        self.write(
            "a.py",
            "import time\ndef step(self):\n"
            f"    open('{began}', 'w').close()\n    time.sleep(1000)\n",
        )
        ready, told = os.pipe()
        node = os.fork()
        if node == 0:
            self.servers.clear()
            server = self.server("a.py")
            environ = self.task_environ("a.py", "step", self.work)
            texts = [str(self.code), *(f"{k}={v}" for k, v in environ.items())]
            pid = server.send(texts, [0, 1, 2])
            os.write(told, f"{pid} {server.process.pid}".encode())
            signal.pause()
        pids = [int(pid) for pid in os.read(ready, 100).split()]
        os.close(ready)
        os.close(told)
        deadline = time.monotonic() + kit.PATIENCE_S
        while not began.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(node, signal.SIGKILL)
        os.waitpid(node, 0)
        while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline:
            time.sleep(0.01)
        survivors = [pid for pid in pids if is_alive(pid)]
        for pid in survivors:
            os.kill(pid, signal.SIGKILL)
        self.assertEqual(survivors, [])


def is_alive(pid: int) -> bool:
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


class Serving(Warm):
    text = "def step(self):\n    self.x = 1\n"

    def test_it_ends_with_its_socket(self) -> None:
        server = self.serve(
            "import atexit\natexit.register(print, 'never', flush=True)\n" + self.text
        )
        self.assertEqual(server.close(), 0)
        self.assertEqual(server.log.read_text(), "")

    def test_malformed_requests(self) -> None:
        server = self.serve(self.text)
        with open(os.devnull) as null:
            fds = [null.fileno()] * 3
            self.assertEqual(server.send([str(self.code)], []), -22)
            self.assertEqual(server.send([str(self.code)], fds[:2]), -22)
            bad: List[List[str]] = [[], [""]]
            for texts in bad:
                self.assertNotEqual(self.wait(server.send(texts, fds)), 0)
        self.assertEqual(self.fork(server).value("x"), 1)

    def test_nothing_leaks(self) -> None:
        server = self.serve(self.text)

        def held() -> List[str]:
            return sorted(os.listdir(f"/proc/{server.process.pid}/fd"))

        def memory_kb() -> int:
            status = Path(f"/proc/{server.process.pid}/status").read_text()
            return int(status.partition("RssAnon:")[2].split()[0])

        for _ in range(20):
            self.fork(server)
        fds, memory = held(), memory_kb()
        for _ in range(200):
            self.fork(server)
        self.assertEqual(held(), fds)
        self.assertLess(memory_kb() - memory, 200)

    def test_a_server_that_dies_leaves_no_child_untold(self) -> None:
        server = self.serve(self.text)
        environ = self.task_environ("a.py", "step", self.work)
        texts = [str(self.code), *(f"{k}={v}" for k, v in environ.items())]
        # Its answers are not taken: the socket fills, and it is killed in the middle.
        server._socket.setblocking(False)
        deadline = time.monotonic() + 1
        with open(os.devnull) as null:
            fds = [null.fileno()] * 3
            while time.monotonic() < deadline:
                self.send_only(server, texts, fds)
        server.process.kill()
        server.process.wait()
        server._socket.settimeout(kit.PATIENCE_S)
        told = set()
        while True:
            try:
                answer = server._socket.recv(4)
            except ConnectionResetError:  # once; what was sent before comes after it
                continue
            if not answer:
                break
            told.add(int.from_bytes(answer, "little"))
        self.assertEqual(self.reap_all() - told, set())
        self.assertGreater(len(told), 10)

    @staticmethod
    def reap_all() -> Set[int]:
        reaped = set()
        while True:
            try:
                reaped.add(os.waitpid(-1, 0)[0])
            except ChildProcessError:
                return reaped

    @staticmethod
    def send_only(server: Server, texts: List[str], fds: List[int]) -> bool:
        message = len(texts).to_bytes(4, "little")
        message += b"".join(text.encode() + b"\0" for text in texts)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))
        try:
            server._socket.sendmsg([message], [rights])
            return True
        except BlockingIOError:
            time.sleep(0.001)
            return False


if __name__ == "__main__":
    unittest.main()
