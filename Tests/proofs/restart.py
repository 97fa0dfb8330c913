# SPDX-License-Identifier: Apache-2.0
"""A relay whose process is replaced again and again, under load: no client is refused, no transfer is cut, and who
waits to be rung is found all the time.

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

from websockets.exceptions import InvalidHandshake

from harness import content, protocol
from harness.balancer import Balancer
from harness.measure import is_gone
from harness.processes import Process
from harness.relay import Person, Relay
from harness.waiting import background, until

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
    #: Who was looked for, how often, and when they were not found.
    looks: dict[str, int] = dataclasses.field(default_factory=dict)
    missed: list[str] = dataclasses.field(default_factory=list)
    #: Clients that were not let in.
    turned_away: list[str] = dataclasses.field(default_factory=list)
    #: Clients that say that they are away.
    away: int = 0
    #: What a balancer saw.
    balancer: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    def problems(self) -> list[str]:
        """What does not hold."""
        found = [f"{self.refused} of {self.requests} requests failed"] if self.refused else []
        found += [f"{self.failed} of {self.transfers} transfers failed"] if self.failed else []
        found += [f"{self.again} transfers began again"] if self.again else []
        found += [f"not found: {each}" for each in self.missed[:10]]
        found += [f"not let in: {each}" for each in self.turned_away[:10]]
        found += [f"{who}: looked for nobody" for who, count in self.looks.items() if count < self.restarts]
        found += [f"a client said {self.away} times that it is away"] if self.away else []
        found += [] if self.requests else ["nothing was requested"]
        return found + self.notes

    def table(self) -> str:
        """Everything, for people."""
        looks = ", ".join(f"{count} times as {who}" for who, count in self.looks.items())
        slowest = max(self.seconds, default=0.0)
        return "\n".join(
            [
                f"{self.restarts} restarts, the slowest took {slowest:.2f} s",
                f"{self.requests} requests beside them, {self.refused} refused or cut",
                f"{self.transfers} transfers through all of them, {self.failed} failed, {self.again} begun again",
                f"looked for receivers {looks}: missed {len(self.missed)} times",
                f"clients that were not let in {len(self.turned_away)}, reconnecting {self.away}",
                *self.balancer,
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


class Watch:
    """Looks for names all the time, as three kinds of client: one that moves when it is told to, one that stays where
    it is until it is closed, and one that is new each time."""

    def __init__(self, relay: Relay, names: list[str]) -> None:
        self._relay, self._names, self._stop = relay, names, threading.Event()
        self._began = time.monotonic()
        self.looks = dict.fromkeys(("a client that moves", "one that stays", "a new one"), 0)
        self.missed: list[str] = []
        self.refused: list[str] = []
        kinds = (self._move, self._stay, self._come)
        self._workers = [background(kind, who) for kind, who in zip(kinds, self.looks, strict=True)]

    def _look(self, who: str, session: protocol.Session) -> None:
        name = self._names[self.looks[who] % len(self._names)]
        online = session.lookup(name)["online"]
        self.looks[who] += 1
        if not online:
            self.missed.append(f"{time.monotonic() - self._began:.3f} s: {name}, by {who}")
        self._stop.wait(0.005)

    def _session(self, identity: protocol.Identity | None = None) -> protocol.Session:
        while True:
            try:
                return protocol.Session(self._relay, identity).login() if identity else self._relay.session("watcher")
            except (InvalidHandshake, ConnectionError, protocol.Refused) as error:
                self.refused.append(f"{time.monotonic() - self._began:.3f} s: {error!r}")
                assert len(self.refused) < 1000, error

    def _move(self, who: str) -> None:
        session = self._session()
        while not self._stop.is_set():
            if session.is_to_move():
                old, session = session, self._session(session.identity)
                old.close()
            self._look(who, session)
        session.close()

    def _stay(self, who: str) -> None:
        session = self._session()
        while not self._stop.is_set():
            try:
                self._look(who, session)
            except ConnectionError:
                # It was given its time to go.
                session = self._session(session.identity)
        session.close()

    def _come(self, who: str) -> None:
        session = self._session()
        while not self._stop.is_set():
            session.close()
            session = self._session(session.identity)
            self._look(who, session)
        session.close()

    def stop(self, outcome: Outcome) -> None:
        """Ends it, and counts; raises what went wrong with the watching itself."""
        self._stop.set()
        for worker in self._workers:
            worker.result(30)
        outcome.looks, outcome.missed, outcome.turned_away = self.looks, self.missed, self.refused


class World:
    """A relay, and people at it. The relay's process is another one after each restart."""

    def __init__(self, relay: Relay, folder: pathlib.Path, transfers: int) -> None:
        self.relay, self.count = relay, transfers
        self.sender = Person(relay, "alice", folder)
        count = -(-transfers // PER_RECEIVER)
        self.receivers = [Person(relay, f"bob-{number}", folder) for number in range(count)]
        for person in (*self.receivers, self.sender):
            person.login()
        self.receiving: list[Process] = []
        self.processes = {relay.pid}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self.processes:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)

    def begin(self) -> list[Process]:
        """What sends: every transfer is offered when this returns."""
        self.receiving = [receiver.receive("--json", once=False) for receiver in self.receivers]
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


def measured(
    relay: Relay,
    folder: pathlib.Path,
    *,
    transfers: int,
    restarts: int,
    connections: int = 20,
    balancer: Balancer | None = None,
) -> Outcome:
    """Replaces the process of `relay` so often, while so many transfers run.

    Behind a balancer, `relay` is what its clients see.
    """
    outcome = Outcome(transfers=transfers)
    with World(relay, folder, transfers) as world:
        sendings = world.begin()
        feeder = Feeder([sending.stdin for sending in sendings])
        for sending in sendings:
            until(lambda s=sending: s.events("started"), 60, "the start of a transfer")  # type: ignore[misc]
        load = Load(relay, connections)
        watch = Watch(relay, [receiver.name for receiver in world.receivers])
        time.sleep(PAUSE)
        for _ in range(restarts):
            world.restart(outcome)
            time.sleep(PAUSE)
        watch.stop(outcome)
        load.stop(outcome)
        if balancer:
            figures = balancer.figures()
            outcome.balancer.append(f"checks that failed {figures['chkfail']}, times marked down {figures['chkdown']}")
            outcome.notes += [f"the balancer: {each}" for each in balancer.problems()]
        wanted = feeder.end()
        for sending in sendings:
            try:
                outcome.failed += sending.wait(60) != 0
            except (TimeoutError, subprocess.TimeoutExpired, AssertionError):
                outcome.failed += 1
            outcome.again += bool(sending.events("restarted", "resumed", "interrupted"))
        outcome.away = sum(len(each.events("reconnecting", "reconnected")) for each in (*sendings, *world.receiving))
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
