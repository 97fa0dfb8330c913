# SPDX-License-Identifier: Apache-2.0
"""A full relay says so to new clients, and goes on serving those that are there."""

import contextlib
import json
import resource
import select
import socket

import pytest

from harness import measure, metrics, protocol, raw
from harness.pairs import Pair, wait_for_bytes
from harness.relay import Relay
from harness.waiting import settled, until

DESCRIPTORS = 200


def answer(relay, request, source=None):
    """The head of the answer to a request on a connection of its own."""
    with raw.Connection(relay.address, relay.ca, source=source, timeout=5) as connection:
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
    """A relay that may have few descriptors, and no limits by address."""
    monkeypatch.setattr(Relay, "prefix", ("prlimit", f"--nofile={DESCRIPTORS}"))
    arguments = ("--metrics-listen", "127.0.0.1:0", "--address-limit", "off")
    return own_relay(registration="open", arguments=arguments)


def test_above_80_percent_of_the_descriptors_new_work_is_refused_and_running_work_goes_on(small):
    with Pair(small, timeout=20) as pair:
        offer, download, upload = pair.flowing(1_000_000)
        upload.send(b"a" * 400_000)
        crowd = []

        def is_full():
            while not is_refused(small):
                crowd.append(socket.create_connection(small.address, 5))
                assert len(crowd) < DESCRIPTORS, "all connections were accepted"
            # Connections that were asked with may linger, and count meanwhile.
            settled(small.descriptors, 0.3, 10, "descriptors")
            return is_refused(small)

        until(is_full, 20, "new work is refused")
        # What the process has for itself counts too, and a few more that it may need.
        assert DESCRIPTORS * 70 // 100 < small.descriptors() < DESCRIPTORS * 85 // 100
        assert small.logs().count("file descriptors run short") == 1
        assert metrics.scrape(metrics.port_of(small))['relay_limits_met_total{limit="descriptors",of="node"}'] > 0
        assert small.logs().count("few file descriptors") == 1
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


def test_one_address_does_not_have_all_the_descriptors(own_relay, monkeypatch):
    monkeypatch.setattr(Relay, "prefix", ("prlimit", f"--nofile={DESCRIPTORS}"))
    relay = own_relay(registration="open", arguments=["--metrics-listen", "127.0.0.1:0"])
    with contextlib.ExitStack() as crowd:
        while not is_refused(relay):
            crowd.enter_context(socket.create_connection(relay.address, 5))
        assert relay.descriptors() < DESCRIPTORS * 75 // 100
        assert answer(relay, raw.upgrade(), source="127.0.2.1").status == 101
    figures = metrics.scrape(metrics.port_of(relay))
    assert figures['relay_limits_met_total{limit="descriptors",of="address"}'] > 0
    assert figures['relay_limits_met_total{limit="descriptors",of="node"}'] == 0


def closed(connections):
    """How many of them the other side has closed."""
    poll = select.poll()
    for connection in connections:
        poll.register(connection, select.POLLIN)
    return len(poll.poll(0))


def test_out_of_descriptors_connections_are_closed_at_once_and_the_listener_does_not_spin(own_relay):
    relay = own_relay(registration="open", arguments=("--metrics-listen", "127.0.0.1:0"))
    port = metrics.port_of(relay)
    with Pair(relay, timeout=20) as pair, contextlib.ExitStack() as crowd:
        offer, download, upload = pair.flowing(1_000_000)
        upload.send(b"a" * 400_000)
        wait_for_bytes(download, 400_000)
        # From here on there are a few left, whatever the relay was told at its start.
        most, few = relay.descriptors() + 8, 8
        _, hard = resource.prlimit(relay.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(relay.pid, resource.RLIMIT_NOFILE, (most, hard))
        idle = [crowd.enter_context(socket.create_connection(relay.address, 5)) for _ in range(150)]
        until(lambda: closed(idle) >= len(idle) - few, 8, lambda: f"{closed(idle)} are closed")
        upload.send(b"b" * 600_000)
        wait_for_bytes(download, 1_000_000)
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 1_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 1_000_000
        (line,) = [line for line in relay.logs().splitlines() if "out of file descriptors" in line]
        assert "LimitNOFILE=" in line and f"limit={most}" in line, line
        crowd.close()
        until(lambda: measure.descriptors(relay.pid) < most - 4, 10, "they are gone")
        relay.healthy()
    figures = metrics.scrape(port)
    # Each failure turns a client away, where a listener that spins counts tens of thousands in a second.
    assert 0 < figures['relay_accepts_failed_total{reason="descriptors"}'] <= 150
    assert figures["process_max_fds"] == most and 0 < figures["process_open_fds"] <= most


def test_without_memory_connections_are_refused_in_words(own_relay):
    # No process is that small.
    relay = own_relay(registration="open", arguments=["--memory-limit", "1M", "--metrics-listen", "127.0.0.1:0"])
    until(lambda: is_refused(relay), 10, "the first look at the memory")
    assert answer(relay, raw.request("GET", "/healthz")).status == 200
    assert "memory runs out: new connections are refused" in relay.logs()
    assert metrics.scrape(metrics.port_of(relay))['relay_limits_met_total{limit="memory",of="node"}'] > 0


@pytest.mark.slow
def test_when_memory_runs_out_offers_are_refused_first_then_connections_and_running_ones_go_on(own_relay, tmp_path):
    file = tmp_path / "server.json"
    file.write_text("{}")
    relay = own_relay(
        registration="open",
        arguments=["--config", file, "--address-limit", "off", "--metrics-listen", "127.0.0.1:0"],
    )

    def limit(text):
        file.write_text(json.dumps({"memory-limit": str(text)}))
        assert relay.command("reload").returncode == 0

    with contextlib.ExitStack() as stack:
        pair = stack.enter_context(Pair(relay, timeout=40))
        offer, download, upload = pair.flowing(1_000_000)
        upload.send(b"a" * 400_000)
        assert download.head().status == 200
        wait_for_bytes(download, 400_000)
        # Receivers that take nothing, with senders that have more than anyone could keep.
        crowd = stack.enter_context(Pair(relay, timeout=40))
        for _ in range(40):
            _, _, stalled = crowd.flowing()
            stalled.socket.settimeout(0.1)
            with contextlib.suppress(TimeoutError):
                stalled.send(raw.chunked(b"x" * 4_000_000, end=False))
        settled(lambda: relay.resident() >> 19, 0.5, 20, "the memory")
        limit(int(relay.resident() / 0.965))
        relay.process.wait_for("memory runs short: new transfers are refused", 10)
        with pytest.raises(protocol.Refused) as refused:
            crowd.accepted()
        assert refused.value.code == "unavailable"
        assert "new connections are refused" not in relay.logs()
        assert not is_refused(relay), "who is new may come in still"
        limit("1M")
        until(lambda: is_refused(relay), 10, "connections are refused as well")
        upload.send(b"b" * 600_000)
        wait_for_bytes(download, 1_000_000)
        assert download.buffer == b"a" * 400_000 + b"b" * 600_000
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 1_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 1_000_000
        assert answer(relay, raw.request("GET", "/healthz")).status == 200
    limit("off")
    until(lambda: not is_refused(relay), 10, "there is memory again")
    with Pair(relay, timeout=20) as pair:
        pair.whole()
