# SPDX-License-Identifier: Apache-2.0
"""Transfers through a cluster, each broken once or twice at random: all are delivered, and little is carried twice."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import os
import pathlib
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Self

from harness import content, loopback, measure
from harness.cluster import Cluster
from harness.history import History
from harness.loopback import Loopback
from harness.members import Member, Node
from harness.processes import Process
from harness.redis import Redis
from harness.waiting import TooLate, background, until

MiB = content.MiB
#: What may be carried twice for each break.
AGAIN = 64 * MiB
#: Bits a second of all that passes, each byte some five times: a client says twice a second how far it is, and what
#: is to be broken twice has to last for longer.
WIRE = 8_000_000_000
#: For one transfer with its breaks; the sender's own --timeout is below it.
SECONDS = 600
STOPPED_SECONDS = 40
#: One of so many runs is broken twice.
TWICE = 5
#: Where at most: of what is broken at the very end, there may be nothing left to break.
HIGHEST = 0.95
KINDS = (
    "sender killed",
    "receiver killed",
    "node killed",
    "Redis killed",
    "connection killed",
    "one stopped",
)


@dataclasses.dataclass(frozen=True)
class Break:
    """One break: of what kind, when, and how long what was killed stays away."""

    kind: str
    #: How much of the content is through, from 0 to 1; None: while the other break is not over yet.
    at: float | None
    seconds: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is done to one transfer: the same for the same seed."""

    number: int
    seed: int
    size: int
    breaks: tuple[Break, ...]


def plans(count: int, seed: int, size: int, lowest: float = 0.05) -> Iterator[Plan]:
    """Plans of so many runs: all kinds equally often, a fifth of them with a second break; all else is random."""
    for number in range(count):
        own = random.Random(f"{seed} {number}").getrandbits(32)
        chance = random.Random(own)
        kinds, points = [KINDS[number % len(KINDS)]], [chance.uniform(lowest, HIGHEST)]
        if number % TWICE == TWICE - 1:
            kinds.append(chance.choice(KINDS))
            points = sorted([*points, chance.uniform(lowest, HIGHEST)])
        breaks = []
        for index, (kind, at) in enumerate(zip(kinds, points, strict=True)):
            seconds = STOPPED_SECONDS if kind == "one stopped" else chance.uniform(0, 3)
            breaks.append(Break(kind, None if index > 0 and chance.random() < 0.5 else at, seconds))
        yield Plan(number + 1, own, size, tuple(breaks))


@dataclasses.dataclass
class Outcome:
    """What came of one plan."""

    plan: Plan
    done: list[str]
    delivered: bool = False
    equal: bool = False
    uploaded: int = 0
    downloaded: int = 0
    seconds: float = 0.0
    remarks: list[str] = dataclasses.field(default_factory=list)

    @property
    def allowed(self) -> int:
        """How many bytes may go over the wire, in each direction."""
        return self.plan.size + AGAIN * len(self.plan.breaks)

    @property
    def is_good(self) -> bool:
        """Whether it is as it has to be."""
        within = max(self.uploaded, self.downloaded) <= self.allowed
        return self.delivered and self.equal and within and len(self.done) == len(self.plan.breaks)

    def row(self) -> str:
        """A line of the table."""
        words = ("delivered" if self.delivered else "LOST", "equal" if self.equal else "DIFFERS")
        over = "" if max(self.uploaded, self.downloaded) <= self.allowed else "  OVER"
        return (
            f"{self.plan.number:4}  {self.plan.seed:>10}  {words[0]:9}  {words[1]:7}  {self.uploaded / MiB:9.1f}"
            f"  {self.downloaded / MiB:9.1f}  {self.allowed / MiB:8.0f}{over}  {self.seconds:6.1f}  "
            + "; ".join(self.done + self.remarks)
        )


HEAD = (
    f"{'run':>4}  {'seed':>10}  {'':9}  {'content':7}  {'up MiB':>9}  {'down MiB':>9}  {'at most':>8}  {'s':>6}  "
    "broken, at how much of the content"
)


class TooQuick(Exception):
    """The transfer was over before it could be broken."""


class Client:
    """relay-client with the same arguments, again and again: what a service manager would do."""

    def __init__(self, history: History, name: str, start: Callable[..., Process]) -> None:
        self._history, self._name, self._start = history, name, start
        self._lock = threading.Lock()
        self.process = self._run()

    def _run(self) -> Process:
        reading, writing = os.pipe()
        try:
            process = self._start(stdout=writing)
        finally:
            os.close(writing)
        process.watcher = self._history.follow(self._name, os.fdopen(reading, "rb"))
        return process

    def kill(self, away: float) -> None:
        """kill -9, and started again after `away` seconds."""
        with self._lock:
            self.process.kill()
            self.process.watcher.join(5)
            if self._history.events("delivered", who=self._name):
                # It was through, and a second start would be a second transfer.
                raise TooQuick
            time.sleep(away)
            self.process = self._run()

    def wait(self, timeout: float) -> int:
        """The exit status of the one that was not killed."""
        deadline = time.monotonic() + timeout
        while True:
            process = self.process
            status = process.wait(deadline - time.monotonic())
            with self._lock:
                # It may be one that is about to be started again.
                if process is self.process:
                    process.watcher.join(5)
                    return status


class World:
    """A cluster on a loopback of its own, a sender and a receiver."""

    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path, *, rate: int = WIRE) -> None:
        self.folder = folder
        self._stack = contextlib.ExitStack()
        self.lo = self._stack.enter_context(Loopback(rate))
        try:
            self.cluster = Cluster(binaries, folder / "cluster")
            self._stack.callback(self.cluster.stop)
            self.lo.count(self.cluster.port)
            self.alice = self.cluster.person("alice", folder)
            self.bob = self.cluster.person("bob", folder)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, plan: Plan) -> Outcome:
        """Carries it out; once more, with earlier breaks, where the transfer was quicker than they were."""
        for attempt in range(4):
            with contextlib.suppress(TooQuick):
                earlier = [dataclasses.replace(each, at=each.at and each.at * 0.7**attempt) for each in plan.breaks]
                return Run(self, dataclasses.replace(plan, breaks=tuple(earlier))).outcome()
        raise TooQuick(f"run {plan.number} is over before it can be broken: it has to be larger, or the wire slower")


class Run:
    """One transfer, and what is done to it."""

    def __init__(self, world: World, plan: Plan) -> None:
        self.world, self.plan, self.chance = world, plan, random.Random(plan.seed)
        self.history, self.file = History(), f"file-{plan.number:03}"
        self.path = world.folder / self.file
        self.inbox = world.bob.inbox
        self._over = threading.Event()
        # Of two breaks of the same part, the second one waits until it is back.
        self._parts: collections.defaultdict[str, threading.Lock] = collections.defaultdict(threading.Lock)

    def outcome(self) -> Outcome:
        """Does it, and clears up."""
        world, outcome = self.world, Outcome(self.plan, [])
        sha256 = content.file(self.path, self.plan.seed, self.plan.size)
        before, began = world.lo.counted(world.cluster.port), time.monotonic()
        self.receiver = Client(self.history, "receiver", self._receive)
        self.history.wait_for("ready", 30, who="receiver")
        self.sender = Client(self.history, "sender", self._send)
        try:
            breaking = background(self._break, outcome)
            self._judge(outcome, sha256)
            self._over.set()
            try:
                breaking.result(STOPPED_SECONDS + 60)
            except TooQuick:
                # What ended badly was not too quick.
                if outcome.delivered:
                    raise
        finally:
            for client in (self.sender, self.receiver):
                client.process.kill()
            outcome.seconds = time.monotonic() - began
            after = world.lo.counted(world.cluster.port)
            outcome.uploaded, outcome.downloaded = (after[side] - before[side] for side in (0, 1))
            self.path.unlink()
            shutil.rmtree(self.inbox)
            self.inbox.mkdir()
        return outcome

    def _judge(self, outcome: Outcome, sha256: str) -> None:
        try:
            status = self.sender.wait(SECONDS)
        except TooLate:
            outcome.remarks.append(f"not over after {SECONDS} s")
            return
        outcome.delivered = status == 0 and bool(self.history.events("delivered", who="sender"))
        if not outcome.delivered:
            said = self.sender.process.err().strip().splitlines()[-1:] or self.history.tail(3).splitlines()[-1:]
            outcome.remarks.append(f"exit status {status}: {' '.join(said)[-160:]}")
            return
        # The receiver may be a moment behind: it clears up when it knows that the sender knows.
        with contextlib.suppress(TooLate):
            until(lambda: [path.name for path in self.inbox.iterdir()] == [self.file], 10, "only the file is there")
        stored = sorted(path.name for path in self.inbox.iterdir())
        if "may not have heard" in self.receiver.process.out() + self.receiver.process.err():
            # It was cut off before it knew that the sender knows, and keeps its journal for that, as it says.
            stored = [name for name in stored if not (name.startswith(".relay-") and name.endswith(".part"))]
        outcome.equal = stored == [self.file] and content.sha256(self.inbox / self.file) == sha256
        if stored != [self.file]:
            outcome.remarks.append(f"in the folder: {', '.join(stored)[:160]}")

    def _send(self, **options: Any) -> Process:
        return self.world.alice.send(self.world.bob, self.path, "--json", "--timeout", "9m", **options)

    def _receive(self, **options: Any) -> Process:
        return self.world.bob.receive("--json", once=False, ready=False, **options)

    # ---- breaking -----------------------------------------------------------------------------------------------

    def _break(self, outcome: Outcome) -> None:
        pending = []
        for number, each in enumerate(self.plan.breaks):
            if each.at is None:
                time.sleep(self.chance.uniform(0, 2))
            else:
                self._wait_for(each.at, is_first=number == 0)
            place = f"{each.at:.0%}" if each.at is not None else "at once"
            pending.append(background(self._one, each, outcome, place))
            if number + 1 < len(self.plan.breaks) and self.plan.breaks[number + 1].at is not None:
                pending[-1].result(STOPPED_SECONDS + 60)
        for future in pending:
            future.result(STOPPED_SECONDS + 60)

    def _wait_for(self, at: float, *, is_first: bool) -> None:
        """Until so much of the content is through."""
        wanted = at * self.plan.size

        def reached() -> bool:
            done = self.history.events("delivered", who="sender") or self.history.events("received", who="receiver")
            if done or self._over.is_set():
                raise TooQuick
            # The clients say it twice a second; the first time, what the sender has read is more exact.
            if is_first and self._read() >= wanted:
                return True
            said = [event.get("bytes", 0) for event in self.history.events("progress")]
            return max(said, default=0) >= wanted

        until(reached, SECONDS, f"{at:.0%} are through")

    def _read(self) -> int:
        try:
            return measure.io(self.sender.process.pid)["rchar"]
        except (OSError, ValueError):
            return 0

    def _one(self, each: Break, outcome: Outcome, place: str) -> None:
        kinds: dict[str, Callable[[Break], str]] = {
            "sender killed": functools.partial(self._kill_client, self.sender, "sender"),
            "receiver killed": functools.partial(self._kill_client, self.receiver, "receiver"),
            "node killed": self._kill_node,
            "Redis killed": self._kill_redis,
            "connection killed": self._kill_connection,
            "one stopped": self._stop,
        }
        what = kinds[each.kind](each)
        outcome.done.append(f"{what} at {place}" if place != "at once" else f"{what} {place}")

    @staticmethod
    def _kill_client(client: Client, name: str, each: Break) -> str:
        client.kill(each.seconds)
        return f"{name} killed"

    def _kill_node(self, each: Break) -> str:
        node = self._node()
        with self._parts[node.name]:
            self._restarted(node, each.seconds)
        return f"{node.name} killed"

    def _kill_redis(self, each: Break) -> str:
        """It comes back empty, and the nodes tell it again whom they have seen; where one of these may be killed at the
        same time, it comes back with what it had on the disk, as an operator's does."""
        keeps = len(self.plan.breaks) > 1
        with self._parts["redis"]:
            if keeps:
                with Redis(self.world.cluster.redis_url) as redis:
                    redis("SAVE")
            self._restarted(self.world.cluster.part("redis"), each.seconds)
        return "Redis killed" if keeps else "Redis killed, and empty"

    @staticmethod
    def _restarted(member: Member, away: float) -> None:
        member.kill()
        time.sleep(away)
        member.restart()

    def _kill_connection(self, _: Break) -> str:
        port = self.world.cluster.port

        def one() -> str | None:
            clients = {"sender": self.sender, "receiver": self.receiver}
            found = []
            for name, client in clients.items():
                with contextlib.suppress(OSError):
                    found += [(name, local) for local in loopback.ports(client.process.pid, port)]
            if not found:
                return None
            name, local = self.chance.choice(sorted(found))
            return name if self.world.lo.kill(local, port) else None

        return f"connection of the {until(one, 60, 'a connection to kill')} killed"

    def _stop(self, each: Break) -> str:
        name = self.chance.choice(("sender", "receiver", "node"))
        node = self._node()
        pid = {"sender": self.sender.process.pid, "receiver": self.receiver.process.pid, "node": node.pid}[name]
        os.kill(pid, signal.SIGSTOP)
        time.sleep(each.seconds)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
        return f"{node.name if name == 'node' else name} stopped for {each.seconds:.0f} s"

    def _node(self) -> Node:
        """One that has a client's connection, where there is one."""
        nodes = self.world.cluster.members()
        busy = [node for node in nodes if _clients(node)]
        return self.chance.choice(busy or nodes)


def _clients(node: Node) -> int:
    """How many connections the balancer has made to it."""
    with contextlib.suppress(OSError):
        return sum(
            bool(re.fullmatch(rf"{node.port} -> \d+ established", each)) for each in measure.connections(node.pid)
        )
    return 0


def report(outcomes: list[Outcome]) -> str:
    """What it all came to, in one line."""
    delivered = sum(each.delivered for each in outcomes)
    equal = sum(each.equal for each in outcomes)
    over = sum(max(each.uploaded, each.downloaded) > each.allowed for each in outcomes)
    return f"{len(outcomes)} runs: {delivered} delivered, {equal} with equal content, {over} with too many bytes"


def prove(world: World, planned: list[Plan], tell: Callable[[str], None]) -> list[Outcome]:
    """Carries out the plans one after the other, and tells each row as soon as it is there."""
    tell(HEAD)
    outcomes = []
    for plan in planned:
        outcomes.append(world.run(plan))
        tell(outcomes[-1].row())
    tell(report(outcomes))
    return outcomes
