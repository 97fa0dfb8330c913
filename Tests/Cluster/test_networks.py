# SPDX-License-Identifier: Apache-2.0
"""Nodes on networks of their own, and the network between them, or to Redis, breaks."""

import re

import pytest

from harness import protocol, raw
from harness.history import History
from harness.history_rules import check_history
from harness.network import Network
from harness.nodes import Nodes
from harness.pairs import Pair, wait_for_bytes
from harness.traffic import MiB, Traffic
from harness.trial import outcome, refused_code, whole, works
from harness.waiting import background, until

NAMES = ("n1", "n2", "n3")
# In a network of its own everybody can have the same ports.
REDIS = 6379


class Machines(Nodes):
    """Three nodes and Redis, each on a machine of its own: Redis, and the test, are where the bridge is."""

    def __init__(self, binaries, folder, network):
        ports = iter((REDIS, *(port for _ in NAMES for port in (8443, 8444))))
        self.network = network
        places = {name: network.host(name) for name in NAMES}
        super().__init__(
            binaries, folder, NAMES, hosts=[address for address, _ in places.values()], redis_host=network.here,
            reserve=lambda: next(ports),
        )
        self.redis = self.start_redis()
        for name, (address, prefix) in places.items():
            self.start(name, address, prefix=prefix)
        until(lambda: all(self.redis.incarnation(name) for name in NAMES), 15, "all nodes are announced")


@pytest.fixture
def machines(binaries, tmp_path):
    """They are gone, and so is the network, when the test ends."""
    with Network(tmp_path) as network:
        made = Machines(binaries, tmp_path / "machines", network)
        yield made
        made.redis.close()
        for node in made.nodes:
            node.process.kill()


def across(pair):
    """What becomes of an offer across a cut. A new link is tried for five seconds, an old one may be lost first."""
    offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"), wait=False)
    return refused_code(lambda: offer.start(11))


@pytest.mark.parametrize(
    "both", [True, pytest.param(False, marks=pytest.mark.long)], ids=["both ways", "one way"]
)
def test_the_link_between_two_nodes_is_cut(machines, both):
    one, other, third = machines.nodes
    for pair in ((one, other), (other, one), (one, third)):
        whole(*pair, MiB)
    with Pair(one, receiver=other, timeout=40) as cut, Pair(one, receiver=third) as around, Pair(other) as local:
        offer, download, upload = cut.flowing(50_000_000)
        upload.send(b"x" * 1_000_000)
        download.head()
        wait_for_bytes(download, 500_000)
        machines.network.cut("n1", "n2", both=both)
        # What crossed the cut comes to an end on both sides, within the 15 s after which TCP gives up.
        pushing = background(upload.send, b"x" * 20_000_000)
        assert cut.sender.failed(offer.transfer, 20)["code"] in ("cluster_unavailable", "receiver_gone")
        assert cut.receiver.failed(offer.transfer, 20)["code"] in ("cluster_unavailable", "sender_gone")
        assert download.how_ended(20) in (raw.TRUNCATED, raw.RESET)
        pushing.result(20)
        # New ones across it are refused in words; everything else goes on.
        assert across(cut) == "cluster_unavailable"
        assert outcome(around) is None
        assert outcome(local) is None
        machines.network.heal()
        until(lambda: outcome(cut) is None, 20, "it heals by itself", step=0.1)
    whole(one, other, MiB)


def test_clients_wait_until_the_link_is_back(machines, tmp_path):
    one, other, _ = machines.nodes
    history = History()
    at_one, at_other = Traffic(one, tmp_path, history), Traffic(other, tmp_path, history)
    at_other.receiver("bob")
    at_one.people["bob"] = at_other.person("bob")
    at_one.receivers = at_other.receivers
    sending = at_one.send("alice", "bob", 96 * MiB)
    sending.held()
    machines.network.cut("n1", "n2")
    sending.go_on()
    history.wait_for("reconnecting", 30, who="alice")
    machines.network.heal()
    at_one.through()
    at_other.stop()
    check_history(history)


@pytest.mark.long
def test_one_node_cannot_reach_redis(machines):
    one, other, third = machines.nodes
    alice = protocol.Identity("alice-of-n1")
    one.session(identity=alice).close()
    with Pair(one) as local:
        machines.network.cut_from_here("n1", REDIS)
        until(lambda: machines.redis.incarnation("n1") is None, 20, "its presence runs out", step=0.2)
        # It degrades alone: what is only its own goes on, and the others do not miss it.
        assert outcome(local) is None
    whole(other, third, MiB)
    with other.session("bob", receiving=True) as bob, protocol.Session(one, alice).login() as alice:
        # Somebody it knows is let in, and told that it cannot say who is elsewhere.
        code = refused_code(lambda: alice.offer(bob.identity.name, protocol.pack(v=0, name="file"), wait=False))
        assert code == "cluster_unavailable"
        machines.network.heal()
        until(lambda: machines.redis.incarnation("n1"), 10, "it is announced again")
        offer = alice.offer(bob.identity.name, protocol.pack(v=0, name="file"))
        assert bob.ring()["transfer"] == offer.transfer
    until(lambda: works(one, other), 10, "a transfer between two nodes", step=0.1)


def test_redis_is_behind_a_wall_of_resets(machines):
    one, other, _ = machines.nodes
    whole(one, other, MiB)
    with Pair(one) as local:
        machines.network.cut_from_here("n1", REDIS, verdict="counter reject with tcp reset")
        assert outcome(local) is None
    # It tries again, each time a little later (the first two were its connections).
    until(lambda: machines.network.hits() >= 8, 30, lambda: f"some attempts, not {machines.network.hits()}", step=0.1)
    machines.network.heal()
    until(lambda: len(machines.redis.subscriptions()) == len(NAMES), 10, "every node listens again")
    until(lambda: works(one, other), 10, "a transfer between two nodes", step=0.1)


@pytest.mark.long
def test_a_subscription_that_is_silently_dead_is_noticed(machines):
    one, other, _ = machines.nodes
    listed = machines.redis("CLIENT", "LIST", "TYPE", "pubsub").decode()
    address = machines.network.address("n1")
    found = re.search(rf"^id=(\d+) addr={re.escape(address)}:(\d+) ", listed, re.MULTILINE)
    assert found, listed
    machines.network.cut_from_here("n1", REDIS, source_port=found[2])

    def renewed():
        now = machines.redis("CLIENT", "LIST", "TYPE", "pubsub").decode()
        ports = re.findall(rf" addr={re.escape(address)}:(\d+) ", now)
        return any(port != found[2] for port in ports)

    # Row 20 of the fault table: noticed within ten seconds, by the node's own beat.
    until(renewed, 12, "a new subscription", step=0.1)
    with other.session("alice") as alice:
        bob = protocol.Identity("bob-of-n1")
        one.session(identity=bob).close()
        offer = alice.offer(bob.name, protocol.pack(v=0, name="file"))
        with one.session(identity=bob, receiving=True) as session:
            assert session.ring()["transfer"] == offer.transfer
