# SPDX-License-Identifier: Apache-2.0
"""Redis killed, frozen, emptied, or shaken off again and again, in the middle of transfers."""

import re
import threading
import time

import pytest

from harness import protocol, raw
from harness.pairs import Pair, received
from harness.redis import Redis, RedisError
from harness.trial import outcome, works
from harness.waiting import until

# Seconds: rows 16 and 17 of the fault table say two; one more for a busy machine.
REFUSED = 3


def take_away(t, how):
    """Redis dies, or freezes."""
    redis = t.cluster.part("redis")
    t.fault(how, "redis")
    {"killed": redis.kill, "frozen": redis.freeze}[how]()


def give_back(t, how):
    """And is there again: empty when it was killed."""
    redis = t.cluster.part("redis")
    if how == "killed":
        redis.restart()
    else:
        redis.thaw()
    until(t.redis.answers, 10, "Redis answers")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_running_transfers_go_on_and_new_ones_wait_for_redis(trial, how):
    with trial() as t:
        home, ring, third = t.nodes
        t.cluster.balance(home)
        t.traffic.person("carol")
        sending = t.crossing("alice", "bob", home, ring)
        with Pair(third, timeout=30) as local, Pair(home, receiver=ring, timeout=30) as remote:
            take_away(t, how)
            # What needs Redis is refused in words, also at first, when it only seems to be slow.
            for _ in range(2):
                began = time.monotonic()
                assert outcome(remote) == "cluster_unavailable"
                assert time.monotonic() - began < REFUSED
            sending.go_on()
            t.traffic.through(sending)
            assert not t.history.events("reconnecting"), "a transfer that runs does not need Redis"
            # Both halves on one node: nothing is missing.
            local.whole()
            # A client keeps trying until it is back (its node has seen carol, and lets her in without Redis).
            t.cluster.balance(home)
            waiting = t.traffic.send("carol", "bob", 1 << 20)
            t.history.wait_for("reconnecting", 20, who="carol")
            t.cluster.balance(*t.nodes)
            give_back(t, how)
            # Clients that were connected before have full service within five seconds.
            until(lambda: outcome(remote) is None, 5, "a transfer between two nodes", step=0.1)
            # An unknown name may be one that a node has yet to write to Redis again: new names wait for that.
            until(lambda: works(home, ring), 10, "a transfer between new names", step=0.1)
            t.traffic.through(waiting)
        again = t.traffic.send("alice", "bob", 1 << 20)
        t.traffic.through(again)


def accepted(pair):
    """An offer and what it is accepted with; None when a node is connecting to Redis again, and said so."""
    try:
        offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"))
    except protocol.Refused as refusal:
        assert refusal.code == "cluster_unavailable", refusal
        return None
    ring = pair.receiver.next(lambda m: m.get("type") == "ring" and m["transfer"] == offer.transfer, 15, "a ring")
    try:
        return offer, pair.receiver.accept(ring["transfer"])
    except protocol.Refused as refusal:
        assert refusal.code == "cluster_unavailable", refusal
        pair.sender.cancel(offer.transfer)
        return None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["without memory", "a replica"])
def test_a_fault_of_redis_is_not_reported_as_a_clients(trial, how):
    """Redis answers but accepts no writes: clients retry their offers, and deliver them once Redis recovers."""
    begin, end = {
        "without memory": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        "a replica": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    }[how]
    with trial() as t:
        home, ring, _ = t.nodes
        t.cluster.balance(ring)
        t.traffic.receiver("bob")
        t.cluster.balance(home)
        t.traffic.person("alice")
        t.cluster.balance(*t.nodes)
        with Pair(home, receiver=ring, timeout=30) as pair:
            t.fault(how, "redis")

            def begun():
                # A node that has written to a replica looks for another Redis, and accepts no more: as nodes write by
                # themselves, too, the fault may have to begin again.
                t.redis(*begin)
                found = accepted(pair)
                if not found:
                    t.redis(*end)
                return found

            try:
                offer, start = until(begun, 30, "an offer that is accepted", step=1)
                sending = [t.traffic.send("alice", "bob", 1 << 20, deadline=120) for _ in range(3)]
                # A half that arrives at another node than the token's is not found; the token is valid.
                with raw.Connection(ring.address, ring.ca) as download:
                    download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
                    answer = download.answer()
                assert answer.status == 503 and b"cluster_unavailable" in answer.body, answer
                pair.sender.cancel(offer.transfer)
                # An unknown name cannot be told from one that Redis did not store.
                with pytest.raises(protocol.Refused) as refused:
                    pair.sender.lookup("nobody-at-all")
                assert refused.value.code == "cluster_unavailable"
                assert not t.history.events("failed"), t.history.tail()
            finally:
                t.redis(*end)
            t.traffic.through(*sending)
        assert not t.history.events("failed"), t.history.tail()
        blamed = re.compile(r"interrupted it|is gone|quicker|the connection of")
        assert not [each for each in t.history.events() if blamed.search(str(each.get("message")))], t.history.tail()
        until(lambda: works(home, ring), 15, "a transfer between two nodes", step=0.1)


@pytest.mark.slow
def test_an_accept_waits_for_a_frozen_redis_once(trial):
    """Only the token's home waits for Redis, to publish it; the node of the session does not need to."""
    with trial() as t:
        home, ring, _ = t.nodes
        with Pair(home, receiver=ring, timeout=30) as pair:
            offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"))
            pair.receiver.ring()
            # The home renews in the middle of the first wait, and so does not know yet when that is over.
            key = f"{{relay}}:node:{home.name}"
            until(lambda: 13_000 < t.redis("PTTL", key) < 13_400, 5, "a moment between two renewals")
            take_away(t, "frozen")
            began = time.monotonic()
            start = pair.receiver.accept(offer.transfer)
            took = time.monotonic() - began
            give_back(t, "frozen")
            assert start.role == "download" and took < REFUSED, took
            pair.sender.cancel(offer.transfer)
            until(lambda: outcome(pair) is None, 5, "a transfer between two nodes", step=0.1)


@pytest.mark.slow
def test_transfers_survive_an_emptied_redis(trial):
    with trial() as t:
        home, ring, third = t.nodes
        sending = t.crossing("alice", "bob", home, ring)
        before = {key for key, _, _ in t.redis.routes() if not key.startswith("{relay}:token:")}
        with Pair(home, receiver=ring, upload=third, timeout=30) as pair:
            # A token that is unused, and one whose other half waits.
            unused, start = pair.accepted()
            waiting, parked, upload_start = pair.parked()
            t.fault("emptied", "redis")
            t.redis("FLUSHALL")
            until(lambda: before <= {key for key, _, _ in t.redis.routes()}, 5, "everything is announced again")
            assert t.redis("EXISTS", "{relay}:epoch") == 1
            # Tokens whose owners live are as good as before, also where they have to be asked for.
            upload = pair.connect(third)
            status = t.claim("upload", upload, upload_start, "PUT", "Content-Length: 4", "Expect: 100-continue")
            assert status == 100, status
            upload.send(b"body")
            assert received(parked)[1] == b"body"
            t.took("bob", waiting, b"body", parked)
            download = pair.connect(third)
            download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
            assert unused.start().role == "upload"
            for offer in (unused, waiting):
                pair.sender.cancel(offer.transfer)
        sending.go_on()
        t.traffic.through(sending)
        assert not t.history.events("reconnecting")
        # No user was forgotten: all can still log in, and be found.
        again = t.traffic.send("alice", "bob", 1 << 20)
        t.traffic.through(again)


class Shaker:
    """Closes connections to Redis again and again, until it is told to stop."""

    def __init__(self, strike, pause):
        self._strike, self._pause, self._stop, self.struck = strike, pause, threading.Event(), 0
        self._thread = threading.Thread(target=self._shake, daemon=True)

    def _shake(self):
        while not self._stop.wait(self._pause):
            try:
                self.struck += self._strike()
            except (OSError, RedisError):
                continue

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(10)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["kill_subscriptions", pytest.param("kill_commands", marks=pytest.mark.long)])
def test_transfers_survive_redis_connections_that_are_closed_again_and_again(trial, which):
    with trial() as t:
        t.traffic.receiver("bob")
        t.fault("closed in a loop", which)
        # Without subscriptions everything works, a little later; without the others Redis is away, again and again.
        pause = {"kill_subscriptions": 0.1, "kill_commands": 2}[which]
        with Shaker(getattr(t.redis, which), pause) as shaker:
            for _ in range(4):
                t.traffic.through(t.traffic.send("alice", "bob", 1 << 20))
            until(lambda: shaker.struck >= 12, 60, lambda: f"12 connections were closed, not {shaker.struck}")
        # No subscription was lost for good: each node has one, and bells are heard.
        until(lambda: len(t.redis.subscriptions()) == 3, 10, "three subscriptions")
        t.traffic.through(t.traffic.send("alice", "bob", 1 << 20))


@pytest.mark.alone
@pytest.mark.long
def test_a_reset_storm_does_not_keep_a_node_busy(trial):
    with trial() as t, Redis(t.cluster.redis_url) as redis:
        t.fault("reset storm", "redis")
        with Shaker(lambda: redis.kill_subscriptions() + redis.kill_commands(), 0.02) as shaker:
            before = [node.processor_seconds() for node in t.nodes]
            # Ten seconds of it: this is about a rate, so time has to pass.
            threading.Event().wait(10)
            used = [node.processor_seconds() - start for node, start in zip(t.nodes, before, strict=True)]
        assert shaker.struck >= 20, shaker.struck
        # A loop that does not wait would take all of a core; five percent of one is the table's limit.
        assert max(used) < 0.5, used
        until(lambda: len(redis.subscriptions()) == 3, 10, "three subscriptions")


@pytest.mark.long
def test_lost_notifications_only_delay_transfers(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        t.fault("publishing is forbidden", "redis")
        t.redis("ACL", "SETUSER", "default", "-publish")
        try:
            with home.session("alice") as alice:
                bob = protocol.Identity("bob-unheard")
                # First the one, then the other: in both orders a client would have had to be told.
                ring.session(identity=bob).close()
                offer = alice.offer(bob.name, protocol.pack(v=0, name="file"))
                with ring.session(identity=bob, receiving=True) as session:
                    assert session.ring(15)["transfer"] == offer.transfer
                    assert session.accept(offer.transfer).role == "download"
                    session.cancel(offer.transfer)
                    second = alice.offer(bob.name, protocol.pack(v=0, name="file"))
                    assert session.ring(15)["transfer"] == second.transfer
        finally:
            t.redis("ACL", "SETUSER", "default", "+publish")
        until(lambda: works(home, ring), 15, "a transfer between two nodes", step=0.1)


@pytest.mark.slow
def test_repeated_and_reordered_notifications_change_nothing(trial):
    with trial() as t:
        home, ring, _ = t.nodes
        with t.redis.messages() as bells:
            # A receiver who comes late is what bells are for.
            t.traffic.person("bob")
            t.cluster.balance(home)
            sending = t.traffic.send("alice", "bob", 1 << 20)
            t.history.wait_for("waiting", 30, file=sending.file)
            t.cluster.balance(ring)
            t.traffic.receiver("bob")
            t.traffic.through(sending)
            t.cluster.balance(*t.nodes)
            heard = list(bells.seen)
        assert any(b'"receiving"' in payload for _, payload in heard), heard
        receiving = len(t.history.events("received"))
        t.fault("repeated", f"{len(heard)} messages")
        for _ in range(3):
            for channel, payload in reversed(heard):
                t.redis("PUBLISH", channel, payload)
        with t.redis.messages() as bells:
            t.traffic.through(t.traffic.send("alice", "bob", 1 << 20))
            for channel, payload in reversed(list(bells.seen)):
                t.redis("PUBLISH", channel, payload)
        assert len(t.history.events("received")) == receiving + 1
