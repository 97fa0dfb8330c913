# SPDX-License-Identifier: Apache-2.0
"""Folders with very many files: made, sent, compared, beside what rsync takes for the same on this machine."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator

from harness import content
from harness.relay import Person, Relay

from .meter import Meter

MiB = 1 << 20
#: Memory of each side for a hundred thousand files, and for a million.
MEMORY, MEMORY_OF_A_MILLION = 100 * MiB, 150 * MiB
SECONDS = 3600


@dataclasses.dataclass
class Outcome:
    """What was measured."""

    files: int
    size: int
    relay: list[float]
    rsync: list[float]
    sender_memory: int
    receiver_memory: int
    difference: str | None
    most_memory: int

    @property
    def ratio(self) -> float | None:
        """How many files a second relay-client does for each that rsync does."""
        return statistics.median(self.rsync) / statistics.median(self.relay) if self.rsync and self.relay else None

    def problems(self, least: float = 1.0) -> Iterator[str]:
        """What is wrong, a line each."""
        if self.difference:
            yield self.difference
        if self.ratio is not None and self.ratio < least:
            yield f"{self.ratio:.2f} files for each that rsync copies, {least} at least"
        for who, memory in (("sender", self.sender_memory), ("receiver", self.receiver_memory)):
            if not memory:
                yield f"of the {who}'s memory nothing was seen"
            if memory > self.most_memory:
                yield f"the {who} has used {memory / MiB:.0f} MiB, {self.most_memory / MiB:.0f} MiB at most"

    def table(self) -> str:
        """For a terminal."""
        lines = [f"{self.files:,} files of {self.size} bytes"]
        for name, taken in (("relay-client", self.relay), ("rsync", self.rsync)):
            if taken:
                each = ", ".join(f"{seconds:.1f}" for seconds in taken)
                lines.append(f"{name:14}{self.files / statistics.median(taken):10,.0f} files/s  ({each} s)")
        if self.ratio is not None:
            lines.append(f"{'ratio':14}{self.ratio:10.2f}  (at least 1.0)")
        problems = list(self.problems())
        rate = f"{self.files / statistics.median(self.relay):,.0f} files/s, " if self.relay else ""
        beside = f"{self.ratio:.2f} for each of rsync (at least 1.0), " if self.ratio is not None else ""
        return "\n".join(
            [
                *lines,
                *(f"PROBLEM  {problem}" for problem in problems),
                f"{self.files:,} files, {rate}{beside}{self.sender_memory / MiB:.0f} MiB of the sender and "
                f"{self.receiver_memory / MiB:.0f} MiB of the receiver (at most {self.most_memory / MiB:.0f}); "
                f"{len(problems)} problems",
            ]
        )


def make(top: pathlib.Path, files: int, folders: int, size: int) -> None:
    """A tree of so many files in so many folders, which are ten to a folder, with an empty one in each tenth; the
    content of each file is its own.
    """
    block = content.data(f"tree {files}", 1 << 20)
    top.mkdir()
    for folder in range(folders):
        where = top / f"group-{folder // 10:04}" / f"folder-{folder:05}"
        where.mkdir(parents=True)
        if folder % 10 == 0:
            (where / "empty").mkdir()
        for number in range(folder, files, folders):
            start = number * 61 % (len(block) - size) if size else 0
            with open(where / f"file-{number:07}", "wb") as file:
                file.write(number.to_bytes(8, "big")[:size] + block[start : start + max(0, size - 8)])
    # Times are carried as well, and those of folders are the last that a receiver may set.
    for number, (path, _, _) in enumerate(os.walk(top, topdown=False)):
        os.utime(path, ns=(10**18 + number, 10**18 + number * 1_000_003))


def difference(one: pathlib.Path, other: pathlib.Path) -> str | None:
    """The first difference between two trees, in words: names, kinds, times and contents; None when they are equal."""
    for (path, folders, files), (twin, twin_folders, twin_files) in zip(_walk(one), _walk(other), strict=False):
        if (folders, files) != (twin_folders, twin_files):
            unlike = sorted({*folders, *files} ^ {*twin_folders, *twin_files})
            return f"{path} and {twin} hold other names: {', '.join(unlike[:3])}"
        if os.stat(path).st_mtime_ns != os.stat(twin).st_mtime_ns:
            return f"{twin} has another time than {path}"
        for name in files:
            if problem := _file_difference(os.path.join(path, name), os.path.join(twin, name)):
                return problem
    return None


def _walk(top: pathlib.Path) -> Iterator[tuple[str, list[str], list[str]]]:
    for path, folders, files in os.walk(top):
        folders.sort()
        yield path, folders, sorted(files)


def _file_difference(path: str, twin: str) -> str | None:
    one, other = os.lstat(path), os.lstat(twin)
    if (one.st_mode & 0o170000, one.st_size) != (other.st_mode & 0o170000, other.st_size):
        return f"{twin} is of another kind or size than {path}"
    if one.st_mtime_ns != other.st_mtime_ns:
        return f"{twin} has another time than {path}"
    with open(path, "rb") as first, open(twin, "rb") as second:
        return None if first.read() == second.read() else f"{twin} has other content than {path}"


def measured(
    relay: Relay,
    folder: pathlib.Path,
    *,
    files: int,
    folders: int,
    size: int,
    rounds: int,
    most_memory: int,
    compares: bool = True,
) -> Outcome:
    """Sends a tree, and copies it with rsync in the same rounds, each beginning with another one; without `compares`,
    it only sends."""
    sender, receiver = relay.person("alice", folder), relay.person("bob", folder)
    top = folder / "tree"
    make(top, files, folders, size)
    outcome = Outcome(files, size, [], [], 0, 0, None, most_memory)
    ways: list[Callable[[], None]] = [lambda: _send(outcome, sender, receiver, top)]
    if compares:
        ways.append(lambda: _copy(outcome, top, folder / "copy"))
    for number in range(rounds):
        for way in ways if number % 2 == 0 else reversed(ways):
            # What one has left for the disk is not the other's.
            os.sync()
            way()
    shutil.rmtree(top)
    return outcome


def _send(outcome: Outcome, sender: Person, receiver: Person, top: pathlib.Path) -> None:
    receiving = receiver.receive(once=False)
    with Meter(receiving) as received:
        began = time.monotonic()
        sending = sender.send(receiver, top, "--quiet")
        with Meter(sending) as sent:
            status = sending.wait(SECONDS)
        outcome.relay.append(time.monotonic() - began)
    # Ctrl-C: it clears up behind what is delivered, as it would for its user.
    receiving.signal(signal.SIGINT)
    receiving.wait(30)
    assert status == 0, sending.tail()
    outcome.sender_memory = max(outcome.sender_memory, sent.memory)
    outcome.receiver_memory = max(outcome.receiver_memory, received.memory)
    outcome.difference = outcome.difference or _stored_difference(top, receiver.inbox)
    shutil.rmtree(receiver.inbox)
    receiver.inbox.mkdir()


def _stored_difference(top: pathlib.Path, inbox: pathlib.Path) -> str | None:
    """What is wrong with what the receiver has made of a tree."""
    if (stored := sorted(os.listdir(inbox))) != [top.name]:
        return f"in the folder: {', '.join(stored)[:200]}"
    return difference(top, inbox / top.name)


def _copy(outcome: Outcome, top: pathlib.Path, target: pathlib.Path) -> None:
    began = time.monotonic()
    subprocess.run(["rsync", "--archive", f"{top}/", f"{target}/"], check=True, timeout=SECONDS)
    outcome.rsync.append(time.monotonic() - began)
    outcome.difference = outcome.difference or difference(top, target)
    shutil.rmtree(target)
