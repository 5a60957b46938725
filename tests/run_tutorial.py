#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs what a tutorial tells its reader to run, and compares what it says will happen.

Fenced blocks are read in order:

    ```sh           lines that start with `$ ` are commands; the lines up to the next one
                    are what the command prints, standard error included
    ```mf file=NAME  is written to the file NAME
    ```sh file=NAME  likewise, and made executable

In what is printed `…` stands for anything within a line, and a line of `…` alone for any
lines. A command that ends with `# exit N` must exit with N, any other with 0.
"""

import argparse
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Dict, List, Tuple, Union


@dataclass
class Command:
    line: int
    text: str
    code: int = 0
    wanted: List[str] = field(default_factory=list)


@dataclass
class File:
    name: str
    text: str
    is_program: bool


def commands_of(lines: List[Tuple[int, str]]) -> List[Union[Command, File]]:
    commands: List[Union[Command, File]] = []
    for number, line in lines:
        if line.startswith("$ "):
            match = re.search(r"\s+# exit (\d+)$", line)
            code = int(match[1]) if match else 0
            text = line[2 : match.start()] if match else line[2:]
            commands.append(Command(number, text, code))
        elif commands and isinstance(commands[-1], Command):
            commands[-1].wanted.append(line)
        else:
            raise SystemExit(f"line {number}: output before the first command")
    return commands


def read(text: str) -> List[Union[Command, File]]:
    parts: List[Union[Command, File]] = []
    block: List[Tuple[int, str]] = []
    fence = None
    for number, line in enumerate(text.splitlines(), 1):
        if fence is None:
            if line.startswith("```") and line != "```":
                fence = line[3:]
                block = []
        elif line == "```":
            name = re.search(r"\bfile=(\S+)", fence)
            if name:
                body = "".join(f"{inner}\n" for _, inner in block)
                parts.append(File(name[1], body, fence.startswith("sh")))
            elif fence == "sh":
                parts.extend(commands_of(block))
            fence = None
        else:
            block.append((number, line))
    return parts


def pattern(wanted: List[str]) -> str:
    """One expression for all lines, so that a line of `…` can stand for none or many."""
    out = []
    for line in wanted:
        if line.strip() == "…":
            out.append(r"(?:.*\n)*?")
        else:
            pieces = [re.escape(piece) for piece in line.rstrip().split("…")]
            out.append(".*?".join(pieces) + r"[ \t]*\n")
    return "".join(out)


def run(command: Command, folder: Path, environment: Dict[str, str]) -> bool:
    done = subprocess.run(
        ["timeout", "60", "bash", "-c", command.text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    got = done.stdout.decode("utf-8", "replace")
    if got and not got.endswith("\n"):
        got += "\n"
    is_right = done.returncode == command.code
    is_right = is_right and re.fullmatch(pattern(command.wanted), got) is not None
    if not is_right:
        print(f"line {command.line}: $ {command.text}")
        print(f"  exit code {done.returncode}, wanted {command.code}; it printed:")
        print("".join(f"    {line}\n" for line in got.splitlines()), end="")
        print("  wanted:")
        print("".join(f"    {line}\n" for line in command.wanted), end="")
    return is_right


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mesh", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("tutorial", type=Path)
    options = parser.parse_args()
    options.folder.mkdir(parents=True)
    environment = dict(os.environ, MESH_HOME=str(options.folder / ".mesh"), NO_COLOR="1")
    environment["PYTHONPATH"] = str(options.mesh.resolve().parent / "python")
    environment["PATH"] = f"{options.mesh.resolve().parent}:{environment['PATH']}"
    n_commands = n_wrong = 0
    for part in read(options.tutorial.read_text(encoding="utf-8")):
        if isinstance(part, File):
            path = options.folder / part.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(part.text, encoding="utf-8")
            path.chmod(0o755 if part.is_program else 0o644)
        else:
            n_commands += 1
            n_wrong += not run(part, options.folder, environment)
    print(f"{n_commands} commands, {n_wrong} wrong")
    return 1 if n_wrong or not n_commands else 0


if __name__ == "__main__":
    sys.exit(main())
