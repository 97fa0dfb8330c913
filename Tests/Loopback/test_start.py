# SPDX-License-Identifier: Apache-2.0
"""What `relay-server check` and the start of a relay say about its certificates, and where plain HTTP sends people."""

import resource
import socket
import subprocess

import pytest

from harness import certificates, metrics
from harness.executables import clean_environment
from harness.relay import Relay
from harness.waiting import until

UNAVAILABLE, CANNOT_CREATE, CONFIGURATION = 69, 73, 78


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


@pytest.fixture
def chains(tmp_path):
    """A function: a relay's certificate with intermediates in the order that the words say, `foreign` for another's."""
    certs = certificates.chained(tmp_path / "certs", "localhost", "127.0.0.1")
    other = certificates.chained(tmp_path / "other", "localhost")
    leaf, between = pieces(certs.chain)
    named = {"leaf": leaf, "between": between, "foreign": pieces(other.chain)[1], "root": certs.ca.read_text()}

    def make(order):
        certs.chain.write_text("".join(named[word] for word in order.split()))
        return certs

    return make


def pieces(file):
    """The certificates of a file, each as PEM."""
    end = "-----END CERTIFICATE-----\n"
    return [piece + end for piece in file.read_text().split(end)[:-1]]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ("leaf between", None),
        ("leaf between root", None),
        # Whether something is missing behind it depends on what clients have.
        ("leaf", None),
        ("leaf root between", "and not by certificate 2 (CN=test root), but by certificate 3: put that there"),
        ("leaf foreign", "and not by certificate 2 (another CN=test intermediate): put the issuer's there"),
        ("leaf root", "and not by certificate 2 (CN=test root): put the issuer's there"),
    ],
)
def test_check_says_which_certificate_is_not_issued_by_the_next(binaries, tmp_path, chains, order, words):
    certs = chains(order)
    done = check(binaries, tmp_path, certs)
    if words is None:
        assert (done.returncode, done.stderr) == (0, ""), done
        return
    assert done.returncode == CONFIGURATION and done.stdout == "", done
    (line,) = done.stderr.splitlines()
    assert f"certificate 1 of {len(pieces(certs.chain))} in {certs.chain} is issued by CN=test intermediate" in line
    assert words in line and "the server's certificate comes first, then its intermediates" in line, line


def test_a_relay_starts_with_a_chain_out_of_order_and_says_so_and_reloads_none(binaries, tmp_path, chains):
    """Most clients find their way through it, and a relay that does not start helps none of them."""
    certs = chains("leaf root between")
    relay = Relay(binaries, certs, tmp_path / "relay").start()
    until(lambda: "the certificates are no chain" in relay.logs(), 10, relay.logs)
    line = next(line for line in relay.logs().splitlines() if "are no chain" in line)
    assert "but by certificate 3: put that there" in line, line
    done = relay.command("reload")
    assert done.returncode == CONFIGURATION and "nothing was reloaded: certificate 1 of 3 in " in done.stderr, done
    chains("leaf between")
    assert relay.command("reload").returncode == 0
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


#: What root has that lets it read what others may not.
WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all")


@pytest.mark.parametrize("setting", ["--tls-cert", "--tls-key"])
def test_a_file_that_may_not_be_read_is_named(binaries, tmp_path, setting):
    certs = certificates.forged(tmp_path / "certs", "localhost")
    file = {"--tls-cert": certs.chain, "--tls-key": certs.key}[setting]
    file.chmod(0)
    for command in ("serve", "check"):
        done = subprocess.run(
            [
                *(*WITHOUT_RIGHTS, binaries / "relay-server", command, "--listen", "127.0.0.1:0"),
                *("--tls-cert", certs.chain, "--tls-key", certs.key, "--state-dir", tmp_path / "state"),
            ],
            check=False,
            capture_output=True,
            text=True,
            timeout=20,
            env=clean_environment(tmp_path),
        )
        assert done.returncode == CONFIGURATION and done.stdout == "", done
        (line,) = done.stderr.splitlines()
        assert str(file) in line and "Permission denied" in line, done


def test_a_key_that_may_not_be_read_any_more_is_said_at_the_reload(binaries, tmp_path, monkeypatch):
    monkeypatch.setattr(Relay, "prefix", WITHOUT_RIGHTS)
    certs = certificates.forged(tmp_path / "certs", "127.0.0.1")
    relay = Relay(binaries, certs, tmp_path / "relay").start()
    certs.key.chmod(0)
    done = relay.command("reload")
    assert done.returncode == CONFIGURATION and "nothing was reloaded" in done.stderr, done
    assert str(certs.key) in done.stderr and "Permission denied" in done.stderr, done
    relay.healthy()
    certs.key.chmod(0o600)
    assert relay.command("reload").returncode == 0
    relay.stop()


@pytest.mark.parametrize("is_alive", [True, False])
def test_an_admin_socket_of_another_is_refused_and_a_stale_one_is_not(binaries, certs, tmp_path, is_alive):
    relay = Relay(binaries, certs, tmp_path / "relay")
    relay.state.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        path = relay.state / "admin.sock"
        other.bind(str(path))
        if is_alive:
            other.listen(8)
            process = relay.launch().process.expect(UNAVAILABLE, 10)
            (line,) = process.err().splitlines()
            assert f"another relay-server answers on {path}" in line, line
            assert path.is_socket(), "it is the other one's"
            return
    # The process that has made it is gone.
    relay.start()
    assert relay.status()["state"] == "serving"
    relay.stop()


@pytest.mark.parametrize("setting", ["--log-file", "--pid-file"])
def test_a_file_that_cannot_be_made_is_named(binaries, certs, tmp_path, setting):
    file = tmp_path / "missing" / "file"
    process = Relay(binaries, certs, tmp_path / "relay", arguments=[setting, file]).launch().process
    process.expect(CANNOT_CREATE, 10)
    said = [line for line in process.err().splitlines() if "error" in line or "relay-server:" in line]
    assert len(said) == 1 and str(file) in said[0] and "No such file or directory" in said[0], process.tail()


def test_a_relay_of_root_says_what_it_should_be_instead(own_relay):
    """Tests run as root, of this machine or of a namespace."""
    relay = own_relay()
    (line,) = [line for line in relay.logs().splitlines() if "is root" in line]
    assert " warning " in line and "CAP_NET_BIND_SERVICE" in line, line


def test_a_relay_has_all_descriptors_that_it_may_have_and_says_how_many(own_relay, monkeypatch):
    monkeypatch.setattr(Relay, "prefix", ("prlimit", "--nofile=100:3000"))
    relay = own_relay()
    assert resource.prlimit(relay.pid, resource.RLIMIT_NOFILE) == (3000, 3000)
    assert resource.prlimit(relay.pid, resource.RLIMIT_CORE) == (0, 0)
    assert "descriptors=3000" in relay.logs()
