# SPDX-License-Identifier: Apache-2.0
"""What Linux offers for cleaning up: prctl(2), /proc, and reserved ports."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import time
from collections.abc import Iterable

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
_libc = ctypes.CDLL(None, use_errno=True)


class Failure(Exception):
    """Something that the person who started the cluster has to read: one line, and the exit status."""

    def __init__(self, message: str, status: int = 69) -> None:
        super().__init__(message)
        self.status = status


def become_subreaper() -> None:
    """Makes this process the parent of descendants whose own parents have ended (prctl(2))."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def die_with(parent: int, number: int) -> None:
    """This process gets the signal when `parent` ends, however it ends."""
    _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def descendants(of: int) -> list[int]:
    """The ids of all processes below one, zombies included."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError), open(f"/proc/{entry}/stat", "rb") as file:
                # The command's name, in parentheses, may hold anything.
                parent = int(file.read().rpartition(b")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found: list[int] = []
    left = [of]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def kill_descendants(spare: Iterable[int] = (), seconds: float = 10) -> None:
    """Kills everything below this process except `spare` and what is below those, and waits until it is gone."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        kept = {pid for each in spare for pid in (each, *descendants(each))}
        doomed = [pid for pid in descendants(os.getpid()) if pid not in kept]
        if not doomed:
            return
        for pid in doomed:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in doomed:
            # Those that are not our own children become so when their parents are gone.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.01)


class Port:
    """A port of 127.0.0.1 that is kept until the end, also while there is no listener.

    The socket is bound and never listens: the system assigns the port to no other socket, while a server that
    sets SO_REUSEADDR, as they all do, may still listen on it, and again after it was restarted.
    """

    host = "127.0.0.1"

    def __init__(self, number: int = 0) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((self.host, number))
        except OSError as error:
            raise Failure(f"port {number} cannot be had ({error.strerror}): choose another --port, or none") from None
        self.number = self._socket.getsockname()[1]

    def __str__(self) -> str:
        return f"{self.host}:{self.number}"
