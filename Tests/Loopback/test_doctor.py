# SPDX-License-Identifier: Apache-2.0
"""`doctor` names the step that fails, and says that those before it are well."""

import contextlib
import http.server
import re
import signal
import socket
import ssl
import threading

import pytest

from harness import certificates
from harness.listener import Listener, closed_port
from harness.proxy import Proxy

UNREACHABLE, PROTOCOL, REFUSED = 69, 76, 77

DIRECT = ["settings", "DNS", "TCP", "TLS", "certificate", "WebSocket", "login"]
PROXIED = ["settings", "DNS", "TCP", "proxy", "TLS", "certificate", "WebSocket", "login"]


def assert_fails(process, status, step, way=DIRECT, *words):
    """It ends with this status, blames this step alone, and has found all before it well."""
    process.expect(status, 20)
    found = re.findall(r"(?m)^(\w+) +(OK|FAILED) +(.*)$", process.out())
    named = [(name, verdict) for name, verdict, _ in found]
    assert named == [(each, "OK") for each in way[: way.index(step)]] + [(step, "FAILED")], process.tail()
    assert all(word in found[-1][2] for word in words), process.tail()


@pytest.fixture
def alice(relay, tmp_path):
    """A user with a profile."""
    return relay.person("alice", tmp_path)


@contextlib.contextmanager
def web_server(context=None):
    """A server of another kind: HTTP, or HTTPS with a context; gives its port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as server:
        if context:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_every_step_is_ok_with_a_good_relay(alice):
    process = alice.run("doctor").expect(0, 15)
    assert re.findall(r"(?m)^(\w+) +OK ", process.out()) == DIRECT, process.tail()


def test_every_step_is_ok_through_a_proxy(alice):
    with Proxy() as proxy:
        process = alice.run("doctor", env={"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}).expect(0, 15)
    assert re.findall(r"(?m)^(\w+) +OK ", process.out()) == PROXIED, process.tail()


def test_an_unknown_host_fails_the_dns_step(alice):
    assert_fails(alice.run("doctor", "--server", "https://relay.invalid"), UNREACHABLE, "DNS", DIRECT, "relay.invalid")


def test_a_closed_port_fails_the_tcp_step(alice):
    port = closed_port()
    assert_fails(alice.run("doctor", "--server", f"https://127.0.0.1:{port}"), UNREACHABLE, "TCP", DIRECT, f"{port}")


def test_a_proxy_that_does_not_listen_fails_the_tcp_step(alice):
    proxy = f"http://127.0.0.1:{closed_port()}"
    assert_fails(alice.run("doctor", env={"HTTPS_PROXY": proxy}), UNREACHABLE, "TCP", PROXIED, "the proxy")


def test_a_proxy_that_wants_credentials_fails_the_proxy_step(alice):
    with Proxy("user:right") as proxy:
        env = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        assert_fails(alice.run("doctor", env=env), REFUSED, "proxy", PROXIED, "password")


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", REFUSED),
        (b"HTTP/1.1 502 No\r\n\r\n", UNREACHABLE),
        (b"", UNREACHABLE),
    ],
    ids=["403", "502", "nothing"],
)
def test_a_refused_tunnel_fails_the_proxy_step(alice, answer, status):
    def serve(client):
        with client:
            client.recv(4096)
            client.sendall(answer)

    listener = Listener(serve)
    env = {"HTTPS_PROXY": f"http://127.0.0.1:{listener.port}"}
    assert_fails(alice.run("doctor", env=env), status, "proxy", PROXIED, f"127.0.0.1:{listener.port}")
    listener.close()


def test_a_server_without_tls_fails_the_tls_step(alice):
    with web_server() as port:
        process = alice.run("doctor", "--server", f"https://127.0.0.1:{port}")
        assert_fails(process, PROTOCOL, "TLS", DIRECT, "does not speak TLS")


def test_a_cut_handshake_fails_the_tls_step(alice):
    listener = Listener(lambda client: client.close())
    process = alice.run("doctor", "--server", f"https://127.0.0.1:{listener.port}")
    assert_fails(process, UNREACHABLE, "TLS", DIRECT, "handshake")
    listener.close()


def test_a_tunnel_that_is_cut_at_once_fails_the_tls_step(alice):
    def serve(client):
        with client:
            client.recv(4096)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    listener = Listener(serve)
    env = {"HTTPS_PROXY": f"http://127.0.0.1:{listener.port}"}
    assert_fails(alice.run("doctor", env=env), UNREACHABLE, "TLS", PROXIED, "handshake")
    listener.close()


def test_an_untrusted_certificate_fails_the_certificate_step(alice, tmp_path):
    other = certificates.forged(tmp_path / "other", "127.0.0.1")
    assert_fails(alice.run("doctor", "--ca", other.ca), REFUSED, "certificate", DIRECT, "--ca")


def test_another_tls_server_fails_the_websocket_step(alice, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.chain, certs.key)
    with web_server(context) as port:
        process = alice.run("doctor", "--server", f"https://127.0.0.1:{port}")
        assert_fails(process, PROTOCOL, "WebSocket", DIRECT, "is not a relay")


def test_a_relay_that_does_not_know_the_key_fails_the_login_step(alice, own_relay):
    stranger = own_relay(registration="invite")
    assert_fails(alice.run("doctor", "--server", stranger.url), REFUSED, "login", DIRECT, alice.name)
    process = alice.run("doctor", "--json", "--server", stranger.url).expect(REFUSED, 15)
    assert [(line["step"], line["ok"]) for line in process.events()] == [(step, step != "login") for step in DIRECT], (
        process.tail()
    )


@pytest.mark.slow
def test_a_silent_server_fails_the_step_that_waits_for_it(alice, certs):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certs.chain, certs.key)

    def silent(client):
        with client, contextlib.suppress(OSError):
            while client.recv(4096):
                pass

    def silent_behind_tls(client):
        with contextlib.suppress(OSError):
            silent(context.wrap_socket(client, server_side=True))

    plain, encrypted = Listener(silent), Listener(silent_behind_tls)
    proxy = alice.run("doctor", env={"HTTPS_PROXY": f"http://127.0.0.1:{plain.port}"})
    tls = alice.run("doctor", "--server", f"https://127.0.0.1:{plain.port}")
    upgrade = alice.run("doctor", "--server", f"https://127.0.0.1:{encrypted.port}")
    assert_fails(proxy, UNREACHABLE, "proxy", PROXIED, "opened no tunnel")
    assert_fails(tls, UNREACHABLE, "TLS", DIRECT, "handshake")
    assert_fails(upgrade, UNREACHABLE, "WebSocket", DIRECT, "does not answer the upgrade")
    plain.close()
    encrypted.close()


def test_an_interrupt_fails_no_step(alice):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = alice.run("doctor", "--server", f"https://127.0.0.1:{silent.getsockname()[1]}")
        process.wait_for("TCP +OK", 10)
        process.signal(signal.SIGINT)
        process.expect(130, 5)
    assert "FAILED" not in process.out() and "interrupted" in process.err(), process.tail()
