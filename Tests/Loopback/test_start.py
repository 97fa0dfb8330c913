# SPDX-License-Identifier: Apache-2.0
"""What `relay-server check` and the start of a relay say about its certificates, and where plain HTTP sends people."""

import socket
import subprocess

import pytest

from harness import certificates, metrics
from harness.executables import clean_environment
from harness.relay import Relay
from harness.waiting import until

CONFIGURATION = 78


def check(binaries, folder, certs, *arguments):
    """Runs `relay-server check` with these certificates."""
    command = ["check", "--tls-cert", certs.chain, "--tls-key", certs.key, "--state-dir", folder / "state", *arguments]
    return subprocess.run(
        [binaries / "relay-server", *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=20,
        env=clean_environment(folder),
    )


@pytest.mark.parametrize(
    ("starts", "ends", "status", "words"),
    [
        (-30, -1, CONFIGURATION, "expired on "),
        (1, 30, CONFIGURATION, "is good from "),
        (-59, 5, 0, "warning: the certificate"),
        (-1, 59, 0, ""),
    ],
)
def test_check_looks_at_the_time_of_a_certificate(binaries, tmp_path, starts, ends, status, words):
    certs = certificates.forged(tmp_path / "certs", "localhost", starts=starts, ends=ends)
    done = check(binaries, tmp_path, certs)
    assert done.returncode == status, done
    said = done.stderr.strip().splitlines()
    assert len(said) == bool(words), done
    assert not words or (words in said[0] and str(certs.chain) in said[0]), done


@pytest.mark.parametrize(("starts", "ends", "words"), [(-30, -1, "has expired"), (1, 30, "is not valid yet")])
def test_a_relay_starts_with_a_certificate_out_of_its_time_and_says_so(binaries, tmp_path, starts, ends, words):
    """Clients refuse it; but if the clock is wrong, a running relay works again as soon as the clock is right."""
    certs = certificates.forged(tmp_path / "certs", "localhost", starts=starts, ends=ends)
    relay = Relay(binaries, certs, tmp_path / "relay", arguments=["--metrics-listen", "127.0.0.1:0"]).start()
    until(lambda: words in relay.logs(), 10, relay.logs)
    assert str(certs.chain) in next(line for line in relay.logs().splitlines() if words in line)
    page = metrics.ask(int(relay.status()["metricsListen"].rpartition(":")[2]), "/metrics")[2]
    assert "relay_certificate_expiry_seconds 1" in page
    relay.stop()


def test_plain_http_redirects_to_the_relays_own_names_alone(own_relay):
    relay = own_relay(arguments=["--http-listen", "127.0.0.1:0", "--public-url", "https://relay.example:9443"])
    port = int(relay.status()["httpListen"][0].rpartition(":")[2])
    for host, status, location in (
        ("127.0.0.1", b"308", b"\r\nLocation: https://127.0.0.1:9443/a\r\n"),
        ("localhost:80", b"308", b"\r\nLocation: https://localhost:9443/a\r\n"),
        ("relay.example", b"308", b"\r\nLocation: https://relay.example:9443/a\r\n"),
        ("evil.example", b"421", None),
        ("evil.example:9443", b"421", None),
        ("localhost.evil.example", b"421", None),
    ):
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            plain.sendall(f"GET /a?token=b HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            answer = b"".join(iter(lambda: plain.recv(4096), b""))
        assert answer[9:12] == status, answer
        assert (location in answer) if location else (b"Location" not in answer and b"evil" not in answer), answer
