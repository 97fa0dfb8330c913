# SPDX-License-Identifier: Apache-2.0
"""A cluster made by cluster/up, which stays up for as long as a test wants it."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import tempfile
from typing import Any

from .certificates import Certificates
from .executables import REPOSITORY, clean_environment
from .members import Member, Node, tell_haproxy
from .processes import Process
from .relay import Relay
from .types import Environment, Word
from .waiting import until

STARTING = 60
# Where clusters were told to put their folders.
temporaries: list[pathlib.Path] = []


class Command(Process):
    """A started cluster/up."""

    #: The folder for temporary files that it was given.
    temporary: pathlib.Path


def up(
    binaries: pathlib.Path, folder: pathlib.Path, *arguments: Word, env: Environment | None = None, **options: Any
) -> Command:
    """Starts `cluster/up ARGUMENTS...` and does not wait."""
    folder.mkdir(parents=True, exist_ok=True)
    # Paths of sockets are short. The fixture that made it checks that it is empty in the end.
    temporary = pathlib.Path(tempfile.mkdtemp(prefix="relay-up."))
    temporaries.append(temporary)
    process = Command(
        [REPOSITORY / "cluster/up", *arguments],
        env=clean_environment(folder, **{"RELAY_BIN": binaries, "TMPDIR": temporary, **(env or {})}),
        folder=folder / "logs",
        name="cluster-up",
        **options,
    )
    process.temporary = temporary
    return process


class Cluster(Relay):
    """A running cluster. As a relay, it is its balancer."""

    registration = "open"
    process: Command
    #: The program in front of the nodes, where a test looks at it.
    balancer: str

    def __init__(
        self, binaries: pathlib.Path, folder: pathlib.Path, *arguments: str, env: Environment | None = None
    ) -> None:
        self.binaries, self.folder, self._watcher = binaries, folder, None
        self.variables_file = folder / "variables"
        # The command writes down what it sees, and stays until its standard input ends.
        self.process = up(
            binaries,
            folder,
            *arguments,
            "--",
            "sh",
            "-c",
            'env -0 >"$0.new"; mv "$0.new" "$0"; exec cat',
            self.variables_file,
            env={"RELAY_REGISTRATION": self.registration, "RELAY_LOG_LEVEL": "debug", **(env or {})},
            stdin=subprocess.PIPE,
        )
        try:
            until(self._is_up, STARTING, lambda: f"the cluster is up\n{self.process.tail()}")
        except BaseException:
            # No fixture knows of it yet.
            self.process.signal(signal.SIGTERM)
            self.process.wait(30)
            raise
        lines = self.variables_file.read_bytes().decode().split("\0")
        self.variables = dict(line.split("=", 1) for line in lines if line)
        self.directory = pathlib.Path(self.variables["RELAY_CLUSTER_DIR"])
        self.port = self.port_of(self.variables["RELAY_SERVER"])
        self.certs = Certificates(self.directory / "certs")
        self.state = pathlib.Path(self.variables["RELAY_STATE_DIR"])

    def _is_up(self) -> bool:
        assert self.process.running(), self.process.tail()
        return self.variables_file.exists()

    @staticmethod
    def port_of(url: str) -> int:
        """The port at the end of a URL."""
        return int(url.rpartition(":")[2])

    @property
    def nodes(self) -> list[int]:
        """The nodes' ports."""
        return [self.port_of(url) for url in self.variables["RELAY_NODE_URLS"].split()]

    @property
    def pids(self) -> list[int]:
        """The nodes' process ids, as they were at the start."""
        return [int(pid) for pid in self.variables["RELAY_NODE_PIDS"].split()]

    @property
    def redis_url(self) -> str:
        """Redis, with its password."""
        return self.variables["RELAY_REDIS"]

    def log_of(self, part: str) -> str:
        """What a part (`n1`, `balancer`, `redis`) has printed."""
        return (self.directory / f"{part}.log").read_text(encoding="utf-8", errors="replace")

    def logs(self) -> str:
        """What all nodes have printed."""
        return "".join(path.read_text(encoding="utf-8") for path in sorted(self.directory.glob("n*.log")))

    def node(self, number: int) -> Node:
        """Node 1, 2 … by itself: a relay for clients that do not ask the balancer."""
        return Node(self, f"n{number}", self.nodes[number - 1])

    def members(self) -> list[Node]:
        """All nodes."""
        return [self.node(number) for number in range(1, len(self.nodes) + 1)]

    def part(self, name: str) -> Member:
        """Redis or the balancer, as something to break."""
        return Member(self, name)

    def balance(self, *nodes: Node) -> None:
        """Tells HAProxy to give new connections to these nodes only; what is connected stays."""
        for member in self.members():
            state = "ready" if member.name in [node.name for node in nodes] else "drain"
            tell_haproxy(self.directory / "balancer.sock", f"set server relay/{member.name} state {state}")

    def restart(self, part: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """`cluster-restart PART`."""
        return subprocess.run(
            ["cluster-restart", part],
            env=self.variables,
            timeout=timeout,
            text=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )

    def stop(self, timeout: float = 30) -> int:
        """Lets the command end, and returns the exit status."""
        if self.process.running():
            self.process.stdin.close()
        try:
            return self.process.wait(timeout)
        finally:
            self.process.kill()


class Tree:
    """The processes below one, remembered beyond their end."""

    def __init__(self, root: int) -> None:
        below: dict[int, list[tuple[int, int]]] = {}
        for entry in pathlib.Path("/proc").iterdir():
            if entry.name.isdigit() and (found := _parent_and_start(entry)):
                below.setdefault(found[0], []).append((int(entry.name), found[1]))
        self.processes, left = [], [root]
        while left:
            children = below.get(left.pop(), [])
            self.processes += children
            left += [pid for pid, _ in children]

    def alive(self) -> list[tuple[int, str]]:
        """Those that still run, as (id, command)."""
        return [
            (pid, pathlib.Path(f"/proc/{pid}/comm").read_text().strip())
            for pid, start in self.processes
            if (found := _parent_and_start(pathlib.Path(f"/proc/{pid}"))) and found[1] == start and found[2] != "Z"
        ]

    def named(self, name: str) -> list[int]:
        """The ids of those with that command that run."""
        return [pid for pid, command in self.alive() if command == name]


def _parent_and_start(entry: pathlib.Path) -> tuple[int, int, str] | None:
    """Parent, time of start, and state of a process; None when it is gone."""
    try:
        fields = (entry / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[1]), int(fields[19]), fields[0].decode()


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """A signal to one process."""
    os.kill(pid, number)
