# SPDX-License-Identifier: Apache-2.0
"""A relay with people at it, who use relay-client."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import Iterator

from .contestants import Certificates, serve
from .control import Identity
from .processes import Failure, Processes, free_port, wait_for_tls

#: For one `send`, and for a receiver to be ready.
SECONDS = 300


class Relay:
    """A running relay-server with open registration."""

    def __init__(self, directory: str, certificates: Certificates, programs: str, processes: Processes) -> None:
        self.directory, self.ca, self.programs, self.processes = directory, certificates.ca, programs, processes
        self.people: dict[str, Person] = {}
        self.identities: dict[str, Identity] = {}
        self.port = free_port()
        command = serve(os.path.join(programs, "relay-server"), self.port, directory, certificates)
        self.process = processes.start(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_for_tls(self.port, self.ca, self.process, "relay-server")

    def person(self, name: str) -> Person:
        """A profile that is logged in."""
        if name not in self.people:
            self.people[name] = Person(self, name)
        return self.people[name]

    def identity(self, name: str) -> Identity:
        """A name with its keys, for a session without relay-client."""
        if name not in self.identities:
            self.identities[name] = Identity(self.directory, name)
        return self.identities[name]

    def files(self, name: str, count: int) -> list[str]:
        """Paths of that many files of 3 bytes."""
        folder = os.path.join(self.directory, name)
        os.mkdir(folder)
        paths = [os.path.join(folder, f"{number:05}") for number in range(count)]
        for number, path in enumerate(paths):
            with open(path, "wb") as file:
                file.write(b"%03d" % (number % 1000))
        return paths

    def large(self, name: str, size: int) -> str:
        """The path of one large file that does not compress."""
        path, block = os.path.join(self.directory, name), os.urandom(1 << 20)
        with open(path, "wb") as file:
            while size > 0:
                size -= file.write(block[: min(size, len(block))])
        return path


class Person:
    """A profile."""

    numbers = itertools.count()

    def __init__(self, relay: Relay, name: str) -> None:
        self.relay, self.name = relay, name
        self.home = os.path.join(relay.directory, "home", name)
        os.makedirs(self.home, mode=0o700)
        self.run("login", f"https://127.0.0.1:{relay.port}", "--name", name, "--ca", relay.ca)

    def command(self, verb: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        """The command line and the environment of relay-client for this profile."""
        program = os.path.join(self.relay.programs, "relay-client")
        environment = {
            key: value for key, value in os.environ.items() if not key.lower().startswith(("relay_", "http"))
        }
        profile = os.path.join(self.home, "profile")
        return [program, verb, "--profile", profile, *arguments], environment | {"HOME": self.home}

    def run(self, *arguments: str) -> None:
        """Runs relay-client to its end, which has to be a good one."""
        command, environment = self.command(*arguments)
        done = subprocess.run(
            command,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
        if done.returncode:
            raise Failure(f"relay-client {arguments[0]} ended with {done.returncode}: {done.stderr[-500:]}")

    def send(self, to: str, *paths: str) -> None:
        """Sends and returns when all is delivered."""
        self.run("send", "--quiet", to, *paths)

    @contextlib.contextmanager
    def receiving(self) -> Iterator[None]:
        """A receiver that is ready, with a folder that is removed behind it."""
        folder = os.path.join(self.home, f"inbox{next(self.numbers)}")
        os.mkdir(folder)
        log = os.path.join(self.home, "receiver.log")
        command, environment = self.command("receive", "--yes", "--json", "--output", folder)
        with open(log, "wb") as output:
            process = self.relay.processes.start(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        deadline = time.monotonic() + SECONDS
        while b'"ready"' not in self._said(log):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.name} does not receive: {self._said(log)[-500:].decode(errors='replace')}")
            time.sleep(0.01)
        try:
            yield
        finally:
            self.relay.processes.stop(process)
            shutil.rmtree(folder)

    @staticmethod
    def _said(log: str) -> bytes:
        with open(log, "rb") as file:
            return file.read()
