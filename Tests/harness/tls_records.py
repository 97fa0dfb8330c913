# SPDX-License-Identifier: Apache-2.0
"""TLS records that no library sends: Python's ssl does the handshake; records are sealed here with the keys it logs."""

import os
import socket
import ssl
import tempfile
from typing import Self

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from . import raw
from .types import Server

CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
#: A KeyUpdate that asks for one (RFC 8446, section 4.6.3), and one that does not.
KEY_UPDATE_REQUESTED, KEY_UPDATE = b"\x18\0\0\1\1", b"\x18\0\0\1\0"
#: Of the level warning.
USER_CANCELED = b"\1\x5a"
RANDOM = slice(11, 43)


class Keys13:
    """What seals a client's records of TLS 1.3 with AES-256-GCM and SHA-384 (RFC 8446, sections 5.2, 7.2 and 7.3)."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        self.secret = secrets["CLIENT_TRAFFIC_SECRET_0"]
        self._derive()

    def _expand(self, label: bytes, length: int) -> bytes:
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
        return HKDFExpand(hashes.SHA384(), length, info).derive(self.secret)

    def _derive(self) -> None:
        self.cipher, self.iv, self.number = AESGCM(self._expand(b"key", 32)), self._expand(b"iv", 12), 0

    def next(self) -> None:
        """The keys after a KeyUpdate."""
        self.secret = self._expand(b"traffic upd", 48)
        self._derive()

    def seal(self, kind: int, content: bytes) -> bytes:
        """One record."""
        nonce = (int.from_bytes(self.iv, "big") ^ self.number).to_bytes(12, "big")
        self.number += 1
        head = bytes([DATA, 3, 3]) + (len(content) + 17).to_bytes(2, "big")
        return head + self.cipher.encrypt(nonce, content + bytes([kind]), head)


class Keys12:
    """The same of TLS 1.2 with AES-128-GCM (RFC 5246, sections 5 and 6.3; RFC 5288, section 3)."""

    def __init__(self, secrets: dict[str, bytes]) -> None:
        seed = b"key expansion" + secrets["server_random"] + secrets["client_random"]
        block, step = b"", seed
        while len(block) < 40:
            step = self._hash(secrets["CLIENT_RANDOM"], step)
            block += self._hash(secrets["CLIENT_RANDOM"], step + seed)
        # The client's Finished was record 0.
        self.cipher, self.salt, self.number = AESGCM(block[:16]), block[32:36], 1

    @staticmethod
    def _hash(key: bytes, data: bytes) -> bytes:
        made = hmac.HMAC(key, hashes.SHA256())
        made.update(data)
        return made.finalize()

    def seal(self, kind: int, content: bytes) -> bytes:
        """One record."""
        number = self.number.to_bytes(8, "big")
        self.number += 1
        head = bytes([kind, 3, 3])
        sealed = self.cipher.encrypt(self.salt + number, content, number + head + len(content).to_bytes(2, "big"))
        return head + (len(sealed) + 8).to_bytes(2, "big") + number + sealed


class Records:
    """A connection after its handshake. `hello` is the ClientHello it began with."""

    def __init__(self, relay: Server, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
        context = raw.context(relay.ca, version=version)
        # For TLS 1.2; of the suites of TLS 1.3, OpenSSL's clients like TLS_AES_256_GCM_SHA384 best.
        context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.socket = socket.create_connection(relay.address, 15)
        answers = b""
        with tempfile.TemporaryDirectory() as folder:
            context.keylog_filename = os.path.join(folder, "keys")
            session = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
            self.hello = b""
            while True:
                try:
                    session.do_handshake()
                except ssl.SSLWantReadError:
                    piece = outgoing.read()
                    self.hello = self.hello or piece[5:]
                    self.socket.sendall(piece)
                    answer = self.socket.recv(65536)
                    answers += answer
                    incoming.write(answer)
                    continue
                break
            self.socket.sendall(outgoing.read())
            with open(context.keylog_filename, encoding="ascii") as file:
                lines = [line.split() for line in file if not line.startswith("#")]
        secrets = {name: bytes.fromhex(secret) for name, _, secret in lines}
        secrets |= {"client_random": self.hello[6:38], "server_random": answers[RANDOM]}
        self.keys = Keys13(secrets) if version == ssl.TLSVersion.TLSv1_3 else Keys12(secrets)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Whether the other side still takes it."""
        try:
            self.socket.sendall(data)
            return True
        except OSError:
            return False

    def ends(self, timeout: float = 10) -> None:
        """Waits until the other side has closed; what it says until then is not looked at."""
        self.socket.settimeout(timeout)
        try:
            while self.socket.recv(65536):
                pass
        except ConnectionError:
            pass

    def key_updates(self, count: int, content: bytes = KEY_UPDATE_REQUESTED) -> bytes:
        """That many, each under the keys of the one before."""
        assert isinstance(self.keys, Keys13), "TLS 1.2 has no KeyUpdate"
        records = []
        for _ in range(count):
            records.append(self.keys.seal(HANDSHAKE, content))
            self.keys.next()
        return b"".join(records)
