# SPDX-License-Identifier: Apache-2.0
"""The end of a step's process: what the interpreter does at its end, but for taking
itself apart. That would cost a plain process a tenth of its time, and a forked one most
of the memory that it shares. So threads are waited for, exit functions run, files that
nobody closed are written; but what is still alive then is not destroyed.
"""

import gc
import os
import sys
from io import BufferedRandom, BufferedWriter, TextIOWrapper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

INTERRUPTED = -2


def end(code: int, is_forked: bool = False) -> "NoReturn":
    """With an exit code, or INTERRUPTED."""
    _python_ends()
    _flush_files()
    if not _flush_streams():
        code = 120
    if code == INTERRUPTED:
        _end_by_interrupt()
    # Code that is not the interpreter's own may have output and exit functions as well. To
    # load it took so long that a plain process can as well end in the usual way.
    if is_forked:
        _c_ends(code)
    if "ctypes" in sys.modules or _has_foreign_code():
        raise SystemExit(code)
    os._exit(code)


def _c_ends(code: int) -> None:
    import ctypes  # which the fork server has

    ctypes.PyDLL(None).exit(code)


def _python_ends() -> None:
    threading: Any = sys.modules.get("threading")
    try:
        if threading:
            threading._shutdown()
    except BaseException as error:
        _tell(error, threading)
    import atexit

    try:
        atexit._run_exitfuncs()
    except BaseException:  # before 3.10, when it has told of the error itself
        pass


_KINDS = (TextIOWrapper, BufferedWriter, BufferedRandom)  # texts write into the others
_old_files: "list[Any]" = []


def remember_files() -> None:
    """Before gc.freeze(), which hides what there is."""
    _old_files.extend(thing for thing in gc.get_objects() if type(thing) in _KINDS)


def _flush_files() -> None:
    remember_files()
    for kind in _KINDS:
        for file in _old_files:
            if type(file) is kind and file not in (sys.stdout, sys.stderr):
                try:
                    file.flush()
                except (ValueError, OSError):  # closed, or for reading only
                    pass


def _flush_streams() -> bool:
    is_good = True
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except Exception as error:
            _tell(error, stream)
            is_good = False
    return is_good


def _tell(error: BaseException, where: object) -> None:
    try:
        sys.stderr.write(
            f"Exception ignored in: {where!r}\n{type(error).__name__}: {error}\n"
        )
        sys.stderr.flush()
    except Exception:
        pass


def _end_by_interrupt() -> None:
    import _signal

    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    os.kill(os.getpid(), _signal.SIGINT)


def _has_foreign_code() -> bool:
    own = os.path.dirname(os.__file__)
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and file.endswith(".so"):
            if not file.startswith(own) or "-packages" in file:
                return True
    return False
