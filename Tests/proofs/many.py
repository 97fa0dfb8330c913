# SPDX-License-Identifier: Apache-2.0
"""One file to many receivers, of which some refuse, are not there, die or stop: how much longer the others take."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import signal
import statistics
from collections.abc import Callable, Iterator
from time import monotonic

from harness import content
from harness.processes import Process
from harness.relay import Person, Relay
from harness.waiting import until

GOOD, REFUSING, OFFLINE, KILLED, STOPPED = 12, 3, 2, 2, 1
#: How much longer the good ones may take than alone.
MOST = 1.2
SECONDS = 600


@dataclasses.dataclass
class Outcome:
    """Seconds until the last of the good ones had it, round by round."""

    size: int
    alone: list[float]
    among: list[float]
    verdicts: list[str]

    @property
    def ratio(self) -> float:
        """Of the medians."""
        return statistics.median(self.among) / statistics.median(self.alone)

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each."""
        yield from self.verdicts
        if self.ratio > MOST:
            yield f"the {GOOD} took {self.ratio:.2f} times as long as alone, {MOST} at most"

    def table(self) -> str:
        """For a terminal."""
        others = f"{REFUSING} that refuse, {OFFLINE} offline, {KILLED} killed, {STOPPED} stopped"
        rows = [("alone", self.alone), (f"beside {others}", self.among)]
        return "\n".join(
            [
                f"{self.size / (1 << 20):.0f} MiB to {GOOD} receivers",
                *(
                    f"{statistics.median(times):7.2f} s ({min(times):.2f} to {max(times):.2f}) {what}"
                    for what, times in rows
                ),
                f"{self.ratio:7.2f} of that at most {MOST}",
                *(f"PROBLEM  {problem}" for problem in self.problems()),
            ]
        )


class People:
    """The sender, and its receivers by what becomes of them."""

    def __init__(self, relay: Relay, folder: pathlib.Path) -> None:
        self.sender = relay.person("alice", folder)

        def several(kind: str, count: int) -> list[Person]:
            return [relay.person(f"{kind}{number}", folder) for number in range(count)]

        self.good, self.refusing = several("good", GOOD), several("refusing", REFUSING)
        self.offline = several("offline", OFFLINE)
        self.killed, self.stopped = several("killed", KILLED), several("stopped", STOPPED)
        for person in self.refusing:
            person.run("peers", "policy", self.sender.name, "refuse").expect(0, 10)
        for person in (*self.good, *self.refusing):
            person.receive(sender=self.sender.name, once=False)

    def _receive_slowly(self, person: Person, number: signal.Signals) -> tuple[Process, Callable[[], None]]:
        """(one whose output is not read, so that it is not done before it is broken; what breaks it so)."""
        end, full = os.pipe()
        process = person.receive(sender=self.sender.name, once=False, output="-", stdout=full)
        os.close(full)

        def broken() -> None:
            process.signal(number)
            os.close(end)

        return process, broken

    def send(self, path: pathlib.Path, *, alone: bool) -> tuple[float, list[str]]:
        """(seconds until all of the good ones have it, what is wrong with what the sender says of the others)."""
        breaking: dict[str, Callable[[], None]] = {}
        started: list[Process] = []
        receivers = list(self.good)
        if not alone:
            for person in (*self.killed, *self.stopped):
                number = signal.SIGSTOP if person in self.stopped else signal.SIGKILL
                process, breaking[person.name] = self._receive_slowly(person, number)
                started.append(process)
            # Those that do not come to an end are first, where they could be waited for.
            receivers = [*self.offline, *self.stopped, *self.killed, *self.refusing, *self.good]
        names, others = {person.name for person in self.good}, [*self.killed, *self.stopped]
        begin = monotonic()
        sending = self.sender.send(",".join(person.name for person in receivers), path, "--json", "--timeout", "9m")

        def told(what: str) -> set[str]:
            return {event["peer"] for event in sending.events(what) if "peer" in event}

        def is_done() -> bool:
            for name in told("started"):
                breaking.pop(name, lambda: None)()
            return names <= told("delivered")

        until(is_done, SECONDS, sending.tail, step=0.01)
        seconds = monotonic() - begin
        problems = [f"{name} was not begun with" for name in breaking]
        problems += [
            f"{person.name} had it before it was broken" for person in others if person.name in told("delivered")
        ]
        if not alone:
            refused = told("failed")
            problems += [f"{person.name} did not refuse" for person in self.refusing if person.name not in refused]
        for process in (sending, *started):
            process.kill()
        return seconds, problems


def measured(relay: Relay, folder: pathlib.Path, size: int, rounds: int) -> Outcome:
    """Sends a file to the good ones alone, and to all of them, in turns."""
    people = People(relay, folder)
    outcome = Outcome(size, [], [], [])
    for number in range(2 * rounds):
        path = folder / f"file{number}"
        sha256 = content.file(path, f"many {number}", size)
        seconds, problems = people.send(path, alone=number % 2 == 0)
        (outcome.alone if number % 2 == 0 else outcome.among).append(seconds)
        outcome.verdicts += problems
        for person in people.good:
            if content.sha256(person.inbox / path.name) != sha256:
                outcome.verdicts.append(f"what {person.name} has differs")
            (person.inbox / path.name).unlink()
        path.unlink()
    return outcome
