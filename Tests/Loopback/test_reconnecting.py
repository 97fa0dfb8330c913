# SPDX-License-Identifier: Apache-2.0
"""The relay goes and comes back: both clients look for it, go on, and make one file of it."""

import os
import signal

import pytest

from harness import content, protocol
from harness.fake import FakeRelay
from harness.forwarder import Forwarder
from harness.sealed import Accept
from harness.sealed_tree import Tree
from harness.waiting import background, until

SIZE = 400_000_000


def events(process, *names):
    """The names of the JSON events a process has printed (only those in `names`, if any are given)."""
    return [event["event"] for event in process.events(*names)]


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
    assert len({event.get("transfer") for event in sending.events()} - {None}) == 1


def test_an_unanswered_question_survives_a_killed_relay(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    (tmp_path / "file").write_bytes(b"again")
    bob = relay.client("bob", receiving=True)
    sending = alice.send(bob.name, tmp_path / "file")
    first = bob.ring()
    replace(relay)
    with bob.again(receiving=True) as bob:
        second = bob.ring()
        assert second.attempt != first.attempt and second.transfer == first.transfer == first.attempt
        assert second.summary == first.summary
        second.accept()
        assert second.download().files == [b"again"]
        second.delivered()
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
    content.file(large / "file", "away", SIZE)
    receiving = bob.receive()
    sending = alice.send(bob, "--timeout", "2s", large / "file")
    until(lambda: content.largest(bob.inbox) > 1_000_000, 20, "the first bytes")
    relay.process.kill()
    sending.expect(75, 15)
    last, kept = sending.err().strip().splitlines()[-2:]
    # Which of both the last try meets, a refusal or the end of the time, is a race.
    assert "gave up after 2 s" in last and f"127.0.0.1:{relay.port}" in last, sending.tail()
    assert kept.startswith(f'{bob.name} keeps what came of "file"; to go on: '), sending.tail()
    assert receiving.running(), receiving.tail()
    receiving.signal(signal.SIGINT)
    receiving.expect(130, 5)
    assert "reconnecting" in receiving.err()
    # What has arrived is kept, for the next time that it is sent.
    assert bob.stored() == [] and len(bob.parts()) == 1, bob.received()


@pytest.mark.slow
def test_one_outage_is_waited_for_once(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, *others = (relay.person(name, tmp_path) for name in ("alice", "bob", "carol", "dave"))
    (tmp_path / "file").write_bytes(b"x")
    to = ",".join(other.name for other in others)
    sending = alice.send(to, "--json", "--timeout", "4s", tmp_path / "file")
    sending.wait_for('"event":"waiting"', 10)
    relay.process.kill()
    sending.expect(75, 15)
    assert events(sending, "failed", "reconnecting") == ["reconnecting", "failed", "failed", "failed"], sending.tail()


def test_no_wait_still_waits_for_a_receiver_that_had_accepted(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    body = content.data("no wait", 20_000_000)
    (tmp_path / "file").write_bytes(body)
    bob = relay.client("bob", receiving=True)
    sending = alice.send(bob.name, "--no-wait", "--json", tmp_path / "file")
    start = bob.ring().accept()
    first = relay.process
    background(protocol.download, relay, start, lambda piece: first.kill())
    sending.wait_for('"event":"reconnecting"', 10)
    relay.start(relay.port)
    sending.wait_for('"event":"waiting"', 15)
    with bob.again(receiving=True) as bob:
        assert bob.receive().contents.files == [body]
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
    assert bob.received() == [] and "it goes on when" not in receiving.out(), receiving.tail()


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


def test_a_file_that_is_replaced_meanwhile_is_sent_as_it_is_now(own_relay, tmp_path):
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
    sending.wait_for("it is sent again from the beginning", 15)
    receiving = bob.receive(ready=False)
    sending.expect(0, 15)
    receiving.expect(0, 5)
    assert bob.stored() == [b"file"] and (bob.inbox / "file").read_bytes() == b"two"


def test_the_same_offer_again_makes_no_second_file(relay, people):
    bob = people("bob")
    receiving = bob.receive(once=False)
    body = b"only once"
    with relay.client("alice") as alice, relay.client("mallory") as mallory:

        def sent(client, position, **options):
            offered = client.offer(bob.name, {"report.pdf": body}, **options)
            assert offered.start() == position
            assert offered.upload()[0] == 200
            assert offered.delivered() == (1, len(body))
            return offered.sealed.transfer

        transfer = sent(alice, Accept())
        # The receiver has everything: nothing but the manifest's digest goes over the wire.
        sent(alice, Accept(1, 0), transfer=transfer)
        assert bob.stored() == [b"report.pdf"]
        # Another identity stays another one, whatever it says.
        sent(mallory, Accept(), transfer=transfer)
    assert bob.stored() == [b"report (1).pdf", b"report.pdf"]
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
        # With what is kept until the sender knows.
        until(lambda: bob.stored() == [b"file"], 10, "the file is stored")
        assert sending.running() and receiving.running(), sending.tail()
        relay.process.kill()
        relay.start(relay.port)
        sending.expect(0, 15)
        receiving.expect(0, 10)
    until(lambda: bob.received() == [b"file"], 5, bob.received)
    assert content.sha256(bob.inbox / "file") == digest
    assert "delivered" in sending.err() and receiving.err().count("received ") == 1, receiving.tail()


def test_a_delivery_that_a_sender_gave_up_on_is_reported_to_its_next_one(own_relay, tmp_path):
    """The receiver runs anew as well: it knows from what it has kept."""
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "given up", 5_000_000)
    with Forwarder(relay.address) as forwarder:
        receiving = bob.receive("--server", forwarder.url)
        sending = alice.send(bob, "--timeout", "1s", tmp_path / "file")
        until(lambda: forwarder.count >= 2, 10, "the download")
        forwarder.mute(0)
        until(lambda: bob.stored() == [b"file"], 10, "the file is stored")
        receiving.kill()
        sending.expect(75, 15)
    assert "has not confirmed it" in sending.err(), sending.tail()
    receiving = bob.receive()
    sending = alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 10)
    assert 'going on with "file" at 5.00 MB of 5.00 MB' in sending.err(), sending.tail()
    assert bob.received() == [b"file"] and content.sha256(bob.inbox / "file") == digest


@pytest.mark.slow
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
    assert "our own connection was cut; it goes on" in receiving.err(), receiving.tail()
    assert bob.received() == [b"file"]


def test_a_refused_token_is_told_to_the_sender(certs, people, tmp_path):
    bob = people("bob")
    with FakeRelay(certs, answers=[(403, "token_refused", None)], ring={"file": b"begun"}) as relay:
        receiving = bob.receive("--server", relay.url, ready=False)
        until(lambda: relay.cancels, 15, lambda: relay.heard)
        receiving.wait_for("it goes on when zoe sends it again", 5)
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
    with (
        FakeRelay(certs, unheard=["offer"]) as offers,
        FakeRelay(certs, unheard=["presence"]) as presences,
        FakeRelay(certs, unheard=["accept"], ring={"file": b"heard"}) as accepts,
    ):
        sending = alice.send("dave", "--server", offers.url, tmp_path / "file")
        receiving = bob.receive("--server", presences.url, ready=False)
        accepting = carol.receive("--server", accepts.url, ready=False)
        sending.expect(0, 45)
        assert offers.content == b"heard" and len({offer["sealed"].transfer for offer in offers.offers}) == 1
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
    bob = relay.client("bob", receiving=True)
    sending = alice.send(bob.name, tmp_path / "file")
    first = bob.ring()
    first.accept()
    tree = first.download()
    sending.wait_for("verifying", 10)
    replace(relay)
    with bob.again(receiving=True) as bob:
        rung, end = bob.ring(), Accept(1, 0)
        rung.accept(end)
        assert rung.resume(Tree(tree.entries, tree.files), end).files == [b"abc"]
        rung.delivered()
        sending.expect(0, 10)
    assert "delivered" in sending.err()
