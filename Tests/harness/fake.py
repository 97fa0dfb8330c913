# SPDX-License-Identifier: Apache-2.0
"""A fake relay: enough of the protocol for one sender, with answers that a real relay rarely gives."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Self

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from .listener import Listener
from .protocol import Identity, b64
from .sealed import digest
from .sealed_peer import Incoming, SealedPeer, this_month
from .sealed_tree import Files
from .types import Message
from .waiting import until

if TYPE_CHECKING:
    from .certificates import Certificates


class FakeRelay:
    """Listens on 127.0.0.1; `home` is its own address. Every connection is served by a thread.

    `answers` are the refusals that uploads get before one is taken: (status, code, Retry-After or None). As long as
    there are some, a receiver that accepts a ring is told to download, and gets one.
    `busy` is how many upgrades are answered by 503 before one is taken; after each, the relay is gone for a moment.
    `refusals` are the codes that offers are refused with before one is taken, each alone or with what people are told.
    `unheard` are the types of messages of which the first is not answered.
    `ring` is what every receiver is offered, by zoe: each time in another attempt of the same transfer.
    `endings` are what follows the `101` of upgrades, before one is served: "cut", "close_notify" or "silence".
    `expires` is what a token is said to be good for, in seconds.
    `heard` are the types of all messages that came, `cancels` the codes of each `cancel` and `decline`.
    `uploads` are the uploads that were asked for: (port they came to, token).
    `offers` are the offers that came, each with what was sealed in it under `sealed`.

    Each user who is looked up has keys of their own, the same at every fake relay with the same `keys`, and takes what
    is sent. `month` is how many months their prekeys are ahead; None, and they have none."""

    host = Listener.host

    def __init__(
        self,
        certs: Certificates,
        *,
        answers: Iterable[tuple[int, str, int | None]] = (),
        refusals: Iterable[str | tuple[str, str]] = (),
        url: str | None = None,
        busy: int = 0,
        unheard: Iterable[str] = (),
        ring: Files | None = None,
        endings: Iterable[str] = (),
        expires: int = 30,
        keys: str = "",
        month: int | None = 0,
    ) -> None:
        self.certs, self.answers, self.refusals, self.url_of_start = certs, list(answers), list(refusals), url
        self.busy, self._is_gone, self.unheard = busy, False, list(unheard)
        self.ring, self.endings, self.expires, self.logins = ring, list(endings), expires, 0
        self.keys, self.month = keys, month
        self.heard: list[str] = []
        self.cancels: list[str] = []
        self.uploads: list[tuple[int, str]] = []
        self.offers: list[Message] = []
        self.content: bytes | None = None
        self.token = b64(b"t" * 32)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certs.chain, certs.key)
        self._lock = threading.Lock()
        self._listeners: list[Listener] = []
        self._session: tuple[ssl.SSLSocket, ServerProtocol, Message] | None = None
        self._transfer = os.urandom(16)
        self._controls: set[ssl.SSLSocket] = set()
        # What each control connection's client has said of itself.
        self._client: dict[ssl.SSLSocket, Message] = {}
        self.port = self.listen()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self._listeners:
            each.close()

    @property
    def url(self) -> str:
        """The address a client is told."""
        return f"https://{self.host}:{self.port}"

    def listen(self, context: ssl.SSLContext | None = None) -> int:
        """Opens one more port (with another certificate, if that is wanted) and returns its number."""
        listener = Listener(lambda client: self._serve(client, context or self._context))
        self._listeners.append(listener)
        return listener.port

    def drop(self) -> None:
        """Cuts every control connection."""
        for each in list(self._controls):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _serve(self, client: socket.socket, context: ssl.SSLContext) -> None:
        port = client.getsockname()[1]
        if self._is_gone:
            self._is_gone = False
            client.close()
            return
        with contextlib.suppress(OSError), context.wrap_socket(client, server_side=True) as channel:
            head = b""
            while b"\r\n\r\n" not in head:
                piece = channel.recv(65_536)
                if not piece:
                    return
                head += piece
            if head.startswith(b"GET /ws ") and self.busy:
                self.busy -= 1
                self._is_gone = True
                channel.sendall(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nRetry-After: 5\r\n\r\n")
            elif head.startswith(b"GET /ws "):
                self._control(channel, head)
            else:
                self._upload(channel, head, port)

    def _upload(self, channel: ssl.SSLSocket, head: bytes, port: int) -> None:
        head, _, body = head.partition(b"\r\n\r\n")
        fields = {
            name.lower(): value.strip() for name, _, value in (each.partition(b":") for each in head.split(b"\r\n"))
        }
        self.uploads.append((port, fields[b"authorization"].decode().removeprefix("Bearer ")))
        if self.answers:
            status, code, after = self.answers.pop(0)
            text = json.dumps({"code": code, "message": "x"}).encode()
            more = f"Retry-After: {after}\r\n" if after is not None else ""
            channel.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: {len(text)}\r\n{more}\r\n".encode() + text)
            return
        channel.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        session = until(lambda: self._session, 10, "a control connection")
        assert session
        channel_of_control, protocol, offer = session
        length, pieces = int(fields[b"content-length"]), [body]
        left = length - len(body)
        while left > 0:
            piece = channel.recv(min(left, 65_536))
            if not piece:
                return
            left -= len(piece)
            pieces.append(piece)
        sealed: Incoming = offer["sealed"]
        self.content = b"".join(sealed.read(pieces).files)
        channel.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        self._say(
            channel_of_control,
            protocol,
            type="delivered",
            id=offer["id"],
            transfer=offer["transfer"],
            payload=sealed.delivered(),
        )

    def _say(self, channel: ssl.SSLSocket, protocol: ServerProtocol, **message: Any) -> None:
        with self._lock:
            protocol.send_text(json.dumps(message).encode())
            for data in protocol.data_to_send():
                if data:
                    channel.sendall(data)

    def _control(self, channel: ssl.SSLSocket, data: bytes) -> None:
        protocol = ServerProtocol(subprotocols=[Subprotocol("relay.v1")], max_size=65_536)
        protocol.receive_data(data)
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        if self.endings:
            self._end(channel, b"".join(protocol.data_to_send()), self.endings.pop(0))
            return
        for piece in protocol.data_to_send():
            channel.sendall(piece)
        self._controls.add(channel)
        self._say(channel, protocol, type="challenge", id="r1", nonce=b64(bytes(32)), registration="open", agent="fake")
        while data := channel.recv(65_536):
            protocol.receive_data(data)
            for event in protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                    self._answer(channel, protocol, json.loads(bytes(event.data)))
            with self._lock:
                for piece in protocol.data_to_send():
                    if piece:
                        channel.sendall(piece)

    @staticmethod
    def _end(channel: ssl.SSLSocket, answer: bytes, ending: str) -> None:
        # With the cork in, the answer and its end leave in one packet.
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        channel.sendall(answer)
        if ending == "cut":
            return
        if ending == "close_notify":
            # It goes out at once; the answer to it, which this would wait for, need not come.
            channel.settimeout(0)
            with contextlib.suppress(ssl.SSLWantReadError):
                channel.unwrap()
        channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        # Until the other side goes.
        channel.settimeout(60)
        while socket.socket.recv(channel, 4096):
            pass

    def _answer(self, channel: ssl.SSLSocket, protocol: ServerProtocol, message: Message) -> None:
        id = message["id"]
        self.heard.append(message["type"])
        if message["type"] in ("cancel", "decline"):
            self.cancels.append(message["code"])
        if message["type"] in self.unheard:
            self.unheard.remove(message["type"])
            return
        if message["type"] in ("login", "register"):
            self.logins += 1
            self._client[channel] = {**message["credentials"], "prekey": message.get("prekey")}
            name = message["credentials"]["name"]
            self._say(channel, protocol, type="welcome", id=id, name=name, session="s1", heartbeat=20)
        elif message["type"] == "lookup":
            self._say(channel, protocol, type="peer", id=id, online=True, **self._peer(message["name"]))
        elif message["type"] == "offer":
            self._offered(channel, protocol, message)
        elif message["type"] == "accept" and self.answers:
            self._say(
                channel,
                protocol,
                type="start",
                id=id,
                transfer=message["transfer"],
                role="download",
                token=self.token,
                expires=self.expires,
                url="/download",
            )
        else:
            self._say(channel, protocol, type="ok", id=id)
            if message["type"] == "presence" and self.ring:
                self._ring(channel, protocol, self.ring)

    def _offered(self, channel: ssl.SSLSocket, protocol: ServerProtocol, message: Message) -> None:
        id, sender = message["id"], self._client[channel]
        ring = {**message, "from": sender["name"], "key": sender["key"]}
        message = {**message, "sealed": self.resident(message["to"]).ring(ring)}
        self.offers.append(message)
        if self.refusals:
            refusal = self.refusals.pop(0)
            code, said = refusal if isinstance(refusal, tuple) else (refusal, "x")
            self._say(channel, protocol, type="error", id=id, code=code, message=said)
            return
        self._session = (channel, protocol, message)
        transfer = message["transfer"]
        self._say(channel, protocol, type="offered", id=id, transfer=transfer, state="ringing")
        self._say(
            channel,
            protocol,
            type="start",
            id=id,
            transfer=transfer,
            role="upload",
            token=self.token,
            expires=self.expires,
            url=self.url_of_start or "/upload",
            payload=message["sealed"].accept(),
        )

    def _ring(self, channel: ssl.SSLSocket, protocol: ServerProtocol, files: Files) -> None:
        zoe = self.resident("zoe")
        offer = zoe.offer(self._client[channel], files, transfer=self._transfer)
        self._say(
            channel,
            protocol,
            type="ring",
            id="r9",
            transfer=b64(offer.attempt),
            key=zoe.identity.key,
            payload=offer.payload,
            **{"from": "zoe"},
        )

    def resident(self, name: str) -> SealedPeer:
        """The user of that name."""
        identity, seed = (digest(f"{what} of {name} {self.keys}".encode()) for what in ("identity", "prekey"))
        return SealedPeer(Identity(name, identity), seed=seed, epoch=this_month() + (self.month or 0))

    def _peer(self, name: str) -> Message:
        resident = self.resident(name)
        key = resident.identity.key
        return {"name": name, "key": key, **({"prekey": resident.prekey()} if self.month is not None else {})}
