# SPDX-License-Identifier: Apache-2.0
"""The listener's TLS as other implementations see it: openssl s_client, sslyze, Python's ssl."""

import os
import pathlib
import shutil
import socket
import ssl
import struct
import subprocess

import pytest

from harness import metrics, raw, tls_records
from harness.executables import REPOSITORY
from harness.tls_records import ALERT, CHANGE_CIPHER_SPEC, DATA, HANDSHAKE, Records
from harness.waiting import until


def s_client(relay, *arguments, given=b"", timeout=20):
    """Runs openssl s_client; returns (exit status, everything it printed)."""
    done = subprocess.run(
        [
            "openssl",
            "s_client",
            "-connect",
            f"127.0.0.1:{relay.port}",
            "-CAfile",
            relay.ca,
            "-verify_return_error",
            *arguments,
        ],
        check=False,
        input=given,
        capture_output=True,
        timeout=timeout,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


REQUEST = raw.request("GET", "/healthz")


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_modern_version_is_served(relay, version):
    status, text = s_client(relay, version, "-quiet", "-ign_eof", given=REQUEST)
    assert status == 0 and "HTTP/1.1 200" in text, text


@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_an_old_version_is_refused(relay, version):
    # Security level 0: or else this client would refuse itself.
    status, text = s_client(relay, version, "-cipher", "ALL:@SECLEVEL=0")
    assert status != 0 and "Cipher is (NONE)" in text, text
    assert "alert protocol version" in text, text


@pytest.mark.parametrize(
    "suite",
    [
        "AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "NULL",
        "aNULL",
        "RC4",
        "3DES",
        "PSK",
        "SRP",
    ],
)
def test_a_weak_suite_is_refused(relay, suite):
    status, text = s_client(relay, "-tls1_2", "-cipher", f"{suite}:@SECLEVEL=0")
    assert status != 0 and (
        "Cipher is (NONE)" in text or "no cipher match" in text.lower() or "no ciphers" in text.lower()
    ), text


@pytest.mark.parametrize(
    "suite", ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"]
)
def test_an_intermediate_suite_is_served(relay, suite):
    status, text = s_client(relay, "-tls1_2", "-cipher", suite)
    assert status == 0 and f"Cipher is {suite}" in text, text


@pytest.mark.parametrize("suite", ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"])
def test_a_tls_1_3_suite_is_served(relay, suite):
    status, text = s_client(relay, "-tls1_3", "-ciphersuites", suite)
    assert status == 0 and f"Cipher is {suite}" in text, text


@pytest.mark.parametrize(
    ("group", "name"),
    [("X25519", "X25519, 253 bits"), ("P-256", "ECDH, prime256v1, 256 bits"), ("P-384", "ECDH, secp384r1, 384 bits")],
)
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_group_of_the_list_is_served(relay, group, name, version):
    # TLS 1.2 has one list for the exchange and for the certificate's curve: P-256 has to be in it, in second place.
    status, text = s_client(
        relay, version, "-groups", group if version == "-tls1_3" or group == "P-256" else f"{group}:P-256"
    )
    assert status == 0 and "Verify return code: 0 (ok)" in text, text
    assert f"Server Temp Key: {name}" in text or (version == "-tls1_2" and "Server Temp Key: " in text), text


@pytest.mark.parametrize("group", ["X448", "P-521", "ffdhe2048"])
def test_another_group_is_refused(relay, group):
    status, text = s_client(relay, "-tls1_3", "-groups", group)
    assert status != 0 and "Cipher is (NONE)" in text, text


@pytest.mark.parametrize("group", ["X448", "P-521"])
def test_another_group_is_not_chosen(relay, group):
    status, text = s_client(relay, "-tls1_2", "-groups", f"{group}:P-256")
    assert status == 0 and "Server Temp Key: ECDH, prime256v1" in text, text


def test_alpn_http_1_1_is_chosen(relay):
    status, text = s_client(relay, "-alpn", "h2,http/1.1")
    assert status == 0 and "ALPN protocol: http/1.1" in text, text


@pytest.mark.parametrize("offered", ["h2", "spdy/3", "http/1.0", "acme-tls/1"])
def test_any_other_alpn_is_refused(relay, offered):
    status, text = s_client(relay, "-alpn", offered)
    assert status != 0 and "no application protocol" in text, text


def test_no_alpn_is_served(relay):
    status, text = s_client(relay, "-quiet", "-ign_eof", given=REQUEST)
    assert status == 0 and "HTTP/1.1 200" in text, text


def test_renegotiation_is_refused(relay):
    # A line with R alone makes s_client renegotiate; the connection must not come out of it with a second handshake.
    status, text = s_client(relay, "-tls1_2", given=b"R\n")
    assert "RENEGOTIATING" in text, text
    assert "no renegotiation" in text or status != 0, text
    relay.healthy()


def sealed(kind, content, count=5000):
    """What makes many records with the same content."""
    return lambda records: b"".join(records.keys.seal(kind, content) for _ in range(count))


def mostly_alerts(records):
    """As many alerts in a row as OpenSSL takes, again and again: data in between begins its count anew."""
    parts = (DATA, b"x"), *[(ALERT, tls_records.USER_CANCELED)] * 4
    begun = records.keys.seal(DATA, b"GET /healthz HTTP/1.1\r\nx: ")
    return begun + b"".join(records.keys.seal(*part) for part in parts * 100)


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
# What costs the peer nothing, and whether it is our limit that ends it, or OpenSSL's.
FLOODS = {
    "key updates that want one": (TLS13, lambda records: records.key_updates(5000), True),
    "key updates": (TLS13, lambda records: records.key_updates(5000, tls_records.KEY_UPDATE), True),
    "alerts": (TLS12, mostly_alerts, True),
    "wishes to negotiate again": (
        TLS12,
        lambda records: b"".join(records.keys.seal(HANDSHAKE, records.hello) for _ in range(100)),
        True,
    ),
    "alerts alone": (TLS13, sealed(ALERT, tls_records.USER_CANCELED), False),
    "no data": (TLS13, sealed(DATA, b""), False),
    "no data, under TLS 1.2": (TLS12, sealed(DATA, b""), False),
    "changes of the cipher": (TLS13, lambda _: b"\x14\3\3\0\1\1" * 5000, False),
    "changes of the cipher, under TLS 1.2": (TLS12, sealed(CHANGE_CIPHER_SPEC, b"\1"), False),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_a_flood_of_what_tls_says_by_itself_ends_the_connection(own_relay, kind):
    version, flood, is_ours = FLOODS[kind]
    relay = own_relay(arguments=["--metrics-listen", "127.0.0.1:0"])
    port = metrics.port_of(relay)
    with Records(relay, version) as records:
        records.send(flood(records))
        # Long before the 10 s in which a request has to come.
        records.ends(5)
    met = 'relay_limits_met_total{limit="tls_messages",of="connection"}'
    until(lambda: metrics.scrape(port)[met] == is_ours, 5, lambda: metrics.scrape(port)[met])
    relay.healthy()


def test_a_request_between_key_updates_is_served(relay):
    with Records(relay) as records:
        request = [records.key_updates(2) + records.keys.seal(DATA, bytes([byte])) for byte in REQUEST[:10]]
        assert records.send(b"".join(request) + records.keys.seal(DATA, REQUEST[10:]))
        # Sealed with keys of the other side's, which are unknown here: its length is enough.
        records.socket.settimeout(10)
        answer = b""
        while piece := records.socket.recv(65536):
            answer += piece
        assert len(answer) > 20 * 27 + len(b"HTTP/1.1 200 OK")


def test_compression_and_early_data_are_off(relay, tmp_path):
    _, text = s_client(relay, "-tls1_2", "-comp", "-cipher", "DEFAULT:@SECLEVEL=0")
    assert "Compression: NONE" in text, text
    s_client(relay, "-tls1_3", "-sess_out", str(tmp_path / "session"), "-quiet", "-ign_eof", given=REQUEST)
    shown = subprocess.run(
        ["openssl", "sess_id", "-in", tmp_path / "session", "-noout", "-text"],
        check=False,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert "Max Early Data: 0" in shown.stdout, shown.stdout + shown.stderr


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_session_is_resumed(relay, version, tmp_path):
    session = str(tmp_path / "session")
    status, text = s_client(relay, version, "-sess_out", session, "-quiet", "-ign_eof", given=REQUEST)
    assert status == 0 and pathlib.Path(session).exists(), text
    status, text = s_client(relay, version, "-sess_in", session, "-ign_eof", given=REQUEST)
    assert status == 0 and "HTTP/1.1 200" in text, text
    assert "Reused, TLSv1" in text, text


def test_a_foreign_session_gets_a_full_handshake(relay, own_relay, tmp_path):
    session = str(tmp_path / "session")
    other = own_relay()
    s_client(other, "-tls1_3", "-sess_out", session, "-quiet", "-ign_eof", given=REQUEST)
    if not pathlib.Path(session).exists():
        pytest.fail("no session was given")
    status, text = s_client(relay, "-tls1_3", "-sess_in", session, "-ign_eof", given=REQUEST)
    assert status == 0 and "HTTP/1.1 200" in text and "New, TLSv1.3" in text, text


@pytest.mark.parametrize(
    "name",
    [["-verify_ip", "127.0.0.1"], ["-verify_hostname", "localhost", "-servername", "localhost"]],
    ids=["address", "name"],
)
def test_the_certificate_is_for_the_names_it_was_made_for(relay, name):
    status, text = s_client(relay, *name)
    assert status == 0 and "Verify return code: 0 (ok)" in text, text


def test_another_name_does_not_verify(relay):
    status, _ = s_client(relay, "-verify_hostname", "example.com")
    assert status != 0


def test_an_answer_ends_with_close_notify(relay):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        with raw.Connection(relay.address, relay.ca, version=version) as connection:
            connection.send(REQUEST)
            assert connection.answer().status == 200
            assert connection.how_ended() == raw.NOTIFY


def alert_or_end(relay, *sent):
    """Sends bytes over plain TCP; returns what came back until the end."""
    with socket.create_connection(relay.address, 10) as plain:
        for piece in sent:
            plain.sendall(piece)
        got = b""
        try:
            while piece := plain.recv(4096):
                got += piece
        except ConnectionResetError:
            pass
        return got


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10" + b"\x01" * 37,
        b"\x16\x03\x01\xff\xff" + b"\x00" * 65535,
        b"\x16\x03\x01\x00\x05\x01\xff\xff\xff\x00" + b"\x16\x03\x01\x40\x00" + b"\x00" * 16384,
        b"\x15\x03\x03\x00\x02\x02\x28",
        b"\x17\x03\x03\x00\x10" + b"\x00" * 16,
        b"\x14\x03\x03\x00\x01\x01" * 64,
        b"\xff" * 1000,
    ],
    ids=[
        "plain-http",
        "sslv2-hello",
        "record-too-long",
        "hello-of-16-MiB",
        "alert-first",
        "data-first",
        "ccs-flood",
        "noise",
    ],
)
def test_what_is_no_tls_is_closed_at_once(relay, sent):
    got = alert_or_end(relay, sent)
    assert b"HTTP/1" not in got and len(got) < 200, got
    relay.healthy()


def test_a_client_hello_in_single_bytes_is_understood(relay):
    context = raw.context(relay.ca)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(relay.address, 10) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    plain.sendall(bytes([byte]))
                incoming.write(plain.recv(65536))
        session.write(REQUEST)
        plain.sendall(outgoing.read())
        got = b""
        while b"200" not in got:
            try:
                got += session.read()
            except ssl.SSLWantReadError:
                piece = plain.recv(65536)
                assert piece, got
                incoming.write(piece)


def test_a_reset_during_a_handshake_does_not_disturb_others(relay):
    for _ in range(50):
        plain = socket.create_connection(relay.address, 10)
        plain.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.close()
    relay.healthy()


def sslyze():
    """The sslyze executable: named by RELAY_SSLYZE, or in a virtual environment of its own, or on the PATH."""
    named = os.environ.get("RELAY_SSLYZE")
    beside = REPOSITORY / ".build-venv-sslyze/bin/sslyze"
    found = named or (str(beside) if beside.exists() else shutil.which("sslyze"))
    assert found and os.access(found, os.X_OK), (
        "sslyze is not installed: python3 -m venv .build-venv-sslyze && "
        ".build-venv-sslyze/bin/pip install -r Tests/requirements-sslyze.txt (or set RELAY_SSLYZE)"
    )
    return found


def test_sslyze_finds_mozilla_intermediate(relay):
    done = subprocess.run(
        [sslyze(), f"--certinfo_ca_file={relay.ca}", "--mozilla_config=intermediate", f"localhost:{relay.port}"],
        check=False,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert "OK - Compliant" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0, done.stdout + done.stderr
