#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the golden bytes of messages, with what each byte means beside it.

    build/tests/unit/test_message 2>&1 | tests/wire/annotate.py

It reads what the test prints of bytes that differ, and proto/message.proto. Only for a
message that no released version sends yet: bytes that are out there stay as they are.
"""

import re
import sys
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

TOP = Path(__file__).resolve().parents[2]
HEADER_SIZE = 8
LINE_BYTES = 16
SHORT_BYTES = 8
DIFFERS = re.compile(r"^message_(\w+)\.hex differs; encoded now:\n((?:[0-9a-f ]+\n)+)", re.M)
MESSAGE = re.compile(r"message (\w+) \{[^\n]*\n(.*?)\n\}", re.S)
FIELD = re.compile(r"(?:optional|repeated) (\w+) (\w+) = (\d+)( \[packed)?")
OTHER_NAMES = {"pong": "Ping", "blob_keep": "BlobFind", "blob_kept": "BlobFind"}


class Field(NamedTuple):
    name: str
    type: str
    is_packed: bool


Line = Tuple[str, str]
Schema = Dict[str, Dict[int, Field]]


def read_schema(path: Path) -> Schema:
    return {
        name: {
            int(number): Field(field, kind, bool(packed))
            for kind, field, number, packed in FIELD.findall(body)
        }
        for name, body in MESSAGE.findall(path.read_text(encoding="utf-8"))
    }


def varint(data: bytes, at: int) -> Tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def annotate_bytes(field: Field, head: bytes, data: bytes, indent: str) -> List[Line]:
    whole = indent + (head + data).hex(" ")
    if field.type == "string":
        return [(whole, f"{field.name} `{data.decode()}`")]
    if field.is_packed:
        return [(whole, f"{field.name}, packed")]
    if len(data) <= SHORT_BYTES:
        return [(whole, f"{field.name}, {len(data)} bytes")]
    rows = range(0, len(data), LINE_BYTES)
    return [(indent + head.hex(" "), f"{field.name}, {len(data)} bytes")] + [
        (f"{indent}  {data[i : i + LINE_BYTES].hex(' ')}", "") for i in rows
    ]


def annotate(schema: Schema, message: str, data: bytes, indent: str) -> List[Line]:
    lines: List[Line] = []
    at = 0
    while at < len(data):
        start = at
        key, at = varint(data, at)
        field = schema[message][key >> 3]
        value, at = varint(data, at)
        head = data[start:at]
        if key & 7 == 0:
            if field.type.startswith("sint"):
                value = (value >> 1) ^ -(value & 1)
            lines.append((indent + head.hex(" "), f"{field.name} {value}"))
            continue
        body = data[at : at + value]
        at += value
        if field.type in schema:
            lines.append((indent + head.hex(" "), f"{field.name}, {value} bytes"))
            lines += annotate(schema, field.type, body, indent + "  ")
        else:
            lines += annotate_bytes(field, head, body, indent)
    return lines


def main() -> None:
    schema = read_schema(TOP / "proto/message.proto")
    for name, text in DIFFERS.findall(sys.stdin.read()):
        data = bytes.fromhex(text)
        body = OTHER_NAMES.get(name, "".join(w.capitalize() for w in name.split("_")))
        lines = [
            (data[:2].hex(" "), "magic"),
            (data[2:3].hex(), "major"),
            (data[3:4].hex(), f"type {name}"),
            (data[4:HEADER_SIZE].hex(" "), "flags, reserved"),
        ] + annotate(schema, body, data[HEADER_SIZE:], "")
        width = max(len(shown) for shown, comment in lines if comment)
        rows = [f"{a:<{width}}  # {b}" if b else a for a, b in lines]
        head = f"# a {name} message with all that one can have"
        path = TOP / f"tests/wire/message_{name}.hex"
        path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
        (TOP / f"tests/fuzz/corpus/message/{name}").write_bytes(data)
        print(path.relative_to(TOP))


if __name__ == "__main__":
    main()
