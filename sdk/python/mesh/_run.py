# SPDX-License-Identifier: Apache-2.0
"""Runs, their steps, and lists of runs."""

from __future__ import annotations

import difflib
from itertools import islice
from typing import (TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, NamedTuple, Optional,
                    Sequence, Tuple, Union, overload)

from . import _contents, _follow, _http, _plan
from ._artifact import Data, Folder, shown
from ._contents import Tree
from ._facts import RunFacts, count, typed
from ._follow import LogFilter, LogLine
from ._sse import Message
from ._tasks import Task, TaskName, Tasks, task_text
from .errors import MeshError, NotFound, RunFailed

if TYPE_CHECKING:
    from ._session import Session
    from .client import Client


class Run(RunFacts):
    """One execution of a flow: `Run("42")`, or an id, or the front of one.

    Nothing is asked before it is needed. What a run says of itself is live until it has
    ended, and asked once after that; refresh() asks again.
    """

    def __init__(self, name: Union[str, int], client: Optional[Client] = None) -> None:
        self.client = client or _default_client()
        self._name = str(name)
        self._known: Optional[Dict[str, Any]] = None
        self._whole: Optional[Dict[str, Any]] = None  # with its steps

    @classmethod
    def _listed(cls, client: Client, about: Dict[str, Any]) -> Run:
        run = cls(about["number"], client)
        run._know(about)
        return run

    @property
    def _session(self) -> Session:
        return self.client._session

    # ---- what it is ----

    def _about(self) -> Dict[str, Any]:
        return self._known or self._ask()

    def _ask(self) -> Dict[str, Any]:
        """With steps; kept when it cannot change any more."""
        if self._whole:
            return self._whole
        about = self._session.run(_plan.about_run(self._name))
        self._know(about)
        self._whole = about if _plan.is_over(about) else None
        return about

    def _know(self, about: Dict[str, Any]) -> None:
        self._known = about if _plan.is_over(about) else None

    def refresh(self) -> Run:
        self._known = self._whole = None
        self._ask()
        return self

    @property
    def origin(self) -> Optional[Run]:
        """The run that it resumed."""
        origin = self._about()["origin"]
        return Run(origin, self.client) if origin else None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """By name, of the types that the flow declares; of a secret None, of a file its
        content."""
        return self._session.run(parameters_of(self._name))

    @property
    def graph(self) -> Dict[str, Any]:
        """The flow as the node reads it: steps, scopes, edges, parameters."""
        graph: Dict[str, Any] = self._session.run(
            _plan.ask_json(_http.get("runs", self._name, "graph")))
        return graph

    @property
    def flow_text(self) -> str:
        """The flow file as it was submitted."""
        request = _http.get("runs", self._name, "flow")
        return self._session.run(_plan.ask(request)).body.decode("utf-8", "replace")

    @property
    def code(self) -> Folder:
        """The files it ran with: `run.code.save("then")`."""
        manifest = self._session.run(_contents.fetch_blob(self.package))
        return Folder(self._session, Tree.read(manifest), f"code of run {self._name}")

    def __repr__(self) -> str:
        try:
            return f"<Run {self.number or self.id} of {self.flow}: {self._summary()}>"
        except MeshError as e:
            return f"<Run {self._name}: {e.message}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    # ---- steps and tasks ----

    @property
    def steps(self) -> List[Step]:
        """In the order of the file."""
        return [Step(self, step) for step in self._ask()["steps"]]

    def step(self, name: str) -> Step:
        names = []
        for step in self._ask()["steps"]:
            if step["name"] == name:
                return Step(self, step)
            names.append(step["name"])
        near = difflib.get_close_matches(name, names, 1)
        raise NotFound(f"run {self._name} of {self.flow} has no step {name!r}",
                       f"did you mean {near[0]!r}?" if near else f"it has {', '.join(names)}")

    @overload
    def __getitem__(self, name: str) -> Any: ...

    @overload
    def __getitem__(self, name: Tuple[str, TaskName]) -> Task: ...

    def __getitem__(self, name: Union[str, Tuple[str, TaskName]]) -> Any:
        """`run["train"]` is a step, `run["train/3.1"]` or `run["train", 3, 1]` a task."""
        if isinstance(name, tuple):
            step, task = name[0], name[1:]
            return self.step(step).task(task)  # type: ignore[arg-type]
        if "/" in name:
            step_name, task_name = name.split("/", 1)
            return self.step(step_name).task(task_name)
        return self.step(name)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __contains__(self, name: str) -> bool:
        return any(step["name"] == name for step in self._ask()["steps"])

    def _ipython_key_completions_(self) -> List[str]:
        return [step["name"] for step in self._ask()["steps"]]

    @property
    def tasks(self) -> Tasks:
        """Of all steps; `run.tasks(state="failed")` those in a state."""
        return Tasks(self)

    @property
    def data(self) -> Data:
        """What the last step made."""
        end = self.graph.get("end")
        if not end:
            raise MeshError(f"{self.flow} has several last steps",
                            "name one: run['STEP'].data")
        return self.step(end).data

    # ---- what happens ----

    def events(self, since: Optional[int] = None) -> Iterator[Event]:
        """What happens from now on (`since=0`: what the node still knows, too), until
        the run has ended, also over a lost connection or a node that is started anew."""
        return self.client._events(self._name, since)

    def logs(self, step: Optional[str] = None, task: Optional[TaskName] = None,
             attempt: Optional[int] = None, stream: Optional[str] = None,
             follow: bool = False) -> Iterator[LogLine]:
        """The lines that tasks wrote: those that ended in the order of steps and splits,
        then those that run; with `follow` until the run has ended."""
        only = LogFilter(step, None if task is None else task_text(task), attempt, stream)
        return self._session.each(_follow.each_log(self._name, only, follow))

    def wait(self, timeout: Optional[float] = None, check: bool = False) -> Run:
        """Until it has ended; the run. TimeoutError after `timeout` seconds. With `check`
        RunFailed unless it went well."""
        about = self._session.run(_follow.wait(self._name, timeout))
        return self._waited(about, timeout, check)

    def _waited(self, about: Dict[str, Any], timeout: Optional[float], check: bool) -> Run:
        if not _plan.is_over(about):
            raise TimeoutError(f"run {self._name} is {about['state']} after {timeout} s")
        self._know(about)
        self._whole = about
        if check and not self.successful:
            raise failure_of(self, self._name)
        return self

    def cancel(self) -> None:
        """End it; a second time, at once."""
        self._session.run(_plan.change(self._name, "cancel"))

    def suspend(self) -> None:
        """Start no more of its tasks; what runs goes on."""
        self._session.run(_plan.change(self._name, "suspend"))

    def unsuspend(self) -> None:
        self._session.run(_plan.change(self._name, "unsuspend"))

    def tag(self, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Run:
        """Change its tags; the run, as it is then."""
        self._session.run(_plan.change_tags(self._name, add, remove))
        return self.refresh()

    def delete(self) -> None:
        """Forget it; not while it is active."""
        self._session.run(_plan.delete(self._name))

    def resume(self, step: Optional[str] = None, **options: Any) -> Run:
        """See mesh.resume()."""
        return self.client.resume(self._name, step, **options)


def failure_of(run: RunFacts, name: str) -> RunFailed:
    return RunFailed(f"run {name} of {run.flow} {run.outcome}: {run.message or 'no reason'}",
                     f"what it wrote: mesh logs {name}", run)


def parameters_of(run: str) -> _plan.Plan[Mapping[str, Any]]:
    """By name, of the types that the flow declares."""
    about = yield from _plan.about_run(run)
    graph = yield from _plan.ask_json(_http.get("runs", run, "graph"))
    declared = {p["name"]: p for p in graph["parameters"]}
    values: Dict[str, Any] = {}
    for p in about["parameters"]:
        how = declared.get(p["name"], {})
        if how.get("type") == "file" and p["value"] is not None:
            values[p["name"]] = yield from _contents.fetch_blob(p["value"])
        else:
            values[p["name"]] = typed(p["value"], how)
    return values


def _default_client() -> Client:
    from .client import default_client

    return default_client()


class Step:
    """A step of a run."""

    def __init__(self, run: Run, about: Dict[str, Any]) -> None:
        self.run = run
        self.name: str = about["name"]
        self.counts = {name: about[name] for name in
                       ("known", "done", "running", "failed", "ready", "skipped")}
        self.waits: Optional[str] = about["waits"]  # why, in a sentence

    @property
    def pathspec(self) -> str:
        return f"{self.run._name}/{self.name}"

    @property
    def tasks(self) -> Tasks:
        """In split order; `step.tasks(state="failed")` those in a state."""
        return Tasks(self.run, self.name)

    def task(self, name: TaskName = "0") -> Task:
        """By name: 3, "3.1", (3, 1); the only one of a step outside of any foreach."""
        return Task(self.run, self.name, name)

    def __getitem__(self, name: TaskName) -> Task:
        return self.task(name).refresh()

    def __iter__(self) -> Iterator[Task]:
        return iter(self.tasks)

    @property
    def data(self) -> Data:
        """The artifacts of its only task."""
        if self.counts["known"] > 1:
            raise MeshError(f"{self.pathspec} has {self.counts['known']} tasks",
                            "say which: step.tasks[0].data, or step.values('NAME')")
        return self.task().data

    def values(self, name: str, trust: bool = False) -> Iterator[Any]:
        """The artifact `name` of each task that made it, in split order. Short ones come
        many at a time."""
        for task, value in self.items(name, trust):
            yield value

    def items(self, name: str, trust: bool = False) -> Iterator[Tuple[str, Any]]:
        """As values(), each with its task's name."""
        session, user = self.run._session, self.run.client.user
        for entry in session.each(_contents.each_entry(self.run._name, self.name, name)):
            key = _contents.Name(self.run._name, self.name, entry.task, name)
            yield entry.task, shown(session, key, session.run(entry.load(key, user, trust)))

    def logs(self, **only: Any) -> Iterator[LogLine]:
        return self.run.logs(step=self.name, **only)

    def __repr__(self) -> str:
        told = ", ".join(f"{n:,} {name}" for name, n in self.counts.items()
                         if n and name != "known")
        return f"<Step {self.pathspec}: {told or 'nothing yet'}>"


class Event(NamedTuple):
    """Something that happened. `data` is all that the node says of it."""

    # run_started, run_suspended, run_unsuspended, run_numbered, task_started, log,
    # task_ended, run_ended, and gap: some are gone
    name: str
    seq: Optional[int]
    data: Dict[str, Any]

    @classmethod
    def _of(cls, message: Message) -> Event:
        return cls(*message)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.data[name]
        except KeyError:
            raise AttributeError(f"{self.name} has no {name!r}, but {', '.join(self.data)}"
                                 ) from None


class Runs:
    """Runs, the newest first, fetched as they are gone through.

    `runs[0]` is the newest; `runs[:10]` a list. len() fetches all and keeps them.
    """

    SHOWN = 10

    def __init__(self, client: Client, limit: Optional[int], filters: Dict[str, Any]) -> None:
        self._client = client
        self._limit = limit
        self._filters = filters
        self._all: Optional[List[Run]] = None  # list() asks for the length first

    def __iter__(self) -> Iterator[Run]:
        return self._first(self._limit) if self._all is None else iter(self._all)

    def _first(self, limit: Optional[int]) -> Iterator[Run]:
        client = self._client
        for page in client._session.each(_plan.each_run(limit, self._filters)):
            for about in page:
                yield Run._listed(client, about)

    def __len__(self) -> int:
        if self._all is None:
            self._all = list(self._first(self._limit))
        return len(self._all)

    def __bool__(self) -> bool:
        return any(True for _ in self._first(1))

    @overload
    def __getitem__(self, key: int) -> Run: ...

    @overload
    def __getitem__(self, key: slice) -> List[Run]: ...

    def __getitem__(self, key: Union[int, slice]) -> Union[Run, List[Run]]:
        last = key.stop if isinstance(key, slice) else key + 1
        if last is None or last <= 0:
            return list(self)[key]
        limit = last if self._limit is None else min(last, self._limit)
        return list(self._first(limit))[key]

    def __repr__(self) -> str:
        first = list(islice(self._first(self.SHOWN + 1), self.SHOWN + 1))
        lines = [repr(run) for run in first[: self.SHOWN]]
        return "\n".join(lines + ["..."] * (len(first) > self.SHOWN)) or "no runs"
