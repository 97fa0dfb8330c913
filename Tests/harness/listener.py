# SPDX-License-Identifier: Apache-2.0
"""A port of 127.0.0.1, and what its connections are told."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Listener:
    """Hands each connection to `serve`, on a thread of its own, until it is closed."""

    host = "127.0.0.1"

    def __init__(
        self, serve: Callable[[socket.socket], None], accepted: Callable[[int], None] = lambda port: None
    ) -> None:
        """`accepted` hears the other side's port of each, in the order in which they came, before it is served."""
        self._serve, self._accepted = serve, accepted
        self._socket = socket.create_server((self.host, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, address = self._socket.accept()
                self._accepted(address[1])
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def close(self) -> None:
        """Stops listening."""
        # A thread that waits in accept(2) keeps the port listening after a mere close.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def closed_port() -> int:
    """A port without a listener."""
    with socket.create_server((Listener.host, 0)) as closed:
        return closed.getsockname()[1]
