# SPDX-License-Identifier: Apache-2.0
"""Tasks of a run and lists of them."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import (TYPE_CHECKING, Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union,
                    overload)

from . import _contents, _plan
from ._artifact import Artifact, Artifacts, Data, shown
from ._facts import Attempt, span_text
from ._follow import LogLine
from .errors import MeshError, NotFound

if TYPE_CHECKING:
    from ._run import Run

STATES = ("running", "done", "failed", "caught", "adopted")
TaskName = Union[str, int, Tuple[int, ...]]


def task_text(name: TaskName) -> str:
    """3 -> "3", (3, 1) -> "3.1"."""
    return ".".join(map(str, name)) if isinstance(name, tuple) else str(name)


def check_state(state: Optional[str]) -> Optional[str]:
    if state not in (None, *STATES):
        raise ValueError(f"state is one of {', '.join(STATES)}, not {state!r}")
    return state


class Task:
    """A step done once: for one item of each foreach around it."""

    def __init__(self, run: Run, step: str, task: TaskName,
                 item: Optional[_plan.TaskItem] = None, page: Optional[_Page] = None) -> None:
        self.run = run
        self.step_name = step
        self.id = task_text(task)
        self._item = item
        self._page = page

    # ---- what it is ----

    @property
    def pathspec(self) -> str:
        """RUN/STEP/TASK, as the command line takes it."""
        return f"{self.run._name}/{self.step_name}/{self.id}"

    @property
    def index(self) -> Tuple[int, ...]:
        """Which item of each foreach around it, outermost first; outside of any, (0,)."""
        return tuple(map(int, self.id.partition("~")[0].split(".")))

    def refresh(self) -> Task:
        """Ask again; a task that runs changes."""
        self._item = self.run._session.run(
            _plan.one_task(self.run._name, self.step_name, self.id))
        return self

    def _whole(self) -> _plan.TaskItem:
        if self._item is None or not self._item.is_whole:
            self.refresh()
        assert self._item
        return self._item

    @property
    def attempts(self) -> List[Attempt]:
        """All tries, the first one first."""
        return [Attempt(facts) for facts in self._whole().attempts]

    @property
    def _last(self) -> Attempt:
        if self._item is None:
            self.refresh()
        assert self._item
        return Attempt(self._item.attempts[-1])

    @property
    def state(self) -> str:
        """"running", "done", "failed", "caught" (it failed and `catch` went on),
        "adopted" (taken over from another run)."""
        if self._item is None:
            self.refresh()
        assert self._item
        return _plan.task_state(self._item.attempts)

    @property
    def finished(self) -> bool:
        return self.state != "running"

    @property
    def successful(self) -> bool:
        return self.state in ("done", "adopted")

    @property
    def reason(self) -> Optional[str]:
        return self._last.reason

    @property
    def message(self) -> Optional[str]:
        return self._last.message

    @property
    def exit_code(self) -> Optional[int]:
        return self._last.exit_code

    @property
    def started(self) -> Optional[datetime]:
        return self._whole_attempt(0).started

    @property
    def ended(self) -> Optional[datetime]:
        return self._last.ended

    @property
    def duration(self) -> Optional[timedelta]:
        """Of the last attempt."""
        return self._last.duration

    def _whole_attempt(self, i: int) -> Attempt:
        return Attempt(self._whole().attempts[i])

    def __repr__(self) -> str:
        try:
            about = f"{self.state}, {span_text(self.duration)}"
            about += f": {self.message}" if self.message else ""
        except MeshError as e:
            about = e.message
        return f"<Task {self.pathspec}: {about}>"

    # ---- what it made ----

    @property
    def artifacts(self) -> Artifacts:
        """What it made itself, by name."""
        return Artifacts(self)

    def artifact(self, name: str) -> Artifact:
        """One that it made, or that was passed on to it."""
        return Artifact(self, name)

    def __getitem__(self, name: str) -> Artifact:
        return self.artifact(name)

    def __iter__(self) -> Iterator[Artifact]:
        return iter(self.artifacts.values())

    @property
    def data(self) -> Data:
        """The values: `task.data.model`."""
        return Data(self)

    def _value(self, name: str) -> Any:
        entry = self._page.entry(self, name) if self._page else None
        if entry:
            key = _contents.Name(self.run._name, self.step_name, self.id, name)
            value = self.run._session.run(entry.load(key, self.run.client.user, False))
            return shown(self.run._session, key, value)
        return self.artifact(name).data

    # ---- what it wrote ----

    @property
    def stdout(self) -> str:
        """Of the newest attempt that has ended."""
        return self._log("stdout")

    @property
    def stderr(self) -> str:
        return self._log("stderr")

    def _log(self, stream: str) -> str:
        return self.run._session.run(
            _plan.log_of(self.run._name, self.step_name, self.id, stream))

    def logs(self, follow: bool = False, stream: Optional[str] = None,
             attempt: Optional[int] = None) -> Iterator[LogLine]:
        """The lines it wrote, of all attempts."""
        return self.run.logs(step=self.step_name, task=self.id, attempt=attempt,
                             stream=stream, follow=follow)


class _Page:
    """Tasks that were listed together, so that what is asked of each of them in turn is
    fetched for all at once."""

    ALONE = 2  # so many are asked one by one before

    def __init__(self, run: Run, page: _plan.TaskPage) -> None:
        self._run = run
        self._page = page
        self._asked: Dict[Tuple[str, str], int] = {}
        self._entries: Dict[Tuple[str, str, str], _contents.Entry] = {}

    def entry(self, task: Task, name: str) -> Optional[_contents.Entry]:
        step = task.step_name
        self._asked[step, name] = self._asked.get((step, name), 0) + 1
        if self._asked[step, name] == self.ALONE + 1:
            self._fetch(step, name)
        return self._entries.pop((step, task.id, name), None)

    def _fetch(self, step: str, name: str) -> None:
        tasks = [item.task for item in self._page.items if item.step == step]
        after = self._page.after
        plan = _contents.each_entry(
            self._run._name, step, name, limit=len(tasks), inline=_contents.NEAR_BYTES,
            after=after if after and after.startswith(f"{step}/") else None)
        for entry in self._run._session.each(plan):
            self._entries[step, entry.task, name] = entry


class Tasks(Sequence[Task]):
    """Tasks in the order of steps and splits, fetched as they are gone through.

    `tasks[0]`, `tasks[-1]`, `tasks[2:5]` go by place in the list; `tasks["3.1"]` and
    `tasks[3, 1]` name a task of a step; `tasks(state="failed")` are those in a state.
    len() fetches all and keeps them.
    """

    def __init__(self, run: Run, step: Optional[str] = None,
                 state: Optional[str] = None) -> None:
        self._run = run
        self._step = step
        self._state = check_state(state)
        self._all: Optional[List[Task]] = None  # list() asks for the length first

    def __call__(self, state: Optional[str] = None) -> Tasks:
        return Tasks(self._run, self._step, state)

    def __iter__(self) -> Iterator[Task]:
        return self._fetch() if self._all is None else iter(self._all)

    def _fetch(self) -> Iterator[Task]:
        plan = _plan.each_task(self._run._name, self._step, self._state)
        for listed in self._run._session.each(plan):
            page = _Page(self._run, listed) if listed.is_ended else None
            for item in listed.items:
                yield Task(self._run, item.step, item.task, item, page)

    def __len__(self) -> int:
        if self._all is None:
            self._all = list(self._fetch())
        return len(self._all)

    def __bool__(self) -> bool:
        return any(True for _ in iter(self))

    @overload
    def __getitem__(self, key: Union[int, str, Tuple[int, ...]]) -> Task: ...

    @overload
    def __getitem__(self, key: slice) -> List[Task]: ...

    def __getitem__(self, key: Union[int, str, Tuple[int, ...], slice]) -> Union[Task, List[Task]]:
        if isinstance(key, (str, tuple)):
            return self._named(key)
        if isinstance(key, slice):
            if min(key.start or 0, key.stop or 0, key.step or 1) < 0:
                return list(self)[key]
            return list(islice(self, key.start, key.stop, key.step))
        if key < 0:
            return list(self)[key]
        for task in islice(self, key, None):
            return task
        raise IndexError(f"there is no task at place {key}")

    def _named(self, key: Union[str, Tuple[int, ...]]) -> Task:
        step, task = self._step, key
        if not step and isinstance(key, str) and "/" in key:
            step, task = key.split("/", 1)
        if not step:
            raise NotFound("which step's task?", "write tasks['STEP/TASK']")
        return Task(self._run, step, task).refresh()

    def __repr__(self) -> str:
        first = list(islice(self, 4))
        more = ", ..." if len(first) == 4 else ""
        return f"[{', '.join(map(repr, first[:3]))}{more}]"
