# SPDX-License-Identifier: Apache-2.0
"""Proofs that look at what others' programs say, or at a whole machine, tell what is wrong. Builds and runs nothing."""

import subprocess

import pytest

from proofs import conformance, reproducible, running


@pytest.mark.parametrize(
    ("here", "there", "words"),
    [
        ((30, {"a"}), (30, {"a", "b"}), []),
        ((30, {"a", "b"}), (30, {"a"}), ["b"]),
        ((0, {"it did not run: x"}), (0, {"it did not run: x"}), ["not run: relay it did not run: x; nginx it did"]),
        ((30, set()), (0, set()), ["not run: nginx no probes"]),
        ((0, {"no end within 240 s"}), (30, set()), ["not run: relay no end"]),
    ],
    ids=["good", "worse", "neither", "nginx", "relay"],
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
def test_what_testssl_may_say(id, severity, text, is_told):
    fine = [{"id": "x", "severity": "OK", "finding": ""}] * conformance.FEWEST_FINDINGS
    found = list(conformance.unexpected([*fine, {"id": id, "severity": severity, "finding": text}]))
    assert len(found) == is_told
    assert list(conformance.unexpected(fine[1:]))


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
    monkeypatch.setattr(conformance, "required", lambda name, real=conformance.required: name == "slow" and real(name))
    said: list[str] = []
    names = ["slow", "testssl"] if named else []
    good = conformance.proved(names, tmp_path, tmp_path, 1, said.append)
    assert good is (is_absent and not named)
    assert any(line.startswith("ABSENT   cannot install x: y") for line in said) is is_absent, said


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (AssertionError("it is not"), "it is not"),
        (subprocess.CalledProcessError(9, ["a", "b"], stderr=b"first\nlast\n"), "a b ended with 9: last"),
        (subprocess.CalledProcessError(9, "a"), "a ended with 9"),
        (subprocess.TimeoutExpired(["a", "b\nc"], 5), "a b c was not over after 5 s"),
    ],
    ids=["assertion", "status", "silent", "timeout"],
)
def test_what_a_proof_ends_with_is_one_line(error, line):
    assert running.in_a_line(error) == line


def test_a_build_without_its_versions_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(reproducible, "REPOSITORY", tmp_path)
    with pytest.raises(AssertionError, match="swift package resolve"):
        reproducible.proved(tmp_path, print)
