# SPDX-License-Identifier: Apache-2.0
"""What a node refuses to start with: it prints one line with the cause and the remedy, and exits with 78 (no retry)."""

import contextlib

import pytest

from harness import certificates
from harness.listener import Listener
from harness.nodes import LoneNode, Nodes
from harness.relay import unique
from harness.waiting import until

CONFIGURATION = 78


@pytest.fixture(scope="module")
def nodes(binaries, tmp_path_factory):
    """Certificates and Redis, without nodes."""
    return Nodes(binaries, tmp_path_factory.mktemp("nodes"), ("n1", "n2"))


@pytest.fixture
def redis(nodes):
    """The nodes' Redis."""
    with nodes.start_redis() as client:
        yield client


def refused(nodes, *words, timeout=10, level="warning", **changes):
    """Starts a node n1 with these settings changed (None: without it), and looks at its end."""
    node = LoneNode(nodes, "n1")
    node.level, node.state = level, node.folder / unique("state")
    changed = {**node.environment, **{f"RELAY_{setting.upper()}": value for setting, value in changes.items()}}
    node.environment = {variable: value for variable, value in changed.items() if value is not None}
    process = node.launch().process.expect(CONFIGURATION, timeout)
    said = process.output().decode().strip().splitlines()
    assert len(said) == 1, process.tail()
    for word in words:
        assert word in said[0], said[0]
    return said[0]


def test_a_certificate_of_another_authority_is_refused(nodes, tmp_path):
    other = certificates.forged(tmp_path / "other", "n1")
    refused(nodes, "node-n1.pem", "not signed by", cluster_ca=other.ca)


def test_certificates_of_another_cluster_are_refused(nodes, redis, tmp_path):
    """They agree with each other, so only the nodes that are there can show that they are wrong."""
    other = certificates.made(tmp_path / "other", nodes=("n1",)).folder
    files = {
        "cluster_ca": other / "ca.pem",
        "cluster_cert": other / "node-n1.pem",
        "cluster_key": other / "node-n1.key",
    }
    there = nodes.start("n2")
    until(lambda: redis.incarnation("n2"), 10, "the other one is announced")
    refused(nodes, str(other / "ca.pem"), "n2", "--cluster-ca", **files)
    assert redis.incarnation("n1") is None, "it has left"
    there.healthy()
    # Who knows both authorities, as while one takes the other's place, is let in.
    both = tmp_path / "both.pem"
    both.write_bytes((other / "ca.pem").read_bytes() + (nodes.certs.folder / "ca.pem").read_bytes())
    changes = {f"RELAY_{name.upper()}": value for name, value in files.items()}
    first = nodes.start("n1", environment=changes | {"RELAY_CLUSTER_CA": both})
    first.healthy()
    first.stop()
    # A node that cannot be asked proves nothing: the node that comes then is the first.
    there.process.kill()
    assert redis.incarnation("n2")
    nodes.start("n1", environment=changes).healthy()


@pytest.mark.parametrize("setting", ["cluster_ca", "cluster_cert", "cluster_key"])
def test_a_cluster_without_certificates_is_refused(nodes, setting):
    refused(nodes, setting.replace("_", "-"), **{setting: None})


def test_the_certificate_of_another_node_is_refused(nodes):
    refused(
        nodes,
        "n1",
        "node-n2.pem",
        cluster_cert=nodes.certs.folder / "node-n2.pem",
        cluster_key=nodes.certs.folder / "node-n2.key",
    )


def test_a_wrong_redis_password_is_refused(nodes, redis):
    assert redis.answers()
    line = refused(nodes, "password", redis=f"redis://:not-the-one@127.0.0.1:{redis.port}/0")
    assert "not-the-one" not in line


def test_a_missing_redis_password_is_refused(nodes, redis):
    refused(nodes, "password", redis=f"redis://127.0.0.1:{redis.port}/0")


@pytest.mark.parametrize("right", ["subscribe", "@scripting", "set"])
def test_a_redis_user_without_permissions_is_refused(nodes, redis, right):
    redis("ACL", "SETUSER", "weak", "on", ">word", "~{relay}:*", "&{relay}:*", "+@all", f"-{right}")
    # The log has said so already.
    refused(nodes, "may not do what a node does", level="critical", redis=f"redis://weak:word@127.0.0.1:{redis.port}/0")


def test_a_redis_that_is_too_old_is_refused(nodes):
    def serve(client):
        with client, contextlib.suppress(OSError):
            client.settimeout(10)
            while command := client.recv(4096):
                about = b"# Server\r\nredis_version:5.0.14\r\n"
                client.sendall(b"$%d\r\n%s\r\n" % (len(about), about) if b"INFO" in command else b"+OK\r\n")

    old = Listener(serve)
    try:
        refused(nodes, "5.0.14", "6.2", redis=f"redis://:x@127.0.0.1:{old.port}/0")
    finally:
        old.close()


def test_a_node_id_in_use_is_refused(nodes, redis):
    first = nodes.start("n1")
    until(lambda: redis.incarnation("n1"), 10, "the first one is announced")
    # It waits for as long as what a dead node has left in Redis would be there.
    refused(nodes, "n1", timeout=30)
    first.healthy()
    assert redis.incarnation("n1")
