# SPDX-License-Identifier: Apache-2.0
"""A node whose clock is an hour off: nothing expires at once, and nothing lives an hour longer."""

import contextlib
import glob
import time

import pytest

from harness import raw
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.trial import Trial, whole
from harness.waiting import until


def clock(shift):
    """An environment in which it is earlier or later, except for the monotonic clock."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/require libfaketime installs it"
    return {"LD_PRELOAD": found[0], "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("shift", ["-1h", "+1h"])
def test_tokens_and_routes_live_as_long_on_a_node_with_a_wrong_clock(binaries, tmp_path, shift):
    # A certificate from the future is refused, rightly: these are some hours old.
    nodes = Nodes(binaries, tmp_path / "nodes", ("n1", "n2"), making=clock("-3h"))
    redis = nodes.start_redis()
    right = nodes.start("n1")
    # libfaketime changes the environment when it is loaded, after which Swift's runtime does not find the command line;
    # loaded once before, into a process that becomes the node, it finds everything as it wants it.
    wrong = nodes.start(
        "n2",
        prefix=("nice", "-n", "0"),
        environment=clock(shift),
    )
    until(lambda: redis.incarnation("n1") and redis.incarnation("n2"), 10, "both are announced")
    with Trial(nodes, tmp_path) as t, contextlib.ExitStack() as pairs:
        before = redis.incarnation("n2")
        spares = []
        for one, other in ((right, wrong), (wrong, right)):
            whole(one, other, 1 << 20)
            pair = pairs.enter_context(Pair(one, receiver=other))
            # A token of each is good on the other one: only then the sender is told to begin.
            offer, _, _ = pair.parked()
            pair.sender.cancel(offer.transfer)
            # Another one nobody shows while it is good.
            spares.append(pair.accepted()[1])
        minted = time.monotonic()
        for key, node, _ in redis.routes():
            left = redis("PTTL", key)
            assert 0 < left <= 60_000 or left == -2, (key, node, left)
        # A token lives 60 s, and a presence 15 s without being renewed.
        until(lambda: time.monotonic() - minted > 61, 65, "61 s have passed", step=0.2)
        for spare in spares:
            for node in (right, wrong):
                with raw.Connection(node.address, node.ca) as download:
                    assert t.claim("late", download, spare, "GET") == 403
        assert redis.incarnation("n2") == before
        whole(right, wrong, 1 << 20)
    redis.close()
    for node in (right, wrong):
        assert node.stop() == 0
