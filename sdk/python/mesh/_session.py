# SPDX-License-Identifier: Apache-2.0
"""Carries plans out, one command at a time, and blocks while it does.

Connections are kept for a moment and used again. Not for longer: a node that only shows
a store ends when nobody is connected, and until then no other can have the store.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from typing import Any, Callable, Iterator, List, Optional, Sequence, Tuple, TypeVar

from . import _http, _where
from ._http import BadReply, Head, Reader, Reply, Request
from ._plan import (Ask, AskAll, Command, Emit, Lost, Open, Peer, Plan, Probe, Read, Receive, Send,
                    Sleep, advance)

T = TypeVar("T")

IDLE_SECONDS = 0.3
RECEIVE_BYTES = 256 << 10
PIPELINE = 64   # requests under way on a connection: no more than its buffers take
SILENCE_SECONDS = 120.0
TRIES_MAX = 4


class Connection:
    def __init__(self, s: socket.socket, place: _where.Place) -> None:
        self._socket = s
        self._reader = Reader()
        self._host = place.host
        self._token = place.token()
        self.is_used = False  # an answer came over it: it may be closed by now
        self.idle_since = 0.0

    def close(self) -> None:
        self._socket.close()

    def send(self, requests: Sequence[Request]) -> None:
        data = b"".join(_http.encode(r, self._host, self._token) for r in requests)
        try:
            self._socket.settimeout(SILENCE_SECONDS)
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # a node that refuses may answer before it has read all
        except OSError as e:
            raise Lost(f"the node cannot be asked: {e}") from e

    def head(self, request: Request) -> Head:
        while True:
            head: Optional[Head] = self._parse(
                lambda: self._reader.head(request.method == "HEAD"))
            if head:
                self.is_used = True
                return head
            if not self._receive(SILENCE_SECONDS):
                raise Lost("the node does not answer")

    def body(self, seconds: Optional[float]) -> Optional[bytes]:
        """The next bytes; b"" at the end, None when the time is over."""
        while True:
            piece: Optional[bytes] = self._parse(self._reader.body)
            if piece != b"":
                return piece or b""
            if not self._receive(seconds):
                return None

    def reply(self, request: Request) -> Reply:
        head = self.head(request)
        pieces: List[bytes] = []
        while not pieces or pieces[-1]:
            piece = self.body(SILENCE_SECONDS)
            if piece is None:
                raise Lost("the node does not answer")
            pieces.append(piece)
        return Reply(head.status, head.headers, b"".join(pieces))

    def _parse(self, parse: Callable[[], Any]) -> Any:
        try:
            return parse()
        except BadReply as e:
            raise Lost(f"the node closed the connection: {e}") from e

    def _receive(self, seconds: Optional[float]) -> bool:
        self._socket.settimeout(seconds)
        try:
            self._reader.feed(self._socket.recv(RECEIVE_BYTES))
        except socket.timeout:
            return False
        except OSError as e:
            raise Lost(f"the node closed the connection: {e}") from e
        return True


class Session:
    """The way to one node. Any thread; after a fork the child makes its own."""

    def __init__(self, place: _where.Place) -> None:
        self.place = place
        self._lock = threading.Lock()
        self._idle: List[Connection] = []
        self._pid = os.getpid()
        self._has_closer = False
        self.peer: Optional[int] = None

    # ---- connections ----

    def _take(self) -> Connection:
        with self._lock:
            if self._pid != os.getpid():
                self._idle, self._pid, self._has_closer = [], os.getpid(), False
            if self._idle:
                return self._idle.pop()
        return self._connect()

    def _connect(self) -> Connection:
        s = _where.connect(self.place)
        self.peer = _where.peer_of(s)
        return Connection(s, self.place)

    def _keep(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        with self._lock:
            self._idle.append(connection)
            if self._has_closer:
                return
            self._has_closer = True
        threading.Thread(target=self._close_idle, name="mesh-idle", daemon=True).start()

    def close(self) -> None:
        """Give up what is kept: somebody else may want the store."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _close_idle(self) -> None:
        while True:
            time.sleep(IDLE_SECONDS)
            now = time.monotonic()
            with self._lock:
                old = [c for c in self._idle if now - c.idle_since >= IDLE_SECONDS]
                self._idle = [c for c in self._idle if c not in old]
                for connection in old:
                    connection.close()
                if not self._idle:
                    self._has_closer = False
                    return

    # ---- asking ----

    def ask(self, request: Request) -> Reply:
        return self.ask_all([request])[0]

    def ask_all(self, requests: Sequence[Request]) -> List[Reply]:
        """Asks the rest once more when a connection is closed: it was kept too long, or
        its node was just ending and another one can be asked."""
        replies: List[Reply] = []
        connection = self._take()
        tries = 0
        try:
            while len(replies) < len(requests):
                part = requests[len(replies) : len(replies) + PIPELINE]
                may_repeat = connection.is_used or part[0].method in ("GET", "HEAD")
                tries += 1
                got = self._exchange(connection, part, may_repeat and tries < TRIES_MAX)
                tries = 0 if got else tries
                replies += got
                if len(got) < len(part):
                    connection.close()
                    connection = self._connect()
        except BaseException:
            connection.close()
            raise
        self._keep(connection)
        return replies

    def _exchange(self, connection: Connection, requests: Sequence[Request],
                  may_repeat: bool) -> List[Reply]:
        """The replies that came, fewer than were asked when the connection was closed."""
        replies: List[Reply] = []
        connection.send(requests)
        for request in requests:
            try:
                replies.append(connection.reply(request))
            except Lost:
                if not replies and not may_repeat:
                    raise
                return replies
            if replies[-1].headers.get("connection", "").lower() == "close":
                break
        return replies

    # ---- plans ----

    def run(self, plan: Plan[T]) -> T:
        worker = _Worker(self)
        try:
            command, result = advance(plan.send, None)
            while command is not None:
                command, result = worker.answer(plan, command)
        finally:
            worker.close()
        return result  # type: ignore[no-any-return]

    def each(self, plan: Plan[None]) -> Iterator[Any]:
        worker = _Worker(self)
        try:
            command, _ = advance(plan.send, None)
            while command is not None:
                if isinstance(command, Emit):
                    yield command.item
                    command, _ = advance(plan.send, None)
                else:
                    command, _ = worker.answer(plan, command)
        finally:
            worker.close()


class _Worker:
    """One plan under way, and its stream."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stream: Optional[Connection] = None
        self._sent: Optional[Tuple[Connection, Request]] = None

    def close(self) -> None:
        for connection in (self._stream, self._sent and self._sent[0]):
            if connection:
                connection.close()
        self._stream = self._sent = None

    def answer(self, plan: Plan[T], command: Command) -> Tuple[Optional[Command], Any]:
        try:
            result = self._do(command)
        except Lost as e:
            return advance(plan.throw, e)
        return advance(plan.send, result)

    def _do(self, command: Command) -> Any:
        if isinstance(command, Ask):
            return self._session.ask(command.request)
        if isinstance(command, AskAll):
            return self._session.ask_all(command.requests)
        if isinstance(command, Send):
            return self._send(command.request)
        if isinstance(command, Receive):
            return self._receive()
        if isinstance(command, Open):
            return self._open(command.request)
        if isinstance(command, Read):
            return self._read(command.seconds)
        if isinstance(command, Peer):
            return self._session.peer
        if isinstance(command, Probe):
            return _where.is_listening(self._session.place)
        assert isinstance(command, Sleep)
        return time.sleep(command.seconds)

    def _send(self, request: Request) -> bool:
        connection = self._session._take()
        connection.send([request])
        self._sent = connection, request
        return True

    def _receive(self) -> Reply:
        assert self._sent
        (connection, request), self._sent = self._sent, None
        try:
            reply = connection.reply(request)
        except Lost:  # it was closed before it was used again
            connection.close()
            return self._session.ask(request)
        self._session._keep(connection)
        return reply

    def _open(self, request: Request) -> Head:
        tries = 0
        while True:
            if self._stream:
                self._stream.close()
            self._stream = self._session._connect()
            tries += 1
            try:
                self._stream.send([request])
                return self._stream.head(request)
            except Lost:
                if tries == TRIES_MAX:
                    raise

    def _read(self, seconds: Optional[float]) -> Optional[bytes]:
        assert self._stream
        return self._stream.body(seconds)
