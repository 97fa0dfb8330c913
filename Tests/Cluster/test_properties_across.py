# SPDX-License-Identifier: Apache-2.0
"""The same random clients as of one relay, through a balancer and at each of three nodes."""

import random

import pytest

from harness.wire_machine import run
from harness.wire_model import World


@pytest.mark.slow
def test_other_clients_each_time(three):
    run(World.of_cluster(three), examples=15, seed=random.SystemRandom().getrandbits(32))
