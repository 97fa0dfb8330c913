# SPDX-License-Identifier: Apache-2.0
"""One server process of the cluster."""

from __future__ import annotations

import contextlib
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence

from . import system

STARTING_SECONDS = 30
# A node lets its transfers finish for 30 s, and says goodbye for some more.
DRAINING_SECONDS = 45


class ServerProcess:
    """A server: how it is started, and how to see that it serves.

    `answers` is called until it returns true; it may raise OSError as long as the server does not.
    """

    def __init__(
        self,
        name: str,
        folder: pathlib.Path,
        arguments: Sequence[str | os.PathLike[str]],
        environment: dict[str, str],
        answers: Callable[[], bool],
        *,
        standard_input: bytes | None = None,
    ) -> None:
        self.name, self.arguments, self.environment, self.answers = name, arguments, environment, answers
        self.standard_input = standard_input
        self.log = folder / f"{name}.log"
        self.pid_file = folder / f"{name}.pid"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id; None before it was started."""
        return self._process.pid if self._process is not None else None

    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.poll() is None

    def launch(self) -> None:
        """Starts it and does not wait."""
        supervisor = os.getpid()
        with open(self.log, "ab") as log:
            self._process = subprocess.Popen(
                self.arguments,
                env=self.environment,
                stdin=subprocess.DEVNULL if self.standard_input is None else subprocess.PIPE,
                stdout=log,
                stderr=log,
                # In a session of its own, which Ctrl-C does not reach. It dies with the supervisor, however that ends.
                start_new_session=True,
                preexec_fn=lambda: system.die_with(supervisor, signal.SIGKILL),
            )
        if self.standard_input is not None:
            pipe = self._process.stdin
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError), pipe:
                pipe.write(self.standard_input)
        self.pid_file.write_text(f"{self.pid}\n", encoding="ascii")

    def wait(self, pause: Callable[[], None]) -> None:
        """Waits until it serves; `pause` is called between two looks."""
        deadline = time.monotonic() + STARTING_SECONDS
        while True:
            if not self.running():
                status = self._process.returncode if self._process is not None else None
                raise system.Failure(f"{self.name} ended with status {status}: {self.last_words()}")
            with contextlib.suppress(OSError, ValueError):
                if self.answers():
                    return
            if time.monotonic() > deadline:
                raise system.Failure(f"{self.name} does not serve after {STARTING_SECONDS} s: {self.last_words()}")
            pause()

    def terminate(self) -> None:
        """SIGTERM. Something that is stopped (SIGSTOP) hears it when it goes on."""
        if self._process is not None and self.running():
            self._process.send_signal(signal.SIGTERM)

    def end(self, seconds: float, pause: Callable[[], None]) -> None:
        """Waits for the end; kills it when it takes longer."""
        deadline = time.monotonic() + seconds
        while self.running() and time.monotonic() < deadline:
            pause()
        self.kill()

    def kill(self) -> None:
        """SIGKILL, and gone. Harmless when it is gone already."""
        if self._process is not None:
            if self.running():
                self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The end of what it has printed, in one line."""
        with contextlib.suppress(OSError):
            lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            return " / ".join(lines[-4:]) or "it has printed nothing"
        return "it has printed nothing"


def healthy(port: system.Port, authority: pathlib.Path) -> bool:
    """Whether /healthz is answered with 200 there, over verified TLS."""
    context = ssl.create_default_context(cafile=authority)
    with (
        socket.create_connection((port.host, port.number), 2) as plain,
        context.wrap_socket(plain, server_hostname=port.host) as connection,
    ):
        connection.sendall(f"GET /healthz HTTP/1.1\r\nHost: {port}\r\n\r\n".encode())
        return connection.recv(64).startswith(b"HTTP/1.1 200 ")


def redis_answers(port: system.Port, password: str) -> bool:
    """Whether Redis answers, and wants this password."""
    with socket.create_connection((port.host, port.number), 2) as connection:
        connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
        received = b""
        while received.count(b"\n") < 2:
            piece = connection.recv(64)
            if not piece:
                return False
            received += piece
        return received == b"+OK\r\n+PONG\r\n"
