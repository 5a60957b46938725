# SPDX-License-Identifier: Apache-2.0
"""The task that this process runs, as its environment and its node tell it."""

import os
import sys
from _thread import RLock  # type: ignore[attr-defined]

from mesh import _codec, _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Optional

    from mesh._channel import Answer, Channel

_UNSET = object()


class Loaded:
    """An artifact as it was read. `was` tells its bytes from others, and is None where
    the value cannot change."""

    def __init__(self, value: "Any", was: "Any", encoding: str) -> None:
        self.value = value
        self.was = was
        self.encoding = encoding


class _Watched:
    """A file that remembers what was read from it."""

    def __init__(self, file: "Any") -> None:
        self._file = file
        self.print = _codec.Print()

    def read(self, n: int = -1) -> bytes:
        data: bytes = self._file.read(n)
        self.print.sink.write(data)
        return data

    def readline(self) -> bytes:
        data: bytes = self._file.readline()
        self.print.sink.write(data)
        return data


class Task:
    def __init__(self) -> None:
        environ = os.environ
        self.spec: "dict[str, Any]" = _json.load(environ["MESH_PYTHON"])
        self.step = environ["MESH_STEP"]
        self.out_dir = environ["MESH_OUT"]
        self.lock = RLock()
        self._channel: "Optional[Channel]" = None
        self._input: "Any" = _UNSET

    @property
    def itself(self) -> "Task":
        return self

    # ---- asking the node ----

    def ask(self, target: str, what: str) -> "Optional[Answer]":
        """None: there is no such thing. Hold the lock until the body was read."""
        from mesh import _channel

        if not self._channel:
            path, token = os.environ["MESH_CHANNEL"], os.environ["MESH_TOKEN"]
            self._channel = _channel.Channel(path, token)
        answer = self._channel.get(target)
        if answer.status == 404:
            return None
        if answer.status == 409:  # branches that differ: no single value
            raise AttributeError(f"{what}: {answer.reason()}")
        if answer.status != 200:
            raise _channel.ChannelError(f"{what}: {answer.reason()}")
        return answer

    def read(self, target: str, what: str) -> "Optional[bytes]":
        with self.lock:
            answer = self.ask(target, what)
            return answer.body.read() if answer else None

    # ---- artifacts ----

    @staticmethod
    def target(name: str, step: str = "", index: "Optional[int]" = None) -> str:
        from mesh._channel import quote

        query = [f"from={quote(step)}"] if step else []
        if index is not None:
            query.append(f"index={index}")
        return (
            f"/v1/task/artifacts/{quote(name)}"
            + ("?" if query else "")
            + "&".join(query)
        )

    def artifact(self, name: str, target: str) -> "Optional[Loaded]":
        """None: no step before this one made it."""
        what = f"artifact '{name}'"
        with self.lock:
            answer = self.ask(target, what)
            return self._decode(answer, what) if answer else None

    @staticmethod
    def _decode(answer: "Answer", what: str) -> "Loaded":
        encoding = answer.headers.get("mesh-encoding", "bytes")
        if encoding == "tree":
            raise TypeError(
                f"{what} is a folder: name it in the step's 'inputs', and it is at "
                "$MESH_IN"
            )
        watched = _Watched(answer.body)
        is_fixed = encoding in ("bytes", "arrow")
        try:
            value = _codec.decode(encoding, answer.body if is_fixed else watched)
        except AttributeError as error:  # else hasattr() would say that it is not there
            raise RuntimeError(f"{what} cannot be read: {error}") from None
        is_fixed = is_fixed or _codec.is_immutable(value)
        return Loaded(value, None if is_fixed else watched.print.value(), encoding)

    # ---- parameters ----

    def parameter(self, name: str) -> "Any":
        """AttributeError: the flow has none of that name, or it has no value."""
        known = self.spec["parameters"]
        if name in known:
            return known[name]
        for spelled in known:
            if spelled.replace("-", "_") == name:
                return known[spelled]
        # One that is secret or long is not in the environment.
        from mesh._channel import quote

        text = self.read(f"/v1/task/parameters/{quote(name)}", f"parameter '{name}'")
        if text is not None:
            return _json.load(text.decode())
        raise AttributeError(f"the flow has no parameter '{name}' with a value")

    def has_parameter(self, name: str) -> bool:
        known = self.spec["parameters"]
        return name in known or any(n.replace("-", "_") == name for n in known)

    # ---- foreach ----

    @property
    def input(self) -> "Any":
        """The item of the innermost foreach, None outside of any."""
        if self._input is _UNSET:
            self._input = self._find_input()
        return self._input[0] if self._input else None

    def _find_input(self) -> "list[Any]":
        text = os.environ.get("MESH_INPUTS")
        if text:
            return [_json.load(text)[-1]]
        with self.lock:
            answer = self.ask("/v1/task/input", "the input item")
            if not answer:
                return []
            text = answer.body.read().decode()
        is_text = answer.headers.get("content-type", "").startswith("text/")
        return [text if is_text else _json.load(text)]

    @property
    def index(self) -> "Optional[int]":
        """Which item it is, None outside of any foreach."""
        if "MESH_INPUTS" not in os.environ and self.input is None and not self._input:
            return None
        return int(os.environ["MESH_INDEX"])

    def foreach_stack(self) -> "list[tuple[int, int, Any]]":
        text = self.read("/v1/task/foreach", "the foreach stack")
        levels = _json.load(text.decode()) if text else []
        return [(level["index"], level["width"], level["item"]) for level in levels]


_this: "Optional[Task]" = None


def this() -> "Task":
    """KeyError: this process runs no task."""
    global _this
    if _this is None:
        _this = Task()
    return _this


def warn(text: str) -> None:
    sys.stderr.write(f"mesh: {text}\n")
