# SPDX-License-Identifier: Apache-2.0
"""A small client of the relay's control connection (docs/wire-protocol.md), enough to get two tokens.

Needs nothing but the standard library and the openssl command, so that a measurement installs no packages.
"""

import base64
import contextlib
import json
import os
import queue
import socket
import ssl
import struct
import subprocess
import threading
from typing import Any

from .processes import Failure

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
ANSWER_SECONDS = 30

#: A message of the control connection.
Message = dict[str, Any]


def encode(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


class Identity:
    """An Ed25519 key, made and used by the openssl command."""

    def __init__(self, directory: str, name: str) -> None:
        self.name = name
        self.path = os.path.join(directory, f"{name}.ed25519")
        self.key = self._make("ed25519", self.path)

    @staticmethod
    def _make(algorithm: str, path: str) -> bytes:
        def run(*arguments: str) -> bytes:
            return subprocess.run(("openssl", *arguments), check=True, capture_output=True).stdout

        run("genpkey", "-algorithm", algorithm, "-out", path)
        # A public key of these kinds is the last 32 bytes of its DER form (RFC 8410, section 4).
        return run("pkey", "-in", path, "-pubout", "-outform", "DER")[-32:]

    def sign(self, text: str) -> bytes:
        """The Ed25519 signature of `text`."""
        message = self.path + ".message"
        with open(message, "wb") as file:
            file.write(text.encode("utf-8"))
        command = ("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.path, "-in", message)
        return subprocess.run(command, check=True, capture_output=True).stdout


class SecureStream:
    """TLS over a socket that one thread may read while another one writes, which ssl.SSLSocket does not allow."""

    def __init__(self, port: int, ca: str) -> None:
        self.raw = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.create_default_context(cafile=ca)
        self.session = context.wrap_bio(self.incoming, self.outgoing, server_hostname="127.0.0.1")
        self.lock = threading.Lock()
        while True:
            try:
                self.session.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._flush()
                self._feed()
        self._flush()

    def send(self, data: bytes) -> None:
        """Sends all of `data`."""
        with self.lock:
            self.session.write(data)
            self._flush()

    def receive(self) -> bytes:
        """Some bytes; none at the end of the connection."""
        while True:
            with self.lock:
                try:
                    return self.session.read(65536)
                except ssl.SSLWantReadError:
                    self._flush()
                except ssl.SSLError:
                    return b""
            self._feed()

    def _flush(self) -> None:
        data = self.outgoing.read()
        if data:
            self.raw.sendall(data)

    def _feed(self) -> None:
        data = self.raw.recv(65536)
        if data:
            self.incoming.write(data)
        else:
            self.incoming.write_eof()


def upgrade(host: str) -> bytes:
    """The request that makes a connection a WebSocket of the relay."""
    key = base64.b64encode(os.urandom(16)).decode("ascii")
    return (
        f"GET /ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        "Sec-WebSocket-Protocol: relay.v1\r\n\r\n"
    ).encode("ascii")


class Session:
    """One logged-in control connection. A thread of its own reads it and answers pings."""

    def __init__(self, port: int, ca: str, identity: Identity) -> None:
        self.host = f"127.0.0.1:{port}"
        self.messages: queue.Queue[Message | None] = queue.Queue()
        self.is_open = True
        self.next_id = 0
        self.stream = SecureStream(port, ca)
        self.buffer = self._upgrade()
        self.stream.raw.settimeout(None)
        threading.Thread(target=self._read, daemon=True).start()
        self._login(identity)

    def close(self) -> None:
        """Cuts the connection."""
        with contextlib.suppress(OSError):
            self.stream.raw.shutdown(socket.SHUT_RDWR)

    def send(self, kind: str, **fields: object) -> str:
        """Sends one message; returns its id."""
        self.next_id += 1
        identifier = f"c{self.next_id}"
        self._send_frame(TEXT, json.dumps({"type": kind, "id": identifier, **fields}).encode("utf-8"))
        return identifier

    def expect(self, kind: str, **fields: object) -> Message:
        """The next message of that type with those fields; others are passed over, except failures."""
        while True:
            try:
                message = self.messages.get(timeout=ANSWER_SECONDS)
            except queue.Empty:
                raise Failure(f"the relay sent no {kind!r} within {ANSWER_SECONDS} s") from None
            if message is None:
                raise Failure(f"the relay closed the control connection instead of sending {kind!r}")
            if message.get("type") == kind and all(message.get(key) == value for key, value in fields.items()):
                return message
            if message.get("type") in ("error", "failed"):
                raise Failure(f"the relay answered {message.get('code')!r} instead of {kind!r}")

    def _upgrade(self) -> bytearray:
        self.stream.send(upgrade(self.host))
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = self.stream.receive()
            if not part or len(answer) > 16384:
                raise Failure("the relay did not answer the WebSocket upgrade")
            answer += part
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise Failure(f"the relay refused the WebSocket upgrade: {head.splitlines()[0].decode('latin-1')}")
        return bytearray(rest)

    def _login(self, identity: Identity) -> None:
        nonce = self.expect("challenge")["nonce"]
        signed = f"relay.v1 register\n{self.host}\n{identity.name}\n{nonce}"
        credentials = {
            "name": identity.name,
            "key": encode(identity.key),
            "signature": encode(identity.sign(signed)),
            "agent": "benchmark/1",
        }
        self.send("register", credentials=credentials)
        self.expect("welcome")

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        mask = os.urandom(4)
        length = len(payload)
        head = bytes((0x80 | opcode,))
        head += bytes((0x80 | length,)) if length < 126 else bytes((0x80 | 126,)) + struct.pack(">H", length)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self.stream.send(head + mask + masked)

    def _take(self, count: int) -> bytes:
        while len(self.buffer) < count:
            part = self.stream.receive()
            if not part:
                raise OSError("closed")
            self.buffer += part
        taken = bytes(self.buffer[:count])
        del self.buffer[:count]
        return taken

    def _read(self) -> None:
        text = b""
        try:
            while True:
                first, second = self._take(2)
                length = second & 0x7F
                if length == 126:
                    (length,) = struct.unpack(">H", self._take(2))
                elif length == 127:
                    (length,) = struct.unpack(">Q", self._take(8))
                payload = self._take(length)
                opcode = first & 0x0F
                if opcode == PING:
                    self._send_frame(PONG, payload)
                elif opcode == CLOSE:
                    break
                elif opcode in (0x0, TEXT):
                    text += payload
                    if first & 0x80:
                        self.messages.put(json.loads(text))
                        text = b""
        except (OSError, ValueError):
            pass
        self.is_open = False
        self.messages.put(None)
