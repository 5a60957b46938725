# SPDX-License-Identifier: Apache-2.0
"""The client: what ran and runs, from Python.

    import mesh

    run = mesh.Run("42")
    run["train"].tasks[0].data.model
    for run in mesh.runs(flow="Train", tag="nightly", limit=10):
        print(run)
    run = mesh.submit("train.mf", alpha=0.3).wait()

A node is found as the command line finds it: MESH_SOCKET, MESH_ADDRESS, else the data
folder (MESH_HOME, else the user's). Where nobody listens, one is started that shows the
store, runs nothing, and ends by itself.
"""

from __future__ import annotations

import os
import pwd
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

from . import _follow, _http, _launch, _plan, _where
from ._artifact import Artifact, Folder
from ._facts import Attempt
from ._follow import LogLine
from ._run import Event, Run, Runs, Step
from ._session import Session
from ._tasks import Task
from ._where import StrPath
from .errors import MeshError, NoNode, NotFound, Refused, RunFailed, Untrusted

__all__ = [
    "Artifact", "Attempt", "Client", "Event", "Flow", "Folder", "LogLine", "MeshError",
    "NoNode", "NotFound", "Refused", "Run", "RunFailed", "Step", "Task", "Untrusted",
    "check", "events", "node", "resume", "run", "runs", "submit",
]


class Client:
    """The way to one node, or to one store. The functions of the module are those of the
    client that the environment names."""

    def __init__(self, socket: Optional[StrPath] = None, data: Optional[StrPath] = None,
                 address: Optional[str] = None) -> None:
        self._place = _where.find_place(socket, data, address)
        self._session = Session(self._place)
        self.user = current_user()  # whose pickles are read unasked

    def __repr__(self) -> str:
        return f"<Client of {self._place}>"

    # ---- what is there ----

    def get(self, name: Union[str, int]) -> Run:
        return Run(name, self)

    def runs(self, flow: Optional[str] = None, tag: Optional[str] = None,
             user: Optional[str] = None, state: Optional[str] = None,
             limit: Optional[int] = None) -> Runs:
        """Runs, the newest first. `state` is "running", "interrupted", "ended", or what
        became of those: "ok", "failed", "cancelled"."""
        return Runs(self, limit, {"flow": flow, "tag": tag, "user": user, "state": state})

    def node(self) -> Dict[str, Any]:
        """What the node says of itself and its store."""
        about: Dict[str, Any] = self._session.run(_plan.ask_json(_http.get("node")))
        return about

    def events(self, since: Optional[int] = None) -> Iterator[Event]:
        """What happens to all runs, without an end."""
        return self._events(None, since)

    def _events(self, run: Optional[str], since: Optional[int]) -> Iterator[Event]:
        if since is None:  # from this call on, not from the first event that is read
            since = int(self.node()["seq"])
        return map(Event._of, self._session.each(_follow.each_event(run, since)))

    # ---- what is to be done ----

    def submit(self, flow: StrPath, *, tags: Sequence[str] = (),
               max_workers: Optional[int] = None, on_failure: Optional[str] = None,
               parameters: Optional[Dict[str, Any]] = None, **more: Any) -> Run:
        """Hand a flow to the node that runs; parameters by name. The run, when it is kept.
        Nothing of the parameters stands on a command line."""
        order = _launch.Order(flow, tags, max_workers, on_failure, {**(parameters or {}), **more})
        return Run(_launch.submit(self._place, order), self)

    def run(self, flow: StrPath, *, tags: Sequence[str] = (),
            max_workers: Optional[int] = None, on_failure: Optional[str] = None,
            parameters: Optional[Dict[str, Any]] = None, **more: Any) -> Run:
        """Run a flow to its end, with no need of a node. The run, however it ended."""
        order = _launch.Order(flow, tags, max_workers, on_failure, {**(parameters or {}), **more})
        self._session.close()
        return Run(_launch.run(self._place, order), self)

    def resume(self, run: Union[str, int, Run], step: Optional[str] = None, *,
               code: str = "now", flow: Optional[StrPath] = None, tags: Sequence[str] = (),
               max_workers: Optional[int] = None, on_failure: Optional[str] = None,
               parameters: Optional[Dict[str, Any]] = None, **secrets: Any) -> Run:
        """Go on where a run failed, or from `step`, as a new run: with the files as they
        are now, or as they were then by `code="same"`. Secrets are given again."""
        order = _launch.Order(flow, tags, max_workers, on_failure,
                              {**(parameters or {}), **secrets})
        name = run._name if isinstance(run, Run) else str(run)
        self._session.close()
        return Run(_launch.resume(self._place, name, step, code, order), self)


class Flow:
    """The runs of one flow."""

    def __init__(self, name: str, client: Optional[Client] = None) -> None:
        self.name = name
        self._client = client or default_client()

    def runs(self, **only: Any) -> Runs:
        return self._client.runs(flow=self.name, **only)

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs())

    @property
    def latest(self) -> Optional[Run]:
        return next(iter(self.runs(limit=1)), None)

    @property
    def latest_successful(self) -> Optional[Run]:
        return next(iter(self.runs(state="ok", limit=1)), None)

    def __repr__(self) -> str:
        return f"<Flow {self.name}>"


def current_user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


_default: Tuple[Optional[_where.Place], Optional[Client]] = (None, None)


def default_client() -> Client:
    """That of the environment, as it is now."""
    global _default
    place, client = _where.find_place(), _default[1]
    if not client or _default[0] != place:
        client = Client(place.socket, place.dir, place.address)
        _default = place, client
    return client


def runs(flow: Optional[str] = None, tag: Optional[str] = None, user: Optional[str] = None,
         state: Optional[str] = None, limit: Optional[int] = None) -> Runs:
    return default_client().runs(flow, tag, user, state, limit)


def node() -> Dict[str, Any]:
    return default_client().node()


def events(since: Optional[int] = None) -> Iterator[Event]:
    return default_client().events(since)


def submit(flow: StrPath, **options: Any) -> Run:
    return default_client().submit(flow, **options)


def run(flow: StrPath, **options: Any) -> Run:
    return default_client().run(flow, **options)


def resume(run: Union[str, int, Run], step: Optional[str] = None, **options: Any) -> Run:
    return default_client().resume(run, step, **options)


def check(flow: StrPath) -> List[Dict[str, Any]]:
    """All that is wrong with a flow file, and what is worth a note; no node is asked."""
    return _launch.check(flow)


def __getattr__(name: str) -> Any:
    """`mesh.aio`, without asyncio for those who do not want it."""
    if name == "aio":
        from importlib import import_module

        return import_module("mesh.aio")
    raise AttributeError(f"module 'mesh.client' has no attribute '{name}'")


for _function in (runs, node, events, submit, run, resume):
    _function.__doc__ = getattr(Client, _function.__name__).__doc__
