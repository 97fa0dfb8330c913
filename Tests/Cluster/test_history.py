# SPDX-License-Identifier: Apache-2.0
"""Each rule of the history checker finds what it is there for, and nothing in a good history."""

import io
import json

import pytest

from harness import history_rules as rules
from harness.history import History
from harness.waiting import TooLate

A, B = "a" * 64, "b" * 64
# The fields that some events have beside those of every transfer.
MORE: dict[str, dict[str, object]] = {
    "progress": {"bytes": 1},
    "failed": {"code": "declined", "message": "no"},
    "interrupted": {"message": "cut"},
}


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    """The histories' clock."""
    return Clock()


def line(event, name, direction, **fields):
    """What a client prints for programs."""
    about = {"transfer": "t" * 22, "direction": direction, "peer": "zoe", "name": name}
    return json.dumps({"schema": 1, "event": event, **about, **fields})


@pytest.fixture
def good(clock):
    """A transfer that went well, on nodes that are as they were."""
    history = History(clock)
    for node in ("n1", "n2"):
        history.add("test", "usage", node=node, moment="before", descriptors=20, resident=1 << 25)
    history.add("test", "began", file="report", sha256=A, deadline=60)
    history.add("bob", "claimed", token="t1", status=200)
    history.add("alice", "claimed", token="t2", status=200)
    history.add("bob", "took", file="report", prefix=True)
    clock.now += 5
    history.line("bob", line("received", "report", "receive", bytes=1, path="/report", sha256=A))
    history.line("alice", line("delivered", "report", "send", bytes=1, sha256=A))
    history.add("test", "ended", file="report", status=0)
    history.add("test", "stored", file="report", sha256=A)
    history.add("bob", "leaving")
    history.add("redis", "routes", routes=[("{relay}:receiving:bob:n1", "n1", "i1")])
    for node in ("n1", "n2"):
        history.add("test", "usage", node=node, moment="after", descriptors=20, resident=1 << 25)
    return history


def found(rule, history):
    """What one rule says; and no other one sees the same."""
    said = list(rule(history))
    assert len(rules.problems(history)) == len(said), rules.problems(history)
    return said


def test_a_correct_history_has_no_problem(good):
    rules.check_history(good)


@pytest.mark.parametrize("status", [100, 200])
def test_a_token_that_is_accepted_twice_is_a_problem(good, status):
    good.add("mallory", "claimed", token="t1", status=status)
    assert found(rules.one_success_for_each_token, good) == ["token t1 was good 2 times: bob, mallory"]


def test_a_token_that_is_refused_again_is_no_problem(good):
    for status in (403, 403, 503):
        good.add("mallory", "claimed", token="t1", status=status)
    rules.check_history(good)


@pytest.mark.parametrize("who", ["received", "delivered", "stored"])
def test_a_success_with_other_content_is_a_problem(clock, who):
    history = History(clock)
    history.add("test", "began", file="report", sha256=A, deadline=60)
    for name in ("received", "delivered", "stored"):
        history.add("x", name, file="report", sha256=B if name == who else A)
    history.add("test", "ended", file="report", status=0)
    assert found(rules.success_means_equal_content, history) == [f"report was {who} with other content than was sent"]


def test_a_stored_file_that_was_not_sent_is_a_problem(good):
    good.add("test", "stored", file="report (1)", sha256=A)
    assert found(rules.success_means_equal_content, good) == ["report (1) was stored and never sent"]


@pytest.mark.parametrize("stored", [None, A, B])
def test_a_reception_without_a_digest_is_a_success_if_the_disk_says_so(clock, stored):
    history = History(clock)
    history.add("test", "began", file="report", sha256=A, deadline=60)
    history.add("test", "received", file="report")
    history.add("test", "ended", file="report", status=rules.GAVE_UP)
    if stored:
        history.add("test", "stored", file="report", sha256=stored)
    assert bool(found(rules.success_means_equal_content, history)) == (stored != A)


def test_bytes_that_differ_from_those_sent_are_a_problem(good):
    good.add("bob", "took", file="other", prefix=False)
    assert found(rules.what_came_is_how_it_begins, good) == ["bob got bytes of other that were not sent so"]


def test_a_transfer_without_an_end_is_a_problem(good):
    good.add("test", "began", file="film", sha256=A, deadline=60)
    assert found(rules.every_transfer_ends, good) == ["film never ended"]


@pytest.mark.parametrize(
    ("last", "stuck"), [("progress", 1), ("offered", 1), ("failed", 0), ("interrupted", 0), ("withdrawn", 0)]
)
def test_a_reception_without_an_end_is_a_problem(good, last, stuck):
    for event in ("offered", last):
        good.line("carol", line(event, "film", "receive", **MORE.get(event, {})))
    good.add("carol", "leaving")
    good.line("carol", line("failed", "film", "receive", **MORE["failed"]))
    assert found(rules.every_transfer_ends, good) == [f"film never ended: carol left at {last}"] * stuck


def test_a_transfer_that_took_too_long_is_a_problem(good, clock):
    good.add("test", "began", file="film", sha256=A, deadline=60)
    clock.now += 61
    good.add("test", "ended", file="film", status=rules.GAVE_UP)
    assert found(rules.every_transfer_ends, good) == ["film ended after 61.0 s, 60 s at most"]


@pytest.mark.parametrize(
    ("status", "delivered", "received", "on_disk", "wrong"),
    [
        (0, 1, 1, True, 0),
        (rules.GAVE_UP, 0, 1, True, 0),
        (77, 0, 0, False, 0),
        (77, 0, 1, True, 1),
        (0, 0, 1, True, 2),
        (75, 1, 1, True, 1),
        (0, 1, 0, False, 1),
        (0, 1, 2, True, 2),
        (0, 1, 1, False, 1),
        (75, 0, 0, True, 1),
        (0, 2, 1, True, 1),
    ],
)
def test_different_verdicts_of_the_two_sides_are_a_problem(clock, status, delivered, received, on_disk, wrong):
    history = History(clock)
    history.add("test", "began", file="report", sha256=A, deadline=60)
    for name, count in (("received", received), ("delivered", delivered)):
        for _ in range(count):
            history.add("x", name, file="report", sha256=A)
    history.add("test", "ended", file="report", status=status)
    history.add("test", "stored", file="report", sha256=A if on_disk else None)
    assert len(found(rules.both_sides_agree, history)) == wrong


def test_a_route_that_outlives_its_owner_is_a_problem(good, clock):
    good.add("test", "lost", node="n1", incarnation="i1")
    stale = ("{relay}:receiving:bob:n1", "n1", "i1")
    clock.now += 15
    good.add("redis", "routes", routes=[stale])
    rules.check_history(good)
    clock.now += 1
    # The same node, started again, is another owner.
    good.add("redis", "routes", routes=[("{relay}:node:n1", "n1", "i2")])
    rules.check_history(good)
    for _ in range(2):
        good.add("redis", "routes", routes=[stale, ("{relay}:token:x", "n1", "i1")])
    assert found(rules.no_route_outlives_its_owner, good) == [
        "{relay}:receiving:bob:n1 is there 16.0 s after the end of n1",
        "{relay}:token:x is there 16.0 s after the end of n1",
    ]


def test_descriptors_that_stay_open_are_a_problem(good):
    good.add("test", "usage", node="n2", moment="after", descriptors=21, resident=1 << 25)
    assert found(rules.back_to_the_baseline, good) == ["n2 has 21 descriptors, and had 20"]


def test_memory_that_does_not_come_back_is_a_problem(good):
    good.add("test", "usage", node="n2", moment="after", descriptors=19, resident=1 << 26)
    assert found(rules.back_to_the_baseline, good) == ["n2 has grown by 32 MiB"]


def test_a_node_without_measurements_is_a_problem(good):
    good.add("test", "usage", node="n3", moment="after", descriptors=1, resident=1)
    assert found(rules.back_to_the_baseline, good) == ["n3 was not looked at before"]


def test_lines_of_clients_become_events(good):
    history = History()
    lines = [
        '{"schema":1,"event":"ready","name":"bob"}',
        "what?",
        "[1]",
        # Not in the schema: an event, a field, and a version.
        '{"schema":1,"event":"x"}',
        '{"schema":1,"event":"reconnected","who":"me"}',
        '{"schema":2,"event":"reconnected"}',
        '{"schema":1,"event":"reconnected"}',
    ]
    history.follow("bob", io.BytesIO("\n".join([*lines, '{"schema":1,"ev']).encode())).join(5)
    assert [event["event"] for event in history.events()] == ["ready", *["garbled"] * 5, "reconnected"]
    assert history.events("ready")[0]["file"] == "bob"
    assert len(list(rules.what_clients_say_is_as_promised(history))) == 5
    good.line("bob", lines[3])
    assert len(found(rules.what_clients_say_is_as_promised, good)) == 1


def test_waiting_for_events_ends_at_its_timeout():
    history = History()
    history.add("bob", "ready")
    assert history.wait_for("ready", 1, who="bob")["event"] == "ready"
    with pytest.raises(TooLate):
        history.wait_for("ready", 0.01, count=2)
