# SPDX-License-Identifier: Apache-2.0
"""A client asks those who share for something, and they answer, or do not (docs/wire-protocol.md, section 1.9)."""

import contextlib
import os
import statistics
import threading
import time

import pytest

from harness import metrics, protocol
from harness.control import Socket
from harness.protocol import b64
from harness.relay import unique
from harness.sealed_peer import SealedPeer
from harness.waiting import background, until

LARGEST = b64(bytes(32_768))


def said_since(session, *kinds):
    """What a session has heard of these kinds, once everything before is there."""
    assert session.ask("ping")["type"] == "pong"
    return [each for each in session._arrived if each["type"] in kinds]


def code_of(session, verb, **fields):
    """The code that a message of that session is refused with."""
    with pytest.raises(protocol.Refused) as refused:
        session.ask(verb, **fields)
    return refused.value.code


def answer_code(session, request, to):
    """The code that an offer in answer to a request is refused with."""
    with pytest.raises(protocol.Refused) as refused:
        session.offer(to, protocol.pack(v=0), request=request)
    return refused.value.code


@pytest.fixture
def two(relay):
    """Alice, who receives nothing, and bob, who shares."""
    with relay.session("alice") as alice, relay.session("bob").share() as bob:
        yield alice, bob


def test_a_request_reaches_every_session_that_shares_and_no_other(relay, two):
    alice, bob = two
    with (
        relay.session(identity=bob.identity).share() as desktop,
        relay.session(identity=bob.identity, receiving=True) as phone,
        relay.session("carol").share() as carol,
    ):
        payload = b64(os.urandom(32_768))
        request = alice.request(bob.identity.name, payload)
        for session in (bob, desktop):
            heard = session.requested()
            assert heard.keys() == {"from", "id", "key", "payload", "request", "type"}
            assert (heard["request"], heard["payload"]) == (request, payload)
            assert (heard["from"], heard["key"]) == (alice.identity.name, alice.identity.key)
        desktop.presence(True)
        alice.request(bob.identity.name)
        bob.requested()
        for session in (desktop, phone, carol, alice):
            assert not said_since(session, "requested")


def test_sharing_is_not_receiving(two):
    alice, bob = two
    assert alice.lookup(bob.identity.name)["online"] is False
    bob.presence(True, sharing=True)
    assert alice.lookup(bob.identity.name)["online"] is True
    alice.request(bob.identity.name)
    bob.requested()
    alice.offer(bob.identity.name, protocol.pack(v=0))
    bob.ring()


def test_an_offer_that_answers_rings_the_one_who_asked_alone(relay, two):
    alice, bob = two
    with relay.session(identity=alice.identity, receiving=True) as phone:
        request = alice.request(bob.identity.name)
        bob.requested()
        for wait in (False, True):  # it never waits
            offer = bob.offer(alice.identity.name, protocol.pack(v=0), wait=wait, request=request)
            assert offer.states == ["ringing"]
            ring = alice.ring()
            assert (ring["request"], ring["transfer"]) == (request, offer.transfer)
        # Not even when it begins to receive; and it is not rung by an offer that answers nothing.
        plain = bob.offer(alice.identity.name, protocol.pack(v=0))
        assert "request" not in phone.ring() and not said_since(alice, "ring")
        alice.presence(True)
        assert alice.ring()["transfer"] == plain.transfer
        assert not said_since(phone, "ring") and not said_since(alice, "ring")
        assert alice.accept(offer.transfer).role == "download"
        # The request is open still: another may answer.
        with relay.session(identity=bob.identity) as desktop:
            desktop.offer(alice.identity.name, protocol.pack(v=0), request=request)
            assert alice.ring()["request"] == request


def test_a_requester_is_not_rung_for_an_offer_outside_its_request(two):
    alice, bob = two
    alice.request(bob.identity.name)
    bob.requested()
    assert bob.offer(alice.identity.name, protocol.pack(v=0)).states == ["waiting"]
    assert not said_since(alice, "ring")


def test_of_ones_own_name_the_other_sessions_are_asked(relay, two):
    _, bob = two
    with relay.session(identity=bob.identity).share() as desktop:
        request = bob.request(bob.identity.name)
        assert desktop.requested()["request"] == request and not said_since(bob, "requested")
        desktop.offer(bob.identity.name, protocol.pack(v=0), request=request)
        assert bob.ring()["request"] == request


def test_what_is_not_open_is_not_answered(relay, two):
    alice, bob = two
    name = alice.identity.name
    assert answer_code(bob, b64(os.urandom(16)), name) == "unknown_request"
    request = alice.request(bob.identity.name)
    bob.requested()
    with relay.session("carol", receiving=True) as carol:
        assert answer_code(bob, request, carol.identity.name) == "unknown_request"
        assert answer_code(carol, request, name) == "unknown_request"
        carol.refuse(request, name)
        bob.refuse(request, carol.identity.name)
        assert not said_since(alice, "refused") and not said_since(carol, "ring", "refused")
    for _ in range(2):
        alice.withdraw(request)
    assert answer_code(bob, request, name) == "unknown_request"
    bob.refuse(request, name)
    assert not said_since(alice, "refused")


def test_answers_without_an_open_request_are_counted(own_relay):
    relay = own_relay(registration="open", arguments=("--metrics-listen", "127.0.0.1:0"))
    with relay.session("alice") as alice, relay.session("bob").share() as bob:
        name, request = alice.identity.name, alice.request(bob.identity.name)
        assert answer_code(bob, b64(os.urandom(16)), name) == "unknown_request"
        bob.offer(name, protocol.pack(v=0), request=request)
        alice.withdraw(request)
        assert answer_code(bob, request, name) == "unknown_request"
        errors = metrics.scrape(metrics.port_of(relay))
        assert errors['relay_request_errors_total{code="unknown_request"}'] == 2


def test_a_request_ends_with_its_session(relay, two):
    alice, bob = two
    again = relay.session(identity=alice.identity)
    request = again.request(bob.identity.name)
    bob.requested()
    offer = bob.offer(alice.identity.name, protocol.pack(v=0), request=request)
    again.close()
    failed = bob.failed(offer.transfer)
    assert (failed["code"], failed["by"]) == ("unknown_request", "relay")
    assert answer_code(bob, request, alice.identity.name) == "unknown_request"
    assert not said_since(alice, "ring")


def test_a_refusal_is_told_and_ends_nothing(two):
    alice, bob = two
    request = alice.request(bob.identity.name)
    bob.requested()
    for code in ("not_shared", "cannot_read", "too_many_requests", "protocol_error", "identity_changed"):
        bob.refuse(request, alice.identity.name, code)
        assert alice.refused(request) == code
    fields = {"request": request, "to": alice.identity.name}
    for code in ("unknown_request", "draining", "receiver_gone", "nonsense"):
        assert code_of(bob, "refuse", code=code, **fields) == "bad_message"
    bob.offer(alice.identity.name, protocol.pack(v=0), request=request)
    assert alice.ring()["request"] == request


def test_a_requester_cannot_tell_whether_a_name_shares(relay):
    """Without a session, with one that only receives, with one that shares: the same answer, after the same time."""
    with relay.session("alice") as alice:
        names = {}
        with relay.session("nobody") as gone:
            names["nobody"] = gone.identity.name
        receiver, sharer = relay.session("bob", receiving=True), relay.session("carol").share()
        names |= {"receiver": receiver.identity.name, "sharer": sharer.identity.name}
        times: dict[str, list[float]] = {who: [] for who in names}
        for _ in range(60):
            for who, name in names.items():
                began = time.perf_counter()
                request = alice.request(name)  # which looks at each field of the answer
                times[who].append(time.perf_counter() - began)
                alice.withdraw(request)
        assert code_of(alice, "request", request=b64(os.urandom(16)), to=unique("no"), payload="") == "unknown_peer"
        least = {who: statistics.median(sorted(each)[:20]) for who, each in times.items()}
        assert max(least.values()) - min(least.values()) < 0.002, least
        receiver.close(), sharer.close()


def test_ids_are_of_the_one_who_asks(relay, two):
    alice, bob = two
    with relay.session("mallory") as mallory:
        request = mallory.request(bob.identity.name)
        alice.request(bob.identity.name, request=request)
        asked = {bob.requested()["from"] for _ in range(2)}
        assert asked == {alice.identity.name, mallory.identity.name}
        fields = {"to": bob.identity.name, "payload": ""}
        assert code_of(alice, "request", request=request, **fields) == "request_exists"
        bob.offer(alice.identity.name, protocol.pack(v=0), request=request)
        assert alice.ring()["request"] == request
        mallory.withdraw(request)
        assert not said_since(mallory, "ring") and answer_code(bob, request, mallory.identity.name) == "unknown_request"
        bob.offer(alice.identity.name, protocol.pack(v=0), request=request)


def full(sessions, to, count):
    """Opens requests in turn until there are so many."""
    for number in range(count):
        sessions[number % len(sessions)].request(to)


def met(relay, scope):
    """How often the limit was met."""
    return metrics.scrape(metrics.port_of(relay))[f'relay_limits_met_total{{limit="requests",of="{scope}"}}']


def test_there_are_so_many_requests_of_a_session_a_name_and_an_address(own_relay):
    relay = own_relay(registration="open", arguments=("--metrics-listen", "127.0.0.1:0", "--address-limit", "2"))
    bob = relay.session("bob")
    name = bob.identity.name
    with contextlib.ExitStack() as opened:

        def session(who, **options):
            return opened.enter_context(relay.session(who, **options))

        def refusal(asking):
            with pytest.raises(protocol.Refused) as refused:
                asking.request(name)
            assert refused.value.code == "too_many_requests"
            return refused.value.message["message"]

        first = session("alice")
        kept = [first.request(name) for _ in range(64)]
        assert "this connection has as many open requests" in refusal(first) and met(relay, "session") == 1
        first.withdraw(kept[0])
        first.request(name)
        more = [session("alice", identity=first.identity) for _ in range(4)]
        full(more[:3], name, 192)
        assert f"{first.identity.name} has, on all connections together," in refusal(more[3])
        assert met(relay, "user") == 1
        others = [session("carol", identity=None)]
        others += [session("carol", identity=others[0].identity) for _ in range(3)]
        full(others, name, 256)
        dave = session("dave")
        assert "the network you come from has" in refusal(dave) and met(relay, "address") == 1
        more[0].close()
        until(lambda: metrics.scrape(metrics.port_of(relay))["relay_requests"] == 448, 5, "its requests are over")
        dave.request(name)
        errors = metrics.scrape(metrics.port_of(relay))['relay_request_errors_total{code="too_many_requests"}']
        assert errors == 3
    bob.close()
    until(lambda: metrics.scrape(metrics.port_of(relay))["relay_requests"] == 0, 5, "all are over")


def test_a_draining_relay_takes_no_requests(own_relay):
    relay = own_relay(registration="open")
    with relay.session("alice", receiving=True) as alice, relay.session("bob", receiving=True) as bob:
        # A transfer that goes on keeps both sessions, and the relay, for a while.
        offer = alice.offer(bob.identity.name, protocol.pack(v=0))
        bob.ring(), bob.accept(offer.transfer)
        relay.command("drain")
        until(lambda: "draining" in relay.logs(), 5, "it drains")
        fields = {"request": b64(os.urandom(16)), "payload": ""}
        for to in (bob.identity.name, alice.identity.name):
            assert code_of(alice, "request", to=to, **fields) == "draining"
        bob.cancel(offer.transfer)


@pytest.mark.parametrize(
    "changed",
    [
        {"request": None},
        {"request": ""},
        {"request": "AAAA"},
        {"request": "EBESExQVFhcYGRobHB0eHx"},
        {"request": 5},
        {"to": None},
        {"to": "Bob"},
        {"to": ["bob"]},
        {"payload": None},
        {"payload": "=="},
        {"payload": b64(bytes(32_769))},
        {"payload": {}},
    ],
    ids=str,
)
def test_a_request_of_another_form_is_no_message(two, changed):
    alice, bob = two
    whole = {"request": b64(os.urandom(16)), "to": bob.identity.name, "payload": ""} | changed
    assert code_of(alice, "request", **{key: value for key, value in whole.items() if value is not None}) == (
        "bad_message"
    )
    assert not said_since(bob, "requested")


@pytest.mark.parametrize(
    ("verb", "fields"),
    [
        ("presence", {"receiving": False, "sharing": "yes"}),
        ("presence", {"receiving": False, "sharing": 1}),
        ("presence", {"receiving": False, "sharing": None}),
        ("presence", {"sharing": True}),
        ("withdraw", {}),
        ("withdraw", {"request": "AA"}),
        ("refuse", {"request": b64(bytes(16)), "to": "bob"}),
        ("refuse", {"request": b64(bytes(16)), "code": "not_shared"}),
        ("offer", {"transfer": b64(bytes(16)), "to": "bob", "payload": "", "wait": True, "request": "AA"}),
    ],
    ids=str,
)
def test_so_is_anything_else_about_requests(two, verb, fields):
    alice, _ = two
    assert code_of(alice, verb, **fields) == "bad_message"


def test_before_the_login_there_are_none(relay):
    with protocol.Session(relay, protocol.Identity(unique("alice"))) as session:
        session.next(lambda each: each["type"] == "challenge")
        request = b64(os.urandom(16))
        for verb, fields in (
            ("request", {"to": "bob", "payload": ""}),
            ("withdraw", {}),
            ("refuse", {"to": "bob", "code": "not_shared"}),
        ):
            assert code_of(session, verb, request=request, **fields) == "not_now"


def test_a_sharer_that_does_not_read_is_not_ended_by_requests(own_relay):
    """Requests that have no room are dropped, counted, and asked again; the session hears the others."""
    relay = own_relay(registration="open", arguments=("--metrics-listen", "127.0.0.1:0"))
    port, dropped = metrics.port_of(relay), 'relay_limits_met_total{limit="unread_requests",of="session"}'
    identity, full = protocol.Identity(unique("bob")), threading.Event()
    with contextlib.ExitStack() as opened:
        sharer = opened.enter_context(Socket(relay)).login(identity)
        sharer.say(type="presence", id="c1", receiving=False, sharing=True)
        assert sharer.message()["type"] == "ok"
        askers = [opened.enter_context(relay.session("alice")) for _ in range(4)]

        def ask(session):
            while not full.is_set():
                session.withdraw(session.request(identity.name, LARGEST))

        asking = [background(ask, session) for session in askers]
        try:
            until(lambda: metrics.scrape(port)[dropped] > 0, 30, "some were dropped")
        finally:
            full.set()
        for each in asking:
            each.result(20)
        # It is there, and hears what there was room for; once it has read some, also a new one.
        heard = [sharer.message() for _ in range(40)]
        assert {each["type"] for each in heard} == {"requested"}
        asked = set()

        def arrives():
            asked.add(askers[0].request(identity.name))
            return any(sharer.message()["request"] in asked for _ in range(10))

        until(arrives, 30, "a new one", step=0)


def test_two_sealed_clients_pull(relay):
    """Section 9 of the sealed format, from the documents alone."""
    identity, seed = protocol.Identity(unique("bob")), os.urandom(32)
    laptop, other = (SealedPeer(identity, seed=seed) for _ in range(2))
    with relay.client("alice") as alice, relay.client(peer=laptop) as bob, relay.client(peer=other) as desktop:
        bob.session.share(), desktop.session.share()
        asked = alice.request(bob.name, {"fetch": ["photos/a.jpg"]})
        heard, other = bob.requested(), desktop.requested()
        assert heard.what == other.what == {"fetch": ["photos/a.jpg"]} and heard.requester == alice.name
        other.refuse("not_shared")
        assert asked.refused() == "not_shared"
        serving = background(heard.serve, {"a.jpg": b"summer"})
        rung = asked.fetch()
        serving.result(30)
        assert rung.contents.files == [b"summer"]
        assert answer_code(desktop.session, asked.request, alice.name) == "unknown_request"
