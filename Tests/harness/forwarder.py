# SPDX-License-Identifier: Apache-2.0
"""A TCP forwarder: a port that stays while what is behind it goes, is cut, or hears nothing any more."""

from __future__ import annotations

import collections
import contextlib
import socket
import threading
from typing import Self

from .listener import Listener
from .types import Address


class Forwarder:
    """Listens on 127.0.0.1 and connects each connection to `target`, which may change at any time."""

    host = Listener.host

    def __init__(self, target: Address) -> None:
        self.target, self.count = target, 0
        self._open: dict[int, tuple[socket.socket, socket.socket]] = {}
        self._mute: set[int] = set()
        #: How many bytes of each connection did not arrive.
        self.dropped: collections.Counter[int | None] = collections.Counter()
        self._lock = threading.Lock()
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    @property
    def url(self) -> str:
        """The address a client is told."""
        return f"https://{self.host}:{self.port}"

    def mute(self, number: int) -> None:
        """From now on nothing of what the client says on connection `number`, from 0, arrives."""
        with self._lock:
            self._mute.add(number)

    def cut(self, number: int | None = None) -> None:
        """Ends connection `number`, from 0, or every one."""
        with self._lock:
            chosen = [key for key in self._open if number in (None, key)]
            made = [each for key in chosen for each in self._open.pop(key)]
        for each in made:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            number, self.count = self.count, self.count + 1
        with client, contextlib.suppress(OSError), socket.create_connection(self.target, 10) as server:
            server.settimeout(None)
            with self._lock:
                self._open[number] = (client, server)
            back = threading.Thread(target=self._pump, args=(server, client, None, number), daemon=True)
            back.start()
            self._pump(client, server, number)
            back.join()

    def heard(self, number: int, piece: bytes) -> None:
        """What the target says on connection `number`, before it is passed on; for subclasses."""

    def _pump(self, source: socket.socket, sink: socket.socket, number: int | None, back: int | None = None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536):
                if back is not None:
                    self.heard(back, piece)
                with self._lock:
                    is_mute = number in self._mute
                if number is not None and is_mute:
                    self.dropped[number] += len(piece)
                else:
                    sink.sendall(piece)
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
