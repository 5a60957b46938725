# SPDX-License-Identifier: Apache-2.0
"""Makes a child of our parent: clone3 with CLONE_PARENT, in the place of os.fork().

glibc's own fork does more than the system call. What matters of it in a process of one
thread is done here: the interpreter's work before and after, and the id that glibc
keeps of the thread, which the kernel writes where glibc told it that it is.
"""

from __future__ import annotations

import ctypes
import os
from errno import ECHILD, EINVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Optional

_SYS_CLONE3 = 435  # the same on all architectures that Debian has
_CLONE_PARENT = 0x8000
_CLONE_CHILD_CLEARTID = 0x200000
_CLONE_CHILD_SETTID = 0x1000000
_CLONE_INTO_CGROUP = 0x200000000
_PR_SET_PDEATHSIG = 1
_PR_GET_TID_ADDRESS = 40
_SIGKILL = 9


class _Arguments(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_uint64)
        for name in (
            "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid "
            "set_tid_size cgroup"
        ).split()
    ]


# Holds the interpreter's lock during a call: a child has nobody to get it back from.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_before = ctypes.pythonapi.PyOS_BeforeFork
_after_in_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_after_in_child = ctypes.pythonapi.PyOS_AfterFork_Child
_getenv = _libc.getenv
_getenv.restype = ctypes.c_void_p
for _function in (_before, _after_in_parent, _after_in_child):
    _function.restype = None


def _tid_address() -> int:
    """Where the C library keeps the id of this thread. OSError: it cannot be learnt."""
    address = ctypes.c_void_p()
    if _libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(address), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if (
        not address.value
        or ctypes.c_int.from_address(address.value).value != os.getpid()
    ):
        raise OSError(ECHILD, "the C library keeps no id")
    return address.value


class Cloner:
    """OSError: this system, or what confines this process, has no clone3."""

    def __init__(self) -> None:
        if _syscall(_SYS_CLONE3, None, 0) != -1 or ctypes.get_errno() != EINVAL:
            raise OSError(ctypes.get_errno(), "clone3")
        self._parent = os.getppid()
        self._flags = _CLONE_PARENT | _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID
        self._tid = _tid_address()
        self._token = _getenv(b"MESH_TOKEN")
        self._token_size = len(os.environb.get(b"MESH_TOKEN", b""))

    def clone(self, cgroup: Optional[int]) -> int:
        """0 in the child, else its id, or a negative errno. With CLONE_PARENT the child
        ends with the signal that we would end with."""
        arguments = _Arguments(flags=self._flags, child_tid=self._tid)
        if cgroup is not None:
            arguments.flags |= _CLONE_INTO_CGROUP
            arguments.cgroup = cgroup
        _before()
        pid: int = _syscall(
            _SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments)
        )
        if pid == 0:
            _after_in_child()
            return 0
        error = ctypes.get_errno()
        _after_in_parent()
        return pid if pid > 0 else -error

    def leave_server(self) -> None:
        """In the child: a session of its own, which dies with the parent."""
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
        if os.getppid() != self._parent:
            os._exit(127)  # it died before the prctl

    def show_token(self, token: bytes) -> None:
        """In the child: /proc/PID/environ shows the memory where our own environment
        began, and by the token in it the node knows whose process this is."""
        if self._token and len(token) == self._token_size:
            ctypes.memmove(self._token, token, len(token))
