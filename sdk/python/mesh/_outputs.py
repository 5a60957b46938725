# SPDX-License-Identifier: Apache-2.0
"""What a step leaves: $MESH_OUT/.mesh, as docs/python-steps.md describes it."""

import os
from io import BytesIO

from mesh import _codec, _json, _task
from mesh._codec import UnserializableArtifact

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, Any, Callable, Optional

    from mesh._channel import Answer
    from mesh._self import StepSelf
    from mesh._task import Loaded, Task


# What the node takes of .mesh is bounded: many artifacts are files although each is short.
_ALL_INLINE_BYTES_MAX = 32 << 20


class Outputs:
    def __init__(self, task: "Task") -> None:
        self._task = task
        self._parts: "list[bytes]" = []
        self._n_bytes = 0
        self._file: "Optional[IO[bytes]]" = None
        self._name = ""

    # ---- one artifact ----

    def _sink(self, name: str) -> "_codec.Sink":
        self._name = name
        room = _codec.INLINE_BYTES_MAX if self._n_bytes < _ALL_INLINE_BYTES_MAX else 0
        return _codec.Sink(self._open_file, room)

    def _open_file(self) -> "Callable[[bytes], Any]":
        path = os.path.join(self._task.out_dir, self._name)
        try:
            self._file = open(path, "xb", 0)
        except FileExistsError:
            raise UnserializableArtifact(
                f"artifact '{self._name}' is given twice: as self.{self._name} and as "
                f"the file {path}"
            ) from None
        return self._write_all

    def _write_all(self, data: "Any") -> None:
        assert self._file
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) or 0 :]

    def _add(self, name: str, kind: str, encoding: str, sink: "_codec.Sink") -> None:
        entry = {"name": name, "type": kind, "encoding": encoding}
        if sink.chunks is None:
            assert self._file
            self._file.close()
            self._line({**entry, "file": True})
            return
        self._n_bytes += sink.size
        self._line({**entry, "size": sink.size})
        self._parts += sink.chunks
        self._parts.append(b"\n")

    def _line(self, entry: "dict[str, Any]") -> None:
        self._parts.append(_json.dump(entry).encode("utf-8", "surrogateescape") + b"\n")

    def add(self, name: str, value: object) -> None:
        sink = self._sink(name)
        try:
            encoding = _codec.encode(value, sink)
        except (UnserializableArtifact, OSError):
            raise
        except Exception as error:
            raise _codec.unserializable(name, value, error) from None
        self._add(name, _codec.type_name(value), encoding, sink)

    def add_items(self, name: str, value: object) -> None:
        sink = self._sink(name)
        sink.write(_codec.items_bytes(name, value))
        self._add(name, "list", "json", sink)

    def add_raw(self, name: str, answer: "Answer") -> None:
        """An artifact as the node sent it."""
        sink = self._sink(name)
        while True:
            piece = answer.body.read(1 << 20)
            if not piece:
                break
            sink.write(piece)
        kind = answer.headers.get("mesh-type", "bytes")
        self._add(name, kind, answer.headers.get("mesh-encoding", "bytes"), sink)

    def choose(self, value: object) -> None:
        """The case of a switch, by the text of its artifact."""
        if type(value) is not str:
            value = (_codec.json_bytes(value) or b"").decode()
        if value:
            self._line({"choice": value})

    # ---- the end ----

    def write(self) -> None:
        if not self._parts:
            return
        with open(os.path.join(self._task.out_dir, ".mesh"), "xb") as file:
            file.writelines(self._parts)


def _read_again(self: "StepSelf", name: str, loaded: "Loaded") -> "Any":
    if type(loaded.was) is bytes:
        return _codec.decode(loaded.encoding, BytesIO(loaded.was))
    again = self._mesh_task.artifact(name, self._mesh_target(name))
    return again.value if again else None


def _print_of(value: "Any") -> "Any":
    found = _codec.Print()
    _codec.encode(value, found.sink)
    return found.value()


def _has_changed(self: "StepSelf", name: str, loaded: "Loaded") -> bool:
    """Whether what was read is now something else. Equal bytes: no. Others may come
    from another writer of the same value, so it is read and written once more."""
    if loaded.was is None:
        return False
    try:
        now = _print_of(loaded.value)
    except Exception as error:
        why = _codec.unserializable(name, loaded.value, error)
        _task.warn(f"{why}; what was read stays as it is")
        return False
    if now == loaded.was:
        return False
    return bool(_print_of(_read_again(self, name, loaded)) != now)


def write(self: "StepSelf") -> None:
    """UnserializableArtifact: nothing was kept."""
    task, notes = self._mesh_task, self._mesh_notes
    notes.is_over = True
    outputs = Outputs(task)
    goes_over, switches = task.spec["foreach"], task.spec["switch"]
    for name, value in list(self.__dict__.items()):
        loaded = notes.loaded.get(name)
        if loaded and not _has_changed(self, name, loaded):
            continue
        notes.merged.pop(name, None)
        if name == goes_over:
            outputs.add_items(name, value)
        else:
            outputs.add(name, value)
        if name == switches:
            outputs.choose(value)
    for name, target in list(notes.merged.items()):
        with task.lock:
            answer = task.ask(target, f"artifact '{name}'")
            if answer:
                outputs.add_raw(name, answer)
    outputs.write()
