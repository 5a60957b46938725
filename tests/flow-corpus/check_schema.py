#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The published schema against the checker: what it refuses the checker must refuse.

Runs over the corpus, over the examples of the documents, and over mutations of the good
files: a key taken away, added, or given a value of another type.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import yaml  # type: ignore[import]

Path_ = list[str | int]

# What a mutation puts in the place of a value.
STRANGERS: list[Any] = [
    None, True, False, 0, 1, -1, 5, 300, 2**40, 0.5, -0.5, 1e300, "", " ", "x", "start",
    "a b", "5", "5s", "5 s", "16G", "/abs", "../up", "a/../b", "$HOME", "${{ params.x }}",
    "file:///x", "s3://b/k", "bash", "stop",
    "a.py:f", "a/b.py:f", ".py:f", "a.py:1", "../a.py:f", "a.py:größe\U0001f600", [], [[]], ["start"], ["x", "x"], [1], {},
    {"x": 1}, {"x": "y"}, {"range": 2}, {"items": []}, {"by": "v", "cases": {"a": "end"}},
]
KEYS = [
    "mesh", "flow", "steps", "start", "end", "run", "next", "needs", "join", "foreach",
    "switch", "inputs", "outputs", "resources", "retry", "timeout", "catch", "merge",
    "effect", "concurrency", "priority", "tags", "environment", "shell", "workdir",
    "python", "warm", "cache", "image", "gang", "type", "default", "choices", "min", "max",
    "secret", "required", "times", "delay", "when", "lost", "exit_codes", "items", "range",
    "glob", "matrix", "by", "cases", "max_iterations", "cpu", "memory", "custom", "from",
    "as", "url", "include", "exclude", "success", "error", "data", "MESH_X", "a-b", "zzz",
]


class CoreLoader(yaml.SafeLoader):
    """YAML 1.2's core schema; keys are texts, as the checker has them."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        if not all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            raise ValueError("a key is no text")
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


def _core(tag: str, pattern: str, first: str) -> None:
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_core("null", r"^(?:null|Null|NULL|~|)$", "nN~")
CoreLoader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
_core("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF")
_core("int", r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789")
_core("float", r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
      r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+.0123456789")


def _integer(loader: CoreLoader, node: yaml.ScalarNode) -> int:
    text = node.value
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(loader: CoreLoader, node: yaml.ScalarNode) -> float:
    return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))


CoreLoader.add_constructor("tag:yaml.org,2002:int", _integer)
CoreLoader.add_constructor("tag:yaml.org,2002:float", _float)


def load(data: bytes) -> Any:
    """The value of a file; raises ValueError if it is no document."""
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip(" \t\r\n").startswith("{"):
            return json.loads(text)
        return yaml.load(text, Loader=CoreLoader)
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def check(program: Path, files: list[Path]) -> list[bool]:
    """Whether the checker accepts each file."""
    names = "".join(f"{file}\n" for file in files)
    done = subprocess.run([program], input=names, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"{program} failed with {done.returncode}: {done.stderr}")
    words = [line.split(" ", 1) for line in done.stdout.splitlines()]
    if [word[1] for word in words] != [str(file) for file in files]:
        sys.exit(f"{program} did not answer for every file")
    return [word[0] == "ok" for word in words]


def places(value: Any, path: Path_) -> Iterator[Path_]:
    """Every place in a value, the inner ones too."""
    yield path
    if isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, [*path, key])
    elif isinstance(value, list):
        for i, child in enumerate(value):
            yield from places(child, [*path, i])


def at(value: Any, path: Path_) -> Any:
    """What is at a place."""
    for key in path:
        value = value[key]
    return value


def mutate(flow: dict[str, Any], rng: random.Random) -> dict[str, Any]:
    """One change somewhere in a flow."""
    flow = copy.deepcopy(flow)
    path = rng.choice([p for p in places(flow, []) if p])
    parent, key = at(flow, path[:-1]), path[-1]
    kind = rng.randrange(4)
    if kind == 0:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict):
        parent[rng.choice(KEYS)] = copy.deepcopy(rng.choice(STRANGERS))
    elif kind == 2 and isinstance(parent, dict):
        parent[rng.choice(KEYS)] = parent.pop(key)
    else:
        parent[key] = copy.deepcopy(rng.choice(STRANGERS))
    return flow


def fenced(document: Path) -> list[str]:
    """The examples of a document: what is between ```mf and ```."""
    return re.findall(r"^```mf\n(.*?)^```$", document.read_text(), re.M | re.S)


class Comparison:
    """Both judgements of many files, and where they disagree."""

    def __init__(self, program: Path, schema: dict[str, Any]) -> None:
        self.program = program
        self.validator = jsonschema.Draft202012Validator(schema)
        self.problems: list[str] = []
        self.n_refused = 0

    def why_refused(self, value: Any) -> str | None:
        error = jsonschema.exceptions.best_match(self.validator.iter_errors(value))
        return None if error is None else f"{error.json_path}: {error.message[:200]}"

    def compare(self, files: list[Path], must_be_good: bool = False) -> None:
        for file, is_ok in zip(files, check(self.program, files), strict=True):
            try:
                refusal = self.why_refused(load(file.read_bytes()))
            except ValueError as error:
                refusal = f"no document: {error}"
            self.n_refused += refusal is not None
            if must_be_good and not is_ok:
                self.problems.append(f"{file}: the checker refuses it")
            if is_ok and refusal is not None:
                self.problems.append(f"{file}: the checker accepts it, the schema says {refusal}")


def write_mutations(good: list[Path], folder: Path, n: int, seed: int) -> list[Path]:
    """Files with one to three changes each, the same for the same seed."""
    rng = random.Random(seed)
    flows = [load(file.read_bytes()) for file in good]
    files = []
    for i in range(n):
        flow = mutate(rng.choice(flows), rng)
        while flow and rng.random() < 0.3:
            flow = mutate(flow, rng)
        files.append(folder / f"mutation-{seed}-{i}.mf")
        files[-1].write_text(json.dumps(flow, ensure_ascii=False))
    return files


def main() -> int:
    corpus = Path(__file__).resolve().parent
    docs = corpus.parent.parent / "docs"
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="mf-check")
    parser.add_argument("--schema", type=Path, default=docs / "mf.schema.json")
    parser.add_argument("--docs", type=Path, default=docs / "flow-format.md")
    parser.add_argument("--mutations", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="a folder for the files made")
    options = parser.parse_args()

    schema = json.loads(options.schema.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    comparison = Comparison(options.program, schema)
    good = sorted((corpus / "good").glob("*.mf"))
    bad = sorted((corpus / "bad").glob("*.mf"))
    comparison.compare(good, must_be_good=True)
    comparison.compare(bad)
    n_bad_refused = comparison.n_refused
    examples = fenced(options.docs)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.keep or Path(temporary)
        for i, text in enumerate(examples):
            (folder / f"example-{i}.mf").write_text(text)
        comparison.compare([folder / f"example-{i}.mf" for i in range(len(examples))], True)
        mutations = write_mutations(good, folder, options.mutations, options.seed)
        comparison.compare(mutations)
    for problem in comparison.problems:
        print(problem)
    print(f"{len(good)} good, {len(bad)} bad ({n_bad_refused} by their shape), "
          f"{len(examples)} examples, {len(mutations)} mutations "
          f"({comparison.n_refused - n_bad_refused} by their shape), seed {options.seed}: "
          f"{len(comparison.problems)} problems")
    return 1 if comparison.problems or not (good and bad and examples) else 0


if __name__ == "__main__":
    sys.exit(main())
