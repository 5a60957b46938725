# SPDX-License-Identifier: Apache-2.0
"""A terminal for tests: a program runs in it, its screen can be read, keys be pressed.

The screen knows the sequences that mesh uses and refuses all others, so a test fails
that lets anything else through to a real terminal.
"""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
import unicodedata
from typing import Callable, Dict, List, Optional

PATIENCE = float(os.environ.get("MESH_PATIENCE", "60"))
SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


class Screen:
    """Rows that scrolled away stay in front of those on the screen."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows = [""]
        self.row = self.column = 0
        self.is_hidden = self.is_sync = self.is_alternate = False
        self.n_frames = 0
        self.rest = ""
        self.main: List[str] = []

    def feed(self, text: str) -> None:
        text = self.rest + text
        at = 0
        self.rest = ""
        while at < len(text):
            if text[at] != "\x1b":
                self.put(text[at])
                at += 1
                continue
            match = SEQUENCE.match(text, at)
            if not match:
                if len(text) - at > 16:
                    raise AssertionError(f"what is {text[at:at + 20]!r}?")
                self.rest = text[at:]
                return
            self.obey(match[1], match[2])
            at = match.end()

    def put(self, char: str) -> None:
        if char == "\n":
            self.down()
        elif char == "\r":
            self.column = 0
        elif char == "\t":
            self.column = min(self.width - 1, (self.column // 8 + 1) * 8)
        elif char < " " or char == "\x7f":
            raise AssertionError(f"a terminal got {char!r}")
        else:
            self.put_wide(char)

    def put_wide(self, char: str) -> None:
        wide = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if unicodedata.combining(char):
            wide = 0
        if self.column + wide > self.width:
            self.column = 0
            self.down()
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + char + row[self.column + wide :]
        self.column += wide

    def down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def top(self) -> int:
        return max(0, len(self.rows) - self.height)

    def obey(self, parameters: str, final: str) -> None:
        if final == "A":
            self.row = max(self.top(), self.row - int(parameters or 1))
        elif final == "J" and parameters in ("", "0"):
            self.rows[self.row] = self.rows[self.row][: self.column]
            for row in range(self.row + 1, len(self.rows)):
                self.rows[row] = ""
        elif final == "K" and parameters in ("", "0"):
            self.rows[self.row] = self.rows[self.row][: self.column]
        elif final == "H" and parameters == "":
            self.row, self.column = self.top(), 0
        elif final == "m":
            pass
        elif final in "hl" and parameters in ("?25", "?2026", "?1049"):
            self.mode(parameters, final == "h")
        else:
            raise AssertionError(f"a terminal got ESC [ {parameters} {final}")

    def mode(self, which: str, is_set: bool) -> None:
        if which == "?25":
            self.is_hidden = not is_set
        elif which == "?2026":
            self.is_sync = is_set
            self.n_frames += not is_set
        elif is_set != self.is_alternate:
            self.is_alternate = is_set
            self.rows, self.main = ([""], self.rows) if is_set else (self.main, [])
            self.row = len(self.rows) - 1
            self.column = 0

    def text(self) -> str:
        """All of it, with what scrolled away."""
        return "\n".join(row.rstrip() for row in self.rows).rstrip("\n") + "\n"

    def shown(self) -> List[str]:
        return [row.rstrip() for row in self.rows[self.top() :]]


class Terminal:
    def __init__(
        self,
        command: List[str],
        width: int = 80,
        height: int = 24,
        environment: Optional[Dict[str, str]] = None,
        ignored: int = 0,
    ) -> None:
        self.screen = Screen(width, height)
        self.raw = b""
        self.code: Optional[int] = None
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            if ignored:
                signal.signal(ignored, signal.SIG_IGN)
            # The first look of the program finds the size.
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
            os.environ.pop("NO_COLOR", None)
            os.environ.update({"TERM": "xterm-256color", **(environment or {})})
            os.execvp(command[0], command)

    def read(self, timeout: float = 0.05) -> bool:
        """Takes what is there; False when nobody is at the other end any more."""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:
            return False
        self.raw += data
        # A character may be cut in two.
        text = (self.tail + data).decode("utf-8", "surrogateescape")
        cut = len(text.rstrip("".join(map(chr, range(0xDC80, 0xDD00)))))
        self.tail = text[cut:].encode("utf-8", "surrogateescape")
        assert len(self.tail) < 4, f"no UTF-8: {self.tail!r}"
        self.screen.feed(text[:cut])
        return bool(data)

    tail = b""

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not holds():
            if not self.read() and not holds():
                raise AssertionError(f"{what}: the program ended\n{self.screen.text()}")
            if time.monotonic() > end:
                raise AssertionError(f"{what}: not in time\n{self.screen.text()}")

    def sees(self, text: str) -> None:
        self.until(f"sees {text!r}", lambda: text in self.screen.text())

    def shows(self, text: str) -> None:
        """On the screen now, not only in what scrolled away."""
        self.until(f"shows {text!r}", lambda: text in "\n".join(self.screen.shown()))

    def shows_no(self, text: str) -> None:
        self.until(f"no {text!r}", lambda: text not in "\n".join(self.screen.shown()))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def resize(self, width: int, height: int) -> None:
        self.screen.width, self.screen.height = width, height
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.master)[3] & termios.ICANON

    def make_cooked(self) -> None:
        attributes = termios.tcgetattr(self.master)
        attributes[3] |= termios.ICANON | termios.ECHO
        termios.tcsetattr(self.master, termios.TCSANOW, attributes)

    def is_hidden(self) -> bool:
        return self.screen.is_hidden

    def hang_up(self) -> None:
        os.close(self.master)

    def wait(self) -> int:
        """Its exit code, or the negative number of the signal that ended it."""
        end = time.monotonic() + PATIENCE
        while self.code is None:
            try:
                self.read(0.02)
            except OSError:
                pass  # hung up
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
                self.drain()
            assert time.monotonic() < end, f"it does not end\n{self.screen.text()}"
        return self.code

    def drain(self) -> None:
        try:
            while select.select([self.master], [], [], 0)[0] and self.read(0):
                pass
        except OSError:
            pass  # hung up

    def close(self) -> None:
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        try:
            os.close(self.master)
        except OSError:
            pass
