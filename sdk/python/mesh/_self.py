# SPDX-License-Identifier: Apache-2.0
"""The `self` of a step: its attributes are the parameters and the artifacts."""

from mesh._task import Loaded, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, NoReturn, Optional

    from mesh._inputs import StepInputs

_NAME_BYTES_MAX = 255


class Notes:
    """What is known of the attributes: `loaded` those that were read and not set since,
    `merged` those that merge_artifacts took as they are, `is_over` that the step ended.
    """

    def __init__(self) -> None:
        self.loaded: "dict[str, Loaded]" = {}
        self.merged: "dict[str, str]" = {}
        self.deleted: "set[str]" = set()
        self.is_over = False


class StepSelf:
    """Reading an attribute asks the node, once; setting one makes an artifact, which is
    kept when the step ends well. Parameters can be read only."""

    __slots__ = ("__dict__", "_mesh_notes", "_mesh_task")
    _mesh_notes: "Notes"
    _mesh_task: "Task"

    def __init__(self, task: "Task") -> None:
        object.__setattr__(self, "_mesh_task", task)
        object.__setattr__(self, "_mesh_notes", Notes())

    # ---- attributes ----

    def __getattr__(self, name: str) -> "Any":
        task, notes = self._mesh_task, self._mesh_notes
        if name[:2] == name[-2:] == "__":
            raise AttributeError(name)
        if task.has_parameter(name):
            return task.parameter(name)
        is_there = name not in notes.deleted
        loaded = task.artifact(name, self._mesh_target(name)) if is_there else None
        if loaded:
            self.__dict__[name] = loaded.value
            notes.loaded[name] = loaded
            return loaded.value
        try:
            return task.parameter(name)
        except AttributeError:
            pass
        raise AttributeError(
            f"self has no '{name}' in step '{task.step}': it is no parameter, and no "
            "artifact that this task made or was passed"
        )

    def _mesh_target(self, name: str) -> str:
        return self._mesh_notes.merged.get(name) or Task.target(name)

    def __setattr__(self, name: str, value: object) -> None:
        self._check_name(name)
        self._mesh_notes.loaded.pop(name, None)
        self._mesh_notes.merged.pop(name, None)
        self.__dict__[name] = value

    def __delattr__(self, name: str) -> None:
        self._check_name(name)
        getattr(self, name)
        self._mesh_notes.loaded.pop(name, None)
        self._mesh_notes.merged.pop(name, None)
        self._mesh_notes.deleted.add(name)
        del self.__dict__[name]

    def _check_name(self, name: str) -> None:
        if self._mesh_notes.is_over:
            raise AttributeError(
                f"self.{name} is set when the step has ended, too late to be kept"
            )
        if hasattr(StepSelf, name):
            raise AttributeError(f"self.{name} is mesh's own: choose another name")
        if self._mesh_task.has_parameter(name):
            raise AttributeError(f"self.{name} is a parameter: it cannot be changed")
        n_bytes = len(name.encode("utf-8", "surrogatepass"))
        if not name or name[0] == "." or "/" in name or "\0" in name:
            raise AttributeError(f"{name!r} cannot be the name of an artifact")
        if n_bytes > _NAME_BYTES_MAX:
            raise AttributeError(
                f"'{name[:40]}…' is too long for the name of an artifact: {n_bytes} "
                f"bytes, and {_NAME_BYTES_MAX} are allowed"
            )

    def __dir__(self) -> "list[str]":
        ours = [name for name in dir(StepSelf) if not name.startswith("_")]
        names = self._mesh_task.spec["parameters"]
        return [*self.__dict__, *(name.replace("-", "_") for name in names), *ours]

    def __repr__(self) -> str:
        task = self._mesh_task
        return f"<self of step '{task.step}' of flow {task.spec['flow']}>"

    def __reduce__(self) -> "NoReturn":
        raise TypeError("self cannot be pickled: pass on the values that are needed")

    # ---- foreach and join ----

    @property
    def input(self) -> "Any":
        """The item of the innermost foreach; None outside of any."""
        return self._mesh_task.input

    @property
    def index(self) -> "Optional[int]":
        """The number of that item, from 0; None outside of any foreach."""
        return self._mesh_task.index

    def foreach_stack(self) -> "list[tuple[int, int, Any]]":
        """(index, number of items, item) of each foreach around, outermost first."""
        return self._mesh_task.foreach_stack()

    def merge_artifacts(
        self,
        inputs: "StepInputs",
        exclude: "Optional[Iterable[str]]" = None,
        include: "Optional[Iterable[str]]" = None,
    ) -> None:
        """Take over what all inputs agree about and this step has not set. Those that
        differ are an error, unless they are excluded."""
        from mesh import _merge

        taken = _merge.merge(self._mesh_task, self.__dict__, inputs, exclude, include)
        self._mesh_notes.merged.update(taken)

    def next(self, *args: object, **kwargs: object) -> "NoReturn":
        raise AttributeError(
            "self.next() is not needed: the flow file says what comes next. For a "
            "foreach set the artifact that it names, for a switch the one of its 'by'"
        )
