# SPDX-License-Identifier: Apache-2.0
"""What the programs that are started from here inherit."""

import signal
import socket
import subprocess

import pytest

from harness import content, descriptors, metrics
from harness.pairs import Pair
from harness.waiting import until


@pytest.fixture
def people(relay, tmp_path):
    """A sender, a receiver, and a file."""
    content.file(tmp_path / "file", "descriptors", 100_000)
    return relay.person("alice", tmp_path), relay.person("bob", tmp_path), tmp_path / "file"


def test_a_command_inherits_the_standard_streams_alone(people):
    alice, bob, file = people
    receiving = bob.receive("--exec-shell", "ls /proc/$$/fd; true")
    alice.send(bob, file).expect(0, 20)
    receiving.expect(0, 20)
    assert [line for line in receiving.err().splitlines() if line.isdigit()] == ["0", "1", "2"]


def test_what_a_command_leaves_running_does_not_keep_the_session(people, relay):
    alice, bob, file = people
    receiving = bob.receive("--exec-shell", "sleep 60 & echo left >&2", once=False)
    alice.send(bob, file).expect(0, 20)
    receiving.wait_for("left", 20)
    receiving.signal(signal.SIGKILL)
    with relay.watcher() as watcher:
        # Without a connection that is closed, only silence tells, after 30 s and more.
        until(lambda: not watcher.lookup(bob.name)["online"], 15, "the relay knows that bob is gone", step=0.4)
    receiving.kill()


def test_every_descriptor_of_both_clients_in_a_transfer_is_close_on_exec(people):
    alice, bob, _ = people
    receiving = bob.receive()
    sending = alice.send(bob, "-", stdin=subprocess.PIPE)
    sending.stdin.write(bytes(1_000_000))
    sending.stdin.flush()
    # The control connection and the stream of each, and the part file.
    for pid in sending.pid, receiving.pid:
        until(lambda pid=pid: descriptors.sockets(pid) == 2, 15, lambda pid=pid: descriptors.named(pid))
        assert not descriptors.inherited(pid)
    sending.stdin.close()
    sending.expect(0, 20)
    receiving.expect(0, 20)


@pytest.mark.slow
def test_every_descriptor_of_a_relay_with_connections_is_close_on_exec(own_relay):
    relay = own_relay(registration="open", arguments=["--metrics-listen", "127.0.0.1:0"])
    with (
        Pair(relay) as pair,
        socket.create_connection(("127.0.0.1", metrics.port_of(relay))),
        socket.socket(socket.AF_UNIX) as admin,
    ):
        admin.connect(str(relay.state / "admin.sock"))
        pair.flowing()
        # Three listeners, a connection each for metrics and administration, two sessions, two halves of a stream.
        until(lambda: descriptors.sockets(relay.pid) == 9, 10, lambda: descriptors.named(relay.pid))
        assert not descriptors.inherited(relay.pid)
