# SPDX-License-Identifier: Apache-2.0
"""A node that is not one: it takes a request and dies over it, as a balancer's worst customer."""

from __future__ import annotations

import socket
import ssl
from typing import Self

from .listener import Listener
from .types import Path


class Upstream:
    """Listens with TLS, behind a PROXY header if there is one.

    It answers /healthz; every other request is written down, and its connection is closed without an answer.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self.requests: list[str] = []
        self._listener = Listener(self._serve)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(10)
            self.skip_header(plain)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                first = connection.recv(4096).partition(b"\r\n")[0].decode()
                if "/healthz" in first:
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
                elif first:
                    self.requests.append(first)
        except OSError:
            pass
        finally:
            plain.close()

    @staticmethod
    def skip_header(plain: socket.socket) -> None:
        """Reads the PROXY header away, if there is one."""
        start = plain.recv(16, socket.MSG_PEEK | socket.MSG_WAITALL)
        if start.startswith(b"PROXY "):
            while plain.recv(1) != b"\n":
                pass
        elif start.startswith(b"\r\n\r\n\0\r\nQUIT\n"):
            plain.recv(16 + int.from_bytes(start[14:16]), socket.MSG_WAITALL)
