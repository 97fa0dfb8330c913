# SPDX-License-Identifier: Apache-2.0
"""One of two who exchange sealed transfers: it knows keys and payloads, and nothing of connections."""

from __future__ import annotations

import copy
import datetime
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

from . import sealed, sealed_stream, sealed_tree
from .protocol import Identity, b64, unb64
from .sealed import Accept, Exchange, Keys, Party, Refused
from .sealed_stream import Contents, StreamReader
from .sealed_tree import Files, Tree
from .types import Message


def this_month() -> int:
    """The epoch of a prekey that is published now."""
    now = datetime.datetime.now(datetime.UTC)
    return 12 * now.year + now.month - 1


def milliseconds() -> int:
    """The time of an offer that is made now."""
    return time.time_ns() // 1_000_000


class SealedPeer:
    """A name with its identity and prekey, and the identities that it has pinned."""

    def __init__(self, identity: Identity, *, epoch: int | None = None, seed: bytes | None = None) -> None:
        self.identity, key = identity, identity.signing.private_bytes_raw()
        self.owner = sealed.Owner(identity.name, key, epoch or this_month(), seed or os.urandom(32))
        self.pins: dict[str, bytes] = {}
        self._seen: set[bytes] = set()

    def on_another_computer(self) -> SealedPeer:
        """The same name there: it knows the same others, and has seen nothing that was sent here."""
        other = copy.copy(self)
        other._seen = set()
        return other

    @property
    def name(self) -> str:
        """What others call it."""
        return self.owner.party.name

    def prekey(self) -> Message:
        """The `prekey` of `login`, and of `peer`."""
        key, signature = self.owner.prekey()
        return {"epoch": self.owner.epoch, "key": b64(key), "signature": b64(signature)}

    def party(self, name: str, key: str) -> Party:
        """Another name, with the identity that the relay gives for it; it is pinned at the first contact."""
        identity = unb64(key)
        if self.pins.setdefault(name, identity) != identity:
            raise Refused("identity_changed", name)
        return Party(name, identity)

    def published(self, peer: Message) -> tuple[Party, tuple[int, bytes]]:
        """Who a `peer` is about, and the prekey that an offer is sealed to."""
        party, prekey = self.party(peer["name"], peer["key"]), peer["prekey"]
        epoch, key = prekey["epoch"], unb64(prekey["key"])
        signed = sealed.prekey_signed(party, epoch, key)
        if not sealed.verify(party.identity, unb64(prekey["signature"]), signed) or abs(epoch - this_month()) > 1:
            raise Refused("bad_prekey", f"of {party.name}, for epoch {epoch}")
        return party, (epoch, key)

    def offer(self, peer: Message, what: Tree | Files, **options: Any) -> Outgoing:
        """Offers a tree to whom a `peer` is about: the options are those of `Outgoing`."""
        party, prekey = self.published(peer)
        return Outgoing(self.owner, party, prekey, what if isinstance(what, Tree) else Tree.of(what), **options)

    def request(self, peer: Message, what: Message, request: bytes, at: int | None = None) -> str:
        """The payload of a `request` to whom a `peer` is about."""
        party, prekey = self.published(peer)
        text = sealed_tree.text(what)
        return b64(sealed.seal_request(self.owner, party, prekey, request, at or milliseconds(), text))

    def requested(self, requested: Message) -> sealed.Request:
        """Opens what a `requested` brings."""
        party = self.party(requested["from"], requested["key"])
        opened = sealed.open_request(unb64(requested["payload"]), party, self.owner, milliseconds())
        if opened.request != unb64(requested["request"]):
            raise Refused("protocol_error", "another request than the relay says")
        if opened.request in self._seen:
            raise Refused("stale_offer", "it was seen")
        self._seen.add(opened.request)
        return opened

    def ring(self, ring: Message) -> Incoming:
        """Opens what a `ring` brings."""
        attempt = unb64(ring["transfer"])
        party = self.party(ring["from"], ring["key"])
        offer = sealed.open_offer(unb64(ring["payload"]), party, self.owner, attempt, milliseconds())
        if attempt in self._seen:
            raise Refused("stale_offer", "it was seen")
        self._seen.add(attempt)
        return Incoming(self.owner, party, offer)


class Outgoing:
    """One attempt to send a tree. What it says can be changed before it is sealed, for who wants to know what the other
    side says to that: `summary` is a text, `transfer` another one's, `time` another day."""

    def __init__(
        self,
        owner: sealed.Owner,
        receiver: Party,
        prekey: tuple[int, bytes],
        tree: Tree,
        *,
        transfer: bytes | None = None,
        attempt: bytes | None = None,
        summary: str | None = None,
        answers: bytes | None = None,
        at: int | None = None,
    ) -> None:
        self.owner, self._receiver, self._prekey, self.tree = owner, receiver, prekey, tree
        self.attempt = attempt or os.urandom(16)
        self.transfer = transfer or self.attempt
        announced = tree.summary() | ({"answers": b64(answers)} if answers else {})
        self.summary = sealed_tree.text(announced) if summary is None else summary
        self._fresh, self._random, self.time = Exchange(os.urandom(32)), os.urandom(32), at or milliseconds()
        self.sealed = self._seal()
        self.accept, self.keys = Accept(), Keys(b"", b"", b"", b"")
        self.wanted: sealed.Wanted | None = None
        self._heard = 0

    def _seal(self) -> bytes:
        return sealed.seal_offer(
            self.owner,
            self._receiver,
            self._prekey,
            self.attempt,
            self.transfer,
            self.time,
            self._fresh,
            self._random,
            self.summary,
        )

    @property
    def secrets(self) -> list[bytes]:
        """What the keys of the attempt are made of, on this side."""
        return [self._random, self._fresh.seed]

    @property
    def payload(self) -> str:
        """That of the `offer`."""
        return b64(self.sealed)

    def _opened(self) -> sealed.Offer:
        epoch, key = self._prekey
        info = sealed.offer_info(self.transfer, self.attempt, self.owner.party, self._receiver, epoch, key)
        return sealed.Offer(
            self.sealed, info, self.time, self.transfer, self._fresh.public, self._random, {}, self.summary
        )

    def accepted(self, payload: str) -> Accept:
        """Opens the payload of an acceptance: where to go on."""
        answer = unb64(payload)
        self.accept, random = sealed.open_accept(answer, self._opened(), self._fresh, self._receiver)
        if (self.accept.file, self.accept.offset) > (len(self.tree.files), 0):
            raise Refused("protocol_error", "a position behind what is sent")
        for file, block, value in self.accept.samples:
            content = self.tree.files[file] if file < len(self.tree.files) else b""
            if block * 65_536 >= len(content) or value != sealed.digest(content[block * 65_536 :][:65_536]):
                raise Refused("source_changed", f"block {block} of file {file}")
        self.keys = Keys.derive(self.sealed, answer, self._random + random)
        return self.accept

    def note(self, payload: str) -> sealed.Wanted:
        """Opens a note of the receiver."""
        if not self.accept.wants:
            raise Refused("protocol_error", "a note that was not announced")
        self.wanted = self.wanted or sealed.Wanted(len(self.tree.files))
        self.wanted.add(sealed.open_note(self.keys.receiver_notes, self._heard, unb64(payload)))
        self._heard += 1
        return self.wanted

    @property
    def beginning(self) -> bytes:
        """What of the stream's plaintext comes before the content, filled up if the receiver has to have it first."""
        if (self.accept.file, self.accept.offset) != (0, 0):
            start = b"\2" + self.tree.digest
        else:
            start = self.tree.manifest(self.transfer, self.owner.signing)
        return start + (sealed_stream.padding(len(start)) if self.accept.wants else b"")

    def plaintext(self, piece: int = 65_536) -> bytes:
        """The stream from where the receiver wants it, with what it wants."""
        wanted = self.wanted.files if self.wanted else None
        return self.beginning + self.tree.content(self.accept.file, self.accept.offset, wanted, piece)

    def body(self, plaintext: bytes | None = None) -> bytes:
        """The sealed stream, or another plaintext sealed in its place."""
        return sealed.seal_body(self.keys.content, self.plaintext() if plaintext is None else plaintext)

    def delivered(self, payload: str) -> tuple[int, int]:
        """Opens the receiver's word: how many entries, with how many bytes, are stored."""
        digest, entries, size = sealed.open_delivered(self.keys.delivered, unb64(payload))
        if digest != self.tree.digest:
            raise Refused("protocol_error", "another manifest was delivered")
        return entries, size


class Incoming:
    """One attempt of another peer to send something."""

    def __init__(self, owner: sealed.Owner, sender: Party, offer: sealed.Offer) -> None:
        self._owner, self.sender, self.offer = owner, sender, offer
        self.keys = Keys(b"", b"", b"", b"")
        self.contents = Contents()
        self._stored = (0, 0)
        self._said = 0

    @property
    def transfer(self) -> bytes:
        """The person's."""
        return self.offer.transfer

    @property
    def summary(self) -> Message:
        """What the sender says that it is."""
        return self.offer.summary

    def accept(self, position: Accept | None = None) -> str:
        """The payload of an `accept`, from the beginning if no other position is given."""
        random = os.urandom(32)
        answer = sealed.seal_accept(position or Accept(), self.offer, self._owner, random)
        self.keys = Keys.derive(self.offer.payload, answer, self.offer.random + random)
        return b64(answer)

    def note(self, plaintext: bytes) -> str:
        """The payload of the next `note`."""
        self._said += 1
        return b64(sealed.seal_note(self.keys.receiver_notes, self._said - 1, plaintext))

    def want(self, runs: Iterable[tuple[int, int]], *, last: bool = True) -> str:
        """The payload of the next `note`, which says what is wanted."""
        return self.note(sealed.wanted_note(runs, last=last))

    def plaintext(self, pieces: Iterable[bytes]) -> Iterable[bytes]:
        """That of each chunk, as the pieces of the body come."""
        return sealed.open_chunks(self.keys.content, pieces)

    def read(self, pieces: Iterable[bytes], wanted: Callable[[Contents], list[bool]] | None = None) -> Contents:
        """Reads the stream from its beginning. `wanted` is asked when the manifest is there."""
        reader = StreamReader(self.plaintext(pieces), self.transfer, self.sender.identity)
        self.contents = reader.read(self.summary, wanted)
        files = self.contents.files
        unwanted = len(self.contents.sizes) - len(files)
        self._stored = len(self.contents.entries) - unwanted, sum(map(len, files))
        return self.contents

    def resume(self, pieces: Iterable[bytes], had: Tree, file: int = 0, offset: int = 0) -> Contents:
        """Reads the stream from a position, with what an earlier attempt has brought."""
        sizes = Contents(had.entries).sizes[file:]
        due = [(size, offset if index == 0 else 0) for index, size in enumerate(sizes)]
        reader = StreamReader(self.plaintext(pieces), self.transfer, self.sender.identity)
        rest = reader.resume(had.digest, due).files
        files = [*had.files[:file], *rest]
        if rest:
            files[file] = had.files[file][:offset] + files[file]
        self.contents = Contents(had.entries, files, had.digest)
        self._stored = len(had.entries), sum(map(len, files))
        return self.contents

    def delivered(self, digest: bytes | None = None, entries: int | None = None, size: int | None = None) -> str:
        """The payload of `delivered`: what was read, or what is to be said instead."""
        stored = self._stored[0] if entries is None else entries, self._stored[1] if size is None else size
        return b64(sealed.seal_delivered(self.keys.delivered, digest or self.contents.digest, *stored))
