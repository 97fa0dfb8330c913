# SPDX-License-Identifier: Apache-2.0
"""A relay that takes the upgrade and then lets the client down: every command says so, and none waits for ever."""

import pytest

from harness.waiting import until

UNREACHABLE, GAVE_UP = 69, 75

#: A wait shorter than the 10 s of a login: the end of the connection itself has to be noticed.
AT_ONCE = 8


@pytest.fixture
def alice(people, tmp_path):
    """A user with a profile and a file."""
    (tmp_path / "file").write_bytes(b"content")
    return people("alice")


@pytest.mark.parametrize("ending", ["cut", "close_notify"])
def test_doctor_names_the_login_that_was_cut(fake, alice, ending):
    relay = fake(endings=[ending])
    process = alice.run("doctor", "--server", relay.url).expect(UNREACHABLE, AT_ONCE)
    assert "WebSocket   OK" in process.out(), process.tail()
    assert f"login       FAILED  the connection to {relay.url} was lost" in process.out(), process.tail()


@pytest.mark.parametrize("ending", ["cut", "close_notify"])
def test_send_tries_a_few_times(fake, alice, tmp_path, ending):
    relay = fake(endings=[ending] * 2)
    sending = alice.send("bob", "--server", relay.url, tmp_path / "file").expect(0, AT_ONCE)
    assert relay.content == b"content" and sending.err().count("reconnecting: ") == 1, sending.tail()
    relay.endings = [ending] * 10
    sending = alice.send("bob", "--timeout", "1m", "--server", relay.url, tmp_path / "file").expect(
        UNREACHABLE, AT_ONCE
    )
    assert f"the connection to {relay.url} was lost" in sending.err().splitlines()[-1], sending.tail()
    assert len(relay.endings) == 6, "it may be no relay at all"


@pytest.mark.parametrize("ending", ["cut", "close_notify"])
def test_receive_tries_a_few_times_at_first(fake, alice, ending):
    relay = fake(endings=[ending] * 10)
    receiving = alice.receive("--server", relay.url, sender="bob", ready=False).expect(UNREACHABLE, AT_ONCE)
    assert f"the connection to {relay.url} was lost" in receiving.err().splitlines()[-1], receiving.tail()
    assert len(relay.endings) == 6, "it may be no relay at all"


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["cut", "close_notify"])
def test_receive_goes_on_looking_for_a_relay_that_was_there(fake, alice, ending):
    relay = fake()
    receiving = alice.receive("--server", relay.url, sender="bob", ready=False)
    receiving.wait_for("ready to receive", 10)
    relay.endings = [ending] * 6
    relay.drop()
    receiving.wait_for("reconnecting: the connection to .* was lost", AT_ONCE)
    # More tries than a relay gets that never was one.
    receiving.wait_for("reconnected", 40)
    assert relay.endings == [] and receiving.running(), receiving.tail()


@pytest.mark.slow
def test_a_silent_relay_is_given_up(fake, alice, tmp_path):
    silent, quiet, relay = fake(endings=["silence"] * 10), fake(endings=["silence"] * 10), fake()
    receiving = alice.receive("--server", relay.url, sender="bob", ready=False)
    receiving.wait_for("ready to receive", 10)
    relay.endings = ["silence"]
    relay.drop()
    until(lambda: relay.endings == [], 10, "the next connection")
    doctor = alice.run("doctor", "--server", silent.url)
    sending = alice.send("bob", "--timeout", "2s", "--server", quiet.url, tmp_path / "file")
    # A relay may answer later than in 2 s: that there was no more time is all that can be said.
    sending.expect(GAVE_UP, AT_ONCE)
    assert f"gave up after 2 s: {quiet.url} had not answered yet" in sending.err(), sending.tail()
    doctor.expect(UNREACHABLE, 20)
    assert f"login       FAILED  {silent.url} does not answer the login" in doctor.out(), doctor.tail()
    receiving.wait_for("reconnected", 20)
