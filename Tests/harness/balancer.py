# SPDX-License-Identifier: Apache-2.0
"""HAProxy in front of one relay, with TLS passed through."""

from __future__ import annotations

import copy
import csv
import pathlib
import re
import shutil
import socket
from typing import TYPE_CHECKING

from .executables import clean_environment
from .processes import Process
from .waiting import until

if TYPE_CHECKING:
    from .relay import Relay

#: The question that only a relay that serves answers, asked five times a second. Two seconds without a good answer are
#: too many, as in cluster/recipes: each has to be there in 200 ms, which a machine that tests may miss by itself.
CHECKS = "check check-ssl verify none inter 200ms fall 10 rise 1"


class Balancer:
    """A balancer that tries nothing twice: what it meets is what its clients get."""

    def __init__(self, relay: Relay, folder: pathlib.Path, server: str = CHECKS) -> None:
        self.control = folder / "balancer.sock"
        #: The relay as its clients see it.
        self.seen = copy.copy(relay)
        reserved = socket.socket()
        # Bound and never listening: the system assigns the port to no other socket, and HAProxy may still listen on it.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((relay.host, 0))
        self.seen.port = reserved.getsockname()[1]
        config = folder / "haproxy.cfg"
        config.write_text(
            "global\n  log stdout format raw local0 notice\n"
            f"  stats socket {self.control} mode 600\n  fd-hard-limit 5000\n"
            "defaults\n  mode tcp\n  retries 0\n  timeout connect 5s\n  timeout check 2s\n"
            "  timeout client 60s\n  timeout server 60s\n"
            f"listen relay\n  bind {relay.host}:{self.seen.port}\n"
            "  log global\n  option log-health-checks\n  option httpchk\n"
            "  http-check send meth GET uri /healthz ver HTTP/1.1 hdr Host relay\n"
            f"  http-check expect status 200\n  server node {relay.host}:{relay.port} {server}\n"
        )
        binary = shutil.which("haproxy") or "/usr/sbin/haproxy"
        self.process = Process([binary, "-db", "-f", config], env=clean_environment(folder), folder=folder / "logs")
        until(self._listens, 10, "HAProxy listens")
        reserved.close()

    def _listens(self) -> bool:
        assert self.process.running(), self.process.tail()
        with socket.socket() as probe:
            # The socket for operators gets its name last.
            return probe.connect_ex(self.seen.address) == 0 and self.control.exists()

    def figures(self) -> dict[str, str]:
        """What HAProxy counts of the relay, by the names of its documentation: `chkfail`, `econ`, `status` …"""
        with socket.socket(socket.AF_UNIX) as control:
            control.settimeout(5)
            control.connect(str(self.control))
            control.sendall(b"show stat relay -1 -1\n")
            text = b"".join(iter(lambda: control.recv(65536), b"")).decode()
        return next(row for row in csv.DictReader(text.removeprefix("# ").splitlines()) if row["svname"] == "node")

    def problems(self) -> list[str]:
        """What it met that it should not have."""
        figures = self.figures()
        found = [f"{name} is {figures[name]}" for name in ("chkdown", "econ", "wretr") if figures[name] != "0"]
        # To be slow is what a busy machine does; to refuse, or to answer something else, is the relay's doing.
        reasons = re.findall(r"Health check for server relay/node failed, reason: ([^,]+)", self.process.out())
        found += [f"a check failed: {reason}" for reason in reasons if "timeout" not in reason]
        return found + ([] if figures["status"] == "UP" else [f"it says {figures['status']}"])
