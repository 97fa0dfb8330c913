# SPDX-License-Identifier: Apache-2.0
"""Streams whose manifest is made while it is sent, of any size: nothing but the last piece of it is in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from . import sealed, sealed_stream
from .client import Offered
from .sealed import CHUNK, label, lp, number
from .sealed_stream import FILE, FOLDER, LINK, MANIFEST_END, record

#: Flags, permissions, seconds and nanoseconds of every entry here.
_FIELDS = number(0, 1) + number(0, 2) + number(1_700_000_000, 8) + number(0, 4)
#: Records that are passed on at once.
_AT_ONCE = 2_000
#: The longest name, and the longest target of a link.
NAME, TARGET = 255, 4_095


def file(name: bytes, parent: int = 0, size: int = 0) -> bytes:
    """A file's record; `parent` as the record has it."""
    return record(FILE, _FIELDS + number(parent, 4) + lp(name) + number(size, 8))


def folder(name: bytes, parent: int = 0) -> bytes:
    """A folder's record."""
    return record(FOLDER, _FIELDS + number(parent, 4) + lp(name))


def many_files(top: bytes, count: int, width: int = 8) -> Iterator[bytes]:
    """The records of a folder with so many empty files, whose names are of `width` digits."""
    yield folder(top)
    head = file(b"0" * width, 1)[: -width - 8]
    for first in range(0, count, _AT_ONCE):
        yield b"".join(head + b"%0*d" % (width, each) + bytes(8) for each in range(first, min(count, first + _AT_ONCE)))


def long_links(top: bytes, size: int) -> Iterator[bytes]:
    """The records of a folder with links of the longest names and targets: at least `size` bytes of them."""
    yield folder(top)
    body = _FIELDS + number(1, 4) + lp(b"n" * NAME) + lp(b"t" * TARGET)
    whole = record(LINK, body)
    start = len(whole) - len(lp(b"t" * TARGET)) - 10
    for first in range(0, size // len(whole) + 1, 16):
        yield b"".join(whole[:start] + b"%010d" % each + whole[start + 10 :] for each in range(first, first + 16))


def nested(depth: int, name: bytes = b"d") -> Iterator[bytes]:
    """The records of so many folders within one another, with an empty file in the last."""
    for number_of_folder in range(depth):
        yield folder(name, number_of_folder)
    yield file(b"file", depth)


class Manifest:
    """A manifest in records, as they are sent in an attempt; `sent` are the bytes of the stream so far."""

    def __init__(self, records: Iterable[bytes], content: bytes = record(sealed_stream.END, b"")) -> None:
        self._records, self._content = records, content
        self.sent = 0

    def body(self, offered: Offered) -> Iterator[bytes]:
        """The sealed stream, for `Offered.upload`."""
        outgoing = offered.sealed
        index, kept = 0, bytearray()
        for piece in self._plaintext(outgoing.transfer, outgoing.owner):
            kept += piece
            while len(kept) >= CHUNK:
                self.sent += CHUNK
                yield sealed.seal_chunk(outgoing.keys.content, index, bytes(kept[:CHUNK]))
                del kept[:CHUNK]
                index += 1
        yield sealed.seal_chunk(outgoing.keys.content, index, bytes(kept))

    def _plaintext(self, transfer: bytes, owner: sealed.Owner) -> Iterator[bytes]:
        digest = hashlib.sha256()
        yield b"\1"
        for piece in self._records:
            digest.update(piece)
            yield piece
        value = digest.digest()
        yield record(MANIFEST_END, value + owner.signing.sign(label("manifest") + transfer + value))
        yield self._content
