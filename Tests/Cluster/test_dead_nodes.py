# SPDX-License-Identifier: Apache-2.0
"""Nodes that die or freeze over a transfer: who is told, how soon, and that everything goes on elsewhere."""

import contextlib
import signal

import pytest

from harness import content, protocol, raw
from harness.pairs import Pair, wait_for_bytes
from harness.redis import wait_until_gone
from harness.trial import refused_code, whole
from harness.waiting import until

# What a client may hear when a node is gone; all of it is tried again (docs/wire-protocol.md, section 4).
PASSING = {"cluster_unavailable", "unavailable", "draining", "sender_gone", "receiver_gone"}

# Row 13 of the fault table: after so many seconds whoever has to do with a frozen node knows.
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


def test_the_receiver_is_told_when_the_senders_node_is_killed(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        with crossing(home, ring) as (pair, offer, download, _, sent):
            t.kill(home)
            # Row 11 of the fault table: the cut is reported within a second, and does not look like an end.
            assert download.how_ended(1) in (raw.TRUNCATED, raw.RESET)
            t.took("bob", offer, sent, download)
            assert pair.receiver.failed(offer.transfer, 1)["code"] in PASSING


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
        # Everybody finds it again.
        for node in t.nodes:
            if node is not dead:
                whole(node, dead, 1 << 20)
                whole(dead, node, 1 << 20)


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


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_frozen_node_is_left_alone_and_does_not_act_on_what_was(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        sending = t.crossing("alice", "bob", home, ring)
        fault = t.fault("frozen", ring.name)
        ring.freeze()
        sending.go_on()
        # Both ends are told, by heartbeats; bob's client finds another node when its own are missed, and the file comes again.
        t.says("alice", "reconnecting", fault, FROZEN)
        t.says("bob", "interrupted", fault, FROZEN)
        t.traffic.through()
        incarnation = t.redis.incarnation(ring.name)
        assert incarnation is None, "a node that does nothing has no presence"
        ring.thaw()
        until(lambda: t.redis.incarnation(ring.name), 15, "it announces itself anew")
        until(lambda: ring.status()["sessions"] == 0, 30, "it has let go of bob's connection", step=0.1)
        whole(home, ring, 1 << 20)
        again = t.traffic.send("alice", "bob", 1 << 20)
        t.traffic.through(again)


def test_a_name_on_two_nodes_is_rung_on_both_and_the_first_to_accept_wins(three):
    one, other, third = three.members()
    bob = protocol.Identity("bob-on-two")
    with one.session(identity=bob, receiving=True) as first, other.session(identity=bob, receiving=True) as second:
        with third.session("alice") as alice:
            for winner, loser in ((first, second), (second, first)):
                offer = alice.offer(bob.name, protocol.pack(v=0, name="file"))
                assert first.ring()["transfer"] == second.ring()["transfer"] == offer.transfer
                assert winner.accept(offer.transfer).role == "download"
                assert loser.failed(offer.transfer)["code"] == "accepted_elsewhere"
                assert refused_code(lambda loser=loser: loser.accept(offer.transfer)) == "unknown_transfer"
                winner.cancel(offer.transfer)
            # Neither was closed over it, and both are still asked.
            assert first.closed is None and second.closed is None
