# SPDX-License-Identifier: Apache-2.0
"""Whatever is broken, and whenever: the file arrives, unattended, and little of it is carried twice."""

import random

import pytest

from harness.content import MiB
from proofs import breaks

#: A transfer that began again from its first byte, broken where these are, would be over the mark.
SIZE, LOWEST = 192 * MiB, 0.45
#: So slow that there is time to break it: shared by each of the four to six times that a byte passes through loopback.
RATE = 1_600_000_000
COUNT = 10


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(COUNT))
def test_a_transfer_that_is_broken_at_random_is_delivered(binaries, tmp_path, number):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    plan = list(breaks.plans(COUNT, seed, SIZE, LOWEST))[number]
    with breaks.World(binaries, tmp_path, rate=RATE) as world:
        outcome = world.run(plan)
    print(breaks.HEAD, outcome.row(), sep="\n")
    assert outcome.is_good, outcome.row()
