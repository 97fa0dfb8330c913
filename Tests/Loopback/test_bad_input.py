# SPDX-License-Identifier: Apache-2.0
"""What bad input gets: one line that says what happened, the exit code of the contract, nothing half-written, and the
other side told at once."""

import contextlib
import http.server
import os
import re
import shlex
import subprocess
import threading

import pytest

from harness import certificates, content, protocol, sealed
from harness.listener import closed_port
from harness.mortal import mortal
from harness.relay import PART, Person, Relay, unique
from harness.terminal import Terminal
from harness.waiting import TooLate, background, until

USAGE, VERIFICATION, NO_INPUT, UNREACHABLE, NO_OUTPUT, IO, GAVE_UP, PROTOCOL, REFUSED, CONFIGURATION = (
    64,
    65,
    66,
    69,
    73,
    74,
    75,
    76,
    77,
    78,
)

#: What is said of a transfer as long as all goes well.
PROGRESS = re.compile(
    r"ready to receive as |ringing |\S+ is not receiving now; waiting |\S+ offers |\S+ accepted; sending "
    r"|receiving from |(\S+ is )?verifying |warning: --yes without --from|first contact with \S+, fingerprint "
)


def assert_one_line(process, *words):
    """One line on standard error, with these words in it (any of the alternatives of each)."""
    problems = [line for line in process.err().strip().splitlines() if not PROGRESS.match(line)]
    assert len(problems) == 1, process.err() or "nothing was said"
    for word in words:
        alternatives = word if isinstance(word, tuple) else (word,)
        assert any(each.lower() in problems[0].lower() for each in alternatives), (
            f"none of {alternatives} in: {problems[0]}"
        )
    assert len(problems[0]) < 400, problems[0]
    for internal in (r"NIO", r"Swift\.", r"Optional\(", r"Error Domain", r"errno:", r"\b0x"):
        assert not re.search(internal, problems[0]), problems[0]
    return problems[0]


@pytest.fixture
def file(tmp_path):
    """A small file to send."""
    path = tmp_path / "file.txt"
    path.write_bytes(b"hello")
    return path


def test_a_send_to_an_unknown_name_fails_and_names_it(people, file):
    alice = people("alice")
    assert_one_line(alice.send("nobody-here", file).expect(UNREACHABLE, 10), "nobody-here")


def test_a_declined_offer_ends_the_sender_with_the_receivers_name(relay, people, file):
    alice = people("alice")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, file)
        bob.ring().decline()
        assert_one_line(sending.expect(REFUSED, 2), bob.name, "declined")


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("no_space", IO),
        ("cannot_write", NO_OUTPUT),
        ("too_large", REFUSED),
        ("cancelled", REFUSED),
        ("verification_failed", VERIFICATION),
        ("protocol_error", PROTOCOL),
        ("identity_changed", REFUSED),
    ],
)
def test_the_senders_exit_status_follows_the_receivers_failure_code(relay, people, file, code, status):
    alice = people("alice")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, file)
        bob.ring().decline(code)
        assert_one_line(sending.expect(status, 2), bob.name)


def test_a_receiver_without_the_key_it_was_sealed_to_is_looked_up_again(relay, people, file):
    alice = people("alice")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, file)
        first = bob.ring()
        first.decline("bad_prekey")
        second = bob.receive()
        assert second.transfer == first.transfer and second.attempt != first.attempt
        sending.expect(0, 5)


@pytest.mark.parametrize(("code", "why"), [("bad_prekey", "key"), ("stale_offer", "clocks")])
def test_a_receiver_for_whom_no_offer_is_right_ends_the_sender(relay, people, file, code, why):
    alice = people("alice")
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, file)
        declined = 0
        while sending.running() and declined < 10:
            with contextlib.suppress(TooLate):
                bob.ring(2).decline(code)
                declined += 1
        sending.expect(REFUSED, 2)
        tries = [line for line in sending.err().splitlines() if "sending again" in line]
        assert len(tries) == declined - 1 and all(why in line for line in tries), sending.tail()
        last = sending.err().splitlines()[-1]
        assert last.startswith("not delivered: ") and bob.name in last and "clocks" in last, sending.tail()
        assert 2 <= declined <= 4, declined


def test_a_receiver_of_an_older_version_is_told_to_update(relay, people, file):
    alice = people("alice")
    with relay.session("bob", receiving=True) as bob:
        assert "prekey" not in bob.lookup(bob.identity.name)
        sending = alice.send(bob.identity.name, file).expect((REFUSED, PROTOCOL), 10)
        assert_one_line(sending, bob.identity.name, "update")


def test_no_wait_fails_at_once_when_the_receiver_is_offline(people, file):
    alice, bob = people("alice", "bob")
    assert_one_line(alice.send(bob, "--no-wait", file).expect(UNREACHABLE, 10), bob.name)


def test_a_send_to_an_offline_receiver_ends_at_its_timeout(people, file):
    alice, bob = people("alice", "bob")
    assert_one_line(alice.send(bob, "--timeout", "1s", file).expect(GAVE_UP, 10), bob.name)


def test_a_login_with_another_ca_is_refused(relay, tmp_path):
    other = certificates.forged(tmp_path / "other", "127.0.0.1")
    alice = relay.person("alice", tmp_path, login=False)
    process = alice.login(ca=other.ca, expect=REFUSED)
    assert_one_line(process, ("certificate", "trust", "CA"))
    alice.login()


def test_a_private_certificate_without_ca_is_refused_with_the_option_to_use(relay, tmp_path):
    alice = relay.person("alice", tmp_path, login=False)
    process = alice.run("login", relay.url, "--name", alice.name).expect(REFUSED, 10)
    line = assert_one_line(process, ("certificate", "trust"))
    assert "--ca" in line, f"it does not say what to do: {line}"


@pytest.mark.parametrize(
    ("starts", "ends", "names", "words"),
    [
        (-20, -10, ["127.0.0.1"], ("expired",)),
        (10, 20, ["127.0.0.1"], ("not yet valid", "not valid yet", "not valid before")),
        (-1, 30, ["example.com"], ("127.0.0.1", "host name", "hostname", "is for")),
        (-1, 30, ["127.0.0.2"], ("127.0.0.1", "host name", "hostname", "is for")),
    ],
    ids=["expired", "not-yet-valid", "wrong-host-name", "wrong-address"],
)
def test_a_certificate_out_of_its_time_or_for_another_name_is_refused(binaries, tmp_path, starts, ends, names, words):
    bad = certificates.forged(tmp_path / "bad", *names, starts=starts, ends=ends)
    with subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", bad.chain, "-key", bad.key, "-www"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            port = until(lambda: _accepting(server), 10, "s_server")
            relay = Relay(binaries, bad, tmp_path / "none", registration="open")
            relay.port = port
            alice = Person(relay, unique("alice"), tmp_path)
            process = alice.login(expect=REFUSED)
            assert_one_line(process, words)
        finally:
            server.kill()


def _accepting(server):
    """The port s_server printed (its line is `ACCEPT 127.0.0.1:PORT`)."""
    line = server.stdout.readline().decode()
    return int(line.rsplit(":", 1)[1]) if line.startswith("ACCEPT ") else None


def test_a_login_to_a_closed_port_names_the_port(relay, tmp_path):
    port = closed_port()
    alice = relay.person("alice", tmp_path, login=False)
    process = alice.login(url=f"https://127.0.0.1:{port}", expect=UNREACHABLE)
    assert_one_line(process, str(port), ("refused", "reach", "connect"))


def test_a_login_to_an_unknown_host_names_it(relay, tmp_path):
    alice = relay.person("alice", tmp_path, login=False)
    assert_one_line(alice.login(url="https://relay.invalid:8443", expect=UNREACHABLE), "relay.invalid")


def test_a_login_to_another_tls_service_is_a_protocol_error(relay, certs, tmp_path):
    with subprocess.Popen(
        ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", certs.chain, "-key", certs.key, "-www"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            port = until(lambda: _accepting(server), 10, "s_server")
            alice = relay.person("alice", tmp_path, login=False)
            process = alice.login(url=f"https://127.0.0.1:{port}", expect=PROTOCOL)
            assert_one_line(process, "relay")
        finally:
            server.kill()


def test_a_login_to_a_plain_http_server_is_a_protocol_error(relay, tmp_path):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        alice = relay.person("alice", tmp_path, login=False)
        process = alice.login(url=f"https://127.0.0.1:{server.server_port}", expect=PROTOCOL)
        assert_one_line(process, ("TLS", "relay"))
        server.shutdown()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "ftp://127.0.0.1",
        "127.0.0.1",
        "https://",
        "",
        "https://a b",
        "https://127.0.0.1:99999",
        "https://user:secret@127.0.0.1",
    ],
)
def test_an_invalid_relay_url_is_refused_without_showing_its_password(relay, tmp_path, url):
    alice = relay.person("alice", tmp_path, login=False)
    process = alice.run("login", url, "--name", alice.name, "--ca", relay.ca)
    assert_one_line(process.expect(CONFIGURATION, 10), "https://")
    assert "secret" not in process.err()


def test_a_name_is_refused_to_a_second_key(relay, tmp_path):
    first = relay.person("taken", tmp_path)
    second = Person(relay, first.name, tmp_path / "second")
    assert_one_line(second.login(expect=REFUSED), first.name, ("taken", "belongs", "another key"))
    first.login()


def test_a_profile_is_of_one_name_at_one_relay(relay, own_relay, tmp_path):
    alice, other = relay.person("alice", tmp_path), own_relay(registration="open")
    assert_one_line(alice.login(name="zoe", expect=CONFIGURATION), alice.name, ("--profile",))
    line = assert_one_line(alice.login(url=other.url, expect=CONFIGURATION), relay.url, ("--profile",))
    assert "--moved" in line
    (answer,) = alice.run("whoami", "--json").expect(0, 10).events("whoami")
    assert answer["server"] == relay.url
    # The same once more is no other one, and a relay may have another address.
    alice.login()
    moved = relay.url.replace("127.0.0.1", "localhost")
    alice.run("login", moved, "--moved", "--name", alice.name, "--ca", relay.ca).expect(0, 15)
    (answer,) = alice.run("whoami", "--json").expect(0, 10).events("whoami")
    assert answer["server"] == moved


def test_an_invalid_name_is_a_usage_error(relay, tmp_path):
    alice = relay.person("alice", tmp_path, login=False)
    for name in ("Alice", "a b", "", "-alice", "a" * 64, "älice", "../alice"):
        refused = alice.run("login", relay.url, f"--name={name}", "--ca", relay.ca).expect(USAGE, 10)
        assert ("a name is 1 to 63" if name else "Missing value") in refused.err(), refused.tail()
        invited = relay.command("invite", "--", name)
        assert invited.returncode == USAGE and "a name is 1 to 63" in invited.stderr, invited


def test_an_invitation_is_good_once_and_for_its_name(own_relay, tmp_path):
    relay = own_relay(registration="invite")
    alice = relay.person("alice", tmp_path, login=False)
    assert_one_line(alice.login(env={}, expect=REFUSED), "invit")
    assert_one_line(alice.login(env={"RELAY_INVITE": "wrong"}, expect=REFUSED), "invit")
    code = relay.invite()
    # What was pasted may have blanks and a line end around it: the invitation, and the relay's address.
    pasted = ("login", f" {relay.url}\r\n", "--name", alice.name, "--ca", relay.ca)
    alice.run(*pasted, env={"RELAY_INVITE": f" {code}\r\n"}).expect(0, 20)
    bob = relay.person("bob", tmp_path, login=False)
    line = assert_one_line(bob.login(env={"RELAY_INVITE": code}, expect=REFUSED), "invit")
    assert code not in line
    named = relay.invite("carol")
    assert_one_line(bob.login(env={"RELAY_INVITE": named}, expect=REFUSED), "invit")
    carol = relay.person("carol", tmp_path, login=False, exact=True)
    carol.login(env={"RELAY_INVITE": named})
    alice.login(env={})  # the same key again needs none
    assert relay.command("users", "list").stdout.split() != []
    for name in (alice.name, "carol"):
        assert name in relay.command("users", "list").stdout
    assert bob.name not in relay.command("users", "list").stdout
    assert code not in relay.logs() and named not in relay.logs()


def test_closed_registration_refuses_new_names(own_relay, tmp_path):
    relay = own_relay(registration="closed")
    alice = relay.person("alice", tmp_path, login=False)
    assert_one_line(alice.login(env={"RELAY_INVITE": "x"}, expect=REFUSED), ("closed", "no new names"))


def test_a_removed_user_cannot_log_in(own_relay, tmp_path, file):
    relay = own_relay(registration="invite")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    assert relay.command("users", "remove", alice.name).returncode == 0
    assert relay.command("users", "remove", alice.name).returncode != 0
    assert_one_line(alice.send(bob, file).expect(REFUSED, 10))


def test_one_unreadable_file_keeps_all_of_them_from_being_sent(people, tmp_path, file):
    alice, bob = people("alice", "bob")
    receiving = bob.receive(once=False)
    assert_one_line(alice.send(bob, tmp_path / "missing").expect(NO_INPUT, 10), "missing")
    (tmp_path / "secret").write_bytes(b"x")
    (tmp_path / "secret").chmod(0)
    process = alice.send(bob, tmp_path / "secret", prefix=mortal()).expect(NO_INPUT, 10)
    assert_one_line(process, "secret", ("permission", "not allowed", "read"))
    os.mkfifo(tmp_path / "pipe")
    assert_one_line(alice.send(bob, tmp_path / "pipe").expect(NO_INPUT, 10), "pipe")
    assert_one_line(alice.send(bob, tmp_path / "file.txt" / "below").expect(NO_INPUT, 10), "below")
    # One bad path among good ones: nothing is sent, since it is found before any offer.
    assert_one_line(alice.send(bob, file, tmp_path / "missing").expect(NO_INPUT, 10), "missing")
    assert bob.received() == []
    assert receiving.running()


def assert_sent_anew(sending, rung, bob, body):
    """Alice has said that what `rung` offered has changed, and sends it as another transfer."""
    # Told at once, and by the sender itself: not when the relay's patience ends.
    failed = rung.failed(3)
    assert (failed["code"], failed["by"]) == ("source_changed", "peer"), failed
    again = bob.ring()
    assert again.transfer != rung.transfer and again.summary["bytes"] == len(body), again.summary
    again.accept()
    assert again.download().files == [body]
    again.delivered()
    sending.expect(0, 5)
    assert sending.err().count("it is sent again from the beginning") == 1, sending.err()
    assert "not delivered" not in sending.err(), sending.err()


@pytest.mark.parametrize("left", [0, 1000, 600_000])
def test_a_file_that_shrinks_while_it_is_sent_is_sent_anew(relay, people, tmp_path, left):
    alice = people("alice")
    path = tmp_path / "log.txt"
    path.write_bytes(bytes(1_000_000))
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, path)
        rung = bob.ring()
        os.truncate(path, left)
        got = bytearray()
        downloading = background(protocol.download, relay, rung.accept(), got.extend)
        assert_sent_anew(sending, rung, bob, bytes(left))
        downloading.result(5)
        # What was announced is not what there was: whatever came does not look whole.
        with pytest.raises(sealed.Refused):
            rung.sealed.read([bytes(got)])


def test_a_file_that_grows_while_it_is_sent_is_sent_anew(relay, people, tmp_path):
    alice = people("alice")
    path = tmp_path / "log.txt"
    path.write_bytes(bytes(1_000_000))
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, path)
        rung = bob.ring()
        with open(path, "ab") as file:
            file.write(b"more")
        start, got = rung.accept(), bytearray()
        protocol.download(relay, start, got.extend, timeout=10)
        with pytest.raises(sealed.Refused):
            rung.sealed.read([bytes(got)])
        assert_sent_anew(sending, rung, bob, bytes(1_000_000) + b"more")


def test_a_file_that_grows_all_the_time_fails_on_both_sides(relay, people, tmp_path):
    alice = people("alice")
    path = tmp_path / "log.txt"
    path.write_bytes(bytes(1000))
    with relay.client("bob", receiving=True) as bob:
        sending = alice.send(bob.name, path)
        transfers = set()
        for _ in range(4):
            rung = bob.ring()
            transfers.add(rung.transfer)
            with open(path, "ab") as file:
                file.write(b"more")
            protocol.download(relay, rung.accept(), bytearray().extend, timeout=10)
            assert rung.failed(3)["code"] == "source_changed"
        # The last word, for a receiver who waits for it to come again.
        word = bob.ring()
        assert word.failed(3)["code"] == "cannot_read" and word.transfer in transfers
        sending.expect(IO, 15)
    assert len(transfers) == 4
    problem = sending.err().splitlines()[-1]
    assert "log.txt" in problem and "copy it first, and send the copy" in problem, problem


def grow(path):
    with open(path, "ab") as file:
        file.write(b"more")


def replace(path):
    other = path.with_suffix(".new")
    content.file(other, "another", 1_000_000)
    os.replace(other, path)


CHANGES = {
    "grown": grow,
    "shrunk": lambda path: os.truncate(path, path.stat().st_size // 2),
    "touched": os.utime,
    "replaced": replace,
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_is_taken_anew_by_a_receiver_who_was_asked_once(people, tmp_path, change):
    alice, bob = people("alice", "bob")
    path, size = tmp_path / "log.bin", 300_000_000
    path.write_bytes(content.data("growing", size))
    receiving = bob.receive()
    sending = alice.send(bob, path)
    until(lambda: content.largest(bob.inbox) >= size // 10, 30, "a part of the file")
    CHANGES[change](path)
    sending.expect(0, 60)
    receiving.expect(0, 10)
    assert bob.stored() == [b"log.bin"] and (bob.inbox / "log.bin").read_bytes() == path.read_bytes()
    assert sending.err().count("it is sent again from the beginning") == 1, sending.tail()
    assert receiving.err().count(f"it changed while {alice.name} was sending it; it comes again") == 1, receiving.tail()


def in_a_full_place(bob, size, script_end=""):
    """Runs `receive` in a mount namespace of its own whose inbox is a file system of `size`; what is in it at the end
    is listed into a file."""
    listing = bob.home / "listing"
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    inbox = shlex.quote(str(bob.inbox))
    script = (
        f"mount -t tmpfs -o size={size} tmpfs {inbox} || exit 99; {script_end} "
        f'"$@"; status=$?; ls -A {inbox} > {shlex.quote(str(listing))}; exit $status'
    )
    return (*unshare, "sh", "-c", script, "sh"), listing


def test_a_file_larger_than_the_free_space_is_declined(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "big", "too big", 10_000_000)
    prefix, listing = in_a_full_place(bob, "4m")
    receiving = bob.receive(prefix=prefix)
    sending = alice.send(bob, tmp_path / "big").expect(IO, 10)
    assert_one_line(sending, bob.name, ("space", "room", "full"))
    receiving.expect(IO, 5)
    assert_one_line(receiving, ("space", "room", "full"))
    assert b"big" not in listing.read_bytes().split(b"\n")
    relay.healthy()


def test_a_file_larger_than_the_free_space_is_declined_without_a_prompt(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "big", "too big", 10_000_000)
    prefix, _ = in_a_full_place(bob, "4m")
    terminal = Terminal()
    receiving = bob.run("receive", "--output", bob.inbox, prefix=prefix, **terminal.streams())
    terminal.started()
    bob.wait_online(receiving)
    assert_one_line(alice.send(bob, tmp_path / "big").expect(IO, 10), bob.name, ("space", "room", "full"))
    terminal.wait_for("4.19 MB left: make room, then try again")
    assert "[y/N]" not in terminal.seen()
    # What may fit is asked about: this says nothing of its size.
    with open(tmp_path / "big", "rb") as stdin:
        alice.send(bob, "-", stdin=stdin)
        terminal.wait_for("[y/N]")


def test_a_disk_that_fills_up_fails_on_both_sides_and_leaves_no_whole_file(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "big", "too big", 10_000_000)
    prefix, listing = in_a_full_place(bob, "4m")
    receiving = bob.receive(prefix=prefix)
    with open(tmp_path / "big", "rb") as stdin:
        sending = alice.send(bob, "-", stdin=stdin).expect(IO, 10)
    assert_one_line(sending, bob.name, ("space", "room", "full", "write"))
    receiving.expect(IO, 5)
    assert_one_line(receiving, ("space", "room", "full"))
    assert all(PART.fullmatch(name) for name in listing.read_bytes().split()), listing.read_bytes()
    relay.healthy()


def test_a_standard_output_that_is_closed_ends_both_sides(relay, people, tmp_path):
    alice, bob = people("alice", "bob")
    content.file(tmp_path / "file", "closed pipe", 5_000_000)
    read, write = os.pipe()
    receiving = bob.receive(output="-", stdout=write)
    os.close(write)
    sending = alice.send(bob, tmp_path / "file")
    os.read(read, 1000)
    os.close(read)
    receiving.expect(IO, 5)
    assert sending.wait(5) > 0


def test_a_receiver_that_cannot_write_its_folder_says_so_or_declines(people, file):
    alice, bob = people("alice", "bob")
    bob.inbox.chmod(0o555)
    receiving = bob.receive(prefix=mortal(), ready=False)
    bob_ready = background(bob.wait_online, receiving)
    # Either it says so before it is rung, or it declines with the reason.
    until(bob_ready.done, 25, "receive is up or gone")
    if bob_ready.exception() is None:
        sending = alice.send(bob, file).expect(NO_OUTPUT, 10)
        assert_one_line(sending, bob.name)
    receiving.expect(NO_OUTPUT, 5)
    assert_one_line(receiving, str(bob.inbox))
    bob.inbox.chmod(0o755)
    assert bob.received() == []


@pytest.mark.parametrize("kind", ["missing", "file", "below a file"])
def test_an_output_that_is_not_a_directory_is_refused_by_name(people, tmp_path, kind):
    bob = people("bob")
    (tmp_path / "plain").write_bytes(b"x")
    target = {
        "missing": tmp_path / "no" / "such",
        "file": tmp_path / "plain",
        "below a file": tmp_path / "plain" / "x",
    }[kind]
    process = bob.receive(output=target, ready=False)
    assert_one_line(process.expect(NO_OUTPUT, 10), target.name)


def test_receive_without_a_terminal_needs_yes_and_warns_when_it_is_for_all_senders(people):
    bob = people("bob")
    bob.run("receive", "--once", "--output", bob.inbox).expect(REFUSED, 10)
    receiving = bob.receive()
    assert any(word in receiving.err().lower() for word in ("every", "any")), receiving.err()


def test_commands_without_a_profile_say_login(relay, tmp_path, file):
    alice = relay.person("alice", tmp_path, login=False)
    for arguments in (["send", "bob", file], ["receive", "--yes"], ["whoami"]):
        process = alice.run(*arguments).expect(CONFIGURATION, 10)
        assert_one_line(process, "login")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["send"],
        ["send", "bob"],
        ["send", "bob", "x", "--what"],
        ["receive", "--max-size", "much"],
        ["send", "bob", "x", "--timeout", "soon"],
        ["login"],
    ],
    ids=lambda arguments: "-".join(arguments) or "nothing",
)
def test_usage_errors_exit_with_64(relay, tmp_path, arguments):
    alice = relay.person("alice", tmp_path, login=False)
    process = alice.run(*arguments, profile=False)
    process.expect(USAGE if arguments else 0, 10)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sned", "bob", "f"], ["unknown command", "send"]),
        (["send", "Bob", "f"], ["Bob", "bob", "a name is 1 to 63"]),
        (["send", "bob", "-x"], ["begins with - is written ./-"]),
        (["send", "--timeout", "1x", "bob", "f"], ["a time is written"]),
        (["receive", "--max-size", "1.5X"], ["a size is written"]),
        (["receive", "--max-size", "0"], ["would decline every file"]),
        (["receive", "--output", "-", "--exec", "true"], ["--exec", "--output"]),
        (["receive", "--output=~/x"], ["~", "shell"]),
        (["help", "nosuch"], ["unknown command"]),
        (
            ["login", "https://a.example", "--name", "alice", "--server", "https://b.example"],
            ["a.example", "b.example"],
        ),
    ],
    ids=lambda value: "-".join(value[:2]) if isinstance(value, list) else None,
)
def test_a_usage_error_names_the_rule_or_the_likely_command(relay, tmp_path, arguments, words):
    alice = relay.person("alice", tmp_path, login=False)
    said = alice.run(*arguments, profile=False).expect(USAGE, 10).err()
    assert all(word in said for word in words), said


def test_global_options_stand_before_or_behind_the_command(relay, tmp_path):
    alice = relay.person("alice", tmp_path)
    for arguments in (["--profile", alice.profile, "whoami"], ["whoami", "--profile", alice.profile]):
        assert alice.name in alice.run(*arguments, profile=False).expect(0, 10).out()
    by_variable = alice.run("whoami", profile=False, env={"RELAY_PROFILE": alice.profile})
    assert alice.name in by_variable.expect(0, 10).out()


def test_every_command_prints_help_and_both_programs_the_same_version(binaries, relay, tmp_path):
    alice = relay.person("alice", tmp_path, login=False)
    for arguments in (["--help"], ["--version"], ["send", "--help"], ["receive", "--help"], ["login", "--help"]):
        assert alice.run(*arguments, profile=False).expect(0, 10).out().strip()
    version = alice.run("--version", profile=False).expect(0, 10).out()
    served = subprocess.run(
        [binaries / "relay-server", "--version"], check=False, capture_output=True, text=True, timeout=10
    ).stdout
    assert version.replace("relay-client", "relay-server") == served and version.startswith("relay-client "), version
    for arguments in (["--help"], ["--version"], ["serve", "--help"], ["invite", "--help"]):
        done = subprocess.run([binaries / "relay-server", *arguments], check=False, capture_output=True, timeout=10)
        assert done.returncode == 0 and done.stdout


def test_profiles_are_private(relay, tmp_path):
    alice = relay.person("alice", tmp_path)
    modes = {path: path.stat().st_mode & 0o777 for path in [alice.profile, *alice.profile.rglob("*")]}
    assert modes[alice.profile] == 0o700
    assert all(mode & 0o077 == 0 for path, mode in modes.items() if path.is_file() and "key" in path.name.lower()), (
        modes
    )
    assert any(path.is_file() for path in modes)


@pytest.mark.parametrize(
    "damage",
    [b"", b"\x00" * 100, b"{", b"[]", b'{"name":5}', b"\xff" * 4096],
    ids=["empty", "zeros", "brace", "array", "number", "noise"],
)
def test_a_damaged_profile_file_is_named_and_refused(relay, short_path, damage, file):
    alice, bob = relay.person("alice", short_path), relay.person("bob", short_path)

    def send():
        return alice.send(bob, "--no-wait", file)

    send().expect(UNREACHABLE, 10)
    files = [path for path in alice.profile.rglob("*") if path.is_file()]
    assert {"prekeys", "peers"} < {path.name for path in files}, files
    for path in files:
        kept = path.read_bytes()
        path.write_bytes(damage)
        # The lock is only held, never read.
        if path.name == ".lock":
            assert_one_line(send().expect(UNREACHABLE, 10), bob.name)
        else:
            # Who is known must not be forgotten silently.
            why = "is empty" if path.name == "peers" and not damage else "damaged"
            assert_one_line(send().expect(CONFIGURATION, 10), str(path), why)
        path.write_bytes(kept)


def test_whoami_prints_the_name(relay, tmp_path):
    alice = relay.person("alice", tmp_path)
    process = alice.run("whoami").expect(0, 10)
    assert alice.name in process.out()
