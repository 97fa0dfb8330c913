# SPDX-License-Identifier: Apache-2.0
"""Nodes on networks of their own, and the network between them, or to Redis, breaks."""

import re

import pytest

from harness import content, protocol, raw
from harness.content import MiB
from harness.network import Network
from harness.nodes import Nodes
from harness.pairs import Pair, wait_for_bytes
from harness.trial import Trial, outcome, refused_code, whole, works
from harness.waiting import Deadline, background, until

NAMES = ("n1", "n2", "n3")
# In networks of their own, all nodes can have the same ports.
REDIS = 6379
# Within 5 s of the fault, and 2 s for a busy machine.
TOLD = 7
# What an upload or a download is answered that has to do with a node out of reach.
GATEWAY = (502, 503, 504)


class Machines(Nodes):
    """Three nodes and Redis, each on a machine of its own: Redis, and the test, are where the bridge is."""

    def __init__(self, binaries, folder, network):
        ports = iter((REDIS, *(port for _ in NAMES for port in (8443, 8444))))
        self.network = network
        places = {name: network.host(name) for name in NAMES}
        super().__init__(
            binaries,
            folder,
            NAMES,
            hosts=[address for address, _ in places.values()],
            redis_host=network.here,
            reserve=lambda: next(ports),
        )
        self.redis = self.start_redis()
        for name, (address, prefix) in places.items():
            self.start(name, address, prefix=prefix)
        until(lambda: all(self.redis.incarnation(name) for name in NAMES), 15, "all nodes are announced")


class NetworkTrial(Trial):
    """A Trial on machines of one network."""

    network: Network


@pytest.fixture
def trial(binaries, tmp_path):
    """Everything watched on three machines, which are gone, and so is the network, when the test ends."""
    with Network(tmp_path) as network:
        made = Machines(binaries, tmp_path / "m", network)
        with NetworkTrial(made, tmp_path) as t:
            t.network = network
            yield t
        made.redis.close()
        for node in made.nodes:
            node.process.kill()


def across(pair, timeout=TOLD):
    """What becomes of an offer across a cut."""
    offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"), wait=False)
    return refused_code(lambda: offer.start(timeout))


@pytest.mark.slow
@pytest.mark.parametrize("both", [True, pytest.param(False, marks=pytest.mark.long)], ids=["both ways", "one way"])
def test_both_sides_are_told_when_the_link_between_their_nodes_is_cut(trial, both):
    one, other, third = trial.nodes
    with Pair(one, receiver=other, timeout=40) as cut, Pair(one, receiver=third) as around, Pair(other) as local:
        unclaimed, token = cut.accepted()
        offer, download, upload = cut.flowing(50_000_000)
        sent = content.data("cut", 21_000_000)
        upload.send(sent[:1_000_000])
        download.head()
        wait_for_bytes(download, 500_000)
        late = cut.connect(other)
        trial.fault("cut", "n1 and n2")
        trial.network.cut("n1", "n2", both=both)
        told = Deadline(TOLD)
        # Row 14 of the fault table: everything that waits across the cut is told, on both sides, and all of them
        # before one deadline that counts from the cut.
        pushing = background(lambda: upload.send(sent[1_000_000:]) and told.seen("pushed", upload.sent))
        answer = background(lambda: pushing.result() and told.seen("upload", upload.answer(told.left(), "PUT").status))
        end = background(lambda: told.seen("download", download.how_ended(told.left())))
        # The home of the token is across the cut.
        claim = background(lambda: told.seen("claim", trial.claim("bob", late, token, "GET")))
        # A new offer is refused in words, also while the cut is news.
        assert told.seen("offer", across(cut, told.left())) == "cluster_unavailable"
        for session, gone in ((cut.sender, "receiver_gone"), (cut.receiver, "sender_gone")):
            for each in (offer.transfer, unclaimed.transfer):
                code = told.seen(f"{gone} {each}", session.failed(each, told.left())["code"])
                assert code in {"cluster_unavailable", gone}
        assert answer.result(told.left()) in GATEWAY
        assert claim.result(told.left()) in GATEWAY
        assert end.result(told.left()) in (raw.TRUNCATED, raw.RESET)
        trial.took("bob", offer, sent, download)
        assert across(cut) == "cluster_unavailable"
        # Everything else goes on.
        assert outcome(around) is None
        assert outcome(local) is None
        trial.network.heal()
        until(lambda: outcome(cut) is None, 20, "it heals by itself", step=0.1)
    whole(one, other, MiB)


@pytest.mark.slow
def test_clients_wait_until_the_link_is_back(trial):
    one, other, _ = trial.nodes
    trial.traffic.person("alice", at=one)
    trial.traffic.person("bob", at=other)
    trial.traffic.receiver("bob")
    sending = trial.traffic.send("alice", "bob", 96 * MiB)
    sending.held()
    trial.fault("cut", "n1 and n2")
    trial.network.cut("n1", "n2")
    sending.go_on()
    trial.history.wait_for("reconnecting", 30, who="alice")
    trial.network.heal()
    trial.traffic.through()


@pytest.mark.long
def test_a_node_without_redis_serves_its_own_clients_and_recovers(trial):
    one, other, third = trial.nodes
    alice = protocol.Identity("alice-of-n1")
    one.session(identity=alice).close()
    with Pair(one) as local:
        trial.fault("unreachable", "redis from n1")
        trial.network.cut_from_here("n1", REDIS)
        until(lambda: trial.redis.incarnation("n1") is None, 20, "its presence runs out", step=0.2)
        # It degrades alone: what is only its own goes on, and the others do not miss it.
        assert outcome(local) is None
    whole(other, third, MiB)
    with other.session("bob", receiving=True) as bob, protocol.Session(one, alice).login() as here:
        # A known user can log in, and is told that the node cannot look up users elsewhere.
        code = refused_code(lambda: here.offer(bob.identity.name, protocol.pack(v=0, name="file"), wait=False))
        assert code == "cluster_unavailable"
        trial.network.heal()
        until(lambda: trial.redis.incarnation("n1"), 10, "it is announced again")
        offer = here.offer(bob.identity.name, protocol.pack(v=0, name="file"))
        assert bob.ring()["transfer"] == offer.transfer
    until(lambda: works(one, other), 10, "a transfer between two nodes", step=0.1)


@pytest.mark.slow
def test_a_node_whose_redis_connections_are_reset_recovers(trial):
    one, other, _ = trial.nodes
    whole(one, other, MiB)
    with Pair(one) as local:
        trial.fault("reset", "redis from n1")
        trial.network.cut_from_here("n1", REDIS, verdict="counter reject with tcp reset")
        assert outcome(local) is None
    # It tries again, each time a little later (the first two were its connections).
    until(lambda: trial.network.hits() >= 8, 30, lambda: f"some attempts, not {trial.network.hits()}", step=0.1)
    trial.network.heal()
    until(lambda: len(trial.redis.subscriptions()) == len(NAMES), 10, "every node listens again")
    until(lambda: works(one, other), 10, "a transfer between two nodes", step=0.1)


@pytest.mark.long
def test_a_subscription_that_is_silently_dead_is_noticed(trial):
    one, other, _ = trial.nodes
    listed = trial.redis("CLIENT", "LIST", "TYPE", "pubsub").decode()
    address = trial.network.address("n1")
    found = re.search(rf"^id=(\d+) addr={re.escape(address)}:(\d+) ", listed, re.MULTILINE)
    assert found, listed
    trial.fault("silent", "subscription of n1")
    trial.network.cut_from_here("n1", REDIS, source_port=found[2])

    def renewed():
        now = trial.redis("CLIENT", "LIST", "TYPE", "pubsub").decode()
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
