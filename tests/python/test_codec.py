# SPDX-License-Identifier: Apache-2.0
"""Values come back as they were, of the same types, and in a form that fits."""

import io
import math
import pickle
import sys
import threading
import unittest
from typing import Any, List, Tuple

import kit

sys.path.insert(0, str(kit.PACKAGE))

from mesh import _codec  # noqa: E402


class Point:
    def __init__(self, x: object) -> None:
        self.x = x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Point) and other.x == self.x


def encoded(value: object) -> Tuple[str, bytes]:
    parts = []

    def far() -> Any:
        return lambda data: parts.append(bytes(data))

    sink = _codec.Sink(far)
    encoding = _codec.encode(value, sink)
    data = b"".join(parts if sink.chunks is None else sink.chunks)
    assert len(data) == sink.size
    assert (sink.chunks is None) == (len(data) > _codec.INLINE_BYTES_MAX)
    return encoding, data


def there_and_back(value: object) -> Any:
    encoding, data = encoded(value)
    return _codec.decode(encoding, io.BytesIO(data))


class Exact(unittest.TestCase):
    def check(self, value: object, encoding: str) -> None:
        self.assertEqual(encoded(value)[0], encoding)
        back = there_and_back(value)
        self.assertEqual(repr(back), repr(value))
        self.assertIs(type(back), type(value))

    def test_what_json_has(self) -> None:
        values: List[Any] = [
            None,
            True,
            0,
            -1,
            2**64,
            1.5,
            -0.0,
            1e300,
            "",
            "héllo\n\0\u2028\U0001f600",
            [],
            {},
            [1, [2, {"a": [None, 0.1]}]],
            {"b": 1, "a": {"": False}},
        ]
        for value in values:
            with self.subTest(value=value):
                self.check(value, "json")

    def test_what_json_would_change(self) -> None:
        for value in [
            (),
            (1, 2),
            [(1,)],
            {1: 2},
            {"a": {1}},
            {"a": b"x"},
            [1j],
            True.real.__class__,
            float("inf"),
            [float("-inf")],
            "\ud800",
            ["\udfff"],
            {"\ud800": 1},
            range(3),
            bytearray(b"x"),
        ]:
            with self.subTest(value=repr(value)[:40]):
                self.check(value, "pickle")

    def test_subclasses_are_not_their_base(self) -> None:
        import collections
        import enum

        class Text(str):
            pass

        colour = enum.IntEnum("colour", "red")
        for value in [collections.OrderedDict(a=1), [collections.Counter("aa")]]:
            self.check(value, "pickle")
        self.assertFalse(_codec.is_json(Text("a")))
        self.assertFalse(_codec.is_json([colour(1)]))
        self.assertFalse(_codec.is_json({Text("a"): 1}))

    def test_not_a_number(self) -> None:
        self.assertEqual(encoded(math.nan)[0], "pickle")
        self.assertTrue(math.isnan(there_and_back([math.nan])[0]))

    def test_long_numbers(self) -> None:
        for n in (
            10**4000,
            10**5000,
        ):  # Python refuses to read texts as long as the second
            self.assertEqual(there_and_back(n), n)

    def test_bytes_are_as_they_are(self) -> None:
        self.assertEqual(encoded(b"\0\xff"), ("bytes", b"\0\xff"))
        self.check(b"x" * 100_000, "bytes")

    def test_too_deep_for_json(self) -> None:
        deep: Any = []
        for _ in range(100):
            deep = [deep]
        self.assertEqual(encoded(deep)[0], "json")
        for _ in range(100_000):
            deep = [deep]
        self.assertIsNone(_codec.json_bytes(deep))
        while deep:  # or its end would be too deep as well
            deep = deep[0]

    def test_objects(self) -> None:
        self.assertEqual(there_and_back(Point([1, "a"])), Point([1, "a"]))
        big = Point(b"y" * 1_000_000)
        self.assertEqual(there_and_back(big), big)

    def test_strange_json_of_others(self) -> None:
        for data, value in [(b' {"a": [1, 2]}\n', {"a": [1, 2]}), (b"\t7", 7)]:
            self.assertEqual(_codec.decode("json", io.BytesIO(data)), value)
        for data in [b"", b"{", b"[1] 2", b"nul", b"\xff"]:
            with self.assertRaises(ValueError):
                _codec.decode("json", io.BytesIO(data))


class Arrays(unittest.TestCase):
    def setUp(self) -> None:
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy")
        self.np: Any = numpy

    def check(self, array: Any) -> None:
        self.assertEqual(encoded(array)[0], "npy")
        back = there_and_back(array)
        self.assertEqual((back.dtype, back.shape), (array.dtype, array.shape))
        self.np.testing.assert_array_equal(back, array)
        back[...] = back  # writable, as after unpickling

    def test_arrays(self) -> None:
        np = self.np
        for array in [
            np.arange(6).reshape(2, 3),
            np.array(1.5),
            np.zeros((0, 4)),
            np.asfortranarray(np.ones((300, 400))),
            np.arange(10)[::2],
            np.array(["a", "bc"]),
            np.zeros(3, [("a", "i4"), ("b", "f8")]),
        ]:
            with self.subTest(dtype=array.dtype, shape=array.shape):
                self.check(array)

    def test_what_npy_would_change(self) -> None:
        np = self.np
        for value in [
            np.array([object()]),
            np.ma.masked_array([1]),
            np.float64(1),
            [np.int64(3)],
        ]:
            self.assertEqual(encoded(value)[0], "pickle")


    def test_inside_of_objects(self) -> None:
        np = self.np
        for array in [np.ones((300, 400)), np.asfortranarray(np.eye(300)), np.eye(2)]:
            back = there_and_back(Point(array))
            np.testing.assert_array_equal(back.x, array)


class Tables(unittest.TestCase):
    def test_tables(self) -> None:
        try:
            import pyarrow
        except ImportError:
            self.skipTest("no pyarrow")
        table = pyarrow.table({"a": [1, 2], "b": ["x", None]})
        self.assertEqual(encoded(table)[0], "arrow")
        self.assertEqual(there_and_back(table), table)


class Buffered:
    """Pickled as arrays are: by a buffer that is not copied."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Buffered, (pickle.PickleBuffer(self.data),)


class Buffers(unittest.TestCase):
    def test_long_and_short(self) -> None:
        for data in (b"abc", bytes(range(256)) * 4096):
            self.assertEqual(there_and_back(Buffered(data)).data, data)


class Unkept(unittest.TestCase):
    def text(self, value: object) -> str:
        try:
            encoded(value)
        except Exception as error:
            return str(_codec.unserializable("m", value, error))
        raise AssertionError("it was kept")

    def test_says_which_type_size_and_where(self) -> None:
        inner = Point({"log": [1, threading.Lock()]})
        text = self.text([1, 2, inner])
        for part in ["'m'", "(list, 3 items)", "m[2].x['log'][1]", "lock"]:
            self.assertIn(part, text)
        self.assertNotIn("\n", text)

    def test_lambda_and_generator(self) -> None:
        self.assertIn("(function)", self.text(lambda: 0))
        self.assertIn("(generator)", self.text(x for x in "a"))

    def test_own_code_that_fails(self) -> None:
        class Angry:
            def __reduce__(self) -> Any:
                raise OSError("no")

            def __len__(self) -> int:
                raise ValueError

        self.assertIn("no", self.text(Angry()))


class Items(unittest.TestCase):
    def test_lists_by_another_name(self) -> None:
        for value, data in [
            ([1, "a"], b'[1,"a"]'),
            ((1, 2), b"[1,2]"),
            (range(3), b"[0,1,2]"),
            ((), b"[]"),
            ({"a": 1}.keys(), b'["a"]'),
        ]:
            self.assertEqual(_codec.items_bytes("xs", value), data)

    def test_numpy(self) -> None:
        try:
            import numpy
        except ImportError:
            self.skipTest("no numpy")
        self.assertEqual(_codec.items_bytes("xs", numpy.arange(2)), b"[0,1]")

    def test_what_is_no_list(self) -> None:
        for value in ["abc", {"a": 1}, {1, 2}, 3, (x for x in "a")]:
            with self.assertRaisesRegex(
                _codec.UnserializableArtifact, "make it a list"
            ):
                _codec.items_bytes("xs", value)

    def test_which_item(self) -> None:
        with self.assertRaisesRegex(
            _codec.UnserializableArtifact, r"xs\[1\] is a tuple"
        ):
            _codec.items_bytes("xs", [1, (2, 3)])
        with self.assertRaisesRegex(
            _codec.UnserializableArtifact, r"xs\[0\] is a float"
        ):
            _codec.items_bytes("xs", [math.nan])


class Prints(unittest.TestCase):
    def of(self, data: bytes) -> Any:
        found = _codec.Print()
        for i in range(0, len(data), 1000):
            found.sink.write(data[i : i + 1000])
        return found.value()

    def test_tells_from_others(self) -> None:
        long = b"x" * 200_000
        self.assertEqual(self.of(b"ab"), self.of(b"ab"))
        self.assertNotEqual(self.of(b"ab"), self.of(b"ac"))
        self.assertEqual(self.of(long), self.of(long))
        self.assertNotEqual(self.of(long), self.of(long[:-1] + b"y"))


if __name__ == "__main__":
    unittest.main()
