# SPDX-License-Identifier: Apache-2.0
"""A running relay-server, and people with profiles at it."""

from __future__ import annotations

import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import types
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

from . import measure, protocol, raw
from .client import Client
from .executables import clean_environment
from .processes import Process
from .sealed_peer import SealedPeer
from .types import Address, Environment, Message, Path, Word
from .waiting import until

if TYPE_CHECKING:
    from .certificates import Certificates

_numbers = itertools.count(1)
#: The folder in which a receiver keeps a transfer that is not whole yet.
PART = re.compile(rb"\.relay-[0-9a-f]{32}\.part")


def admin(
    binaries: pathlib.Path, state: pathlib.Path, folder: pathlib.Path, *arguments: Word, timeout: float = 20
) -> subprocess.CompletedProcess[str]:
    """Runs a sub-command for the server of that state directory to its end."""
    return subprocess.run(
        [binaries / "relay-server", *arguments, "--state-dir", state],
        check=False,
        timeout=timeout,
        text=True,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=clean_environment(folder),
    )


def unique(name: str) -> str:
    """A name that is unique in this run."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


class Relay:
    """A relay-server on a port of the system's choice, with everything it needs in one folder."""

    host = "127.0.0.1"
    # What the command line begins with, and what else is in the server's environment.
    prefix: Sequence[str] = ()
    environment: Environment = types.MappingProxyType({})
    # Since `launch`, and since `start`.
    process: Process
    port: int

    def __init__(
        self,
        binaries: pathlib.Path,
        certs: Certificates,
        folder: Path,
        *,
        registration: str = "invite",
        level: str = "info",
        arguments: Iterable[Word] = (),
        state: Path | None = None,
        env: Environment | None = None,
    ) -> None:
        self.binaries, self.certs, self.folder = binaries, certs, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = pathlib.Path(state) if state else self.folder / "state"
        self.registration, self.level, self.arguments, self.env = registration, level, list(arguments), env or {}
        self._watcher: protocol.Identity | None = None

    @property
    def url(self) -> str:
        """The address a client is told."""
        return f"https://{self.host}:{self.port}"

    @property
    def ca(self) -> str:
        """What a client trusts."""
        return str(self.certs.ca)

    @property
    def address(self) -> Address:
        """Host and port."""
        return (self.host, self.port)

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    def command(self, *arguments: Word) -> subprocess.CompletedProcess[str]:
        """Runs an admin sub-command (`invite`, `users`, `status` …) to its end."""
        return admin(self.binaries, self.state, self.folder, *arguments)

    def launch(self, port: int = 0) -> Self:
        """Starts the process and does not wait."""
        self.process = Process(
            [
                *self.prefix,
                self.binaries / "relay-server",
                "serve",
                "--listen",
                f"{self.host}:{port}",
                "--tls-cert",
                self.certs.chain,
                "--tls-key",
                self.certs.key,
                "--state-dir",
                self.state,
                "--registration",
                self.registration,
                "--log-level",
                self.level,
                *self.arguments,
            ],
            env=clean_environment(self.folder, **{**self.environment, **self.env}),
            folder=self.folder / "logs",
        )
        return self

    def start(self, port: int = 0) -> Self:
        """Starts it and waits until it listens."""
        self.launch(port)
        # Which port the system chose is in the line that says so: the last number of a line with "listening".
        line = self.process.wait_for(r"(?m)^.*listening.*https.*$|^.*listening.*$", 20).group(0)
        found = re.search(r"port\W{1,4}(\d{2,5})\b", line) or re.search(rf"{re.escape(self.host)}:(\d{{2,5}})\b", line)
        assert found, f"no port in: {line}"
        self.port = int(found.group(1))
        return self

    def stop(self, timeout: float = 30) -> int:
        """SIGTERM, and the exit status."""
        if self.process.running():
            self.process.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()

    def logs(self) -> str:
        """Everything it has printed."""
        return self.process.out() + self.process.err()

    def status(self) -> Message:
        """What `relay-server status --json` says."""
        done = self.command("status", "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def resident(self) -> int:
        """Resident memory in bytes."""
        return measure.resident(self.pid)

    def descriptors(self) -> int:
        """How many it has open."""
        return measure.descriptors(self.pid)

    def invite(self, *arguments: str) -> str:
        """A new invitation code."""
        done = self.command("invite", *arguments)
        assert done.returncode == 0, done
        code = done.stdout.split()
        assert code, done
        return code[-1]

    def healthy(self) -> None:
        """Asserts that it still serves."""
        assert self.process.running(), self.process.tail()
        with raw.Connection(self.address, self.ca) as connection:
            connection.send(raw.request("GET", "/healthz"))
            answer = connection.answer()
            assert answer and answer.status == 200, answer

    def session(
        self,
        name: str = "py",
        *,
        identity: protocol.Identity | None = None,
        invitation: str | None = None,
        receiving: bool = False,
        source: str | None = None,
    ) -> protocol.Session:
        """A Python client, registered and logged in."""
        return self._session(identity or protocol.Identity(unique(name)), invitation, receiving, source)

    def _session(
        self,
        identity: protocol.Identity,
        invitation: str | None,
        receiving: bool,
        source: str | None = None,
        prekey: Message | None = None,
    ) -> protocol.Session:
        made = protocol.Session(self, identity, source=source)
        made.login("register", invitation, prekey)
        return made.presence() if receiving else made

    def client(
        self,
        name: str = "py",
        *,
        peer: SealedPeer | None = None,
        invitation: str | None = None,
        receiving: bool = False,
    ) -> Client:
        """A Python client that exchanges sealed transfers, registered and logged in."""
        identity = peer.identity if peer else protocol.Identity(unique(name))
        peer = peer or SealedPeer(identity)
        return Client(self, self._session(identity, invitation, receiving, prekey=peer.prekey()), peer)

    def watcher(self) -> protocol.Session:
        """A session that only looks. It comes from an address of its own, and its name is invited once."""
        invitation = None
        if self._watcher is None:
            self._watcher = protocol.Identity(unique("watcher"))
            invitation = self.invite() if self.registration == "invite" else None
        return self.session(identity=self._watcher, invitation=invitation, source="127.0.0.9")

    def person(self, name: str, folder: Path, *, login: bool = True, exact: bool = False) -> Person:
        """A user with a profile of relay-client."""
        made = Person(self, name if exact else unique(name), pathlib.Path(folder))
        if login:
            made.login()
        return made


class Person:
    """A profile of relay-client, and a folder for what it receives."""

    def __init__(self, relay: Relay, name: str, folder: pathlib.Path) -> None:
        self.relay, self.name = relay, name
        self.home = folder / name
        self.profile, self.inbox = self.home / "profile", self.home / "inbox"
        self.inbox.mkdir(parents=True)

    def run(
        self,
        *arguments: Word,
        profile: bool = True,
        env: Environment | None = None,
        prefix: Sequence[Word] = (),
        **options: Any,
    ) -> Process:
        """Starts relay-client with this profile."""
        where: list[Word] = ["--profile", self.profile] if profile else []
        return Process(
            [*prefix, self.relay.binaries / "relay-client", *arguments[:1], *where, *arguments[1:]],
            env=clean_environment(self.home, **(env or {})),
            folder=self.home / "logs",
            cwd=self.home,
            **options,
        )

    def login(
        self,
        *,
        url: str | None = None,
        ca: Word | None = None,
        name: str | None = None,
        env: Environment | None = None,
        expect: int = 0,
        timeout: float = 20,
    ) -> Process:
        """`relay-client login`; with an invitation when the relay wants one."""
        secret = {"RELAY_INVITE": self.relay.invite()} if self.relay.registration == "invite" and env is None else {}
        process = self.run(
            "login",
            url or self.relay.url,
            "--name",
            name or self.name,
            "--ca",
            ca or self.relay.ca,
            env={**secret, **(env or {})},
        )
        return process.expect(expect, timeout)

    def receive(
        self,
        *arguments: Word,
        once: bool = True,
        output: Word | None = None,
        ready: bool = True,
        sender: str | None = None,
        **options: Any,
    ) -> Process:
        """`relay-client receive --yes`, waited for until it can be rung."""
        trust = ["--from", sender] if sender else []
        process = self.run(
            "receive",
            "--yes",
            *trust,
            *(["--once"] if once else []),
            "--output",
            output or self.inbox,
            *arguments,
            **options,
        )
        if ready:
            self.wait_online(process)
        return process

    def wait_online(self, process: Process | None = None, timeout: float = 20) -> None:
        """Waits until the relay would ring this name."""
        with self.relay.watcher() as watcher:

            def online() -> bool:
                assert process is None or process.running(), f"{process.describe()}\n{process.tail()}"
                return watcher.lookup(self.name)["online"]

            until(online, timeout, f"{self.name} online", step=0.06)

    def send(self, to: Person | str, *paths: Word, **options: Any) -> Process:
        """`relay-client send`."""
        return self.run("send", to.name if isinstance(to, Person) else to, *paths, **options)

    def received(self) -> list[bytes]:
        """The names in the inbox, as bytes."""
        return sorted(os.listdir(os.fsencode(self.inbox)))

    def stored(self) -> list[bytes]:
        """The same, without what is not whole yet."""
        return [name for name in self.received() if not PART.fullmatch(name)]

    def parts(self) -> list[pathlib.Path]:
        """The folders of what is not whole yet."""
        return [self.inbox / os.fsdecode(name) for name in self.received() if PART.fullmatch(name)]
