# SPDX-License-Identifier: Apache-2.0
"""Requests between clients on different nodes: the same as on one (Tests/Conformance)."""

import os
import time

import pytest

from harness import protocol
from harness.protocol import b64
from harness.redis import Redis
from harness.waiting import background, until


def shared(three, *names):
    """Waits until others can find out that sessions of these names share."""
    with Redis(three.redis_url) as redis:
        for name, node in names:
            until(lambda name=name, node=node: redis("GET", f"{{relay}}:sharing:{name}:{node}"), 5, f"{name} is found")


def answer_code(session, request, to):
    """The code that an offer in answer to a request is refused with, or fails with."""
    try:
        offer = session.offer(to, protocol.pack(v=0), request=request)
    except protocol.Refused as refused:
        return refused.code
    return session.failed(offer.transfer)["code"]


def test_sharers_on_all_nodes_hear_it_and_each_may_answer(three):
    first, second, third = three.members()
    with (
        first.session("alice") as alice,
        second.session("bob").share() as laptop,
        third.session(identity=laptop.identity).share() as desktop,
        second.session(identity=alice.identity, receiving=True) as phone,
        third.session("carol").share() as carol,
    ):
        name = laptop.identity.name
        shared(three, (name, second.name), (name, third.name))
        payload = b64(os.urandom(32_768))
        request = alice.request(name, payload)
        for session in (laptop, desktop):
            heard = session.requested()
            assert (heard["request"], heard["payload"], heard["from"]) == (request, payload, alice.identity.name)
            assert heard["key"] == alice.identity.key
        desktop.refuse(request, alice.identity.name)
        assert alice.refused(request) == "not_shared"
        # It rings the session that asks, which does not receive, and no other.
        for session in (laptop, desktop):
            offer = session.offer(alice.identity.name, protocol.pack(v=0), request=request)
            ring = alice.ring()
            assert (ring["request"], ring["transfer"]) == (request, offer.transfer)
        alice.accept(offer.transfer)
        for session in (phone, carol):
            assert session.ask("ping")["type"] == "pong"
            assert not [each for each in session._arrived if each["type"] in ("ring", "requested")]
        assert answer_code(carol, request, alice.identity.name) == "unknown_request"
        alice.withdraw(request)
        until(lambda: answer_code(laptop, request, alice.identity.name) == "unknown_request", 5, "it is over")


def test_a_request_ends_with_its_session_on_every_node(three):
    first, second, _ = three.members()
    with second.session("bob").share() as bob:
        alice = first.session("alice")
        shared(three, (bob.identity.name, second.name))
        request = alice.request(bob.identity.name)
        bob.requested()
        offer = bob.offer(alice.identity.name, protocol.pack(v=0), request=request)
        alice.ring()
        alice.close()
        assert bob.failed(offer.transfer)["code"] == "unknown_request"
        until(lambda: answer_code(bob, request, alice.identity.name) == "unknown_request", 5, "it is over")


def test_a_sharer_that_is_gone_is_not_asked(three):
    first, second, _ = three.members()
    with first.session("alice") as alice:
        bob = second.session("bob").share()
        name = bob.identity.name
        shared(three, (name, second.name))
        bob.presence(False)
        with Redis(three.redis_url) as redis:
            until(lambda: redis("GET", f"{{relay}}:sharing:{name}:{second.name}") is None, 5, "bob shares no more")
        alice.request(name)
        assert bob.ask("ping")["type"] == "pong"
        assert not [each for each in bob._arrived if each["type"] == "requested"]
        bob.close()


def test_a_requester_cannot_tell_whether_a_name_shares(three):
    first, second, third = three.members()
    with (
        first.session("alice") as alice,
        first.session("here").share() as here,
        second.session("there").share() as there,
        third.session("gone") as gone,
    ):
        shared(three, (here.identity.name, first.name), (there.identity.name, second.name))
        for session in (here, there, gone):
            alice.request(session.identity.name)  # which looks at each field of the answer
        here.requested(), there.requested()


def test_nothing_of_a_request_is_in_redis(three):
    first, second, _ = three.members()
    canary = b64(b"canary-77ab01")
    with first.session("alice") as alice, second.session("bob").share() as bob, Redis(three.redis_url) as redis:
        shared(three, (bob.identity.name, second.name))
        with redis.commands() as commands:
            request = alice.request(bob.identity.name, canary)
            bob.requested()
            bob.refuse(request, alice.identity.name)
            alice.refused(request)
            # Redis tells of commands after it has answered them.
            until(lambda: any(b"{relay}:sharing:" in line for line in list(commands.seen)), 5, "the look for sharers")
        given = "\n".join(line.decode() for line in commands.seen)
        assert "{relay}:sharing:" in given and canary not in given and request not in given
        assert canary not in redis.contents() and request not in redis.contents()
    assert canary not in three.logs()


def test_two_sealed_clients_pull_through_three_nodes(three):
    first, second, third = three.members()
    with first.client("alice") as alice, second.client("bob") as bob:
        bob.session.share()
        shared(three, (bob.name, second.name))
        alice.relay, bob.relay = third, first  # where their bytes go
        body = os.urandom(300_000)
        asked = alice.request(bob.name, {"fetch": ["report.pdf"]})
        heard = bob.requested()
        serving = background(heard.serve, {"report.pdf": body})
        assert asked.fetch().contents.files == [body]
        serving.result(30)


@pytest.mark.slow
def test_without_redis_all_are_told_the_same(trial):
    """No Redis: whether a session shares, here or elsewhere, or none does, makes no difference."""
    with trial() as t:
        first, second, _ = t.nodes
        alice = first.session("alice")
        here, there, gone = (
            first.session("here").share(),
            second.session("there").share(),
            first.session("gone"),
        )
        names = [each.identity.name for each in (here, there, gone)]
        for name in names:
            alice.request(name)
        t.cluster.part("redis").kill()
        t.fault("killed", "redis")
        for _ in range(2):
            for name in names:
                began = time.monotonic()
                with pytest.raises(protocol.Refused) as refused:
                    alice.request(name)
                assert refused.value.code == "cluster_unavailable" and time.monotonic() - began < 3
        t.cluster.part("redis").restart()

        def works():
            try:
                return bool(alice.request(names[1]))
            except protocol.Refused:
                return False

        until(works, 10, "requests are taken again", step=0.2)
        for session in (alice, here, there, gone):
            session.close()


@pytest.mark.slow
def test_a_lost_node_takes_its_requests_with_it(trial):
    with trial() as t:
        first, second, _ = t.nodes
        alice, bob = first.session("alice"), second.session("bob").share()
        until(lambda: asks(alice, bob), 10, "bob is found", step=0.2)
        request = bob.requested()["request"]
        t.fault("killed", first.name)
        first.kill()
        until(lambda: answer_code(bob, request, alice.identity.name) == "unknown_request", 15, "it is over")
        bob.close()


def asks(session, other):
    """Whether a request arrives."""
    request = session.request(other.identity.name, request=b64(os.urandom(16)))
    time.sleep(0.1)
    return any(each.get("request") == request for each in other._arrived)
