# SPDX-License-Identifier: Apache-2.0
"""Hostile clients of `scripts/prove overload`, in a process of their own:

    python -m proofs.attack KIND PORT CA FOLDER [OPTION...]

    user     one user, with many sessions at several addresses: messages, offers, control frames, sessions
    address  one address, with many users: silent connections, half handshakes, messages, guessed tokens
    crowd N FIRST  N sessions that log in at once, and then answer pings; FIRST others are another process's
    rate N   N connections a second from one address, each with the first message of a handshake

FOLDER is for files that it makes. It goes on until its standard input ends, and prints a line with `ready` once it is
at full strength; the last line is what it was told, as JSON.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import json
import os
import pathlib
import resource
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

from harness import control, protocol, raw
from harness.types import Message

HOST = "127.0.0.1"
LARGE = protocol.b64(bytes(32_768))
#: Sessions of one user, and of one address, below what they may have.
PER_USER, PER_ADDRESS = 64, 400
#: Logins at a time.
AT_ONCE = 64


class Target:
    """The relay, as these clients see it."""

    host = HOST

    def __init__(self, port: int, ca: str) -> None:
        self.port, self.ca = port, ca

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return (self.host, self.port)


class From(control.Socket):
    """A control connection from an address that is chosen."""

    def __init__(self, target: Target, source: str) -> None:
        raw.Connection.__init__(self, target.address, target.ca, source=source, timeout=20)
        self.host = f"{target.host}:{target.port}"
        self.send(raw.upgrade(host=self.host))
        self.upgrade = self.head()
        if self.upgrade is None or self.upgrade.status != 101:
            raise ConnectionError(f"refused: {self.upgrade and self.upgrade.status}")


class Attack:
    """Threads that do what they do again and again, and what they were told."""

    def __init__(self, target: Target) -> None:
        self.target, self.told = target, collections.Counter[str]()
        self.over = threading.Event()

    def again(self, work: Callable[[], None]) -> None:
        """Does it until the end, on a new connection when it was sent away."""

        def run() -> None:
            while not self.over.is_set():
                try:
                    work()
                except (OSError, AssertionError, struct.error) as error:
                    self.told[f"ended: {type(error).__name__}"] += 1
                    self.over.wait(0.02)

        threading.Thread(target=run, daemon=True).start()

    def lookups(self, identity: protocol.Identity, source: str) -> Callable[[], None]:
        """Asks for names, many at once."""

        def work() -> None:
            with From(self.target, source).login(identity) as session:
                text = json.dumps({"type": "lookup", "id": "c1", "name": "no-such-name"}).encode()
                pieces = control.frame(control.TEXT, text) * 200
                while not self.over.is_set() and session.send(pieces):
                    for _ in range(200):
                        self.told[str(session.message().get("code"))] += 1

        return work

    def offers(self, identity: protocol.Identity, source: str, to: str) -> Callable[[], None]:
        """Offers the largest payloads, and takes none back."""

        def work() -> None:
            with From(self.target, source).login(identity) as session:
                for number in range(10_000):
                    transfer = protocol.b64(os.urandom(16))
                    offer = {"type": "offer", "id": f"c{number}", "transfer": transfer, "to": to, "wait": True}
                    if self.over.is_set() or not session.say(**offer, payload=LARGE):
                        return
                    self.told[str(session.message().get("code", "taken"))] += 1

        return work

    def pings(self, identity: protocol.Identity, source: str) -> Callable[[], None]:
        """Sends nothing but control frames."""

        def work() -> None:
            with From(self.target, source).login(identity) as session:
                while not self.over.is_set() and session.send(control.frame(control.PING) * 1000):
                    pass
                self.told[f"closed: {session.closing()}"] += 1

        return work

    def sessions(self, identity: protocol.Identity, source: str) -> Callable[[], None]:
        """Logs in more often than it may."""

        def work() -> None:
            with contextlib.ExitStack() as made:
                for _ in range(PER_USER + 20):
                    session = made.enter_context(From(self.target, source))
                    challenge = session.message()
                    credentials = identity.credentials("register", session.host, challenge["nonce"])
                    session.say(type="register", id="c0", credentials=credentials)
                    answer = session.message()
                    if answer["type"] == "error":
                        self.told[str(answer["code"])] += 1
                        break
                self.over.wait(2)

        return work

    def tokens(self, source: str) -> Callable[[], None]:
        """Guesses tokens."""

        def work() -> None:
            with raw.Connection(self.target.address, self.target.ca, source=source) as connection:
                token = protocol.b64(os.urandom(32))
                connection.send(raw.request("GET", "/download", f"Authorization: Bearer {token}"))
                answer = connection.head()
                self.told[f"status {answer.status if answer else None}"] += 1

        return work

    def silent(self, source: str, said: bytes) -> Callable[[], None]:
        """Connects, says that, and waits until it is sent away."""

        def work() -> None:
            with contextlib.ExitStack() as made:
                crowd = []
                for _ in range(200):
                    each = made.enter_context(socket.create_connection(self.target.address, 5, (source, 0)))
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    each.sendall(said)
                    crowd.append(each)
                self.over.wait(0.5)
                for each in crowd:
                    each.setblocking(False)
                    with contextlib.suppress(OSError):
                        if not each.recv(1):
                            self.told["connection closed"] += 1

        return work


def user(target: Target) -> Attack:
    """One user."""
    attack, mallory = Attack(target), protocol.Identity(f"mallory-{os.getpid()}")
    ghost = protocol.Identity(f"ghost-{os.getpid()}")
    From(target, "127.0.6.1").login(ghost).close()
    for number in range(4):
        attack.again(attack.lookups(mallory, f"127.0.6.{number + 1}"))
    for number in range(2):
        attack.again(attack.offers(mallory, f"127.0.6.{number + 1}", ghost.name))
    attack.again(attack.pings(mallory, "127.0.6.5"))
    attack.again(attack.sessions(mallory, "127.0.6.6"))
    return attack


def address(target: Target) -> Attack:
    """One address."""
    attack, source = Attack(target), "127.0.7.1"
    for number in range(6):
        attack.again(attack.lookups(protocol.Identity(f"many-{os.getpid()}-{number}"), source))
    attack.again(attack.tokens(source))
    attack.again(attack.silent(source, b""))
    attack.again(attack.silent(source, hello()[:100]))
    attack.again(attack.sessions(protocol.Identity(f"more-{os.getpid()}"), source))
    return attack


def hello() -> bytes:
    """What a client says first in TLS."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    made = raw.context("", verify=False)
    made.sslsocket_class = ssl.SSLSocket
    with contextlib.suppress(ssl.SSLWantReadError):
        made.wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


def flood(target: Target, each_second: int, folder: pathlib.Path) -> NoReturn:
    """So many connections a second from one address, whether they are answered or not: a program in C instead of this
    process."""
    program, said = folder / "flood", folder / "hello"
    source = pathlib.Path(__file__).with_name("flood.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, source], check=True, timeout=60)
    said.write_bytes(hello())
    os.execv(program, [str(program), str(target.port), str(each_second), str(said)])


class Crowd(Attack):
    """Sessions that only are there."""

    def __init__(self, target: Target, count: int, first: int) -> None:
        super().__init__(target)
        self._first = first
        self._count, self._users = (
            count,
            [protocol.Identity(f"crowd-{os.getpid()}-{number}") for number in range(-(-count // PER_USER))],
        )
        self._context = ssl.create_default_context(cafile=target.ca)
        self._there = 0
        self.full = threading.Event()
        threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True).start()

    async def _run(self) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        began = time.monotonic()
        sessions = [asyncio.create_task(self._stay(number, gate)) for number in range(self._count)]
        while not self.over.is_set():
            await asyncio.sleep(0.1)
            if self._there + self.told["not let in"] >= self._count and not self.full.is_set():
                self.told["there"] = self._there
                self.told["milliseconds"] = int((time.monotonic() - began) * 1000)
                self.full.set()
        self.told["there at the end"] = self._there
        for each in sessions:
            each.cancel()

    async def _stay(self, number: int, gate: asyncio.Semaphore) -> None:
        identity, place = self._users[number // PER_USER], (self._first + number) // PER_ADDRESS
        source = f"127.0.9.{1 + place}"
        try:
            async with gate:
                reader, writer = await asyncio.open_connection(
                    HOST, self.target.port, ssl=self._context, local_addr=(source, 0)
                )
                await self._login(identity, reader, writer)
        except (OSError, asyncio.IncompleteReadError, AssertionError, struct.error):
            self.told["not let in"] += 1
            return
        self._there += 1
        try:
            while True:
                opcode, payload = await _frame(reader)
                if opcode == control.PING:
                    writer.write(control.frame(control.PONG, payload))
        except (OSError, asyncio.IncompleteReadError):
            self._there -= 1
            self.told["cut"] += 1

    async def _login(
        self, identity: protocol.Identity, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        host = f"{HOST}:{self.target.port}"
        writer.write(raw.upgrade(host=host))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in head.partition(b"\r\n")[0], head
        challenge = json.loads((await _frame(reader))[1])
        credentials = identity.credentials("register", host, challenge["nonce"])
        text = json.dumps({"type": "register", "id": "c0", "credentials": credentials})
        writer.write(control.frame(control.TEXT, text.encode()))
        welcome: Message = json.loads((await _frame(reader))[1])
        assert welcome["type"] == "welcome", welcome


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size == 126:
        size = struct.unpack(">H", await reader.readexactly(2))[0]
    return first & 0x0F, await reader.readexactly(size)


def crowd(target: Target, count: int, first: int) -> Attack:
    """So many sessions."""
    made = Crowd(target, count, first)
    made.full.wait(300)
    return made


KINDS: dict[str, Callable[..., Attack]] = {"user": user, "address": address, "crowd": crowd}


def lines() -> Iterator[str]:
    """What is said on standard input."""
    yield from sys.stdin


def give_way() -> None:
    """Has every other process first: the time that an attack takes to make is not what it costs a relay."""
    os.nice(19)
    # A process that leads a session is a group of the scheduler by itself where Linux makes such groups, and all of
    # them have the same share of a processor, whatever nice values there are in them (sched(7), autogroup).
    group = pathlib.Path("/proc/self/autogroup")
    if group.exists():
        try:
            group.write_text("19")
        except OSError as error:
            # A container may show it and not let it be written; without it, the attack takes more from the others.
            print(f"{group}: {error.strerror}", file=sys.stderr, flush=True)


def main(kind: str, port: str, ca: str, folder: str, *options: str) -> None:
    """Attacks until the end of standard input."""
    give_way()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    target = Target(int(port), ca)
    if kind == "rate":
        flood(target, int(options[0]), pathlib.Path(folder))
    attack = KINDS[kind](target, *map(int, options))
    print("ready", flush=True)
    for _line in lines():
        pass
    attack.over.set()
    time.sleep(1)
    print(json.dumps(dict(attack.told)), flush=True)
    # Threads that wait for the relay need not be waited for.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
