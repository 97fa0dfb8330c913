# SPDX-License-Identifier: Apache-2.0
"""A receiver that runs as a service: the printed unit, and what it starts where much of what a shell gives is
missing."""

import os
import re
import shlex
import shutil
import signal
import subprocess

import pytest

from harness import content
from harness.processes import Process

READ_ONLY = ("unshare", "-m", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"')


def policy(person, *arguments):
    """`relay-client peers policy`."""
    person.run("peers", "policy", *arguments, profile=False, env={"RELAY_PROFILE": person.profile}).expect(0, 10)


def unit(person, *arguments, **options):
    """What `relay-client service print` prints, and its settings."""
    folder = options.pop("folder", person.inbox)
    process = person.run("service", "print", "--output", folder, *arguments, profile=False, **options)
    text = process.expect(0, 10).out()
    return text, dict(line.split("=", 1) for line in text.splitlines() if re.match(r"\w+=", line))


def serve(person, settings, name="service"):
    """Runs what the unit says as systemd would: in its folder, and here with no variable at all."""
    # What is in quotation marks means the same to both, but for what systemd replaces.
    words = [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(settings["ExecStart"])]
    process = Process(
        ["env", "-i", "-C", settings["WorkingDirectory"].replace("%%", "%"), *words],
        env={"PATH": os.environ["PATH"]},
        folder=person.home / "logs",
        cwd="/",
    )
    person.wait_online(process)
    return process


def test_the_unit_is_one_that_systemd_takes(people, tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    bob = people("bob")
    folder = bob.home / 'in %h $HOME "x" \\'
    folder.mkdir()
    policy(bob, "alice", "accept")
    text, settings = unit(bob, env={"RELAY_PROFILE": bob.profile}, folder=folder)
    file = tmp_path / "relay-receive.service"
    file.write_text(text)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", file],
        env={"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    # It may have something to say about the units of this machine.
    assert done.returncode == 0 and "relay-receive" not in done.stderr, done
    words = shlex.split(settings["ExecStart"])
    assert words[1:] == ["receive", "--profile", str(bob.profile)] and os.path.isabs(words[0]), settings
    assert settings["WorkingDirectory"] == str(folder).replace("%", "%%")
    assert settings["Restart"] == "on-failure" and {"64", "77", "78"} <= set(
        settings["RestartPreventExitStatus"].split()
    )


def test_what_the_unit_starts_goes_on_after_it_was_killed(people, tmp_path):
    """With no variables, no terminal and another current folder."""
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "large", "service", 30_000_000)
    folder = bob.home / 'in "x" $HOME %h'
    folder.mkdir()
    policy(bob, alice.name, "accept")
    _, settings = unit(bob, env={"RELAY_PROFILE": bob.profile}, folder=folder)
    service = serve(bob, settings)
    sending = alice.send(bob, tmp_path / "large")
    service.wait_for("receiving from", 10)
    service.kill()
    service = serve(bob, settings)
    sending.expect(0, 30)
    assert (folder / "large").read_bytes() == (tmp_path / "large").read_bytes()
    service.signal(signal.SIGTERM)
    # The unit takes that for success.
    service.expect(130, 5)
    assert settings["SuccessExitStatus"] == "130"


def test_without_a_home_it_works_or_says_what_is_missing(people):
    bob = people("bob")
    bare = ("env", "-u", "HOME", "-u", "XDG_CONFIG_HOME")
    for words in (["service", "print"], ["receive", "--yes"]):
        process = bob.run(*words, profile=False, prefix=bare).expect(78, 10)
        assert "HOME is not set" in process.err() and "--profile" in process.err()
    _, settings = unit(bob, "--", "--yes", prefix=bare, env={"RELAY_PROFILE": bob.profile})
    assert settings["ExecStart"].endswith(" --yes")
    assert serve(bob, settings).running()


def test_a_profile_that_cannot_be_written_is_told_with_what_to_do(people):
    bob = people("bob")
    receiving = bob.run("receive", "--yes", "--output", bob.inbox, prefix=(*READ_ONLY, bob.profile)).expect(73, 10)
    assert "read-only" in receiving.err() and "--profile" in receiving.err()
    # The unit can be printed all the same.
    text, _ = unit(bob, prefix=(*READ_ONLY, bob.profile), env={"RELAY_PROFILE": bob.profile})
    assert "accepts nothing yet" in text


def test_a_home_that_cannot_be_written_is_no_matter_where_profile_and_folder_can(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    profile, inbox = tmp_path / "elsewhere", tmp_path / "in"
    shutil.copytree(bob.profile, profile)
    inbox.mkdir()
    receiving = bob.run(
        "receive", "--yes", "--output", inbox, "--profile", profile, profile=False, prefix=(*READ_ONLY, bob.home)
    )
    bob.wait_online(receiving)
    alice.send(bob, tmp_path / "file").expect(0, 15)
    assert (inbox / "file").read_bytes() == b"x"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--output", "-"], "name a folder"),
        (["--", "--once"], "--once"),
        (["--", "--max-size", "much"], "a size is written"),
        (["--output", "~/x"], "~"),
    ],
    ids=["stdout", "once", "size", "home"],
)
def test_what_no_service_can_do_is_refused(people, arguments, words):
    assert words in people("bob").run("service", "print", *arguments, profile=False).expect(64, 10).err()
