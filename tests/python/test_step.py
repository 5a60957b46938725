# SPDX-License-Identifier: Apache-2.0
"""What a step sees and what it leaves. Every test is run twice: in a plain process, and
in one that a server forked, which must not be told from it."""

import json
import os
import signal
import textwrap
import unittest
from typing import Any, Dict

from kit import Ended, Kit, as_json


def traceback(ended: Ended, *wanted: str) -> str:
    """The one that was printed, with file names cut to their last part."""
    lines = []
    for line in ended.err.splitlines():
        if line.strip(" ^~"):  # what later versions underline
            head, quote, rest = line.partition('File "')
            lines.append(head + quote + rest.rpartition("/")[2] if quote else line)
    return "\n".join(lines)


class Artifacts(Kit):
    def test_what_is_set_is_kept(self) -> None:
        ended = self.task("""
def step(self):
    self.n = 49
    self.text = "é"
    self.raw = b"\\0\\1"
    self.pair = (1, 2)
    self.long = "x" * 70000
    self.blob = bytes(70000)
    vars(self)["direct"] = [True, None]
""")
        self.assertEqual((ended.code, ended.err), (0, ""))
        told = {name: entry for name, (entry, _) in ended.entries().items()}
        self.assertEqual(
            told["n"], {"name": "n", "type": "int", "encoding": "json", "size": 2}
        )
        self.assertEqual(
            told["blob"],
            {"name": "blob", "type": "bytes", "encoding": "bytes", "file": True},
        )
        kinds = {
            name: (entry["type"], entry["encoding"]) for name, entry in told.items()
        }
        self.assertEqual(
            kinds,
            {
                "n": ("int", "json"),
                "text": ("str", "json"),
                "raw": ("bytes", "bytes"),
                "pair": ("tuple", "pickle"),
                "long": ("str", "json"),
                "blob": ("bytes", "bytes"),
                "direct": ("list", "json"),
            },
        )
        self.assertEqual(ended.value("long"), "x" * 70000)
        self.assertEqual(ended.value("text"), "é")

    def test_nothing_set_leaves_nothing(self) -> None:
        ended = self.task("def step(self):\n    local = 1\n")
        self.assertEqual((ended.code, list(ended.folder.iterdir())), (0, []))
        self.assertEqual(self.channel.asked, [])

    def test_reads_when_it_is_asked_and_once(self) -> None:
        self.channel.artifact("x", [1, 2])
        ended = self.task(
            "def step(self):\n    self.y = self.x + self.x\n    'unused'\n"
        )
        self.assertEqual(ended.value("y"), [1, 2, 1, 2])
        self.assertEqual(self.channel.asked, ["/v1/task/artifacts/x"])
        self.assertEqual(list(ended.entries()), ["y"])

    def test_what_was_read_and_changed_is_kept(self) -> None:
        self.channel.artifact("grows", [1])
        self.channel.artifact("stays", {"a": [1]})
        self.channel.artifact("number", 1)
        ended = self.task("""
def step(self):
    self.grows.append(2)
    self.stays["a"][0] += 1
    self.stays["a"][0] -= 1
    self.number
""")
        self.assertEqual(list(ended.entries()), ["grows"])
        self.assertEqual(ended.value("grows"), [1, 2])

    def test_changed_objects_and_long_ones(self) -> None:
        made = self.task(
            """
class Model:
    pass

def make(self):
    self.a, self.b = Model(), Model()
    self.a.weights = self.b.weights = list(range(20000)) + [(1,)]
    self.a.name = self.b.name = {"x", "y", "z"}

def use(self):
    self.a.weights[5] = -5
    self.b.weights[5] = 5
    self.b.name
""",
            "make",
        )
        for name, (told, data) in made.entries().items():
            headers = {"Mesh-Encoding": told["encoding"], "Mesh-Type": told["type"]}
            self.channel.answers[f"/v1/task/artifacts/{name}"] = 200, headers, data
            self.assertEqual(told["type"], "a.Model")
        used = self.task(None, "use")
        self.assertEqual((used.code, list(used.entries())), (0, ["a"]))

    def test_no_new_artifact_for_another_spelling(self) -> None:
        answer = 200, {"Mesh-Encoding": "json"}, b'{ "a" : [1, 2] }\n'
        self.channel.answers["/v1/task/artifacts/x"] = answer
        ended = self.task("def step(self):\n    self.x['a']\n")
        self.assertEqual((ended.code, ended.entries()), (0, {}))

    def test_bytes_of_a_shell_step(self) -> None:
        self.channel.answers["/v1/task/artifacts/text"] = 200, {}, b"hello\n"
        ended = self.task("def step(self):\n    self.n = self.text.decode()\n")
        self.assertEqual(ended.value("n"), "hello\n")

    def test_del_and_hasattr(self) -> None:
        self.channel.artifact("old", 1)
        ended = self.task("""
def step(self):
    self.new = 1
    del self.new
    seen = [hasattr(self, "new"), hasattr(self, "old"), hasattr(self, "nothing")]
    del self.old
    seen.append(hasattr(self, "old"))
    try:
        del self.nothing
    except AttributeError:
        seen.append("no")
    self.seen = seen
""")
        self.assertEqual(ended.value("seen"), [False, True, False, False, "no"])
        self.assertEqual(list(ended.entries()), ["seen"])

    def test_setting_over_what_was_read(self) -> None:
        self.channel.artifact("x", [1])
        ended = self.task("def step(self):\n    self.x = self.x + [2]\n")
        self.assertEqual(ended.value("x"), [1, 2])

    def test_names_that_cannot_be(self) -> None:
        self.spec["parameters"] = {"alpha": 1}
        ended = self.task("""
def step(self):
    said = []
    for name in ["input", "next", "alpha", "a/b", ".hidden", "x" * 300, "", "__class__"]:
        try:
            setattr(self, name, 1)
        except AttributeError as error:
            said.append(str(error))
    self.said = said
    self.ok = setattr(self, "größe", 1)
""")
        said = ended.value("said")
        self.assertEqual(len(said), 8, said)
        self.assertIn("mesh's own", said[0])
        self.assertIn("is a parameter", said[2])
        self.assertEqual(ended.value("größe"), 1)

    def test_folders_and_refusals(self) -> None:
        self.channel.answers["/v1/task/artifacts/tree"] = (
            200,
            {"Mesh-Encoding": "tree"},
            b"{}",
        )
        self.channel.answers["/v1/task/artifacts/two"] = (
            409,
            {},
            b'{"error": "the branches differ in \'two\'"}',
        )
        self.channel.answers["/v1/task/artifacts/bad"] = 500, {}, b'{"error": "disk"}'
        ended = self.task("""
def step(self):
    print(hasattr(self, "two"))
    for name in ("tree", "two", "bad"):
        try:
            getattr(self, name)
        except Exception as error:
            print(type(error).__name__, error)
""")
        lines = ended.out.splitlines()
        self.assertEqual(lines[0], "False")
        self.assertIn("TypeError artifact 'tree' is a folder", lines[1])
        self.assertIn("AttributeError artifact 'two': the branches differ", lines[2])
        self.assertIn("ChannelError artifact 'bad': disk", lines[3])

    def test_an_artifact_cannot_be_kept(self) -> None:
        ended = self.task("""
import threading
def step(self):
    self.good = 1
    self.model = {"lock": threading.Lock()}
""")
        self.assertEqual(ended.code, 1)
        self.assertRegex(
            ended.err,
            r"^mesh: artifact 'model' \(dict, 1 items\) cannot be kept "
            r"\(in model\['lock'\]\): TypeError: cannot pickle '_thread.lock' object\n$",
        )
        self.assertFalse((ended.folder / ".mesh").exists())

    def test_given_twice(self) -> None:
        ended = self.task("""
import os
def step(self):
    open(os.path.join(os.environ["MESH_OUT"], "model"), "w").close()
    self.model = bytes(100000)
""")
        self.assertEqual(ended.code, 1)
        self.assertIn("artifact 'model' is given twice", ended.err)

    def test_very_many(self) -> None:
        ended = self.task("""
def step(self):
    for i in range(1000):
        setattr(self, f"x{i}", b"x" * 60000)
    self.last = 1
""")
        self.assertEqual(ended.code, 0)
        self.assertLess((ended.folder / ".mesh").stat().st_size, 40 << 20)
        entries = ended.entries()
        self.assertEqual(len(entries), 1001)
        self.assertEqual({len(data) for _, data in entries.values()}, {60000, 1})

    def test_set_too_late(self) -> None:
        ended = self.task("""
import threading
def step(self):
    done = threading.Event()
    def late():
        threading.main_thread().join(0.001)
        while not ended(self):
            pass
        try:
            self.x = 1
        except AttributeError as error:
            print(error)
    threading.Thread(target=late).start()

def ended(self):
    return self._mesh_notes.is_over
""")
        self.assertEqual(ended.code, 0)
        self.assertIn("too late to be kept", ended.out)


class Flow(Kit):
    def test_parameters(self) -> None:
        self.spec["parameters"] = {"alpha": 0.5, "learning-rate": 3, "flag": True}
        self.channel.answers["/v1/task/parameters/token"] = as_json("geheim")
        ended = self.task("""
from mesh import current
def step(self):
    self.seen = [self.alpha, self.learning_rate, getattr(self, "learning-rate"), self.flag]
    self.secret = self.token
    self.all = [list(current.parameters), current.parameters["flag"],
                "alpha" in current.parameters, len(current.parameters)]
    try:
        current.parameters.alpha = 3
    except AttributeError as error:
        print(error)
""")
        self.assertEqual(ended.value("seen"), [0.5, 3, 3, True])
        self.assertEqual(ended.value("secret"), "geheim")
        names = ["alpha", "learning-rate", "flag"]
        self.assertEqual(ended.value("all"), [names, True, True, 3])
        self.assertIn("cannot be changed", ended.out)

    def test_input_and_index(self) -> None:
        text = "def step(self):\n    self.seen = [self.input, self.index]\n"
        self.assertEqual(self.task(text).value("seen"), [None, None])
        self.environ = {"MESH_INPUTS": '["outer",{"a":[1]}]', "MESH_INDEX": "4"}
        self.assertEqual(self.task(text).value("seen"), [{"a": [1]}, 4])
        self.environ = {"MESH_INDEX": "5"}
        headers = {"Content-Type": "text/plain; charset=utf-8"}
        self.channel.answers["/v1/task/input"] = 200, headers, b"long text"
        self.assertEqual(self.task(text).value("seen"), ["long text", 5])
        headers = {"Content-Type": "application/json"}
        self.channel.answers["/v1/task/input"] = 200, headers, b"[1]"
        self.assertEqual(self.task(text).value("seen"), [[1], 5])

    def test_foreach_stack(self) -> None:
        levels = [
            {"index": 1, "width": 3, "item": "b"},
            {"index": 0, "width": 2, "item": 5},
        ]
        self.channel.answers["/v1/task/foreach"] = as_json(levels)
        ended = self.task("def step(self):\n    print(self.foreach_stack())\n")
        self.assertEqual(ended.out, "[(1, 3, 'b'), (0, 2, 5)]\n")

    def test_foreach_wants_a_list(self) -> None:
        self.spec["foreach"] = "xs"
        ended = self.task("def step(self):\n    self.xs = range(3)\n")
        self.assertEqual(ended.value("xs"), [0, 1, 2])
        self.assertEqual(ended.entries()["xs"][0]["type"], "list")
        ended = self.task("def step(self):\n    self.xs = {1, 2}\n")
        self.assertEqual(ended.code, 1)
        self.assertIn("make it a list", ended.err)
        ended = self.task("def step(self):\n    self.xs = [1, object()]\n")
        self.assertRegex(ended.err, r"^mesh: artifact 'xs' .* xs\[1\] is a object")

    def test_switch(self) -> None:
        self.spec["switch"] = "verdict"
        for value, choice in [("'go\"od'", 'go"od'), ("True", "true"), ("3", "3")]:
            ended = self.task(f"def step(self):\n    self.verdict = {value}\n")
            self.assertEqual(ended.entries()[""][0], {"choice": choice})

    def test_next_is_not_needed(self) -> None:
        ended = self.task("def step(self):\n    self.next(self.step)\n")
        self.assertEqual(ended.code, 1)
        ended = self.task("def step(self):\n    self.next()\n")
        self.assertRegex(
            ended.err, "AttributeError: self.next.. is not needed: the flow"
        )

    def test_current(self) -> None:
        ended = self.task("""
from mesh import current
import mesh

def step(self):
    print(current.flow_name, current.run_id, current.run_number, current.step_name,
          current.task_id, current.attempt, current.retry_count, current.user,
          sorted(current.tags), current.pathspec, current.is_running_flow)
    print(current.get("nothing", 5), mesh.current is current)
    try:
        current.nothing
    except AttributeError as error:
        print(str(error)[:34])
""")
        self.assertEqual(ended.err, "")
        self.assertEqual(
            ended.out,
            "Try 01a1 7 step 1 2 2 somebody ['one', 'two'] Try/7/step/1 True\n"
            "5 True\nthere is no current.nothing; there\n",
        )

    def test_repr_and_dir(self) -> None:
        self.spec["parameters"] = {"my-name": 1}
        ended = self.task("""
import pickle
def step(self):
    self.x = 1
    print(self, sorted({"x", "my_name", "input"}.intersection(dir(self))))
    try:
        pickle.dumps(self)
    except TypeError as error:
        print(error)
""")
        self.assertEqual(
            ended.out,
            "<self of step 'step' of flow Try> ['input', 'my_name', 'x']\n"
            "self cannot be pickled: pass on the values that are needed\n",
        )


def told(
    step: str, index: Any, artifacts: Dict[str, Any], **more: Any
) -> Dict[str, Any]:
    made = {
        name: {"id": json.dumps(value), "type": "int", "size": 1, "value": value}
        for name, value in artifacts.items()
    }
    ours = {
        "step": step,
        "index": index,
        "task": str(index or 0),
        "attempt": 0,
        "ok": True,
    }
    return {**ours, "artifacts": made, **more}


class Joins(Kit):
    def setUp(self) -> None:
        super().setUp()
        self.spec["joins"] = True

    def inputs(self, *lines: Dict[str, Any]) -> None:
        def text(names: tuple) -> bytes:
            kept = [{k: v for k, v in line.items() if k not in names} for line in lines]
            return "".join(json.dumps(line) + "\n" for line in kept).encode()

        self.channel.answers["/v1/task/inputs"] = 200, {}, text(("passed",))
        self.channel.answers["/v1/task/inputs?passed=1"] = 200, {}, text(())

    def test_a_foreach(self) -> None:
        self.inputs(*(told("work", i, {"y": i * i}) for i in range(4)))
        self.channel.answers["/v1/task/artifacts/big?from=work&index=2"] = as_json("B")
        ended = self.task("""
def step(self, inputs):
    self.sum = [one.y for one in inputs]
    self.more = [len(inputs), inputs[3].y, inputs[-1].index, inputs[2].big, inputs[2].big,
                 [one.index for one in inputs[1:3]], [one.index for one in reversed(inputs)],
                 inputs[1].step, inputs[1].task, inputs[1].ok, repr(inputs[1])]
    for do in (lambda: inputs[4], lambda: inputs.work, lambda: inputs.wrok,
               lambda: inputs[0].nothing, lambda: setattr(inputs[0], "y", 1)):
        try:
            do()
        except Exception as error:
            print(type(error).__name__, error)
""")
        self.assertEqual(ended.err, "")
        self.assertEqual(ended.value("sum"), [0, 1, 4, 9])
        self.assertEqual(
            ended.value("more"),
            [
                4,
                9,
                3,
                "B",
                "B",
                [1, 2],
                [3, 2, 1, 0],
                "work",
                "1",
                True,
                "<input work/1>",
            ],
        )
        self.assertEqual(
            ended.out,
            "IndexError inputs[4] of 4 inputs\n"
            "AttributeError 4 tasks of step 'work' are joined: they are inputs[0] and so "
            "on, or go over inputs\n"
            "AttributeError no step 'wrok' is joined here, but work\n"
            "AttributeError <input work/0> has no artifact 'nothing'\n"
            "AttributeError inputs are as they are: set self.y instead\n",
        )
        asked = [one for one in self.channel.asked if "big" in one]
        self.assertEqual(len(asked), 1)

    def test_branches_by_name(self) -> None:
        self.inputs(
            told("fit_a", None, {"x": 1, "ok": 0}), told("fit_b", None, {"x": 2})
        )
        ended = self.task("""
def step(self, inputs):
    self.seen = [inputs.fit_a.x, inputs.fit_b.x, inputs.fit_a.ok, inputs.fit_b.ok,
                 inputs.fit_a.index]
""")
        self.assertEqual(ended.value("seen"), [1, 2, 0, True, None])

    def test_nothing_joined(self) -> None:
        self.inputs()
        ended = self.task(
            "def step(self, inputs):\n    self.n = [len(inputs), *inputs]\n"
        )
        self.assertEqual(ended.value("n"), [0])

    def merge(self, call: str) -> Ended:
        passed = {"alpha": {"id": "A", "type": "str", "size": 1}}
        self.inputs(
            told("fit_a", None, {"x": 1, "same": 5}, passed=passed),
            told("fit_b", None, {"x": 2, "same": 5, "only": 7}, passed=passed),
        )
        for target, value in [
            ("same?from=fit_a", 5),
            ("alpha?from=fit_a", "passed"),
            ("only?from=fit_b", 7),
        ]:
            self.channel.answers[f"/v1/task/artifacts/{target}"] = as_json(value)
        return self.task(
            "import mesh\n"
            "def step(self, inputs):\n"
            "    try:\n" + textwrap.indent(textwrap.dedent(call), "        ") + "\n"
            "    except mesh.MergeArtifactsException as error:\n"
            "        print(type(error).__name__, getattr(error, 'artifact_names', ''))\n"
        )

    def test_merge(self) -> None:
        ended = self.merge("self.x = 9; self.merge_artifacts(inputs)")
        self.assertEqual(ended.out + ended.err, "")
        values = {name: json.loads(data) for name, (_, data) in ended.entries().items()}
        self.assertEqual(values, {"x": 9, "same": 5, "alpha": "passed", "only": 7})
        self.assertEqual(ended.entries()["alpha"][0]["type"], "str")
        ended = self.merge("self.merge_artifacts(inputs, exclude=['x', 'only'])")
        self.assertEqual(sorted(ended.entries()), ["alpha", "same"])
        ended = self.merge("self.merge_artifacts(inputs, include=['same'])")
        self.assertEqual(sorted(ended.entries()), ["same"])

    def test_merged_are_read_changed_and_deleted(self) -> None:
        ended = self.merge("""
            self.merge_artifacts(inputs, exclude=['x'])
            self.same += self.only
            del self.alpha
            """)
        values = {name: json.loads(data) for name, (_, data) in ended.entries().items()}
        self.assertEqual(values, {"same": 12, "only": 7})

    def test_merge_errors(self) -> None:
        for call, words in [
            (
                "self.merge_artifacts(inputs)",
                "UnhandledInMergeArtifactsException ['x']",
            ),
            (
                "self.merge_artifacts(inputs, include=['same', 'q'])",
                "MissingInMergeArtifactsException ['q']",
            ),
            (
                "self.merge_artifacts(inputs, include=['q'], exclude=['x'])",
                "MergeArtifactsException ",
            ),
            ("self.merge_artifacts(inputs, include='x')", "MergeArtifactsException "),
            ("self.merge_artifacts(5)", "MergeArtifactsException "),
        ]:
            with self.subTest(call=call):
                self.assertEqual(self.merge(call).out, words + "\n")


class Errors(Kit):
    def test_the_users_own_traceback(self) -> None:
        ended = self.task("""
def step(self):
    self.x = 1
    helper()

def helper():
    1 / 0
""")
        self.assertEqual((ended.code, ended.entries()), (1, {}))
        self.assertEqual(
            traceback(ended),
            "Traceback (most recent call last):\n"
            '  File "a.py", line 4, in step\n'
            "    helper()\n"
            '  File "a.py", line 7, in helper\n'
            "    1 / 0\n"
            "ZeroDivisionError: division by zero",
        )

    def test_no_frames_of_ours_below(self) -> None:
        ended = self.task("def step(self):\n    self.nothing\n")
        self.assertEqual(
            traceback(ended),
            "Traceback (most recent call last):\n"
            '  File "a.py", line 2, in step\n'
            "    self.nothing\n"
            "AttributeError: self has no 'nothing' in step 'step': it is no parameter, "
            "and no artifact that this task made or was passed",
        )

    def test_no_frames_of_ours_in_chains(self) -> None:
        ended = self.task("""
def step(self):
    try:
        self.nothing
    except AttributeError as error:
        raise ValueError("chained") from error
""")
        self.assertNotIn("mesh/", ended.err)
        self.assertIn("direct cause", ended.err)
        self.assertTrue(ended.err.endswith("ValueError: chained\n"))
        self.assertEqual(ended.err.count("Traceback"), 2)

    def test_a_file_that_cannot_be_imported(self) -> None:
        for text, last in [
            ("def step(self:\n", "SyntaxError"),
            (
                "import nothing_like_it\n",
                "ModuleNotFoundError: No module named 'nothing",
            ),
            ("raise ValueError('at import')\n", "ValueError: at import"),
        ]:
            ended = self.task(text)
            self.assertEqual(ended.code, 1)
            self.assertIn(last, ended.err.splitlines()[-1])
            self.assertNotIn("importlib", ended.err)
            self.assertNotIn("mesh/", ended.err)

    def test_what_the_flow_names_is_not_there(self) -> None:
        self.write("a.py", "step = 5\nasync def later(self):\n    self.x = 1\n")
        self.assertIn("is no function but a int", self.task(None).err)
        self.assertEqual(
            self.task(None, "other").err, "mesh: a.py has no function 'other'\n"
        )

    def test_arguments_that_do_not_fit(self) -> None:
        ended = self.task("def step():\n    pass\n")
        self.assertEqual(ended.code, 1)
        self.assertRegex(
            ended.err, r"^mesh: step\(\) is called with \(self\), which it "
        )
        ended = self.task("def step(self):\n    len(1, 2)\n")
        self.assertRegex(ended.err, r"TypeError: len\(\) takes")
        ended = self.task("def step(self):\n    other()\n\ndef other(x):\n    pass\n")
        self.assertRegex(
            traceback(ended), r"in step\n    other\(\)\nTypeError: other\(\) mis"
        )

    def test_coroutines_and_generators(self) -> None:
        ended = self.task("async def step(self):\n    self.x = 1\n")
        self.assertEqual((ended.code, ended.value("x")), (0, 1))
        ended = self.task("def step(self):\n    yield 1\n")
        self.assertEqual(ended.code, 1)
        self.assertIn("step() has a 'yield'", ended.err)

    def test_exit(self) -> None:
        for call, code, err, is_kept in [
            ("sys.exit()", 0, "", True),
            ("sys.exit(0)", 0, "", True),
            ("sys.exit(3)", 3, "", False),
            ("sys.exit(-1)", 255, "", False),
            ("sys.exit('a sentence')", 1, "a sentence\n", False),
            ("raise SystemExit", 0, "", True),
            ("os._exit(7)", 7, "", False),
            ("raise KeyboardInterrupt", -2, "KeyboardInterrupt\n", False),
        ]:
            with self.subTest(call=call):
                text = f"import os, sys\ndef step(self):\n    self.x = 1\n    {call}\n"
                ended = self.task(text)
                self.assertEqual(ended.code, code)
                self.assertTrue(ended.err.endswith(err), ended.err)
                self.assertEqual(bool(ended.entries()), is_kept)

    def test_signals(self) -> None:
        for name in ("SIGTERM", "SIGKILL", "SIGSEGV", "SIGABRT"):
            with self.subTest(name=name):
                call = f"os.kill(os.getpid(), signal.{name})"
                text = f"import os, signal\ndef step(self):\n    {call}\n"
                ended = self.task(text)
                self.assertEqual(ended.code, -getattr(signal, name))
                self.assertEqual(ended.err, "")

    def test_an_excepthook_of_the_users(self) -> None:
        ended = self.task("""
import sys
def hook(kind, value, tb):
    print("hooked", kind.__name__, tb.tb_frame.f_code.co_name)
sys.excepthook = hook
def step(self):
    1 / 0
""")
        self.assertEqual(
            (ended.code, ended.out), (1, "hooked ZeroDivisionError step\n")
        )


class Processes(Kit):
    """What a process finds when it begins, and does when it ends."""

    def test_folder_arguments_descriptors(self) -> None:
        ended = self.task("""
import os, sys, signal
def step(self):
    print(os.path.relpath(os.getcwd(), os.environ["MESH_CODE"]), sys.argv == [__file__])
    fds = os.listdir("/proc/self/fd")
    print(sorted(fd for fd in fds if os.path.exists(f"/proc/self/fd/{fd}")))
    print(os.getppid(), os.getpid() == os.getsid(0))
    print(sys.stdin.read() == "", sys.stdin.fileno(), sys.stdout.fileno())
    print([signal.getsignal(s) == signal.SIG_DFL for s in (signal.SIGTERM, signal.SIGCHLD)])
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler,
          signal.pthread_sigmask(signal.SIG_BLOCK, []))
    print(os.environ["MESH_TOKEN"] in open("/proc/self/environ").read())
""")
        self.assertEqual(ended.err, "")
        lines = ended.out.splitlines()
        self.assertEqual(lines[0], ". True")
        self.assertEqual(lines[1], "['0', '1', '2']")
        self.assertEqual(lines[2], f"{os.getpid()} {self.is_warm}")
        self.assertEqual(lines[3:], ["True 0 1", "[True, True]", "True set()", "True"])

    def test_the_thread_has_its_own_id(self) -> None:
        """The C library keeps one of each thread, and the kernel has another."""
        ended = self.task("""
import os, threading, time
def step(self):
    clock = time.pthread_getcpuclockid(threading.get_ident())
    self.ids = [~(clock >> 3), threading.get_native_id()]
    self.pid = os.getpid()
""")
        self.assertEqual(ended.value("ids"), [ended.value("pid")] * 2)

    def test_environment(self) -> None:
        self.environ = {"GIVEN": "run", "EMPTY": "", "ODD": "a=b\udcff"}
        ended = self.task("""
import os
os.environ["SET"] = "at import"
os.environ["GIVEN"] = "changed"
os.environ.pop("EMPTY")
def step(self):
    print(os.environ["SET"], os.environ["GIVEN"], "EMPTY" in os.environ)
    print(ascii(os.environ["ODD"]), os.environ["MESH_STEP"], "MESH_WARM" in os.environ)
    print(os.popen("echo $MESH_STEP $SET $GIVEN").read(), end="")
""")
        self.assertEqual(
            ended.out,
            "at import changed False\n'a=b\\udcff' step False\nstep at import changed\n",
        )

    def test_output_at_import_comes_first(self) -> None:
        ended = self.task("""
import sys
print("imported")
sys.stderr.write("warned\\n")
def step(self):
    print("run")
""")
        self.assertEqual((ended.out, ended.err), ("imported\nrun\n", "warned\n"))

    def test_the_end(self) -> None:
        ended = self.task("""
import atexit, os, threading
kept = open(os.environ["MESH_CODE"] + "/unclosed", "w")
kept.write("import ")
atexit.register(print, "at exit")
def step(self):
    kept.write("step")
    thread = threading.Thread(target=work)
    thread.start()
    print("returned")

def work():
    threading.main_thread().join(0.2)
    print("thread")
""")
        self.assertEqual(ended.code, 0)
        self.assertEqual(ended.out, "returned\nthread\nat exit\n")
        self.assertEqual((self.code / "unclosed").read_text(), "import step")

    def test_what_c_code_has_to_write(self) -> None:
        ended = self.task("""
import ctypes, sys
def step(self):
    libc = ctypes.CDLL(None)
    libc.printf(b"in a buffer of C\\n")
    sys.exit(5)
""")
        self.assertEqual((ended.code, ended.out), (5, "in a buffer of C\n"))

    def test_an_exit_function_that_fails(self) -> None:
        ended = self.task(
            "import atexit\natexit.register(lambda: 1 / 0)\ndef step(self):\n    self.x = 1\n"
        )
        self.assertEqual((ended.code, ended.value("x")), (0, 1))
        self.assertIn("ZeroDivisionError", ended.err)

    def test_output_that_nobody_takes(self) -> None:
        ended = self.task("""
import os, sys
def step(self):
    sys.stdout = open(os.open("/dev/full", os.O_WRONLY), "w")
    print("lost")
""")
        self.assertEqual(ended.code, 120)
        self.assertIn("No space left", ended.err)

    def test_threads_read_artifacts(self) -> None:
        for i in range(20):
            self.channel.artifact(f"x{i}", i)
        ended = self.task("""
from concurrent.futures import ThreadPoolExecutor
def step(self):
    with ThreadPoolExecutor(8) as pool:
        self.sum = sum(pool.map(lambda i: getattr(self, f"x{i}"), range(20)))
""")
        self.assertEqual((ended.err, ended.value("sum")), ("", 190))

    def test_processes_of_the_step(self) -> None:
        self.channel.artifact("x", 5)
        ended = self.task("""
import multiprocessing, os, subprocess
def step(self):
    self.x
    pid = os.fork()
    if pid == 0:
        os._exit(self.y_of(1) if hasattr(self, "y_of") else self.z if False else 4)
    self.code = os.waitpid(pid, 0)[1] >> 8
    self.said = subprocess.run(["echo", "hi"], stdout=subprocess.PIPE).stdout.decode()
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        self.squares = pool.map(square, range(5))

def square(n):
    return n * n
""")
        self.assertEqual((ended.code, ended.err), (0, ""))
        self.assertEqual(ended.value("code"), 4)
        self.assertEqual(ended.value("said"), "hi\n")
        self.assertEqual(ended.value("squares"), [0, 1, 4, 9, 16])


class Imports(Kit):
    def test_neighbours_and_the_top(self) -> None:
        self.write("steps/near.py", "word = 'near'\n")
        self.write("shared/far.py", "word = 'far'\n")
        ended = self.task(
            """
import near
from shared import far
class Model:
    pass
def step(self):
    self.words = [near.word, far.word, __name__]
    self.model = Model()
""",
            file="steps/a.py",
        )
        self.assertEqual(ended.err, "")
        self.assertEqual(ended.value("words"), ["near", "far", "a"])
        self.assertEqual(ended.entries()["model"][0]["type"], "a.Model")

    def test_a_package(self) -> None:
        self.write("lib/pkg/__init__.py", "")
        self.write("lib/pkg/sub/__init__.py", "")
        self.write("lib/pkg/other.py", "word = 'other'\n")
        ended = self.task(
            "from ..other import word\ndef step(self):\n    self.seen = [word, __name__]\n",
            file="lib/pkg/sub/a.py",
        )
        self.assertEqual(ended.err, "")
        self.assertEqual(ended.value("seen"), ["other", "pkg.sub.a"])

    def test_the_top_is_no_package(self) -> None:
        self.write("__init__.py", "raise SystemExit('never')\n")
        ended = self.task("def step(self):\n    self.name = __name__\n")
        self.assertEqual(ended.value("name"), "a")

    def test_a_name_that_is_taken(self) -> None:
        for file in ("steps/os.py", "sys.py", "steps/mesh.py"):
            ended = self.task("def step(self):\n    pass\n", file=file)
            self.assertEqual(ended.code, 1)
            self.assertRegex(
                ended.err, f"^mesh: {file} cannot be imported, because .*give"
            )

    def test_a_changed_path_stays(self) -> None:
        self.write("vendor/deep/thing.py", "x = 3\n")
        ended = self.task("""
import os, sys
sys.path.append(os.path.join(os.path.dirname(__file__), "vendor/deep"))
def step(self):
    import thing
    self.x = thing.x
""")
        self.assertEqual(ended.value("x"), 3)


def load_tests(
    loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: object
) -> unittest.TestSuite:
    """Each case a second time, with forked processes."""
    suite = unittest.TestSuite()
    for case in (Artifacts, Flow, Joins, Errors, Processes, Imports):
        suite.addTests(loader.loadTestsFromTestCase(case))
        warm = type(f"{case.__name__}Forked", (case,), {"is_warm": True})
        suite.addTests(loader.loadTestsFromTestCase(warm))
    return suite


if __name__ == "__main__":
    unittest.main()
