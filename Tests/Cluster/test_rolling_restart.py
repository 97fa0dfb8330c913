# SPDX-License-Identifier: Apache-2.0
"""Every node is restarted, one after the other, while files keep coming: all of them arrive."""

import threading

import pytest

from harness.content import MiB
from harness.waiting import background, until

PEOPLE = 3


class Load:
    """For each of some pairs of people: one file after the other, until it is enough."""

    def __init__(self, trial):
        self._trial, self._stop, self.done = trial, threading.Event(), [0] * PEOPLE
        for number in range(PEOPLE):
            trial.traffic.receiver(f"bob{number}")
            trial.traffic.person(f"alice{number}")
        self._workers = [background(self._work, number) for number in range(PEOPLE)]

    def _work(self, number):
        while not self._stop.is_set():
            # Some are over in a moment, some go on for as long as a node is being stopped.
            size = (1 * MiB, 8 * MiB, 48 * MiB)[self.done[number] % 3]
            sending = self._trial.traffic.send(f"alice{number}", f"bob{number}", size)
            self._trial.traffic.through(sending)
            self.done[number] += 1

    def more(self, count):
        """Waits until every sender has sent `count` more."""
        goal = [done + count for done in self.done]

        def reached():
            for worker in self._workers:
                if worker.done():
                    worker.result()
            return all(done >= wanted for done, wanted in zip(self.done, goal, strict=True))

        until(reached, 120, lambda: f"{count} more files of every sender: {self.done}, wanted {goal}", step=0.02)

    def stop(self):
        """The last ones are through."""
        self._stop.set()
        for worker in self._workers:
            worker.result(120)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_nodes_are_restarted_under_load_and_no_transfer_fails(trial):
    with trial() as t:
        load = Load(t)
        load.more(1)
        for node in t.nodes:
            t.fault("restarted", node.name)
            node.restart()
            load.more(2)
        load.stop()
        ended = t.history.events("ended")
        assert len(ended) >= 7 * PEOPLE and all(event["status"] == 0 for event in ended)
