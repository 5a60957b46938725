#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Types at a shell in a terminal, presses the tab key, and looks at what appears.

    press_tab.py bash 'source <(mesh completion bash)' 'mesh stat' 'mesh status '

starts bash, has it run the second word, types the third and a tab, and waits until the
fourth, an expression, matches what the terminal shows from then on.
"""

import os
import pty
import re
import select
import signal
import sys
import time

SHELLS = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
# Shown as it is typed with the quotes, so only the shell's answer has the word.
READY = "echo rea''dy"
CONTROL = re.compile(
    rb"\x1b[()][A-Z0-9]|\x1b\[[0-9;?]*[a-zA-Z~]|\x1b[=>]|\x1b\][^\x07]*\x07|[\x00-\x09\x0b-\x1f]"
)
PATIENCE = float(os.environ.get("MESH_PATIENCE", "60"))


def wait_for(terminal: int, pattern: str) -> str:
    """What the terminal shows, once it matches; the part up to the deadline if not."""
    shown = b""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            shown += os.read(terminal, 65536)
        except OSError:
            break
        text = CONTROL.sub(b"", shown).decode(errors="replace")
        if re.search(pattern, text):
            return text
    text = CONTROL.sub(b"", shown).decode(errors="replace")
    raise SystemExit(f"nothing matches {pattern!r} in:\n{text}")


def main() -> int:
    shell, setup, typed, wanted = sys.argv[1:]
    os.environ.update(TERM="xterm", COLUMNS="100", LINES="50", PS1="> ")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(SHELLS[shell][0], SHELLS[shell])
    try:
        os.write(terminal, f"{setup}\r{READY}\r".encode())
        wait_for(terminal, r"\bready\b")
        os.write(terminal, f"{typed}\t".encode())
        # Some want a second one before they list what there is.
        os.write(terminal, b"\t")
        wait_for(terminal, wanted)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
