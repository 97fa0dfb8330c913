# SPDX-License-Identifier: Apache-2.0
"""Sharer and requester on different nodes: what is asked crosses, what is offered comes back, and a node may die."""

import json
import signal

import pytest

from harness import content
from harness.waiting import until

SIZE = 300_000_000


def share(cluster, node, alice, *words):
    """`relay-client share`, on that node."""
    cluster.balance(node)
    process = alice.run("share", *words)
    process.wait_for("sharing ", 20)
    return process


def end(sharing):
    """A person ends it."""
    sharing.signal(signal.SIGINT)
    sharing.expect(130, 20)


def test_requests_cross_nodes(three, tmp_path):
    alice, bob = three.person("alice", tmp_path), three.person("bob", tmp_path)
    mallory = three.person("mallory", tmp_path)
    one, other, third = three.members()
    for number, node in enumerate((one, third)):
        folder = tmp_path / f"pub{number}"
        folder.mkdir()
        (folder / "file").write_bytes(b"content" * (number + 1))
        share(three, node, alice, folder, "--with", bob.name)
    three.balance(other)
    lines = bob.run("list", alice.name, "--json").expect(0, 20).out().splitlines()
    entries = [each for each in map(json.loads, lines) if each["event"] == "entry"]
    assert [each["path"] for each in entries] == ["pub0", "pub1"]
    for number in range(2):
        bob.run("fetch", alice.name, f"pub{number}/file", "--output", bob.inbox).expect(0, 20)
    assert (bob.inbox / "file").read_bytes() == b"content"
    assert (bob.inbox / "file (1)").read_bytes() == b"contentcontent"
    bob.run("fetch", alice.name, "pub2").expect(66, 20)
    said = mallory.run("fetch", alice.name, "pub0", "--no-wait").expect(69, 30).err()
    assert "shares nothing with you, or is not there" in said
    three.balance(*three.members())


@pytest.mark.parametrize("whose", ["sharer", "requester"])
def test_a_node_dies_in_the_middle_of_a_fetch(cluster, large, whose):
    made = cluster()
    alice, bob = made.person("alice", large), made.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE)
    nodes = made.members()
    sharing = share(made, nodes[0], alice, large / "film.mkv", "--with", bob.name)
    made.balance(nodes[1])
    fetching = bob.run("fetch", alice.name, "film.mkv", "--output", bob.inbox)
    until(lambda: content.largest(bob.inbox) >= SIZE // 10, 30, "a part of the file")
    made.balance(*nodes)
    nodes[0 if whose == "sharer" else 1].kill()
    fetching.expect(0, 90)
    assert "going on with" in fetching.err(), fetching.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest
    end(sharing)
    made.stop()
    until(lambda: not list(made.process.temporary.iterdir()), 30, "the end of the cluster's folder")


def test_while_redis_is_away_it_is_asked_again(cluster, tmp_path):
    made = cluster()
    alice, bob = made.person("alice", tmp_path), made.person("bob", tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    nodes = made.members()
    sharing = share(made, nodes[0], alice, tmp_path / "file", "--with", bob.name)
    made.balance(nodes[1])
    redis = made.part("redis")
    redis.kill()
    fetching = bob.run("fetch", alice.name, "file", "--output", bob.inbox)
    fetching.wait_for("reconnecting|asking", 20)
    assert fetching.running()
    redis.restart()
    fetching.expect(0, 60)
    assert (bob.inbox / "file").read_bytes() == b"content"
    end(sharing)
