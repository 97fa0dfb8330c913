# SPDX-License-Identifier: Apache-2.0
"""What a model of the wire protocol remembers: sessions, attempts, rings, requests, and halves of streams."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING

from . import raw

if TYPE_CHECKING:
    from .protocol import Session
    from .types import Message, Server


@dataclasses.dataclass(eq=False)
class Asked:
    """A request whose answer is due."""

    verb: str
    #: What the answer may be: types, states, and codes of errors.
    allowed: frozenset[str]
    #: What it has to be if nothing else happens meanwhile.
    sure: frozenset[str]
    about: Attempt | Ring | Request | bool | None = None
    #: Whether silence is an answer, too.
    may_be_silent: bool = False
    fields: Message = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(eq=False)
class Live:
    """A session."""

    session: Session
    name: str
    node: str
    number: int
    open: bool = True
    #: What it has been granted, and whether it has ever asked for it.
    receiving: bool = False
    sharing: bool = False
    has_received: bool = False
    has_shared: bool = False
    asked: dict[str, Asked] = dataclasses.field(default_factory=dict)
    offers: dict[str, Attempt] = dataclasses.field(default_factory=dict)
    rings: dict[str, Ring] = dataclasses.field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.name}#{self.number}"


@dataclasses.dataclass(frozen=True)
class Cause:
    """Something that may end an attempt for others."""

    what: str
    who: Live
    code: str = ""


@dataclasses.dataclass(eq=False)
class Attempt:
    """One offer."""

    serial: int
    id: str
    sender: Live
    to: str
    waits: bool
    payload: str
    request: Request | None = None
    states: list[str] = dataclasses.field(default_factory=list)
    rings: dict[Live, Ring] = dataclasses.field(default_factory=dict)
    receiver: Ring | None = None
    causes: list[Cause] = dataclasses.field(default_factory=list)
    #: How it ended for the sender: `delivered`, `refused`, `cancelled`, or the code of a `failed`, and by whom.
    ended: str | None = None
    by: str = ""
    token: str | None = None
    download: Half | None = None
    upload: Half | None = None
    #: The receiver's word.
    word: str | None = None
    notes: dict[str, list[str]] = dataclasses.field(default_factory=lambda: {"up": [], "down": []})
    heard: dict[str, int] = dataclasses.field(default_factory=lambda: {"up": 0, "down": 0})
    #: Whether who went before it may be rung for it.
    rushed: bool = False
    progress: set[int] = dataclasses.field(default_factory=set)
    began: float = dataclasses.field(default_factory=time.monotonic)

    def __repr__(self) -> str:
        return f"attempt {self.serial} of {self.sender}"

    def has(self, *kinds: str, besides: Live | None = None, code: str | None = None) -> bool:
        """Whether there is a cause of one of these kinds, by anyone else."""
        return any(each.what in kinds and each.who is not besides and code in (None, each.code) for each in self.causes)


@dataclasses.dataclass(eq=False)
class Ring:
    """An attempt, as a session that was rung sees it."""

    live: Live
    attempt: Attempt
    #: What it has said: `accept`, `decline` or `cancel`.
    said: str | None = None
    token: str | None = None
    ended: str | None = None
    by: str = ""


@dataclasses.dataclass(eq=False)
class Request:
    """What a session has asked of a name."""

    id: str
    live: Live
    to: str
    payload: str
    granted: bool = False
    withdrawn: bool = False
    #: Which sessions have to hear it, those that have, what was refused, and what of that was heard.
    hearers: set[Live] = dataclasses.field(default_factory=set)
    heard: set[Live] = dataclasses.field(default_factory=set)
    refusals: list[str] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)
    #: How many refusals have to come.
    due: int = 0

    @property
    def open(self) -> bool:
        """Whether it may be answered."""
        return self.granted and not self.withdrawn and self.live.open


class Half:
    """The connections with which one token was shown: one of them is to be let in."""

    def __init__(self, server: Server, attempt: Attempt, role: str, token: str, times: int, body: bytes = b"") -> None:
        self.attempt, self.role, self.body, self.cut = attempt, role, body, False
        self.sent = 0
        #: Whether it was seen that the relay has it: what is cut before that, it may never have seen.
        self.taken = False
        self.shown = [raw.Connection(server.address, server.ca) for _ in range(times)]
        method, path = ("GET", "/download") if role == "download" else ("PUT", "/upload")
        fields = [f"Authorization: Bearer {token}"]
        if role == "upload":
            fields.append(f"Content-Length: {len(body)}")
        for connection in self.shown:
            connection.send(raw.request(method, path, *fields))

    def push(self, until: int) -> None:
        """Sends the body on every connection up to there: only one of them was let in."""
        for connection in self.shown:
            connection.send(self.body[self.sent : until])
        self.sent = max(self.sent, until)

    @property
    def whole(self) -> bool:
        """Whether all was sent."""
        return self.sent == len(self.body)

    def look(self) -> None:
        """Reads what is there."""
        if self.cut:
            return
        for connection in self.shown:
            try:
                while connection.receive(0):
                    pass
            except TimeoutError:
                pass

    def status(self, connection: raw.Connection) -> int | None:
        """That of the answer, if there is one."""
        head, end, _ = connection.buffer.partition(b"\r\n\r\n")
        return int(head.split(b" ", 2)[1]) if end else None

    @property
    def let_in(self) -> list[raw.Connection]:
        """Those that have not been refused for their token."""
        return [each for each in self.shown if self.status(each) != 403]

    @property
    def received(self) -> bytes:
        """What has come of a download that has begun."""
        (connection,) = self.let_in
        head, _, body = connection.buffer.partition(b"\r\n\r\n")
        return body if head.split(b" ", 2)[1:2] == [b"200"] else b""

    def close(self, *, reset: bool) -> None:
        """Cuts all of them."""
        self.cut = True
        for connection in self.shown:
            connection.reset() if reset else connection.close()
