# SPDX-License-Identifier: Apache-2.0
"""A failed write to standard output is a failure, and undoes what only the lost output could have told."""

import os
import subprocess
from typing import Any

import pytest

from harness.executables import clean_environment
from harness.relay import Relay

INPUT_OUTPUT, CANNOT_CREATE = 74, 73

SERVER = [
    ["invite"],
    ["users", "list"],
    ["users", "remove", "carol"],
    ["status"],
    ["status", "--json"],
    ["--help"],
    ["--version"],
]
CLIENT = [["whoami"], ["whoami", "--json"], ["doctor"], ["--help"], ["--version"], ["send", "--help"]]


def run(command, folder, output):
    """Runs a command with standard output on a full device, closed, or a pipe that is not read any more."""
    options: dict[str, Any] = {"stderr": subprocess.PIPE, "text": True, "timeout": 20, "env": clean_environment(folder)}
    if output == "full":
        with open("/dev/full", "w", encoding="utf-8") as full:
            return subprocess.run(command, check=False, stdout=full, **options)
    if output == "closed":
        return subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *map(str, command)], check=False, **options)
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(command, check=False, stdout=writer, **options)
    finally:
        os.close(writer)


@pytest.fixture(scope="module")
def inviting(binaries, certs, tmp_path_factory):
    """A relay where names need invitations."""
    made = Relay(binaries, certs, tmp_path_factory.mktemp("inviting"), registration="invite").start()
    yield made
    made.stop()


@pytest.mark.parametrize("output", ["full", "closed", "unread"])
def test_a_lost_answer_of_the_server_is_a_failure(inviting, tmp_path, output):
    for command in SERVER:
        if command == ["users", "list"]:
            inviting.person("carol", tmp_path, exact=True)
        state = [] if command[0].startswith("-") else ["--state-dir", inviting.state]
        done = run([inviting.binaries / "relay-server", *command, *state], tmp_path, output)
        assert done.returncode == INPUT_OUTPUT, (command, done)
        assert "standard output" in done.stderr, (command, done)


@pytest.mark.parametrize("output", ["full", "closed", "unread"])
def test_an_invitation_that_was_not_printed_is_taken_back(inviting, tmp_path, output):
    before = inviting.status()["invitations"]
    done = run([inviting.binaries / "relay-server", "invite", "--state-dir", inviting.state], tmp_path, output)
    assert done.returncode == INPUT_OUTPUT and "taken back" in done.stderr, done
    assert inviting.status()["invitations"] == before


@pytest.mark.parametrize("output", ["full", "closed", "unread"])
def test_a_lost_answer_of_the_client_is_a_failure(people, binaries, tmp_path, output):
    alice = people("alice")
    for command in CLIENT:
        profile = [] if command[-1] in ("--help", "--version") else ["--profile", alice.profile]
        done = run([binaries / "relay-client", *command, *profile], tmp_path, output)
        assert done.returncode == INPUT_OUTPUT, (command, done)
        assert done.stderr.count("standard output") == 1, (command, done)


def test_a_file_arrives_though_its_report_is_lost(people, binaries, tmp_path):
    alice, bob = people("alice", "bob")
    receiver = bob.receive(sender=alice.name)
    (tmp_path / "f").write_text("content", encoding="utf-8")
    command = [binaries / "relay-client", "send", "--json", "--profile", alice.profile, bob.name, tmp_path / "f"]
    done = run(command, tmp_path, "full")
    receiver.expect(0, 20)
    assert bob.received() == [b"f"]
    assert done.returncode == INPUT_OUTPUT and done.stderr.count("standard output") == 1, done


def test_content_never_goes_to_a_closed_standard_output(people, binaries, tmp_path):
    bob = people("bob")
    command = [binaries / "relay-client", "receive", "--profile", bob.profile, "--yes", "--once", "--output", "-"]
    done = run(command, tmp_path, "closed")
    assert done.returncode == CANNOT_CREATE and "standard output is closed" in done.stderr, done


@pytest.mark.parametrize("output", ["full", "closed", "unread"])
def test_a_drain_whose_answer_is_lost_says_so(own_relay, tmp_path, output):
    relay = own_relay(registration="open")
    done = run([relay.binaries / "relay-server", "drain", "--state-dir", relay.state], tmp_path, output)
    assert done.returncode == INPUT_OUTPUT and "standard output" in done.stderr, done


@pytest.mark.parametrize("output", ["full", "closed", "unread"])
def test_a_receiver_whose_report_is_lost_keeps_the_file(people, binaries, tmp_path, output):
    alice, bob = people("alice", "bob")
    (tmp_path / "f").write_text("content", encoding="utf-8")
    sending = alice.send(bob, tmp_path / "f")
    arguments = ["receive", "--json", "--yes", "--once", "--output", bob.inbox, "--profile", bob.profile]
    done = run([binaries / "relay-client", *arguments], tmp_path, output)
    sending.expect(0, 20)
    assert bob.received() == [b"f"]
    assert done.returncode == INPUT_OUTPUT and done.stderr.count("standard output") == 1, done
