# SPDX-License-Identifier: Apache-2.0
"""Manifests far larger than any person sends: what the receiver says, and how much memory it has used."""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterable, Iterator

from harness import manifests, measure, protocol
from harness.processes import Process
from harness.relay import Relay
from harness.sealed import CHUNK
from harness.sealed_tree import Tree
from harness.waiting import TooLate, background, until

MiB = 1 << 20
#: Memory of the receiver, as for a million files.
MEMORY = 150 * MiB
SECONDS = 3600


@dataclasses.dataclass
class Outcome:
    """What came of one."""

    what: str
    #: Bytes that it has at least.
    least: int
    sent: int
    seconds: float
    memory: int
    #: With which code the receiver has refused it, and its exit status.
    code: str | None
    status: int
    left: list[bytes]
    said: str

    def problems(self) -> Iterator[str]:
        """What is wrong, a line each."""
        if self.code not in ("protocol_error", "no_space") or self.status not in (74, 76):
            yield f"{self.what}: {self.code}, and exit status {self.status}"
        # The last chunk does not count as sent.
        if self.sent + CHUNK < self.least:
            yield f"{self.what}: refused after {self.sent:,} bytes of {self.least:,}"
        if not self.said:
            yield f"{self.what}: refused without a word"
        if not self.memory:
            yield f"{self.what}: of the receiver's memory nothing was seen"
        if self.memory > MEMORY:
            yield f"{self.what}: {self.memory / MiB:.0f} MiB of memory, {MEMORY / MiB:.0f} MiB at most"
        if self.left:
            yield f"{self.what}: something is left in the folder"

    def words(self) -> str:
        """What came of it, in short."""
        return f"{self.what}: {self.code} after {self.sent / 1e9:.2f} GB, {self.memory / MiB:.0f} MiB of memory"

    def row(self) -> str:
        """For a terminal."""
        return (
            f"{self.what:24}{self.sent / 1e9:8.2f} GB {self.seconds:8.1f} s {self.memory / MiB:6.0f} MiB  {self.said}"
        )


def measured(relay: Relay, folder: pathlib.Path, *, entries: int, size: int) -> Iterator[Outcome]:
    """Sends one of so many entries, announced as it is, whose sender then has nothing of it; and one of so many bytes,
    of which nothing was announced."""
    summary = f'{{"names":["top"],"kind":"folder","entries":{entries + 1},"bytes":0}}'
    least = entries * len(manifests.file(b"0" * 8, 1))
    yield _sent(relay, folder, f"{entries:,} entries", least, manifests.many_files(b"top", entries), summary)
    # No record ends with a chunk: something is left over at the end of each.
    records = manifests.long_links(b"tops", size)
    yield _sent(relay, folder, f"{size / 1e9:.3g} GB", size, records, '{"names":["tops"],"kind":"folder"}')


def _sent(relay: Relay, folder: pathlib.Path, what: str, least: int, records: Iterable[bytes], summary: str) -> Outcome:
    receiver = relay.person("bob", folder)
    receiving = receiver.receive()
    # Behind it comes no content, and no end.
    manifest = manifests.Manifest(records, b"")
    outcome = Outcome(what, least, 0, 0, 0, None, 0, [], "")
    began = time.monotonic()
    with relay.client("mallory") as mallory:
        offered = mallory.offer(receiver.name, Tree([], []), summary=summary)
        offered.start()
        background(offered.upload, _watched(outcome, receiving, manifest.body(offered)), timeout=SECONDS)
        try:
            offered.delivered(SECONDS)
        except protocol.Failed as failed:
            outcome.code = failed.code
    outcome.seconds, outcome.sent = time.monotonic() - began, manifest.sent
    try:
        outcome.status = until(lambda: None if receiving.running() else receiving.wait(1), 60, "the receiver's end")
    except TooLate:
        outcome.status = -1
    receiving.kill()
    outcome.left = receiver.received()
    outcome.said = receiving.err().strip().rpartition("\n")[2].partition(f"{mallory.name}: ")[2]
    return outcome


def _watched(outcome: Outcome, receiving: Process, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, piece in enumerate(pieces):
        if number % 64 == 0 and receiving.running():
            outcome.memory = max(outcome.memory, measure.peak(receiving.pid))
        yield piece
