# SPDX-License-Identifier: Apache-2.0
"""The way to the node: one connection, and clear words when it does not answer."""

import os
import shutil
import socket
import sys
import tempfile
import threading
import unittest
from pathlib import Path

import kit

sys.path.insert(0, str(kit.PACKAGE))

from mesh import _channel  # noqa: E402


class ChannelTest(unittest.TestCase):
    def setUp(self) -> None:
        self.work = Path(tempfile.mkdtemp(prefix="mesh-python-"))
        self.path = self.work / "channel"
        self.fake = kit.FakeChannel(self.path)
        self.channel = _channel.Channel(str(self.path), "secret")

    def tearDown(self) -> None:
        self.channel.close()
        self.fake.close()
        shutil.rmtree(self.work)

    def get(self, target: str) -> bytes:
        return self.channel.get(target).body.read()

    def test_keeps_its_connection(self) -> None:
        self.fake.answers["/a"] = (200, {"Mesh-Type": "int"}, b"1")
        for _ in range(5):
            answer = self.channel.get("/a")
            self.assertEqual(answer.headers["mesh-type"], "int")
        self.assertEqual(self.fake.n_connections, 1)
        self.assertEqual(set(self.fake.tokens), {"secret"})

    def test_a_refusal_is_an_answer(self) -> None:
        self.fake.answers["/no"] = (409, {}, b'{"error": "not now", "hint": "later"}')
        answer = self.channel.get("/no")
        self.assertEqual((answer.status, answer.reason()), (409, "not now; later"))
        self.fake.answers["/odd"] = (500, {}, b"boom")
        self.assertEqual(self.channel.get("/odd").reason(), "boom")
        self.assertEqual(self.channel.get("/none").status, 404)

    def test_long_bodies_are_streamed(self) -> None:
        body = os.urandom(5 << 20)
        self.fake.answers["/long"] = (200, {}, body)
        self.fake.answers["/a"] = (200, {}, b"1")
        self.assertEqual(self.get("/long"), body)
        self.assertEqual(self.get("/a"), b"1")
        self.assertEqual(self.fake.n_connections, 1)

    def test_a_body_that_nobody_read_is_left(self) -> None:
        trap = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2"
        self.fake.answers["/long"] = (200, {}, trap * 100_000)
        self.fake.answers["/a"] = (200, {}, b"1")
        self.channel.get("/long")
        self.assertEqual(self.get("/a"), b"1")
        self.assertEqual(self.fake.n_connections, 2)

    def test_a_node_that_hung_up_meanwhile(self) -> None:
        self.fake.hang_up_after = 1
        self.fake.answers["/a"] = (200, {}, b"1")
        for _ in range(3):
            self.assertEqual(self.get("/a"), b"1")
        self.assertEqual(self.fake.n_connections, 3)

    def test_a_fork_has_its_own_connection(self) -> None:
        self.fake.answers["/a"] = (200, {}, b"1")
        self.get("/a")
        pid = os.fork()
        if pid == 0:
            os._exit(0 if self.get("/a") == b"1" else 1)
        self.assertEqual(os.waitpid(pid, 0)[1], 0)
        self.get("/a")
        self.assertEqual(self.fake.n_connections, 2)

    def test_nobody_there(self) -> None:
        channel = _channel.Channel(str(self.work / "nothing"), "t")
        with self.assertRaisesRegex(
            _channel.ChannelError, "does not answer at .*nothing"
        ):
            channel.get("/a")

    def test_names_are_quoted(self) -> None:
        self.fake.answers["/ä b?/c%"] = (200, {}, b"1")
        self.assertEqual(self.get("/" + _channel.quote("ä b?/c%")), b"1")


class Nonsense(unittest.TestCase):
    def answer(self, data: bytes) -> str:
        """What is said about a node that says this and hangs up."""
        ours, theirs = socket.socketpair()
        channel = _channel.Channel("somewhere", "t")
        channel._connect = lambda: ours  # type: ignore[method-assign]

        def talk() -> None:
            theirs.recv(1000)
            theirs.sendall(data)
            theirs.close()

        thread = threading.Thread(target=talk)
        thread.start()
        try:
            channel.get("/a").body.read()
            raise AssertionError("it was taken for an answer")
        except _channel.ChannelError as error:
            return str(error)
        finally:
            thread.join()

    def test_is_told(self) -> None:
        for data, words in [
            (b"", "hung up"),
            (b"HTTP/1.1 200 OK\r\n", "hung up"),
            (b"SSH-2.0\r\n\r\n", "no HTTP"),
            (b"HTTP/1.1 200 OK\r\n\r\nbody", "without a length"),
            (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", "without a length"),
            (
                b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
                "middle of an answer",
            ),
            (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000, "without an end"),
        ]:
            with self.subTest(data=data[:40]):
                self.assertIn(words, self.answer(data))


if __name__ == "__main__":
    unittest.main()
