# SPDX-License-Identifier: Apache-2.0
"""The stream between two clients (docs/wire-protocol.md, section 3): data records and one end record."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

LARGEST = 65_536
DATA, END = 0, 1


class Refused(Exception):
    """The other client broke section 3."""


class Cut(Exception):
    """The stream ended without its end record."""


def length(size: int) -> int:
    """How long the stream for `size` bytes of content is when every record but the last is full."""
    return size + 4 * -(-size // LARGEST) + 36


def encode(content: Iterable[bytes]) -> Iterator[bytes]:
    """Yields the records for an iterable of byte strings: full ones, the rest, the end."""
    digest = hashlib.sha256()
    pending = bytearray()
    for piece in content:
        digest.update(piece)
        pending += piece
        start = 0
        while len(pending) - start >= LARGEST:
            yield record(DATA, bytes(pending[start : start + LARGEST]))
            start += LARGEST
        del pending[:start]
    if pending:
        yield record(DATA, bytes(pending))
    yield record(END, digest.digest())


def record(kind: int, body: bytes) -> bytes:
    """One record."""
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


class Decoder:
    """Takes the stream in any pieces, gives the content."""

    def __init__(self, size: int | None = None) -> None:
        self.size, self.received, self.sha256, self.ended = size, 0, hashlib.sha256(), False
        self._pending = bytearray()

    def feed(self, piece: bytes) -> bytes:
        """The content in `piece` and what was left over before; Refused when the stream breaks the rules."""
        self._pending += piece
        content, at = [], 0
        while len(self._pending) - at >= 4:
            if self.ended:
                break
            kind, size = self._pending[at], int.from_bytes(self._pending[at + 1 : at + 4], "big")
            if kind not in (DATA, END) or (kind == END and size != 32) or (kind == DATA and not 1 <= size <= LARGEST):
                raise Refused(f"record of kind {kind}, {size} bytes")
            if len(self._pending) - at - 4 < size:
                break
            body = bytes(self._pending[at + 4 : at + 4 + size])
            at += 4 + size
            if kind == END:
                if body != self.sha256.digest():
                    raise Refused("the digest is not that of the content")
                self.ended = True
            else:
                self.received += size
                if self.size is not None and self.received > self.size:
                    raise Refused("more content than announced")
                self.sha256.update(body)
                content.append(body)
        del self._pending[:at]
        if self.ended and self._pending:
            raise Refused("something follows the end")
        return b"".join(content)

    def close(self) -> None:
        """The stream is over: Cut when it has no end record, Refused when content is missing."""
        if not self.ended:
            raise Cut(f"after {self.received} bytes")
        if self.size is not None and self.received != self.size:
            raise Refused("less content than announced")
