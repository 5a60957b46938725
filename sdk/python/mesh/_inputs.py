# SPDX-License-Identifier: Apache-2.0
"""`inputs`: what a join sees of the tasks that it joins, in split order."""

from __future__ import annotations

from mesh import _json
from mesh._task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Optional, Union

_UNSET: Any = object()


class StepInput:
    """One task before the join. Its artifacts are its attributes. `step`, `task`,
    `attempt` and `ok` (false: it failed, and that was caught) are too, unless it has
    artifacts of these names."""

    __slots__ = ("__dict__", "_mesh_task", "_mesh_told")
    _mesh_task: Task
    _mesh_told: dict[str, Any]

    def __init__(self, task: Task, told: dict[str, Any]) -> None:
        object.__setattr__(self, "_mesh_task", task)
        object.__setattr__(self, "_mesh_told", told)

    @property
    def index(self) -> Optional[int]:
        """Which item of the foreach; None for a branch."""
        index: Optional[int] = self._mesh_told["index"]
        return index

    def __getattr__(self, name: str) -> Any:
        value = self._find(name)
        if value is _UNSET:
            raise AttributeError(f"{self!r} has no artifact '{name}'")
        self.__dict__[name] = value
        return value

    def _find(self, name: str) -> Any:
        own = self._mesh_told["artifacts"].get(name)
        if own and "value" in own:
            return own["value"]
        if own is None and name in ("step", "task", "attempt", "ok"):
            return self._mesh_told[name]
        if name[:2] == name[-2:] == "__":
            return _UNSET
        target = Task.target(name, self._mesh_told["step"], self._mesh_told["index"])
        loaded = self._mesh_task.artifact(name, target)
        return loaded.value if loaded else _UNSET

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"inputs are as they are: set self.{name} instead")

    def __dir__(self) -> list[str]:
        return ["index", "step", "task", "attempt", "ok", *self._mesh_told["artifacts"]]

    def __repr__(self) -> str:
        return f"<input {self._mesh_told['step']}/{self._mesh_told['task']}>"


class StepInputs:
    """All of them: iterate, `inputs[3]`, `len(inputs)`, and `inputs.fit_a` by the name
    of the step where one task of it is joined."""

    def __init__(self, task: Task) -> None:
        text = task.read("/v1/task/inputs", "the inputs") or b""
        self._mesh_task = task
        # A line becomes an input when it is asked for: there may be very many.
        self._mesh_inputs: list[Any] = text.splitlines()

    def _at(self, i: int) -> StepInput:
        found = self._mesh_inputs[i]
        if type(found) is bytes:
            found = StepInput(self._mesh_task, _json.load(found.decode()))
            self._mesh_inputs[i] = found
        one: StepInput = found
        return one

    def __len__(self) -> int:
        return len(self._mesh_inputs)

    def __getitem__(self, which: Union[int, slice]) -> Any:
        if isinstance(which, slice):
            return [self._at(i) for i in range(*which.indices(len(self)))]
        try:
            return self._at(which)
        except IndexError:
            raise IndexError(f"inputs[{which}] of {len(self)} inputs") from None

    def __iter__(self) -> Iterator[StepInput]:
        return map(self._at, range(len(self)))

    def __reversed__(self) -> Iterator[StepInput]:
        return map(self._at, reversed(range(len(self))))

    def __getattr__(self, name: str) -> StepInput:
        found = [one for one in self if one._mesh_told["step"] == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise AttributeError(
                f"{len(found)} tasks of step '{name}' are joined: they are inputs[0] "
                "and so on, or go over inputs"
            )
        names = dict.fromkeys(one._mesh_told["step"] for one in self)
        raise AttributeError(
            f"no step '{name}' is joined here, but {', '.join(names) or 'nothing'}"
        )

    def __repr__(self) -> str:
        return f"<{len(self)} inputs>"
