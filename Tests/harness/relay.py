# SPDX-License-Identifier: Apache-2.0
"""A running relay-server, and people with profiles at it."""

import itertools
import json
import os
import pathlib
import re
import signal
import subprocess

from . import measure, protocol, raw
from .executables import clean_environment
from .processes import Process
from .waiting import until

_numbers = itertools.count(1)


def unique(name):
    """A name nobody else in this run has."""
    return f"{name}-{os.getpid()}-{next(_numbers)}"


class Relay:
    """A relay-server on a port of the system's choice, with everything it needs in one folder."""

    host = "127.0.0.1"
    # What the command line begins with, and what else is in the server's environment.
    prefix, environment = (), {}

    def __init__(
        self, binaries, certs, folder, *, registration="invite", level="info", arguments=(), state=None, env=None
    ):
        self.binaries, self.certs, self.folder = binaries, certs, pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.state = pathlib.Path(state) if state else self.folder / "state"
        self.registration, self.level, self.arguments, self.env = registration, level, list(arguments), env or {}
        self.process, self.port, self._watcher = None, None, None

    @property
    def url(self):
        """The address a client is told."""
        return f"https://{self.host}:{self.port}"

    @property
    def ca(self):
        """What a client trusts."""
        return str(self.certs.ca)

    @property
    def address(self):
        """Host and port."""
        return (self.host, self.port)

    @property
    def pid(self):
        """The server's process id."""
        return self.process.pid

    def command(self, *arguments):
        """Runs an admin sub-command (`invite`, `users`, `status` …) to its end."""
        return subprocess.run(
            [self.binaries / "relay-server", *arguments, "--state-dir", self.state],
            check=False,
            timeout=20,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=clean_environment(self.folder),
        )

    def launch(self, port=0):
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

    def start(self, port=0):
        """Starts it and waits until it listens."""
        self.launch(port)
        # Which port the system chose is in the line that says so: the last number of a line with "listening".
        line = self.process.wait_for(r"(?m)^.*listening.*https.*$|^.*listening.*$", 20).group(0)
        found = re.search(r"port\W{1,4}(\d{2,5})\b", line) or re.search(rf"{re.escape(self.host)}:(\d{{2,5}})\b", line)
        assert found, f"no port in: {line}"
        self.port = int(found.group(1))
        return self

    def stop(self, timeout=30):
        """SIGTERM, and the exit status."""
        if self.process.running():
            self.process.signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()

    def logs(self):
        """Everything it has printed."""
        return self.process.out() + self.process.err()

    def status(self):
        """What `relay-server status --json` says."""
        done = self.command("status", "--json")
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def resident(self):
        """Resident memory in bytes."""
        return measure.resident(self.pid)

    def descriptors(self):
        """How many it has open."""
        return measure.descriptors(self.pid)

    def invite(self, *arguments):
        """A new invitation code."""
        done = self.command("invite", *arguments)
        assert done.returncode == 0, done
        code = done.stdout.split()
        assert code, done
        return code[-1]

    def healthy(self):
        """Asserts that it still serves."""
        assert self.process.running(), self.process.tail()
        with raw.Connection(self.address, self.ca) as connection:
            connection.send(raw.request("GET", "/healthz"))
            answer = connection.answer()
            assert answer and answer.status == 200, answer

    def session(self, name="py", *, identity=None, invitation=None, receiving=False, source=None):
        """A Python client, registered and logged in."""
        identity = identity or protocol.Identity(unique(name))
        made = protocol.Session(self, identity, source=source)
        made.login("register", invitation)
        return made.presence() if receiving else made

    def watcher(self):
        """A session that only looks. It comes from an address of its own, and its name is invited once."""
        invitation = None
        if self._watcher is None:
            self._watcher = protocol.Identity(unique("watcher"))
            invitation = self.invite() if self.registration == "invite" else None
        return self.session(identity=self._watcher, invitation=invitation, source="127.0.0.9")

    def person(self, name, folder, *, login=True, exact=False):
        """Somebody with a profile of relay-client."""
        made = Person(self, name if exact else unique(name), pathlib.Path(folder))
        if login:
            made.login()
        return made


class Person:
    """A profile of relay-client, and a folder for what it receives."""

    def __init__(self, relay, name, folder):
        self.relay, self.name = relay, name
        self.home = folder / name
        self.profile, self.inbox = self.home / "profile", self.home / "inbox"
        self.inbox.mkdir(parents=True)

    def run(self, *arguments, profile=True, env=None, prefix=(), **options):
        """Starts relay-client with this profile."""
        where = ["--profile", self.profile] if profile else []
        return Process(
            [*prefix, self.relay.binaries / "relay-client", *arguments[:1], *where, *arguments[1:]],
            env=clean_environment(self.home, **(env or {})),
            folder=self.home / "logs",
            cwd=self.home,
            **options,
        )

    def login(self, *, url=None, ca=None, name=None, env=None, expect=0, timeout=20):
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

    def receive(self, *arguments, once=True, output=None, ready=True, sender=None, **options):
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

    def wait_online(self, process=None, timeout=20):
        """Waits until the relay would ring this name."""
        with self.relay.watcher() as watcher:

            def online():
                assert process is None or process.running(), f"{process.describe()}\n{process.tail()}"
                return watcher.lookup(self.name)["online"]

            until(online, timeout, f"{self.name} online", step=0.06)

    def send(self, to, *paths, **options):
        """`relay-client send`."""
        return self.run("send", to.name if isinstance(to, Person) else to, *paths, **options)

    def received(self):
        """The names in the inbox, as bytes."""
        return sorted(os.listdir(os.fsencode(self.inbox)))
