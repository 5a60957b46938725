# SPDX-License-Identifier: Apache-2.0
"""JSON with the C parts of the interpreter's own json, without its import: that takes a
tenth of the time in which Python starts, and most steps need no more than this."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class _Rules:
    """What the C scanner asks of the decoder that it belongs to."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float
    memo: "dict[str, str]" = {}


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is no JSON")


def _make() -> "tuple[Callable[[Any], str], Callable[[str], Any]]":
    import _json

    c: Any = _json  # typeshed knows half of it
    scan = c.make_scanner(_Rules)
    encode = c.make_encoder(
        None, _refuse, c.encode_basestring, None, ":", ",", False, False, False
    )

    def dump(value: "Any") -> str:
        return "".join(encode(value, 0))

    def load(text: str) -> "Any":
        text = text.strip(" \t\r\n")
        try:
            value, end = scan(text, 0)
        except StopIteration:
            end = -1
        if end != len(text):
            raise ValueError(f"this is no JSON: {text[:80]!r}")
        return value

    return dump, load


def _make_slowly() -> "tuple[Callable[[Any], str], Callable[[str], Any]]":
    import json

    encoder = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
    )
    return encoder.encode, json.loads


try:
    dump, load = _make()
except (ImportError, AttributeError, TypeError):  # another interpreter, or a later one
    dump, load = _make_slowly()
