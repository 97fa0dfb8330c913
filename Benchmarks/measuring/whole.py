# SPDX-License-Identifier: Apache-2.0
"""Programs that carry a file from one user to another, each from its start to its end as real processes."""

import contextlib
import getpass
import os
import secrets
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Unpack

from . import people
from .contestants import Certificates, find
from .processes import Failure, Options, Process, Processes, free_port, process_poll

#: Below that something is wrong, and the transfer is given up.
SLOWEST_BYTES_PER_SECOND = 10_000_000
STARTING = 30


class Sample:
    """What one transfer took: wall-clock seconds, and CPU seconds of the two ends, each with what it started."""

    def __init__(self, size: int, seconds: float, sender: float | None, receiver: float | None) -> None:
        self.seconds, self.megabytes_per_second = seconds, size / 1e6 / seconds
        self.sender, self.receiver = (cpu / (size / 1e9) if cpu is not None else None for cpu in (sender, receiver))


class End:
    """A process whose end, and cost, are waited for. It is killed when it takes too long."""

    def __init__(
        self, processes: Processes, name: str, command: Sequence[str], seconds: float, **options: Unpack[Options]
    ) -> None:
        self._processes, self._name, self.began = processes, name, time.monotonic()
        self.process = processes.start(command, stdin=subprocess.DEVNULL, **options)
        self._timer = threading.Timer(seconds, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def _give_up(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, log: str) -> float:
        """CPU seconds of the process and of those it has waited for; its end has to be a good one."""
        _, status, used = os.wait4(self.process.pid, 0)
        self.ended = time.monotonic()
        self._timer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._processes.stop(self.process)
        if self.process.returncode:
            raise Failure(f"{self._name} ended with {self.process.returncode}: {said(log)[-500:]}")
        return used.ru_utime + used.ru_stime


def said(log: str) -> str:
    """What is in a log."""
    with open(log, encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def wait_for_port(port: int, process: Process, name: str) -> None:
    """Returns once something listens there."""
    deadline = time.monotonic() + STARTING
    while True:
        if process.poll() is not None:
            raise Failure(f"{name} ended at once with status {process.returncode}; its output is above")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2):
                return
        except OSError as error:
            if time.monotonic() > deadline:
                raise Failure(f"{name} does not listen on port {port}: {error}") from error
            process_poll(process, 0.05)


class Contestant:
    """Carries files; `start` is called once before."""

    name = ""

    def __init__(self, directory: str) -> None:
        self.directory, self.log = directory, os.path.join(directory, "log")
        os.mkdir(directory, 0o700)

    def start(self, processes: Processes) -> None:
        """Starts what stays running."""
        self.processes = processes

    def carry(self, path: str, folder: str) -> Sample:
        """Carries the file at `path` into `folder`, and returns the Sample."""
        raise NotImplementedError

    def _end(self, name: str, command: Sequence[str], size: int, **options: Unpack[Options]) -> End:
        with open(self.log, "ab") as log:
            seconds = 60 + size / SLOWEST_BYTES_PER_SECOND
            outputs: Options = {"stdout": log, "stderr": log}
            return End(self.processes, name, command, seconds, **(outputs | options))


class Relay(Contestant):
    """relay-server, `relay-client send` and `relay-client receive`: from the start of `send` to its "delivered"."""

    def __init__(self, directory: str, name: str, programs: str, certificates: Certificates) -> None:
        super().__init__(directory)
        self.name, self.programs, self.certificates = name, programs, certificates

    def start(self, processes: Processes) -> None:
        super().start(processes)
        self.relay = people.Relay(self.directory, self.certificates, self.programs, processes)
        self.sender, self.receiver = self.relay.person("alice"), self.relay.person("bob")

    def carry(self, path: str, folder: str) -> Sample:
        size, receiving = os.path.getsize(path), os.path.join(self.directory, "receiving")
        command, environment = self.receiver.command("receive", "--yes", "--once", "--json", "--output", folder)
        with open(receiving, "wb") as output:
            receiver = self._end("receive", command, size, env=environment, stdout=output, stderr=output)
        deadline = time.monotonic() + STARTING
        while '"ready"' not in said(receiving):
            if receiver.process.poll() is not None or time.monotonic() > deadline:
                raise Failure(f"{self.name}: the receiver is not ready: {said(receiving)[-500:]}")
            time.sleep(0.01)
        command, environment = self.sender.command("send", "--quiet", "bob", path)
        sender = self._end("send", command, size, env=environment)
        costs = sender.wait(self.log), receiver.wait(receiving)
        return Sample(size, sender.ended - sender.began, *costs)


class Scp(Contestant):
    """OpenSSH's scp, as it is configured by default, through an sshd of its own; the CPU seconds are the client's."""

    name = "scp"

    def start(self, processes: Processes) -> None:
        super().start(processes)
        self.port = free_port()
        for key in ("host", "user"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(self.directory, key)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        with open(self._path("host.pub"), encoding="ascii") as public:
            key = " ".join(public.read().split()[:2])
        self._write("known", f"[127.0.0.1]:{self.port} {key}\n")
        self._write(
            "sshd_config",
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self._path('host')}\nPidFile none\nUsePAM no\n"
            f"AuthorizedKeysFile {self._path('user.pub')}\nStrictModes no\nPasswordAuthentication no\n"
            "PermitRootLogin prohibit-password\nSubsystem sftp /usr/lib/openssh/sftp-server\n",
        )
        if os.geteuid() == 0:
            # Where sshd shuts itself up before a login; Debian's service makes it.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        command = [find("sshd", "openssh-server"), "-D", "-e", "-f", self._path("sshd_config")]
        with open(self.log, "ab") as log:
            server = processes.start(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(self.port, server, "sshd")

    def _path(self, name: str) -> str:
        return os.path.join(self.directory, name)

    def _write(self, name: str, text: str) -> None:
        with open(self._path(name), "w", encoding="ascii") as file:
            file.write(text)

    def carry(self, path: str, folder: str) -> Sample:
        size = os.path.getsize(path)
        settings = [f"UserKnownHostsFile={self._path('known')}", "StrictHostKeyChecking=yes", "BatchMode=yes"]
        settings += ["IdentitiesOnly=yes", f"IdentityFile={self._path('user')}"]
        command = ["scp", "-q", "-F", "/dev/null", "-P", str(self.port)]
        command += [word for setting in settings for word in ("-o", setting)]
        client = self._end("scp", [*command, path, f"{getpass.getuser()}@127.0.0.1:{folder}/"], size)
        cost = client.wait(self.log)
        return Sample(size, client.ended - client.began, cost, None)


class Wormhole(Contestant):
    """magic-wormhole, with a mailbox and a transit relay on this machine, through which all bytes go: from the start of
    both ends to the end of both."""

    name = "wormhole"

    def __init__(self, directory: str, environment: str) -> None:
        super().__init__(directory)
        self.programs = os.path.join(environment, "bin")

    def start(self, processes: Processes) -> None:
        super().start(processes)
        self.ports = free_port(), free_port()
        plugins = (["wormhole-mailbox", "--channel-db", os.path.join(self.directory, "mailbox")], ["transitrelay"])
        for port, plugin in zip(self.ports, plugins, strict=True):
            command = [os.path.join(self.programs, "twist"), *plugin, "--port", f"tcp:{port}:interface=127.0.0.1"]
            with open(self.log, "ab") as log:
                server = processes.start(command, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            wait_for_port(port, server, plugin[0])

    def carry(self, path: str, folder: str) -> Sample:
        size, code = os.path.getsize(path), f"{secrets.randbelow(900) + 100}-{secrets.token_hex(8)}"
        mailbox, transit = self.ports
        command = [os.path.join(self.programs, "wormhole"), "--relay-url", f"ws://127.0.0.1:{mailbox}/v1"]
        command += ["--transit-helper", f"tcp:127.0.0.1:{transit}"]
        # Neither listens: they would find each other without the relay, since both are here.
        common = ["--no-listen", "--hide-progress"]
        receive = [*command, "receive", *common, "--accept-file", "--output-file", folder, code]
        receiver = self._end("wormhole receive", receive, size, cwd=self.directory)
        send = [*command, "send", *common, "--no-qr", "--code", code, path]
        sender = self._end("wormhole send", send, size, cwd=self.directory)
        costs = sender.wait(self.log), receiver.wait(self.log)
        return Sample(size, max(sender.ended, receiver.ended) - receiver.began, *costs)
