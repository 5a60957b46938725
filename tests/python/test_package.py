# SPDX-License-Identifier: Apache-2.0
"""What `import mesh` gives, and that it costs a step nothing that it does not use."""

import ast
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Set

import kit


def modules_after(text: str) -> Set[str]:
    done = subprocess.run(
        [kit.PYTHON, "-c", f"{text}\nimport sys\nprint(*sys.modules)"],
        env={"PYTHONPATH": str(kit.PACKAGE)},
        stdout=subprocess.PIPE,
        check=True,
    )
    return set(done.stdout.decode().split())


class Package(unittest.TestCase):
    def setUp(self) -> None:
        if str(kit.PACKAGE) not in sys.path:
            sys.path.insert(0, str(kit.PACKAGE))

    def test_all_names_are_there(self) -> None:
        import mesh

        for name in dir(mesh):
            self.assertIsNotNone(getattr(mesh, name), name)
        with self.assertRaisesRegex(AttributeError, "'mesh' has no attribute 'nothing'"):
            getattr(mesh, "nothing")
        with self.assertRaises(ImportError):
            exec("from mesh import _nothing")

    def test_current_outside_of_a_task(self) -> None:
        from mesh import current

        self.assertFalse(current.is_running_flow)
        self.assertEqual(current.get("run_id", "none"), "none")
        with self.assertRaisesRegex(AttributeError, "inside a task only"):
            current.flow_name  # noqa: B018 # pylint: disable=pointless-statement

    def test_a_step_imports_little(self) -> None:
        more = modules_after("import mesh._step") - modules_after("pass")
        ours = {name for name in more if name.partition(".")[0] == "mesh"}
        self.assertLessEqual(more - ours, {"_json", "gc"})
        self.assertNotIn("mesh.client", ours)
        self.assertLessEqual(len(ours), 9, sorted(ours))

    def test_the_oldest_python_can_read_it(self) -> None:
        for file in sorted(Path(kit.PACKAGE).rglob("*.py")):
            ast.parse(file.read_bytes(), str(file), feature_version=(3, 8))


if __name__ == "__main__":
    unittest.main()
