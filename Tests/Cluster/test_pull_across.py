# SPDX-License-Identifier: Apache-2.0
"""Sharer and requester on different nodes: what is asked crosses, what is offered comes back, and a node may die."""

import contextlib
import json
import os
import signal

import pytest

from harness import content
from harness.client import Client
from harness.mortal import mortal
from harness.protocol import Session
from harness.waiting import until

SIZE = 300_000_000


def share(cluster, node, alice, *words, **options):
    """`relay-client share`, on that node."""
    cluster.balance(node)
    process = alice.run("share", *words, **options)
    process.wait_for('sharing |"sharing"', 20)
    return process


def fetch(person, sharer, *words):
    """`relay-client fetch`, into the inbox unless it is said where."""
    where = () if "--output" in words else ("--output", person.inbox)
    return person.run("fetch", sharer.name, *words, *where)


def elsewhere(client, node):
    """The same user at another node."""
    session = Session(node, client.session.identity).login(prekey=client.peer.prekey())
    return Client(node, session, client.peer)


def heard(clients, kind):
    """How often all of them have heard a message of that type."""
    return sum(message["type"] == kind for client in clients for message in client.session._arrived)


def end(sharing):
    """A person ends it."""
    sharing.signal(signal.SIGINT)
    sharing.expect(130, 20)


@pytest.mark.slow
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


@pytest.mark.slow
def test_what_cannot_be_had_is_told_across_nodes(three, tmp_path):
    alice, bob = three.person("alice", tmp_path), three.person("bob", tmp_path)
    one, other, _ = three.members()
    top = tmp_path / "pub"
    top.mkdir()
    for name in ("file", "vanished", "unreadable"):
        (top / name).write_bytes(name.encode())
    os.mkfifo(top / "fifo")
    (top / "link").symlink_to("file")
    (top / "unreadable").chmod(0)
    sharing = share(three, one, alice, top, "--with", bob.name, prefix=mortal())
    three.balance(other)
    entries = bob.run("list", alice.name, "pub", "--json").expect(0, 20).events("entry")
    assert [each["path"] for each in entries] == ["pub/file", "pub/link", "pub/unreadable", "pub/vanished"]
    (top / "vanished").unlink()
    asked = {name: fetch(bob, alice, f"pub/{name}") for name in ("vanished", "link", "unreadable", "fifo")}
    for name, fetching in asked.items():
        fetching.expect(66, 20)
        told = "cannot read it" if name in ("unreadable", "fifo") else "shares nothing of that name"
        assert f"{alice.name} {told}" in fetching.err(), fetching.tail()
    bob.run("list", alice.name, "pub/vanished").expect(66, 20)
    assert fetch(bob, alice, "pub/file", "--output", "-").expect(0, 20).out() == "file"
    assert bob.received() == [] and sharing.running()
    three.balance(*three.members())


@pytest.mark.slow
def test_a_sharer_who_comes_later_is_waited_for_across_nodes(three, tmp_path):
    alice, bob = three.person("alice", tmp_path), three.person("bob", tmp_path)
    one, other, _ = three.members()
    (tmp_path / "file").write_bytes(b"content")
    three.balance(other)
    folders = [bob.home / f"got{number}" for number in range(2)]
    for folder in folders:
        folder.mkdir()
    waiting = [fetch(bob, alice, "file", "--output", folder) for folder in folders]
    for each in waiting:
        each.wait_for(f"asking {alice.name}", 20)
    share(three, one, alice, tmp_path / "file", "--with", bob.name)
    for each, folder in zip(waiting, folders, strict=True):
        each.expect(0, 40)
        assert (folder / "file").read_bytes() == b"content"
    three.balance(*three.members())


def test_one_process_shares_and_receives_across_nodes(three, tmp_path):
    alice, bob = three.person("alice", tmp_path), three.person("bob", tmp_path)
    one, other, _ = three.members()
    for name in ("file", "gift"):
        (tmp_path / name).write_bytes(name.encode())
    receiving = ("--receive", alice.inbox, "--from", bob.name, "--yes")
    sharing = share(three, one, alice, tmp_path / "file", "--with", bob.name, *receiving)
    alice.wait_online(sharing)
    three.balance(other)
    for each in (bob.send(alice, tmp_path / "gift"), fetch(bob, alice, "file")):
        each.expect(0, 20)
    assert (alice.inbox / "gift").read_bytes() == b"gift" and (bob.inbox / "file").read_bytes() == b"file"
    three.balance(*three.members())


def test_one_sends_to_several_on_other_nodes(three, tmp_path):
    alice = three.person("alice", tmp_path)
    people = [three.person(f"bob{number}", tmp_path) for number in range(4)]
    body = content.data("to many", 3_000_000)
    (tmp_path / "file").write_bytes(body)
    nodes = three.members()
    receiving = []
    for person, node in zip(people, nodes, strict=False):
        three.balance(node)
        receiving.append(person.receive())
    three.balance(*nodes)
    to = ",".join(person.name for person in people)
    sending = alice.send(to, tmp_path / "file", "--no-wait", "--json")
    sending.expect(69, 30)
    for person, process in zip(people, receiving, strict=False):
        process.expect(0, 20)
        assert (person.inbox / "file").read_bytes() == body
    assert {each["peer"] for each in sending.events("delivered")} == {person.name for person in people[:3]}
    assert people[3].received() == []


def test_policies_hold_for_senders_on_other_nodes(three, tmp_path):
    alice, bob, carol = (three.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    one, other, third = three.members()
    (tmp_path / "file").write_bytes(b"content")
    for name, answer in ((alice.name, "accept"), (carol.name, "refuse")):
        bob.run("peers", "policy", name, answer).expect(0, 10)
    three.balance(one)
    receiving = bob.run("receive", "--output", bob.inbox)
    bob.wait_online(receiving)
    for person, node, code in ((alice, other, 0), (carol, third, 77)):
        three.balance(node)
        person.send(bob, tmp_path / "file").expect(code, 20)
    until(lambda: bob.received() == [b"file"], 5, bob.received)
    assert receiving.running()
    three.balance(*three.members())
    end(receiving)


def test_a_flood_over_several_nodes_is_limited_as_on_one(three, tmp_path):
    """Who asks without end is answered eight times at once, wherever that comes from, and another one as ever."""
    alice, bob = three.person("alice", tmp_path), three.person("bob", tmp_path)
    one, other, third = three.members()
    (tmp_path / "file").write_bytes(b"content")
    with contextlib.ExitStack() as opened:
        flooding = [opened.enter_context(one.client("mallory"))]
        flooding += [opened.enter_context(elsewhere(flooding[0], node)) for node in (other, third)]
        name = flooding[0].name
        sharing = share(three, one, alice, tmp_path / "file", "--with", name, "--with", bob.name, "--json")
        three.balance(third)
        fetch(bob, alice, "file").expect(0, 20)
        for number in range(30):
            flooding[number % 3].request(alice.name, {"fetch": ["file"]})
        until(lambda: heard(flooding, "ring") + heard(flooding, "refused") == 30, 30, sharing.tail)
        assert heard(flooding, "ring") == 8
        (warning,) = sharing.events("warning")
        assert f"a request of {name} was refused" in warning["message"], warning
        fetch(bob, alice, "file").expect(0, 20)
    three.balance(*three.members())
    end(sharing)


def test_a_sharer_on_another_node_goes_on_when_one_is_killed(three, large):
    alice, bob = three.person("alice", large), three.person("bob", large)
    digest = content.file(large / "film.mkv", "pull", SIZE // 3)
    nodes = three.members()
    sharing = [share(three, node, alice, large / "film.mkv", "--with", bob.name, "--json") for node in nodes[:2]]
    three.balance(nodes[2])
    fetching = fetch(bob, alice, "film.mkv", "--json")
    until(lambda: content.largest(bob.inbox) >= SIZE // 30, 30, "a part of the file")
    (serving,) = [each for each in sharing if each.events("progress")]
    serving.kill()
    three.balance(*nodes)
    fetching.expect(0, 60)
    assert [each for each in fetching.events("resumed") if each["bytes"] > 0], fetching.tail()
    assert bob.received() == [b"film.mkv"] and content.sha256(bob.inbox / "film.mkv") == digest


@pytest.mark.slow
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
