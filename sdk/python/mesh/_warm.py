# SPDX-License-Identifier: Apache-2.0
"""The fork server: imports the files of a run's steps once, and forks a child for each
task. docs/python-steps.md says what it and the node agree on.

A child must not be told from a plain process. So the server looks at what the files do
while they are imported, and leaves with 75 where a child could not have the same.
"""

from __future__ import annotations

import gc
import os
import sys
from errno import EINVAL

from mesh import _channel, _end, _inputs, _json, _step  # noqa: F401 # for the children

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket
    from typing import Any, Optional

    from mesh._clone import Cloner

CANNOT = 75
_REQUEST_BYTES_MAX = 192 << 10
_SAID_BYTES_MAX = 64 << 10
_MSG_CMSG_CLOEXEC = 0x40000000
_FDS_MAX = 4


class Cannot(Exception):
    """A task must not be forked from this process; the text says why."""


# ---- what an import leaves behind ----


class _Streams:
    """Standard output and error while the files are imported: what they say then is
    said again by each task, as a plain process would."""

    def __init__(self) -> None:
        self.said = [b"", b""]
        self._pairs = [(os.memfd_create("said"), os.dup(fd)) for fd in (1, 2)]
        for i, (ours, _) in enumerate(self._pairs):
            os.dup2(ours, i + 1)

    def restore(self) -> bool:
        """False: they are no longer what they were."""
        return all([self._restore(i, *fds) for i, fds in enumerate(self._pairs)])

    def _restore(self, i: int, ours: int, kept: int) -> bool:
        is_same = True
        try:
            (sys.stdout, sys.stderr)[i].flush()
            is_same = os.path.sameopenfile(i + 1, ours)
        except (OSError, ValueError, AttributeError):
            is_same = False
        try:
            self.said[i] = os.pread(ours, _SAID_BYTES_MAX + 1, 0)
            os.dup2(kept, i + 1)
            os.close(kept)
            os.close(ours)
        except OSError:
            is_same = False
        return is_same


class _Randomness:
    """Children draw other numbers than each other, unless a file seeded the generator:
    then all draw the same, as plain processes would."""

    def __init__(self) -> None:
        import random

        self._random = random
        self._own = (random.seed, random.setstate)
        self._seeded = False
        self._state: Any = None
        random.seed = self._watch(random.seed)
        random.setstate = self._watch(random.setstate)

    def _watch(self, own: Any) -> Any:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self._seeded = self._seeded or bool(args or kwargs)
            return own(*args, **kwargs)

        return watched

    def restore(self) -> None:
        self._random.seed, self._random.setstate = self._own
        if self._seeded:
            self._state = self._random.getstate()

    def renew(self) -> None:
        """In the child; the interpreter has seeded `random` anew already."""
        if self._seeded:
            self._random.setstate(self._state)
        numpy_random: Any = sys.modules.get("numpy.random")
        if numpy_random and not _is_seeded(numpy_random):
            numpy_random.seed()


def _is_seeded(numpy_random: Any) -> bool:
    """numpy's own generator forgets where its seed came from when a program sets it."""
    generator = getattr(numpy_random.mtrand._rand, "_bit_generator", None)
    return getattr(generator, "_seed_seq", generator) is None


# ---- importing ----


def _import_all(files: list[str], top: str) -> None:
    roots = set()
    path = sys.path[:]
    for file in files:
        sys.path[:] = path
        try:
            _step.load(file, top)
        except BaseException as error:
            raise Cannot(f"{file} cannot be imported: {error!r}") from None
        roots.add(_step.place_of(os.path.join(top, file), top)[1])
    roots.add(top)
    _check_names(roots)


def _check_names(roots: set[str]) -> None:
    """The first module of a name would hide those of the same name in other folders."""
    seen: set[str] = set()
    for root in roots:
        names = {
            entry.partition(".")[0]
            for entry in os.listdir(root)
            if entry.endswith((".py", ".so")) or "." not in entry
        }
        loaded = {name for name in names & seen if name in sys.modules}
        if loaded:
            raise Cannot(f"several folders have a {loaded.pop()}")
        seen |= names


class _Before:
    """What of this process an import must leave as it is."""

    def __init__(self, control: int) -> None:
        self._control = control
        self._folder = os.getcwd()
        self._files = self._identify()
        self._environ = dict(os.environb)

    def _identify(self) -> list[Any]:
        return [os.fstat(fd)[:3] for fd in (0, 1, 2, self._control)]

    def check(self) -> None:
        import _signal

        try:
            is_same = self._identify() == self._files
        except OSError:
            is_same = False
        if not is_same:
            raise Cannot("an import closed descriptors")
        if os.getcwd() != self._folder:
            raise Cannot("an import changed the working folder")
        if any(_signal.getitimer(which)[0] for which in range(3)):
            raise Cannot("an import set a timer")
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            raise Cannot("an import started processes")
        except ChildProcessError:
            pass

    def replace_environ(self, wanted: dict[bytes, bytes]) -> None:
        """In the child. What an import set or took away stays so. Most variables are
        those of the server: each that is written anew costs memory that was shared."""
        environ, before = os.environb, self._environ
        for name, value in wanted.items():
            if before.get(name) != value and environ.get(name) == before.get(name):
                environ[name] = value
        for name in before:
            if name not in wanted:
                environ.pop(name, None)


def _check_threads() -> None:
    """A C library that keeps threads may have said what to do with them at a fork: one
    that is for nothing makes it do that. Then there must be none."""
    if _n_threads() != 1:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
    if _n_threads() != 1:
        raise Cannot("an import started threads")


def _n_threads() -> int:
    return len(os.listdir("/proc/self/task"))


# ---- serving ----


class _Request:
    """Read in the child only: the server never has the texts but in its buffer."""

    def __init__(self, text: bytes) -> None:
        n = int.from_bytes(text[:4], "little")
        texts = text[4:].split(b"\0")
        if len(texts) != n + 1 or n < 1:
            raise ValueError("a malformed request")
        self.folder = texts[0]
        self.environ = dict(pair.partition(b"=")[::2] for pair in texts[1:-1])


class _Server:
    def __init__(self, control: socket, cloner: Cloner) -> None:
        self._control = control
        self._cloner = cloner
        self._buffer = bytearray(_REQUEST_BYTES_MAX + 1)

    def serve(self) -> _Request:
        """Returns in a child, with what it is to do."""
        while True:
            n, fds = self._receive()
            gate = os.pipe()
            pid = -EINVAL
            if len(fds) >= 3:
                pid = self._cloner.clone(fds[3] if len(fds) > 3 else None)
            if pid == 0:
                self._pass(gate)
                self._leave(fds)
                return _Request(bytes(memoryview(self._buffer)[:n]))
            # What is wiped before the next request cannot be seen by its child.
            self._buffer[:n] = bytes(n)
            self._control.send(pid.to_bytes(4, "little", signed=True))
            if pid > 0:
                os.write(gate[1], b"!")
            for fd in (*gate, *fds):
                os.close(fd)

    def _receive(self) -> tuple[int, list[int]]:
        n, ancillary, _, _ = self._control.recvmsg_into(
            [self._buffer], 4 * _FDS_MAX + 32, _MSG_CMSG_CLOEXEC
        )
        if n == 0:
            os._exit(0)  # and nothing of what the files left to do at an exit
        return n, [
            int.from_bytes(data[i : i + 4], sys.byteorder)
            for _, _, data in ancillary
            for i in range(0, len(data) - 3, 4)
        ]

    def _pass(self, gate: tuple[int, int]) -> None:
        """In the child: begins when the node knows of it. When the server died first it
        may have told or not: telling again does no harm."""
        os.close(gate[1])
        if not os.read(gate[0], 1):
            try:
                self._control.send(os.getpid().to_bytes(4, "little"))
            except OSError:  # the node died too
                os._exit(127)
        os.close(gate[0])

    def _leave(self, fds: list[int]) -> None:
        """In the child: nothing of the server's stays open."""
        self._cloner.leave_server()
        self._control.close()
        for i, fd in enumerate(fds[:3]):
            os.dup2(fd, i)
        for fd in fds:
            os.close(fd)


# ---- the whole ----


def _take_control() -> socket:
    """The socket that is our standard input; the files find an empty one."""
    import _socket

    control = _socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    sys.stdin = sys.__stdin__ = open(0, closefd=False)
    return control


def _prepare(control: socket) -> tuple[Cloner, _Streams, _Randomness, _Before]:
    """Imports the files. Cannot: with a reason."""
    try:
        from mesh._clone import Cloner

        cloner = Cloner()
    except (ImportError, OSError, AttributeError) as error:
        raise Cannot(f"this interpreter cannot fork a child of its parent: {error}")
    before = _Before(control.fileno())
    randomness, streams = _Randomness(), _Streams()
    try:
        _import_all(_json.load(os.environ["MESH_WARM"]), os.environ["MESH_CODE"])
    finally:
        is_same = streams.restore()
        randomness.restore()
    if not is_same:
        raise Cannot("an import closed descriptors")
    before.check()
    _check_threads()
    if max(map(len, streams.said)) > _SAID_BYTES_MAX:
        raise Cannot("an import printed too much")
    return cloner, streams, randomness, before


def _become(request: _Request, streams: _Streams, before: _Before) -> None:
    """The working folder, the environment and the output of a process of its own."""
    os.chdir(request.folder)
    before.replace_environ(request.environ)
    for i, said in enumerate(streams.said):
        while said:
            said = said[os.write(i + 1, said) :]


def main() -> None:
    control = _take_control()
    try:
        cloner, streams, randomness, before = _prepare(control)
    except Cannot as error:
        try:
            os.write(2, f"mesh: plain processes, because {error}\n".encode())
        except OSError:  # an import closed it
            pass
        os._exit(CANNOT)
    server = _Server(control, cloner)
    gc.collect()
    _end.remember_files()
    gc.freeze()
    control.send(b"ready")
    request = server.serve()
    cloner.show_token(request.environ.get(b"MESH_TOKEN", b""))
    _become(request, streams, before)
    randomness.renew()
    _end.end(_step.run(), is_forked=True)
