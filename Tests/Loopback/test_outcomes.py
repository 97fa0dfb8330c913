# SPDX-License-Identifier: Apache-2.0
"""A proof whose instruments have seen nothing shows nothing, and the last line of each says what it has shown. Runs no
relay."""

import subprocess

import pytest

from harness import certificates, counted, processes, wire_machine
from harness.executables import REPOSITORY
from harness.wire_model import World
from proofs import budgets, fuzz, manifests, operator, properties, resume, secrets, trees

MiB = 1 << 20


def of(kind, good, change):
    """An outcome that is good but for what is changed."""
    return kind(**{**good, **change})


TREE = {"files": 9, "size": 1, "relay": [2.0], "rsync": [3.0], "sender_memory": 40 * MiB, "receiver_memory": 41 * MiB}
TREE |= {"difference": None, "most_memory": 100 * MiB}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"sender_memory": 0}, ["of the sender's memory nothing was seen"]),
        ({"receiver_memory": 0}, ["of the receiver's memory nothing was seen"]),
        ({"receiver_memory": 101 * MiB}, ["the receiver has used 101 MiB"]),
        ({"rsync": [1.0]}, ["0.50 files for each"]),
    ],
    ids=["good", "sender", "receiver", "too much", "slower"],
)
def test_memory_that_is_unseen_or_too_much_and_slowness_are_problems_of_a_tree(change, words):
    outcome = of(trees.Outcome, TREE, change)
    told(outcome.problems(), words)
    memory = f"{outcome.sender_memory / MiB:.0f} MiB of the sender and {outcome.receiver_memory / MiB:.0f} MiB"
    assert memory in last(outcome) and last(outcome).endswith(f"{len(words)} problems")


RESUMED = {"size": 1000 * MiB, "killed_at": 0.91, "sender_read": 100 * MiB, "receiver_read": 101 * MiB}
RESUMED |= {"first_byte": 0.5, "seconds": 5.8, "delivered": True, "equal": True, "allowed": 0.12}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"sender_read": 0}, ["the sender was seen to read 0.0 MiB"]),
        # The rest, 90 MiB, has come all the same.
        ({"receiver_read": 44 * MiB}, ["the receiver was seen to read 44.0 MiB"]),
        ({"receiver_read": 121 * MiB}, ["the receiver read 12.1% of the file"]),
        ({"killed_at": 1.0, "sender_read": 0}, ["the sender was seen"]),
    ],
    ids=["good", "nothing", "a part", "too much", "nothing left"],
)
def test_reads_after_a_restart_that_are_unseen_or_too_many_are_problems(change, words):
    outcome = of(resume.Outcome, RESUMED, change)
    told(outcome.problems(), words)
    assert "the sender read" in last(outcome) and "the first new byte after 0.50 s, all after 5.8 s" in last(outcome)
    assert last(outcome).endswith(f"{len(words)} problems")


LIST = {"what": "10 GB", "least": 10**10, "sent": 10**10 - 100, "seconds": 125.0, "memory": 48 * MiB}
LIST |= {"code": "protocol_error", "status": 76, "left": [], "said": "files are missing"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        # Something else was wrong with it, and it was refused for that.
        ({"sent": 9 * 10**9}, ["10 GB: refused after 9,000,000,000 bytes of 10,000,000,000"]),
        ({"memory": 0}, ["10 GB: of the receiver's memory nothing was seen"]),
        ({"memory": 151 * MiB}, ["10 GB: 151 MiB of memory"]),
        ({"said": ""}, ["10 GB: refused without a word"]),
        ({"code": None, "status": 0}, ["10 GB: None, and exit status 0"]),
    ],
    ids=["good", "early", "not seen", "too much", "silent", "taken"],
)
def test_a_long_list_has_to_be_refused_at_its_limit_in_words_and_with_little_memory(change, words):
    outcome = of(manifests.Outcome, LIST, change)
    told(outcome.problems(), words)
    assert outcome.words().startswith(f"10 GB: {outcome.code} after") and outcome.row()


@pytest.mark.parametrize(
    ("seen", "pattern", "words", "is_absent"),
    [
        ((False, False, True), "core", [], False),
        ((True, False, True), "core", ["the relay left"], False),
        ((False, True, True), "core.%p", ["a client left"], False),
        ((False, False, False), "core", ["another program left no core file"], False),
        ((False, False, False), "|/usr/lib/systemd/systemd-coredump %P", [], True),
        ((False, False, False), "/var/crash/core.%p", [], True),
    ],
    ids=["good", "relay", "client", "none", "program", "elsewhere"],
)
def test_core_files_that_no_program_leaves_show_nothing(seen, pattern, words, is_absent):
    problems, unseen = secrets.cores(*seen, pattern=pattern, limit=1 << 20)
    told(problems, words)
    assert (unseen is not None) is is_absent and (not is_absent or pattern in str(unseen))
    # Where no process may leave one, none is missed.
    left = any(seen)
    assert left or "hard limit is 0" in str(secrets.cores(*seen, pattern=pattern, limit=0))


@pytest.mark.parametrize(("seconds", "good"), [(120, True), (120.1, False)])
def test_a_new_operator_is_there_in_time(seconds, good):
    said: list[str] = []
    assert operator.in_time(seconds, said.append) is good
    assert said[0].startswith("PROBLEM  ") is not good and said[0].endswith("s in all, 120 s at most")


@pytest.mark.parametrize(
    ("ended", "messages", "good"),
    [([100, 50], 7, True), ([100, 49], 7, False), ([100, 50], 0, False)],
    ids=["good", "fewer", "silent"],
)
def test_random_clients_show_something_only_where_all_have_run(monkeypatch, tmp_path, ended, messages, good):
    world = World([], [])
    world.seen["delivered"] = messages
    world.seen = +world.seen
    monkeypatch.setattr(properties, "WORLDS", {"one relay": lambda *_: world})
    monkeypatch.setattr(processes, "stop_since", lambda _: None)
    rounds = iter(ended)
    monkeypatch.setattr(properties, "run", lambda *_, **__: next(rounds))
    said: list[str] = []
    assert properties.proved(tmp_path, tmp_path, 150, 1, said.append) is good
    assert said[-1].startswith(f"{sum(ended)} of 150 runs, {messages} messages")
    assert any(line.startswith("PROBLEM") for line in said) is not good


def test_the_runs_of_random_clients_that_come_to_their_end_are_counted(monkeypatch):
    class Idle:
        """A model of clients that do nothing."""

        present = attempts = requests = history = ()
        calm = True

        def __init__(self, world):
            self.world = world

        def __getattr__(self, _):
            return lambda *_, **__: None

    monkeypatch.setattr(wire_machine, "Model", Idle)
    monkeypatch.setattr(wire_machine.Clients, "_step", lambda *_: None)
    assert wire_machine.run(World([], []), examples=5, seed=1, steps=2) == 5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"lines": {"a": (94, 100)}}, ["x: its corpus reaches 94.0 % of the lines of its files: a 94 %"]),
        # All together are enough, and one is not: the files of a decoder are one.
        ({"lines": {"a": (100, 100), "b": (1, 2)}}, []),
        ({"lines": {}}, ["x: its corpus reaches 0.0 %"]),
        ({"faults": ["x: crash"]}, ["x: crash"]),
        ({"faults": ["x: crash"], "lines": {}}, ["x: crash", "x: its corpus"]),
        ({"slow": ["x: slow"]}, []),
    ],
    ids=["good", "low", "one file", "no lines", "crash", "both", "slow once"],
)
def test_a_decoder_that_crashes_or_is_hardly_reached_does_not_hold(change, words):
    good = {"decoder": fuzz.Decoder("x", 100, ("a",)), "inputs": 9, "lines": {"a": (95, 100)}}
    outcome = of(fuzz.Outcome, good, change)
    told(outcome.problems(), words)
    assert f"{len(outcome.faults):8}" in outcome.row()


@pytest.mark.parametrize(
    ("copied", "login", "noticed"), [(6e6, 1, True), (4e6, 1, False), (4e6, 9e9, False), (6e6, 9e9, True)]
)
def test_a_planted_copy_is_noticed_only_where_copies_are_counted(monkeypatch, tmp_path, copied, login, noticed):
    costs = {budgets.CONTENT: {"copied": copied}, "login": {"copied": login}}
    monkeypatch.setattr(budgets, "measured", lambda _: [budgets.Cost(what, each) for what, each in costs.items()])
    monkeypatch.setattr(budgets, "budgets", lambda: {each: {"copied": 4.28e6} for each in costs})
    monkeypatch.setattr(budgets, "table", lambda *_: "")
    monkeypatch.setattr(certificates, "made", lambda _: None)
    monkeypatch.setattr(counted.CountedRelay, "__init__", lambda *_: None)
    monkeypatch.setattr(counted.CountedRelay, "start", lambda self: self)
    monkeypatch.setattr(counted.CountedRelay, "process", Killed(), raising=False)
    monkeypatch.setattr(budgets, "PLANT", ("line", "before", "after"))
    monkeypatch.setattr(budgets, "REPOSITORY", tmp_path / "tree")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/line").write_text("before")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: None)
    said: list[str] = []
    (tmp_path / "made").mkdir()
    assert budgets.planted(tmp_path / "made", said.append) is noticed
    assert said[-2].endswith(f"{(copied > 4.28e6) + (login > 4.28e6)} problems")
    assert said[-1] == f"the planted copy was {'noticed' if noticed else 'not noticed'}"


class Killed:
    """A process that there is not."""

    def kill(self):
        """It is not there."""


def told(problems, words):
    """Each problem begins with its words."""
    found = list(problems)
    assert len(found) == len(words) and all(text.startswith(word) for word, text in zip(words, found, strict=True)), (
        found
    )


def last(outcome):
    """The last line of the table."""
    return outcome.table().splitlines()[-1]


def test_lines_that_count_for_a_decoder_are_those_of_a_file_or_of_a_type_in_it():
    path = "RelayClientProgram/Connect/UploadStream.swift"
    text = (REPOSITORY / "Sources" / path).read_text().splitlines()
    whole, part = fuzz.wanted_lines([path])[path], fuzz.wanted_lines([f"{path}#UploadHandler"])[path]
    assert whole == set(range(1, len(text) + 1))
    assert part < whole and text[min(part) - 1].startswith("final class UploadHandler") and text[max(part) - 1] == "}"
    both = fuzz.wanted_lines([f"{path}#UploadHandler", f"{path}#UploadStream"])[path]
    assert part < both < whole
    assert fuzz.wanted_lines([f"{path}#Nothing", "No.swift"]) == {path: set(), "No.swift": set()}
