# SPDX-License-Identifier: Apache-2.0
"""Clients that exhaust what they can: all others go on, and the metrics say what happened."""

import contextlib
import json
import os

import pytest

from harness import content, metrics, protocol
from harness.control import PING, PONG, TEXT, Socket, frame
from harness.pairs import Pair
from harness.relay import unique
from harness.waiting import background, until

ARGUMENTS = ("--metrics-listen", "127.0.0.1:0")
LARGE = protocol.b64(bytes(32_768))
MIB = 1024 * 1024


def met(relay, limit, scope):
    """How often a limit was met."""
    return metrics.scrape(metrics.port_of(relay))[f'relay_limits_met_total{{limit="{limit}",of="{scope}"}}']


@pytest.fixture
def busy(own_relay):
    """A relay that shows its metrics."""
    return own_relay(registration="open", arguments=ARGUMENTS)


def large_offer(number, to):
    """An `offer` with the longest payload."""
    transfer = protocol.b64(os.urandom(16))
    return {"type": "offer", "id": f"c{number}", "transfer": transfer, "to": to, "wait": True, "payload": LARGE}


@pytest.mark.parametrize("opcode", [PING, PONG], ids=["ping", "pong"])
def test_a_flood_of_control_frames_ends_itself_alone(busy, tmp_path, opcode):
    alice, bob = busy.person("alice", tmp_path), busy.person("bob", tmp_path)
    content.file(tmp_path / "file", "flood", 20_000_000)
    receiving = bob.receive()
    floods = [Socket(busy) for _ in range(4)]

    def pour(flood):
        while flood.send(frame(opcode) * 10_000):
            pass

    pouring = [background(pour, flood) for flood in floods]
    alice.send(bob, tmp_path / "file").expect(0, 60)
    receiving.expect(0, 20)
    for flood, each in zip(floods, pouring, strict=True):
        each.result(20)
        assert flood.closing() in (1008, None)  # nothing, when a reset came first
        flood.close()
    assert met(busy, "control_frames", "connection") == len(floods)
    assert metrics.scrape(metrics.port_of(busy))['relay_control_closes_total{code="1008"}'] == len(floods)


def test_connecting_again_gives_no_new_budget(busy):
    identity, name = protocol.Identity(unique("again")), unique("nobody")
    busy.session(identity=identity).close()
    for _ in range(20):  # each says less than what may come at once
        with Socket(busy) as made:
            made.login(identity)
            text = json.dumps({"type": "lookup", "id": "c1", "name": name}).encode()
            made.send(frame(TEXT, text) * 900)
            for _ in range(900):
                assert made.message()["code"] == "unknown_peer"
        if met(busy, "messages", "user"):
            break
    assert met(busy, "messages", "user") and not met(busy, "messages", "address")
    held = metrics.scrape(metrics.port_of(busy))["relay_messages_held_back_seconds_total"]
    assert held > 0
    line = next(line for line in busy.logs().splitlines() if "a limit was met" in line)
    assert f"name={identity.name}" in line and "limit=messages" in line and "scope=user" in line, line


def test_one_users_offers_leave_room_for_others(busy):
    mallory = protocol.Identity(unique("mallory"))
    answers = []
    sessions = [Socket(busy).login(mallory) for _ in range(8)]
    ghosts = [busy.session("ghost") for _ in range(8)]
    for session, ghost in zip(sessions, ghosts, strict=True):
        ghost.close()
        for number in range(20):
            session.say(**large_offer(number, ghost.identity.name))
            answers.append(session.message())
    refused = [answer for answer in answers if answer["type"] == "error"]
    assert 90 <= len(answers) - len(refused) <= 100, refused[:1]
    assert {answer["code"] for answer in refused} == {"too_many_transfers"}
    assert mallory.name in refused[0]["message"] and "wait until" in refused[0]["message"]
    with Socket(busy).login(protocol.Identity(unique("alice"))) as alice:
        alice.say(**large_offer(1, ghosts[0].identity.name))
        assert alice.message()["state"] == "waiting"
    assert met(busy, "waiting_bytes", "user") == len(refused)
    for session in sessions:
        session.close()


@pytest.mark.parametrize(("limit", "words"), [("transfers", "offers"), ("offers", "unanswered offers")])
def test_a_person_hears_whose_limit_an_offer_has_met_and_how_much_that_is(busy, tmp_path, limit, words):
    alice, bob = busy.person("alice", tmp_path), busy.person("bob", tmp_path)
    assert busy.command("users", "limit", alice.name, f"{limit}=1").returncode == 0
    (tmp_path / "first").write_bytes(b"1")
    (tmp_path / "second").write_bytes(b"2")
    first = alice.send(bob, tmp_path / "first", "--json")
    until(lambda: first.events("waiting"), 10, first.tail)
    second = alice.send(bob, tmp_path / "second", "--timeout", "2s").expect(75, 20)
    told = f"the relay says: {alice.name} has, on all connections together, as many {words} as there may be (1): wait"
    assert told in second.err(), second.tail()
    first.kill()


@pytest.mark.slow
def test_a_person_hears_that_the_relay_holds_back_what_is_too_much(busy, tmp_path):
    alice, bob, carol = (busy.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    # One unit a second: the look-ups of two receivers make their offers wait for more than two.
    assert busy.command("users", "limit", alice.name, "messages=1").returncode == 0
    receiving = [each.receive() for each in (bob, carol)]
    (tmp_path / "file").write_bytes(b"slow")
    sending = alice.send(f"{bob.name},{carol.name}", tmp_path / "file").expect(0, 60)
    assert sending.err().count(f"{busy.url} is slow to answer: it holds back what comes too fast") == 1, sending.tail()
    for each in receiving:
        each.expect(0, 20)
        assert "slow to answer" not in each.err()
    assert met(busy, "messages", "user") and not met(busy, "messages", "address")


@pytest.mark.alone
def test_sessions_that_do_not_read_cost_no_copies(busy):
    """64 sessions of one name, rung by 128 offers of the largest size: 350 MB, if each had a copy."""
    deaf = protocol.Identity(unique("deaf"))
    sessions = [Socket(busy).login(deaf) for _ in range(64)]
    for session in sessions:
        session.say(type="presence", id="c1", receiving=True)
        assert session.message()["type"] == "ok"
    senders = [Socket(busy).login(protocol.Identity(unique("loud"))) for _ in range(2)]
    before = busy.resident()
    for sender in senders:
        for number in range(64):
            sender.say(**large_offer(number, deaf.name))
            assert sender.message()["state"] == "ringing"
    grown = busy.resident() - before
    assert grown < 32 * MIB, f"{grown / MIB:.1f} MiB"
    # The one that reads gets them all.
    rung = [sessions[0].message()["type"] for _ in range(128)]
    assert rung == ["ring"] * 128
    for session in sessions + senders:
        session.close()
    until(lambda: busy.status()["sessions"] == 0, 20, "all sessions are gone")


def test_a_flood_of_progress_is_not_passed_on(busy):
    with Pair(busy) as pair:
        offer, _, upload = pair.flowing(5)
        for count in range(3000):
            pair.receiver.progress(offer.transfer, count)
        dropped = "relay_progress_dropped_total"
        port = metrics.port_of(busy)
        # Four a second are passed on, and the budget of messages lets the flood take some seconds.
        until(lambda: metrics.scrape(port)[dropped] > 2900, 20, lambda: metrics.scrape(port)[dropped])
        upload.send(b"whole")
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 5, "0" * 64)
        offer.delivered()
        assert len(offer.progress) < 100


@pytest.mark.slow
def test_a_flood_of_progress_ends_the_session(busy):
    """Twenty thousand reports of one transfer, which the budget of messages only slows down."""
    before = met(busy, "progress", "session")
    with Pair(busy) as pair:
        offer, _, _ = pair.flowing(5)
        with contextlib.suppress(OSError):
            for count in range(20_000):
                pair.receiver.progress(offer.transfer, count)
        assert pair.receiver.close_code() == 1008
    assert met(busy, "progress", "session") == before + 1
