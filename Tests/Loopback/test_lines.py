# SPDX-License-Identifier: Apache-2.0
"""Lines that are narrow, and lines that lose packets: rows 49 and 50 of the fault table."""

import threading
import time

import pytest

from harness import content
from harness.content import MiB
from harness.pairs import Pair, wait_for_bytes
from harness.waiting import background

MEGABITS, PERCENT = 10, 20
#: Of what the line carries: heads of packets and records take a part of it, and a busy machine another.
FULL = 0.7
#: In seconds: both queues of the line are 50 ms long; and a second for a busy machine.
ANSWERED = 1.1


@pytest.mark.slow
def test_a_narrow_line_is_used_and_who_waits_is_still_heard(networked_relay):
    relay, network = networked_relay
    network.narrow("relay", MEGABITS)
    sent, over, answers = content.data("narrow", 4 * MiB), threading.Event(), []
    with Pair(relay, timeout=60) as pair:

        def ping():
            while not over.is_set():
                began = time.monotonic()
                pair.receiver.ping()
                answers.append(time.monotonic() - began)
                # More of them would be a flood.
                over.wait(0.3)

        _, download, upload = pair.flowing(len(sent))
        pinging = background(ping)
        began = time.monotonic()
        sending = background(upload.send, sent)
        assert download.head().status == 200
        wait_for_bytes(download, len(sent), 60)
        seconds = time.monotonic() - began
        over.set()
        pinging.result(30)
        assert sending.result(10) and download.buffer == sent
        assert upload.answer(method="PUT").status == 200
    used = len(sent) * 8 / seconds / (MEGABITS * 1_000_000)
    print(f"{seconds:.2f} s, {used:.0%} of the line; {len(answers)} pings, the longest {max(answers):.3f} s")
    # What goes faster than the line shows that there was none.
    assert FULL < used < 1.05
    assert len(answers) >= 8 and max(answers) < ANSWERED


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_file_arrives_whole_over_a_line_that_loses_a_fifth(networked_relay, tmp_path):
    relay, network = networked_relay
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    file = tmp_path / "file"
    sha256 = content.file(file, "lossy", MiB // 2)
    receiving = bob.receive(ready=False)
    receiving.wait_for("ready to receive", 20)
    network.lose("relay", PERCENT)
    began = time.monotonic()
    alice.send(bob, file, "--checksum").expect(0, 180)
    receiving.expect(0, 60)
    lost = network.hits()
    print(f"{time.monotonic() - began:.1f} s, {lost} packets lost")
    assert content.sha256(bob.inbox / "file") == sha256 and lost > 50
    network.heal()
    relay.healthy()
