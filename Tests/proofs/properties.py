# SPDX-License-Identifier: Apache-2.0
"""Random clients of one relay and of three nodes, held to a model of what may be said."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable

from harness import certificates, metrics, processes
from harness.cluster import Cluster
from harness.relay import Relay
from harness.wire_machine import run
from harness.wire_model import Violation, World

#: How many examples between two lines.
ROUND = 100


def one_relay(binaries: pathlib.Path, folder: pathlib.Path) -> World:
    """A relay of its own."""
    arguments = ("--metrics-listen", "127.0.0.1:0")
    certs = certificates.made(folder / "certs")
    relay = Relay(binaries, certs, folder / "relay", registration="open", arguments=arguments)
    relay.start()
    return World([relay], [metrics.port_of(relay)])


def three_nodes(binaries: pathlib.Path, folder: pathlib.Path) -> World:
    """Three nodes, each of them and their balancer."""
    return World.of_cluster(Cluster(binaries, folder))


WORLDS = {"one relay": one_relay, "three nodes": three_nodes}


def proved(binaries: pathlib.Path, folder: pathlib.Path, examples: int, seed: int, tell: Callable[[str], None]) -> bool:
    """Runs so many examples in each world; the rounds of a seed are repeated by the seed that is printed with each."""
    messages, runs, good = 0, 0, True
    for number, (name, made) in enumerate(WORLDS.items()):
        world = made(binaries, folder / f"world-{number}")
        began, done, ended = time.monotonic(), 0, 0
        while done < examples:
            count, part = min(ROUND, examples - done), (seed + done) % 2**32
            try:
                ended += run(world, examples=count, seed=part)
            except Violation as violation:
                tell(f"{name}: {violation}\n  repeated by: --seed {part} properties --examples {count}")
                return False
            done += count
            tell(f"{name}: {ended} runs in {time.monotonic() - began:.0f} s")
        tell(f"{name}: " + ", ".join(f"{count} x {what}" for what, count in sorted(world.seen.items())))
        if ended < examples or not world.seen:
            good = False
            tell(f"PROBLEM  {name}: {ended} runs came to their end, of {examples}; {sum(world.seen.values())} messages")
        messages, runs = messages + sum(world.seen.values()), runs + ended
        processes.stop_since(0)
    tell(f"{runs} of {examples * len(WORLDS)} runs, {messages} messages of relays, all as the model has it")
    return good
