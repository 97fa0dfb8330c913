# SPDX-License-Identifier: Apache-2.0
"""Half-made transfers between two Python clients: a token that is real, and the other half where it should be."""

from __future__ import annotations

import contextlib
import hashlib
import time
from typing import TYPE_CHECKING, Self

from . import content, protocol, raw
from .waiting import until

if TYPE_CHECKING:
    from .relay import Relay


class Pair:
    """A sender and a receiver for a few transfers, at one relay or with their four connections at different nodes."""

    def __init__(
        self,
        relay: Relay,
        *,
        receiver: Relay | None = None,
        upload: Relay | None = None,
        download: Relay | None = None,
        source: str | None = None,
        timeout: float = 15,
    ) -> None:
        self.relay, self.source, self.timeout = relay, source, timeout
        self.upload_at, self.download_at = upload or relay, download or receiver or relay
        self.receiver = (receiver or relay).session("bob", receiving=True, source=source)
        try:
            self.sender = relay.session("alice", source=source)
        except Exception:
            self.receiver.close()
            raise
        self.connections: list[raw.Connection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.close()
        for session in (self.sender, self.receiver):
            # The node may be dead, or frozen.
            with contextlib.suppress(OSError, TimeoutError):
                session.close()

    def connect(self, relay: Relay | None = None) -> raw.Connection:
        """A raw connection to a relay (that of the sender unless it is said), closed with the pair."""
        relay = relay or self.relay
        connection = raw.Connection(relay.address, relay.ca, source=self.source, timeout=self.timeout)
        self.connections.append(connection)
        return connection

    def accepted(self) -> tuple[protocol.Offer, protocol.Start]:
        """(offer, download Start): no token is used yet."""
        offer = self.sender.offer(self.receiver.identity.name, protocol.pack(v=0, name="file"))
        ring = self.receiver.ring()
        return offer, self.receiver.accept(ring["transfer"])

    def parked(self) -> tuple[protocol.Offer, raw.Connection, protocol.Start]:
        """(offer, connection of the parked download, upload Start)."""
        offer, start = self.accepted()
        download = self.connect(self.download_at)
        download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
        return offer, download, offer.start()

    def flowing(self, size: int | None = None) -> tuple[protocol.Offer, raw.Connection, raw.Connection]:
        """(offer, download, upload): both heads are through; the body, of `size` bytes or chunked, is next."""
        offer, download, start = self.parked()
        upload = self.connect(self.upload_at)
        framing = "Transfer-Encoding: chunked" if size is None else f"Content-Length: {size}"
        upload.send(raw.request("PUT", "/upload", f"Authorization: Bearer {start.token}", framing))
        return offer, download, upload

    def whole(self, size: int = 100_000) -> None:
        """One transfer until it is delivered. No two parts of the content are equal: repetitions and gaps are found."""
        offer, download, upload = self.flowing(size)
        digest, head = hashlib.sha256(), None
        # In step, so that neither side ever waits for the other.
        for piece in content.blocks(offer.transfer, size, 65_536):
            upload.send(piece)
            head = head or download.head()
            wait_for_bytes(download, len(piece))
            assert head and head.status == 200 and download.buffer == piece
            digest.update(piece)
            download.buffer = b""
        answer = upload.answer(method="PUT")
        assert answer and answer.status == 200, answer
        assert download.how_ended() == raw.NOTIFY and not download.buffer
        self.receiver.delivered(offer.transfer, size, digest.hexdigest())
        assert offer.delivered(10)["size"] == size


def received(connection: raw.Connection, timeout: float = 10) -> tuple[raw.Answer | None, bytes]:
    """The answer's head and whatever came of its body until the end of the connection."""
    head = connection.head(timeout)
    connection.how_ended(timeout)
    return head, connection.buffer


def wait_for_bytes(connection: raw.Connection, count: int, timeout: float = 15) -> None:
    """Reads until `count` bytes of the buffer are there."""
    deadline = time.monotonic() + timeout

    def enough() -> bool:
        return len(connection.buffer) >= count or not connection.receive(deadline)

    until(enough, timeout, f"{count} bytes")
    assert len(connection.buffer) >= count, (len(connection.buffer), connection.ended)


class Stream:
    """A transfer that goes on piece by piece, for as long as a test wants it."""

    def __init__(self, pair: Pair, size: int = 16 << 20) -> None:
        self.pair, self.size = pair, size
        self.offer, self.download, self.upload = pair.flowing(size)
        self._pieces = content.blocks(self.offer.transfer, size, 65_536)
        self._head: raw.Answer | None = None

    def go_on(self, pieces: int = 8) -> bool:
        """Some more of it arrives; False once all of it has."""
        for _ in range(pieces):
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self.upload.send(piece)
            self._head = self._head or self.download.head()
            wait_for_bytes(self.download, len(piece))
            assert self.download.buffer == piece
            self.download.buffer = b""
        return True

    def end(self) -> None:
        """The rest of it, and the answer."""
        while self.go_on(64):
            pass
        answer = self.upload.answer(method="PUT")
        assert answer and answer.status == 200, answer
        assert self.download.how_ended() == raw.NOTIFY
