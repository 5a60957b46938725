#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Whether what the pages name is there: links, files in backticks, tests that show a row.

A row of docs/features.md that works must name a test; one that comes later must not.
docs/openapi.yaml describes each route of node/api/routes.c, and no other.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Iterator

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
FILE = re.compile(r"`((?:tests|docs|examples|node|flow|store|proto)/[\w./-]+\.\w+)`")
ROW = re.compile(r"^\| [A-Z]{2}-\d\d \| [^|]+ \| ([^|]+) \| ([^|]*) \|$")
MISSION_ROWS = 331


def missing_files(page: Path, top: Path) -> Iterator[str]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for link in LINK.findall(text):
        if "://" not in link and not (page.parent / link).exists():
            yield f"{page}: links to {link}, which is not there"
    for name in FILE.findall(text):
        if not (top / name).exists():
            yield f"{page}: names {name}, which is not there"


def bad_rows(page: Path) -> Iterator[str]:
    rows = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        match = ROW.match(line)
        if not match:
            continue
        rows += 1
        state, tests = match[1].strip(), match[2].strip()
        if state not in ("works", "works in .mf", "later"):
            yield f"{page}:{number}: no such state: {state}"
        elif state.startswith("works") != bool(tests):
            yield f"{page}:{number}: a row that works names its test, no other does"
    if rows != MISSION_ROWS:
        yield f"{page}: has {rows} rows, the mission has {MISSION_ROWS}"


def path_of(pattern: str) -> str:
    """A route's path as OpenAPI writes it: upper-case segments are parameters."""
    return re.sub(r"(?<=/)[A-Z]+(?=/|$)", lambda segment: f"{{{segment[0].lower()}}}", pattern)


def undescribed_routes(top: Path) -> Iterator[str]:
    """Routes that docs/openapi.yaml does not describe, and such that are no more."""
    source = (top / "node" / "api" / "routes.c").read_text(encoding="utf-8")
    routes = {(method.lower(), path_of(path))
              for method, path in re.findall(r'{ (\w+), "([^"]+)"', source)}
    described = set()
    path = ""
    for line in (top / "docs" / "openapi.yaml").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"  (/[^:]*):$", line):
            path = match[1]
        elif match := re.match(r"    (get|put|post|delete|patch):$", line):
            described.add((match[1], path))
        elif line == "components:":
            break
    for method, path in sorted(routes - described):
        yield f"docs/openapi.yaml: lacks {method.upper()} {path}"
    for method, path in sorted(described - routes):
        yield f"docs/openapi.yaml: has {method.upper()} {path}, which is no route"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("top", type=Path, nargs="?", default=Path("."))
    top = parser.parse_args().top
    pages = [*top.glob("*.md"), *top.glob("docs/**/*.md"), *top.glob("changelog.d/*.md")]
    problems = [line for page in sorted(pages) for line in missing_files(page, top)]
    problems += undescribed_routes(top)
    problems += bad_rows(top / "docs" / "features.md")
    print("".join(f"{line}\n" for line in problems), end="")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
