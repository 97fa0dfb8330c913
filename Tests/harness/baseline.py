# SPDX-License-Identifier: Apache-2.0
"""What nodes use while they are idle, before and after a test."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import measure
from .members import Node
from .waiting import TooLate, until

if TYPE_CHECKING:
    from .history import History


class Baseline:
    """Looks at nodes that have no clients; a node that was started again meanwhile has no baseline."""

    def __init__(self, nodes: Sequence[Node], history: History) -> None:
        self._nodes, self._history = nodes, history
        self._before: dict[tuple[str, int], int] = {}
        for node in nodes:
            until(functools.partial(_is_idle, node), 20, f"no sessions at {node.name}", step=0.1)
            self._before[node.name, node.pid] = node.descriptors()
            self._add(node, "before")

    def _add(self, node: Node, moment: str) -> None:
        self._history.add(
            "test",
            "usage",
            node=f"{node.name} ({node.pid})",
            moment=moment,
            descriptors=node.descriptors(),
            resident=node.resident(),
        )

    def compare(self, timeout: float = 30) -> None:
        """Waits until the descriptors are back, as long as that may take; the history's rule is the judge."""
        for node in self._nodes:
            before = self._before.get((node.name, node.pid))
            if before is None or measure.is_gone(node.pid):
                continue
            try:
                until(functools.partial(_has_at_most, node, before), timeout, "descriptors", step=0.1)
            except TooLate:
                # The rule says which node, and how many; this says what they are.
                self._history.add("test", "open", node=node.name, connections=measure.connections(node.pid))
            self._add(node, "after")


def _is_idle(node: Node) -> bool:
    return node.status()["sessions"] == 0


def _has_at_most(node: Node, descriptors: int) -> bool:
    return node.descriptors() <= descriptors
