# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between a program and a node, one class for each way out."""

from __future__ import annotations

from typing import Any, Dict, List, Optional

__all__ = ["MeshError", "NoNode", "NotFound", "Refused", "RunFailed", "Untrusted"]


class MeshError(Exception):
    """The base of all. `hint` tells what to do about it, where that is known."""

    def __init__(self, message: str, hint: Optional[str] = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class NoNode(MeshError, ConnectionError):
    """No node answers, and none could be started to show the store."""


class NotFound(MeshError, LookupError):
    """There is no such run, step, task, artifact or file."""


class Refused(MeshError):
    """The node, or `mesh`, understood and would not.

    `status` is the HTTP status where it was a node; `diagnostics` lists what is wrong
    with a flow file: `{severity, line, column, width, message, hint, excerpt}` each.
    """

    def __init__(
        self,
        message: str,
        hint: Optional[str] = None,
        status: Optional[int] = None,
        diagnostics: Optional[List[Dict[str, Any]]] = None,
    ) -> None:
        super().__init__(message, hint)
        self.status = status
        self.diagnostics = diagnostics or []


class Untrusted(MeshError, PermissionError):
    """To unpickle is to run code, and this was made by somebody else."""


class RunFailed(MeshError):
    """`wait(check=True)` of a run that did not end well; `run` is that run."""

    def __init__(self, message: str, hint: Optional[str], run: Any) -> None:
        super().__init__(message, hint)
        self.run = run
