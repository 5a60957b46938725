# SPDX-License-Identifier: Apache-2.0
"""Abuses a node's socket and says for each kind of abuse whether the node took it well.

Every check opens connections of its own and afterwards asks the node for its status: an
answer within a few seconds is part of what must hold.
"""

import argparse
import hashlib
import json
import resource
import socket
import sys
import time
import traceback
from typing import Callable, List, Optional, Tuple

Answer = Tuple[int, bytes]


class Node:
    def __init__(self, path: str) -> None:
        self.path = path

    def connect(self, timeout: float = 30) -> socket.socket:
        end = time.monotonic() + timeout
        while True:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            client.settimeout(timeout)
            try:
                client.connect(self.path)
                return client
            except BlockingIOError:  # the backlog is full: that is a queue, not a refusal
                client.close()
                if time.monotonic() > end:
                    raise

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: str = "",
        timeout: float = 30,
    ) -> Answer:
        client = self.connect(timeout)
        head = f"{method} {path} HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n"
        head += f"Content-Length: {len(body)}\r\n{headers}\r\n"
        try:
            client.sendall(head.encode() + body)
        except (BrokenPipeError, ConnectionResetError):
            pass  # it may answer before it has read all
        answer = read_all(client)
        client.close()
        return parse(answer)

    def is_well(self) -> None:
        status, body = self.ask("GET", "/v1/node", timeout=10)
        assert status == 200, f"status {status}"
        assert json.loads(body)["pid"] > 0


def read_all(client: socket.socket) -> bytes:
    pieces = []
    try:
        while True:
            piece = client.recv(65536)
            if not piece:
                break
            pieces.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(pieces)


def parse(answer: bytes) -> Answer:
    """The status and body; 0 when the node closed without a word."""
    if not answer:
        return 0, b""
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body


def expect(answer: Answer, *wanted: int) -> None:
    status, body = answer
    assert status in wanted, f"status {status}, wanted {wanted}: {body[:200]!r}"
    # What is not even HTTP, or has no end, is refused below the interface.
    if status >= 400 and status not in (413, 414, 431) and body:
        assert "error" in json.loads(body), body[:200]


def many(node: Node) -> None:
    """A thousand clients at once, each of whom is answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1200:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    clients: List[socket.socket] = [node.connect() for _ in range(1000)]
    request = b"GET /v1/node HTTP/1.1\r\nHost: mesh\r\nConnection: close\r\n\r\n"
    for client in clients:
        client.sendall(request)
    statuses = [parse(read_all(client))[0] for client in clients]
    for client in clients:
        client.close()
    assert statuses.count(200) == 1000, f"{statuses.count(200)} of 1000 answered"


def slow(node: Node) -> None:
    """Clients that send a byte now and then, or nothing, do not keep others waiting."""
    clients = [node.connect() for _ in range(200)]
    for number, client in enumerate(clients):
        client.sendall(b"GET /v1/no"[: number % 11])
    for _ in range(5):
        began = time.monotonic()
        node.is_well()
        assert time.monotonic() - began < 5
    for client in clients:
        client.close()
    # One that asks for much and reads nothing.
    deaf = [node.connect() for _ in range(20)]
    for client in deaf:
        client.sendall(b"GET /v1/events HTTP/1.1\r\nHost: mesh\r\n\r\n")
        client.sendall(b"GET /v1/runs HTTP/1.1\r\nHost: mesh\r\n\r\n" * 100)
    node.is_well()
    for client in deaf:
        client.close()


def cut(node: Node) -> None:
    """Connections that end in the middle."""
    whole = b'POST /v1/runs HTTP/1.1\r\nHost: mesh\r\nContent-Length: 100\r\n\r\n{"flow": '
    for length in range(1, len(whole) + 1):
        client = node.connect()
        client.sendall(whole[:length])
        client.close()


def oversized(node: Node) -> None:
    expect(node.ask("GET", "/v1/" + "a" * 1_000_000), 0, 404, 414, 431)
    expect(node.ask("GET", "/v1/node", headers="X: " + "a" * 1_000_000 + "\r\n"), 0, 431)
    many_headers = "".join(f"X{i}: y\r\n" for i in range(50_000))
    expect(node.ask("GET", "/v1/node", headers=many_headers), 0, 431)
    expect(node.ask("POST", "/v1/check", b" " * (30 << 20)), 413)
    client = node.connect()
    client.sendall(b"POST /v1/runs HTTP/1.1\r\nHost: mesh\r\n")
    client.sendall(b"Content-Length: 99999999999999\r\n\r\n{")
    client.settimeout(40)
    status, _ = parse(client.recv(65536))
    assert status in (0, 400, 413), status
    client.close()
    deep = b'{"flow": ' + b"[" * 1_000_000
    expect(node.ask("POST", "/v1/check", deep), 400)


def malformed(node: Node) -> None:
    for raw in (b"\r\n\r\n", b"\0" * 10_000, b"GET /v1/node HTTP/1.1\r\nA: \0\0\r\n\r\n"):
        client = node.connect()  # no request at all, or almost one: any answer will do
        client.sendall(raw)
        client.close()
    for raw in (
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"GET /v1/node HTTP/9.9\r\n\r\n",
        b"GET /v1/node HTTP/1.1\r\nHost mesh\r\n\r\n",
        b"GET /v1/%zz%00 HTTP/1.1\r\nHost: mesh\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: mesh\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: mesh\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/runs HTTP/1.1\r\nHost: mesh\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        client = node.connect()
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(2)
        try:
            status, _ = parse(read_all(client))
        except TimeoutError:
            status = 0  # still waiting for a request; its time is bounded, see slow()
        client.close()
        # A header line of NULs alone is passed over; anything else is refused.
        allowed = (200,) if b"\0\0\0\r\n" in raw else (0, *range(400, 600))
        assert status in allowed, (raw[:60], status)
    for method, path, wanted in (
        ("GET", "/", (404,)),
        ("GET", "/v1/nodes", (404,)),
        ("GET", "/v1/runs/../../etc/passwd", (400, 404)),
        ("GET", "/v1/runs/%2e%2e%2f%2e%2e", (400, 404)),
        ("GET", "/v1/runs/99999999999999999999999", (400, 404)),
        ("GET", "/v1/runs/1/artifacts/start/0/..%2f..%2fx", (400, 404)),
        ("GET", "/v1/runs?limit=-1", (400,)),
        ("GET", "/v1/runs?limit=many", (400,)),
        ("GET", "/v1/blobs/zz", (400, 404)),
        ("DELETE", "/v1/node", (405,)),
        ("BREW", "/v1/node", (405, 501, 400)),
        ("PUT", "/v1/trees", (400,)),
    ):
        expect(node.ask(method, path), *wanted)


def json_bodies(node: Node) -> None:
    for body in (
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'"flow"',
        b"null",
        b'{"flow": "a", "flow": "b"}',
        b'{"flow": "\xff\xfe"}',
        b'{"flow": "a\\u0000b"}',
        b"{}" * 2,
    ):
        expect(node.ask("POST", "/v1/runs", body), 400, 422)
        expect(node.ask("POST", "/v1/gc", b"[" + body), 400)


def fields(node: Node) -> None:
    good = "mesh: 1\nflow: X\nsteps:\n  start:\n    run: 'true'\n"
    for extra in (
        {"flow": 7},
        {"flow": good, "parameters": "alpha=1"},
        {"flow": good, "parameters": [{"name": 1, "value": 2}]},
        {"flow": good, "tags": {"a": "b"}},
        {"flow": good, "max_workers": -1},
        {"flow": good, "max_workers": 1e300},
        {"flow": good, "on_failure": "explode"},
        {"flow": good, "package": "zz"},
        {"flow": good, "package": "0" * 64},
        {"flow": good, "origin": "nowhere"},
        {"flow": good, "surprise": True},
        {"flow": "mesh: 1\nflow: X\nsteps: {}\n"},
    ):
        answer = node.ask("POST", "/v1/runs", json.dumps(extra).encode())
        expect(answer, 400, 404, 422)
    status, body = node.ask("POST", "/v1/check", json.dumps({"flow": "nonsense"}).encode())
    assert status == 200 and json.loads(body)["ok"] is False


def blobs(node: Node) -> None:
    data = b"some bytes"
    name = hashlib.sha256(data).hexdigest()
    expect(node.ask("PUT", f"/v1/blobs/{'0' * 64}", data), 400, 409, 422)
    expect(node.ask("GET", f"/v1/blobs/{'0' * 64}"), 404)
    expect(node.ask("PUT", f"/v1/blobs/{name}", data), 200, 201)
    assert node.ask("GET", f"/v1/blobs/{name}") == (200, data)
    expect(node.ask("PUT", f"/v1/blobs/{name}", data), 200)
    for manifest in (
        b"mesh-tree 1\n644 10 %s ../outside\n" % name.encode(),
        b"mesh-tree 1\n644 10 %s /etc/passwd\n" % name.encode(),
        b"mesh-tree 1\n4755 10 %s setuid\n" % name.encode(),
        b"mesh-tree 1\n644 10 %s b\n644 10 %s a\n" % (name.encode(), name.encode()),
        b"mesh-tree 9\n",
    ):
        expect(node.ask("PUT", "/v1/trees", manifest), 400, 422)


def events(node: Node) -> None:
    """Followers by the hundred, some of whom leave at once."""
    clients = []
    for number in range(300):
        client = node.connect()
        client.sendall(b"GET /v1/events?since=1 HTTP/1.1\r\nHost: mesh\r\n\r\n")
        if number % 3 == 0:
            client.close()
        else:
            clients.append(client)
    node.is_well()
    for client in clients:
        head = client.recv(17)
        assert head.startswith(b"HTTP/1.1 200"), head
        client.close()
    expect(node.ask("GET", "/v1/events?since=x"), 400)
    expect(node.ask("GET", "/v1/events?run=nowhere"), 404)


CHECKS: List[Tuple[str, Callable[[Node], None]]] = [
    ("many", many),
    ("slow", slow),
    ("cut", cut),
    ("oversized", oversized),
    ("malformed", malformed),
    ("json", json_bodies),
    ("fields", fields),
    ("blobs", blobs),
    ("events", events),
]


def main(arguments: Optional[List[str]] = None) -> int:
    parser = argparse.ArgumentParser(description="Abuse a node's socket.")
    parser.add_argument("socket")
    parser.add_argument("--only", help="one kind of abuse")
    options = parser.parse_args(arguments)
    node = Node(options.socket)
    bad = 0
    for name, check in CHECKS:
        if options.only not in (None, name):
            continue
        try:
            check(node)
            node.is_well()
            print(f"{name} ok", flush=True)
        except (AssertionError, OSError, ValueError, IndexError):
            print(f"{name} FAILED", flush=True)
            traceback.print_exc()
            bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
