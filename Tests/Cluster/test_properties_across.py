# SPDX-License-Identifier: Apache-2.0
"""The same random clients as of one relay, through a balancer and at each of three nodes."""

import random

import pytest

from harness.wire_machine import run
from harness.wire_model import World


@pytest.mark.slow
def test_new_random_clients_of_a_cluster_hear_what_the_model_allows(three):
    run(World.of_cluster(three), examples=15, seed=random.SystemRandom().getrandbits(32))
