# SPDX-License-Identifier: Apache-2.0
"""The committed inputs of the fuzzer: Tests/corpora/NAME.txt, an input a line.

Printable ASCII stands for itself, all else is written as a backslash and n, r, t, a backslash, or xNN. A line that
begins with # says what the next one has shown.
"""

from __future__ import annotations

import pathlib
import re

from harness.executables import REPOSITORY

FOLDER = REPOSITORY / "Tests/corpora"
#: Bytes of all inputs of a decoder together that are kept, at most: what is found later is small, or rare.
MOST = 48 << 10
_NAMED = {"n": 10, "r": 13, "t": 9, "\\": 92}
_NAMES = {value: name for name, value in _NAMED.items()}


def decoded(line: str) -> bytes:
    """The input that a line stands for."""

    def byte(match: re.Match[str]) -> str:
        name = match.group(1)
        return chr(_NAMED[name]) if name in _NAMED else chr(int(name[1:], 16))

    return re.sub(r"\\(n|r|t|\\|x[0-9a-f]{2})", byte, line).encode("latin-1")


def encoded(data: bytes) -> str:
    """The line that stands for an input."""

    last = len(data) - 1

    def text(index: int, byte: int) -> str:
        if byte in _NAMES:
            return "\\" + _NAMES[byte]
        # A comment begins with one, and no line ends with the other.
        plain = 0x20 <= byte < 0x7F and not (index == 0 and byte == ord("#")) and not (index == last and byte == 0x20)
        return chr(byte) if plain else f"\\x{byte:02x}"

    line = "".join(text(index, byte) for index, byte in enumerate(data))
    # No line looks like a token, a password or a key that was lost.
    line = line.replace("PRIVATE KEY", "PRIVATE\\x20KEY")
    line = re.sub(r"://(?=[^/@]+:[^/@]{6,}@)", ":/\\\\x2f", line)
    return re.sub(r"(Bearer +)(\w)", lambda match: f"{match.group(1)}\\x{ord(match.group(2)):02x}", line)


def lines(name: str) -> list[str]:
    """The lines of a decoder's corpus, with its comments."""
    return (FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()


def inputs(name: str) -> list[bytes]:
    """The committed inputs of a decoder."""
    return [decoded(line) for line in lines(name) if not line.startswith("#")]


def unpack(name: str, folder: pathlib.Path) -> None:
    """Writes each input of a decoder into a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(inputs(name)):
        (folder / f"{number:04}").write_bytes(data)


def grow(name: str, found: list[bytes]) -> int:
    """Adds inputs to a corpus, the shortest first, as long as there is room; returns how many."""
    kept, known = lines(name), set(inputs(name))
    room, added = MOST - sum(map(len, known)), 0
    for data in sorted(found, key=len):
        if data not in known and len(data) <= room:
            known.add(data)
            kept.append(encoded(data))
            room, added = room - len(data), added + 1
    (FOLDER / f"{name}.txt").write_text("\n".join(kept) + "\n", encoding="ascii")
    return added
