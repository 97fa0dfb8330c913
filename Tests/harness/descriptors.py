# SPDX-License-Identifier: Apache-2.0
"""The descriptors of a running process (proc_pid_fd(5), proc_pid_fdinfo(5))."""

import os
import re

CLOSE_ON_EXEC = 0o2000000
STANDARD_STREAMS = {0, 1, 2}


def named(pid: int) -> dict[int, str]:
    """Number and target of each descriptor that is open."""
    found = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(number)] = os.readlink(f"/proc/{pid}/fd/{number}")
        except FileNotFoundError:
            # Closed meanwhile.
            continue
    return found


def sockets(pid: int) -> int:
    """How many sockets the process has."""
    return sum(target.startswith("socket:") for number, target in named(pid).items() if number not in STANDARD_STREAMS)


def inherited(pid: int) -> dict[int, str]:
    """What a program that the process starts would have, beside the standard streams."""
    kept = {}
    for number, target in named(pid).items():
        try:
            with open(f"/proc/{pid}/fdinfo/{number}", encoding="ascii") as file:
                flags = re.search(r"^flags:\s*(\d+)", file.read(), re.MULTILINE)
        except FileNotFoundError:
            continue
        assert flags, "proc_pid_fdinfo(5) names the flags of every descriptor"
        if number not in STANDARD_STREAMS and not int(flags[1], 8) & CLOSE_ON_EXEC:
            kept[number] = target
    return kept
