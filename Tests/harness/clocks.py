# SPDX-License-Identifier: Apache-2.0
"""Programs whose clock is wrong."""

from __future__ import annotations

import glob

#: libfaketime changes the environment when it is loaded, after which Swift's runtime does not find the command line;
#: loaded once before, into a process that becomes the program, it finds everything as it wants it.
PREFIX = ("nice", "-n", "0")


def clock(shift: str) -> dict[str, str]:
    """An environment in which it is earlier or later, such as "-1h", except for the monotonic clock and the times
    of files. What runs in it begins with `PREFIX`."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/require libfaketime installs it"
    return {"LD_PRELOAD": found[0], "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"}
