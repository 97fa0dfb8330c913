# SPDX-License-Identifier: Apache-2.0
"""What /proc says about a process."""

import os


def resident(pid):
    """Resident memory in bytes, from smaps_rollup: what is really mapped in, summed page by page."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file:
            if line.startswith("Rss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("no Rss line")


def io(pid):
    """The counters of /proc/PID/io: rchar, wchar, read_bytes, write_bytes and so on."""
    with open(f"/proc/{pid}/io") as file:
        return {key: int(value) for key, value in (line.split(":") for line in file)}


def descriptors(pid):
    """How many descriptors are open."""
    return len(os.listdir(f"/proc/{pid}/fd"))
