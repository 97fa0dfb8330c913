# SPDX-License-Identifier: Apache-2.0
"""A relay stops while streams run: no receiver takes a part for the whole, and senders are told why."""

import contextlib
import signal
import time

import pytest

from harness import raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import until

#: Bytes of half a content.
HALF = 50_000


def test_streams_that_still_run_are_cut(own_relay):
    relay = own_relay(registration="open", level="notice")
    with Pair(relay) as pair:
        _, download, upload = pair.flowing()
        _, parked, _ = pair.parked()
        upload.send(raw.chunked(b"x" * 100_000, end=False))
        assert download.head().status == 200
        wait_for_bytes(download, 100_000)
        relay.process.signal(signal.SIGTERM)
        relay.process.wait_for("draining", 5)
        # The second does not wait for what runs.
        relay.process.signal(signal.SIGTERM)
        assert download.how_ended() in (raw.TRUNCATED, raw.RESET)
        for refused in (upload.answer(method="PUT"), parked.answer()):
            assert refused.status == 503 and b'"draining"' in refused.body
        assert pair.receiver.close_code() == 1001
        assert relay.process.wait(10) == 0


def hundred(stack, relay):
    """A hundred streams of four pairs, each with a half of its content through: (pair, offer, download, upload)."""
    pairs = [stack.enter_context(Pair(relay, timeout=40)) for _ in range(4)]
    found = []
    for pair in pairs:
        for _ in range(25):
            offer, download, upload = pair.flowing(2 * HALF)
            upload.send(b"a" * HALF)
            found.append((pair, offer, download, upload))
    for _, _, download, _ in found:
        assert download.head().status == 200
        wait_for_bytes(download, HALF)
    return found


def finish(pair, offer, download, upload):
    """The other half, to the receiver's word that it has everything."""
    upload.send(b"b" * HALF)
    wait_for_bytes(download, 2 * HALF)
    assert download.buffer == b"a" * HALF + b"b" * HALF
    assert upload.answer(method="PUT").status == 200
    assert download.how_ended() == raw.NOTIFY
    pair.receiver.delivered(offer.transfer, 2 * HALF, "0" * 64)
    assert offer.delivered(10)["size"] == 2 * HALF


@pytest.mark.slow
def test_a_hundred_transfers_finish_inside_the_window(own_relay):
    relay = own_relay(registration="open", level="notice", arguments=["--address-limit", "off"])
    with contextlib.ExitStack() as stack:
        running = hundred(stack, relay)
        relay.process.signal(signal.SIGTERM)
        relay.process.wait_for("draining.* count=100", 5)
        for each in running:
            assert relay.process.running(), relay.process.tail()
            finish(*each)
        assert relay.process.wait(10) == 0
        assert "outcome=finished" in relay.logs(), relay.logs()


@pytest.mark.long
def test_what_of_a_hundred_transfers_does_not_finish_is_cut_at_the_deadline(own_relay):
    relay = own_relay(registration="open", level="notice", arguments=["--address-limit", "off"])
    with contextlib.ExitStack() as stack:
        running = hundred(stack, relay)
        begin = time.monotonic()
        relay.process.signal(signal.SIGTERM)
        relay.process.wait_for("draining.* count=100", 5)
        for each in running[::2]:
            finish(*each)
        assert relay.process.running() and time.monotonic() - begin < 25, "it waits for the rest"
        # Streams that move, but not fast enough; those that stand still would be cut for that.

        def is_over():
            for _, _, _, upload in running[1::2]:
                upload.send(b"b" * 3000)
            return "stopping" in relay.logs()

        until(is_over, 40, "the deadline", step=2)
        for _, _, download, upload in running[1::2]:
            assert download.how_ended(10) in (raw.TRUNCATED, raw.RESET), "a part is never taken for the whole"
            assert HALF < len(download.buffer) < 2 * HALF
            assert download.buffer == b"a" * HALF + b"b" * (len(download.buffer) - HALF)
            refused = upload.answer(method="PUT")
            assert refused.status == 503 and b'"draining"' in refused.body
        assert 29 < time.monotonic() - begin < 40
        assert relay.process.wait(10) == 0
