# SPDX-License-Identifier: Apache-2.0
"""A node whose clock is an hour off, or is set: nothing expires at once, and nothing lives an hour longer."""

import contextlib
import time

import pytest

from harness import raw
from harness.clocks import PREFIX, Clock, clock
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.trial import Trial, whole
from harness.waiting import until


@contextlib.contextmanager
def off_by(shift, binaries, tmp_path, environment=None):
    """A node with the right time, and one with another: (trial, right, wrong)."""
    # A certificate from the future is refused, rightly: these are some hours old.
    nodes = Nodes(binaries, tmp_path / "nodes", ("n1", "n2"), making=clock("-3h"))
    redis = nodes.start_redis()
    right = nodes.start("n1")
    wrong = nodes.start(
        "n2",
        prefix=PREFIX,
        environment=environment or clock(shift),
    )
    until(lambda: redis.incarnation("n1") and redis.incarnation("n2"), 10, "both are announced")
    with Trial(nodes, tmp_path) as t:
        yield t, right, wrong
    redis.close()
    for node in (right, wrong):
        assert node.stop() == 0


def tokens_of_both(pairs, one, other):
    """Each node is the home of a token that the other one is shown; returns a token that is unused."""
    whole(one, other, 1 << 20)
    pair = pairs.enter_context(Pair(one, receiver=other))
    # A token of each is good on the other one: only then the sender is told to begin.
    offer, _, _ = pair.parked()
    pair.sender.cancel(offer.transfer)
    return pair.accepted()[1]


def assert_lives(redis):
    """No key of a node is for longer than a token's life, and none is forever."""
    found = redis.routes()
    for key, node, _ in found:
        left = redis("PTTL", key)
        assert 0 < left <= 60_000 or left == -2, (key, node, left)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shift", ["-1h", "+1h"])
def test_a_token_is_good_on_a_node_with_a_wrong_clock(binaries, tmp_path, shift):
    with off_by(shift, binaries, tmp_path) as (t, right, wrong), contextlib.ExitStack() as pairs:
        for one, other in ((right, wrong), (wrong, right)):
            tokens_of_both(pairs, one, other)
        # What the wrong one has written lives as long as what the right one has.
        tokens = {node for key, node, _ in assert_lives(t.redis) if key.startswith("{relay}:token:")}
        assert tokens == {"n1", "n2"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "jump",
    [
        {"hours": 1},
        pytest.param({"hours": -1}, marks=pytest.mark.long),
        pytest.param({"days": 60}, marks=pytest.mark.long),
    ],
    ids=str,
)
def test_a_node_whose_clock_is_set_stays_what_it_was(binaries, tmp_path, jump):
    own = Clock(tmp_path)
    with off_by(None, binaries, tmp_path, own.environment) as (t, right, wrong), contextlib.ExitStack() as pairs:
        before = t.redis.incarnation("n2")
        waiting = [pairs.enter_context(Pair(one, receiver=other)) for one, other in ((right, wrong), (wrong, right))]
        parked = [(pair, *pair.parked()) for pair in waiting]
        begin = time.monotonic()
        own.set(**jump)
        # Tokens of before, each at the other node.
        for pair, offer, download, start in parked:
            upload = pair.connect()
            upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 5"))
            upload.send(b"later")
            assert download.head().status == 200 and upload.answer(method="PUT").status == 200
            pair.receiver.delivered(offer.transfer, 5, "0" * 64)
            assert offer.delivered(5)["size"] == 5
        whole(right, wrong, 1 << 20)
        whole(wrong, right, 1 << 20)
        assert_lives(t.redis)
        # A presence that was not renewed would be gone after 15 s.
        until(lambda: time.monotonic() - begin > 16, 20, "16 s have passed", step=0.2)
        assert t.redis.incarnation("n2") == before
        tokens_of_both(pairs, wrong, right)
        own.set()
        whole(wrong, right, 1 << 20)


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("shift", ["-1h", "+1h"])
def test_tokens_and_routes_live_as_long_on_a_node_with_a_wrong_clock(binaries, tmp_path, shift):
    with off_by(shift, binaries, tmp_path) as (t, right, wrong), contextlib.ExitStack() as pairs:
        before = t.redis.incarnation("n2")
        spares = [tokens_of_both(pairs, *nodes) for nodes in ((right, wrong), (wrong, right))]
        minted = time.monotonic()
        assert_lives(t.redis)
        # A token lives 60 s, and a presence 15 s without being renewed.
        until(lambda: time.monotonic() - minted > 61, 65, "61 s have passed", step=0.2)
        for spare in spares:
            for node in (right, wrong):
                with raw.Connection(node.address, node.ca) as download:
                    assert t.claim("late", download, spare, "GET") == 403
        assert t.redis.incarnation("n2") == before
        whole(right, wrong, 1 << 20)
