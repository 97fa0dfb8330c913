# SPDX-License-Identifier: Apache-2.0
"""A complete run: every proof, each a process of its own with an end, and one table of what came of them."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Iterable, Sequence

from . import running

#: What scripts/prove ends with when something that a proof needs cannot be had here; and where it was interrupted.
ABSENT, INTERRUPTED = 69, 130


@dataclasses.dataclass(frozen=True)
class Part:
    """A proof in a complete run."""

    proof: str
    #: Within how many minutes it has to be over: the whole of it, and in a short run.
    minutes: int
    short_minutes: int
    #: Its size in a short run, as options; None: it is no part of one.
    short: tuple[str, ...] | None = ()
    #: What is always given: a suite.
    suite: tuple[str, ...] = ()
    #: Why it is no part of a short run.
    why: str = ""

    def options(self, *, short: bool) -> tuple[str, ...]:
        """What stands behind its name."""
        return (*(self.short or () if short else ()), *self.suite)

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return " ".join([self.proof, *self.suite])


#: First what measures times, while nothing has run yet; last what builds. A limit is well above what it takes on two
#: processors: it is for what hangs.
PLAN = (
    Part("overload", 40, 25),
    Part("stalled", 20, 15, ("--blocks", "5")),
    Part("soak", 60, 45, ("--minutes", "20")),
    Part("restart", 30, 15, ("--restarts", "5")),
    Part("rolling", 30, 30),
    Part("many", 30, 15),
    Part("resume", 30, 30),
    Part("files", 30, 15, ("--rounds", "1")),
    Part("conformance", 30, 30, suite=("slow",)),
    Part("breaks", 360, 60, ("--runs", "10")),
    Part("chaos", 120, 40, ("--runs", "180")),
    Part("empty", 30, 30),
    Part("lists", 30, 30),
    Part("canary", 30, 15, ("--transfers", "7")),
    Part("secrets", 30, 30),
    Part("properties", 240, 40, ("--examples", "100")),
    Part("faults", 130, 130),
    Part("conformance", 40, 40, suite=("tlsfuzzer",)),
    Part("conformance", 20, 20, suite=("testssl",)),
    Part("conformance", 10, 10, suite=("sslyze",)),
    Part("budgets", 30, 30),
    Part("operator", 30, 30),
    Part("model", 150, 90, ("--schedules", "300000")),
    Part("fuzz", 1500, 90, ("--seconds", "5")),
    Part("sanitizers", 360, 120, ("--only", "unit", "address")),
    Part("reproducible", 240, 0, None, why="two whole builds, and no chance in them"),
)


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of a part."""

    part: Part
    #: PASS, FAIL, ABSENT, or LEFT OUT.
    verdict: str
    seconds: float = 0.0
    size: str = ""
    #: Why, or what of it was absent; the last that it told.
    notes: tuple[str, ...] = ()

    def row(self) -> str:
        """A line of the table."""
        return f"{self.part.name:24}{self.verdict:10}{self.seconds / 60:7.1f} min  {self.size}".rstrip()


@dataclasses.dataclass(frozen=True)
class Way:
    """How parts are run."""

    #: scripts/prove, with what is the same for all.
    command: tuple[str, ...]
    folder: pathlib.Path
    short: bool
    tell: Callable[[str], None]
    #: Told of a part that has written no result, with its options, how long it took, and why.
    broke: Callable[[Part, Sequence[str], float, str], None]


def ran(part: Part, way: Way) -> Result:
    """Runs one."""
    if way.short and part.short is None:
        return Result(part, "LEFT OUT", notes=(part.why,))
    options = part.options(short=way.short)
    size = " ".join(part.short or ()) if way.short and part.short else "whole"
    limit = part.short_minutes if way.short else part.minutes
    told = way.folder / f"{part.name.replace(' ', '-')}.json"
    began = time.monotonic()
    status = running.ended([*way.command, "--result", told, part.proof, *options], None, limit * 60)
    seconds = time.monotonic() - began
    if status == INTERRUPTED:
        raise KeyboardInterrupt
    if told.is_file() and status is not None:
        verdict = {0: "PASS", ABSENT: "ABSENT"}.get(status, "FAIL")
        return Result(part, verdict, seconds, size, tuple(json.loads(told.read_text())["notes"]))
    # It was ended, or killed, or did not even begin.
    note = f"it was not over after {limit} minutes" if status is None else f"it ended with {status}, and no result"
    way.tell(f"{part.name}: {note}")
    way.broke(part, options, seconds, note)
    return Result(part, "FAIL", seconds, size, (note,))


def table(results: Sequence[Result], seed: int) -> str:
    """The table, what was not shown and why, and one line of all."""
    rows = [f"seed {seed}", f"{'proof':24}{'result':10}{'took':>7}      size", *(each.row() for each in results)]
    notes = [f"{each.verdict:8}  {each.part.name}: {note}" for each in results for note in each.notes]
    return "\n".join([*rows, *notes, summary(results)])


def summary(results: Sequence[Result]) -> str:
    """One line of all."""
    counts = {
        word: [each.part.name for each in results if each.verdict == verdict]
        for verdict, word in (("PASS", "hold"), ("FAIL", "fail"), ("ABSENT", "absent"), ("LEFT OUT", "left out"))
    }
    words = [f"{len(counts['hold'])} of {len(results)} hold"]
    words += [f"{len(names)} {word} ({', '.join(names)})" for word, names in counts.items() if names and word != "hold"]
    return f"{'; '.join(words)}; {sum(each.seconds for each in results) / 60:.0f} min"


def proved(way: Way, seed: int, plan: Iterable[Part] = PLAN) -> tuple[int, str]:
    """Runs all of them, also behind one that fails, and tells the table, also when it is interrupted; returns the exit
    status, and the line of all. Where none has failed and none could be run, nothing was shown."""
    results: list[Result] = []
    try:
        for part in plan:
            results.append(ran(part, way))
            way.tell("")
    finally:
        way.tell(table(results, seed))
    verdicts = {each.verdict for each in results}
    return 1 if "FAIL" in verdicts else 0 if "PASS" in verdicts else ABSENT, summary(results)
