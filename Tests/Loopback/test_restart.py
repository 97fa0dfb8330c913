# SPDX-License-Identifier: Apache-2.0
"""A relay whose process is replaced while it serves, without an interruption."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pytest

from harness import content, metrics, openssl, protocol, raw
from harness.balancer import Balancer
from harness.daemon import Daemon
from harness.executables import clean_environment
from harness.measure import is_gone
from harness.nodes import Reserved
from harness.pairs import Pair, wait_for_bytes
from harness.processes import Process
from harness.relay import Relay
from harness.waiting import background, until
from proofs import restart


@pytest.fixture
def replaced(own_relay):
    """Makes relays whose processes may be replaced, and ends the last of them."""
    made = []

    def make(**options):
        made.append(own_relay(registration="open", **options))
        made[-1].processes = {made[-1].pid}
        return made[-1]

    yield make
    for each in made:
        for pid in each.processes:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue


def restarted(relay):
    """Replaces the process; returns its id."""
    done = relay.command("restart")
    assert done.returncode == 0, (done, relay.logs())
    pid = int(re.search(r"process (\d+) serves", done.stdout).group(1))
    relay.processes.add(pid)
    return pid


def ask(relay):
    """One request on a connection of its own."""
    with raw.Connection(relay.address, relay.ca) as connection:
        connection.send(raw.request("GET", "/healthz"))
        answer = connection.answer()
        assert answer and answer.status == 200


def test_the_new_process_has_everything_and_the_old_one_ends(replaced, tmp_path):
    pid_file = tmp_path / "pid"
    relay = replaced(arguments=["--pid-file", pid_file, "--metrics-listen", "127.0.0.1:0"])
    port, old = metrics.port_of(relay), relay.pid
    before = relay.status()
    new = restarted(relay)
    after = relay.status()
    assert new != old and after["pid"] == new and after["state"] == "serving"
    assert after["listen"] == before["listen"] and after["metricsListen"] == before["metricsListen"]
    assert relay.process.wait(15) == 0, relay.process.tail()
    assert int(pid_file.read_text()) == new
    assert metrics.ask(port, "/readyz")[0] == 200
    ask(relay)
    assert relay.invite(), "the admin socket is the new process's"
    os.kill(new, signal.SIGTERM)
    until(lambda: is_gone(new), 10, "the end of the new process")
    assert not pid_file.exists() and not (relay.state / "admin.sock").exists()


@pytest.mark.slow
def test_a_running_transfer_goes_on_in_the_old_process(replaced):
    relay = replaced()
    pair = Pair(relay, timeout=20)
    offer, download, upload = pair.flowing(2_000_000)
    upload.send(b"a" * 1_000_000)
    assert download.head().status == 200
    wait_for_bytes(download, 900_000)
    restarted(relay)
    with Pair(relay, timeout=20) as other:
        other.whole()
    assert relay.process.running()
    upload.send(b"b" * 1_000_000)
    wait_for_bytes(download, 2_000_000)
    assert upload.answer(method="PUT").status == 200
    pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
    assert offer.delivered(5)["size"] == 2_000_000
    assert relay.process.wait(15) == 0, relay.process.tail()


def test_a_token_that_is_not_used_yet_is_waited_for(replaced):
    relay = replaced()
    pair = Pair(relay, timeout=20)
    offer, start = pair.accepted()
    restarting = background(relay.command, "restart")
    time.sleep(0.5)
    assert relay.status()["pid"] == relay.pid, "it waits for the receiver"
    download = pair.connect()
    download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
    upload_start = offer.start()
    time.sleep(0.2)
    upload = pair.connect()
    upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {upload_start.token}", "Content-Length: 10"))
    upload.send(b"0123456789")
    done = restarting.result(20)
    assert done.returncode == 0, done
    relay.processes.add(int(re.search(r"process (\d+) serves", done.stdout).group(1)))
    assert download.head(5).status == 200
    wait_for_bytes(download, 10)
    assert upload.answer(method="PUT").status == 200


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_of_the_old_process_gets_a_full_handshake_from_the_new_one(replaced, tmp_path, version):
    """Decision 0052: keys of tickets are not handed over."""
    relay, old, new = replaced(), tmp_path / "old.pem", tmp_path / "new.pem"

    def goes_on(session):
        said = openssl.ask(relay, version, "-sess_in", session)
        assert ("Reused, TLS" in said) != ("New, TLS" in said), said
        return "Reused, TLS" in said

    openssl.ask(relay, version, "-sess_out", old)
    assert goes_on(old), "the process that made it takes it"
    restarted(relay)
    assert not goes_on(old)
    openssl.ask(relay, version, "-sess_out", new)
    assert goes_on(new) and not goes_on(old)


def test_users_of_the_old_process_are_users_of_the_new_one(replaced, tmp_path):
    relay = replaced()
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    restarted(relay)
    content.file(tmp_path / "file", "restart", 100_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 10)


def test_clients_that_wait_come_over_and_are_rung_there(replaced, tmp_path):
    relay = replaced()
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    receiving = bob.receive()
    restarted(relay)
    content.file(tmp_path / "file", "restart", 100_000)
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 10)
    assert relay.process.wait(15) == 0


@pytest.mark.parametrize("kind", ["configuration", "certificate", "killed"])
def test_a_new_process_that_dies_at_its_start_leaves_the_old_one_going_on(replaced, tmp_path, certs, kind):
    file, key = tmp_path / "server.json", tmp_path / "key"
    file.write_text("{}")
    shutil.copy(certs.key, key)
    relay = replaced(arguments=["--config", file, "--tls-key", key])
    pair = Pair(relay, timeout=20)
    offer, download, upload = pair.flowing(1_000)
    if kind == "configuration":
        file.write_text('{"memory-limit": "perhaps"}')
    elif kind == "certificate":
        key.write_text("no key")
    if kind == "killed":
        # It is stopped half-way: the sockets are its, the registry is not.
        process = Process(
            [relay.binaries / "relay-server", "serve", "--takeover", *relay.process.arguments[2:]],
            env={**os.environ, "HOME": str(tmp_path), "RELAY_METRICS_LISTEN": "off", "SWIFT_BACKTRACE": "enable=no"},
            folder=tmp_path / "logs",
        )
        relay.process.wait_for("prepares to take over", 10)
        process.kill()
        relay.process.wait_for("did not take over|another process serves", 15)
        if "another process serves" in relay.logs():
            pytest.skip("it was killed too late")
    else:
        done = relay.command("restart")
        assert done.returncode == 69, done
        assert "the old one goes on" in done.stderr
        assert ("perhaps" if kind == "configuration" else str(key)) in done.stderr
    assert relay.status()["pid"] == relay.pid and relay.status()["state"] == "serving"
    relay.healthy()
    upload.send(b"x" * 1_000)
    assert upload.answer(method="PUT").status == 200
    pair.receiver.delivered(offer.transfer, 1_000, "0" * 64)
    assert offer.delivered(5)
    wait_for_bytes(download, 1)
    with Pair(relay, timeout=20) as other:
        other.whole()


def test_a_process_that_fails_after_it_was_given_everything_leaves_the_old_one_going_on(replaced, tmp_path):
    relay = replaced()
    alice = relay.person("alice", tmp_path)
    # The registry is what is read last. The old process has it in memory, and writes it again.
    users = relay.state / "users.json"
    saved = users.read_bytes()
    users.write_bytes(b"{damaged")
    done = relay.command("restart")
    assert done.returncode == 69 and "users.json" in done.stderr, done
    users.write_bytes(saved)
    assert relay.status()["pid"] == relay.pid
    relay.healthy()
    bob = relay.person("bob", tmp_path)
    content.file(tmp_path / "file", "restart", 100_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 10)
    assert restarted(relay) != relay.pid


def test_a_process_that_fails_at_the_last_step_takes_nothing_along(replaced, tmp_path):
    relay = replaced()
    second = Process(
        [
            *(relay.binaries / "relay-server", "serve", "--takeover", *relay.process.arguments[2:]),
            *("--pid-file", tmp_path / "missing" / "pid"),
        ],
        env={**os.environ, "HOME": str(tmp_path), "RELAY_METRICS_LISTEN": "off"},
        folder=tmp_path / "logs",
    )
    assert second.wait(15) == 73
    relay.process.wait_for("did not take over", 10)
    # Its socket still has its name, and it takes connections.
    assert relay.status()["pid"] == relay.pid and relay.status()["state"] == "serving"
    ask(relay)
    assert restarted(relay) != relay.pid


def test_the_bytes_of_the_day_go_over(replaced, tmp_path):
    relay = replaced()
    alice, bob = relay.person("alice", tmp_path), relay.person("bob", tmp_path)
    content.file(tmp_path / "file", "restart", 100_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 20)
    receiving.expect(0, 10)

    def moved():
        done = relay.command("users", "show", alice.name, "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)["bytesToday"]

    before = moved()
    assert before >= 100_000
    restarted(relay)
    assert moved() == before


def test_takeover_by_hand(replaced, tmp_path):
    relay = replaced()
    old = relay.pid
    second = Process(
        [relay.binaries / "relay-server", "serve", "--takeover", *relay.process.arguments[2:]],
        env={**os.environ, "HOME": str(tmp_path), "RELAY_METRICS_LISTEN": "off", "RELAY_ADDRESS_LIMIT": "100"},
        folder=tmp_path / "logs",
    )
    second.wait_for("listening.*https", 15)
    assert relay.process.wait(15) == 0
    assert relay.status()["pid"] == second.pid != old
    ask(relay)


def test_takeover_without_a_server_says_so(binaries, certs, tmp_path):
    done = subprocess.run(
        [
            *(binaries / "relay-server", "--takeover", "--listen", "127.0.0.1:0", "--state-dir", tmp_path / "state"),
            *("--tls-cert", certs.chain, "--tls-key", certs.key),
        ],
        check=False,
        timeout=20,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 69 and "--takeover" in done.stderr, done


def test_a_daemon_is_replaced_by_a_daemon(binaries, certs, tmp_path):
    relay = Daemon(binaries, certs, tmp_path / "relay", "--metrics-listen", "off")
    try:
        old = relay.pid
        done = relay.command("restart")
        assert done.returncode == 0, (done, relay.log.read_text())
        until(lambda: is_gone(old), 15, "the end of the old one")
        assert relay.pid != old and os.readlink(f"/proc/{relay.pid}/fd/2") == "/dev/null"
    finally:
        relay.stop()


def test_the_service_manager_follows(replaced, tmp_path):
    path = str(tmp_path / "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    manager.settimeout(5)
    relay = replaced(env={"NOTIFY_SOCKET": path})
    new = restarted(relay)
    heard: list[str] = []
    while f"MAINPID={new}" not in heard or "READY=1" not in heard[heard.index(f"MAINPID={new}") :]:
        heard += manager.recv(4096).decode().splitlines()
    # The old one says nothing any more: the manager would take it for the service.
    assert relay.process.wait(15) == 0
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while said := manager.recv(4096):
            assert b"STOPPING" not in said


def test_others_cannot_take_over(replaced):
    if os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    with tempfile.TemporaryDirectory() as folder:
        relay = replaced(state=pathlib.Path(folder, "state"))
        path = relay.state / "restart.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        # Even where the folders let them in.
        for each in (pathlib.Path(folder), relay.state, path):
            each.chmod(0o777)
        script = (
            "import os,socket,sys; os.setuid(65534); s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); "
            's.sendall(b\'{"take":{"version":"x"}}\\n\'); s.settimeout(5); print(s.recvmsg(4096, 4096))'
        )
        done = subprocess.run(
            ["python3", "-c", script, path], check=False, capture_output=True, text=True, timeout=20, cwd="/"
        )
        assert "https" not in done.stdout and "PermissionError" not in done.stderr, done
        relay.process.wait_for("a process of another user", 5)
        relay.healthy()


def test_noise_on_the_socket_disturbs_no_one_else(replaced):
    relay = replaced()
    for noise in (b"", b"\n", b"{}\n", os.urandom(20_000), b'{"ready":{}}\n', b'{"take":{}}\n'):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(relay.state / "restart.sock"))
            client.sendall(noise)
    relay.healthy()
    assert restarted(relay) != relay.pid


needs_wrk = pytest.mark.skipif(not shutil.which("wrk"), reason="there is no wrk")


@pytest.mark.slow
@needs_wrk
def test_no_client_is_refused_and_no_transfer_is_cut(replaced, tmp_path):
    """The small form of `scripts/prove restart`."""
    relay = replaced()
    outcome = restart.measured(relay, tmp_path, transfers=4, restarts=3, connections=8)
    assert not outcome.problems() and outcome.restarts == 3, outcome.table()


@pytest.mark.slow
@needs_wrk
def test_a_balancer_never_sees_the_relay_down(replaced, tmp_path):
    """Health checks five times a second, and all clients come by the balancer, which tries nothing twice."""
    balancer = Balancer(replaced(), tmp_path)
    until(lambda: int(balancer.figures()["check_duration"] or -1) >= 0, 5, "the first check")
    outcome = restart.measured(balancer.seen, tmp_path, transfers=4, restarts=3, connections=8, balancer=balancer)
    assert not outcome.problems() and outcome.restarts == 3, outcome.table()


class Kept(Relay):
    """A relay that knows its processes."""

    processes: set[int]

    def start(self, port=0):
        """Starts the first of them."""
        super().start(port)
        self.processes = {self.pid}
        return self


class Activated(Kept):
    """A relay whose socket the service manager has bound."""

    def launch(self, port=0):
        """Starts it, by the first connection."""
        self.reserved = Reserved()
        port = port or int(self.reserved)
        variables = clean_environment(self.folder, **self.env)
        self.prefix = [
            *("systemd-socket-activate", "-l", f"{self.host}:{port}"),
            *(f"--setenv={key}={value}" for key, value in variables.items()),
        ]
        super().launch(1)
        self.process.wait_for("Listening on", 10)
        socket.create_connection((self.host, port), 5).close()
        return self


@pytest.mark.slow
@needs_wrk
@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="there is no systemd-socket-activate")
def test_a_socket_of_the_service_manager_goes_over(binaries, certs, tmp_path):
    path = str(tmp_path / "notify")
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(path)
    relay = Activated(binaries, certs, tmp_path / "relay", registration="open", env={"NOTIFY_SOCKET": path}).start()
    before = relay.status()
    assert before["pid"] == relay.pid and before["listen"] == [f"{relay.host}:{relay.port}"]
    new = restarted(relay)
    after = relay.status()
    assert after["pid"] == new != relay.pid and after["listen"] == before["listen"]
    assert b"LISTEN_FDS" not in pathlib.Path(f"/proc/{new}/environ").read_bytes(), "they were the old process's"
    assert relay.process.wait(15) == 0
    heard = b""
    manager.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while said := manager.recv(4096):
            heard += said + b"\n"
    assert f"MAINPID={new}".encode() in heard.splitlines(), heard
    # And once more, from a process that has its sockets from another one.
    outcome = restart.measured(relay, tmp_path, transfers=2, restarts=2, connections=4)
    assert not outcome.problems() and outcome.restarts == 2, outcome.table()


def test_the_program_that_is_installed_now_is_started(binaries, certs, tmp_path):
    """Also where the old one was started by its name alone, and its file is gone."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program, upgrade = folder / "relay-server", folder / "upgrade"
    for each in (program, upgrade):
        shutil.copy(binaries / "relay-server", each)
    relay = Kept(folder, certs, tmp_path / "relay", registration="open")
    relay.prefix = ["bash", "-c", 'exec -a relay-server "$0" "$@"']
    relay.start()
    try:
        assert pathlib.Path(f"/proc/{relay.pid}/cmdline").read_bytes().startswith(b"relay-server\0")
        installed = upgrade.stat().st_ino
        upgrade.rename(program)
        for _ in range(2):
            new = restarted(relay)
            assert os.stat(f"/proc/{new}/exe").st_ino == installed
    finally:
        for pid in relay.processes:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)


def test_who_is_coming_over_is_there_all_the_time(replaced):
    """No client moves here before the test says so: each side is asked for the one who is on the other."""
    relay = replaced()
    carol, dave = relay.session("carol", receiving=True), relay.session("dave", receiving=True)
    stays = relay.session("stays")
    restarted(relay)
    comes = relay.session("comes")
    # The new process has none of their sessions.
    assert relay.status()["sessions"] == 1
    assert comes.lookup(carol.identity.name)["online"] and comes.lookup(dave.identity.name)["online"]
    assert not comes.lookup(stays.identity.name)["online"], "it was never to be rung"
    offer = comes.offer(carol.identity.name, protocol.pack(v=0), wait=False)
    until(carol.is_to_move, 8, "carol is told to move")
    new = carol.moved(receiving=True)
    assert new.ring()["transfer"] == offer.transfer
    assert offer.states == ["ringing"]
    # The old one has none of hers any more.
    assert stays.lookup(carol.identity.name)["online"]
    # A name that has come, and leaves, is gone.
    new.close()
    until(lambda: not comes.lookup(carol.identity.name)["online"], 5, "carol is gone")
    assert comes.lookup(dave.identity.name)["online"]
    # One that is still to come when yet another process takes the place is not lost on the way.
    restarted(relay)
    again = relay.session("again")
    assert again.lookup(dave.identity.name)["online"] and not again.lookup(carol.identity.name)["online"]
    for session in (dave, stays, comes, again):
        session.close()


def test_a_client_that_comes_in_at_the_last_moment_is_let_in_and_moves(replaced):
    relay = replaced()
    # With the handshake, the connection is the old process's.
    late = raw.Connection(relay.address, relay.ca)
    holding = relay.session("holding", receiving=True)
    restarted(relay)
    until(holding.is_to_move, 8, "the old process leaves")
    late.send(raw.upgrade())
    answer = late.head(5)
    assert answer.status == 101, answer
    late.close()
    holding.close()
