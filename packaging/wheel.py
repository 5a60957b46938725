#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A wheel with the program in it: pip install mesh-*.whl gives `mesh` in bin, its modules
in lib/mesh, and the package mesh.

    cmake --install build --prefix ROOT && packaging/wheel.py ROOT OUT

It is bound to the libraries of the machine that it was built on, as the .deb is."""

import base64
import hashlib
import re
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import List, Tuple

TOP = Path(__file__).resolve().parent.parent
MODE = 0o100644 << 16
MODE_PROGRAM = 0o100755 << 16


def version() -> str:
    text = (TOP / "CMakeLists.txt").read_text()
    found = re.search(r"project\(mesh VERSION ([0-9.]+)", text)
    assert found
    return found[1]


def contents(root: Path, name: str) -> List[Tuple[str, bytes, int]]:
    """Where it goes in the wheel, what it is, and its mode."""
    data = f"{name}.data"
    files = [(f"{data}/scripts/mesh", (root / "bin/mesh").read_bytes(), MODE_PROGRAM)]
    for module in sorted((root / "lib/mesh").glob("*.so")):
        files.append((f"{data}/data/lib/mesh/{module.name}", module.read_bytes(), MODE))
    package = root / "lib/mesh/python/mesh"
    for source in sorted(package.rglob("*")):
        if source.is_file() and "__pycache__" not in source.parts:
            inner = source.relative_to(package.parent).as_posix()
            files.append((inner, source.read_bytes(), MODE))
            # Steps find it beside the program, whichever Python runs them.
            files.append((f"{data}/data/lib/mesh/python/{inner}", source.read_bytes(), MODE))
    return files


def record(files: List[Tuple[str, bytes, int]], info: str) -> bytes:
    lines = []
    for path, content, _ in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        lines.append(f"{path},sha256={digest.decode()},{len(content)}\n")
    return "".join(lines + [f"{info}/RECORD,,\n"]).encode()


def main() -> None:
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    name = f"mesh-{version()}"
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    tag = f"py3-none-{platform}"
    info = f"{name}.dist-info"
    files = contents(root, name)
    files.append((f"{info}/METADATA", (
        f"Metadata-Version: 2.1\nName: mesh\nVersion: {version()}\n"
        "Summary: Runs flows of tasks on many machines, without a server\n"
        "License: Apache-2.0\nRequires-Python: >=3.8\n").encode(), MODE))
    files.append((f"{info}/WHEEL", (
        "Wheel-Version: 1.0\nGenerator: packaging/wheel.py\nRoot-Is-Purelib: false\n"
        f"Tag: {tag}\n").encode(), MODE))
    files.append((f"{info}/RECORD", record(files, info), MODE))
    path = out / f"{name}-{tag}.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for inner, content, mode in files:
            entry = zipfile.ZipInfo(inner, (2020, 1, 1, 0, 0, 0))
            entry.external_attr = mode
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, content)
    print(path)


main()
