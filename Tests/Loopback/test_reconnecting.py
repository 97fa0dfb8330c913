# SPDX-License-Identifier: Apache-2.0
"""The relay goes and comes back: both clients look for it, begin again, and make one file of it."""

import hashlib
import json
import os
import signal

import pytest

from harness import content, protocol, records
from harness.fake import FakeRelay
from harness.forwarder import Forwarder
from harness.waiting import background, until

SIZE = 400_000_000


def events(process, *names):
    """The names of the JSON events a process has printed (only those in `names`, if any are given)."""
    found = [json.loads(line)["event"] for line in process.out().splitlines() if line.endswith("}")]
    return [name for name in found if not names or name in names]


def replace(relay):
    """Kills the relay and starts another on the same port."""
    relay.process.kill()
    relay.start(relay.port)


def test_an_offer_that_waits_for_its_receiver_survives_a_killed_relay(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(b"patience")
    sending = alice.send(bob, "--json", tmp_path / "file")
    sending.wait_for('"event":"waiting"', 10)
    relay.process.kill()
    sending.wait_for('"event":"reconnecting"', 10)
    relay.start(relay.port)
    sending.wait_for('"event":"reconnected"', 10)
    receiving = bob.receive(ready=False)
    sending.expect(0, 15)
    receiving.expect(0, 5)
    assert (bob.inbox / "file").read_bytes() == b"patience"
    assert len({json.loads(line).get("transfer") for line in sending.out().splitlines()} - {None}) == 1


def test_an_unanswered_question_survives_a_killed_relay(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    (tmp_path / "file").write_bytes(b"again")
    bob = relay.session("bob", receiving=True)
    sending = alice.send(bob.identity.name, tmp_path / "file")
    first = bob.ring()
    replace(relay)
    with protocol.Session(relay, bob.identity) as bob:
        bob.login().presence()
        second = bob.ring()
        assert second["transfer"] != first["transfer"]
        manifests = [protocol.unpack(ring["payload"]) for ring in (first, second)]
        assert manifests[0] == manifests[1] and len(protocol.unb64(manifests[0]["attempt"])) == 16
        start = bob.accept(second["transfer"])
        got = bytearray()
        assert protocol.download(relay, start, got.extend)[2]
        bob.delivered(second["transfer"], 5, hashlib.sha256(b"again").hexdigest())
        sending.expect(0, 10)
    assert sending.err().count("reconnecting: ") == 1 and sending.err().count("reconnected") == 1, sending.tail()


@pytest.mark.parametrize("once", [True, False], ids=["once", "for-ever"])
def test_a_transfer_whose_relay_is_killed_midway_begins_again(own_relay, large, once):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "file", "half", SIZE)
    receiving = bob.receive("--json", once=once)
    sending = alice.send(bob, "--json", large / "file")
    until(lambda: content.largest(bob.inbox) >= SIZE // 2, 30, "half of it")
    relay.process.kill()
    for process in (sending, receiving):
        process.wait_for('"event":"reconnecting"', 10)
    assert sending.running() and receiving.running()
    relay.start(relay.port)
    sending.expect(0, 60)
    if once:
        receiving.expect(0, 5)
    else:
        receiving.wait_for('"event":"received"', 5)
    assert content.sha256(bob.inbox / "file") == digest
    until(lambda: bob.received() == [b"file"], 5, bob.received)
    for process in (sending, receiving):
        assert events(process, "reconnecting", "reconnected") == ["reconnecting", "reconnected"], process.tail()
        assert "failed" not in events(process), process.tail()
    assert events(sending)[-1] == "delivered"
    assert events(receiving, "interrupted", "received") == ["interrupted", "received"]


def test_a_relay_that_stays_away_ends_the_sender_at_its_timeout(own_relay, large):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    with open(large / "file", "wb") as file:
        file.truncate(4 * content.GiB)
    receiving = bob.receive()
    sending = alice.send(bob, "--timeout", "2s", large / "file")
    until(lambda: content.largest(bob.inbox) > 1_000_000, 20, "the first bytes")
    relay.process.kill()
    sending.expect(75, 15)
    last = sending.err().strip().splitlines()[-1]
    # Which of both the last try meets, a refusal or the end of the time, is a race.
    assert "gave up after 2 s" in last and f"127.0.0.1:{relay.port}" in last, sending.tail()
    assert receiving.running(), receiving.tail()
    until(lambda: bob.received() == [], 5, "the part file is gone")
    receiving.signal(signal.SIGINT)
    receiving.expect(130, 5)
    assert "reconnecting" in receiving.err()


def test_one_outage_is_waited_for_once(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    paths = [tmp_path / name for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(b"x")
    sending = alice.send(bob, "--json", "--timeout", "4s", *paths)
    sending.wait_for('"event":"waiting"', 10)
    relay.process.kill()
    sending.expect(75, 15)
    assert events(sending, "failed", "reconnecting") == ["reconnecting", "failed", "failed", "failed"], sending.tail()


def test_no_wait_still_waits_for_a_receiver_that_had_accepted(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    body = content.data("no wait", 20_000_000)
    (tmp_path / "file").write_bytes(body)
    bob = relay.session("bob", receiving=True)
    sending = alice.send(bob.identity.name, "--no-wait", "--json", tmp_path / "file")
    start = bob.accept(bob.ring()["transfer"])
    first = relay.process
    background(protocol.download, relay, start, lambda piece: first.kill())
    sending.wait_for('"event":"reconnecting"', 10)
    relay.start(relay.port)
    sending.wait_for('"event":"waiting"', 15)
    with protocol.Session(relay, bob.identity) as bob:
        bob.login().presence()
        assert protocol.receive_file(relay, bob)[1] == body
        sending.expect(0, 10)


def test_a_relay_that_was_never_reached_fails_at_once(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    (tmp_path / "file").write_bytes(b"x")
    relay.process.kill()
    for process in (alice.send("bob", tmp_path / "file"), alice.receive(ready=False)):
        process.expect(69, 5)
        assert str(relay.port) in process.err() and "reconnecting" not in process.err(), process.tail()


def test_clients_move_from_a_drained_relay_to_the_next(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob, carol = (relay.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    (tmp_path / "file").write_bytes(b"drained")
    receiving = bob.receive("--json")
    sending = alice.send(carol, "--json", tmp_path / "file")
    sending.wait_for('"event":"waiting"', 10)
    assert relay.stop() == 0
    for process in (sending, receiving):
        process.wait_for('"event":"reconnecting"', 10)
    relay.start(relay.port)
    for process in (sending, receiving):
        process.wait_for('"event":"reconnected"', 10)
    waiting = carol.receive(ready=False)
    sending.expect(0, 15)
    waiting.expect(0, 5)
    carol.send(bob, tmp_path / "file").expect(0, 10)
    receiving.expect(0, 5)
    assert (bob.inbox / "file").read_bytes() == (carol.inbox / "file").read_bytes() == b"drained"


def test_a_restart_costs_no_transfer(own_relay, large):
    """Some transfers run and some wait. All clients have reached the relay before: one that never has reports a wrong
    address."""
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digests = {f"file{number}": content.file(large / f"file{number}", number, 40_000_000) for number in range(6)}
    receiving = bob.receive(once=False)
    sending = [alice.send(bob, large / name) for name in digests]
    for process in sending:
        process.wait_for("ringing|waiting|accepted", 20)
    until(lambda: content.largest(bob.inbox) > 5_000_000, 20, "bytes flow")
    replace(relay)
    for process in sending:
        process.expect(0, 60)
    assert receiving.running()
    assert {name: content.sha256(bob.inbox / name) for name in digests} == digests
    until(lambda: bob.received() == sorted(name.encode() for name in digests), 5, bob.received)


def test_standard_input_is_not_sent_twice(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    receiving = bob.receive("--json")
    read, write = os.pipe()
    sending = alice.send(bob, "-", stdin=read)
    os.close(read)
    os.write(write, bytes(60_000))
    receiving.wait_for('"event":"progress"', 10)
    replace(relay)
    sending.expect(69, 10)
    os.close(write)
    assert "second time" in sending.err(), sending.tail()
    # It does not come again, and the receiver knows.
    receiving.expect(69, 10)
    assert bob.received() == [] and "begins again" not in receiving.out(), receiving.tail()


def test_standard_input_that_was_not_read_yet_is_sent_after_a_restart(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    (tmp_path / "in").write_bytes(b"unread")
    with open(tmp_path / "in", "rb") as stdin:
        sending = alice.send(bob, "-", stdin=stdin)
        sending.wait_for("not receiving", 10)
        replace(relay)
        receiving = bob.receive(ready=False)
        sending.expect(0, 15)
    receiving.expect(0, 5)
    assert (bob.inbox / "stdin").read_bytes() == b"unread"


def test_a_file_that_is_replaced_meanwhile_is_not_sent(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(b"one")
    sending = alice.send(bob, tmp_path / "file")
    sending.wait_for("not receiving", 10)
    relay.process.kill()
    sending.wait_for("reconnecting", 10)
    (tmp_path / "other").write_bytes(b"two")
    os.replace(tmp_path / "other", tmp_path / "file")
    relay.start(relay.port)
    sending.expect(74, 15)
    assert "changed" in sending.err(), sending.tail()


def test_the_same_offer_again_makes_no_second_file(relay, people):
    bob = people("bob")
    receiving = bob.receive(once=False)
    body = b"only once"
    said = {"v": 0, "size": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    attempt = protocol.b64(os.urandom(16))
    manifest = {"v": 0, "name": "report.pdf", "size": len(body), "attempt": attempt}
    with relay.session("alice") as alice, relay.session("mallory") as mallory:

        def whole(session):
            offer = session.offer(bob.name, protocol.pack(**manifest))
            protocol.upload(relay, offer.start(), records.encode([body]), length=records.length(len(body)))
            return offer.delivered(10)

        assert whole(alice) == said
        assert alice.offer(bob.name, protocol.pack(**manifest)).delivered(10) == said
        assert bob.received() == [b"report.pdf"]
        # Another identity stays another one, whatever it says.
        assert whole(mallory) == said
    assert bob.received() == [b"report (1).pdf", b"report.pdf"]
    assert receiving.running()


def test_a_delivery_whose_report_was_lost_is_reported_again(own_relay, tmp_path):
    """What the receiver says after its `accept` is lost, and then the relay dies."""
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "heard", 5_000_000)
    with Forwarder(relay.address) as forwarder:
        receiving = bob.receive("--server", forwarder.url)
        sending = alice.send(bob, tmp_path / "file")
        until(lambda: forwarder.count >= 2, 10, "the download")
        forwarder.mute(0)
        until(lambda: bob.received() == [b"file"], 10, "the file is stored")
        assert sending.running() and receiving.running(), sending.tail()
        relay.process.kill()
        relay.start(relay.port)
        sending.expect(0, 15)
        receiving.expect(0, 10)
    assert bob.received() == [b"file"] and content.sha256(bob.inbox / "file") == digest
    assert "delivered" in sending.err() and receiving.err().count("received ") == 1, receiving.tail()


@pytest.mark.parametrize("whose", ["receiver", "sender"])
def test_a_transfer_whose_stream_alone_is_cut_begins_again(relay, people, large, whose):
    """Both clients are still there, and so is the relay."""
    alice, bob = people("alice", "bob")
    digest = content.file(large / "file", "stream", SIZE)
    with Forwarder(relay.address) as forwarder:
        through = ["--server", forwarder.url]
        receiving = bob.receive(*(through if whose == "receiver" else []), once=whose == "receiver")
        sending = alice.send(bob, *(through if whose == "sender" else []), large / "file")
        until(lambda: content.largest(bob.inbox) >= SIZE // 4, 30, "a quarter of it")
        forwarder.cut(1)
        sending.expect(0, 60)
        receiving.wait_for("received ", 5)
    assert content.sha256(bob.inbox / "file") == digest
    until(lambda: bob.received() == [b"file"], 5, bob.received)
    assert "sending again" in sending.err() and "reconnecting" not in sending.err(), sending.tail()


class LostRequest(Forwarder):
    """The first data connection shakes hands, and nothing of its request arrives."""

    def heard(self, number, piece):
        if number == 1:
            self.mute(number)


def test_a_download_that_is_cut_before_it_begins_is_told_to_the_sender(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(b"begun")
    with LostRequest(relay.address) as line:
        receiving = bob.receive("--server", line.url)
        sending = alice.send(bob, tmp_path / "file")
        # The end of the handshake has 74 bytes, the request more than that.
        until(lambda: line.dropped[1] > 150, 10, lambda: line.dropped)
        line.cut(1)
        # The relay would wait for the half to come, for a minute.
        sending.expect(0, 30)
        receiving.expect(0, 5)
    assert f"the connection of {bob.name} was cut; sending again" in sending.err(), sending.tail()
    assert "our own connection was cut; it begins again" in receiving.err(), receiving.tail()
    assert bob.received() == [b"file"]


def test_a_refused_token_is_told_to_the_sender(certs, people, tmp_path):
    bob = people("bob")
    manifest = protocol.pack(v=0, name="file", size=5, attempt=protocol.b64(os.urandom(16)))
    with FakeRelay(certs, answers=[(403, "token_refused", None)], ring=manifest) as relay:
        receiving = bob.receive("--server", relay.url, ready=False)
        until(lambda: relay.cancels, 15, lambda: relay.heard)
        receiving.wait_for("it begins again when zoe sends it again", 5)
        assert relay.cancels == ["receiver_gone"] and receiving.running()


@pytest.mark.slow
def test_a_relay_that_falls_silent_is_noticed(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob, carol = (relay.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    (tmp_path / "file").write_bytes(b"silence")
    receiving = bob.receive()
    sending = alice.send(carol, tmp_path / "file")
    sending.wait_for("not receiving", 10)
    relay.process.signal(signal.SIGSTOP)
    for process in (receiving, sending):
        process.wait_for("reconnecting", 47)
    relay.process.signal(signal.SIGCONT)
    for process in (receiving, sending):
        process.wait_for("reconnected", 30)


@pytest.mark.slow
def test_a_node_that_does_not_answer_is_left_for_another(certs, people, tmp_path):
    """The node answers pings but loses one request; the receiver is not told that the sender cancelled."""
    (tmp_path / "file").write_bytes(b"heard")
    alice, bob, carol = people("alice", "bob", "carol")
    manifest = protocol.pack(v=0, name="file", size=5, attempt=protocol.b64(os.urandom(16)))
    with (
        FakeRelay(certs, unheard=["offer"]) as offers,
        FakeRelay(certs, unheard=["presence"]) as presences,
        FakeRelay(certs, unheard=["accept"], ring=manifest) as accepts,
    ):
        sending = alice.send("dave", "--server", offers.url, tmp_path / "file")
        receiving = bob.receive("--server", presences.url, ready=False)
        accepting = carol.receive("--server", accepts.url, ready=False)
        sending.expect(0, 45)
        assert offers.content == b"heard" and len({offer["manifest"]["attempt"] for offer in offers.offers}) == 1
        receiving.wait_for("ready to receive", 15)
        accepting.wait_for("reconnected", 15)
        until(lambda: accepts.heard.count("accept") == 2, 5, lambda: accepts.heard)
        assert offers.logins == presences.logins == accepts.logins == 2 and "cancel" not in accepts.heard, accepts.heard
        for process in (sending, receiving, accepting):
            assert process.err().count("reconnecting: ") == process.err().count("reconnected") == 1, process.tail()
        assert accepting.err().count(' offers "file"') == 1, "it is the same offer"


def test_a_receiver_that_has_everything_need_not_fetch_it(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    (tmp_path / "file").write_bytes(b"abc")
    bob = relay.session("bob", receiving=True)
    sending = alice.send(bob.identity.name, tmp_path / "file")
    assert protocol.download(relay, bob.accept(bob.ring()["transfer"]))[2]
    sending.wait_for("verifying", 10)
    replace(relay)
    with protocol.Session(relay, bob.identity) as bob:
        bob.login().presence()
        transfer = bob.ring()["transfer"]
        bob.accept(transfer)
        bob.delivered(transfer, 3, hashlib.sha256(b"abc").hexdigest())
        sending.expect(0, 10)
    assert "delivered" in sending.err()
