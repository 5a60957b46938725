#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Dask or Ray, from inside: bench/peers.py runs this under the Python that has them.

usage: warm.py dask|ray TASKS STEPS

The first task writes ./stamp. Then, warm, come a fan-out of TASKS programs with a join
and a chain of STEPS programs; their seconds go to ./figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import SLOTS, STAMP

WARM_UP = 20


def program(argv: list[str]) -> int:
    return subprocess.run(argv, check=True).returncode


def true(_number: int) -> int:
    return program(["/bin/true"])


def link(steps_before: int) -> int:
    """A step of the chain: how long it is by now."""
    program(["/bin/true"])
    return steps_before + 1


def count(results: list[int]) -> int:
    return len(results)


def timed(work: Callable[[int], int], n: int) -> float:
    """Seconds of work, which tells how many it did."""
    started = time.monotonic()
    done = work(n)
    seconds = time.monotonic() - started
    if done != n:
        sys.exit(f"error: {done} of {n} done")
    return seconds


def measure(fan_out: Callable[[int], int], chain: Callable[[int], int],
            n: int, length: int) -> None:
    timed(fan_out, WARM_UP)
    figures = {"fan_out": timed(fan_out, n), "chain": timed(chain, length)}
    Path("figures").write_text(json.dumps(figures))


def dask(n: int, length: int, first: list[str]) -> None:
    from distributed import Client, LocalCluster

    with LocalCluster(n_workers=SLOTS, threads_per_worker=1, processes=True,
                      host="127.0.0.1", dashboard_address=None) as cluster, \
            Client(cluster) as client:

        def fan_out(width: int) -> int:
            futures = client.map(true, range(width), pure=False)
            joined: int = client.submit(count, futures, pure=False).result()
            return joined

        def chain(steps: int) -> int:
            last = client.submit(link, 0, pure=False)
            for _ in range(steps - 1):
                last = client.submit(link, last, pure=False)
            done: int = last.result()
            return done

        client.submit(program, first, pure=False).result()
        measure(fan_out, chain, n, length)


def ray(n: int, length: int, first: list[str]) -> None:
    import ray as engine

    engine.init(num_cpus=SLOTS, include_dashboard=False, _node_ip_address="127.0.0.1",
                _temp_dir=os.getcwd(), object_store_memory=100 << 20, logging_level="error")
    task, step = engine.remote(num_cpus=1)(true), engine.remote(num_cpus=1)(link)
    joining = engine.remote(num_cpus=1)(lambda *results: count(list(results)))

    def fan_out(width: int) -> int:
        joined: int = engine.get(joining.remote(*[task.remote(i) for i in range(width)]))
        return joined

    def chain(steps: int) -> int:
        last = step.remote(0)
        for _ in range(steps - 1):
            last = step.remote(last)
        done: int = engine.get(last)
        return done

    engine.get(engine.remote(num_cpus=1)(program).remote(first))
    measure(fan_out, chain, n, length)
    engine.shutdown()


if __name__ == "__main__":
    {"dask": dask, "ray": ray}[sys.argv[1]](
        int(sys.argv[2]), int(sys.argv[3]), [str(STAMP), os.path.abspath("stamp")])
