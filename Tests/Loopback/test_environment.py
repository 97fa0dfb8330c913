# SPDX-License-Identifier: Apache-2.0
"""Options that variables give: `RELAY_`, the command, the option. The command line wins."""

import json
import re
import subprocess

import pytest

from harness.executables import clean_environment

# The options of all commands, and the one that is a secret, have no command in their name.
SHARED = {"profile", "server", "ca", "json", "quiet", "verbose", "invite"}
# What the command of --exec is told something with.
OF_EXEC = {"RELAY_FILE", "RELAY_FROM", "RELAY_SIZE", "RELAY_TRANSFER"}


def options(binaries, folder):
    """(words of the command, option, whether it is a flag) of all options that there are, but help and version."""
    done = subprocess.run(
        [binaries / "relay-client", "--experimental-dump-help"],
        env=clean_environment(folder),
        check=True,
        capture_output=True,
        timeout=20,
    )

    def of(command, words):
        for argument in command.get("arguments", []):
            name = argument.get("preferredName", {}).get("name")
            if words and name and argument["shouldDisplay"] and name not in ("help", "version"):
                yield words, name, argument["kind"] == "flag"
        for each in command.get("subcommands", []):
            if each.get("shouldDisplay", True) and each["commandName"] != "help":
                yield from of(each, [*words, each["commandName"]])

    return list(of(json.loads(done.stdout)["command"], []))


def variable(words, option):
    """What the option of a command is called."""
    if option in SHARED:
        words = []
    return "_".join(["RELAY", *words, option]).upper().replace("-", "_")


@pytest.mark.slow
def test_every_option_has_a_variable(binaries, tmp_path):
    """A flag that is neither on nor off is refused, with the variable's name: so it was read. A variable that no option
    has is refused, too."""
    found = options(binaries, tmp_path)
    assert len(found) > 60 and not {variable(words, option) for words, option, _ in found} & OF_EXEC
    for words, option, is_flag in found:
        name = variable(words, option)
        done = subprocess.run(
            [binaries / "relay-client", *words],
            env=clean_environment(tmp_path, **{name: "perhaps"}),
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
        )
        assert "no such option" not in done.stderr, (words, done)
        assert not is_flag or (done.returncode == 64 and f"Error: {name} is on or off" in done.stderr), (words, done)


def test_a_variable_is_as_good_as_its_option(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"by variables")
    folder = bob.home / "elsewhere"
    folder.mkdir()
    receiving = bob.run(
        "receive",
        env={
            "RELAY_RECEIVE_FROM": f"zoe,{alice.name}",
            "RELAY_RECEIVE_YES": "1",
            "RELAY_RECEIVE_ONCE": "true",
            "RELAY_RECEIVE_OUTPUT": folder,
            # The command that a receiver runs is told who the sender was with it.
            "RELAY_FROM": "mallory",
        },
    )
    bob.wait_online(receiving)
    process = alice.send(bob, tmp_path / "file", env={"RELAY_JSON": "yes", "RELAY_SEND_CHECKSUM": "on"}).expect(0, 15)
    receiving.expect(0, 5)
    assert (folder / "file").read_bytes() == b"by variables"
    assert re.search(r'^\{"schema":1,.*"event":"delivered".*"sha256":"[0-9a-f]{64}"', process.out(), re.M)


def test_the_command_line_wins(people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"x")
    # As one that is not there, who would be waited for.
    process = alice.send(people("bob"), tmp_path / "file", "--timeout", "1s", env={"RELAY_SEND_TIMEOUT": "1h"})
    process.expect(75, 15)
    alice.send(people("bob"), tmp_path / "file", env={"RELAY_SEND_TIMEOUT": "1s"}).expect(75, 15)
    # Empty, and off, are as if they were not there.
    for value in ("", "0", "no", "off"):
        alice.run("whoami", env={"RELAY_JSON": value}).expect(0, 10).wait_for("fingerprint  ", 1)
    # One that is repeated takes the place of what the variable lists.
    receiving = people("carol").run("receive", "--yes", "--from", "No Name", env={"RELAY_RECEIVE_FROM": "alice"})
    assert "No Name" in receiving.expect(64, 10).err()


@pytest.mark.parametrize(
    ("words", "variables", "said"),
    [
        (
            ["send", "bob", "f"],
            {"RELAY_SEND_TIMEOUT": "soon"},
            "'--timeout <timeout>'.*; given by variables: RELAY_SEND_T",
        ),
        (["send", "bob", "f"], {"RELAY_SEND_TIMOUT": "1h"}, "RELAY_SEND_TIMOUT.*did you mean RELAY_SEND_TIMEOUT\\?"),
        (
            ["receive", "--output", "-"],
            {"RELAY_RECEIVE_SKIP_EXISTING": "1"},
            "given by variables: RELAY_RECEIVE_SKIP_EX",
        ),
        (["receive", "--yes"], {"RELAY_RECEIVE_OUTPUT": "~/in"}, "given by variables: RELAY_RECEIVE_OUTPUT"),
        (["receive"], {"RELAY_RECEIVE_MAX_SIZE": "big\x1b[31m"}, "given by variables: RELAY_RECEIVE_MAX_SIZE"),
    ],
    ids=["bad value", "mistyped", "contradiction", "home", "hostile"],
)
def test_what_is_wrong_with_a_variable_is_told(people, words, variables, said):
    process = people("alice").run(*words, env=variables).expect(64, 10)
    assert re.search(said, process.err()) and "\x1b" not in process.err(), process.tail()


def test_what_receive_is_told_does_not_reach_what_its_command_runs(people, tmp_path):
    """A command of --exec that sends on what has come: its environment has variables of the transfer, and those that
    receive itself was started with."""
    alice, bob, carol = people("alice", "bob", "carol")
    (tmp_path / "file").write_bytes(b"on and on")
    last = carol.receive(sender=bob.name)
    receiving = bob.run(
        "receive",
        "--yes",
        "--once",
        "--exec-shell",
        f'env | grep ^RELAY_ > seen; "{bob.relay.binaries}/relay-client" send {carol.name} "$RELAY_FILE"',
        env={"RELAY_RECEIVE_FROM": alice.name, "RELAY_RECEIVE_OUTPUT": bob.inbox, "RELAY_PROFILE": bob.profile},
        profile=False,
    )
    bob.wait_online(receiving)
    alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 20)
    last.expect(0, 10)
    assert (carol.inbox / "file").read_bytes() == b"on and on"
    seen = dict(line.split("=", 1) for line in (bob.home / "seen").read_text().splitlines())
    assert seen["RELAY_FROM"] == alice.name and set(seen) >= OF_EXEC | {"RELAY_RECEIVE_FROM"}
