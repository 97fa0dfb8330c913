# SPDX-License-Identifier: Apache-2.0
"""Half-made transfers between two Python clients: a token that is real, and the other half where it should be."""

import contextlib
import time

from . import protocol, raw
from .waiting import until


class Pair:
    """A sender and a receiver at one relay, good for a few transfers."""

    def __init__(self, relay, *, source=None, timeout=15):
        self.relay, self.source, self.timeout = relay, source, timeout
        self.receiver = relay.session("bob", receiving=True, source=source)
        self.sender = relay.session("alice", source=source)
        self.connections = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.close()
        self.sender.close()
        self.receiver.close()

    def connect(self):
        """A raw connection to the relay, closed with the pair."""
        connection = raw.Connection(self.relay.address, self.relay.ca, source=self.source, timeout=self.timeout)
        self.connections.append(connection)
        return connection

    def accepted(self):
        """(offer, download Start): nobody has used a token yet."""
        offer = self.sender.offer(self.receiver.identity.name, protocol.pack(v=0, name="file"))
        ring = self.receiver.ring()
        return offer, self.receiver.accept(ring["transfer"])

    def parked(self):
        """(offer, connection of the parked download, upload Start)."""
        offer, start = self.accepted()
        download = self.connect()
        download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
        return offer, download, offer.start()

    def flowing(self, size=None):
        """(offer, download, upload): both heads are through; the body, of `size` bytes or chunked, is next."""
        offer, download, start = self.parked()
        upload = self.connect()
        framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", framing))
        return offer, download, upload


def received(connection, timeout=10):
    """The answer's head and whatever came of its body until the end of the connection."""
    head = connection.head(timeout)
    connection.how_ended(timeout)
    return head, connection.buffer


def wait_for_bytes(connection, count, timeout=15):
    """Reads until `count` bytes of the buffer are there."""
    deadline = time.monotonic() + timeout

    def enough():
        return len(connection.buffer) >= count or not connection.receive(deadline)

    until(enough, timeout, f"{count} bytes")
    assert len(connection.buffer) >= count, (len(connection.buffer), connection.ended)
