# SPDX-License-Identifier: Apache-2.0
"""Several machines in one: network namespaces on a bridge, and a firewall in between that cuts what a test names.

The thread that enters a Network, and the processes it starts, are in a namespace of their own with the bridge. The
machine's network is not touched, and everything disappears with the processes in it, however they end. It needs root,
which may be root of a user namespace that has a network of its own.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import pathlib
import re
import subprocess
from typing import Self

import pytest

from .executables import clean_environment
from .processes import Process
from .waiting import until

CLONE_NEWNET = 0x40000000
HOOKS: tuple[tuple[str, tuple[str, ...]], ...] = (("bridge", ("forward",)), ("inet", ("input", "output")))
_libc = ctypes.CDLL(None, use_errno=True)


class Network:
    """The bridge, with this thread at 10.77.0.254, and hosts at 10.77.0.1 and so on."""

    here = "10.77.0.254"

    def __init__(self, folder: pathlib.Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("network namespaces need root, or: unshare --user --map-root-user --net COMMAND")
        self.folder, self._numbers, self._places = folder, itertools.count(1), itertools.count(1)
        self._hosts: dict[str, tuple[Process, str]] = {}

    def __enter__(self) -> Self:
        self._home = enter()
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "relay0", "type", "bridge")
        run("ip", "address", "add", f"{self.here}/24", "dev", "relay0")
        run("ip", "link", "set", "relay0", "up")
        for family, hooks in HOOKS:
            run("nft", "add", "table", family, "faults")
            for hook in hooks:
                run("nft", "add", "chain", family, "faults", hook, f"{{ type filter hook {hook} priority 0; }}")
        return self

    def __exit__(self, *_: object) -> None:
        for holder, _address in self._hosts.values():
            holder.kill()
        leave(self._home)

    def host(self, name: str) -> tuple[str, tuple[str, ...]]:
        """A new host; returns (its address, what a command line has to begin with to run there)."""
        number = next(self._numbers)
        address = f"10.77.0.{number}"
        outside = os.readlink("/proc/thread-self/ns/net")
        # It holds the namespace, and ends with its standard input.
        holder = Process(
            ["unshare", "--net", "cat"],
            env=clean_environment(self.folder),
            folder=self.folder / "logs",
            stdin=subprocess.PIPE,
            name=f"host-{name}",
        )
        until(lambda: os.readlink(f"/proc/{holder.pid}/ns/net") != outside, 10, "the host has a network of its own")
        prefix = self._prefix(holder)
        run("ip", "link", "add", f"relay{number}", "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        run("ip", "link", "set", f"relay{number}", "master", "relay0", "up")
        for words in (
            ("link", "set", "lo", "up"),
            ("address", "add", f"{address}/24", "dev", "eth0"),
            ("link", "set", "eth0", "up"),
        ):
            run(*prefix, "ip", *words)
        self._hosts[name] = (holder, address)
        return address, prefix

    @staticmethod
    def _prefix(holder: Process) -> tuple[str, ...]:
        return ("nsenter", f"--net=/proc/{holder.pid}/ns/net")

    def place(self) -> str:
        """One more address of ours: clients that come from it are gone when it vanishes."""
        address = f"10.77.0.{254 - next(self._places)}"
        run("ip", "address", "add", f"{address}/24", "dev", "relay0")
        return address

    def vanish(self, *addresses: str) -> None:
        """Drops all packets from and to these local addresses, silently."""
        them = ", ".join(addresses)
        self._rule("inet", "input", f"ip daddr {{ {them} }} drop")
        self._rule("inet", "output", f"ip saddr {{ {them} }} drop")

    def address(self, name: str) -> str:
        """A host's address."""
        return self._hosts[name][1]

    def cut(self, one: str, other: str, *, both: bool = True) -> None:
        """Nothing gets from one host to the other any more (nor back, unless it is one way)."""
        for source, target in ((one, other), (other, one))[: 2 if both else 1]:
            self._rule("bridge", "forward", f"ip saddr {self.address(source)} ip daddr {self.address(target)} drop")

    def narrow(self, name: str, megabits: int) -> None:
        """The line to a host, and back, takes so many megabits a second, with a queue of 50 ms before it."""
        prefix = self._prefix(self._hosts[name][0])
        shaper = f"root tbf rate {megabits}mbit burst 32kbit latency 50ms".split()
        run("tc", "qdisc", "add", "dev", f"relay{self.address(name).rpartition('.')[2]}", *shaper)
        run(*prefix, "tc", "qdisc", "add", "dev", "eth0", *shaper)

    def lose(self, name: str, percent: int) -> None:
        """So many packets of a hundred are lost on the way to a host, and as many on the way back."""
        # One at a time, as on a wire: what the kernel passes on together would be lost together.
        run("ip", "link", "set", "dev", "relay0", "gso_max_segs", "1")
        run(*self._prefix(self._hosts[name][0]), "ip", "link", "set", "dev", "eth0", "gso_max_segs", "1")
        for side, chain in (("saddr", "input"), ("daddr", "output")):
            rule = f"ip {side} {self.address(name)} numgen random mod 100 < {percent} counter drop"
            self._rule("inet", chain, rule)

    def cut_from_here(self, name: str, port: int, *, verdict: str = "drop", source_port: int | None = None) -> None:
        """Nothing gets from a host to that port of ours, or back; or only one connection is hit."""
        address = self.address(name)
        came = f"tcp sport {source_port} " if source_port else ""
        back = f"tcp dport {source_port} " if source_port else ""
        self._rule("inet", "input", f"ip saddr {address} {came}tcp dport {port} {verdict}")
        if verdict == "drop":
            self._rule("inet", "output", f"ip daddr {address} {back}tcp sport {port} drop")

    def _rule(self, family: str, chain: str, rule: str) -> None:
        run("nft", "add", "rule", family, "faults", chain, *rule.split())

    def hits(self) -> int:
        """How many packets the rules with a counter have met."""
        return sum(int(count) for count in re.findall(r"packets (\d+)", run("nft", "list", "table", "inet", "faults")))

    def heal(self) -> None:
        """Everything gets through again."""
        for family in ("bridge", "inet"):
            run("nft", "flush", "table", family, "faults")


def enter() -> int:
    """Puts this thread, and what it starts from now on, into a new network; returns what `leave` wants to have back."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    _checked(_libc.unshare(CLONE_NEWNET))
    return home


def leave(home: int) -> None:
    """Puts this thread back."""
    _checked(_libc.setns(home, CLONE_NEWNET))
    os.close(home)


def run(*command: str) -> str:
    """One command, which has to succeed."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
        env={"PATH": f"{os.environ.get('PATH', '/usr/bin:/bin')}:/usr/sbin:/sbin"},
    )
    assert done.returncode == 0, (command, done.stderr)
    return done.stdout


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
