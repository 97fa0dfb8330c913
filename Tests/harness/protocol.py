# SPDX-License-Identifier: Apache-2.0
"""A client written from docs/wire-protocol.md alone: it shares nothing with the one in Sources."""

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

import websockets.asyncio.client
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519

from . import records
from .waiting import TooLate

_RAW = (serialization.Encoding.Raw, serialization.PublicFormat.Raw)

# Seconds that a token is good for: the sender's as long as the receiver's request is held.
EXPIRES = {"download": 60, "upload": 30}


def b64(data):
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    """The reverse."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def pack(**fields):
    """A payload: JSON in base64url."""
    return b64(json.dumps(fields, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def unpack(payload):
    """The reverse."""
    return json.loads(unb64(payload))


class Refused(Exception):
    """The relay answered with `error`."""

    def __init__(self, message):
        super().__init__(f"{message.get('code')}: {message.get('message')}")
        self.code, self.message = message.get("code"), message


class Failed(Exception):
    """The transfer ended with `failed`."""

    def __init__(self, message):
        super().__init__(f"{message.get('code')} by {message.get('by')}")
        self.code, self.by = message.get("code"), message.get("by")


class Identity:
    """A name and its keys."""

    def __init__(self, name):
        self.name = name
        self.signing = ed25519.Ed25519PrivateKey.generate()
        self.exchange = x25519.X25519PrivateKey.generate()

    @property
    def key(self):
        """The public signing key, as in the messages."""
        return b64(self.signing.public_key().public_bytes(*_RAW))

    @property
    def exchange_key(self):
        """The public exchange key, as in the messages."""
        return b64(self.exchange.public_key().public_bytes(*_RAW))

    def credentials(self, verb, host, nonce):
        """The credentials for `login` or `register` (section 1.4)."""
        lines = [f"relay.v1 {verb}", host.lower(), self.name, nonce, self.exchange_key]
        signature = self.signing.sign("\n".join(lines).encode())
        return {
            "name": self.name,
            "key": self.key,
            "exchangeKey": self.exchange_key,
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
    payload: dict


class _Loop:
    """One event loop on a thread of its own for every control connection (two threads at one TLS connection are more
    than Python's ssl can take)."""

    _here, _lock = {}, threading.Lock()

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    @classmethod
    def here(cls):
        """That of the network namespace the caller is in: a thread stays where it was made."""
        namespace = os.readlink("/proc/thread-self/ns/net")
        with cls._lock:
            if namespace not in cls._here:
                cls._here[namespace] = cls()
            return cls._here[namespace]

    def run(self, coroutine, timeout):
        """Runs a coroutine to its end and returns its value."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout)


class Session:
    """A control connection, for use by one thread at a time (what arrives is kept until it is asked for)."""

    def __init__(self, relay, identity, *, source=None):
        self.relay, self.identity = relay, identity
        self.host = f"{relay.host}:{relay.port}"
        self.ids = (f"c{number}" for number in itertools.count(1))
        self.closed = None
        self._arrived, self._news = [], threading.Condition()
        self._loop = _Loop.here()
        self.socket = self._loop.run(self._open(source), 20)

    async def _open(self, source):
        context = ssl.create_default_context(cafile=self.relay.ca)
        connecting = websockets.asyncio.client.connect(
            f"wss://{self.host}/ws",
            ssl=context,
            subprotocols=["relay.v1"],
            compression=None,
            proxy=None,
            max_size=65_536,
            open_timeout=15,
            close_timeout=2,
            **({"local_addr": (source, 0)} if source else {}),
        )
        socket = await connecting.__aenter__()
        self._reading = asyncio.get_running_loop().create_task(self._read(socket))
        return socket

    async def _read(self, socket):
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

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Ends the connection."""
        self._loop.run(self.socket.close(), 10)

    def send(self, **message):
        """Sends one message as it is; ConnectionError when the connection is over."""
        try:
            self._loop.run(self.socket.send(json.dumps(message)), 10)
        except websockets.exceptions.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    def next(self, wanted, timeout=15, what="a message"):
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

    def close_code(self, timeout=15):
        """Waits for the end of the connection and returns its close code."""
        with self._news:
            if not self._news.wait_for(lambda: self.closed is not None, timeout):
                raise TooLate(f"still open after {timeout} s")
            return self.closed

    def ask(self, type, timeout=15, **fields):
        """Sends a request and returns the relay's answer to it; Refused when that is an `error`."""
        id = next(self.ids)
        self.send(type=type, id=id, **fields)
        return self._answer(id, timeout, type)

    def _answer(self, id, timeout, what):
        message = self.next(lambda m: m.get("id") == id, timeout, f"the answer to {what}")
        if message["type"] == "error":
            raise Refused(message)
        return message

    def login(self, verb="login", invitation=None):
        """Section 1.4: waits for the challenge and answers it."""
        challenge = self.next(lambda m: m.get("type") == "challenge", what="the challenge")
        fields = {"credentials": self.identity.credentials(verb, self.host, challenge["nonce"])}
        if invitation is not None:
            fields["invitation"] = invitation
        welcome = self.ask(verb, **fields)
        assert welcome["type"] == "welcome" and welcome["name"] == self.identity.name, welcome
        return self

    def presence(self, receiving=True):
        """Asks to be rung, or not to be."""
        assert self.ask("presence", receiving=receiving)["type"] == "ok"
        return self

    def lookup(self, name):
        """Somebody's keys, and whether they receive."""
        return self.ask("lookup", name=name)

    def offer(self, to, payload, *, wait=True, transfer=None):
        """Offers a transfer; the Offer tells what becomes of it."""
        offer = Offer(self, transfer or b64(os.urandom(16)), next(self.ids))
        self.send(type="offer", id=offer.id, to=to, transfer=offer.transfer, payload=payload, wait=wait)
        first = self._answer(offer.id, 15, "offer")
        assert first["type"] == "offered" and first["transfer"] == offer.transfer, first
        offer.states.append(first["state"])
        return offer

    def ring(self, timeout=15):
        """Waits to be rung."""
        return self.next(lambda m: m.get("type") == "ring", timeout, "a ring")

    def accept(self, transfer, payload=None):
        """Accepts; the Start is for the download."""
        message = self.ask("accept", transfer=transfer, payload=payload or pack(v=0, offset=0))
        return _start(message, "download")

    def decline(self, transfer, code="declined"):
        """Declines."""
        return self.ask("decline", transfer=transfer, code=code)

    def cancel(self, transfer, code="cancelled"):
        """Ends a transfer."""
        return self.ask("cancel", transfer=transfer, code=code)

    def progress(self, transfer, count):
        """Reports how far the receiver is (there is no answer)."""
        self.send(type="progress", id=next(self.ids), transfer=transfer, bytes=count)

    def delivered(self, transfer, size, sha256):
        """Says that everything is verified and stored."""
        return self.ask("delivered", transfer=transfer, payload=pack(v=0, size=size, sha256=sha256))

    def failed(self, transfer, timeout=15):
        """Waits until the transfer fails and returns the message."""
        return self.next(lambda m: m.get("type") == "failed" and m.get("transfer") == transfer, timeout, "failed")


class Offer:
    """What becomes of an offer: everything about it comes under its id (a `failed` under one of the relay's)."""

    def __init__(self, session, transfer, id):
        self.session, self.transfer, self.id, self.states, self.progress = session, transfer, id, [], []

    def _next(self, wanted, timeout):
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

    def start(self, timeout=15):
        """Waits for the upload's token."""
        return _start(self._next("start", timeout), "upload")

    def delivered(self, timeout=30):
        """Waits for the receiver's word; returns its payload."""
        return unpack(self._next("delivered", timeout)["payload"])


#: Seconds in which a token is to be used: the receiver's request, which is there before the sender is told, waits 30 s.
EXPIRES = {"download": 60, "upload": 30}


def _start(message, role):
    assert message["type"] == "start" and message["role"] == role, message
    assert len(unb64(message["token"])) == 32 and message["expires"] == EXPIRES[role], message
    payload = unpack(message["payload"]) if message.get("payload") else {}
    return Start(message["transfer"], role, message["token"], message["url"], payload)


def _http(relay, start, timeout):
    url = urllib.parse.urljoin(f"https://{relay.host}:{relay.port}/", start.path)
    parts = urllib.parse.urlsplit(url)
    context = ssl.create_default_context(cafile=relay.ca)
    return http.client.HTTPSConnection(parts.hostname, parts.port, context=context, timeout=timeout), parts.path


def upload(relay, start, content, *, length=None, method="PUT", timeout=60):
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


def download(relay, start, sink=None, *, timeout=60):
    """Section 2.1: yields nothing, gives (status, Content-Length or None, whole); the bytes go to `sink`.

    `whole` tells whether the body had the end that its framing promised."""
    connection, path = _http(relay, start, timeout)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {start.token}"})
        response = connection.getresponse()
        length = response.getheader("Content-Length")
        received = 0
        try:
            while piece := response.read(262_144):
                received += len(piece)
                if sink:
                    sink(piece)
        except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
            return response.status, length, False
        return response.status, length, length is None or received == int(length)
    finally:
        connection.close()


def send_file(relay, session, to, name, content, *, announce=True, wait=True, timeout=60):
    """Sends one whole file as section 3 says; returns what the receiver said on delivery."""
    size = len(content)
    manifest = {"v": 0, "name": name, **({"size": size} if announce else {})}
    offer = session.offer(to, pack(**manifest), wait=wait)
    start = offer.start(timeout)
    pieces = (content[at : at + 1_000_000] for at in range(0, size, 1_000_000))
    status, answer = upload(
        relay, start, records.encode(pieces), length=records.length(size) if announce else None, timeout=timeout
    )
    assert status == 200, (status, answer)
    return offer.delivered(timeout)


def receive_file(relay, session, *, timeout=60):
    """Waits for a ring, receives and verifies the file, says so; returns (manifest, content)."""
    ring = session.ring(timeout)
    manifest = unpack(ring["payload"])
    start = session.accept(ring["transfer"])
    decoder, content = records.Decoder(manifest.get("size")), []
    status, _, whole = download(relay, start, lambda piece: content.append(decoder.feed(piece)), timeout=timeout)
    assert status == 200 and whole, (status, whole)
    decoder.close()
    content = b"".join(content)
    session.delivered(ring["transfer"], len(content), decoder.sha256.hexdigest())
    return manifest, content
