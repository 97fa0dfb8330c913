# SPDX-License-Identifier: Apache-2.0
"""Nodes with a --public-url: the sender's bytes go straight to the node that has the receiver, and no hop happens."""

import pytest

from harness import content, metrics
from harness.nodes import Nodes
from harness.pairs import Pair
from harness.waiting import until

SEES = {"RELAY_METRICS_LISTEN": "127.0.0.1:0"}


@pytest.fixture
def nodes(binaries, tmp_path):
    """Makes two nodes that see each other: `nodes(steers=True)`."""
    made = Nodes(binaries, tmp_path / "nodes", ("n1", "n2"))
    redis = made.start_redis()

    def make(**options):
        both = [made.start(name, environment=SEES, **options) for name in ("n1", "n2")]
        until(lambda: all(redis.incarnation(node.name) for node in both), 10, "both are announced")
        return both

    yield make
    redis.close()


def streams(nodes, to):
    """How many streams were sent on to a receiver, or to a node."""
    return sum(metrics.scrape(metrics.port_of(node))[f'relay_streams_total{{to="{to}"}}'] for node in nodes)


def test_a_sender_is_told_where_the_receiver_is(nodes, tmp_path):
    home, ring = nodes(steers=True)
    with Pair(home, receiver=ring) as pair:
        offer, _, start = pair.parked()
        assert start.path == f"{ring.url}/upload"
        pair.sender.cancel(offer.transfer)
    alice, bob = home.person("alice", tmp_path), ring.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "steered", 3_000_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "file") == digest
    assert streams((home, ring), "receiver") == 1 and streams((home, ring), "node") == 0


def test_without_a_public_url_the_bytes_take_a_hop(nodes, tmp_path):
    home, ring = nodes()
    with Pair(home, receiver=ring) as pair:
        offer, _, start = pair.parked()
        assert start.path == "/upload"
        pair.sender.cancel(offer.transfer)
    alice, bob = home.person("alice", tmp_path), ring.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(b"hop")
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 5)
    assert streams((home, ring), "receiver") == 1 and streams((home, ring), "node") == 1
