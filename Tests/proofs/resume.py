# SPDX-License-Identifier: Apache-2.0
"""A transfer whose two clients are killed near its end: what they read when they are started again, and how soon."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from harness import content, measure
from harness.history import History
from harness.processes import Process
from harness.relay import Person, Relay
from harness.waiting import until

from .meter import Meter

KiB, MiB = 1 << 10, 1 << 20
#: How much of the file either client may read after the restart, when 90 % were through.
READ = 0.12
#: Seconds from the moment when both are connected to the first new byte.
FIRST_BYTE = 1.0
SECONDS = 600
#: For the first new byte to come at all.
RESTARTING_SECONDS = 60
#: What a receiver has written of a file, and not of its journal, its messages and its lines.
SOME = 256 * KiB


@dataclasses.dataclass
class Outcome:
    """What was measured, in bytes and seconds."""

    size: int
    killed_at: float
    sender_read: int
    receiver_read: int
    first_byte: float
    seconds: float
    delivered: bool
    equal: bool
    allowed: float

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each."""
        if not self.delivered:
            yield "it was not delivered"
        if not self.equal:
            yield "the content differs"
        for who, count in (("sender", self.sender_read), ("receiver", self.receiver_read)):
            # What was left was read, so that a meter that has seen less has not seen it.
            if count <= (1 - self.killed_at) * self.size / 2:
                yield f"the {who} was seen to read {count / MiB:.1f} MiB, which is not what was left"
            if count > self.allowed * self.size:
                yield f"the {who} read {count / self.size:.1%} of the file, {self.allowed:.0%} at most"
        if self.first_byte > FIRST_BYTE:
            yield f"the first new byte came after {self.first_byte:.2f} s, {FIRST_BYTE} s at most"

    def table(self) -> str:
        """For a terminal."""
        return "\n".join(
            [
                f"{self.size / MiB:.0f} MiB, both clients killed when {self.killed_at:.1%} were written",
                f"the sender read {self.sender_read / self.size:7.2%} after the restart (at most {self.allowed:.0%})",
                f"the receiver   {self.receiver_read / self.size:7.2%}",
                f"first new byte {self.first_byte:7.2f} s after both were connected (at most {FIRST_BYTE} s)",
                *(f"PROBLEM  {problem}" for problem in self.problems()),
                f"{self.size / MiB:,.0f} MiB, killed at {self.killed_at:.1%}: the sender read "
                f"{self.sender_read / self.size:.1%} again, the receiver {self.receiver_read / self.size:.1%} (at most "
                f"{self.allowed:.0%}), the first new byte after {self.first_byte:.2f} s, all after {self.seconds:.1f} s"
                f"; {len(list(self.problems()))} problems",
            ]
        )


class Ends:
    """Both clients, started with the same arguments each time."""

    def __init__(self, sender: Person, receiver: Person, path: pathlib.Path) -> None:
        self.sender, self.receiver, self.path = sender, receiver, path
        self.history = History()

    def start(self) -> tuple[Process, Process]:
        """(sending, receiving)."""
        receiving = self._watched("receiver", self.receiver.receive, once=False, ready=False)
        sending = self._watched("sender", self.sender.send, self.receiver, self.path, "--timeout", "9m")
        return sending, receiving

    def _watched(self, who: str, start: Any, *arguments: Any, **options: Any) -> Process:
        reading, writing = os.pipe()
        try:
            process: Process = start(*arguments, "--json", stdout=writing, **options)
        finally:
            os.close(writing)
        process.watcher = self.history.follow(who, os.fdopen(reading, "rb"))
        return process


def measured(relay: Relay, folder: pathlib.Path, size: int, at: float = 0.9) -> Outcome:
    """Sends `size` bytes, kills both clients when so much was written, starts them again, and looks at what they do."""
    sender, receiver = relay.person("alice", folder), relay.person("bob", folder)
    path = folder / "large"
    sha256 = content.file(path, "resume", size)
    ends = Ends(sender, receiver, path)
    killed_at = _killed(ends, size, at)
    for file in (path, *(each for each in receiver.inbox.rglob("*") if each.is_file())):
        _forget(file)
    since = ends.history.now()
    sending, receiving = ends.start()
    with Meter(sending) as sent, Meter(receiving) as received:
        first_byte, began = _first_byte(ends, received, since)
        status = sending.wait(SECONDS)
        sending.watcher.join(5)
        seconds = time.monotonic() - began
    stored = receiver.inbox / path.name
    outcome = Outcome(
        size=size,
        killed_at=killed_at,
        sender_read=max(sent.read, sent.from_disk),
        receiver_read=max(received.read, received.from_disk),
        first_byte=first_byte,
        seconds=seconds,
        delivered=status == 0,
        equal=stored.exists() and content.sha256(stored) == sha256,
        allowed=READ + 0.9 - at,
    )
    receiving.kill()
    path.unlink()
    stored.unlink(missing_ok=True)
    return outcome


def _killed(ends: Ends, size: int, at: float) -> float:
    """Kills both when the receiver has written so much; returns how much that was."""
    sending, receiving = ends.start()
    # What the sender has read is of no use here: much of that is on its way, and is lost with the connections.
    written = until(lambda: _enough(receiving, at * size), SECONDS, f"{at:.0%} are through", step=0.001)
    sending.kill()
    receiving.kill()
    assert not ends.history.events("received"), "it was through before it could be killed: it has to be larger"
    return written / size


def _enough(process: Process, count: float) -> int:
    assert process.running(), process.tail()
    written = measure.io(process.pid)["wchar"]
    return written if written >= count else 0


def _first_byte(ends: Ends, received: Meter, since: float) -> tuple[float, float]:
    """How long it takes from both being connected to the first new byte of the file, and when that wait began."""

    def said(event: str, who: str) -> float:
        return ends.history.wait_for(event, 30, who=who, where=lambda each: each["at"] > since)["at"]

    connected = max(said("ready", "receiver"), said("ringing", "sender"))
    before = received.written
    until(
        lambda: received.written >= before + SOME,
        RESTARTING_SECONDS,
        lambda: f"the receiver writes\n{ends.history.tail()}",
        step=0.002,
    )
    return time.monotonic() - connected, connected


def _forget(path: pathlib.Path) -> None:
    """Has the kernel write a file to the disk and forget its pages, so that every later read is one of the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
