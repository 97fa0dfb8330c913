# SPDX-License-Identifier: Apache-2.0
"""Balancers: which recipe, which program, and what is filled in."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterable

from . import system

RECIPES = pathlib.Path(__file__).resolve().parents[1] / "recipes"
# Where balancers connect from, so that nodes can tell them from other programs of the machine.
SOURCE = "127.0.0.2"
SYSTEM_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class Recipe:
    """One of the four balancers."""

    ALL = ("haproxy", "haproxy-tls", "nginx", "nginx-tls")

    def __init__(self, name: str) -> None:
        self.name = name
        self.program = name.removesuffix("-tls")

    @property
    def package(self) -> tuple[str, ...]:
        """What Debian calls the program, for scripts/require."""
        return {"haproxy": ("haproxy",), "nginx": ("nginx", "libnginx-mod-stream")}[self.program]

    def require(self) -> None:
        """A Failure that says what is missing on this machine, if anything is."""
        found(self.program)
        self._module()

    def _module(self) -> str:
        """The line that loads nginx's stream module, where that is wanted and a file of its own, as in Debian."""
        if self.name != "nginx":
            return ""
        about = subprocess.run(
            [found("nginx"), "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=30, check=False
        ).stdout
        if "--with-stream=dynamic" in about:
            folder = re.search(r"--modules-path=(\S+)", about)
            path = os.path.join(folder[1] if folder else "/usr/lib/nginx/modules", "ngx_stream_module.so")
            if os.path.exists(path):
                return f"load_module {path};"
        elif re.search(r"--with-stream(\s|$)", about):
            return ""
        raise system.Failure("nginx has no stream module here: scripts/require libnginx-mod-stream installs it")

    @property
    def node_flags(self) -> list[str]:
        """The flags that make a node trust this balancer, and no other peer."""
        # nginx's http has no PROXY protocol towards its servers.
        return ["--trusted-proxy" if self.name == "nginx-tls" else "--proxy-protocol", SOURCE]

    def fill_in(
        self, folder: pathlib.Path, listen: object, nodes: Iterable[tuple[str, object]], name: str
    ) -> list[str | pathlib.Path]:
        """Writes the recipe into `folder`, for nodes given as (id, address), and returns the command line.

        A line with @ID@ is there once for each node.
        """
        certs = folder / "certs"
        values = {
            "LISTEN": str(listen),
            "DIR": str(folder),
            "CA": str(certs / "ca.pem"),
            "CERT": str(certs / "server.pem"),
            "KEY": str(certs / "server.key"),
            "PEM": str(certs / "both.pem"),
            "NAME": name,
            "SOURCE": SOURCE,
            "LOG": "stdout" if self.program == "haproxy" else "/dev/stdout",
            "ERRORS": "stderr",
            "MODULE": self._module(),
            "BUFFERS": _buffers(),
        }
        suffix = "cfg" if self.program == "haproxy" else "conf"
        lines = []
        for line in (RECIPES / f"{self.name}.{suffix}.in").read_text(encoding="utf-8").splitlines():
            if "@ID@" in line and not line.lstrip().startswith("#"):
                lines += [_put(line, values | {"ID": id, "NODE": str(node)}) for id, node in nodes]
            else:
                lines.append(line if line.lstrip().startswith("#") else _put(line, values))
        target = folder / f"balancer.{suffix}"
        target.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if self.program == "haproxy":
            return [found("haproxy"), "-db", "-f", target]
        # One process, so that killing it leaves nothing. It keeps its user: root of a user namespace has no other.
        settings = "daemon off; master_process off;" + (" user root root;" if os.geteuid() == 0 else "")
        return [found("nginx"), "-e", "stderr", "-c", target, "-g", settings]


def _buffers() -> str:
    """HAProxy's lines about what its kernel may hold, where they do no harm."""
    client, server = 3 << 20, 2 << 20
    try:
        most = int(pathlib.Path("/proc/sys/net/core/rmem_max").read_text(encoding="ascii"))
    except OSError:
        # Not every kernel shows it in every network namespace.
        return ""
    return f"tune.rcvbuf.client {client}\n    tune.rcvbuf.server {server}" if most >= client else ""


def _put(line: str, values: dict[str, str]) -> str:
    return re.sub(r"@([A-Z]+)@", lambda match: values[match.group(1)], line)


def redis_server() -> str:
    """The path of what serves as Redis: what RELAY_REDIS_SERVER names (a program or a path), else redis-server."""
    named = os.environ.get("RELAY_REDIS_SERVER")
    try:
        return found(named or "redis-server")
    except system.Failure:
        if not named:
            raise
        raise system.Failure(f"there is no program {named}: correct or unset RELAY_REDIS_SERVER") from None


def found(program: str) -> str:
    """The path of a program, or a Failure that says how to get it."""
    path = shutil.which(program, path=f"{os.environ.get('PATH', '/usr/bin:/bin')}:{SYSTEM_PATH}")
    if path is None:
        raise system.Failure(f"there is no {program} on this machine: scripts/require {program} installs it")
    return path
