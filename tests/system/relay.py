#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Carries a TCP port of this machine to a unix socket, for clients that know only TCP.

Prints the port and goes on until it is ended.
"""

import socket
import sys
import threading
from contextlib import suppress


def carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def main() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            client, _ = server.accept()
            node = socket.socket(socket.AF_UNIX)
            node.connect(sys.argv[1])
            for ends in ((client, node), (node, client)):
                threading.Thread(target=carry, args=ends, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
