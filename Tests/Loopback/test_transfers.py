# SPDX-License-Identifier: Apache-2.0
"""What was interrupted is listed on both sides, goes on from either, and can be given up."""

import re
import signal

import pytest

from harness import certificates, content
from harness.clocks import PREFIX, clock
from harness.relay import Relay
from harness.waiting import until

SIZE = 200_000_000
NOTHING = "no transfer is unfinished"


def transfers(person, *arguments, **options):
    """`relay-client transfers`."""
    return person.run("transfers", *arguments, "--profile", person.profile, profile=False, **options)


def listed(person):
    """What is unfinished, as objects."""
    return transfers(person, "list", "--json").expect(0, 10).events("transfer")


@pytest.fixture
def film(large):
    """(the file, its digest)"""
    return large / "film.mkv", content.file(large / "film.mkv", "transfers", SIZE)


def interrupted(alice, bob, film, who):
    """Alice sends bob the film, and one of them ends it midway. The ID that both were told."""
    receiving = bob.receive(once=False, sender=alice.name)
    sending = alice.send(bob, film)
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    {"sender": sending, "receiver": receiving}[who].signal(signal.SIGINT)
    sending.expect(130 if who == "sender" else 77, 10)
    receiving.wait_for("kept what came of", 5)
    # A second interrupt would end the receiver without its last words.
    if who == "sender":
        receiving.signal(signal.SIGINT)
    receiving.expect(130, 10)
    (id,) = {re.findall(r"transfers resume (\S+)", each.err())[0] for each in (sending, receiving)}
    assert bob.stored() == [] and len(bob.parts()) == 1, bob.received()
    return id


@pytest.mark.parametrize("who", ["sender", "receiver"])
def test_what_was_interrupted_is_listed_and_goes_on(relay, large, film, who):
    path, digest = film
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    id = interrupted(alice, bob, path, who)
    (mine,), (theirs,) = listed(alice), listed(bob)
    assert mine["transfer"] == theirs["transfer"] and mine["transfer"].lstrip("-").startswith(id), (mine, theirs)
    assert (mine["direction"], mine["peer"], mine["paths"]) == ("send", bob.name, [str(path)]), mine
    assert (theirs["direction"], theirs["peer"], theirs["folder"]) == ("receive", alice.name, str(bob.inbox)), theirs
    # What is durable may be less than what is here.
    assert mine["size"] == theirs["size"] == SIZE and 0 <= theirs["bytes"] < SIZE, (mine, theirs)
    for person, peer in ((alice, bob), (bob, alice)):
        assert id in (line := transfers(person).expect(0, 10).out()) and peer.name in line, line

    if who == "sender":
        receiving = bob.receive(sender=alice.name)
        sending = transfers(alice, "resume", id)
    else:
        receiving = transfers(bob, "resume", id)
        bob.wait_online(receiving)
        sending = alice.send(bob, path)
    sending.expect(0, 30)
    receiving.expect(0, 10)
    for process in (sending, receiving):
        assert 'going on with "film.mkv"' in process.err(), process.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest
    for person in (alice, bob):
        assert listed(person) == [] and NOTHING in transfers(person).expect(0, 10).err()


def test_what_the_receiver_gives_up_begins_again(relay, large, film):
    path, digest = film
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    id = interrupted(alice, bob, path, "receiver")
    transfers(bob, "forget", id).expect(0, 10)
    assert bob.received() == [] and listed(bob) == []
    transfers(bob, "forget", id).expect(64, 10)
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, path).expect(0, 30)
    receiving.expect(0, 10)
    assert "going on" not in sending.err() + receiving.err(), sending.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest


def test_a_file_that_has_changed_is_another_transfer(relay, large, film):
    path, _ = film
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    interrupted(alice, bob, path, "sender")
    path.write_bytes(b"another film")
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, path).expect(0, 30)
    receiving.expect(0, 10)
    assert "going on" not in sending.err() + receiving.err(), sending.tail()
    assert (bob.inbox / "film.mkv").read_bytes() == b"another film"


def test_what_no_sender_came_back_for_is_removed_after_a_week(binaries, large, film):
    path, _ = film
    certs = certificates.forged(large / "certs", "127.0.0.1", ends=60)
    relay = Relay(binaries, certs, large / "relay", registration="open").start()
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    id = interrupted(alice, bob, path, "sender")
    (bob.inbox / "mine.part").write_bytes(b"mine")
    # Six days later it is still there, and on both lists.
    receiving = bob.receive(prefix=PREFIX, env=clock("+6d"))
    assert len(bob.parts()) == 1 and "removed" not in receiving.err(), receiving.tail()
    receiving.kill()
    for person in (alice, bob):
        assert id in transfers(person, "list", prefix=PREFIX, env=clock("+6d")).expect(0, 10).out()
    receiving = bob.receive(prefix=PREFIX, env=clock("+8d"))
    assert 'removed what came of "film.mkv"' in receiving.err() and alice.name in receiving.err(), receiving.tail()
    assert bob.received() == [b"mine.part"]
    receiving.kill()
    for person in (alice, bob):
        assert NOTHING in transfers(person, prefix=PREFIX, env=clock("+8d")).expect(0, 10).err()
    relay.stop()
