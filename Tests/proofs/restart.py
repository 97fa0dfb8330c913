# SPDX-License-Identifier: Apache-2.0
"""A relay whose process is replaced again and again, under load: no client is refused, and no transfer is cut.

What the transfers carry comes from pipes that are fed all the while, so that each of them runs through every restart
that happens: none could begin again, since what was read from a pipe is gone.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
from typing import IO, Self

from harness import content
from harness.daemon import is_gone
from harness.processes import Process
from harness.relay import Person, Relay
from harness.waiting import until

#: Bytes a pipe is fed with at a time, and how often.
PIECE, STEP = 4096, 0.1
#: A restart and the next one.
PAUSE = 1.0
#: Transfers that one receiver takes at once; more of them would wait.
PER_RECEIVER = 4


@dataclasses.dataclass
class Outcome:
    """What came of it."""

    restarts: int = 0
    seconds: list[float] = dataclasses.field(default_factory=list)
    requests: int = 0
    #: Connections refused, or cut, and answers other than 200, as wrk counts them.
    refused: int = 0
    transfers: int = 0
    failed: int = 0
    again: int = 0
    notes: list[str] = dataclasses.field(default_factory=list)

    def problems(self) -> list[str]:
        """What does not hold."""
        found = [f"{self.refused} of {self.requests} requests failed"] if self.refused else []
        found += [f"{self.failed} of {self.transfers} transfers failed"] if self.failed else []
        found += [f"{self.again} transfers began again"] if self.again else []
        found += [] if self.requests else ["nothing was requested"]
        return found + self.notes

    def table(self) -> str:
        """Everything, for people."""
        slowest = max(self.seconds, default=0.0)
        return "\n".join(
            [
                f"{self.restarts} restarts, the slowest took {slowest:.2f} s",
                f"{self.requests} requests beside them, {self.refused} refused or cut",
                f"{self.transfers} transfers through all of them, {self.failed} failed, {self.again} begun again",
                *(f"PROBLEM  {each}" for each in self.problems()),
            ]
        )


class Load:
    """wrk, which asks for /healthz on one connection after the other."""

    def __init__(self, relay: Relay, connections: int) -> None:
        self.process = Process(
            ["wrk", "-t1", f"-c{connections}", "-d600s", "--timeout", "10s", f"{relay.url}/healthz"],
            env={"PATH": os.environ["PATH"]},
            folder=relay.folder / "logs",
        )

    def stop(self, outcome: Outcome) -> None:
        """Ends it, and counts."""
        self.process.signal(signal.SIGINT)
        self.process.wait(30)
        text = self.process.out()
        found = re.search(r"(\d+) requests in", text)
        outcome.requests = int(found.group(1)) if found else 0
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        outcome.refused = sum(map(int, errors.groups())) if errors else 0
        other = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        outcome.refused += int(other.group(1)) if other else 0


class Feeder:
    """Feeds pipes until it is told to end, and knows what went into each."""

    def __init__(self, pipes: list[IO[bytes]]) -> None:
        self.pipes, self.digests = pipes, [hashlib.sha256() for _ in pipes]
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        turn = 0
        while not self.ended.wait(STEP):
            turn += 1
            for number, (pipe, digest) in enumerate(zip(self.pipes, self.digests, strict=True)):
                piece = next(iter(content.blocks(f"{number} {turn}", PIECE, PIECE)))
                with contextlib.suppress(OSError, ValueError):
                    pipe.write(piece)
                    pipe.flush()
                    digest.update(piece)

    def end(self) -> set[str]:
        """Closes all of them, and returns what the contents are."""
        self.ended.set()
        self.thread.join(30)
        for pipe in self.pipes:
            with contextlib.suppress(OSError):
                pipe.close()
        return {digest.hexdigest() for digest in self.digests}


class World:
    """A relay, and people at it. The relay's process is another one after each restart."""

    def __init__(self, relay: Relay, folder: pathlib.Path, transfers: int) -> None:
        self.relay, self.count = relay, transfers
        self.sender = Person(relay, "alice", folder)
        count = -(-transfers // PER_RECEIVER)
        self.receivers = [Person(relay, f"bob-{number}", folder) for number in range(count)]
        for person in (*self.receivers, self.sender):
            person.login()
        self.processes = {relay.pid}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.processes:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def begin(self) -> list[Process]:
        """What sends: every transfer is offered when this returns."""
        for receiver in self.receivers:
            receiver.receive(once=False)
        return [
            self.sender.send(self.receivers[number // PER_RECEIVER], "-", "--json", stdin=subprocess.PIPE)
            for number in range(self.count)
        ]

    def restart(self, outcome: Outcome) -> None:
        """Replaces the process."""
        begun = time.monotonic()
        done = self.relay.command("restart")
        outcome.seconds.append(time.monotonic() - begun)
        found = re.search(r"process (\d+) serves", done.stdout)
        if done.returncode or not found:
            outcome.notes.append(f"restart: exit {done.returncode}: {done.stderr.strip()}")
            return
        self.processes.add(int(found.group(1)))
        outcome.restarts += 1


def measured(relay: Relay, folder: pathlib.Path, *, transfers: int, restarts: int, connections: int = 20) -> Outcome:
    """Replaces the process of `relay` so often, while so many transfers run."""
    outcome = Outcome(transfers=transfers)
    with World(relay, folder, transfers) as world:
        sendings = world.begin()
        feeder = Feeder([sending.stdin for sending in sendings])
        for sending in sendings:
            until(lambda s=sending: s.events("started"), 60, "the start of a transfer")  # type: ignore[misc]
        load = Load(relay, connections)
        time.sleep(PAUSE)
        for _ in range(restarts):
            world.restart(outcome)
            time.sleep(PAUSE)
        load.stop(outcome)
        wanted = feeder.end()
        for sending in sendings:
            try:
                outcome.failed += sending.wait(60) != 0
            except (TimeoutError, subprocess.TimeoutExpired, AssertionError):
                outcome.failed += 1
            outcome.again += bool(sending.events("restarted", "resumed", "interrupted"))
        stored = {
            content.sha256(path) for receiver in world.receivers for path in receiver.inbox.iterdir() if path.is_file()
        }
        if not outcome.failed and stored != wanted:
            outcome.notes.append("what was stored is not what was sent")
        # All but the last process have nothing left to do.
        last = relay.status()["pid"]
        for pid in world.processes - {last}:
            until(lambda pid=pid: is_gone(pid), 30, f"the end of process {pid}")  # type: ignore[misc]
    return outcome
