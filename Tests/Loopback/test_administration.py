# SPDX-License-Identifier: Apache-2.0
"""What operators see, and what they do about users, sessions, transfers and the registry."""

import json
import os
import stat
import subprocess
import time

import pytest

from harness import content, file_systems, metrics
from harness.executables import clean_environment
from harness.pairs import Pair
from harness.relay import Relay, unique
from harness.waiting import until


def done(relay, *arguments, expect=0):
    """What a sub-command prints."""
    ran = relay.command(*arguments)
    assert ran.returncode == expect, ran
    return ran.stdout if expect == 0 else ran.stderr


def shown(relay, name):
    """What `users show --json` says."""
    return json.loads(done(relay, "users", "show", name, "--json"))


def audit(relay):
    """The lines of the audit log."""
    return [json.loads(line) for line in (relay.state / "audit.log").read_text().splitlines()]


def test_a_disabled_user_is_sent_away_in_words_and_comes_back_when_enabled(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    receiving = alice.receive(once=False)
    assert f"disabled {alice.name}" in done(relay, "users", "disable", alice.name)
    receiving.expect(77, 15)
    assert f"{alice.name} is disabled on {relay.url}" in receiving.err()
    assert "\tdisabled\n" in done(relay, "users", "list")
    assert shown(relay, alice.name)["state"] == "disabled"
    (tmp_path / "file").write_bytes(b"x")
    refused = alice.send(unique("nobody"), tmp_path / "file").expect(77, 15)
    assert "is disabled" in refused.err()
    # Nor does a login anew help, nor a restart of the relay.
    alice.login(expect=77)
    relay.stop()
    relay.start(relay.port)
    alice.login(expect=77)
    done(relay, "users", "enable", alice.name)
    alice.login()
    assert shown(relay, alice.name)["state"] == "active"


def test_a_session_hears_the_code_before_it_is_closed(own_relay):
    relay = own_relay(registration="open")
    session = relay.session("alice")
    done(relay, "users", "disable", session.identity.name)
    assert session.close_code(5) == 4401
    other = relay.session("bob")
    line = done(relay, "sessions", "list").splitlines()[0].split("\t")
    assert line[1] == other.identity.name and line[2].startswith("127.0.0.1"), line
    assert done(relay, "sessions", "close", line[0]) == f"closed {line[0]}\n"
    assert other.close_code(5) == 4403
    assert "there is no session" in done(relay, "sessions", "close", line[0], expect=77)


def test_a_renamed_user_keeps_key_limits_and_note(own_relay, tmp_path):
    relay = own_relay()
    code = relay.invite("--note", "course of May")
    alice = relay.person("alice", tmp_path, login=False)
    alice.login(env={"RELAY_INVITE": code})
    done(relay, "users", "limit", alice.name, "transfers=10", "rate=5M")
    before = shown(relay, alice.name)
    assert before["note"] == "course of May" and before["registered"] > 1_700_000_000
    assert before["ownLimits"] == {"transfers": 10, "rate": 5 << 20}
    assert before["limits"]["connections"] == 64
    new = unique("alicia")
    assert new in done(relay, "users", "rename", alice.name, new)
    after = shown(relay, new)
    assert {**after, "name": alice.name} == before
    assert "no user has registered" in done(relay, "users", "show", alice.name, expect=77)
    # The key is what counts: no invitation is needed.
    login = ("login", relay.url, "--name", new, "--ca", relay.ca)
    assert "--renamed" in alice.run(*login).expect(78, 20).err()
    alice.run(*login, "--renamed").expect(0, 20)
    taken = relay.person("bob", tmp_path)
    assert "is another user" in done(relay, "users", "rename", taken.name, new, expect=77)


def test_many_invitations_are_printed_one_a_line(own_relay, tmp_path):
    relay = own_relay()
    codes = done(relay, "invite", "--count", "3", "--note", "three").splitlines()
    assert len(set(codes)) == 3 and all(len(code) >= 22 for code in codes)
    assert relay.status()["invitations"] == 3
    relay.person("alice", tmp_path, login=False).login(env={"RELAY_INVITE": codes[1]})
    assert relay.status()["invitations"] == 2
    assert all("code" in json.loads(line) for line in done(relay, "invite", "--count", "2", "--json").splitlines())
    done(relay, "invite", "--count", "0", expect=64)


def test_a_cancelled_transfer_ends_on_both_sides_in_words(own_relay, tmp_path):
    relay = own_relay(registration="open", arguments=["--limit", "rate=64K"])
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    content.file(tmp_path / "file", "cancel", 50_000_000)
    receiving = bob.receive()
    sending = alice.send(bob, tmp_path / "file")

    def streaming():
        lines = [line.split("\t") for line in done(relay, "transfers", "list").splitlines()]
        return next((line for line in lines if line[1] == "streaming"), None)

    line = until(streaming, 20, "it streams")
    assert line[2:4] == [alice.name, bob.name]
    until(lambda: int((streaming() or [0] * 5)[4]) > 0, 20, "bytes are shown")
    done(relay, "transfers", "cancel", line[0])
    assert "the relay's operator ended it" in sending.expect(77, 20).err()
    receiving.expect(77, 20)
    assert "the relay's operator ended it" in receiving.err()
    assert "no transfer" in done(relay, "transfers", "cancel", line[0], expect=77)


@pytest.mark.slow
def test_a_rate_holds_a_stream_back_and_can_be_lifted_while_it_runs(own_relay, tmp_path):
    relay = own_relay(registration="open", arguments=["--metrics-listen", "127.0.0.1:0"])
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "rate", 40_000_000)
    done(relay, "users", "limit", alice.name, "rate=2M")
    receiving = bob.receive()
    began = time.monotonic()
    sending = alice.send(bob, tmp_path / "file")
    time.sleep(4)
    moved = shown(relay, bob.name)["bytesToday"]
    # Two megabytes at once, two a second, and what the first turn reads.
    assert 1_000_000 < moved < 2 * 1_048_576 * (time.monotonic() - began + 3), moved
    assert sending.running()
    done(relay, "users", "limit", alice.name, "rate=default")
    sending.expect(0, 15)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "file") == digest
    assert metrics.scrape(metrics.port_of(relay))['relay_limits_met_total{limit="rate",of="user"}'] > 0
    # The user whose limit it is hears of it, and the other one does not.
    assert sending.err().count("the relay moves at most 2.10 MB a second of your transfers") == 1, sending.tail()
    assert "a second of your transfers" not in receiving.err(), receiving.tail()


@pytest.mark.slow
def test_an_address_has_limits_of_its_own_and_the_person_hears_of_them(own_relay, tmp_path):
    limits = ["--limit", "rate=1M", "--limit", "day=6M", "--address-limit", "1"]
    relay = own_relay(registration="open", arguments=[*limits, "--metrics-listen", "127.0.0.1:0"])
    port = metrics.port_of(relay)
    alice, bob, carol = (relay.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    # None of them has one, and all come from one address.
    for person in (alice, bob, carol):
        done(relay, "users", "limit", person.name, "rate=off", "day=off")
    content.file(tmp_path / "file", "address", 5_000_000)
    receiving = bob.receive()
    began = time.monotonic()
    sending = alice.send(bob, tmp_path / "file", "--json")
    sending.expect(0, 30)
    receiving.expect(0, 10)
    assert time.monotonic() - began > 1.5
    told = [event["message"] for event in sending.events("notice")]
    assert [line for line in told if "at most 1.05 MB a second" in line], told
    assert "at most 1.05 MB a second" in receiving.err()
    receiving = carol.receive()
    bob.send(carol, tmp_path / "file").expect(0, 30)
    receiving.expect(0, 10)
    again = carol.receive(once=False)
    assert "try again after 00:00 UTC" in alice.send(carol, tmp_path / "file").expect(77, 20).err()
    again.kill()
    figures = metrics.scrape(port)
    assert figures['relay_limits_met_total{limit="rate",of="address"}'] > 0
    assert figures['relay_limits_met_total{limit="day",of="address"}'] > 0
    assert figures['relay_limits_met_total{limit="day",of="user"}'] == 0


@pytest.mark.slow
def test_the_bytes_of_a_day_survive_a_kill_and_refuse_what_is_new(own_relay, tmp_path):
    relay = own_relay(registration="open", arguments=["--limit", "day=3M"])
    alice, bob, carol = (relay.person(name, tmp_path) for name in ("alice", "bob", "carol"))
    content.file(tmp_path / "file", "day", 4_000_000)
    receiving = bob.receive()
    # What goes over the limit while it runs is finished.
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 5)
    until((relay.state / "traffic.json").exists, 15, "the count is written")
    moved = shown(relay, alice.name)["bytesToday"]
    assert moved >= 4_000_000
    relay.process.kill()
    relay.start(relay.port)
    assert shown(relay, alice.name)["bytesToday"] == moved
    again = carol.receive(once=False)
    refused = alice.send(carol, tmp_path / "file").expect(77, 20)
    assert "try again after 00:00 UTC" in refused.err()
    again.kill()
    done(relay, "users", "limit", alice.name, "day=off")
    receiving = carol.receive()
    alice.send(carol, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 5)


def test_limits_of_sessions_are_told_with_their_number(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    receiving = alice.receive(once=False)
    done(relay, "users", "limit", alice.name, "connections=1")
    (tmp_path / "file").write_bytes(b"x")
    refused = alice.send(unique("nobody"), tmp_path / "file").expect(77, 20).err()
    assert f"too often already; the relay says: {alice.name} has" in refused and "may be (1): end one" in refused
    done(relay, "users", "limit", alice.name, "connections=2")
    alice.send(unique("nobody"), tmp_path / "file").expect(69, 20)
    receiving.kill()
    for wrong in ("bananas=1", "transfers=0", "rate=1K"):
        assert wrong.split("=")[0] in done(relay, "users", "limit", alice.name, wrong, expect=64)


def test_what_operators_do_is_written_down(own_relay, tmp_path):
    relay = own_relay()
    code = relay.invite("--note", "for the audit")
    alice = relay.person("alice", tmp_path)
    done(relay, "users", "limit", alice.name, "day=1G")
    done(relay, "users", "remove", "nobody-here", expect=77)
    done(relay, "users", "list")
    path = relay.state / "audit.log"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert code not in path.read_text() and code not in relay.logs()
    lines = audit(relay)
    assert [line["command"] for line in lines] == ["invite", "invite", "users limit", "users remove"]
    assert {line["uid"] for line in lines} == {os.getuid()} and all(line["pid"] > 0 for line in lines)
    assert lines[2]["target"] == alice.name and lines[2]["details"] == f"day={1 << 30}"
    assert lines[2]["outcome"] == "done" and lines[2]["exit"] == 0
    assert lines[3]["exit"] == 77 and "no user has registered" in lines[3]["outcome"]
    assert relay.logs().count("an operator's command") == 4


def copied(relay, tmp_path):
    """A copy of a relay with a disabled user, a limit, and an unused invitation."""
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    done(relay, "users", "limit", alice.name, "transfers=7")
    done(relay, "users", "disable", bob.name)
    code = relay.invite("--note", "unused")
    copy = tmp_path / "copy"
    assert "wrote 2 users and 1 invitations" in done(relay, "backup", copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    return alice, bob, code, copy


def holds(relay, alice, bob, code):
    """Asserts that a relay has what `copied` copied."""
    assert shown(relay, alice.name)["ownLimits"] == {"transfers": 7}
    assert shown(relay, bob.name)["state"] == "disabled"
    assert relay.status()["invitations"] == 1
    alice.relay = relay
    alice.run("login", relay.url, "--name", alice.name, "--ca", relay.ca, "--moved").expect(0, 20)


@pytest.mark.parametrize("is_running", [True, False])
def test_a_copy_goes_into_another_relay(own_relay, tmp_path, is_running):
    first, second = own_relay(), own_relay()
    alice, bob, code, copy = copied(first, tmp_path)
    if not is_running:
        first.stop()
        stopped = tmp_path / "stopped"
        done(first, "backup", stopped)
        # But for the time at which they were made.
        assert stopped.read_text().splitlines()[1:-1] == copy.read_text().splitlines()[1:-1]
        second.stop()
    assert "restored 2 users and 1 invitations" in done(second, "restore", copy)
    if not is_running:
        second.start(second.port)
    holds(second, alice, bob, code)
    # Over users only when that is said.
    assert "--replace" in done(second, "restore", copy, expect=77)
    carol = second.person("carol", tmp_path)
    session = carol.receive(once=False)
    done(second, "restore", "--replace", copy)
    session.expect(77, 15)
    assert "no user has registered" in done(second, "users", "show", carol.name, expect=77)
    holds(second, alice, bob, code)


def test_a_damaged_copy_changes_nothing_and_says_the_line(own_relay, tmp_path):
    relay = own_relay()
    *_, copy = copied(relay, tmp_path)
    before = done(relay, "users", "list")
    lines = copy.read_text().splitlines(keepends=True)
    (tmp_path / "damaged").write_text("".join([lines[0], lines[1].replace(':"', ':"x', 1), *lines[2:]]))
    (tmp_path / "cut").write_text("".join(lines[:2]))
    assert "damaged on line 2" in done(relay, "restore", "--replace", tmp_path / "damaged", expect=65)
    assert "the end is missing" in done(relay, "restore", "--replace", tmp_path / "cut", expect=65)
    assert "is not a copy" in done(relay, "restore", "--replace", relay.certs.chain, expect=65)
    done(relay, "restore", tmp_path / "none", expect=66)
    assert done(relay, "users", "list") == before


def test_a_damaged_registry_is_replaced_by_the_one_before(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice = relay.person("alice", tmp_path)
    relay.person("bob", tmp_path)
    relay.stop()
    users = relay.state / "users.json"
    lines = users.read_text().splitlines()
    users.write_text("\n".join(lines[:7]))
    relay.start(relay.port)
    assert "damaged on line 7" in relay.logs() and "users.json.damaged" in relay.logs()
    assert (relay.state / "users.json.damaged").read_text() == "\n".join(lines[:7])
    assert [line.split("\t")[0] for line in done(relay, "users", "list").splitlines()] == [alice.name]
    alice.login()


def test_a_backup_of_a_stopped_relay_says_that_its_registry_was_damaged(own_relay, tmp_path):
    relay = own_relay(registration="open")
    relay.person("alice", tmp_path)
    relay.person("bob", tmp_path)
    relay.stop()
    users = relay.state / "users.json"
    lines = users.read_text().splitlines()
    users.write_text("\n".join(lines[:7]))
    ran = relay.command("backup", tmp_path / "copy")
    assert ran.returncode == 0 and ran.stdout.startswith("wrote 1 users"), ran
    assert "warning: the users' registry was damaged" in ran.stderr and "damaged on line 7" in ran.stderr, ran
    assert (relay.state / "users.json.damaged").read_text() == "\n".join(lines[:7])
    assert relay.command("backup", tmp_path / "again").stderr == "", "it is repaired"


def test_where_both_registries_are_damaged_nothing_is_guessed_and_a_copy_brings_them_back(own_relay, tmp_path):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    copy = tmp_path / "copy"
    done(relay, "backup", copy)
    relay.stop()
    users, previous = relay.state / "users.json", relay.state / "users.json.previous"
    for file, line in ((users, 7), (previous, 5)):
        file.write_text("\n".join(file.read_text().splitlines()[:line]))
    damaged = {file: file.read_bytes() for file in (users, previous)}
    process = relay.launch(relay.port).process.expect(78, 10)
    said = process.err()
    assert "damaged on line 7" in said and str(users) in said, said
    assert "put back a copy" in said, "what to do is said"
    assert {file: file.read_bytes() for file in damaged} == damaged, "nothing was touched"
    # The relay does not run: a single one takes a copy all the same.
    done(relay, "restore", "--replace", copy)
    relay.start(relay.port)
    names = [line.split("\t")[0] for line in done(relay, "users", "list").splitlines()]
    assert names == sorted([alice.name, bob.name])
    alice.login()


def test_a_full_disk_refuses_changes_in_words_and_loses_nothing(own_relay, tmp_path, monkeypatch):
    (tmp_path / "disk").mkdir()
    with file_systems.memory(tmp_path / "disk", "size=1m") as disk:
        monkeypatch.setattr(Relay, "prefix", disk.prefix)
        relay = own_relay(state=tmp_path / "disk" / "state")

        def command(*arguments):
            return subprocess.run(
                [*disk.prefix, relay.binaries / "relay-server", *arguments, "--state-dir", relay.state],
                check=False,
                timeout=20,
                text=True,
                capture_output=True,
                env=clean_environment(tmp_path),
            )

        codes = command("invite", "--count", "2").stdout.split()
        alice, bob = (relay.person(name, tmp_path, login=False) for name in ("alice", "bob"))
        alice.login(env={"RELAY_INVITE": codes[0]})
        filler = disk.fill()
        refused = command("invite", "--count", "200")
        assert refused.returncode == 74 and "No space left on device" in refused.stderr, refused
        made = len(refused.stdout.split())
        assert 0 < made < 200
        assert "the audit log cannot be written" in relay.logs()
        alice.login(env={})
        # What was printed is there, and nothing else.
        assert json.loads(command("status", "--json").stdout)["invitations"] == made + 1
        filler.unlink()
        bob.login(env={"RELAY_INVITE": codes[1]})
        assert len(command("users", "list").stdout.splitlines()) == 2
        relay.stop()


def test_a_pair_goes_on_while_operators_look(own_relay):
    relay = own_relay(registration="open")
    with Pair(relay, timeout=20) as pair:
        offer, _, upload = pair.flowing(1_000_000)
        upload.send(b"a" * 1000)
        listed = json.loads(done(relay, "transfers", "list", "--json").splitlines()[0])
        assert listed["id"] == offer.transfer and listed["state"] == "streaming"
