# SPDX-License-Identifier: Apache-2.0
"""relay-server in the background, as `--daemonize` leaves it: a process that is no child of the test."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
import signal
import subprocess
from typing import TYPE_CHECKING

from .executables import clean_environment
from .measure import is_gone
from .relay import admin
from .types import Environment, Path, Word
from .waiting import until

if TYPE_CHECKING:
    from .certificates import Certificates


class Daemon:
    """A relay in the background, with everything it needs in one folder."""

    def __init__(
        self,
        binaries: pathlib.Path,
        certs: Certificates,
        folder: Path,
        *arguments: Word,
        state: Path | None = None,
        log: Path | None = None,
        env: Environment | None = None,
    ) -> None:
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.binaries, self.pid_file = binaries, self.folder / "relay.pid"
        self.log = pathlib.Path(log) if log else self.folder / "relay.log"
        self.state = pathlib.Path(state) if state else self.folder / "state"
        self.done = subprocess.run(
            [
                *(binaries / "relay-server", "serve", "--daemonize", "--listen", "127.0.0.1:0"),
                *("--tls-cert", certs.chain, "--tls-key", certs.key, "--state-dir", self.state),
                *("--pid-file", self.pid_file, "--log-file", self.log, *arguments),
            ],
            check=False,
            timeout=30,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(self.folder, **(env or {})),
        )

    @property
    def pid(self) -> int:
        """The process id, as the pid file has it."""
        return int(self.pid_file.read_text())

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, as its log says."""
        found = re.findall(r"address=127\.0\.0\.1:(\d+) purpose=https", self.log.read_text())
        return ("127.0.0.1", int(found[-1]))

    def command(self, *arguments: Word) -> subprocess.CompletedProcess[str]:
        """Runs an admin sub-command to its end."""
        return admin(self.binaries, self.state, self.folder, *arguments, timeout=40)

    def wait_for(self, text: str, timeout: float = 10) -> None:
        """Waits until its log has `text`."""
        until(lambda: text in self.log.read_text(), timeout, lambda: f"{text!r} in {self.log.read_text()}")

    def stop(self) -> None:
        """Ends it, if it runs."""
        with contextlib.suppress(OSError, ValueError):
            pid = self.pid
            os.kill(pid, signal.SIGKILL)
            until(lambda: is_gone(pid), 10, "the end of the daemon")
