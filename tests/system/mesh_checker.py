#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Is a run whole? Looks at what its tasks wrote outside of the mesh and at what the
interface says, and shares no code with either side.

A trace has a line for each beginning and end of a task's script:

    begins|ends SECONDS RUN STEP TASK ATTEMPT NODE [TOKEN]

where a token is drawn anew by each execution. Each task of the step `work` puts its token
into an artifact; the step `join` lists those that came to it. Then

    missing     a task that counts never ran to its end, or there is none that counts
    mixed       what the join was given is not what counts now, or was never written
    duplicates  executions that ran to their end beyond the one that counts: allowed after
                a failure, because a pure task may run again, and counted

Exits 1 when something is missing or mixed, or there are more duplicates than allowed.
"""

import argparse
import collections
import http.client
import json
import socket
import sys
import time
from typing import Any, Dict, List, NamedTuple, Set, Tuple


class Line(NamedTuple):
    what: str
    time: float
    run: str
    step: str
    task: str
    attempt: int
    node: str
    token: str


class Connection(http.client.HTTPConnection):
    """HTTP over the user's socket."""

    def __init__(self, path: str) -> None:
        super().__init__("mesh", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def ask(path: str, target: str) -> Any:
    return json.loads(read(path, target))


def read(path: str, target: str) -> str:
    for attempt in range(30):
        connection = Connection(path)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            body = answer.read()
            if answer.status == 200:
                return body.decode()
            why = f"{answer.status} {body[:200]!r}"
        except OSError as error:
            why = str(error)
        finally:
            connection.close()
        time.sleep(0.2)  # between two looks; a leader may just be elected
    sys.exit(f"GET {target}: {why}")


def read_trace(path: str, run: str) -> List[Line]:
    lines = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            words = text.split()
            if len(words) not in (7, 8):
                sys.exit(f"{path}:{number}: not a line of a trace: {text!r}")
            line = Line(words[0], float(words[1]), words[2], words[3], words[4],
                        int(words[5]), words[6], words[7] if len(words) == 8 else "")
            if line.run == run:
                lines.append(line)
    return lines


def attempts_of(path: str, run: str) -> List[Dict[str, Any]]:
    attempts: List[Dict[str, Any]] = []
    after = ""
    while True:
        page = ask(path, f"/v1/runs/{run}/tasks?step=work&limit=1000{after}")
        attempts += page["attempts"]
        if not page.get("after"):
            return attempts
        after = "&after=" + page["after"]


def tokens_of(path: str, run: str, step: str, name: str) -> Dict[str, str]:
    """What counts now: the artifact of this name of each task of the step."""
    lines = read(path, f"/v1/runs/{run}/artifacts?step={step}&name={name}&inline=65536"
                       "&limit=1000000").splitlines()
    return {str(task["task"]): str(task["artifacts"][0]["value"])
            for task in map(json.loads, lines)}


def joined(path: str, run: str) -> List[str]:
    text = read(path, f"/v1/runs/{run}/artifacts/join/0/all")
    return [str(json.loads(line)["artifacts"]["token"]["value"])
            for line in text.splitlines() if line.strip()]


def check(arguments: argparse.Namespace) -> Tuple[List[str], Dict[str, int]]:
    wrong: List[str] = []
    about = ask(arguments.socket, f"/v1/runs/{arguments.run}")
    run = about["run"]
    if about["state"] != "ended" or about.get("outcome") != "ok":
        failures = (about.get("summary") or {}).get("failures")
        return [f"the run is {about['state']} {about.get('outcome')}: {failures}"], {}
    trace = read_trace(arguments.trace, run)
    ended: Dict[str, Set[str]] = collections.defaultdict(set)
    begun: Dict[str, int] = collections.Counter()
    for line in trace:
        if line.step == "work" and line.what == "ends":
            ended[line.task].add(line.token)
        elif line.step == "work":
            begun[line.task] += 1

    done = collections.Counter(
        str(a["task"]) for a in attempts_of(arguments.socket, run) if a["verdict"] == "done")
    tokens = tokens_of(arguments.socket, run, "work", "token")
    for i in range(arguments.tasks):
        task = str(i)
        if done[task] != 1:
            wrong.append(f"missing: work/{task} counts {done[task]} times")
        elif tokens.get(task) not in ended[task]:
            wrong.append(f"missing: work/{task} says {tokens.get(task)}, which never ended")
    for task in set(done) - {str(i) for i in range(arguments.tasks)}:
        wrong.append(f"there is a task work/{task}")

    came = joined(arguments.socket, run)
    if collections.Counter(came) != collections.Counter(tokens.values()):
        for token in sorted(set(came) ^ set(tokens.values())):
            wrong.append(f"mixed: {token} was joined or counts, not both")
        if len(came) != len(set(came)):
            wrong.append("mixed: a task was joined twice")
    duplicates = sum(len(t) - 1 for t in ended.values() if t)
    if duplicates > arguments.duplicates:
        wrong.append(f"{duplicates} tasks ran to their end more than once, "
                     f"{arguments.duplicates} allowed")
    return wrong, {"executions": sum(begun.values()), "duplicates": duplicates,
                   "nodes": len({line.node for line in trace})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--trace", required=True)
    parser.add_argument("--tasks", type=int, required=True, help="how many of step work")
    parser.add_argument("--duplicates", type=int, default=1 << 30, help="how many may be")
    wrong, counts = check(parser.parse_args())
    print(json.dumps(counts))
    for line in wrong[:50]:
        print(line, file=sys.stderr)
    sys.exit(bool(wrong))


main()
