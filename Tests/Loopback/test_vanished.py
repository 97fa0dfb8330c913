# SPDX-License-Identifier: Apache-2.0
"""A client's network vanishes in the middle of a transfer: nothing of it comes any more, not even an end."""

import contextlib

import pytest

from harness import content, measure, raw
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import Deadline, background, settled, until

# Within 15 s, and 5 s for a busy machine. Rules that look at something else are later: 30 s for a sender that brings
# nothing, 60 s for a receiver that takes nothing.
TOLD = 20
SIZE = 64 * content.MiB
FIRST = content.MiB


class Half(Pair):
    """A transfer in the middle, one side of which is at an address that can vanish: its half of the bytes, or, with
    `control`, its control connection, too."""

    def __init__(self, relay, network, side, control):
        super().__init__(relay, timeout=60)
        self.place, self.name = network.place(), f"{side} vanished{' altogether' * control}"
        if control:
            getattr(self, side).close()
            setattr(self, side, relay.session(side, receiving=side == "receiver", source=self.place))
        self.source = self.place if side == "receiver" else None
        self.offered, self.download, start = self.parked()
        self.source = self.place if side == "sender" else None
        self.upload = self.connect()
        self.upload.send(
            raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", f"Content-Length: {SIZE}")
        )
        self.upload.send(bytes(FIRST))
        assert self.download.head().status == 200
        wait_for_bytes(self.download, FIRST)

    def moves(self):
        """A last byte comes through: it is then that the relay has last heard of both sides."""
        before = len(self.download.buffer)
        self.upload.send(b"x")
        wait_for_bytes(self.download, before + 1)

    def receiver_is_told(self, told):
        """(how the download ended, the code in the receiver's message)"""
        end = told.seen(f"{self.name}: download", self.download.how_ended(told.left()))
        failed = self.receiver.failed(self.offered.transfer, told.left())
        return end, told.seen(f"{self.name}: receiver", failed["code"])

    def sender_is_told(self, told):
        """(the status of the upload's answer, the code in the sender's message)"""
        # What is in flight from now on is never acknowledged.
        self.upload.send(bytes(SIZE - FIRST - 1))
        status = told.seen(f"{self.name}: upload", self.upload.answer(told.left(), "PUT").status)
        failed = self.sender.failed(self.offered.transfer, told.left())
        return status, told.seen(f"{self.name}: sender", failed["code"])


@pytest.mark.long
def test_the_other_side_is_told_when_a_clients_network_vanishes(networked_relay):
    relay, network = networked_relay
    with contextlib.ExitStack() as pairs:
        # All at the same time: the bytes' connection alone, so that what the other one shows does not count, and both.
        lost = {
            side: [pairs.enter_context(Half(relay, network, side, control)) for control in (False, True)]
            for side in ("sender", "receiver")
        }
        halves = [*lost["sender"], *lost["receiver"]]
        for half in halves:
            half.moves()
        told = Deadline(TOLD)
        network.vanish(*(half.place for half in halves))
        receivers = [background(half.receiver_is_told, told) for half in lost["sender"]]
        senders = [background(half.sender_is_told, told) for half in lost["receiver"]]
        for each in receivers:
            end, code = each.result(TOLD + 10)
            assert end in (raw.TRUNCATED, raw.RESET) and code == "sender_gone", (end, code)
        for each in senders:
            assert each.result(TOLD + 10) == (502, "receiver_gone")
        # Who closes does not have to wait for those who are gone.
        network.heal()


#: Within 60 s, and 5 s for a busy machine.
FORGOTTEN = 65


@pytest.mark.long
def test_nothing_is_kept_for_long_of_two_clients_who_both_vanish(networked_relay):
    relay, network = networked_relay
    relay.healthy()
    before = settled(lambda: measure.descriptors(relay.pid), 0.5, 20, "descriptors")
    with Both(relay, network) as both:
        both.moves()
        # Bytes are on their way, and no client is left that could acknowledge them.
        assert measure.descriptors(relay.pid) >= before + 4
        forgotten = Deadline(FORGOTTEN)
        network.vanish(both.place)
        until(
            lambda: measure.descriptors(relay.pid) <= before,
            forgotten.left(),
            lambda: f"{measure.connections(relay.pid)}, {before} descriptors before",
            step=0.1,
        )
        forgotten.seen("descriptors", measure.descriptors(relay.pid))
        assert relay.status()["sessions"] == 0
        network.heal()
    relay.healthy()


class Both(Pair):
    """A transfer in the middle, with all of its four connections at one address that can vanish."""

    def __init__(self, relay, network):
        self.place = network.place()
        super().__init__(relay, source=self.place, timeout=60)
        _, self.download, self.upload = self.flowing(SIZE)
        self.upload.send(bytes(FIRST))
        assert self.download.head().status == 200
        wait_for_bytes(self.download, FIRST)

    def moves(self):
        """A last byte comes through."""
        self.upload.send(b"x")
        wait_for_bytes(self.download, FIRST + 1)
