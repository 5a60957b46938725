# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as far as a node speaks it, without input and output of its own.

Requests become bytes; bytes become replies. Whoever drives it moves the bytes, so the
blocking client and the one for asyncio share all of it.
"""

from __future__ import annotations

import json
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple
from urllib.parse import quote

HEAD_BYTES_MAX = 64 << 10


class BadReply(Exception):
    """The bytes are no HTTP reply, or the connection ended within one."""


class Request(NamedTuple):
    method: str
    target: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


def get(*parts: object, **query: object) -> Request:
    """A GET of /v1/PART/PART…?NAME=VALUE…; a value of None is left out."""
    return Request("GET", target(parts, query))


def post(value: Optional[Mapping[str, Any]], *parts: object) -> Request:
    return send("POST", value, *parts)


def send(method: str, value: Optional[Mapping[str, Any]], *parts: object) -> Request:
    body = b"" if value is None else json.dumps(value).encode()
    headers = {"Content-Type": "application/json"} if body else {}
    return Request(method, target(parts, {}), headers, body)


def target(parts: Any, query: Mapping[str, object]) -> str:
    path = "/v1/" + "/".join(quote(str(part), safe="") for part in parts)
    pairs = [
        f"{name}={quote(_text(value), safe='')}"
        for name, value in query.items()
        if value is not None
    ]
    return f"{path}?{'&'.join(pairs)}" if pairs else path


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def encode(request: Request, host: str = "mesh", token: Optional[str] = None) -> bytes:
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if request.body or request.method != "GET":
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode("ascii") + request.body


class Head(NamedTuple):
    status: int
    headers: Dict[str, str]  # names in lower case

    @property
    def closes(self) -> bool:
        return self.headers.get("connection", "").lower() == "close"


class Reply(NamedTuple):
    status: int
    headers: Dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Reader:
    """Takes bytes by feed() and gives replies, one after the other.

    `head()` is None until it is whole; then `body()` gives what there is of the body:
    b"" when more has to be fed, None at its end. After the end comes the next head.
    """

    def __init__(self) -> None:
        self._data = bytearray()
        self._at = 0
        self._left = 0  # of the body or chunk; -1: until the connection ends
        self._state = "head"
        self._is_over = False

    def feed(self, data: bytes) -> None:
        """What came; b"" is the end of the connection."""
        if data:
            if self._at > 1 << 16:
                del self._data[: self._at]
                self._at = 0
            self._data += data
        else:
            self._is_over = True

    @property
    def is_between(self) -> bool:
        """Nothing of a next reply is here."""
        return self._state == "head" and self._at == len(self._data)

    def head(self, is_head_request: bool = False) -> Optional[Head]:
        end = self._data.find(b"\r\n\r\n", self._at)
        if end < 0:
            if self._is_over or len(self._data) - self._at > HEAD_BYTES_MAX:
                raise BadReply("the connection ended" if self._is_over else "a long head")
            return None
        lines = self._data[self._at : end].decode("latin-1").split("\r\n")
        self._at = end + 4
        head = Head(_status(lines[0]), dict(map(_header, lines[1:])))
        self._begin_body(head, is_head_request)
        return head

    def _begin_body(self, head: Head, is_head_request: bool) -> None:
        length = head.headers.get("content-length", "")
        self._state = "body"
        if is_head_request or head.status in (204, 304):
            self._left = 0
        elif head.headers.get("transfer-encoding", "").lower() == "chunked":
            self._state = "size"
        elif length:
            if not length.isdigit():
                raise BadReply(f"Content-Length is {length!r}")
            self._left = int(length)
        else:
            self._left = -1

    def body(self) -> Optional[bytes]:
        if self._state == "body":
            return self._plain()
        return self._chunked()

    def _plain(self) -> Optional[bytes]:
        if self._left == 0 or (self._left < 0 and self._is_over and not self._waiting()):
            self._state = "head"
            return None
        piece = self._take(self._left if self._left > 0 else self._waiting())
        if self._left > 0:
            self._left -= len(piece)
        return piece

    def _chunked(self) -> Optional[bytes]:
        pieces: List[bytes] = []
        if self._state == "end":
            self._state = "head"
            return None
        while True:
            if self._state == "chunk":
                pieces.append(self._take(self._left))
                self._left -= len(pieces[-1])
                if self._left:
                    break
                self._state = "gap"
            line = self._line()
            if line is None:
                break
            if self._state == "size":
                self._left = _chunk_size(line)
                self._state = "chunk" if self._left else "trailer"
            elif self._state == "gap":
                self._state = "size"
            elif not line:
                self._state = "end"
                break
        if self._state == "end" and not any(pieces):
            self._state = "head"
            return None
        return b"".join(pieces)

    def _waiting(self) -> int:
        return len(self._data) - self._at

    def _take(self, n: int) -> bytes:
        piece = bytes(self._data[self._at : self._at + n])
        self._at += len(piece)
        if not piece and self._is_over:
            raise BadReply("the connection ended within a reply")
        return piece

    def _line(self) -> Optional[bytes]:
        end = self._data.find(b"\r\n", self._at)
        if end < 0:
            if self._is_over:
                raise BadReply("the connection ended within a reply")
            return None
        line = bytes(self._data[self._at : end])
        self._at = end + 2
        return line


def _status(line: str) -> int:
    words = line.split(" ", 2)
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
        raise BadReply(f"this is no HTTP: {line[:80]!r}")
    return int(words[1])


def _header(line: str) -> Tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


def _chunk_size(line: bytes) -> int:
    try:
        return int(line.split(b";", 1)[0], 16)
    except ValueError:
        raise BadReply(f"no size of a chunk: {line[:20]!r}") from None
