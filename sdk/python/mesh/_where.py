# SPDX-License-Identifier: Apache-2.0
"""Where the node is, where the program `mesh` is, and starting one that shows a store.

The rules are those of the command line: a socket that was named, else the data folder,
where a node listens or one is started that runs nothing and ends by itself.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import struct
import time
from pathlib import Path
from typing import List, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

from .errors import NoNode

StrPath = Union[str, "os.PathLike[str]"]

READY_FD = 3
READY_SECONDS = 30.0
CONNECT_SECONDS = 10.0
PAUSE_SECONDS = 0.02
START_EVERY = 10  # of the tries: another node may be just starting, or just ending

NOBODY = (FileNotFoundError, ConnectionRefusedError, NotADirectoryError)

_started: List[int] = []  # nodes of ours, until they are reaped


class Place(NamedTuple):
    """One of `socket` and `address` says where a node must be; else it is `dir`'s."""

    socket: Optional[str] = None
    address: Optional[str] = None  # http://HOST:PORT
    dir: Optional[str] = None

    def __str__(self) -> str:
        return self.address or self.socket or f"{self.dir}/mesh.sock"

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc if self.address else "mesh"

    def token(self) -> Optional[str]:
        """From a file: a command line and an environment are read by others."""
        path = os.environ.get("MESH_TOKEN_FILE") if self.address else None
        if not path:
            return None
        try:
            mode = os.stat(path).st_mode
            text = Path(path).read_text(encoding="ascii")
        except (OSError, ValueError) as e:
            raise NoNode(f"the token in {path} cannot be read: {e}") from e
        if mode & 0o077:
            raise NoNode(f"others can read the token in {path}", f"chmod 600 {path}")
        return text.strip()


def find_place(
    socket: Optional[StrPath] = None,
    data: Optional[StrPath] = None,
    address: Optional[str] = None,
) -> Place:
    """What was given, else MESH_SOCKET, MESH_ADDRESS, MESH_HOME, the user's folder."""
    if not (socket or data or address):
        socket = os.environ.get("MESH_SOCKET")
        address = None if socket else os.environ.get("MESH_ADDRESS")
    if socket:
        return Place(socket=os.fspath(socket))
    if address:
        return Place(address=address)
    return Place(dir=os.path.abspath(data or _data_dir()))


def _data_dir() -> str:
    home = os.environ.get("MESH_HOME")
    if home:
        return home
    state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(state, "mesh")


# ---- the program ----


def find_binary() -> str:
    """MESH_BINARY, else beside this package, else along PATH."""
    given = os.environ.get("MESH_BINARY")
    if given:
        return given
    for path in _beside():
        if path.is_file() and os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("mesh")
    if found:
        return found
    raise NoNode(
        "the program `mesh` was not found: not in MESH_BINARY, not beside "
        f"{Path(__file__).parent}, not in PATH",
        "put it in your PATH, or set MESH_BINARY to its path",
    )


def _beside() -> List[Path]:
    """In a wheel, a build folder, an installed prefix, a source tree."""
    package = Path(__file__).resolve().parent
    above = package.parents
    paths = [package / "bin" / "mesh", above[1] / "mesh"]
    paths += [parent / "bin" / "mesh" for parent in above[1:5]]
    return [*paths, *(parent / "build" / "mesh" for parent in above[2:3])]


# ---- connecting ----


def connect(place: Place) -> socket.socket:
    """A connection to the node of a place, started if it must be."""
    try:
        return _connect_once(place)
    except NOBODY as e:
        if not place.dir:
            raise NoNode(
                f"no node listens at {place}",
                "start one: mesh node --dev" if place.socket else None,
            ) from e
        return _look(place)
    except NoNode:
        raise
    except OSError as e:
        raise NoNode(f"the node at {place} cannot be reached: {e.strerror or e}") from e


def is_listening(place: Place) -> bool:
    try:
        _connect_once(place).close()
    except OSError:
        return False
    return True


def peer_of(s: socket.socket) -> Optional[int]:
    """Whose process listens at the other end; None over TCP, where nobody can tell."""
    if s.family != socket.AF_UNIX:
        return None
    credentials = s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", credentials)[1])


def _connect_once(place: Place) -> socket.socket:
    if place.address:
        parts = urlsplit(place.address)
        if parts.scheme != "http" or not parts.hostname:
            raise NoNode(f"{place.address!r} is no address of a node",
                         "write it as http://127.0.0.1:PORT")
        s = socket.create_connection((parts.hostname, parts.port or 80), CONNECT_SECONDS)
        s.settimeout(None)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s
    deadline = time.monotonic() + CONNECT_SECONDS
    while True:
        s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            s.connect(_short(str(place)))
            return s
        except BlockingIOError:  # a full backlog is a queue, not a refusal
            s.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_SECONDS)
        except BaseException:
            s.close()
            raise


def _short(path: str) -> str:
    """The kernel takes 107 bytes: a path from here may be shorter."""
    return min(path, os.path.relpath(path), key=len) if len(path) > 100 else path


def _look(place: Place) -> socket.socket:
    """Start a node that shows the store, until it or another one answers."""
    deadline = time.monotonic() + CONNECT_SECONDS
    told = ""
    tries = 0
    while time.monotonic() < deadline:
        if tries % START_EVERY == 0:
            is_ready, told = _start(str(place.dir))
            if not is_ready and not told.startswith("busy "):
                break
        tries += 1
        try:
            return _connect_once(place)
        except NOBODY:
            time.sleep(PAUSE_SECONDS)
    told = told[5:] + f", but nobody listens at {place}" if told.startswith("busy ") else told
    raise NoNode(f"no node shows {place.dir}: {told or 'it does not listen'}")


def _start(data: str) -> Tuple[bool, str]:
    """`mesh node --inspect`: whether it is ready, else what it said."""
    binary = find_binary()
    _reap()
    ours, its = os.pipe()
    arguments = ["mesh", "node", "--inspect", "--data", data, "--ready-fd", str(READY_FD)]
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, its, READY_FD),
    ]
    try:
        _started.append(os.posix_spawn(binary, arguments, os.environ,
                                       file_actions=actions, setsid=True))
    except OSError as e:
        os.close(ours)
        raise NoNode(f"{binary} cannot be started: {e.strerror}") from e
    finally:
        os.close(its)
    with open(ours, "rb", buffering=0) as pipe:
        text = _read_line(pipe.fileno())
    return text == "ready", text


def _read_line(fd: int) -> str:
    waiter = select.poll()
    waiter.register(fd, select.POLLIN)
    text = b""
    while not text.endswith(b"\n"):
        if not waiter.poll(READY_SECONDS * 1000):
            return "it does not get ready"
        piece = os.read(fd, 512)
        if not piece:
            return text.decode() or "it ended at once"
        text += piece
    return text.decode().strip()


def _reap() -> None:
    for pid in list(_started):
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                _started.remove(pid)
        except ChildProcessError:  # somebody else did, or it is the child of a fork
            _started.remove(pid)
