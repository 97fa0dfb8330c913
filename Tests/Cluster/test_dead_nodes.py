# SPDX-License-Identifier: Apache-2.0
"""Nodes that die or freeze over a transfer: who is told, how soon, and that everything goes on elsewhere."""

import contextlib
import functools
import signal

import pytest

from harness import content, protocol, raw
from harness.pairs import Pair, wait_for_bytes
from harness.redis import wait_until_gone
from harness.trial import refused_code, whole, works
from harness.waiting import Deadline, background, until

# What a client may hear when a node is gone; all of it is tried again (docs/wire-protocol.md, section 4).
PASSING = {"cluster_unavailable", "unavailable", "draining", "sender_gone", "receiver_gone"}

# Row 13 of the fault table: after so many seconds all peers of a frozen node know.
FROZEN = 20


@contextlib.contextmanager
def crossing(one, other):
    """A raw transfer in the middle: sender and upload on the one node, receiver and download on the other."""
    with Pair(one, receiver=other) as pair:
        offer, download, upload = pair.flowing(50_000_000)
        sent = content.data("crossing", 1_000_000)
        upload.send(sent)
        assert download.head().status == 200
        wait_for_bytes(download, len(sent))
        yield pair, offer, download, upload, sent


@pytest.mark.slow
def test_the_receiver_is_told_when_the_senders_node_is_killed(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        with crossing(home, ring) as (pair, offer, download, _, sent):
            t.kill(home)
            # Row 11 of the fault table: the cut is reported within a second, and does not look like an end.
            assert download.how_ended(1) in (raw.TRUNCATED, raw.RESET)
            t.took("bob", offer, sent, download)
            assert pair.receiver.failed(offer.transfer, 1)["code"] in PASSING


@pytest.mark.slow
def test_the_sender_is_told_when_the_receivers_node_is_killed(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        with crossing(home, ring) as (pair, offer, download, upload, sent):
            t.kill(ring)
            # Row 12: an answer that can be read, or the word on the control connection; both within a second.
            failed = pair.sender.failed(offer.transfer, 1)
            assert failed["code"] in PASSING, failed
            answer = upload.answer(method="PUT", timeout=1)
            assert answer is None or answer.status in (502, 503), answer
            t.took("bob", offer, sent, download)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["home", pytest.param("ring", marks=pytest.mark.long)])
def test_clients_go_on_when_their_node_is_killed(trial, which):
    with trial() as t:
        home, ring, _ = t.nodes
        dead = {"home": home, "ring": ring}[which]
        sending = t.crossing("alice", "bob", home, ring)
        incarnation = t.kill(dead)
        fault = t.history.events("fault")[-1]
        sending.go_on()
        t.goes_on(sending, fault, 5)
        t.traffic.through()
        wait_until_gone(t.redis, dead.name, incarnation)
        dead.restart()
        # All clients find it again.
        for node in t.nodes:
            if node is not dead:
                whole(node, dead, 1 << 20)
                whole(dead, node, 1 << 20)


@pytest.mark.slow
def test_clients_go_on_when_a_node_that_only_carried_bytes_is_killed(trial):
    with trial() as t:
        home, ring, carrier = t.nodes
        t.cluster.balance(ring)
        receiving = t.traffic.receiver("bob")
        receiving.signal(signal.SIGSTOP)
        t.cluster.balance(home)
        sending = t.traffic.send("alice", "bob", 96 << 20)
        t.history.wait_for("ringing", 30, file=sending.file)
        t.cluster.balance(carrier)
        receiving.signal(signal.SIGCONT)
        sending.held()
        t.cluster.balance(*t.nodes)
        t.kill(carrier)
        fault = t.history.events("fault")[-1]
        sending.go_on()
        t.goes_on(sending, fault, 5)
        t.traffic.through()


@pytest.mark.slow
def test_the_sender_is_told_when_the_receivers_node_is_frozen(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        with crossing(home, ring) as (pair, offer, download, upload, sent):
            t.fault("frozen", ring.name)
            ring.freeze()
            told = Deadline(FROZEN)
            code = told.seen("sender", pair.sender.failed(offer.transfer, told.left())["code"])
            assert code in PASSING
            assert told.seen("upload", upload.answer(told.left(), "PUT").status) in (502, 503, 504)
            ring.thaw()
            # What it still held of the transfer comes to nothing.
            assert pair.receiver.failed(offer.transfer, 10)["code"] in PASSING
            assert download.how_ended(10) in (raw.TRUNCATED, raw.RESET)
            t.took("bob", offer, sent, download)
        until(lambda: works(home, ring) and works(ring, home), 10, "transfers between the two", step=0.1)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_clients_go_on_while_their_node_is_frozen(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        sending = t.crossing("alice", "bob", home, ring)
        fault = t.fault("frozen", ring.name)
        ring.freeze()
        sending.go_on()
        # Missed heartbeats tell both ends: bob's client connects to another node, and the file is sent again.
        t.says("alice", "reconnecting", fault, FROZEN)
        t.says("bob", "interrupted", fault, FROZEN)
        t.traffic.through()
        assert t.redis.incarnation(ring.name) is None, "a node that does nothing has no presence"
        ring.thaw()
        until(lambda: t.redis.incarnation(ring.name), 15, "it announces itself anew")
        until(lambda: ring.status()["sessions"] == 0, 30, "it has let go of bob's connection", step=0.1)
        whole(home, ring, 1 << 20)
        again = t.traffic.send("alice", "bob", 1 << 20)
        t.traffic.through(again)


def offered(sender, receiver):
    """The Offer, or None while the node is not sure of its place in the cluster."""
    try:
        return sender.offer(receiver.name, protocol.pack(v=0, name="file"))
    except protocol.Refused as error:
        assert error.code == "cluster_unavailable", error
        return None


@pytest.mark.long
def test_a_node_that_was_frozen_does_not_act_on_old_state(trial):
    with trial() as t, contextlib.ExitStack() as stack:
        home, ring, third = t.nodes
        bob = protocol.Identity("bob-on-ice")
        stale = ring.session(identity=bob, receiving=True)
        there, back = (stack.enter_context(Pair(one, receiver=other)) for one, other in ((home, ring), (ring, home)))
        # Unused tokens: the home of the one stays awake, that of the other freezes.
        life = Deadline(60)
        tokens = {"of another": there.accepted()[1], "its own": back.accepted()[1]}
        t.fault("frozen", ring.name)
        incarnation = t.redis.incarnation(ring.name)
        ring.freeze()
        # Who waits for it elsewhere is told; bob leaves it, which it does not see.
        told = Deadline(FROZEN)
        for session, name in ((there.sender, "of another"), (back.receiver, "its own")):
            assert told.seen(name, session.failed(tokens[name].transfer, told.left())["code"]) in PASSING
        leaving = background(stale.close)
        wait_until_gone(t.redis, ring.name, incarnation)
        leaving.exception(15)
        elsewhere = stack.enter_context(third.session(identity=bob, receiving=True))
        # The first thing it hears when it goes on is what was good when it froze.
        asked = {name: background(raw.Connection, ring.address, ring.ca) for name in tokens}
        ring.thaw()
        for name, token in tokens.items():
            with asked[name].result(15) as connection:
                # 503: it does not know better before it has its place in Redis again.
                status = life.seen(f"token {name}", t.claim(name, connection, token, "GET"))
                assert status in (403, 503), (name, status)
        # Not because of their age, nor because those who have them had left.
        assert life.passed() < 55
        assert back.sender.closed is None and there.receiver.closed is None
        # Bob is where he is now, also for who asks at the node that had him.
        for alice in (there.sender, back.sender):
            offer = until(lambda alice=alice: offered(alice, bob), 10, "an offer is taken", step=0.1)
            assert elsewhere.ring()["transfer"] == offer.transfer
            assert elsewhere.accept(offer.transfer).role == "download"
            elsewhere.cancel(offer.transfer)
        routes = f"{{relay}}:receiving:{bob.name}:*"
        until(lambda: t.redis.keys(routes) == [routes[:-1] + third.name], 10, "he is on one node", step=0.1)
        until(lambda: t.redis.incarnation(ring.name), 15, "it announces itself anew")

        def refused(name):
            with raw.Connection(ring.address, ring.ca) as connection:
                return t.claim(name, connection, tokens[name], "GET") == 403

        for name in tokens:
            until(lambda name=name: refused(name), 10, f"the token {name} is unknown", step=0.2)
        whole(home, ring, 1 << 20)


def test_a_name_on_two_nodes_is_rung_on_both_and_the_first_to_accept_wins(three):
    one, other, third = three.members()
    bob = protocol.Identity("bob-on-two")
    with (
        one.session(identity=bob, receiving=True) as first,
        other.session(identity=bob, receiving=True) as second,
        third.session("alice") as alice,
    ):
        for winner, loser in ((first, second), (second, first)):
            offer = alice.offer(bob.name, protocol.pack(v=0, name="file"))
            assert first.ring()["transfer"] == second.ring()["transfer"] == offer.transfer
            assert winner.accept(offer.transfer).role == "download"
            assert loser.failed(offer.transfer)["code"] == "accepted_elsewhere"
            assert refused_code(functools.partial(loser.accept, offer.transfer)) == "unknown_transfer"
            winner.cancel(offer.transfer)
        # Neither was closed over it, and both are still asked.
        assert first.closed is None and second.closed is None
