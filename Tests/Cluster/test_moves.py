# SPDX-License-Identifier: Apache-2.0
"""A node that stops sends its clients to the others, and each of them is there all the time."""

import os
import signal
import threading
import time

import pytest

from harness import protocol
from harness.hellos import Hellos
from harness.terminal import Terminal
from harness.waiting import until
from proofs import rolling

MiB = rolling.MiB


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_client_is_there_while_every_node_is_restarted(binaries, tmp_path):
    with rolling.World(binaries, tmp_path, clients=8, pairs=2) as world:
        outcome = world.rolled((1 * MiB, 16 * MiB))
    assert not list(outcome.problems()), outcome.table()


@pytest.mark.slow
def test_each_session_is_told_once_and_closed_at_the_deadline(cluster):
    made = cluster("--nodes", "2")
    staying, leaving = made.members()
    stays, sessions = staying.session("stays"), [leaving.session(f"s{number}") for number in range(5)]
    os.kill(leaving.pid, signal.SIGTERM)
    told = [session.next(lambda m: m.get("type") == "move", 8, "move") for session in sessions]
    assert [message.keys() for message in told] == [{"deadline", "id", "type"}] * 5
    assert all(1 <= message["deadline"] <= 10 for message in told), told
    # What is new is refused, and all else is answered.
    assert sessions[0].lookup(stays.identity.name)["online"] is False
    with pytest.raises(protocol.Refused) as refused:
        sessions[0].offer(stays.identity.name, protocol.pack(v=0))
    assert refused.value.code == "draining"
    # These do not know the message.
    assert [session.close_code(14) for session in sessions] == [1001] * 5
    assert not any(session.is_to_move() for session in [stays, *sessions])
    stays.close()


def test_a_client_of_the_page_alone_moves_and_is_always_there(cluster):
    made = cluster("--nodes", "2")
    staying, leaving = made.members()
    made.balance(leaving)
    carol = made.session("carol", receiving=True)
    watcher, seen, stop = staying.watcher(), [], threading.Event()

    def look():
        while not stop.is_set():
            seen.append(watcher.lookup(carol.identity.name)["online"])

    looking = threading.Thread(target=look)
    looking.start()
    made.balance(staying)
    os.kill(leaving.pid, signal.SIGTERM)
    until(carol.is_to_move, 8, "it is told to move")
    new = carol.moved(receiving=True)
    # The node ends as soon as its last client is gone, and not at the deadline.
    until(lambda: "stopped" in leaving.logs(), 5, "the node has stopped")
    stop.set()
    looking.join()
    assert len(seen) > 20 and all(seen), seen.count(False)
    alice = staying.session("alice")
    offer = alice.offer(carol.identity.name, protocol.pack(v=0))
    assert offer.states == ["ringing"] and new.ring()["transfer"] == offer.transfer
    for session in (new, alice, watcher):
        session.close()


def test_the_last_node_sends_no_client_elsewhere(cluster):
    made = cluster("--nodes", "1")
    only = made.node(1)
    session = only.session("s")
    began = time.monotonic()
    os.kill(only.pid, signal.SIGTERM)
    assert session.close_code(5) == 1001 and not session.is_to_move()
    assert time.monotonic() - began < 5


def test_the_new_connection_is_resumed_and_nothing_is_shown(cluster, tmp_path):
    made = cluster("--nodes", "2")
    staying, leaving = made.members()
    made.balance(leaving)
    with Hellos(made.address) as hellos:
        bob = made.person("bob", tmp_path, login=False)
        bob.login(url=hellos.url)
        receiving = bob.receive("--verbose", once=False)
        before = len(hellos.resumed())
        made.balance(staying)
        os.kill(leaving.pid, signal.SIGTERM)
        until(lambda: len(hellos.resumed()) > before, 10, "there is another connection")
        until(lambda: "stopped" in leaving.logs(), 10, "the node has stopped")
        assert hellos.resumed()[before:] == [True], "the session of the first connection goes on"
        said = receiving.tail()
        assert "connected to another node of the relay" in said and "econnecting" not in said, said
        receiving.signal(signal.SIGINT)
        receiving.wait(10)


@pytest.mark.parametrize("who", ["receiver", "sender"])
def test_a_person_who_is_being_asked_is_not_asked_twice(cluster, tmp_path, who):
    """Whichever of the two moves while the question is open, the answer is heard."""
    made = cluster("--nodes", "2")
    staying, leaving = made.members()
    made.balance(leaving if who == "receiver" else staying)
    bob, terminal = made.person("bob", tmp_path), Terminal(columns=120)
    receiving = bob.run("receive", "--once", "--output", bob.inbox, prefix=Terminal.own, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    made.balance(leaving if who == "sender" else staying)
    alice = made.person("alice", tmp_path)
    (tmp_path / "file").write_bytes(b"content")
    sending = alice.send(bob, tmp_path / "file", "--json")
    terminal.wait_for("Accept?")
    made.balance(staying)
    os.kill(leaving.pid, signal.SIGTERM)
    until(lambda: "stopped" in leaving.logs(), 15, "the node has stopped")
    terminal.type("y\n")
    sending.expect(0, 30)
    receiving.expect(0, 30)
    assert (bob.inbox / "file").read_bytes() == b"content"
    seen = terminal.seen()
    assert seen.count("Accept?") == 1 and "econnecting" not in seen, seen
    assert b"reconnecting" not in sending.output()
