# SPDX-License-Identifier: Apache-2.0
"""Replies come whole whatever the pieces they come in."""

import random
import sys
import unittest
from pathlib import Path
from typing import List, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "sdk" / "python"))

from mesh import _http  # noqa: E402
from mesh._http import BadReply, Reader, Request, encode, get, post  # noqa: E402
from mesh._sse import Lines  # noqa: E402

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nMesh-Type: int\r\n\r\nhello"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"
CHUNKED = (b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: Chunked\r\n\r\n"
           b"3;x=y\r\nabc\r\n0a\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n")


def read_all(pieces: List[bytes], n: int) -> List[Tuple[int, bytes]]:
    reader = Reader()
    replies: List[Tuple[int, bytes]] = []
    status, body = 0, b""
    feed = iter(pieces)
    while len(replies) < n:
        if not status:
            head = reader.head()
            if head:
                status, body = head.status, b""
                continue
        else:
            piece = reader.body()
            if piece is None:
                replies.append((status, body))
                status = 0
                continue
            if piece:
                body += piece
                continue
        reader.feed(next(feed))
    assert reader.is_between
    return replies


class Replies(unittest.TestCase):
    def test_any_pieces(self) -> None:
        data = PLAIN + EMPTY + CHUNKED + PLAIN
        wanted = [(200, b"hello"), (204, b""), (404, b"abc0123456789"), (200, b"hello")]
        self.assertEqual(read_all([data], 4), wanted)
        self.assertEqual(read_all([data[i : i + 1] for i in range(len(data))], 4), wanted)
        random.seed(1)
        for _ in range(300):
            cuts = sorted(random.sample(range(1, len(data)), 4))
            pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)])]
            self.assertEqual(read_all(pieces, 4), wanted)

    def test_until_the_connection_ends(self) -> None:
        data = [b"HTTP/1.1 200 OK\r\n\r\nabc", b"def", b""]
        self.assertEqual(read_all(data, 1), [(200, b"abcdef")])

    def test_a_head_has_no_body(self) -> None:
        reader = Reader()
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + PLAIN)
        head = reader.head(is_head_request=True)
        assert head
        self.assertEqual(head.headers["content-length"], "500")
        self.assertIsNone(reader.body())
        self.assertIsNotNone(reader.head())

    def test_a_long_body_is_not_kept(self) -> None:
        reader = Reader()
        reader.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        self.assertIsNotNone(reader.head())
        for _ in range(100):
            reader.feed(bytes(1_000_000))
            self.assertEqual(len(reader.body() or b""), 1_000_000)
        self.assertIsNone(reader.body())
        self.assertLess(len(reader._data), 2_000_000)

    def test_what_is_no_reply(self) -> None:
        for data in (b"SSH-2.0\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"x" * 100_000):
            reader = Reader()
            reader.feed(data)
            with self.assertRaises(BadReply):
                reader.head()

    def test_what_ends_too_early(self) -> None:
        for data in (PLAIN[:-1], CHUNKED[:-3], CHUNKED[:60], PLAIN[:10]):
            with self.assertRaises(BadReply):
                read_all([data, b""], 1)

    def test_chunks_without_a_size(self) -> None:
        with self.assertRaises(BadReply):
            read_all([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"], 1)


class Requests(unittest.TestCase):
    def test_what_is_said(self) -> None:
        self.assertEqual(
            get("runs", "a/b?c", "ü", step="x y", task=None, inline=True).target,
            "/v1/runs/a%2Fb%3Fc/%C3%BC?step=x%20y&inline=true")
        self.assertEqual(encode(get("node")), b"GET /v1/node HTTP/1.1\r\nHost: mesh\r\n\r\n")
        self.assertEqual(
            encode(post({"a": 1}, "gc"), "h:1", "secret"),
            b"POST /v1/gc HTTP/1.1\r\nHost: h:1\r\nContent-Type: application/json\r\n"
            b'Authorization: Bearer secret\r\nContent-Length: 8\r\n\r\n{"a": 1}')
        self.assertIn(b"Content-Length: 0", encode(Request("POST", "/")))
        self.assertEqual(_http.target(("runs",), {}), "/v1/runs")


class Events(unittest.TestCase):
    def test_any_pieces(self) -> None:
        data = (b':\n\nid: 7\nevent: log\ndata: {"text": "\xc3\xa4"}\n\n'
                b'event: gap\ndata: {"next": 9}\n\n:\n\n')
        for size in (1, 2, 7, len(data)):
            lines = Lines()
            got = [m for i in range(0, len(data), size) for m in lines.feed(data[i : i + size])]
            self.assertEqual([(m.name, m.seq, m.data) for m in got],
                             [("log", 7, {"text": "ä"}), ("gap", None, {"next": 9})])


if __name__ == "__main__":
    unittest.main()
