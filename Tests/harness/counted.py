# SPDX-License-Identifier: Apache-2.0
"""A relay whose instructions, allocations and copies are counted, by callgrind and by what is loaded into it."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
import re
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Self

from .executables import REPOSITORY
from .relay import Relay

if TYPE_CHECKING:
    from .certificates import Certificates

#: What is counted: our own code with what it links (NIO, swift-crypto), Swift's libraries, and OpenSSL's record layer.
#: Neither libcrypto nor libc: they choose their code by the processor.
OURS = re.compile(r"/(relay-server|libswift\w*\.so|libssl\.so\.3|libhiredis\.so[.\d]*)$")
_OBJECT = re.compile(r"ob=(\(\d+\))(?: (.*))?$")
_COST = re.compile(r"(?:\+|-)?\d+ (\d+)$|\* (\d+)$")


@dataclasses.dataclass
class Counts:
    """What a relay has done in between."""

    seconds: float
    #: Without those of other libraries.
    instructions: float
    allocations: float
    #: Bytes of memory that were taken and not given back.
    held: float
    #: Bytes that memcpy and memmove were asked to copy, 256 or more at a time.
    copied: float


def costs(text: str) -> dict[str, int]:
    """The instructions of each object in what callgrind has written; what a function has called is not its own."""
    names: dict[str, str] = {}
    found: dict[str, int] = collections.Counter()
    current, is_of_callee = "", False
    for line in text.splitlines():
        if match := _OBJECT.match(line.removeprefix("c")):
            number, name = match.groups()
            if name is not None:
                names[number] = name
            if line.startswith("ob="):
                current = names[number]
        elif line.startswith("calls="):
            is_of_callee = True
        elif match := _COST.match(line):
            if not is_of_callee:
                found[current] += int(match.group(1) or match.group(2))
            is_of_callee = False
    return dict(found)


def loaded(folder: pathlib.Path) -> pathlib.Path:
    """What is loaded into the program, freshly compiled."""
    library = folder / "preloaded.so"
    source = REPOSITORY / "Tests/harness/preloaded.c"
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return library


class CountedRelay(Relay):
    """A relay that `counted` can be asked of."""

    def __init__(
        self, binaries: pathlib.Path, certs: Certificates, folder: pathlib.Path, level: str = "notice"
    ) -> None:
        folder.mkdir(parents=True)
        # Valgrind 3.19 cannot read the debug information of Swift's compiler.
        stripped = folder / "bin"
        stripped.mkdir()
        subprocess.run(
            ["strip", "--strip-debug", "-o", stripped / "relay-server", binaries / "relay-server"],
            check=True,
            timeout=60,
        )
        self._memory_counts = folder / "memory"
        super().__init__(
            stripped,
            certs,
            folder,
            registration="open",
            level=level,
            env={
                "LD_PRELOAD": loaded(folder),
                "MEMORY_COUNTS": self._memory_counts,
                # Otherwise each run has collisions of its own.
                "SWIFT_DETERMINISTIC_HASHING": 1,
            },
        )
        self._out = folder / "callgrind.out"
        self.prefix = (
            "valgrind",
            "--tool=callgrind",
            "--quiet",
            "--instr-atstart=no",
            f"--callgrind-out-file={self._out}",
            f"--vgdb-prefix={folder}/vgdb",
        )
        self._numbers = itertools.count(1)
        self._since, self._before = 0.0, (0, 0, 0)

    def start(self, port: int = 0) -> Self:
        """Starts it; from now on it counts."""
        super().start(port)
        self._tell("instrumentation on")
        return self

    def begin(self) -> None:
        """Counts from here."""
        self._dump()
        self._since, self._before = time.monotonic(), self._memory()

    def end(self) -> Counts:
        """What it came to."""
        seconds, now = time.monotonic() - self._since, self._memory()
        allocated, held, copied = (after - before for before, after in zip(self._before, now, strict=True))
        instructions = sum(count for name, count in costs(self._dump()).items() if OURS.search(name))
        return Counts(seconds, instructions, allocated, held, copied)

    def _memory(self) -> tuple[int, int, int]:
        return struct.unpack("3q", self._memory_counts.read_bytes()[:24])

    def _dump(self) -> str:
        """What was counted since the last time."""
        self._tell(f"dump {next(self._numbers)}")
        written = sorted(self.folder.glob("callgrind.out*"), key=lambda path: path.stat().st_mtime_ns)
        text = written[-1].read_text(errors="replace")
        for path in written:
            path.unlink()
        return text

    def _tell(self, command: str) -> None:
        done = subprocess.run(
            ["vgdb", f"--vgdb-prefix={self.folder}/vgdb", f"--pid={self.pid}", command],
            check=False,
            timeout=60,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, (command, done.stdout, done.stderr)
