# SPDX-License-Identifier: Apache-2.0
"""The canary: transfers whose names and contents are looked for in everything that is not one of the two clients."""

from __future__ import annotations

import collections
import contextlib
import copy
import dataclasses
import json
import pathlib
import random
import shutil
import ssl
import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from harness import certificates, memory, metrics, raw, tap
from harness.canary import Canary, Marks, Search
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.processes import Process
from harness.protocol import b64
from harness.redis import Redis
from harness.relay import Person, Relay
from harness.waiting import TooLate, until

if TYPE_CHECKING:
    from harness.tap import Tap

KiB, MiB = 1 << 10, 1 << 20
TRANSFER_SECONDS = 90
# After so many transfers, the memory of the relays is looked at as well.
LOOKS_INSIDE = 10
#: What a transfer may be. Those behind `cut` end badly, and their messages must not say of what.
KINDS = ("file", "several", "folder", "stream", "cut", "declined", "unwritable")
INSIDE, BETWEEN, MEMORY, LOG = "inside TLS at a node", "inside TLS between nodes", "memory of ", "log of "
CORE = "core dump of "
MONITOR, KEYS, METRICS = "Redis: commands", "Redis: keys", "metrics"


@dataclasses.dataclass
class Result:
    """What was found where, and what the transfers came to."""

    search: Search
    #: Each transfer's kind, and what was wrong with it, if anything.
    transfers: list[tuple[str, str | None]]
    #: Places where the control has to be found, and is not.
    blind: list[str]

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each."""
        for number, (kind, problem) in enumerate(self.transfers, 1):
            if problem:
                yield f"transfer {number} ({kind}): {problem}"
        for place in self.blind:
            yield f"the control was not found: {place}"
        for finding in self.search.findings("sealed"):
            yield f"found: {finding}"


class World:
    """Relays whose TLS ends twice: in front of each there is a tap, to which clients connect."""

    relays: list[Relay]
    #: The same, as clients see them; `taps` are in the same order.
    doors: list[Relay]
    redis: Redis | None = None

    def __init__(self, folder: pathlib.Path, seed: object) -> None:
        self.folder = folder
        self.sealed, self.control = Canary(f"sealed {seed}"), Canary(f"control {seed}")
        # The names of people, and of metrics, are no secrets: where they are not found, nothing else would be.
        self.search = Search(sealed=self.sealed, control=self.control, known=Marks(b"alice-", b"relay_sessions"))
        self.stack = contextlib.ExitStack()
        self.taps: list[Tap] = []

    def tapped(self, relay: Relay) -> Relay:
        """The relay, as clients see it: behind a tap."""
        made = tap.Tap(
            relay.address,
            tap.server(relay.certs.chain, relay.certs.key),
            lambda _: tap.client(pathlib.Path(relay.ca)),
            lambda: self.search.stream(INSIDE, frames=True),
        )
        self.taps.append(self.stack.enter_context(made))
        behind = copy.copy(relay)
        behind.port = made.port
        return behind

    def look(self) -> None:
        """Looks at what may be gone later."""
        for relay in self.relays:
            _, _, body = metrics.ask(metrics.port_of(relay), "/metrics")
            self.search.whole(METRICS, body.encode())
        if self.redis is not None:
            self.search.whole(KEYS, self.redis.contents().encode())

    def look_inside(self) -> None:
        """Looks at the memory of the relays, and of Redis."""
        for relay in self.relays:
            dump(self.search, relay.process)

    def look_at_cores(self) -> None:
        """Looks at core dumps of the relays: another program's view of the same memory, and of registers."""
        for relay in self.relays:
            memory.dump(relay.pid, self.search.stream(CORE + relay.process.name, frames=True), self.folder)

    def close(self) -> None:
        """Ends everything, and looks at what was printed."""
        for relay in self.relays:
            relay.stop()
            self.search.whole(LOG + relay.process.name, relay.process.output())
        self.stack.close()


def dump(search: Search, process: Process) -> None:
    """Looks at all the memory of a process."""
    place = MEMORY + process.name
    memory.show(process.pid, lambda _: search.stream(place, frames=True))


class One(World):
    """A single relay."""

    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path, seed: object) -> None:
        super().__init__(folder, seed)
        certs = certificates.made(folder / "certs")
        options = ("--metrics-listen", "127.0.0.1:0")
        relay = Relay(binaries, certs, folder / "relay", registration="open", level="trace", arguments=options).start()
        self.relays = [relay]
        self.doors = [self.tapped(relay)]


class Several(World):
    """Three nodes with a Redis, and a tap on each link."""

    def __init__(self, binaries: pathlib.Path, folder: pathlib.Path, seed: object) -> None:
        super().__init__(folder, seed)
        names = ("n1", "n2", "n3")
        self.nodes = Nodes(binaries, folder, names)
        self.redis = self.stack.enter_context(self.nodes.start_redis())
        self._commands = self.stack.enter_context(self.redis.commands())
        self.relays = []
        for name in names:
            link = self.stack.enter_context(tap.Tap(("127.0.0.1", 0), *self._link(name), name=name))
            environment = {
                "RELAY_NODE_ADVERTISE": f"127.0.0.1:{link.port}",
                "RELAY_METRICS_LISTEN": "127.0.0.1:0",
            }
            node = self.nodes.start(name, environment=environment, level="trace")
            host, _, port = node.link.rpartition(":")
            link.target = (host, int(port))
            self.relays.append(node)
        self.doors = [self.tapped(relay) for relay in self.relays]

    def _link(self, name: str) -> tuple[ssl.SSLContext, Callable[[ssl.SSLSocket], ssl.SSLContext], Callable[[], Any]]:
        """The settings of the tap in front of a node's listener for links."""
        folder, ca = self.nodes.certs.folder, self.nodes.certs.ca

        def dial(near: ssl.SSLSocket) -> ssl.SSLContext:
            # As the node that called: the one on the other side looks at who it is.
            shown: Any = near.getpeercert()
            caller = dict(shown["subjectAltName"])["DNS"]
            return tap.client(ca, chain=folder / f"node-{caller}.pem", key=folder / f"node-{caller}.key")

        accept = tap.server(folder / f"node-{name}.pem", folder / f"node-{name}.key", ca=ca)
        return accept, dial, lambda: self.search.stream(BETWEEN, frames=True)

    def look_inside(self) -> None:
        """Redis has memory as well."""
        super().look_inside()
        dump(self.search, self.nodes.redis_process)

    def look(self) -> None:
        """Commands as well: the list grows while it is read."""
        super().look()
        seen = self._commands.seen
        count = len(seen)
        self.search.whole(MONITOR, b"\n".join(seen[:count]))
        del seen[:count]


class Transfers:
    """People with names that are no secret, and what they send each other."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance, self.canary = world, chance, world.sealed
        doors = world.doors
        self.folder = world.folder / "files"
        self.folder.mkdir()
        self.alice = doors[0].person("alice", world.folder)
        self.bob = doors[-1].person("bob", world.folder)
        self.carol = doors[len(doors) // 2].person("carol", world.folder)
        self.dave = doors[-1].person("dave", world.folder)
        self.bob.receive(once=False)
        self.carol.receive("--max-size", "1K", once=False)
        self.dave.receive(once=False)
        # Its folder is gone from now on.
        self.dave.inbox.rmdir()

    def one(self, kind: str) -> str | None:
        """One transfer; what is wrong with it, if anything."""
        make: dict[str, Callable[[], str | None]] = {
            "file": lambda: self._delivered(self._file()),
            "several": lambda: self._delivered(self._file(), self._file(), self._file()),
            "folder": lambda: self._delivered(self._tree()),
            "stream": self._stream,
            "cut": self._cut,
            "declined": lambda: self._refused(self.carol),
            "unwritable": lambda: self._refused(self.dave),
        }
        try:
            return make[kind]()
        finally:
            for path in (*self.folder.iterdir(), *self.bob.inbox.iterdir()):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _file(self, size: int | None = None) -> pathlib.Path:
        return self.canary.file(self.folder, self.chance.randrange(4 * KiB, 2 * MiB) if size is None else size)

    def _tree(self) -> pathlib.Path:
        top = self.folder / self.canary.name()
        for _ in range(3):
            inner = top / self.canary.name() / self.canary.name()
            inner.mkdir(parents=True)
            for _ in range(4):
                self.canary.file(inner, self.chance.randrange(64 * KiB))
        (top / self.canary.name()).mkdir()
        return top

    def _delivered(self, *paths: pathlib.Path) -> str | None:
        sending = self.alice.send(self.bob, *paths)
        return ended(sending) or self._equal(*paths)

    def _inbox(self) -> list[pathlib.Path]:
        """What the receiver has. It clears up behind what is delivered, and may be a moment behind its sender."""
        inbox = self.bob.inbox
        with contextlib.suppress(TooLate):
            until(lambda: not list(inbox.glob(".relay-*.part")), 10, "the receiver has cleared up")
        return list(inbox.iterdir())

    def _equal(self, *paths: pathlib.Path) -> str | None:
        sent = {path.name: contents(path) for path in paths}
        stored = {path.name: contents(path) for path in self._inbox()}
        return None if stored == sent else f"other content than was sent: {sorted(stored)}"

    def _stream(self) -> str | None:
        data = self.canary.content(self.chance.randrange(4 * KiB, 2 * MiB))
        sending = self.alice.send(self.bob, "-", stdin=subprocess.PIPE)
        with contextlib.suppress(BrokenPipeError):
            sending.stdin.write(data)
            sending.stdin.close()
        if problem := ended(sending):
            return problem
        stored = [contents(path) for path in self._inbox()]
        return None if stored == [data] else f"{len(stored)} files, or other content than was sent"

    def _cut(self) -> str | None:
        """Cut in the middle, and carried on or begun again."""
        door = self.chance.choice((self.world.taps[0], self.world.taps[-1]))
        before = door.cuts
        door.cut_after(self.chance.randrange(1 * MiB, 7 * MiB))
        try:
            return self._delivered(self._file(8 * MiB)) or (None if door.cuts > before else "nothing was cut")
        finally:
            door.cut_after(None)

    def _refused(self, who: Person) -> str | None:
        sending = self.alice.send(who, self._file(64 * KiB), "--timeout", "5s")
        status = sending.wait(TRANSFER_SECONDS)
        return None if status != 0 else "delivered, which it should not be"


def ended(sending: Process) -> str | None:
    """What is wrong with the end of a sender."""
    status = sending.wait(TRANSFER_SECONDS)
    return None if status == 0 else f"exit status {status}: {sending.err().strip()[-200:]}"


def contents(path: pathlib.Path) -> Any:
    """A file's bytes, or a folder's entries."""
    return {each.name: contents(each) for each in path.iterdir()} if path.is_dir() else path.read_bytes()


def prove(
    make: Callable[[pathlib.Path, object], World],
    folder: pathlib.Path,
    kinds: list[str],
    seed: int,
    *,
    cores: bool = False,
) -> Result:
    """Sends what `kinds` says through a new world, looks everywhere, and tears it down; with `cores`, core dumps are
    among what is looked at."""
    world = make(folder, seed)
    try:
        transfers = Transfers(world, random.Random(seed))
        done = []
        for number, kind in enumerate(kinds, 1):
            done.append((kind, transfers.one(kind)))
            world.look()
            if number % LOOKS_INSIDE == 0:
                world.look_inside()
        with held(world):
            world.look()
            world.look_inside()
            if cores:
                world.look_at_cores()
        blind = [] if own_memory(transfers) else ["memory of a client that sends it"]
    finally:
        world.close()
    return Result(world.search, done, blind + list(unseen(world, cores)))


@contextlib.contextmanager
def held(world: World) -> Iterator[None]:
    """Another client's transfer, which is not sealed, in the middle: all the searches have to find that one."""
    control = world.control

    def payload() -> str:
        return b64(json.dumps({"name": control.name()}).encode())

    with Pair(world.doors[0], receiver=world.doors[-1], timeout=30) as pair:
        offer = pair.sender.offer(pair.receiver.identity.name, payload())
        ring = pair.receiver.ring()
        start = pair.receiver.accept(ring["transfer"], payload())
        download = pair.connect(pair.download_at)
        download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
        upload, length = pair.connect(), 64 * MiB
        bearer = f"Authorization: Bearer {offer.start().token}"
        upload.send(raw.request("PUT", "/upload", bearer, f"Content-Length: {length}"))
        upload.socket.settimeout(2)
        piece = control.content(MiB)
        with contextlib.suppress(TimeoutError):
            # Its receiver does not read, so it does not get far: what is on the way is in the relay's buffers.
            for _ in range(length // MiB):
                upload.socket.sendall(piece)
        yield


def own_memory(transfers: Transfers) -> bool:
    """Whether the memory of a sender that waits for its receiver holds the name, which it has to."""
    absent = transfers.world.doors[0].person("erin", transfers.world.folder)
    sending = transfers.alice.send(absent, transfers.canary.file(transfers.folder, 64 * KiB), "--json")
    sending.wait_for(r'"(waiting|ringing)"', 20)
    search = Search(sealed=transfers.canary)
    dump(search, sending)
    sending.kill()
    return bool(search.findings("sealed"))


def unseen(world: World, cores: bool) -> Iterator[str]:
    """Places in which even what is no secret was not found: nothing was shown by looking there."""
    names = {relay.process.name for relay in world.relays}
    for canary, places in (
        (
            "control",
            {
                INSIDE,
                *(MEMORY + name for name in names),
                *(CORE + name for name in names if cores),
                *([BETWEEN] if world.redis else []),
            },
        ),
        ("known", {METRICS, *(LOG + name for name in names), *([MONITOR, KEYS] if world.redis else [])}),
    ):
        for place in sorted(places - world.search.places(canary)):
            yield f"{place} ({world.search.sizes.get(place, 0)} bytes)"


def report(result: Result) -> str:
    """The table for a terminal."""
    lines = [f"{'looked at':32}{'bytes':>14}"]
    lines += [f"{place:32}{size:>14,}" for place, size in sorted(result.search.sizes.items())]
    counts = collections.Counter(kind for kind, problem in result.transfers if problem is None)
    lines.append(
        f"{len(result.transfers)} transfers: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
    )
    return "\n".join(lines + [f"PROBLEM  {problem}" for problem in result.problems()])


def words(results: list[Result]) -> str:
    """The figures of all worlds."""
    looked = sum(sum(each.search.sizes.values()) for each in results)
    places = sum(len(each.search.sizes) for each in results)
    hits = sum(len(each.search.findings("sealed")) for each in results)
    problems = sum(len(list(each.problems())) for each in results)
    return (
        f"{sum(len(each.transfers) for each in results)} transfers, {looked / MiB:,.0f} MiB in {places} places looked "
        f"at: {hits} hits; {problems} problems"
    )
