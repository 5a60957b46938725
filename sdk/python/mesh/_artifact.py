# SPDX-License-Identifier: Apache-2.0
"""Artifacts of a task, read when they are asked for."""

from __future__ import annotations

import io
import os
from typing import (TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NoReturn, Optional,
                    Union)

from . import _contents
from ._contents import Name, Tree
from .errors import MeshError, NotFound

if TYPE_CHECKING:
    from ._session import Session
    from ._tasks import Task

StrPath = Union[str, "os.PathLike[str]"]
BUFFER_BYTES = 1 << 20


def size_text(n: Optional[int]) -> str:
    if n is None:
        return "?"
    size = float(n)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


class Artifact:
    """One artifact as a task sees it: its own, or one that was passed on to it."""

    def __init__(self, task: Task, name: str,
                 about: Optional[_contents.About] = None) -> None:
        self.task = task
        self._name = Name(task.run._name, task.step_name, task.id, name)
        self._known = about

    # ---- what it is ----

    @property
    def name(self) -> str:
        return self._name.name

    @property
    def _session(self) -> Session:
        return self.task.run._session

    def _about(self) -> _contents.About:
        if not self._known:
            self._known = self._session.run(_contents.describe(self._name))
        return self._known

    @property
    def type(self) -> str:
        """A word for people: "int", "sklearn.svm.SVC", "json", "bytes", "folder", ..."""
        return self._about().type

    @property
    def encoding(self) -> str:
        """"bytes", "json", "npy", "arrow", "pickle", "tree" (a folder)."""
        return self._about().encoding

    @property
    def size(self) -> int:
        """In bytes; of all files of a folder."""
        size = self._about().size
        return self._tree().size if size is None else size

    @property
    def id(self) -> str:
        """Made from the content: the same bytes have the same."""
        return self._about().id

    @property
    def is_folder(self) -> bool:
        return self.encoding == "tree"

    def __repr__(self) -> str:
        try:
            what = f"{self.type}, {size_text(self._about().size)}"
        except MeshError as e:
            what = e.message
        return f"<Artifact {self._name}: {what}>"

    # ---- what is in it ----

    @property
    def data(self) -> Any:
        """The value; of a folder a Folder."""
        return self.load()

    def load(self, trust: bool = False) -> Any:
        """The value. `trust` allows to unpickle what another user made."""
        value = self._session.run(
            _contents.load(self._name, self.task.run.client.user, trust))
        return shown(self._session, self._name, value)

    def bytes(self) -> bytes:
        """The bytes as they are kept; of a folder its manifest."""
        return self._session.run(_contents.fetch(self._name))

    def text(self, encoding: str = "utf-8") -> str:
        return self.bytes().decode(encoding)

    def open(self) -> io.BufferedReader:
        """A file to read from and to seek in; what is read is fetched, the rest not."""
        self._refuse_folder("open")
        request = _contents.request_of(self._name)
        return io.BufferedReader(_Ranges(self._session, request, self.size), BUFFER_BYTES)

    def save(self, path: StrPath) -> str:
        """Write it to a file, or a folder into a new folder; the path."""
        path = os.fspath(path)
        self._session.run(_contents.save(self._name, path))
        return path

    @property
    def files(self) -> Folder:
        """A folder's files by path."""
        folder = self.load() if self.is_folder else None
        if not isinstance(folder, Folder):
            raise MeshError(f"{self._name} is no folder but {self.type}")
        return folder

    def _tree(self) -> Tree:
        return self.files._tree

    def _refuse_folder(self, verb: str) -> None:
        if self.is_folder:
            raise MeshError(f"{self._name} is a folder: there is nothing to {verb}",
                            f"one of its files: artifact.files['PATH'].{verb}()")


class _Ranges(io.RawIOBase):
    """The bytes of an answer that can be had in parts."""

    def __init__(self, session: Session, request: Any, size: int) -> None:
        super().__init__()
        self._session = session
        self._request = request
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if start + offset < 0:
            raise ValueError(f"negative position {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        n = min(len(buffer), self._size - self._at)
        if n <= 0:
            return 0
        data = self._session.run(_contents.fetch_part(self._request, self._at, n))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


class FolderFile:
    """A file of a folder."""

    def __init__(self, session: Session, file: _contents.File) -> None:
        self._session = session
        self._file = file

    @property
    def path(self) -> str:
        return self._file.path

    @property
    def size(self) -> int:
        return self._file.size

    @property
    def id(self) -> str:
        return self._file.id

    @property
    def is_link(self) -> bool:
        """Its bytes are where it leads."""
        return self._file.mode == "link"

    @property
    def is_executable(self) -> bool:
        return self._file.mode == "755"

    def bytes(self) -> bytes:
        return self._session.run(_contents.fetch_blob(self.id))

    def text(self, encoding: str = "utf-8") -> str:
        return self.bytes().decode(encoding)

    def open(self) -> io.BufferedReader:
        raw = _Ranges(self._session, _contents.blob(self.id), self.size)
        return io.BufferedReader(raw, BUFFER_BYTES)

    def __repr__(self) -> str:
        return f"<FolderFile {self.path}: {size_text(self.size)}>"


class Folder(Mapping[str, FolderFile]):
    """The files of a folder, by path."""

    def __init__(self, session: Session, tree: Tree, name: str) -> None:
        self._session = session
        self._tree = tree
        self._name = name

    def __getitem__(self, path: str) -> FolderFile:
        try:
            return FolderFile(self._session, self._tree.files[path])
        except KeyError:
            raise NotFound(f"{self._name} has no file {path!r}") from None

    def __contains__(self, path: object) -> bool:
        return path in self._tree.files

    def __iter__(self) -> Iterator[str]:
        return iter(self._tree.files)

    def __len__(self) -> int:
        return len(self._tree.files)

    def save(self, path: StrPath) -> str:
        """Write all of it into a folder that is new or empty; the path."""
        path = os.fspath(path)
        self._session.run(_contents.save_tree(self._tree, path))
        return path

    def __repr__(self) -> str:
        n = len(self)
        return f"<Folder {self._name}: {n} file{'s' * (n != 1)}, {size_text(self._tree.size)}>"


def shown(session: Session, name: Name, value: Any) -> Any:
    """A value as it is given to users."""
    return Folder(session, value, str(name)) if isinstance(value, Tree) else value


class Data:
    """The artifacts of a task as attributes: `task.data.model`."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self._task._value(name)
        except NotFound as e:
            self._missing(name, e)

    def _missing(self, name: str, e: NotFound) -> NoReturn:
        raise AttributeError(str(e)) from e

    def __contains__(self, name: str) -> bool:
        return name in self._task.artifacts

    def __iter__(self) -> Iterator[str]:
        return iter(self._task.artifacts)

    def __dir__(self) -> List[str]:
        return list(self._task.artifacts)

    def __repr__(self) -> str:
        return f"<Data of {self._task.pathspec}: {', '.join(self._task.artifacts) or 'nothing'}>"


class Artifacts(Mapping[str, Artifact]):
    """What a task made itself, by name."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._made: Dict[str, Artifact] = {
            a["name"]: Artifact(task, a["name"], _contents.About(
                a["type"], a["encoding"], a["size"], a["id"]))
            for a in task._last.artifacts
        }

    def __getitem__(self, name: str) -> Artifact:
        try:
            return self._made[name]
        except KeyError:
            raise NotFound(f"{self._task.pathspec} made no artifact {name!r}",
                           f"it made {', '.join(self._made) or 'none'}") from None

    def __contains__(self, name: object) -> bool:
        return name in self._made

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def __repr__(self) -> str:
        return repr(list(self._made.values()))
