# SPDX-License-Identifier: Apache-2.0
"""An independent reader of HTTP/1.1: h11, behind a balancer, in the place of a relay."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from typing import Self

import h11

from .listener import Listener
from .types import Path
from .upstream import Upstream

#: Nothing more is on its way after so long; the balancers of these tests are on the same machine.
QUIET_SECONDS = 1.5


@dataclasses.dataclass
class Reading:
    """What came on one connection, and what h11 makes of it."""

    sent: bytes = b""
    #: Of each whole request: method, target, body.
    requests: list[tuple[bytes, bytes, bytes]] = dataclasses.field(default_factory=list)
    #: What h11 refused; or that the other side ended, or fell silent, in the middle.
    problem: str | None = None
    #: What is behind the last whole request.
    rest: bytes = b""


def read(connection: socket.socket, *, answers: bool) -> Reading:
    """Reads what comes, to the first whole request if it is answered, or to the end."""
    reading, parser = Reading(), h11.Connection(h11.SERVER)
    head: h11.Request | None = None
    body = b""
    connection.settimeout(QUIET_SECONDS)
    try:
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                piece = connection.recv(65536)
                reading.sent += piece
                parser.receive_data(piece)
            elif isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                reading.requests.append((head.method, head.target, body))
                break
            else:
                reading.problem = "the other side ended"
                break
    except h11.RemoteProtocolError as error:
        reading.problem = str(error)
    except TimeoutError:
        reading.problem = "silence in the middle"
    except (ssl.SSLError, ConnectionError):
        reading.problem = "the other side cut"
    reading.rest = parser.trailing_data[0]
    if answers:
        status = b"200 OK" if reading.requests else b"400 Bad Request"
        connection.sendall(b"HTTP/1.1 " + status + b"\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n")
        # A second request would come now.
        try:
            while piece := connection.recv(65536):
                reading.sent += piece
                reading.rest += piece
        except (OSError, ssl.SSLError):
            pass
    return reading


class Reader:
    """Listens with TLS, behind a PROXY header if there is one, and keeps what it reads. Health checks are answered."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._lock = threading.Condition()
        #: Connections from the moment they are accepted: a handshake may take long on a busy machine.
        self._busy = 0
        self._ports: set[int] = set()
        self._readings: list[Reading] = []
        self._listener = Listener(self._serve, self._begin)
        self.port = self._listener.port

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def taken(self) -> list[Reading]:
        """What was read since this was asked the last time, whole; checks of health are left out."""
        # What was connected before this is accepted before it.
        with socket.create_connection((self._listener.host, self.port), 10) as marker:
            port = marker.getsockname()[1]
            with self._lock:
                assert self._lock.wait_for(lambda: port in self._ports, 20), "nothing is accepted"
        with self._lock:
            assert self._lock.wait_for(lambda: self._busy == 0, 20), "the balancer holds its connections open"
            self._ports.clear()
            readings, self._readings = self._readings, []
        return readings

    def _begin(self, port: int) -> None:
        with self._lock:
            self._busy += 1
            self._ports.add(port)
            self._lock.notify_all()

    def _serve(self, plain: socket.socket) -> None:
        try:
            plain.settimeout(10)
            Upstream.skip_header(plain)
            with self._context.wrap_socket(plain, server_side=True) as connection:
                reading = read(connection, answers=True)
                # The recipes ask for it by this name.
                if reading.sent and b"\r\nhost: relay\r\n" not in reading.sent.lower():
                    self._readings.append(reading)
        except OSError:
            pass
        finally:
            plain.close()
            with self._lock:
                self._busy -= 1
                self._lock.notify_all()
