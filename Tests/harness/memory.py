# SPDX-License-Identifier: Apache-2.0
"""The memory of a running process: what a core dump of it would hold."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
from collections.abc import Callable

PIECE = 1 << 16
ZEROS = 1 << 10
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)\s*(.*)")


def show(pid: int, look: Callable[[str], Callable[[bytes], None]]) -> int:
    """Reads every mapping that the process can write to, and every one that is of no file: for each, `look` is told
    what it is, and the returned function gets its bytes in pieces. Returns how many bytes that were.

    It needs the rights of a debugger: relay-server lets only root look.
    """
    total = 0
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
        lines = file.readlines()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in lines:
            mapping = _MAPPING.match(line)
            assert mapping, line
            start, end, rights, inode, name = mapping.groups()
            # The kernel's own pages cannot be read, and hold nothing of the process.
            if "r" not in rights or name.startswith("[v") or (inode != "0" and "w" not in rights):
                continue
            total += _read(memory.fileno(), int(start, 16), int(end, 16), look(name or "anonymous"))
    return total


def _read(memory: int, start: int, end: int, take: Callable[[bytes], None]) -> int:
    position = start
    while position < end:
        try:
            piece = os.pread(memory, min(PIECE, end - position), position)
        except OSError:
            # Gone since the list was made, or a guard page.
            break
        if not piece:
            break
        # Most of it was never written to: a few zeros stand for very many.
        take(piece if piece.count(0) < len(piece) else piece[:ZEROS])
        position += len(piece)
    return position - start


def dump(pid: int, take: Callable[[bytes], None], folder: pathlib.Path) -> None:
    """Makes a core dump of a process, which goes on, in `folder`, shows all of it in pieces, and removes it. It needs
    the rights of a debugger, too."""
    begin = folder / "core"
    # All mappings, also those that the kernel would leave out.
    done = subprocess.run(
        ["gcore", "-a", "-o", begin, str(pid)], check=False, timeout=120, text=True, capture_output=True
    )
    written = begin.with_name(f"core.{pid}")
    assert done.returncode == 0 and written.is_file(), done.stderr[-1000:]
    with written.open("rb") as file:
        while piece := file.read(PIECE):
            take(piece if piece.count(0) < len(piece) else piece[:ZEROS])
    written.unlink()
