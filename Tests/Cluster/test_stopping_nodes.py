# SPDX-License-Identifier: Apache-2.0
"""A node that stops while streams still run through it: it is the node that is gone, and neither of the clients."""

import os
import signal

import pytest

from harness import content, metrics, raw
from harness.content import MiB
from harness.measure import is_gone
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import Deadline, until

# How long a node that stops waits for what runs through it (docs/operations.md).
DRAIN = 30


# When the sender's node stops, the other one may see that before it is told.
@pytest.mark.parametrize(
    ("half", "codes"), [("upload", ["draining", "cluster_unavailable"]), ("download", ["draining"])]
)
def test_a_stopping_node_is_not_reported_as_a_departed_client(cluster, half, codes):
    made = cluster("--nodes", "2")
    staying, leaving = made.node(1), made.node(2)
    with Pair(staying, **{half: leaving}) as pair:
        offer, download, upload = pair.flowing()
        upload.send(raw.chunked(b"x" * 100_000, end=False))
        assert download.head().status == 200
        wait_for_bytes(download, 100_000)
        os.kill(leaving.pid, signal.SIGTERM)
        until(lambda: "draining" in leaving.logs(), 5, "the drain")
        # The second does not wait for what runs.
        os.kill(leaving.pid, signal.SIGTERM)
        for session in (pair.sender, pair.receiver):
            assert session.failed(offer.transfer)["code"] in codes
        assert download.how_ended() in (raw.TRUNCATED, raw.RESET)


def test_a_sender_whose_node_stops_before_its_receiver_has_answered_is_not_reported_as_departed(cluster):
    """Everything is through, so that there is no stream any more that could be cut: only the session is."""
    made = cluster("--nodes", "2")
    staying, leaving = made.node(1), made.node(2)
    with Pair(leaving, receiver=staying) as pair:
        offer, download, upload = pair.flowing(100_000)
        upload.send(b"x" * 100_000)
        assert download.head().status == 200
        wait_for_bytes(download, 100_000)
        assert upload.answer(method="PUT").status == 200
        assert download.how_ended() == raw.NOTIFY
        for _ in range(2):
            os.kill(leaving.pid, signal.SIGTERM)
            until(lambda: "draining" in leaving.logs(), 5, "the drain")
        assert pair.receiver.failed(offer.transfer)["code"] == "draining"
        assert pair.sender.close_code() == 1001


def progress(process):
    """How many bytes are through, as a client has said so far."""
    return [event["bytes"] for event in process.events("progress")]


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.parametrize("left", ["both", "sender", "receiver"])
def test_what_a_drain_cuts_at_its_deadline_goes_on_by_the_other_node(cluster, tmp_path, left):
    """At a MiB a second, 45 MB take longer than a node waits. Whose sessions and stream are on it is cut, and goes on
    from there; who is on the other node goes on with them."""
    made = cluster("--nodes", "2")
    staying, leaving = made.members()
    alice, bob = made.person("alice", tmp_path), made.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "drain", 45_000_000)
    for node in (staying, leaving):
        assert node.command("users", "limit", alice.name, "rate=1M").returncode == 0
    made.balance(staying if left == "sender" else leaving)
    receiving = bob.receive("--json", ready=False)
    until(lambda: receiving.events("ready"), 20, receiving.tail)
    # It takes the offer when everything is where it should be: both halves of the stream are on the node that stops.
    receiving.signal(signal.SIGSTOP)
    made.balance(staying if left == "receiver" else leaving)
    sending = alice.send(bob, tmp_path / "file", "--json")
    until(lambda: sending.events("ringing"), 20, sending.tail)
    made.balance(leaving)
    receiving.signal(signal.SIGCONT)
    until(lambda: max(progress(receiving), default=0) > 2 * MiB, 30, receiving.tail)
    made.balance(staying)
    pid, drain = leaving.pid, Deadline(DRAIN + 30)
    os.kill(pid, signal.SIGTERM)
    until(lambda: sending.events("resumed") and receiving.events("resumed"), drain.left(), sending.tail)
    assert drain.seen("both go on", drain.passed()) >= DRAIN
    until(lambda: is_gone(pid), drain.left(), leaving.logs)
    assert "outcome=deadline" in leaving.logs()
    assert staying.command("users", "limit", alice.name, "rate=default").returncode == 0
    sending.expect(0, 60)
    receiving.expect(0, 30)
    assert content.sha256(bob.inbox / "file") == digest
    events = receiving.events("resumed", "progress")
    had = max(event["bytes"] for event in events[: [event["event"] for event in events].index("resumed")])
    for process in (sending, receiving):
        # One transfer, which was cut once, and went on where it was.
        (resumed,) = process.events("resumed")
        assert resumed["bytes"] >= had - 2 * MiB > 20 * MiB, (resumed, had)
        assert not process.events("restarted", "failed"), process.tail()
        events = process.events("resumed", "progress")
        assert all(event["bytes"] >= resumed["bytes"] for event in events[events.index(resumed) :]), process.tail()
        assert len({event["transfer"] for event in process.events() if "transfer" in event}) == 1
    # What the other node has moved is the rest alone.
    url = made.variables["RELAY_METRICS_URLS"].split()[0].removesuffix("/metrics")
    moved = metrics.scrape(made.port_of(url))['relay_bytes_relayed_total{to="receiver"}']
    assert moved < 45_000_000 - had + 4 * MiB, (moved, had)
