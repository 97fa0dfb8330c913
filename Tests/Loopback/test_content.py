# SPDX-License-Identifier: Apache-2.0
"""Contents of every size arrive as they were."""

import hashlib
import json
import os
import shutil

import pytest

from harness import content
from harness.waiting import background, until


def assert_only(person, name):
    """The inbox holds this file and nothing else."""
    assert person.received() == [os.fsencode(name)]


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_003])
def test_a_file_arrives(people, tmp_path, size):
    alice, bob = people("alice", "bob")
    digest = content.file(tmp_path / "report.pdf", f"size {size}", size)
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, tmp_path / "report.pdf")
    sending.expect(0, 15)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "report.pdf") == digest
    assert_only(bob, "report.pdf")
    assert "delivered" in sending.out() + sending.err()


@pytest.mark.slow
@pytest.mark.large
@pytest.mark.timeout(240)
def test_two_gibibytes_arrive(people, large):
    alice, bob = people("alice", "bob")
    digest = content.file(large / "big.bin", "2 GiB", 2 * content.GiB)
    (large / "inbox").mkdir()
    receiving = bob.receive(output=large / "inbox")
    alice.send(bob, large / "big.bin").expect(0, 180)
    receiving.expect(0, 10)
    assert (large / "inbox" / "big.bin").stat().st_size == 2 * content.GiB
    assert content.sha256(large / "inbox" / "big.bin") == digest


def test_standard_input_goes_to_standard_output(people, tmp_path):
    alice, bob = people("alice", "bob")
    digest = content.file(tmp_path / "in", "stdin", 30_000_000)
    receiving = bob.receive(output="-")
    with open(tmp_path / "in", "rb") as stdin:
        sending = alice.send(bob, "-", stdin=stdin)
    sending.expect(0, 20)
    receiving.expect(0, 5)
    assert content.sha256(receiving.stdout_path) == digest
    assert bob.received() == []


def test_empty_standard_input_arrives_as_an_empty_file(people):
    alice, bob = people("alice", "bob")
    receiving = bob.receive(output="-")
    alice.send(bob, "-").expect(0, 15)
    receiving.expect(0, 5)
    assert receiving.stdout_path.read_bytes() == b""


def test_standard_input_gets_a_name_in_a_folder(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "in").write_bytes(b"some text")
    receiving = bob.receive()
    with open(tmp_path / "in", "rb") as stdin:
        alice.send(bob, "-", stdin=stdin).expect(0, 15)
    receiving.expect(0, 5)
    (name,) = bob.received()
    assert (bob.inbox / os.fsdecode(name)).read_bytes() == b"some text"


def test_a_file_is_received_to_standard_output(people, tmp_path):
    alice, bob = people("alice", "bob")
    digest = content.file(tmp_path / "a", "to stdout", 1_000_000)
    receiving = bob.receive(output="-")
    alice.send(bob, tmp_path / "a").expect(0, 15)
    receiving.expect(0, 5)
    assert hashlib.sha256(receiving.stdout_path.read_bytes()).hexdigest() == digest


def test_several_files_of_one_send_arrive(people, tmp_path):
    alice, bob = people("alice", "bob")
    receiving = bob.receive(once=False)
    digests = {
        f"file {number}": content.file(tmp_path / f"file {number}", number, 100_000 * number) for number in range(5)
    }
    alice.send(bob, *(tmp_path / name for name in digests)).expect(0, 20)
    assert {os.fsdecode(name): content.sha256(bob.inbox / os.fsdecode(name)) for name in bob.stored()} == digests
    assert receiving.running()


def test_several_files_of_one_send_are_one_transfer(people, tmp_path):
    """One question, one line at the end on each side; what is in folders stays there, empty ones as well."""
    alice, bob = people("alice", "bob")
    (tmp_path / "photos" / "2024" / "empty").mkdir(parents=True)
    (tmp_path / "photos" / "2024" / "a.jpg").write_bytes(b"a" * 100_000)
    (tmp_path / "photos" / "b.jpg").write_bytes(b"")
    (tmp_path / "report.pdf").write_bytes(b"beside it")
    receiving = bob.receive(sender=alice.name)
    sending = alice.send(bob, tmp_path / "report.pdf", tmp_path / "photos").expect(0, 20)
    receiving.expect(0, 5)
    assert content.listing(bob.inbox).keys() == {
        b"photos",
        b"photos/2024",
        b"photos/2024/a.jpg",
        b"photos/2024/empty",
        b"photos/b.jpg",
        b"report.pdf",
    }
    assert (bob.inbox / "photos/2024/a.jpg").read_bytes() == b"a" * 100_000
    for process, word in ((sending, "\ndelivered "), (receiving, "\nreceived ")):
        assert ("\n" + process.err()).count(word) == 1, process.tail()
        assert "and 1 other" in process.err(), process.tail()


def test_several_receivers_of_one_send_are_served(people, tmp_path):
    alice, bob, carol = people("alice", "bob", "carol")
    digest = content.file(tmp_path / "file", "two receivers", 300_000)
    receiving = [bob.receive(), carol.receive()]
    alice.send(f"{bob.name},{carol.name}", tmp_path / "file").expect(0, 20)
    for process, person in zip(receiving, (bob, carol), strict=True):
        process.expect(0, 5)
        assert content.sha256(person.inbox / "file") == digest


def test_a_file_of_the_same_name_is_stored_beside_the_first(people, tmp_path):
    alice, bob = people("alice", "bob")
    (bob.inbox / "report.pdf").write_bytes(b"mine")
    (bob.inbox / "report (1).pdf").symlink_to("/nonexistent")
    receiving = bob.receive(once=False)
    for text in (b"first", b"second"):
        (tmp_path / "report.pdf").write_bytes(text)
        alice.send(bob, tmp_path / "report.pdf").expect(0, 15)
    assert receiving.running()
    assert (bob.inbox / "report.pdf").read_bytes() == b"mine"
    assert (bob.inbox / "report (2).pdf").read_bytes() == b"first"
    assert (bob.inbox / "report (3).pdf").read_bytes() == b"second"
    assert len(bob.stored()) == 4


def test_one_receiver_takes_twenty_transfers(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    receiving = bob.receive(once=False)
    digests = {}
    for number in range(20):
        digests[f"file-{number}"] = content.file(tmp_path / f"file-{number}", f"at once {number}", 4_000_000 + number)
    sending = [alice.send(bob, tmp_path / name) for name in digests]
    for process in sending:
        process.expect(0, 60)
    assert {os.fsdecode(name): content.sha256(bob.inbox / os.fsdecode(name)) for name in bob.stored()} == digests
    assert receiving.running()
    relay.healthy()


def test_twenty_streams_at_once_arrive_whole(own_relay, tmp_path):
    """A receiver takes four at a time, so five of them. No input ends before all twenty stream."""
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    receivers = [relay.person(f"bob{number}", tmp_path) for number in range(5)]
    processes = [person.receive(once=False) for person in receivers]
    sending, digests = [], []
    for number in range(20):
        digests.append(content.file(tmp_path / f"file-{number}", f"stream {number}", 3_000_000 + number))
        read, write = os.pipe()
        sending.append((alice.send(receivers[number % 5], "-", stdin=read), write))
        os.close(read)

    def feed(number, write):
        with open(tmp_path / f"file-{number}", "rb") as source, open(write, "wb", closefd=False) as sink:
            shutil.copyfileobj(source, sink)

    feeding = [background(feed, number, write) for number, (_, write) in enumerate(sending)]
    for each in feeding:
        each.result(60)
    # Joined, and none can have ended.
    until(lambda: relay.status()["streams"]["toReceivers"] == 20, 60, lambda: f"{relay.status()}")
    for _, write in sending:
        os.close(write)
    for process, _ in sending:
        process.expect(0, 60)
    for index, person in enumerate(receivers):
        found = {content.sha256(person.inbox / os.fsdecode(name)) for name in person.stored()}
        assert found == set(digests[index::5])
    assert all(process.running() for process in processes)


def test_a_sender_waits_for_a_receiver_who_is_not_there_yet(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"patience")
    sending = alice.send(bob, tmp_path / "file")
    sending.wait_for(r"(?i)wait", 10)
    receiving = bob.receive(ready=False)
    sending.expect(0, 15)
    receiving.expect(0, 5)
    assert (bob.inbox / "file").read_bytes() == b"patience"


def test_a_file_above_the_receivers_size_limit_is_declined(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "large").write_bytes(bytes(2_000_000))
    (tmp_path / "small").write_bytes(bytes(1000))
    receiving = bob.receive("--max-size", "1MB", once=False)
    alice.send(bob, tmp_path / "large").expect(77, 15)
    alice.send(bob, tmp_path / "small").expect(0, 15)
    with open(tmp_path / "large", "rb") as stdin:
        alice.send(bob, "-", stdin=stdin).expect(77, 15)
    assert bob.stored() == [b"small"]
    assert receiving.running()


def test_only_the_named_sender_is_accepted(people, tmp_path):
    alice, bob, eve = people("alice", "bob", "eve")
    (tmp_path / "file").write_bytes(b"hello")
    receiving = bob.receive(sender=alice.name, once=False)
    eve.send(bob, tmp_path / "file").expect(77, 15)
    assert bob.received() == []
    alice.send(bob, tmp_path / "file").expect(0, 15)
    assert bob.stored() == [b"file"]
    assert receiving.running()


def checksums(process):
    """What a program that watches is told: the SHA-256 by path, and those of the lines that end the transfers."""
    events = [json.loads(line) for line in process.out().splitlines()]
    files = {event["path"]: event["sha256"] for event in events if event["event"] == "checksum"}
    return files, [event.get("sha256") for event in events if event["event"] in ("delivered", "received")]


def test_both_sides_print_the_checksum_of_each_file(people, tmp_path):
    alice, bob = people("alice", "bob")
    files = {"photos/a": b"first", "photos/in/b": content.data("second", 300_000), "photos/in/empty": b""}
    for path, body in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(body)
    receiving = bob.receive("--checksum", "--json")
    sending = alice.send(bob, "--checksum", "--json", tmp_path / "photos").expect(0, 30)
    receiving.expect(0, 10)
    expected = {path: hashlib.sha256(body).hexdigest() for path, body in files.items()}
    assert checksums(sending) == (expected, [None]) and checksums(receiving) == (expected, [None])


@pytest.mark.parametrize("output", [None, "-"])
def test_the_checksum_of_standard_input_is_taken_on_its_way(people, tmp_path, output):
    alice, bob = people("alice", "bob")
    digest = content.file(tmp_path / "in", "piped", 3_000_000)
    receiving = bob.receive("--checksum", output=output)
    with open(tmp_path / "in", "rb") as stdin:
        sending = alice.send(bob, "--checksum", "-", stdin=stdin).expect(0, 30)
    receiving.expect(0, 10)
    line = f", SHA-256 {digest}"
    assert sending.err().count(line) == 1 and receiving.err().count(line) == 1, sending.tail() + receiving.tail()
