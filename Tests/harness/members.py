# SPDX-License-Identifier: Apache-2.0
"""The parts of a cluster one by one: where they are, how they are, and everything that can be done to them."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
from typing import TYPE_CHECKING

from .measure import has_stopped, is_gone
from .relay import Relay
from .waiting import until

if TYPE_CHECKING:
    from .cluster import Cluster


class Member:
    """A process that cluster/up keeps."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name = cluster, name

    @property
    def pid(self) -> int:
        """Its process id, also after a restart."""
        return int((self.cluster.directory / f"{self.name}.pid").read_text())

    def kill(self) -> None:
        """kill -9, and it is over."""
        pid = self.pid
        os.kill(pid, signal.SIGKILL)
        until(lambda: is_gone(pid), 5, f"{self.name} is dead")

    def freeze(self) -> None:
        """SIGSTOP: it is there and does nothing."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        until(lambda: has_stopped(pid), 10, f"{self.name} has stopped")

    def thaw(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        """`cluster-restart`: it serves again when this returns."""
        done = self.cluster.restart(self.name)
        assert done.returncode == 0, (done, self.cluster.log_of(self.name)[-2000:])

    def processor_seconds(self) -> float:
        """How long it has computed, all threads together."""
        with open(f"/proc/{self.pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Node(Member, Relay):
    """A node, as a relay by itself."""

    def __init__(self, cluster: Cluster, name: str, port: int) -> None:
        Member.__init__(self, cluster, name)
        self.binaries, self.folder, self.certs = cluster.binaries, cluster.folder, cluster.certs
        self.state, self.port, self._watcher = cluster.directory / name, port, None
        self.registration = cluster.registration

    # Both parents have a pid, and only one of them starts its process itself.
    pid = Member.pid

    def logs(self) -> str:
        """What it has printed."""
        return self.cluster.log_of(self.name)


def tell_haproxy(path: pathlib.Path, command: str) -> None:
    """One command on HAProxy's socket; its answer has to be empty."""
    with socket.socket(socket.AF_UNIX) as balancer:
        balancer.settimeout(5)
        balancer.connect(str(path))
        balancer.sendall(command.encode() + b"\n")
        answer = b"".join(iter(lambda: balancer.recv(4096), b"")).decode().strip()
    assert not answer, f"{command}: {answer}"
