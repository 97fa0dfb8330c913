# SPDX-License-Identifier: Apache-2.0
"""Many offers, many files, many users at once: none of them loses by it."""

import os
import signal

import pytest

from harness import content, metrics
from harness.terminal import Terminal
from harness.waiting import TooLate, until


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
    seen = [
        (event["event"], event["peer"])
        for name in ("delivered", "waiting", "failed")
        for event in events(sending, name)
    ]
    # The offline receiver is waited for once, after all online ones have everything.
    assert seen == [("delivered", carol.name), ("waiting", bob.name), ("failed", bob.name)], sending.tail()
    lines = [event["event"] for event in sending.events()]
    assert lines.index("waiting") > max(at for at, name in enumerate(lines) if name == "delivered"), sending.tail()
    assert {event["message"] for event in events(sending, "failed")} == {
        f"{bob.name} was not receiving in time; try again, or with a longer --timeout"
    }
    assert receiving.running() and carol.stored() == [b"one", b"three", b"two"]

    sending = alice.send(f"{bob.name},{carol.name}", "--json", *paths)
    sending.wait_for('"event":"waiting"', 15)
    late = bob.receive(once=False, ready=False)
    sending.expect(0, 15)
    assert bob.stored() == [b"one", b"three", b"two"] and late.running()


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
