# SPDX-License-Identifier: Apache-2.0
"""A node whose clock is an hour off: nothing expires at once, and nothing lives an hour longer."""

import glob

import pytest

from harness import raw
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.trial import whole
from harness.waiting import until


def clock(shift):
    """An environment in which it is earlier or later, except for the monotonic clock."""
    found = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    assert found, "libfaketime is missing: scripts/require libfaketime installs it"
    return {"LD_PRELOAD": found[0], "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.mark.long
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
    before = redis.incarnation("n2")
    for one, other in ((right, wrong), (wrong, right)):
        whole(one, other, 1 << 20)
        with Pair(one, receiver=other) as pair:
            # A token of each is good on the other one.
            _, start = pair.accepted()
            with raw.Connection(one.address, one.ca) as download:
                download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
                assert download.how_ended(0.3) == raw.OPEN
    for key, node, _ in redis.routes():
        left = redis("PTTL", key)
        assert 0 < left <= 60_000 or left == -2, (key, node, left)
    # Longer than a presence lives without being renewed.
    deadline = redis("TIME")
    until(lambda: int(redis("TIME")[0]) - int(deadline[0]) >= 16, 30, "16 s have passed", step=0.2)
    assert redis.incarnation("n2") == before
    whole(right, wrong, 1 << 20)
    redis.close()
    for node in (right, wrong):
        assert node.stop() == 0
