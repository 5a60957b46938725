# SPDX-License-Identifier: Apache-2.0
"""Adds up what the tasks before counted: `mesh inputs` has a line for each of them."""

import collections
import json
import os
import subprocess
from typing import Counter


def counts_of(line: bytes) -> Counter[str]:
    made = json.loads(line)
    artifact = made["artifacts"]["counts"]
    if "value" in artifact:  # short JSON comes along
        return collections.Counter(artifact["value"])
    command = ["mesh", "artifact", "get", "counts", "--from", made["step"]]
    command += ["--index", str(made["index"])]
    return collections.Counter(json.loads(subprocess.check_output(command)))


def main() -> None:
    total: Counter[str] = collections.Counter()
    n_files = 0
    with subprocess.Popen(["mesh", "inputs"], stdout=subprocess.PIPE) as inputs:
        assert inputs.stdout
        for line in inputs.stdout:
            total.update(counts_of(line))
            n_files += 1
    if inputs.returncode:
        raise SystemExit("mesh inputs failed")
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))
    top = ranked[: int(os.environ["MESH_PARAM_TOP"])]
    with open(os.path.join(os.environ["MESH_OUT"], "words"), "w", encoding="ascii") as out:
        out.writelines(f"{word}\t{count}\n" for word, count in top)
    print(f"{n_files} files, {sum(total.values())} words, {len(total)} different")


if __name__ == "__main__":
    main()
