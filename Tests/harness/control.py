# SPDX-License-Identifier: Apache-2.0
"""A control connection by hand: frames as they are, read only when they are asked for."""

from __future__ import annotations

import json
import os
import struct
from typing import TYPE_CHECKING, Any, Self

from . import raw
from .types import Message, Server

if TYPE_CHECKING:
    from .protocol import Identity

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    masked: bool = True,
    reserved: int = 0,
    length: int | None = None,
) -> bytes:
    """One frame. `length` lies about the size."""
    first = (0x80 if final else 0) | (reserved << 4) | opcode
    size = len(payload) if length is None else length
    bit = 0x80 if masked else 0
    if size < 126:
        head = bytes([first, bit | size])
    elif size < 65_536:
        head = bytes([first, bit | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, bit | 127]) + struct.pack(">Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class Socket(raw.Connection):
    """A raw connection with the upgrade done."""

    def __init__(self, relay: Server, *headers: str) -> None:
        super().__init__(relay.address, relay.ca)
        self.host = f"{relay.host}:{relay.port}"
        self.send(raw.upgrade(*headers, host=self.host))
        self.upgrade = self.head()

    def frame(self, timeout: float = 10) -> tuple[int, bytes] | None:
        """The next frame: (opcode, payload), or None at the end."""

        def take(count: int) -> bytes | None:
            while len(self.buffer) < count:
                if not self.receive():
                    return None
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            return piece

        head = take(2)
        if head is None:
            return None
        assert head[0] & 0xF0 == 0x80 and not head[1] & 0x80, head
        size = head[1]
        if size == 126:
            size = struct.unpack(">H", take(2) or b"")[0]
        elif size == 127:
            size = struct.unpack(">Q", take(8) or b"")[0]
        payload = take(size)
        assert payload is not None, self.ended
        return head[0] & 0x0F, payload

    def message(self) -> Message:
        """The next text message."""
        while True:
            got = self.frame()
            assert got is not None, self.ended
            if got[0] == TEXT:
                return json.loads(got[1])
            assert got[0] in (PING, PONG), got

    def closing(self) -> int | None:
        """Skips messages and returns the code of the close frame (None when there is none)."""
        while got := self.frame():
            if got[0] == CLOSE:
                return struct.unpack(">H", got[1][:2])[0] if got[1] else 1005
        return None

    def login(self, identity: Identity) -> Self:
        """Registers at an open relay."""
        challenge = self.message()
        credentials = identity.credentials("register", self.host, challenge["nonce"])
        self.say(type="register", id="c0", credentials=credentials)
        welcome = self.message()
        assert welcome["type"] == "welcome", welcome
        return self

    def say(self, **message: Any) -> bool:
        """Sends one message; says whether it was sent."""
        return self.send(frame(TEXT, json.dumps(message).encode()))
