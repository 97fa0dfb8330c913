# SPDX-License-Identifier: Apache-2.0
"""What a person sends, as the sealed format sees it: entries in their order, and what is in the files."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ed25519

from . import sealed_stream
from .sealed import digest
from .sealed_stream import Entry

#: Paths and what is there: a file's content, or None for a folder. A path's folders need not be named.
Files = Mapping[str, bytes | None]
SECONDS = 1_700_000_000


@dataclasses.dataclass
class Tree:
    """Entries, and the content of the files among them."""

    entries: list[Entry]
    files: list[bytes]

    @classmethod
    def of(cls, files: Files, *, sized: bool = True) -> Tree:
        """In the order of the format."""
        made = cls([], [])
        made._add(None, "", {path.strip("/"): body for path, body in files.items()}, sized)
        return made

    @classmethod
    def named(cls, name: str, body: bytes) -> Tree:
        """One file, of whatever name."""
        return cls([Entry("file", name, seconds=SECONDS, size=len(body))], [body])

    def _add(self, parent: int | None, place: str, files: Files, sized: bool) -> None:
        names = {path.removeprefix(place).split("/")[0] for path in files if path.startswith(place) and path != place}
        for name in sorted(names, key=str.encode):
            body = files.get(place + name)
            if body is None:
                self.entries.append(Entry("folder", name, parent, SECONDS))
                self._add(len(self.entries) - 1, f"{place}{name}/", files, sized)
            else:
                self.entries.append(Entry("file", name, parent, SECONDS, size=len(body) if sized else None))
                self.files.append(body)

    @property
    def digest(self) -> bytes:
        """The manifest's."""
        return digest(b"".join(entry.record() for entry in self.entries))

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.files))

    def summary(self) -> dict[str, Any]:
        """What the person at the other side is asked about."""
        top = [entry for entry in self.entries if entry.parent is None]
        sized = all(entry.size is not None for entry in self.entries if entry.kind == "file")
        kind = ("several" if len(top) > 1 else top[0].kind) if sized and top else "stream"
        counts = {"entries": len(self.entries), **({"bytes": self.size} if sized else {})}
        return {"names": [entry.name for entry in top[:8]], "kind": kind, **counts}

    def manifest(self, transfer: bytes, signing: ed25519.Ed25519PrivateKey) -> bytes:
        """How a stream from the beginning begins."""
        return sealed_stream.write_manifest(self.entries, transfer, signing)[0]

    def content(
        self, file: int = 0, offset: int = 0, wanted: Sequence[bool] | None = None, piece: int = 65_536
    ) -> bytes:
        """The content behind a position, or of what is wanted of it."""
        left = [
            body[offset if index == file else 0 :]
            for index, body in enumerate(self.files)
            if index >= file and (wanted is None or wanted[index])
        ]
        return sealed_stream.write_content(left, piece)


def text(summary: dict[str, Any]) -> str:
    """A summary, as it is sealed."""
    return json.dumps(summary, ensure_ascii=False)
