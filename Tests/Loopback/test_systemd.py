# SPDX-License-Identifier: Apache-2.0
"""relay-server under systemd: its units, what it tells the manager, and the sockets it is given."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time

import pytest

from harness import raw
from harness.executables import REPOSITORY, clean_environment
from harness.processes import Process
from harness.waiting import until

UNITS = REPOSITORY / "systemd"


class Manager:
    """A service manager's notify socket."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self.socket.settimeout(0.05)
        self.lines = []

    def heard(self, line):
        """Whether `line` was told by now."""
        try:
            while True:
                self.lines += self.socket.recv(4096).decode().splitlines()
        except TimeoutError:
            return line in self.lines

    def wait_for(self, line, timeout=15):
        """Waits until `line` was told."""
        until(lambda: self.heard(line), timeout, lambda: f"{line} in {self.lines}")


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path):
    """A service manager that listens; its socket has a file, or none."""
    return Manager(f"@relay-test-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify"))


def test_the_manager_hears_of_start_reload_and_stop(own_relay, manager):
    relay = own_relay(registration="open", env={"NOTIFY_SOCKET": manager.path})
    manager.wait_for("READY=1")
    manager.wait_for("STATUS=serving")
    assert not manager.heard("WATCHDOG=1"), "the manager has not asked for it"
    manager.lines.clear()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    relay.process.signal(signal.SIGHUP)
    manager.wait_for("READY=1")
    assert manager.lines.index("RELOADING=1") < manager.lines.index("READY=1")
    told = next(line for line in manager.lines if line.startswith("MONOTONIC_USEC="))
    assert before <= int(told.partition("=")[2]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    relay.process.signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert relay.process.wait(10) == 0


def test_the_watchdog_is_fed_only_while_the_process_is_well(own_relay, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    relay = own_relay(registration="open", env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "200000"})
    manager.wait_for("WATCHDOG=1")
    manager.lines.clear()
    manager.wait_for("WATCHDOG=1", 2)
    relay.process.signal(signal.SIGSTOP)
    time.sleep(0.5)
    manager.heard("")
    manager.lines.clear()
    time.sleep(1)
    assert not manager.heard("WATCHDOG=1")
    relay.process.signal(signal.SIGCONT)
    manager.wait_for("WATCHDOG=1")


def test_another_processes_watchdog_is_not_fed(own_relay, tmp_path):
    manager = Manager(str(tmp_path / "notify"))
    env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "100000", "WATCHDOG_PID": "1"}
    own_relay(registration="open", env=env)
    manager.wait_for("READY=1")
    time.sleep(0.5)
    assert not manager.heard("WATCHDOG=1")


def test_a_manager_that_is_gone_is_no_reason_to_stop(own_relay, tmp_path):
    own_relay(registration="open", env={"NOTIFY_SOCKET": str(tmp_path / "missing")}).healthy()


def test_the_service_exposes_little():
    done = subprocess.run(
        [
            "systemd-analyze",
            "security",
            "--offline=true",
            "--threshold=20",
            "--no-pager",
            UNITS / "relay-server.service",
        ],
        check=False,
        timeout=60,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stdout[-500:] + done.stderr


def test_the_units_are_ones_that_systemd_takes(binaries, tmp_path):
    for unit in UNITS.iterdir():
        text = unit.read_text().replace("/usr/bin/relay-server", str(binaries / "relay-server"))
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.glob("relay-server.*"))],
        check=False,
        timeout=60,
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0 and "relay-server" not in done.stderr, done


def activated(binaries, certs, tmp_path, *options, serve=()):
    """relay-server, started by systemd-socket-activate at the first connection."""
    variables = [f"--setenv={key}={value}" for key, value in clean_environment(tmp_path).items()]
    return Process(
        [
            *("systemd-socket-activate", *options, *variables, binaries / "relay-server", "serve"),
            *("--tls-cert", certs.chain, "--tls-key", certs.key, "--state-dir", tmp_path / "state", *serve),
        ],
        env=clean_environment(tmp_path),
        folder=tmp_path / "logs",
    )


def free_port():
    """A port that no process has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


needs_activation = pytest.mark.skipif(
    not shutil.which("systemd-socket-activate"), reason="there is no systemd-socket-activate"
)


@needs_activation
def test_sockets_of_the_manager_take_the_place_of_configured_ones(binaries, certs, tmp_path):
    https, http = free_port(), free_port()
    process = activated(
        binaries, certs, tmp_path,
        *("-l", f"127.0.0.1:{https}", "-l", f"127.0.0.1:{http}", "--fdname=https:http"),
        serve=("--listen", "127.0.0.1:1"),
    )  # fmt: skip
    process.wait_for("Listening on", 10)
    # It is this connection that starts the server: it waits in the queue meanwhile.
    with raw.Connection(("127.0.0.1", https), certs.ca) as connection:
        connection.send(raw.request("GET", "/healthz"))
        assert connection.answer().status == 200
    with socket.create_connection(("127.0.0.1", http), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert plain.recv(100).startswith(b"HTTP/1.1 308")
    assert f"127.0.0.1:{https}" in process.err()


@needs_activation
def test_a_socket_with_a_name_that_means_nothing_is_refused(binaries, certs, tmp_path):
    port = free_port()
    process = activated(binaries, certs, tmp_path, "-l", f"127.0.0.1:{port}", "--fdname=smtp")
    process.wait_for("Listening on", 10)
    socket.create_connection(("127.0.0.1", port), 5).close()
    process.expect(78, 10)
    assert '"smtp"' in process.err() and "FileDescriptorName=" in process.err()


def test_sockets_for_another_process_are_left_alone(own_relay):
    relay = own_relay(registration="open", env={"LISTEN_PID": "1", "LISTEN_FDS": "1"})
    relay.healthy()
    assert pathlib.Path(f"/proc/{relay.pid}").exists()
