# SPDX-License-Identifier: Apache-2.0
"""Every node of a cluster is restarted while clients wait and files go through: each is there all the time."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self

from harness.cluster import Cluster
from harness.history import History
from harness.protocol import Refused, Session
from harness.redis import Redis
from harness.traffic import Sending, Traffic
from harness.waiting import background, until

MiB = 1 << 20
#: How many clients are started at once.
STARTERS = 8
#: What a client says when it is not there for a while.
AWAY = ("reconnecting", "reconnected")


class Watch:
    """Looks for names all the time, as another client (by `lookup`, at whichever node that one is) and in Redis."""

    def __init__(self, cluster: Cluster, names: list[str]) -> None:
        self._cluster, self._names, self._stop = cluster, names, threading.Event()
        self.lookups, self.looks, self.moves = 0, 0, 0
        self.missed: list[str] = []
        self.refused: list[str] = []
        self._began = time.monotonic()
        self._workers = [background(self._look_up), background(self._look_into_redis)]

    def _note(self, into: list[str], text: str) -> None:
        into.append(f"{time.monotonic() - self._began:.3f} s: {text}")

    def _look_up(self) -> None:
        session = self._cluster.watcher()
        while not self._stop.is_set():
            if session.is_to_move():
                session, self.moves = session.moved(), self.moves + 1
            name = self._names[self.lookups % len(self._names)]
            self.lookups += 1
            try:
                if not session.lookup(name)["online"]:
                    self._note(self.missed, f"lookup: {name} is not there")
            except Refused as refused:
                self._note(self.refused, f"{name}: {refused.code}")
            self._stop.wait(0.002)
        session.close()

    def _look_into_redis(self) -> None:
        with Redis(self._cluster.redis_url) as redis:
            while not self._stop.is_set():
                # In one step: a name that goes from one node to the other is never between them.
                keys = [key.decode() for key in redis("KEYS", "{relay}:receiving:*")]
                there = {key.split(":")[2] for key in keys}
                self.looks += 1
                for name in self._names:
                    if name not in there:
                        self._note(self.missed, f"Redis: {name} is not there")
                self._stop.wait(0.01)

    def stop(self) -> None:
        """Raises what went wrong with the watching itself."""
        self._stop.set()
        for worker in self._workers:
            worker.result(30)


class Load:
    """For each of some pairs of people: one file after the other."""

    def __init__(self, traffic: Traffic, pairs: int, sizes: tuple[int, ...]) -> None:
        self._traffic, self._sizes, self._stop = traffic, sizes, threading.Event()
        self.done = [0] * pairs
        self.sendings: list[Sending] = []
        for number in range(pairs):
            traffic.receiver(f"bob{number}")
            traffic.person(f"alice{number}")
        self._workers = [background(self._work, number) for number in range(pairs)]

    def _work(self, number: int) -> None:
        while not self._stop.is_set():
            size = self._sizes[self.done[number] % len(self._sizes)]
            sending = self._traffic.send(f"alice{number}", f"bob{number}", size, timeout=120, deadline=180)
            self.sendings.append(sending)
            self._traffic.through(sending)
            self.done[number] += 1

    def more(self, count: int) -> None:
        """Waits until every pair has got `count` more through."""
        goal = [done + count for done in self.done]

        def reached() -> bool:
            for worker in self._workers:
                if worker.done():
                    worker.result()
            return all(done >= wanted for done, wanted in zip(self.done, goal, strict=True))

        until(reached, 180, lambda: f"{count} more files of every sender: {self.done}, wanted {goal}", step=0.02)

    def stop(self) -> None:
        """The last ones are through."""
        self._stop.set()
        for worker in self._workers:
            worker.result(180)


@dataclasses.dataclass
class Outcome:
    """What was seen."""

    clients: int
    restarts: int
    seconds: list[float]
    watch: Watch
    history: History
    load: Load

    def begun_again(self) -> list[str]:
        """The transfers whose bytes flowed, and later flowed from the start once more."""
        found = []
        for who in sorted({each["who"] for each in self.history.events("started")}):
            flowing: dict[str, int] = {}
            for each in self.history.events(who=who):
                transfer = each.get("transfer")
                if transfer is None:
                    continue
                if each["event"] == "progress":
                    flowing[transfer] = max(flowing.get(transfer, 0), each["bytes"])
                    if flowing[transfer] > 2 * MiB > each["bytes"]:
                        found.append(f"{who}: {transfer} began again after {flowing[transfer]} bytes")
        return found + [f"{each['who']}: {each}" for each in self.history.events("restarted")]

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each."""
        for word in AWAY:
            for each in self.history.events(word):
                yield f"{each['who']} says {word}: {each}"
        yield from self.watch.missed[:20]
        yield from (f"a lookup was refused: {each}" for each in self.watch.refused[:20])
        for each in self.history.events("failed"):
            yield f"{each['who']}: {each}"
        yield from self.begun_again()
        if self.watch.lookups < 100 or self.watch.looks < 100:
            yield f"it was looked for {self.watch.lookups} times by lookup, {self.watch.looks} times in Redis"
        if not self.watch.moves:
            yield "the client that looked was never told to move"

    def table(self) -> str:
        """For a terminal."""
        restarts = ", ".join(f"{each:.1f} s" for each in self.seconds)
        return "\n".join(
            [
                f"{self.clients} idle clients, {self.restarts} restarts ({restarts}), {sum(self.load.done)} transfers",
                f"looked for {self.watch.lookups} times by lookup ({len(self.watch.refused)} refused), "
                f"{self.watch.looks} times in Redis: missed {len(self.watch.missed)} times",
                ", ".join(
                    f"{word} {len(self.history.events(word))}" for word in ("reconnecting", "failed", "interrupted")
                )
                + f", begun again {len(self.begun_again())}",
                *(f"PROBLEM  {each}" for each in self.problems()),
            ]
        )


class World:
    """Three nodes behind HAProxy, and clients that wait: `with World(...) as world: world.rolled()`."""

    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path, clients: int, pairs: int, **env: Any) -> None:
        self.cluster = Cluster(binaries, folder / "cluster", env={"RELAY_LOG_LEVEL": "info", **env})
        self.history, self._pairs = History(), pairs
        self.traffic = Traffic(self.cluster, folder, self.history)
        self._idle = [f"idle{number}" for number in range(clients)]

    def __enter__(self) -> Self:
        with ThreadPoolExecutor(STARTERS) as pool:
            list(pool.map(self.traffic.receiver, self._idle))
        return self

    def __exit__(self, *_: object) -> None:
        self.traffic.stop()
        self.cluster.stop()

    def rolled(self, sizes: tuple[int, ...], more: int = 1) -> Outcome:
        """Restarts every node once."""
        load = Load(self.traffic, self._pairs, sizes)
        names = [self.traffic.people[name].name for name in [*self._idle, *(f"bob{n}" for n in range(self._pairs))]]
        load.more(1)
        watch, seconds = Watch(self.cluster, names), []
        for node in self.cluster.members():
            began = time.monotonic()
            node.restart()
            seconds.append(time.monotonic() - began)
            load.more(more)
        load.stop()
        watch.stop()
        return Outcome(len(self._idle), len(seconds), seconds, watch, self.history, load)


def moved(session: Session) -> Session:
    """What the client of `session` has after it was told to move."""
    until(session.is_to_move, 20, "it is told to move")
    return session.moved()
