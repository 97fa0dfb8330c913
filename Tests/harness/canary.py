# SPDX-License-Identifier: Apache-2.0
"""Names and contents that are recognised wherever they turn up, and the search for them."""

from __future__ import annotations

import base64
import hashlib
import pathlib
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

#: A mark is repeated each so many bytes, so that every piece of content of 32 bytes (27 are enough) holds a whole one.
BLOCK = 16
MARK = 12
# With so many bytes a client masks all of a WebSocket frame.
MASK = 4
# What is remembered of one place: enough to see what it is, and no gigabytes when everything is wrong.
MOST_FINDINGS = 5
CONTEXT = 40


class Marks:
    """Byte strings to look for, in each of their spellings."""

    def __init__(self, *marks: bytes) -> None:
        self.needles = tuple({spelling for mark in marks for spelling in spellings(mark)})
        self.masked_needles = tuple({unmasked(needle) for needle in self.needles})


class Canary(Marks):
    """One set of names and contents. Two of them with different seeds have nothing in common."""

    def __init__(self, seed: object) -> None:
        digest = hashlib.sha512(f"canary {seed}".encode()).digest()
        # No zero byte, which memory is full of.
        self._mark = bytes(byte or 1 for byte in digest[:MARK])
        self._word = "canary" + base64.b32encode(digest[MARK : MARK + 30]).decode().lower()
        self._names = self._blocks = 0
        super().__init__(self._mark, self._word.encode())

    def name(self, ending: str = "") -> str:
        """A new name of 60 characters, in which only a number at the end is not random."""
        self._names += 1
        return f"{self._word}{self._names:06}{ending}"

    def content(self, size: int) -> bytes:
        """New content: marks with a number behind each, so that no two pieces are equal."""
        count = -(-size // BLOCK)
        first, self._blocks = self._blocks, self._blocks + count
        pieces = [self._mark + number.to_bytes(BLOCK - MARK, "big") for number in range(first, first + count)]
        return b"".join(pieces)[:size]

    def file(self, folder: pathlib.Path, size: int, ending: str = ".txt") -> pathlib.Path:
        """A new file with a new name."""
        path = folder / self.name(ending)
        path.write_bytes(self.content(size))
        return path


def spellings(mark: bytes) -> Iterable[bytes]:
    """How bytes look in memory, in JSON, in logs and in Redis: as they are, in hexadecimal, and in base64, of which
    there are three, as the bytes before them come out; of each, what does not depend on the neighbours.
    """
    yield mark
    yield mark.hex().encode()
    yield mark.hex().upper().encode()
    for shift in range(3):
        first = -(-shift * 8 // 6)
        whole = (shift + len(mark)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(shift) + mark)[first:whole]


def unmasked(data: bytes) -> bytes:
    """Each byte XOR the one four bytes behind it: the same for a text, and for that text under any mask of a frame."""
    length = len(data) - MASK
    if length <= 0:
        return b""
    return (int.from_bytes(data[:length], "big") ^ int.from_bytes(data[MASK:], "big")).to_bytes(length, "big")


class Finding(NamedTuple):
    """A place in which something of a canary is."""

    place: str
    offset: int
    context: bytes

    def __str__(self) -> str:
        return f"{self.place}, at {self.offset}: {self.context!r}"


class Search:
    """Looks for several canaries, in the same bytes; any thread may show it some."""

    def __init__(self, **canaries: Marks) -> None:
        self._canaries = canaries
        self._overlap = max(len(needle) for each in canaries.values() for needle in each.needles) - 1
        self._lock = threading.Lock()
        #: How many bytes of each place were looked at.
        self.sizes: dict[str, int] = {}
        self._findings: dict[str, dict[str, list[Finding]]] = {name: {} for name in canaries}

    def stream(self, place: str, *, frames: bool = False) -> Callable[[bytes], None]:
        """What takes the bytes of one stream, in order and in pieces of any size; with `frames`, some may be masked."""
        tail, position = b"", 0

        def take(piece: bytes) -> None:
            nonlocal tail, position
            data = tail + piece
            self._look(place, data, position - len(tail), new=len(piece))
            if frames:
                self._look(place, data, position - len(tail), new=0, masked=True)
            position += len(piece)
            tail = data[-self._overlap :]

        return take

    def whole(self, place: str, data: bytes) -> None:
        """Looks at everything there is in one place."""
        self._look(place, data, 0, new=len(data))

    def _look(self, place: str, data: bytes, position: int, new: int, *, masked: bool = False) -> None:
        searched = unmasked(data) if masked else data
        found = [
            (name, Finding(place, position + at, data[max(0, at - CONTEXT) : at + len(needle) + CONTEXT]))
            for name, canary in self._canaries.items()
            for needle in (canary.masked_needles if masked else canary.needles)
            if (at := searched.find(needle)) >= 0
        ]
        with self._lock:
            self.sizes[place] = self.sizes.get(place, 0) + new
            for name, finding in found:
                kept = self._findings[name].setdefault(place, [])
                if len(kept) < MOST_FINDINGS and all(each.offset != finding.offset for each in kept):
                    kept.append(finding)

    def findings(self, canary: str) -> list[Finding]:
        """Where something of that canary was found, a few of each place."""
        with self._lock:
            return [finding for place in self._findings[canary].values() for finding in place]

    def places(self, canary: str) -> set[str]:
        """The places in which something of that canary was found."""
        with self._lock:
            return set(self._findings[canary])
