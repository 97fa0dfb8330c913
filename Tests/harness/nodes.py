# SPDX-License-Identifier: Apache-2.0
"""Single nodes and their Redis, each with an environment of its own, for what cluster/up cannot show on one machine."""

from __future__ import annotations

import pathlib
import secrets
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any, Self, SupportsInt

from . import certificates
from .executables import REPOSITORY, clean_environment
from .processes import Process
from .redis import Redis
from .relay import Relay
from .types import Environment
from .waiting import until

sys.path.insert(0, str(REPOSITORY / "cluster"))
from runner import system
from runner.recipe import redis_server


class LoneNode(Relay):
    """A node that only this test knows. With `steers`, it has a --public-url: itself."""

    def __init__(
        self,
        nodes: Nodes,
        name: str,
        host: str = "127.0.0.1",
        *,
        prefix: Sequence[str] = (),
        environment: Environment | None = None,
        steers: bool = False,
        level: str = "debug",
        registration: str = "open",
    ) -> None:
        super().__init__(nodes.binaries, nodes.certs, nodes.folder / name, registration=registration, level=level)
        self.name, self.host, self.prefix = name, host, prefix
        # Kept for as long as the node: it comes back where it was.
        self._port, self._link = nodes.reserve(), nodes.reserve()
        self.link = f"{host}:{int(self._link)}"
        self.environment = {
            "RELAY_REDIS": nodes.redis_url,
            "RELAY_NODE_ID": name,
            "RELAY_NODE_LISTEN": self.link,
            "RELAY_NODE_ADVERTISE": self.link,
            "RELAY_CLUSTER_CA": nodes.certs.folder / "ca.pem",
            "RELAY_CLUSTER_CERT": nodes.certs.folder / f"node-{name}.pem",
            "RELAY_CLUSTER_KEY": nodes.certs.folder / f"node-{name}.key",
            "RELAY_CLUSTER_SECRET": nodes.secret,
        }
        if steers:
            self.environment["RELAY_PUBLIC_URL"] = f"https://{host}:{int(self._port)}"
        self.environment |= environment or {}

    def start(self, port: int = 0) -> Self:
        """Starts it and waits until it listens; always on the same port."""
        return super().start(port or int(self._port))


class Nodes:
    """A Redis, and nodes that share it.

    `reserve` gives a port: nodes in separate networks may share one. `making` is the environment in which certificates
    are made.
    """

    def __init__(
        self,
        binaries: pathlib.Path,
        folder: pathlib.Path,
        names: Sequence[str],
        *,
        hosts: Sequence[str] = (),
        redis_host: str = "127.0.0.1",
        reserve: Callable[[], SupportsInt] | None = None,
        making: dict[str, str] | None = None,
    ) -> None:
        self.binaries, self.folder = binaries, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.certs = certificates.made(folder / "certs", *hosts, nodes=names, environment=making)
        self.secret = folder / "cluster.secret"
        self.secret.touch(mode=0o600)
        self.secret.write_text(secrets.token_hex(32) + "\n")
        self.reserve = reserve or Reserved
        self.redis_host, self._redis_port, self._password = redis_host, self.reserve(), secrets.token_hex(16)
        self.redis_url = f"redis://:{self._password}@{redis_host}:{int(self._redis_port)}/0"
        self.nodes: list[LoneNode] = []

    def start_redis(self) -> Redis:
        """Starts Redis and waits until it answers; returns a client."""
        (self.folder / "redis").mkdir(exist_ok=True)
        settings = (
            f"bind {self.redis_host}\nport {int(self._redis_port)}\nrequirepass {self._password}\n"
            f'save ""\nappendonly no\ndir {self.folder}/redis\n'
        )
        self.redis_process = Process(
            [redis_server(), "-"],
            env=clean_environment(self.folder),
            folder=self.folder / "logs",
            stdin=subprocess.PIPE,
        )
        self.redis_process.stdin.write(settings.encode())
        self.redis_process.stdin.close()
        redis = Redis(self.redis_url)
        until(redis.answers, 15, lambda: f"Redis answers\n{self.redis_process.tail()}")
        return redis

    def members(self) -> list[LoneNode]:
        """All nodes that were started."""
        return list(self.nodes)

    def start(self, name: str, host: str = "127.0.0.1", **options: Any) -> LoneNode:
        """Starts a node."""
        node = LoneNode(self, name, host, **options).start()
        self.nodes.append(node)
        return node


class Reserved:
    """A free port of 127.0.0.1, reserved for this object."""

    def __init__(self) -> None:
        self._port = system.Port()

    def __int__(self) -> int:
        return self._port.number
