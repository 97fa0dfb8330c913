# SPDX-License-Identifier: Apache-2.0
"""Many transfers through a cluster, several at once, while random parts are broken at random moments: of clients, of
nodes, of Redis, of the balancer, of the network, of clocks and disks. What both sides said is held to chaos_rules.

Transfers go in rounds: everything is whole when a round begins, each pair of people has one transfer in it, and what is
broken in it is written down, so that it can be told who may be blamed for what.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self

from harness import clocks, content, file_systems, loopback
from harness.cluster import Cluster
from harness.executables import clean_environment
from harness.file_systems import Mounted
from harness.history import History
from harness.loopback import Loopback
from harness.members import Node
from harness.network import run
from harness.processes import Process
from harness.redis import Redis, RedisError
from harness.types import Environment, Word
from harness.waiting import TooLate, background, until

from . import chaos_rules

MiB = content.MiB
#: Pairs of people, each with one transfer in a round.
PAIRS = 6
#: Bits a second of all that passes, each byte some five times: small transfers, too, last long enough to be broken.
WIRE = 600_000_000
#: What a receiver's disk has.
DISK = 64 * MiB
#: (how often, smallest, largest) of what is sent.
SIZES = ((2, 0, 4096), (3, 64 << 10, MiB), (4, 2 * MiB, 8 * MiB), (1, 16 * MiB, 24 * MiB))
#: For one transfer with all of its breaks.
SECONDS = 180
#: The exit status of a client that has never reached the relay: it is tried again by hand.
UNREACHABLE = 69
#: How long breaks last that have to be noticed, and those that need not be.
LONG, SHORT = (35.0, 45.0), (0.2, 3.0)
#: One of so many breaks is of those that last long.
RARE = 24
CLIENT_KINDS = ("killed", "connection cut", "interrupted", "stopped", "black hole", "disk full", "clock set")
RARE_CLIENT_KINDS = ("stopped for long", "black hole for long")
SHARED_KINDS = (
    "node killed",
    "node restarted",
    "node frozen",
    "Redis killed",
    "Redis frozen",
    "Redis emptied",
    "Redis connections closed",
    "Redis unreachable",
    "balancer restarted",
    "balancer reloaded",
    "links cut",
    "packets lost",
    "line slow",
)
RARE_SHARED_KINDS = ("node frozen for long",)
CLOCK = "clock set"
#: From so many transfers on each kind has its turn, but for rare ones, and so many of ten are delivered: what persons
#: end, and disks that are full, are one of 25.
MANY, OF_TEN = 180, 8


@dataclasses.dataclass(frozen=True)
class Break:
    """One break: what, when after the round began or after bytes began to flow, how long, and of which side."""

    kind: str
    after: float
    seconds: float
    side: str | None = None
    is_midway: bool = False
    #: Whether the person goes on with what ended by it.
    resumes: bool = True


@dataclasses.dataclass(frozen=True)
class Round:
    """What one round does: the same for the same seed."""

    number: int
    seed: int
    sizes: tuple[int, ...]
    #: For each pair, and for everything that all of them use.
    clients: tuple[Break | None, ...]
    shared: Break | None


def rounds(runs: int, seed: int, pairs: int = PAIRS) -> Iterator[Round]:
    """Rounds of so many transfers in all: of three, one breaks clients, one what all use, and one both. Kinds take
    turns, so that each is as frequent as any other; all else is random."""
    shared_kinds, client_kinds = _turns(seed, "shared", SHARED_KINDS), _turns(seed, "clients", CLIENT_KINDS)
    for number in range(-(-runs // pairs)):
        own = random.Random(f"{seed} {number}").getrandbits(32)
        chance = random.Random(own)
        count = min(pairs, runs - number * pairs)
        breaks_clients, breaks_shared = ((True, False), (False, True), (True, True))[number % 3]
        hurt = [pair for pair in range(count) if breaks_clients and chance.random() < 0.75]
        kinds = [next(client_kinds) for _ in hurt]
        if CLOCK in kinds:
            # The first pair has it: a preloaded library makes programs slower.
            kinds.insert(0, kinds.pop(kinds.index(CLOCK)))
            hurt[0] = 0
        clients: list[Break | None] = [None] * count
        for pair, kind in zip(hurt, kinds, strict=True):
            clients[pair] = _client_break(kind, chance, pair)
        shared = None
        if breaks_shared:
            kind = chance.choice(RARE_SHARED_KINDS) if chance.randrange(RARE) == 0 else next(shared_kinds)
            shared = Break(kind, chance.uniform(0, 1.5), _seconds(kind, chance))
        sizes = tuple(_size(chance) for _ in range(count))
        yield Round(number + 1, own, sizes, tuple(clients), shared)


def _turns(seed: int, name: str, kinds: tuple[str, ...]) -> Iterator[str]:
    chance = random.Random(f"{seed} {name}")
    while True:
        yield from chance.sample(kinds, len(kinds))


def _seconds(kind: str, chance: random.Random) -> float:
    return chance.uniform(*(LONG if kind.endswith("for long") else SHORT))


def _client_break(kind: str, chance: random.Random, pair: int) -> Break:
    if chance.randrange(RARE) == 0:
        kind = chance.choice(RARE_CLIENT_KINDS)
    if kind == CLOCK and pair != 0:
        kind = "killed"
    side = "receiver" if kind == "disk full" else chance.choice(("sender", "receiver"))
    is_midway = chance.random() < 0.75
    after = chance.uniform(0, 0.8 if is_midway else 0.4)
    return Break(kind, after, _seconds(kind, chance), side, is_midway, resumes=chance.random() < 0.6)


def _size(chance: random.Random) -> int:
    _, low, high = chance.choices(SIZES, [each[0] for each in SIZES])[0]
    return chance.randint(low, high)


class Actor:
    """A client that runs; its lines go to whichever history is there."""

    def __init__(self, world: World, who: str, start: Callable[..., Process]) -> None:
        self._world, self.who, self._start = world, who, start
        self.process: Process | None = None

    def begin(self) -> None:
        """Starts it."""
        reading, writing = os.pipe()
        try:
            self.process = self._start(stdout=writing)
        finally:
            os.close(writing)
        self.process.watcher = threading.Thread(target=self._read, args=(reading,), daemon=True)
        self.process.watcher.start()

    def _read(self, reading: int) -> None:
        with os.fdopen(reading, "rb") as stream:
            for text in stream:
                # One that was killed has not ended its last line.
                if text.endswith(b"\n"):
                    self._world.history.line(self.who, text.decode("utf-8", "replace"))

    def running(self) -> bool:
        """Whether it does."""
        return self.process is not None and self.process.running()

    def signal(self, number: int) -> bool:
        """Sends a signal; False when no process is there."""
        if self.process is None or not self.running():
            return False
        self.process.signal(number)
        return True

    def ended(self, timeout: float) -> int:
        """Waits for the end, and for its last words."""
        assert self.process is not None
        status = self.process.wait(timeout)
        self.process.watcher.join(10)
        return status

    def connections(self, port: int) -> list[int]:
        """The local ports of its connections to that port."""
        with contextlib.suppress(OSError):
            if self.process is not None:
                return loopback.ports(self.process.pid, port)
        return []


class Couple:
    """Two people. The receiver waits all the time, and has a disk of its own."""

    def __init__(self, world: World, number: int) -> None:
        self.world, self.number = world, number
        self.sender = world.cluster.person(f"alice{number}", world.folder)
        self.receiver = world.cluster.person(f"bob{number}", world.folder)
        self.disk: Mounted = file_systems.memory(self.receiver.inbox, f"size={DISK}")
        self.clock = clocks.Clock(self.receiver.home) if number == 0 else None
        self.receiving = Actor(world, f"receiver {number}", self._receive)
        self.sending = Actor(world, f"sender {number}", self._send)
        self._path = world.folder / f"nothing-{number}"
        self.receiving.begin()

    def _options(self) -> dict[str, Any]:
        return {"env": self.clock.environment} if self.clock else {}

    def _prefix(self) -> tuple[str, ...]:
        return clocks.PREFIX if self.clock else ()

    def _receive(self, **options: Any) -> Process:
        prefix = [*self.disk.prefix, *self._prefix()]
        return self.receiver.receive(
            "--json", "--checksum", once=False, ready=False, prefix=prefix, **self._options(), **options
        )

    def _send(self, **options: Any) -> Process:
        arguments = ("--json", "--checksum", "--timeout", f"{SECONDS - 30}s")
        return self.sender.send(
            self.receiver, self._path, *arguments, prefix=self._prefix(), **self._options(), **options
        )

    def side(self, name: str | None) -> Actor:
        """One of the two."""
        return self.sending if name == "sender" else self.receiving

    def carry(self, plan: Round) -> None:
        """One transfer, with what is to be broken of it, to its end."""
        file, history = f"file-{plan.number:04}-{self.number}", self.world.history
        self._path, size = self.world.folder / file, plan.sizes[self.number]
        sha256 = content.file(self._path, f"{plan.seed} {self.number}", size)
        planned = plan.clients[self.number]
        history.add("test", "began", pair=self.number, file=file, sha256=sha256, size=size)
        hurt = Hurt(self, planned, file)
        try:
            self.sending.begin()
            hurt.begin()
            status = self._until_over(hurt, file)
            hurt.end()
            history.add("test", "ended", pair=self.number, file=file, status=status, gives_up=hurt.gives_up())
            self._settle(file)
        finally:
            hurt.heal()
            self._look()
            self._path.unlink()

    def _until_over(self, hurt: Hurt, file: str) -> int | None:
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                status = self.sending.ended(deadline - time.monotonic())
            except TooLate:
                return None
            if status == 0 or self._said(file, "sender", "delivered"):
                return status
            # The person who ended it may also begin it again.
            hurt.end()
            if not hurt.resumes(status):
                return status
            hurt.heal()
            if not self.receiving.running():
                self.receiving.begin()
            time.sleep(hurt.pause())
            self.sending.begin()

    def _said(self, file: str, side: str, *events: str) -> bool:
        return any(self.world.history.events(event, who=f"{side} {self.number}", file=file) for event in events)

    def _settle(self, file: str) -> None:
        """The receiver may be a moment behind."""
        if self._said(file, "sender", "delivered"):
            with contextlib.suppress(TooLate):
                until(lambda: self._said(file, "receiver", "received"), 10, "it is received")
        elif self._said(file, "receiver", "offered", "started", "progress"):
            with contextlib.suppress(TooLate):
                until(lambda: self._said(file, "receiver", "failed", "interrupted", "received"), 10, "it is told")

    def _look(self) -> None:
        """Writes down what there is, and clears up; the receiver runs when this returns."""
        left = False
        for path in sorted(self.disk.folder.iterdir()):
            if chaos_rules.PART.fullmatch(path.name):
                left = True
            elif path.name != "filler":
                self.world.history.add("test", "stored", pair=self.number, file=path.name, sha256=content.sha256(path))
                path.unlink()
        if left and self._has_given_up():
            # No later round goes on with what was given up.
            self.receiving.signal(signal.SIGKILL)
            self.receiving.ended(10)
            for path in self.disk.folder.iterdir():
                shutil.rmtree(path, ignore_errors=True)
        if not self.receiving.running():
            self.receiving.begin()

    def _has_given_up(self) -> bool:
        return any(event["gives_up"] for event in self.world.history.events("ended", pair=self.number))


class Hurt:
    """What is done to one transfer."""

    def __init__(self, couple: Couple, planned: Break | None, file: str) -> None:
        self.couple, self.planned, self.file = couple, planned, file
        self._done = threading.Event()
        self._over = threading.Event()
        self._work: Any = None
        self._again = 0
        self._filler: pathlib.Path | None = None

    def begin(self) -> None:
        """From now on it may happen."""
        if self.planned:
            self._work = background(self._break)

    def end(self) -> None:
        """The transfer is over, and so is this."""
        self._over.set()
        if self._work:
            self._work.result(max(LONG) + 60)

    def gives_up(self) -> bool:
        """Whether the person of one side has ended it, and does not go on."""
        return bool(self._done.is_set() and self.planned and self._is_an_end() and not self.planned.resumes)

    def _is_an_end(self) -> bool:
        return self.planned is not None and self.planned.kind in ("interrupted", "disk full")

    def resumes(self, status: int) -> bool:
        """Whether the same is sent again after it has ended like this."""
        if status == UNREACHABLE and self._again < 10:
            # The rules hold it to what was broken then.
            self._again += 1
            return True
        if not self._done.is_set() or self.planned is None or self._again >= 3:
            return False
        self._again += 1
        is_killed = self.planned.kind == "killed" and self.planned.side == "sender" and status == -signal.SIGKILL
        return is_killed or (self._is_an_end() and self.planned.resumes)

    def pause(self) -> float:
        """How long the person takes to come back."""
        return min(self.planned.seconds, 2.0) if self.planned else 0.0

    def _wait(self, seconds: float) -> None:
        self._over.wait(seconds)

    def _break(self) -> None:
        assert self.planned is not None
        if self.planned.is_midway:
            with contextlib.suppress(TooLate):
                until(lambda: self._over.is_set() or self._stage() not in ("before", "offered"), SECONDS, "bytes flow")
        self._wait(self.planned.after)
        if self._over.is_set():
            return
        kinds: dict[str, Callable[[Actor, Break], bool]] = {
            "killed": self._kill,
            "interrupted": self._interrupt,
            "connection cut": self._cut,
            "stopped": self._stop,
            "stopped for long": self._stop,
            "black hole": self._swallow,
            "black hole for long": self._swallow,
            "disk full": self._fill,
            "clock set": self._set_clock,
        }
        planned, actor = self.planned, self.couple.side(self.planned.side)
        stage = self._stage()
        history = self.couple.world.history
        # Said before it is done: what it causes may be seen at once.
        broke = history.add(
            "test",
            "broke",
            kind=planned.kind,
            pair=self.couple.number,
            side=planned.side,
            until=float("inf"),
            stage=stage,
        )
        if not kinds[planned.kind](actor, planned):
            history.forget(broke)
            return
        broke["until"] = history.now()

    def _stage(self) -> str:
        said = self.couple.world.history.events(file=self.file)
        names = {event["event"] for event in said if event["who"] != "test"}
        for name in ("delivered", "received", "verifying", "progress", "started", "offered"):
            if name in names:
                return name
        return "before"

    def _kill(self, actor: Actor, planned: Break) -> bool:
        return self._ended(actor, planned, signal.SIGKILL, 10)

    def _interrupt(self, actor: Actor, planned: Break) -> bool:
        return self._ended(actor, planned, signal.SIGINT, 30)

    def _ended(self, actor: Actor, planned: Break, number: signal.Signals, patience: float) -> bool:
        """Ended by a signal; a receiver is started again."""
        self._done.set()
        if not actor.signal(number):
            return False
        if actor is self.couple.receiving:
            actor.ended(patience)
            time.sleep(min(planned.seconds, 2.0))
            actor.begin()
        return True

    def _cut(self, actor: Actor, _: Break) -> bool:
        self._done.set()
        port = self.couple.world.cluster.port
        made = sorted(actor.connections(port))
        chosen = random.Random(f"{self.file} {len(made)}").sample(made, min(len(made), 1))
        return any(self.couple.world.lo.kill(local, port) for local in chosen)

    def _stop(self, actor: Actor, planned: Break) -> bool:
        self._done.set()
        if not actor.signal(signal.SIGSTOP):
            return False
        # As long as it was said, whether the transfer ends or not.
        time.sleep(planned.seconds)
        actor.signal(signal.SIGCONT)
        return True

    def _swallow(self, actor: Actor, planned: Break) -> bool:
        self._done.set()
        port = self.couple.world.cluster.port
        made = actor.connections(port)
        if not made:
            return False
        with self.couple.world.wire.swallowed(made, port):
            time.sleep(planned.seconds)
        return True

    def _fill(self, _: Actor, __: Break) -> bool:
        self._done.set()
        self._filler = self.couple.disk.folder / "filler"
        # What is received meanwhile may take the last of it.
        with contextlib.suppress(OSError):
            self.couple.disk.fill(but=16_384)
        return True

    def _set_clock(self, _: Actor, planned: Break) -> bool:
        self._done.set()
        if self.couple.clock is None:
            return False
        # Not back: the certificates are new, and would not be good yet.
        self.couple.clock.set(hours=random.Random(self.file).choice((1, 12)))
        time.sleep(planned.seconds)
        self.couple.clock.set()
        return True

    def heal(self) -> None:
        """Everything is as it was."""
        if self._filler:
            self._filler.unlink(missing_ok=True)
            self._filler = None
        if self.couple.clock:
            self.couple.clock.set()


class Wire:
    """What is done to packets."""

    def __init__(self, lo: Loopback) -> None:
        self._lo = lo
        self._lock = threading.Lock()
        run("nft", "add", "table", "inet", "chaos")
        run("nft", "add", "set", "inet", "chaos", "swallowed", "{ type inet_service . inet_service; }")
        for chain in ("connections", "ports"):
            run("nft", "add", "chain", "inet", "chaos", chain, "{ type filter hook input priority 0; }")
        self._rule("connections", "tcp sport . tcp dport @swallowed drop")

    @staticmethod
    def _rule(chain: str, rule: str) -> None:
        run("nft", "add", "rule", "inet", "chaos", chain, *rule.split())

    @contextlib.contextmanager
    def swallowed(self, local: list[int], port: int) -> Iterator[None]:
        """Nothing arrives on these connections, in either direction."""
        elements = ", ".join(f"{one} . {port}, {port} . {one}" for one in local)
        run("nft", "add", "element", "inet", "chaos", "swallowed", f"{{ {elements} }}")
        try:
            yield
        finally:
            run("nft", "delete", "element", "inet", "chaos", "swallowed", f"{{ {elements} }}")

    @contextlib.contextmanager
    def ruled(self, ports: list[int], verdict: str) -> Iterator[None]:
        """What comes to, or from, one of these ports meets a verdict."""
        them = ", ".join(map(str, ports))
        with self._lock:
            for side in ("sport", "dport"):
                self._rule("ports", f"tcp {side} {{ {them} }} {verdict}")
            try:
                yield
            finally:
                run("nft", "flush", "chain", "inet", "chaos", "ports")

    @contextlib.contextmanager
    def slow(self, rate: int) -> Iterator[None]:
        """All that passes shares so many bits a second."""
        self._shape(rate)
        try:
            yield
        finally:
            self._shape(WIRE)

    @staticmethod
    def _shape(rate: int) -> None:
        shaper = ("tbf", "rate", f"{rate}bit", "burst", "1mb", "latency", "50ms")
        run("tc", "qdisc", "change", "dev", "lo", "root", *shaper)


class Parts:
    """What all use, as something to break."""

    def __init__(self, world: World) -> None:
        self._world, self._cluster, self._wire = world, world.cluster, world.wire
        self._reloaded: Process | None = None
        self.links = [_link_port(node) for node in self._cluster.members()]

    def do(self, planned: Break, chance: random.Random, nodes: Sequence[Node] | None = None) -> None:
        """Breaks it, for as long as it is to be, and mends it. Of the nodes it is one of these."""
        node = chance.choice(list(nodes or self._cluster.members()))
        redis = self._cluster.part("redis")
        away = min(planned.seconds, 2.0)
        if planned.kind == "node killed":
            node.kill()
            time.sleep(away)
            node.restart()
        elif planned.kind == "node restarted":
            node.restart()
        elif planned.kind.startswith("node frozen"):
            self._frozen(node, planned.seconds)
        elif planned.kind == "Redis killed":
            redis.kill()
            time.sleep(away)
            redis.restart()
        elif planned.kind == "Redis frozen":
            redis.freeze()
            time.sleep(planned.seconds)
            redis.thaw()
        elif planned.kind in ("Redis emptied", "Redis connections closed"):
            self._tell_redis(planned.kind)
        elif planned.kind == "Redis unreachable":
            with self._wire.ruled([int(self._cluster.redis_url.rpartition(":")[2].partition("/")[0])], "drop"):
                time.sleep(planned.seconds)
        elif planned.kind == "balancer restarted":
            self._restart_balancer()
        elif planned.kind == "balancer reloaded":
            self._reload_balancer()
        elif planned.kind == "links cut":
            with self._wire.ruled(self.links, chance.choice(("drop", "reject with tcp reset"))):
                time.sleep(planned.seconds)
        elif planned.kind == "packets lost":
            with self._wire.ruled([self._cluster.port], "numgen random mod 100 < 20 drop"):
                time.sleep(planned.seconds)
        elif planned.kind == "line slow":
            with self._wire.slow(WIRE // 20):
                time.sleep(planned.seconds)
        else:
            raise AssertionError(f"nothing is called {planned.kind}")

    @staticmethod
    def _frozen(node: Node, seconds: float) -> None:
        node.freeze()
        time.sleep(seconds)
        node.thaw()

    def _tell_redis(self, kind: str) -> None:
        with Redis(self._cluster.redis_url) as redis, contextlib.suppress(OSError, RedisError):
            if kind == "Redis emptied":
                redis("FLUSHALL")
            else:
                redis.kill_subscriptions()
                redis.kill_commands()

    def _restart_balancer(self) -> None:
        if self._reloaded:
            self._reloaded.kill()
            self._reloaded = None
        self._cluster.restart("balancer")

    def _reload_balancer(self) -> None:
        """A new process takes the port, and the old one stays with the connections that it has: what a service manager
        does. Old processes go one by one, as their connections do."""
        old = self._reloaded.pid if self._reloaded else self._cluster.part("balancer").pid
        haproxy = shutil.which("haproxy") or "/usr/sbin/haproxy"
        config = self._cluster.directory / "balancer.cfg"
        socket = self._cluster.directory / "balancer.sock"
        command: list[Word] = [haproxy, "-db", "-f", config, "-x", socket, "-sf", str(old)]
        self._reloaded = Process(command, env=clean_environment(self._world.folder), folder=self._world.folder / "logs")


def _link_port(node: Node) -> int:
    with open(f"/proc/{node.pid}/environ", "rb") as file:
        found = re.search(rb"RELAY_NODE_LISTEN=[^\0]*?(\d+)\0", file.read())
    assert found, "a node listens for the others"
    return int(found[1])


class World:
    """A cluster on a loopback of its own, and people."""

    def __init__(
        self, binaries: pathlib.Path, folder: pathlib.Path, pairs: int = PAIRS, env: Environment | None = None
    ) -> None:
        self.folder = folder
        self.history = History()
        self._stack = contextlib.ExitStack()
        self.lo = self._stack.enter_context(Loopback(WIRE))
        try:
            self.wire = Wire(self.lo)
            self.cluster = Cluster(binaries, folder / "cluster", env={"RELAY_LOG_LEVEL": "info", **(env or {})})
            self._stack.callback(self.cluster.stop)
            self.parts = Parts(self)
            self.couples = [Couple(self, number) for number in range(pairs)]
            for couple in self.couples:
                self.history.wait_for("ready", 30, who=couple.receiving.who)
                self._stack.callback(couple.disk.__exit__)
                self._stack.callback(couple.receiving.signal, signal.SIGKILL)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def go(self, plan: Round) -> History:
        """One round; returns its history. What was broken in the one before may still be noticed."""
        history, earlier = History(), self.history
        self._logged = self._logs()
        for broke in earlier.events("broke", pair=None):
            if broke["until"] + chaos_rules.ECHO_SECONDS > history.now():
                again = history.add("test", "broke", kind=broke["kind"], pair=None, side=None, until=broke["until"])
                again["earlier"] = True
        self.history = history
        working = [background(couple.carry, plan) for couple in self.couples[: len(plan.sizes)]]
        if plan.shared:
            self._break(plan.shared, random.Random(plan.seed))
        for each in working:
            each.result(SECONDS * 5)
        return history

    def _logs(self) -> dict[str, int]:
        return {path.stem: path.stat().st_size for path in self.cluster.directory.glob("*.log")}

    def logged(self) -> str:
        """What nodes, Redis and the balancer have printed since the round began."""
        pieces = []
        for name, size in sorted(self._logged.items()):
            text = (self.cluster.directory / f"{name}.log").read_bytes()[size:].decode("utf-8", "replace")
            pieces += [f"{name}: {line}" for line in text.splitlines()[-200:]]
        return "\n".join(pieces)

    def _break(self, planned: Break, chance: random.Random) -> None:
        time.sleep(planned.after)
        broke = self.history.add("test", "broke", kind=planned.kind, pair=None, side=None, until=float("inf"))
        self.parts.do(planned, chance)
        broke["until"] = self.history.now()


@dataclasses.dataclass
class Outcome:
    """What came of it all."""

    runs: int = 0
    delivered: int = 0
    told: int = 0
    lost: int = 0
    breaks: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    stages: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    problems: list[str] = dataclasses.field(default_factory=list)
    #: How many rounds were made wrong ones, and in how many of these the rules said more than before.
    planted: int = 0
    found: int = 0

    def holds(self, plant: str | None) -> bool:
        """Whether it is as it has to be: of what is planted, all was found."""
        return 0 < self.planted == self.found if plant else not self.problems and not list(self.gaps())

    def gaps(self) -> Iterator[str]:
        """Why so many transfers have shown too little: what was not broken, or not delivered."""
        broken, least = sum(self.breaks.values()), max(1, self.runs // PAIRS)
        if broken < least:
            yield f"{broken} breaks of {self.runs} transfers, {least} at least"
        least = -(-self.runs * OF_TEN // 10) if self.runs >= MANY else 1
        if self.delivered < least:
            yield f"{self.delivered} of {self.runs} transfers were delivered, {least} at least"
        kinds = {each.partition(" (")[0] for each in self.breaks}
        never = [kind for kind in (*CLIENT_KINDS, *SHARED_KINDS) if kind not in kinds]
        if self.runs >= MANY and never:
            yield f"there was no {', no '.join(never)}"

    def plant(self, history: History, kind: str) -> None:
        """Makes a round a wrong one, where it has what it takes, and counts whether that is found."""
        before = collections.Counter(chaos_rules.problems(history))
        if chaos_rules.planted(history, kind):
            self.planted += 1
            self.found += bool(collections.Counter(chaos_rules.problems(history)) - before)

    def add(self, history: History) -> list[str]:
        """Counts one round; returns what is wrong in it."""
        said = {event.get("file") for event in history.events("delivered")}
        for event in history.events("ended"):
            self.runs += 1
            if event["file"] in said:
                self.delivered += 1
            elif event["gives_up"]:
                self.told += 1
            else:
                self.lost += 1
        for event in history.events("broke"):
            if not event.get("earlier"):
                self.breaks[event["kind"] + (f" ({event['side']})" if event.get("side") else "")] += 1
                if event.get("stage"):
                    self.stages[event["stage"]] += 1
        found = chaos_rules.problems(history)
        self.problems += found
        return found

    def table(self) -> str:
        """For a terminal."""
        return "\n".join(
            [
                "breaks: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.breaks.items())),
                "those of clients were when the transfer was at: "
                + ", ".join(f"{stage} {count}" for stage, count in self.stages.most_common()),
                *([f"{self.planted} rounds were made wrong ones, {self.found} found"] if self.planted else []),
                f"{self.runs} transfers, {sum(self.breaks.values())} breaks: {self.delivered} delivered, {self.told} "
                f"ended by a person or a full disk and told, {self.lost} lost; {len(self.problems)} problems",
            ]
        )


def prove(world: World, planned: list[Round], tell: Callable[[str], None], plant: str | None = None) -> Outcome:
    """Goes through the rounds; a line for each, and what is wrong at once. With `plant`, a history is made wrong before
    the rules see it, as often as it can be."""
    outcome, began = Outcome(), time.monotonic()
    for each in planned:
        history = world.go(each)
        if plant:
            outcome.plant(history, plant)
        found = outcome.add(history)
        broken = [each.shared.kind] if each.shared else []
        broken += [f"{b.kind} ({b.side} {pair})" for pair, b in enumerate(each.clients) if b]
        tell(
            f"{each.number:4}  seed {each.seed:>10}  {time.monotonic() - began:7.1f} s  {outcome.delivered:5} delivered"
            f"  {outcome.told:4} told  {', '.join(broken)}"
        )
        if found:
            tell("\n".join([*(f"PROBLEM  {problem}" for problem in found), history.tail(200), world.logged()]))
    missing = [] if plant else list(outcome.gaps())
    if plant and not outcome.planted:
        missing.append(f"there was nothing to plant {plant} in")
    for problem in missing:
        tell(f"PROBLEM  {problem}")
    outcome.problems += missing
    tell(outcome.table())
    return outcome
