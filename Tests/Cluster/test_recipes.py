# SPDX-License-Identifier: Apache-2.0
"""What each of the four balancers does to requests, to bodies, to cuts, and to what it writes down."""

import os
import sys

import pytest

from harness import content, measure, protocol, raw
from harness.cluster import Cluster, kill
from harness.executables import REPOSITORY, clean_environment
from harness.pairs import Pair, wait_for_bytes
from harness.processes import Process
from harness.processes import shared as sharing
from harness.upstream import Upstream
from harness.waiting import until

sys.path.insert(0, str(REPOSITORY / "cluster"))
from runner import system
from runner.recipe import Recipe

BALANCERS = ("haproxy", "haproxy-tls", "nginx", "nginx-tls")
CLIENT, LOGGED, BALANCER = "127.0.0.77", "127.0.0.79", "127.0.0.2"
# The most of a body that is on its way to a receiver that does not read. Each of the three connections, two of them the
# balancer's, has a kernel buffer at both ends; the 8 MiB are more than the processes hold.
HELD = 3 * (measure.receive_buffer() + measure.send_buffer()) + 8 * content.MiB
CANARY = "canary-5b21d9"


@pytest.fixture(scope="module", params=BALANCERS)
def one(request, binaries, tmp_path_factory):
    """One node behind each of the balancers."""
    with sharing():
        made = Cluster(binaries, tmp_path_factory.mktemp(request.param), "--nodes", "1", "--balancer", request.param)
    made.balancer = request.param
    yield made
    assert made.stop() == 0
    made.process.temporary.rmdir()  # which is an error when something is in it


def test_a_file_arrives_whole(one, tmp_path):
    alice, bob = one.person("alice", tmp_path), one.person("bob", tmp_path)
    digest = content.file(tmp_path / "file", "recipe", 60_000_000)
    receiving = bob.receive()
    alice.send(bob, tmp_path / "file").expect(0, 60)
    receiving.expect(0, 10)
    assert content.sha256(bob.inbox / "file") == digest


@pytest.mark.parametrize("size", [None, 300_000], ids=["chunked", "length"])
def test_a_body_is_passed_on_as_it_comes(one, size):
    with Pair(one, source=CLIENT) as pair:
        for _ in range(3):
            offer, download, upload = pair.flowing(size)
            head = None
            for count in range(1, 4):
                piece = os.urandom(100_000)
                upload.send(raw.chunked(piece, end=False) if size is None else piece)
                head = head or download.head()
                assert head.status == 200
                # A chunk has a frame around it, which may be cut in any way.
                wait_for_bytes(download, count * 100_000)
            if size is None:
                upload.send(b"0\r\n\r\n")
            assert upload.answer(method="PUT").status == 200
            download.how_ended()
            pair.receiver.delivered(offer.transfer, 300_000, "0" * 64)
            offer.delivered(5)
    spilled = [path for path in one.directory.rglob("*") if "nginx-" in str(path) and path.is_file()]
    assert not spilled, spilled


@pytest.mark.slow
def test_a_slow_receiver_holds_the_sender_back_and_nothing_is_stored(one):
    with Pair(one) as pair:
        _, _, upload = pair.flowing(2 * HELD)
        upload.socket.settimeout(3)
        piece = b"x" * 65_536

        def push():
            while upload.sent < 2 * HELD:
                upload.socket.send(piece)
                upload.sent += len(piece)

        with pytest.raises(TimeoutError):
            push()
        assert upload.sent < HELD, upload.sent
        upload.close()


def test_a_cut_is_never_passed_on_as_an_end(one):
    with Pair(one) as pair:
        for size in (None, 1_000_000):
            _, download, upload = pair.flowing(size)
            upload.send(raw.chunked(b"x" * 1000, end=False) if size is None else b"x" * 1000)
            head = download.head()
            wait_for_bytes(download, 1000)
            upload.close()
            if size is None:
                assert head.header("transfer-encoding") == "chunked"
                download.how_ended()
                assert not download.buffer.endswith(b"0\r\n\r\n")
            else:
                assert head.header("content-length") == "1000000"
                download.how_ended()
                assert len(download.buffer) < 1_000_000
            assert download.ended != raw.OPEN


def test_a_receiver_that_leaves_is_reported(one):
    with Pair(one) as pair:
        # While it waits for its sender ...
        offer, start = pair.accepted()
        download = pair.connect()
        download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
        offer.start()
        download.close()
        with pytest.raises(protocol.Failed) as failed:
            offer.delivered(10)
        assert failed.value.code == "receiver_gone"
        # ... and in the middle.
        offer, download, upload = pair.flowing(50_000_000)
        upload.send(b"x" * 100_000)
        download.head()
        download.reset()
        upload.send(b"x" * 5_000_000)
        with pytest.raises(protocol.Failed) as failed:
            offer.delivered(20)
        assert failed.value.code == "receiver_gone"


def test_an_early_refusal_can_be_read_in_the_middle_of_an_upload(one):
    for expect in ((), ("Expect: 100-continue",)):
        with raw.Connection(one.address, one.ca, timeout=20) as upload:
            upload.send(raw.request("PUT", f"/upload?token={'A' * 43}", "Content-Length: 20000000", *expect))
            if not expect:
                upload.send(b"x" * 3_000_000)
            first = upload.answer(method="PUT", interim=True)
            if expect and one.balancer == "nginx-tls":
                # nginx says it by itself: README.md tells what that means.
                assert first.status == 100
                first = upload.answer(method="PUT")
            assert first.status == 403, first


def test_the_node_takes_the_client_address_from_the_balancer_alone(one):
    one.session("carol", source=CLIENT).close()
    until(lambda: f"remote={CLIENT}" in one.log_of("n1"), 5, "the client's address in the log")
    assert f"remote={BALANCER}" not in one.log_of("n1")
    # What a client says about itself means nothing.
    with raw.Connection(one.address, one.ca, source="127.0.0.78") as connection:
        forged = ("X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9", "X-Real-IP: 203.0.113.9")
        connection.send(raw.upgrade(*forged))
        assert connection.head().status == 101
        until(lambda: "remote=127.0.0.78" in one.log_of("n1"), 5, "the client's address in the log")
    assert "203.0.113.9" not in one.log_of("n1")
    # The node's own port stays open to others, who need no header there.
    with raw.Connection(("127.0.0.1", one.nodes[0]), one.ca) as connection:
        connection.send(raw.request("GET", "/healthz"))
        assert connection.answer().status == 200


def test_no_token_in_the_balancers_log(one):
    def logged():
        return [line for line in one.log_of("balancer").splitlines() if LOGGED in line]

    with Pair(one) as pair:
        _, start = pair.accepted()
        referer = f"Referer: https://x/{CANARY}"
        requests = [
            raw.request("GET", f"/upload?token={start.token}&x={CANARY}", referer),
            raw.request("GET", f"/download?token={CANARY}\x01"),
            raw.request("GET", f"/{'x' * 70_000}?{CANARY}"),
            # This one is let in, and waits until it is closed.
            raw.request("GET", f"/download?token={start.token}"),
        ]
        for request in requests:
            with raw.Connection(one.address, one.ca, source=LOGGED) as connection:
                connection.send(request)
                connection.how_ended(1)
        # One line for each: what is looked at holds all of them.
        until(lambda: len(logged()) >= len(requests), 15, lambda: f"{len(requests)} lines: {logged()}")
    log = one.log_of("balancer")
    assert start.token not in log and CANARY not in log
    if one.balancer.endswith("-tls"):
        assert any("/upload" in line for line in logged()), "paths are logged"


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize("balancer", BALANCERS)
def test_no_request_is_sent_twice(balancer, method, certs, tmp_path):
    """A node that dies over a request: the balancer must not try the next one with the same token."""
    port = system.Port()
    (tmp_path / "certs").mkdir()
    for name in ("ca.pem", "server.pem", "server.key"):
        (tmp_path / "certs" / name).symlink_to(certs.folder / name)
    (tmp_path / "certs/both.pem").write_bytes(certs.chain.read_bytes() + certs.key.read_bytes())
    with Upstream(certs.chain, certs.key) as first, Upstream(certs.chain, certs.key) as second:
        nodes = [("n1", f"127.0.0.1:{first.port}"), ("n2", f"127.0.0.1:{second.port}")]
        command = Recipe(balancer).fill_in(tmp_path, port, nodes, "localhost")
        process = Process(command, env=clean_environment(tmp_path), folder=tmp_path / "logs", name="balancer")
        address = ("127.0.0.1", port.number)

        def listens():
            assert process.running(), process.tail()
            try:
                raw.Connection(address, str(certs.ca), timeout=3).close()
                return True
            except OSError:
                return False

        until(listens, 15, "the balancer listens")
        for count in range(1, 6):
            with raw.Connection(address, str(certs.ca)) as connection:
                body = ("Content-Length: 4",) if method == "PUT" else ()
                connection.send(raw.request(method, "/x?token=t", *body, body=b"body" if body else b""))
                answer = connection.answer(method=method)
                assert answer is None or answer.status >= 500, answer
            until(lambda count=count: len(first.requests + second.requests) >= count, 5, f"{count} requests")
            assert len(first.requests + second.requests) == count


@pytest.mark.slow
@pytest.mark.parametrize("balancer", BALANCERS)
def test_a_dead_node_is_taken_out_of_rotation_and_comes_back(cluster, balancer):
    made = cluster("--nodes", "2", "--balancer", balancer)

    def status():
        try:
            with raw.Connection(made.address, made.ca, timeout=5) as connection:
                connection.send(raw.request("GET", "/healthz"))
                answer = connection.answer()
                return answer.status if answer else None
        except OSError:
            return None

    assert [status() for _ in range(6)] == [200] * 6
    kill(made.pids[0])
    until(lambda: all(status() == 200 for _ in range(10)), 15, "ten good answers in a row")
    assert made.restart("n1").returncode == 0
    kill(made.pids[1])
    until(lambda: all(status() == 200 for _ in range(10)), 15, "ten good answers of the other one")
