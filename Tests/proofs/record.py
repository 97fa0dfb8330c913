# SPDX-License-Identifier: Apache-2.0
"""What a proof writes of its last run into the table of docs/reliability.md."""

from __future__ import annotations

import dataclasses
import datetime
import pathlib
import re
import subprocess
from collections.abc import Sequence

#: A bar that ends a cell; one behind a backslash is text.
_BAR = re.compile(r"(?<!\\)\|")
#: Characters of what a proof told last: more is no figure any more.
LONGEST = 240


class Unlisted(Exception):
    """The table has no row of this command."""


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a proof."""

    proof: str
    #: What was given behind its name.
    options: Sequence[str]
    good: bool
    seed: int
    seconds: float
    #: Short, with a plus where the tree was not that of the commit; and the tree of its Sources.
    commit: str
    #: What it printed.
    told: Sequence[str]
    day: datetime.date

    @property
    def result(self) -> str:
        """The cell of the last result."""
        options = f" with `{' '.join(self.options)}`" if self.options else ""
        last = [" ".join(line.split()) for text in self.told for line in text.splitlines() if line.strip()]
        shown = last[-1][:LONGEST].replace("\\", "").replace("|", "\\|") if last else "nothing was told"
        verdict = "PASS" if self.good else "**FAIL**"
        return f"{verdict}{options}, seed {self.seed}, {self.seconds / 60:.0f} min, {self.commit}: {shown}"


def commit(root: pathlib.Path) -> str:
    """The commit of the tree, as it is written: rows with the same `Sources` are of the same programs."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], check=True, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", ".", ":!docs")
    commit, sources = git("rev-parse", "--short=8", "HEAD"), git("rev-parse", "--short=8", "HEAD:Sources")
    return f"{commit}{'+' if changed else ''} (`Sources` {sources})"


#: Above the table of complete runs, whose newest row is its first.
COMPLETE = "| complete run | seed | commit | date | result |\n| --- | --- | --- | --- | --- |\n"


def completed(page: str, command: str, seed: int, commit: str, day: datetime.date, summary: str) -> str:
    """The page with another complete run.

    Raises Unlisted where there is no table of them.
    """
    before, header, after = page.partition(COMPLETE)
    if not header:
        raise Unlisted("docs/reliability.md has no table of complete runs")
    return f"{before}{header}| `{command}` | {seed} | {commit} | {day.isoformat()} | {summary} |\n{after}"


def recorded(page: str, run: Run) -> str:
    """The page with that run in its row: that of the whole command, or else that of the proof.

    Raises Unlisted where there is none.
    """
    lines = page.splitlines(keepends=True)
    commands = (" ".join(["scripts/prove", run.proof, *run.options]), f"scripts/prove {run.proof}")
    for command in commands:
        for number, line in enumerate(lines):
            cells = _BAR.split(line)
            if len(cells) != 7 or cells[1].strip() != f"`{command}`":
                continue
            shown = run if command == commands[1] else dataclasses.replace(run, options=())
            cells[4:6] = [f" {shown.result} ", f" {run.day.isoformat()} "]
            return "".join([*lines[:number], "|".join(cells), *lines[number + 1 :]])
    raise Unlisted(f"docs/reliability.md has no row of {commands[1]}")
