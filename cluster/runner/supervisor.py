# SPDX-License-Identifier: Apache-2.0
"""Starts everything, runs the command, answers `cluster-restart`, and takes everything down."""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

from . import system
from .recipe import Recipe, redis_server
from .server_process import DRAINING_SECONDS, ServerProcess, healthy, redis_answers

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
# What of the person's environment reaches the nodes; every other RELAY_ variable is about something else.
NODE_VARIABLES = (
    "RELAY_REGISTRATION",
    "RELAY_LOG_LEVEL",
    "RELAY_LOG_FORMAT",
    "RELAY_LOG_ADDRESSES",
    "RELAY_ADDRESS_LIMIT",
)
COMMAND_SECONDS = 5
STOP_SECONDS = 3


class Stopped(Exception):
    """A signal asked the cluster to stop."""


class Supervisor:
    """Supervises all processes of one cluster. It runs in a child of the process that was started by hand."""

    def __init__(self, folder: pathlib.Path, options: argparse.Namespace, binaries: pathlib.Path, group: int) -> None:
        self.folder, self.options, self.binaries, self.group = folder, options, binaries, group
        self.recipe = Recipe(options.balancer)
        self.certs = folder / "certs"
        self.servers: dict[str, ServerProcess] = {}
        self.command: subprocess.Popen[bytes] | None = None
        self.signal: int | None = None
        # A signal makes this readable, so that no wait misses one.
        self._woken, wake = socket.socketpair()
        for end in (self._woken, wake):
            end.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._wake = wake
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # The signals were blocked until these handlers were installed.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))

    def _stop(self, number: int, _: object) -> None:
        self.signal = self.signal or number

    def run(self) -> int:
        """Runs the cluster from its first file to its last process; returns the exit status."""
        try:
            self._prepare()
            self._start()
            return self._serve()
        except Stopped:
            return 128 + (self.signal or 0)
        except system.Failure as failure:
            print(f"cluster/up: {failure}", file=sys.stderr)
            return failure.status
        finally:
            self._take_down()

    def pause(self, seconds: float = 0.02, sockets: Sequence[socket.socket] = ()) -> None:
        """Waits for a moment, a signal, or one of the sockets; raises Stopped when it is time to stop."""
        select.select([self._woken, *sockets], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            while self._woken.recv(64):
                pass
        self._reap()
        if self.signal:
            raise Stopped

    def _reap(self) -> None:
        """Reaps child processes, including those that the command has left behind."""
        own = {server.pid: server for server in self.servers.values() if server.pid}
        with contextlib.suppress(ChildProcessError):
            while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                if self.command is not None and ended.si_pid == self.command.pid:
                    self.command.poll()
                elif ended.si_pid in own:
                    own[ended.si_pid].running()
                else:
                    os.waitpid(ended.si_pid, 0)

    # ---- preparing ----------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        count = self.options.nodes
        self.ids = [f"n{number}" for number in range(1, count + 1)]
        self.balancer_port = system.Port(self.options.port)
        self.redis_port = system.Port()
        self.node_ports = {id: system.Port() for id in self.ids}
        self.link_ports = {id: system.Port() for id in self.ids}
        self.metrics_ports = {id: system.Port() for id in self.ids}
        nodes = [word for id in self.ids for word in ("--node", id)]
        made = subprocess.run(
            [REPOSITORY / "certs/make", "--out", self.certs, *nodes, "127.0.0.1", "localhost"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if made.returncode != 0:
            raise system.Failure(f"certificates cannot be made: {made.stderr.strip()}")
        # HAProxy wants both in one file.
        both = (self.certs / "server.pem").read_bytes() + (self.certs / "server.key").read_bytes()
        self._write("certs/both.pem", both)
        self.password = secrets.token_hex(16)
        self._write("cluster.secret", secrets.token_hex(32).encode() + b"\n")
        (self.folder / "bin").mkdir()
        (self.folder / "bin/cluster-restart").symlink_to(REPOSITORY / "cluster/restart")
        if not self.options.redis:
            self._define_redis()
        for id in self.ids:
            self._define_node(id)
        self._define_balancer()

    def _write(self, name: str, content: bytes) -> None:
        """Writes a file that only its owner can read."""
        descriptor = os.open(self.folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(content)

    @property
    def redis_url(self) -> str:
        """Redis, with its password."""
        return self.options.redis or f"redis://:{self.password}@{self.redis_port}/0"

    def _plain_environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("RELAY_")}

    def _define_redis(self) -> None:
        (self.folder / "redis").mkdir()
        # On standard input: every user of the machine can read a command line, with the password in it.
        settings = (
            f"bind 127.0.0.1\nport {self.redis_port.number}\nrequirepass {self.password}\n"
            f'save ""\nappendonly no\ndir {self.folder}/redis\ndaemonize no\n'
        )
        self.servers["redis"] = ServerProcess(
            "redis",
            self.folder,
            [redis_server(), "-"],
            self._plain_environment(),
            lambda: redis_answers(self.redis_port, self.password),
            standard_input=settings.encode(),
        )

    def _define_node(self, id: str) -> None:
        port, serving = self.node_ports[id], self.folder / f"{id}.serving"
        flags: dict[str, object] = {
            "--listen": port,
            "--tls-cert": self.certs / "server.pem",
            "--tls-key": self.certs / "server.key",
            "--state-dir": self.folder / id,
            # The relay writes it when all of its listeners are bound.
            "--pid-file": serving,
        }
        given = {name: os.environ[name] for name in NODE_VARIABLES if name in os.environ}
        # All clients are on this machine, and have one address.
        environment = (
            self._plain_environment()
            | {"RELAY_ADDRESS_LIMIT": "off"}
            | given
            | {
                # The URL of Redis holds a password, which must not be on a command line; its neighbours are here too.
                "RELAY_REDIS": self.redis_url,
                "RELAY_NODE_ID": id,
                "RELAY_NODE_LISTEN": str(self.link_ports[id]),
                "RELAY_NODE_ADVERTISE": str(self.link_ports[id]),
                "RELAY_CLUSTER_CA": str(self.certs / "ca.pem"),
                "RELAY_CLUSTER_CERT": str(self.certs / f"node-{id}.pem"),
                "RELAY_CLUSTER_KEY": str(self.certs / f"node-{id}.key"),
                "RELAY_CLUSTER_SECRET": str(self.folder / "cluster.secret"),
                "RELAY_METRICS_LISTEN": str(self.metrics_ports[id]),
            }
        )
        arguments: list[str | pathlib.Path] = [
            self.binaries / "relay-server",
            "serve",
            *(str(word) for flag in flags.items() for word in flag),
        ]

        def answers() -> bool:
            pid = int(serving.read_text(encoding="ascii"))
            return pid == self.servers[id].pid and healthy(port, self.certs / "ca.pem")

        self.servers[id] = ServerProcess(id, self.folder, [*arguments, *self.recipe.node_flags], environment, answers)

    def _define_balancer(self) -> None:
        command = self.recipe.fill_in(self.folder, self.balancer_port, list(self.node_ports.items()), "localhost")
        self.servers["balancer"] = ServerProcess(
            "balancer",
            self.folder,
            command,
            self._plain_environment(),
            lambda: healthy(self.balancer_port, self.certs / "ca.pem"),
        )

    # ---- running ------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        redis = [] if self.options.redis else ["redis"]
        for names in (redis, self.ids, ["balancer"]):
            for name in names:
                self.servers[name].launch()
            for name in names:
                self.servers[name].wait(self.pause)

    def variables(self) -> dict[str, str]:
        """What the command sees."""
        exempt = ",".join(filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1")))
        return {
            "RELAY_SERVER": f"https://{self.balancer_port}",
            "RELAY_CA": str(self.certs / "ca.pem"),
            "RELAY_NODE_URLS": " ".join(f"https://{self.node_ports[id]}" for id in self.ids),
            "RELAY_NODE_PIDS": " ".join(str(self.servers[id].pid) for id in self.ids),
            "RELAY_STATE_DIR": str(self.folder / self.ids[0]),
            "RELAY_REDIS": self.redis_url,
            "RELAY_METRICS_URLS": " ".join(f"http://{self.metrics_ports[id]}/metrics" for id in self.ids),
            "RELAY_CLUSTER_DIR": str(self.folder),
            "PATH": f"{self.folder}/bin:{self.binaries}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "NO_PROXY": exempt,
            "no_proxy": exempt,
        }

    def _serve(self) -> int:
        control = socket.socket(socket.AF_UNIX)
        control.bind(str(self.folder / "control"))
        control.listen(8)
        control.setblocking(False)
        if self.options.command:
            self._launch_command()
        else:
            self._announce()
        while self.command is None or self.command.poll() is None:
            with contextlib.suppress(BlockingIOError):
                self._answer(control.accept()[0])
            self.pause(1, [control])
        status: int = self.command.returncode
        return 128 - status if status < 0 else status

    def _announce(self) -> None:
        for name, value in self.variables().items():
            if name.startswith("RELAY_"):
                print(f"export {name}='{value}'")
        print(f"export PATH='{self.folder}/bin:{self.binaries}':$PATH")
        print(f"# Nodes: {len(self.ids)}, behind {self.options.balancer}. Ctrl-C takes everything down.", flush=True)

    def _launch_command(self) -> None:
        supervisor = os.getpid()

        def prepare() -> None:
            system.die_with(supervisor, signal.SIGKILL)
            # With the process that was started by hand: the terminal's Ctrl-C reaches it, and it may read from it.
            with contextlib.suppress(OSError):
                os.setpgid(0, self.group)

        try:
            self.command = subprocess.Popen(self.options.command, env=os.environ | self.variables(), preexec_fn=prepare)
        except OSError as error:
            status = 127 if isinstance(error, FileNotFoundError) else 126
            raise system.Failure(f"cannot run {self.options.command[0]}: {error.strerror}", status) from None

    def _answer(self, connection: socket.socket) -> None:
        """Does what `cluster-restart NAME` asks for."""
        with connection, contextlib.suppress(OSError):
            connection.settimeout(2)
            name = connection.recv(256).decode("utf-8", "replace").strip()
            try:
                connection.sendall(f"ok {self._restart(name)}\n".encode())
            except system.Failure as failure:
                connection.sendall(f"error {failure}\n".encode())

    def _restart(self, name: str) -> int | None:
        """Stops a server with SIGTERM if it runs, and starts it again; returns its new process id."""
        server = self.servers.get(name)
        if server is None:
            raise system.Failure(f"there is no {name}; there are {', '.join(self.servers)}")
        server.terminate()
        server.end(DRAINING_SECONDS, self._pause_of_restart)
        server.launch()
        server.wait(self._pause_of_restart)
        return server.pid

    def _pause_of_restart(self) -> None:
        self.pause()
        if self.command is not None and self.command.poll() is not None:
            raise system.Failure("the command has ended")

    # ---- the end ------------------------------------------------------------------------------------------------

    def _take_down(self) -> None:
        # Nothing interrupts this; the last resort is the parent, which waits for the end of this process.
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        running = [server for server in self.servers.values() if server.running()]
        if self.command is not None and self.command.poll() is None:
            self.command.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.command.wait(COMMAND_SECONDS)
        # What the command has left behind goes before what it might still use.
        system.kill_descendants(spare=[server.pid for server in running if server.pid])
        for _ in range(2):  # the second one tells a node not to wait for its transfers
            for server in running:
                server.terminate()
            deadline = time.monotonic() + STOP_SECONDS
            while any(server.running() for server in running) and time.monotonic() < deadline:
                time.sleep(0.02)
        system.kill_descendants()
        shutil.rmtree(self.folder, ignore_errors=True)
