# SPDX-License-Identifier: Apache-2.0
"""A client that exchanges sealed transfers, and asks others for them: what is said over its control connection and
through the streams. It is written from the documents alone, and shares nothing with the one in Sources."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, Self

from . import protocol
from .protocol import Session, b64, unb64
from .sealed import Accept
from .sealed_peer import Incoming, Outgoing, SealedPeer
from .sealed_stream import Contents
from .sealed_tree import Files, Tree
from .types import Message, Server


class Client:
    """A user of a relay."""

    def __init__(self, relay: Server, session: Session, peer: SealedPeer) -> None:
        self.relay, self.session, self.peer = relay, session, peer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()

    @property
    def name(self) -> str:
        """What others call it."""
        return self.peer.name

    def request(self, to: str, what: Message, *, at: int | None = None) -> Asked:
        """Looks a name up and asks its sharing sessions for something (section 9 of the sealed format)."""
        request = os.urandom(16)
        payload = self.peer.request(self.session.lookup(to), what, request, at)
        return Asked(self, to, self.session.request(to, payload, b64(request)))

    def requested(self, timeout: float = 15) -> Heard:
        """Waits for a request, and opens it."""
        message = self.session.requested(timeout)
        return Heard(self, message["from"], message["request"], self.peer.requested(message).what)

    def again(self, *, receiving: bool = False) -> Client:
        """The same user on another connection, as from another computer."""
        session = Session(self.relay, self.session.identity).login(prekey=self.peer.prekey())
        return Client(self.relay, session.presence() if receiving else session, self.peer.on_another_computer())

    def offer(
        self, to: str, what: Tree | Files, *, wait: bool = True, request: str | None = None, **options: Any
    ) -> Offered:
        """Looks a name up and offers it a tree: the options are those of `Outgoing`. It may answer a request; then it
        says so inside, too, unless it is told to say something else there."""
        if request is not None:
            options.setdefault("answers", unb64(request))
        outgoing = self.peer.offer(self.session.lookup(to), what, **options)
        attempt = b64(outgoing.attempt)
        offer = self.session.offer(to, outgoing.payload, wait=wait, transfer=attempt, request=request)
        return Offered(self, outgoing, offer)

    def send(self, to: str, what: Tree | Files, *, timeout: float = 60, **options: Any) -> Offered:
        """The same until it is delivered."""
        offered = self.offer(to, what, **options)
        offered.start(timeout)
        status, answer = offered.upload(timeout=timeout)
        assert status == 200, (status, answer)
        offered.delivered(timeout)
        return offered

    def ring(self, timeout: float = 15) -> Rung:
        """Waits to be rung."""
        ring = self.session.ring(timeout)
        return Rung(self, self.peer.ring(ring), ring["transfer"])

    def receive(self, *, timeout: float = 60) -> Rung:
        """Waits to be rung, takes everything, and says so."""
        rung = self.ring(timeout)
        rung.accept()
        rung.download(timeout=timeout)
        rung.delivered()
        return rung


class Asked:
    """What was asked of another user."""

    def __init__(self, client: Client, sharer: str, request: str) -> None:
        self._client, self._sharer, self.request = client, sharer, request

    def ring(self, timeout: float = 15) -> Rung:
        """Waits for an offer, and makes sure that it answers this, and is from the one who was asked."""
        ring = self._client.session.ring(timeout)
        rung = Rung(self._client, self._client.peer.ring(ring), ring["transfer"])
        assert (ring["from"], ring["request"], rung.summary["answers"]) == (self._sharer, self.request, self.request)
        return rung

    def fetch(self, timeout: float = 60) -> Rung:
        """Waits for an offer, takes everything, says so, and wants no other."""
        rung = self.ring(timeout)
        rung.accept()
        rung.download(timeout=timeout)
        rung.delivered()
        self.withdraw()
        return rung

    def refused(self, timeout: float = 15) -> str:
        """Waits until a session says that there will be no offer; the code."""
        return self._client.session.refused(self.request, timeout)

    def withdraw(self) -> None:
        """Wants no more answers."""
        self._client.session.withdraw(self.request)


class Heard:
    """What another user asks for."""

    def __init__(self, client: Client, requester: str, request: str, what: Message) -> None:
        self._client, self.requester, self.request, self.what = client, requester, request, what

    def answer(self, what: Tree | Files, **options: Any) -> Offered:
        """Offers it: the options are those of `Client.offer`."""
        return self._client.offer(self.requester, what, wait=False, request=self.request, **options)

    def serve(self, what: Tree | Files, timeout: float = 60) -> Offered:
        """The same until it is delivered."""
        offered = self.answer(what)
        offered.start(timeout)
        status, answer = offered.upload(timeout=timeout)
        assert status == 200, (status, answer)
        offered.delivered(timeout)
        return offered

    def refuse(self, code: str = "not_shared") -> None:
        """Says that there will be no offer."""
        self._client.session.refuse(self.request, self.requester, code)


class Offered:
    """A tree on its way to another user, in one attempt."""

    def __init__(self, client: Client, sealed: Outgoing, offer: protocol.Offer) -> None:
        self._client, self.sealed, self.offer = client, sealed, offer
        self._start: protocol.Start | None = None

    @property
    def attempt(self) -> str:
        """The relay's word for it."""
        return self.offer.transfer

    def start(self, timeout: float = 15) -> Accept:
        """Waits until it may begin; returns from where."""
        self._start = self.offer.start(timeout)
        return self.sealed.accepted(self._start.payload)

    def upload(
        self, body: bytes | Iterable[bytes] | None = None, *, sized: bool = True, timeout: float = 60
    ) -> tuple[int, Message]:
        """Sends the stream, or other bytes in its place; (status, JSON)."""
        assert self._start
        content = self.sealed.body() if body is None else body
        pieces = (
            [content[at : at + 1_000_000] for at in range(0, len(content), 1_000_000)]
            if isinstance(content, bytes)
            else content
        )
        length = len(content) if sized and isinstance(content, bytes) else None
        return protocol.upload(self._client.relay, self._start, pieces, length=length, timeout=timeout)

    def wants(self, timeout: float = 15) -> list[bool]:
        """Waits for the receiver's notes about which files it wants."""
        while self.sealed.wanted is None or not self.sealed.wanted.ended:
            note = self._client.session.next(
                lambda each: each["type"] == "note" and each.get("transfer") == self.attempt, timeout, "a note"
            )
            self.sealed.note(note["payload"])
        return self.sealed.wanted.files

    def delivered(self, timeout: float = 30) -> tuple[int, int]:
        """Waits for the receiver's word: so many entries, with so many bytes."""
        return self.sealed.delivered(self.offer.confirmed(timeout))


class Rung:
    """What another user offers, in one attempt."""

    def __init__(self, client: Client, sealed: Incoming, attempt: str) -> None:
        self._client, self.sealed, self.attempt = client, sealed, attempt
        self._start: protocol.Start | None = None

    @property
    def summary(self) -> Message:
        """What the sender says that it is."""
        return self.sealed.summary

    @property
    def contents(self) -> Contents:
        """What it has brought."""
        return self.sealed.contents

    @property
    def transfer(self) -> str:
        """The person's transfer, as programs show it."""
        return b64(self.sealed.transfer)

    def accept(self, position: Accept | None = None) -> protocol.Start:
        """Accepts; from the beginning if no other position is given."""
        self._start = self._client.session.accept(self.attempt, self.sealed.accept(position))
        return self._start

    def download(self, *, wanted: Callable[[Contents], list[bool]] | None = None, timeout: float = 60) -> Contents:
        """Takes the stream, from its beginning."""
        with self._body(timeout) as body:
            contents = self.sealed.read(body, wanted)
        assert body.status == 200 and body.whole, (body.status, body.whole)
        return contents

    def resume(self, had: Tree, position: Accept, *, timeout: float = 60) -> Contents:
        """Takes the stream from the position that was accepted."""
        with self._body(timeout) as body:
            contents = self.sealed.resume(body, had, position.file, position.offset)
        assert body.status == 200 and body.whole, (body.status, body.whole)
        return contents

    def _body(self, timeout: float) -> protocol.Download:
        assert self._start
        return protocol.Download(self._client.relay, self._start, timeout=timeout)

    def want(self, runs: Iterable[tuple[int, int]], *, last: bool = True) -> None:
        """Says which files are wanted."""
        self._client.session.note(self.attempt, self.sealed.want(runs, last=last))

    def delivered(self, **said: Any) -> None:
        """Says that everything is stored, or what else is to be said."""
        self._client.session.ask("delivered", transfer=self.attempt, payload=self.sealed.delivered(**said))

    def next_ring(self, timeout: float = 15) -> Rung:
        """Waits until the same client is rung for something else."""
        return self._client.ring(timeout)

    def decline(self, code: str = "declined") -> None:
        """Declines."""
        self._client.session.decline(self.attempt, code)

    def failed(self, timeout: float = 15) -> Message:
        """Waits until it fails."""
        return self._client.session.failed(self.attempt, timeout)
