# SPDX-License-Identifier: Apache-2.0
"""Manifest and content of a stream, written from section 8 of docs/sealed-format.md alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from .sealed import Reader, Refused, digest, label, lp, lp32, number, verify

FOLDER, FILE, LINK, MANIFEST_END = 1, 2, 3, 8
DATA, HOLE, FILE_END, UNREADABLE, PADDING, END = 16, 17, 18, 19, 20, 24
UNKNOWN = 2**64 - 1
KINDS = {FOLDER: "folder", FILE: "file", LINK: "link"}
CODES = {1: "source_changed", 2: "source_changed", 3: "source_changed", 4: "cannot_read"}


@dataclasses.dataclass
class Entry:
    """One entry of a manifest."""

    kind: str
    name: str
    parent: int | None = None
    seconds: int = 0
    nanoseconds: int = 0
    mode: int | None = None
    size: int | None = None
    target: bytes | None = None

    def record(self) -> bytes:
        """The record of it."""
        kind = next(kind for kind, word in KINDS.items() if word == self.kind)
        body = number(self.mode is not None, 1) + number(self.mode or 0, 2)
        body += self.seconds.to_bytes(8, "big", signed=True) + number(self.nanoseconds, 4)
        body += number(0 if self.parent is None else self.parent + 1, 4) + lp(self.name.encode(errors="surrogatepass"))
        if kind == FILE:
            body += number(UNKNOWN if self.size is None else self.size, 8)
        if kind == LINK:
            body += lp(self.target or b"")
        return record(kind, body)


def record(kind: int, body: bytes) -> bytes:
    """A record."""
    return number(kind, 1) + lp32(body)


def _refuse(why: str) -> Refused:
    return Refused("protocol_error", why)


def _entry(kind: int, body: bytes) -> Entry:
    reader = Reader(body)
    flags, mode, seconds = reader.number(1), reader.number(2), reader.number(8, signed=True)
    nanoseconds, parent, name = reader.number(4), reader.number(4), reader.raw(reader.number(2))
    if flags > 1 or mode > (0o777 if flags else 0) or nanoseconds >= 10**9:
        raise _refuse("fields of an entry")
    try:
        text = name.decode()
    except UnicodeDecodeError as error:
        raise _refuse("a name that is not UTF-8") from error
    if not 1 <= len(name) <= 255 or b"/" in name or b"\0" in name or text in (".", ".."):
        raise _refuse("a name")
    entry = Entry(KINDS[kind], text, parent - 1 if parent else None, seconds, nanoseconds, mode if flags else None)
    if kind == FILE:
        size = reader.number(8)
        entry.size = None if size == UNKNOWN else size
    if kind == LINK:
        entry.target = reader.raw(reader.number(2))
        if not 1 <= len(entry.target) <= 4095 or b"\0" in entry.target:
            raise _refuse("a target")
    reader.done()
    return entry


class Order:
    """Depth first, and each folder in the order of names."""

    def __init__(self) -> None:
        self.count = 0
        self._way: list[tuple[int | None, bytes]] = [(None, b"")]

    def add(self, entry: Entry) -> None:
        """Takes the next entry."""
        while self._way and self._way[-1][0] != entry.parent:
            self._way.pop()
        if not self._way:
            raise _refuse("a folder that is none, or was left")
        name = entry.name.encode()
        if name <= self._way[-1][1]:
            raise _refuse("the order of names")
        self._way[-1] = (entry.parent, name)
        if entry.kind == "folder":
            if len(self._way) > 1024:
                raise _refuse("too many folders within one another")
            self._way.append((self.count, b""))
        self.count += 1


def write_manifest(
    entries: Iterable[Entry], transfer: bytes, signing: ed25519.Ed25519PrivateKey
) -> tuple[bytes, bytes]:
    """Form, records and end; and the digest."""
    records = b"".join(entry.record() for entry in entries)
    value = digest(records)
    signature = signing.sign(label("manifest") + transfer + value)
    return b"\1" + records + record(MANIFEST_END, value + signature), value


def write_content(files: Iterable[bytes], piece: int = 7) -> bytes:
    """The content of files."""
    out: list[bytes] = []
    for file in files:
        out += [record(DATA, file[at : at + piece]) for at in range(0, len(file), piece)]
        out.append(record(FILE_END, b""))
    return b"".join([*out, record(END, b"")])


def padding(plaintext: int, chunk: int = 65_536) -> bytes:
    """The records that fill up the chunk which so many bytes end in."""
    room = -plaintext % chunk
    if not room:
        return b""
    # A record has a head of 5 bytes: where there is no room for one, the next chunk is filled up as well.
    return record(PADDING, bytes(room - 5 if room >= 5 else room - 5 + chunk))


@dataclasses.dataclass
class Contents:
    """What a stream brought."""

    entries: list[Entry] = dataclasses.field(default_factory=list)
    files: list[bytes] = dataclasses.field(default_factory=list)
    digest: bytes = b""

    @property
    def sizes(self) -> list[int | None]:
        """The announced size of each file."""
        return [entry.size for entry in self.entries if entry.kind == "file"]

    @property
    def paths(self) -> list[str]:
        """Where each entry is, with the folders that it is in."""
        found: list[str] = []
        for entry in self.entries:
            found.append(entry.name if entry.parent is None else f"{found[entry.parent]}/{entry.name}")
        return found


class _Plaintext(Reader):
    """Reads what comes in pieces, as far as it is needed."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        super().__init__(b"")
        self._pieces = iter(pieces)
        self._kept = bytearray()

    def raw(self, count: int) -> bytes:
        """So many bytes."""
        while count > len(self._kept) - self.at and (piece := next(self._pieces, None)) is not None:
            self._kept += piece
        if count > len(self._kept) - self.at:
            raise _refuse("it is too short")
        self.at += count
        return bytes(self._kept[self.at - count : self.at])

    def since(self, start: int, end: int) -> bytes:
        """What was read."""
        return bytes(self._kept[start:end])

    def forget(self) -> None:
        """What was read before is not asked for again."""
        if self.at > 1 << 20:
            del self._kept[: self.at]
            self.at = 0

    def done(self) -> None:
        """Refuses what is left over."""
        if self.at != len(self._kept) or any(self._pieces):
            raise _refuse("it is too long")


class StreamReader:
    """Reads a stream, whole or as its plaintext comes; in each, every file is wanted if nothing else is said."""

    def __init__(self, plaintext: bytes | Iterable[bytes], transfer: bytes, sender: bytes) -> None:
        self._reader = _Plaintext([plaintext] if isinstance(plaintext, bytes) else plaintext)
        self._transfer, self._sender = transfer, sender
        self.contents = Contents()

    def read(
        self,
        summary: Mapping[str, Any] | None = None,
        wanted: Callable[[Contents], list[bool]] | None = None,
    ) -> Contents:
        """A stream with its manifest, which has to be what the summary says; `wanted` is asked when that is there."""
        if self._reader.number(1) != 1:
            raise _refuse("the form of the stream")
        self._manifest()
        if summary is not None:
            self._check(summary)
        sizes = self.contents.sizes
        takes = wanted(self.contents) if wanted else [True] * len(sizes)
        self._content([(size, 0) for size, take in zip(sizes, takes, strict=True) if take])
        return self.contents

    def resume(self, manifest: bytes, due: list[tuple[int | None, int]]) -> Contents:
        """A stream of which the receiver has the manifest; `due` are sizes and offsets."""
        if self._reader.number(1) != 2:
            raise _refuse("the form of the stream")
        self.contents.digest = self._reader.raw(32)
        if self.contents.digest != manifest:
            raise Refused("source_changed", "another manifest")
        self._content(due)
        return self.contents

    def _head(self) -> tuple[int, int]:
        return self._reader.number(1), self._reader.number(4)

    def _manifest(self) -> None:
        order, start = Order(), self._reader.at
        while True:
            end = self._reader.at
            kind, length = self._head()
            if kind not in (*KINDS, MANIFEST_END) or length > 65_536:
                raise _refuse(f"a record of kind {kind}, {length} bytes")
            body = self._reader.raw(length)
            if kind == MANIFEST_END:
                break
            entry = _entry(kind, body)
            order.add(entry)
            self.contents.entries.append(entry)
        self.contents.digest = digest(self._reader.since(start, end))
        if len(body) != 96 or body[:32] != self.contents.digest:
            raise _refuse("the digest of the manifest")
        if not verify(self._sender, body[32:], label("manifest") + self._transfer + body[:32]):
            raise _refuse("the signature of the manifest")

    def _check(self, summary: Mapping[str, Any]) -> None:
        entries, sizes = self.contents.entries, self.contents.sizes
        total = None if None in sizes else sum(size or 0 for size in sizes)
        if summary.get("entries", len(entries)) != len(entries) or summary.get("bytes", total) != total:
            raise _refuse("other counts than were announced")
        top = [entry for entry in entries if entry.parent is None]
        if summary["names"] != [entry.name for entry in top[:8]]:
            raise _refuse("other names than were announced")
        kinds = {"file": (entries, "file"), "stream": (entries, "file"), "folder": (top, "folder")}
        if summary["kind"] in kinds:
            single, kind = kinds[summary["kind"]]
            if [entry.kind for entry in single] != [kind]:
                raise _refuse("something else than was announced")

    def _content(self, due: list[tuple[int | None, int]]) -> None:
        for size, offset in due:
            self.contents.files.append(self._file(None if size is None else size - offset))
        if self._skip_padding() != (END, 0):
            raise _refuse("something else than the end")
        self._reader.done()

    def _skip_padding(self) -> tuple[int, int]:
        while True:
            kind, length = self._head()
            if kind != PADDING:
                return kind, length
            if length > 65_536 or any(self._reader.raw(length)):
                raise _refuse("padding")

    def _file(self, missing: int | None) -> bytes:
        content = bytearray()
        while True:
            self._reader.forget()
            kind, length = self._skip_padding()
            if kind == DATA and length:
                content += self._reader.raw(length)
            elif kind == HOLE and length == 8 and missing is not None:
                hole = self._reader.number(8)
                if not 1 <= hole <= missing - len(content):
                    raise _refuse("a hole")
                content += bytes(hole)
            elif kind == FILE_END and length == 0:
                if missing is not None and len(content) != missing:
                    raise _refuse("the length of a file")
                return bytes(content)
            elif kind == UNREADABLE and length == 2 and (reason := self._reader.number(2)) in CODES:
                raise Refused(CODES[reason], "the sender cannot read on")
            else:
                raise _refuse(f"a record of kind {kind}, {length} bytes")
            if missing is not None and len(content) > missing:
                raise _refuse("the length of a file")
