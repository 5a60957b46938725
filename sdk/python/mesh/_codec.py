# SPDX-License-Identifier: Apache-2.0
"""Values to bytes and back.

JSON where what comes back is of exactly the same types, bytes as they are, arrays as
.npy, tables as an Arrow stream, pickle for the rest. What is pickled can be read by
Python alone, so everything that others could read is kept in a form that they can.
"""

import sys

from mesh import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Union


class UnserializableArtifact(Exception):
    """An artifact that cannot be kept: the text names it, its type and why."""


INLINE_BYTES_MAX = 64 << 10  # longer ones are files of their own

_TYPE_BYTES_MAX = 255  # that the node takes

_LEAVES = {str, bool, type(None), int, float}
_IMMUTABLE = _LEAVES | {bytes}


class Sink:
    """Keeps what is written in memory, until it is too long: then `far` is asked for a
    function that takes all of it."""

    closed = False  # asked for by whoever wants a file

    def __init__(
        self,
        far: "Callable[[], Callable[[bytes], Any]]",
        near_bytes_max: int = INLINE_BYTES_MAX,
    ) -> None:
        self.size = 0
        self._near_bytes_max = near_bytes_max
        self.chunks: "Optional[list[bytes]]" = []
        self._far = far
        self._put: "Callable[[bytes], Any]" = len

    def write(self, data: "Any") -> int:
        if type(data) is not bytes:  # the pickler has buffers of its own, for long arrays
            raw = getattr(data, "raw", None)
            data = raw() if raw else memoryview(data).cast("B")
        n = len(data)
        self.size += n
        if self.chunks is None:
            self._put(data)
        elif self.size <= self._near_bytes_max:
            self.chunks.append(bytes(data))
        else:
            self._put = self._far()
            for chunk in self.chunks:
                self._put(chunk)
            self.chunks = None
            self._put(data)
        return n

    def flush(self) -> None:
        pass


class Print:
    """What tells whether bytes are others: themselves, or a hash when they are long."""

    def __init__(self) -> None:
        self.sink = Sink(self._hash)
        self.digest: "Any" = None

    def _hash(self) -> "Callable[[bytes], Any]":
        import _blake2

        self.digest = _blake2.blake2b(digest_size=32)
        update: Callable[[bytes], Any] = self.digest.update
        return update

    def value(self) -> "Union[bytes, tuple[int, bytes]]":
        if self.sink.chunks is not None:
            return b"".join(self.sink.chunks)
        return self.sink.size, self.digest.digest()


# ---- what a value is ----


def is_immutable(value: object) -> bool:
    return type(value) in _IMMUTABLE


def is_json(value: object) -> bool:
    """Whether JSON gives back the same value of the same types. Numbers that are not
    finite and texts that are no Unicode show when it is written."""
    kind = type(value)
    if kind in _LEAVES:
        return True
    if kind is dict:
        if not {str}.issuperset(map(type, value)):  # type: ignore[call-overload]
            return False
        return _are_json(value.values())  # type: ignore[attr-defined]
    return kind is list and _are_json(value)


def _are_json(values: "Any") -> bool:
    if _LEAVES.issuperset(map(type, values)):
        return True
    return all(map(is_json, values))


def json_bytes(value: object) -> "Optional[bytes]":
    """None: it is not exactly JSON."""
    try:
        return _json.dump(value).encode() if is_json(value) else None
    except (ValueError, RecursionError):  # not finite, no Unicode, too deep or too long
        return None


def type_name(value: object) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name[: _TYPE_BYTES_MAX if name.isascii() else _TYPE_BYTES_MAX // 4]


def _is_array(value: "Any") -> bool:
    kind = type(value)
    if kind.__module__ != "numpy" or kind.__name__ != "ndarray":
        return False
    return not value.dtype.hasobject and value.dtype.metadata is None


def _is_table(value: object) -> bool:
    return type_name(value) == "pyarrow.lib.Table"


# ---- to bytes ----


def _write_table(value: "Any", sink: "Sink") -> None:
    ipc = sys.modules["pyarrow"].ipc
    with ipc.new_stream(sink, value.schema) as stream:
        stream.write_table(value)


def _write_array(value: "Any", sink: "Sink") -> None:
    sys.modules["numpy"].lib.format.write_array(sink, value, allow_pickle=False)


def _write_pickle(value: "Any", sink: "Sink") -> None:
    import _pickle

    _pickle.Pickler(sink, 5).dump(value)


def encode(value: object, sink: "Sink") -> str:
    """Writes the value and says in which encoding. Raises what its own code does."""
    data = value if type(value) is bytes else json_bytes(value)
    if data is not None:
        sink.write(data)
        return "bytes" if data is value else "json"
    if _is_array(value):
        _write_array(value, sink)
        return "npy"
    if _is_table(value):
        _write_table(value, sink)
        return "arrow"
    _write_pickle(value, sink)
    return "pickle"


# ---- what cannot be kept ----


def _size_text(value: object) -> str:
    try:
        n_bytes = getattr(value, "nbytes", None)
        if type(n_bytes) is int:
            return f", {n_bytes} bytes"
        return f", {len(value)} items"  # type: ignore[arg-type]
    except Exception:  # the value's own code
        return ""


def _members(value: object) -> "list[tuple[str, object]]":
    if isinstance(value, dict):
        return [(f"[{key!r:.40}]", item) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return [(f"[{i}]", item) for i, item in enumerate(value)]
    return [(f".{name}", item) for name, item in getattr(value, "__dict__", {}).items()]


def _culprit(value: object, depth: int = 8) -> str:
    """Which part of a value is the one that cannot be pickled: `.log.handlers[0]`."""
    for place, item in _members(value)[:10000] if depth else ():
        try:
            _write_pickle(item, Sink(lambda: len))
        except Exception:
            return place + _culprit(item, depth - 1)
    return ""


def unserializable(
    name: str, value: object, why: BaseException
) -> "UnserializableArtifact":
    try:
        place = _culprit(value)
    except Exception:  # the value's own code, once more
        place = ""
    at = f" (in {name}{place})" if place else ""
    reason = f"{type(why).__name__}: {why}" if str(why) else type(why).__name__
    return UnserializableArtifact(
        f"artifact '{name}' ({type_name(value)}{_size_text(value)}) cannot be kept"
        f"{at}: {reason}"
    )


# ---- items of a foreach ----


def _as_list(value: "Any") -> "Any":
    """Lists under another name: what a foreach may go over."""
    kind = type(value)
    if kind in (tuple, range) or type_name(value) in (
        "builtins.dict_keys",
        "dict_keys",
    ):
        return list(value)
    if kind.__module__.split(".")[0] in ("numpy", "pandas") and hasattr(
        value, "tolist"
    ):
        return value.tolist()
    return value


def items_bytes(name: str, value: object) -> bytes:
    """The artifact that a foreach goes over: a list, which every language can read."""
    items = _as_list(value)
    data = json_bytes(items) if type(items) is list else None
    if data is not None:
        return data
    if type(items) is not list:
        raise UnserializableArtifact(
            f"artifact '{name}' ({type_name(value)}) cannot be gone over by 'foreach': "
            "make it a list"
        )
    for i, item in enumerate(items):
        if json_bytes(item) is None:
            raise UnserializableArtifact(
                f"artifact '{name}' cannot be gone over by 'foreach': {name}[{i}] is a "
                f"{type_name(item)} that JSON cannot hold exactly; its items are made "
                "of str, bool, None, int, finite float, list, and dict with str keys"
            )
    raise UnserializableArtifact(
        f"artifact '{name}' is nested too deeply for 'foreach'"
    )


# ---- from bytes ----


def may_run_code(encoding: str) -> bool:
    """Whether decode() may do what whoever wrote the bytes wants. A stream of Arrow may name
    Python types, which pyarrow unpickled before 14.0.1 (CVE-2023-47248)."""
    if encoding != "arrow":
        return encoding == "pickle"
    try:
        import pyarrow
    except ImportError:
        return False
    version = [int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit()]
    return version < [14, 0, 1]



def decode(encoding: str, file: "Any") -> "Any":
    if encoding == "json":
        return _json.load(file.read().decode())
    if encoding == "pickle":
        import _pickle

        return _pickle.Unpickler(file).load()
    if encoding == "npy":
        from numpy.lib import format as numpy_format

        npy: Any = numpy_format
        return npy.read_array(file, allow_pickle=False)
    if encoding == "arrow":
        from pyarrow import ipc

        return ipc.open_stream(file.read()).read_all()
    return file.read()
