# SPDX-License-Identifier: Apache-2.0
"""Secrets: compared in constant time, in no core dump, on no disk, and gone with what they were for."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import re
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from harness import content, measure, memory, processes, sealed
from harness.canary import Canary, Marks, Search
from harness.cluster import Cluster
from harness.pairs import Pair
from harness.processes import Process
from harness.relay import Relay
from harness.waiting import until

if TYPE_CHECKING:
    from harness.client import Offered

MiB = 1 << 20
#: The cases of Tests/ConstantTime, and in how many places memcheck has to find a decision by a secret there: whether an
#: AEAD's tag is right is the answer itself, which the library gives by a jump. In the planted one there is any number,
#: but for none.
CASES = {"record": 0, "token": 0, "open": 1, "planted": None}
_ERRORS = re.compile(r"ERROR SUMMARY: (\d+) errors from (\d+) contexts")
#: The decision of the case `open`.
TAG = "aead_aes_gcm_open"
#: What a relay does write as time goes by: how many bytes its users have had today, a line for each; and how much the
#: disk gets of that, file system and all.
TRAFFIC, TRAFFIC_BYTES = re.compile(r"traffic\.json(\.new)?\b"), 64 << 10
# Calls that make a file, or write to one, by name.
_MAKING = (
    "open,openat,openat2,creat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mkdir,mkdirat"
)
_WRITING = "write,writev,pwrite64,pwritev,pwritev2,sendfile,splice,copy_file_range,ftruncate,fallocate"
_MADE = re.compile(r"(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE)|^\d+ +(?:creat|mk|rename|link|symlink)\w*\(")
_WRITTEN = re.compile(rf"^\d+ +({_WRITING.replace(',', '|')})\(\d+<([^>]*)>", re.MULTILINE)


@dataclasses.dataclass
class Compared:
    """What memcheck has seen of one case."""

    case: str
    status: int
    decisions: int
    places: int
    said: str

    @property
    def is_good(self) -> bool:
        """Whether it is what has to be seen."""
        most = CASES[self.case]
        if self.status != 0:
            return False
        if most is None:
            return self.decisions > 0
        return self.places == most and (not most or TAG in self.said)


def compared(binaries: pathlib.Path, folder: pathlib.Path, case: str) -> Compared:
    """Runs one case under memcheck, with its secrets marked."""
    # Valgrind 3.19 cannot read the debug information of Swift's compiler; the symbols stay.
    built = binaries / "ConstantTime"
    assert built.is_file(), f"there is no ConstantTime in {binaries}: swift build makes it there"
    program = folder / "ConstantTime"
    if not program.exists():
        subprocess.run(["strip", "--strip-debug", "-o", program, built], check=True, timeout=60)
    done = subprocess.run(
        ["valgrind", "--tool=memcheck", "--num-callers=6", program, case],
        check=False,
        timeout=120,
        text=True,
        capture_output=True,
    )
    summary = _ERRORS.search(done.stderr)
    assert summary, done.stderr[-2000:]
    return Compared(case, done.returncode, int(summary.group(1)), int(summary.group(2)), done.stderr)


def aborted(start: Callable[[], Relay], folder: pathlib.Path) -> tuple[bool, bool, bool]:
    """Whether a core file is there once a relay, a client, and any other program have ended by SIGABRT, all
    started without a limit for such files: (relay, client, other). Where the kernel hands them to a program, none
    leaves one."""
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1], limits[1]))
    try:
        relay = start()
        client = relay.person("bob", folder).receive(once=False)
        other = Process(["sleep", "60"], env={"PATH": "/usr/bin:/bin"}, folder=folder / "logs", cwd=folder)
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
    left = []
    for process in (client, relay.process, other):
        place = pathlib.Path(f"/proc/{process.pid}/cwd").resolve()
        before = _cores(place)
        process.signal(signal.SIGABRT)
        assert process.wait(20) == -signal.SIGABRT, process.describe()
        left.append(bool(_cores(place) - before))
    of_client, of_relay, of_other = left
    return of_relay, of_client, of_other


#: Where the kernel's own word is on core files: a name in the folder of the process, or a program that gets them.
CORE_PATTERN = pathlib.Path("/proc/sys/kernel/core_pattern")


def cores(
    of_relay: bool, of_client: bool, of_other: bool, pattern: str = "", limit: int | None = None
) -> tuple[list[str], str | None]:
    """What is wrong with the core files that `aborted` has seen, and why they could not be seen at all: where any other
    program leaves none, that the relay leaves none shows nothing."""
    pattern = pattern or CORE_PATTERN.read_text().strip()
    limit = resource.getrlimit(resource.RLIMIT_CORE)[1] if limit is None else limit
    found = [f"{who} left a core file" for who, has in (("the relay", of_relay), ("a client", of_client)) if has]
    if of_other:
        return found, None
    if limit == 0:
        return found, "core files: their hard limit is 0; with `ulimit -H -c unlimited` they can be seen"
    if pattern.startswith("core") and "/" not in pattern:
        return [*found, f"another program left no core file, where kernel.core_pattern is {pattern}"], None
    return (
        found,
        f"core files: kernel.core_pattern is {pattern}; with `sysctl kernel.core_pattern=core` they can be seen",
    )


def _cores(folder: pathlib.Path) -> set[pathlib.Path]:
    return {path for path in folder.iterdir() if path.name.startswith("core") and path.is_file()}


@contextlib.contextmanager
def calls(pid: int, path: pathlib.Path) -> Iterator[None]:
    """Writes down, in `path`, what a process makes and writes meanwhile."""
    tracing = subprocess.Popen(
        ["strace", "-f", "-y", "-s", "0", "-o", path, "-e", f"trace={_MAKING},{_WRITING}", "-p", str(pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert tracing.stderr and "attached" in tracing.stderr.readline()
        yield
    finally:
        tracing.send_signal(signal.SIGINT)
        tracing.wait(20)
        if tracing.stderr:
            tracing.stderr.close()


def on_disk(text: str) -> list[str]:
    """What strace has seen that makes a file, or that writes to one which is neither a socket nor a pipe; but for what
    a relay counts."""
    made = [line for line in text.splitlines() if _MADE.search(line) and "/dev/null" not in line]
    written = [f"{name} to {path}" for name, path in _WRITTEN.findall(text) if path.startswith("/")]
    return [line for line in made + written if not TRAFFIC.search(line)]


def stored(relay: Relay, folder: pathlib.Path) -> Iterator[str]:
    """What a relay puts on a disk while a file goes through it: there must be nothing. The relay must say
    warnings only: its log is a file here."""
    alice, bob = relay.person("alice", folder), relay.person("bob", folder)
    canary = Canary("disk")
    receiving = bob.receive(once=False)
    # One before: what is made at the first time only is made.
    alice.send(bob, canary.file(folder, 64 << 10)).expect(0, 30)
    path, before = folder / "calls", measure.io(relay.pid)["write_bytes"]
    with calls(relay.pid, path):
        alice.send(bob, canary.file(folder, 24 * MiB)).expect(0, 120)
    after = measure.io(relay.pid)["write_bytes"]
    receiving.kill()
    yield from _stored(path.read_text(), after - before)
    yield from _found(canary, relay.folder, relay.state)


def stored_by_nodes(cluster: Cluster, folder: pathlib.Path) -> Iterator[str]:
    """The same of every node of a cluster while a file goes from the first node to the second, and bytes to the second
    from the third, to which they are sent; both under offers that the first one keeps."""
    nodes = cluster.members()
    home, ring, third = nodes
    alice, bob = home.person("alice", folder), ring.person("bob", folder)
    canary = Canary("disk")
    receiving = bob.receive(once=False)
    with contextlib.ExitStack() as tracing, Pair(home, receiver=ring, upload=third) as pair:
        alice.send(bob, canary.file(folder, 64 << 10)).expect(0, 30)
        pair.whole()
        before = [measure.io(node.pid)["write_bytes"] for node in nodes]
        for node in nodes:
            tracing.enter_context(calls(node.pid, folder / f"calls-{node.name}"))
        alice.send(bob, canary.file(folder, 24 * MiB)).expect(0, 120)
        pair.whole(8 * MiB)
    after = [measure.io(node.pid)["write_bytes"] for node in nodes]
    receiving.kill()
    for node, first, last in zip(nodes, before, after, strict=True):
        problems = _stored((folder / f"calls-{node.name}").read_text(), last - first)
        yield from (f"{node.name}: {problem}" for problem in problems)
    yield from _found(canary, cluster.directory)


def _stored(text: str, count: int) -> Iterator[str]:
    # It has written to sockets, so it was seen.
    if "socket:" not in text:
        yield "strace has seen nothing"
    yield from (f"on disk: {line}" for line in on_disk(text))
    if count > (TRAFFIC_BYTES if TRAFFIC.search(text) else 0):
        yield f"on disk: {count} bytes"


def _found(canary: Canary, *folders: pathlib.Path) -> Iterator[str]:
    search = Search(canary=canary)
    for each in folders:
        for file in each.rglob("*"):
            if file.is_file():
                search.whole(str(file), file.read_bytes())
    yield from (f"on disk: {finding}" for finding in search.findings("canary"))


#: The keys that are gone from a client with their attempt, and what of it stays in memory that was given back until
#: something else is written there; docs/threat-model.md says why.
GONE = ("content", "notes of the sender", "notes of the receiver")
MAY_STAY = ("a chunk's", "delivered", "random bytes of the sender")


def keys(offered: Offered) -> dict[str, bytes]:
    """The keys of an attempt, and what they are made of."""
    made, random = offered.sealed.keys, offered.sealed.secrets[0]
    return {
        "content": made.content,
        "notes of the sender": made.sender_notes,
        "notes of the receiver": made.receiver_notes,
        "delivered": made.delivered,
        "a chunk's": sealed.expand(made.content, sealed.label("chunks") + sealed.number(0, 8)),
        "random bytes of the sender": random,
    }


def places(process: Process, marks: dict[str, bytes]) -> dict[str, int]:
    """In how many places of its memory each is."""
    found = dict.fromkeys(marks, 0)
    search = Search(**{name: Marks(mark) for name, mark in marks.items()})
    memory.show(process.pid, search.stream)
    return {name: len(search.findings(name)) for name in found}


def kept(relay: Relay, folder: pathlib.Path) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
    """Where the keys of an attempt are: in a receiver while it runs and once it is over, and in the relay."""
    bob = relay.person("bob", folder)
    receiving = bob.receive(once=False)
    with relay.client("alice") as alice:
        offered = alice.offer(bob.name, {"file": content.data("keys", 5 * MiB)})
        offered.start()
        marks = keys(offered)
        body = offered.sealed.body()

        def pieces() -> Iterator[bytes]:
            yield body[: -sealed.CHUNK]
            until(lambda: content.largest(bob.inbox) > MiB, 20, "a part of it")
            running.update(places(receiving, marks))
            yield body[-sealed.CHUNK :]

        running: dict[str, int] = {}
        status, answer = offered.upload(pieces())
        assert status == 200, answer
        offered.delivered()
        # Its cleanups run behind the confirmation.
        deadline = time.monotonic() + 10
        while any((over := places(receiving, marks))[name] for name in GONE) and time.monotonic() < deadline:
            time.sleep(0.2)
        of_relay = places(relay.process, {**marks, "a name": relay_knows(bob.name)})
    receiving.kill()
    return running, over, of_relay


def relay_knows(name: str) -> bytes:
    """What a relay's memory does hold: without it the search has shown nothing."""
    return name.encode()


def problems_of_keys(running: dict[str, int], over: dict[str, int], of_relay: dict[str, int]) -> Iterator[str]:
    """What is where it must not be; and where nothing was found that has to be there."""
    # What is not there while it is in use would be said to be gone without having been seen.
    yield from (f"{name}: not found while it was in use" for name in GONE if not running[name])
    yield from (f"{name}: still in {over[name]} places of the receiver's memory" for name in GONE if over[name])
    if not of_relay["a name"]:
        yield "a name was not found in the relay's memory"
    yield from (f"{name}: in the relay's memory" for name, count in of_relay.items() if count and name != "a name")


def table_of_keys(running: dict[str, int], over: dict[str, int]) -> str:
    """For a terminal."""
    lines = [f"{'in a receiver, places':32}{'meanwhile':>12}{'after':>8}"]
    lines += [f"{name:32}{running[name]:>12}{over[name]:>8}" for name in (*GONE, *MAY_STAY)]
    return "\n".join(lines)


@dataclasses.dataclass
class Outcome:
    """What came of all but the canary."""

    #: Cases of memcheck that are as they have to be.
    cases: int = 0
    #: What is wrong with keys, what is on a disk, and core files.
    keys: int = 0
    stored: int = 0
    cores: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)
    #: What could not be seen here, and why.
    unseen: str | None = None

    def words(self) -> str:
        """Its figures."""
        return (
            f"{self.cases} of {len(CASES)} cases of memcheck as they have to be, {self.keys} problems of keys, "
            f"{self.stored} things on a disk, {self.cores} core files"
        )


def proved(
    binaries: pathlib.Path, folder: pathlib.Path, started: Callable[[pathlib.Path], Relay], tell: Callable[[str], None]
) -> Outcome:
    """All of it but the canary, which is looked for by `canary.prove`."""
    outcome = Outcome()
    for case in CASES:
        seen = compared(binaries, folder, case)
        tell(f"{case:10}{seen.decisions:>4} decisions by a secret, in {seen.places} places")
        outcome.cases += seen.is_good
        outcome.problems += [] if seen.is_good else [f"{case}: {seen.said[-2000:]}"]
    of_keys = kept(started(folder / "keys"), folder)
    tell(table_of_keys(*of_keys[:2]))
    outcome.problems += (left := list(problems_of_keys(*of_keys)))
    outcome.keys = len(left)
    outcome.problems += (on := list(stored(started(folder / "disk"), folder)))
    outcome.stored = len(on)
    tell(f"a relay through which a file goes: {len(on)} things on a disk")
    nodes = Cluster(binaries, folder / "nodes", env={"RELAY_LOG_LEVEL": "notice"})
    outcome.problems += (on := list(stored_by_nodes(nodes, folder / "nodes")))
    outcome.stored += len(on)
    nodes.stop()
    tell(f"three nodes through which files go: {len(on)} things on a disk")
    of_relay, of_client, of_other = aborted(lambda: started(folder / "aborted"), folder)
    tell(
        f"core files after SIGABRT: {int(of_relay)} of the relay, {int(of_client)} of a client,"
        f" {int(of_other)} of another program"
    )
    wrong, outcome.unseen = cores(of_relay, of_client, of_other)
    outcome.cores = of_relay + of_client
    outcome.problems += wrong
    processes.stop_since(0)
    for problem in outcome.problems:
        tell(f"PROBLEM  {problem}")
    return outcome
