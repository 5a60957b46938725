# SPDX-License-Identifier: Apache-2.0
"""Carries plans out in asyncio, one command at a time."""

from __future__ import annotations

import asyncio
import time
from typing import Any, AsyncIterator, List, Optional, Sequence, Tuple, TypeVar

from . import _http, _where
from ._http import BadReply, Head, Reader, Reply, Request
from ._plan import (Ask, AskAll, Command, Emit, Lost, Open, Peer, Plan, Probe, Read, Receive, Send,
                    Sleep, advance)
from ._session import IDLE_SECONDS, PIPELINE, RECEIVE_BYTES, SILENCE_SECONDS, TRIES_MAX

T = TypeVar("T")


class Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                 place: _where.Place) -> None:
        self._input = reader
        self._output = writer
        self._reader = Reader()
        self._host = place.host
        self._token = place.token()
        self._receiving: Optional[asyncio.Task[bytes]] = None
        self.is_used = False
        self.idle_since = 0.0

    def close(self) -> None:
        if self._receiving:
            self._receiving.cancel()
        self._output.close()

    async def send(self, requests: Sequence[Request]) -> None:
        data = b"".join(_http.encode(r, self._host, self._token) for r in requests)
        try:
            self._output.write(data)
            await self._output.drain()
        except (BrokenPipeError, ConnectionResetError):
            pass  # a node that refuses may answer before it has read all
        except OSError as e:
            raise Lost(f"the node cannot be asked: {e}") from e

    async def head(self, request: Request) -> Head:
        while True:
            try:
                head = self._reader.head(request.method == "HEAD")
            except BadReply as e:
                raise Lost(f"the node closed the connection: {e}") from e
            if head:
                self.is_used = True
                return head
            if not await self._receive(SILENCE_SECONDS):
                raise Lost("the node does not answer")

    async def body(self, seconds: Optional[float]) -> Optional[bytes]:
        """The next bytes; b"" at the end, None when the time is over."""
        while True:
            try:
                piece = self._reader.body()
            except BadReply as e:
                raise Lost(f"the node closed the connection: {e}") from e
            if piece != b"":
                return piece or b""
            if not await self._receive(seconds):
                return None

    async def reply(self, request: Request) -> Reply:
        head = await self.head(request)
        pieces: List[bytes] = []
        while not pieces or pieces[-1]:
            piece = await self.body(SILENCE_SECONDS)
            if piece is None:
                raise Lost("the node does not answer")
            pieces.append(piece)
        return Reply(head.status, head.headers, b"".join(pieces))

    async def _receive(self, seconds: Optional[float]) -> bool:
        """What is being received when the time is over comes with the next call."""
        if not self._receiving:
            self._receiving = asyncio.ensure_future(self._input.read(RECEIVE_BYTES))
        done, _ = await asyncio.wait([self._receiving], timeout=seconds)
        if not done:
            return False
        received, self._receiving = self._receiving, None
        try:
            self._reader.feed(received.result())
        except OSError as e:
            raise Lost(f"the node closed the connection: {e}") from e
        return True


class AsyncSession:
    """The way to one node, in one event loop."""

    def __init__(self, place: _where.Place) -> None:
        self.place = place
        self._idle: List[Connection] = []
        self._closer: Optional[asyncio.Task[None]] = None
        self.peer: Optional[int] = None

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        s = await loop.run_in_executor(None, _where.connect_bare, self.place)
        s.setblocking(False)
        self.peer = _where.peer_of(s)
        if self.place.is_secure:
            reader, writer = await asyncio.open_connection(
                sock=s, limit=RECEIVE_BYTES, ssl=_where.tls_context(), server_hostname="mesh")
            seen = writer.get_extra_info("ssl_object").getpeercert(True)
            try:
                _where.check_certificate(self.place, seen)
            except BaseException:
                writer.close()
                raise
        elif self.place.address:
            reader, writer = await asyncio.open_connection(sock=s, limit=RECEIVE_BYTES)
        else:
            reader, writer = await asyncio.open_unix_connection(sock=s, limit=RECEIVE_BYTES)
        return Connection(reader, writer, self.place)

    async def take(self) -> Connection:
        return self._idle.pop() if self._idle else await self.connect()

    def keep(self, connection: Connection) -> None:
        connection.idle_since = time.monotonic()
        self._idle.append(connection)
        if not self._closer or self._closer.done():
            self._closer = asyncio.ensure_future(self._close_idle())

    async def _close_idle(self) -> None:
        """A task, because asyncio.run() ends those, and leaves connections open."""
        try:
            while self._idle:
                await asyncio.sleep(IDLE_SECONDS)
                old = time.monotonic() - IDLE_SECONDS
                while self._idle and self._idle[0].idle_since <= old:
                    self._idle.pop(0).close()
        finally:
            self.close()

    # ---- asking ----

    async def ask(self, request: Request) -> Reply:
        return (await self.ask_all([request]))[0]

    async def ask_all(self, requests: Sequence[Request]) -> List[Reply]:
        replies: List[Reply] = []
        connection = await self.take()
        tries = 0
        try:
            while len(replies) < len(requests):
                part = requests[len(replies) : len(replies) + PIPELINE]
                may_repeat = connection.is_used or part[0].method in ("GET", "HEAD")
                tries += 1
                got = await self._exchange(connection, part, may_repeat and tries < TRIES_MAX)
                tries = 0 if got else tries
                replies += got
                if len(got) < len(part):
                    connection.close()
                    connection = await self.connect()
        except BaseException:
            connection.close()
            raise
        self.keep(connection)
        return replies

    async def _exchange(self, connection: Connection, requests: Sequence[Request],
                        may_repeat: bool) -> List[Reply]:
        replies: List[Reply] = []
        await connection.send(requests)
        for request in requests:
            try:
                replies.append(await connection.reply(request))
            except Lost:
                if not replies and not may_repeat:
                    raise
                return replies
            if replies[-1].headers.get("connection", "").lower() == "close":
                break
        return replies

    # ---- plans ----

    async def run(self, plan: Plan[T]) -> T:
        worker = _Worker(self)
        try:
            command, result = advance(plan.send, None)
            while command is not None:
                command, result = await worker.answer(plan, command)
        finally:
            worker.close()
        return result  # type: ignore[no-any-return]

    async def each(self, plan: Plan[None]) -> AsyncIterator[Any]:
        worker = _Worker(self)
        try:
            command, _ = advance(plan.send, None)
            while command is not None:
                if isinstance(command, Emit):
                    yield command.item
                    command, _ = advance(plan.send, None)
                else:
                    command, _ = await worker.answer(plan, command)
        finally:
            worker.close()


class _Worker:
    """One plan under way, and its stream."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._stream: Optional[Connection] = None
        self._sent: List[asyncio.Task[Reply]] = []

    def close(self) -> None:
        if self._stream:
            self._stream.close()
        for task in self._sent:
            task.cancel()

    async def answer(self, plan: Plan[T], command: Command) -> Tuple[Optional[Command], Any]:
        try:
            result = await self._do(command)
        except Lost as e:
            return advance(plan.throw, e)
        return advance(plan.send, result)

    async def _do(self, command: Command) -> Any:
        if isinstance(command, Ask):
            return await self._session.ask(command.request)
        if isinstance(command, AskAll):
            return await self._session.ask_all(command.requests)
        if isinstance(command, Send):
            self._sent.append(asyncio.ensure_future(self._session.ask(command.request)))
            return True
        if isinstance(command, Receive):
            return await self._sent.pop()
        if isinstance(command, Open):
            return await self._open(command.request)
        if isinstance(command, Read):
            assert self._stream
            return await self._stream.body(command.seconds)
        if isinstance(command, Peer):
            return self._session.peer
        if isinstance(command, Probe):
            return _where.is_listening(self._session.place)
        assert isinstance(command, Sleep)
        return await asyncio.sleep(command.seconds)

    async def _open(self, request: Request) -> Head:
        tries = 0
        while True:
            if self._stream:
                self._stream.close()
            self._stream = await self._session.connect()
            tries += 1
            try:
                await self._stream.send([request])
                return await self._stream.head(request)
            except Lost:
                if tries == TRIES_MAX:
                    raise
