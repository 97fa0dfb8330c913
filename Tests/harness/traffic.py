# SPDX-License-Identifier: Apache-2.0
"""Transfers between real clients, each seen from both sides and on the disk, in a history."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from . import content
from .history_rules import in_the_middle
from .waiting import TooLate, background, until

if TYPE_CHECKING:
    from .history import History
    from .processes import Process
    from .relay import Person, Relay

MiB = content.MiB


class Traffic:
    """People at one relay or cluster, their receivers, and what they send each other."""

    def __init__(self, relay: Relay, folder: pathlib.Path, history: History) -> None:
        self.relay, self.folder, self.history = relay, folder, history
        self.people: dict[str, Person] = {}
        self.sendings: list[Sending] = []
        self.receivers: dict[str, Process] = {}

    def person(self, name: str, at: Relay | None = None) -> Person:
        """A user with a profile, registered the first time, at one node if given."""
        if name not in self.people:
            self.people[name] = (at or self.relay).person(name, self.folder)
        return self.people[name]

    def receiver(self, name: str, *arguments: str) -> Process:
        """Starts `receive --json` and waits until it can be offered something."""
        person = self.person(name)
        ready = len(self.history.events("ready", who=name))
        process = self._watched(person.receive, name, "--checksum", *arguments, once=False, ready=False)
        self.history.wait_for("ready", 30, ready + 1, who=name)
        self.receivers[name] = process
        return process

    def _watched(self, start: Callable[..., Process], name: str, *arguments: Any, **options: Any) -> Process:
        reading, writing = os.pipe()
        try:
            process = start(*arguments, "--json", stdout=writing, **options)
        finally:
            os.close(writing)
        process.watcher = self.history.follow(name, os.fdopen(reading, "rb"))
        return process

    def send(self, sender: str, receiver: str, size: int, *, timeout: float = 60, deadline: float = 90) -> Sending:
        """Starts `send --json` of a new file and returns the Sending; it may take `deadline` seconds in all."""
        file = f"{sender}-{receiver}-{len(self.sendings) + 1:03}"
        path = self.folder / file
        sha256 = content.file(path, file, size)
        self.history.add("test", "began", file=file, sha256=sha256, deadline=deadline)
        process = self._watched(
            self.person(sender).send, sender, self.person(receiver), path, "--checksum", "--timeout", f"{timeout}s"
        )
        sending = Sending(self, file, path, process, sender, receiver, deadline)
        self.sendings.append(sending)
        return sending

    def through(self, *sendings: Sending) -> None:
        """Waits until these (or all) have ended well, and have been looked at on the disk."""
        for sending in sendings or self.sendings:
            sending.ended()
            assert sending.status == 0, f"{sending.file}\n{sending.process.tail()}\n{self.history.tail()}"

    def _is_through(self, receiver: str) -> bool:
        return not in_the_middle(self.history, receiver)

    def stop(self) -> None:
        """Ends the receivers, as their people would."""
        for name, process in self.receivers.items():
            process.signal(signal.SIGCONT)
            # The sender may hear of the end before the receiver has said so.
            with contextlib.suppress(TooLate):
                until(functools.partial(self._is_through, name), 10, "the receiver is through")
            self.history.add(name, "leaving")
            process.signal(signal.SIGINT)
            process.wait(15)
            process.watcher.join(5)
        self.receivers.clear()
        for person in self.people.values():
            for name in map(os.fsdecode, person.stored()):
                # A second copy: no file of that name was sent.
                self.history.add("test", "stored", file=name, sha256=content.sha256(person.inbox / name))


class Sending:
    """One file on its way."""

    def __init__(
        self,
        traffic: Traffic,
        file: str,
        path: pathlib.Path,
        process: Process,
        sender: str,
        receiver: str,
        deadline: float,
    ) -> None:
        self.traffic, self.file, self.path, self.process = traffic, file, path, process
        self.sender, self.receiver, self._deadline = sender, receiver, deadline
        self._inbox = traffic.person(receiver).inbox
        self.status: int | None = None
        self._looked_at = False
        self._end = background(self._wait)

    def _wait(self) -> None:
        try:
            self.status = self.process.popen.wait(self._deadline + 5)
        except subprocess.TimeoutExpired:
            return
        self.process.watcher.join(5)
        self.traffic.history.add("test", "ended", file=self.file, status=self.status)

    @property
    def stored(self) -> pathlib.Path:
        """Where the receiver stores it."""
        return self._inbox / self.file

    def arrived(self) -> int:
        """How many bytes of it the receiver has, in whatever file."""
        return content.largest(self._inbox)

    def held(self, some: int = 4 * MiB) -> Self:
        """Waits until `some` of it has arrived, and freezes the receiver: now it is in the middle. `go_on` thaws it."""
        receiver = self.traffic.receivers[self.receiver]
        until(lambda: self.arrived() >= some, 60, lambda: f"{some} bytes of {self.file}\n{self.traffic.history.tail()}")
        receiver.signal(signal.SIGSTOP)
        assert not self.stored.exists(), f"{self.file} was too quick: it has to be larger"
        return self

    def go_on(self) -> None:
        """The receiver takes bytes again."""
        self.traffic.receivers[self.receiver].signal(signal.SIGCONT)

    def ended(self) -> Self:
        """Waits for the end, and looks at the disk; the exit status is in `status`, None if it has not ended."""
        self._end.result(self._deadline + 20)
        if self._looked_at:
            return self
        self._looked_at = True
        sha256 = content.sha256(self.stored) if self.stored.exists() else None
        self.traffic.history.add("test", "stored", file=self.file, sha256=sha256)
        self.path.unlink(missing_ok=True)
        self.stored.unlink(missing_ok=True)
        return self
