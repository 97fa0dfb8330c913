# SPDX-License-Identifier: Apache-2.0
"""No memory is to be had when it is asked for: in OpenSSL a connection ends, in Swift the process does, and no
receiver takes a part for the whole. libfiu makes malloc fail in a running relay."""

import shutil
import signal
import subprocess

import pytest

from harness import content, raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import until


class Failing:
    """A relay in which malloc can be made to fail."""

    def __init__(self, own_relay, tmp_path, monkeypatch):
        assert shutil.which("fiu-run"), "libfiu is missing: scripts/require fiu-run:fiu-utils installs it"
        self.control = tmp_path / "fiu"
        monkeypatch.setattr("harness.relay.Relay.prefix", ("fiu-run", "-x", "-f", str(self.control)))
        self.relay = own_relay(registration="open")

    def tell(self, command):
        """What fails from now on."""
        subprocess.run(
            ["fiu-ctrl", "-f", self.control, "-c", command, str(self.relay.pid)],
            check=True,
            timeout=10,
            capture_output=True,
        )

    def fails_in(self, function):
        """In this function of OpenSSL nothing can be allocated."""
        self.tell(f"enable_stack_by_name name=libc/mm/malloc,func_name={function}")

    def serves(self):
        """Whether a new connection gets an answer."""
        try:
            with raw.Connection(self.relay.address, self.relay.ca, timeout=5) as connection:
                connection.send(raw.request("GET", "/healthz"))
                answer = connection.answer()
                return answer is not None and answer.status == 200
        except OSError:
            return False


@pytest.fixture
def failing(own_relay, tmp_path, monkeypatch):
    """A relay in which malloc can be made to fail."""
    return Failing(own_relay, tmp_path, monkeypatch)


def half_through(pair):
    """A stream of 2 MB of which one has arrived."""
    offer, download, upload = pair.flowing(2_000_000)
    upload.send(b"a" * 1_000_000)
    assert download.head().status == 200
    wait_for_bytes(download, 1_000_000)
    return offer, download, upload


def test_a_new_connection_without_memory_is_closed_and_a_running_stream_goes_on(failing):
    with Pair(failing.relay, timeout=20) as pair:
        offer, download, upload = half_through(pair)
        failing.fails_in("SSL_new")
        assert not any(failing.serves() for _ in range(20))
        upload.send(b"b" * 1_000_000)
        wait_for_bytes(download, 2_000_000)
        assert download.buffer == b"a" * 1_000_000 + b"b" * 1_000_000
        assert upload.answer(method="PUT").status == 200
        failing.tell("disable name=libc/mm/malloc")
        assert failing.serves()
        pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 2_000_000
    failing.relay.healthy()


def test_a_connection_that_has_no_memory_to_read_ends_and_is_no_whole(failing):
    with Pair(failing.relay, timeout=20) as pair:
        _, download, upload = half_through(pair)
        failing.fails_in("SSL_read_ex")
        assert not any(failing.serves() for _ in range(20))
        upload.send(b"b" * 500_000)
        assert download.how_ended() in (raw.TRUNCATED, raw.RESET)
        assert download.buffer == b"a" * 1_000_000 + b"b" * (len(download.buffer) - 1_000_000)
        failing.tell("disable name=libc/mm/malloc")
    assert failing.serves()
    with Pair(failing.relay, timeout=20) as pair:
        pair.whole()


def test_where_swift_has_no_memory_the_process_ends_and_its_next_start_goes_on(failing, tmp_path):
    relay = failing.relay
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "allocation", 40_000_000)
    assert relay.command("users", "limit", alice.name, "rate=8M").returncode == 0
    receiving = bob.receive()
    sending = alice.send(bob, tmp_path / "file")
    until(lambda: content.largest(bob.inbox) > 4_000_000, 20, sending.tail)
    failing.tell("enable_random name=libc/mm/malloc,probability=0.001")
    # It does not try to go on with what it has not got: Swift's runtime ends it, or an access to no address does.
    status = relay.process.wait(20)
    assert status in (-signal.SIGABRT, -signal.SIGILL, -signal.SIGTRAP, -signal.SIGSEGV), relay.process.tail()
    # What systemd does, with Restart=on-failure.
    relay.prefix = ()
    relay.start(relay.port)
    sending.expect(0, 40)
    receiving.expect(0, 10)
    assert content.sha256(bob.inbox / "file") == digest
