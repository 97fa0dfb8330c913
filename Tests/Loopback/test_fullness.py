# SPDX-License-Identifier: Apache-2.0
"""A relay that is full says so, to whoever is new, and goes on with whoever is there."""

import socket

import pytest

from harness import raw
from harness.pairs import Pair, wait_for_bytes
from harness.relay import Relay
from harness.waiting import until

DESCRIPTORS = 200


def answer(relay, request):
    """The head of the answer to a request on a connection of its own."""
    with raw.Connection(relay.address, relay.ca, timeout=5) as connection:
        connection.send(request)
        return connection.head()


def is_refused(relay):
    """Whether a new control connection is refused in the way that the protocol's document says."""
    head = answer(relay, raw.upgrade())
    if head.status == 101:
        return False
    assert head.status == 503 and int(head.header("retry-after")) > 0, head
    return True


@pytest.fixture
def small(own_relay, monkeypatch):
    """A relay that may have few descriptors."""
    monkeypatch.setattr(Relay, "prefix", ("prlimit", f"--nofile={DESCRIPTORS}"))
    return own_relay(registration="open")


def test_above_80_percent_of_the_descriptors_new_work_is_refused_and_running_work_goes_on(small):
    with Pair(small, timeout=20) as pair:
        offer, download, upload = pair.flowing(1_000_000)
        upload.send(b"a" * 400_000)
        crowd = []
        while not is_refused(small):
            crowd.append(socket.create_connection(small.address, 5))
            assert len(crowd) < DESCRIPTORS, "everybody was let in"
        # Two sessions, two streams, and the one that asked.
        assert DESCRIPTORS * 70 // 100 < len(crowd) + 5 < DESCRIPTORS * 90 // 100
        assert answer(small, raw.request("GET", "/healthz")).status == 200
        assert answer(small, raw.request("GET", "/download?token=" + "A" * 43)).status == 503

        upload.send(b"b" * 600_000)
        assert download.head().status == 200
        wait_for_bytes(download, 1_000_000)
        assert download.buffer == b"a" * 400_000 + b"b" * 600_000
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 1_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 1_000_000
        for connection in crowd:
            connection.close()
        until(lambda: not is_refused(small), 10, "there is room again")


def test_without_memory_connections_are_refused_in_words(own_relay):
    # No process is that small.
    relay = own_relay(registration="open", arguments=["--memory-limit", "1M"])
    until(lambda: is_refused(relay), 10, "the first look at the memory")
    assert answer(relay, raw.request("GET", "/healthz")).status == 200
    assert "memory runs out: new connections are refused" in relay.logs()
