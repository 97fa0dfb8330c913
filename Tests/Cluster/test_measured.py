# SPDX-License-Identifier: Apache-2.0
"""The rules of `scripts/prove overload`, `stalled` and `soak` find what they are for."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import types
from typing import Any

import pytest

from harness import measure, metrics
from harness.waiting import until
from proofs import overload, soak, stalled

MiB = 1 << 20
QUIET = [0.030] * 100


def series(memory, descriptors=(33, 33)):
    made = soak.Series("n1", 1, list(range(len(memory))), memory, [40] * len(memory), list(descriptors))
    assert made.row()
    return list(made.problems())


def test_memory_that_stays_is_no_problem():
    # The first of everything costs something once.
    warm_up = [(20 + number) * MiB for number in range(25)]
    assert not series([*warm_up, *[45 * MiB + number % 7 for number in range(75)]])


def test_memory_that_a_kind_of_fault_needs_once_is_no_problem():
    made = soak.Series("n1", 1, list(range(100)), [40 * MiB] * 60 + [42 * MiB] * 40, [40] * 100, [33, 33], warm=60.0)
    assert not list(made.problems())
    made.warm = 59.0
    made.memory[59:61] = [40 * MiB] * 2
    assert not list(made.problems()), "a moment is no growth"
    made.warm = 0.0
    assert len(list(made.problems())) == 1


def test_memory_that_grows_all_the_time_is_one():
    (problem,) = series([40 * MiB + number * MiB // 50 for number in range(100)])
    assert "has grown by" in problem


def test_a_descriptor_that_stays_open_is_one():
    (problem,) = series([40 * MiB] * 100, descriptors=(33, 34))
    assert "34 descriptors" in problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"faults": []}, ["nothing was broken"]),
        ({"faults": soak.KINDS[2:]}, ["too short for a slope: there was no node frozen, no Redis killed"]),
        ({"transfers": 0}, ["nothing was carried"]),
        ({"failed": ["file-1 is lost"]}, ["file-1 is lost"]),
        ({"rate": 0.7}, []),
        ({"rate": 0.69}, ["34% of the full load were carried, between 35% and 65% wanted"]),
        ({"rate": 1.31}, ["66% of the full load were carried, between 35% and 65% wanted"]),
    ],
    ids=["good", "no faults", "not each fault", "no transfers", "a lost file", "enough", "little load", "much load"],
)
def test_a_soak_is_load_and_faults(change, words):
    made = soak.Series("n1", 1, [0], [MiB], [33], [33, 33])
    fields = {"seconds": 60, "rate": 1.0, "full": 2.0, "series": [made], "faults": [*soak.KINDS], "transfers": 9}
    outcome = soak.Outcome(**{**fields, **change})
    assert outcome.problems() == words
    load = (
        f"1 min, {outcome.transfers} transfers at {outcome.rate / 2:.0%} of the full load, {len(outcome.faults)} faults"
    )
    last = outcome.table().splitlines()[-1]
    assert last == f"{load}; n1 +0.0% (1.0 MiB), +0 descriptors; {len(words)} problems"


def test_a_soak_carries_as_much_as_it_is_told(monkeypatch):
    made: Any = types.SimpleNamespace(couples=[types.SimpleNamespace(number=0, carry=lambda _: None)] * 2)
    load, waited = soak.Soak(made, 1, print), list[float]()
    clock = iter(range(100))
    monkeypatch.setattr(soak, "time", types.SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(load._stop, "wait", waited.append)
    monkeypatch.setattr(soak, "background", lambda work, *of: types.SimpleNamespace(result=lambda _: work(*of)))
    monkeypatch.setattr(soak, "SIZES", (8 * MiB,))
    load._all(4 * MiB, 6)
    # Each has a half of it, 4 s for each file; a second has gone by meanwhile.
    assert load.carried == 8 * MiB * load.transfers > 0 and waited == [3.0] * load.transfers


def test_planted_growth_passes_exactly_when_it_was_made_and_found():
    def outcome(step, planted):
        memory = [40 * MiB + number * step for number in range(100)]
        made = [soak.Series(name, 1, list(range(100)), memory, [40] * 100, [33, 33]) for name in ("n1", "n2")]
        return soak.Outcome(60, 1.0, 2.0, made, [*soak.KINDS], 9, planted=planted)

    grown, flat = outcome(MiB, 200), outcome(0, 200)
    assert grown.holds("memory") and not grown.holds(None) and "200 looks" in grown.table()
    assert not flat.holds("memory") and flat.holds(None)
    assert not outcome(MiB, 0).holds("memory")
    grown.series[1].memory = flat.series[1].memory
    assert not grown.holds("memory")


def test_each_life_of_a_node_that_is_killed_is_measured_apart(monkeypatch):
    used = {1: 30 * MiB, 2: 40 * MiB}
    monkeypatch.setattr(measure, "resident", lambda pid: used[pid])
    monkeypatch.setattr(measure, "descriptors", lambda _: 33)
    node: Any = types.SimpleNamespace(name="n3", pid=1, status=lambda: {"sessions": 2})
    lives = soak.Lives(node, idle=[31])
    for pid in (1, 1, 7, 2, 2, 2):
        # Of 7 there is nothing to see.
        node.pid = pid
        with contextlib.suppress(KeyError):
            lives.look(0)
    assert [(each.name, each.memory) for each in lives.lives] == [("n3.1", [30 * MiB] * 2), ("n3.2", [40 * MiB] * 3)]
    lives.back()
    assert lives.idle == [31, 31]
    other = soak.Series("n1", 1, [0], [39 * MiB], [33], [33, 33])
    outcome = soak.Outcome(60, 1.0, 2.0, [other], [*soak.KINDS], 9, lives=lives)
    assert outcome.problems() == [] and "n3.2" in outcome.table()
    other.memory = [26 * MiB]
    assert ["n3.2: it has needed" in each for each in outcome.problems()] == [True]
    lives.idle[-1] = 34
    assert len(outcome.problems()) == 2
    assert list(soak.Lives(node, idle=[33, 33]).problems(MiB)) == ["n3: it was never seen"]


def phase(name, times=QUIET, **more):
    told = dict.fromkeys(overload.TOLD.get(name, ()), 1) | {"made in a second": 4500, "milliseconds": 30_000}
    limits = dict.fromkeys(overload.LIMITS.get(name, ()), 1)
    return overload.Phase(name, list(times), list(times), **{"told": told, "limits": limits, **more})


@pytest.mark.parametrize(
    ("attack", "left", "words"),
    [
        (phase("one hostile user"), (40 * MiB, 30), []),
        (phase("one hostile user", [0.059] * 100), (40 * MiB, 30), []),
        (phase("one hostile user", [0.030] * 98 + [0.090] * 2), (40 * MiB, 30), ["lookups", "transfers"]),
        (phase("one hostile user", told={}), (40 * MiB, 30), ["was told"] * 3),
        (phase("10 times the rate", limits={}), (40 * MiB, 30), ["counts no"]),
        (phase("10 times the rate"), (40 * MiB, 30), []),
        (
            # Those that were tried in vain are none.
            phase(
                "10 times the rate", told={"connection closed": 1, "tried in a second": 9000, "made in a second": 4499}
            ),
            (40 * MiB, 30),
            ["were made"],
        ),
        (phase("one hostile address", failed=["a transfer failed"]), (40 * MiB, 30), ["failed"]),
        (phase("one hostile user"), (61 * MiB, 30), ["memory"]),
        (phase("one hostile user"), (40 * MiB, 46), ["descriptors"]),
        (phase("10000 connections", told={"milliseconds": 30_100}), (40 * MiB, 30), ["after 30.1 s"]),
    ],
    ids=[
        "good",
        "slower",
        "too slow",
        "told nothing",
        "not counted",
        "fast",
        "not fast",
        "failed",
        "memory",
        "descriptors",
        "late",
    ],
)
def test_an_overload_that_slows_others_or_leaves_something_behind_is_a_problem(attack, left, words):
    outcome = overload.Outcome([phase("no attack"), attack], (40 * MiB, left[0]), (30, left[1]), 120, 500)
    problems = list(outcome.problems())
    assert len(problems) == len(words) and all(word in text for word, text in zip(words, problems, strict=True))
    assert outcome.table().splitlines()[-1].endswith(f"{len(words)} problems")


@pytest.mark.parametrize(("now", "is_good"), [(0.0119, True), (0.0121, False)])
def test_what_takes_milliseconds_may_take_a_few_more(now, is_good):
    quiet, attack = phase("no attack", [0.002] * 100), phase("one hostile user", [now] * 100)
    outcome = overload.Outcome([quiet, attack], (40 * MiB, 40 * MiB), (30, 30), 120, 500)
    assert (not list(outcome.problems())) is is_good
    last = f"p99 of transfers 2.0 ms, then {now * 1000:.1f}, of lookups 2.0 ms, then {now * 1000:.1f}; 1.00 times"
    assert outcome.table().splitlines()[-1].startswith(last)


def turns(pid):
    """How often a process has had a processor."""
    return sum(int(count) for name, count in measure.status(pid).items() if name.endswith("voluntary_ctxt_switches"))


@pytest.mark.parametrize("listens", [False, True])
def test_a_flood_counts_what_it_has_connected(tmp_path, listens):
    """No program listens, or one that never accepts: everything is tried, and next to nothing is made."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port, queued = unused.getsockname()[1], 0
        if listens:
            unused.listen(0)
            queued = 4
        command = [sys.executable, "-m", "proofs.attack", "rate", port, "", tmp_path, 2000]
        environment = {**os.environ, "PYTHONPATH": str(overload.TESTS), "PYTHONDONTWRITEBYTECODE": "1"}
        flood = subprocess.Popen(
            [str(each) for each in command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert flood.stdin and flood.stdout and flood.stderr
            first = flood.stdout.readline()
            assert first == "ready\n", flood.stderr.read()
            begun = turns(flood.pid)
            until(lambda: turns(flood.pid) > begun + 200, 30, "it is at work")
            said, err = flood.communicate(timeout=30)
        finally:
            flood.kill()
            flood.wait()
    told = json.loads(said)
    assert 0 < told["no connection"] <= told["tried"] <= told["no connection"] + queued, (told, err)
    assert queued or told["made in a second"] == 0, told


@pytest.mark.parametrize("missing", ["lookups", "transfers"])
def test_an_overload_without_quiet_times_shows_nothing(missing):
    quiet = phase("no attack")
    setattr(quiet, missing, [])
    outcome = overload.Outcome([quiet, phase("one hostile user")], (40 * MiB, 40 * MiB), (30, 30), 120, 500)
    (problem,) = outcome.problems()
    assert f"there were no {missing}" in problem
    assert list(overload.Outcome([phase("no attack")], (1, 1), (1, 1), 1, 1).problems()) == ["there was no attack"]


def test_an_attack_can_be_made_alone(monkeypatch):
    made: list[list[list[str]]] = []

    def one(_, name, attack, seconds=None):
        made.append(attack)
        return phase(name)

    monkeypatch.setattr(overload.Overload, "_phase", one)
    monkeypatch.setattr(overload, "Honest", lambda _: types.SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(metrics, "port_of", lambda _: 1)
    relay: Any = types.SimpleNamespace(resident=lambda: 1, descriptors=lambda: 1)
    rate, crowd = [["rate", "70"]], [["crowd", "4", "0"], ["crowd", "5", "4"]]
    for only, attacks in (("rate", [rate]), (None, [[["user"]], [["address"]], crowd, rate])):
        made.clear()
        outcome = overload.Overload(relay, 1, 9, print, lambda: 7).measured(only)
        assert made[2:] == attacks and len(outcome.phases) == 1 + len(attacks)
    assert {*overload.TOLD, *overload.LIMITS} <= set(overload.ATTACKS.values())
    told = overload.together([{"there": 4, "milliseconds": 9}, {"there": 5, "milliseconds": 7, "cut": 1}])
    assert told == {"there": 9, "milliseconds": 9, "cut": 1} and overload.together([]) == {}


@pytest.mark.parametrize(
    ("beside", "pushed", "words"),
    [
        ([0.1] * 100, [1 << 20], []),
        ([0.109] * 100, [1 << 20], []),
        ([0.1] * 98 + [0.12] * 2, [1 << 20], ["p99 is 120.0 ms"]),
        ([0.1] * 100, [1 << 30], ["has stopped no sender"]),
        ([0.1] * 100, [1 << 20, 0], ["was not stopped by its receiver"]),
        ([], [], ["nothing was measured"]),
    ],
    ids=["good", "within", "slower", "not stopped", "no bytes", "nothing"],
)
def test_receivers_that_do_not_read_and_slow_others_are_a_problem(beside, pushed, words):
    outcome = stalled.Outcome([[0.1] * 100] * 3, [beside] * 3 if beside else [], pushed)
    problems = list(outcome.problems())
    assert len(problems) == len(words) and all(word in text for word, text in zip(words, problems, strict=True))
    assert outcome.table()
    # Where transfers take next to nothing, so do differences.
    assert not list(stalled.Outcome([[0.010] * 100], [[0.0149] * 100], [1 << 20]).problems())
    # One block of three says more of the machine than of the relay.
    assert not list(stalled.Outcome([[0.1] * 100], [[0.1] * 100, [0.3] * 100, [0.1] * 100], [1 << 20]).problems())
