# SPDX-License-Identifier: Apache-2.0
"""A relay that gives other keys for a name than before, or none that anything may be sealed to."""

import pytest

from harness.waiting import until

REFUSED = 77


@pytest.fixture
def alice(people, tmp_path):
    """A user with a profile and a file."""
    (tmp_path / "file").write_bytes(b"content")
    return people("alice")


def send(alice, relay, tmp_path):
    """Sends the file to bob, as this relay knows him."""
    return alice.send("bob", "--server", relay.url, tmp_path / "file")


def test_a_receiver_with_another_identity_is_sent_nothing(fake, alice, tmp_path):
    first, second = fake(), fake(keys="others")
    send(alice, first, tmp_path).expect(0, 15)
    sending = send(alice, second, tmp_path).expect(REFUSED, 15)
    assert second.offers == [] and "bob" in sending.err() and "identity" in sending.err(), sending.tail()
    # It is that relay that is not believed, and not bob.
    send(alice, first, tmp_path).expect(0, 15)


def test_the_first_contact_is_said_to_be_the_first(fake, alice, tmp_path):
    relay = fake()
    sending = [send(alice, relay, tmp_path).expect(0, 15).err() for _ in range(2)]
    assert "first" in sending[0] and "first" not in sending[1], sending


def test_an_offer_of_a_sender_with_another_identity_is_no_offer(fake, people):
    bob = people("bob")
    first, second = (
        fake(ring={"file": b"begun"}, answers=[(403, "x", None)]),
        fake(ring={"file": b"begun"}, keys="others"),
    )
    receiving = bob.receive("--server", first.url, ready=False)
    receiving.wait_for("first contact with zoe, fingerprint ", 10)
    receiving.kill()
    receiving = bob.receive("--server", second.url, once=False, ready=False)
    until(lambda: second.cancels, 10, lambda: second.heard)
    assert second.cancels == ["identity_changed"] and "accept" not in second.heard, second.heard
    receiving.wait_for("zoe.*identity", 5)
    assert "offers" not in receiving.err() and receiving.running(), receiving.tail()


@pytest.mark.parametrize("month", [-1, 1])
def test_a_prekey_of_the_next_month_is_good(fake, alice, tmp_path, month):
    relay = fake(month=month)
    send(alice, relay, tmp_path).expect(0, 15)
    assert relay.content == b"content"


@pytest.mark.parametrize("month", [-12, -2, 2, 12])
def test_a_prekey_of_another_month_is_refused_with_both(fake, alice, tmp_path, month):
    relay = fake(month=month)
    sending = send(alice, relay, tmp_path).expect(REFUSED, 15)
    assert relay.offers == [] and "bob" in sending.err() and "clock" in sending.err(), sending.tail()


def test_a_receiver_without_a_prekey_is_told_to_update(fake, alice, tmp_path):
    relay = fake(month=None)
    sending = send(alice, relay, tmp_path).expect(REFUSED, 15)
    assert relay.offers == [] and "bob" in sending.err() and "update" in sending.err(), sending.tail()
