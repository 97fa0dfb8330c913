# SPDX-License-Identifier: Apache-2.0
"""A sender whose chunks are tiny: what it costs the relay, and the receiver, goes by the bytes, not by the chunks."""

from harness import raw
from harness.pairs import Pair

_CHUNKS = raw.chunked(b"x", end=False) * 10_000


def test_tiny_chunks_arrive_as_fewer_bytes_than_they_came_in(relay):
    with Pair(relay, timeout=30) as pair:
        _, download, upload = pair.flowing()
        for _ in range(20):
            assert upload.send(_CHUNKS)
        upload.send(b"0\r\n\r\n")
        # The receiver reads nothing so far: all fits into the kernel's buffers.
        assert upload.answer(method="PUT").body == b'{"bytes":200000}\n'
        assert download.how_ended() == raw.NOTIFY
        assert download.buffer.count(b"x") == 200_000 and download.buffer.endswith(b"\r\n0\r\n\r\n")
        assert len(download.buffer) < 2 * 200_000
