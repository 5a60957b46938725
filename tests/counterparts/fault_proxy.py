#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What networks and services do to a client, between it and a real server.

    fault_proxy.py --port 9001 --to http://127.0.0.1:9000 --rules faults.json

A request is forwarded as it is but for Expect, so signatures hold. The first rule that
matches says what happens to it. The file of rules:

    {"seed": 7, "rules": [{"fault": "cut", "chance": 0.02, "method": "GET",
                           "path": "^/bucket/", "times": 3}]}

method, path (a regular expression) and times (at most so often) may be left out. What is
drawn depends on the seed, the method, the path and how often both were asked for, not on
the order in which connections are served. Faults, before the server hears of a request:

    drop         the connection closes        500 503 429  such an answer
    stall        nothing, until the client closes

and after it obeyed:

    lose         the connection closes        cut          half of the answer's body
    late         nothing, until the client closes
    flip         one bit of the answer's body is another; flip_up: of the request's

GET /.fault/counts tells how often each happened; PUT /.fault/rules gives new rules.
"""

import argparse
import asyncio
import collections
import contextlib
import dataclasses
import hashlib
import json
import re
import urllib.parse
from typing import Any

BODY_MAX = 64 << 20
HEAD_MAX = 64 << 10
CODES = {
    "500": ("Internal Server Error", "InternalError"),
    "503": ("Service Unavailable", "SlowDown"),
    "429": ("Too Many Requests", "TooManyRequests"),
}
FAULTS = {"drop", "stall", "lose", "cut", "late", "flip", "flip_up", *CODES}


class Broken(Exception):
    """The connection is of no more use."""


@dataclasses.dataclass
class Message:
    """A request or an answer, whole."""

    start: str
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        return next((v for n, v in self.headers if n.lower() == name), None)

    def head(self) -> bytes:
        lines = [self.start, *(f"{name}:{value}" for name, value in self.headers)]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclasses.dataclass
class Rule:
    fault: str
    chance: float = 1.0
    method: str = ""
    path: str = ""
    times: int = -1

    def __post_init__(self) -> None:
        if self.fault not in FAULTS:
            raise ValueError(f"no such fault: {self.fault}")

    def matches(self, method: str, path: str) -> bool:
        return (
            self.times != 0
            and self.method in ("", method)
            and re.search(self.path, path) is not None
        )


class Rules:
    def __init__(self, text: str) -> None:
        read: dict[str, Any] = json.loads(text)
        self.seed = int(read.get("seed", 0))
        self.rules = [Rule(**rule) for rule in read["rules"]]
        self.asked: collections.Counter[str] = collections.Counter()
        self.counts: collections.Counter[str] = collections.Counter()

    def draw(self, what: str) -> float:
        digest = hashlib.sha256(f"{self.seed} {what}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    def choose(self, method: str, path: str) -> str:
        """The fault of this request, or nothing."""
        what = f"{method} {path}"
        self.asked[what] += 1
        for i, rule in enumerate(self.rules):
            drawn = self.draw(f"{i} {self.asked[what]} {what}")
            if rule.matches(method, path) and drawn < rule.chance:
                rule.times -= 1
                self.counts[rule.fault] += 1
                return rule.fault
        self.counts["none"] += 1
        return ""


async def read_head(reader: asyncio.StreamReader) -> Message:
    try:
        text = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError) as e:
        raise Broken from e
    start, *lines = text[:-4].split("\r\n")
    headers = [(n, v) for n, _, v in (line.partition(":") for line in lines)]
    return Message(start, headers)


async def read_exactly(reader: asyncio.StreamReader, n: int) -> bytes:
    if n > BODY_MAX:
        raise Broken
    try:
        return await reader.readexactly(n)
    except (asyncio.IncompleteReadError, OSError) as e:
        raise Broken from e


async def read_chunks(reader: asyncio.StreamReader) -> bytes:
    """A chunked body, as it was on the wire."""
    body = b""
    while len(body) < BODY_MAX:
        line = await reader.readline()
        size = int(line.split(b";")[0] or b"0", 16)
        body += line + await read_exactly(reader, size + 2)
        if size == 0:
            return body
    raise Broken


async def read_body(reader: asyncio.StreamReader, message: Message) -> bytes:
    if "chunked" in (message.header("transfer-encoding") or "").lower():
        return await read_chunks(reader)
    return await read_exactly(reader, int(message.header("content-length") or 0))


def flipped(body: bytes) -> bytes:
    at = len(body) // 2
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :] if body else body


class Connection:
    """Of one client, with one of its own to the server."""

    def __init__(
        self,
        proxy: "Proxy",
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.proxy = proxy
        self.reader, self.writer = reader, writer
        self.server: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def close(self) -> None:
        writers = [self.writer] + ([self.server[1]] if self.server else [])
        for writer in writers:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        try:
            await self.writer.drain()
        except OSError as e:
            raise Broken from e

    async def wait_for_close(self) -> None:
        with contextlib.suppress(OSError):
            while await self.reader.read(65536):
                pass
        raise Broken

    async def say(self, code: str, reason: str, body: bytes, headers: str = "") -> None:
        head = f"HTTP/1.1 {code} {reason}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        await self.send(head.encode(), body)

    async def request(self) -> Message:
        request = await read_head(self.reader)
        if (request.header("expect") or "").strip().lower() == "100-continue":
            request.headers = [h for h in request.headers if h[0].lower() != "expect"]
            await self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.body = await read_body(self.reader, request)
        return request

    async def forward(self, request: Message, is_head: bool) -> Message:
        if not self.server or self.server[0].at_eof():
            self.server = await asyncio.open_connection(
                self.proxy.host, self.proxy.port, limit=HEAD_MAX
            )
        reader, writer = self.server
        writer.write(request.head() + request.body)
        await writer.drain()
        answer = await read_head(reader)
        if not is_head and answer.start.split(" ")[1] not in ("204", "304"):
            answer.body = await read_body(reader, answer)
        return answer

    async def refuse(self, fault: str) -> None:
        reason, code = CODES[fault]
        body = f"<Error><Code>{code}</Code><RequestId>fault</RequestId></Error>"
        await self.say(fault, reason, body.encode(), "Retry-After: 0\r\n")

    async def control(self, method: str, path: str, body: bytes) -> None:
        if (method, path) == ("GET", "/.fault/counts"):
            counts = json.dumps(self.proxy.rules.counts, sort_keys=True)
            await self.say("200", "OK", counts.encode())
        elif (method, path) == ("PUT", "/.fault/rules"):
            try:
                self.proxy.rules = Rules(body.decode())
                await self.say("200", "OK", b"")
            except (ValueError, KeyError, TypeError) as e:
                await self.say("400", "Bad Request", str(e).encode())
        else:
            await self.say("404", "Not Found", b"")

    async def serve_one(self) -> None:
        request = await self.request()
        method, path, _ = request.start.split(" ")
        if path.startswith("/.fault/"):
            await self.control(method, path, request.body)
            return
        fault = self.proxy.rules.choose(method, path)
        if fault in CODES:
            await self.refuse(fault)
            return
        if fault == "drop":
            raise Broken
        if fault == "stall":
            await self.wait_for_close()
        if fault == "flip_up":
            request.body = flipped(request.body)
        answer = await self.forward(request, method == "HEAD")
        if fault == "lose":
            raise Broken
        if fault == "late":
            await self.wait_for_close()
        if fault == "flip":
            answer.body = flipped(answer.body)
        if fault == "cut":
            await self.send(answer.head(), answer.body[: len(answer.body) // 2])
            raise Broken
        await self.send(answer.head(), answer.body)

    async def serve(self) -> None:
        try:
            while True:
                await self.serve_one()
        except (Broken, OSError, ValueError):
            pass
        finally:
            await self.close()


class Proxy:
    def __init__(self, to: str, rules: Rules) -> None:
        where = urllib.parse.urlsplit(to)
        self.host, self.port = where.hostname or "127.0.0.1", where.port or 80
        self.rules = rules

    async def on_client(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await Connection(self, reader, writer).serve()


async def run(options: argparse.Namespace) -> None:
    text = '{"rules": []}'
    if options.rules:
        with open(options.rules, encoding="utf-8") as file:
            text = file.read()
    proxy = Proxy(options.to, Rules(text))
    server = await asyncio.start_server(
        proxy.on_client, "127.0.0.1", options.port, limit=HEAD_MAX
    )
    async with server:
        await server.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--to", required=True, help="http://HOST:PORT of the server")
    parser.add_argument("--rules", help="a file; none: everything goes through")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
