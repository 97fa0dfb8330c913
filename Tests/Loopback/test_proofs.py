# SPDX-License-Identifier: Apache-2.0
"""Proofs that look at what others' programs say, or at a whole machine, tell what is wrong; and a complete run
of proofs tells what came of each. Builds nothing, and runs no relay."""

import json
import subprocess
import sys

import pytest

from proofs import conformance, every, faults, fuzz, reproducible, running


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ((30, {"a"}), (30, {"a", "b"}), []),
        ((30, {"a", "b"}), (30, {"a"}), ["b"]),
        ((0, {"it did not run: x"}), (0, {"it did not run: x"}), ["not run: relay it did not run: x; nginx it did"]),
        ((30, set()), (0, set()), ["not run: nginx no probes"]),
        ((0, {"no end within 240 s"}), (30, set()), ["not run: relay no end"]),
        ((30, {"sanity"}), (30, {"sanity"}), ["sanity: nothing is shown"]),
    ],
    ids=["good", "worse", "neither", "nginx", "relay", "sanity"],
)
def test_a_script_of_tlsfuzzer_shows_something_only_where_both_were_probed(here, there, words):
    found = list(conformance.worse(conformance.Ran(*here), conformance.Ran(*there)))
    assert len(found) == len(words) and all(text.startswith(word) for word, text in zip(words, found, strict=True))


@pytest.mark.parametrize(
    ("id", "severity", "text", "is_told"),
    [
        ("BEAST", "LOW", "x", False),
        ("cipher_order", "MEDIUM", "x", False),
        ("BEAST", "MEDIUM", "x", True),
        ("scanProblem", "FATAL", "x", True),
        ("HTTP_status_code", "WARN", "HTTP header request failed", True),
        ("RC4", "WARN", "RC4 ciphers not supported by local OpenSSL (/usr/bin/openssl)", False),
        ("RC4", "WARN", "Check failed, couldn't connect", True),
    ],
)
def test_a_finding_of_testssl_without_a_reason_is_told(id, severity, text, is_told):
    fine = [{"id": "x", "severity": "OK", "finding": ""}] * conformance.FEWEST_FINDINGS
    found = list(conformance.unexpected([*fine, {"id": id, "severity": severity, "finding": text}]))
    assert len(found) == is_told
    assert list(conformance.unexpected(fine[1:]))
    severe = severity in conformance.SEVERE
    words = f"{len(fine) + 1} findings; of severity medium or above, or warnings: {severe - is_told} listed with their"
    told = conformance.figures([*fine, {"id": id, "severity": severity, "finding": text}])
    assert told == f"{words} reason, {int(is_told)} others"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            "INFO: x\n#12 NEW\na message changes\n==12== ERROR: libFuzzer: deadly signal\nx\n",
            "a message changes, deadly",
        ),
        ("INFO: x\n==12== ERROR: libFuzzer: out-of-memory (used: 513Mb)\n", "out-of-memory"),
        ("Running: x\nExecuted x in 12345 ms\n", "12.3 s"),
        ("Running: x\nExecuted x in 9999 ms\n", None),
    ],
    ids=["message", "memory", "slow", "good"],
)
def test_why_the_fuzzer_ended(said, why):
    found = fuzz.reason("WARNING: Failed to find function x\n" + said)
    assert found is None if why is None else found.startswith(why)


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ([0.1, 0.1, 0.3], []),
        ([0.1, 0.35, 3.0], []),
        ([0.1, 0.1, 3.1], ["3.1 s"]),
        ([0.1, 0.4, 0.4], ["half of"]),
    ],
    ids=["good", "slower", "one", "half"],
)
def test_transfers_that_are_held_up_are_told(beside, words):
    found = list(conformance.held_up([0.05, 0.1, 0.5], beside))
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found, strict=True))


def test_connections_that_cannot_be_counted_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    counted = conformance.Counted(1)
    counted._thread.join(10)
    assert counted.end() == (0, 0) and "not counted" in counted.problems[0]


def test_no_transfer_at_all_is_told(monkeypatch):
    monkeypatch.setattr(conformance.Honest, "_run", lambda _: None)
    honest = conformance.Honest(None)  # type: ignore[arg-type]
    honest._thread.join(10)
    assert honest.end() == []
    assert honest.problems == ["transfers beside were not made any more", "no transfer beside ended"]


@pytest.mark.parametrize(("status", "is_absent"), [(69, True), (1, False)])
@pytest.mark.parametrize("named", [True, False])
def test_a_suite_whose_packages_cannot_be_had_is_absent(monkeypatch, tmp_path, status, is_absent, named):
    def run(*_, **__):
        return subprocess.CompletedProcess([], status, "", "first\ncannot install x: y\n")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(conformance, "SUITES", {"slow": lambda *_: iter(()), "testssl": lambda *_: iter(())})
    monkeypatch.setattr(conformance, "PACKAGES", {"slow": ("x",)})
    monkeypatch.setattr(running, "required", lambda *of, real=running.required: of and real(*of))
    said: list[str] = []
    if named and is_absent:
        with pytest.raises(running.Absent, match="slow: cannot install x: y"):
            conformance.proved(["slow", "testssl"], tmp_path, tmp_path, 1, said.append)
        return
    good = conformance.proved(["slow", "testssl"] if named else [], tmp_path, tmp_path, 1, said.append)
    assert good is is_absent
    assert any(line.startswith("ABSENT   slow: cannot install x: y") for line in said) is is_absent, said


@pytest.mark.parametrize(
    ("result", "status", "words"),
    [
        (faults.Result(passed=3), 0, []),
        (faults.Result(passed=3, failed=["x"]), 1, ["a: x"]),
        (faults.Result(passed=3), 3, ["ended with 3"]),
        (faults.Result(passed=3, excused=1), 0, []),
        (faults.Result(excused=2), 0, None),
        (faults.Result(), 5, ["ended with 5"]),
    ],
    ids=["good", "failed", "status", "one skipped", "all skipped", "none"],
)
def test_a_suite_of_process_tests_shows_something_only_where_some_have_passed(result, status, words):
    found = conformance.outcome("autobahn", {"a": result}, status, print)
    if words is None:
        with pytest.raises(running.Absent, match="was skipped"):
            list(found)
        return
    problems = list(found)
    assert len(problems) == len(words) and all(word in text for word, text in zip(words, problems, strict=True))


def test_tlsfuzzer_is_fetched_once_and_again_where_it_was_changed(monkeypatch, tmp_path):
    origin = tmp_path / "origin"

    def git(*words):
        settings = ("-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *settings, *words], check=True, capture_output=True, text=True, timeout=60)
        return done.stdout.strip()

    git("init", "--quiet", origin)
    (origin / "file").write_text("one")
    git("-C", origin, "add", "file")
    git("-C", origin, "commit", "--quiet", "--message", "one")
    monkeypatch.delenv("RELAY_TLSFUZZER", raising=False)
    monkeypatch.setattr(conformance, "REPOSITORY", tmp_path / "tree")
    monkeypatch.setattr(conformance, "TLSFUZZER", str(origin))
    monkeypatch.setattr(conformance, "COMMIT", git("-C", origin, "rev-parse", "HEAD"))
    (tmp_path / "tree").mkdir()

    def fetched(name):
        (tmp_path / name).mkdir()
        return conformance.fetched(tmp_path / name)

    kept = fetched("first")
    assert kept == tmp_path / "tree/.build/tlsfuzzer" and (kept / "file").read_text() == "one"
    (kept / "file").write_text("two")
    assert fetched("second") == kept and (kept / "file").read_text() == "one"
    origin.rename(tmp_path / "gone")
    assert fetched("third") == kept
    (kept / "file").write_text("two")
    with pytest.raises(running.Absent, match="set RELAY_TLSFUZZER"):
        fetched("fourth")
    monkeypatch.setenv("RELAY_TLSFUZZER", str(tmp_path))
    assert fetched("fifth") == tmp_path


@pytest.mark.parametrize("name", conformance.ENVIRONMENTS)
def test_a_suite_whose_environment_there_is_not_is_absent(monkeypatch, tmp_path, name):
    monkeypatch.setattr(conformance, "REPOSITORY", tmp_path)
    with pytest.raises(running.Absent, match=r"scripts/test processes.* makes it"):
        list(conformance.SUITES[name](tmp_path, tmp_path, 1, print))


PLAN = (
    every.Part("one", 1, 1, ("--runs", "2")),
    every.Part("two", 1, 1),
    every.Part("three", 1, 1, None, why="it is long"),
)
#: In the place of scripts/prove: it says what it was given, and ends as it is told.
SCRIPT = """
import json, os, pathlib, sys, time
words = sys.argv[3:]
name = next(each for each in words if each in ("one", "two", "three"))
with open(sys.argv[1], "a") as file:
    print(*words[words.index(name):], file=file)
how = json.loads(sys.argv[2]).get(name, 0)
if how == "hangs":
    time.sleep(60)
if how == "is killed":
    os.kill(os.getpid(), 9)
pathlib.Path(words[words.index("--result") + 1]).write_text(json.dumps({"notes": ["ABSENT   x"] if how else []}))
sys.exit(how)
"""


@pytest.mark.parametrize(
    ("how", "short", "status", "verdicts", "line"),
    [
        ({}, True, 0, "PASS, PASS, LEFT OUT", "2 of 3 hold; 1 left out (three); 0 min"),
        ({}, False, 0, "PASS, PASS, PASS", "3 of 3 hold; 0 min"),
        ({"one": 1}, False, 1, "FAIL, PASS, PASS", "2 of 3 hold; 1 fail (one); 0 min"),
        ({"one": 69}, False, 0, "ABSENT, PASS, PASS", "2 of 3 hold; 1 absent (one); 0 min"),
        ({"one": 69, "two": 1}, True, 1, "ABSENT, FAIL, LEFT OUT", "0 of 3 hold; 1 fail (two); 1 absent (one); 1 left"),
        ({"one": 69, "two": 69}, True, 69, "ABSENT, ABSENT, LEFT OUT", "0 of 3 hold; 2 absent (one, two); 1 left"),
        ({"two": "hangs"}, False, 1, "PASS, FAIL, PASS", "2 of 3 hold; 1 fail (two); 0 min"),
        ({"two": "is killed"}, False, 1, "PASS, FAIL, PASS", "2 of 3 hold; 1 fail (two); 0 min"),
        ({"two": 130}, False, None, "PASS", "1 of 1 hold; 0 min"),
    ],
    ids=["short", "whole", "fails", "absent", "absent and fails", "all absent", "hangs", "is killed", "interrupted"],
)
def test_a_complete_run_goes_on_and_tells_what_came_of_each(tmp_path, monkeypatch, how, short, status, verdicts, line):
    said: list[str] = []
    broke: list[tuple[str, str]] = []
    given = tmp_path / "given"
    command = (sys.executable, "-c", SCRIPT, str(given), json.dumps(how))
    way = every.Way(command, tmp_path, short, said.append, lambda part, *of: broke.append((part.name, of[-1])))
    if "hangs" in how.values():
        real = running.ended
        monkeypatch.setattr(
            running, "ended", lambda words, log, seconds: real(words, log, 1 if "two" in words else seconds, clearing=1)
        )
    if status is None:
        with pytest.raises(KeyboardInterrupt):
            every.proved(way, 7, PLAN)
    else:
        found, summary = every.proved(way, 7, PLAN)
        assert found == status and summary.startswith(line)
    table = said[-1].splitlines()
    assert table[0] == "seed 7" and table[-1].startswith(line)
    rows = table[2 : 5 if status is not None else 3]
    assert ", ".join(row[24:34].strip() for row in rows) == verdicts
    # Of what has written no result itself, one is written.
    notes = {"hangs": "it was not over after 1 minutes", "is killed": "it ended with -9, and no result"}
    assert broke == [("two", notes[each]) for each in how.values() if each in notes]
    options = "one --runs 2" if short else "one"
    assert given.read_text().splitlines()[0] == options
    assert ("--runs 2" in rows[0]) is short and (short or rows[0].endswith("whole"))
    assert ("LEFT OUT  three: it is long" in table) is short


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AssertionError("it is\n  not"), "it is not"),
        (AssertionError(), "AssertionError:"),
        (OSError(5, "x"), "OSError: [Errno 5] x"),
        (subprocess.CalledProcessError(9, ["a", "b"], stderr=b"first\nlast\n"), "a b ended with 9: last"),
        (subprocess.CalledProcessError(9, "a"), "a ended with 9"),
        (subprocess.TimeoutExpired(["a", "b\nc"], 5), "a b c was not over after 5 s"),
    ],
    ids=["assertion", "empty", "unexpected", "status", "silent", "timeout"],
)
def test_what_a_proof_ends_with_is_one_line(error, line):
    assert running.in_a_line(error) == line


def test_a_build_without_its_versions_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(reproducible, "REPOSITORY", tmp_path)
    with pytest.raises(AssertionError, match="swift package resolve"):
        reproducible.proved(tmp_path, print)
