# SPDX-License-Identifier: Apache-2.0
"""What merge_artifacts raises, under the names that it has in Metaflow."""

from __future__ import annotations


class MergeArtifactsException(Exception):
    """merge_artifacts was called where, or in a way, that makes no sense."""


class UnhandledInMergeArtifactsException(MergeArtifactsException):
    """Branches disagree about artifacts that the step has not set itself."""

    def __init__(self, message: str, artifact_names: list[str]) -> None:
        super().__init__(message)
        self.artifact_names = artifact_names


class MissingInMergeArtifactsException(MergeArtifactsException):
    """`include` names artifacts that no branch has."""

    def __init__(self, message: str, artifact_names: list[str]) -> None:
        super().__init__(message)
        self.artifact_names = artifact_names
