# SPDX-License-Identifier: Apache-2.0
"""current - what the running task knows of itself.

    from mesh import current

    current.run_id, current.step_name, current.retry_count, current.parameters.alpha

Everything is read when it is asked for: a file that was imported once for many tasks
sees the task that it runs in.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional

    is_running_flow: bool
    flow_name: str
    run_id: str
    run_number: int
    step_name: str
    task_id: str
    pathspec: str
    attempt: int
    retry_count: int
    iteration: int
    index: Optional[int]
    input: Any
    parameters: Parameters
    user: str
    username: str
    tags: frozenset[str]
    tempdir: str
    in_dir: str
    out_dir: str
    code_dir: str
    idempotency_key: str


class Parameters:
    """The run's parameters as attributes, with `-` as `_`; they iterate as names."""

    def __init__(self, task: Any) -> None:
        self.__dict__["_mesh_task"] = task

    def __getattr__(self, name: str) -> Any:
        return self._mesh_task.parameter(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"parameter '{name}' cannot be changed")

    def __getitem__(self, name: str) -> Any:
        try:
            return self._mesh_task.parameter(name)
        except AttributeError:
            raise KeyError(name) from None

    def __iter__(self) -> Any:
        return iter(self._mesh_task.spec["parameters"])

    def __len__(self) -> int:
        return len(self._mesh_task.spec["parameters"])

    def __contains__(self, name: object) -> bool:
        return name in self._mesh_task.spec["parameters"]

    def __dir__(self) -> list[str]:
        return [name.replace("-", "_") for name in self]


def _variable(name: str, kind: Callable[[str], Any] = str) -> Callable[[], Any]:
    return lambda: kind(os.environ[name])


def _of_task(name: str) -> Callable[[], Any]:
    def read() -> Any:
        from mesh import _task

        return getattr(_task.this(), name)

    return read


def _pathspec() -> str:
    names = ("MESH_RUN", "MESH_STEP", "MESH_TASK")
    return "/".join([__getattr__("flow_name"), *(os.environ[name] for name in names)])


_KNOWN: dict[str, Callable[[], Any]] = {
    "is_running_flow": lambda: "MESH_TOKEN" in os.environ,
    "flow_name": lambda: _of_task("spec")()["flow"],
    "run_id": _variable("MESH_RUN_ID"),
    "run_number": _variable("MESH_RUN", int),
    "step_name": _variable("MESH_STEP"),
    "task_id": _variable("MESH_TASK"),
    "pathspec": _pathspec,
    "attempt": _variable("MESH_ATTEMPT", int),
    "retry_count": _variable("MESH_ATTEMPT", int),
    "iteration": _variable("MESH_ITERATION", int),
    "index": _of_task("index"),
    "input": _of_task("input"),
    "parameters": lambda: Parameters(_of_task("itself")()),
    "user": lambda: _of_task("spec")()["user"],
    "username": lambda: _of_task("spec")()["user"],
    "tags": lambda: frozenset(_of_task("spec")()["tags"]),
    "tempdir": _variable("MESH_TEMPDIR"),
    "in_dir": _variable("MESH_IN"),
    "out_dir": _variable("MESH_OUT"),
    "code_dir": _variable("MESH_CODE"),
    "idempotency_key": _variable("MESH_IDEMPOTENCY_KEY"),
}


def __getattr__(name: str) -> Any:
    known = _KNOWN.get(name)
    if not known:
        raise AttributeError(
            f"there is no current.{name}; there are {', '.join(_KNOWN)}"
        )
    try:
        return known()
    except KeyError:
        pass
    raise AttributeError(f"current.{name} is known inside a task only")


def get(name: str, default: Any = None) -> Any:
    """The attribute, or the default where it is not known."""
    try:
        return __getattr__(name)
    except AttributeError:
        return default


def __dir__() -> list[str]:
    return [*_KNOWN, "get"]
