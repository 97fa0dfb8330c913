# SPDX-License-Identifier: Apache-2.0
"""An end of TLS in the middle: it has the server's certificate, so it sees what is inside, and passes it on."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

from .listener import Listener
from .types import Address, Path

# What waits to be written on, at most: a slow reader has to slow its writer.
WAITING = 1 << 18
RECORD = 1 << 14
#: Takes the bytes of one direction of one connection.
Take = Callable[[bytes], None]


class Tap:
    """Listens on 127.0.0.1, and connects each connection to `target`.

    `look` is asked once for each direction of a connection, and what it returns gets the bytes. `dial` gives the
    settings for the connection to the target, from the certificate that the client has shown, if it has shown one.
    """

    host = Listener.host

    def __init__(
        self,
        target: Address,
        accept: ssl.SSLContext,
        dial: Callable[[ssl.SSLSocket], ssl.SSLContext],
        look: Callable[[], Take],
        *,
        name: str = "127.0.0.1",
    ) -> None:
        self.target, self._accept, self._dial, self._look, self._name = target, accept, dial, look, name
        self._lock = threading.Lock()
        self._cut_at: int | None = None
        self.passed = self.cuts = self.failures = 0
        self._closing = False
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        self._listener.close()

    def cut_after(self, count: int | None) -> None:
        """Cuts the next connection on which so many bytes have passed in one direction: once, without an end of TLS.
        With None, none."""
        with self._lock:
            self._cut_at = count

    def _serve(self, plain: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(plain)
            try:
                plain.settimeout(10)
                near = self._accept.wrap_socket(plain, server_side=True, suppress_ragged_eofs=False)
                stack.enter_context(near)
                raw = stack.enter_context(socket.create_connection(self.target, 10))
                far = self._dial(near).wrap_socket(raw, server_hostname=self._name, suppress_ragged_eofs=False)
                stack.enter_context(far)
            except OSError:
                self.failures += 1
                return
            with contextlib.suppress(OSError):
                self._join(Way(near, far, self._look()), Way(far, near, self._look()))

    def _join(self, *ways: Way) -> None:
        while not self._closing:
            moved = False
            for way in ways:
                moved = way.move() or moved
                if self._is_cut(way):
                    return
                if way.over:
                    # Everything is through, and both ends are told that this was all.
                    way.finish()
                    return
            if not moved:
                reading = [way.source for way in ways if way.has_room]
                writing = [way.sink for way in ways if way.waiting]
                select.select(reading, writing, [], 1)

    def _is_cut(self, way: Way) -> bool:
        with self._lock:
            self.passed += way.take_count()
            if self._cut_at is None or way.passed < self._cut_at:
                return False
            self._cut_at = None
            self.cuts += 1
        return True


class Way:
    """One direction of one connection."""

    def __init__(self, source: ssl.SSLSocket, sink: ssl.SSLSocket, take: Take) -> None:
        self.source, self.sink, self._take = source, sink, take
        self.waiting = bytearray()
        self.passed = self._new = 0
        self._ended = False
        source.setblocking(False)

    @property
    def has_room(self) -> bool:
        """Whether it takes more."""
        return not self._ended and len(self.waiting) < WAITING

    @property
    def over(self) -> bool:
        """Whether the source has said that it is through, and all of it was written."""
        return self._ended and not self.waiting

    def take_count(self) -> int:
        """How many bytes were read since this was last asked."""
        count, self._new = self._new, 0
        return count

    def move(self) -> bool:
        """Reads and writes what is possible now; whether that was anything. A cut of either end is an OSError."""
        moved = False
        if self.has_room:
            try:
                piece = self.source.recv(RECORD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
            else:
                moved, self._ended = True, not piece
                self._take(piece)
                self.waiting += piece
                self.passed += len(piece)
                self._new += len(piece)
        if self.waiting:
            try:
                del self.waiting[: self.sink.send(self.waiting[:RECORD])]
                moved = True
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass
        return moved

    def finish(self) -> None:
        """Passes the end on."""
        for each in (self.sink, self.source):
            each.settimeout(2)
            with contextlib.suppress(OSError):
                each.unwrap()


def server(chain: Path, key: Path, *, ca: Path | None = None) -> ssl.SSLContext:
    """The settings with which a tap accepts; with `ca`, clients have to show a certificate of it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    context.set_alpn_protocols(["http/1.1"])
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    return context


def client(ca: Path, *, chain: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """The settings with which a tap connects, showing a certificate if there is one."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["http/1.1"])
    if chain is not None:
        context.load_cert_chain(chain, key)
    return context
