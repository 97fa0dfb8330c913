# SPDX-License-Identifier: Apache-2.0
"""Hostile clients take nothing from the others: not their time, and not the relay's memory."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from harness import measure, metrics
from harness.executables import clean_environment
from harness.pairs import Pair
from harness.processes import Process
from harness.relay import Relay
from harness.waiting import TooLate, until

TESTS = pathlib.Path(__file__).resolve().parents[1]
#: How much slower honest clients may become, in the slowest of a hundred of what they do; and how many seconds more
#: count for nothing: of what takes a few milliseconds, a machine that runs hostile and honest clients beside the relay
#: cannot tell one from the other.
FACTOR, MORE = 2.0, 0.010
#: How much memory, and how many descriptors, may be left, and after how long.
LEFT, SECONDS = 1.5, 120
#: Within how many seconds all sessions of a crowd are there, and how many processes make them: with one, it is Python
#: that is measured.
CROWDED, CROWDS = 30, 2
#: What honest clients send each other.
SIZE = 65_536
#: How many times what a relay takes is tried, how long that is measured before, and how much of it has to come.
TIMES, PROBE, ENOUGH = 10, 5, 0.9
#: Each attack, and what its phase is called.
ATTACKS = {
    "user": "one hostile user",
    "address": "one hostile address",
    "crowd": "{connections} connections",
    "rate": "10 times the rate",
}
#: What shows that an attack was refused: words that the hostile client was told, or limits that the relay counts.
LIMITS = {
    "one hostile user": ('relay_limits_met_total{limit="messages",of="user"}',),
    "one hostile address": ('relay_limits_met_total{limit="unauthenticated",of="address"}',),
    "10 times the rate": ('relay_limits_met_total{limit="unauthenticated",of="address"}',),
}
TOLD = {
    "one hostile user": ("too_many_transfers", "too_many_sessions", "closed: 1008"),
    "one hostile address": ("connection closed",),
    "10 times the rate": ("connection closed",),
}


@dataclasses.dataclass
class Phase:
    """What honest clients had of the relay for a while, in seconds."""

    name: str
    lookups: list[float] = dataclasses.field(default_factory=list)
    transfers: list[float] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    told: dict[str, int] = dataclasses.field(default_factory=dict)
    limits: dict[str, float] = dataclasses.field(default_factory=dict)
    memory: int = 0
    descriptors: int = 0

    def row(self) -> str:
        """A line of the table."""
        return (
            f"{self.name:24} {len(self.lookups):6} lookups, p99 {slow(self.lookups) * 1000:6.1f} ms   "
            f"{len(self.transfers):5} transfers, p99 {slow(self.transfers) * 1000:6.1f} ms   "
            f"{self.memory >> 20:5} MiB {self.descriptors:6} descriptors"
        )


def slow(times: list[float]) -> float:
    """The 99th percentile."""
    return sorted(times)[min(len(times) - 1, len(times) * 99 // 100)] if times else float("inf")


@dataclasses.dataclass
class Outcome:
    """All phases, and what was left after them."""

    phases: list[Phase]
    memory: tuple[int, int]
    descriptors: tuple[int, int]
    waited: float
    rate: int

    def problems(self) -> Iterator[str]:
        """What does not hold."""
        quiet, *attacks = self.phases
        for what, times in (("lookups", quiet.lookups), ("transfers", quiet.transfers)):
            if not times:
                yield f"{quiet.name}: there were no {what}, so that nothing can be held to them"
        if not attacks:
            yield "there was no attack"
        for phase in attacks:
            for name, now, before in (
                ("lookups", slow(phase.lookups), slow(quiet.lookups)),
                ("transfers", slow(phase.transfers), slow(quiet.transfers)),
            ):
                if now > max(FACTOR * before, before + MORE):
                    yield f"{phase.name}: p99 of {name} is {now * 1000:.1f} ms, and was {before * 1000:.1f} ms"
        for phase in self.phases:
            yield from (f"{phase.name}: {each}" for each in phase.failed[:5])
            yield from _unrefused(phase)
            made, due = phase.told.get("made in a second", 0), TIMES * self.rate
            if phase.name == ATTACKS["rate"] and made < ENOUGH * due:
                yield f"{phase.name}: {made} connections a second were made, of {due}"
            if (took := phase.told.get("milliseconds", 0) / 1000) > CROWDED:
                yield f"{phase.name}: they were there after {took:.1f} s, {CROWDED} s at most"
        for what, (before, after) in (("memory", self.memory), ("descriptors", self.descriptors)):
            if after > LEFT * before:
                yield f"{what}: {after} after {self.waited:.0f} s, and {before} before"

    def table(self) -> str:
        """For a terminal."""
        told = [
            f"{phase.name}: the hostile clients were told {_words(phase.told)}; limits met {_words(phase.limits)}"
            for phase in self.phases[1:]
        ]
        return "\n".join(
            [
                *(phase.row() for phase in self.phases),
                *told,
                f"the relay takes {self.rate} connections a second",
                f"{self.waited:.0f} s later: {self.memory[1] / self.memory[0]:.2f} times the memory, "
                f"{self.descriptors[1]} descriptors for {self.descriptors[0]}",
                *(f"PROBLEM  {each}" for each in self.problems()),
                f"p99 of transfers {_then([slow(each.transfers) for each in self.phases])}, "
                f"of lookups {_then([slow(each.lookups) for each in self.phases])}; "
                f"{self.memory[1] / self.memory[0]:.2f} times the memory; {len(list(self.problems()))} problems",
            ]
        )


def _then(times: list[float]) -> str:
    """What it was without an attack, and then in each."""
    quiet, *attacked = (f"{each * 1000:.1f}" for each in times)
    return f"{quiet} ms, then {', '.join(attacked)}"


def _words(counts: dict[str, int] | dict[str, float]) -> str:
    return ", ".join(f"{name} {count:.0f}" for name, count in sorted(counts.items())) or "nothing"


def _unrefused(phase: Phase) -> Iterator[str]:
    for name in TOLD.get(phase.name, ()):
        if not phase.told.get(name):
            yield f"{phase.name}: no hostile client was told {name}"
    for name in LIMITS.get(phase.name, ()):
        if not phase.limits.get(name):
            yield f"{phase.name}: the relay counts no {name}"


class Honest:
    """Two people who do what people do, one thing after the other, and the time that it takes."""

    def __init__(self, relay: Relay) -> None:
        self._pair = Pair(relay, source="127.0.5.1", timeout=60)

    def close(self) -> None:
        """They go."""
        self._pair.__exit__()

    def go_on(self, phase: Phase, seconds: float) -> None:
        """For so long: five lookups, and a transfer."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for _ in range(5):
                began = time.monotonic()
                self._pair.sender.lookup(self._pair.receiver.identity.name)
                phase.lookups.append(time.monotonic() - began)
            began = time.monotonic()
            try:
                self._pair.whole(SIZE)
            except (AssertionError, OSError, TimeoutError) as error:
                phase.failed.append(f"a transfer failed: {error!r}")
            phase.transfers.append(time.monotonic() - began)
            for connection in self._pair.connections:
                connection.close()
            self._pair.connections.clear()


class Hostile:
    """An attack in a process of its own, which is less urgent than those that are measured."""

    def __init__(self, relay: Relay, *arguments: str) -> None:
        self._process = Process(
            [
                *(sys.executable, "-m", "proofs.attack"),
                *(arguments[0], str(relay.port), relay.ca, str(relay.folder), *arguments[1:]),
            ],
            env=clean_environment(relay.folder, PYTHONPATH=TESTS, PYTHONDONTWRITEBYTECODE="1"),
            folder=relay.folder / "logs",
            stdin=subprocess.PIPE,
            name=f"attack-{arguments[0]}",
        )

    def ready(self, timeout: float = 330) -> None:
        """It is at full strength."""
        self._process.wait_for(r"(?m)^ready$", timeout)

    def end(self) -> dict[str, int]:
        """It ends; what it was told."""
        self._process.stdin.close()
        status = self._process.wait(30)
        assert status == 0, self._process.tail()
        told: dict[str, int] = json.loads(self._process.out().splitlines()[-1])
        return told


class Overload:
    """One relay, and what is done to it."""

    def __init__(
        self, relay: Relay, seconds: float, connections: int, tell: Callable[[str], None], rate: Callable[[], int]
    ) -> None:
        self._rate = rate
        self._relay, self._seconds, self._connections, self._tell = relay, seconds, connections, tell
        self._honest = Honest(relay)
        self._port = metrics.port_of(relay)

    def measured(self, only: str | None = None) -> Outcome:
        """All attacks, one after the other, or one of them."""
        # What is used for the first time costs memory once.
        self._phase("warm-up", [], seconds=3)
        memory, descriptors = self._relay.resident(), self._relay.descriptors()
        phases = [self._phase("no attack", [])]
        rate = self._rate()
        ends = [self._connections * part // CROWDS for part in range(CROWDS + 1)]
        crowd = [["crowd", str(end - first), str(first)] for first, end in itertools.pairwise(ends)]
        processes = {"crowd": crowd, "rate": [["rate", str(TIMES * rate)]]}
        for attack in [only] if only else ATTACKS:
            name = ATTACKS[attack].format(connections=self._connections)
            phases.append(self._phase(name, processes.get(attack, [[attack]])))
            self._tell(phases[-1].row())
        began = time.monotonic()
        with contextlib.suppress(TooLate):
            until(
                lambda: self._relay.resident() <= LEFT * memory and self._relay.descriptors() <= LEFT * descriptors,
                SECONDS,
                "memory and descriptors are back",
                step=0.5,
            )
        after = (self._relay.resident(), self._relay.descriptors())
        waited = time.monotonic() - began
        self._honest.close()
        return Outcome(phases, (memory, after[0]), (descriptors, after[1]), waited, rate)

    def _phase(self, name: str, processes: list[list[str]], seconds: float | None = None) -> Phase:
        phase, before = Phase(name), self._limits()
        hostile = [Hostile(self._relay, *each) for each in processes]
        is_crowd = any(each[0] == "crowd" for each in processes)
        if is_crowd:
            # While they come, too.
            self._honest.go_on(phase, self._seconds / 2)
        for each in hostile:
            each.ready()
        self._honest.go_on(phase, seconds or self._seconds)
        phase.memory, phase.descriptors = self._relay.resident(), self._relay.descriptors()
        phase.told = together([each.end() for each in hostile])
        after = self._limits()
        phase.limits = {key: count - before.get(key, 0) for key, count in after.items() if count > before.get(key, 0)}
        if is_crowd and phase.told.get("there at the end", 0) < self._connections:
            phase.failed.append(f"of {self._connections} connections {phase.told} are there")
        return phase

    def _limits(self) -> dict[str, float]:
        return {
            name: count for name, count in metrics.scrape(self._port).items() if name.startswith("relay_limits_met")
        }


def together(told: list[dict[str, int]]) -> dict[str, int]:
    """What the processes of an attack were told, who were at it at the same time."""
    names = dict.fromkeys(name for each in told for name in each)
    return {name: (max if name == "milliseconds" else sum)(each.get(name, 0) for each in told) for name in names}


def rate_of(relay: Relay) -> int:
    """How many connections a second a relay takes that limits no address."""
    done = subprocess.run(
        ["wrk", "-t1", "-c32", f"-d{PROBE}s", "-H", "Connection: close", f"{relay.url}/healthz"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={"PATH": os.environ["PATH"]},
    )
    line = next(line for line in done.stdout.splitlines() if line.startswith("Requests/sec"))
    return max(1, int(float(line.split()[1])))


def measured(
    relay: Relay,
    seconds: float,
    connections: int,
    tell: Callable[[str], None],
    rate: Callable[[], int],
    only: str | None = None,
) -> Outcome:
    """All of it, or a single attack. The relay shows its metrics; `rate` measures what such a relay takes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    assert measure.descriptors(relay.pid) > 0
    return Overload(relay, seconds, connections, tell, rate).measured(only)
