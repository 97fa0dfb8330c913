# SPDX-License-Identifier: Apache-2.0
"""Many offers, many files, many users at once: none of them loses by it."""

import itertools
import os
import signal
import time

import pytest

from harness import content, metrics
from harness.terminal import Terminal
from harness.waiting import TooLate, until
from proofs import many


def events(process, name):
    """The JSON events of that name that a process has printed."""
    return process.events(name)


def test_receive_once_takes_one_and_leaves_the_others_waiting(people, tmp_path):
    bob, senders = people("bob"), [people(name) for name in ("alice", "carol", "dave")]
    for sender in senders:
        content.file(tmp_path / f"{sender.name}.bin", sender.name, 30_000_000)
    sending = [sender.send(bob, tmp_path / f"{sender.name}.bin") for sender in senders]
    for process in sending:
        process.wait_for("not receiving", 10)
    for count in (1, 2, 3):
        receiving = bob.receive(ready=False).expect(0, 20)
        assert len(bob.received()) == count and receiving.err().count("receiving from") == 1, receiving.tail()
        until(lambda count=count: sum(not each.running() for each in sending) == count, 5, "a sender is told")
    for process in sending:
        process.expect(0, 1)
    assert {name.decode() for name in bob.received()} == {f"{sender.name}.bin" for sender in senders}


def test_no_offer_is_declined_before_the_person_has_answered(relay, people):
    """As many offers as the relay rings with at once: none is answered before the person has."""
    bob = people("bob")
    clients = [relay.client(f"sender{number}") for number in range(6)]
    offers = [client.offer(bob.name, {f"file{number}": b"x"}) for client in clients for number in range(20)]
    terminal = Terminal()
    receiving = bob.run("receive", "--json", "--output", bob.inbox, **terminal.streams(stdout=False))
    until(lambda: len(events(receiving, "offered")) == len(offers), 15, receiving.tail)
    receiving.signal(signal.SIGINT)
    receiving.expect(130, 5)
    for client in clients:
        client.session.close()


def test_any_number_of_files_wait_for_their_turn(people, tmp_path):
    """More than the system lets a process have open at once."""
    alice, bob = people("alice", "bob")
    paths = [tmp_path / f"file{number:03}" for number in range(300)]
    for path in paths:
        path.write_bytes(path.name.encode())
    few = ("sh", "-c", 'ulimit -n 64; exec "$@"', "sh")
    receiving = bob.receive(prefix=few)
    alice.send(bob, *paths, prefix=few).expect(0, 30)
    receiving.expect(0, 5)
    assert bob.received() == [os.fsencode(path.name) for path in paths]
    assert all((bob.inbox / path.name).read_bytes() == path.read_bytes() for path in paths)


def test_online_receivers_do_not_wait_for_offline_ones(people, tmp_path):
    alice, bob, carol = people("alice", "bob", "carol")
    paths = [tmp_path / name for name in ("one", "two", "three")]
    for path in paths:
        path.write_bytes(b"x")
    receiving = carol.receive(once=False)
    sending = alice.send(f"{bob.name},{carol.name}", "--json", "--timeout", "3s", *paths).expect(75, 20)
    lines = sending.events()
    seen = {
        each.name: [
            event["event"]
            for event in lines
            if event.get("peer") == each.name and event["event"] in ("waiting", "ringing", "delivered", "failed")
        ]
        for each in (bob, carol)
    }
    assert seen == {bob.name: ["waiting", "failed"], carol.name: ["ringing", "delivered"]}, sending.tail()
    # The one has it before the other is given up.
    ends = [event["event"] for event in lines if event["event"] in ("delivered", "failed")]
    assert ends == ["delivered", "failed"], sending.tail()
    assert {event["message"] for event in events(sending, "failed")} == {
        f"{bob.name} was not receiving in time; try again, or with a longer --timeout"
    }
    assert receiving.running() and carol.stored() == [b"one", b"three", b"two"]

    sending = alice.send(f"{bob.name},{carol.name}", "--json", *paths)
    sending.wait_for('"event":"waiting"', 15)
    late = bob.receive(once=False, ready=False)
    sending.expect(0, 15)
    assert bob.stored() == [b"one", b"three", b"two"] and late.running()


@pytest.mark.slow
def test_of_twenty_receivers_each_has_its_own_verdict(relay, people, tmp_path):
    """3 refuse, 2 are not there, 2 are killed while it comes, 1 is stopped: the 12 others have it all the same."""
    alice = people("alice")
    names = [f"bob{number:02}" for number in range(20)]
    bobs = people(*names)
    refusing, offline, killed, stopped, others = bobs[:3], bobs[3:5], bobs[5:7], bobs[7:8], bobs[8:]
    content.file(tmp_path / "large", "twenty", 8_000_000)
    for bob in refusing:
        bob.receive("--max-size", "1K", once=False, ready=False)
    # What is killed and stopped has a full pipe before it, so that it cannot have ended before.
    pipes = [os.pipe() for _ in killed + stopped]
    slow = {
        bob: bob.receive(once=False, ready=False, output="-", stdout=ends[1])
        for bob, ends in zip(killed + stopped, pipes, strict=True)
    }
    running = {bob: bob.receive(ready=False) for bob in others}
    for bob in refusing + killed + stopped + others:
        bob.wait_online()
    sending = alice.send(",".join(bob.name for bob in bobs), "--json", "--timeout", "10s", tmp_path / "large")
    for bob in killed + stopped:
        slow[bob].wait_for("receiving from", 30)
        slow[bob].signal(signal.SIGKILL if bob in killed else signal.SIGSTOP)
    for bob in others:
        running[bob].expect(0, 60)
        assert (bob.inbox / "large").read_bytes() == (tmp_path / "large").read_bytes()
    # None of them had to wait for those that never come to an end.
    assert sending.running()
    delivered = {event["peer"] for event in events(sending, "delivered")}
    assert delivered <= {bob.name for bob in others}
    for bob in stopped:
        slow[bob].signal(signal.SIGKILL)
    sending.expect(77, 60)
    for end in itertools.chain(*pipes):
        os.close(end)
    verdicts: dict[str, str] = {}
    for event in events(sending, "delivered") + events(sending, "failed"):
        assert verdicts.setdefault(event["peer"], event["event"]) == event["event"], event
    assert {name for name, verdict in verdicts.items() if verdict == "delivered"} == {bob.name for bob in others}
    assert len(verdicts) == 20, verdicts
    codes = {event["peer"]: event["code"] for event in events(sending, "failed")}
    assert {codes[bob.name] for bob in refusing} == {"too_large"}
    assert {codes[bob.name] for bob in offline} == {"timed_out"}


@pytest.mark.slow
def test_the_proof_of_many_receivers_goes_to_its_end(own_relay, large):
    """In small, and without a word about time, which is for a machine that does nothing else."""
    outcome = many.measured(own_relay(registration="open"), large, 8_000_000, 1)
    assert not outcome.verdicts and len(outcome.alone) == len(outcome.among) == 1, outcome.table()


def test_standard_input_goes_to_several_at_once(people, tmp_path):
    alice, bob, carol, dave, eve = people("alice", "bob", "carol", "dave", "eve")
    content.file(tmp_path / "large", "shared input", 40_000_000)
    (tmp_path / "small").write_bytes(b"small")
    receiving = [each.receive(ready=False) for each in (bob, carol)]
    dave.receive("--from", bob.name, once=False, ready=False)
    for each in (bob, carol, dave):
        each.wait_online()
    with (tmp_path / "large").open("rb") as large:
        names = ",".join(each.name for each in (bob, carol, dave))
        sending = alice.send(names, "--json", "-", stdin=large).expect(77, 60)
    for process in receiving:
        process.expect(0, 10)
    for each in (bob, carol):
        assert (each.inbox / "stdin").read_bytes() == (tmp_path / "large").read_bytes()
    assert {event["peer"] for event in events(sending, "delivered")} == {bob.name, carol.name}
    assert {event["peer"]: event["code"] for event in events(sending, "failed")} == {dave.name: "declined"}
    # What is small enough waits for one who is late.
    receiving = bob.receive(ready=False)
    with (tmp_path / "small").open("rb") as small:
        sending = alice.send(f"{bob.name},{eve.name}", "--json", "-", stdin=small)
        receiving.expect(0, 15)
        late = eve.receive(ready=False)
        sending.expect(0, 15)
    late.expect(0, 5)
    assert (eve.inbox / "stdin").read_bytes() == b"small"


@pytest.mark.slow
def test_a_receiver_of_standard_input_who_stops_is_dropped(people, tmp_path):
    """The others wait for a minute, and no longer."""
    alice, bob, carol = people("alice", "bob", "carol")
    content.file(tmp_path / "large", "stopped", 300_000_000)
    receiving = [each.receive() for each in (bob, carol)]
    with (tmp_path / "large").open("rb") as large:
        sending = alice.send(f"{bob.name},{carol.name}", "--json", "-", stdin=large)
        until(lambda: content.largest(carol.inbox) >= 20_000_000, 30, "a part of it")
        receiving[1].signal(signal.SIGSTOP)
        stopped = time.monotonic()
        sending.expect(69, 120)
    assert time.monotonic() - stopped > 30
    receiving[0].expect(0, 10)
    assert content.sha256(bob.inbox / "stdin") == content.sha256(tmp_path / "large")
    assert [event["peer"] for event in events(sending, "delivered")] == [bob.name]
    # Its relay finds out first that it is gone.
    (failed,) = events(sending, "failed")
    assert failed["peer"] == carol.name and f"the connection of {carol.name} was cut" in failed["message"], failed
    receiving[1].signal(signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_receiver_of_standard_input_who_takes_nothing_is_dropped(people, tmp_path):
    """One who is there, and whose standard output is not read: the others have waited for a minute."""
    alice, bob, carol = people("alice", "bob", "carol")
    content.file(tmp_path / "large", "full pipe", 100_000_000)
    end, full = os.pipe()
    bob_receives, carol_receives = bob.receive(), carol.receive(once=False, output="-", stdout=full)
    os.close(full)
    with (tmp_path / "large").open("rb") as large:
        sending = alice.send(f"{bob.name},{carol.name}", "--json", "-", stdin=large)
        carol_receives.wait_for("receiving from", 30)
        began = time.monotonic()
        sending.expect(75, 120)
    assert time.monotonic() - began >= 60
    bob_receives.expect(0, 10)
    assert content.sha256(bob.inbox / "stdin") == content.sha256(tmp_path / "large")
    assert [event["peer"] for event in events(sending, "delivered")] == [bob.name]
    (failed,) = events(sending, "failed")
    assert (failed["peer"], failed["code"]) == (carol.name, "timed_out"), failed
    assert f"{carol.name} took nothing for 60 s while the other receivers waited for it" in failed["message"], failed
    # She is told too. What went to her standard output cannot be taken back.
    assert f"{alice.name} gave up waiting" in carol_receives.expect(75, 10).err()
    os.close(end)


def test_small_files_do_not_wait_for_large_ones(relay, people):
    """Four large downloads at once, and as many small ones beside them as make sixteen; the rest goes on ringing."""
    bob, clients = people("bob"), [relay.client(f"sender{number}") for number in range(2)]
    receiving = bob.run("receive", "--json", "--yes", "--output", bob.inbox)
    until(lambda: events(receiving, "ready"), 10, receiving.tail)
    kinds = {"large": (clients[0], 65_537), "small": (clients[1], 65_536)}
    offers = {
        kind: [client.offer(bob.name, {f"{kind}{number}": bytes(size)}) for number in range(18)]
        for kind, (client, size) in kinds.items()
    }
    for count, kind in ((4, "large"), (12, "small")):
        for offer in offers[kind][:count]:
            offer.start()
        with pytest.raises(TooLate):
            offers[kind][count].start(1)
    # One ends, and the next of its kind comes.
    clients[1].session.cancel(offers["small"][0].attempt)
    offers["small"][12].start()
    clients[0].session.cancel(offers["large"][0].attempt)
    offers["large"][4].start()
    for client in clients:
        client.session.close()


def small_files(folder, count):
    """As many files of 3 bytes: {name: content}."""
    folder.mkdir()
    files = {f"{number:03}": b"%03d" % number for number in range(count)}
    for name, body in files.items():
        (folder / name).write_bytes(body)
    return files


@pytest.fixture
def unhindered(own_relay):
    """A relay that must not have held anything back by the end of the test."""
    relay = own_relay(registration="open", arguments=("--metrics-listen", "127.0.0.1:0"))
    yield relay
    figures = metrics.scrape(metrics.port_of(relay))
    met = {name: value for name, value in figures.items() if name.startswith("relay_limits_met_total") and value}
    assert not met and figures["relay_messages_held_back_seconds_total"] == 0, met


def test_many_small_files_arrive_without_meeting_a_limit(unhindered, tmp_path):
    alice, bob = unhindered.person("alice", tmp_path), unhindered.person("bob", tmp_path)
    files = small_files(tmp_path / "m", 300)
    receiving = bob.receive(once=False)
    sending = alice.send(bob, "--json", *sorted((tmp_path / "m").iterdir())).expect(0, 30)
    assert {os.fsdecode(name): (bob.inbox / os.fsdecode(name)).read_bytes() for name in bob.stored()} == files
    # They are one transfer, offered once; nothing is refused, tried again or held back.
    assert len(events(sending, "delivered")) == len(events(sending, "ringing")) == 1, sending.tail()
    seen = {event["event"] for event in sending.events()}
    assert seen <= {"first_contact", "ringing", "started", "progress", "verifying", "delivered"}, seen
    assert receiving.running() and "rate" not in receiving.err(), receiving.tail()


@pytest.mark.slow
def test_one_send_after_the_other_meets_no_limit(unhindered, tmp_path):
    alice, bob = unhindered.person("alice", tmp_path), unhindered.person("bob", tmp_path)
    files = small_files(tmp_path / "m", 100)
    receiving = bob.receive(once=False)
    for path in sorted((tmp_path / "m").iterdir()):
        sending = alice.send(bob, "--json", path).expect(0, 30)
        seen = [event["event"] for event in sending.events()]
        expected = {"first_contact", "ringing", "started", "progress", "verifying", "delivered"}
        assert set(seen) <= expected and seen.count("delivered") == 1, (path, seen)
    assert {os.fsdecode(name): (bob.inbox / os.fsdecode(name)).read_bytes() for name in bob.stored()} == files
    assert receiving.running()
