# SPDX-License-Identifier: Apache-2.0
"""mesh - steps in Python, and a client of the node.

In a step:      from mesh import current
Anywhere else:  import mesh; mesh.Run("42")["train"].data.model

Nothing is imported before it is asked for, because every Python step pays for it: that
is also why modules that each step imports have their annotations as texts. The import of
__future__ takes a fiftieth of the time of a small step.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mesh import aio as aio, current as current
    from mesh.client import *
    from types import ModuleType
    from typing import Any, List

    from mesh import aio as aio
    from mesh import current as current
    from mesh._codec import UnserializableArtifact as UnserializableArtifact
    from mesh._errors import MergeArtifactsException as MergeArtifactsException
    from mesh._errors import (
        MissingInMergeArtifactsException as MissingInMergeArtifactsException,
    )
    from mesh._errors import (
        UnhandledInMergeArtifactsException as UnhandledInMergeArtifactsException,
    )
    from mesh._inputs import StepInput as StepInput
    from mesh._inputs import StepInputs as StepInputs
    from mesh._self import StepSelf as StepSelf
    from mesh.client import *

__version__ = "0.1.0"

_MODULES = ("aio", "client", "current", "errors")
# What steps use; every other name is the client's.
_HOMES = {
    "StepSelf": "_self",
    "StepInput": "_inputs",
    "StepInputs": "_inputs",
    "MergeArtifactsException": "_errors",
    "MissingInMergeArtifactsException": "_errors",
    "UnhandledInMergeArtifactsException": "_errors",
    "UnserializableArtifact": "_codec",
}


def _module(name: str) -> "ModuleType":
    from sys import modules

    __import__(f"mesh.{name}")
    return modules[f"mesh.{name}"]


def __getattr__(name: str) -> "Any":
    if name in _MODULES:
        return _module(name)
    if name.startswith("_"):  # a module of this package, or nothing
        raise AttributeError(f"module 'mesh' has no attribute '{name}'")
    value = getattr(_module(_HOMES.get(name, "client")), name, _HOMES)
    if value is _HOMES:
        raise AttributeError(f"module 'mesh' has no attribute '{name}'")
    globals()[name] = value
    return value


def __dir__() -> "List[str]":
    return sorted([*_HOMES, *_MODULES, *_module("client").__all__, "__version__"])
