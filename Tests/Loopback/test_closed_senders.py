# SPDX-License-Identifier: Apache-2.0
"""A sender that has said everything and leaves, while its receiver takes nothing: what it said waits in the kernel."""

import contextlib
import socket

import pytest

from harness import content, measure, raw
from harness.pairs import Pair
from harness.waiting import background, settled, until

#: TCP states of a sender whose end the other kernel has not acknowledged yet.
_ESTABLISHED, _FIN_WAIT1 = 1, 4
#: What waits in the kernel when the sender leaves: several times what the relay may hold.
_WAITING = 768 * 1024
_PIECE = 65_536
#: Together, so that memory which is free already does not hide what they cost.
_SENDERS = 6
#: What the receiver takes before that.
_FLOWING = 32 * content.MiB


def _state(connection):
    return connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def _fill(relay, upload, download):
    """Sends chunks of zeros until enough waits in the relay's kernel, and the last chunk; returns how much of that the
    receiver has not read."""
    port, piece = upload.socket.getsockname()[1], raw.chunked(bytes(_PIECE), end=False)

    def waiting():
        return measure.unread(relay.pid, relay.port, port)

    # As long as bytes flow fast, the kernel sets space aside.
    pushing = background(lambda: [upload.socket.sendall(piece) for _ in range(_FLOWING // _PIECE)])
    taken = 0
    while taken < _FLOWING:
        taken += download.socket.recv(1 << 20).count(0)
    pushing.result(10)
    count = _FLOWING
    while waiting() < _WAITING:
        upload.socket.sendall(piece)
        count += _PIECE
        assert count < 2 * _FLOWING
    upload.socket.sendall(b"0\r\n\r\n")
    settled(waiting, 0.3, 10, "bytes in the relay's kernel")
    return count - taken


def _leave(upload, politely):
    """Ends the sender's direction; everything is in the relay's kernel afterwards."""
    if politely:
        upload.socket.settimeout(0.1)
        # It does not wait for the relay's own close_notify.
        with contextlib.suppress(OSError):
            upload.socket.unwrap()
    upload.socket.shutdown(socket.SHUT_WR)
    until(lambda: _state(upload) not in (_ESTABLISHED, _FIN_WAIT1), 10, "the end to be acknowledged")


@pytest.mark.alone
@pytest.mark.timeout(120)
@pytest.mark.parametrize("politely", [False, True], ids=["fin", "close_notify"])
def test_memory_stays_bounded_when_senders_have_closed(own_relay, politely):
    relay = own_relay(registration="open", level="notice")

    with contextlib.ExitStack() as stack:
        flows = []
        for _ in range(_SENDERS):
            _, download, upload = stack.enter_context(Pair(relay, timeout=30)).flowing()
            flows.append((download, upload, _fill(relay, upload, download)))
        before = relay.resident()
        for _, upload, _ in flows:
            _leave(upload, politely)
        relay.healthy()
        grown = settled(relay.resident, 0.5, 20, "memory") - before
        # Nothing of it is lost.
        for download, _, count in flows:
            assert download.how_ended(60) == raw.NOTIFY
            assert download.buffer.count(0) == count and download.buffer.endswith(b"\r\n0\r\n\r\n")
    # Each already held some when its sender left.
    assert grown <= _SENDERS * 128 * 1024, f"grew by {grown // 1024} KiB"
