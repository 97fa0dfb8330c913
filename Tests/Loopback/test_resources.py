# SPDX-License-Identifier: Apache-2.0
"""What a transfer costs the server: nothing on disk, and no memory that grows with the file."""

import contextlib
import json
import resource
import socket

import pytest

from harness import content, measure, metrics, protocol
from harness.pairs import Pair
from harness.waiting import background, until

pytestmark = pytest.mark.alone


def test_nothing_is_written_to_disk(own_relay, tmp_path):
    relay = own_relay(registration="open", level="notice")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "no disk", 100_000_000)
    receiving = bob.receive()
    before = measure.io(relay.pid)["write_bytes"]
    alice.send(bob, tmp_path / "file").expect(0, 30)
    receiving.expect(0, 5)
    assert measure.io(relay.pid)["write_bytes"] == before
    assert content.sha256(bob.inbox / "file") == digest


@pytest.mark.large
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_memory_is_flat_over_five_gibibytes(own_relay, tmp_path):
    """Resident memory is sampled each 20 MiB or so. The first half GiB is the warm-up; after it, the highest sample of
    the second half must not be more than 1 MiB above the highest of the first."""
    relay = own_relay(registration="open", level="notice")
    size = 5 * content.GiB
    piece = content.data("five GiB", 4 * content.MiB)
    samples, arrived = [], 0

    with Pair(relay, timeout=60) as pair:
        _, download, upload = pair.flowing(size)

        def push():
            return all(upload.send(piece) for _ in range(size // len(piece)))

        pushing = background(push)
        head = download.head()
        assert head.status == 200 and head.header("content-length") == str(size)
        arrived, download.buffer = len(download.buffer), b""
        into, next_sample = memoryview(bytearray(1 << 20)), 0
        download.socket.settimeout(30)
        while arrived < size:
            count = download.socket.recv_into(into)
            assert count, f"cut after {arrived}"
            arrived += count
            if arrived >= next_sample:
                samples.append((arrived, relay.resident()))
                next_sample = arrived + 20 * content.MiB
        assert pushing.result(10)
        assert json.loads(upload.answer(method="PUT").body) == {"bytes": size}
    warm = [(at, memory) for at, memory in samples if at > content.GiB // 2]
    half = warm[len(warm) // 2][0]
    first = max(memory for at, memory in warm if at <= half)
    second = max(memory for at, memory in warm if at > half)
    assert second - first <= content.MiB, (
        f"grew by {(second - first) // 1024} KiB from at most {first // 1024} KiB; (MiB, KiB) around the highest:"
        f" {around_the_highest([each for each in warm if each[0] > half])}; all through: {in_units(warm[::20])}"
    )


def in_units(samples):
    return [(at // content.MiB, memory // 1024) for at, memory in samples]


def around_the_highest(samples, neighbours=5):
    """Whether it was a single sample or a step that lasted."""
    highest = max(range(len(samples)), key=lambda index: samples[index][1])
    return in_units(samples[max(0, highest - neighbours) : highest + neighbours + 1])


def test_descriptors_and_memory_return_to_where_they_were(own_relay):
    relay = own_relay(registration="open", level="notice")

    def round_of(count):
        for number in range(count):
            with Pair(relay, source=f"127.0.2.{1 + number % 20}") as pair:
                _, download, upload = pair.flowing(200_000)
                upload.send(bytes(200_000 if number % 3 else 100_000))
                if number % 3:
                    assert upload.answer(method="PUT").status == 200
                    assert download.answer().complete
                else:
                    upload.close()
                    download.how_ended(5)

    round_of(30)
    until(lambda: measure.descriptors(relay.pid) <= 40, 10, lambda: f"{measure.descriptors(relay.pid)} descriptors")
    rest, memory = measure.descriptors(relay.pid), relay.resident()
    round_of(60)
    until(lambda: measure.descriptors(relay.pid) <= rest, 10, lambda: f"{measure.descriptors(relay.pid)}, not {rest}")
    assert relay.resident() - memory < 2 * content.MiB


# How many receivers stop reading at the same time.
STALLED = 7
# What is held for a stalled receiver: in the relay's memory, and of its sender's bytes in all, kernel included.
MEMORY = 256 * 1024
ACCEPTED = 8 * content.MiB


def accepted_at_most():
    """Bytes that may be taken from the sender of a stalled pair on this machine.

    8 MiB with the usual settings, a small initial receive buffer and the default limit of send buffers: the relay stops
    reading early, so its receive buffer stays small. With other settings, the kernel buffers at both ends of both
    connections are added."""
    receive, send = measure.receive_buffer(), measure.send_buffer()
    small = measure.first_receive_buffer() <= 128 * 1024 and receive <= 32 * content.MiB and send <= 4 * content.MiB
    return ACCEPTED if small else 2 * (receive + send) + ACCEPTED


def test_receivers_that_never_read_cost_little(own_relay):
    relay = own_relay(registration="open", level="notice")
    most = accepted_at_most()

    def push(upload):
        upload.socket.settimeout(2)
        with contextlib.suppress(TimeoutError):
            while upload.sent < 2 * most:
                upload.sent += upload.socket.send(bytes(65_536))
        return upload.sent

    with Pair(relay) as pair:
        pair.whole()
    with contextlib.ExitStack() as pairs:
        uploads = [pairs.enter_context(Pair(relay, timeout=30)).flowing(content.GiB)[2] for _ in range(STALLED)]
        before = relay.resident()
        # All of them stay: what one lets go of would be another one's.
        pushing = [background(push, upload) for upload in uploads]
        sent = [each.result(60) for each in pushing]
        grown = (relay.resident() - before) / STALLED
    print(f"{grown / 1024:.0f} KiB and {', '.join(f'{each / content.MiB:.2f}' for each in sent)} MiB")
    assert grown <= MEMORY, f"{grown / 1024:.0f} KiB each"
    assert max(sent) <= most, sent


def test_an_idle_session_costs_little(own_relay):
    relay = own_relay(registration="open", level="notice")
    count = 200
    identities = [protocol.Identity(f"idle-{number}") for number in range(20 + count)]
    # What the registry has of a user stays when the session ends, and is not the session's. One at a time: otherwise
    # the sessions that are counted would find the memory of these.
    for identity in identities:
        relay.session(identity=identity).close()
    people = [relay.session(identity=identity, receiving=True) for identity in identities[:20]]
    before = relay.resident()
    people += [relay.session(identity=identity, receiving=True) for identity in identities[20:]]
    each = (relay.resident() - before) // count
    print(f"{each / 1024:.1f} KiB each")
    assert each <= IDLE, f"{each / 1024:.1f} KiB each"
    for person in people:
        person.close()


# What a connection may cost that has said nothing, and a session that has logged in and waits.
SILENT, IDLE = 8 * 1024, 30 * 1024
# From each address, as there is a limit for unauthenticated connections.
UNAUTHENTICATED = 50


@pytest.fixture
def many_descriptors():
    """As many as the system allows this process to have."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def silent(relay, count, crowd):
    """Connections that say nothing, all accepted."""
    port = metrics.port_of(relay)
    before = metrics.scrape(port)["relay_connections"]
    made = [
        crowd.enter_context(
            socket.create_connection(relay.address, 5, source_address=(f"127.0.3.{1 + n // UNAUTHENTICATED}", 0))
        )
        for n in range(count)
    ]
    until(lambda: metrics.scrape(port)["relay_connections"] >= before + count, 10, "all are accepted")
    return made


def test_a_silent_connection_costs_little(own_relay, many_descriptors):
    relay = own_relay(registration="open", level="notice", arguments=("--metrics-listen", "127.0.0.1:0"))
    with contextlib.ExitStack() as crowd:
        silent(relay, 100, crowd)
        before, count = relay.resident(), 1500
        silent(relay, count, crowd)
        each = (relay.resident() - before) / count
    print(f"{each / 1024:.1f} KiB each")
    assert each <= SILENT, f"{each / 1024:.1f} KiB each"


def test_memory_comes_back_after_waves_of_handshakes_and_sessions(own_relay, many_descriptors):
    relay = own_relay(registration="open", level="notice", arguments=("--metrics-listen", "127.0.0.1:0"))
    relay.healthy()
    port = metrics.port_of(relay)
    until(lambda: metrics.scrape(port)["relay_connections"] == 0, 20, "nobody is there")
    baseline = relay.resident()
    for _ in range(3):
        with contextlib.ExitStack() as crowd:
            for connection in silent(relay, 1500, crowd):
                # A handshake that has begun costs what a silent connection does not.
                connection.sendall(b"\x16\x03\x01")
            until(
                lambda: relay.resident() > 2 * baseline,
                10,
                lambda: f"{relay.resident() / baseline:.2f} times is no wave",
            )
            highest = relay.resident()
        until(lambda: measure.descriptors(relay.pid) < 100, 20, lambda: f"{measure.descriptors(relay.pid)} descriptors")
        # The next wave is counted from here: a connection that is still closing would be taken for one of its own.
        until(lambda: metrics.scrape(port)["relay_connections"] == 0, 20, "all are gone")
    sessions = [relay.session("wave", receiving=True) for _ in range(300)]
    highest = max(highest, relay.resident())
    for session in sessions:
        session.close()
    until(
        lambda: relay.resident() <= 1.5 * baseline,
        120,
        lambda: (
            f"{[each // content.MiB for each in (baseline, highest, relay.resident())]} MiB before, at most, and now"
        ),
        step=0.25,
    )
