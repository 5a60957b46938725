# SPDX-License-Identifier: Apache-2.0
"""Runs a program in a terminal of 120 by 40 that takes all it is given at once."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
import time
from collections.abc import Mapping, Sequence

FRAME_END = b"\x1b[?2026l"  # of a synchronized update


def run(argv: Sequence[str], environment: Mapping[str, str]) -> tuple[float, int]:
    """Its seconds, and the frames that it drew."""
    started = time.monotonic()
    pid, master = pty.fork()
    if pid == 0:
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        os.execve(argv[0], list(argv), {**environment, "TERM": "xterm-256color"})
    frames = 0
    rest = b""
    while True:
        try:
            data = os.read(master, 1 << 16)
        except OSError:
            break
        if not data:
            break
        rest += data
        frames += rest.count(FRAME_END)
        rest = rest[max(rest.rfind(FRAME_END) + len(FRAME_END), len(rest) - 16) :]
    _, status = os.waitpid(pid, 0)
    os.close(master)
    if status:
        raise SystemExit(f"{' '.join(argv)} failed ({status})")
    return time.monotonic() - started, frames
