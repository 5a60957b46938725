# SPDX-License-Identifier: Apache-2.0
"""Where the node is, where the program `mesh` is, and starting one that shows a store.

The rules are those of the command line: a socket that was named, else the data folder,
where a node listens or one is started that runs nothing and ends by itself.
"""

from __future__ import annotations

import ipaddress
import os
import select
import shutil
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, List, NamedTuple, Optional, Tuple, Union
from urllib.parse import urlsplit

from .errors import NoNode

if TYPE_CHECKING:
    import ssl

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
    address: Optional[str] = None  # http://HOST:PORT, https://HOST:PORT
    dir: Optional[str] = None

    def __str__(self) -> str:
        return self.address or self.socket or f"{self.dir}/mesh.sock"

    @property
    def is_secure(self) -> bool:
        return urlsplit(self.address or "").scheme == "https"

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc if self.address else "mesh"

    def token(self) -> Optional[str]:
        """From a file: a command line and an environment are read by others."""
        if not self.address:
            return None
        path = os.environ.get("MESH_TOKEN_FILE")
        if path:
            return _read_private(path).strip()
        login = _login_of(self.address)
        return login[1] if login else None

    def fingerprint(self) -> Optional[str]:
        """Of the certificate of the node that is meant."""
        given = os.environ.get("MESH_FINGERPRINT")
        login = None if given or not self.address else _login_of(self.address)
        return given or (login[0] if login else None)


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


# ---- what `mesh login` kept ----


def _read_private(path: str) -> str:
    try:
        mode = os.stat(path).st_mode
        text = Path(path).read_text(encoding="ascii")
    except (OSError, ValueError) as e:
        raise NoNode(f"the token in {path} cannot be read: {e}") from e
    if mode & 0o077:
        raise NoNode(f"others can read the token in {path}", f"chmod 600 {path}")
    return text


def _login_of(address: str) -> Optional[List[str]]:
    """The fingerprint, which may be empty, and the token; they lie under the number of
    the host, which the command line looks up too."""
    parts = urlsplit(address)
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    host = str(found[0][4][0])
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    name = f"[{host}]:{parts.port}" if ":" in host else f"{host}:{parts.port}"
    path = os.path.join(config, "mesh", "logins", name)
    return _read_private(path).splitlines()[:2] if os.path.exists(path) else None


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
    s = connect_bare(place)
    return _secure(s, place) if place.is_secure else s


def connect_bare(place: Place) -> socket.socket:
    """The same before any TLS."""
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
        return _connect_tcp(place.address)
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


def _connect_tcp(address: str) -> socket.socket:
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or not parts.port:
        raise NoNode(f"{address!r} is no address of a node",
                     "write it as http://127.0.0.1:PORT or https://HOST:PORT")
    s = socket.create_connection((parts.hostname, parts.port), CONNECT_SECONDS)
    is_local = ipaddress.ip_address(s.getpeername()[0].partition("%")[0]).is_loopback
    if parts.scheme == "http" and not is_local:
        s.close()
        raise NoNode(f"{address} would send a token as it is over the network",
                     "write https://")
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    s.settimeout(None)
    return s


def tls_context() -> "ssl.SSLContext":
    """A node is known by the fingerprint of its certificate, not by a name."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def check_certificate(place: Place, certificate: Optional[bytes]) -> None:
    import hashlib

    found = "sha256:" + hashlib.sha256(certificate or b"").hexdigest()
    if found != place.fingerprint():
        raise NoNode(f"the certificate of the node at {place} is {found}",
                     f"mesh login {place} --fingerprint, with what its owner tells")


def _secure(s: socket.socket, place: Place) -> socket.socket:
    try:
        secure = tls_context().wrap_socket(s)
    except OSError as e:
        s.close()
        raise NoNode(f"no TLS with the node at {place}: {e}") from e
    try:
        check_certificate(place, secure.getpeercert(True))
    except NoNode:
        secure.close()
        raise
    return secure


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
