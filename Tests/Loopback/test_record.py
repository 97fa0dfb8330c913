# SPDX-License-Identifier: Apache-2.0
"""What a proof writes into docs/reliability.md, and that each proof has a row there."""

import datetime
import re
import subprocess
import sys

import pytest

from harness.executables import REPOSITORY
from proofs import conformance, every, faults, record

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
    # A complete run has rows of its own.
    assert rows - {"all"} == proofs
    assert {part.proof for part in every.PLAN} == proofs
    suites = {name for part in every.PLAN for name in part.suite}
    # Those that are not in it are files of tests in the fault table.
    files = {test.partition("::")[0] for row in faults.ROWS for test in row.tests}
    assert suites <= set(conformance.SUITES)
    assert {conformance.TESTS[name][0] for name in set(conformance.SUITES) - suites} <= files


def test_a_complete_run_is_the_first_row_of_its_table():
    page = record.completed(f"a\n{record.COMPLETE}| old | | | | |\n", "x --short", 7, "0123", run().day, "all hold")
    assert page == f"a\n{record.COMPLETE}| `x --short` | 7 | 0123 | 2026-11-29 | all hold |\n| old | | | | |\n"
    with pytest.raises(record.Unlisted):
        record.completed("a\n", "x", 7, "0123", run().day, "")
    assert record.COMPLETE in (REPOSITORY / "docs/reliability.md").read_text()


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
