# SPDX-License-Identifier: Apache-2.0
"""A loopback of its own: what is counted, slowed and broken on it is no other program's.

The thread that enters it, the threads it starts and the processes they start are in a network namespace with nothing
but `lo`, which goes with the last of them. It needs root, which may be root of a user namespace.
"""

from __future__ import annotations

import re
from typing import Self

from . import measure
from .network import enter, leave, run


class Loopback:
    """`with Loopback() as lo:`; with `rate`, all that passes through it shares so many bits a second."""

    def __init__(self, rate: int | None = None) -> None:
        self._rate = rate

    def __enter__(self) -> Self:
        self._home = enter()
        run("ip", "link", "set", "lo", "up")
        if self._rate is not None:
            # What waits for its turn: some milliseconds' worth, as a router would hold.
            shaper = ("tbf", "rate", f"{self._rate}bit", "burst", "1mb", "latency", "50ms")
            run("tc", "qdisc", "add", "dev", "lo", "root", *shaper)
        run("nft", "add", "table", "inet", "counted")
        run("nft", "add", "chain", "inet", "counted", "output", "{ type filter hook output priority 0; }")
        return self

    def __exit__(self, *_: object) -> None:
        leave(self._home)

    def count(self, port: int) -> None:
        """From now on, the bytes to and from this port are counted, heads of packets included."""
        for name, side in (("to", "dport"), ("from", "sport")):
            run("nft", "add", "counter", "inet", "counted", f"{name}{port}")
            rule = ("tcp", side, str(port), "counter", "name", f"{name}{port}")
            run("nft", "add", "rule", "inet", "counted", "output", *rule)

    def counted(self, port: int) -> tuple[int, int]:
        """How many bytes have gone to that port, and from it."""
        return self._bytes(f"to{port}"), self._bytes(f"from{port}")

    @staticmethod
    def _bytes(name: str) -> int:
        found = re.search(r"bytes (\d+)", run("nft", "list", "counter", "inet", "counted", name))
        assert found, name
        return int(found[1])

    @staticmethod
    def kill(local: int, remote: int) -> bool:
        """Ends the connection between two ports of this machine from outside, with a reset to both; False when there is
        none any more."""
        return "ESTAB" in run("ss", "-H", "-t", "-K", "sport", "=", f":{local}", "and", "dport", "=", f":{remote}")


def ports(pid: int, remote: int) -> list[int]:
    """The local ports of the connections that a process has to that port."""
    found = (re.fullmatch(r"(\d+) -> (\d+) established", each) for each in measure.connections(pid))
    return [int(match[1]) for match in found if match and int(match[2]) == remote]
