# SPDX-License-Identifier: Apache-2.0
"""A stream through two nodes keeps the promises of a stream through one."""

import json
import os

import pytest

from harness import content, measure, protocol, raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import background

# Stalled pairs that are there at the same time.
STALLED = 16
# Bytes of the buffers of an event loop.
LOOP = 7 * content.MiB // 2


@pytest.fixture
def ways(three):
    """(the node of the upload, the node of the download)"""
    return three.members()[:2]


@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset", "close_notify"])
def test_a_cut_sender_never_ends_the_body_cleanly(three, ways, known, how):
    with Pair(three, upload=ways[0], download=ways[1]) as pair:
        offer, download, upload = pair.flowing(1_000_000 if known else None)
        upload.send(b"x" * 500_000 if known else raw.chunked(b"x" * 500_000, end=False))
        assert download.head().status == 200
        wait_for_bytes(download, 400_000)
        if how == "close_notify":
            background(upload.socket.unwrap)
        else:
            (upload.close if how == "close" else upload.reset)()
        assert download.how_ended(2) in (raw.TRUNCATED, raw.RESET), download.ended
        if not known:
            assert not download.buffer.endswith(b"0\r\n\r\n")
        failed = pair.receiver.failed(offer.transfer)
        assert failed["code"] == "sender_gone", failed
        with pytest.raises(protocol.Failed) as told:
            offer.delivered(2)
        assert told.value.code == "sender_gone"


@pytest.mark.parametrize("known", [True, False], ids=["length", "chunked"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_the_uploads_answer_is_readable_when_the_receiver_is_cut(three, ways, known, how):
    size = 20_000_000
    with Pair(three, upload=ways[0], download=ways[1]) as pair:
        offer, download, upload = pair.flowing(size if known else None)
        pushing = background(upload.send, bytes(size) if known else raw.chunked(*[bytes(1_000_000)] * 20))
        wait_for_bytes(download, 1_000_000)
        (download.close if how == "close" else download.reset)()
        pushing.result(10)
        answer = upload.answer(timeout=5, method="PUT")
        assert answer is not None and answer.status == 502 and b"receiver_gone" in answer.body, answer
        with pytest.raises(protocol.Failed) as told:
            offer.delivered(2)
        assert told.value.code == "receiver_gone"


def test_the_uploads_answer_says_what_the_message_says(three, ways):
    """Home, upload and download on three nodes, in all the orders."""
    for upload_at, download_at in (ways, ways[::-1], (ways[0], ways[0]), (ways[1], ways[1])):
        with Pair(three, upload=upload_at, download=download_at) as pair:
            offer, download, upload = pair.flowing(20_000_000)
            pushing = background(upload.send, bytes(20_000_000))
            wait_for_bytes(download, 1_000_000)
            download.reset()
            pair.receiver.cancel(offer.transfer, "no_space")
            pushing.result(10)
            answer = upload.answer(timeout=5, method="PUT")
            with pytest.raises(protocol.Failed) as failed:
                offer.delivered(2)
            assert (answer.status, json.loads(answer.body)["code"], failed.value.code) == (502, "no_space", "no_space")


@pytest.mark.alone
def test_receivers_that_never_read_cost_each_node_little(cluster):
    made = cluster("--nodes", "2")
    upload_at, download_at = made.members()
    # The kernels hold a buffer at both ends of three connections; the 8 MiB are more than the processes hold.
    held = 3 * (measure.receive_buffer() + measure.send_buffer()) + 8 * content.MiB

    def stalled():
        pair = Pair(made, upload=upload_at, download=download_at, timeout=30)
        _, _, upload = pair.flowing(content.GiB)
        upload.socket.settimeout(1)
        try:
            while upload.sent < 2 * held:
                upload.sent += upload.socket.send(bytes(65_536))
        except TimeoutError:
            pass
        assert upload.sent <= held, f"{upload.sent / content.MiB:.1f} MiB accepted"
        return pair

    # The first stream warms the allocators up, and the nodes' link.
    with Pair(made, upload=upload_at, download=download_at) as pair:
        pair.whole(3_000_000)
    before = [node.resident() for node in (upload_at, download_at)]
    pairs = [stalled() for _ in range(STALLED)]
    grown = [node.resident() - least for node, least in zip((upload_at, download_at), before, strict=True)]
    for pair in pairs:
        pair.__exit__()
    # The buffers of the event loops are there once, however many streams there are.
    allowed = STALLED * 256 * 1024 + (os.cpu_count() or 1) * LOOP
    assert max(grown) <= allowed, f"upload's and download's node grew by {[each // 1024 for each in grown]} KiB"


@pytest.mark.parametrize("download", [0, 1], ids=["at the home", "at a third node"])
def test_a_malformed_body_is_told_truly_across_nodes(three, download):
    nodes = three.members()
    with Pair(nodes[0], receiver=nodes[1], download=nodes[download], upload=nodes[2]) as pair:
        offer, _, upload = pair.flowing()
        upload.send(b"5\r\nhello, world\r\n0\r\n\r\n")
        answer = upload.answer(method="PUT")
        assert answer.status == 400 and json.loads(answer.body)["code"] == "malformed_body", answer
        for session in (pair.sender, pair.receiver):
            failed = session.failed(offer.transfer)
            assert (failed["code"], failed["by"]) == ("malformed_body", "relay"), failed
