# SPDX-License-Identifier: Apache-2.0
"""What a proof writes into docs/reliability.md, and that each proof has a row there."""

import datetime
import importlib.machinery
import importlib.util
import json
import re
import subprocess
import sys
import types
from typing import Any

import pytest

from harness.executables import REPOSITORY
from harness.redis import RedisError
from proofs import conformance, every, faults, record, running

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


@pytest.fixture
def prove(monkeypatch, tmp_path):
    """scripts/prove with a page of its own, and one proof, which ends as `prove.ends` does."""
    path = str(REPOSITORY / "scripts/prove")
    loader = importlib.machinery.SourceFileLoader("prove", path)
    spec = importlib.util.spec_from_loader("prove", loader)
    assert spec
    module: Any = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    (tmp_path / "docs").mkdir()
    module.page = tmp_path / "docs/reliability.md"
    module.page.write_text("| `scripts/prove model` | a | none | PASS, seed 1 | 2020-01-01 |\n")
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "PROOFS", {"model": lambda *_: module.ends()})
    monkeypatch.setattr(module, "processes", types.SimpleNamespace(stop_since=lambda _: None))
    monkeypatch.setattr(module.signal, "signal", lambda *_: None)
    monkeypatch.setattr(record, "commit", lambda _: "0123abcd")
    monkeypatch.setenv("RELAY_BIN", str(tmp_path / ".build/release"))
    return module


@pytest.mark.parametrize("where", ["option", "environment"])
def test_only_programs_of_the_tree_are_recorded(prove, monkeypatch, tmp_path, where, capsys):
    """A row says which commit it is of."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "relay-client").touch()
    monkeypatch.setenv("RELAY_BIN", str(other))
    monkeypatch.setattr(prove, "PROOFS", {"chaos": lambda *_: True})
    arguments = ["--bin", str(other)] if where == "option" else []
    assert prove.main([*arguments, "--record", "chaos"]) == 64
    assert "--record is for a release build of this tree" in capsys.readouterr().err
    assert "2020-01-01" in prove.page.read_text()


def test_what_is_proved_is_built_first(prove, monkeypatch, tmp_path, capsys):
    tools, told = tmp_path / "tools", tmp_path / "told"
    tools.mkdir()
    (tools / "swift").write_text(f'#!/bin/sh\necho "$@" >"{told}"\necho "error: no such type"\nexit 1\n')
    (tools / "swift").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.delenv("RELAY_BIN")
    monkeypatch.setattr(prove, "PROOFS", {"chaos": lambda *_: True})
    assert prove.main(["chaos"]) == 1
    assert told.read_text() == f"build -c release --package-path {tmp_path}\n"
    assert "do not build: error: no such type" in capsys.readouterr().err


def raising(error):
    def ends():
        raise error

    return ends


@pytest.mark.parametrize(
    ("error", "words", "is_traced"),
    [
        (AssertionError("it is not"), "it is not", False),
        (subprocess.TimeoutExpired("x", 5), "x was not over after 5 s", False),
        (OSError(28, "no space"), "OSError: [Errno 28] no space", True),
        (RedisError("gone"), "RedisError: gone", True),
        (KeyError("x"), "KeyError: 'x'", True),
    ],
    ids=["assertion", "timeout", "system", "redis", "fault"],
)
def test_whatever_a_proof_ends_with_is_written_down(prove, tmp_path, capsys, error, words, is_traced):
    prove.ends = raising(error)
    told = tmp_path / "result.json"
    assert prove.main(["--record", "--result", str(told), "--folder", str(tmp_path), "model"]) == 1
    out, err = capsys.readouterr()
    assert out.endswith("FAIL\n") and f"scripts/prove: {words}" in err and ("Traceback" in err) is is_traced
    row = prove.page.read_text()
    assert "**FAIL**, seed" in row and row.partition(": PROBLEM ")[2].startswith(words) and "2020" not in row
    assert json.loads(told.read_text())["notes"] == [f"PROBLEM  {words}"]


@pytest.mark.parametrize(
    ("ends", "status", "said"),
    [
        (lambda: True, 0, "| PASS, seed 5,"),
        (lambda: False, 1, "| **FAIL**, seed 5,"),
        (raising(running.Absent("x")), 69, "| PASS, seed 1 |"),
        (raising(KeyboardInterrupt()), 130, "| PASS, seed 1 |"),
    ],
    ids=["good", "bad", "absent", "interrupted"],
)
def test_what_a_proof_returns_is_written_down_and_no_result_is_not(prove, tmp_path, ends, status, said):
    prove.ends = ends
    assert prove.main(["--seed", "5", "--record", "--folder", str(tmp_path), "model"]) == status
    assert said in prove.page.read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["docs"]


def test_what_cannot_be_cleared_up_is_written_down(prove, monkeypatch, tmp_path):
    prove.ends = lambda: True
    monkeypatch.setattr(prove.processes, "stop_since", lambda _: raising(OSError(16, "busy"))())
    assert prove.main(["--record", "--folder", str(tmp_path), "model"]) == 1
    assert "OSError: [Errno 16] busy" in prove.page.read_text()


def test_a_part_without_a_result_of_its_own_is_written_down_by_the_complete_run(prove, monkeypatch, tmp_path):
    plan = (every.Part("model", 1, 1),)
    monkeypatch.setattr(every, "PLAN", plan)
    monkeypatch.setattr(every.proved, "__defaults__", (plan,))
    monkeypatch.setattr(running, "ended", lambda *_: -9)
    prove.page.write_text(prove.page.read_text() + record.COMPLETE)
    assert prove.main(["--record", "--folder", str(tmp_path), "all"]) == 1
    page = prove.page.read_text()
    assert "it ended with -9, and no result" in page and "| 0 of 1 hold; 1 fail (model); 0 min |" in page
