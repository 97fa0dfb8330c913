# SPDX-License-Identifier: Apache-2.0
"""Behind a balancer that says whom it connects for: the PROXY protocol, and X-Forwarded-For.

The balancer of these tests connects from 127.0.0.2, the relay's operator from 127.0.0.1, people from other addresses of
the same machine.
"""

import socket
import ssl

import pytest

from harness import raw
from harness.balancer import Balancer
from harness.pairs import Pair, received
from harness.waiting import until

BALANCER, CLIENT = "127.0.0.2", "127.0.0.77"
V2 = b"".join(
    (
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c",
        socket.inet_aton("203.0.113.9"),
        socket.inet_aton("192.0.2.1"),
        b"\x12\x34\1\xbb",
    )
)
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4660 443\r\n"


@pytest.fixture
def behind(own_relay):
    """A relay that wants a PROXY header of the balancer, and of no other peer."""
    arguments = ["--proxy-protocol", f"{BALANCER},192.0.2.0/24", "--address-limit", "8"]
    return own_relay(registration="open", level="debug", arguments=arguments)


def wrapped(relay, header, source=BALANCER, pieces=1):
    """A TLS connection behind a header, sent in that many pieces."""
    plain = socket.create_connection(relay.address, 10, source_address=(source, 0))
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    size = max(1, len(header) // pieces)
    for start in range(0, len(header), size):
        plain.sendall(header[start : start + size])
    return raw.context(relay.ca).wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)


def healthz(connection):
    """The status of an answer to /healthz."""
    connection.sendall(raw.request("GET", "/healthz"))
    return connection.recv(12).decode()


def refused(relay, header, source):
    """Whether such a connection never gets to speak TLS."""
    try:
        wrapped(relay, header, source).close()
    except (ssl.SSLError, ConnectionError):
        return True
    return False


@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"])
def test_the_client_address_is_that_of_the_proxy_header(behind, tmp_path, option):
    seen = Balancer(behind, tmp_path, f"source {BALANCER} {option}").seen
    seen.session("alice", source=CLIENT).close()
    assert f"remote={CLIENT}" in behind.logs()
    assert f"remote={BALANCER}" not in behind.logs()
    with Pair(seen, source=CLIENT) as pair:
        for _ in range(8):  # both event loops of the relay get their share, so connections move between them
            _, download, upload = pair.flowing(3_000_000)
            upload.send(b"x" * 3_000_000)
            head, body = received(download)
            assert head.status == 200 and len(body) == 3_000_000 and download.ended == raw.NOTIFY
            assert upload.answer(method="PUT").status == 200


def test_each_client_behind_the_balancer_has_a_limit_of_its_own(behind):
    # The header counts: 64 unauthenticated connections at 203.0.113.9, and no more; the balancer and all others go on.
    crowd = [wrapped(behind, V1) for _ in range(64)]
    assert refused(behind, V1, BALANCER) and refused(behind, V2, BALANCER)
    assert healthz(wrapped(behind, V2.replace(b"\x71\x09", b"\x71\x0a"))) == "HTTP/1.1 200"
    assert healthz(wrapped(behind, V1.replace(b"203.0.113.9", b"127.0.0.1"))) == "HTTP/1.1 200"
    behind.healthy()
    crowd.pop().close()
    until(lambda: not refused(behind, V1, BALANCER), 10, "a place is free again")
    for connection in crowd:
        connection.close()


def test_an_address_of_the_machine_itself_has_the_same_limit_and_the_log_says_why(own_relay):
    relay = own_relay(registration="open", arguments=["--address-limit", "1"])
    crowd = [wrapped(relay, b"", "127.0.0.1") for _ in range(8)]
    assert refused(relay, b"", "127.0.0.1") and refused(relay, b"", "127.0.0.1")
    assert healthz(wrapped(relay, b"", CLIENT)) == "HTTP/1.1 200"
    loud = [line for line in relay.logs().splitlines() if "--address-limit off" in line]
    assert len(loud) == 1 and "--proxy-protocol" in loud[0] and "remote=127.0.0.1" in loud[0], loud
    for connection in crowd:
        connection.close()


def test_an_address_limit_that_is_off_refuses_no_client(own_relay):
    relay = own_relay(registration="open", arguments=["--address-limit", "off"])
    crowd = [wrapped(relay, b"", "127.0.0.1") for _ in range(80)]
    assert not refused(relay, b"", "127.0.0.1")
    for connection in crowd:
        connection.close()


def test_a_client_counts_as_unauthenticated_until_it_has_logged_in(behind):
    def upgraded():
        connection = wrapped(behind, V1)
        connection.sendall(raw.upgrade())
        assert connection.recv(12) == b"HTTP/1.1 101"
        return connection

    crowd = [upgraded() for _ in range(64)]
    assert refused(behind, V1, BALANCER), "an upgrade alone is no login"
    crowd.pop().close()
    until(lambda: not refused(behind, V1, BALANCER), 10, "a place is free again")
    for connection in crowd:
        connection.close()


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
def test_a_header_may_come_in_any_number_of_pieces(behind, header):
    for pieces in (1, 2, len(header)):
        assert healthz(wrapped(behind, header, pieces=pieces)) == "HTTP/1.1 200"


def test_the_proxy_header_is_required_of_the_balancer_alone(behind):
    assert refused(behind, b"", BALANCER), "a listed peer without a header"
    assert refused(behind, b"PROXY TCP4 nonsense\r\n", BALANCER)
    assert refused(behind, V1, CLIENT) and refused(behind, V2, CLIENT), "a header from another peer"
    assert healthz(wrapped(behind, b"", CLIENT)) == "HTTP/1.1 200"
    loud = [line for line in behind.logs().splitlines() if "--proxy-protocol" in line]
    assert len(loud) == 1 and "send-proxy-v2" in loud[0] and "remote=127.0.0.2" in loud[0], loud
    assert "203.0.113.9" not in behind.logs()


@pytest.mark.slow
def test_half_a_header_and_silence_is_closed_in_time(behind):
    for start in (b"", V1[:20], V2[:14]):
        with socket.create_connection(behind.address, 5, source_address=(BALANCER, 0)) as plain:
            plain.sendall(start)
            plain.settimeout(15)
            assert plain.recv(1) == b""


def test_plain_http_reads_the_header_too(own_relay):
    relay = own_relay(arguments=["--proxy-protocol", BALANCER, "--http-listen", "127.0.0.1:0"])
    line = next(line for line in relay.logs().splitlines() if "purpose=http" in line and "https" not in line)
    port = int(line.split("address=127.0.0.1:")[1].split()[0])
    for header, source, status in ((V2, BALANCER, b"308"), (b"", CLIENT, b"308"), (b"", BALANCER, b"")):
        with socket.create_connection(("127.0.0.1", port), 10, source_address=(source, 0)) as plain:
            plain.sendall(header + raw.request("GET", "/"))
            assert plain.recv(12)[9:] == status


def test_a_forwarded_address_is_believed_from_a_trusted_balancer_only(own_relay):
    relay = own_relay(registration="open", level="debug", arguments=["--trusted-proxy", BALANCER])
    upgrade = raw.upgrade("X-Forwarded-For: 198.51.100.1, 203.0.113.9")
    for source, expected in ((BALANCER, "203.0.113.9"), (CLIENT, CLIENT)):
        with wrapped(relay, b"", source) as connection:
            connection.sendall(upgrade)
            assert connection.recv(12) == b"HTTP/1.1 101"
            until(lambda expected=expected: f"remote={expected}" in relay.logs(), 5, f"a connection of {expected}")
    assert "198.51.100.1" not in relay.logs()
