# SPDX-License-Identifier: Apache-2.0
"""A node that does what a test says: answers, stalls, hangs up in the middle."""

import json
import os
import socket
import tempfile
import threading
from typing import BinaryIO, Callable, Dict, List, Optional, Union

Answer = Union[bytes, None]  # None: hang up


def reply(body: bytes, status: int = 200, **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def as_json(value: object, status: int = 200) -> bytes:
    return reply(json.dumps(value, separators=(",", ":")).encode(), status)


def chunked(*pieces: bytes, is_whole: bool = True) -> bytes:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + chunks + (b"0\r\n\r\n" if is_whole else b"")


class FakeNode:
    """Calls `answer(target)` for each request, in the order in which they come; bytes that
    are no whole reply are followed by a hang-up."""

    def __init__(self, answer: Callable[[str], Answer]) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, "sock")
        self.asked: List[str] = []
        self.n_connections = 0
        self._answer = answer
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._open: List[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()
        self._folder.cleanup()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.n_connections += 1
            self._open.append(connection)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while True:
                line = lines.readline()
                if not line:
                    return
                self._skip_head(lines)
                target = line.split()[1].decode()
                self.asked.append(target)
                answer = self._answer(target)
                if answer is not None:
                    connection.sendall(answer)
                if answer is None or not _is_whole(answer):
                    connection.shutdown(socket.SHUT_RDWR)
                    return

    @staticmethod
    def _skip_head(lines: BinaryIO) -> None:
        length = 0
        while True:
            line = lines.readline().rstrip()
            if not line:
                break
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        lines.read(length)


def _is_whole(answer: bytes) -> bool:
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"Connection: close" in head:
        return False
    if b"chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    length = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
    return bool(length) and len(body) == int(length[0].split(b":")[1])


class Table:
    """Answers by path, each from a list that is gone through once; the last one stays."""

    def __init__(self, answers: Dict[str, Union[Answer, List[Answer]]]) -> None:
        self._answers = {path: list(a) if isinstance(a, list) else [a]
                         for path, a in answers.items()}

    def __call__(self, target: str) -> Optional[bytes]:
        path = target.partition("?")[0]
        answers = self._answers.get(target) or self._answers.get(path)
        if not answers:
            return as_json({"error": f"there is no {target}"}, 404)
        return answers.pop(0) if len(answers) > 1 else answers[0]
