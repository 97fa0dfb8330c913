# SPDX-License-Identifier: Apache-2.0
"""Handshakes and records that are wrong in one place, by a TLS stack of others (tlslite-ng).

The relay has to end each with the alert that the standard names, before anything of HTTP is answered; and one that is
right in all places, made in the same way, has to be served.
"""

import contextlib
import socket

import pytest
from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, ContentType, ExtensionType, GroupName
from tlslite.errors import TLSAbruptCloseError, TLSRemoteAlert
from tlslite.extensions import TLSExtension
from tlslite.messages import (
    Alert,
    ApplicationData,
    ChangeCipherSpec,
    ClientHello,
    ClientKeyExchange,
    Finished,
    Message,
)

TLS12, TLS13 = (3, 3), (3, 4)
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
CLOSED = "closed without an alert"


class Twisted(TLSConnection):
    """A client that lets `twist` change each message before it goes out, or put others in its place."""

    def __init__(self, plain, twist):
        super().__init__(plain)
        self.twist = twist

    def _sendMsg(self, msg, *arguments, **named):  # noqa: N802  # the library's name
        for each in self.twist(self, msg) or [msg]:
            yield from super()._sendMsg(each, *arguments, **named)


def settings(version, groups=("x25519", "secp256r1")):
    """Those of a client that offers this version alone."""
    chosen = HandshakeSettings()
    chosen.minVersion = chosen.maxVersion = version
    chosen.eccCurves = list(groups)
    chosen.keyShares = [groups[0]] if version == TLS13 else []
    chosen.dhGroups = []
    return chosen


def outcome(relay, version, twist=lambda *_: None, after=None):
    """What a client is told that says everything right but for what `twist` does, and `after` sends.

    The name of the alert, or that there was none; or the first line of an answer.
    """
    with socket.create_connection(relay.address, 20) as plain:
        client = Twisted(plain, twist)
        # It ends in its own way, which is none of this test's.
        client.ignoreAbruptClose = True
        try:
            client.handshakeClientCert(settings=settings(version))
            if after:
                after(client)
            client.sendall(REQUEST)
            answer = client.recv(4096)
            while answer and b"\r\n" not in answer:
                answer += client.recv(4096)
            return bytes(answer).partition(b"\r\n")[0].decode() if answer else CLOSED
        except TLSRemoteAlert as alert:
            return AlertDescription.toStr(alert.description)
        except (TLSAbruptCloseError, ConnectionError):
            return CLOSED


def in_hello(change):
    """A twist that changes the ClientHello."""

    def twist(_, message):
        if isinstance(message, ClientHello):
            change(message)

    return twist


def without(kind):
    """Leaves an extension out."""

    def change(hello):
        hello.extensions = [each for each in hello.extensions if each.extType != kind]

    return in_hello(change)


def added(kind, payload):
    """An extension of any content."""
    return TLSExtension(extType=kind).create(kind, bytearray(payload))


def replaced(kind, payload):
    """Gives an extension another content; it is added where there is none."""

    def change(hello):
        kept = [each for each in hello.extensions if each.extType != kind]
        hello.extensions = [*kept, added(kind, payload)]

    return in_hello(change)


def share(group, key):
    """The content of key_share with one entry."""
    entry = group.to_bytes(2, "big") + len(key).to_bytes(2, "big") + key
    return len(entry).to_bytes(2, "big") + entry


def doubled(hello):
    hello.extensions = [*hello.extensions, hello.extensions[0]]


def attribute(name, value):
    """Sets a field of the ClientHello."""
    return in_hello(lambda hello: setattr(hello, name, value))


def wrong_finished(_, message):
    if isinstance(message, Finished):
        message.verify_data = bytearray(byte ^ 1 for byte in message.verify_data)


def short_finished(_, message):
    if isinstance(message, Finished):
        message.verify_data = message.verify_data[:-1]


def instead_of_finished(*others):
    """Sends something else where Finished belongs."""

    def twist(_, message):
        return list(others) if isinstance(message, Finished) else None

    return twist


def twice(kind):
    """Sends a message twice."""

    def twist(_, message):
        return [message, message] if isinstance(message, kind) else None

    return twist


def never(kind):
    """Leaves a message out: an empty list would be no change, so a warning that means nothing takes its place."""

    def twist(_, message):
        return [Alert().create(AlertDescription.user_canceled, 1)] if isinstance(message, kind) else None

    return twist


def exchange(payload):
    """Another content of ClientKeyExchange."""

    def twist(_, message):
        if isinstance(message, ClientKeyExchange):
            return [Message(ContentType.handshake, bytearray(b"\x10" + len(payload).to_bytes(3, "big") + payload))]
        return None

    return twist


def raw_message(kind, content):
    return Message(kind, bytearray(content))


def sends(kind, content):
    """Sends one message after the handshake, sealed as any other."""

    def after(client):
        for _ in client._sendMsgThroughSocket(raw_message(kind, content)):
            pass

    return after


def plainly(content):
    """Sends bytes after the handshake as they are."""
    return lambda client: client.sock.send(bytearray(content)) or client.sock.flush()


def damaged(client):
    """A record of which one bit is another."""
    inner = client.sock.socket
    sent = []

    class Keep:
        def send(self, data):
            sent.append(bytes(data))
            return len(data)

    record_socket = client._recordLayer._recordSocket
    real, record_socket.sock = record_socket.sock, Keep()
    for _ in client._sendMsgThroughSocket(ApplicationData().create(bytearray(b"GET"))):
        pass
    record_socket.sock = real
    data = bytearray(b"".join(sent))
    data[-1] ^= 1
    inner.sendall(data)


X25519 = GroupName.x25519
P256 = GroupName.secp256r1
#: One that no relay has made, with a proof of as many bytes as one has.
TICKET = b"\0\x0a\0\4abcd\0\0\0\0\0\x21\x20" + bytes(32)
UNEXPECTED, ILLEGAL, DECODE = "unexpected_message", "illegal_parameter", "decode_error"

#: name: version, twist, what it may be told.
HANDSHAKES = {
    "Finished that is wrong": (TLS13, wrong_finished, {"decrypt_error"}),
    "Finished that is short": (TLS13, short_finished, {DECODE, "decrypt_error"}),
    "data in the place of Finished": (
        TLS13,
        instead_of_finished(ApplicationData().create(bytearray(REQUEST))),
        {UNEXPECTED},
    ),
    "a KeyUpdate before Finished": (
        TLS13,
        instead_of_finished(raw_message(ContentType.handshake, b"\x18\0\0\1\0")),
        {UNEXPECTED},
    ),
    "another ClientHello in the place of Finished": (
        TLS13,
        instead_of_finished(raw_message(ContentType.handshake, b"\1\0\0\2\3\3")),
        {UNEXPECTED, DECODE},
    ),
    "an empty message in the place of Finished": (
        TLS13,
        instead_of_finished(raw_message(ContentType.handshake, b"")),
        {UNEXPECTED},
    ),
    "no key share": (TLS13, without(ExtensionType.key_share), {"missing_extension"}),
    "no groups": (TLS13, without(ExtensionType.supported_groups), {"missing_extension"}),
    "no signature algorithms": (TLS13, without(ExtensionType.signature_algorithms), {"missing_extension"}),
    "an extension twice": (TLS13, in_hello(doubled), {ILLEGAL, DECODE}),
    "an X25519 share of 31 bytes": (TLS13, replaced(ExtensionType.key_share, share(X25519, b"\1" * 31)), {ILLEGAL}),
    "an X25519 share of 33 bytes": (TLS13, replaced(ExtensionType.key_share, share(X25519, b"\1" * 33)), {ILLEGAL}),
    "an X25519 share that gives no secret": (
        TLS13,
        replaced(ExtensionType.key_share, share(X25519, bytes(32))),
        {ILLEGAL, "internal_error"},
    ),
    "a P-256 point that is on no curve": (
        TLS13,
        replaced(ExtensionType.key_share, share(P256, b"\4" + b"\1" * 64)),
        {ILLEGAL},
    ),
    "a compressed P-256 point": (TLS13, replaced(ExtensionType.key_share, share(P256, b"\2" + b"\1" * 32)), {ILLEGAL}),
    "a share of a group that is not offered": (
        TLS13,
        replaced(ExtensionType.key_share, share(GroupName.secp384r1, b"\4" + b"\1" * 96)),
        {ILLEGAL, "handshake_failure"},
    ),
    "a key share that ends too early": (TLS13, replaced(ExtensionType.key_share, b"\0\x26\0\x1d\0\x20\1"), {DECODE}),
    "a list of groups of odd length": (TLS13, replaced(ExtensionType.supported_groups, b"\0\3\0\x1d\0"), {DECODE}),
    "no version but 1.1": (TLS13, replaced(ExtensionType.supported_versions, b"\2\3\2"), {"protocol_version"}),
    "no version but that of the day after tomorrow": (
        TLS13,
        replaced(ExtensionType.supported_versions, b"\2\3\x7f"),
        {"protocol_version"},
    ),
    "compression under TLS 1.3": (TLS13, attribute("compression_methods", [1, 0]), {ILLEGAL}),
    "a session's name of 33 bytes": (TLS13, attribute("session_id", bytearray(33)), {DECODE, ILLEGAL}),
    "no cipher": (TLS13, attribute("cipher_suites", []), {DECODE, ILLEGAL, "handshake_failure"}),
    "no cipher that is known": (TLS13, attribute("cipher_suites", [0x1399]), {"handshake_failure"}),
    "a server's name that ends too early": (TLS13, replaced(ExtensionType.server_name, b"\0\xff\0\0\1a"), {DECODE}),
    "ALPN without a name": (TLS13, replaced(ExtensionType.alpn, b"\0\1\0"), {DECODE, ILLEGAL}),
    "a ticket without the modes it may be used in": (
        TLS13,
        in_hello(
            lambda hello: setattr(
                hello,
                "extensions",
                [each for each in hello.extensions if each.extType != ExtensionType.psk_key_exchange_modes]
                + [added(ExtensionType.pre_shared_key, TICKET)],
            )
        ),
        {"missing_extension", DECODE, ILLEGAL},
    ),
    "something behind a ticket": (
        TLS13,
        in_hello(
            lambda hello: hello.extensions.extend([added(ExtensionType.pre_shared_key, TICKET), added(0x7777, b"")])
        ),
        {ILLEGAL},
    ),
    "Finished that is wrong, under TLS 1.2": (TLS12, wrong_finished, {"decrypt_error"}),
    "no ChangeCipherSpec, under TLS 1.2": (TLS12, never(ChangeCipherSpec), {UNEXPECTED, "bad_record_mac"}),
    # OpenSSL calls it an error of its own, which ends the connection as well.
    "ChangeCipherSpec twice, under TLS 1.2": (TLS12, twice(ChangeCipherSpec), {UNEXPECTED, "internal_error"}),
    "ChangeCipherSpec before the keys, under TLS 1.2": (
        TLS12,
        lambda _, message: [ChangeCipherSpec(), message] if isinstance(message, ClientKeyExchange) else None,
        {UNEXPECTED},
    ),
    "keys twice, under TLS 1.2": (TLS12, twice(ClientKeyExchange), {UNEXPECTED}),
    "no keys, under TLS 1.2": (TLS12, never(ClientKeyExchange), {UNEXPECTED}),
    "an empty key, under TLS 1.2": (TLS12, exchange(b""), {DECODE, ILLEGAL, "handshake_failure"}),
    "a key of no length, under TLS 1.2": (TLS12, exchange(b"\0"), {DECODE, ILLEGAL}),
    "an X25519 key that gives no secret, under TLS 1.2": (
        TLS12,
        exchange(b"\x20" + bytes(32)),
        {ILLEGAL, DECODE, "internal_error"},
    ),
    "a key of 31 bytes, under TLS 1.2": (TLS12, exchange(b"\x1f" + b"\1" * 31), {ILLEGAL, DECODE}),
    "the mark of a client that was made to take less": (
        TLS12,
        in_hello(lambda hello: hello.cipher_suites.append(0x5600)),
        {"inappropriate_fallback"},
    ),
}


@pytest.mark.parametrize("kind", HANDSHAKES)
def test_a_wrong_handshake_ends_with_its_alert(relay, kind):
    version, twist, allowed = HANDSHAKES[kind]
    assert outcome(relay, version, twist) in allowed


RECORDS = {
    "a KeyUpdate of no kind": (sends(ContentType.handshake, b"\x18\0\0\1\2"), {ILLEGAL}),
    "a KeyUpdate that ends too early": (sends(ContentType.handshake, b"\x18\0\0\0"), {DECODE}),
    "a ClientHello after the handshake": (
        sends(ContentType.handshake, b"\1\0\0\x26\3\3" + bytes(32) + b"\0\0\0\0"),
        {UNEXPECTED},
    ),
    "a certificate that was not asked for": (sends(ContentType.handshake, b"\x0b\0\0\4\0\0\0\0"), {UNEXPECTED}),
    "a Finished after the handshake": (sends(ContentType.handshake, b"\x14\0\0\x20" + bytes(32)), {UNEXPECTED}),
    "a message of the handshake of no kind": (sends(ContentType.handshake, b"\x63\0\0\0"), {UNEXPECTED}),
    "a record of no kind": (sends(99, b"x"), {UNEXPECTED}),
    "a record without a kind": (sends(0, bytes(20)), {UNEXPECTED}),
    "an empty message": (sends(ContentType.handshake, b""), {UNEXPECTED}),
    "half an alert": (sends(ContentType.alert, b"\2"), {UNEXPECTED, DECODE}),
    "a record that is longer than one may be": (
        sends(ContentType.application_data, bytes(16_385)),
        {"record_overflow"},
    ),
    "data in the clear": (plainly(b"\x17\3\3\0\x2a" + REQUEST[:42]), {"bad_record_mac"}),
    "an alert in the clear": (
        plainly(b"\x15\3\3\0\2\2\x28"),
        {UNEXPECTED, "bad_record_mac", "record_overflow", DECODE},
    ),
    "a record that is damaged": (damaged, {"bad_record_mac"}),
    "a record that is too long for any": (plainly(b"\x17\3\3\xff\xff"), {"record_overflow", "bad_record_mac"}),
}


@pytest.mark.parametrize("kind", RECORDS)
def test_a_wrong_record_ends_with_its_alert(relay, kind):
    after, allowed = RECORDS[kind]
    assert outcome(relay, TLS13, after=after) in allowed


@pytest.mark.parametrize("version", [TLS12, TLS13], ids=["TLS 1.2", "TLS 1.3"])
def test_the_same_client_is_served_where_nothing_is_wrong(relay, version):
    assert outcome(relay, version) == "HTTP/1.1 200 OK"


def test_all_others_are_served_after_it(relay):
    for twist in (wrong_finished, without(ExtensionType.key_share)):
        with contextlib.suppress(OSError):
            outcome(relay, TLS13, twist)
    relay.healthy()
