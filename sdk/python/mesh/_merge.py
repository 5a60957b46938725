# SPDX-License-Identifier: Apache-2.0
"""merge_artifacts: what a join takes over from its inputs, without reading it."""

from __future__ import annotations

from mesh import _json
from mesh._errors import (
    MergeArtifactsException,
    MissingInMergeArtifactsException,
    UnhandledInMergeArtifactsException,
)
from mesh._inputs import StepInputs
from mesh._task import Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable, Optional


def _names(given: Optional[Iterable[str]], what: str) -> set[str]:
    if isinstance(given, str):
        raise MergeArtifactsException(f"{what} is a list of names: [{given!r}]")
    return set(given or ())


def _by_name(task: Task) -> dict[str, dict[str, str]]:
    """Of each name the ids that it has among the inputs, and where to read each."""
    text = task.read("/v1/task/inputs?passed=1", "the inputs") or b""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        told = _json.load(line.decode())
        for name, artifact in {**told["passed"], **told["artifacts"]}.items():
            targets = found.setdefault(name, {})
            if artifact["id"] not in targets:
                targets[artifact["id"]] = Task.target(name, told["step"], told["index"])
    return found


def merge(
    task: Task,
    own: dict[str, Any],
    inputs: object,
    exclude: Optional[Iterable[str]],
    include: Optional[Iterable[str]],
) -> dict[str, str]:
    """Where to read each artifact that is taken over."""
    excluded, included = _names(exclude, "exclude"), _names(include, "include")
    if not isinstance(inputs, StepInputs):
        raise MergeArtifactsException("merge_artifacts wants the inputs of a join")
    if excluded and included:
        raise MergeArtifactsException("exclude and include cannot be used together")
    found = _by_name(task)
    missing = sorted(name for name in included if name not in found and name not in own)
    if missing:
        raise MissingInMergeArtifactsException(
            f"no input has {', '.join(missing)}, which 'include' names", missing
        )
    wanted = included or set(found) - excluded
    wanted = {name for name in wanted if name in found and name not in own}
    differing = sorted(name for name in wanted if len(found[name]) > 1)
    if differing:
        raise UnhandledInMergeArtifactsException(
            f"the inputs differ in {', '.join(differing)}: set them before "
            "merge_artifacts, or exclude them",
            differing,
        )
    return {name: next(iter(found[name].values())) for name in sorted(wanted)}
