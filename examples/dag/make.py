#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes dag.mf: a thousand distinct steps in one general graph.

Each step names the steps it needs, as a build tool would. The graph is no tree and has
no layers: a step may need any steps before it, near or far. The same seed gives the same
file, so that the tests can tell that the committed one is this program's.

Every step appends its name to the file of the parameter `order`, if it has one, and does
nothing else: by it the tests check that no step ran before one it needs.
"""

import argparse
import random
import sys
from typing import Dict, List, TextIO


def needs(step: int, source: random.Random) -> List[int]:
    """Up to three steps before this one: two near, one from anywhere."""
    if step == 0:
        return []
    near = [max(0, step - 1 - int(source.expovariate(0.1))) for _ in range(2)]
    far = [source.randrange(step)] if source.random() < 0.3 else []
    return sorted(set(near + far))


def graph(steps: int, seed: int) -> Dict[str, List[str]]:
    source = random.Random(seed)
    return {
        f"s{step:04}": [f"s{other:04}" for other in needs(step, source)]
        for step in range(steps)
    }


def write(edges: Dict[str, List[str]], out: TextIO) -> None:
    out.write("# SPDX-License-Identifier: Apache-2.0\n")
    out.write("# Made by make.py.\n")
    out.write("mesh: 1\nflow: Dag\n")
    out.write('parameters:\n  order: {type: string, default: /dev/null}\nsteps:\n')
    for step, needed in edges.items():
        out.write(f"  {step}:\n    run: ")
        out.write('echo "$MESH_STEP" >>"$MESH_PARAM_ORDER"\n')
        if needed:
            out.write(f"    needs: [{', '.join(needed)}]\n")


def check(edges: Dict[str, List[str]], order: TextIO) -> int:
    """Whether the order of the file is one that the graph allows."""
    place: Dict[str, int] = {}
    for line_number, line in enumerate(order):
        name = line.strip()
        if name in place:
            print(f"{name} ran twice")
            return 1
        place[name] = line_number
    for step, needed in edges.items():
        if step not in place:
            print(f"{step} did not run")
            return 1
        for other in needed:
            if place[other] > place[step]:
                print(f"{step} ran before {other}, which it needs")
                return 1
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--check", metavar="ORDER", help="check this order of a run")
    options = parser.parse_args()
    edges = graph(options.steps, options.seed)
    if options.check:
        with open(options.check, encoding="utf-8") as order:
            return check(edges, order)
    write(edges, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
