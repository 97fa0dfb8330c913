# SPDX-License-Identifier: Apache-2.0
"""Manifests that are too large, too deep, or say the same name twice: refused in words, in bounded memory, with nothing
stored and nothing left behind."""

import os
import subprocess

import pytest

from harness import content, file_systems, manifests, measure, protocol
from harness.manifests import Manifest
from harness.sealed_stream import END, FILE_END, record
from harness.sealed_tree import Tree
from harness.waiting import background

MiB = 1 << 20
GB = 10**9
IO, PROTOCOL, REFUSED = 74, 76, 77
#: What a receiver may use for a hundred thousand files.
MEMORY = 100 * MiB
FOLDER = '{"names":["top"],"kind":"folder"'


class Watched:
    """A receiver, and the most memory that it has used while something was sent to it."""

    def __init__(self, receiving):
        self.receiving, self.most = receiving, 0

    def __call__(self, pieces):
        for number, piece in enumerate(pieces):
            if number % 64 == 0 and self.receiving.running():
                self.most = max(self.most, measure.peak(self.receiving.pid))
            yield piece
        if self.receiving.running():
            self.most = max(self.most, measure.peak(self.receiving.pid))


def refused(relay, bob, receiving, manifest, summary, code, timeout=90):
    """Sends it, and returns how the receiver refuses: what it says, and its memory."""
    watched = Watched(receiving)
    with relay.client("mallory") as mallory:
        offered = mallory.offer(bob.name, Tree([], []), summary=summary)
        offered.start()
        # Not waited for: this client writes on for as long as the relay reads.
        background(offered.upload, watched(manifest.body(offered)), timeout=timeout)
        with pytest.raises(protocol.Failed) as failure:
            offered.delivered(timeout)
        assert (failure.value.by, failure.value.code) == ("peer", code), failure.value
    return watched.most


def said(receiving, bob, *words):
    """The receiver has said why in one line, and has nothing of it."""
    lines = [line for line in receiving.err().splitlines() if line.startswith("not received")]
    assert len(lines) == 1 and all(word in lines[0] for word in words) and len(lines[0]) < 1000, receiving.tail()
    assert bob.received() == [], bob.received()


@pytest.mark.parametrize("kind", ["10 GB", "10 million entries"])
def test_more_than_was_announced_is_refused_at_once(relay, people, kind):
    """The person was asked about three entries: of the rest only what was on its way has come."""
    bob = people("bob")
    receiving = bob.receive()
    records = {
        "10 GB": lambda: manifests.long_links(b"top", 10 * GB),
        "10 million entries": lambda: manifests.many_files(b"top", 10_000_000),
    }[kind]()
    manifest = Manifest(records)
    most = refused(relay, bob, receiving, manifest, FOLDER + ',"entries":3,"bytes":0}', "protocol_error")
    receiving.expect(PROTOCOL, 10)
    said(receiving, bob, "more entries than were announced")
    assert manifest.sent < 64 * MiB and most < MEMORY, (manifest.sent, most)


@pytest.mark.alone
@pytest.mark.slow
def test_a_manifest_of_very_many_entries_costs_no_memory(relay, people):
    """Announced as it is, so it is taken; then its sender has nothing of what it has announced."""
    bob = people("bob")
    receiving = bob.receive()
    manifest = Manifest(manifests.many_files(b"top", 500_000), b"")
    most = refused(relay, bob, receiving, manifest, FOLDER + ',"entries":500001,"bytes":0}', "protocol_error")
    receiving.expect(PROTOCOL, 10)
    assert most < MEMORY, most
    assert bob.received() == [], bob.received()


@pytest.mark.alone
@pytest.mark.slow
def test_a_manifest_whose_records_never_end_with_a_chunk_costs_no_memory(relay, people):
    """Each is of an even number of bytes, and begins at an odd one: what is left over at the end of each chunk."""
    bob = people("bob")
    with file_systems.memory(bob.inbox, "size=200m") as disk:
        receiving = bob.receive(prefix=disk.prefix)
        records = [*manifests.long_links(b"tops", 50_000)]
        assert (1 + len(records[0])) % 2 == 1 and all(len(each) % 2 == 0 for each in records[1:])
        manifest = Manifest(manifests.long_links(b"tops", 150_000_000), b"")
        most = refused(relay, bob, receiving, manifest, '{"names":["tops"],"kind":"folder"}', "protocol_error")
        receiving.expect(PROTOCOL, 10)
        assert os.listdir(disk.folder) == []
    assert most < MEMORY, most


def test_a_manifest_larger_than_the_disk_ends_with_the_disk_as_it_was(relay, people):
    """How many entries come was not said: only the disk ends it."""
    bob = people("bob")
    with file_systems.memory(bob.inbox, "size=8m") as disk:
        before = disk.free()
        receiving = bob.receive(prefix=disk.prefix)
        manifest = Manifest(manifests.long_links(b"top", 10 * GB))
        refused(relay, bob, receiving, manifest, FOLDER + "}", "no_space")
        receiving.expect(IO, 10)
        assert os.listdir(disk.folder) == [] and disk.free() == before
    said(receiving, bob, "top", "full")
    assert manifest.sent < 80 * MiB, manifest.sent


def test_a_limit_of_size_is_one_of_names_too(relay, people):
    """Files without content, or their names alone, would fill the disk as well."""
    bob = people("bob")
    with file_systems.memory(bob.inbox, "size=100m") as disk:
        before = disk.free()
        receiving = bob.receive("--max-size", "1MB", prefix=disk.prefix)
        manifest = Manifest(manifests.long_links(b"top", 10 * GB))
        refused(relay, bob, receiving, manifest, FOLDER + "}", "too_large")
        receiving.expect(REFUSED, 10)
        assert os.listdir(disk.folder) == [] and disk.free() == before
    said(receiving, bob, "larger than --max-size")


def test_ten_thousand_folders_within_one_another_are_refused(relay, people):
    bob = people("bob")
    receiving = bob.receive()
    manifest = Manifest(manifests.nested(10_000))
    refused(relay, bob, receiving, manifest, '{"names":["d"],"kind":"folder","entries":10001}', "protocol_error")
    receiving.expect(PROTOCOL, 10)
    said(receiving, bob, "more than 1024 folders")


def test_the_deepest_folders_that_may_be_arrive(relay, people):
    """Their path is 64 times as long as one that the system takes."""
    bob = people("bob")
    receiving = bob.receive()
    name = b"d" * manifests.NAME
    manifest = Manifest(manifests.nested(1_024, name), record(FILE_END, b"") + record(END, b""))
    with relay.client("alice") as alice:
        summary = f'{{"names":["{name.decode()}"],"kind":"folder","entries":1025,"bytes":0}}'
        offered = alice.offer(bob.name, Tree([], []), summary=summary)
        offered.start()
        assert offered.upload(manifest.body(offered))[0] == 200
        offered.offer.confirmed(20)
    receiving.expect(0, 10)
    handle, depth = os.open(bob.inbox, os.O_RDONLY), 0
    while name.decode() in (found := os.listdir(handle)):
        inner = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=handle)
        os.close(handle)
        handle, depth = inner, depth + 1
    os.close(handle)
    assert (depth, found) == (1_024, ["file"])
    assert bob.received() == [name]
    # What tidies up after the tests goes no deeper than a thousand.
    subprocess.run(["rm", "-rf", bob.inbox], check=True)


@pytest.mark.parametrize("inside", [False, True], ids=["top", "inside"])
def test_two_equal_names_are_refused(relay, people, inside):
    bob = people("bob")
    receiving = bob.receive()
    twins = [manifests.file(b"twin", 1 if inside else 0)] * 2
    records = [manifests.folder(b"top"), *twins] if inside else twins
    names, kind = ('["top"]', "folder") if inside else ('["twin","twin"]', "several")
    manifest = Manifest(records, (record(FILE_END, b"")) * 2 + record(END, b""))
    refused(relay, bob, receiving, manifest, f'{{"names":{names},"kind":"{kind}"}}', "protocol_error")
    receiving.expect(PROTOCOL, 10)
    said(receiving, bob, '"twin"', "comes twice")


def test_names_that_only_look_the_same_arrive_where_the_file_system_keeps_them_apart(people, tmp_path):
    alice, bob = people("alice", "bob")
    top = tmp_path / "top"
    names = ["Name", "name", "\u00e9", "e\u0301", "x", "x ", "x."]
    top.mkdir()
    for number, name in enumerate(names):
        (top / name).write_bytes(bytes([number]))
    receiving = bob.receive()
    alice.send(bob, top).expect(0, 15)
    receiving.expect(0, 5)
    assert {name: (bob.inbox / "top" / name).read_bytes() for name in names} == {
        name: bytes([number]) for number, name in enumerate(names)
    }
    assert content.listing(top) == content.listing(bob.inbox / "top")
