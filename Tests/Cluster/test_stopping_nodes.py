# SPDX-License-Identifier: Apache-2.0
"""A node that stops while streams still run through it: it is the node that is gone, and neither of the clients."""

import os
import signal

import pytest

from harness import raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import until


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
