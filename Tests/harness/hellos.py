# SPDX-License-Identifier: Apache-2.0
"""What servers say first in TLS, on the way to them: whether they go on with an earlier session."""

from __future__ import annotations

import threading

from .forwarder import Forwarder
from .types import Address

# In a server's first message of TLS 1.3 (RFC 8446, sections 4.1.3 and 4.2.11): which of the client's sessions goes on.
PRE_SHARED_KEY = 41


class Hellos(Forwarder):
    """In front of a server: what it says first, on each connection."""

    def __init__(self, target: Address) -> None:
        self.first: dict[int, bytes] = {}
        self._news = threading.Lock()
        super().__init__(target)

    def heard(self, number: int, piece: bytes) -> None:
        """Keeps the beginning of what the server says."""
        with self._news:
            self.first[number] = self.first.get(number, b"")[:4096] + piece

    def resumed(self) -> list[bool]:
        """For each connection whose server has spoken, whether it went on with a session."""
        with self._news:
            return [PRE_SHARED_KEY in extensions(said) for _, said in sorted(self.first.items())]


def extensions(hello: bytes) -> list[int]:
    """The types of the extensions in a ServerHello, which is the first record (section 5.1)."""
    assert hello[0] == 22 and hello[5] == 2, hello[:16]
    at = 5 + 4 + 2 + 32
    at += 1 + hello[at] + 2 + 1
    end = at + 2 + int.from_bytes(hello[at : at + 2])
    at, found = at + 2, []
    while at < end:
        found.append(int.from_bytes(hello[at : at + 2]))
        at += 4 + int.from_bytes(hello[at + 2 : at + 4])
    return found
