# SPDX-License-Identifier: Apache-2.0
"""What a task asks of its node: HTTP over the socket that $MESH_CHANNEL names.

Ours, and not http.client, because that takes longer to import than a small step to run.
One connection, kept, one request at a time; bodies have a length.
"""

from __future__ import annotations

import os
from io import BufferedReader, BytesIO, RawIOBase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import IO, Any, Optional

_HEAD_BYTES_MAX = 64 << 10
_WHOLE_BYTES_MAX = 1 << 20  # longer bodies are read as they are wanted
_KEPT_OPEN = b"-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


class ChannelError(OSError):
    """The node cannot be reached, or refuses."""


def quote(text: str) -> str:
    """For a part of a path or the value of a query."""
    data = text.encode("utf-8", "surrogateescape")
    return "".join(chr(b) if b in _KEPT_OPEN else f"%{b:02X}" for b in data)


class _Body(RawIOBase):
    """A body that is read from the connection piece by piece."""

    def __init__(self, connection: socket, begin: bytes, n_left: int) -> None:
        self._connection = connection
        self._begin = memoryview(begin)
        self.n_left = n_left

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        n = min(len(into), self.n_left)
        if n and self._begin:
            n = min(n, len(self._begin))
            into[:n] = self._begin[:n]
            self._begin = self._begin[n:]
        elif n:
            n = self._connection.recv_into(into, n)
            if n == 0:
                raise ChannelError("the node hung up in the middle of an answer")
        self.n_left -= n
        return n


class Answer:
    def __init__(self, status: int, headers: dict[str, str], body: IO[bytes]) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def reason(self) -> str:
        """What the node says is wrong."""
        from mesh import _json

        text = self.body.read().decode("utf-8", "replace")
        try:
            said = _json.load(text)
            return "; ".join(said[key] for key in ("error", "hint") if said.get(key))
        except (ValueError, TypeError, AttributeError):
            return text.strip() or f"status {self.status}"


class Channel:
    def __init__(self, path: str, token: str) -> None:
        self._path = path
        self._token = token
        self._connection: Optional[socket] = None
        self._rest: Optional[_Body] = None
        self._pid = 0

    def get(self, target: str) -> Answer:
        """The answer, also when it is a refusal. Its body is to be read before the next
        request, or not at all. ChannelError when there is none."""
        if self._connection and (os.getpid() != self._pid or not self._is_read()):
            self.close()
        is_kept = self._connection is not None
        try:
            return self._exchange(target)
        except (OSError, EOFError) as error:
            self.close()
            if not is_kept:
                raise self._unreachable(error) from None
        try:  # one that was idle for long may have been closed by the node
            return self._exchange(target)
        except (OSError, EOFError) as error:
            self.close()
            raise self._unreachable(error) from None

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = self._rest = None

    def _is_read(self) -> bool:
        return self._rest is None or self._rest.n_left == 0

    def _unreachable(self, error: BaseException) -> ChannelError:
        what = str(error) or type(error).__name__
        return ChannelError(f"the node does not answer at {self._path}: {what}")

    def _connect(self) -> socket:
        import _socket

        connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        try:
            connection.connect(self._path)
        except OSError:
            connection.close()
            raise
        self._pid = os.getpid()
        return connection

    def _exchange(self, target: str) -> Answer:
        if not self._connection:
            self._connection = self._connect()
        connection = self._connection
        connection.sendall(
            f"GET {target} HTTP/1.1\r\nHost: mesh\r\n"
            f"Authorization: Bearer {self._token}\r\n\r\n".encode()
        )
        status, headers, begin = self._read_head(connection)
        try:
            length = int(headers["content-length"])
        except (KeyError, ValueError):
            raise ChannelError("an answer without a length") from None
        self._rest = _Body(connection, begin, length)
        if length > _WHOLE_BYTES_MAX:
            return Answer(status, headers, BufferedReader(self._rest))
        whole = bytearray(length)
        view = memoryview(whole)
        while view:
            view = view[self._rest.readinto(view) :]
        return Answer(status, headers, BytesIO(whole))

    @staticmethod
    def _read_head(connection: socket) -> tuple[int, dict[str, str], bytes]:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = connection.recv(64 << 10)
            if not piece:
                raise EOFError("it hung up")
            data += piece
            if len(data) > _HEAD_BYTES_MAX and b"\r\n\r\n" not in data:
                raise ChannelError("an answer without an end")
        head, _, begin = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        try:
            return int(first.split(" ", 2)[1]), headers, begin
        except (IndexError, ValueError):
            raise ChannelError(f"this is no HTTP: {first[:80]!r}") from None
