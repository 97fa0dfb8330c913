# SPDX-License-Identifier: Apache-2.0
"""A computer whose clock is months off: nothing is sealed to a key of another time, and the message says what each
clock says."""

import datetime

import pytest

from harness import certificates
from harness.clocks import PREFIX, clock
from harness.relay import Relay

CONFIGURATION, REFUSED = 78, 77
#: Days.
YEAR = 366


@pytest.fixture
def relay(binaries, tmp_path):
    """A relay whose certificate is valid for longer than any clock here is off."""
    certs = certificates.forged(tmp_path / "certs", "127.0.0.1", starts=-2_000, ends=2_000)
    made = Relay(binaries, certs, tmp_path / "relay", registration="open").start()
    yield made
    made.stop()


@pytest.fixture
def people(relay, tmp_path):
    """Alice and bob, who have logged in when their clocks were right, and a file."""
    (tmp_path / "file").write_bytes(b"content")
    return relay.person("alice", tmp_path), relay.person("bob", tmp_path), tmp_path / "file"


def month(days=0):
    """As the messages have it: the month of so many days from now."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)).strftime("%Y-%m")


def off(days):
    """How a program with such a clock is started."""
    return {"prefix": PREFIX, "env": clock(f"{days:+}d")}


def test_a_sender_whose_clock_is_a_year_ahead_seals_nothing(people):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, file, **off(YEAR)).expect(REFUSED, 20)
    assert f"the receiver's key is of {month()}, and this computer's clock says {month(YEAR)}" in sending.err()
    assert "one of the two clocks is wrong" in sending.err(), sending.tail()
    assert "offers" not in receiving.err() and bob.received() == [], receiving.tail()
    # With the clock set, its own key is ahead: it says so, and a login begins again.
    sending = alice.send(bob, file).expect(CONFIGURATION, 20)
    assert month() in sending.err() and month(YEAR) in sending.err() and "log in again" in sending.err()
    alice.login()
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 10)


def test_a_sender_whose_clock_is_a_year_behind_says_so(people):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, file, **off(-YEAR)).expect(CONFIGURATION, 20)
    assert f"this computer's clock says {month(-YEAR)}" in sending.err() and month() in sending.err(), sending.tail()
    assert "set the clock" in sending.err() and "offers" not in receiving.err(), sending.tail()
    # The clock is set: nothing of the profile was spoiled by it.
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 10)


def test_a_receiver_whose_clock_is_a_year_ahead_is_sealed_nothing_to(people):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name, **off(YEAR))
    sending = alice.send(bob, file).expect(REFUSED, 20)
    assert month() in sending.err() and month(YEAR) in sending.err() and bob.name in sending.err(), sending.tail()
    assert "one of the two clocks is wrong" in sending.err(), sending.tail()
    receiving.kill()
    # With the clock set, its profile is ahead: it says so, and a login begins again.
    receiving = bob.receive(sender=alice.name, ready=False).expect(CONFIGURATION, 20)
    assert month() in receiving.err() and month(YEAR) in receiving.err() and "log in again" in receiving.err()
    bob.login()
    receiving = bob.receive(sender=alice.name)
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 10)


def test_a_receiver_whose_clock_is_a_year_behind_says_so(people):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name, ready=False, **off(-YEAR)).expect(CONFIGURATION, 20)
    assert month() in receiving.err() and month(-YEAR) in receiving.err() and "set the clock" in receiving.err()
    receiving = bob.receive(sender=alice.name)
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 10)


def test_a_clock_that_has_lost_its_date_is_not_believed(people):
    """Three years ahead: what would be forgotten could not be brought back."""
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name, ready=False, **off(3 * YEAR)).expect(CONFIGURATION, 20)
    assert month() in receiving.err() and month(3 * YEAR) in receiving.err(), receiving.tail()
    receiving = bob.receive(sender=alice.name)
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 10)


@pytest.mark.parametrize("hours", [-20, 20])
def test_a_clock_that_is_in_the_wrong_zone_does_no_harm(people, hours):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name)
    alice.send(bob, file, prefix=PREFIX, env=clock(f"{hours:+}h")).expect(0, 20)
    receiving.expect(0, 10)


@pytest.mark.parametrize("days", [-3, 3])
def test_an_offer_of_another_day_is_told_to_both_with_what_to_do(people, days):
    alice, bob, file = people
    receiving = bob.receive(sender=alice.name, once=False)
    sending = alice.send(bob, file, **off(days)).expect(REFUSED, 30)
    assert "clocks" in sending.err() and bob.name in sending.err(), sending.tail()
    assert "72 hours" in receiving.err() or "71 hours" in receiving.err(), receiving.tail()
    assert bob.received() == [] and "offers" not in receiving.err(), receiving.tail()
    receiving.kill()
