# SPDX-License-Identifier: Apache-2.0
"""Policies that stand: what receive does with them, without a terminal and across its runs."""

import json
import os
import signal

import pytest

from harness import content

REFUSED, USAGE, CONFIGURATION = 77, 64, 78


def policy(person, *arguments, expect=0):
    """`relay-client peers policy`."""
    return person.run("peers", "policy", *arguments, profile=False, env={"RELAY_PROFILE": person.profile}).expect(
        expect, 10
    )


def receive(person, *arguments, **options):
    """`relay-client receive` without --yes and without a terminal, in the inbox as the current folder."""
    options.setdefault("stdin", None)
    process = person.run("receive", *arguments, prefix=("env", "-C", person.inbox), **options)
    person.wait_online(process)
    return process


def test_an_accepting_policy_needs_neither_terminal_nor_yes(people, tmp_path):
    alice, bob, carol = people("alice", "bob", "carol")
    (tmp_path / "file").write_bytes(b"x")
    assert "no contact" in policy(bob, alice.name, "accept").err()
    receiving = receive(bob)
    alice.send(bob, tmp_path / "file").expect(0, 15)
    # The person cannot be asked about the others: they hear so at once.
    sending = carol.send(bob, tmp_path / "file").expect(REFUSED, 10)
    assert "declined" in sending.err()
    receiving.wait_for(f"peers policy {carol.name} accept", 5)
    # A policy that changes holds from the next offer on.
    policy(bob, carol.name, "accept")
    policy(bob, alice.name, "refuse")
    carol.send(bob, tmp_path / "file").expect(0, 15)
    alice.send(bob, tmp_path / "file").expect(REFUSED, 10)
    receiving.signal(signal.SIGTERM)
    receiving.expect(130, 5)
    assert bob.stored() == [b"file", b"file (1)"]


def test_without_terminal_yes_and_policy_receive_says_what_to_do(people):
    bob = people("bob")
    policy(bob, "mallory", "refuse")
    process = bob.run("receive").expect(REFUSED, 10)
    assert "peers policy NAME accept" in process.err()


def test_a_refusing_policy_beats_yes(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    policy(bob, alice.name, "refuse")
    bob.receive(once=False)
    alice.send(bob, tmp_path / "file").expect(REFUSED, 10)
    assert bob.received() == []


def test_the_folder_of_a_policy_is_used_and_gone_on_in_unless_another_is_named(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "large", "policy", 30_000_000)
    folder = bob.home / "from alice"
    folder.mkdir()
    policy(bob, alice.name, "accept", "--output", folder)
    receiving = receive(bob)
    sending = alice.send(bob, tmp_path / "large")
    receiving.wait_for("receiving from", 10)
    receiving.kill()
    # The parts are found again, where they are; the second run is in another place altogether.
    receiving = bob.run("receive", prefix=("env", "-C", "/"))
    sending.expect(0, 30)
    receiving.signal(signal.SIGTERM)
    receiving.expect(130, 5)
    assert (folder / "large").read_bytes() == (tmp_path / "large").read_bytes() and bob.received() == []
    receiving = receive(bob, "--output", bob.inbox)
    alice.send(bob, tmp_path / "large").expect(0, 15)
    assert bob.stored() == [b"large"] and os.listdir(folder) == ["large"]
    assert receiving.running()


def test_limits_of_a_size_and_of_a_day_hold_across_runs(people, tmp_path):
    alice, bob = people("alice", "bob")
    for name, size in (("large", 600_001), ("middle", 500_000), ("small", 100_000)):
        content.file(tmp_path / name, name, size)
    policy(bob, alice.name, "accept", "--max-size", "600000", "--max-day", "1050000")
    receiving = receive(bob)
    alice.send(bob, tmp_path / "large").expect(REFUSED, 10)
    receiving.wait_for("larger than the policy for", 5)
    for _ in range(2):
        alice.send(bob, tmp_path / "middle").expect(0, 10)
    receiving.kill()
    receiving = receive(bob)
    alice.send(bob, tmp_path / "small").expect(REFUSED, 10)
    receiving.wait_for("on one day", 5)
    shown = json.loads(policy(bob, alice.name, "--json").out())
    assert shown["today"] == 1_000_000 and shown["max_day"] == 1_050_000, shown
    # What has no size is cut where the limit is.
    alice.send(bob, "-", stdin=(tmp_path / "small").open("rb")).expect(REFUSED, 15)
    policy(bob, alice.name, "--max-day", "2M")
    alice.send(bob, "-", stdin=(tmp_path / "small").open("rb")).expect(0, 15)
    assert json.loads(policy(bob, alice.name, "--json").out())["today"] >= 1_100_000


def test_the_command_of_a_policy_runs_without_a_shell_and_never_loses_the_file(people, tmp_path):
    alice, bob = people("alice", "bob")
    program = tmp_path / "program"
    program.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$#" "$1" "$RELAY_FROM" "$RELAY_SIZE" "$RELAY_FILE" "$RELAY_TRANSFER" '
        f'"$(cat /proc/$PPID/comm)" >{tmp_path}/told\nexit 3\n'
    )
    program.chmod(0o755)
    name = "a b; $(touch owned) `id`.txt"
    (tmp_path / name).write_bytes(b"0123456789")
    policy(bob, alice.name, "accept", "--exec", f'{program} "$RELAY_FILE"')
    receiving = receive(bob, "--once")
    alice.send(bob, tmp_path / name).expect(0, 15)
    receiving.expect(0, 10)
    told = (tmp_path / "told").read_text().splitlines()
    assert told[:5] == ["1", str(bob.inbox / name), alice.name, "10", str(bob.inbox / name)], told
    assert len(told[5]) == 22 and told[6] == "relay-client", told
    assert "ended with status 3" in receiving.err() and (bob.inbox / name).read_bytes() == b"0123456789"


def test_a_command_of_the_command_line_takes_the_place_of_that_of_the_policy(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    policy(bob, alice.name, "accept", "--exec", f"touch {tmp_path}/policy")
    receiving = receive(bob, "--once", "--exec", f"touch {tmp_path}/line")
    alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 10)
    assert (tmp_path / "line").exists() and not (tmp_path / "policy").exists()


@pytest.mark.parametrize("command", ["env | cat", "no-such-program", "a 'b", "echo $HOME"])
def test_a_command_that_cannot_run_is_told_before_anything_is_received(people, command):
    bob = people("bob")
    assert "--exec" in bob.run("receive", "--yes", "--exec", command).expect(USAGE, 10).err()


def test_damaged_policies_take_nothing(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    policy(bob, alice.name, "accept")
    receiving = receive(bob)
    file = bob.profile / "policies"
    good = file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(good.replace(b'"v"', b'"w"'))
    alice.send(bob, tmp_path / "file").expect(73, 10)
    receiving.wait_for("damaged", 5)
    assert "damaged" in bob.run("receive", "--yes").expect(CONFIGURATION, 10).err()
    file.write_bytes(good)
    alice.send(bob, tmp_path / "file").expect(0, 15)


def test_a_changed_identity_is_refused_whatever_the_policy_says(relay, people, tmp_path):
    bob, alice = people("bob", "alice")
    (tmp_path / "file").write_bytes(b"x")
    policy(bob, alice.name, "accept")
    bob.run(
        "peers", "add", alice.name, "4q7xm-0c2ke-8ttwz-9h3vn-51rdb", profile=False, env={"RELAY_PROFILE": bob.profile}
    )
    receiving = receive(bob)
    sending = alice.send(bob, tmp_path / "file")
    sending.expect(REFUSED, 10)
    assert "identity" in sending.err() and bob.received() == []
    assert receiving.running()
