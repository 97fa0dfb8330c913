# SPDX-License-Identifier: Apache-2.0
"""docs/wire-protocol.md describes a running relay: its examples are played from the page, and so are its answers to the
questions of an implementer."""

import json
import os
import re

import pytest

from harness import protocol, raw
from harness.executables import REPOSITORY
from harness.pairs import Pair
from harness.relay import unique

EXAMPLES = [
    json.loads(block)
    for block in re.findall(r"```json\n(.*?)\n```", (REPOSITORY / "docs/wire-protocol.md").read_text(), re.S)
]
CLIENTS = {"login", "register", "presence", "lookup", "ping", "offer", "accept", "decline", "cancel"}


def example(type, **fields):
    """The document's message of that type, and with those fields."""
    return next(each for each in EXAMPLES if each["type"] == type and fields.items() <= each.items())


def form(message):
    """What of a message does not depend on who is talking: its fields, and what kind of value each has."""
    return {key: type(value).__name__ for key, value in message.items()}


class Reader:
    """A client of a relay that has only the document's examples."""

    def __init__(self, relay, name):
        self.session = protocol.Session(relay, protocol.Identity(unique(name)))
        self.relay = relay
        assert form(self.heard("challenge")) == form(example("challenge"))

    def heard(self, type):
        """The next message of that type."""
        message = self.last = self.session.next(lambda each: each["type"] == type, what=type)
        return message

    def says(self, type, answer, like=None, **changed):
        """Says an example, but for what is changed; the answer has the form of its example, and the same id."""
        said = {**example(type), **changed}
        self.session.send(**said)
        got = self.heard(answer)
        assert got["id"] == said["id"] and form(got) == form(like or example(answer)), got
        return got

    def enters(self):
        """Registers."""
        nonce, identity = self.last["nonce"], self.session.identity
        credentials = identity.credentials("register", self.session.host, nonce)
        assert form(credentials) == form(example("register")["credentials"])
        code = self.relay.invite()
        welcome = self.says("register", "welcome", credentials=credentials, invitation=code)
        assert welcome["name"] == identity.name and welcome["heartbeat"] == example("welcome")["heartbeat"]
        return self


def test_the_examples_of_the_document_are_a_session_that_works(own_relay):
    """From the challenge to `delivered`, `decline` and `cancel`, in the order of the page."""
    relay = own_relay(registration="invite")
    alice, bob = Reader(relay, "alice").enters(), Reader(relay, "bob").enters()
    name, upload, download = (
        bob.session.identity.name,
        example("start", role="upload"),
        example("start", role="download"),
    )
    with alice.session, bob.session:
        bob.says("presence", "ok")
        peer = alice.says("lookup", "peer", name=name)
        assert peer["online"] and peer["key"] == bob.session.identity.key
        # It says what bob's registration has brought, which was the example's: whose it is, the relay does not look at.
        assert peer["prekey"] == example("register")["prekey"]
        alice.says("ping", "pong")
        offered = alice.says("offer", "offered", to=name)
        assert offered["state"] == "ringing" and offered["transfer"] == example("offer")["transfer"]
        ring = bob.heard("ring")
        assert form(ring) == form(example("ring")) and ring["payload"] == example("offer")["payload"]
        start = bob.says("accept", "start", like=download)
        assert (start["url"], start["expires"]) == (download["url"], download["expires"])
        with raw.Connection(relay.address, relay.ca) as receiving, raw.Connection(relay.address, relay.ca) as sending:
            receiving.send(raw.request("GET", start["url"], f"Authorization: Bearer {start['token']}"))
            start = alice.heard("start")
            assert form(start) == form(upload) and start["payload"] == example("accept")["payload"]
            assert start["id"] == example("offer")["id"] and start["expires"] == upload["expires"]
            bob.session.send(**example("progress", id="c8"))
            assert alice.heard("progress") == example("progress", id="c5")
            bob.session.send(**example("note", id="c11"))
            assert alice.heard("note") == example("note", id="c5")
            alice.session.send(**example("note", id="c11"))
            note = bob.heard("note")
            assert note == {**example("note", id="c11"), "id": note["id"]} and re.fullmatch(r"r\d+", note["id"])
            fields = (f"Authorization: Bearer {start['token']}", "Content-Length: 3")
            sending.send(raw.request("PUT", start["url"], *fields, body=b"abc"))
            assert json.loads(sending.answer().body) == {"bytes": 3}
            assert receiving.answer().body == b"abc"
        bob.says("delivered", "ok")
        assert alice.heard("delivered") == example("delivered", id="c5")
        # The same sender may offer the same transfer again.
        alice.says("offer", "offered", to=name)
        bob.heard("ring")
        bob.says("decline", "ok")
        assert alice.heard("failed") == {**example("failed"), "id": example("offer")["id"], "code": "declined"}
        alice.says("offer", "offered", to=name)
        bob.heard("ring")
        alice.says("cancel", "ok")
        failed = bob.heard("failed")
        assert failed == {**example("failed"), "id": failed["id"]} and re.fullmatch(r"r\d+", failed["id"])
        refused = alice.says("lookup", "error", name="nobody")
        assert refused == {**example("error"), "message": example("error")["message"].replace("bob", "nobody")}


def test_the_examples_about_requests_are_a_session_that_works(own_relay):
    """From `sharing` to `refused` and `withdraw`, in the order of the page."""
    relay = own_relay(registration="invite")
    alice, bob = Reader(relay, "alice").enters(), Reader(relay, "bob").enters()
    asker, sharer = (each.session.identity.name for each in (alice, bob))
    answer, rung = (
        next(each for each in EXAMPLES if each["type"] == type and "request" in each) for type in ("offer", "ring")
    )
    with alice.session, bob.session:
        bob.says("presence", "ok", sharing=True)
        alice.says("request", "ok", to=sharer)
        requested = bob.heard("requested")
        assert form(requested) == form(example("requested")) and requested["payload"] == example("request")["payload"]
        bob.session.send(**answer | {"to": asker})
        assert form(bob.heard("offered")) == form(example("offered"))
        ring = alice.heard("ring")
        assert form(ring) == form(rung) and ring["request"] == example("request")["request"]
        bob.says("refuse", "ok", to=asker)
        refused = alice.heard("refused")
        assert refused == {**example("refused"), "id": refused["id"]}
        alice.says("withdraw", "ok")
        bob.says("refuse", "ok", to=asker)
        again = {"id": "c17", "to": asker, "transfer": protocol.b64(os.urandom(16)), "request": answer["request"]}
        refused = bob.says("offer", "error", **again)
        assert refused["code"] == "unknown_request"


def test_progress_is_not_answered(relay):
    """Neither one that is passed on, nor one of a transfer that is not there; only what is no message is."""
    with Pair(relay) as pair:
        offer, _start = pair.accepted()
        pair.receiver.progress(offer.transfer, 7)
        pair.receiver.progress(protocol.b64(os.urandom(16)), 7)
        assert pair.receiver.ask("ping")["type"] == "pong"
        assert pair.receiver._arrived == []
        progress = pair.sender.next(lambda each: each["type"] == "progress", what="progress")
        # Not looked into: what it counts is between the clients.
        assert (progress["id"], progress["bytes"]) == (offer.id, 7)


def test_an_offer_rings_on_until_every_session_that_was_rung_is_gone(relay):
    sender, laptop = relay.session("alice"), relay.session("bob", receiving=True)
    desktop = relay.session(identity=laptop.identity, receiving=True)
    offer = sender.offer(laptop.identity.name, protocol.pack(v=0, name="a"))
    laptop.ring(), desktop.ring()
    # Who only receives no more may still answer.
    laptop.presence(False), desktop.presence(False)
    desktop.close()
    assert sender.ask("ping")["type"] == "pong" and offer.states == ["ringing"]
    assert not [each for each in sender._arrived if each["type"] == "offered"]
    laptop.close()
    again = sender.next(lambda each: each["type"] == "offered", what="waiting")
    assert (again["id"], again["state"]) == (offer.id, "waiting")
    sender.close()


@pytest.mark.parametrize("verb", ["cancel", "decline"])
def test_a_session_that_was_only_rung_speaks_for_itself(relay, verb):
    sender, laptop = relay.session("alice"), relay.session("bob", receiving=True)
    desktop = relay.session(identity=laptop.identity, receiving=True)
    offer = sender.offer(laptop.identity.name, protocol.pack(v=0, name="a"))
    laptop.ring(), desktop.ring()
    assert laptop.ask(verb, transfer=offer.transfer, code="cancelled")["type"] == "ok"
    with pytest.raises(protocol.Refused) as refused:
        laptop.accept(offer.transfer)
    assert refused.value.code == "unknown_transfer"
    desktop.accept(offer.transfer)
    assert sender.next(lambda each: each["type"] == "offered", what="accepted")["state"] == "accepted"
    for each in (sender, laptop, desktop):
        each.close()


def test_ids_need_not_be_unique(relay):
    with relay.session("alice") as alice, relay.session("bob", receiving=True) as bob:
        for _ in range(2):
            alice.send(type="ping", id="same")
            assert alice.next(lambda each: each["id"] == "same")["type"] == "pong"
        transfers = [protocol.b64(os.urandom(16)) for _ in range(2)]
        for transfer in transfers:
            offer = {"to": bob.identity.name, "transfer": transfer, "payload": protocol.pack(v=0), "wait": True}
            alice.send(type="offer", id="same", **offer)
            assert bob.ring()["transfer"] == transfer
        for transfer in reversed(transfers):
            bob.decline(transfer)
            failed = alice.failed(transfer)
            assert (failed["id"], failed["code"]) == ("same", "declined")


@pytest.mark.parametrize(
    "broken", [b"5\r\nhello, world\r\n0\r\n\r\n", b"zz\r\n"], ids=["a chunk's end", "a chunk's length"]
)
def test_a_body_that_is_not_what_its_framing_says_is_reported_as_that(relay, broken):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing()
        upload.send(broken)
        answer = upload.answer(method="PUT")
        assert answer.status == 400 and json.loads(answer.body)["code"] == "malformed_body", answer
        for session in (pair.sender, pair.receiver):
            failed = session.failed(offer.transfer)
            assert (failed["code"], failed["by"]) == ("malformed_body", "relay"), failed
        seen = download.answer()
        assert seen is None or not seen.complete, seen
