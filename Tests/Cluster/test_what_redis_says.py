# SPDX-License-Identifier: Apache-2.0
"""Replies of Redis that are none: no node ends, what runs goes on, and all is back once they are good again."""

import contextlib
import os
import random
import select
import socket
import time

import pytest

from harness import protocol
from harness.listener import Listener
from harness.measure import is_gone
from harness.pairs import Pair, Stream
from harness.redis_groups import Server
from harness.trial import outcome, works
from harness.waiting import until

# Seconds for which each kind of replies comes, and within which full service is back: a node waits up to 2 s before it
# tries again.
WRONG, BACK = 2, 10


def flipped(chance, data):
    """A few bytes of it are others."""
    spoilt = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        spoilt[chance.randrange(len(spoilt))] = chance.randrange(256)
    return bytes(spoilt)


KINDS = {
    "other bytes": lambda chance, data: chance.randbytes(len(data)),
    "a few bytes changed": flipped,
    "halves": lambda _, data: data[: len(data) // 2],
    "another type": lambda _, data: b":7\r\n" * max(1, data.count(b"\r\n")),
    "more than was asked": lambda _, data: data * 3,
    "an error": lambda _, data: b"-OOM command not allowed\r\n" * max(1, data.count(b"\r\n")),
    "a length beyond all": lambda _, data: b"$9223372036854775807\r\n" + data,
    "lists in lists": lambda _, data: b"*1\r\n" * 100_000 + data,
    "a line without end": lambda _, data: b"+" + b"a" * 1_000_000,
}


class Between:
    """Passes on what nodes ask of Redis, and makes something else of what it answers."""

    def __init__(self, port, seed):
        self._port, self._chance, self.spoil, self.spoilt = port, random.Random(seed), None, 0
        self._listener = Listener(self._serve)
        self.url = f"redis://127.0.0.1:{self._listener.port}"

    def close(self):
        self._listener.close()

    def _serve(self, near):
        with near, socket.create_connection(("127.0.0.1", self._port), 10) as far, contextlib.suppress(OSError):
            while True:
                for source in select.select([near, far], [], [], 1)[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    if source is far and self.spoil:
                        data, self.spoilt = self.spoil(self._chance, data), self.spoilt + 1
                    (far if source is near else near).sendall(data)


@pytest.fixture
def between(tmp_path):
    """A Redis, and what is in front of it."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    server = Server(os.environ.get("RELAY_REDIS_SERVER", "redis-server"), tmp_path / "redis", "redis")
    made = Between(server.port, seed)
    yield made
    made.close()
    server.close()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_replies_that_are_none_end_no_node_and_no_transfer(cluster, between):
    made = cluster("--nodes", "2", "--redis", between.url)
    home, ring = made.members()
    until(lambda: works(home, ring), 10, "transfers between nodes")
    pids = [node.pid for node in (home, ring)]
    with Pair(home, receiver=ring, timeout=30) as running, Pair(home, receiver=ring) as asking:
        stream = Stream(running)
        stream.go_on()
        for name, spoil in KINDS.items():
            before, end = between.spoilt, time.monotonic() + WRONG
            between.spoil = spoil
            while time.monotonic() < end:
                # Whatever comes of them: it is words.
                with contextlib.suppress(protocol.Failed, protocol.Refused, TimeoutError):
                    outcome(asking)
                assert stream.go_on(1), "what runs does not go on"
                time.sleep(0.1)
            between.spoil = None
            assert between.spoilt > before, f"{name}: nothing was made of a reply"
            assert not any(map(is_gone, pids)), f"{name}: {made.logs()[-3000:]}"
            until(lambda: outcome(asking) is None, BACK, f"transfers between nodes after {name}", step=0.1)
        stream.end()
    until(lambda: works(home, ring), BACK, "a transfer between new names")
    assert [node.pid for node in (home, ring)] == pids
