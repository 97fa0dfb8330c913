# SPDX-License-Identifier: Apache-2.0
"""The table that `scripts/prove faults` runs: every row has tests that there are, and a row can fail."""

import pytest

from proofs import faults, running

REPORT = """<testsuites><testsuite>
<testcase classname="Tests.Loopback.test_cuts" name="test_one[a]@group" time="1.5">{one}</testcase>
<testcase classname="Tests.Loopback.test_cuts" name="test_one[b]" time="2">{other}</testcase>
</testsuite></testsuites>"""
ROW = faults.Row(6, "a fault", ("Loopback/test_cuts.py::test_one",))


def test_every_row_of_the_table_has_tests():
    assert [row.number for row in faults.ROWS] == list(range(1, 51))
    assert all(row.tests for row in faults.ROWS)
    assert not [test for row in faults.ROWS for test in faults.missing(row)]


def test_a_test_that_there_is_not_is_missed():
    row = faults.Row(1, "", ("Loopback/test_cuts.py::test_none", "Loopback/test_none.py::test_one"))
    assert faults.missing(row) == list(row.tests)


@pytest.mark.parametrize(
    ("one", "other", "wrong"),
    [
        ("", "", []),
        ("<failure/>", "", ["test_one[a]"]),
        ("", "<error/>", ["test_one[b]"]),
        ("<skipped/>", "", ["test_one[a]"]),
    ],
    ids=["good", "failure", "error", "skip"],
)
def test_a_row_holds_only_when_every_variant_has_passed(tmp_path, one, other, wrong):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(one=one, other=other))
    found = faults.results([report], set())
    problems = list(faults.problems(ROW, found))
    assert len(problems) == len(wrong) and all(word in text for word, text in zip(wrong, problems, strict=True))
    assert ("holds" if not wrong else "FAILS") in faults.line(ROW, found)


def test_a_row_of_which_nothing_ran_does_not_hold():
    assert list(faults.problems(ROW, {})) == ["Loopback/test_cuts.py::test_one: did not run"]


def test_a_row_whose_tests_were_skipped_does_not_hold_and_says_why(tmp_path):
    report = tmp_path / "report.xml"
    report.write_text(REPORT.format(one="<skipped/>", other="<skipped/>"))
    excused = {"Loopback.test_cuts.test_one[a]", "Loopback.test_cuts.test_one[b]"}
    (problem,) = faults.problems(ROW, faults.results([report], excused))
    assert "did not run, for a reason" in problem


@pytest.mark.parametrize("named", [True, False])
def test_what_may_be_skipped_is_absent_where_others_of_its_row_have_passed(tmp_path, monkeypatch, named):
    one, other = "Loopback/test_cuts.py::test_one", "Loopback/test_cuts.py::test_other"
    row = faults.Row(6, "a fault", (one, other))
    found = {one: faults.Result(passed=1), other: faults.Result(excused=1)}
    assert faults.absent(row, found) == [other] and not list(faults.problems(row, found))
    monkeypatch.setattr(faults, "ROWS", (row,))
    monkeypatch.setattr(faults, "results", lambda *_: found)
    monkeypatch.setattr(running, "ended", lambda *_: 0)
    said: list[str] = []
    if named:
        with pytest.raises(running.Absent, match=r"row 6: .*test_other"):
            faults.proved([6], tmp_path, said.append)
    else:
        assert faults.proved([], tmp_path, said.append)
        assert f"ABSENT   row 6: {other}, as Tests/skips.txt says" in said
    # Where none has passed, nothing was shown.
    assert len(list(faults.problems(row, {**found, one: faults.Result(excused=1)}))) == 2


@pytest.mark.parametrize(
    ("status", "one", "words"),
    [
        (0, "", []),
        (5, "", []),
        (1, "<failure/>", ["test_one[a]"]),
        (1, "", ["together ended with 1"]),
        (3, "", ["together ended with 3"]),
        (None, "", ["together was not over"]),
        (None, "<failure/>", ["together was not over", "test_one[a]"]),
    ],
    ids=["good", "none", "failed", "unexplained", "crash", "timeout", "timeout and failed"],
)
def test_a_run_that_has_no_good_end_shows_nothing(tmp_path, monkeypatch, status, one, words):
    monkeypatch.setattr(faults, "ROWS", (ROW,))

    def ended(command, log, _):
        log.write_text("the end of the log")
        report = tmp_path / command[command.index("--junitxml") + 1]
        if report.stem == "alone":
            return 5
        # What pytest has written so far: all tests have passed in it.
        report.write_text(REPORT.format(one=one, other=""))
        return status

    monkeypatch.setattr(running, "ended", ended)
    said: list[str] = []
    assert faults.proved([], tmp_path, said.append) is (not words)
    told = [line for line in said if line.startswith("PROBLEM")]
    assert len(told) == len(words) and all(word in line for word, line in zip(words, told, strict=True)), said
    assert said[-1].endswith(f"{len(words)} problems")
