# SPDX-License-Identifier: Apache-2.0
"""Processes with a deadline, and what they cost."""

import contextlib
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import IO, Self, TypedDict, Unpack

Process = subprocess.Popen[bytes]
#: The ports that this program took.
_taken: set[int] = set()


class Options(TypedDict, total=False):
    """How a process is started."""

    stdout: int | IO[bytes]
    stderr: int | IO[bytes] | None
    cwd: str
    env: Mapping[str, str]


class Failure(Exception):
    """Something that stops the measurement; its text is for the person who runs it."""


class ContentDiffers(Failure):
    """A relay delivered other bytes than it was given."""


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago. Below the ephemeral range, so that no outgoing connection of
    the measurement itself can take it in the meantime."""
    for port in range(21000 + os.getpid() % 4000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in _taken:
            _taken.add(port)
            return port
    raise Failure("no free port on 127.0.0.1")


def wait_for_tls(port: int, ca: str, process: Process, name: str, seconds: int = 20) -> None:
    """Returns once a TLS handshake with 127.0.0.1:port succeeds; raises when the process ends or time is up."""
    context = ssl.create_default_context(cafile=ca)
    deadline = time.monotonic() + seconds
    while True:
        if process.poll() is not None:
            raise Failure(f"{name} ended at once with status {process.returncode}; its output is above")
        try:
            with (
                socket.create_connection(("127.0.0.1", port), timeout=2) as raw,
                context.wrap_socket(raw, server_hostname="127.0.0.1"),
            ):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"{name} does not answer on 127.0.0.1:{port} within {seconds} s: {error}") from error
            process_poll(process, 0.05)


def process_poll(process: Process, seconds: float) -> None:
    """Waits at most `seconds` for the process to end."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def family(pid: int) -> set[int]:
    """`pid` and all its descendants, from /proc."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            fields = stat_fields(int(entry))
            if fields is not None:
                parents[int(entry)] = int(fields[1])
    members = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in members} - members
        if not more:
            return members
        members |= more


def stat_fields(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the third on, or None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()
    except OSError:
        return None


def cpu_seconds(pid: int) -> float:
    """User and system time so far of `pid` and its descendants, all threads (utime + stime of /proc/PID/stat)."""
    ticks = 0
    for member in family(pid):
        fields = stat_fields(member)
        if fields is not None:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_memory(pid: int) -> int:
    """Resident memory high-water mark in bytes of `pid` and its descendants (VmHWM), summed."""
    total = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/status", encoding="ascii", errors="replace") as file:
                total += sum(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))
        except OSError:
            pass
    return total


class Processes:
    """Everything that was started; leaving the block ends it all."""

    def __init__(self) -> None:
        self.running: list[Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running):
            self.stop(process)

    def start(self, command: Sequence[str], *, stdin: int, **options: Unpack[Options]) -> Process:
        """Starts `command` in a process group of its own."""
        process = subprocess.Popen(command, stdin=stdin, start_new_session=True, **options)
        self.running.append(process)
        return process

    def stop(self, process: Process) -> None:
        """Ends the process and whatever it started: SIGTERM, and SIGKILL after 5 s."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                process_poll(process, 5)
        if process in self.running:
            self.running.remove(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
