# SPDX-License-Identifier: Apache-2.0
"""HTTP by hand over TLS: exactly the bytes a test wants, and how exactly the other side ended."""

from __future__ import annotations

import dataclasses
import pathlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, Self, TypeVar

from .types import Address

T = TypeVar("T")

#: How a connection ended.
NOTIFY = "close_notify"
TRUNCATED = "end without close_notify"
RESET = "reset"
OPEN = "open"


class DuplexSocket(ssl.SSLSocket):
    """A TLS socket that one thread may read while another writes.

    OpenSSL takes one call at a time for a connection, and Python lets two threads in. So no call waits for the network:
    calls take turns, and threads wait between them.
    """

    _limit: float | None = None
    _turn: threading.Lock | None = None

    def do_handshake(self, block: bool = False) -> None:
        """Waits as any socket does: there is one thread yet."""
        super().do_handshake(block)
        self._turn = threading.Lock()
        super().settimeout(0)

    def settimeout(self, value: float | None) -> None:
        """How long a call may wait."""
        self._limit = value
        super().settimeout(value if self._turn is None else 0)

    def read(self, count: int = 1024, buffer: Any = None) -> Any:
        """As `SSLSocket.read`, which `recv` and `recv_into` call."""
        return self._in_turn(lambda: super(DuplexSocket, self).read(count, buffer))

    def send(self, data: Any, flags: int = 0) -> int:
        """As `SSLSocket.send`, which `sendall` calls."""
        return self._in_turn(lambda: super(DuplexSocket, self).send(data, flags))

    def unwrap(self) -> socket.socket:
        """As `SSLSocket.unwrap`."""
        return self._in_turn(super().unwrap)

    def _in_turn(self, call: Callable[[], T]) -> T:
        if self._turn is None:
            return call()
        deadline = None if self._limit is None else time.monotonic() + self._limit
        while True:
            with self._turn:
                try:
                    return call()
                except ssl.SSLWantReadError:
                    event = select.POLLIN
                except ssl.SSLWantWriteError:
                    event = select.POLLOUT
            poll = select.poll()
            poll.register(self, event)
            left = None if deadline is None else max(0, deadline - time.monotonic())
            if not poll.poll(None if left is None else left * 1000) and left is not None:
                raise TimeoutError("the other side did not go on in time")


def context(ca: str | pathlib.Path, verify: bool = True, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A TLS context that tells a truncated connection from a closed one."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = DuplexSocket
    made.set_alpn_protocols(["http/1.1"])
    # Python asks OpenSSL to take a cut for an end; here the difference is what is tested.
    made.options &= ~getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0x80)
    if version:
        made.minimum_version = made.maximum_version = version
    if verify:
        made.load_verify_locations(ca)
    else:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    return made


@dataclasses.dataclass
class Answer:
    """An HTTP answer, as it came."""

    status: int
    version: str
    headers: list[tuple[str, str]]  # lower-case name, value
    body: bytes
    complete: bool  # whether the body had the end its framing promised

    def header(self, name: str) -> str | None:
        """The value of a header that is there at most once, or None."""
        values = [value for key, value in self.headers if key == name.lower()]
        assert len(values) <= 1, f"{name} is there {len(values)} times"
        return values[0] if values else None


class Connection:
    """One TLS connection with a deadline on every step.

    One that `resumes` another shares its TLS session: with TLS 1.2 that costs neither side a public-key operation.
    """

    def __init__(
        self,
        address: Address,
        ca: str | pathlib.Path,
        *,
        timeout: float = 15,
        source: str | None = None,
        server_name: str = "127.0.0.1",
        version: ssl.TLSVersion | None = None,
        resumes: Connection | None = None,
    ) -> None:
        self.timeout = timeout
        self.context: ssl.SSLContext = resumes.context if resumes else context(ca, version=version)
        plain = socket.create_connection(address, timeout, source_address=(source, 0) if source else None)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket: ssl.SSLSocket = self.context.wrap_socket(
            plain,
            server_hostname=server_name,
            suppress_ragged_eofs=False,
            session=resumes.socket.session if resumes else None,
        )
        self.buffer = b""
        self.ended: str | None = None
        self.sent = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes at once, without a word."""
        self.socket.close()

    def reset(self) -> None:
        """Closes with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Sends everything; an error is remembered, not raised: the answer is what counts."""
        view = memoryview(data)
        try:
            while view:
                count = self.socket.send(view[:65536])
                self.sent += count
                view = view[count:]
            return True
        except (ssl.SSLError, ConnectionError):
            return False

    def receive(self, deadline: float | None = None) -> bool:
        """Reads once into the buffer; False when the connection has ended (see `ended`)."""
        if self.ended:
            return False
        self.socket.settimeout(self.timeout if deadline is None else max(0.001, deadline - time.monotonic()))
        try:
            piece = self.socket.recv(262_144)
        except ssl.SSLEOFError:
            self.ended = TRUNCATED
        except ConnectionError:
            self.ended = RESET
        except ssl.SSLError as error:
            self.ended = f"TLS error {error.reason}"
        else:
            if piece:
                self.buffer += piece
                return True
            self.ended = NOTIFY
        return False

    def how_ended(self, timeout: float = 10) -> str:
        """Reads away what comes, and says how the connection ended; OPEN when it did not within `timeout`."""
        deadline = time.monotonic() + timeout
        try:
            while self.receive(deadline):
                pass
        except TimeoutError:
            return OPEN
        return self.ended or OPEN

    def _until(self, mark: bytes, deadline: float) -> bytes | None:
        while mark not in self.buffer:
            if not self.receive(deadline):
                return None
        head, _, self.buffer = self.buffer.partition(mark)
        return head

    def head(self, timeout: float | None = None) -> Answer | None:
        """Status line and headers of the next answer, or None when the connection ended before."""
        deadline = time.monotonic() + (timeout or self.timeout)
        head = self._until(b"\r\n\r\n", deadline)
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ", 2)
        headers = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        return Answer(int(status), version, headers, b"", False)

    def answer(self, timeout: float | None = None, method: str = "GET", interim: bool = False) -> Answer | None:
        """The next whole answer (interim ones skipped unless asked for), or None when there is none."""
        deadline = time.monotonic() + (timeout or self.timeout)
        found = self.head(timeout)
        while found and found.status < 200 and found.status != 101 and not interim:
            found = self.head(max(0.001, deadline - time.monotonic()))
        if found is None or found.status < 200:
            return found
        length, coding = found.header("content-length"), found.header("transfer-encoding")
        if method == "HEAD" or found.status in (204, 304):
            found.complete = True
        elif coding:
            found.body, found.complete = self._chunks(deadline)
        elif length is not None:
            while len(self.buffer) < int(length) and self.receive(deadline):
                pass
            found.complete = len(self.buffer) >= int(length)
            found.body, self.buffer = self.buffer[: int(length)], self.buffer[int(length) :]
        else:
            while self.receive(deadline):
                pass
            found.body, self.buffer, found.complete = self.buffer, b"", self.ended == NOTIFY
        return found

    def _chunks(self, deadline: float) -> tuple[bytes, bool]:
        body: list[bytes] = []
        while True:
            line = self._until(b"\r\n", deadline)
            if line is None:
                return b"".join(body), False
            size = int(line.split(b";")[0], 16)
            if size == 0:
                return b"".join(body), self._until(b"\r\n", deadline) is not None
            while len(self.buffer) < size + 2 and self.receive(deadline):
                pass
            body.append(self.buffer[:size])
            if len(self.buffer) < size + 2:
                return b"".join(body), False
            self.buffer = self.buffer[size + 2 :]


def request(
    method: str, target: str, *headers: str, host: str = "127.0.0.1", version: str = "HTTP/1.1", body: bytes = b""
) -> bytes:
    """The bytes of a request. `headers` are whole lines without their end."""
    lines = [f"{method} {target} {version}", f"Host: {host}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def upgrade(*headers: str, host: str = "127.0.0.1") -> bytes:
    """The bytes of a request for a control connection."""
    return request(
        "GET",
        "/ws",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: relay.v1",
        *headers,
        host=host,
    )


def chunked(*pieces: bytes, end: bool = True) -> bytes:
    """A chunked body."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if end else b"")
