# SPDX-License-Identifier: Apache-2.0
"""A client written from docs/wire-protocol.md alone: it shares nothing with the one in Sources."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import http.client
import itertools
import json
import os
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any, ClassVar, Self, TypeVar

import websockets.asyncio.client
import websockets.exceptions
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from websockets.typing import Subprotocol

from . import sealed
from .types import Message, Server
from .waiting import TooLate

T = TypeVar("T")
_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)

# Seconds that a token is good for: the sender's as long as the receiver's request is held.
EXPIRES = {"download": 60, "upload": 30}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The reverse."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pack(**fields: Any) -> str:
    """A payload: JSON in base64url."""
    return b64(json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def unpack(payload: str) -> Message:
    """The reverse."""
    return json.loads(unb64(payload))


class Refused(Exception):
    """The relay answered with `error`."""

    def __init__(self, message: Message) -> None:
        super().__init__(f"{message.get('code')}: {message.get('message')}")
        self.code, self.message = message.get("code"), message


class Failed(Exception):
    """The transfer ended with `failed`."""

    def __init__(self, message: Message) -> None:
        super().__init__(f"{message.get('code')} by {message.get('by')}")
        self.code, self.by = message.get("code"), message.get("by")


class Identity:
    """A name and its keys."""

    def __init__(self, name: str, signing: bytes | None = None) -> None:
        self.name = name
        self.signing = ed25519.Ed25519PrivateKey.from_private_bytes(signing or os.urandom(32))
        #: What every login publishes, if anything.
        self.prekey: Message | None = None

    @property
    def key(self) -> str:
        """The public signing key, as in the messages."""
        return b64(self.signing.public_key().public_bytes(*_RAW))

    def owner(self, epoch: int, seed: bytes) -> sealed.Owner:
        """The same person, as the sealed format has them."""
        return sealed.Owner(self.name, self.signing.private_bytes_raw(), epoch, seed)

    def publish(self, epoch: int | None = None, seed: bytes | None = None) -> Message:
        """Logins bring the prekey of a month from now on, of this one unless it is said which; returns it."""
        now = time.gmtime()
        made = self.owner(12 * now.tm_year + now.tm_mon - 1 if epoch is None else epoch, seed or os.urandom(32))
        key, signature = made.prekey()
        self.prekey = {"epoch": made.epoch, "key": b64(key), "signature": b64(signature)}
        return self.prekey

    def credentials(self, verb: str, host: str, nonce: str) -> dict[str, str]:
        """The credentials for `login` or `register` (section 1.4)."""
        lines = [f"relay.v1 {verb}", host.lower(), self.name, nonce]
        signature = self.signing.sign("\n".join(lines).encode())
        return {
            "name": self.name,
            "key": self.key,
            "signature": b64(signature),
            "agent": "python/0.1",
        }


@dataclasses.dataclass
class Start:
    """A `start`: what a half of a transfer needs."""

    transfer: str
    role: str
    token: str
    path: str
    payload: str


class _Loop:
    """One event loop on a thread of its own for every control connection (two threads at one TLS connection are more
    than Python's ssl can take)."""

    _here: ClassVar[dict[str, _Loop]] = {}
    _lock = threading.Lock()

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    @classmethod
    def here(cls) -> _Loop:
        """That of the network namespace the caller is in: a thread stays where it was made."""
        namespace = os.readlink("/proc/thread-self/ns/net")
        with cls._lock:
            if namespace not in cls._here:
                cls._here[namespace] = cls()
            return cls._here[namespace]

    def run(self, coroutine: Coroutine[Any, Any, T], timeout: float) -> T:
        """Runs a coroutine to its end and returns its value."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)

    def call(self, function: Callable[[], object]) -> None:
        """Lets it call a function, and does not wait."""
        self._loop.call_soon_threadsafe(function)


class Session:
    """A control connection, for use by one thread at a time (what arrives is kept until it is asked for)."""

    def __init__(self, relay: Server, identity: Identity, *, source: str | None = None) -> None:
        self.relay, self.identity = relay, identity
        self.host = f"{relay.host}:{relay.port}"
        self.ids = (f"c{number}" for number in itertools.count(1))
        self.closed: int | None = None
        self._arrived: list[Message] = []
        self._news = threading.Condition()
        self._loop = _Loop.here()
        self.socket = self._loop.run(self._open(source), 20)

    async def _open(self, source: str | None) -> websockets.asyncio.client.ClientConnection:
        context = ssl.create_default_context(cafile=self.relay.ca)
        where: dict[str, Any] = {"local_addr": (source, 0)} if source else {}
        connecting = websockets.asyncio.client.connect(
            f"wss://{self.host}/ws",
            ssl=context,
            subprotocols=[Subprotocol("relay.v1")],
            compression=None,
            proxy=None,
            max_size=65_536,
            open_timeout=15,
            close_timeout=2,
            **where,
        )
        socket = await connecting.__aenter__()
        self._reading = asyncio.get_running_loop().create_task(self._read(socket))
        return socket

    async def _read(self, socket: websockets.asyncio.client.ClientConnection) -> None:
        try:
            async for text in socket:
                with self._news:
                    self._arrived.append(json.loads(text))
                    self._news.notify_all()
        except websockets.exceptions.ConnectionClosed:
            pass
        with self._news:
            self.closed = socket.close_code or 1006
            self._news.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._loop.run(self.socket.close(), 10)

    def abort(self) -> None:
        """Ends the connection without a word, as when its program is killed."""
        self._loop.call(self.socket.transport.abort)

    def send(self, **message: Any) -> None:
        """Sends one message as it is; ConnectionError when the connection is over."""
        try:
            self._loop.run(self.socket.send(json.dumps(message)), 10)
        except websockets.exceptions.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    def ping(self) -> None:
        """Pings, and waits for the pong."""

        async def answered() -> None:
            await (await self.socket.ping())

        self._loop.run(answered(), 30)

    def next(self, wanted: Callable[[Message], bool], timeout: float = 15, what: str = "a message") -> Message:
        """Takes the first message for which `wanted` is true."""
        deadline = time.monotonic() + timeout
        with self._news:
            while True:
                for index, message in enumerate(self._arrived):
                    if wanted(message):
                        return self._arrived.pop(index)
                if self.closed is not None:
                    raise ConnectionError(f"closed with {self.closed} while waiting for {what}; had {self._arrived}")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TooLate(f"not within {timeout} s: {what}; had {self._arrived}")
                self._news.wait(left)

    def take(self) -> list[Message]:
        """Takes all that has arrived, in its order."""
        with self._news:
            taken, self._arrived = self._arrived, []
            return taken

    def close_code(self, timeout: float = 15) -> int:
        """Waits for the end of the connection and returns its close code."""
        with self._news:
            if not self._news.wait_for(lambda: self.closed is not None, timeout) or self.closed is None:
                raise TooLate(f"still open after {timeout} s")
            return self.closed

    def ask(self, type: str, timeout: float = 15, **fields: Any) -> Message:
        """Sends a request and returns the relay's answer to it; Refused when that is an `error`."""
        id = next(self.ids)
        self.send(type=type, id=id, **fields)
        return self._answer(id, timeout, type)

    def _answer(self, id: str, timeout: float, what: str) -> Message:
        message = self.next(lambda m: m.get("id") == id, timeout, f"the answer to {what}")
        if message["type"] == "error":
            raise Refused(message)
        return message

    def login(self, verb: str = "login", invitation: str | None = None, prekey: Message | None = None) -> Self:
        """Section 1.4: waits for the challenge and answers it."""
        challenge = self.next(lambda m: m.get("type") == "challenge", what="the challenge")
        fields: Message = {"credentials": self.identity.credentials(verb, self.host, challenge["nonce"])}
        if invitation is not None:
            fields["invitation"] = invitation
        if (published := prekey or self.identity.prekey) is not None:
            fields["prekey"] = published
        welcome = self.ask(verb, **fields)
        assert welcome["type"] == "welcome" and welcome["name"] == self.identity.name, welcome
        return self

    def presence(self, receiving: bool = True, *, sharing: bool | None = None) -> Self:
        """Asks to be rung, or not to be; and to hear requests, or not."""
        fields = {} if sharing is None else {"sharing": sharing}
        assert self.ask("presence", receiving=receiving, **fields)["type"] == "ok"
        return self

    def share(self) -> Self:
        """Asks to hear requests, and not to be rung."""
        return self.presence(False, sharing=True)

    def is_to_move(self) -> bool:
        """Section 1.11: whether the relay has said that this session ends before long."""
        with self._news:
            return any(message.get("type") == "move" for message in self._arrived)

    def moved(self, *, receiving: bool = False) -> Session:
        """Section 1.11, steps 1 and 2: another session, opened before this one is closed."""
        new = Session(self.relay, self.identity).login()
        if receiving:
            new.presence()
            # Until every node can find it.
            time.sleep(1)
        self.close()
        return new

    def lookup(self, name: str) -> Message:
        """A user's keys, and whether they receive."""
        return self.ask("lookup", name=name)

    def offer(
        self, to: str, payload: str, *, wait: bool = True, transfer: str | None = None, request: str | None = None
    ) -> Offer:
        """Offers a transfer, maybe as the answer to a request; the Offer tells what becomes of it."""
        offer = Offer(self, transfer or b64(os.urandom(16)), next(self.ids))
        answers = {} if request is None else {"request": request}
        self.send(type="offer", id=offer.id, to=to, transfer=offer.transfer, payload=payload, wait=wait, **answers)
        first = self._answer(offer.id, 15, "offer")
        assert first["type"] == "offered" and first["transfer"] == offer.transfer, first
        offer.states.append(first["state"])
        return offer

    def ring(self, timeout: float = 15) -> Message:
        """Waits to be rung."""
        return self.next(lambda m: m.get("type") == "ring", timeout, "a ring")

    def accept(self, transfer: str, payload: str | None = None) -> Start:
        """Accepts; the Start is for the download."""
        message = self.ask("accept", transfer=transfer, payload=payload or pack(v=0, offset=0))
        return _start(message, "download")

    def decline(self, transfer: str, code: str = "declined") -> Message:
        """Declines."""
        return self.ask("decline", transfer=transfer, code=code)

    def cancel(self, transfer: str, code: str = "cancelled") -> Message:
        """Ends a transfer."""
        return self.ask("cancel", transfer=transfer, code=code)

    def request(self, to: str, payload: str | None = None, request: str | None = None) -> str:
        """Asks the sharing sessions of a name for something; returns the request's id."""
        request = request or b64(os.urandom(16))
        answer = self.ask("request", request=request, to=to, payload=payload or pack(v=0))
        assert answer.keys() == {"id", "type"} and answer["type"] == "ok", answer
        return request

    def requested(self, timeout: float = 15) -> Message:
        """Waits for a request."""
        return self.next(lambda m: m.get("type") == "requested", timeout, "a request")

    def withdraw(self, request: str) -> None:
        """Wants no more answers to a request."""
        assert self.ask("withdraw", request=request)["type"] == "ok"

    def refuse(self, request: str, to: str, code: str = "not_shared") -> None:
        """Says that there will be no offer."""
        assert self.ask("refuse", request=request, to=to, code=code)["type"] == "ok"

    def refused(self, request: str, timeout: float = 15) -> str:
        """Waits until a session says that there will be no offer; the code."""
        wanted = self.next(lambda m: m.get("type") == "refused" and m.get("request") == request, timeout, "refused")
        return wanted["code"]

    def progress(self, transfer: str, count: int) -> None:
        """Reports how far the receiver is (there is no answer)."""
        self.send(type="progress", id=next(self.ids), transfer=transfer, bytes=count)

    def note(self, transfer: str, payload: bytes | str) -> None:
        """Says something to the other client of an accepted transfer (there is no answer)."""
        text = payload if isinstance(payload, str) else b64(payload)
        self.send(type="note", id=next(self.ids), transfer=transfer, payload=text)

    def noted(self, transfer: str, timeout: float = 15) -> bytes:
        """Waits for the next note of the other client."""
        note = self.next(lambda m: m.get("type") == "note" and m.get("transfer") == transfer, timeout, "a note")
        return unb64(note["payload"])

    def delivered(self, transfer: str, size: int, sha256: str) -> Message:
        """Says that everything is verified and stored."""
        return self.ask("delivered", transfer=transfer, payload=pack(v=0, size=size, sha256=sha256))

    def failed(self, transfer: str, timeout: float = 15) -> Message:
        """Waits until the transfer fails and returns the message."""
        return self.next(lambda m: m.get("type") == "failed" and m.get("transfer") == transfer, timeout, "failed")


class Offer:
    """What becomes of an offer: everything about it comes under its id (a `failed` under one of the relay's)."""

    def __init__(self, session: Session, transfer: str, id: str) -> None:
        self.session, self.transfer, self.id = session, transfer, id
        self.states: list[str] = []
        self.progress: list[int] = []

    def _next(self, wanted: str, timeout: float) -> Message:
        deadline = time.monotonic() + timeout
        while True:
            message = self.session.next(
                lambda m: (
                    m.get("transfer") == self.transfer
                    and m["type"] in ("offered", "start", "progress", "delivered", "failed")
                ),
                deadline - time.monotonic(),
                f"{wanted} (states so far: {self.states})",
            )
            if message["type"] == "offered":
                self.states.append(message["state"])
            elif message["type"] == "progress":
                self.progress.append(message["bytes"])
            elif message["type"] == "failed":
                raise Failed(message)
            if message["type"] == wanted:
                return message

    def start(self, timeout: float = 15) -> Start:
        """Waits for the upload's token."""
        return _start(self._next("start", timeout), "upload")

    def confirmed(self, timeout: float = 30) -> str:
        """Waits for the receiver's word; returns its payload."""
        return self._next("delivered", timeout)["payload"]

    def delivered(self, timeout: float = 30) -> Message:
        """The same, as `Session.delivered` says it."""
        return unpack(self.confirmed(timeout))


def _start(message: Message, role: str) -> Start:
    assert message["type"] == "start" and message["role"] == role, message
    assert len(unb64(message["token"])) == 32 and message["expires"] == EXPIRES[role], message
    return Start(message["transfer"], role, message["token"], message["url"], message.get("payload", ""))


def _http(relay: Server, start: Start, timeout: float) -> tuple[http.client.HTTPSConnection, str]:
    url = urllib.parse.urljoin(f"https://{relay.host}:{relay.port}/", start.path)
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=relay.ca)
    return http.client.HTTPSConnection(
        parts.hostname or relay.host, parts.port, context=context, timeout=timeout
    ), parts.path


def upload(
    relay: Server,
    start: Start,
    content: Iterable[bytes],
    *,
    length: int | None = None,
    method: str = "PUT",
    timeout: float = 60,
) -> tuple[int, Message]:
    """Section 2.2: sends `content` (an iterable of byte strings); chunked when there is no `length`. (status, JSON)."""
    connection, path = _http(relay, start, timeout)
    headers = {"Authorization": f"Bearer {start.token}", "Content-Type": "application/octet-stream"}
    if length is not None:
        headers["Content-Length"] = str(length)
    try:
        connection.request(method, path, body=content, headers=headers, encode_chunked=length is None)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Download:
    """Section 2.1: the receiver's half, as it comes. Its pieces can be had once."""

    def __init__(self, relay: Server, start: Start, *, timeout: float = 60) -> None:
        self._connection, path = _http(relay, start, timeout)
        self._connection.request("GET", path, headers={"Authorization": f"Bearer {start.token}"})
        self._response = self._connection.getresponse()
        self.status, self.length = self._response.status, self._response.getheader("Content-Length")
        #: Whether the body had the end that its framing promised.
        self.whole = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def __iter__(self) -> Iterator[bytes]:
        received = 0
        try:
            # What there is, not as much as was asked for: the sender may wait for an answer to it.
            while piece := self._response.read1(262_144):
                received += len(piece)
                yield piece
        except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
            return
        self.whole = self.length is None or received == int(self.length)


def download(
    relay: Server, start: Start, sink: Callable[[bytes], object] | None = None, *, timeout: float = 60
) -> tuple[int, str | None, bool]:
    """The same at once: (status, Content-Length or None, whole); the bytes go to `sink`."""
    with Download(relay, start, timeout=timeout) as body:
        for piece in body:
            if sink:
                sink(piece)
        return body.status, body.length, body.whole
