#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the manual: a page for each verb from what its help says, mesh-flow(5) from
docs/flow-format.md, and the pages that stand here. So nothing is written twice.

    make.py MESH OUT        writes OUT/man1, OUT/man5, OUT/man8
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLOW_HEAD = """mesh-flow(5)

# NAME

mesh-flow - the file that says what runs, in which order, and what it needs

# DESCRIPTION

"""
FLOW_TAIL = """
# SEE ALSO

*mesh*(1), *mesh-check*(1), *mesh-run*(1)
"""


def escape(text: str) -> str:
    text = re.sub(r"([\\*_`#~])", r"\\\1", text)
    return re.sub(r"^([-+|\[\]])", r"\\\1", text)


def inline(text: str) -> str:
    """Markdown's code, emphasis and links as scdoc's."""
    parts = re.split(r"(``[^`]+``|`[^`]+`|\*\*[^*]+\*\*|\*[^*]+\*|\[[^]]+\]\([^)]+\))", text)
    out = []
    for part in parts:
        if part.startswith("`"):
            out.append(f"*{escape(part.strip('`'))}*" if part.strip("`") else "")
        elif part.startswith("*") and len(part) > 2:
            out.append(f"_{escape(part.strip('*'))}_")
        elif match := re.fullmatch(r"\[([^]]+)\]\([^)]+\)", part):
            out.append(escape(match[1]))
        else:
            out.append(escape(part))
    return "".join(out)


def row(cells: list[str], heads: list[str]) -> Iterator[str]:
    """A row of a table as a definition: what it is, then all that is known of it."""
    yield inline(cells[0])
    known = [f"{head}: {cell}" if head not in ("", "type", "items") else cell
             for head, cell in zip(heads[1:], cells[1:]) if cell]
    # A line may not begin with what scdoc takes for a list.
    yield "\t" + (". ".join(inline(text) for text in known) or "\\ ")
    yield ""


def table(lines: list[str]) -> Iterator[str]:
    def cells(line: str) -> list[str]:
        return [cell.strip().replace("\\|", "|")
                for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]

    heads = cells(lines[0])
    for line in lines[2:]:
        yield from row(cells(line), heads)


def blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Paragraphs, tables, code and headings, each with its lines."""
    kind = ""
    held: list[str] = []
    for line in [*text.splitlines(), ""]:
        if kind == "fence":
            if line == "```":
                yield "code", held
                kind, held = "", []
            else:
                held.append(line)
            continue
        new = ("fence" if line.startswith("```") else "heading" if line.startswith("#")
               else "table" if line.startswith("|") else "code" if line.startswith("    ")
               else "" if not line else "text")
        if new != kind or new == "heading":
            if held:
                yield kind, held
            kind, held = new, []
        if new not in ("", "fence"):
            held.append(line.removeprefix("    ") if new == "code" else line)


def flow_page(text: str) -> str:
    out = []
    for kind, lines in blocks(text.split("\n", 1)[1]):
        if kind == "heading":
            depth, title = lines[0].split(" ", 1)
            out.append(f"# {title.upper()}" if len(depth) == 2 else f"## {title}")
        elif kind == "code":
            out += ["```", *lines, "```"]
        elif kind == "table":
            out += table(lines)
        else:
            out.append(inline(" ".join(lines)))
        out.append("")
    return FLOW_HEAD + "\n".join(out) + FLOW_TAIL


def set_page(source: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["scdoc"], input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{target.name}: {done.stderr.strip()}\n{source}")
    target.write_text(done.stdout, encoding="utf-8")


def main() -> int:
    mesh, out = sys.argv[1], Path(sys.argv[2])
    verbs = subprocess.run([mesh, "manual"], capture_output=True, text=True, check=True).stdout
    for verb in re.findall(r"^\*mesh-([a-z]+)\*\(1\)$", verbs, flags=re.M):
        page = subprocess.run([mesh, "manual", verb], capture_output=True, text=True, check=True)
        set_page(page.stdout, out / "man1" / f"mesh-{verb}.1")
    for source in sorted(HERE.glob("*.scd")):
        text = source.read_text(encoding="utf-8").replace("@VERBS@", verbs.strip())
        set_page(text, out / f"man{source.stem[-1]}" / source.stem)
    flow = (HERE.parent / "flow-format.md").read_text(encoding="utf-8")
    set_page(flow_page(flow), out / "man5" / "mesh-flow.5")
    return 0


if __name__ == "__main__":
    sys.exit(main())
