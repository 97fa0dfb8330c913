# SPDX-License-Identifier: Apache-2.0
"""The calendar clock of a machine is set while a relay, or a client, runs: nothing that began ends early because of it,
nothing that ends is kept alive by it, and what really goes by the calendar goes by the new one."""

import contextlib
import json
import socket
import time

import pytest

from harness import certificates, content, metrics, protocol, raw
from harness.clocks import PREFIX, Clock
from harness.pairs import Pair, wait_for_bytes
from harness.relay import Relay, unique
from harness.waiting import until

CANNOT_STORE, REFUSED, CONFIGURATION = 73, 77, 78
JUMPS = [{"hours": 1}, {"hours": -1}, {"days": 365}, {"days": -365}]


def named(jump):
    """A jump in words."""
    ((unit, count),) = jump.items()
    return f"{count:+d} {unit}"


every_jump = pytest.mark.parametrize("jump", JUMPS, ids=named)


class Clocked(Relay):
    """A relay with a clock of its own, which begins at noon."""

    prefix = PREFIX

    def __init__(self, binaries, folder, *, certs=None, **options):
        self.clock = Clock(folder, at=12)
        # It is valid for longer than any clock here is off.
        certs = certs or certificates.forged(folder / "certs", "127.0.0.1", starts=-2_000, ends=2_000)
        arguments = ["--metrics-listen", "127.0.0.1:0", *options.pop("arguments", ())]
        super().__init__(binaries, certs, folder / "relay", arguments=arguments, env=self.clock.environment, **options)


@pytest.fixture
def clocked(binaries, tmp_path_factory):
    """Makes relays whose clock can be set."""
    made: list[Clocked] = []

    def make(**options):
        made.append(Clocked(binaries, tmp_path_factory.mktemp("clocked"), **options).start())
        return made[-1]

    yield make
    for relay in made:
        relay.process.kill()


@every_jump
def test_sessions_tokens_and_streams_do_not_notice(clocked, jump):
    relay = clocked(registration="open")
    with Pair(relay, timeout=20) as pair, Pair(relay, timeout=20) as other:
        offer, download, upload = pair.flowing(2_000_000)
        upload.send(b"a" * 1_000_000)
        assert download.head().status == 200
        wait_for_bytes(download, 500_000)
        pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="later"))
        ring = pair.receiver.ring()
        unclaimed, token = other.accepted()
        relay.clock.set(**jump)
        # A token, on both sides.
        parked = other.connect()
        parked.send(raw.request("GET", "/download", f"Authorization: Bearer {token.token}"))
        sending = other.connect()
        start = unclaimed.start()
        sending.send(
            raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", "Content-Length: 5") + b"later"
        )
        assert parked.head().status == 200 and sending.answer(method="PUT").status == 200
        # An offer that waited for an answer.
        assert pair.receiver.accept(ring["transfer"]).token
        # A stream.
        upload.send(b"b" * 1_000_000)
        wait_for_bytes(download, 2_000_000)
        assert download.buffer == b"a" * 1_000_000 + b"b" * 1_000_000
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 2_000_000
        # The sessions themselves, and new ones, beside them and by the name that is there already.
        assert pair.sender.lookup(pair.receiver.identity.name)["online"]
        with Pair(relay, timeout=20) as new:
            new.whole()
        again = protocol.Session(relay, pair.sender.identity).login()
        assert again.lookup(pair.receiver.identity.name)["online"]
        again.close()


@pytest.mark.slow
def test_a_jump_is_counted_and_said_and_certificates_are_looked_at_again(clocked, tmp_path):
    certs = certificates.forged(tmp_path / "certs", "127.0.0.1", starts=-90, ends=100)
    relay = clocked(certs=certs, registration="open")
    port = metrics.port_of(relay)
    assert "certificate" not in relay.logs()
    relay.clock.set(days=200)
    relay.process.wait_for("the clock of this machine was set.* seconds=172[78]", 15)
    relay.process.wait_for("error a certificate has expired.*server.pem", 5)
    # The page says when it ends, whatever the clock says.
    assert metrics.scrape(port)["relay_clock_steps_total"] == 1
    ends = metrics.scrape(port)["relay_certificate_expiry_seconds"]
    assert 98 * 86_400 < ends - time.time() < 102 * 86_400
    # A certificate that is good by the right clock alone is not taken now, and what is there stays.
    refused = relay.command("reload")
    assert refused.returncode == CONFIGURATION and "or the clock is wrong" in refused.stderr, refused
    relay.healthy()
    relay.clock.set()
    relay.process.wait_for("the clock of this machine was set.* seconds=-172[78]", 15)
    assert metrics.scrape(port)["relay_clock_steps_total"] == 2
    assert relay.command("reload").returncode == 0
    assert relay.logs().count("has expired") == 1, "at the jump, and not when it was set right"


@pytest.mark.slow
def test_the_timers_of_who_says_nothing_end_when_they_should(clocked):
    """Who says nothing is sent away after 10 s, and not before."""
    with contextlib.ExitStack() as stack:
        silent = {}
        # All of them first: what is measured is not how long they take to start.
        relays = [clocked(registration="open") for _ in JUMPS]
        for relay, jump in zip(relays, JUMPS, strict=True):
            connection = stack.enter_context(socket.create_connection(relay.address, 5))
            silent[connection] = time.monotonic()
            relay.clock.set(**jump)
        for connection, begin in silent.items():
            connection.settimeout(15)
            assert connection.recv(1) == b""
            assert 9 < time.monotonic() - begin < 14


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_token_dies_in_its_minute(clocked):
    with contextlib.ExitStack() as stack:
        minted = []
        for jump in JUMPS:
            relay = clocked(registration="open")
            pair = stack.enter_context(Pair(relay, timeout=20))
            minted.append((pair, pair.accepted()[1].token))
            relay.clock.set(**jump)
        begin = time.monotonic()
        until(lambda: time.monotonic() - begin > 61, 65, "61 s have passed", step=0.2)
        for pair, token in minted:
            late = pair.connect()
            late.send(raw.request("GET", "/download", f"Authorization: Bearer {token}"))
            assert late.head().status == 403


def registered(relay, code):
    """Whether a new user may register with an invitation."""
    session = protocol.Session(relay, protocol.Identity(unique("guest")))
    try:
        session.login("register", code)
    except protocol.Refused as refused:
        assert refused.code == "bad_invitation", refused
        return False
    finally:
        session.close()
    return True


def test_an_invitation_goes_by_the_calendar(clocked):
    relay = clocked()
    day, hour = relay.invite(), relay.invite("--expires", "2h")
    relay.clock.set(hours=1)
    assert registered(relay, hour)
    day_later = relay.invite()
    relay.clock.set(days=365)
    assert not registered(relay, day) and not registered(relay, day_later)
    # Asking did not take it away: when the clock is right again, so is the invitation.
    relay.clock.set(hours=2)
    assert registered(relay, day)
    relay.clock.set(days=-365)
    assert registered(relay, day_later)
    # Each is good once.
    for code in (day, hour, day_later):
        assert not registered(relay, code)


def moved(relay, name):
    """What a user has moved today, as an operator sees it."""
    done = relay.command("users", "show", name, "--json")
    assert done.returncode == 0, done
    return json.loads(done.stdout)["bytesToday"]


def offer_is_refused(pair):
    """Whether the limit of the day keeps the pair from another transfer."""
    try:
        offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"))
    except protocol.Refused as refused:
        assert refused.code == "day_limit", refused
        return True
    pair.receiver.ring()
    pair.sender.cancel(offer.transfer)
    return False


@pytest.mark.slow
def test_a_day_ends_with_the_calendars_and_no_user_is_kept_out_for_longer(clocked):
    relay = clocked(registration="open", arguments=["--limit", "day=1M"])
    with Pair(relay, timeout=20) as pair:
        pair.whole(2_000_000)
        name = pair.sender.identity.name
        assert moved(relay, name) >= 2_000_000 and offer_is_refused(pair)
        # The same day: nothing is forgotten, whichever way the clock goes.
        for hours in (1, -1, 11, -11):
            relay.clock.set(hours=hours)
            assert offer_is_refused(pair), hours
        # Another one, which has its own bytes.
        for days in (1, 365, -365):
            relay.clock.set(days=days)
            assert moved(relay, name) == 0 and not offer_is_refused(pair), days
        pair.whole(2_000_000)
        assert offer_is_refused(pair)
        until(lambda: traffic_day(relay) == relay.clock.day - 365, 30, "the count is written", step=0.2)
        relay.clock.set()
        assert not offer_is_refused(pair)
    # What was written down on a day that is not today counts for nothing after a start.
    relay.clock.set(days=365)
    relay.process.kill()
    relay.start(relay.port)
    assert moved(relay, name) == 0


def traffic_day(relay):
    """The day that the file of what was moved is of, in days since 1970."""
    file = relay.state / "traffic.json"
    return json.loads(file.read_text())["day"] if file.exists() else None


class Waiting:
    """Alice and bob at a relay whose clock is right, each with a clock that the test sets."""

    def __init__(self, relay, folder):
        self.alice, self.bob = relay.person("alice", folder), relay.person("bob", folder)
        self.clock = Clock(folder)
        self.file = folder / "file"
        self.file.write_bytes(b"content")

    def own(self):
        """How a program with that clock is started."""
        return {"prefix": PREFIX, "env": self.clock.environment}


@pytest.fixture
def people(binaries, tmp_path):
    """People of a relay."""
    certs = certificates.forged(tmp_path / "certs", "127.0.0.1", starts=-2_000, ends=2_000)
    relay = Relay(binaries, certs, tmp_path / "relay", registration="open").start()
    yield Waiting(relay, tmp_path)
    relay.stop()


@pytest.mark.parametrize("jump", [{"hours": 1}, {"hours": -1}, {"days": -365}], ids=named)
def test_a_receiver_that_waits_receives_again_when_its_clock_is_right(people, jump):
    receiving = people.bob.receive(once=False, sender=people.alice.name, **people.own())
    people.alice.send(people.bob, people.file).expect(0, 20)
    people.clock.set(**jump)
    off = people.alice.send(people.bob, people.file)
    if "hours" in jump:
        off.expect(0, 20)
    else:
        off.expect({CANNOT_STORE, REFUSED}, 30)
        assert "set the clock" in receiving.err(), receiving.tail()
    people.clock.set()
    people.alice.send(people.bob, people.file).expect(0, 20)
    assert receiving.running(), receiving.tail()


def test_a_receiver_whose_clock_was_set_a_year_ahead_says_what_to_do(people):
    """Keys of a year that seems to be over are forgotten, and could not be brought back."""
    receiving = people.bob.receive(once=False, sender=people.alice.name, **people.own())
    people.clock.set(days=365)
    for clock in ({"days": 365}, {}):
        people.clock.set(**clock)
        people.alice.send(people.bob, people.file).expect({CANNOT_STORE, REFUSED}, 40)
        assert people.bob.received() == [], receiving.tail()
    assert "an offer from" in receiving.err() and receiving.running(), receiving.tail()
    receiving.kill()
    again = people.bob.receive(ready=False).expect(CONFIGURATION, 20)
    assert "set the clock, or, if it was wrong before, log in again" in again.err(), again.tail()
    people.bob.login()
    receiving = people.bob.receive(sender=people.alice.name)
    people.alice.send(people.bob, people.file).expect(0, 20)
    receiving.expect(0, 10)


@pytest.mark.slow
@every_jump
@pytest.mark.parametrize("whose", ["sender", "receiver"])
def test_a_transfer_goes_on_while_a_clients_clock_is_set(people, tmp_path, jump, whose):
    content.file(tmp_path / "large", "jump", 24_000_000)
    own = {"sender": ({}, people.own()), "receiver": (people.own(), {})}[whose]
    receiving = people.bob.receive(sender=people.alice.name, **own[0])
    limited = people.alice.relay.command("users", "limit", people.alice.name, "rate=4M")
    assert limited.returncode == 0, limited
    sending = people.alice.send(people.bob, tmp_path / "large", **own[1])
    until(people.bob.parts, 20, lambda: f"it has begun\n{sending.tail()}")
    people.clock.set(**jump)
    assert sending.running() and receiving.running()
    sending.expect(0, 30)
    receiving.expect(0, 10)
    assert content.sha256(people.bob.inbox / "large") == content.sha256(tmp_path / "large")
    assert "again" not in sending.err() and "reconnect" not in sending.err(), sending.tail()


@pytest.mark.slow
def test_the_patience_of_a_sender_is_as_long_as_it_was_said(people, tmp_path):
    sending = []
    for number, jump in enumerate(JUMPS):
        (tmp_path / f"clock{number}").mkdir()
        clock = Clock(tmp_path / f"clock{number}")
        begin = time.monotonic()
        process = people.alice.send(people.bob, people.file, "--timeout", "6s", prefix=PREFIX, env=clock.environment)
        process.wait_for("wait|not online|offline", 10)
        clock.set(**jump)
        sending.append((process, begin))
    for process, begin in sending:
        process.expect({69, 75}, 30)
        assert 5 < time.monotonic() - begin < 20, process.tail()
