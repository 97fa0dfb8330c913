# SPDX-License-Identifier: Apache-2.0
"""What operators lay down at one node holds at all of them, and copies of the registry go in and out of Redis."""

import json
import time

import pytest

from harness import content, protocol
from harness.redis import Redis
from harness.relay import Relay, unique
from harness.waiting import until


def done(node, *arguments, expect=0):
    """What a sub-command prints."""
    ran = node.command(*arguments)
    assert ran.returncode == expect, ran
    return ran.stdout if expect == 0 else ran.stderr


def shown(node, name):
    """What `users show --json` says."""
    return json.loads(done(node, "users", "show", name, "--json"))


def test_a_user_is_disabled_limited_and_renamed_on_all_nodes(three, tmp_path):
    first, second, third = three.members()
    code = first.invite("--note", "across")
    alice = second.person("alice", tmp_path, login=False)
    alice.login(env={"RELAY_INVITE": code})
    receiving = alice.receive(once=False)
    assert shown(third, alice.name)["note"] == "across"
    done(third, "users", "limit", alice.name, "transfers=10")
    until(lambda: shown(second, alice.name)["limits"]["transfers"] == 10, 10, "the other node knows the limit")
    done(first, "users", "disable", alice.name)
    receiving.expect(77, 15)
    assert "is disabled" in receiving.err()
    alice.login(expect=77, env={})
    done(second, "users", "enable", alice.name)
    alice.login(env={})
    new = unique("alicia")
    session = alice.receive(once=False)
    done(first, "users", "rename", alice.name, new)
    session.expect(77, 15)
    assert shown(third, new)["ownLimits"] == {"transfers": 10} and shown(third, new)["note"] == "across"
    assert "no user has registered" in done(second, "users", "show", alice.name, expect=77)
    alice.run("login", first.url, "--name", new, "--ca", first.ca, "--renamed", "--moved").expect(0, 20)


def test_a_forged_or_deleted_account_counts_for_nothing(three, tmp_path):
    first, second, _ = three.members()
    alice, bob = (first.person(name, tmp_path) for name in ("alice", "bob"))
    done(first, "users", "disable", alice.name)
    with Redis(three.redis_url) as redis:
        account = redis("GET", f"{{relay}}:account:{alice.name}")
        # What was written about another does not hold here, and what is taken away comes back.
        redis("SET", f"{{relay}}:account:{bob.name}", account)
        redis("DEL", f"{{relay}}:account:{alice.name}")
    bob.login(env={})
    alice.login(expect=77, env={})
    assert shown(second, alice.name)["state"] == "disabled"


@pytest.mark.slow
def test_bytes_of_a_day_are_counted_across_nodes(three, tmp_path):
    first, second, third = three.members()
    alice, bob = first.person("alice", tmp_path), second.person("bob", tmp_path)
    content.file(tmp_path / "file", "across", 4_000_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 30)
    receiving.expect(0, 10)
    done(third, "users", "limit", alice.name, "day=3M")
    until(lambda: first.command("users", "show", alice.name).returncode == 0, 5, "it answers")

    def refused():
        done(first, "users", "show", alice.name)
        sending = alice.send(bob, tmp_path / "file")
        assert sending.wait(20) in (0, 77), sending.tail()
        return "after 00:00 UTC" in sending.err()

    again = bob.receive(once=False)
    until(refused, 30, "the day's limit is met", step=1)
    again.kill()


def kept_alone(own_relay, tmp_path):
    """One relay with all that its registry may hold: a limited user, a disabled one, and an invitation with a note."""
    alone = own_relay()
    alice, bob = (alone.person(name, tmp_path) for name in ("alice", "bob"))
    done(alone, "users", "limit", alice.name, "rate=1M")
    done(alone, "users", "disable", bob.name)
    spare = alone.invite("--note", "spare")
    return alone, alice, bob, spare


def test_a_copy_of_one_relay_moves_into_the_cluster_and_back(cluster, own_relay, tmp_path):
    alone, alice, bob, spare = kept_alone(own_relay, tmp_path)
    done(alone, "backup", tmp_path / "copy")
    first, second = cluster("--nodes", "2").members()
    assert "restored 2 users and 1 invitations" in done(first, "restore", tmp_path / "copy")
    assert "--replace" in done(second, "restore", tmp_path / "copy", expect=77)
    assert shown(second, alice.name)["ownLimits"] == {"rate": 1 << 20}
    assert shown(second, bob.name)["state"] == "disabled"
    carol = second.person("carol", tmp_path, login=False)
    carol.login(env={"RELAY_INVITE": spare})
    assert shown(first, carol.name)["note"] == "spare"
    # And what the cluster has goes into a relay that is alone.
    done(second, "backup", tmp_path / "back")
    other: Relay = own_relay()
    done(other, "restore", tmp_path / "back")
    names = [line.split("\t")[0] for line in done(other, "users", "list").splitlines()]
    assert names == sorted([alice.name, bob.name, carol.name])
    done(first, "restore", "--replace", tmp_path / "copy")
    assert "no user has registered" in done(second, "users", "show", carol.name, expect=77)


def rows(node, *arguments, expect=0):
    """What a list has, and what is said on standard error."""
    ran = node.command(*arguments, "list", "--json")
    assert ran.returncode == expect, ran
    return [json.loads(line) for line in ran.stdout.splitlines()], ran.stderr


def test_sessions_and_transfers_are_those_of_all_nodes(three):
    first, second, third = members = three.members()
    sessions = {node.name: node.session("seen", receiving=True) for node in members}
    names = {name: session.identity.name for name, session in sessions.items()}
    listed, _ = rows(second, "sessions")
    found = {row["name"]: row for row in listed}
    assert {node: found[name]["node"] for node, name in names.items()} == {node: node for node in names}
    assert found[names[third.name]]["id"].startswith(f"{third.name}-") and found[names[first.name]]["address"]
    # The transfer is of the sender's node; it is listed and cancelled at another.
    offer = sessions[third.name].offer(names[second.name], protocol.pack(v=0, name="file"))
    assert sessions[second.name].ring()["transfer"] == offer.transfer
    listed, _ = rows(first, "transfers")
    (row,) = [row for row in listed if row["id"] == offer.transfer]
    assert row["node"] == third.name and row["from"] == names[third.name] and row["to"] == names[second.name]
    table = [line.split("\t") for line in done(first, "transfers", "list").splitlines()]
    assert [line[5] for line in table if line[0] == offer.transfer] == [third.name]
    done(first, "transfers", "cancel", offer.transfer)
    until(lambda: not [row for row in rows(second, "transfers")[0] if row["id"] == offer.transfer], 5, "it is gone")
    assert "there is no transfer" in done(first, "transfers", "cancel", offer.transfer, expect=77)
    # A session of another node is closed, and both nodes have written down who asked for it.
    label = found[names[third.name]]["id"]
    done(first, "sessions", "close", label)
    until(lambda: names[third.name] not in [row["name"] for row in rows(second, "sessions")[0]], 5, "it is closed")
    assert "there is no session" in done(first, "sessions", "close", label, expect=77)
    assert "there is no session" in done(first, "sessions", "close", "n9-1", expect=77)

    def deeds(node):
        lines = (node.state / "audit.log").read_text().splitlines()
        return [deed for line in lines if (deed := json.loads(line)).get("target") == label and deed["exit"] == 0]

    assert [deed.get("node") for deed in deeds(first)] == [None] and deeds(first)[0]["uid"] >= 0
    assert [(deed["node"], "uid" in deed) for deed in deeds(third)] == [(first.name, False)]
    for node in (first, second):
        sessions[node.name].close()


@pytest.mark.slow
def test_a_node_that_does_not_answer_is_named(cluster):
    made = cluster("--nodes", "3")
    first, second, third = members = made.members()
    sessions = {node.name: node.session("seen", receiving=True) for node in members}
    names = {name: session.identity.name for name, session in sessions.items()}
    third.freeze()
    try:
        began = time.monotonic()
        listed, said = rows(first, "sessions", expect=69)
        assert time.monotonic() - began < 8
        assert f"node {third.name} does not answer" in said and "its sessions are not shown" in said
        assert {row["name"] for row in listed} >= {names[first.name], names[second.name]}
        assert names[third.name] not in {row["name"] for row in listed}
        refused = done(first, "transfers", "cancel", "AAECAwQFBgcICQoLDA0ODw", expect=69)
        assert f"node {third.name} does not answer" in refused and "it may be there" in refused
        closing = done(second, "sessions", "close", f"{third.name}-1", expect=69)
        assert f"node {third.name} does not answer" in closing
    finally:
        third.thaw()
    until(lambda: names[third.name] in {row["name"] for row in rows(first, "sessions")[0]}, 20, "it answers again")
    # Redis only says where the nodes are: what is known of them still serves, and it is said that it may not be all.
    redis = made.part("redis")
    redis.freeze()
    try:
        listed, said = rows(first, "sessions", expect=69)
        assert "Redis does not say which nodes there are" in said
        assert {row["name"] for row in listed} >= set(names.values())
    finally:
        redis.thaw()
    for session in sessions.values():
        session.close()


def test_one_command_moves_a_relay_into_the_cluster_and_back(cluster, own_relay, tmp_path):
    alone, alice, bob, spare = kept_alone(own_relay, tmp_path)
    first, second = cluster("--nodes", "2", env={"RELAY_REGISTRATION": "invite"}).members()
    assert "took over 2 users and 1 invitations" in done(first, "migrate", alone.state)
    assert shown(second, alice.name)["ownLimits"] == {"rate": 1 << 20}
    assert shown(second, bob.name)["state"] == "disabled"
    assert "--replace" in done(second, "migrate", alone.state, expect=77)
    assert "itself" in done(first, "migrate", first.state, expect=64)
    assert "has no users" in done(first, "migrate", tmp_path, "--replace", expect=66)
    carol = second.person("carol", tmp_path, login=False)
    carol.login(env={"RELAY_INVITE": spare})
    # Back, into a relay that runs, and into one that does not.
    running: Relay = own_relay()
    stopped: Relay = own_relay()
    stopped.stop()
    for other in (running, stopped):
        assert "took over 3 users and 0 invitations" in done(other, "migrate", second.state)
    stopped.start()
    for other in (running, stopped):
        names = [line.split("\t")[0] for line in done(other, "users", "list").splitlines()]
        assert names == sorted([alice.name, bob.name, carol.name])
        assert shown(other, alice.name)["ownLimits"] == {"rate": 1 << 20}
        assert shown(other, carol.name)["note"] == "spare"
