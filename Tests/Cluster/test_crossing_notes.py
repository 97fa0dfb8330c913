# SPDX-License-Identifier: Apache-2.0
"""Notes and prekeys between clients on different nodes: the same as on one (Tests/Conformance)."""

import os

import pytest

from harness import protocol
from harness.pairs import Pair
from harness.relay import unique
from harness.trial import whole
from harness.waiting import until


def test_notes_cross_nodes_both_ways_whole_and_in_their_order(three):
    home, ring, third = three.members()
    with Pair(home, receiver=ring) as pair, third.session(identity=pair.receiver.identity, receiving=True) as desktop:
        offer, _ = pair.accepted()
        said = [number.to_bytes(2, "big") for number in range(100)] + [os.urandom(32_768), b""]
        for note in said:
            pair.sender.note(offer.transfer, note)
            pair.receiver.note(offer.transfer, note)
        for session in (pair.sender, pair.receiver):
            assert [session.noted(offer.transfer) for _ in said] == said
        # A session of the same name that was rung is none of the two.
        with pytest.raises(protocol.Refused) as refused:
            desktop.ask("note", transfer=offer.transfer, payload=protocol.b64(b"x"))
        assert refused.value.code == "unknown_transfer"
        assert not [each for each in desktop._arrived if each["type"] == "note"]
        pair.receiver.cancel(offer.transfer)
        for session in (pair.sender, pair.receiver):
            with pytest.raises(protocol.Refused) as refused:
                session.ask("note", transfer=offer.transfer, payload=protocol.b64(b"late"))
            assert refused.value.code == "unknown_transfer"
    whole(home, ring, 65_536)


def test_a_prekey_is_known_on_every_node_from_that_login_on(three):
    first, second, third = three.members()
    bob = protocol.Identity(unique("bob"))
    first.session(identity=bob).close()
    with second.session("alice") as alice, third.session("carol") as carol:
        assert "prekey" not in alice.lookup(bob.name)
        for node, epoch in ((first, 24_321), (second, 24_322), (third, 24_322)):
            published = bob.publish(epoch)
            protocol.Session(node, bob).login().close()
            for session in (alice, carol):
                assert session.lookup(bob.name)["prekey"] == published
        # A login without one, and one of the month before, leave it as it is.
        for before in (False, True):
            bob.prekey = None
            if before:
                bob.publish(24_321)
            protocol.Session(first, bob).login().close()
            assert alice.lookup(bob.name)["prekey"] == published


@pytest.mark.long
def test_a_prekey_is_there_again_after_redis_was_emptied(trial):
    with trial() as t:
        first, second, _ = t.nodes
        bob = protocol.Identity(unique("bob"))
        published = bob.publish()
        with first.session(identity=bob), second.session("alice") as alice:
            assert alice.lookup(bob.name)["prekey"] == published
            t.fault("emptied", "redis")
            t.redis("FLUSHALL")
            until(lambda: t.redis("GET", f"{{relay}}:user:{bob.name}"), 10, "the user is written again")
            assert alice.lookup(bob.name)["prekey"] == published
