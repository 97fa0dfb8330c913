# SPDX-License-Identifier: Apache-2.0
"""Adds up what a run of scripts/test left behind, and prints `N passed, N failed` as the last line.

    tally.py FOLDER SKIPS

FOLDER holds JUnit files (*.xml), what proofs have told (NAME.json, of a step `scripts/prove NAME ...`), and `steps`,
lines of a step's name, a tab and its exit status. A failed step counts as one failure unless its JUnit file already has
one. SKIPS has a line for each test that may be skipped: its name, a
colon, and the reason.
"""

from __future__ import annotations

import glob
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any, NamedTuple

#: How much is printed of why tests failed, so that it fits on a screen: tests, lines of each, characters of a line.
REASONS, LINES, WIDTH = 20, 4, 240


class Case(NamedTuple):
    """A test: its name, what became of it (passed, failed or skipped), and the last lines about its failure."""

    name: str
    outcome: str
    reason: tuple[str, ...] = ()


def excuses(path: str) -> dict[str, str]:
    """Names of tests that may be skipped, with the reason for each."""
    if not os.path.exists(path):
        return {}
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, colon, reason = line.strip().partition(": ")
            if line.strip() and not line.startswith("#"):
                if not colon or not reason.strip():
                    raise SystemExit(f"{path}: a name without a reason: {line.strip()}")
                found[name] = reason.strip()
    return found


def reason(case: ElementTree.Element) -> tuple[str, ...]:
    """The first line and the last ones of what a JUnit file says of a failure."""
    for child in case:
        if child.tag in ("failure", "error"):
            first = (child.get("message") or "").strip().splitlines()[:1]
            rest = [line for line in (child.text or "").splitlines() if line.strip()]
            lines = first + [line for line in rest[-(LINES - 1) :] if line.strip() not in first]
            return tuple(line[:WIDTH] for line in lines)
    return ()


def cases(path: str) -> Iterator[Case]:
    """Each test in a JUnit file. A file that is empty or cut, as tests leave it that crash, is one failure."""
    try:
        parsed = ElementTree.parse(path)
    except ElementTree.ParseError as error:
        yield Case(f"{os.path.basename(path)} (not whole: the tests that write it have crashed; {error})", "failed")
        return
    for case in parsed.iter("testcase"):
        name = ".".join(part for part in (case.get("classname"), case.get("name")) if part)
        name = re.sub(r"@[^]]*$", "", name)  # the group that pytest-xdist adds
        kinds = {child.tag for child in case}
        outcome = "failed" if kinds & {"failure", "error"} else "skipped" if "skipped" in kinds else "passed"
        yield Case(name, outcome, reason(case))


def steps(path: str) -> Iterator[tuple[str, int]]:
    """(name, exit status) of each step."""
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        for line in file:
            name, _, status = line.rstrip("\n").partition("\t")
            yield name, int(status)


def notes(folder: str, step: str) -> tuple[str, ...]:
    """What a proof has told of what does not hold, when that step is one."""
    proof = re.match(r"scripts/prove (\w+)", step)
    path = os.path.join(folder, f"{proof.group(1)}.json") if proof else ""
    if not os.path.exists(path):
        return ()
    with open(path, encoding="utf-8") as file:
        return tuple(note[:WIDTH] for note in json.load(file)["notes"][:LINES])


def tally(folder: str, skips: str) -> tuple[Any, ...]:
    """(number that passed, those that failed, number of excused skips)."""
    allowed = excuses(skips)
    passed, failed, excused = 0, list[Case](), 0
    for path in sorted(glob.glob(os.path.join(folder, "*.xml"))):
        for case in cases(path):
            if case.outcome == "passed":
                passed += 1
            elif case.outcome == "failed":
                failed.append(case)
            elif case.name in allowed:
                excused += 1
                print(f"skipped: {case.name}: {allowed[case.name]}")
            else:
                failed.append(Case(f"{case.name} (skipped, and not in {skips})", "failed"))
    counted = {"swift test": "unit*.xml", "pytest": "processes.xml", "pytest, one by one": "processes-alone.xml"}
    for name, status in steps(os.path.join(folder, "steps")):
        if name in counted:
            files = glob.glob(os.path.join(folder, counted[name]))
            ran = [case.outcome for file in files for case in cases(file)]
            if not ran or (status != 0 and "failed" not in ran):
                failed.append(Case(f"{name} (exit status {status}, {len(ran)} tests seen)", "failed"))
        elif status == 0:
            passed += 1
        else:
            failed.append(Case(f"{name} (exit status {status})", "failed", notes(folder, name)))
    return passed, failed, excused


def main(folder: str, skips: str) -> int:
    """Returns the exit status."""
    passed, failed, _ = tally(folder, skips)
    for number, case in enumerate(failed):
        why = case.reason if number < REASONS else ()
        print("\n".join((f"FAILED: {case.name}", *(f"    {line}" for line in why))))
    print(f"{passed} passed, {len(failed)} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
