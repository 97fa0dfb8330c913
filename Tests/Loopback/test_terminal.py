# SPDX-License-Identifier: Apache-2.0
"""What people and scripts see: one line that is redrawn on a terminal, plain lines elsewhere, JSON on request."""

import os
import re
import signal
import threading
import time

import pytest

from harness import content, protocol
from harness.terminal import Terminal, rendered
from harness.waiting import background, until

CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f]")


def slow_receiver(relay, bob, seconds=2.0):
    """Receives one file at a measured pace, so that progress is seen."""
    rung = bob.ring(20)
    start, began, got = rung.accept(), time.monotonic(), bytearray()

    def sink(piece):
        got.extend(piece)
        ahead = began + seconds * len(got) / rung.summary["bytes"] - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)

    protocol.download(relay, start, sink)
    rung.sealed.read([bytes(got)])
    return rung


def test_a_senders_progress_is_one_line_redrawn(relay, people, tmp_path):
    alice = people("alice")
    content.file(tmp_path / "film.mkv", "progress", 60_000_000)
    terminal = Terminal()
    with relay.client("bob") as bob:
        sending = alice.send(bob.name, tmp_path / "film.mkv", **terminal.streams())
        terminal.started()
        terminal.wait_for("waiting")
        bob.session.presence()
        receiving = background(slow_receiver, relay, bob)
        terminal.wait_for("MB")
        rung = receiving.result(30)
        terminal.wait_for("verifying")
        rung.delivered()
        sending.expect(0, 10)
    terminal.wait_for("delivered")
    drawn = terminal.seen()
    assert drawn.count("\r") >= 6, "it is redrawn"
    lines = [line for line in rendered(drawn) if line]
    # Lines that stay may be wrapped; the one that is redrawn may not.
    first, *lines = lines
    assert first.startswith(f"first contact with {bob.name}, fingerprint "), first
    assert len(lines) <= 4, lines
    assert any("delivered" in line.lower() for line in lines), lines
    percents = [int(each) for each in re.findall(r"(\d{1,3}) ?%", drawn)]
    assert len(set(percents)) >= 3 and percents == sorted(percents) and max(percents) <= 100, percents
    assert "/s" in drawn, "no rate"
    states = [drawn.find(each) for each in (f"waiting for {bob.name}  film.mkv", "sending  film.mkv  [", "verifying")]
    assert -1 not in states and states == sorted(states), states
    for piece in re.split(r"[\r\n]", drawn.replace(first, "", 1)):
        assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece)) <= 80, f"wider than the terminal: {piece!r}"


def test_progress_fits_a_narrow_terminal(relay, people, tmp_path):
    alice = people("alice")
    name = "a-name-that-is-much-longer-than-the-terminal-is-wide.tar.gz"
    content.file(tmp_path / name, "narrow", 20_000_000)
    terminal = Terminal(columns=40)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / name, **terminal.streams())
        terminal.started()
        slow_receiver(relay, bob, 1.0).delivered()
        sending.expect(0, 10)
    redrawn = [piece for line in terminal.seen().split("\r\n") for piece in line.split("\r")[1:-1]]
    for piece in redrawn:
        assert len(re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece)) <= 40, repr(piece)
        assert "sending" not in piece, "that goes first where there is no room"


def plain(piece):
    """A line without what colours it."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", piece)


@pytest.mark.slow
def test_progress_fits_a_terminal_that_is_made_narrower(relay, people, tmp_path):
    alice = people("alice")
    content.file(tmp_path / "film.mkv", "resized", 40_000_000)
    terminal = Terminal(columns=100)
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, tmp_path / "film.mkv", **terminal.streams())
        receiving = background(slow_receiver, relay, bob, 4.0)
        terminal.wait_for("sending  film.mkv  [")
        wide = len(terminal.seen())
        terminal.resize(30)
        # What is being drawn at that moment is not narrow yet.
        until(lambda: terminal.seen()[wide:].count("\r") >= 3, 10, terminal.seen)
        wide = len(terminal.seen())
        until(lambda: terminal.seen()[wide:].count("\r") >= 5, 10, terminal.seen)
        drawn = re.split(r"[\r\n]", terminal.seen()[wide:])[1:]
        assert max(len(plain(piece)) for piece in drawn) < 30, drawn
        terminal.resize(100)
        until(lambda: "sending  film.mkv  [" in terminal.seen()[wide:], 10, terminal.seen)
        terminal.started()
        receiving.result(30).delivered()
        sending.expect(0, 10)


def test_each_of_several_transfers_has_a_line(relay, people):
    bob, terminal, going = people("bob"), Terminal(), threading.Event()
    receiving = bob.run("receive", "--yes", "--output", bob.inbox, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    clients, sent = [relay.client(name) for name in ("alice", "carol")], []

    def pieces(body):
        yield body[:2_000_000]
        going.wait(30)
        yield body[2_000_000:]

    for client, name in zip(clients, ("film.mkv", "song.ogg"), strict=True):
        offered = client.offer(bob.name, {name: content.data(1, 5_000_000)})
        offered.start()

        sent.append((offered, background(offered.upload, pieces(offered.sealed.body()))))

    def both():
        return [line for line in rendered(terminal.seen()) if re.match(r"receiving  (film.mkv|song.ogg)  \[.*%", line)]

    until(lambda: len(both()) == 2, 15, lambda: rendered(terminal.seen()))
    going.set()
    for offered, upload in sent:
        assert upload.result(30)[0] == 200
        offered.delivered()
    until(lambda: terminal.seen().count("received ") == 2, 10, terminal.seen)
    until(lambda: not both(), 10, lambda: rendered(terminal.seen()))
    for client in clients:
        client.session.close()


@pytest.mark.parametrize(
    ("paths", "what"),
    [(["film.mkv"], r"film\.mkv"), (["film.mkv", "song.ogg"], r"2 files|.*film\.mkv.*")],
    ids=["alone", "several"],
)
def test_a_fetchs_progress_is_one_line_redrawn(relay, people, paths, what):
    bob, terminal, going = people("bob"), Terminal(), threading.Event()

    def pieces(body):
        yield body[: len(body) // 2]
        going.wait(30)
        yield body[len(body) // 2 :]

    with relay.client("alice") as alice:
        alice.session.share()
        fetching = bob.run("fetch", alice.name, *paths, "--output", bob.inbox, **terminal.streams())
        terminal.started()
        offered = alice.requested().answer({name: content.data(1, 3_000_000) for name in paths})
        offered.start()
        upload = background(offered.upload, pieces(offered.sealed.body()))

        def drawn():
            return [line for line in rendered(terminal.seen()) if re.match(rf"receiving  ({what})  \[.*%", line)]

        until(lambda: len(drawn()) == 1, 15, lambda: rendered(terminal.seen()))
        going.set()
        assert upload.result(30)[0] == 200
        offered.delivered()
        fetching.expect(0, 10)
    terminal.wait_for("received ")
    until(lambda: not drawn(), 10, lambda: rendered(terminal.seen()))
    assert sorted(os.listdir(bob.inbox)) == paths


def test_each_receiver_of_a_file_has_a_line(relay, people, tmp_path):
    alice, terminal, going = people("alice"), Terminal(), threading.Event()
    content.file(tmp_path / "film.mkv", "several receivers", 30_000_000)
    receivers = [relay.client(name, receiving=True) for name in ("bob", "carol")]

    def receive(client):
        rung = client.ring(20)
        start, got = rung.accept(), bytearray()

        def sink(piece):
            got.extend(piece)
            if len(got) > 5_000_000:
                going.wait(30)

        protocol.download(relay, start, sink)
        rung.sealed.read([bytes(got)])
        rung.delivered()

    receiving = [background(receive, client) for client in receivers]
    names = ",".join(client.name for client in receivers)
    sending = alice.send(names, tmp_path / "film.mkv", **terminal.streams())
    terminal.started()

    def lines():
        return [line for line in rendered(terminal.seen()) if re.match(r"sending  film\.mkv  \[.*%", line)]

    until(lambda: len(lines()) == 2, 20, lambda: rendered(terminal.seen()))
    going.set()
    for each in receiving:
        each.result(30)
    sending.expect(0, 10)
    until(lambda: terminal.seen().count("delivered ") == 2, 10, terminal.seen)
    for client in receivers:
        assert any("delivered " in line and client.name in line for line in rendered(terminal.seen())), client.name
        client.session.close()
    until(lambda: not lines(), 10, lambda: rendered(terminal.seen()))


@pytest.mark.parametrize(("value", "coloured"), [(None, True), ("", True), ("1", False), ("0", False)])
def test_no_color_means_no_colours(people, tmp_path, value, coloured):
    (tmp_path / "file").write_bytes(b"x")
    terminal = Terminal()
    process = people("alice").send(
        "nobody-here", tmp_path / "file", env={} if value is None else {"NO_COLOR": value}, **terminal.streams()
    )
    terminal.started()
    process.expect(69, 10)
    terminal.wait_for("not delivered")
    assert ("\x1b[31m" in terminal.seen()) == coloured, terminal.seen()


def test_a_receivers_progress_says_what_it_does(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "film.mkv", "receiving", 60_000_000)
    terminal = Terminal()
    receiving = bob.receive(sender=alice.name, **terminal.streams())
    terminal.started()
    alice.send(bob, tmp_path / "film.mkv").expect(0, 20)
    receiving.expect(0, 10)
    terminal.wait_for("received ")
    assert "receiving  film.mkv  [" in terminal.seen(), terminal.seen()[-2000:]


def test_progress_without_a_terminal_is_plain_lines(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "file", "plain", 5_000_000)
    receiving = bob.receive()
    sending = alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 5)
    for process in (sending, receiving):
        assert not CONTROL.search(process.out() + process.err()), process.tail()
        assert len((process.out() + process.err()).splitlines()) < 40
    assert "delivered" in sending.out() + sending.err()
    assert "file" in receiving.out() + receiving.err()


def test_json_is_one_object_a_line_and_nothing_else(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "file", "json", 5_000_000)
    receiving = bob.receive("--json")
    sending = alice.send(bob, "--json", tmp_path / "file").expect(0, 15)
    receiving.expect(0, 5)
    for process in (sending, receiving):
        assert process.events() and process.out().endswith("\n") and not process.err(), process.tail()
    assert [event["bytes"] for event in sending.events("delivered")] == [5_000_000]


def test_json_failures_are_objects_too(people, tmp_path):
    alice = people("alice")
    (tmp_path / "file").write_bytes(b"x")
    process = alice.send("nobody-here", "--json", tmp_path / "file").expect(69, 10)
    (failed,) = process.events("failed")
    assert failed["code"] == "unknown_peer" and "nobody-here" in failed["message"], process.tail()


def test_whoami_json_is_one_object(people):
    alice = people("alice")
    (answer,) = alice.run("whoami", "--json").expect(0, 10).events()
    assert answer["event"] == "whoami" and answer["name"] == alice.name


def test_quiet_says_nothing_when_all_goes_well(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"hush")
    receiving = bob.receive("--quiet", sender=alice.name)
    sending = alice.send(bob, "--quiet", tmp_path / "file").expect(0, 15)
    receiving.expect(0, 5)
    assert sending.output() == b"" and receiving.output() == b"", (sending.tail(), receiving.tail())
    failing = alice.send("nobody-here", "--quiet", tmp_path / "file").expect(69, 10)
    assert failing.err().strip(), "an error is said even so"


@pytest.mark.parametrize(
    ("typed", "status"), [("y\n", 0), ("n\n", 77), ("\n", 77), ("\x04", 77)], ids=["yes", "no", "return", "end"]
)
def test_receive_asks_before_it_takes_a_file(relay, people, tmp_path, typed, status):
    alice, bob = people("alice", "bob")
    (tmp_path / "invoice\u202efdp.exe").write_bytes(b"maybe")
    terminal = Terminal()
    receiving = bob.run("receive", "--once", "--output", bob.inbox, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    sending = alice.send(bob, tmp_path / "invoice\u202efdp.exe")
    terminal.wait_for("invoice")
    terminal.wait_for(alice.name)
    terminal.wait_for("[y/N]")
    assert "\u202e" not in terminal.seen()
    assert sending.running(), sending.tail()
    terminal.type(typed)
    assert sending.wait(5) == status, sending.tail()
    if status == 0:
        receiving.expect(0, 5)
    assert len(bob.received()) == (1 if status == 0 else 0)


def test_a_question_ends_when_the_sender_leaves(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    terminal = Terminal()
    receiving = bob.run("receive", "--output", bob.inbox, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    sending = alice.send(bob, tmp_path / "file")
    terminal.wait_for("[y/N]")
    asked = len(terminal.seen())
    sending.signal(signal.SIGINT)
    assert sending.wait(2) != 0
    gone = f'not received: "file" from {alice.name}'
    until(lambda: gone in terminal.seen()[asked:], 5, lambda: f"the sender is gone: {terminal.seen()[asked:]!r}")
    (tmp_path / "second").write_bytes(b"y")
    again = alice.send(bob, tmp_path / "second")
    terminal.wait_for("second")
    until(lambda: terminal.seen().count("[y/N]") >= 2, 10, "the second question")
    terminal.type("y\n")
    again.expect(0, 10)
    # The sender may hear of it before the receiver, which still runs, has cleared up its parts.
    assert bob.stored() == [b"second"]


@pytest.mark.slow
def test_a_restart_of_the_relay_does_not_repeat_a_question(own_relay, large):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "file", "asked once", 300_000_000)
    terminal = Terminal()
    receiving = bob.run("receive", "--once", "--output", bob.inbox, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    sending = alice.send(bob, large / "file")
    terminal.wait_for("[y/N]")
    # A question that the relay's end takes away is asked again; one that was answered is not.
    relay.process.kill()
    terminal.wait_for("reconnecting (try ")
    relay.start(relay.port)
    until(lambda: terminal.seen().count("[y/N]") == 2, 10, "the question again")
    terminal.type("y\n")
    until(lambda: content.largest(bob.inbox) > 50_000_000, 20, "some of it")
    relay.process.kill()
    terminal.wait_for("it goes on when")
    relay.start(relay.port)
    sending.expect(0, 30)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "file") == digest
    assert terminal.seen().count("[y/N]") == 2, terminal.seen()[-3000:]
    assert terminal.seen().count("reconnected") == 2


def test_ctrl_c_typed_at_the_terminal_ends_a_receiver_that_waits(people):
    bob = people("bob")
    terminal = Terminal()
    receiving = bob.run("receive", "--output", bob.inbox, prefix=Terminal.own, **terminal.streams())
    terminal.started()
    terminal.wait_for(f"ready to receive as {bob.name}\r\n")
    terminal.type("\x03")
    receiving.expect(130, 2)
    terminal.wait_for("^C")
    # There is nothing to say: nothing was on its way.
    assert rendered(terminal.seen()) == [f"ready to receive as {bob.name}", "^C"]


def test_ctrl_c_typed_at_the_terminal_is_told_to_both(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    terminal = Terminal()
    receiving = bob.run("receive", "--output", bob.inbox, prefix=Terminal.own, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    sending = alice.send(bob, tmp_path / "file")
    terminal.wait_for("[y/N]")
    terminal.type("\x03")
    receiving.expect(130, 2)
    terminal.wait_for(f'not received: "file" from {alice.name}: interrupted')
    sending.expect(77, 2)
    assert f"{bob.name} interrupted it" in sending.err(), sending.tail()


def test_ctrl_c_typed_at_the_terminal_ends_a_sender(people, tmp_path):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    terminal = Terminal()
    sending = alice.run("send", bob.name, tmp_path / "file", prefix=Terminal.own, **terminal.streams())
    terminal.started()
    terminal.wait_for("waiting")
    terminal.type("\x03")
    sending.expect(130, 2)
    terminal.wait_for(f'not delivered: "file" to {bob.name}: interrupted')


def test_ctrl_c_at_the_invitation_prompt_restores_the_echo(own_relay, tmp_path):
    relay = own_relay(registration="invite")
    alice = relay.person("alice", tmp_path, login=False)
    terminal = Terminal()
    asking = alice.run("login", relay.url, "--name", alice.name, "--ca", relay.ca, **terminal.streams())
    terminal.wait_for("Invitation for ")
    assert not terminal.echoes(), "what is typed would be seen"
    asking.signal(signal.SIGINT)
    assert asking.wait(2) == 130, terminal.seen()
    assert terminal.echoes(), "the terminal is left as it was found"
    # The system resets a terminal that no process has open, so this side's copy stays until here.
    terminal.started()


def test_exec_runs_for_each_file(people, tmp_path):
    alice, bob = people("alice", "bob")
    if "--exec" not in bob.run("receive", "--help", profile=False).expect(0, 10).out():
        pytest.fail("receive has no --exec")
    (tmp_path / "$(touch owned).txt").write_bytes(b"x" * 10)
    receiving = bob.receive("--exec-shell", "env | grep ^RELAY_ > seen", sender=alice.name)
    alice.send(bob, tmp_path / "$(touch owned).txt").expect(0, 15)
    receiving.expect(0, 10)
    seen = dict(line.split("=", 1) for line in (bob.home / "seen").read_text().splitlines() if "=" in line)
    assert seen["RELAY_FROM"] == alice.name and seen["RELAY_SIZE"] == "10"
    assert os.path.basename(seen["RELAY_FILE"]) == "$(touch owned).txt" and len(seen["RELAY_TRANSFER"]) == 22
    assert not (bob.home / "owned").exists()


@pytest.mark.parametrize(("trap", "ignored"), [("", set()), ("trap '' HUP; ", {signal.SIGHUP})], ids=["none", "HUP"])
def test_exec_inherits_the_signal_dispositions_of_the_start(people, tmp_path, trap, ignored):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"x")
    prefix = ("sh", "-c", trap + 'exec "$@"', "sh")
    receiving = bob.receive("--exec-shell", "grep ^SigIgn /proc/self/status > seen", sender=alice.name, prefix=prefix)
    alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 10)
    mask = int((bob.home / "seen").read_text().split()[1], 16)
    ours = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ)
    assert {number for number in ours if mask & 1 << (number - 1)} == ignored
