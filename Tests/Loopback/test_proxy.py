# SPDX-License-Identifier: Apache-2.0
"""HTTPS_PROXY and NO_PROXY are obeyed, by the control connection and by the bytes."""

import socket

import pytest

from harness import content
from harness.listener import closed_port
from harness.proxy import Proxy
from harness.waiting import background


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy"])
def test_everything_goes_through_the_proxy(relay, people, tmp_path, variable):
    alice, bob = people("alice", "bob")
    digest = content.file(tmp_path / "file", "proxied", 3_000_000)
    with Proxy("user:p@ss:word") as proxy:
        through = {variable: f"http://user:p%40ss%3Aword@127.0.0.1:{proxy.port}"}
        alice.login(env=through)
        receiving = bob.receive(env=through)
        sending = alice.send(bob, tmp_path / "file", env=through).expect(0, 20)
        receiving.expect(0, 5)
        assert len(proxy.served) >= 5, proxy.asked  # login, two control connections, upload, download
        assert set(proxy.asked) == {f"CONNECT 127.0.0.1:{relay.port} HTTP/1.1"}
    assert content.sha256(bob.inbox / "file") == digest
    assert "p@ss" not in (sending.out() + sending.err()) and "p%40ss" not in (sending.out() + sending.err())


@pytest.mark.parametrize("exception", ["127.0.0.1", "localhost,127.0.0.1", "*", "127.0.0.0/8"])
def test_no_proxy_goes_direct(relay, people, tmp_path, exception):
    alice, bob = people("alice", "bob")
    (tmp_path / "file").write_bytes(b"direct")
    with Proxy() as proxy:
        around = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": exception}
        receiving = bob.receive()
        alice.send(bob, tmp_path / "file", env=around).expect(0, 15)
        receiving.expect(0, 5)
        assert proxy.asked == []


def test_a_proxy_of_another_kind_matters_where_it_is_used(relay, people):
    alice = people("alice")
    other = {"ALL_PROXY": "socks5://127.0.0.1:1"}
    alice.login(env={**other, "NO_PROXY": "127.0.0.1"})
    process = alice.login(env=other, expect=78)
    assert "ALL_PROXY" in process.err(), process.tail()


def test_no_proxy_of_another_host_changes_nothing(relay, people):
    alice = people("alice")
    with Proxy() as proxy:
        alice.login(env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}", "NO_PROXY": "example.com,27.0.0.1"})
        assert len(proxy.served) == 1


def test_http_proxy_alone_is_not_for_https(relay, people):
    alice = people("alice")
    with Proxy() as proxy:
        alice.login(
            env={"HTTP_PROXY": f"http://127.0.0.1:{proxy.port}", "http_proxy": f"http://127.0.0.1:{proxy.port}"}
        )
        assert proxy.asked == []


def test_wrong_proxy_credentials_are_refused_and_not_shown(relay, people):
    alice = people("alice")
    with Proxy("user:right") as proxy:
        process = alice.login(env={"HTTPS_PROXY": f"http://user:wrong-secret@127.0.0.1:{proxy.port}"}, expect=77)
        assert "proxy" in process.err().lower() and "wrong-secret" not in process.err()
        assert len(process.err().strip().splitlines()) == 1
        process = alice.login(env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}, expect=77)
        assert "407" in process.err() or "credentials" in process.err() or "password" in process.err()


def test_a_proxy_that_does_not_listen_is_named(relay, people):
    alice = people("alice")
    port = closed_port()
    process = alice.login(env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"}, expect=69)
    assert "proxy" in process.err().lower() and len(process.err().strip().splitlines()) == 1
    process = alice.run("doctor", env={"HTTPS_PROXY": f"http://127.0.0.1:{port}"}).expect(69, 15)
    assert "proxy" in (process.out() + process.err()).lower()


@pytest.mark.parametrize(
    ("value", "status"),
    # A host by itself is a proxy, of an unknown name.
    [("nonsense.invalid", 69), ("ftp://127.0.0.1:1", 78), ("http://", 78), ("http://127.0.0.1:99999", 78)],
)
def test_an_invalid_proxy_variable_is_named(relay, people, value, status):
    alice = people("alice")
    process = alice.login(env={"HTTPS_PROXY": value}, expect=status)
    assert "proxy" in process.err().lower() and len(process.err().strip().splitlines()) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"",
        b"A" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
    ],
)
def test_a_malformed_proxy_answer_is_blamed_on_the_proxy(relay, people, answer):
    alice = people("alice")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        background(serve)
        process = alice.login(env={"HTTPS_PROXY": f"http://127.0.0.1:{server.getsockname()[1]}"}, expect=69)
    assert "proxy" in process.err().lower() and len(process.err().strip().splitlines()) == 1
