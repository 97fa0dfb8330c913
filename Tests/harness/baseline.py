# SPDX-License-Identifier: Apache-2.0
"""What nodes use while nobody uses them, before and after."""

from . import measure
from .members import gone
from .waiting import TooLate, until


class Baseline:
    """Looks at nodes that have no clients; a node that was started again meanwhile has no baseline."""

    def __init__(self, nodes, history):
        self._nodes, self._history = nodes, history
        self._before = {}
        for node in nodes:
            until(lambda node=node: node.status()["sessions"] == 0, 20, f"nobody is at {node.name}", step=0.1)
            self._before[node.name, node.pid] = node.descriptors()
            self._add(node, "before")

    def _add(self, node, moment):
        self._history.add(
            "test",
            "usage",
            node=f"{node.name} ({node.pid})",
            moment=moment,
            descriptors=node.descriptors(),
            resident=node.resident(),
        )

    def compare(self, timeout=30):
        """Waits until the descriptors are back, as long as that may take; the history's rule is the judge."""
        for node in self._nodes:
            before = self._before.get((node.name, node.pid))
            if before is None or gone(node.pid):
                continue
            try:
                until(lambda node=node, before=before: node.descriptors() <= before, timeout, "descriptors", step=0.1)
            except TooLate:
                # The rule says which node, and how many; this says what they are.
                self._history.add("test", "open", node=node.name, connections=measure.connections(node.pid))
            self._add(node, "after")
