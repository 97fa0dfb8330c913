# SPDX-License-Identifier: Apache-2.0
"""What the machine itself does to the numbers."""

import os
import platform
import subprocess
from typing import TypedDict

from .processes import Failure

RECORD_BYTES = 16 * 1024  # what TLS encrypts at a time
SPEED_TIMEOUT = 30


class Description(TypedDict):
    """The machine as a value that becomes JSON."""

    processor: str
    cores: int | None
    kernel: str
    library: str
    congestion_control: str
    aes_128_gcm_gb_per_second: list[float]


def processor() -> str:
    """The processor's name."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    return names[0] if names else platform.machine()


def congestion_control() -> str:
    """The kernel's default, which decides whether a stream is paced by timers."""
    try:
        with open("/proc/sys/net/ipv4/tcp_congestion_control", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "unknown"


def aes_gigabytes_per_second() -> float:
    """How fast one core encrypts now: half of what a stream costs, and the part that a busy neighbour slows most."""
    command = ("openssl", "speed", "-seconds", "1", "-evp", "aes-128-gcm", "-bytes", str(RECORD_BYTES))
    try:
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=SPEED_TIMEOUT).stdout
        return float(said.split()[-1].rstrip("k")) * 1000 / 1e9
    except (subprocess.SubprocessError, ValueError, IndexError) as error:
        raise Failure(f"openssl speed does not say how fast AES is: {error}") from None


def description(library: str, speeds: list[float]) -> Description:
    """This machine; `speeds` are those of AES before each round."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "library": library,
        "congestion_control": congestion_control(),
        "aes_128_gcm_gb_per_second": [round(speed, 2) for speed in speeds],
    }
