# SPDX-License-Identifier: Apache-2.0
"""More than one Redis: a master with a replica and three Sentinels, and a Redis Cluster of three masters."""

from __future__ import annotations

import functools
import pathlib
import signal
import socket
import subprocess
import time

from .executables import clean_environment
from .processes import Process
from .redis import Redis, RedisError
from .types import Word
from .waiting import until

# What decides which slot a relay is in.
KEY = "{relay}:epoch"


def reserved() -> socket.socket:
    """A port that nothing else is given; a server that reuses addresses may listen on it."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held


class Server:
    """One redis-server, or one Sentinel."""

    def __init__(self, program: str, folder: pathlib.Path, name: str, *lines: str, sentinel: bool = False) -> None:
        self._held, self.program, self.name, self.sentinel = reserved(), program, name, sentinel
        self.port = self._held.getsockname()[1]
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        common = [f"port {self.port}", "bind 127.0.0.1", f"dir {self.folder}"]
        kept = [] if sentinel else ['save ""', "appendonly no"]
        (self.folder / "settings").write_text("\n".join([*common, *kept, *lines, ""]), encoding="ascii")
        self.redis = Redis(f"redis://127.0.0.1:{self.port}")
        self.process: Process
        self.start()

    def start(self) -> None:
        """Starts it, again on the same port and without data."""
        words: list[Word] = [self.program, self.folder / "settings", *(["--sentinel"] if self.sentinel else [])]
        self.process = Process(words, env=clean_environment(self.folder), folder=self.folder, name=self.name)
        until(self.redis.answers, 20, lambda: f"{self.name} answers\n{self.process.tail()}")

    def kill(self) -> None:
        """kill -9."""
        self.process.signal(signal.SIGKILL)
        self.process.wait(10)
        self.redis.close()

    def close(self) -> None:
        """Ends it for good."""
        self.process.kill()
        self.redis.close()
        self._held.close()

    def role(self) -> str:
        """`master` or `slave`; nothing when it does not answer."""
        try:
            return self.redis("ROLE")[0].decode()
        except (OSError, RedisError):
            return ""


class Group:
    """Servers that belong together: `with` ends them."""

    servers: list[Server]
    url: str

    def __enter__(self) -> Group:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.servers:
            each.close()


class Sentinels(Group):
    """A master, its replica, and three Sentinels that watch them as `main`."""

    def __init__(self, program: str, folder: pathlib.Path) -> None:
        self.first = Server(program, folder, "first")
        self.second = Server(program, folder, "second", f"replicaof 127.0.0.1 {self.first.port}")
        watch = (
            f"sentinel monitor main 127.0.0.1 {self.first.port} 2",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 4000",
        )
        self.sentinels = [Server(program, folder, f"sentinel{number}", *watch, sentinel=True) for number in range(3)]
        self.servers = [self.first, self.second, *self.sentinels]
        self.url = "redis+sentinel://" + ",".join(f"127.0.0.1:{each.port}" for each in self.sentinels) + "/main"
        for each in self.sentinels:
            until(functools.partial(self._knows_all, each), 30, f"{each.name} knows the others")

    @staticmethod
    def _knows_all(sentinel: Server) -> bool:
        words = [word.decode() for word in sentinel.redis("SENTINEL", "MASTER", "main")]
        fields = dict(zip(words[::2], words[1::2], strict=True))
        return fields["num-slaves"] == "1" and fields["num-other-sentinels"] == "2"


class RedisCluster(Group):
    """Three masters that share the slots, each with a replica where that is wanted."""

    def __init__(self, program: str, folder: pathlib.Path, replicas: int = 0) -> None:
        self._buses = [reserved() for _ in range(3 * (1 + replicas))]
        self.servers = [
            Server(
                program,
                folder,
                f"redis{number}",
                "cluster-enabled yes",
                f"cluster-port {bus.getsockname()[1]}",
                "cluster-node-timeout 1500",
                # Without it, losing one master refuses the slots of the others, too.
                "cluster-require-full-coverage no",
                "cluster-replica-validity-factor 0",
            )
            for number, bus in enumerate(self._buses)
        ]
        places = [f"127.0.0.1:{each.port}" for each in self.servers]
        self.url = "redis://" + ",".join(places)
        self.tool("create", *places, "--cluster-replicas", str(replicas))
        until(lambda: all(map(self._is_whole, self.servers)), 30, "the cluster is whole")

    def __exit__(self, *rest: object) -> None:
        super().__exit__(*rest)
        for each in self._buses:
            each.close()

    def _is_whole(self, server: Server) -> bool:
        told, nodes = server.redis("CLUSTER", "INFO").decode(), server.redis("CLUSTER", "NODES").decode()
        expected = len(self.servers) - 3
        return "cluster_state:ok" in told and "cluster_slots_ok:16384" in told and nodes.count("slave") == expected

    @staticmethod
    def tool(*words: str) -> str:
        """`redis-cli --cluster`."""
        command = ["redis-cli", "--cluster", *words, "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done
        return done.stdout

    def owner(self) -> Server:
        """The server that has the relay's slot."""
        for each in self.servers:
            try:
                if each.role() == "master":
                    each.redis("EXISTS", KEY)
                    return each
            except (OSError, RedisError):
                continue
        raise AssertionError("no server has the slot")

    def others(self) -> list[Server]:
        """The other masters."""
        owner = self.owner()
        return [each for each in self.servers if each is not owner and each.role() == "master"]

    def move_slot(self, source: Server, target: Server, pause: float = 0) -> int:
        """Moves the relay's slot key by key, as `redis-cli --cluster reshard` does; returns how many there were."""
        others = self.others()
        slot = source.redis("CLUSTER", "KEYSLOT", KEY)
        names = {each.name: each.redis("CLUSTER", "MYID") for each in (source, target)}
        target.redis("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source.name])
        source.redis("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target.name])
        moved = 0
        while keys := source.redis("CLUSTER", "GETKEYSINSLOT", slot, 1):
            # It may have expired meanwhile.
            source.redis("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 5000)
            moved += 1
            # A slot with many keys takes long.
            time.sleep(pause)
        for each in [target, source, *others]:
            each.redis("CLUSTER", "SETSLOT", slot, "NODE", names[target.name])
        return moved
