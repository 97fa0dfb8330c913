# SPDX-License-Identifier: Apache-2.0
"""Notes go between the two clients of an accepted transfer, and nowhere else (docs/wire-protocol.md, section 1.8)."""

import os
import time

import pytest

from harness import protocol
from harness.pairs import Pair
from harness.waiting import background

LARGEST = 32_768


def refused(session, transfer):
    """The code that a note of that session is refused with."""
    with pytest.raises(protocol.Refused) as refusal:
        session.ask("note", transfer=transfer, payload=protocol.b64(b"x"))
    return refusal.value.code


def test_notes_go_both_ways_whole_and_in_their_order(relay):
    with Pair(relay) as pair:
        offer, start = pair.accepted()
        said = [number.to_bytes(2, "big") for number in range(200)] + [os.urandom(LARGEST), b""]
        for note in said:
            pair.sender.note(offer.transfer, note)
            pair.receiver.note(offer.transfer, note)
        for session in (pair.sender, pair.receiver):
            assert [session.noted(offer.transfer) for _ in said] == said
        # The transfer goes on as if nothing had been said.
        pair.receiver.cancel(offer.transfer)
        with pytest.raises(protocol.Failed):
            offer.start()
        assert start.role == "download"
        pair.whole()


def test_notes_go_on_while_bytes_flow_and_until_it_is_delivered(relay):
    with Pair(relay) as pair:
        offer, download, upload = pair.flowing(3)
        pair.receiver.note(offer.transfer, b"while it flows")
        assert pair.sender.noted(offer.transfer) == b"while it flows"
        upload.send(b"abc")
        assert download.answer().body == b"abc" and upload.answer(method="PUT").status == 200
        pair.sender.note(offer.transfer, b"when all is sent")
        assert pair.receiver.noted(offer.transfer) == b"when all is sent"
        pair.receiver.delivered(offer.transfer, 3, "")
        offer.delivered()
        assert refused(pair.sender, offer.transfer) == refused(pair.receiver, offer.transfer) == "unknown_transfer"


def test_only_sender_and_accepting_session_exchange_notes(relay):
    with (
        Pair(relay) as pair,
        relay.session(identity=pair.receiver.identity, receiving=True) as desktop,
        relay.session(identity=pair.sender.identity) as other,
        relay.session("mallory") as mallory,
    ):
        offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"))
        sessions = (pair.sender, pair.receiver, desktop, other, mallory)
        pair.receiver.ring(), desktop.ring()
        for session in sessions:
            assert refused(session, offer.transfer) == "unknown_transfer", "no session has accepted"
        pair.receiver.accept(offer.transfer)
        for session in (desktop, other, mallory):
            assert refused(session, offer.transfer) == "unknown_transfer"
        assert refused(mallory, protocol.b64(os.urandom(16))) == "unknown_transfer"
        pair.sender.note(offer.transfer, b"for the one who accepted")
        assert pair.receiver.noted(offer.transfer) == b"for the one who accepted"
        for session in sessions:
            assert session.ask("ping")["type"] == "pong"
            assert not [each for each in session._arrived if each["type"] == "note"]


def test_a_note_that_is_too_long_is_no_message(relay):
    with Pair(relay) as pair:
        offer, _ = pair.accepted()
        with pytest.raises(protocol.Refused) as refusal:
            pair.sender.ask("note", transfer=offer.transfer, payload=protocol.b64(bytes(LARGEST + 1)))
        assert refusal.value.code == "bad_message"
        pair.sender.note(offer.transfer, b"next")
        assert pair.receiver.noted(offer.transfer) == b"next"


def test_a_client_that_says_too_much_waits_and_nothing_is_lost(relay):
    """Notes are no way around the upload: 100 of the largest are four seconds' worth, at some 19 a second and 37 at
    once."""
    with Pair(relay) as pair:
        offer, _ = pair.accepted()
        began, said = time.monotonic(), [os.urandom(LARGEST) for _ in range(100)]

        def say_all():
            for note in said:
                pair.sender.note(offer.transfer, note)

        sending = background(say_all)
        assert [pair.receiver.noted(offer.transfer, 30) for _ in said] == said
        sending.result(10)
        assert time.monotonic() - began > 2
