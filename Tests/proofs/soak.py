# SPDX-License-Identifier: Apache-2.0
"""Half of what a cluster can carry, for long, with a fault each 20 s: memory does not grow, descriptors come back."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import pathlib
import random
import statistics
import threading
import time
from collections.abc import Callable, Iterator

from harness import measure
from harness.history import History
from harness.members import Node
from harness.waiting import TooLate, background, until

from . import chaos, chaos_rules
from .chaos import Break, Couple, Round, World

MiB = 1 << 20
#: Seconds between two faults, and between two looks at what nodes use.
FAULT, STEP = 20.0, 1.0
#: What belongs to the warm-up, of the whole time; and all until each kind of fault has been: the first of everything.
WARM_UP = 0.25
#: How much more a node may need in the last quarter of the rest than in its first one.
SLOPE = 0.01
#: The C library gives free memory at the end of the heap back, and takes it again: a MiB of 44, for minutes, which is
#: twice the slope that is looked for. It keeps it here, and what is held for good grows all the same.
UNTRIMMED = {"GLIBC_TUNABLES": f"glibc.malloc.trim_threshold={1 << 30}"}
#: Which part of what is carried without a pause is carried meanwhile, faults and all: half, at least and at most.
HALF = (0.35, 0.65)
#: How many times what the others have needed at most a node may need that is started again and again: none of its lives
#: is long enough for a slope.
PEAK = 1.5
#: Sizes of what is sent.
SIZES = (64 << 10, MiB, 4 * MiB, 12 * MiB)
#: Faults after which every node is still the same process, but the last one, which may also be killed.
KINDS = (
    "node frozen",
    "Redis killed",
    "Redis frozen",
    "Redis emptied",
    "Redis connections closed",
    "Redis unreachable",
    "balancer restarted",
    "links cut",
    "packets lost",
    "line slow",
)
LAST_KINDS = ("node killed", "node restarted")


@dataclasses.dataclass
class Series:
    """What one process has used, from the first look to the last; it has been the same process all the time."""

    name: str
    pid: int
    times: list[float] = dataclasses.field(default_factory=list)
    memory: list[int] = dataclasses.field(default_factory=list)
    descriptors: list[int] = dataclasses.field(default_factory=list)
    #: Without clients' transfers and sessions, before and after.
    idle: list[int] = dataclasses.field(default_factory=list)
    #: When each kind of fault had been.
    warm: float = 0.0

    def look(self, now: float) -> None:
        """Adds a look."""
        memory, descriptors = measure.resident(self.pid), measure.descriptors(self.pid)
        self.times.append(now)
        self.memory.append(memory)
        self.descriptors.append(descriptors)

    def slope(self) -> float:
        """By how much the memory has grown after the warm-up, as a part of what it was."""
        first, last = self._quarters()
        return last / first - 1

    def _quarters(self) -> tuple[float, float]:
        begin = max(int(len(self.memory) * WARM_UP), bisect.bisect_left(self.times, self.warm))
        rest = self.memory[begin:] or self.memory[-1:]
        quarter = max(1, len(rest) // 4)
        # The median: what a single moment needs is no growth.
        return statistics.median(rest[:quarter]), statistics.median(rest[-quarter:])

    def row(self) -> str:
        """A line of the table."""
        first, last = self._quarters()
        idle = [f"{count} {when}" for count, when in zip(self.idle, ("before", "after"), strict=False)]
        return (
            f"{self.name:3} {len(self.memory):6} looks   memory {first / MiB:6.1f} MiB, then {last / MiB:6.1f} MiB "
            f"({self.slope():+.1%}), {max(self.memory) / MiB:6.1f} MiB at most   descriptors "
            f"{', '.join([*idle[:1], f'{max(self.descriptors)} at most', *idle[1:]])}"
        )

    def words(self) -> str:
        """What came of it, in short."""
        _, last = self._quarters()
        return f"{self.name} {self.slope():+.1%} ({last / MiB:.1f} MiB), {self.idle[-1] - self.idle[0]:+} descriptors"

    def grows(self) -> bool:
        """Whether its memory has grown by more than it may."""
        return self.slope() > SLOPE

    def problems(self) -> Iterator[str]:
        """What does not hold."""
        if self.grows():
            yield f"{self.name}: its memory has grown by {self.slope():.1%}, {SLOPE:.0%} at most"
        if self.idle[-1] > self.idle[0]:
            yield f"{self.name}: it has {self.idle[-1]} descriptors, and had {self.idle[0]}"


@dataclasses.dataclass
class Lives:
    """What a node has used that is killed and started again: each of its processes apart."""

    node: Node
    #: Its descriptors without clients' transfers and sessions, before and after.
    idle: list[int] = dataclasses.field(default_factory=list)
    lives: list[Series] = dataclasses.field(default_factory=list)

    def look(self, now: float) -> None:
        """Adds a look, if it is there."""
        # It may be between two of its processes.
        with contextlib.suppress(OSError, ValueError, AssertionError):
            pid = self.node.pid
            life = self.lives[-1] if self.lives and self.lives[-1].pid == pid else None
            made = life or Series(f"{self.node.name}.{len(self.lives) + 1}", pid)
            made.look(now)
            if not life:
                self.lives.append(made)

    def back(self) -> None:
        """Waits until its descriptors are back, and counts them."""
        _back(self.node, self.idle)

    def rows(self) -> Iterator[str]:
        """Lines of the table."""
        yield from (life.row() for life in self.lives)
        yield f"{self.node.name}: descriptors {self.idle[0]} before, {self.idle[-1]} after, in another process"

    def problems(self, most: int) -> Iterator[str]:
        """What does not hold, where the others have needed so much at most."""
        if not self.lives:
            yield f"{self.node.name}: it was never seen"
        for life in self.lives:
            if max(life.memory) > PEAK * most:
                yield f"{life.name}: it has needed {max(life.memory) / MiB:.1f} MiB, and the others {most / MiB:.1f}"
        if self.idle[-1] > self.idle[0]:
            yield f"{self.node.name}: it has {self.idle[-1]} descriptors, and its first process had {self.idle[0]}"


def _resting(node: Node) -> int:
    """The descriptors of a node, but for those of sessions: who was at a node that is killed waits at another one."""
    return measure.descriptors(node.pid) - int(node.status()["sessions"])


def _back(node: Node, idle: list[int]) -> None:
    # The table says how many there are.
    with contextlib.suppress(TooLate):
        until(lambda: _resting(node) <= idle[0], 60, "descriptors", step=0.5)
    idle.append(_resting(node))


@dataclasses.dataclass
class Outcome:
    """What came of it."""

    seconds: float
    rate: float
    full: float
    series: list[Series]
    faults: list[str] = dataclasses.field(default_factory=list)
    transfers: int = 0
    failed: list[str] = dataclasses.field(default_factory=list)
    #: How many looks were made larger than they were.
    planted: int = 0
    #: Of the node that may be killed.
    lives: Lives | None = None

    def holds(self, plant: str | None) -> bool:
        """Whether it is as it has to be: what is planted was found, in each process."""
        if not plant:
            return not self.problems()
        return self.planted > 0 and bool(self.series) and all(each.grows() for each in self.series)

    def problems(self) -> list[str]:
        """What does not hold."""
        found = [problem for each in self.series for problem in each.problems()]
        if self.lives:
            found += self.lives.problems(max(max(each.memory) for each in self.series))
        found += [] if self.faults else ["nothing was broken"]
        never = [kind for kind in KINDS if kind not in self.faults]
        found += [f"too short for a slope: there was no {', no '.join(never)}"] if self.faults and never else []
        found += [] if self.transfers else ["nothing was carried"]
        least, most = HALF
        if self.transfers and not least * self.full <= self.rate <= most * self.full:
            found.append(f"{self.load():.0%} of the full load were carried, between {least:.0%} and {most:.0%} wanted")
        return found + self.failed[:20]

    def load(self) -> float:
        """Which part of the full load was carried."""
        return self.rate / self.full if self.full else 0.0

    def table(self) -> str:
        """For a terminal."""
        return "\n".join(
            [
                f"{self.seconds:.0f} s, {self.transfers} transfers, {self.rate / MiB:.1f} MiB a second of "
                f"{self.full / MiB:.1f}; {len(self.faults)} faults: {', '.join(self.faults)}",
                *(each.row() for each in self.series),
                *(self.lives.rows() if self.lives else ()),
                *([f"{self.planted} looks were made larger"] if self.planted else []),
                *(f"PROBLEM  {each}" for each in self.problems()),
                f"{self.seconds / 60:.0f} min, {self.transfers} transfers at {self.load():.0%} of the full load, "
                f"{len(self.faults)} faults; {', '.join(each.words() for each in self.series)}; "
                f"{len(self.problems())} problems",
            ]
        )


class Soak:
    """The load, the faults, and the looks."""

    def __init__(self, world: World, seed: int, tell: Callable[[str], None]) -> None:
        self._world, self._seed, self._tell = world, seed, tell
        self._numbers, self._lock = itertools.count(1), threading.Lock()
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self.carried, self.transfers, self.planted = 0, 0, 0
        self.warm = 0.0

    def _carry(self, couple: Couple, rate: float, until_when: float) -> None:
        """One transfer after the other, with pauses such that so many bytes a second are carried at most."""
        chance = random.Random(f"{self._seed} {couple.number}")
        while time.monotonic() < until_when:
            with self._lock:
                number = next(self._numbers)
            size = chance.choice(SIZES)
            sizes = tuple(size for _ in self._world.couples)
            plan = Round(number, number, sizes, tuple(None for _ in sizes), None)
            began = time.monotonic()
            couple.carry(plan)
            with self._lock:
                self.carried += size
                self.transfers += 1
            self._stop.wait(max(0.0, size / rate - (time.monotonic() - began)))

    def _all(self, rate: float, seconds: float) -> None:
        """All couples, with so many bytes a second together at most."""
        end, each_rate = time.monotonic() + seconds, rate / len(self._world.couples)
        working = [background(self._carry, couple, each_rate, end) for couple in self._world.couples]
        for each in working:
            each.result(seconds + chaos.SECONDS * 2)

    def measured(self, minutes: float, plant: str | None = None) -> Outcome:
        """All of it: first as much as it can carry, then half of that with faults."""
        nodes = self._world.cluster.members()
        began = time.monotonic()
        self._all(float("inf"), 10)
        full, self.carried, self.transfers = self.carried / (time.monotonic() - began), 0, 0
        assert full, "nothing was carried"
        # The last one may be killed; what it uses is another process's then.
        series, lives = [Series(node.name, node.pid) for node in nodes[:-1]], Lives(nodes[-1])
        _idle(nodes)
        for each, node in zip(series, nodes, strict=False):
            each.idle.append(_resting(node))
        lives.idle.append(_resting(nodes[-1]))
        self._world.history = History()
        seconds = minutes * 60
        looking = background(self._look, series, lives, plant)
        breaking = background(self._break, seconds)
        self._all(full / 2, seconds)
        self._stop.set()
        faults = breaking.result(chaos.SECONDS)
        looking.result(30)
        for each, node in zip(series, nodes, strict=False):
            _back(node, each.idle)
        lives.back()
        outcome = Outcome(seconds, self.carried / seconds, full, series, faults, self.transfers, lives=lives)
        outcome.planted = self.planted
        for each in series:
            each.warm = self.warm
        outcome.failed = [
            problem
            for rule in (chaos_rules.nothing_is_lost, chaos_rules.nothing_comes_twice, chaos_rules.what_is_said_is_true)
            for problem in rule(self._world.history)
        ]
        return outcome

    def _look(self, series: list[Series], lives: Lives, plant: str | None) -> None:
        began = time.monotonic()
        while not self._stop.wait(STEP):
            lives.look(time.monotonic() - began)
            for each in series:
                each.look(time.monotonic() - began)
                if plant == "memory":
                    each.memory[-1] += len(each.memory) * MiB // 4
                    self.planted += 1

    def _break(self, seconds: float) -> list[str]:
        """A fault each 20 s, but none so late that its end is not waited for."""
        began = time.monotonic()
        end = began + seconds - FAULT / 2
        done: list[str] = []
        kinds = itertools.cycle(self._chance.sample(KINDS, len(KINDS)))
        while not self._stop.wait(FAULT) and time.monotonic() < end:
            of_the_last = len(done) % 4 == 3
            kind = self._chance.choice(LAST_KINDS) if of_the_last else next(kinds)
            nodes = self._world.cluster.members()
            planned = Break(kind, 0, self._chance.uniform(1, 4))
            broke = self._world.history.add("test", "broke", kind=kind, pair=None, side=None, until=float("inf"))
            self._world.parts.do(planned, self._chance, nodes[-1:] if of_the_last else nodes)
            broke["until"] = self._world.history.now()
            done.append(kind)
            if not self.warm and {*KINDS} <= {*done}:
                self.warm = time.monotonic() - began
            self._tell(f"{len(done) * FAULT:6.0f} s  {kind}, {self.transfers} transfers")
        return done


def _idle(nodes: list[Node]) -> None:
    for node in nodes:
        streams = node.status().get("transfers", 0)
        assert streams == 0, f"{node.name} has {streams} transfers"


def prove(
    binaries: pathlib.Path,
    folder: pathlib.Path,
    *,
    minutes: float,
    seed: int,
    tell: Callable[[str], None],
    plant: str | None = None,
) -> Outcome:
    """A cluster of its own for it."""
    with World(binaries, folder, pairs=4, env=UNTRIMMED) as world:
        return Soak(world, seed, tell).measured(minutes, plant)
