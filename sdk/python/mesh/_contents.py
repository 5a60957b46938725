# SPDX-License-Identifier: Apache-2.0
"""Artifacts as they come from a node: values, folders, and whom to trust. Plans."""

from __future__ import annotations

import base64
import io
import json
import os
from typing import Any, Dict, List, NamedTuple, Optional

from . import _codec, _http
from ._http import Reply
from ._plan import Ask, Lost, Peer, Plan, about_run, ask, ask_all, each_line, error_of, relay
from .errors import MeshError, NotFound, Untrusted

INLINE_BYTES = 64 << 10  # of a value that comes with its list
NEAR_BYTES = 4 << 10     # of one that was not asked for, but probably will be
PIECE_BYTES = 4 << 20    # of a long one that is saved
BATCH = 64               # files of a folder that are under way together


class Name(NamedTuple):
    """Which artifact: as the task sees it, its own or one that was passed on to it."""

    run: str
    step: str
    task: str
    name: str

    def __str__(self) -> str:
        return "/".join(self)


class About(NamedTuple):
    """What is known of an artifact without its content."""

    type: str
    encoding: str
    size: Optional[int]
    id: str


def request_of(name: Name, method: str = "GET", **headers: str) -> _http.Request:
    target = _http.target(("runs", name.run, "artifacts", *name[1:]), {})
    return _http.Request(method, target, headers)


def describe(name: Name) -> Plan[About]:
    reply = yield Ask(request_of(name, "HEAD"))
    if reply.status >= 300:  # a HEAD's error has no words
        yield from ask(request_of(name, Range="bytes=0-0"))
        raise error_of(reply)
    return about_of(reply)


def about_of(reply: Reply) -> About:
    headers = reply.headers
    length = headers.get("content-length", "")
    encoding = headers.get("mesh-encoding", "bytes")
    size = int(length) if length.isdigit() and encoding != "tree" else None
    return About(headers.get("mesh-type", "bytes"), encoding, size,
                 headers.get("mesh-id", ""))


# ---- bytes ----


def fetch(name: Name) -> Plan[bytes]:
    reply = yield from ask(request_of(name))
    return reply.body


def fetch_blob(digest: str) -> Plan[bytes]:
    reply = yield from ask(blob(digest))
    return reply.body


def fetch_part(request: _http.Request, at: int, n: int) -> Plan[bytes]:
    reply = yield from ask(request._replace(headers={"Range": f"bytes={at}-{at + n - 1}"}))
    return reply.body[:n] if reply.status == 206 else reply.body[at : at + n]


# ---- values ----


def load(name: Name, me: str, trust: bool) -> Plan[Any]:
    """The value; of a folder its Tree."""
    reply = yield from ask(request_of(name))
    about = about_of(reply)
    if _codec.may_run_code(about.encoding) and not trust:
        yield from check_trust(name, me)
    if about.encoding == "tree":
        return Tree.read(reply.body)
    return decode(name, about.encoding, reply.body)


def decode(name: Name, encoding: str, data: bytes) -> Any:
    try:
        return _codec.decode(encoding, io.BytesIO(data))
    except ImportError as e:
        raise MeshError(
            f"{name} needs a module that is not here: {e}",
            "its bytes can be had all the same: artifact.bytes()",
        ) from e


def check_trust(name: Name, me: str) -> Plan[None]:
    """What a run holds was made in it or in one that it goes back to. Whose they are is
    to be believed of one's own node, or of root's."""
    run: Optional[str] = name.run
    while run:
        try:
            about = yield from about_run(run)
        except NotFound:
            raise _untrusted(name, f"run {run}, which made some of it, is gone") from None
        if about["user"] != me:
            raise _untrusted(name, f"run {about['number']} is of {about['user'] or 'nobody'}")
        run = about["origin"]
    peer: Optional[int] = yield Peer()
    if peer not in (os.geteuid(), 0):
        raise _untrusted(name, "the node that tells whose it is is not yours")


def _untrusted(name: Name, why: str) -> Untrusted:
    return Untrusted(
        f"to read {name} is to run what is in it: {why}",
        "if you trust that: artifact.load(trust=True)",
    )


ABSENT = object()  # no value: None is one


class Entry(NamedTuple):
    """One of many: its task, and its value or bytes if they were short."""

    task: str
    attempt: int
    encoding: str
    value: Any = ABSENT
    data: Optional[bytes] = None

    def load(self, name: Name, me: str, trust: bool) -> Plan[Any]:
        if self.value is not ABSENT:
            return self.value
        if self.data is None:
            return (yield from load(name, me, trust))
        if _codec.may_run_code(self.encoding) and not trust:
            yield from check_trust(name, me)
        return decode(name, self.encoding, self.data)


def each_entry(run: str, step: str, name: str, after: Optional[str] = None,
               limit: Optional[int] = None, inline: int = INLINE_BYTES) -> Plan[None]:
    """Emits an Entry for each task of a step that made `name`, in split order. A stream
    that breaks goes on behind the last one that came."""
    told = 0
    last = after

    def note(line: bytes) -> List[Entry]:
        nonlocal told, last
        entry = read_entry(line)
        told, last = told + 1, f"{step}/{entry.task}/{entry.attempt}"
        return [entry]

    while True:
        told_before = told
        request = _http.get("runs", run, "artifacts", step=step, name=name, after=last,
                            limit=None if limit is None else limit - told, inline=inline)
        try:
            yield from relay(each_line(request), note)
            return
        except Lost:
            if told == told_before:
                raise


def read_entry(line: bytes) -> Entry:
    item = json.loads(line)
    artifact: Dict[str, Any] = item["artifacts"][0]
    data = artifact.get("data_base64")
    return Entry(item["task"], item["attempt"], artifact["encoding"], artifact.get("value", ABSENT),
                 None if data is None else base64.b64decode(data))


# ---- folders ----


class File(NamedTuple):
    """An entry of a folder; `mode` is "644", "755" or "link"."""

    mode: str
    size: int
    id: str
    path: str


class Tree:
    """The manifest of a folder: its files by path."""

    def __init__(self, files: Dict[str, File]) -> None:
        self.files = files

    @classmethod
    def read(cls, manifest: bytes) -> Tree:
        lines = manifest.decode("utf-8", "surrogateescape").split("\n")
        if lines[0] != "mesh-tree 1" or lines[-1]:
            raise MeshError("this folder is of a version that is not known here")
        files = [_file(line) for line in lines[1:-1]]
        return cls({file.path: file for file in files})

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())


def _file(line: str) -> File:
    mode, size, digest, path = line.split(" ", 3)
    path = path.replace("\\\\", "\0").replace("\\n", "\n").replace("\0", "\\")
    parts = path.split("/")
    if mode not in ("644", "755", "link") or {"", ".", ".."} & set(parts):
        raise MeshError(f"this folder has an entry that cannot be: {line!r:.100}")
    return File(mode, int(size), digest, path)


def blob(digest: str, **headers: str) -> _http.Request:
    return _http.Request("GET", _http.target(("blobs", digest), {}), headers)


def save_file(request: _http.Request, fd: int) -> Plan[None]:
    """The content into an open file, some at a time."""
    at = 0
    while True:
        part = {"Range": f"bytes={at}-{at + PIECE_BYTES - 1}"}
        reply = yield Ask(request._replace(headers=part))
        if reply.status == 416:  # it ends here
            return
        if reply.status >= 300:
            raise error_of(reply)
        _write_all(fd, reply.body)
        at += len(reply.body)
        if reply.status == 200 or at >= _total(reply):
            return


def _total(reply: Reply) -> int:
    total = reply.headers.get("content-range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else 0


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def save(name: Name, path: str) -> Plan[None]:
    """A file or a folder, whole under its name or not at all."""
    about = yield from describe(name)
    if about.encoding != "tree":
        yield from _save_one(request_of(name), path, 0o666)
        return
    reply = yield from ask(request_of(name))
    yield from save_tree(Tree.read(reply.body), path)


def _save_one(request: _http.Request, path: str, mode: int) -> Plan[None]:
    part = f"{path}.{os.getpid()}.part"
    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield from save_file(request, fd)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise
    finally:
        os.close(fd)


def save_tree(tree: Tree, path: str) -> Plan[None]:
    """Into a folder that is not there yet, or is empty."""
    os.makedirs(path, exist_ok=True)
    if os.listdir(path):
        raise FileExistsError(f"{path} is there already and is not empty")
    for folder in {os.path.dirname(name) for name in tree.files}:
        os.makedirs(os.path.join(path, folder), exist_ok=True)
    short = [file for file in tree.files.values() if file.size <= PIECE_BYTES]
    for i in range(0, len(short), BATCH):
        some = short[i : i + BATCH]
        replies = yield from ask_all([blob(file.id) for file in some])
        for file, reply in zip(some, replies):
            _put(file, os.path.join(path, file.path), reply.body)
    for file in tree.files.values():
        if file.size > PIECE_BYTES:
            mode = int(file.mode, 8) | 0o022
            yield from _save_one(blob(file.id), os.path.join(path, file.path), mode)


def _put(file: File, path: str, data: bytes) -> None:
    if file.mode == "link":
        os.symlink(data, path)
        return
    mode = 0o777 if file.mode == "755" else 0o666
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        _write_all(fd, data)
    finally:
        os.close(fd)
