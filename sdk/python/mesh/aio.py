# SPDX-License-Identifier: Apache-2.0
"""The client for asyncio: the same names, awaited.

    from mesh import aio

    run = await aio.submit("train.mf", alpha=0.3)
    async for line in run.logs(follow=True):
        print(line)
    await run.wait()
    model = await (await run.task("train", 0)).data.model
    async for run in aio.runs(flow="Train"):
        print(run.number, run.outcome)

Attributes of a run or a task are those of the moment it was last asked for:
`await run.refresh()`.
"""

from __future__ import annotations

import asyncio
import functools
from typing import (Any, AsyncIterator, Awaitable, Callable, Dict, List, Mapping, Optional,
                    Sequence, Tuple, TypeVar, Union)

from . import _contents, _follow, _http, _launch, _plan, _where
from ._async_session import AsyncSession
from ._facts import Attempt, RunFacts
from ._follow import LogFilter, LogLine
from ._run import Event, failure_of, parameters_of
from ._tasks import TaskName, check_state, task_text
from ._where import StrPath
from .client import current_user
from .errors import NotFound

__all__ = ["Client", "Event", "LogLine", "Run", "Task", "check", "events", "node", "resume",
           "run", "runs", "submit"]

T = TypeVar("T")


async def _in_thread(function: Callable[..., T], *arguments: Any) -> T:
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, functools.partial(function, *arguments))


class Client:
    """The way to one node, or to one store. Of one event loop."""

    def __init__(self, socket: Optional[StrPath] = None, data: Optional[StrPath] = None,
                 address: Optional[str] = None) -> None:
        self._place = _where.find_place(socket, data, address)
        self._session = AsyncSession(self._place)
        self.user = current_user()

    def __repr__(self) -> str:
        return f"<Client of {self._place}>"

    async def close(self) -> None:
        """Close the connections that are kept for a moment."""
        self._session.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ---- what is there ----

    async def get(self, name: Union[str, int]) -> Run:
        return await Run(name, self).refresh()

    async def runs(self, flow: Optional[str] = None, tag: Optional[str] = None,
                   user: Optional[str] = None, state: Optional[str] = None,
                   limit: Optional[int] = None) -> AsyncIterator[Run]:
        filters = {"flow": flow, "tag": tag, "user": user, "state": state}
        async for page in self._session.each(_plan.each_run(limit, filters)):
            for about in page:
                yield Run._listed(self, about)

    async def node(self) -> Dict[str, Any]:
        about: Dict[str, Any] = await self._session.run(_plan.ask_json(_http.get("node")))
        return about

    async def events(self, since: Optional[int] = None) -> AsyncIterator[Event]:
        async for message in self._session.each(_follow.each_event(None, since)):
            yield Event(*message)

    # ---- what is to be done ----

    async def submit(self, flow: StrPath, *, tags: Sequence[str] = (),
                     max_workers: Optional[int] = None, on_failure: Optional[str] = None,
                     parameters: Optional[Dict[str, Any]] = None, **more: Any) -> Run:
        order = _launch.Order(flow, tags, max_workers, on_failure, {**(parameters or {}), **more})
        return await self.get(await _in_thread(_launch.submit, self._place, order))

    async def run(self, flow: StrPath, *, tags: Sequence[str] = (),
                  max_workers: Optional[int] = None, on_failure: Optional[str] = None,
                  parameters: Optional[Dict[str, Any]] = None, **more: Any) -> Run:
        order = _launch.Order(flow, tags, max_workers, on_failure, {**(parameters or {}), **more})
        self._session.close()
        return await self.get(await _in_thread(_launch.run, self._place, order))

    async def resume(self, run: Union[str, int, Run], step: Optional[str] = None, *,
                     code: str = "now", flow: Optional[StrPath] = None,
                     tags: Sequence[str] = (), max_workers: Optional[int] = None,
                     on_failure: Optional[str] = None,
                     parameters: Optional[Dict[str, Any]] = None, **secrets: Any) -> Run:
        order = _launch.Order(flow, tags, max_workers, on_failure,
                              {**(parameters or {}), **secrets})
        name = run._name if isinstance(run, Run) else str(run)
        self._session.close()
        return await self.get(
            await _in_thread(_launch.resume, self._place, name, step, code, order))


class Run(RunFacts):
    """One execution of a flow. `await aio.Run("42")` is it, as it is now."""

    def __init__(self, name: Union[str, int], client: Optional[Client] = None) -> None:
        self.client = client or default_client()
        self._name = str(name)
        self._known: Optional[Dict[str, Any]] = None

    @classmethod
    def _listed(cls, client: Client, about: Dict[str, Any]) -> Run:
        run = cls(about["number"], client)
        run._known = about
        return run

    @property
    def _session(self) -> AsyncSession:
        return self.client._session

    def _about(self) -> Dict[str, Any]:
        if self._known is None:
            raise RuntimeError(f"nothing was asked of run {self._name} yet: await it first")
        return self._known

    async def refresh(self) -> Run:
        """Ask again."""
        self._known = await self._session.run(_plan.about_run(self._name))
        return self

    def __await__(self) -> Any:
        return self.refresh().__await__()

    def __repr__(self) -> str:
        if self._known is None:
            return f"<Run {self._name}: not awaited yet>"
        return f"<Run {self._name} of {self.flow}: {self._summary()}>"

    @property
    def origin(self) -> Optional[Run]:
        """The run that it resumed, not asked for yet."""
        origin = self._about()["origin"]
        return Run(origin, self.client) if origin else None

    async def parameters(self) -> Mapping[str, Any]:
        return await self._session.run(parameters_of(self._name))

    async def graph(self) -> Dict[str, Any]:
        graph: Dict[str, Any] = await self._session.run(
            _plan.ask_json(_http.get("runs", self._name, "graph")))
        return graph

    # ---- tasks ----

    async def steps(self) -> List[Dict[str, Any]]:
        """What the node says of each step."""
        about = await self._session.run(_plan.about_run(self._name))
        steps: List[Dict[str, Any]] = about["steps"]
        return steps

    async def tasks(self, step: Optional[str] = None,
                    state: Optional[str] = None) -> AsyncIterator[Task]:
        """In the order of steps and splits."""
        plan = _plan.each_task(self._name, step, check_state(state))
        async for page in self._session.each(plan):
            for item in page.items:
                yield Task(self, item.step, item.task, item)

    async def task(self, step: str, task: TaskName = "0") -> Task:
        return await Task(self, step, task).refresh()

    async def values(self, step: str, name: str, trust: bool = False) -> AsyncIterator[Any]:
        """The artifact `name` of each task of the step that made it, in split order."""
        async for entry in self._session.each(_contents.each_entry(self._name, step, name)):
            key = _contents.Name(self._name, step, entry.task, name)
            yield await self._session.run(entry.load(key, self.client.user, trust))

    # ---- what happens ----

    async def events(self, since: Optional[int] = None) -> AsyncIterator[Event]:
        async for message in self._session.each(_follow.each_event(self._name, since)):
            yield Event(*message)

    async def logs(self, step: Optional[str] = None, task: Optional[TaskName] = None,
                   attempt: Optional[int] = None, stream: Optional[str] = None,
                   follow: bool = False) -> AsyncIterator[LogLine]:
        only = LogFilter(step, None if task is None else task_text(task), attempt, stream)
        async for line in self._session.each(_follow.each_log(self._name, only, follow)):
            yield line

    async def wait(self, timeout: Optional[float] = None, check: bool = False) -> Run:
        about = await self._session.run(_follow.wait(self._name, timeout))
        self._known = about
        if not _plan.is_over(about):
            raise TimeoutError(f"run {self._name} is {about['state']} after {timeout} s")
        if check and not self.successful:
            raise failure_of(self, self._name)
        return self

    async def cancel(self) -> None:
        await self._session.run(_plan.change(self._name, "cancel"))

    async def suspend(self) -> None:
        await self._session.run(_plan.change(self._name, "suspend"))

    async def unsuspend(self) -> None:
        await self._session.run(_plan.change(self._name, "unsuspend"))

    async def tag(self, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Run:
        await self._session.run(_plan.change_tags(self._name, add, remove))
        return await self.refresh()

    async def delete(self) -> None:
        await self._session.run(_plan.delete(self._name))

    async def resume(self, step: Optional[str] = None, **options: Any) -> Run:
        return await self.client.resume(self, step, **options)


class Task:
    """A step done once: for one item of each foreach around it."""

    def __init__(self, run: Run, step: str, task: TaskName,
                 item: Optional[_plan.TaskItem] = None) -> None:
        self.run = run
        self.step_name = step
        self.id = task_text(task)
        self._item = item

    async def refresh(self) -> Task:
        """Ask again, for all attempts."""
        plan = _plan.one_task(self.run._name, self.step_name, self.id)
        self._item = await self.run._session.run(plan)
        return self

    def _known(self) -> _plan.TaskItem:
        if self._item is None:
            raise RuntimeError(f"nothing was asked of {self.pathspec} yet: await refresh()")
        return self._item

    @property
    def pathspec(self) -> str:
        return f"{self.run._name}/{self.step_name}/{self.id}"

    @property
    def attempts(self) -> List[Attempt]:
        """Those that are known: all of them after refresh()."""
        return [Attempt(facts) for facts in self._known().attempts]

    @property
    def state(self) -> str:
        return _plan.task_state(self._known().attempts)

    @property
    def successful(self) -> bool:
        return self.state in ("done", "adopted")

    @property
    def message(self) -> Optional[str]:
        return self.attempts[-1].message

    def __repr__(self) -> str:
        return f"<Task {self.pathspec}: {self.state if self._item else 'not asked yet'}>"

    # ---- what it made and wrote ----

    def artifact(self, name: str) -> Artifact:
        """One that it made, or that was passed on to it."""
        return Artifact(self, name)

    def __getitem__(self, name: str) -> Artifact:
        return self.artifact(name)

    @property
    def artifacts(self) -> Dict[str, Artifact]:
        """What it made itself, by name."""
        return {a["name"]: self.artifact(a["name"]) for a in self.attempts[-1].artifacts}

    @property
    def data(self) -> Data:
        """The values: `await task.data.model`."""
        return Data(self)

    async def stdout(self) -> str:
        """Of the newest attempt that has ended."""
        return await self._log("stdout")

    async def stderr(self) -> str:
        return await self._log("stderr")

    async def _log(self, stream: str) -> str:
        reply = await self.run._session.run(
            _plan.log_of(self.run._name, self.step_name, self.id, stream))
        return reply


class Artifact:
    """One artifact as a task sees it."""

    def __init__(self, task: Task, name: str) -> None:
        self.task = task
        self._name = _contents.Name(task.run._name, task.step_name, task.id, name)

    @property
    def name(self) -> str:
        return self._name.name

    @property
    def _session(self) -> AsyncSession:
        return self.task.run._session

    def __repr__(self) -> str:
        return f"<Artifact {self._name}>"

    async def about(self) -> _contents.About:
        """Its type, encoding, size and id."""
        return await self._session.run(_contents.describe(self._name))

    async def load(self, trust: bool = False) -> Any:
        """The value; of a folder a Folder. `trust` allows to unpickle what another user
        made."""
        plan = _contents.load(self._name, self.task.run.client.user, trust)
        value = await self._session.run(plan)
        if isinstance(value, _contents.Tree):
            return Folder(self._session, value, str(self._name))
        return value

    async def bytes(self) -> bytes:
        return await self._session.run(_contents.fetch(self._name))

    async def save(self, path: StrPath) -> str:
        """Write it to a file, or a folder into a new folder; the path."""
        await self._session.run(_contents.save(self._name, str(path)))
        return str(path)


class Folder:
    """The files of a folder."""

    def __init__(self, session: AsyncSession, tree: _contents.Tree, name: str) -> None:
        self._session = session
        self._name = name
        self.files = tree.files  # by path: mode, size, id
        self._tree = tree

    async def bytes(self, path: str) -> bytes:
        if path not in self.files:
            raise NotFound(f"{self._name} has no file {path!r}")
        return await self._session.run(_contents.fetch_blob(self.files[path].id))

    async def save(self, path: StrPath) -> str:
        await self._session.run(_contents.save_tree(self._tree, str(path)))
        return str(path)

    def __repr__(self) -> str:
        return f"<Folder {self._name}: {len(self.files)} files>"


class Data:
    """The artifacts of a task as attributes to be awaited."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __getattr__(self, name: str) -> Awaitable[Any]:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._task.artifact(name).load()


# ---- the client that the environment names ----

_default: Dict[Tuple[Any, _where.Place], Client] = {}


def default_client() -> Client:
    """Connections belong to a loop: each has its own."""
    key = asyncio.get_running_loop(), _where.find_place()
    if key not in _default:
        _default.clear()  # that of a loop that ended
        _default[key] = Client(key[1].socket, key[1].dir, key[1].address)
    return _default[key]


def runs(flow: Optional[str] = None, tag: Optional[str] = None, user: Optional[str] = None,
         state: Optional[str] = None, limit: Optional[int] = None) -> AsyncIterator[Run]:
    """Runs, the newest first; see mesh.runs()."""
    return default_client().runs(flow, tag, user, state, limit)


def events(since: Optional[int] = None) -> AsyncIterator[Event]:
    """What happens to all runs, without an end."""
    return default_client().events(since)


async def node() -> Dict[str, Any]:
    """What the node says of itself and its store."""
    return await default_client().node()


async def submit(flow: StrPath, **options: Any) -> Run:
    """Hand a flow to the node that runs; see mesh.submit()."""
    return await default_client().submit(flow, **options)


async def run(flow: StrPath, **options: Any) -> Run:
    """Run a flow to its end; see mesh.run()."""
    return await default_client().run(flow, **options)


async def resume(run: Union[str, int, Run], step: Optional[str] = None, **options: Any) -> Run:
    """Go on where a run failed; see mesh.resume()."""
    return await default_client().resume(run, step, **options)


async def check(flow: StrPath) -> List[Dict[str, Any]]:
    """All that is wrong with a flow file; see mesh.check()."""
    return await _in_thread(_launch.check, flow)
