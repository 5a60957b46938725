# SPDX-License-Identifier: Apache-2.0
"""Server-sent events: from bytes to messages."""

from __future__ import annotations

import json
from typing import Any, Dict, List, NamedTuple, Optional


class Message(NamedTuple):
    name: str
    seq: Optional[int]  # None: it has no place in the order, as a gap
    data: Dict[str, Any]


class Lines:
    """feed() takes any pieces and gives the messages that are whole."""

    def __init__(self) -> None:
        self._rest = b""
        self._fields: Dict[str, str] = {}

    def feed(self, data: bytes) -> List[Message]:
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        messages = []
        for line in lines:
            if line:
                self._field(line.decode("utf-8", "replace"))
            elif self._fields:
                messages.append(self._message())
        return messages

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name:  # else it is a comment
            self._fields[name] = value[1:] if value.startswith(" ") else value

    def _message(self) -> Message:
        fields, self._fields = self._fields, {}
        seq = fields.get("id", "")
        return Message(fields.get("event", "message"), int(seq) if seq.isdigit() else None,
                       json.loads(fields.get("data", "{}")))
