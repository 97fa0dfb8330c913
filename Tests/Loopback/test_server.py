# SPDX-License-Identifier: Apache-2.0
"""The server as an operator meets it: starting, stopping, dying, coming back."""

import contextlib
import itertools
import os
import signal
import socket
import subprocess

import pytest

from harness import certificates, content, protocol, raw
from harness.executables import clean_environment
from harness.pairs import Pair, wait_for_bytes
from harness.relay import Relay, unique
from harness.waiting import background, until


def test_sigterm_lets_transfers_finish_and_refuses_new_ones(own_relay, tmp_path):
    relay = own_relay(registration="open")
    pair = Pair(relay, timeout=20)
    bystander = relay.session("carol", receiving=True)
    offer, download, upload = pair.flowing(2_000_000)
    upload.send(b"a" * 1_000_000)
    assert download.head().status == 200
    wait_for_bytes(download, 900_000)

    relay.process.signal(signal.SIGTERM)
    # New ones are refused: by 503 or no connection, and by `draining` on a control connection that is still there.
    until(lambda: refuses(relay), 5, "new requests are refused")
    try:
        bystander.offer(pair.receiver.identity.name, protocol.pack(v=0, name="late"))
        pytest.fail("a new offer was taken")
    except protocol.Refused as refused:
        assert refused.code == "draining"
    except ConnectionError:
        assert bystander.closed == 1001
    assert relay.process.running(), relay.process.tail()

    upload.send(b"b" * 1_000_000)
    # Read first: the answer comes when the receiver's connection has taken everything, and buffers may be small.
    wait_for_bytes(download, 2_000_000)
    assert upload.answer(method="PUT").status == 200
    assert download.buffer == b"a" * 1_000_000 + b"b" * 1_000_000
    assert download.how_ended(5) == raw.NOTIFY
    # The transfer is over when the receiver has said so; and then the server has nothing to wait for.
    pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
    assert offer.delivered(5)["size"] == 2_000_000
    assert relay.process.wait(10) == 0, relay.process.tail()


def refuses(relay):
    """Whether a new request is refused."""
    try:
        with raw.Connection(relay.address, relay.ca, timeout=3) as connection:
            connection.send(raw.upgrade())
            answer = connection.head()
            if answer is None:
                return True
            if answer.status == 503:
                assert answer.header("retry-after"), "503 says when to come again"
                return True
            return False
    except OSError:
        return True


@pytest.mark.slow
def test_sigterm_lets_clients_finish_a_running_transfer(own_relay, large):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    digest = content.file(large / "file", "drain", 500_000_000)
    receiving = bob.receive()
    sending = alice.send(bob, large / "file")
    until(lambda: content.largest(bob.inbox) > 1_000_000, 20, "the first bytes")
    relay.process.signal(signal.SIGTERM)
    sending.expect(0, 30)
    receiving.expect(0, 5)
    assert content.sha256(bob.inbox / "file") == digest
    assert relay.process.wait(15) == 0


def test_sigterm_and_sigint_end_an_idle_server_at_once(own_relay):
    for number in (signal.SIGTERM, signal.SIGINT):
        relay = own_relay(registration="open")
        session = relay.session("alice")
        relay.process.signal(number)
        assert session.close_code(5) == 1001
        assert relay.process.wait(5) == 0, relay.process.tail()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(relay.address, 2).close()


def test_a_killed_server_comes_back_with_its_users(own_relay, tmp_path):
    relay = own_relay(registration="invite")
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    unused, used = relay.invite(), relay.invite()
    relay.person("carol", tmp_path, login=False).login(env={"RELAY_INVITE": used})
    relay.process.kill()
    assert any(path.is_socket() for path in relay.state.rglob("*")), "the admin socket is stale now"
    relay.start(relay.port)
    assert "stale" in relay.logs() or relay.command("status").returncode == 0
    (tmp_path / "file").write_bytes(b"still known")
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 15)
    receiving.expect(0, 5)
    relay.person("dave", tmp_path, login=False).login(env={"RELAY_INVITE": unused})
    relay.person("eve", tmp_path, login=False).login(env={"RELAY_INVITE": used}, expect=77)
    assert not [path for path in relay.state.rglob("*") if path.name.endswith(".tmp")]


def test_a_client_says_why_its_connection_ended(own_relay, tmp_path):
    relay = own_relay(registration="open")
    removed, left = relay.person("removed", tmp_path), relay.person("left", tmp_path)
    processes = [removed.receive(), left.receive()]
    until(lambda: relay.status()["sessions"] == 2, 10, "both are there")
    assert relay.command("users", "remove", removed.name).returncode == 0
    until(lambda: "ended the login" in processes[0].err(), 10, "the removed one hears of it")
    processes[0].expect(77, 10)
    assert f"does not know {removed.name}" in processes[0].err()
    assert "reconnecting" not in processes[1].err()
    relay.stop()
    until(lambda: f"reconnecting: {relay.url} is going away" in processes[1].err(), 10, "the other one is sent away")


def test_a_secret_file_that_others_may_read_is_named(own_relay, tmp_path):
    def check(relay):
        done = relay.command("check", "--tls-cert", relay.certs.chain, "--tls-key", key)
        assert done.returncode == 0, done
        return done.stderr

    relay = own_relay()
    key = tmp_path / "server.key"
    key.write_bytes(relay.certs.key.read_bytes())
    key.chmod(0o640)
    assert check(relay) == "" and "secret" not in relay.logs()
    key.chmod(0o644)
    assert str(key) in check(relay) and "chmod 600" in check(relay)
    relay.stop()
    relay.arguments += ["--tls-key", str(key)]
    relay.start()
    assert f"file={key}" in relay.logs() and "chmod 600" in relay.logs()


def test_check_sees_a_state_directory_that_is_open_to_others(own_relay, tmp_path):
    relay = own_relay()
    folder = tmp_path / "home"
    folder.mkdir()
    (folder / ".profile").touch()
    arguments = ("check", "--tls-cert", relay.certs.chain, "--tls-key", relay.certs.key)
    relay.state = folder
    for mode, expected in ((0o755, 78), (0o700, 0)):
        folder.chmod(mode)
        done = relay.command(*arguments)
        assert done.returncode == expected and ("chmod 700" in done.stderr) == (expected == 78), done
        assert folder.stat().st_mode & 0o777 == mode, "check changes nothing"


def test_a_server_that_is_killed_while_names_register_loses_none(own_relay):
    relay = own_relay(registration="open")
    known = []
    for _ in range(5):
        stop: list[bool] = []

        def register(stop=stop):
            while not stop:
                identity = protocol.Identity(unique("user"))
                try:
                    relay.session(identity=identity).close()
                except (OSError, ConnectionError, AssertionError, Exception):
                    return
                known.append(identity)

        before = len(known)
        working = background(register)
        until(lambda before=before: len(known) >= before + 5, 20, "names are registered")
        relay.process.kill()
        stop.append(True)
        working.result(20)
        relay.start()
    for identity in known:
        with protocol.Session(relay, identity) as session:
            session.login()
    listed = relay.command("users", "list").stdout
    assert all(identity.name in listed for identity in known)


def test_clients_say_clearly_that_the_server_was_killed(own_relay, large):
    relay = own_relay(registration="open")
    alice, bob = relay.person("alice", large), relay.person("bob", large)
    content.file(large / "file", "killed", 512 * content.MiB)
    receiving = bob.receive()
    sending = alice.send(bob, "--timeout", "1s", large / "file")
    until(lambda: content.largest(bob.inbox) > 1_000_000, 20, "the first bytes")
    relay.process.kill()
    sending.expect(75, 5)
    assert "gave up" in sending.err(), sending.tail()
    receiving.wait_for("reconnecting", 5)
    assert receiving.running(), "it waits for the relay"
    receiving.signal(signal.SIGTERM)
    receiving.expect(130, 5)
    assert not (bob.inbox / "file").exists()


def test_a_second_server_on_the_same_state_is_refused(own_relay, binaries, certs, tmp_path):
    first = own_relay(registration="open")
    second = Relay(binaries, certs, tmp_path / "second", registration="open", state=first.state).launch()
    assert second.process.wait(10) == 69, second.process.tail()
    text = second.logs()
    assert str(first.state) in text and len(text.strip().splitlines()) == 1, text
    first.healthy()
    assert first.command("status").returncode == 0, "the first one's admin socket is as it was"


def test_a_port_in_use_is_named(own_relay, binaries, certs, tmp_path):
    first = own_relay(registration="open")
    second = Relay(binaries, certs, tmp_path / "second", registration="open").launch(first.port)
    assert second.process.wait(10) == 69, second.process.tail()
    text = second.logs()
    assert f"127.0.0.1:{first.port}" in text and len(text.strip().splitlines()) == 1, text


def test_an_unusable_certificate_is_named(binaries, certs, tmp_path):
    mixed = tmp_path / "mixed"
    other = certificates.forged(mixed, "127.0.0.1")
    cases = {
        "missing": ("/nonexistent.pem", certs.key),
        "mismatch": (certs.chain, other.key),
        "no key": (certs.chain, certs.chain),
        "no certificate": (certs.key, certs.key),
    }
    (tmp_path / "garbage").write_bytes(os.urandom(1000))
    cases["garbage"] = (tmp_path / "garbage", certs.key)
    for name, (chain, key) in cases.items():
        for command in ([], ["check"]):
            arguments = [
                binaries / "relay-server",
                *command,
                "--listen",
                "127.0.0.1:0",
                "--tls-cert",
                chain,
                "--tls-key",
                key,
                "--state-dir",
                tmp_path / "state",
            ]
            done = subprocess.run(
                arguments,
                check=False,
                capture_output=True,
                text=True,
                timeout=20,
                stdin=subprocess.DEVNULL,
                env=clean_environment(tmp_path),
            )
            assert done.returncode == 78, (name, command, done)
            text = done.stdout + done.stderr
            assert any(str(path) in text for path in (chain, key)), (name, text)
            if name == "mismatch":
                assert "match" in text.lower(), text


def test_check_accepts_a_good_configuration(binaries, certs, tmp_path):
    done = subprocess.run(
        [
            binaries / "relay-server",
            "check",
            "--listen",
            "127.0.0.1:0",
            "--tls-cert",
            certs.chain,
            "--tls-key",
            certs.key,
            "--state-dir",
            tmp_path / "state",
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(tmp_path),
    )
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("arguments", "variables", "status"),
    [
        (["--listen", "nonsense"], {}, 64),
        (["--listen", "127.0.0.1:99999"], {}, 64),
        (["--registration", "maybe"], {}, 64),
        (["--log-level", "loud"], {}, 64),
        (["--what"], {}, 64),
        # What is not on the command line is no wrong usage.
        ([], {"RELAY_LISTEN": "nonsense"}, 78),
        ([], {"RELAY_LOG_LEVEL": "loud"}, 78),
    ],
    ids=lambda value: "-".join(value).strip("-") if isinstance(value, (list, dict)) else str(value),
)
def test_a_bad_setting_is_named_and_refused(binaries, certs, tmp_path, arguments, variables, status):
    done = subprocess.run(
        [
            binaries / "relay-server",
            "serve",
            "--tls-cert",
            certs.chain,
            "--tls-key",
            certs.key,
            "--state-dir",
            tmp_path / "state",
            *arguments,
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(tmp_path, **variables),
    )
    assert done.returncode == status, done


def test_admin_commands_without_a_server_say_so(binaries, tmp_path):
    (tmp_path / "state").mkdir()
    for command in (["invite"], ["status"], ["users", "list"]):
        done = subprocess.run(
            [binaries / "relay-server", *command, "--state-dir", tmp_path / "state"],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env=clean_environment(tmp_path),
        )
        assert done.returncode == 69, done
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def test_the_state_is_private(own_relay, tmp_path):
    relay = own_relay(registration="invite")
    relay.person("alice", tmp_path)
    relay.invite()
    modes = {path: path.stat().st_mode & 0o777 for path in [relay.state, *relay.state.rglob("*")]}
    assert modes[relay.state] == 0o700, modes
    assert all(mode & 0o077 == 0 for mode in modes.values()), modes


def test_noise_on_the_sockets_of_operators_does_not_disturb_commands(own_relay):
    relay = own_relay(registration="open")
    paths = [path for path in relay.state.rglob("*") if path.is_socket()]
    assert {path.name for path in paths} == {"admin.sock", "restart.sock"}
    noises = (
        b"",
        b"\n",
        b"{}\n",
        b"[" * 100_000 + b"\n",
        os.urandom(100_000),
        b'{"command":"dance"}\n',
        b"x" * 5_000_000,
    )
    for path, noise in itertools.product(paths, noises):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(path))
            try:
                client.sendall(noise)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except (ConnectionError, TimeoutError):
                pass
    assert relay.command("status").returncode == 0
    relay.healthy()


def test_status_tells_about_sessions_and_transfers(own_relay):
    relay = own_relay(registration="open")
    with Pair(relay) as pair:
        pair.flowing(1000)
        done = relay.command("status")
        assert done.returncode == 0 and done.stdout.strip(), done
        assert "2" in done.stdout, done.stdout  # two sessions


def test_the_relay_survives_thousands_of_hostile_first_bytes(relay):
    """Random bytes at each layer: TCP, TLS, HTTP, WebSocket. Never a crash."""
    noise = content.data("noise", 2_000_000)
    for number in range(150):
        piece = noise[number * 4096 : number * 4096 + 1 + (number * 37) % 4096]
        source = (f"127.0.3.{1 + number % 50}", 0)
        with socket.create_connection(relay.address, 5, source) as plain, contextlib.suppress(ConnectionError):
            plain.sendall(piece)
    for number in range(100):
        piece = noise[number * 5000 : number * 5000 + 1 + (number * 131) % 5000]
        with raw.Connection(relay.address, relay.ca, source=f"127.0.3.{1 + number % 50}") as connection:
            if number % 2:
                piece = b"GET /download?token=" + piece
            connection.send(piece)
    for number in range(100):
        with raw.Connection(relay.address, relay.ca, source=f"127.0.3.{1 + number % 50}") as connection:
            connection.send(raw.upgrade() + noise[number * 3000 : number * 3000 + 3000])
    relay.healthy()


def listening(pid):
    """The addresses and ports on which a process listens, as /proc has them."""
    own = {os.readlink(f"/proc/{pid}/fd/{each}") for each in os.listdir(f"/proc/{pid}/fd")}
    found = []
    for name in ("tcp", "tcp6", "udp", "udp6"):
        with open(f"/proc/{pid}/net/{name}") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                # A UDP socket that is not connected hears everyone.
                if fields[3] in ("0A", "07") and f"socket:[{fields[9]}]" in own:
                    found.append(fields[1])
    return sorted(found)


def test_it_listens_on_the_addresses_that_were_given_and_no_others(own_relay):
    relay = own_relay(registration="open", arguments=["--metrics-listen", "127.0.0.9:0"])
    metrics_port = int(relay.status()["metricsListen"].rpartition(":")[2])
    assert listening(relay.pid) == [f"0100007F:{relay.port:04X}", f"0900007F:{metrics_port:04X}"]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", relay.port), 5)
