# SPDX-License-Identifier: Apache-2.0
"""One fault and everything that is watched around it: traffic, routes, what the nodes use. The history decides."""

from __future__ import annotations

import contextlib
import json
import pathlib
import signal
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

from . import protocol, raw
from .baseline import Baseline
from .history import History, digest_of
from .history_rules import check_history
from .pairs import Pair
from .redis import Redis, Scanner
from .traffic import MiB, Traffic
from .waiting import TooLate, until

if TYPE_CHECKING:
    from .history import Event
    from .members import Node
    from .relay import Relay
    from .traffic import Sending

# Larger than what sockets and nodes hold on the way: a receiver that does not read leaves it in the middle.
LARGE = 96 * MiB


class Trial:
    """`with Trial(nodes, folder) as trial:` break something, and let what is on its way end; the rest is done here.

    It takes a Cluster, or Nodes that are announced.
    """

    def __init__(self, cluster: Any, folder: pathlib.Path) -> None:
        self.cluster, self.history = cluster, History()
        self.traffic = Traffic(cluster, folder, self.history)
        self.redis = Redis(cluster.redis_url)
        self.nodes: list[Node] = cluster.members()

    def __enter__(self) -> Self:
        self._warm_up()
        self._baseline = Baseline(self.nodes, self.history)
        self._scanner = Scanner(Redis(self.cluster.redis_url), self.history)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            for sending in self.traffic.sendings:
                sending.ended()
            self.traffic.stop()
            self._scanner.stop()
            self._baseline.compare()
            check_history(self.history)
        else:
            self._scanner.stop()
        self.redis.close()

    def _warm_up(self) -> None:
        """A stream between any two nodes: every link is there, and every pool has had its first use."""
        for one in self.nodes:
            for other in self.nodes:
                if one is not other:
                    whole(one, other, 4 * MiB)

    def fault(self, kind: str, target: str) -> Event:
        """Writes down what is about to be broken."""
        return self.history.add("test", "fault", kind=kind, target=target)

    def kill(self, node: Node) -> str | None:
        """kill -9 of a node; returns the incarnation that is gone."""
        incarnation = self.redis.incarnation(node.name)
        self.fault("killed", node.name)
        node.kill()
        self.history.add("test", "lost", node=node.name, incarnation=incarnation)
        return incarnation

    def crossing(self, sender: str, receiver: str, home: Node, ring: Node, size: int = LARGE) -> Sending:
        """A file of `sender`, whose control connection is on `home`, to `receiver` on `ring`; its two halves are on
        different ones of these two nodes. Held in the middle."""
        self.cluster.balance(ring)
        receiving = self.traffic.receiver(receiver)
        # It takes the offer when everything is where it should be.
        receiving.signal(signal.SIGSTOP)
        self.cluster.balance(home)
        sending = self.traffic.send(sender, receiver, size)
        self.history.wait_for("ringing", 30, file=sending.file)
        # Each has one connection now, so the balancer gives them one half each.
        self.cluster.balance(home, ring)
        receiving.signal(signal.SIGCONT)
        sending.held()
        self.cluster.balance(*self.nodes)
        return sending

    def goes_on(self, sending: Sending, fault: Event, limit: float) -> None:
        """Waits until the sender's bytes flow again, at most `limit` seconds after the fault."""
        self.says(sending.sender, "started", fault, limit)

    def says(self, who: str, event: str, fault: Event, limit: float) -> None:
        """Waits until a client has said this, at most `limit` seconds after the fault."""
        since = fault["at"]
        self.history.wait_for(
            event,
            max(0.1, since + limit - self.history.now()),
            who=who,
            where=lambda each: since < each["at"] < since + limit,
        )

    def claim(
        self, who: str, connection: raw.Connection, start: protocol.Start, method: str, *fields: str
    ) -> int | None:
        """Shows a token, and writes down the answer's status when it is there (None: the connection ended)."""
        path = "/upload" if method == "PUT" else "/download"
        connection.send(raw.request(method, path, f"Authorization: Bearer {start.token}", *fields))
        head = connection.head()
        status = head.status if head else None
        self.history.add(who, "claimed", token=digest_of(start.token), status=status)
        return status

    def took(self, who: str, start: protocol.Start, sent: bytes, download: raw.Connection) -> None:
        """Writes down whether what a raw download has got so far, head taken off, is how the sent bytes begin."""
        self.history.add(who, "took", file=start.transfer, prefix=sent.startswith(download.buffer))


def whole(one: Relay, other: Relay, size: int) -> None:
    """A transfer with the sender and its upload on one node, the receiver and its download on another."""
    with Pair(one, receiver=other, timeout=30) as pair:
        pair.whole(size)


def refused_code(function: Callable[[], object]) -> str | None:
    """The code with which a request of a control connection is refused, or its transfer fails; None when neither."""
    try:
        function()
    except (protocol.Refused, protocol.Failed) as error:
        return error.code
    return None


def outcome(pair: Pair) -> str | None:
    """The code that an offer meets on its way to the upload's token, wherever that is; None when it comes so far."""

    def course() -> None:
        offer = pair.sender.offer(pair.receiver.identity.name, protocol.pack(v=0, name="file"), wait=False)
        pair.receiver.next(lambda m: m.get("type") == "ring" and m["transfer"] == offer.transfer, 5, "a ring")
        start = pair.receiver.accept(offer.transfer)
        with raw.Connection(pair.download_at.address, pair.download_at.ca) as download:
            download.send(raw.request("GET", "/download", f"Authorization: Bearer {start.token}"))
            # There is no answer before the sender has begun, unless it is a refusal.
            until(lambda: _started(offer) or _answered(download), 5, "the upload's token")
            if _answered(download):
                answer = download.answer()
                raise protocol.Refused(json.loads(answer.body) if answer else {"code": f"download: {download.ended}"})

    return refused_code(course)


def _started(offer: protocol.Offer) -> protocol.Start | None:
    try:
        return offer.start(0.05)
    except TooLate:
        return None


def _answered(connection: raw.Connection) -> bool:
    with contextlib.suppress(TimeoutError):
        connection.receive(time.monotonic())
    return bool(connection.ended or connection.buffer)


def works(one: Relay, other: Relay) -> bool:
    """Whether a transfer between two new people on these nodes is possible now; it is not waited for."""
    try:
        with Pair(one, receiver=other) as pair:
            return outcome(pair) is None
    except (AssertionError, OSError, protocol.Refused, protocol.Failed):
        return False
