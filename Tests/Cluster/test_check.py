# SPDX-License-Identifier: Apache-2.0
"""What `relay-server check` says of a node's configuration before anything is deployed: of a real Redis, reachable or
not, and of the certificates that other nodes would be shown."""

import contextlib
import os
import shutil
import socket
import subprocess
import time

import pytest

from harness import certificates
from harness.clocks import clock
from harness.executables import clean_environment
from harness.listener import Listener
from harness.nodes import LoneNode, Nodes, Reserved
from harness.processes import Process
from harness.waiting import until

CONFIGURATION = 78


@pytest.fixture(scope="module")
def nodes(binaries, tmp_path_factory):
    """Certificates and Redis, without nodes."""
    return Nodes(binaries, tmp_path_factory.mktemp("nodes"), ("n1", "n2"))


@pytest.fixture(scope="module")
def redis(nodes):
    """The nodes' Redis."""
    with nodes.start_redis() as client:
        yield client


def check(nodes, **changes):
    """Runs `relay-server check` for the node n1 with these settings changed."""
    node = LoneNode(nodes, "n1")
    settings = {**node.environment, **{f"RELAY_{setting.upper()}": value for setting, value in changes.items()}}
    return subprocess.run(
        [
            *(node.binaries / "relay-server", "check", "--state-dir", node.folder / "state"),
            *("--tls-cert", node.certs.chain, "--tls-key", node.certs.key),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
        env=clean_environment(node.folder, **settings),
    )


def wrong(nodes, *words, **changes):
    """Asserts that it says what is wrong in one line with these words, and exits with 78; returns the line."""
    done = check(nodes, **changes)
    assert done.returncode == CONFIGURATION and done.stdout == "", done
    (line,) = done.stderr.splitlines()
    for word in words:
        assert str(word) in line, done
    return line


def test_a_node_that_can_log_in_is_good_and_leaves_nothing_in_redis(nodes, redis):
    before = redis.keys()
    done = check(nodes)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the configuration is good\n", "")
    assert redis.keys() == before == []


@pytest.mark.parametrize("login", [":not-the-one@", ""])
def test_a_wrong_or_missing_password_is_said_and_not_shown(nodes, redis, login):
    line = wrong(nodes, "refuses this node", "password", redis=f"redis://{login}127.0.0.1:{redis.port}/0")
    assert "not-the-one" not in line


def test_a_redis_that_is_not_there_is_said_with_its_address(nodes):
    port = int(Reserved())
    wrong(nodes, "Redis cannot be reached", f"127.0.0.1:{port}", redis=f"redis://:x@127.0.0.1:{port}/0")
    wrong(nodes, "Redis cannot be reached", "nowhere.invalid", redis="redis://:x@nowhere.invalid:6379/0")


def test_a_redis_that_does_not_answer_is_not_waited_for_long(nodes):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port, begin = silent.getsockname()[1], time.monotonic()
        wrong(nodes, "Redis cannot be reached", f"127.0.0.1:{port}", redis=f"redis://:x@127.0.0.1:{port}/0")
        assert time.monotonic() - begin < 15


def test_what_is_no_redis_is_said(nodes):
    def serve(client):
        with client, contextlib.suppress(OSError):
            client.sendall(b"220 mail.example ESMTP\r\n")
            client.settimeout(10)
            while client.recv(4096):
                pass

    listener = Listener(serve)
    try:
        wrong(nodes, "Redis", f"127.0.0.1:{listener.port}", redis=f"redis://:x@127.0.0.1:{listener.port}/0")
    finally:
        listener.close()


@pytest.fixture(scope="module")
def secure(nodes):
    """A Redis with TLS alone, whose certificate the nodes' authority has signed: its URL."""
    port, folder = int(Reserved()), nodes.folder / "secure"
    folder.mkdir()
    process = Process(
        [
            *(
                os.environ.get("RELAY_REDIS_SERVER", "redis-server"),
                "--port",
                "0",
                "--tls-port",
                str(port),
                "--bind",
                "127.0.0.1",
                "--requirepass",
                "word",
            ),
            *("--tls-cert-file", nodes.certs.chain, "--tls-key-file", nodes.certs.key, "--tls-auth-clients", "no"),
            *("--tls-ca-cert-file", nodes.certs.ca, "--save", "", "--dir", folder),
        ],
        env=clean_environment(folder),
        folder=folder,
    )
    url = f"rediss://:word@127.0.0.1:{port}/0"
    until(lambda: check(nodes, redis=url, redis_ca=nodes.certs.ca).returncode == 0, 20, process.tail, step=0.3)
    yield url
    process.kill()


def test_an_untrusted_certificate_of_redis_is_said(nodes, secure, tmp_path):
    # The system's authorities, and one of someone else.
    wrong(nodes, "Redis", "certificate", redis=secure)
    other = certificates.forged(tmp_path / "other", "127.0.0.1")
    wrong(nodes, "Redis", "certificate", redis=secure, redis_ca=other.ca)
    # It is for 127.0.0.1 and localhost.
    wrong(nodes, "Redis", "127.0.0.2", redis=secure.replace("127.0.0.1", "127.0.0.2"), redis_ca=nodes.certs.ca)


def test_tls_where_there_is_none_and_none_where_there_is_are_said(nodes, redis, secure):
    wrong(nodes, "Redis", redis=f"rediss://:x@127.0.0.1:{redis.port}/0", redis_ca=nodes.certs.ca)
    wrong(nodes, "Redis", redis=secure.replace("rediss", "redis"))


def test_an_authority_of_redis_that_cannot_be_read_is_named(nodes, secure, tmp_path):
    wrong(nodes, tmp_path / "none.pem", redis=secure, redis_ca=tmp_path / "none.pem")
    (tmp_path / "garbage.pem").write_text("garbage")
    wrong(nodes, tmp_path / "garbage.pem", redis=secure, redis_ca=tmp_path / "garbage.pem")


def test_the_certificate_of_another_node_is_said(nodes):
    folder = nodes.certs.folder
    wrong(
        nodes,
        *("node-n2.pem", "n1"),
        cluster_cert=folder / "node-n2.pem",
        cluster_key=folder / "node-n2.key",
    )


def test_the_key_of_another_certificate_is_said(nodes):
    wrong(nodes, "node-n2.key", "does not belong", cluster_key=nodes.certs.folder / "node-n2.key")


def test_a_certificate_of_another_authority_is_said(nodes, tmp_path):
    other = certificates.forged(tmp_path / "other", "n1")
    wrong(nodes, "node-n1.pem", "not signed by", cluster_ca=other.ca)


def test_a_node_certificate_that_has_expired_is_said(nodes, tmp_path):
    """By certs/make, as it was two years ago."""
    old = certificates.made(tmp_path / "old", nodes=("n1",), environment=clock("-800d")).folder
    wrong(
        nodes,
        *("node-n1.pem", "expired on "),
        cluster_ca=nodes.certs.folder / "ca.pem",
        cluster_cert=old / "node-n1.pem",
        cluster_key=old / "node-n1.key",
    )


def test_half_a_certificate_and_a_secret_that_others_may_read_are_said(nodes, tmp_path):
    half = tmp_path / "half.pem"
    whole = (nodes.certs.folder / "node-n1.pem").read_bytes()
    half.write_bytes(whole[: len(whole) // 3])
    wrong(nodes, half, cluster_cert=half)
    secret = tmp_path / "secret"
    shutil.copy(nodes.secret, secret)
    secret.write_text("too short\n")
    wrong(nodes, secret, cluster_secret=secret)
