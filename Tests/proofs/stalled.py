# SPDX-License-Identifier: Apache-2.0
"""Receivers that stop reading slow no other transfer: those beside them take as long as without them."""

from __future__ import annotations

import contextlib
import dataclasses
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import chain

from harness import content
from harness.pairs import Pair
from harness.relay import Relay
from harness.waiting import background

from .overload import slow

#: How many receivers have stopped reading, and how many transfers are made in each block with and without them.
STALLED, EACH, SIZE = 7, 100, 65_536
#: How much longer a transfer may take beside them, in the slowest of a hundred, in half of the blocks: what else the
#: machine does in some of them decides nothing. And how much that may be in any case: two blocks without any differ by
#: as much.
FACTOR, FLOOR = 1.10, 0.005
#: How long a sender that gets nothing rid any more waits before that counts as stopped.
STOPPED = 0.5
#: What it gets rid of at least: what a relay holds for a transfer.
LEAST = 256 * 1024


@dataclasses.dataclass
class Outcome:
    """How long transfers took, in seconds, by block; and how many bytes those got rid of who were stopped."""

    alone: list[list[float]] = dataclasses.field(default_factory=list)
    beside: list[list[float]] = dataclasses.field(default_factory=list)
    pushed: list[int] = dataclasses.field(default_factory=list)

    def problems(self) -> Iterator[str]:
        """What does not hold."""
        if not self.alone or not self.beside or not self.pushed:
            yield "nothing was measured"
            return
        if max(self.pushed) >= content.GiB:
            yield "a receiver that does not read has stopped no sender"
        if min(self.pushed) < LEAST:
            yield f"a stopped sender got rid of {min(self.pushed)} bytes only, and was not stopped by its receiver"
        alone, beside = p99(self.alone), p99(self.beside)
        if beside > max(FACTOR * alone, alone + FLOOR):
            times = [slow(each) for each in self.alone]
            yield (
                f"p99 is {beside * 1000:.1f} ms beside {STALLED} that stopped reading, and {alone * 1000:.1f} without, "
                f"where blocks differ by {max(times) / min(times):.1f} times"
            )

    def table(self) -> str:
        """For a terminal."""
        rows = [
            f"{name:8}{sum(map(len, blocks)):6} transfers, median {statistics.median(chain(*blocks)) * 1000:6.1f} ms, "
            f"p99 {p99(blocks) * 1000:6.1f} ms ({', '.join(f'{slow(each) * 1000:.0f}' for each in blocks)})"
            for name, blocks in (("alone", self.alone), ("beside", self.beside))
            if blocks
        ]
        ratio = p99(self.beside) / p99(self.alone) if self.alone and self.beside else float("inf")
        return "\n".join(
            [
                *rows,
                *(f"PROBLEM  {each}" for each in self.problems()),
                f"a stopped sender gets rid of {max(self.pushed, default=0) >> 10:,} KiB at most",
                f"p99 {ratio:.2f} of that without them, {FACTOR:.2f} at most (or {FLOOR * 1000:.0f} ms more)",
            ]
        )


def p99(blocks: list[list[float]]) -> float:
    """That of the block in the middle."""
    return statistics.median(map(slow, blocks))


def _push(pair: Pair) -> int:
    """Sends until nothing goes any more; how many bytes did."""
    _, _, upload = pair.flowing(content.GiB)
    upload.socket.settimeout(STOPPED)
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < content.GiB:
            sent += upload.socket.send(bytes(SIZE))
    return sent


def _block(pair: Pair) -> list[float]:
    times = []
    for _ in range(EACH):
        began = time.monotonic()
        pair.whole(SIZE)
        times.append(time.monotonic() - began)
        for connection in pair.connections:
            connection.close()
        pair.connections.clear()
    return times


def measured(relay: Relay, blocks: int, tell: Callable[[str], None]) -> Outcome:
    """So many blocks of both kinds, in turn: what else the machine does falls on both."""
    outcome = Outcome()
    with Pair(relay, source="127.0.5.1", timeout=60) as honest:
        _block(honest)
        for number in range(blocks):
            outcome.alone.append(_block(honest))
            with contextlib.ExitStack() as pairs:
                stopped = [pairs.enter_context(Pair(relay, timeout=60)) for _ in range(STALLED)]
                pushing = [background(_push, pair) for pair in stopped]
                outcome.pushed += [each.result(60) for each in pushing]
                outcome.beside.append(_block(honest))
            if number % 5 == 4:
                tell(f"{number + 1} of {blocks} blocks")
    return outcome
