# SPDX-License-Identifier: Apache-2.0
"""The budgets: what relay-server spends on a MiB of content, a message, a session, and on being there."""

from __future__ import annotations

import dataclasses
import pathlib
import platform
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable, Iterator

from harness import certificates, content, protocol
from harness.counted import CountedRelay, Counts
from harness.executables import REPOSITORY
from harness.pairs import Pair, wait_for_bytes

FILE = REPOSITORY / "Tests/budgets.toml"
#: What TLS has in a record: with one at a time, the kernel has no say in how many bytes a read finds.
RECORD = 16 << 10
WARM_UP, MEASURED = 1 << 20, 4 << 20
MESSAGES, SESSIONS = 50, 30
REST_SECONDS = 4
PATIENCE = 60
CONTENT = "MiB of content"
#: The line of the byte path that `planted` makes worse, and what it says then: each piece of content is copied twice.
PLANT = (
    "Sources/StreamRelay/Transfer/BodyOutput.swift",
    "framing.framed(content)",
    "framing.framed(ByteBuffer(bytes: Array(content.readableBytesView)))",
)
Tell = Callable[[str], None]


@dataclasses.dataclass
class Cost:
    """What one of something costs."""

    what: str
    #: Of instructions, allocations, bytes held and copied.
    each: dict[str, float]


def cost(what: str, counts: Counts, number: float, rest: Counts | None = None) -> Cost:
    """What one of `number` costs. What the relay does anyway, as time goes by, is taken off."""

    def each(name: str) -> float:
        idle = 0.0 if rest is None else getattr(rest, name) / rest.seconds * counts.seconds
        return (getattr(counts, name) - idle) / number

    names = ("instructions", "allocations", "copied")
    return Cost(what, {**{name: each(name) for name in names}, "held": counts.held / number})


def measured(relay: CountedRelay, measures: tuple[str, ...] = ("stream", "messages", "sessions")) -> Iterator[Cost]:
    """What a relay spends, one after the other."""
    relay.healthy()
    relay.begin()
    time.sleep(REST_SECONDS)
    rest = relay.end()
    if "sessions" in measures:
        yield cost("second", rest, rest.seconds)
    with Pair(relay, timeout=PATIENCE) as pair:
        if "stream" in measures:
            yield _stream(relay, pair, rest)
        if "messages" in measures:
            yield from _messages(relay, pair, rest)
    if "sessions" in measures:
        yield from _sessions(relay, rest)


def _stream(relay: CountedRelay, pair: Pair, rest: Counts) -> Cost:
    """A MiB of content, a record at a time: the next is sent when the last has arrived."""
    offer, download, upload = pair.flowing(WARM_UP + MEASURED)
    head, done = None, 0
    for piece in content.blocks(offer.transfer, WARM_UP + MEASURED, RECORD):
        if done == WARM_UP:
            relay.begin()
        upload.send(piece)
        head = head or download.head()
        wait_for_bytes(download, len(piece), PATIENCE)
        assert download.buffer == piece
        download.buffer, done = b"", done + len(piece)
    return cost(CONTENT, relay.end(), MEASURED >> 20, rest)


def _messages(relay: CountedRelay, pair: Pair, rest: Counts) -> Iterator[Cost]:
    """A question that the relay answers by itself, and a message that it passes on."""
    name = pair.receiver.identity.name
    for number in range(2):
        if number:
            relay.begin()
        for _ in range(MESSAGES):
            pair.sender.lookup(name)
    yield cost("lookup, answered", relay.end(), MESSAGES, rest)
    offer, _ = pair.accepted()
    for number in range(2):
        if number:
            relay.begin()
        for _ in range(MESSAGES):
            pair.sender.note(offer.transfer, b"a note")
            pair.receiver.noted(offer.transfer, PATIENCE)
    yield cost("note, passed on", relay.end(), MESSAGES, rest)


def _sessions(relay: CountedRelay, rest: Counts) -> Iterator[Cost]:
    """Sessions that log in and wait."""
    identities = [protocol.Identity(f"session-{number}") for number in range(10 + SESSIONS)]
    # What the registry has of a user stays when the session ends, and is not the session's.
    for identity in identities:
        relay.session(identity=identity).close()
    warm = [relay.session(identity=identity, receiving=True) for identity in identities[:10]]
    relay.begin()
    waiting = [relay.session(identity=identity, receiving=True) for identity in identities[10:]]
    yield cost("login, and the session that waits", relay.end(), SESSIONS, rest)
    for number in range(2):
        if number:
            relay.begin()
        for session in waiting:
            session.ping()
    yield cost("ping and pong of a session", relay.end(), SESSIONS, rest)
    for session in (*warm, *waiting):
        session.close()


def budgets() -> dict[str, dict[str, float]]:
    """What each may be at most, by what it is of. Instructions are those of x86-64: nothing is said of others. With
    another OpenSSL than the one that was measured, everything may be a quarter more."""
    with FILE.open("rb") as file:
        read = tomllib.load(file)
    said = subprocess.run(["openssl", "version"], check=True, timeout=20, text=True, capture_output=True).stdout
    factor = 1 if said.startswith(f"OpenSSL {read['openssl']}.") else 1.25
    kinds = ("allocations", "copied", "held", *(("instructions",) if platform.machine() == "x86_64" else ()))
    return {
        what: {kind: factor * most[kind] for kind in kinds if kind in most} for what, most in read["at_most"].items()
    }


def problems(costs: list[Cost], most: dict[str, dict[str, float]], *, whole: bool = True) -> Iterator[str]:
    """What is over its budget; with `whole`, also what has none and what was not measured."""
    for found in costs:
        for kind, limit in most.get(found.what, {}).items():
            if found.each[kind] > limit:
                yield f"{found.what}: {found.each[kind]:,.0f} {kind}, and at most {limit:,.0f} are in the budget"
    if whole:
        yield from (f"{name}: measured or in the budget only" for name in most.keys() ^ {each.what for each in costs})


def table(costs: list[Cost], most: dict[str, dict[str, float]]) -> str:
    """What was measured, beside the budget, for a terminal."""
    kinds = ("instructions", "allocations", "copied", "held")
    lines = [f"{'for each':36}" + "".join(f"{kind:>24}" for kind in kinds)]
    for found in costs:
        line = f"{found.what:36}"
        for kind in kinds:
            limit = most.get(found.what, {}).get(kind)
            line += f"{found.each[kind]:>12,.0f}" + (f"{f' of {limit:,.0f}':>12}" if limit is not None else " " * 12)
        lines.append(line)
    return "\n".join(line.rstrip() for line in lines)


def closest(costs: list[Cost], most: dict[str, dict[str, float]]) -> str:
    """Which figure is the closest to its limit, or the furthest beyond it."""
    parts = [
        (each.each[kind] / limit, each.what, kind) for each in costs for kind, limit in most.get(each.what, {}).items()
    ]
    part, what, kind = max(parts, default=(0.0, "nothing", "nothing"))
    return f"{len(parts)} figures, the closest to its limit with {part:.0%} of it: {kind} of a {what}"


def over(binaries: pathlib.Path, folder: pathlib.Path, tell: Tell) -> list[str]:
    """What is not within its budget."""
    relay = CountedRelay(binaries, certificates.made(folder / "certs"), folder / "relay").start()
    costs, most = list(measured(relay)), budgets()
    relay.process.kill()
    tell(table(costs, most))
    found = list(problems(costs, most))
    for problem in found:
        tell(f"PROBLEM  {problem}")
    tell(f"{closest(costs, most)}; {len(found)} problems")
    return found


def proved(binaries: pathlib.Path, folder: pathlib.Path, tell: Tell) -> bool:
    """Whether all is within its budget."""
    return not over(binaries, folder, tell)


def is_noticed(problems: list[str]) -> bool:
    """Whether what `planted` makes worse is among them: copies, and of content."""
    return any(re.match(rf"{CONTENT}: [\d,]+ copied,", each) for each in problems)


def planted(folder: pathlib.Path, tell: Tell) -> bool:
    """Whether a relay that copies each byte twice more is over its budget: one line is changed in a copy of the tree,
    which is built where this one is (in a mount namespace: a build depends on its path)."""
    copy = folder / "tree"
    # Without what only tests, benchmarks and the other build need.
    shutil.copytree(
        REPOSITORY, copy, symlinks=True, ignore=lambda path, names: _left_out(pathlib.Path(path), set(names))
    )
    path, before, after = PLANT
    text = (copy / path).read_text()
    assert text.count(before) == 1, f"{path} has another byte path than the plant knows"
    (copy / path).write_text(text.replace(before, after))
    tell(f"{path}: {before} is {after}")
    script = (
        'mount --make-rprivate / && mount --bind "$1" "$2" && cd "$2" &&'
        ' swift build -c release --product relay-server >"$1/build.log" 2>&1 || { tail -n 20 "$1/build.log"; exit 1; }'
    )
    subprocess.run(["unshare", "--mount", "sh", "-c", script, "sh", copy, REPOSITORY], check=True, timeout=1800)
    noticed = is_noticed(over(copy / ".build/release", folder, tell))
    tell("the planted copy was " + ("noticed" if noticed else "not noticed"))
    return noticed


def _left_out(folder: pathlib.Path, names: set[str]) -> set[str]:
    if folder == REPOSITORY:
        return {name for name in names if name.startswith(".") and name not in (".build", ".git")}
    if folder.name == ".build":
        return names & {"debug", "debug.yaml", "mypy", "ruff", "artifacts"}
    return names & {"debug"} if folder.parent.name == ".build" else set()
