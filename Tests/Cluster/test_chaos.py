# SPDX-License-Identifier: Apache-2.0
"""The rules of `scripts/prove chaos` find what they are for, and a few transfers are broken at random."""

import collections
import itertools
import random
import types
from typing import Any

import pytest

from harness.history import History
from proofs import chaos, chaos_rules

A, B = "a" * 64, "b" * 64
CUT, OWN = "the connection of bob was cut; sending again", "our own connection was cut; it goes on"


@pytest.fixture
def good():
    """Two transfers: the receiver of the first was killed, and nothing happened to the second."""
    ticks = itertools.count()
    history = History(lambda: float(next(ticks)))
    for pair, (file, sha256) in enumerate((("one", A), ("two", B))):
        history.add("test", "began", pair=pair, file=file, sha256=sha256)
    history.add("test", "broke", kind="killed", pair=0, side="receiver", until=5.0)
    history.add("sender 0", "interrupted", file="one", message=CUT)
    for pair, (file, sha256) in enumerate((("one", A), ("two", B))):
        history.add(f"receiver {pair}", "received", file=file, sha256=sha256, path=f"/inbox/{file}")
        history.add(f"sender {pair}", "delivered", file=file, sha256=sha256)
        history.add("test", "ended", pair=pair, file=file, status=0, gives_up=False)
        history.add("test", "stored", pair=pair, file=file, sha256=sha256)
    return history


def test_a_good_history_has_no_problem(good):
    assert not chaos_rules.problems(good)


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("lost", "nothing_is_lost"),
        ("twice", "nothing_comes_twice"),
        ("changed", "nothing_comes_twice"),
        ("blamed", "no_part_is_blamed_falsely"),
        ("unended", "nothing_is_lost"),
    ],
)
def test_what_is_planted_is_found(good, kind, rule):
    assert chaos_rules.planted(good, kind)
    assert any(problem.startswith(rule) for problem in chaos_rules.problems(good))


@pytest.mark.parametrize("kind", chaos_rules.PLANTS)
def test_a_plant_passes_exactly_when_it_was_made_and_found(good, monkeypatch, kind):
    outcome = chaos.Outcome()
    outcome.plant(good, kind)
    outcome.add(good)
    assert (outcome.planted, outcome.found) == (1, 1) and outcome.problems
    assert outcome.holds(kind) and not outcome.holds(None)
    # A round with nothing to plant it in is none of those that have to be found, and such rounds alone show nothing.
    outcome.plant(History(), kind)
    assert outcome.holds(kind) and not chaos.Outcome(runs=1).holds(kind)
    monkeypatch.setattr(chaos_rules, "RULES", ())
    other = chaos.Outcome()
    other.plant(good, "twice")
    assert other.planted == 1 and not other.holds("twice")


def outcome_of(runs=180, delivered=144, breaks=(), **kinds):
    every = {**dict.fromkeys((*chaos.CLIENT_KINDS, *chaos.SHARED_KINDS), 1), "killed": 11, **kinds}
    counted = collections.Counter({kind: count for kind, count in (dict(breaks) or every).items() if count})
    return chaos.Outcome(runs=runs, delivered=delivered, told=runs - delivered, breaks=counted)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (outcome_of(), []),
        (outcome_of(**{"disk full": 0, "disk full (receiver)": 1}), []),
        (outcome_of(killed=10), ["29 breaks of 180 transfers, 30 at least"]),
        (outcome_of(delivered=143), ["143 of 180 transfers were delivered, 144 at least"]),
        (outcome_of(**{"clock set": 0, "line slow": 0, "killed": 20}), ["there was no clock set, no line slow"]),
        (outcome_of(18, 1, {"killed": 3}), []),
        (outcome_of(18, 1, {"killed": 2}), ["2 breaks of 18"]),
        (outcome_of(6, 0, {"killed": 1}), ["0 of 6 transfers were delivered"]),
        (outcome_of(5, 1, {"": 0}), ["0 breaks of 5 transfers, 1 at least"]),
        (chaos.Outcome(), ["0 breaks", "0 of 0"]),
    ],
    ids=["good", "side", "few", "given up", "kinds", "small", "small few", "none delivered", "none broken", "nothing"],
)
def test_chaos_in_which_little_was_broken_or_delivered_shows_nothing(outcome, words):
    gaps = list(outcome.gaps())
    assert len(gaps) == len(words) and all(gap.startswith(word) for gap, word in zip(gaps, words, strict=True))
    assert outcome.holds(None) is (not words)


def test_the_last_line_of_chaos_has_its_figures():
    said: list[str] = []
    world: Any = types.SimpleNamespace(go=lambda _: History())
    outcome = chaos.prove(world, list(chaos.rounds(6, 1)), said.append)
    assert not outcome.holds(None) and sum(line.startswith("PROBLEM") for line in said) == 2
    last = "0 transfers, 0 breaks: 0 delivered, 0 ended by a person or a full disk and told, 0 lost; 2 problems"
    assert said[-1].splitlines()[-1] == last


def test_what_was_not_delivered_is_not_lost_by_a_plant(good):
    for event in good.events("delivered"):
        good.forget(event)
    assert not chaos_rules.planted(good, "lost")


def test_every_plant_is_tried():
    assert set(chaos_rules.PLANTS) == {"lost", "twice", "changed", "blamed", "unended"}


@pytest.mark.parametrize(
    ("who", "message", "is_true"),
    [
        ("sender 0", CUT, True),
        # The one who was killed blames itself alone.
        ("receiver 0", OWN, True),
        ("receiver 0", "the connection of alice was cut; it goes on", False),
        ("sender 0", OWN, False),
        ("sender 0", "bob interrupted it; ask bob", False),
        ("sender 0", "what arrived is not what was sent; send it again", False),
        ("sender 1", CUT, False),
    ],
)
def test_only_a_killed_receiver_is_blamed_for_its_end(good, who, message, is_true):
    good.add(who, "interrupted", file="one", message=message)
    assert bool(chaos_rules.problems(good)) is not is_true


def test_a_break_of_what_all_use_excuses_the_relay_but_no_client(good):
    good.add("test", "broke", kind="Redis killed", pair=None, side=None, until=100.0)
    good.add("sender 1", "reconnecting", message="the relay cannot do it now")
    assert not chaos_rules.problems(good)
    good.add("sender 1", "interrupted", file="two", message=CUT)
    assert chaos_rules.problems(good)


@pytest.mark.parametrize(("told", "is_good"), [(True, True), (False, False)])
def test_what_a_person_gave_up_is_told_to_both(told, is_good):
    history = History()
    history.add("test", "began", pair=0, file="one", sha256=A)
    history.add("receiver 0", "started", file="one")
    history.add("test", "broke", kind="interrupted", pair=0, side="sender", until=history.now() + 9)
    history.add("sender 0", "failed", file="one", code="cancelled", message="interrupted")
    if told:
        history.add("receiver 0", "failed", file="one", code="cancelled", message="alice interrupted it; ask")
    history.add("test", "ended", pair=0, file="one", status=130, gives_up=True)
    assert (not chaos_rules.problems(history)) is is_good


def test_a_seed_repeats_a_plan_and_all_kinds_have_their_turn():
    plans = list(chaos.rounds(1000, 7))
    assert plans == list(chaos.rounds(1000, 7)) != list(chaos.rounds(1000, 8))
    assert sum(len(plan.sizes) for plan in plans) == 1000
    kinds = {each.kind for plan in plans for each in (*plan.clients, plan.shared) if each}
    assert kinds == {*chaos_rules.CLIENTS, *chaos_rules.SHARED}
    # Some of those that are planned find nothing to break.
    for seed in range(50):
        planned = collections.Counter(
            each.kind for plan in chaos.rounds(chaos.MANY, seed) for each in (*plan.clients, plan.shared) if each
        )
        assert min(planned[kind] for kind in chaos.CLIENT_KINDS) >= 6, (seed, planned)
        assert min(planned[kind] for kind in chaos.SHARED_KINDS) >= 1, (seed, planned)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_transfers_are_broken_at_random(binaries, tmp_path):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    # Without the breaks that last for long.
    planned = (plan for plan in chaos.rounds(600, seed) if not _is_long(plan))
    outcomes: list[chaos.Outcome] = []
    with chaos.World(binaries, tmp_path) as world:
        # A transfer that is over before its break comes has shown nothing: then there are three more rounds.
        while len(outcomes) < 4 and sum(sum(each.breaks.values()) for each in outcomes) < 3:
            outcomes.append(chaos.prove(world, list(itertools.islice(planned, 3)), print))
    for outcome in outcomes:
        assert outcome.runs == 18 and outcome.delivered > 0
        assert not [problem for problem in outcome.problems if problem not in list(outcome.gaps())]
    assert sum(sum(each.breaks.values()) for each in outcomes) >= 3


def _is_long(plan):
    return any(each.kind.endswith("for long") for each in (*plan.clients, plan.shared) if each)
