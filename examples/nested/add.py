# SPDX-License-Identifier: Apache-2.0
"""The sum of an artifact over all tasks that this join closes."""

import json
import os
import subprocess
from typing import Any, Dict


def lines(made: Dict[str, Any]) -> int:
    command = ["mesh", "artifact", "get", "lines", "--from", made["step"]]
    return int(subprocess.check_output(command + ["--index", str(made["index"])]))


def main() -> None:
    inputs = subprocess.check_output(["mesh", "inputs"]).splitlines()
    total = sum(lines(json.loads(line)) for line in inputs)
    with open(os.path.join(os.environ["MESH_OUT"], "lines"), "w", encoding="ascii") as out:
        print(total, file=out)
    print(f"{len(inputs)} inputs, {total} lines")


if __name__ == "__main__":
    main()
