# SPDX-License-Identifier: Apache-2.0
"""Nothing of a transfer's names and contents is in a cluster: not in Redis, not in a node, not between two of them."""

import functools
import random

import pytest

from proofs import canary


@pytest.mark.slow
def test_no_name_and_no_content_is_in_a_cluster(binaries, tmp_path):
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    make = functools.partial(canary.Several, binaries)
    result = canary.prove(make, tmp_path / "world", list(canary.KINDS), seed)
    print(canary.report(result))
    assert list(result.problems()) == []
