# SPDX-License-Identifier: Apache-2.0
"""Where the built executables and the repository's scripts are."""

from __future__ import annotations

import os
import pathlib

import pytest

from .types import Path

_PASSED_ON = ("ASAN_", "TSAN_", "LSAN_", "UBSAN_", "RELAY_REDIS_SERVER")
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def folder() -> pathlib.Path:
    """The folder named by RELAY_BIN, else the newest build in .build."""
    named = os.environ.get("RELAY_BIN")
    candidates = [pathlib.Path(named)] if named else [REPOSITORY / ".build/release", REPOSITORY / ".build/debug"]
    for candidate in candidates:
        if all((candidate / name).is_file() for name in ("relay-server", "relay-client")):
            return candidate.resolve()
    pytest.exit(f"no relay-server and relay-client in {', '.join(map(str, candidates))}: set RELAY_BIN", returncode=2)


def clean_environment(home: Path, **more: object) -> dict[str, str]:
    """An environment that owes nothing to the machine's: no proxies, no settings of a relay, a home of its own."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        # A trap must end the process at once, not after a symbolised backtrace.
        "SWIFT_BACKTRACE": "enable=no",
        # Several relays run at once: none of them may take a fixed port.
        "RELAY_METRICS_LISTEN": "off",
        # All of them come from one address, and more of them at once than any office's.
        "RELAY_ADDRESS_LIMIT": "100",
        # How the tests were built, and what they run as Redis.
        **{key: value for key, value in os.environ.items() if key.startswith(_PASSED_ON)},
        **{key: str(value) for key, value in more.items()},
    }
