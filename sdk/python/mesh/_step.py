# SPDX-License-Identifier: Apache-2.0
"""Runs one task: the function of a file, between what the node knows and what it keeps.

A plain process is `python3 -c 'from mesh._step import main; main()'`; what mesh._warm
forks calls the same main.
"""

import os
import sys

from mesh import _end, _outputs, _task
from mesh._codec import UnserializableArtifact
from mesh._self import StepSelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FunctionType, TracebackType
    from typing import Any, Callable, Optional


class Unusable(Exception):
    """What the flow names cannot be run; the text says why."""


# ---- the file and its function ----

# What was imported, and the path that it left for what it imports later.
_loaded: "dict[str, tuple[Any, list[str]]]" = {}


def place_of(path: str, top: str) -> "tuple[str, str]":
    """The name that a file is imported by, and the folder that is first in sys.path."""
    folder, name = os.path.split(path)
    stem = name[:-3] if name.endswith(".py") else name
    parts = [] if stem == "__init__" else [stem]
    while folder != top and os.path.exists(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        parts.append(package)
    return ".".join(reversed(parts)), folder


def set_path(root: str, top: str) -> None:
    """The folder of the file and the top of the code package, in place of the working
    folder that -c puts first."""
    ours = [root] if root == top else [root, top]
    sys.path[:] = ours + [entry for entry in sys.path if entry and entry not in ours]


def load(file: str, top: str) -> "Any":
    """The module. Raises what the file raises, and Unusable."""
    path = os.path.join(top, file)
    sys.argv[:] = [path]
    if file not in _loaded:
        name, root = place_of(path, top)
        set_path(root, top)
        __import__(name)
        _check_origin(sys.modules[name], name, path, file)
        _loaded[file] = sys.modules[name], sys.path[:]
    module, sys.path[:] = _loaded[file]
    return module


def _check_origin(module: "Any", name: str, path: str, file: str) -> None:
    found = getattr(module, "__file__", None)
    if found is None or not (found == path or os.path.samefile(found, path)):
        raise Unusable(
            f"{file} cannot be imported, because '{name}' is "
            f"{found or 'Python itself'}: give the file another name"
        )


def _function(module: "Any", file: str, name: str) -> "Callable[..., Any]":
    found = getattr(module, name, None)
    if found is None:
        raise Unusable(f"{file} has no function '{name}'")
    if not callable(found):
        raise Unusable(
            f"'{name}' in {file} is no function but a {type(found).__name__}"
        )
    function: Callable[..., Any] = found
    return function


def _check_arguments(function: "Callable[..., Any]", name: str, n: int) -> None:
    """After a call that failed before the function began."""
    import inspect

    try:
        inspect.signature(function).bind(*range(n))
    except TypeError as error:
        wanted = "self" if n == 1 else "self, inputs"
        raise Unusable(
            f"{name}() is called with ({wanted}), which it does not take: {error}"
        ) from None


def _call(function: "Callable[..., Any]", name: str, arguments: "list[Any]") -> None:
    try:
        result = function(*arguments)
    except TypeError as error:
        if error.__traceback__ and not error.__traceback__.tb_next:
            _check_arguments(function, name, len(arguments))
        raise
    kind = type(result).__name__
    if kind == "coroutine":
        import asyncio

        asyncio.run(result)
    elif kind in ("generator", "async_generator"):
        raise Unusable(f"{name}() has a 'yield', so calling it runs nothing of it")


def _run() -> None:
    task = _task.this()
    file, name = task.spec["file"], task.spec["function"]
    function = _function(load(file, os.environ["MESH_CODE"]), file, name)
    me = StepSelf(task)
    arguments: list[Any] = [me]
    if task.spec["joins"]:
        from mesh._inputs import StepInputs

        arguments.append(StepInputs(task))
    try:
        _call(function, name, arguments)
    except SystemExit as error:
        if error.code is not None and error.code != 0:
            raise
        _outputs.write(me)
        raise
    _outputs.write(me)


# ---- what went wrong ----


def _is_ours(tb: "TracebackType") -> bool:
    name = tb.tb_frame.f_globals.get("__name__")
    return isinstance(name, str) and name.partition(".")[0] == "mesh"


def _without_ours(tb: "Optional[TracebackType]") -> "Optional[TracebackType]":
    frames = []
    while tb:
        if not _is_ours(tb):
            frames.append(tb)
        tb = tb.tb_next
    after = None
    for frame in reversed(frames):
        frame.tb_next = after
        after = frame
    return after


def _strip(error: "Optional[BaseException]", seen: "set[int]") -> None:
    """Leaves the user's own frames in an exception and those that led to it."""
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.__traceback__ = _without_ours(error.__traceback__)
        for inner in getattr(error, "exceptions", ()):  # of a group
            _strip(inner, seen)
        _strip(error.__cause__, seen)
        error = error.__context__


def _show(error: BaseException) -> None:
    _strip(error, set())
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except BaseException:
        sys.__excepthook__(type(error), error, error.__traceback__)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    sys.stderr.write(f"{error.code}\n")
    return 1


def run() -> int:
    """Runs the step and says how the process is to end: see _end."""
    try:
        _run()
        return 0
    except SystemExit as error:
        return _exit_code(error)
    except (UnserializableArtifact, Unusable) as error:
        _task.warn(str(error))
        return 1
    except KeyboardInterrupt as error:
        _show(error)
        return _end.INTERRUPTED
    except BaseException as error:
        _show(error)
        return 1


def main() -> None:
    _end.end(run())
