# SPDX-License-Identifier: Apache-2.0
"""Many offers, many files, many people at once: nobody loses by it."""

import json
import signal

from harness import content, protocol
from harness.terminal import Terminal
from harness.waiting import until


def events(process, name):
    """The JSON events of that name that a process has printed."""
    found = [json.loads(line) for line in process.out().splitlines() if line.endswith("}")]
    return [event for event in found if event["event"] == name]


def test_receive_once_takes_one_and_leaves_the_others_waiting(people, tmp_path):
    bob, senders = people("bob"), [people(name) for name in ("alice", "carol", "dave")]
    for sender in senders:
        content.file(tmp_path / f"{sender.name}.bin", sender.name, 30_000_000)
    sending = [sender.send(bob, tmp_path / f"{sender.name}.bin") for sender in senders]
    for process in sending:
        process.wait_for("not receiving", 10)
    for count in (1, 2, 3):
        receiving = bob.receive(ready=False).expect(0, 20)
        assert len(bob.received()) == count and receiving.err().count("receiving from") == 1, receiving.tail()
        until(lambda count=count: sum(not each.running() for each in sending) == count, 5, "a sender is told")
    for process in sending:
        process.expect(0, 1)
    assert {name.decode() for name in bob.received()} == {f"{sender.name}.bin" for sender in senders}


def test_an_offer_is_never_declined_in_somebodys_name(relay, people):
    """As many offers as the relay rings with at once: none is answered before the person has."""
    bob = people("bob")
    sessions = [relay.session(f"sender{number}") for number in range(6)]
    offers = [
        session.offer(bob.name, protocol.pack(v=0, name=f"file{number}", size=1))
        for session in sessions
        for number in range(20)
    ]
    terminal = Terminal()
    receiving = bob.run("receive", "--json", "--output", bob.inbox, **terminal.streams(stdout=False))
    until(lambda: len(events(receiving, "offered")) == len(offers), 15, lambda: receiving.tail())
    receiving.signal(signal.SIGINT)
    receiving.expect(130, 5)
    for session in sessions:
        session.close()
