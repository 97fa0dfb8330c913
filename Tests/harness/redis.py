# SPDX-License-Identifier: Apache-2.0
"""Redis as a test sees it: a small client (RESP2, one blocking connection), and what can be done to it."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import threading
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Any, Self

from .protocol import b64, unb64
from .waiting import until

if TYPE_CHECKING:
    from .history import History

# Which node, and which incarnation of it, a value is about: see docs/cluster-protocol.md, section 2.
_OWNED = re.compile(r"\{relay\}:(receiving|waiting|transfer):.+:([^:]+)\Z")

Argument = str | int | bytes


def token_key(token: str) -> str:
    """Where Redis has whose a token is."""
    return "{relay}:token:" + b64(hashlib.sha256(unb64(token)).digest())


class RedisError(Exception):
    """Redis answered with an error."""


class Redis:
    """A connection, made anew whenever the last one is broken."""

    def __init__(self, url: str, timeout: float = 5) -> None:
        matched = re.fullmatch(r"redis://(?:[^:@]*:([^@]*)@)?([^:/]+):(\d+)(?:/\d+)?", url)
        assert matched, url
        self.password, self.host, self.port = matched[1], matched[2], int(matched[3])
        self.timeout, self._lock = timeout, threading.Lock()
        self._file: IO[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._socket and self._file:
            self._file.close()
            self._socket.close()
        self._socket = self._file = None

    def connect(self) -> None:
        """Makes the connection now."""
        self._socket = socket.create_connection((self.host, self.port), self.timeout)
        self._file = self._socket.makefile("rb")
        if self.password:
            self._ask(("AUTH", self.password))

    def __call__(self, *arguments: Argument) -> Any:
        """One command; strings and numbers go in, bytes, numbers and lists come out. RedisError, or OSError."""
        with self._lock:
            try:
                if not self._socket:
                    self.connect()
                return self._ask(arguments)
            except OSError:
                self.close()
                raise

    def _ask(self, arguments: Sequence[Argument]) -> Any:
        self.send(*arguments)
        return self.reply()

    def send(self, *arguments: Argument) -> None:
        """Writes one command."""
        words = [each if isinstance(each, bytes) else str(each).encode() for each in arguments]
        assert self._socket
        self._socket.sendall(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(each), each) for each in words))

    def reply(self) -> Any:
        """Reads one reply."""
        assert self._file
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis has closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if int(rest) < 0:
            return None
        if kind == b"*":
            return [self.reply() for _ in range(int(rest))]
        return self._file.read(int(rest) + 2)[:-2]

    def answers(self) -> bool:
        """Whether it answers."""
        try:
            return self("PING") == b"PONG"
        except (OSError, RedisError):
            return False

    def keys(self, pattern: str = "{relay}:*") -> list[str]:
        """All keys that match, sorted."""
        found: set[str] = set()
        cursor = b"0"
        while True:
            cursor, some = self("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found.update(key.decode() for key in some)
            if cursor == b"0":
                return sorted(found)

    def incarnation(self, node: str) -> str | None:
        """What a node calls itself, or None when it has no presence."""
        value = self("GET", f"{{relay}}:node:{node}")
        return json.loads(value)["incarnation"] if value else None

    def routes(self) -> list[tuple[str, str, str]]:
        """(key, node, incarnation) of every key that belongs to a node."""
        found = []
        for key in self.keys():
            owned = _OWNED.match(key)
            if key.startswith("{relay}:node:"):
                if incarnation := self.incarnation(node := key.removeprefix("{relay}:node:")):
                    found.append((key, node, incarnation))
            elif owned or key.startswith("{relay}:token:"):
                value = self("GET", key)
                words = value.decode().split() if value else []
                if owned and words:
                    found.append((key, owned[2], words[0]))
                elif len(words) == 2:
                    found.append((key, words[0], words[1]))
        return found

    def dump(self, pattern: str = "{relay}:*") -> dict[str, tuple[bytes, int]]:
        """{key: (serialised value, milliseconds to live or 0)}, as RESTORE takes it."""
        found = {}
        for key in self.keys(pattern):
            value, left = self("DUMP", key), self("PTTL", key)
            if value is not None:
                found[key] = (value, max(0, left))
        return found

    def restore(self, dump: dict[str, tuple[bytes, int]]) -> None:
        """Puts a dump back over what is there now."""
        for key, (value, left) in dump.items():
            self("RESTORE", key, left, value, "REPLACE")

    def subscriptions(self) -> list[int]:
        """The ids of connections that are subscribed to something."""
        return self._clients("pubsub")

    def _clients(self, kind: str) -> list[int]:
        listed = self("CLIENT", "LIST", "TYPE", kind).decode()
        return [int(found) for found in re.findall(r"^id=(\d+) ", listed, re.MULTILINE)]

    def kill_subscriptions(self) -> int:
        """Closes them; how many there were."""
        return self("CLIENT", "KILL", "TYPE", "pubsub")

    def kill_commands(self) -> int:
        """Closes all the others but this one; how many there were."""
        return self("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def messages(self, pattern: str = "{relay}:bell:*") -> Messages:
        """Listens on a connection of its own; returns Messages."""
        return Messages(self, pattern)

    def commands(self) -> Heard:
        """Every command that Redis gets from now on, as a line each; returns Heard."""
        return Heard(self, "MONITOR")

    def contents(self) -> str:
        """Everything there is, keys and values, as one text."""
        read: dict[bytes, tuple[Argument, ...]] = {
            b"string": ("GET",),
            b"set": ("SMEMBERS",),
            b"zset": ("ZRANGE", 0, -1),
        }
        pieces = []
        for key in self.keys("*"):
            # It may have expired meanwhile. Another type than these would be one that nothing has looked at.
            if (kind := self("TYPE", key)) != b"none":
                name, *rest = read[kind]
                pieces.append(f"{key} = {self(name, key, *rest)}")
        return "\n".join(pieces)


class Heard:
    """What one command makes Redis say from now on: a list that grows. A connection of its own."""

    def __init__(self, redis: Redis, *command: str) -> None:
        self.seen: list[Any] = []
        self._redis = Redis(f"redis://:{redis.password or ''}@{redis.host}:{redis.port}", timeout=60)
        self._redis.connect()
        self._redis.send(*command)
        self._redis.reply()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                self.seen.append(self._made(self._redis.reply()))
        except (OSError, ValueError, AttributeError):
            return

    @staticmethod
    def _made(reply: Any) -> Any:
        return reply

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # The reader hears of it and lets go.
        if self._redis._socket:
            self._redis._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)


class Messages(Heard):
    """What was published since: (channel, payload)."""

    def __init__(self, redis: Redis, pattern: str) -> None:
        super().__init__(redis, "PSUBSCRIBE", pattern)

    @staticmethod
    def _made(reply: Any) -> tuple[str, bytes]:
        _, _, channel, payload = reply
        return channel.decode(), payload


class Scanner:
    """Looks at the routes twice a second, and appends them to a history, until it is told to stop."""

    def __init__(self, redis: Redis, history: History) -> None:
        self._redis, self._history, self._stop = redis, history, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._stop.wait(0.5):
            try:
                self._history.add("redis", "routes", routes=self._redis.routes())
            except (OSError, RedisError, ValueError, KeyError):
                # It is one of the things that are broken on purpose, and what is in there may be forged.
                continue

    def stop(self) -> None:
        """The last look is over."""
        self._stop.set()
        self._thread.join(30)
        self._redis.close()


def wait_until_gone(redis: Redis, node: str, incarnation: str | None, timeout: float = 17) -> None:
    """Waits until no route names that incarnation, as rule 11 of the fault table has it."""

    def left() -> list[str]:
        return [key for key, owner, of in redis.routes() if (owner, of) == (node, incarnation)]

    until(lambda: not left(), timeout, lambda: f"no route of {node} is left: {left()}", step=0.2)
