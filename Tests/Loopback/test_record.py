# SPDX-License-Identifier: Apache-2.0
"""What a proof writes into docs/reliability.md, and that each proof has a row there."""

import datetime
import re
import subprocess
import sys

import pytest

from harness.executables import REPOSITORY
from proofs import record

PAGE = """\
| command | what it shows | expected | last result | date |
| --- | --- | --- | --- | --- |
| `scripts/prove fuzz --seconds 0` | lines | 95 % | | |
| `scripts/prove fuzz` | a\\|b | none | old | 2020-01-01 |
"""


def run(*options: str, good: bool = True, told: tuple[str, ...] = ("first", "two\n  3 |  4")) -> record.Run:
    return record.Run("fuzz", options, good, 7, 90, "0123abcd", told, datetime.date(2026, 11, 29))


def test_the_row_of_the_command_is_filled():
    page = record.recorded(PAGE, run("--seconds", "0"))
    assert page == PAGE.replace("| 95 % | | |", "| 95 % | PASS, seed 7, 2 min, 0123abcd: 3 \\| 4 | 2026-11-29 |")


def test_other_options_are_named_in_the_row_of_the_proof():
    page = record.recorded(PAGE, run("--seconds", "5", good=False))
    expected = "| none | **FAIL** with `--seconds 5`, seed 7, 2 min, 0123abcd: 3 \\| 4 | 2026-11-29 |"
    assert page == PAGE.replace("| none | old | 2020-01-01 |", expected)
    # What it writes it finds again.
    assert record.recorded(page, run(told=())).endswith(
        "| a\\|b | none | PASS, seed 7, 2 min, 0123abcd: nothing was told | 2026-11-29 |\n"
    )


def test_a_command_without_a_row_is_told():
    with pytest.raises(record.Unlisted, match="scripts/prove fuzz"):
        record.recorded("| `scripts/prove other` | | | | |\n", run())


def test_each_proof_has_a_row_and_all_runs_it():
    text = (REPOSITORY / "scripts/prove").read_text()
    proofs = set(re.findall(r'^    "(\w+)": prove_', text, re.MULTILINE))
    assert len(proofs) > 20
    rows = set(re.findall(r"^\| `scripts/prove (\w+)", (REPOSITORY / "docs/reliability.md").read_text(), re.MULTILINE))
    assert rows == proofs
    # The operator's way needs packages, which `scripts/package test` makes first.
    short = text.partition("SHORT: ")[2].partition("\n}")[0]
    assert set(re.findall(r'^    "(\w+)": \[', short, re.MULTILINE)) == proofs - {"operator"}


@pytest.mark.parametrize(
    "words",
    [
        ["all", "--long"],
        ["fuzz", "--seconds", "-1"],
        ["nothing"],
        ["faults", "99"],
        ["chaos", "--runs", "12", "--only", "3"],
        ["breaks", "--runs", "2", "--only", "3"],
        ["breaks", "--only", "-1"],
    ],
    ids=" ".join,
)
def test_what_is_not_understood_is_told_in_one_line(words):
    ended = subprocess.run(
        [sys.executable, REPOSITORY / "scripts/prove", *words], capture_output=True, text=True, check=False, timeout=60
    )
    assert (ended.returncode, ended.stdout) == (64, "")
    assert ended.stderr.startswith("scripts/prove: ") and ended.stderr.count("\n") == 1
