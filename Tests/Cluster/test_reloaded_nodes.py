# SPDX-License-Identifier: Apache-2.0
"""Certificates of nodes, replaced while they run: by new ones, by those of another authority, and by garbage."""

import os
import pathlib
import shutil
import signal
import socket
import ssl

import pytest

from harness import certificates, metrics
from harness.nodes import Nodes
from harness.pairs import Pair, wait_for_bytes
from harness.trial import whole
from harness.waiting import until

CONFIGURATION = 78


class Renewable(Nodes):
    """Nodes with three names, whose files the test may replace."""

    def __init__(self, binaries, folder):
        super().__init__(binaries, folder, ("n1", "n2", "n3"))
        # Clients have an authority file of their own.
        self.authority = self.certs.folder / "nodes-ca.pem"
        shutil.copy(self.certs.ca, self.authority)
        self.redis = self.start_redis()


@pytest.fixture
def nodes(binaries, tmp_path):
    """Three names, and the nodes that the test starts."""
    made = Renewable(binaries, tmp_path / "nodes")
    yield made
    for node in made.members():
        node.process.kill()
    made.redis.close()
    made.redis_process.kill()


def started(nodes, *names):
    """Nodes with these names, announced, each with a figure of reloads."""
    environment = {"RELAY_METRICS_LISTEN": "127.0.0.1:0", "RELAY_CLUSTER_CA": nodes.authority}
    found = [nodes.start(name, environment=environment) for name in names]
    until(lambda: all(nodes.redis.incarnation(name) for name in names), 20, "all are announced")
    return found


def shown(nodes, node, caller="n2"):
    """The certificate that a node shows to a new link of another one, and that link holds: as DER."""
    folder = nodes.certs.folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / f"node-{caller}.pem", folder / f"node-{caller}.key")
    host, port = node.link.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=node.name) as link,
    ):
        return link.getpeercert(binary_form=True)


def der(file):
    """The first certificate of a file."""
    text = pathlib.Path(file).read_text()
    return ssl.PEM_cert_to_DER_cert(text[: text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


def failing(node):
    """How many reloads have failed, and whether the last one did."""
    figures = metrics.scrape(metrics.port_of(node))
    return figures['relay_reloads_total{outcome="failed"}'], figures["relay_reload_failing"]


def test_a_renewed_certificate_is_shown_to_new_links_and_running_ones_go_on(nodes):
    n1, n2 = started(nodes, "n1", "n2")
    folder = nodes.certs.folder
    old = der(folder / "node-n1.pem")
    assert shown(nodes, n1) == old
    with Pair(n1, receiver=n2, timeout=20) as pair:
        offer, download, upload = pair.flowing(2_000_000)
        upload.send(b"a" * 1_000_000)
        wait_for_bytes(download, 900_000)
        renewed(nodes, "n1")
        assert der(folder / "node-n1.pem") != old and shown(nodes, n1) == old, "not before it is told"
        done = n1.command("reload")
        assert done.returncode == 0 and "cluster-cert" in done.stdout and "unchanged" not in done.stdout, done
        assert shown(nodes, n1) == der(folder / "node-n1.pem")
        upload.send(b"b" * 1_000_000)
        wait_for_bytes(download, 2_000_000)
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 2_000_000
    # A node that comes now has no link yet: each makes one to the other.
    (n3,) = started(nodes, "n3")
    whole(n1, n3, 1 << 20)
    whole(n3, n1, 1 << 20)
    # By the signal as well.
    renewed(nodes, "n1")
    n1.process.signal(signal.SIGHUP)
    until(lambda: shown(nodes, n1) == der(folder / "node-n1.pem"), 10, "the next one is shown")


def renewed(nodes, name):
    """Puts a new certificate and key of the same authority in the place of a node's."""
    folder = nodes.certs.folder
    other = nodes.folder / "renewed"
    shutil.rmtree(other, ignore_errors=True)
    other.mkdir()
    for file in ("ca.pem", "ca.key"):
        shutil.copy(folder / file, other / file)
    certificates.made(other, nodes=(name,))
    for end in ("pem", "key"):
        shutil.copy(other / f"node-{name}.{end}", folder / f"node-{name}.{end}")


def test_an_authority_takes_the_place_of_another_without_a_moment_apart(nodes, tmp_path):
    n1, n2 = started(nodes, "n1", "n2")
    folder, other = nodes.certs.folder, certificates.made(tmp_path / "other", nodes=("n1", "n2")).folder
    old, new = nodes.authority.read_bytes(), (other / "ca.pem").read_bytes()

    def all_do(step):
        for node in (n1, n2):
            step(node)
            done = node.command("reload")
            assert done.returncode == 0, done
            whole(n1, n2, 1 << 18)
            whole(n2, n1, 1 << 18)

    def take(node):
        for end in ("pem", "key"):
            shutil.copy(other / f"node-{node.name}.{end}", folder / f"node-{node.name}.{end}")

    # A node whose certificate is of an authority that it does not know itself: nothing changes.
    kept = {end: (folder / f"node-n1.{end}").read_bytes() for end in ("pem", "key")}
    take(n1)
    done = n1.command("reload")
    assert done.returncode == CONFIGURATION and "not signed by" in done.stderr, done
    for end, content in kept.items():
        (folder / f"node-n1.{end}").write_bytes(content)
    all_do(lambda node: nodes.authority.write_bytes(old + new))
    all_do(take)
    all_do(lambda node: nodes.authority.write_bytes(new))
    assert shown(nodes, n1) == der(other / "node-n1.pem")
    # Only the new one counts: who has a certificate of the old one is no node any more.
    for end, content in kept.items():
        (folder / f"node-n3.{end}").write_bytes(content)
    with pytest.raises(ssl.SSLError, match="alert"):
        read_of_stranger(nodes, n1)
    (n3,) = started_with(nodes, other, "n3", tmp_path)
    whole(n3, n1, 1 << 18)
    whole(n2, n3, 1 << 18)


def read_of_stranger(nodes, node):
    """Shows a node the certificate of node-n3, and asks for a byte: TLS 1.3 refuses a client after its handshake."""
    folder = nodes.certs.folder
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(folder / "node-n3.pem", folder / "node-n3.key")
    host, port = node.link.split(":")
    with (
        socket.create_connection((host, int(port)), 10) as plain,
        context.wrap_socket(plain, server_hostname=node.name) as link,
    ):
        link.recv(1)


def started_with(nodes, authority, name, tmp_path):
    """A node with a certificate of another authority."""
    copy = tmp_path / "third"
    copy.mkdir()
    for file in ("ca.pem", "ca.key"):
        shutil.copy(authority / file, copy / file)
    certificates.made(copy, nodes=(name,))
    for end in ("pem", "key"):
        shutil.copy(copy / f"node-{name}.{end}", nodes.certs.folder / f"node-{name}.{end}")
    return started(nodes, name)


def damage(nodes, kind, tmp_path):
    """Puts files in the place of n1's as they must not be; returns what the complaint names."""
    folder = nodes.certs.folder
    chain, key = folder / "node-n1.pem", folder / "node-n1.key"
    if kind == "garbage":
        chain.write_bytes(os.urandom(3000))
        return chain
    if kind == "half-written":
        chain.write_bytes(chain.read_bytes()[: chain.stat().st_size // 3])
        return chain
    if kind == "another key":
        shutil.copy(folder / "node-n2.key", key)
        return key
    if kind == "another node":
        for end in ("pem", "key"):
            shutil.copy(folder / f"node-n2.{end}", folder / f"node-n1.{end}")
        return chain
    if kind == "another authority":
        shutil.copy(certificates.forged(tmp_path / "forged", "n1").ca, nodes.authority)
        return chain
    nodes.authority.write_bytes(b"")
    return nodes.authority


@pytest.mark.parametrize(
    "kind", ["garbage", "half-written", "another key", "another node", "another authority", "no authority"]
)
def test_a_bad_file_changes_nothing_and_links_go_on(nodes, tmp_path, kind):
    n1, n2 = started(nodes, "n1", "n2")
    whole(n1, n2, 1 << 18)
    folder = nodes.certs.folder
    genuine = {file: (folder / file).read_bytes() for file in (nodes.authority.name, "node-n1.pem", "node-n1.key")}
    before = der(folder / "node-n1.pem")
    with Pair(n1, receiver=n2, timeout=20) as pair:
        offer, download, upload = pair.flowing(2_000_000)
        upload.send(b"a" * 1_000_000)
        wait_for_bytes(download, 900_000)
        named = damage(nodes, kind, tmp_path)
        done = n1.command("reload")
        assert done.returncode == CONFIGURATION and "nothing was reloaded" in done.stderr, done
        assert str(named) in done.stderr, done
        n1.process.signal(signal.SIGHUP)
        until(lambda: failing(n1) == (2, 1), 10, lambda: failing(n1))
        assert n1.logs().count("nothing was reloaded") >= 2
        assert shown(nodes, n1) == before
        upload.send(b"b" * 1_000_000)
        wait_for_bytes(download, 2_000_000)
        assert upload.answer(method="PUT").status == 200
        pair.receiver.delivered(offer.transfer, 2_000_000, "0" * 64)
        assert offer.delivered(5)["size"] == 2_000_000
    for file, content in genuine.items():
        (folder / file).write_bytes(content)
    assert n1.command("reload").returncode == 0
    assert failing(n1) == (2, 0)
    whole(n1, n2, 1 << 18)
