# SPDX-License-Identifier: Apache-2.0
"""A relay stops while streams run: no receiver takes a part for the whole, and senders are told why."""

import signal

from harness import raw
from harness.pairs import Pair, wait_for_bytes


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
