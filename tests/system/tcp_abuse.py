#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Clients of a TCP port that ask for more than their share. Prints `NAME ok` for each."""

import os
import socket
import sys
import time
from contextlib import closing, suppress
from typing import Callable

PORT = int(sys.argv[1])
PATIENCE = float(os.environ.get("MESH_PATIENCE", "60"))
OF_PEER_MAX = 256
HEAD_S = 10


def dial() -> socket.socket:
    client = socket.create_connection(("127.0.0.1", PORT), timeout=PATIENCE)
    client.settimeout(PATIENCE)
    return client


def is_closed(client: socket.socket) -> bool:
    """Whether the other end has let go by now."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def many() -> None:
    """Connections beyond the bound are closed; the first ones stay."""
    clients = [dial() for _ in range(OF_PEER_MAX + 100)]
    end = time.monotonic() + PATIENCE
    closed = 0
    while closed < 100 and time.monotonic() < end:
        closed = sum(is_closed(client) for client in clients)
        time.sleep(0.02)
    for client in clients:
        client.close()
    assert 100 <= closed < 120, closed


def long() -> None:
    """A head beyond all measure is refused and not kept."""
    with closing(dial()) as client:
        with suppress(OSError):
            client.sendall(b"GET /v1/node HTTP/1.1\r\nX: " + b"x" * (1 << 20))
        answer = b""
        with suppress(OSError):
            while part := client.recv(65536):
                answer += part
        assert not answer or answer.startswith(b"HTTP/1.1 4"), answer[:80]


def drip() -> None:
    """A byte now and then holds no connection for ever."""
    began = time.monotonic()
    with closing(dial()) as client, suppress(OSError):
        client.sendall(b"GET /v1/node HTTP/1.1\r\n")
        while time.monotonic() - began < 3 * HEAD_S:
            client.sendall(b"X")
            time.sleep(0.5)
        raise SystemExit("still connected")
    assert HEAD_S - 1 < time.monotonic() - began, "let go too soon"


def main() -> int:
    checks: list[Callable[[], None]] = [many, long, drip]
    for check in checks:
        check()
        print(f"{check.__name__} ok", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
