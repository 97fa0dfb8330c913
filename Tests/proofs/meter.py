# SPDX-License-Identifier: Apache-2.0
"""What a process has used by the time it ends: /proc is looked at until then."""

from __future__ import annotations

import contextlib
import threading
from typing import Self

from harness import measure
from harness.processes import Process

#: Between two looks. What happens after the last one is missed.
STEP = 0.01


class Meter:
    """`with Meter(process) as meter:` until it has ended, or is not looked at any more."""

    def __init__(self, process: Process) -> None:
        self._pid, self._stop = process.pid, threading.Event()
        #: The highest resident memory, in bytes (VmHWM).
        self.memory = 0
        #: Bytes that system calls have read and written, sockets included, and bytes that came from the disk.
        self.read = self.written = self.from_disk = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def _look(self) -> None:
        # A process that was reaped has no files any more, and one that waits for that has empty ones.
        with contextlib.suppress(OSError, ValueError):
            while True:
                self._note()
                if self._stop.wait(STEP):
                    self._note()
                    return

    def _note(self) -> None:
        counters = measure.io(self._pid)
        self.read, self.written, self.from_disk = (counters[key] for key in ("rchar", "wchar", "read_bytes"))
        self.memory = max(self.memory, measure.peak(self._pid))
