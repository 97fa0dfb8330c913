# SPDX-License-Identifier: Apache-2.0
"""The sealed format, written from docs/sealed-format.md alone: it shares nothing with the one in Sources.

Sections 1 to 7 and 9 are here, section 8 is in sealed_stream.py.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator
from typing import Any

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, mlkem, x25519
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SUITE = 1
KEY, ENC = 1_216, 1_120
DAY = 86_400_000
# The JSON of a summary, and of a request.
_LONGEST = 16 * 1024
# Names in a path.
_DEEPEST = 1_025
CHUNK, TAG = 65_536, 16
_WANTED = 0
_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)
_HPKE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)


class Refused(Exception):
    """What came is refused, with a code."""

    def __init__(self, code: str, why: str) -> None:
        super().__init__(f"{code}: {why}")
        self.code = code


# Section 1


def label(word: str) -> bytes:
    """What a key, hash or signature is for."""
    return b"relay/1 " + word.encode() + b"\0"


def number(value: int, size: int) -> bytes:
    """An integer of so many bytes."""
    return value.to_bytes(size, "big")


def lp(value: bytes) -> bytes:
    """`lp`."""
    return number(len(value), 2) + value


def lp32(value: bytes) -> bytes:
    """`lp32`."""
    return number(len(value), 4) + value


def digest(value: bytes) -> bytes:
    """`H`."""
    return hashlib.sha256(value).digest()


def extract(salt: bytes, ikm: bytes) -> bytes:
    """`Extract`."""
    return hmac.digest(salt, ikm, "sha256")


def expand(prk: bytes, info: bytes) -> bytes:
    """`Expand`: one block is all that is ever needed."""
    return hmac.digest(prk, info + b"\1", "sha256")


def verify(identity: bytes, signature: bytes, signed: bytes) -> bool:
    """`Verify`."""
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(identity).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


class Reader:
    """Reads fields one after the other."""

    def __init__(self, data: bytes, code: str = "protocol_error") -> None:
        self.data, self.at, self.code = data, 0, code

    def raw(self, count: int) -> bytes:
        """So many bytes."""
        if count > len(self.data) - self.at:
            raise Refused(self.code, "it is too short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        """An integer."""
        return int.from_bytes(self.raw(size), "big", signed=signed)

    def rest(self) -> bytes:
        """Everything else."""
        return self.raw(len(self.data) - self.at)

    def done(self) -> None:
        """Refuses what is left over."""
        if self.at != len(self.data):
            raise Refused(self.code, "it is too long")

    def suite(self) -> None:
        """The first byte of a payload."""
        if (suite := self.number(1)) != SUITE:
            raise Refused(self.code, f"suite {suite}: one of the two has to be updated")


# Sections 2 and 3


def fingerprint(identity: bytes) -> str:
    """Five groups of five characters."""
    bits = int.from_bytes(digest(label("fingerprint") + identity)[:16], "big") >> 3
    text = "".join("0123456789abcdefghjkmnpqrstvwxyz"[bits >> shift & 31] for shift in range(120, -1, -5))
    return "-".join(text[index : index + 5] for index in range(0, 25, 5))


class Exchange:
    """A key pair of X-Wing, from its seed."""

    def __init__(self, seed: bytes) -> None:
        expanded = hashlib.shake_256(seed).digest(96)
        self.seed = seed
        self._mlkem = mlkem.MLKEM768PrivateKey.from_seed_bytes(expanded[:64])
        self._x25519 = x25519.X25519PrivateKey.from_private_bytes(expanded[64:])
        self.public = self._mlkem.public_key().public_bytes_raw() + self._x25519.public_key().public_bytes_raw()

    def open(self, sealed: bytes, info: bytes) -> bytes:
        """HPKE, single shot; the encapsulated secret is in front."""
        private = hpke.MLKEM768X25519PrivateKey(self._mlkem, self._x25519)
        try:
            return _HPKE.decrypt(sealed, private, info)
        except (InvalidTag, ValueError) as error:
            raise Refused("protocol_error", "it does not open") from error


def seal(plaintext: bytes, key: bytes, info: bytes) -> bytes:
    """HPKE, single shot: the encapsulated secret, and the ciphertext."""
    public = hpke.MLKEM768X25519PublicKey(
        mlkem.MLKEM768PublicKey.from_public_bytes(key[:1184]), x25519.X25519PublicKey.from_public_bytes(key[1184:])
    )
    return _HPKE.encrypt(plaintext, public, info)


@dataclasses.dataclass(frozen=True)
class Party:
    """A name, and the identity that is pinned for it."""

    name: str
    identity: bytes

    @property
    def named(self) -> bytes:
        """The name, as it is bound."""
        return lp(self.name.encode())


class Owner:
    """One who has an identity and a prekey."""

    def __init__(self, name: str, identity: bytes, epoch: int, seed: bytes) -> None:
        self.signing = ed25519.Ed25519PrivateKey.from_private_bytes(identity)
        self.party = Party(name, self.signing.public_key().public_bytes(*_RAW))
        self.epoch, self.seed = epoch, seed
        self._before: tuple[int, bytes] | None = None

    @property
    def exchange(self) -> Exchange:
        """The keys of the epoch."""
        return Exchange(self.seed)

    def exchange_of(self, epoch: int) -> Exchange:
        """The keys of that epoch, if they are held: it is this one or the one before."""
        if epoch == self.epoch:
            return self.exchange
        if self._before and epoch == self._before[0]:
            return Exchange(self._before[1])
        raise Refused("bad_prekey", f"the key of epoch {epoch} is not held")

    def prekey(self) -> tuple[bytes, bytes]:
        """Key and signature."""
        key = self.exchange.public
        return key, self.signing.sign(prekey_signed(self.party, self.epoch, key))

    def ratchet(self) -> None:
        """Goes on to the next epoch."""
        self._before = (self.epoch, self.seed)
        self.epoch += 1
        self.seed = expand(extract(label("ratchet"), self.seed), self.party.named + number(self.epoch, 4))


def prekey_signed(party: Party, epoch: int, key: bytes) -> bytes:
    """What the signature of a prekey covers."""
    return label("prekey") + number(SUITE, 1) + party.named + number(epoch, 4) + key


# Sections 4 and 5


@dataclasses.dataclass(frozen=True)
class Offer:
    """An offer, as both sides know it once it was opened."""

    payload: bytes
    info: bytes
    time: int
    transfer: bytes
    fresh: bytes
    random: bytes
    summary: dict[str, Any]
    text: str


def offer_info(transfer: bytes, attempt: bytes, sender: Party, receiver: Party, epoch: int, prekey: bytes) -> bytes:
    """What an offer is bound to."""
    return (
        label("offer")
        + number(SUITE, 1)
        + transfer
        + attempt
        + sender.named
        + receiver.named
        + sender.identity
        + receiver.identity
        + number(epoch, 4)
        + prekey
    )


def _sign_and_pad(fields: bytes, info: bytes, signing: ed25519.Ed25519PrivateKey) -> bytes:
    plaintext = fields + signing.sign(info + fields)
    return plaintext + bytes(-len(plaintext) % 512)


def _check(reader: Reader, info: bytes, identity: bytes) -> None:
    fields = reader.data[: reader.at]
    signature, padding = reader.raw(64), reader.rest()
    if len(padding) >= 512 or any(padding) or len(reader.data) % 512:
        raise Refused("protocol_error", "the padding is none")
    if not verify(identity, signature, info + fields):
        raise Refused("protocol_error", "the signature does not hold")


def _check_time(time: int, now: int) -> None:
    if abs(time - now) > DAY:
        raise Refused("stale_offer", f"{time - now} ms away")


def seal_offer(
    sender: Owner,
    receiver: Party,
    prekey: tuple[int, bytes],
    attempt: bytes,
    transfer: bytes,
    time: int,
    fresh: Exchange,
    random: bytes,
    text: str,
) -> bytes:
    """An offer's payload."""
    epoch, key = prekey
    info = offer_info(transfer, attempt, sender.party, receiver, epoch, key)
    fields = number(time, 8) + fresh.public + random + lp32(text.encode(errors="surrogatepass"))
    header = number(SUITE, 1) + number(epoch, 4) + transfer
    return header + seal(_sign_and_pad(fields, info, sender.signing), key, info)


def open_offer(payload: bytes, sender: Party, receiver: Owner, attempt: bytes, now: int) -> Offer:
    """Opens what a ring brought."""
    header = Reader(payload)
    header.suite()
    epoch, transfer = header.number(4), header.raw(16)
    exchange = receiver.exchange_of(epoch)
    info = offer_info(transfer, attempt, sender, receiver.party, epoch, exchange.public)
    plaintext = Reader(exchange.open(header.rest(), info))
    time, fresh, random = plaintext.number(8), plaintext.raw(KEY), plaintext.raw(32)
    text = plaintext.raw(plaintext.number(4))
    _check(plaintext, info, sender.identity)
    _check_time(time, now)
    if len(text) > _LONGEST:
        raise Refused("protocol_error", "the summary is too long")
    return Offer(payload, info, time, transfer, fresh, random, json.loads(text), text.decode())


@dataclasses.dataclass(frozen=True)
class Accept:
    """What a receiver says."""

    file: int = 0
    offset: int = 0
    wants: bool = False
    samples: tuple[tuple[int, int, bytes], ...] = ()


def _accept_info(offer_info: bytes, offer: bytes) -> bytes:
    return label("accept") + offer_info + digest(offer)


def seal_accept(accept: Accept, offer: Offer, receiver: Owner, random: bytes) -> bytes:
    """An acceptance's payload."""
    info = _accept_info(offer.info, offer.payload)
    samples = b"".join(number(file, 8) + number(block, 8) + value for file, block, value in accept.samples)
    fields = number(accept.file, 8) + number(accept.offset, 8) + number(accept.wants, 1) + random + lp32(samples)
    return number(SUITE, 1) + seal(_sign_and_pad(fields, info, receiver.signing), offer.fresh, info)


def open_accept(payload: bytes, offer: Offer, fresh: Exchange, receiver: Party) -> tuple[Accept, bytes]:
    """Opens the answer to an offer; the receiver's random bytes come with it."""
    header = Reader(payload)
    header.suite()
    info = _accept_info(offer.info, offer.payload)
    plaintext = Reader(fresh.open(header.rest(), info))
    file, offset, wants = plaintext.number(8), plaintext.number(8), plaintext.number(1)
    random, length = plaintext.raw(32), plaintext.number(4)
    samples = Reader(plaintext.raw(length))
    if wants > 1 or length % 48 or length > 16 * 48:
        raise Refused("protocol_error", "the acceptance is none")
    _check(plaintext, info, receiver.identity)
    found = tuple((samples.number(8), samples.number(8), samples.raw(32)) for _ in range(length // 48))
    return Accept(file, offset, bool(wants), found), random


# Sections 6 and 7


@dataclasses.dataclass(frozen=True)
class Keys:
    """The keys of an attempt."""

    content: bytes
    sender_notes: bytes
    receiver_notes: bytes
    delivered: bytes

    @staticmethod
    def derive(offer: bytes, accept: bytes, randoms: bytes) -> Keys:
        """From both payloads and the random bytes in them."""
        secret = extract(digest(digest(offer) + digest(accept)), randoms)
        words = ("content", "note sender", "note receiver", "delivered")
        return Keys(*(expand(secret, label(word)) for word in words))


def gcm_open(key: bytes, nonce: bytes, sealed: bytes) -> bytes:
    """`Open`."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, None)
    except (InvalidTag, ValueError) as error:
        raise Refused("protocol_error", "it does not open") from error


def seal_note(key: bytes, count: int, plaintext: bytes) -> bytes:
    """The note of that number."""
    return number(SUITE, 1) + AESGCM(key).encrypt(bytes(4) + number(count, 8), plaintext, None)


def open_note(key: bytes, count: int, payload: bytes) -> bytes:
    """The note of that number."""
    reader = Reader(payload)
    reader.suite()
    return gcm_open(key, bytes(4) + number(count, 8), reader.rest())


def wanted_note(runs: Iterable[tuple[int, int]], *, last: bool = True) -> bytes:
    """What a receiver says about which files it wants: (skip, take), as often as it needs."""
    return bytes([_WANTED, last]) + b"".join(number(skip, 4) + number(take, 4) for skip, take in runs)


class Wanted:
    """Which files of a manifest are wanted, as the receiver's notes say."""

    def __init__(self, files: int) -> None:
        self.files = [False] * files
        self.ended = False
        self._at = 0

    def add(self, note: bytes) -> None:
        """Takes the plaintext of the next note."""
        reader = Reader(note)
        kind, last = reader.number(1), reader.number(1)
        if self.ended or kind != _WANTED or last > 1:
            raise Refused("protocol_error", "another note was due")
        while reader.at < len(note):
            skip, take = reader.number(4), reader.number(4)
            if skip + take == 0 or skip + take > len(self.files) - self._at:
                raise Refused("protocol_error", "a run of files")
            self.files[self._at + skip : self._at + skip + take] = [True] * take
            self._at += skip + take
        self.ended = bool(last)


def seal_delivered(key: bytes, manifest: bytes, entries: int, size: int) -> bytes:
    """The word of delivery."""
    return number(SUITE, 1) + AESGCM(key).encrypt(bytes(12), manifest + number(entries, 8) + number(size, 8), None)


def open_delivered(key: bytes, payload: bytes) -> tuple[bytes, int, int]:
    """The manifest's digest, entries and bytes."""
    reader = Reader(payload)
    reader.suite()
    plaintext = Reader(gcm_open(key, bytes(12), reader.rest()))
    found = plaintext.raw(32), plaintext.number(8), plaintext.number(8)
    plaintext.done()
    return found


def _chunk_cipher(content: bytes, index: int, last: bool) -> tuple[AESGCM, bytes]:
    key = expand(content, label("chunks") + number(index >> 20, 8))
    return AESGCM(key), bytes(3) + number(index, 8) + number(last, 1)


def seal_chunk(content: bytes, index: int, plaintext: bytes) -> bytes:
    """The chunk of that number."""
    cipher, nonce = _chunk_cipher(content, index, len(plaintext) < CHUNK)
    return cipher.encrypt(nonce, plaintext, None)


def seal_body(content: bytes, plaintext: bytes) -> bytes:
    """All chunks of a stream."""
    pieces = (plaintext[at : at + CHUNK] for at in range(0, len(plaintext) + 1, CHUNK))
    return b"".join(seal_chunk(content, index, piece) for index, piece in enumerate(pieces))


def open_chunks(content: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The plaintext of each chunk, as soon as the pieces of the body bring it."""
    pending, index = bytearray(), 0
    for piece in pieces:
        pending += piece
        while len(pending) >= CHUNK + TAG:
            yield _open_chunk(content, index, bytes(pending[: CHUNK + TAG]))
            del pending[: CHUNK + TAG]
            index += 1
    if len(pending) < TAG:
        raise Refused("protocol_error", "it is cut")
    yield _open_chunk(content, index, bytes(pending))


def open_body(content: bytes, body: bytes) -> Iterator[bytes]:
    """The plaintext of each chunk of a whole body."""
    return open_chunks(content, [body])


def _open_chunk(content: bytes, index: int, chunk: bytes) -> bytes:
    cipher, nonce = _chunk_cipher(content, index, len(chunk) < CHUNK + TAG)
    try:
        return cipher.decrypt(nonce, chunk, None)
    except InvalidTag as error:
        raise Refused("verification_failed", f"chunk {index} does not open") from error


def body_length(plaintext: int) -> int:
    """How long the body for so many bytes of plaintext is."""
    return plaintext + TAG * (plaintext // CHUNK + 1)


# Section 9


@dataclasses.dataclass(frozen=True)
class Request:
    """What one side asks of the other, as both know it once it was opened."""

    request: bytes
    time: int
    what: dict[str, Any]


def _request_info(request: bytes, requester: Party, sharer: Party, epoch: int, prekey: bytes) -> bytes:
    names = requester.named + sharer.named + requester.identity + sharer.identity
    return label("request") + number(SUITE, 1) + request + names + number(epoch, 4) + prekey


def seal_request(
    requester: Owner, sharer: Party, prekey: tuple[int, bytes], request: bytes, time: int, text: str
) -> bytes:
    """A request's payload."""
    epoch, key = prekey
    info = _request_info(request, requester.party, sharer, epoch, key)
    plaintext = _sign_and_pad(number(time, 8) + lp32(text.encode()), info, requester.signing)
    return number(SUITE, 1) + number(epoch, 4) + request + seal(plaintext, key, info)


def open_request(payload: bytes, requester: Party, sharer: Owner, now: int) -> Request:
    """Opens what was asked."""
    header = Reader(payload)
    header.suite()
    epoch, request = header.number(4), header.raw(16)
    exchange = sharer.exchange_of(epoch)
    info = _request_info(request, requester, sharer.party, epoch, exchange.public)
    plaintext = Reader(exchange.open(header.rest(), info))
    time, text = plaintext.number(8), plaintext.raw(plaintext.number(4))
    _check(plaintext, info, requester.identity)
    _check_time(time, now)
    if len(text) > _LONGEST:
        raise Refused("protocol_error", "it asks for too much")
    what = json.loads(text)
    check_query(what)
    return Request(request, time, what)


def _path(text: object) -> list[str]:
    if not isinstance(text, str):
        raise Refused("protocol_error", "a path is no text")
    names = text.split("/") if text else []
    if len(names) > _DEEPEST:
        raise Refused("protocol_error", "a path is too deep")
    for name in names:
        encoded = name.encode("utf-8", "surrogatepass")
        if not 1 <= len(encoded) <= 255 or "\0" in name or name in (".", ".."):
            raise Refused("protocol_error", f"{name!r} is no name")
    return names


def check_query(what: dict[str, Any]) -> None:
    """Refuses what cannot be asked for."""
    if ("list" in what) == ("fetch" in what) or ("list" in what and "resume" in what):
        raise Refused("protocol_error", "it asks for nothing, or for two things")
    if "list" in what:
        _path(what["list"])
        return
    paths = [_path(text) for text in what["fetch"]]
    last = [path[-1] for path in paths if path]
    if not paths or len(last) != len(paths) or len(set(last)) != len(last):
        raise Refused("protocol_error", "it asks for the top, or twice for one name")
    if "resume" in what:
        members = (what["resume"]["transfer"], what["resume"]["manifest"])
        if [len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) for text in members] != [16, 32]:
            raise Refused("protocol_error", "what is to be resumed is none")
