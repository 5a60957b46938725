# SPDX-License-Identifier: Apache-2.0
"""What a node says of runs and attempts, with Python's names and types."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any, Dict, List, NamedTuple, Optional, Tuple


def when(text: Optional[str]) -> Optional[datetime]:
    """RFC 3339 in UTC with microseconds, as a node writes it."""
    if not text:
        return None
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)


def span(start: Optional[datetime], end: Optional[datetime]) -> Optional[timedelta]:
    if start is None:
        return None
    return (end or datetime.now(timezone.utc)) - start


def span_text(time: Optional[timedelta]) -> str:
    """340 ms, 12.5 s, 3 min 20 s, 2 h 5 min."""
    if time is None:
        return "not started"
    seconds = time.total_seconds()
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"


def count(n: int, noun: str) -> str:
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


class Counts(NamedTuple):
    """Tasks by what became of them."""

    done: int
    running: int
    failed: int
    waiting: int
    skipped: int
    adopted: int


class RunFacts:
    """What is known of a run. `_about()` gives what the node says."""

    def _about(self) -> Dict[str, Any]:
        raise NotImplementedError

    @property
    def id(self) -> str:
        return str(self._about()["run"])

    @property
    def number(self) -> int:
        return int(self._about()["number"])

    @property
    def flow(self) -> str:
        """The flow's name."""
        return str(self._about()["flow"])

    @property
    def state(self) -> str:
        """"running", "stopping", "suspended", "interrupted" (its node ended), "ended"."""
        return str(self._about()["state"])

    @property
    def outcome(self) -> Optional[str]:
        """"ok", "failed", "cancelled"; None before the end."""
        outcome: Optional[str] = self._about()["outcome"]
        return outcome

    @property
    def finished(self) -> bool:
        return self.state == "ended"

    @property
    def successful(self) -> bool:
        return self.outcome == "ok"

    @property
    def message(self) -> Optional[str]:
        """The first failure, in a sentence."""
        message: Optional[str] = self._about()["message"]
        return message

    @property
    def user(self) -> str:
        return str(self._about()["user"])

    @property
    def tags(self) -> Tuple[str, ...]:
        return tuple(self._about()["tags"])

    @property
    def submitted(self) -> Optional[datetime]:
        return when(self._about()["submitted"])

    @property
    def started(self) -> Optional[datetime]:
        return when(self._about()["started"])

    @property
    def ended(self) -> Optional[datetime]:
        return when(self._about()["ended"])

    @property
    def duration(self) -> Optional[timedelta]:
        """Until its end, or until now."""
        about = self._about()
        return span(when(about["started"]), when(about["ended"]))

    @property
    def counts(self) -> Counts:
        tasks = self._about()["tasks"]
        return Counts(*(tasks[name] for name in Counts._fields))

    @property
    def path(self) -> str:
        """The flow file, as it was named."""
        return str(self._about()["path"])

    @property
    def package(self) -> str:
        """The id of its code."""
        return str(self._about()["package"])

    def _summary(self) -> str:
        about = self._about()
        c = self.counts
        parts = [about["outcome"] or about["state"], count(c.done + c.adopted, "task") + " done"]
        parts += [f"{n:,} {name}" for name, n in c._asdict().items()
                  if n and name in ("running", "failed", "waiting")]
        return ", ".join([*parts, span_text(self.duration)])


class Attempt:
    """One try of a task."""

    def __init__(self, facts: Dict[str, Any]) -> None:
        self.facts = facts  # all that the node says

    @property
    def number(self) -> int:
        """From 0."""
        return int(self.facts["attempt"])

    @property
    def state(self) -> str:
        """"done", "failed", "lost", "caught", "adopted", "running"."""
        return str(self.facts["verdict"])

    @property
    def reason(self) -> Optional[str]:
        """Why it ended: "ok", "exit", "signal", "oom", "timeout", ..."""
        reason: Optional[str] = self.facts.get("reason")
        return reason

    @property
    def exit_code(self) -> Optional[int]:
        code: Optional[int] = self.facts.get("exit_code")
        return code

    @property
    def signal(self) -> Optional[int]:
        """What ended it; None for none."""
        return self.facts.get("signal") or None

    @property
    def message(self) -> Optional[str]:
        message: Optional[str] = self.facts.get("message")
        return message

    @property
    def started(self) -> Optional[datetime]:
        return when(self.facts.get("started"))

    @property
    def ended(self) -> Optional[datetime]:
        return when(self.facts.get("ended"))

    @property
    def duration(self) -> Optional[timedelta]:
        return span(self.started, self.ended)

    @property
    def max_rss_bytes(self) -> Optional[int]:
        n: Optional[int] = self.facts.get("max_rss_bytes")
        return n

    @property
    def cpu_seconds(self) -> Optional[float]:
        us = self.facts.get("cpu_us")
        return None if us is None else us / 1e6

    @property
    def origin(self) -> Optional[str]:
        """The id of the run it was made in, when it was taken over from there."""
        origin: Optional[str] = self.facts.get("origin")
        return origin

    @property
    def artifacts(self) -> List[Dict[str, Any]]:
        found: List[Dict[str, Any]] = self.facts.get("artifacts", [])
        return found

    def __repr__(self) -> str:
        why = f": {self.message}" if self.message else ""
        return f"<Attempt {self.number}: {self.state}, {span_text(self.duration)}{why}>"


# ---- parameters ----


def typed(value: Optional[str], declared: Dict[str, Any]) -> Any:
    """A parameter's text as the flow declares it; None of a secret, which is not kept."""
    kind = declared.get("type", "string")
    if value is None:
        return None
    if kind == "int":
        return int(value)
    if kind == "float":
        return float(value)
    if kind == "bool":
        return value == "true"
    return json.loads(value) if kind == "json" or declared.get("separator") else value
