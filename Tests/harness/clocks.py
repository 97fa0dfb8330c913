# SPDX-License-Identifier: Apache-2.0
"""Programs whose clock is wrong, or is set while they run."""

from __future__ import annotations

import datetime
import glob
import os
import pathlib

from .types import Path

#: libfaketime changes the environment when it is loaded, after which Swift's runtime does not find the command line;
#: loaded once before, into a process that becomes the program, it finds everything as it wants it.
PREFIX = ("nice", "-n", "0")


def _faked(**more: str) -> dict[str, str]:
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/require libfaketime installs it"
    return {"LD_PRELOAD": found[0], "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1", **more}


def clock(shift: str) -> dict[str, str]:
    """An environment in which it is earlier or later, such as "-1h", except for the monotonic clock and the times
    of files. What runs in it begins with `PREFIX`."""
    return _faked(FAKETIME=shift)


class Clock:
    """A calendar clock of its own, which can be set while programs run that have its `environment`.

    With `at`, it begins at that hour of today, UTC: nothing that a test does then goes over midnight.
    """

    def __init__(self, folder: Path, *, at: int | None = None) -> None:
        now = datetime.datetime.now(datetime.UTC)
        begin = now if at is None else now.replace(hour=at, minute=0, second=0, microsecond=0)
        #: The day that it begins on, in days since 1970.
        self.day = int(begin.timestamp()) // 86_400
        self._base = round((begin - now).total_seconds())
        self._file = pathlib.Path(folder) / "clock"
        self.environment = _faked(FAKETIME_TIMESTAMP_FILE=str(self._file), FAKETIME_NO_CACHE="1")
        self.set()

    def set(self, *, days: float = 0, hours: float = 0) -> None:
        """Sets it to so much after (or before) what it was at first, at once."""
        shift = self._base + round((days * 24 + hours) * 3600)
        new = self._file.with_suffix(".new")
        new.write_text(f"{shift:+d}\n")
        # No program reads half of it.
        os.replace(new, self._file)
