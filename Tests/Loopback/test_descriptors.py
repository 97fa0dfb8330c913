# SPDX-License-Identifier: Apache-2.0
"""What the programs that are started from here inherit."""

import signal

import pytest

from harness import content
from harness.waiting import until


@pytest.fixture
def people(relay, tmp_path):
    """A sender, a receiver, and a file."""
    content.file(tmp_path / "file", "descriptors", 100_000)
    return relay.person("alice", tmp_path), relay.person("bob", tmp_path), tmp_path / "file"


def test_a_command_inherits_the_standard_streams_alone(people):
    alice, bob, file = people
    receiving = bob.receive("--exec", "ls /proc/$$/fd; true")
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 20)
    assert [line for line in receiving.err().splitlines() if line.isdigit()] == ["0", "1", "2"]


def test_what_a_command_leaves_running_does_not_keep_the_session(people, relay):
    alice, bob, file = people
    receiving = bob.receive("--exec", "sleep 60 & echo left >&2", once=False)
    alice.send(bob, file).expect(0, 20)
    receiving.wait_for("left", 20)
    receiving.signal(signal.SIGKILL)
    with relay.watcher() as watcher:
        # Without a connection that is closed, only silence tells, after 30 s and more.
        until(lambda: not watcher.lookup(bob.name)["online"], 15, "the relay knows that bob is gone", step=0.4)
    receiving.kill()
